/* SPDX-License-Identifier: MIT */
/* See options.h. */
#define _POSIX_C_SOURCE 200809L /* fstat */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base_url.h"
#include "check.h"
#include "shape.h"

static const char new_call[] = "cipherscale.new";
static const char default_base_url[] = "https://public-api.cipherscale.com/qa";

enum { MAX_KEY_BYTES = 4096, MAX_APP_BYTES = 256 };

static const char *const http_versions[] = {"1.1", "2", NULL};

#define AT(member) .offset = offsetof(struct cs_options, member)
#define RANGE(least, most) .min = (least), .max = (most)

/* What a call can override comes first; cs_options_read_call uses that part alone. */
#define CALL_OPTIONS(at) \
  {.name = "timeout", \
   .type = CS_NUMBER, \
   RANGE(0.001, 1e6), \
   at(timeout), \
   .doc = "Seconds for one attempt."}, \
    {.name = "total_timeout", \
     .type = CS_NUMBER, \
     RANGE(0.001, 1e6), \
     at(total_timeout), \
     .doc = "Seconds for a call, with all its retries and waits, for its turn, too."}, \
    {.name = "max_retry_wait", \
     .type = CS_NUMBER, \
     RANGE(0, 86400), \
     at(max_retry_wait), \
     .doc = "The longest Retry-After that is waited for, in seconds."}, \
  { \
    .name = "max_retries", .type = CS_INTEGER, RANGE(0, 100), at(max_retries), \
    .doc = "Attempts after the first." \
  }
#define IN_CALL(member) .offset = offsetof(struct cs_call_options, member)
#define IN_CLIENT(member) .offset = offsetof(struct cs_options, call.member)

static const struct cs_field call_options[] = {
  CALL_OPTIONS(IN_CALL),
  {.name = "response", .type = CS_TABLE, .doc = "Filled with status, headers, …"},
  {.name = NULL}};

static const struct cs_field person = {.type = CS_ID};

static const struct cs_field client_options[] = {
  CALL_OPTIONS(IN_CLIENT),
  {.name = "api_key", .type = CS_STRING_OR_FUNCTION},
  {.name = "api_key_env", .type = CS_ID, AT(api_key_env)},
  {.name = "api_key_file", .type = CS_ID, AT(api_key_file)},
  {.name = "base_url", .type = CS_ID, AT(base_url)},
  {.name = "connect_timeout", .type = CS_NUMBER, RANGE(0.001, 1e6), AT(connect_timeout)},
  {.name = "rate", .type = CS_NUMBER, RANGE(0.0001, 1e6), AT(rate)},
  {.name = "max_in_flight", .type = CS_INTEGER, RANGE(1, 1000), AT(max_in_flight)},
  {.name = "max_response_bytes",
   .type = CS_INTEGER,
   RANGE(1, 2147483647),
   AT(max_response_bytes)},
  {.name = "http_version", .type = CS_STRING, .allowed = http_versions, AT(http_version)},
  {.name = "ca_file", .type = CS_ID, AT(ca_file)},
  {.name = "ca_path", .type = CS_ID, AT(ca_path)},
  {.name = "proxy", .type = CS_STRING, AT(proxy)},
  {.name = "no_proxy", .type = CS_STRING, AT(no_proxy)},
  {.name = "app", .type = CS_ID, AT(app)},
  {.name = "read_only", .type = CS_BOOLEAN, AT(read_only)},
  {.name = "validate", .type = CS_BOOLEAN, AT(validate)},
  {.name = "protect", .type = CS_LIST, .of = &person},
  {.name = "on_event", .type = CS_FUNCTION},
  {.name = NULL}};

#undef AT
#undef RANGE
#undef CALL_OPTIONS
#undef IN_CALL
#undef IN_CLIENT

static const struct cs_options defaults = {
  .call = {.timeout = 30, .total_timeout = 300, .max_retry_wait = 120, .max_retries = 3},
  .connect_timeout = 10,
  .max_in_flight = 32,
  .validate = true,
  .max_response_bytes = 16 * 1024 * 1024,
};

static const char settled_type[] = "cipherscale.options";

/* options(table) -> the same, read once for thousands of calls. */
int cs_options_settle(lua_State *L) {
  const struct cs_place place = {.call = "options", .member = "option"};
  struct cs_call_options *settled = lua_newuserdatauv(L, sizeof *settled, 0);
  *settled = (struct cs_call_options){-1, -1, -1, -1}; /* not given */
  cs_shape_read(L, &place, 1, call_options, settled);
  lua_settop(L, 2);
  luaL_newmetatable(L, settled_type);
  lua_setmetatable(L, 2);
  return 1;
}

bool cs_options_read_call(lua_State *L, const char *call, int index,
                          struct cs_call_options *options) {
  const struct cs_call_options *settled = luaL_testudata(L, index, settled_type);
  if (!settled) {
    const struct cs_place place = {.call = call, .member = "option"};
    cs_shape_read(L, &place, index, call_options, options);
    return true;
  }
  if (settled->timeout >= 0) options->timeout = settled->timeout;
  if (settled->total_timeout >= 0) options->total_timeout = settled->total_timeout;
  if (settled->max_retry_wait >= 0) options->max_retry_wait = settled->max_retry_wait;
  if (settled->max_retries >= 0) options->max_retries = settled->max_retries;
  return false;
}

/* ---- The API key ---- */

/* Pushes the content of the file without the white space at its end. */
static void push_key_file(lua_State *L, const char *path) {
  char key[MAX_KEY_BYTES + 1];
  struct stat info;
  FILE *file = fopen(path, "r");
  if (!file)
    (void)luaL_error(L, "%s: api_key_file '%s': %s", new_call, path, strerror(errno));
  const char *problem = NULL;
  size_t n = 0;
  if (fstat(fileno(file), &info) != 0) {
    problem = "its permissions cannot be read";
  } else if (info.st_mode & (S_IRWXG | S_IRWXO)) {
    problem = "others can read it (chmod 600 it)";
  } else {
    n = fread(key, 1, sizeof key, file);
    if (ferror(file)) problem = "it cannot be read";
    if (n > MAX_KEY_BYTES) problem = "it is too long for a key";
  }
  (void)fclose(file);
  if (problem) (void)luaL_error(L, "%s: api_key_file '%s': %s", new_call, path, problem);
  while (n > 0 && (key[n - 1] == '\n' || key[n - 1] == '\r' || key[n - 1] == ' ')) n--;
  lua_pushlstring(L, key, n);
}

/* Pushes the key from the one source that was given. */
static void push_key(lua_State *L, int values, const struct cs_options *options) {
  int type = lua_getfield(L, values, "api_key");
  int sources =
    (type != LUA_TNIL) + (options->api_key_env != NULL) + (options->api_key_file != NULL);
  if (sources > 1) {
    (void)luaL_error(
      L, "%s: only one of api_key, api_key_env and api_key_file can be given", new_call);
  }
  if (type == LUA_TFUNCTION) {
    lua_call(L, 0, 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      (void)luaL_error(L, "%s: api_key: the function returned no string but %s", new_call,
                       luaL_typename(L, -1));
    }
  } else if (type == LUA_TNIL && options->api_key_file) {
    push_key_file(L, options->api_key_file);
  } else if (type == LUA_TNIL) {
    const char *name =
      options->api_key_env ? options->api_key_env : "CIPHERSCALE_API_KEY";
    const char *value = getenv(name);
    if (!value || !value[0]) {
      (void)luaL_error(L, "%s: no API key: the environment variable %s is %s", new_call,
                       name, value ? "empty" : "not set");
    }
    lua_pushstring(L, value);
  }
}

/* A key goes into a header as it is, so only what RFC 9110 5.5 allows there unquoted. Its
   value is never shown. */
static const char *check_key(lua_State *L, int index) {
  size_t n;
  const char *key = lua_tolstring(L, index, &n);
  if (n == 0) (void)luaL_error(L, "%s: the API key is empty", new_call);
  for (size_t i = 0; i < n; i++) {
    if (key[i] <= 0x20 || key[i] >= 0x7f) {
      (void)luaL_error(L,
                       "%s: the API key has a space, a control character or a byte "
                       "beyond ASCII",
                       new_call);
    }
  }
  if (n > MAX_KEY_BYTES) (void)luaL_error(L, "%s: the API key is too long", new_call);
  return key;
}

/* ---- The rest ---- */

/* Pushes the checked base URL. */
static const char *push_base_url(lua_State *L, struct cs_options *options) {
  const char *given = options->base_url, *source = "base_url";
  if (!given) {
    given = getenv("CIPHERSCALE_BASE_URL");
    source = "the environment variable CIPHERSCALE_BASE_URL";
    if (!given || !given[0]) given = default_base_url;
  }
  struct cs_buffer checked;
  const char *problem = NULL;
  cs_buffer_init(&checked, 8192);
  enum cs_status status =
    cs_base_url_check(given, &checked, &options->loopback, &problem);
  char url[8193];
  (void)snprintf(url, sizeof url, "%s", cs_buffer_text(&checked));
  cs_buffer_free(&checked);
  if (status == CS_INVALID) /* not quoted: it may carry a password */
    (void)luaL_error(L, "%s: %s %s", new_call, source, problem);
  cs_check_status(L, new_call, status, "base_url");
  return lua_pushstring(L, url);
}

/* Not quoted: it may carry a password. */
static void check_proxy(lua_State *L, int values, struct cs_options *options) {
  if (!options->proxy || !options->proxy[0]) return;
  struct cs_buffer password;
  const char *problem = NULL;
  char text[MAX_KEY_BYTES];
  cs_buffer_init(&password, sizeof text - 1);
  enum cs_status status = cs_base_url_check_proxy(options->proxy, &password, &problem);
  (void)snprintf(text, sizeof text, "%s", cs_buffer_text(&password));
  cs_buffer_free(&password);
  if (status == CS_INVALID) (void)luaL_error(L, "%s: proxy %s", new_call, problem);
  cs_check_status(L, new_call, status, "proxy");
  options->proxy_password = lua_pushstring(L, text);
  lua_setfield(L, values, "proxy_password");
}

static void check_app(lua_State *L, const char *app) {
  if (app && strlen(app) > MAX_APP_BYTES) {
    (void)luaL_error(L, "%s: app: at most %d characters expected", new_call,
                     (int)MAX_APP_BYTES);
  }
  for (const char *p = app; p && *p; p++) {
    if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
      (void)luaL_error(L, "%s: app: printable ASCII expected", new_call);
  }
}

void cs_options_read(lua_State *L, int index, struct cs_options *options) {
  *options = defaults;
  const struct cs_place place = {.call = new_call, .member = "option"};
  cs_shape_read(L, &place, index, client_options, options);
  int values = lua_gettop(L);
  check_app(L, options->app);
  check_proxy(L, values, options);
  options->http2 = options->http_version && strcmp(options->http_version, "2") == 0;
  options->base_url = push_base_url(L, options);
  lua_setfield(L, values, "base_url");
  push_key(L, values, options);
  options->api_key = check_key(L, -1);
  lua_setfield(L, values, "api_key");
  lua_settop(L, values);
}
