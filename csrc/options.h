/* SPDX-License-Identifier: MIT */
/*
 * The options of cipherscale.new and of a call: their lists, defaults, and where the API
 * key and the base URL come from.
 */
#ifndef CS_OPTIONS_H
#define CS_OPTIONS_H

#include <stdbool.h>

#include "buffer.h"
#include "compat.h"

#pragma GCC visibility push(hidden)

/* What a call can override. */
struct cs_call_options {
  double timeout, total_timeout, max_retry_wait; /* seconds */
  int max_retries;
};

struct cs_options {
  struct cs_call_options call; /* the defaults of calls */
  double connect_timeout;      /* seconds */
  double rate;                 /* starts a second; 0 for no bound */
  int max_in_flight, max_response_bytes;
  bool read_only, validate, http2, loopback;
  const char *api_key, *base_url; /* resolved and checked */
  const char *proxy_password;     /* NULL without a proxy, empty without a password */
  const char *api_key_env, *api_key_file;
  const char *http_version, *ca_file, *ca_path, *proxy, *no_proxy, *app;
};

/* Reads the options of cipherscale.new at `index`, fills all of `options`, and pushes a
   table that keeps its strings alive and holds on_event. Raises what is wrong. */
void cs_options_read(lua_State *L, int index, struct cs_options *options);

/* Reads the options of one call over its defaults: those of a table, which is pushed
   since it may hold `response` (then true), or those that cs_options_settle has read. */
bool cs_options_read_call(lua_State *L, const char *call, int index,
                          struct cs_call_options *options);

/* lua_CFunction, core.options(table): for a caller who gives the same options, and no
   `response`, to thousands of calls. */
int cs_options_settle(lua_State *L);

#pragma GCC visibility pop

#endif
