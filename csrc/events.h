/* SPDX-License-Identifier: MIT */
/*
 * The attempts that have ended, for on_event: a ring of bounded size. When nobody fetches
 * them, the oldest give way.
 */
#ifndef CS_EVENTS_H
#define CS_EVENTS_H

#include "request.h"
#include "retry.h"

#pragma GCC visibility push(hidden)

/* One attempt that ended. */
struct cs_event {
  int operation;
  long status; /* 0 when there was no answer */
  enum cs_kind kind;
  int attempt;
  double elapsed; /* seconds */
  bool again;
  double delay; /* seconds before the next attempt */
  char reason[96];
};

struct cs_events {
  struct cs_event *ring; /* NULL: nothing is recorded */
  int first, count;
};

enum cs_status cs_events_open(struct cs_events *events);
void cs_events_close(struct cs_events *events);

/* Records an attempt that took so long; `slowed` is the rate to which an answer has just
   slowed all requests of its class, in starts a second, or 0. */
void cs_events_record(struct cs_events *events, const struct cs_request *request,
                      double elapsed, const struct cs_decision *decision, double slowed);

/* The oldest event, removed; false when there is none. */
bool cs_events_next(struct cs_events *events, struct cs_event *event);

#pragma GCC visibility pop

#endif
