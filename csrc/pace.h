/* SPDX-License-Identifier: MIT */
/*
 * When the next request may start. Pure: the clock comes in. Holds the upper bound that
 * the option `rate` sets; times are seconds of the monotonic clock.
 */
#ifndef CS_PACE_H
#define CS_PACE_H

#pragma GCC visibility push(hidden)

struct cs_pace {
  double rate; /* starts a second; 0 for no bound */
  double next; /* the earliest next start */
};

void cs_pace_init(struct cs_pace *pace, double rate);

/* Seconds until a start is allowed; 0 when it is allowed now. */
double cs_pace_delay(const struct cs_pace *pace, double now);

/* Notes a start. */
void cs_pace_start(struct cs_pace *pace, double now);

#pragma GCC visibility pop

#endif
