/* SPDX-License-Identifier: MIT */
/*
 * Where the service is. A base URL decides who is shown the API key, so it is checked
 * before anything is sent; libcurl's own parser takes it apart.
 */
#ifndef CS_BASE_URL_H
#define CS_BASE_URL_H

#include <stdbool.h>

#include "buffer.h"

#pragma GCC visibility push(hidden)

/* Checks a base URL: https, or http to loopback, nothing behind the path. Writes it
   without a trailing slash; CS_INVALID fills *problem with what is wrong. */
enum cs_status cs_base_url_check(const char *text, struct cs_buffer *checked,
                                 bool *loopback, const char **problem);

/* Checks a proxy's address as libcurl will read it, and writes its password, decoded;
   CS_INVALID fills *problem with what is wrong. */
enum cs_status cs_base_url_check_proxy(const char *text, struct cs_buffer *password,
                                       const char **problem);

/* Whether a socket's address (a struct sockaddr of that length) is this machine's own. */
bool cs_base_url_is_loopback(const void *address, size_t length);

#pragma GCC visibility pop

#endif
