/* SPDX-License-Identifier: MIT */
/* The rows, grouped by resource. Paths, bodies and answers: api/openapi.json. */
#include "endpoints.h"

const struct cs_resource cs_resources[] = {
  {"users", "user", "Accounts, their roles and groups."},
  {"groups", "group", "Groups, their roles and members."},
  {"roles", "role", "Roles and who holds them."},
};

const int cs_resource_count = sizeof cs_resources / sizeof *cs_resources;

#define METHOD(r, n) .resource = r, .name = n, .call = r "." n

/* A row reads as a table. */
/* clang-format off */
const struct cs_endpoint cs_endpoints[] = {
  { METHOD("users", "page"), .verb = CS_GET,
    .path = "/tenants/users", .query = cs_fields_page,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the users, with its metadata." },

  { METHOD("users", "get"), .verb = CS_GET,
    .path = "/tenants/users/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One user with roles, groups and devices." },

  { METHOD("users", "deactivate"), .verb = CS_PATCH,
    .path = "/tenants/users/{id}/deactivate",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Suspends a user, whose data is kept; returns the user." },

  { METHOD("users", "reactivate"), .verb = CS_POST,
    .path = "/tenants/users/{id}/reactivate",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Gives a deactivated user access again; returns the user." },

  { METHOD("users", "invite"), .verb = CS_POST,
    .path = "/tenants/users/{id}/invite",
    .repeat = CS_ONCE, .result = CS_NOTHING,
    .doc = "Mails a new invitation to a user whose invitation is pending." },

  { METHOD("users", "roles"), .verb = CS_GET,
    .path = "/tenants/users/{id}/roles", .query = cs_fields_roles_of,
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The roles of one user, given directly and inherited from groups." },

  { METHOD("users", "update_roles"), .verb = CS_PATCH,
    .path = "/tenants/users/{id}/roles", .body = cs_fields_role_changes,
    .repeat = CS_REPEATABLE, .result = CS_NOTHING,
    .doc = "Adds and removes direct roles of one user." },

  { METHOD("users", "add_to_group"), .verb = CS_POST,
    .path = "/tenants/users/{id}/groups", .body = cs_fields_group_of,
    .repeat = CS_REPEATABLE, .settled = 409, .result = CS_NOTHING,
    .doc = "Makes a user a member of a group, which may bring further roles." },

  { METHOD("users", "remove_from_group"), .verb = CS_DELETE,
    .path = "/tenants/users/{id}/groups/{groupId}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Ends a user's membership in a group, and takes what it brought." },

  { METHOD("groups", "page"), .verb = CS_GET,
    .path = "/tenants/groups", .query = cs_fields_page,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the groups, with roles and members." },

  { METHOD("roles", "list"), .verb = CS_GET,
    .path = "/tenants/roles",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The built-in and custom roles of the tenant." },

  { METHOD("roles", "users"), .verb = CS_GET,
    .path = "/tenants/roles/{id}/users", .query = cs_fields_users_of,
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The users who hold a role." },
};
/* clang-format on */

#undef METHOD

const int cs_endpoint_count = sizeof cs_endpoints / sizeof *cs_endpoints;
