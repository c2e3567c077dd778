/* SPDX-License-Identifier: MIT */
/* The rows, grouped by resource. Paths, bodies and answers: api/openapi.json. */
#include "endpoints.h"

const struct cs_resource cs_resources[] = {
  {"users", "user", "Accounts, their roles and groups.", "email"},
  {"roles", "role", "Roles and who holds them.", NULL},
  {"groups", "group", "Groups, their roles and members.", NULL},
  {"devices", "device", "Registered devices of users.", NULL},
  {"gateways", "gateway", "Network gateways.", NULL},
  {"resources", "resource", "What can be reached, and through which gateways.", NULL},
  {"addresses", "address", "Network addresses of resources.", NULL},
  {"protocols", "protocol", "Definitions of transport protocols and ports.", NULL},
  {"admission_rules", "admission rule", "Conditions that policies refer to.", NULL},
  {"policies", "policy", "Who may reach what.", NULL},
};

const int cs_resource_count = sizeof cs_resources / sizeof *cs_resources;

#define METHOD(r, n) .resource = r, .name = n, .call = r "." n

/* What is said of each operation that the contract is not sure of. */
#define IN_PART " The documentation shows this operation only in part."

/* A row reads as a table. */
/* clang-format off */
const struct cs_endpoint cs_endpoints[] = {

  /* ---- Users ---- */

  { METHOD("users", "page"), .verb = CS_GET,
    .path = "/tenants/users", .query = cs_fields_page,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the users, with its metadata." },

  { METHOD("users", "get"), .verb = CS_GET,
    .path = "/tenants/users/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One user with roles, groups and devices." },

  { METHOD("users", "create"), .verb = CS_POST,
    .path = "/tenants/users", .body = cs_fields_new_user, .several = 100,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a user, or each of a list of up to 100, and mails the invitations." },

  { METHOD("users", "update"), .verb = CS_PUT,
    .path = "/tenants/users/{id}", .body = cs_fields_profile,
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Changes the name or the picture of a user; returns the user." },

  { METHOD("users", "delete"), .verb = CS_DELETE,
    .path = "/tenants/users/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a user for good, with devices and access rights." },

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

  /* ---- Roles ---- */

  { METHOD("roles", "list"), .verb = CS_GET,
    .path = "/tenants/roles",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The built-in and custom roles of the tenant." },

  { METHOD("roles", "get"), .verb = CS_GET,
    .path = "/tenants/roles/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One role." },

  { METHOD("roles", "users"), .verb = CS_GET,
    .path = "/tenants/roles/{id}/users", .query = cs_fields_users_of,
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The users who hold a role." },

  { METHOD("roles", "remove_user"), .verb = CS_DELETE,
    .path = "/tenants/roles/{id}/users/{userId}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Takes a role from one user." },

  /* ---- Groups ---- */

  { METHOD("groups", "page"), .verb = CS_GET,
    .path = "/tenants/groups", .query = cs_fields_page,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the groups, with roles and members." },

  { METHOD("groups", "get"), .verb = CS_GET,
    .path = "/tenants/groups/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One group with roles and members." },

  { METHOD("groups", "create"), .verb = CS_POST,
    .path = "/tenants/groups", .body = cs_fields_group,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a group and the roles that it gives." },

  { METHOD("groups", "update"), .verb = CS_PUT,
    .path = "/tenants/groups/{id}", .body = cs_fields_group,
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Replaces name, description and all roles of a group; returns the group." },

  { METHOD("groups", "delete"), .verb = CS_DELETE,
    .path = "/tenants/groups/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a group, its memberships and what they brought." },

  /* ---- Devices ---- */

  { METHOD("devices", "page"), .verb = CS_GET,
    .path = "/tenants/devices", .query = cs_fields_page,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the devices, with their owners." },

  { METHOD("devices", "get"), .verb = CS_GET,
    .path = "/tenants/devices/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One device." },

  { METHOD("devices", "delete"), .verb = CS_DELETE,
    .path = "/tenants/devices/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a device for good, and disconnects it." },

  { METHOD("devices", "deactivate"), .verb = CS_PATCH,
    .path = "/tenants/devices/{id}/deactivate",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Suspends a device, which keeps its settings and owner; returns it." IN_PART },

  /* ---- Gateways ---- */

  { METHOD("gateways", "list"), .verb = CS_GET,
    .path = "/tenants/gateways",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "All gateways of the tenant." IN_PART },

  { METHOD("gateways", "get"), .verb = CS_GET,
    .path = "/tenants/gateways/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One gateway, with the token that it authenticates with." },

  { METHOD("gateways", "create"), .verb = CS_POST,
    .path = "/tenants/gateways", .body = cs_fields_new_gateway,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a gateway with its WireGuard port and endpoint." },

  { METHOD("gateways", "delete"), .verb = CS_DELETE,
    .path = "/tenants/gateways/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a gateway." IN_PART },

  { METHOD("gateways", "enable_relay"), .verb = CS_POST,
    .path = "/tenants/gateways/{id}/enable-relay",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Lets a gateway pass traffic between network segments; returns the gateway." },

  { METHOD("gateways", "disable_relay"), .verb = CS_POST,
    .path = "/tenants/gateways/{id}/disable-relay",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Stops a gateway from passing such traffic; returns the gateway." IN_PART },

  { METHOD("gateways", "test"), .verb = CS_POST,
    .path = "/tenants/gateways/{id}/test-configuration",
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Checks a gateway's connectivity and settings; the result says what failed." },

  /* ---- Resources ---- */

  { METHOD("resources", "page"), .verb = CS_GET,
    .path = "/tenants/resources", .query = cs_fields_resources,
    .repeat = CS_READ, .result = CS_PAGE,
    .doc = "One page of the resources, with addresses and gateways." },

  { METHOD("resources", "get"), .verb = CS_GET,
    .path = "/tenants/resources/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One resource with addresses and gateways." },

  { METHOD("resources", "create"), .verb = CS_POST,
    .path = "/tenants/resources", .body = cs_fields_new_resource,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a private, SaaS or internet resource with its addresses." },

  { METHOD("resources", "delete"), .verb = CS_DELETE,
    .path = "/tenants/resources/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a resource." IN_PART },

  { METHOD("resources", "disconnect_from_gateway"), .verb = CS_DELETE,
    .path = "/tenants/resources/{id}/gateways/{gatewayId}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Ends that a resource is reached through a gateway." },

  /* ---- Addresses ---- */

  { METHOD("addresses", "list"), .verb = CS_GET,
    .path = "/tenants/addresses",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "All network addresses, with their protocols." },

  { METHOD("addresses", "update"), .verb = CS_PUT,
    .path = "/tenants/addresses/{id}", .body = cs_fields_address,
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Replaces an address and the protocols allowed on it; returns the address." },

  { METHOD("addresses", "delete"), .verb = CS_DELETE,
    .path = "/tenants/addresses/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes an address, also from the resources that use it." },

  { METHOD("addresses", "gateways"), .verb = CS_GET,
    .path = "/tenants/addresses/{id}/gateways",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The gateways through which an address is reached." },

  /* ---- Protocols ---- */

  { METHOD("protocols", "list"), .verb = CS_GET,
    .path = "/tenants/protocols",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The predefined and custom protocols." },

  { METHOD("protocols", "get"), .verb = CS_GET,
    .path = "/tenants/protocols/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One protocol." },

  { METHOD("protocols", "create"), .verb = CS_POST,
    .path = "/tenants/protocols", .body = cs_fields_new_protocol,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a definition of transport protocols and ports." },

  { METHOD("protocols", "delete"), .verb = CS_DELETE,
    .path = "/tenants/protocols/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a protocol, which addresses and resources that use it will miss." },

  /* ---- Admission rules ---- */

  { METHOD("admission_rules", "list"), .verb = CS_GET,
    .path = "/tenants/admission-rules",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "All admission rules." },

  { METHOD("admission_rules", "get"), .verb = CS_GET,
    .path = "/tenants/admission-rules/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One admission rule." IN_PART },

  { METHOD("admission_rules", "create"), .verb = CS_POST,
    .path = "/tenants/admission-rules", .body = cs_fields_admission_rule,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a condition that policies can refer to." },

  { METHOD("admission_rules", "update"), .verb = CS_PUT,
    .path = "/tenants/admission-rules/{id}", .body = cs_fields_admission_rule,
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Replaces a rule's name, expression and time flag; returns the rule." },

  { METHOD("admission_rules", "delete"), .verb = CS_DELETE,
    .path = "/tenants/admission-rules/{id}",
    .repeat = CS_REPEATABLE, .settled = 404, .result = CS_NOTHING,
    .doc = "Removes a rule, which policies that use it will miss." },

  /* ---- Policies ---- */

  { METHOD("policies", "list"), .verb = CS_GET,
    .path = "/tenants/policies",
    .repeat = CS_READ, .result = CS_LIST_OF,
    .doc = "The access policies." IN_PART },

  { METHOD("policies", "get"), .verb = CS_GET,
    .path = "/tenants/policies/{id}",
    .repeat = CS_READ, .result = CS_VALUE,
    .doc = "One policy." },

  { METHOD("policies", "create"), .verb = CS_POST,
    .path = "/tenants/policies", .body = cs_fields_new_policy,
    .repeat = CS_ONCE, .result = CS_VALUE,
    .doc = "Creates a policy that allows or denies access." },

  { METHOD("policies", "update"), .verb = CS_PATCH,
    .path = "/tenants/policies/{id}", .body = cs_fields_policy,
    .repeat = CS_REPEATABLE, .result = CS_VALUE,
    .doc = "Changes a policy, effective at once; returns the policy." },
};
/* clang-format on */

#undef IN_PART
#undef METHOD

const int cs_endpoint_count = sizeof cs_endpoints / sizeof *cs_endpoints;
