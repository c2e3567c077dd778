/* SPDX-License-Identifier: MIT */
/* See events.h. */
#include "events.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_EVENTS = 1024 };

enum cs_status cs_events_open(struct cs_events *events) {
  events->ring = calloc(MAX_EVENTS, sizeof *events->ring);
  return events->ring ? CS_OK : CS_NO_MEMORY;
}

void cs_events_close(struct cs_events *events) {
  free(events->ring);
  *events = (struct cs_events){.ring = NULL};
}

/* The slot of a new event. */
static struct cs_event *add(struct cs_events *events) {
  if (events->count == MAX_EVENTS) {
    events->first = (events->first + 1) % MAX_EVENTS;
    events->count--;
  }
  return &events->ring[(events->first + events->count++) % MAX_EVENTS];
}

void cs_events_record(struct cs_events *events, const struct cs_request *request,
                      double elapsed, const struct cs_decision *decision, double slowed) {
  if (!events->ring || request->silent) return;
  struct cs_event *event = add(events);
  *event = (struct cs_event){
    .operation = request->operation,
    .status = request->head_complete ? request->status : 0,
    .kind = request->failure.kind,
    .attempt = request->attempts,
    .elapsed = elapsed,
    .again = decision->again,
    .delay = decision->delay,
  };
  char *reason = event->reason;
  size_t room = sizeof event->reason;
  if (slowed <= 0) {
    (void)snprintf(reason, room, "%s", decision->reason);
    return;
  }
  const char *class = request->repeat == CS_READ ? "reads" : "writes";
  bool rare = slowed < 1;
  int n = snprintf(reason, room, "%ld: %s slowed to %.3g a %s", request->status, class,
                   rare ? slowed * 60 : slowed, rare ? "minute" : "second");
  if (!decision->again && n > 0 && (size_t)n < room)
    (void)snprintf(reason + n, room - (size_t)n, "; %s", decision->reason);
}

bool cs_events_next(struct cs_events *events, struct cs_event *event) {
  if (events->count == 0) return false;
  *event = events->ring[events->first];
  events->first = (events->first + 1) % MAX_EVENTS;
  events->count--;
  return true;
}
