/* SPDX-License-Identifier: MIT */
/* See retry.h. */
#include "retry.h"

#include <stddef.h>

static const double rounding = 1e-6; /* seconds: sums of times are not exact */
static const double backoff_base = 0.5, backoff_cap = 8.0; /* seconds */

/* Full jitter: a uniform share of the exponential step, so that many clients that failed
   together do not come back together. */
static double backoff(const struct cs_attempt *attempt) {
  double step = backoff_base;
  int counted = attempt->attempts - attempt->refusals;
  for (int i = 1; i < counted && step < backoff_cap; i++) step += step;
  if (step > backoff_cap) step = backoff_cap;
  return step * attempt->random;
}

static struct cs_decision stop(const char *reason) {
  return (struct cs_decision){.reason = reason};
}

bool cs_retry_throttled(long status, double retry_after) {
  return status == 429 || (status == 503 && retry_after >= 0);
}

static struct cs_decision decide_status(const struct cs_attempt *attempt) {
  if (cs_retry_throttled(attempt->status, attempt->retry_after)) {
    bool asked = attempt->retry_after >= 0;
    return (struct cs_decision){.again = true,
                                .throttled = true,
                                .reason = asked ? "the server asked to wait"
                                                : "the server limits the rate"};
  }
  switch (attempt->status) {
  case 408:
  case 500:
  case 502:
  case 503:
  case 504:
    break;
  default:
    if (attempt->status < 300) return stop("done");
    return stop("the answer is final");
  }
  return (struct cs_decision){.again = true, .lost = true, .reason = "the server failed"};
}

static struct cs_decision decide_outcome(const struct cs_attempt *attempt) {
  switch (attempt->outcome) {
  case CS_ANSWERED:
    return decide_status(attempt);
  case CS_NOT_SENT:
    return (struct cs_decision){.again = true, .reason = "nothing was sent"};
  case CS_STALE:
    return (struct cs_decision){
      .again = true, .lost = true, .reason = "a kept connection was dead"};
  case CS_LOST:
    break;
  }
  return (struct cs_decision){.again = true, .lost = true, .reason = "no answer"};
}

/* Keeps what is known about the attempt, but makes no other. */
static struct cs_decision forbid(struct cs_decision decision, const char *reason) {
  decision.again = false;
  decision.delay = 0;
  decision.reason = reason;
  return decision;
}

struct cs_decision cs_retry_decide(const struct cs_attempt *attempt) {
  struct cs_decision decision = decide_outcome(attempt);
  if (attempt->repeat == CS_READ) decision.lost = false;
  if (!decision.again) return decision;
  if (attempt->permanent) return forbid(decision, "the same would happen again");
  if (decision.lost && attempt->repeat == CS_ONCE)
    return forbid(decision, "it may have been done, and must not be done twice");
  int counted = decision.throttled ? 1 : attempt->attempts - attempt->refusals;
  if (counted > attempt->max_retries) return forbid(decision, "max_retries reached");
  if (!decision.throttled && attempt->budget < CS_RETRY_COST)
    return forbid(decision, "the retry budget is spent");

  if (decision.throttled && attempt->retry_after > 0) {
    decision.delay = attempt->retry_after;
    if (decision.delay > attempt->max_retry_wait)
      return forbid(decision, "the server asks for more than max_retry_wait");
  } else if (attempt->outcome != CS_STALE) {
    decision.delay = backoff(attempt);
  }
  if (decision.throttled && decision.delay < attempt->pause)
    decision.delay = attempt->pause;
  if (decision.throttled &&
      attempt->shut + decision.delay > attempt->max_retry_wait + rounding)
    return forbid(decision, "refused for longer than max_retry_wait");
  if (decision.delay >= attempt->remaining)
    return forbid(decision, "total_timeout would pass first");
  return decision;
}

/* Not strtod: that follows the process's locale. */
double cs_retry_parse_seconds(const char *text) {
  double value = 0, scale = 1;
  size_t digits = 0;
  const char *p = text;
  while (*p == ' ' || *p == '\t') p++;
  for (; *p >= '0' && *p <= '9'; p++, digits++) value = value * 10 + (*p - '0');
  if (*p == '.') {
    for (p++; *p >= '0' && *p <= '9'; p++, digits++) {
      scale /= 10;
      value += (*p - '0') * scale;
    }
  }
  while (*p == ' ' || *p == '\t') p++;
  if (*p != '\0' || digits == 0) return -1;
  return value;
}
