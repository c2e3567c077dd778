/* SPDX-License-Identifier: MIT */
/*
 * Field lists: what a query, a body or an options table may hold. Data only; shape.c is
 * their one reader. Names are the API's own (camelCase) for queries and bodies, ours
 * (snake_case) for options.
 */
#ifndef CS_FIELDS_H
#define CS_FIELDS_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

enum cs_type {
  CS_STRING,  /* UTF-8 */
  CS_ID,      /* a non-empty string without control characters */
  CS_INTEGER, /* a whole number from min to max */
  CS_NUMBER,  /* from min to max */
  CS_BOOLEAN,
  CS_OBJECT,            /* `of` lists its fields */
  CS_LIST,              /* `of` is its element */
  CS_FILTER,            /* queries only: see query.h */
  CS_FUNCTION,          /* options only */
  CS_TABLE,             /* options only: any table, kept as it is */
  CS_STRING_OR_FUNCTION /* options only */
};

enum {
  CS_REQUIRED = 1,
  CS_ALWAYS = 2,     /* a list that is sent as [] when absent */
  CS_POSITIONAL = 4, /* an argument of the call rather than a field of its table */
  CS_OR_ONE = 8      /* queries only: a list whose single element may stand for it */
};

/* A list of fields ends with one that has no name. */
struct cs_field {
  const char *name;
  enum cs_type type;
  unsigned flags;
  const struct cs_field *of;
  const char *const *allowed; /* NULL-terminated; NULL when every string is */
  double min, max;
  size_t offset; /* options only: where the value goes in the caller's struct */
  const char *doc;
};

/* Queries. */
extern const struct cs_field cs_fields_page[];
extern const struct cs_field cs_fields_resources[];
extern const struct cs_field cs_fields_roles_of[];
extern const struct cs_field cs_fields_users_of[];

/* Bodies. */
extern const struct cs_field cs_fields_new_user[];
extern const struct cs_field cs_fields_profile[];
extern const struct cs_field cs_fields_role_changes[];
extern const struct cs_field cs_fields_group_of[];
extern const struct cs_field cs_fields_group[];
extern const struct cs_field cs_fields_new_gateway[];
extern const struct cs_field cs_fields_address[];
extern const struct cs_field cs_fields_new_resource[];
extern const struct cs_field cs_fields_new_protocol[];
extern const struct cs_field cs_fields_admission_rule[];
extern const struct cs_field cs_fields_new_policy[];
extern const struct cs_field cs_fields_policy[];

#pragma GCC visibility pop

#endif
