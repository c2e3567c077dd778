/* SPDX-License-Identifier: MIT */
/*
 * The service's rules: a Lua state of its own that answers one request at a time.
 * Whoever holds a `struct sb_rules` calls it from one thread at a time. Every entry is
 * protected: no Lua error leaves this file. No HTTP library enters here.
 */
#ifndef CIPHERSCALE_SANDBOX_RULES_H
#define CIPHERSCALE_SANDBOX_RULES_H

#include "log.h"

#pragma GCC visibility push(hidden)

struct sb_rules;

struct sb_question {
  const char *method;
  const char *uri; /* as it came, with the query */
  const char *api_key;
  const char *content_type;
  const char *body;
  size_t body_size;
  bool too_large; /* the body was longer than the server keeps */
  double now;     /* seconds, monotonic */
};

/* Both blocks belong to whoever asked. */
struct sb_answer {
  int status;
  enum sb_fate fate;
  double delay; /* seconds before it is sent */
  size_t keep;  /* SB_CUT: bytes of the body that are sent */
  char *body;
  size_t body_size;
  struct sb_bytes headers; /* name NUL value NUL … */
};

/* Opens a state, loads the Lua module cipherscale.sandbox.service along the given
 * search paths and hands it `config` (JSON). On failure NULL, and *problem is a text to
 * be freed (or NULL when memory is out). */
struct sb_rules *sb_rules_new(const char *path, const char *cpath, const char *config,
                              size_t config_size, char **problem);
void sb_rules_free(struct sb_rules *rules);

/* Always gives an answer; an error in the rules becomes a 500 that quotes it. */
void sb_rules_answer(struct sb_rules *rules, const struct sb_question *question,
                     struct sb_answer *answer);
void sb_answer_release(struct sb_answer *answer);

/* Calls the service's function `name` with a text. False: `reply` holds the error's
 * text. */
bool sb_rules_control(struct sb_rules *rules, const char *name, const char *text,
                      size_t size, struct sb_bytes *reply);

#pragma GCC visibility pop

#endif
