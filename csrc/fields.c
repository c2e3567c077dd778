/* SPDX-License-Identifier: MIT */
/* The queries and bodies of the API, in the order in which they are sent. */
#include "fields.h"

static const struct cs_field id_element = {.type = CS_ID};
static const struct cs_field string_element = {.type = CS_STRING};

const struct cs_field cs_fields_page[] = {
  {.name = "limit",
   .type = CS_INTEGER,
   .min = 1,
   .max = 1e6,
   .doc = "Items on the page; the service may cap it."},
  {.name = "offset",
   .type = CS_INTEGER,
   .min = 0,
   .max = 1e15,
   .doc = "Items to skip before the page."},
  {.name = "sort",
   .type = CS_LIST,
   .flags = CS_OR_ONE,
   .of = &string_element,
   .doc = "Sort keys, or a single one; how they are spelled is not documented."},
  {.name = "filter",
   .type = CS_FILTER,
   .doc = "Conditions by field and operator; documented for resources, and elsewhere an "
          "assumption: a service that does not know it may give everything."},
  {.name = NULL}};

const struct cs_field cs_fields_roles_of[] = {
  {.name = "groupsOnly",
   .type = CS_BOOLEAN,
   .doc = "Only roles inherited from groups (documented by its name only)."},
  {.name = "rolesOnly",
   .type = CS_BOOLEAN,
   .doc = "Only roles given directly (documented by its name only)."},
  {.name = NULL}};

const struct cs_field cs_fields_users_of[] = {
  {.name = "groups",
   .type = CS_BOOLEAN,
   .doc = "Also users who hold the role through a group."},
  {.name = NULL}};

const struct cs_field cs_fields_role_changes[] = {{.name = "addedRoles",
                                                   .type = CS_LIST,
                                                   .flags = CS_ALWAYS,
                                                   .of = &id_element,
                                                   .doc = "Ids of roles to add."},
                                                  {.name = "removedRoles",
                                                   .type = CS_LIST,
                                                   .flags = CS_ALWAYS,
                                                   .of = &id_element,
                                                   .doc = "Ids of roles to remove."},
                                                  {.name = NULL}};

const struct cs_field cs_fields_group_of[] = {{.name = "groupId",
                                               .type = CS_ID,
                                               .flags = CS_REQUIRED | CS_POSITIONAL,
                                               .doc = "Id of the group to join."},
                                              {.name = NULL}};
