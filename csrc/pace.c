/* SPDX-License-Identifier: MIT */
/* See pace.h. */
#include "pace.h"

#include <float.h>
#include <limits.h>

/* Sleeps end up to some milliseconds late; that much may be caught up, or a high rate
   would never be reached. */
static const double catch_up = 0.005;

/* Tuned by spec/pace_limits_spec.lua. A refusal costs a wait, and a low share costs time
   for half a minute; a high one does not bring more refusals. */
static const double share = 0.95; /* of the refused rate, after a fall */
static const double lowest = 1.0 / 30, highest = 1e9; /* starts a second */
static const double climb = 30, minute = 60; /* seconds to the refused rate, and beyond */
static const double beyond = 0.05; /* of the refused rate, in the first minute */
static const double slowly = 2; /* starts at least, for what counts as a second there */
static const double moment = 0.08; /* of a closure: what shorter times tell is chance */
static const int large = 150;      /* deliveries: a burst of that many is no mere store */
static const double rounding = 2; /* seconds that a whole number, or a date, may be off */
static const double wait_base = 0.5, wait_cap = 16; /* seconds of our own */
static const double shortest_window = 1;            /* seconds: few limit by less */
static const double longest_told = 3600;            /* seconds, where nobody would wait */
/* Under way at once before the first refusal: so many, and one more for each delivery
   after the first ones. A large first burst would overrun small limits most. Slow answers
   are no sign of a limit: while calls go on the room is doubled step by step, too. */
static const int first_room = 8, first_ones = 20;
static const int room_steps = 5;     /* so often, then there is room for all */
static const double room_step = 0.1; /* seconds; the first one takes twice as long */

static double least(double a, double b) { return a < b ? a : b; }
static double most(double a, double b) { return a > b ? a : b; }

void cs_pace_init(struct cs_pace *pace, double rate) {
  *pace = (struct cs_pace){.rate = rate};
  for (int i = 0; i < CS_CLASSES; i++) {
    struct cs_pace_limit *limit = &pace->limits[i];
    limit->fell = limit->started = -DBL_MAX;
    limit->begun = DBL_MAX;
  }
}

/* ---- What was delivered ---- */

static void note(struct cs_pace_history *history, double now, double slot) {
  int i = history->newest;
  history->last = now;
  if (history->used > 0 && now - history->begun[i] < slot) {
    history->count[i]++;
    return;
  }
  i = (i + 1) % CS_PACE_SLOTS;
  history->begun[i] = now;
  history->count[i] = 1;
  history->newest = i;
  if (history->used < CS_PACE_SLOTS) history->used++;
}

static int slot_of(const struct cs_pace_history *history, int age) {
  return (history->newest + CS_PACE_SLOTS - age) % CS_PACE_SLOTS;
}

static int delivered(const struct cs_pace_history *history) {
  int sum = 0;
  for (int i = 0; i < history->used; i++) sum += history->count[slot_of(history, i)];
  return sum;
}

static double window_of(const struct cs_pace_limit *limit) {
  return most(limit->closure, shortest_window);
}

/* Deliveries a second in the best stretch up to the refusal. For a window it counts as no
   shorter than that, and the seconds belong to it that the server stays closed. A bucket
   is refilled at least by what a stretch had more than the burst that emptied it. */
static double measure(const struct cs_pace_limit *limit) {
  const struct cs_pace_history *history = &limit->history;
  const struct cs_pace_fall *fall = &limit->fall;
  double shortest = most(limit->closure, fall->exact ? fall->closed : shortest_window);
  double end = most(limit->shut, history->last);
  double best = 0, sum = 0;
  for (int i = 0; i < history->used; i++) {
    double begun = history->begun[slot_of(history, i)];
    sum += history->count[slot_of(history, i)];
    double time = most(end, limit->shut + fall->closed) - begun;
    best = most(best, sum / most(shortest, time));
    double more = end - begun - limit->burst_time;
    if (fall->rate > 0 && limit->burst > 0 && more > moment * window_of(limit))
      best = most(best, (sum - limit->burst) / more);
  }
  return best;
}

/* ---- The rate ---- */

/* No exp2: that would need the host to be linked with libm. Straight between powers. */
static double doubled(double value, double times) {
  while (times >= 1 && value < highest) {
    value += value;
    times -= 1;
  }
  return value * (1 + least(times, 1));
}

static double rate_of(const struct cs_pace_limit *limit, double now) {
  if (limit->ceiling <= 0) return 0;
  double t = most(now - limit->since, 0);
  if (!limit->proved) {
    double step = most(moment * window_of(limit), 1 / limit->low);
    return doubled(limit->low, t / most(step, limit->burst_time));
  }
  double unit = most(1, slowly / limit->ceiling);
  t /= unit;
  if (t < climb) {
    double left = 1 - t / climb;
    return limit->ceiling - (limit->ceiling - limit->low) * left * left * left;
  }
  t = (t - climb) / minute;
  return limit->ceiling * (1 + beyond * t * t * t);
}

double cs_pace_rate(const struct cs_pace *pace, enum cs_class class, double now) {
  return rate_of(&pace->limits[class], now);
}

double cs_pace_pause(const struct cs_pace *pace, enum cs_class class, double now) {
  return most(pace->limits[class].since - now, 0);
}

double cs_pace_shut(const struct cs_pace *pace, enum cs_class class, double now) {
  const struct cs_pace_limit *limit = &pace->limits[class];
  return limit->refused ? now - limit->shut : 0;
}

double cs_pace_told(const struct cs_pace *pace, enum cs_class class, double now) {
  return most(pace->limits[class].told - now, 0);
}

double cs_pace_delay(const struct cs_pace *pace, enum cs_class class, double now) {
  double until = pace->limits[class].next;
  if (pace->rate > 0) until = most(until, pace->next);
  return until > now ? until - now : 0;
}

/* The room, and when it grows by itself. */
static int room_of(const struct cs_pace_limit *limit, double now, double *grows) {
  *grows = DBL_MAX;
  if (limit->fell >= 0 || limit->ceiling > 0) return INT_MAX;
  double room = first_room;
  for (int step = 1; step <= room_steps; step++) {
    *grows = limit->begun + (1 + step) * room_step;
    if (*grows > now)
      return (int)least(room + most((double)(limit->all - first_ones), 0), INT_MAX);
    room += room;
  }
  *grows = DBL_MAX;
  return INT_MAX;
}

int cs_pace_room(const struct cs_pace *pace, enum cs_class class, double now) {
  double grows;
  return room_of(&pace->limits[class], now, &grows);
}

double cs_pace_cramped(const struct cs_pace *pace, enum cs_class class, double now) {
  double grows;
  (void)room_of(&pace->limits[class], now, &grows);
  return grows - now;
}

static void space(double *next, double now, double gap) {
  *next = most(*next, now - catch_up) + gap;
}

void cs_pace_start(struct cs_pace *pace, enum cs_class class, double now) {
  struct cs_pace_limit *limit = &pace->limits[class];
  if (now - limit->started >= (1 + room_steps) * room_step) limit->begun = now;
  limit->started = now;
  if (pace->rate > 0) space(&pace->next, now, 1 / pace->rate);
  double rate = rate_of(limit, now);
  if (rate > 0) space(&limit->next, now, 1 / rate);
  if (limit->alone) limit->next = most(limit->next, now + 2 * limit->round_trip);
  limit->alone = false;
}

/* ---- Refusals ---- */

static void wait_until(struct cs_pace_limit *limit, double time) {
  limit->next = limit->since = most(limit->next, time);
  limit->alone = true;
}

/* How long we wait: what the server said, or twice as long as before when that was too
   short; our own steps when it said nothing. */
static double wait_of(const struct cs_pace_limit *limit, const struct cs_refusal *refusal,
                      double said) {
  double gap = limit->low > 0 ? 1 / limit->low : 0;
  double wait = doubled(said > 0 ? said : most(wait_base, gap), limit->in_a_row);
  if (said <= 0) return least(wait, wait_cap) * (1 + refusal->random) / 2;
  return most(said, least(wait, least(wait_cap, refusal->longest)));
}

/* The new rate, from what was delivered between the last fall and this one. */
static void fall(struct cs_pace_limit *limit) {
  const struct cs_pace_history *history = &limit->history;
  const struct cs_pace_fall *before = &limit->fall;
  int count = delivered(history);
  if (before->rate <= 0) {
    double begun = history->begun[slot_of(history, history->used - 1)];
    limit->burst = count;
    limit->burst_time = most(limit->shut, history->last) - begun;
  }
  double rate = measure(limit);
  if (before->proved) rate = most(rate, before->rate / 2);
  if (before->rate > 0) rate = least(rate, before->rate);
  limit->proved = before->rate > 0 || count >= large;
  /* Refused below what was refused before: there is less to have than we think. */
  if (limit->proved && rate < before->ceiling) rate *= (1 + share) / 2;
  limit->ceiling = most(rate, lowest);
  limit->low = most(rate * share, lowest);
}

/* The first delivery after a refusal: that is how long nothing came through. Without a
   time from the server it was open somewhere between our last two attempts. */
static void reopen(struct cs_pace_limit *limit, double started) {
  double open = limit->told > limit->fell ? started : (limit->fell + started) / 2;
  double closed = limit->fall.closed;
  if (!limit->fall.exact) closed = most(closed, shortest_window);
  limit->closure = most(limit->closure, most(closed, open - limit->shut));
  limit->history.used = 0;
  limit->refused = false;
}

void cs_pace_delivered(struct cs_pace *pace, enum cs_class class, double started,
                       double now) {
  struct cs_pace_limit *limit = &pace->limits[class];
  bool late = started < limit->fell;
  if (late && !(limit->refused && started < limit->shut)) return;
  if (!late && limit->refused) reopen(limit, started);
  note(&limit->history, now, 2 * window_of(limit) / CS_PACE_SLOTS);
  if (late) fall(limit);
  limit->all++;
}

/* A number of whole seconds was rounded up; another one is exact. */
static void remember(struct cs_pace_limit *limit, double said, double now) {
  bool exact = said > 0 && said != (double)(long)said;
  limit->fall = (struct cs_pace_fall){
    .rate = rate_of(limit, now),
    .ceiling = limit->ceiling,
    .proved = limit->proved,
    .closed = exact ? said : most(said - rounding, 0),
    .exact = exact,
  };
}

bool cs_pace_refused(struct cs_pace *pace, enum cs_class class,
                     const struct cs_refusal *refusal, double now) {
  struct cs_pace_limit *limit = &pace->limits[class];
  double said = most(refusal->retry_after, 0);
  said = least(said, most(refusal->longest, longest_told));
  limit->told = most(limit->told, now + said);
  if (refusal->started < limit->fell) {
    if (said > 0) wait_until(limit, now + said);
    return false;
  }
  bool first = !limit->refused, falls = first && limit->history.used > 0;
  limit->in_a_row = first ? 0 : limit->in_a_row + 1;
  limit->refused = true;
  limit->fell = now;
  if (first) {
    limit->shut = now;
    remember(limit, said, now);
  }
  if (falls) fall(limit);
  limit->round_trip = least(now - refusal->started, 1);
  wait_until(limit, now + wait_of(limit, refusal, said));
  return falls;
}
