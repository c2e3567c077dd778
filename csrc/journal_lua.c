/* SPDX-License-Identifier: MIT */
/* See journal_lua.h. */
#define _POSIX_C_SOURCE 200809L
#include "journal_lua.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "journal.h"

static const char journal_type[] = "cipherscale.journal";
static const char reader_type[] = "cipherscale.journal.reader";

/* The path is the user value. */
struct handle {
  struct cs_journal *journal;
};

/* The journal's userdata is the user value. */
struct reader {
  struct cs_journal_cursor cursor;
  long first;
};

/* ---- Failures ---- */

static const char *words_of(const struct cs_journal_failure *failure) {
  static const struct {
    const char *code, *words;
  } rows[] = {
    {"exists", "exists already"},
    {"locked", "is in use by another run"},
    {"empty", "has no whole record in it"},
    {"memory", "not enough memory"},
    {"too_large", "a record is longer than 1 MiB"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (strcmp(rows[i].code, failure->code) == 0) return rows[i].words;
  }
  return failure->number ? strerror(failure->number) : "is no plain file";
}

/* Pushes the error record; the path is at `index`. */
static void push_failure(lua_State *L, int index,
                         const struct cs_journal_failure *failure) {
  const char *path = lua_tostring(L, index);
  const char *code = failure->code;
  if (strcmp(code, "damaged") == 0) {
    lua_pushfstring(L, "%s is damaged in line %I", path, (LUAI_UACINT)failure->line);
  } else {
    lua_pushfstring(L, "%s: %s", path, words_of(failure));
  }
  lua_createtable(L, 0, 4);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  lua_pushliteral(L, "journal");
  lua_setfield(L, -2, "kind");
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  if (failure->line > 0) {
    lua_pushinteger(L, failure->line);
    lua_setfield(L, -2, "line");
  }
  lua_pushcfunction(L, cs_error_new);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
}

/* nil and the record, for a journal at index 1. */
static int give_failure(lua_State *L, const struct cs_journal_failure *failure) {
  (void)lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  push_failure(L, -2, failure);
  return 2;
}

static int give_closed(lua_State *L) {
  lua_pushnil(L);
  cs_error_push_kind(L, CS_CLOSED, NULL, "the journal is closed");
  return 2;
}

/* ---- Life ---- */

static int open_journal(lua_State *L, enum cs_journal_mode mode) {
  size_t n;
  const char *path = luaL_checklstring(L, 1, &n);
  luaL_argcheck(L, n > 0 && strlen(path) == n, 1, "path expected");
  lua_settop(L, 1);
  struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 1);
  handle->journal = NULL;
  luaL_setmetatable(L, journal_type);
  lua_pushvalue(L, 1);
  (void)lua_setiuservalue(L, 2, 1);
  struct cs_journal_failure failure;
  handle->journal = cs_journal_open(path, mode, &failure);
  if (handle->journal) return 1;
  lua_pushnil(L);
  push_failure(L, 1, &failure);
  return 2;
}

static int journal_create(lua_State *L) { return open_journal(L, CS_JOURNAL_CREATE); }
static int journal_open(lua_State *L) { return open_journal(L, CS_JOURNAL_OPEN); }
static int journal_read(lua_State *L) { return open_journal(L, CS_JOURNAL_READ); }

static int journal_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static struct handle *check(lua_State *L) { return luaL_checkudata(L, 1, journal_type); }

/* The open journal at index 1, or NULL when it is closed or belongs to another process. */
static struct cs_journal *usable(lua_State *L) {
  struct cs_journal *journal = check(L)->journal;
  return journal && !cs_journal_forked(journal) ? journal : NULL;
}

static int journal_gc(lua_State *L) {
  struct handle *handle = check(L);
  struct cs_journal *journal = handle->journal;
  struct cs_journal_failure unheard;
  handle->journal = NULL;
  if (journal && !cs_journal_forked(journal)) (void)cs_journal_flush(journal, &unheard);
  cs_journal_free(journal);
  return 0;
}

static int journal_close(lua_State *L) {
  struct handle *handle = check(L);
  struct cs_journal *journal = usable(L);
  struct cs_journal_failure failure = {.code = NULL};
  if (journal) (void)cs_journal_flush(journal, &failure);
  cs_journal_free(handle->journal);
  handle->journal = NULL;
  if (failure.code) return give_failure(L, &failure);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- Writing ---- */

static int journal_append(lua_State *L) {
  struct cs_journal *journal = usable(L);
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  luaL_argcheck(L, n > 0 && !memchr(text, '\n', n) && !memchr(text, 0, n), 2,
                "the inside of a JSON object on one line expected");
  if (!journal) return give_closed(L);
  struct cs_journal_failure failure;
  if (!cs_journal_append(journal, text, n, &failure)) return give_failure(L, &failure);
  lua_pushinteger(L, cs_journal_count(journal));
  return 1;
}

static int write_out(lua_State *L,
                     bool (*call)(struct cs_journal *, struct cs_journal_failure *)) {
  struct cs_journal *journal = usable(L);
  if (!journal) return give_closed(L);
  struct cs_journal_failure failure;
  if (!call(journal, &failure)) return give_failure(L, &failure);
  lua_pushboolean(L, 1);
  return 1;
}

static int journal_flush(lua_State *L) { return write_out(L, cs_journal_flush); }
static int journal_sync(lua_State *L) { return write_out(L, cs_journal_sync); }

/* ---- Reading ---- */

static int reader_gc(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, 1, reader_type);
  cs_journal_cursor_free(&reader->cursor);
  return 0;
}

/* The iterator: the reader is the upvalue, its journal that one's user value. */
static int next_record(lua_State *L) {
  struct reader *reader = luaL_checkudata(L, lua_upvalueindex(1), reader_type);
  lua_settop(L, 0);
  (void)lua_getiuservalue(L, lua_upvalueindex(1), 1);
  struct cs_journal *journal = usable(L);
  if (!journal) {
    (void)give_closed(L);
    return lua_error(L);
  }
  const char *line;
  size_t n;
  struct cs_journal_failure failure;
  do {
    if (!cs_journal_next(journal, &reader->cursor, &line, &n, &failure)) {
      if (!failure.code) return 0;
      (void)give_failure(L, &failure);
      return lua_error(L);
    }
  } while (reader->cursor.line < reader->first);
  lua_pushlstring(L, line, n);
  lua_pushinteger(L, reader->cursor.line);
  return 2;
}

static int journal_records(lua_State *L) {
  (void)check(L);
  lua_Integer first = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, first >= 1, 2, "number from 1 on expected");
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 1);
  *reader = (struct reader){.first = (long)first};
  luaL_setmetatable(L, reader_type);
  lua_pushvalue(L, 1);
  (void)lua_setiuservalue(L, -2, 1);
  lua_pushcclosure(L, next_record, 1);
  return 1;
}

static int journal_count(lua_State *L) {
  struct cs_journal *journal = usable(L);
  if (!journal) return give_closed(L);
  lua_pushinteger(L, cs_journal_count(journal));
  return 1;
}

static int journal_path(lua_State *L) {
  (void)check(L);
  (void)lua_getiuservalue(L, 1, 1);
  return 1;
}

static int journal_tostring(lua_State *L) {
  struct cs_journal *journal = usable(L);
  (void)lua_getiuservalue(L, 1, 1);
  const char *path = lua_tostring(L, -1);
  if (!journal) {
    lua_pushfstring(L, "%s (%s, closed)", journal_type, path);
  } else {
    lua_pushfstring(L, "%s (%s, %I records)", journal_type, path,
                    (LUAI_UACINT)cs_journal_count(journal));
  }
  return 1;
}

void cs_journal_lua_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"create", journal_create},
                                       {"open", journal_open},
                                       {"read", journal_read},
                                       {"pid", journal_pid},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"append", journal_append},
                                     {"flush", journal_flush},
                                     {"sync", journal_sync},
                                     {"close", journal_close},
                                     {"count", journal_count},
                                     {"records", journal_records},
                                     {"path", journal_path},
                                     {"__gc", journal_gc},
                                     {"__close", journal_gc},
                                     {"__tostring", journal_tostring},
                                     {NULL, NULL}};
  luaL_newmetatable(L, reader_type);
  lua_pushcfunction(L, reader_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, journal_type);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, journal_type);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "journal");
}
