/* SPDX-License-Identifier: MIT */
/*
 * The queries and bodies of the API, in the order in which they are sent. What they are
 * called in api/openapi.json stands above those that have a name there.
 */
#include "fields.h"

static const struct cs_field an_id = {.type = CS_ID};
static const struct cs_field a_string = {.type = CS_STRING};

#define TEXT(n) .name = n, .type = CS_STRING
#define ID(n) .name = n, .type = CS_ID
#define BOOLEAN(n) .name = n, .type = CS_BOOLEAN
#define FROM(n, least, most) .name = n, .type = CS_INTEGER, .min = least, .max = most
#define TEXTS(n) .name = n, .type = CS_LIST, .of = &a_string
#define IDS(n) .name = n, .type = CS_LIST, .of = &an_id
#define NEEDED .flags = CS_REQUIRED

/* A field reads as a line. */
/* clang-format off */
#define END { .name = NULL }

/* ---- Queries ---- */

const struct cs_field cs_fields_page[] = {
  { FROM("limit", 1, 1e6), .doc = "Items on the page; the service may cap it." },
  { FROM("offset", 0, 1e15), .doc = "Items to skip before the page." },
  { TEXTS("sort"), .doc = "Sort keys." },
  END
};

const struct cs_field cs_fields_roles_of[] = {
  { BOOLEAN("groupsOnly"),
    .doc = "Only roles inherited from groups (documented by its name only)." },
  { BOOLEAN("rolesOnly"),
    .doc = "Only roles given directly (documented by its name only)." },
  END
};

const struct cs_field cs_fields_users_of[] = {
  { BOOLEAN("groups"), .doc = "Also users who hold the role through a group." },
  END
};

/* ---- Users ---- */

/* CreateUser */
const struct cs_field cs_fields_new_user[] = {
  { TEXT("email"), NEEDED, .doc = "E-mail address to invite." },
  { IDS("groups"), NEEDED, .doc = "Ids of the groups to join." },
  END
};

/* UpdateUser */
const struct cs_field cs_fields_profile[] = {
  { TEXT("firstName"), .doc = "First name." },
  { TEXT("lastName"), .doc = "Last name." },
  { TEXT("image"), .doc = "URL or path of the profile picture." },
  END
};

/* UpdateUserRoles */
const struct cs_field cs_fields_role_changes[] = {
  { IDS("addedRoles"), .flags = CS_ALWAYS, .doc = "Ids of roles to add." },
  { IDS("removedRoles"), .flags = CS_ALWAYS, .doc = "Ids of roles to remove." },
  END
};

/* AddUserToGroup */
const struct cs_field cs_fields_group_of[] = {
  { ID("groupId"), .flags = CS_REQUIRED | CS_POSITIONAL,
    .doc = "Id of the group to join." },
  END
};

/* ---- Groups ---- */

/* CreateGroup and UpdateGroup. No list of roles is not an empty one: an update would take
   every role away. */
const struct cs_field cs_fields_group[] = {
  { IDS("roles"), NEEDED, .doc = "Ids of all roles that the group gives its members." },
  { TEXT("name"), NEEDED, .doc = "Display name." },
  { TEXT("description"), .doc = "Purpose." },
  END
};

/* clang-format on */
