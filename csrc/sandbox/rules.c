/* SPDX-License-Identifier: MIT */
/*
 * Functions that take a lua_State may raise and run only below lua_pcall. The state's
 * stack keeps its two entries at fixed places, so that entering it allocates nothing
 * outside a protected call.
 */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "rules.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"

enum { SLOT_ANSWER = 1, SLOT_CONTROL = 2, SLOTS = SLOT_CONTROL };

static const double LONGEST_DELAY = 1e6;

struct sb_rules {
  lua_State *L;
};

struct opening {
  const char *path;
  const char *cpath;
  const char *config;
  size_t config_size;
};

struct asking {
  const struct sb_question *question;
  struct sb_answer *answer;
};

struct controlling {
  const char *name;
  const char *text;
  size_t size;
  struct sb_bytes *reply;
};

static int out_of_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

static char *copy_string(lua_State *L, int index, size_t *size) {
  const char *text = lua_tolstring(L, index, size);
  if (text == NULL || *size == 0) {
    *size = 0;
    return NULL;
  }
  char *copy = malloc(*size);
  if (copy == NULL)
    out_of_memory(L);
  else
    memcpy(copy, text, *size);
  return copy;
}

static void add_header(lua_State *L, struct sb_bytes *headers, const char *name,
                       const char *value) {
  sb_bytes_add(headers, name, strlen(name) + 1);
  sb_bytes_add(headers, value, strlen(value) + 1);
  if (headers->failed) out_of_memory(L);
}

/* status, body, content type, { name, value, … }, delay, fate, bytes to keep */
static void read_answer(lua_State *L, int base, struct sb_answer *answer) {
  answer->status = (int)lua_tointeger(L, base);
  if (answer->status < 100 || answer->status > 999)
    luaL_error(L, "the rules gave no status");
  answer->body = copy_string(L, base + 1, &answer->body_size);
  const char *content_type = lua_tostring(L, base + 2);
  if (content_type != NULL) add_header(L, &answer->headers, "Content-Type", content_type);
  if (lua_istable(L, base + 3)) {
    for (int i = 1;; i += 2) {
      lua_rawgeti(L, base + 3, i);
      lua_rawgeti(L, base + 3, i + 1);
      const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1);
      if (name == NULL || value == NULL) break;
      add_header(L, &answer->headers, name, value);
      lua_pop(L, 2);
    }
  }
  double delay = lua_tonumber(L, base + 4);
  answer->delay = delay > 0 ? delay : 0;
  if (answer->delay > LONGEST_DELAY) answer->delay = LONGEST_DELAY;
  static const struct {
    const char *name;
    enum sb_fate fate;
  } fates[] = {
    {"cut", SB_CUT}, {"lose", SB_LOST}, {"stall", SB_STALLED}, {"reset", SB_RESET}};
  const char *fate = lua_tostring(L, base + 5);
  for (size_t i = 0; fate != NULL && i < sizeof fates / sizeof *fates; i++)
    if (strcmp(fate, fates[i].name) == 0) answer->fate = fates[i].fate;
  double keep = lua_tonumber(L, base + 6);
  answer->keep = answer->body_size;
  if (keep >= 0 && keep < (double)answer->body_size) answer->keep = (size_t)keep;
}

static int answer_protected(lua_State *L) {
  const struct asking *asking = lua_touserdata(L, 1);
  const struct sb_question *question = asking->question;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushstring(L, question->method);
  lua_pushstring(L, question->uri);
  lua_pushstring(L, question->api_key); /* NULL pushes nil */
  lua_pushstring(L, question->content_type);
  if (question->body_size > 0)
    lua_pushlstring(L, question->body, question->body_size);
  else
    lua_pushnil(L);
  lua_pushnumber(L, question->now);
  lua_pushboolean(L, question->too_large);
  lua_call(L, 7, 7);
  read_answer(L, 2, asking->answer);
  return 0;
}

static int control_protected(lua_State *L) {
  const struct controlling *call = lua_touserdata(L, 1);
  lua_getfield(L, lua_upvalueindex(1), call->name);
  lua_pushlstring(L, call->text, call->size);
  lua_call(L, 1, 1);
  size_t size = 0;
  const char *text = lua_tolstring(L, -1, &size);
  if (text != NULL) sb_bytes_add(call->reply, text, size);
  return call->reply->failed ? out_of_memory(L) : 0;
}

/* Where open_protected leaves the two entries; only the address counts. */
static char entries_key;

/* service.new(config) → function(method, uri, …), table of name → function(text) → text
 * */
static int open_protected(lua_State *L) {
  const struct opening *opening = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_pushstring(L, opening->path);
  lua_setfield(L, -2, "path");
  lua_pushstring(L, opening->cpath);
  lua_setfield(L, -2, "cpath");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cipherscale.sandbox.service");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_pushlstring(L, opening->config, opening->config_size);
  lua_call(L, 1, 2);
  luaL_checktype(L, -2, LUA_TFUNCTION);
  luaL_checktype(L, -1, LUA_TTABLE);
  int controls = lua_gettop(L), serve = controls - 1;
  lua_pushlightuserdata(L, &entries_key);
  lua_createtable(L, SLOTS, 0);
  lua_pushvalue(L, serve);
  lua_pushcclosure(L, answer_protected, 1);
  lua_rawseti(L, -2, SLOT_ANSWER);
  lua_pushvalue(L, controls);
  lua_pushcclosure(L, control_protected, 1);
  lua_rawseti(L, -2, SLOT_CONTROL);
  lua_rawset(L, LUA_REGISTRYINDEX);
  return 0;
}

/* Reads only, so it cannot raise. */
static void place_entries(lua_State *L) {
  lua_settop(L, 0);
  lua_pushlightuserdata(L, &entries_key);
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_rawgeti(L, 1, SLOT_ANSWER);
  lua_rawgeti(L, 1, SLOT_CONTROL);
  lua_remove(L, 1);
}

/* Reads a string where it stands, so it cannot raise. */
static const char *error_text(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "unknown error";
}

struct sb_rules *sb_rules_new(const char *path, const char *cpath, const char *config,
                              size_t config_size, char **problem) {
  struct opening opening = {path, cpath, config, config_size};
  *problem = NULL;
  struct sb_rules *rules = calloc(1, sizeof *rules);
  if (rules == NULL) return NULL;
  rules->L = luaL_newstate();
  if (rules->L == NULL) {
    sb_rules_free(rules);
    return NULL;
  }
  if (sb_protect(rules->L, open_protected, &opening) != 0) {
    *problem = strdup(error_text(rules->L));
    sb_rules_free(rules);
    return NULL;
  }
  place_entries(rules->L);
  return rules;
}

void sb_rules_free(struct sb_rules *rules) {
  if (rules == NULL) return;
  if (rules->L != NULL) lua_close(rules->L);
  free(rules);
}

void sb_answer_release(struct sb_answer *answer) {
  free(answer->body);
  sb_bytes_release(&answer->headers);
  *answer = (struct sb_answer){0};
}

static void answer_with_error(struct sb_answer *answer, const char *problem) {
  static const char type[] = "Content-Type\0text/plain; charset=utf-8";
  static const char intro[] = "The sandbox's rules failed: ";
  sb_answer_release(answer);
  answer->status = 500;
  sb_bytes_add(&answer->headers, type, sizeof type);
  struct sb_bytes text = {0};
  sb_bytes_add(&text, intro, sizeof intro - 1);
  sb_bytes_add(&text, problem, strlen(problem));
  answer->body = text.data;
  answer->body_size = text.size;
}

void sb_rules_answer(struct sb_rules *rules, const struct sb_question *question,
                     struct sb_answer *answer) {
  lua_State *L = rules->L;
  struct asking asking = {question, answer};
  *answer = (struct sb_answer){0};
  lua_pushvalue(L, SLOT_ANSWER);
  lua_pushlightuserdata(L, &asking);
  if (lua_pcall(L, 1, 0, 0) != 0) {
    answer_with_error(answer, error_text(L));
  }
  lua_settop(L, SLOTS);
}

bool sb_rules_control(struct sb_rules *rules, const char *name, const char *text,
                      size_t size, struct sb_bytes *reply) {
  lua_State *L = rules->L;
  struct controlling call = {name, text, size, reply};
  lua_pushvalue(L, SLOT_CONTROL);
  lua_pushlightuserdata(L, &call);
  bool ok = lua_pcall(L, 1, 0, 0) == 0;
  if (!ok) {
    const char *problem = error_text(L);
    sb_bytes_release(reply);
    sb_bytes_add(reply, problem, strlen(problem));
  }
  lua_settop(L, SLOTS);
  return ok;
}
