/* SPDX-License-Identifier: MIT */
/*
 * Waits for sockets through one descriptor (epoll). Platform differences live here only.
 * A socket that was announced as ours stays registered between transfers, which saves
 * two system calls a request; any other (libcurl's own wake-up pairs) is taken out as
 * soon as nobody waits for it.
 */
#ifndef CS_POLLER_H
#define CS_POLLER_H

#include "buffer.h"

#pragma GCC visibility push(hidden)

enum { CS_READABLE = 1, CS_WRITABLE = 2, CS_BROKEN = 4 };

struct cs_poller_watch;

struct cs_poller {
  int fd;                          /* -1 while closed */
  struct cs_poller_watch *watches; /* indexed by socket number */
  int capacity;
};

struct cs_poller_event {
  int socket;
  int mask; /* CS_READABLE | CS_WRITABLE | CS_BROKEN */
};

/* The state from which open and close may be called. */
void cs_poller_init(struct cs_poller *poller);
enum cs_status cs_poller_open(struct cs_poller *poller);
void cs_poller_close(struct cs_poller *poller);

/* A socket was opened, and will be announced by cs_poller_closing before it is closed. */
enum cs_status cs_poller_opened(struct cs_poller *poller, int socket);
void cs_poller_closing(struct cs_poller *poller, int socket);

/* Which events are waited for from now on; 0 for none. */
enum cs_status cs_poller_want(struct cs_poller *poller, int socket, int mask);

/* Waits at most `seconds` and fills events; returns their number. 0 after the time has
   passed, and when a signal arrived. */
int cs_poller_wait(struct cs_poller *poller, double seconds,
                   struct cs_poller_event *events, int max);

#pragma GCC visibility pop

#endif
