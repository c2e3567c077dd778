/* SPDX-License-Identifier: MIT */
/*
 * One request, from the call to its answer: what to send, what came back, how it ended.
 * The engine owns every request; the caller writes the first part between take and
 * submit, transport.c and engine.c write the rest. Times are seconds of the monotonic
 * clock. Plain data: no libcurl type and no Lua type enters here.
 */
#ifndef CS_REQUEST_H
#define CS_REQUEST_H

#include <stdbool.h>

#include "buffer.h"

enum cs_verb { CS_GET, CS_POST, CS_PUT, CS_PATCH, CS_DELETE, CS_HEAD };

static inline const char *cs_verb_name(enum cs_verb verb) {
  static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
  return names[verb];
}

/* What a repeat of the same request does at the service. */
enum cs_repeat {
  CS_READ,       /* changes nothing */
  CS_REPEATABLE, /* leaves the same state, once or twice */
  CS_ONCE        /* does something again: an e-mail goes out, a thing is created */
};

enum cs_kind {
  CS_NO_FAILURE,
  CS_NETWORK,
  CS_TIMEOUT,
  CS_TLS,
  CS_HTTP,
  CS_DECODE,
  CS_TOO_LARGE_ANSWER,
  CS_CANCELLED,
  CS_CLOSED,
  CS_REFUSED,
  CS_JOURNAL
};

/* How one attempt ended on the wire. */
enum cs_outcome {
  CS_ANSWERED, /* a final status line and its headers arrived */
  CS_NOT_SENT, /* libcurl never began to send: the service has seen nothing */
  CS_LOST,     /* sent, no usable answer */
  CS_STALE     /* sent on a kept connection that turned out to be dead */
};

struct cs_failure {
  enum cs_kind kind;
  bool permanent; /* the same attempt would fail again: a certificate, a size */
  char text[256];
};

struct cs_request {
  /* What to send. */
  enum cs_verb verb;
  enum cs_repeat repeat;
  int settled;         /* the status that means "already so" to a repeat; 0 for none */
  const void *waiter;  /* the scheduler's task that waits for it, or NULL */
  bool awaited;        /* a blocking call waits for it: it is not the scheduler's */
  bool keeps_response; /* binding.c holds a table for it while it is parked */
  bool silent;         /* no events are recorded: the call was made by on_event itself */
  int operation;       /* the caller's number for it, handed on in events */
  struct cs_buffer url;
  struct cs_buffer body;
  bool has_body;
  bool as_page; /* a page is asked for where the row promises the whole list */
  double timeout, total_timeout, max_retry_wait;
  int max_retries;

  /* This attempt. */
  bool sent;      /* libcurl was about to send, or more */
  bool restarted; /* libcurl wanted to send a second time; we forbade it */
  long status;
  bool head_complete, cut; /* cut: the transfer failed, perhaps within the body */
  bool second_line;        /* the status line has been read, and nothing behind it */
  struct cs_buffer head;   /* raw header lines of the final answer */
  struct cs_buffer answer; /* decompressed body */
  char first_visible;      /* the body's first character that is not white space, or 0 */
  size_t max_answer;       /* bytes of a 2xx body; others may fill the buffer */
  enum cs_status overflow; /* why the answer could not be kept */
  char retry_after_text[64];
  char error_text[256]; /* libcurl's own words */
  double attempt_started;

  /* The call. */
  int attempts;
  int refusals;   /* attempts that were answered 429, or 503 with Retry-After */
  bool lost;      /* some attempt may have done the work without our seeing it */
  bool repeated;  /* success, because a repeat met the settled status */
  bool truncated; /* a change was answered 2xx, but not to the end */
  bool ambiguous;
  double submitted, due, elapsed;
  double deadline;    /* of the call */
  double retry_after; /* seconds the server asked for; negative when it did not */
  struct cs_failure failure;

  /* The engine's and the transport's. */
  void *handle, *parsed_url;
  bool used;      /* the handle has served an attempt */
  int configured; /* verb and body that the handle is set up for; -1 at first */
  double configured_timeout;
  bool configured_fresh;
  bool fresh; /* the next attempt opens a connection: a kept one has just failed */
  struct cs_list *list;
  struct cs_request *previous, *next;
};

struct cs_list {
  struct cs_request *first, *last;
  int count;
};

#endif
