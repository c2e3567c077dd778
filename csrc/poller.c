/* SPDX-License-Identifier: MIT */
/* See poller.h. Linux: epoll, level-triggered. */
#include "poller.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct cs_poller_watch {
  bool ours;      /* closing will be announced: may stay registered while unwanted */
  int wanted;     /* what is waited for */
  int registered; /* what the kernel was told; 0 when it does not know the socket */
};

enum { MAX_EVENTS = 64 };

void cs_poller_init(struct cs_poller *poller) {
  poller->fd = -1;
  poller->watches = NULL;
  poller->capacity = 0;
}

enum cs_status cs_poller_open(struct cs_poller *poller) {
  poller->fd = epoll_create1(EPOLL_CLOEXEC);
  return poller->fd < 0 ? CS_NO_MEMORY : CS_OK;
}

void cs_poller_close(struct cs_poller *poller) {
  if (poller->fd >= 0) close(poller->fd);
  free(poller->watches);
  cs_poller_init(poller);
}

static struct cs_poller_watch *find(struct cs_poller *poller, int socket) {
  if (socket < 0) return NULL;
  if (socket >= poller->capacity) {
    int capacity = poller->capacity ? poller->capacity : 64;
    while (capacity <= socket) capacity += capacity;
    struct cs_poller_watch *grown =
      realloc(poller->watches, (size_t)capacity * sizeof *grown);
    if (!grown) return NULL;
    memset(grown + poller->capacity, 0,
           (size_t)(capacity - poller->capacity) * sizeof *grown);
    poller->watches = grown;
    poller->capacity = capacity;
  }
  return &poller->watches[socket];
}

static void unregister(struct cs_poller *poller, int socket,
                       struct cs_poller_watch *watch) {
  /* Fails harmlessly when the socket is closed already: the kernel has forgotten it. */
  if (watch->registered) (void)epoll_ctl(poller->fd, EPOLL_CTL_DEL, socket, NULL);
  watch->registered = 0;
}

enum cs_status cs_poller_opened(struct cs_poller *poller, int socket) {
  struct cs_poller_watch *watch = find(poller, socket);
  if (!watch) return CS_NO_MEMORY;
  *watch = (struct cs_poller_watch){.ours = true};
  return CS_OK;
}

void cs_poller_closing(struct cs_poller *poller, int socket) {
  if (socket < 0 || socket >= poller->capacity) return;
  struct cs_poller_watch *watch = &poller->watches[socket];
  unregister(poller, socket, watch);
  *watch = (struct cs_poller_watch){.ours = false};
}

enum cs_status cs_poller_want(struct cs_poller *poller, int socket, int mask) {
  struct cs_poller_watch *watch = find(poller, socket);
  if (!watch) return CS_NO_MEMORY;
  watch->wanted = mask;
  if (mask == 0) {
    if (!watch->ours) unregister(poller, socket, watch);
    return CS_OK;
  }
  if (mask == watch->registered) return CS_OK;
  struct epoll_event event = {0};
  if (mask & CS_READABLE) event.events |= EPOLLIN;
  if (mask & CS_WRITABLE) event.events |= EPOLLOUT;
  event.data.fd = socket;
  int operation = watch->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(poller->fd, operation, socket, &event) != 0) {
    watch->registered = 0;
    return CS_NO_MEMORY;
  }
  watch->registered = mask;
  return CS_OK;
}

int cs_poller_wait(struct cs_poller *poller, double seconds,
                   struct cs_poller_event *events, int max) {
  struct epoll_event ready[MAX_EVENTS];
  if (max > MAX_EVENTS) max = MAX_EVENTS;
  /* Rounded up: waking a moment early would only mean to wait once more. */
  int ms = seconds <= 0 ? 0 : seconds > 1e6 ? 1000000000 : (int)(seconds * 1000) + 1;
  int n = epoll_wait(poller->fd, ready, max, ms);
  if (n < 0) return 0; /* EINTR; nothing else can happen to an open epoll descriptor */
  int used = 0;
  for (int i = 0; i < n; i++) {
    int socket = ready[i].data.fd;
    struct cs_poller_watch *watch = find(poller, socket);
    if (!watch) continue;
    if (!watch->wanted) {
      /* An idle connection that the server closed. Level-triggered, it would report
         itself for ever. */
      unregister(poller, socket, watch);
      continue;
    }
    int mask = 0;
    if (ready[i].events & EPOLLIN) mask |= CS_READABLE;
    if (ready[i].events & EPOLLOUT) mask |= CS_WRITABLE;
    if (ready[i].events & (EPOLLERR | EPOLLHUP)) mask |= CS_BROKEN;
    events[used++] = (struct cs_poller_event){socket, mask};
  }
  return used;
}
