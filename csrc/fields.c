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
#define LIST(n, element) .name = n, .type = CS_LIST, .of = &element
#define ONE_OF(n, words) .name = n, .type = CS_STRING, .allowed = words
#define NEEDED .flags = CS_REQUIRED

/* A field reads as a line. */
/* clang-format off */
#define END { .name = NULL }

/* ---- Queries ---- */

#define PART_OF_LIST \
  { FROM("limit", 1, 1e6), .doc = "Items on the page; the service may cap it." }, \
  { FROM("offset", 0, 1e15), .doc = "Items to skip before the page." }

const struct cs_field cs_fields_page[] = {
  PART_OF_LIST,
  { TEXTS("sort"), .flags = CS_OR_ONE,
    .doc = "Sort keys, or a single one; how they are spelled is not documented." },
  { .name = "filter", .type = CS_FILTER,
    .doc = "Conditions by field and operator; documented for resources, and elsewhere "
           "an assumption: a service that does not know it may give everything." },
  END
};

const struct cs_field cs_fields_resources[] = {
  PART_OF_LIST,
  { TEXT("sort"), .doc = "One sort key: id or name, as in -name (or name:desc)." },
  { .name = "filter", .type = CS_FILTER, .doc = "Conditions by field and operator." },
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
  { IDS("addedRoles"), .flags = CS_ALWAYS,
    .doc = "Ids of roles to add; left out, it is sent as `[]`." },
  { IDS("removedRoles"), .flags = CS_ALWAYS,
    .doc = "Ids of roles to remove; left out, it is sent as `[]`." },
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

/* ---- Gateways, resources, addresses, protocols ---- */

/* CreateGateway */
const struct cs_field cs_fields_new_gateway[] = {
  { TEXT("name"), NEEDED, .doc = "Display name." },
  { TEXT("description"), .doc = "Purpose and place." },
  { TEXT("wireguardPort"), NEEDED, .doc = "WireGuard port, as a string." },
  { TEXT("endpoint"), .doc = "Public address of the gateway." },
  END
};

/* UpdateAddress, and ResourceAddressInput, of which less is documented */
const struct cs_field cs_fields_address[] = {
  { TEXT("address"), NEEDED, .doc = "IP address or domain name." },
  { IDS("protocols"), NEEDED, .doc = "Ids of all protocols that are allowed on it." },
  END
};

static const char *const resource_types[] = { "PRIVATE", "SAAS", "INTERNET", NULL };
static const struct cs_field an_address = { .type = CS_OBJECT, .of = cs_fields_address };

/* CreateResource */
const struct cs_field cs_fields_new_resource[] = {
  { LIST("addresses", an_address), NEEDED, .doc = "Addresses with their protocols." },
  { TEXT("name"), NEEDED, .doc = "Display name." },
  { ONE_OF("type", resource_types), NEEDED, .doc = "Kind of resource." },
  { TEXT("description"), .doc = "Purpose." },
  END
};

/* NetworkProtocol; what it requires is not documented */
static const struct cs_field network_protocol_fields[] = {
  { TEXT("protocol"), .doc = "TCP, UDP or ICMP." },
  { TEXT("port"), .doc = "Port, as a string." },
  END
};
static const struct cs_field a_network_protocol = {
  .type = CS_OBJECT, .of = network_protocol_fields
};

/* CreateProtocol */
const struct cs_field cs_fields_new_protocol[] = {
  { TEXT("name"), .doc = "Display name." },
  { LIST("networkProtocols", a_network_protocol), NEEDED,
    .doc = "Transport protocols and ports." },
  END
};

/* ---- Admission rules, policies ---- */

/* CreateAdmissionRule and UpdateAdmissionRule */
const struct cs_field cs_fields_admission_rule[] = {
  { TEXT("rule"), NEEDED, .doc = "Rule expression." },
  { TEXT("name"), NEEDED, .doc = "Display name." },
  { BOOLEAN("hasTimeConstraint"), NEEDED, .doc = "Does it depend on time." },
  END
};

static const char *const policy_types[] = {
  "PRIVATE", "SAAS", "INTERNET", "SITETOSITE", NULL
};
static const char *const policy_modes[] = { "LOCAL", "RESTRICTED", "REMOTE", NULL };

/* What CreatePolicy and UpdatePolicy share. The four `all…` have a default in the
   documentation and are required there: whoever writes a policy says whom it is for. */
#define POLICY \
  { TEXT("name"), NEEDED, .doc = "Display name." }, \
  { TEXT("description"), .doc = "Purpose." }, \
  { BOOLEAN("action"), NEEDED, .doc = "True allows, false denies." }, \
  { ONE_OF("mode", policy_modes), .doc = "Access mode." }, \
  { BOOLEAN("allGroups"), NEEDED, .doc = "Applies to every group." }, \
  { BOOLEAN("allUsers"), NEEDED, .doc = "Applies to every user." }, \
  { BOOLEAN("allDevices"), NEEDED, .doc = "Applies to every device." }, \
  { BOOLEAN("allResources"), NEEDED, .doc = "Applies to every resource." }, \
  { IDS("groups"), .doc = "Group ids." }, \
  { IDS("users"), .doc = "User ids." }, \
  { IDS("devices"), .doc = "Device ids." }, \
  { IDS("resources"), .doc = "Resource ids." }, \
  { IDS("gateways"), .doc = "Gateway ids." }, \
  { TEXTS("sourceIps"), .doc = "Source addresses or CIDR ranges." }

/* CreatePolicy */
const struct cs_field cs_fields_new_policy[] = {
  { ONE_OF("type", policy_types), NEEDED, .doc = "Kind of resources it covers." },
  { ID("rule"), .doc = "Id of the admission rule." },
  POLICY,
  END
};

/* UpdatePolicy */
const struct cs_field cs_fields_policy[] = {
  { ID("rule"), NEEDED, .doc = "Id of the admission rule." },
  POLICY,
  END
};

/* clang-format on */
