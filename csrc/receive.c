/* SPDX-License-Identifier: MIT */
/* See receive.h. */
#define _POSIX_C_SOURCE 200809L /* strncasecmp */
#include "receive.h"

#include <string.h>
#include <strings.h>

#include "request.h"

static size_t keep(struct cs_request *request, struct cs_buffer *buffer,
                   const char *bytes, size_t n) {
  request->overflow = cs_buffer_append(buffer, bytes, n);
  return request->overflow == CS_OK ? n : 0;
}

size_t cs_receive_body(char *bytes, size_t size, size_t n, void *request_) {
  struct cs_request *request = request_;
  (void)size; /* always 1 */
  /* Noted here, since a body that is too large is not kept. White space includes the
     byte order mark. */
  for (size_t i = 0; i < n && !request->first_visible; i++) {
    if (!strchr(" \t\r\n\f\v\xEF\xBB\xBF", bytes[i])) request->first_visible = bytes[i];
  }
  /* An error's body is kept as far as it fits: it says what is wrong. */
  bool error = request->status < 200 || request->status >= 300;
  size_t limit = error ? request->answer.limit : request->max_answer;
  size_t room = limit - request->answer.length;
  if (n <= room) return keep(request, &request->answer, bytes, n);
  if (error) {
    (void)keep(request, &request->answer, bytes, room);
  } else {
    cs_buffer_free(&request->answer);
  }
  request->overflow = CS_TOO_LARGE;
  return 0;
}

static void note_retry_after(struct cs_request *request, const char *line, size_t n) {
  static const char name[] = "retry-after:";
  size_t skip = sizeof name - 1;
  if (n < skip || strncasecmp(line, name, skip) != 0) return;
  while (skip < n && line[skip] == ' ') skip++;
  while (n > skip && (line[n - 1] == '\r' || line[n - 1] == '\n' || line[n - 1] == ' '))
    n--;
  size_t length = n - skip;
  if (length >= sizeof request->retry_after_text) return; /* no date is that long */
  memcpy(request->retry_after_text, line + skip, length);
  request->retry_after_text[length] = '\0';
}

/* A status line begins a new head: an interim answer (1xx) is forgotten by it. */
static void begin_head(struct cs_request *request, const char *line, size_t n) {
  cs_buffer_clear(&request->head);
  request->retry_after_text[0] = '\0';
  request->head_complete = false;
  request->second_line = true;
  request->status = 0;
  const char *p = memchr(line, ' ', n);
  for (int i = 0; p && i < 3 && p + 1 + i < line + n; i++) {
    char digit = p[1 + i];
    if (digit < '0' || digit > '9') break;
    request->status = request->status * 10 + (digit - '0');
  }
}

size_t cs_receive_line(char *line, size_t size, size_t n, void *request_) {
  struct cs_request *request = request_;
  (void)size;
  if (request->head_complete && !(n > 5 && memcmp(line, "HTTP/", 5) == 0)) {
    return n; /* a trailer */
  }
  if (n > 5 && memcmp(line, "HTTP/", 5) == 0) begin_head(request, line, n);
  if (line[0] == '\r' || line[0] == '\n') {
    request->head_complete = request->status >= 200;
    return n;
  }
  note_retry_after(request, line, n);
  return keep(request, &request->head, line, n);
}

size_t cs_receive_any(char *bytes, size_t size, size_t n, void *request_) {
  struct cs_request *request = request_;
  if (request->head_complete) return cs_receive_body(bytes, size, n, request_);
  if (request->second_line) {
    if (bytes[0] == ' ' || bytes[0] == '\t') {
      request->overflow = CS_INVALID;
      return 0;
    }
    request->second_line = false; /* at once: the rest of a long line comes here, too */
  }
  return n;
}
