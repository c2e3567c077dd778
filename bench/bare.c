/* SPDX-License-Identifier: MIT */
/* The measure for bench/run: the same requests as the client's, by the shortest loop over
   libcurl that reuses its handles. It shares no code with the module. The first failed
   transfer, and any status but 2xx, ends it with an error.

     bare get BASE N                        GET roles, one after another
     bare patch BASE N IN_FLIGHT [DRIVER]   PATCH roles; DRIVER: socket (default), perform
     bare replay BASE IN_FLIGHT             the requests on standard input, a line each:
                                            method, path with query, body

   Prints "wall cpu peak" (seconds, seconds, KiB). The key: BENCH_KEY. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
  URL_SIZE = 1024,
  LINE_SIZE = 4096,
  BODY_SIZE = 1 << 20,
  MAX_FD = 4096,
  EVENTS = 64
};

static const char role_change[] =
  "{\"addedRoles\":[\"5a0f7c52-0d11-4d8f-9a5e-3b1f0c6b7a10\"],\"removedRoles\":[]}";

struct slot {
  CURL *easy;
  char url[URL_SIZE], line[LINE_SIZE], body[BODY_SIZE];
  size_t size;
};

struct work {
  const char *base;
  bool replay;
  size_t left, number; /* requests still to start, and started */
  struct curl_slist *get_headers, *patch_headers;
};

struct loop {
  CURLM *multi;
  int epoll, running;
  long deadline; /* milliseconds; -1: none */
  unsigned wanted[MAX_FD], registered[MAX_FD];
};

static void fail(const char *what, const char *why) {
  fprintf(stderr, "bare: %s: %s\n", what, why);
  exit(1);
}

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void) { return seconds(CLOCK_PROCESS_CPUTIME_ID); }

static long milliseconds(void) { return (long)(seconds(CLOCK_MONOTONIC) * 1000); }

/* Not ru_maxrss: that one remembers the program before exec. */
static long peak_memory(void) {
  char line[256];
  long peak = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "VmHWM:", 6) == 0) peak = strtol(line + 6, NULL, 10);
  if (file) fclose(file);
  return peak;
}

static void report(double wall, double cpu) {
  printf("%.6f %.6f %ld\n", seconds(CLOCK_MONOTONIC) - wall, cpu_seconds() - cpu,
         peak_memory());
}

static size_t collect(char *data, size_t unit, size_t count, void *user) {
  struct slot *slot = user;
  size_t size = unit * count;
  if (size > BODY_SIZE - slot->size) return 0;
  memcpy(slot->body + slot->size, data, size);
  slot->size += size;
  return size;
}

static struct curl_slist *headers(bool with_body) {
  char line[512];
  const char *key = getenv("BENCH_KEY");
  snprintf(line, sizeof line, "apikey: %s", key ? key : "bench-key-0123456789abcdef");
  struct curl_slist *list = curl_slist_append(NULL, line);
  list = curl_slist_append(list, "Accept: application/json");
  /* No "Expect:" to forbid: libcurl adds none to bodies of this size. */
  return with_body ? curl_slist_append(list, "Content-Type: application/json") : list;
}

static CURL *new_handle(struct slot *slot) {
  char agent[128]; /* as long as the client's */
  const char *version = curl_version_info(CURLVERSION_NOW)->version;
  snprintf(agent, sizeof agent, "lua-cipherscale/bare-loop libcurl/%s", version);
  CURL *easy = curl_easy_init();
  if (!easy) fail("libcurl", "no handle");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
  return easy;
}

static void set_url(struct slot *slot, const char *base, const char *path) {
  snprintf(slot->url, URL_SIZE, "%s%s", base, path);
  curl_easy_setopt(slot->easy, CURLOPT_URL, slot->url);
  slot->size = 0;
}

/* The roles of a user who is a different one for each number. */
static void set_user(struct slot *slot, const char *base, size_t number) {
  char path[128];
  snprintf(path, sizeof path, "/tenants/users/%08zx-0000-4000-8000-00000000abcd/roles",
           number);
  set_url(slot, base, path);
}

static void set_method(struct slot *slot, const struct work *work, const char *method,
                       const char *body) {
  if (body[0]) {
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
  } else {
    curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L);
  }
  curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER,
                   body[0] ? work->patch_headers : work->get_headers);
}

/* Gives a slot its next request; false when there is none. */
static bool next(struct work *work, struct slot *slot) {
  if (!work->replay) {
    if (work->left == 0) return false;
    work->left--;
    set_user(slot, work->base, work->number++);
    return true;
  }
  if (!fgets(slot->line, LINE_SIZE, stdin)) return false;
  slot->line[strcspn(slot->line, "\r\n")] = '\0';
  char *rest = slot->line, *method = strsep(&rest, " "), *path = strsep(&rest, " ");
  if (!path) fail("standard input", "method, path and body expected");
  set_method(slot, work, method, rest ? rest : "");
  set_url(slot, work->base, path);
  return true;
}

static void check(const struct slot *slot, CURLcode code) {
  long status = 0;
  char text[16];
  if (code != CURLE_OK) fail(slot->url, curl_easy_strerror(code));
  curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
  snprintf(text, sizeof text, "%ld", status);
  if (status < 200 || status > 299) fail(slot->url, text);
}

/* Takes what is done off the multi handle and puts the next requests on it; true if any.
 */
static bool turn_over(CURLM *multi, struct work *work) {
  int queued;
  bool any = false;
  for (CURLMsg *message; (message = curl_multi_info_read(multi, &queued));) {
    struct slot *slot;
    CURL *easy = message->easy_handle;
    CURLcode code = message->data.result;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&slot);
    check(slot, code);
    curl_multi_remove_handle(multi, easy);
    if (next(work, slot)) {
      curl_multi_add_handle(multi, easy);
      any = true;
    }
  }
  return any;
}

/* ── curl_multi_socket_action over epoll, sockets stay registered ── */

static void watch(struct loop *loop, int fd, unsigned events) {
  struct epoll_event e = {.events = events, .data.fd = fd};
  int operation = loop->registered[fd] ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (loop->registered[fd] != events && epoll_ctl(loop->epoll, operation, fd, &e) != 0)
    fail("epoll_ctl", "refused");
  loop->registered[fd] = events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *own) {
  struct loop *loop = user;
  unsigned events = (what & CURL_POLL_IN ? (unsigned)EPOLLIN : 0U) |
                    (what & CURL_POLL_OUT ? (unsigned)EPOLLOUT : 0U);
  (void)easy, (void)own;
  if (fd >= MAX_FD) fail("socket", "number too high");
  loop->wanted[fd] = what == CURL_POLL_REMOVE ? 0 : events;
  if (loop->wanted[fd]) watch(loop, fd, events);
  return 0;
}

static int on_close(void *user, curl_socket_t fd) {
  struct loop *loop = user;
  loop->wanted[fd] = loop->registered[fd] = 0;
  return close(fd);
}

static int on_timer(CURLM *multi, long timeout, void *user) {
  struct loop *loop = user;
  (void)multi;
  loop->deadline = timeout < 0 ? -1 : milliseconds() + timeout;
  return 0;
}

static void on_event(struct loop *loop, const struct epoll_event *event) {
  int fd = event->data.fd, what = 0;
  if (!loop->wanted[fd]) { /* libcurl has let it go, and the peer has closed it */
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    loop->registered[fd] = 0;
    return;
  }
  what |= event->events & EPOLLIN ? CURL_CSELECT_IN : 0;
  what |= event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
  what |= event->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
  curl_multi_socket_action(loop->multi, fd, what, &loop->running);
}

static int time_left(const struct loop *loop) {
  long left = loop->deadline < 0 ? -1 : loop->deadline - milliseconds();
  return loop->deadline >= 0 && left < 0 ? 0 : (int)left;
}

static void run_socket(struct loop *loop, struct work *work) {
  struct epoll_event events[EVENTS];
  for (;;) {
    int left = time_left(loop);
    if (left == 0) {
      loop->deadline = -1;
      curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &loop->running);
    } else {
      int count = epoll_wait(loop->epoll, events, EVENTS, left);
      for (int i = 0; i < count; i++) on_event(loop, &events[i]);
    }
    if (!turn_over(loop->multi, work) && loop->running == 0) return;
  }
}

static void run_perform(struct loop *loop, struct work *work) {
  for (;;) {
    curl_multi_perform(loop->multi, &loop->running);
    if (turn_over(loop->multi, work)) continue;
    if (loop->running == 0) return;
    curl_multi_poll(loop->multi, NULL, 0, 1000, NULL);
  }
}

static struct loop *new_loop(bool socket) {
  struct loop *loop = calloc(1, sizeof *loop);
  if (!loop || !(loop->multi = curl_multi_init())) fail("libcurl", "no multi handle");
  loop->deadline = -1;
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (socket) {
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
  }
  return loop;
}

static void run_multi(struct work *work, size_t in_flight, bool socket) {
  struct loop *loop = new_loop(socket);
  struct slot *slots = calloc(in_flight, sizeof *slots);
  if (!slots) fail("memory", "none");
  curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)in_flight);
  for (size_t i = 0; i < in_flight; i++) {
    slots[i].easy = new_handle(&slots[i]);
    if (socket) {
      curl_easy_setopt(slots[i].easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
      curl_easy_setopt(slots[i].easy, CURLOPT_CLOSESOCKETDATA, loop);
    }
    if (!work->replay) set_method(&slots[i], work, "PATCH", role_change);
    if (next(work, &slots[i])) curl_multi_add_handle(loop->multi, slots[i].easy);
  }
  if (socket)
    run_socket(loop, work);
  else
    run_perform(loop, work);
  for (size_t i = 0; i < in_flight; i++) curl_easy_cleanup(slots[i].easy);
  curl_multi_cleanup(loop->multi);
  close(loop->epoll);
  free(loop);
  free(slots);
}

/* ── the modes ── */

static void run_get(const struct work *work, size_t count) {
  static struct slot slot;
  slot.easy = new_handle(&slot);
  set_method(&slot, work, "GET", "");
  for (size_t i = 0; i < count; i++) {
    set_user(&slot, work->base, i);
    check(&slot, curl_easy_perform(slot.easy));
  }
  curl_easy_cleanup(slot.easy);
}

int main(int argc, char **argv) {
  struct work work = {0};
  const char *mode = argc > 3 ? argv[1] : "";
  size_t count = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
  size_t in_flight = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  work.base = argc > 2 ? argv[2] : "";
  work.get_headers = headers(false);
  work.patch_headers = headers(true);
  double wall = seconds(CLOCK_MONOTONIC), cpu = cpu_seconds();
  if (strcmp(mode, "get") == 0) {
    run_get(&work, count);
  } else if (strcmp(mode, "patch") == 0 && in_flight > 0) {
    work.left = count;
    run_multi(&work, in_flight, argc < 6 || strcmp(argv[5], "perform") != 0);
  } else if (strcmp(mode, "replay") == 0 && count > 0) {
    work.replay = true;
    run_multi(&work, count, true);
  } else {
    fail("usage", "see the head of bench/bare.c");
  }
  report(wall, cpu);
  curl_slist_free_all(work.get_headers);
  curl_slist_free_all(work.patch_headers);
  curl_global_cleanup();
  return 0;
}
