/* SPDX-License-Identifier: MIT */
/*
 * Writing URLs: percent-encoding (RFC 3986), path templates as the contract spells them
 * ("/tenants/users/{id}/roles"), query text. Pure; parsing is libcurl's (transport.h).
 */
#ifndef CS_URL_H
#define CS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "buffer.h"

#pragma GCC visibility push(hidden)

/* One parameter of a path template: the text between the braces. */
struct cs_url_param {
  const char *name; /* not terminated; inside the template */
  size_t length;
};

/* Steps to the next parameter at or behind *cursor; false when there is none. */
bool cs_url_next_param(const char **cursor, struct cs_url_param *param);

/* What is wrong with an id that shall become a path segment; NULL if nothing is. One that
   becomes a dot segment when it is decoded again is refused, too. */
const char *cs_url_id_problem(const char *id, size_t length);

/* Appends bytes percent-encoded; unreserved ones (RFC 3986 2.3) stay as they are. */
enum cs_status cs_url_append_encoded(struct cs_buffer *buffer, const char *bytes,
                                     size_t n);

/* What is wrong with a path that a caller gives whole; NULL if nothing is. Escapes (%2E)
   are looked into; what a server could read as another path is refused. */
const char *cs_url_path_problem(const char *path);

/* Appends such a path. Its escapes stay; bytes that no path can hold are escaped. */
enum cs_status cs_url_append_path(struct cs_buffer *buffer, const char *path);

/* Appends `name=value`, with the `?` or `&` that belongs before it. */
enum cs_status cs_url_append_query(struct cs_buffer *buffer, bool first, const char *name,
                                   const char *value, size_t length);

#pragma GCC visibility pop

#endif
