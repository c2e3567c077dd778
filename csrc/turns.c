/* SPDX-License-Identifier: MIT */
/* See turns.h. */
#include "turns.h"

#include <stddef.h>

#include "list.h"
#include "retry.h"

static const double rounding = 1e-6; /* seconds: sums of times are not exact */

void cs_turns_queue(struct cs_turns *turns, struct cs_request *request, double now) {
  struct cs_list *list = &turns->queued[cs_class_of(request)];
  struct cs_request *next = NULL;
  if (request->attempts == 0) request->deadline = now + request->total_timeout;
  if (list->last && list->last->submitted > request->submitted) {
    next = list->first;
    while (next->submitted <= request->submitted) next = next->next;
  }
  cs_list_move_before(list, next, request);
}

/* Whether one more of the class may be under way. Counted only until it has shown that
   much may be. */
static bool has_room(const struct cs_turns *turns, const struct cs_list *active,
                     enum cs_class class, double now) {
  int room = cs_pace_room(&turns->pace, class, now);
  if (active->count < room) return true;
  for (const struct cs_request *request = active->first; request; request = request->next)
    room -= cs_class_of(request) == class;
  return room > 0;
}

struct cs_request *cs_turns_next(const struct cs_turns *turns,
                                 const struct cs_list *active, double now) {
  struct cs_request *best = NULL;
  for (int i = 0; i < CS_CLASSES; i++) {
    enum cs_class class = (enum cs_class)i;
    struct cs_request *request = turns->queued[class].first;
    if (!request || (best && best->submitted <= request->submitted)) continue;
    if (cs_pace_delay(&turns->pace, class, now) <= 0 &&
        has_room(turns, active, class, now))
      best = request;
  }
  return best;
}

void cs_turns_start(struct cs_turns *turns, struct cs_request *request, double now) {
  cs_pace_start(&turns->pace, cs_class_of(request), now);
}

double cs_turns_answered(struct cs_turns *turns, const struct cs_request *request,
                         double now, double random) {
  enum cs_class class = cs_class_of(request);
  if (!cs_retry_throttled(request->status, request->retry_after)) {
    cs_pace_delivered(&turns->pace, class, request->attempt_started, now);
    return 0;
  }
  struct cs_refusal refusal = {
    .started = request->attempt_started,
    .retry_after = request->retry_after,
    .longest = request->max_retry_wait,
    .random = random,
  };
  bool slowed = cs_pace_refused(&turns->pace, class, &refusal, now);
  return slowed ? cs_pace_rate(&turns->pace, class, now) : 0;
}

struct cs_request *cs_turns_hopeless(const struct cs_turns *turns, double now,
                                     enum cs_kind *kind) {
  for (int class = 0; class < CS_CLASSES; class ++) {
    struct cs_request *request = turns->queued[class].first;
    if (!request) continue;
    double told = cs_pace_told(&turns->pace, (enum cs_class) class, now);
    double start = now + cs_pace_delay(&turns->pace, (enum cs_class) class, now);
    for (; request; request = request->next) {
      *kind = told > request->max_retry_wait + rounding ? CS_REFUSED : CS_TIMEOUT;
      if (*kind == CS_REFUSED || request->deadline <= start) return request;
    }
  }
  return NULL;
}

double cs_turns_quiet(const struct cs_turns *turns, const struct cs_list *active,
                      int max_in_flight, double now, double seconds) {
  for (int i = 0; i < CS_CLASSES; i++) {
    enum cs_class class = (enum cs_class)i;
    const struct cs_request *request = turns->queued[class].first;
    if (!request) continue;
    double delay = cs_pace_delay(&turns->pace, class, now);
    double cramped = cs_pace_cramped(&turns->pace, class, now);
    if (delay < cramped && !has_room(turns, active, class, now)) delay = cramped;
    if (active->count < max_in_flight && delay < seconds) seconds = delay;
    for (; request; request = request->next)
      if (request->deadline - now < seconds) seconds = request->deadline - now;
  }
  return seconds > 0 ? seconds : 0;
}
