/* SPDX-License-Identifier: MIT */
/* See engine.h. The driver is curl_multi_socket_action over the poller. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"

#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "forked.h"
#include "list.h"
#include "retry.h"
#include "turns.h"

enum {
  MAX_URL_BYTES = 64 * 1024,
  MAX_BODY_BYTES = 16 * 1024 * 1024,
  MAX_READY = 64 /* sockets handled after one wait */
};

struct cs_engine {
  struct cs_engine_settings settings;
  struct cs_fork_mark mark; /* a child may not touch the multi handle */
  bool closed;
  CURLM *multi;
  struct cs_transport *transport;
  struct cs_poller poller;
  double timer; /* when libcurl wants to be called: negative for never, 0 for at once */
  struct cs_list idle, held, active, waiting, done;
  struct cs_turns turns; /* and the queued ones */
  struct cs_events events;
  int budget;
  uint64_t random;
};

double cs_engine_now(void) {
  struct timespec t;
  if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0; /* cannot fail with this clock */
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- libcurl's two hooks ---- */

static int on_socket(CURL *handle, curl_socket_t socket, int what, void *engine_,
                     void *unused) {
  struct cs_engine *engine = engine_;
  (void)handle, (void)unused;
  int mask = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) mask |= CS_READABLE;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) mask |= CS_WRITABLE;
  return cs_poller_want(&engine->poller, socket, mask) == CS_OK ? 0 : -1;
}

static int on_timer(CURLM *multi, long ms, void *engine_) {
  struct cs_engine *engine = engine_;
  (void)multi;
  engine->timer = ms < 0 ? -1 : ms == 0 ? 0 : cs_engine_now() + (double)ms * 1e-3;
  return 0;
}

/* ---- Life ---- */

static bool open_multi(struct cs_engine *engine) {
  CURLM *multi = engine->multi = curl_multi_init();
  long connections = engine->settings.max_in_flight;
  return multi &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, engine) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_TIMERDATA, engine) == CURLM_OK &&
         curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections) == CURLM_OK;
}

static uint64_t seed(const struct cs_engine *engine) {
  struct timespec t = {0};
  (void)clock_gettime(CLOCK_REALTIME, &t);
  uint64_t bits = (uint64_t)t.tv_nsec ^ ((uint64_t)t.tv_sec << 30) ^
                  (uint64_t)(uintptr_t)engine ^ ((uint64_t)engine->mark.owner << 44);
  return bits ? bits : 1;
}

/* xorshift64*: jitter must spread, not withstand an attacker. From 0 to below 1. */
static double next_random(struct cs_engine *engine) {
  engine->random ^= engine->random >> 12;
  engine->random ^= engine->random << 25;
  engine->random ^= engine->random >> 27;
  return (double)((engine->random * UINT64_C(2685821657736338717)) >> 11) /
         (double)(UINT64_C(1) << 53);
}

struct cs_engine *cs_engine_new(const struct cs_engine_settings *settings) {
  struct cs_engine *engine = calloc(1, sizeof *engine);
  if (!engine) return NULL;
  engine->settings = *settings;
  cs_fork_mark_set(&engine->mark);
  engine->timer = -1;
  engine->budget = CS_RETRY_BUDGET;
  engine->random = seed(engine);
  cs_pace_init(&engine->turns.pace, settings->rate);
  cs_poller_init(&engine->poller);
  engine->settings.transport.poller = &engine->poller;
  engine->transport = cs_transport_new(&engine->settings.transport);
  engine->settings.transport = (struct cs_transport_settings){0}; /* not ours to keep */
  bool ready =
    engine->transport && cs_poller_open(&engine->poller) == CS_OK && open_multi(engine);
  if (ready && settings->events) ready = cs_events_open(&engine->events) == CS_OK;
  if (!ready) {
    cs_engine_free(engine);
    return NULL;
  }
  return engine;
}

bool cs_engine_usable(const struct cs_engine *engine) {
  return !engine->closed && !cs_forked(&engine->mark);
}

/* Of a request that is on no list. */
static void free_request(struct cs_request *request) {
  cs_transport_close(request);
  cs_buffer_free(&request->url);
  cs_buffer_free(&request->body);
  free(request);
}

static void free_list(struct cs_list *list) {
  struct cs_request *next;
  for (struct cs_request *request = list->first; request; request = next) {
    next = request->next;
    free_request(request);
  }
  *list = (struct cs_list){.count = 0};
}

/* What an earlier attempt was answered is not the answer of a call that we end. */
static void forget_answer(struct cs_request *request) {
  request->head_complete = false;
  request->status = 0;
  request->retry_after = -1;
  cs_buffer_clear(&request->head);
  cs_buffer_clear(&request->answer);
}

static void finish(struct cs_engine *engine, struct cs_request *request,
                   enum cs_kind kind, const char *text) {
  request->failure.kind = kind;
  (void)snprintf(request->failure.text, sizeof request->failure.text, "%s", text);
  request->elapsed = cs_engine_now() - request->submitted;
  cs_list_move(&engine->done, request);
}

/* Ends a request that is not done yet from our side. */
static void end(struct cs_engine *engine, struct cs_request *request, enum cs_kind kind,
                const char *text) {
  bool active = request->list == &engine->active;
  if (active) {
    /* Cannot fail: the handle is one of this multi handle's. */
    (void)curl_multi_remove_handle(engine->multi, request->handle);
    request->lost = request->lost || (request->sent && request->repeat != CS_READ);
  }
  request->ambiguous = request->lost;
  forget_answer(request);
  finish(engine, request, kind, text);
  if (!active) return; /* its last attempt has been recorded */
  struct cs_decision decision = {.reason = text};
  double elapsed = cs_engine_now() - request->attempt_started;
  cs_events_record(&engine->events, request, elapsed, &decision, 0);
}

/* The next request that is submitted and not done; NULL for none. */
static struct cs_request *any_pending(const struct cs_engine *engine) {
  const struct cs_list *const lists[] = {&engine->turns.queued[CS_READS],
                                         &engine->turns.queued[CS_WRITES],
                                         &engine->active, &engine->waiting};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    if (lists[i]->first) return lists[i]->first;
  }
  return NULL;
}

void cs_engine_close(struct cs_engine *engine) {
  if (engine->closed) return;
  engine->closed = true;
  if (cs_forked(&engine->mark)) return;
  struct cs_request *pending;
  while ((pending = any_pending(engine)))
    end(engine, pending, CS_CLOSED, "the client was closed");
  free_list(&engine->idle);
  if (engine->multi) (void)curl_multi_cleanup(engine->multi);
  engine->multi = NULL;
}

void cs_engine_free(struct cs_engine *engine) {
  if (!engine) return;
  cs_engine_close(engine);
  /* A child after fork shares the parent's connections: ending them here would send
     TLS alerts on the parent's behalf. Its copy of the memory goes with the process. */
  if (cs_forked(&engine->mark)) return;
  free_list(&engine->held);
  free_list(&engine->done);
  cs_poller_close(&engine->poller);
  cs_transport_free(engine->transport);
  cs_events_close(&engine->events);
  cs_fork_mark_clear(&engine->mark);
  free(engine);
}

/* ---- Requests in and out ---- */

struct cs_request *cs_engine_take(struct cs_engine *engine) {
  struct cs_request *request = engine->idle.last;
  if (!request) {
    request = calloc(1, sizeof *request);
    if (!request) return NULL;
    cs_buffer_init(&request->url, MAX_URL_BYTES);
    cs_buffer_init(&request->body, MAX_BODY_BYTES);
    if (cs_transport_open(engine->transport, request) != CS_OK) {
      free_request(request);
      return NULL;
    }
  }
  cs_list_move(&engine->held, request);
  return request;
}

void cs_engine_give(struct cs_engine *engine, struct cs_request *request) {
  if (!cs_engine_usable(engine)) {
    /* The handle may not be touched in a forked child; the list goes with the engine. */
    if (cs_forked(&engine->mark)) return;
    cs_list_remove(request);
    free_request(request);
    return;
  }
  cs_buffer_clear(&request->url);
  cs_buffer_clear(&request->body);
  cs_buffer_clear(&request->head);
  cs_buffer_clear(&request->answer);
  request->has_body = false;
  request->waiter = NULL;
  request->awaited = false;
  cs_list_move(&engine->idle, request);
}

static void begin(struct cs_request *request) {
  request->attempts = request->refusals = 0;
  request->lost = request->repeated = request->truncated = request->ambiguous = false;
  request->sent = request->fresh = false;
  forget_answer(request);
  request->failure = (struct cs_failure){.kind = CS_NO_FAILURE};
  request->submitted = cs_engine_now();
}

void cs_engine_refuse(struct cs_engine *engine, struct cs_request *request,
                      enum cs_kind kind, const char *text) {
  begin(request);
  finish(engine, request, kind, text);
}

void cs_engine_submit(struct cs_engine *engine, struct cs_request *request) {
  begin(request);
  if (!cs_engine_usable(engine)) {
    finish(engine, request, CS_CLOSED, "the client was closed");
    return;
  }
  cs_turns_queue(&engine->turns, request, request->submitted);
}

bool cs_engine_is_done(const struct cs_engine *engine, const struct cs_request *request) {
  return request->list == &engine->done;
}

void cs_engine_collect(struct cs_engine *engine, struct cs_request *request) {
  cs_list_move(&engine->held, request);
}

struct cs_request *cs_engine_next_done(struct cs_engine *engine) {
  struct cs_request *request = engine->done.first;
  while (request && request->awaited) request = request->next;
  if (request) cs_list_move(&engine->held, request);
  return request;
}

void cs_engine_cancel(struct cs_engine *engine, struct cs_request *request) {
  bool pending = request->list && request->list != &engine->idle &&
                 request->list != &engine->held && request->list != &engine->done;
  if (!pending || cs_forked(&engine->mark)) return;
  end(engine, request, CS_CANCELLED, "the call was cancelled");
}

struct cs_request *cs_engine_find(const struct cs_engine *engine, const void *waiter) {
  const struct cs_list *const lists[] = {&engine->held,
                                         &engine->turns.queued[CS_READS],
                                         &engine->turns.queued[CS_WRITES],
                                         &engine->active,
                                         &engine->waiting,
                                         &engine->done};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (struct cs_request *request = lists[i]->first; request; request = request->next) {
      if (request->waiter == waiter) return request;
    }
  }
  return NULL;
}

int cs_engine_in_use(const struct cs_engine *engine) {
  return engine->held.count + engine->turns.queued[CS_READS].count +
         engine->turns.queued[CS_WRITES].count + engine->active.count +
         engine->waiting.count + engine->done.count;
}

/* ---- Attempts ---- */

bool cs_engine_next_event(struct cs_engine *engine, struct cs_event *event) {
  return cs_events_next(&engine->events, event);
}

struct cs_pace *cs_engine_pace(struct cs_engine *engine) {
  return &engine->turns.pace;
}

/* One attempt has ended with libcurl's code: done, or again. */
static void settle(struct cs_engine *engine, struct cs_request *request, int code) {
  double now = cs_engine_now();
  double random = next_random(engine);
  enum cs_outcome outcome = cs_transport_finish(request, code);
  double slowed = 0;
  if (outcome == CS_ANSWERED)
    slowed = cs_turns_answered(&engine->turns, request, now, random);
  /* Time in which nobody asked, or not this call, is no time that it was refused. */
  double shut = cs_pace_shut(&engine->turns.pace, cs_class_of(request), now);
  if (shut > now - request->submitted) shut = now - request->submitted;
  struct cs_attempt attempt = {
    .repeat = request->repeat,
    .outcome = outcome,
    .status = request->status,
    .permanent = request->failure.permanent,
    .retry_after = request->retry_after,
    .attempts = request->attempts,
    .refusals = request->refusals,
    .pause = cs_pace_pause(&engine->turns.pace, cs_class_of(request), now),
    .shut = shut,
    .max_retries = request->max_retries,
    .max_retry_wait = request->max_retry_wait,
    .remaining = request->deadline - now,
    .random = random,
    .budget = engine->budget,
  };
  struct cs_decision decision = cs_retry_decide(&attempt);
  bool repeat_met_it = request->lost && request->settled != 0 && outcome == CS_ANSWERED &&
                       request->status == request->settled;
  if (repeat_met_it) {
    request->repeated = true;
    request->failure.kind = CS_NO_FAILURE;
    decision = (struct cs_decision){.reason = "a repeat met its own work"};
  }
  cs_events_record(&engine->events, request, now - request->attempt_started, &decision,
                   slowed);
  request->lost = request->lost || decision.lost;
  if (decision.again) {
    /* Where one kept connection was dead, others are: all, after a restart there. */
    request->fresh = outcome == CS_STALE || outcome == CS_LOST;
    if (decision.throttled) {
      request->refusals++;
    } else {
      engine->budget -= CS_RETRY_COST;
    }
    request->due = now + decision.delay;
    cs_list_move_by_due(&engine->waiting, request);
    return;
  }
  bool succeeded = request->failure.kind == CS_NO_FAILURE;
  if (succeeded && engine->budget < CS_RETRY_BUDGET) engine->budget++;
  request->ambiguous = !succeeded && request->lost;
  request->elapsed = now - request->submitted;
  cs_list_move(&engine->done, request);
}

static void start(struct cs_engine *engine, struct cs_request *request, double now) {
  cs_turns_start(&engine->turns, request, now);
  double left = request->deadline - now;
  double timeout = request->timeout < left ? request->timeout : left;
  cs_list_move(&engine->active, request);
  request->attempts++;
  request->attempt_started = now;
  if (cs_transport_prepare(engine->transport, request, timeout) != CS_OK ||
      curl_multi_add_handle(engine->multi, request->handle) != CURLM_OK)
    settle(engine, request, CURLE_OUT_OF_MEMORY);
}

static void end_hopeless(struct cs_engine *engine, double now) {
  struct cs_request *request;
  enum cs_kind kind;
  while ((request = cs_turns_hopeless(&engine->turns, now, &kind))) {
    double told = cs_pace_told(&engine->turns.pace, cs_class_of(request), now);
    double delay = cs_pace_delay(&engine->turns.pace, cs_class_of(request), now);
    const char *text = "the service asked to wait for longer than max_retry_wait";
    if (kind == CS_TIMEOUT) {
      text = told > 0 ? "held back: the service asked to wait, beyond its total_timeout"
             : delay > 0 ? "held back by the pace, beyond its total_timeout"
                         : "total_timeout passed before its turn came";
    }
    end(engine, request, kind, text);
    if (told > 0) request->retry_after = told;
  }
}

static void start_what_may(struct cs_engine *engine, double now) {
  while (engine->waiting.first && engine->waiting.first->due <= now)
    cs_turns_queue(&engine->turns, engine->waiting.first, now);
  struct cs_request *request;
  end_hopeless(engine, now);
  while (engine->active.count < engine->settings.max_in_flight &&
         (request = cs_turns_next(&engine->turns, &engine->active, now)))
    start(engine, request, now);
}

/* ---- The driver ---- */

static void act(struct cs_engine *engine, curl_socket_t socket, int mask) {
  int running;
  /* Errors of single transfers come as messages; the multi handle itself only fails
     without memory, and then its transfers time out. */
  (void)curl_multi_socket_action(engine->multi, socket, mask, &running);
}

static void run_timer(struct cs_engine *engine) {
  if (engine->timer < 0) return;
  if (engine->timer > 0 && engine->timer > cs_engine_now()) return;
  engine->timer = -1;
  act(engine, CURL_SOCKET_TIMEOUT, 0);
}

static void collect_ended(struct cs_engine *engine) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(engine->multi, &left))) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    CURL *handle = message->easy_handle;
    char *private = NULL;
    (void)curl_easy_getinfo(handle, CURLINFO_PRIVATE, &private); /* set at open */
    (void)curl_multi_remove_handle(engine->multi, handle);
    settle(engine, (struct cs_request *)(void *)private, (int)code);
  }
}

static void earlier(double *seconds, double other) {
  if (other < *seconds) *seconds = other > 0 ? other : 0;
}

/* How long nothing of our own is due, but at most `seconds`. */
static double quiet_time(const struct cs_engine *engine, double seconds) {
  double now = cs_engine_now();
  if (engine->timer >= 0) earlier(&seconds, engine->timer - now);
  if (engine->waiting.first) earlier(&seconds, engine->waiting.first->due - now);
  return cs_turns_quiet(&engine->turns, &engine->active, engine->settings.max_in_flight,
                        now, seconds);
}

static int curl_mask(int mask) {
  return ((mask & CS_READABLE) ? CURL_CSELECT_IN : 0) |
         ((mask & CS_WRITABLE) ? CURL_CSELECT_OUT : 0) |
         ((mask & CS_BROKEN) ? CURL_CSELECT_ERR : 0);
}

/* What a child after fork inherits is the parent's to answer; libcurl is not touched. */
static void end_in_child(struct cs_engine *engine) {
  struct cs_request *pending;
  while ((pending = any_pending(engine)))
    finish(engine, pending, CS_CLOSED, "the client belongs to another process");
}

void cs_engine_step(struct cs_engine *engine, double seconds) {
  if (cs_forked(&engine->mark)) end_in_child(engine);
  if (!cs_engine_usable(engine)) return;
  /* What was done before is the caller's knowledge, and no reason to be quick. */
  int done = engine->done.count, events = engine->events.count;
  start_what_may(engine, cs_engine_now());
  run_timer(engine);
  collect_ended(engine);
  bool news = engine->done.count > done || engine->events.count > events;
  struct cs_poller_event ready[MAX_READY];
  int n = cs_poller_wait(&engine->poller, news ? 0 : quiet_time(engine, seconds), ready,
                         MAX_READY);
  for (int i = 0; i < n; i++) act(engine, ready[i].socket, curl_mask(ready[i].mask));
  run_timer(engine);
  collect_ended(engine);
}
