/* SPDX-License-Identifier: MIT */
/* What the specs need from the system and Lua lacks: signals, forked children, Lua states
   in threads, descriptors, limits. A forked child runs one function, says what came of
   it, and leaves by _exit: it owns nothing of this process. Test-only; names nothing of
   csrc/. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#ifdef __linux__
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OUTPUT = 64 * 1024, MAX_THREADS = 64 };

static double now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- Signals ---- */

/* pid() -> this process's id */
static int process_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

static int send_signal(lua_State *L, int signal) {
  lua_pushboolean(L, kill((pid_t)luaL_checkinteger(L, 1), signal) == 0);
  return 1;
}

/* interrupt(pid) -> whether SIGINT was sent */
static int process_interrupt(lua_State *L) { return send_signal(L, SIGINT); }

/* kill(pid) -> whether SIGKILL was sent */
static int process_kill(lua_State *L) { return send_signal(L, SIGKILL); }

/* ---- What a process may do ---- */

/* umask(mask) -> the mask before */
static int process_umask(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)umask((mode_t)luaL_checkinteger(L, 1)));
  return 1;
}

/* limit_files(bytes): no file may grow beyond that, here and in children; a write says so
   instead of ending the process. For forked children. */
static int process_limit_files(lua_State *L) {
  rlim_t bytes = (rlim_t)luaL_checkinteger(L, 1);
  struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
  if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0)
    return luaL_error(L, "no limit on files");
  return 0;
}

#ifdef __linux__
static bool fail_syncs(void) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fdatasync, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
static bool fail_syncs(void) { return false; }
#endif

/* fail_syncs(): from now on every fsync and fdatasync fails here (EIO). For forked
   children; Linux only. */
static int process_fail_syncs(lua_State *L) {
  return fail_syncs() ? 0 : luaL_error(L, "syncs cannot be made to fail");
}

/* Root without its capabilities: where a user namespace knows nobody else to become. */
static bool give_up_capabilities(void) {
#ifdef __linux__
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  return syscall(SYS_capset, &header, none) == 0;
#else
  return false;
#endif
}

/* drop_privileges(): permissions count from now on, for root, too. For forked
   children. */
static int process_drop_privileges(lua_State *L) {
  enum { NOBODY = 65534 };
  if (geteuid() == 0 &&
      (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) &&
      !give_up_capabilities())
    return luaL_error(L, "privileges cannot be dropped");
  return 0;
}

/* ---- Descriptors ---- */

/* descriptors() -> how many this process has open */
static int process_descriptors(lua_State *L) {
  DIR *folder = opendir("/proc/self/fd");
  if (!folder) return 0;
  int count = -1; /* the folder's own */
  for (struct dirent *entry; (entry = readdir(folder));)
    if (entry->d_name[0] != '.') count++;
  (void)closedir(folder);
  lua_pushinteger(L, count);
  return 1;
}

/* ---- Fork ---- */

static void write_all(int fd, const char *text, size_t n) {
  while (n > 0) {
    ssize_t written = write(fd, text, n);
    if (written <= 0) return;
    text += written;
    n -= (size_t)written;
  }
}

/* Never returns: calls the function at 1 and says what it gave. */
static void be_child(lua_State *L, int fd) {
  lua_pushvalue(L, 1);
  int status = lua_pcall(L, 0, 1, 0);
  size_t n;
  const char *text = luaL_tolstring(L, -1, &n);
  /* Said in the pipe: a checker of memory may change the exit status of a child. */
  write_all(fd, status == LUA_OK ? "+" : "-", 1);
  write_all(fd, text, n);
  _exit(0);
}

/* Reads until the other end is closed; false when that takes too long. */
static int read_until(int fd, double deadline, char *text, size_t *n) {
  for (*n = 0; *n < MAX_OUTPUT;) {
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    double left = deadline - now();
    if (left <= 0 || poll(&waited, 1, (int)(left * 1000) + 1) == 0) return 0;
    ssize_t got = read(fd, text + *n, MAX_OUTPUT - *n);
    if (got <= 0) return got == 0;
    *n += (size_t)got;
  }
  return 1;
}

/* fork(fn, seconds) -> "returned" | "raised" | "died" | "hung", text: calls fn in a
   forked child, which is killed when it takes longer. */
static int process_fork(lua_State *L) {
  static char text[MAX_OUTPUT];
  int ends[2], status = 0;
  size_t n = 0;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  double deadline = now() + luaL_optnumber(L, 2, 10);
  (void)fflush(NULL);
  if (pipe(ends) != 0) return luaL_error(L, "no pipe");
  pid_t child = fork();
  if (child < 0) return luaL_error(L, "no fork");
  if (child == 0) {
    (void)close(ends[0]);
    be_child(L, ends[1]);
  }
  (void)close(ends[1]);
  int ended = read_until(ends[0], deadline, text, &n);
  (void)close(ends[0]);
  if (!ended) (void)kill(child, SIGKILL);
  (void)waitpid(child, &status, 0);
  bool whole = ended && WIFEXITED(status) && n > 0;
  lua_pushstring(L, !ended         ? "hung"
                    : !whole       ? "died"
                    : *text == '+' ? "returned"
                                   : "raised");
  lua_pushlstring(L, text + (n > 0), n > 0 ? n - 1 : 0);
  return 2;
}

/* branch() -> the child's id, or 0 in the child, which goes on with the script: for
   scripts in a process of their own. */
static int process_branch(lua_State *L) {
  (void)fflush(NULL);
  pid_t child = fork();
  if (child < 0) return luaL_error(L, "no fork");
  lua_pushinteger(L, child);
  return 1;
}

/* leave(code): ends a child without freeing what the parent has, too */
static int process_leave(lua_State *L) {
  (void)fflush(NULL);
  _exit((int)luaL_optinteger(L, 1, 0));
}

/* join(child) -> its exit code, or nil */
static int process_join(lua_State *L) {
  int status = 0;
  if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0 || !WIFEXITED(status))
    return 0;
  lua_pushinteger(L, WEXITSTATUS(status));
  return 1;
}

/* ---- Threads ---- */

struct thread {
  pthread_t id;
  int number, started, ok;
  const char *script, *path, *cpath;
  char text[1024];
};

static void set_path(lua_State *L, const char *name, const char *value) {
  lua_getglobal(L, "package");
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static void *run_state(void *thread_) {
  struct thread *thread = thread_;
  lua_State *L = luaL_newstate();
  if (!L) return NULL;
  luaL_openlibs(L);
  set_path(L, "path", thread->path);
  set_path(L, "cpath", thread->cpath);
  int status = luaL_loadstring(L, thread->script);
  if (status == LUA_OK) {
    lua_pushinteger(L, thread->number);
    status = lua_pcall(L, 1, 1, 0);
  }
  thread->ok = status == LUA_OK;
  (void)snprintf(thread->text, sizeof thread->text, "%s", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return NULL;
}

/* threads(script, n) -> list: runs the script in n Lua states, each in a thread of its
   own, with the number of its thread as argument; gives what each returned, as text.
   Raises what the first of them raised. */
static int process_threads(lua_State *L) {
  const char *script = luaL_checkstring(L, 1);
  int n = (int)luaL_checkinteger(L, 2);
  luaL_argcheck(L, n > 0 && n <= MAX_THREADS, 2, "too many threads");
  struct thread *threads = lua_newuserdatauv(L, (size_t)n * sizeof *threads, 0);
  memset(threads, 0, (size_t)n * sizeof *threads);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_getfield(L, -2, "cpath");
  for (int i = 0; i < n; i++) {
    threads[i].number = i + 1;
    threads[i].script = script;
    threads[i].path = lua_tostring(L, -2);
    threads[i].cpath = lua_tostring(L, -1);
    threads[i].started =
      pthread_create(&threads[i].id, NULL, run_state, &threads[i]) == 0;
  }
  for (int i = 0; i < n; i++)
    if (threads[i].started) (void)pthread_join(threads[i].id, NULL);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    if (!threads[i].ok) return luaL_error(L, "thread %d: %s", i + 1, threads[i].text);
    lua_pushstring(L, threads[i].text);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

#pragma GCC visibility push(default)
int luaopen_spec_support_process(lua_State *L);
#pragma GCC visibility pop

int luaopen_spec_support_process(lua_State *L) {
  static const luaL_Reg functions[] = {{"pid", process_pid},
                                       {"interrupt", process_interrupt},
                                       {"kill", process_kill},
                                       {"fork", process_fork},
                                       {"branch", process_branch},
                                       {"leave", process_leave},
                                       {"join", process_join},
                                       {"descriptors", process_descriptors},
                                       {"threads", process_threads},
                                       {"umask", process_umask},
                                       {"limit_files", process_limit_files},
                                       {"fail_syncs", process_fail_syncs},
                                       {"drop_privileges", process_drop_privileges},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
