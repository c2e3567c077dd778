/* SPDX-License-Identifier: MIT */
/* The scripted server as an object: its birth and end, and everything that the Lua side
   and the serving thread both see, under one mutex. No Lua and no HTTP here. */
#define _GNU_SOURCE
#include "rawserver.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

double rs_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void *rs_need(void *memory) {
  if (!memory) {
    fputs("rawserver: out of memory\n", stderr);
    abort();
  }
  return memory;
}

char *rs_copy(const char *data, size_t size) {
  char *result = rs_need(malloc(size + 1));
  if (size > 0) memcpy(result, data, size);
  result[size] = '\0';
  return result;
}

void rs_publish(struct rs_server *server, struct rs_record *record) {
  pthread_mutex_lock(&server->mutex);
  if (server->last)
    server->last->next = record;
  else
    server->first = record;
  server->last = record;
  server->arrived++;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->mutex);
}

size_t rs_count_connection(struct rs_server *server, int change) {
  pthread_mutex_lock(&server->mutex);
  if (change > 0) {
    server->accepted++;
    server->open++;
  } else {
    server->open--;
  }
  size_t number = server->accepted;
  pthread_cond_broadcast(&server->changed);
  pthread_mutex_unlock(&server->mutex);
  return number;
}

size_t rs_records(struct rs_server *server, struct rs_record **first) {
  pthread_mutex_lock(&server->mutex);
  *first = server->cleared_to ? server->cleared_to->next : server->first;
  size_t count = server->arrived - server->cleared;
  pthread_mutex_unlock(&server->mutex);
  return count;
}

void rs_clear(struct rs_server *server) {
  pthread_mutex_lock(&server->mutex);
  server->cleared = server->arrived;
  server->cleared_to = server->last;
  pthread_mutex_unlock(&server->mutex);
}

void rs_connections(struct rs_server *server, size_t *accepted, size_t *open) {
  pthread_mutex_lock(&server->mutex);
  *accepted = server->accepted;
  *open = server->open;
  pthread_mutex_unlock(&server->mutex);
}

static bool enough(const struct rs_server *server, size_t count) {
  return server->arrived - server->cleared >= count;
}

static bool few_enough(const struct rs_server *server, size_t count) {
  return server->open <= count;
}

static bool wait_until(struct rs_server *server,
                       bool (*reached)(const struct rs_server *, size_t), size_t count,
                       double seconds) {
  double end = rs_now() + seconds;
  struct timespec t = {(time_t)end, (long)((end - (double)(time_t)end) * 1e9)};
  pthread_mutex_lock(&server->mutex);
  bool done = reached(server, count);
  for (int rc = 0; !done && rc == 0 && server->running; done = reached(server, count))
    rc = pthread_cond_timedwait(&server->changed, &server->mutex, &t);
  pthread_mutex_unlock(&server->mutex);
  return done;
}

bool rs_wait_requests(struct rs_server *server, size_t count, double seconds) {
  return wait_until(server, enough, count, seconds);
}

bool rs_wait_open(struct rs_server *server, size_t count, double seconds) {
  return wait_until(server, few_enough, count, seconds);
}

int rs_port(const struct rs_server *server) { return server->port; }

int rs_bind(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (bind(fd, (struct sockaddr *)&address, size) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    int why = errno;
    close(fd);
    errno = why;
    return -1;
  }
  *port = ntohs(address.sin_port);
  return fd;
}

static bool watch(int epoll, int fd, void *what) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool open_sockets(struct rs_server *server) {
  server->listener = rs_bind(&server->port);
  server->epoll = epoll_create1(EPOLL_CLOEXEC);
  server->wake = eventfd(0, EFD_CLOEXEC);
  return server->listener >= 0 && server->epoll >= 0 && server->wake >= 0 &&
         listen(server->listener, BACKLOG) == 0 &&
         watch(server->epoll, server->listener, &server->listener) &&
         watch(server->epoll, server->wake, &server->wake);
}

static void close_sockets(struct rs_server *server) {
  int *sockets[] = {&server->listener, &server->epoll, &server->wake};
  for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
    if (*sockets[i] >= 0) close(*sockets[i]);
    *sockets[i] = -1;
  }
}

/* The thread takes no signal: they are for the program under test. */
static int start_thread(struct rs_server *server) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&server->thread, NULL, rs_serve, server);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

struct rs_server *rs_start(struct rs_script *script) {
  struct rs_server *server = rs_need(calloc(1, sizeof *server));
  pthread_condattr_t monotonic;
  server->script = *script;
  *script = (struct rs_script){0};
  server->process = getpid();
  pthread_mutex_init(&server->mutex, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&server->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  server->running = true; /* before the thread can count a connection */
  int error = open_sockets(server) ? start_thread(server) : errno;
  if (error != 0) {
    server->running = false;
    rs_free(server);
    errno = error;
    return NULL;
  }
  return server;
}

void rs_stop(struct rs_server *server) {
  if (server->process != getpid()) return;
  if (server->running) {
    uint64_t one = 1;
    ssize_t written = write(server->wake, &one, sizeof one);
    (void)written; /* an eventfd at zero always takes it */
    pthread_join(server->thread, NULL);
    server->running = false;
  }
  close_sockets(server);
}

void rs_script_free(struct rs_script *script) {
  for (size_t i = 0; script->answers && i < script->count; i++)
    for (int k = 0; k < RS_PIECES; k++) free(script->answers[i].pieces[k].data);
  free(script->answers);
  *script = (struct rs_script){0};
}

void rs_free(struct rs_server *server) {
  if (!server || server->process != getpid()) return;
  rs_stop(server);
  for (struct rs_record *r = server->first, *next; r; r = next) {
    next = r->next;
    free(r->head);
    free(r->body);
    free(r);
  }
  rs_script_free(&server->script);
  pthread_cond_destroy(&server->changed);
  pthread_mutex_destroy(&server->mutex);
  free(server);
}
