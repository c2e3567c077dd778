/* SPDX-License-Identifier: MIT */
/*
 * The table of endpoints: one row an operation. A row is the whole description: the
 * method, its arguments, its checks, its repeats, its documentation and the command line
 * follow from it. If an operation needs an `if` elsewhere, the row lacks a column.
 */
#ifndef CS_ENDPOINTS_H
#define CS_ENDPOINTS_H

#include <string.h>

#include "fields.h"
#include "request.h"

#pragma GCC visibility push(hidden)

/* What a call gives on success. */
enum cs_result {
  CS_VALUE,   /* the decoded table */
  CS_LIST_OF, /* an array; one object or a whole page are taken for one, too */
  CS_PAGE,    /* one page with its metadata */
  CS_NOTHING, /* true; the body is never parsed, only checked for an HTML page */
  CS_ANYTHING /* client:request alone: what the JSON is, or true where there is none */
};

struct cs_endpoint {
  const char *resource, *name; /* client.<resource>:<name> */
  const char *call;            /* both: "users.invite" */
  enum cs_verb verb;
  const char *path;                    /* as in the contract, with {parameters} */
  const struct cs_field *query, *body; /* NULL for none */
  int several; /* > 0: the body may be a list of so many, and the answer then is one */
  enum cs_repeat repeat;
  int settled; /* the status that means "already so" when a repeat meets it; 0 for none */
  enum cs_result result;
  const char *doc; /* one sentence */
};

struct cs_resource {
  const char *name; /* as in client.<name> */
  const char *noun; /* one of them, for messages: "user" */
  const char *doc;
  const char
    *known_by; /* the field by which people know one, which `find` takes, or NULL */
};

extern const struct cs_endpoint cs_endpoints[];
extern const int cs_endpoint_count;

extern const struct cs_resource cs_resources[];
extern const int cs_resource_count;

/* The resource of that name; NULL for none. */
static inline const struct cs_resource *cs_resource_named(const char *name) {
  for (int i = 0; name && i < cs_resource_count; i++) {
    if (strcmp(cs_resources[i].name, name) == 0) return &cs_resources[i];
  }
  return NULL;
}

#pragma GCC visibility pop

#endif
