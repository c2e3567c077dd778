/* SPDX-License-Identifier: MIT */
/* See journal_lua.h. The first user value of a journal is its path, that of a reader its
   journal, and its second the change of the person whom it gave last. */
#define _POSIX_C_SOURCE 200809L /* getpid */
#include "journal_lua.h"

#include <unistd.h>

#include <string.h>

#include "error.h"
#include "journal.h"
#include "record.h"

static const char type_name[] = "cipherscale.journal";
static const char reader_name[] = "cipherscale.journal.records";

static struct cs_journal *check_journal(lua_State *L) {
  return luaL_checkudata(L, 1, type_name);
}

/* ---- Failures ---- */

static void push_message(lua_State *L, const struct cs_journal_failure *failure,
                         const char *path) {
  switch (failure->code) {
  case CS_JOURNAL_CLOSED:
    lua_pushfstring(L, "the journal %s is closed", path);
    break;
  case CS_JOURNAL_LOCKED:
    lua_pushfstring(L, "%s is in use by another run", path);
    if (failure->holder > 0) {
      lua_pushfstring(L, " (process %I)", (lua_Integer)failure->holder);
      lua_concat(L, 2);
    }
    break;
  case CS_JOURNAL_NO_FILE:
    lua_pushfstring(L, "%s is not a file", path);
    break;
  case CS_JOURNAL_EMPTY:
    lua_pushfstring(L, "%s: no whole record is in it", path);
    break;
  case CS_JOURNAL_DAMAGED:
    lua_pushfstring(L, "%s: line %I is damaged", path, (lua_Integer)failure->line);
    break;
  case CS_JOURNAL_TOO_LARGE:
    lua_pushfstring(L, "a record for %s is larger than %d bytes", path,
                    (int)CS_LINES_MOST);
    break;
  default:
    lua_pushfstring(L, "cannot %s %s: %s", failure->action, path,
                    strerror(failure->error));
    break;
  }
}

/* Pushes the error record. Want of memory is raised, as everywhere. */
static void push_failure(lua_State *L, const struct cs_journal_failure *failure,
                         const char *path) {
  static const char *const codes[] = {
    [CS_JOURNAL_EXISTS] = "exists",   [CS_JOURNAL_MISSING] = "missing",
    [CS_JOURNAL_DENIED] = "denied",   [CS_JOURNAL_LOCKED] = "locked",
    [CS_JOURNAL_NO_FILE] = "no_file", [CS_JOURNAL_EMPTY] = "empty",
    [CS_JOURNAL_DAMAGED] = "damaged", [CS_JOURNAL_FULL] = "full",
    [CS_JOURNAL_IO] = "io",           [CS_JOURNAL_TOO_LARGE] = "too_large",
    [CS_JOURNAL_CLOSED] = "closed"};
  if (failure->code == CS_JOURNAL_NO_MEMORY) {
    lua_pushliteral(L, "not enough memory");
    (void)lua_error(L);
  }
  push_message(L, failure, path);
  cs_error_push_kind(L, failure->code == CS_JOURNAL_CLOSED ? CS_CLOSED : CS_JOURNAL, NULL,
                     lua_tostring(L, -1));
  lua_remove(L, -2);
  lua_pushstring(L, codes[failure->code]);
  lua_setfield(L, -2, "code");
  if (failure->holder > 0) {
    lua_pushinteger(L, (lua_Integer)failure->holder);
    lua_setfield(L, -2, "process");
  }
  if (failure->line > 0) {
    lua_pushinteger(L, (lua_Integer)failure->line);
    lua_setfield(L, -2, "line");
  }
}

/* Pushes the path of the journal at `index`; it lives as long as the journal. */
static const char *push_path(lua_State *L, int index) {
  (void)lua_getiuservalue(L, index, 1);
  return lua_tostring(L, -1);
}

/* true, or nil and the error record */
static int finish(lua_State *L, bool fine, const struct cs_journal_failure *failure) {
  if (fine) {
    lua_pushboolean(L, 1);
    return 1;
  }
  push_failure(L, failure, push_path(L, 1));
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* ---- Opening ---- */

/* The path, or what stands for one, is at 1. */
static int open_named(lua_State *L, enum cs_journal_mode mode) {
  struct cs_journal_failure failure;
  const char *path = lua_tostring(L, 1);
  lua_settop(L, 1);
  struct cs_journal *journal = lua_newuserdatauv(L, sizeof *journal, 1);
  cs_journal_init(journal);
  luaL_setmetatable(L, type_name);
  lua_pushvalue(L, 1);
  (void)lua_setiuservalue(L, 2, 1);
  if (cs_journal_open(journal, mode, path, &failure)) return 1;
  lua_pushnil(L);
  push_failure(L, &failure, path);
  return 2;
}

static int open_journal(lua_State *L, enum cs_journal_mode mode) {
  size_t n;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *path = lua_tolstring(L, 1, &n);
  luaL_argcheck(L, n > 0 && strlen(path) == n, 1,
                "path: non-empty string without NUL bytes expected");
  return open_named(L, mode);
}

/* pid() -> this process's id */
static int journal_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* create(path): a new file */
static int journal_create(lua_State *L) { return open_journal(L, CS_JOURNAL_CREATE); }

/* open(path): one that exists, for reading and appending */
static int journal_open(lua_State *L) { return open_journal(L, CS_JOURNAL_APPEND); }

/* read(path): one that exists, locked or not, as it is now */
static int journal_read(lua_State *L) { return open_journal(L, CS_JOURNAL_READ); }

/* temporary(): an empty one in a file that nobody else sees */
static int journal_temporary(lua_State *L) {
  lua_settop(L, 0);
  lua_pushliteral(L, "a temporary file");
  return open_named(L, CS_JOURNAL_TEMPORARY);
}

/* memory(): an empty one without a file */
static int journal_memory(lua_State *L) {
  lua_settop(L, 0);
  lua_pushliteral(L, "memory");
  return open_named(L, CS_JOURNAL_MEMORY);
}

/* ---- Writing ---- */

/* j:append(text) -> the record's number */
static int journal_append(lua_State *L) {
  struct cs_journal_failure failure;
  struct cs_journal *journal = check_journal(L);
  size_t n;
  luaL_checktype(L, 2, LUA_TSTRING);
  const char *text = lua_tolstring(L, 2, &n);
  luaL_argcheck(L, n > 0, 2, "the inside of a JSON object expected, got an empty string");
  luaL_argcheck(L, !memchr(text, '\n', n) && !memchr(text, '\0', n), 2,
                "a text without newlines and NUL bytes expected");
  if (cs_journal_is_open(journal) && !journal->writable)
    return luaL_error(L, "a journal that was opened with read takes no records");
  if (!cs_journal_append(journal, text, n, &failure)) return finish(L, false, &failure);
  lua_pushinteger(L, (lua_Integer)journal->count);
  return 1;
}

static int journal_flush(lua_State *L) {
  struct cs_journal_failure failure;
  return finish(L, cs_journal_flush(check_journal(L), &failure), &failure);
}

static int journal_sync(lua_State *L) {
  struct cs_journal_failure failure;
  return finish(L, cs_journal_sync(check_journal(L), &failure), &failure);
}

static int journal_close(lua_State *L) {
  struct cs_journal_failure failure;
  return finish(L, cs_journal_close(check_journal(L), &failure), &failure);
}

static int journal_gc(lua_State *L) {
  struct cs_journal_failure ignored;
  (void)cs_journal_close(check_journal(L), &ignored);
  return 0;
}

/* (journal, error): raises a failure, unless an error is under way already. */
static int journal_leave(lua_State *L) {
  struct cs_journal_failure failure;
  if (cs_journal_close(check_journal(L), &failure) || !lua_isnoneornil(L, 2)) return 0;
  push_failure(L, &failure, push_path(L, 1));
  return lua_error(L);
}

/* ---- What it says of itself ---- */

static int journal_count(lua_State *L) {
  const struct cs_journal *journal = check_journal(L);
  if (!cs_journal_is_open(journal))
    return finish(L, false, &(struct cs_journal_failure){.code = CS_JOURNAL_CLOSED});
  lua_pushinteger(L, (lua_Integer)journal->count);
  return 1;
}

static int journal_path(lua_State *L) {
  (void)check_journal(L);
  (void)push_path(L, 1);
  return 1;
}

static int journal_tostring(lua_State *L) {
  const struct cs_journal *journal = check_journal(L);
  const char *path = push_path(L, 1);
  if (!cs_journal_is_open(journal)) {
    lua_pushfstring(L, "%s (%s, closed)", type_name, path);
  } else {
    lua_pushfstring(L, "%s (%s, %I record%s)", type_name, path,
                    (lua_Integer)journal->count, journal->count == 1 ? "" : "s");
  }
  return 1;
}

/* ---- Reading records ---- */

static int reader_close(lua_State *L) {
  struct cs_journal_reader *reader = luaL_checkudata(L, 1, reader_name);
  cs_journal_reader_free(reader);
  reader->closed = true;
  return 0;
}

/* Of an iterator whose upvalue is the reader; leaves the journal at 1. */
static const char *read_line(lua_State *L, size_t *n) {
  struct cs_journal_failure failure;
  const char *line;
  struct cs_journal_reader *reader = lua_touserdata(L, lua_upvalueindex(1));
  if (reader->closed) (void)luaL_error(L, "the loop over these records has ended");
  lua_settop(L, 0);
  (void)lua_getiuservalue(L, lua_upvalueindex(1), 1);
  if (cs_journal_read(lua_touserdata(L, 1), reader, &line, n, &failure)) return line;
  push_failure(L, &failure, push_path(L, 1));
  (void)lua_error(L);
  return NULL;
}

/* Its second upvalue is a kind to leave out, or nil. */
static int next_record(lua_State *L) {
  const struct cs_journal_reader *reader = lua_touserdata(L, lua_upvalueindex(1));
  const char *but = lua_tostring(L, lua_upvalueindex(2)), *line;
  size_t n;
  do {
    line = read_line(L, &n);
    if (!line) return 0;
  } while (but && cs_record_is(line, n, but));
  lua_pushlstring(L, line, n);
  lua_pushinteger(L, (lua_Integer)reader->next - 1);
  return 2;
}

static void push_piece(lua_State *L, struct cs_piece piece) {
  if (piece.text) {
    lua_pushlstring(L, piece.text, piece.n);
  } else {
    lua_pushnil(L);
  }
}

/* Many people have the same change, one behind the other. */
static void push_change(lua_State *L, struct cs_piece change) {
  size_t n;
  (void)lua_getiuservalue(L, lua_upvalueindex(1), 2);
  const char *last = lua_tolstring(L, -1, &n);
  if (last && n == change.n && memcmp(last, change.text, n) == 0) return;
  lua_pop(L, 1);
  lua_pushlstring(L, change.text, change.n);
  lua_pushvalue(L, -1);
  (void)lua_setiuservalue(L, lua_upvalueindex(1), 2);
}

static int next_person(lua_State *L) {
  struct cs_record_person person;
  size_t n;
  const char *line;
  while (true) {
    line = read_line(L, &n);
    if (!line) return 0;
    if (cs_record_person(line, n, &person)) break;
    if (cs_record_is(line, n, "plan"))
      return luaL_error(L, "the record of a person cannot be read");
  }
  lua_pushinteger(L, (lua_Integer)person.number);
  lua_pushinteger(L, (lua_Integer)person.line);
  push_piece(L, person.user);
  push_piece(L, person.email);
  push_change(L, person.change);
  push_piece(L, person.other);
  return 6;
}

/* What a generic for takes: the iterator, and the reader to close. The values on top of
   the stack become upvalues behind the reader. */
static int push_reader(lua_State *L, lua_CFunction next, lua_Integer first, int values) {
  const struct cs_journal *journal = check_journal(L);
  luaL_argcheck(L, first >= 1, 2, "the number of a record expected, which is 1 or more");
  if (!cs_journal_is_open(journal)) {
    push_failure(L, &(struct cs_journal_failure){.code = CS_JOURNAL_CLOSED},
                 push_path(L, 1));
    return lua_error(L);
  }
  struct cs_journal_reader *reader = lua_newuserdatauv(L, sizeof *reader, 2);
  cs_journal_reader_init(reader, first);
  luaL_setmetatable(L, reader_name);
  lua_pushvalue(L, 1);
  (void)lua_setiuservalue(L, -2, 1);
  lua_insert(L, -1 - values);
  int index = lua_gettop(L) - values;
  lua_pushvalue(L, index);
  lua_insert(L, index + 1);
  lua_pushcclosure(L, next, 1 + values);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, index);
  return 4;
}

/* j:records(first, but): every record from `first` on as a line and its number, but those
   of the kind `but` */
static int journal_records(lua_State *L) {
  lua_Integer first = luaL_optinteger(L, 2, 1);
  (void)luaL_optstring(L, 3, NULL);
  lua_settop(L, 3);
  return push_reader(L, next_record, first, 1);
}

/* j:people(): the people of the plan, each as number, line, user, email, change, other;
   see record.h */
static int journal_people(lua_State *L) { return push_reader(L, next_person, 1, 0); }

/* ---- Types ---- */

static void hide_metatable(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void cs_journal_lua_open(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"append", journal_append}, {"flush", journal_flush},     {"sync", journal_sync},
    {"count", journal_count},   {"records", journal_records}, {"people", journal_people},
    {"path", journal_path},     {"close", journal_close},     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", journal_gc},
                                         {"__close", journal_leave},
                                         {"__tostring", journal_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg reader_metamethods[] = {
    {"__gc", reader_close}, {"__close", reader_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"create", journal_create},
                                       {"open", journal_open},
                                       {"read", journal_read},
                                       {"temporary", journal_temporary},
                                       {"memory", journal_memory},
                                       {"pid", journal_pid},
                                       {NULL, NULL}};
  (void)luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  hide_metatable(L, type_name);
  (void)luaL_newmetatable(L, reader_name);
  luaL_setfuncs(L, reader_metamethods, 0);
  hide_metatable(L, reader_name);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "journal");
}
