/* SPDX-License-Identifier: MIT */
/*
 * One thread waits for libmicrohttpd's epoll descriptor, an eventfd that ends it, and
 * the next timer. An answer that is due later suspends its connection only. The lock
 * guards the rules and the log; the lists of suspended exchanges belong to the thread
 * alone.
 */
#define _GNU_SOURCE /* ppoll */
#include "server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Longer bodies are read to their end, and answered with 413. */
static const size_t LONGEST_BODY = 1024 * 1024;
enum { MOST_CONNECTIONS = 4096 };

/* One request and its answer. It belongs to its connection until that reports it
 * completed. */
struct exchange {
  struct sb_server *server;
  struct MHD_Connection *connection;
  char *uri;
  struct sb_bytes body;
  bool begun;
  bool too_large;
  bool decided;
  struct sb_answer answer;
  double due;
  struct exchange_list *list; /* NULL unless the connection is suspended */
  struct exchange *previous, *next;
};

struct exchange_list {
  struct exchange *first, *last;
};

struct sb_server {
  pthread_mutex_t lock;
  struct sb_rules *rules;
  struct sb_log log;
  struct sb_bytes scratch; /* the record that is being made */

  struct exchange_list timers; /* by due time */
  struct exchange_list stalled;

  struct MHD_Daemon *daemon;
  pthread_t thread;
  bool running;
  int wake;
  pid_t process;
  uint16_t port;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Suspended connections */

static void list_insert_after(struct exchange_list *list, struct exchange *where,
                              struct exchange *x) {
  x->list = list;
  x->previous = where;
  x->next = where ? where->next : list->first;
  *(x->next ? &x->next->previous : &list->last) = x;
  *(where ? &where->next : &list->first) = x;
}

/* Does nothing when the connection is not suspended. */
static void list_remove(struct exchange *x) {
  struct exchange_list *list = x->list;
  if (list == NULL) return;
  *(x->previous ? &x->previous->next : &list->first) = x->next;
  *(x->next ? &x->next->previous : &list->last) = x->previous;
  x->list = NULL;
  x->previous = x->next = NULL;
}

/* Equal due times keep their order, and with equal delays every insertion is at the
 * end. */
static void suspend_until(struct exchange *x, double due) {
  struct exchange_list *timers = &x->server->timers;
  struct exchange *where = timers->last;
  while (where != NULL && where->due > due) where = where->previous;
  x->due = due;
  list_insert_after(timers, where, x);
  MHD_suspend_connection(x->connection);
}

static void suspend_forever(struct exchange *x) {
  list_insert_after(&x->server->stalled, x->server->stalled.last, x);
  MHD_suspend_connection(x->connection);
}

static void resume(struct exchange *x) {
  list_remove(x);
  MHD_resume_connection(x->connection);
}

static void resume_due(struct sb_server *server) {
  double t = server->timers.first ? now() : 0;
  while (server->timers.first != NULL && server->timers.first->due <= t)
    resume(server->timers.first);
}

/* Deciding an answer */

static enum MHD_Result add_header_text(void *context, enum MHD_ValueKind kind,
                                       const char *name, const char *value) {
  struct sb_bytes *texts = context;
  (void)kind;
  size_t size = strlen(name);
  sb_bytes_add_text(texts, name, size);
  for (char *c = texts->data + texts->size - size; !texts->failed && size > 0;
       size--, c++)
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
  sb_bytes_add_text(texts, value, value ? strlen(value) : 0);
  return MHD_YES;
}

/* A record that finds no memory is left out: the log then misses it, the client does
 * not. */
static void note_request(struct exchange *x, const char *method) {
  struct sb_server *server = x->server;
  struct sb_bytes *texts = &server->scratch;
  if (server->log.limit == 0) return;
  if (texts->failed) sb_bytes_release(texts);
  texts->size = 0;
  sb_bytes_add_text(texts, method, strlen(method));
  sb_bytes_add_text(texts, x->uri, strlen(x->uri));
  sb_bytes_add_text(texts, x->body.data, x->body.size);
  MHD_get_connection_values(x->connection, MHD_HEADER_KIND, add_header_text, texts);
  (void)sb_log_add(&server->log, x->answer.status, x->answer.fate, texts);
}

static void decide(struct exchange *x, const char *method) {
  struct sb_server *server = x->server;
  struct sb_question question = {
    .method = method,
    .uri = x->uri,
    .api_key = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "apikey"),
    .content_type =
      MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Content-Type"),
    .body = x->body.data,
    .body_size = x->body.size,
    .too_large = x->too_large,
    .now = now(),
  };
  pthread_mutex_lock(&server->lock);
  sb_rules_answer(server->rules, &question, &x->answer);
  note_request(x, method);
  pthread_mutex_unlock(&server->lock);
  x->decided = true;
}

/* Sending it */

static ssize_t read_cut_body(void *context, uint64_t position, char *to, size_t room) {
  const struct exchange *x = context;
  if (position >= x->answer.keep) return MHD_CONTENT_READER_END_WITH_ERROR;
  size_t size = x->answer.keep - (size_t)position;
  if (size > room) size = room;
  memcpy(to, x->answer.body + position, size);
  return (ssize_t)size;
}

static struct MHD_Response *make_response(struct exchange *x) {
  struct sb_answer *answer = &x->answer;
  if (answer->fate == SB_CUT && answer->keep < answer->body_size)
    return MHD_create_response_from_callback(answer->body_size, 4096, read_cut_body, x,
                                             NULL);
  static char nothing[1];
  if (answer->body_size == 0)
    return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
  struct MHD_Response *response = MHD_create_response_from_buffer(
    answer->body_size, answer->body, MHD_RESPMEM_MUST_FREE);
  if (response != NULL) answer->body = NULL; /* the response's now */
  return response;
}

static enum MHD_Result send_answer(struct exchange *x) {
  struct MHD_Response *response = make_response(x);
  if (response == NULL) return MHD_NO;
  const struct sb_bytes *headers = &x->answer.headers;
  bool added = !headers->failed;
  for (size_t at = 0; added && at < headers->size;) {
    const char *name = headers->data + at;
    const char *value = name + strlen(name) + 1;
    at += strlen(name) + strlen(value) + 2;
    added = MHD_add_response_header(response, name, value) == MHD_YES;
  }
  enum MHD_Result queued = MHD_NO;
  if (added)
    queued = MHD_queue_response(x->connection, (unsigned int)x->answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

/* libmicrohttpd only closes, which the client reads as an end. Dissolving the association
 * sends RST at once (connect(2), AF_UNSPEC). */
static void reset_connection(struct exchange *x) {
  const union MHD_ConnectionInfo *info =
    MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  if (info != NULL) (void)connect(info->connect_fd, &nobody, sizeof nobody);
}

/* libmicrohttpd's callbacks; MHD_NO closes the connection without an answer */

static void *on_request_line(void *context, const char *uri,
                             struct MHD_Connection *connection) {
  struct exchange *x = calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->server = context;
  x->connection = connection;
  x->uri = strdup(uri);
  if (x->uri == NULL) {
    free(x);
    return NULL;
  }
  return x;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode reason) {
  struct exchange *x = *request;
  (void)context, (void)connection, (void)reason;
  if (x == NULL) return;
  list_remove(x);
  free(x->uri);
  sb_bytes_release(&x->body);
  sb_answer_release(&x->answer);
  free(x);
  *request = NULL;
}

static void keep_upload(struct exchange *x, const char *data, size_t size) {
  if (x->body.size + size > LONGEST_BODY)
    x->too_large = true;
  else
    sb_bytes_add(&x->body, data, size);
}

/* Called for the head, for each piece of the body, at its end, and after each
 * resumption. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *upload,
                                  size_t *upload_size, void **request) {
  struct exchange *x = *request;
  (void)context, (void)connection, (void)url, (void)version;
  if (x == NULL || x->body.failed) return MHD_NO;
  if (!x->begun) {
    x->begun = true;
    return MHD_YES;
  }
  if (*upload_size > 0) {
    keep_upload(x, upload, *upload_size);
    *upload_size = 0;
    return MHD_YES;
  }
  if (!x->decided) {
    decide(x, method);
    if (x->answer.fate == SB_STALLED) {
      suspend_forever(x);
      return MHD_YES;
    }
    if (x->answer.delay > 0) {
      suspend_until(x, now() + x->answer.delay);
      return MHD_YES;
    }
  }
  if (x->answer.fate == SB_RESET) reset_connection(x);
  if (x->answer.fate == SB_RESET || x->answer.fate == SB_LOST ||
      x->answer.fate == SB_STALLED)
    return MHD_NO;
  return send_answer(x);
}

/* Paths stay percent-encoded: the rules decode them, segment by segment. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection,
                            char *text) {
  (void)context, (void)connection;
  return strlen(text);
}

/* The thread */

static double time_to_wait(struct sb_server *server) {
  MHD_UNSIGNED_LONG_LONG milliseconds;
  double wait = -1;
  if (MHD_get_timeout(server->daemon, &milliseconds) == MHD_YES)
    wait = (double)milliseconds / 1e3;
  if (server->timers.first != NULL) {
    double timer = server->timers.first->due - now();
    if (timer < 0) timer = 0;
    if (wait < 0 || timer < wait) wait = timer;
  }
  return wait;
}

static void *serve(void *context) {
  struct sb_server *server = context;
  const union MHD_DaemonInfo *info =
    MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
  struct pollfd fds[] = {{.fd = info->epoll_fd, .events = POLLIN},
                         {.fd = server->wake, .events = POLLIN}};
  for (;;) {
    double wait = time_to_wait(server);
    struct timespec limit = {.tv_sec = (time_t)wait,
                             .tv_nsec = (long)((wait - (double)(time_t)wait) * 1e9)};
    if (ppoll(fds, 2, wait < 0 ? NULL : &limit, NULL) < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) break;
    resume_due(server);
    if (MHD_run(server->daemon) != MHD_YES) break;
  }
  return NULL;
}

/* Every signal stays with the host's threads. */
static int start_thread(struct sb_server *server) {
  sigset_t all, before;
  sigfillset(&all);
  int problem = pthread_sigmask(SIG_SETMASK, &all, &before);
  if (problem != 0) return problem;
  problem = pthread_create(&server->thread, NULL, serve, server);
  int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
  server->running = problem == 0;
  return problem ? problem : restored;
}

static struct MHD_Daemon *start_daemon(struct sb_server *server, uint16_t port) {
  struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons(port)};
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return MHD_start_daemon(
    MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, on_request, server,
    MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&loopback, MHD_OPTION_URI_LOG_CALLBACK,
    on_request_line, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
    MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
    MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MOST_CONNECTIONS, MHD_OPTION_END);
}

static bool start(struct sb_server *server, uint16_t port, char *problem) {
  server->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (server->wake < 0) {
    snprintf(problem, SB_PROBLEM_SIZE, "eventfd: %s", strerror(errno));
    return false;
  }
  errno = 0;
  server->daemon = start_daemon(server, port);
  if (server->daemon == NULL) {
    snprintf(problem, SB_PROBLEM_SIZE, "cannot listen on 127.0.0.1:%d: %s", port,
             errno ? strerror(errno) : "libmicrohttpd does not say why");
    return false;
  }
  server->port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
  int failed = start_thread(server);
  if (failed != 0)
    snprintf(problem, SB_PROBLEM_SIZE, "cannot start a thread: %s", strerror(failed));
  return failed == 0;
}

struct sb_server *sb_server_new(struct sb_rules *rules, uint16_t port, size_t log_limit,
                                char *problem) {
  struct sb_server *server = calloc(1, sizeof *server);
  if (server == NULL || pthread_mutex_init(&server->lock, NULL) != 0) {
    snprintf(problem, SB_PROBLEM_SIZE, "not enough memory");
    free(server);
    sb_rules_free(rules);
    return NULL;
  }
  server->rules = rules;
  server->wake = -1;
  server->process = getpid();
  sb_log_init(&server->log, log_limit);
  if (!start(server, port, problem)) {
    sb_server_free(server);
    return NULL;
  }
  return server;
}

bool sb_server_is_ours(const struct sb_server *server) {
  return server->process == getpid();
}

void sb_server_stop(struct sb_server *server) {
  if (!sb_server_is_ours(server)) return;
  if (server->running) {
    uint64_t one = 1;
    while (write(server->wake, &one, sizeof one) < 0 && errno == EINTR)
      ;
    pthread_join(server->thread, NULL);
    server->running = false;
  }
  if (server->daemon != NULL) {
    /* libmicrohttpd aborts the process if a connection is still suspended. */
    while (server->timers.first != NULL) resume(server->timers.first);
    while (server->stalled.first != NULL) resume(server->stalled.first);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
  }
  if (server->wake >= 0) close(server->wake);
  server->wake = -1;
}

/* A child made by fork frees nothing: the thread may have held any lock when it was
 * copied. */
void sb_server_free(struct sb_server *server) {
  if (server == NULL || !sb_server_is_ours(server)) return;
  sb_server_stop(server);
  sb_rules_free(server->rules);
  sb_log_clear(&server->log);
  sb_bytes_release(&server->scratch);
  pthread_mutex_destroy(&server->lock);
  free(server);
}

uint16_t sb_server_port(const struct sb_server *server) { return server->port; }

bool sb_server_control(struct sb_server *server, const char *name, const char *text,
                       size_t size, struct sb_bytes *reply) {
  pthread_mutex_lock(&server->lock);
  bool ok = sb_rules_control(server->rules, name, text, size, reply);
  pthread_mutex_unlock(&server->lock);
  return ok;
}

void sb_server_copy_log(struct sb_server *server, struct sb_bytes *copy) {
  pthread_mutex_lock(&server->lock);
  sb_log_copy(&server->log, copy);
  pthread_mutex_unlock(&server->lock);
}

void sb_server_clear_log(struct sb_server *server) {
  pthread_mutex_lock(&server->lock);
  sb_log_clear(&server->log);
  pthread_mutex_unlock(&server->lock);
}
