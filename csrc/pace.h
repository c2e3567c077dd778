/* SPDX-License-Identifier: MIT */
/*
 * When the next request may start. Pure: the clock comes in, in seconds of the monotonic
 * clock. Two bounds hold: the option `rate`, for all requests, and what a class of
 * requests (reads, writes) has learned from being refused (429, or 503 with Retry-After):
 *
 *   - No start before the time that the server gave. Without one, or when refused again
 *     with nothing delivered in between, the wait grows by our own steps.
 *   - The first start after a wait is alone for a round trip.
 *   - The rate falls to a share of what was delivered lately, at most once a round trip.
 *     Answers overtake each other, so what was delivered is known only when nothing older
 *     than the refusal is still under way: until then the rate is corrected.
 *   - It climbs back to the refused rate in half a minute, and beyond it by 5 % in the
 *     first minute, faster in each further one (the shape of CUBIC, RFC 9438). Slow rates
 *     climb by starts, not by seconds. Refused below it, the refused rate sinks, but by
 *     half at most.
 *   - What a burst delivered proves little (a window's share, or a bucket's store?). Such
 *     a rate is doubled quickly until a refusal tells the real one: the share of a
 *     window, or what a bucket was refilled by in that time.
 *   - Before the first refusal few are under way at once, and more the more were
 *     delivered: those on their way when the limit is met are refused as well. The room
 *     also doubles by the tenth of a second, and has no bound after 0.6 s: calls that
 *     are slow must not hold up others for long.
 *
 * A class that was never refused costs nothing but a count of what was delivered.
 */
#ifndef CS_PACE_H
#define CS_PACE_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum cs_class { CS_READS, CS_WRITES, CS_CLASSES };

enum { CS_PACE_SLOTS = 64 };

/* What was delivered lately, counted in slots of a fraction of a second, or of one
   delivery where they are rarer. */
struct cs_pace_history {
  double begun[CS_PACE_SLOTS];
  int count[CS_PACE_SLOTS];
  int newest, used;
  double last; /* when the newest was */
};

/* What held when we were refused: late answers let the new rate be found again. */
struct cs_pace_fall {
  double rate, ceiling;
  bool proved;
  double closed; /* how long the server surely stays closed */
  bool exact;    /* and not longer */
};

struct cs_pace_limit {
  double low,
    ceiling;         /* starts a second: after the fall, and when refused; 0: no limit */
  double since;      /* when the climb from `low` begins: the end of the wait */
  bool proved;       /* the refused rate was kept for a while, not seen in a burst */
  double next;       /* the earliest next start */
  double told;       /* no start before that, said the server */
  double fell;       /* when we were refused; older attempts only tell what came before */
  double shut;       /* when we were refused without a delivery since */
  double closure;    /* how long nothing came through at that time, or is expected to */
  int in_a_row;      /* refusals, each after a wait, without a delivery */
  double round_trip; /* how long the last refusal was under way */
  bool alone;        /* the next start is the first after a wait */
  bool refused;      /* nothing was delivered since, and the history is that before */
  struct cs_pace_fall fall;
  int burst; /* delivered before the first refusal, and in how many seconds; 0: unknown */
  double burst_time;
  int64_t all;           /* delivered in all before it */
  double begun, started; /* the first start after a rest, and the last one */
  struct cs_pace_history history;
};

struct cs_pace {
  double rate; /* starts a second, of all classes; 0 for no bound */
  double next; /* the earliest next start under it */
  struct cs_pace_limit limits[CS_CLASSES];
};

void cs_pace_init(struct cs_pace *pace, double rate);

/* Seconds until a start is allowed; 0 when it is allowed now. */
double cs_pace_delay(const struct cs_pace *pace, enum cs_class class, double now);

/* How many of the class may be under way at once. */
int cs_pace_room(const struct cs_pace *pace, enum cs_class class, double now);

/* Seconds until there is more room although nothing is delivered; very many for never. */
double cs_pace_cramped(const struct cs_pace *pace, enum cs_class class, double now);

/* Notes a start. */
void cs_pace_start(struct cs_pace *pace, enum cs_class class, double now);

/* Notes an answer that is no refusal, to an attempt that was started then. */
void cs_pace_delivered(struct cs_pace *pace, enum cs_class class, double started,
                       double now);

struct cs_refusal {
  double started;     /* when the attempt was */
  double retry_after; /* seconds; negative when absent or not understood */
  double longest;     /* seconds that the request would wait for */
  double random;      /* from 0 to 1 */
};

/* Notes a refusal; true when the rate has fallen. */
bool cs_pace_refused(struct cs_pace *pace, enum cs_class class,
                     const struct cs_refusal *refusal, double now);

/* Seconds until the wait after a refusal is over. */
double cs_pace_pause(const struct cs_pace *pace, enum cs_class class, double now);

/* Seconds since the first refusal with nothing delivered after it; 0 for none. */
double cs_pace_shut(const struct cs_pace *pace, enum cs_class class, double now);

/* Seconds until the time that the server gave; 0 when it is over. */
double cs_pace_told(const struct cs_pace *pace, enum cs_class class, double now);

/* What the class has learned, in starts a second; 0 when it is not limited. */
double cs_pace_rate(const struct cs_pace *pace, enum cs_class class, double now);

#pragma GCC visibility pop

#endif
