/* SPDX-License-Identifier: MIT */
/*
 * The multi handle and the requests of one client. A request is on exactly one list, and
 * that list is its only state:
 *
 *   take            submit          step               step / cancel / close
 *   idle -> held -> queued -> active -> waiting -> active … -> done -> held -> idle
 *
 * "held" is a request in the caller's hands: being prepared or delivered. The engine owns
 * them all. Nothing here calls back into the caller.
 */
#ifndef CS_ENGINE_H
#define CS_ENGINE_H

#include "events.h"
#include "pace.h"
#include "request.h"
#include "transport.h"

#pragma GCC visibility push(hidden)

struct cs_engine;

struct cs_engine_settings {
  struct cs_transport_settings transport; /* `poller` is filled in by the engine */
  int max_in_flight;
  double rate; /* starts a second; 0 for no bound */
  bool events; /* keep a record of each attempt for cs_engine_next_event */
};

/* NULL when memory or descriptors are short. */
struct cs_engine *cs_engine_new(const struct cs_engine_settings *settings);

/* Ends every request with the failure "closed" and lets all connections go; requests in
   others' hands stay valid until cs_engine_free. In a child after fork it touches
   nothing. Idempotent. */
void cs_engine_close(struct cs_engine *engine);
void cs_engine_free(struct cs_engine *engine);

/* False after close, and in a child after fork. */
bool cs_engine_usable(const struct cs_engine *engine);

/* A held request with empty buffers, or NULL when memory is short. */
struct cs_request *cs_engine_take(struct cs_engine *engine);
/* Gives a held request back. */
void cs_engine_give(struct cs_engine *engine, struct cs_request *request);

void cs_engine_submit(struct cs_engine *engine, struct cs_request *request);

/* Lets things happen for at most `seconds`; returns early when a request is done, an
   event is recorded, or a signal arrives. */
void cs_engine_step(struct cs_engine *engine, double seconds);

bool cs_engine_is_done(const struct cs_engine *engine, const struct cs_request *request);

/* Ends a held request before it is sent: it is done, with that failure. */
void cs_engine_refuse(struct cs_engine *engine, struct cs_request *request,
                      enum cs_kind kind, const char *text);

/* The next done request that is not awaited, held from then on; NULL for none. */
struct cs_request *cs_engine_next_done(struct cs_engine *engine);

/* Takes one given request off the done list into the caller's hands. */
void cs_engine_collect(struct cs_engine *engine, struct cs_request *request);

/* Ends a queued, active or waiting request with the failure "cancelled": it is done. */
void cs_engine_cancel(struct cs_engine *engine, struct cs_request *request);

/* The request, on whatever list, whose waiter that is; NULL when there is none. */
struct cs_request *cs_engine_find(const struct cs_engine *engine, const void *waiter);

/* The oldest event, removed; false when there is none. */
bool cs_engine_next_event(struct cs_engine *engine, struct cs_event *event);

/* What is known of the service's limits. */
struct cs_pace *cs_engine_pace(struct cs_engine *engine);

/* How many requests are on any list but idle. */
int cs_engine_in_use(const struct cs_engine *engine);

/* Seconds of the monotonic clock. */
double cs_engine_now(void);

#pragma GCC visibility pop

#endif
