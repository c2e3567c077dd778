/* SPDX-License-Identifier: MIT */
/* The scripted HTTP/1.1 server of the specs, in three parts: rawserver.c (Lua) fills a
   script and asks for records, rawserver_state.c owns the server and what both threads
   see, rawserver_serve.c is the thread that plays the script. The script never changes
   once the thread runs; records never change once they are counted, and live until
   rs_free. Where memory runs out the process ends: this is test code. */
#ifndef RAWSERVER_H
#define RAWSERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum rs_action {
  RS_ANSWER,
  RS_DROP,         /* the request is read whole, then the connection is closed */
  RS_RESET,        /* the same with an RST */
  RS_RESET_BEFORE, /* an RST as soon as the connection is accepted */
  RS_HANG          /* never anything, until the server stops */
};

enum rs_ending { RS_KEEP, RS_CLOSE, RS_CLOSE_RESET };

/* An answer's bytes are its three pieces, each sent `times` times. */
struct rs_piece {
  char *data;
  size_t size, times;
};

enum { RS_PIECES = 3 };

struct rs_answer {
  struct rs_piece pieces[RS_PIECES];
  size_t limit; /* bytes after which it is cut */
  enum rs_action action;
  enum rs_ending ending;
  bool early;                /* right after the head of the request */
  double delay, close_delay; /* seconds */
  size_t drip_bytes;         /* 0: as fast as it goes */
  double drip_delay;
};

struct rs_record {
  struct rs_record *next;
  char *head, *body;
  size_t head_size, body_size;
  size_t connection, answer; /* from 1; answer 0: a rule of the connection */
};

struct rs_script {
  struct rs_answer *answers; /* owned */
  size_t count;
  bool once;
  size_t drop_after, reset_after,
    close_after; /* requests a connection; SIZE_MAX: never */
};

struct connection;

struct rs_server {
  struct rs_script script;
  int listener, epoll, wake, port;
  pid_t process;
  bool running;
  pthread_t thread;
  pthread_mutex_t mutex; /* guards, with `changed`: */
  pthread_cond_t changed;
  struct rs_record *first, *last, *cleared_to;
  size_t arrived, cleared, accepted, open;
  /* the thread's own: */
  struct connection *connections;
  size_t next_answer;
};

/* Takes the script over, also when it fails (NULL, errno is set). */
struct rs_server *rs_start(struct rs_script *script);
int rs_port(const struct rs_server *server);
/* Ends the thread and closes every socket; idempotent. Does nothing in a forked child. */
void rs_stop(struct rs_server *server);
/* Stops, then frees; NULL is allowed. */
void rs_free(struct rs_server *server);
void rs_script_free(struct rs_script *script);

/* The records since the last clear: how many, and the first of them. */
size_t rs_records(struct rs_server *server, struct rs_record **first);
void rs_clear(struct rs_server *server);
void rs_connections(struct rs_server *server, size_t *accepted, size_t *open);
/* Waits until so many requests have arrived, or until at most so many connections are
   open; false when the seconds are over first. */
bool rs_wait_requests(struct rs_server *server, size_t count, double seconds);
bool rs_wait_open(struct rs_server *server, size_t count, double seconds);

/* For the thread. The second counts a connection in (1) or out (-1); its number. */
void *rs_serve(void *server);
void rs_publish(struct rs_server *server, struct rs_record *record);
size_t rs_count_connection(struct rs_server *server, int change);

/* Monotonic seconds. */
double rs_now(void);
/* The memory, or the end of the process. */
void *rs_need(void *memory);
/* A copy, with a NUL after it. */
char *rs_copy(const char *data, size_t size);

/* A socket bound to a free port of 127.0.0.1, not listening; -1 and errno. */
int rs_bind(int *port);

#pragma GCC visibility pop

#endif
