/* SPDX-License-Identifier: MIT */
/*
 * Again or not, when, and why. Pure: all that a decision depends on comes in, the reason
 * goes out in words, for events and specs. What the repeat classes allow is in
 * doc comments of request.h.
 */
#ifndef CS_RETRY_H
#define CS_RETRY_H

#include <stdbool.h>

#include "request.h"

#pragma GCC visibility push(hidden)

struct cs_attempt {
  enum cs_repeat repeat;
  enum cs_outcome outcome;
  long status;        /* of an answered attempt */
  bool permanent;     /* the failure would come back */
  double retry_after; /* seconds; negative when absent or not understood */
  int attempts;       /* made so far, this one included */
  int refusals;       /* of the earlier ones; they do not count as retries */
  double pause;       /* seconds that all such requests wait now, after a refusal */
  double shut;        /* seconds since none of them has come through */
  int max_retries;
  double max_retry_wait; /* seconds */
  double remaining;      /* seconds until the call's total timeout */
  double random;         /* from 0 to 1 */
  int budget;            /* tokens left in the client's retry budget */
};

struct cs_decision {
  bool again;
  double delay;       /* seconds before the next attempt */
  bool lost;          /* this attempt may have done the work */
  bool throttled;     /* the server asked for patience; costs no budget */
  const char *reason; /* a short sentence; static storage */
};

enum { CS_RETRY_BUDGET = 500, CS_RETRY_COST = 5 };

/* Whether the server refuses for now: 429, or 503 with Retry-After. */
bool cs_retry_throttled(long status, double retry_after);

struct cs_decision cs_retry_decide(const struct cs_attempt *attempt);

/* A Retry-After header (RFC 9110 10.2.3) as seconds, decimals too; -1 when it is not a
   number. Dates are the caller's (libcurl parses them). */
double cs_retry_parse_seconds(const char *text);

#pragma GCC visibility pop

#endif
