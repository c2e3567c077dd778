/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is: the requests that wait to be started, a queue a class, under the
 * pace. The older call goes first, so that what was started goes before what was not.
 *
 * A call's total_timeout begins when it is queued first, and runs on whatever it waits
 * for.
 */
#ifndef CS_TURNS_H
#define CS_TURNS_H

#include "pace.h"
#include "request.h"

#pragma GCC visibility push(hidden)

struct cs_turns {
  struct cs_pace pace;
  struct cs_list queued[CS_CLASSES];
};

static inline enum cs_class cs_class_of(const struct cs_request *request) {
  return request->repeat == CS_READ ? CS_READS : CS_WRITES;
}

void cs_turns_queue(struct cs_turns *turns, struct cs_request *request, double now);

/* The request that may start now, still queued, beside those that are active; NULL for
   none. */
struct cs_request *cs_turns_next(const struct cs_turns *turns,
                                 const struct cs_list *active, double now);

/* Notes that it starts now. */
void cs_turns_start(struct cs_turns *turns, struct cs_request *request, double now);

/* Notes the answer to its attempt; gives the rate to which it slows its class down, in
   starts a second, or 0. */
double cs_turns_answered(struct cs_turns *turns, const struct cs_request *request,
                         double now, double random);

/* A queued request that must not wait any longer, and why: its time ends before it can
   start (CS_TIMEOUT), or the server asked for more patience than it has (CS_REFUSED).
   NULL for none. */
struct cs_request *cs_turns_hopeless(const struct cs_turns *turns, double now,
                                     enum cs_kind *kind);

/* Seconds until one of the above may change, but at most `seconds`. */
double cs_turns_quiet(const struct cs_turns *turns, const struct cs_list *active,
                      int max_in_flight, double now, double seconds);

#pragma GCC visibility pop

#endif
