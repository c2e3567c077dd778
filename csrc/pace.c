/* SPDX-License-Identifier: MIT */
/* See pace.h. */
#include "pace.h"

/* Sleeps end up to some milliseconds late; that much may be caught up, or a high rate
   would never be reached. */
static const double catch_up = 0.005;

void cs_pace_init(struct cs_pace *pace, double rate) {
  pace->rate = rate;
  pace->next = 0;
}

double cs_pace_delay(const struct cs_pace *pace, double now) {
  if (pace->rate <= 0 || pace->next <= now) return 0;
  return pace->next - now;
}

void cs_pace_start(struct cs_pace *pace, double now) {
  if (pace->rate <= 0) return;
  double from = pace->next > now - catch_up ? pace->next : now - catch_up;
  pace->next = from + 1 / pace->rate;
}
