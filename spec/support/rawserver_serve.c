/* SPDX-License-Identifier: MIT */
/* The thread of the scripted server: one epoll loop that serves every connection at once.
   Connections belong to the thread; what others see goes through rs_publish and
   rs_count_connection. No Lua here. */
#define _GNU_SOURCE
#include "rawserver.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_REQUEST = 64 << 20, READ_SIZE = 64 << 10, EVENTS = 64 };

/* What a connection does next. LINGER: everything was said, the peer still sends. */
enum phase { HEAD, BODY, WAIT, SEND, END, DRAIN, LINGER };

struct connection {
  struct connection *next;
  int fd;
  size_t number, served;
  enum phase phase;
  bool dead, writing; /* writing: epoll watches for room to write */
  double due;         /* when the phase goes on; 0: not a matter of time */
  char *in;           /* what was received and not yet consumed */
  size_t size, capacity;
  size_t head_size, body_start; /* of the current request, within `in` */
  size_t parsed;                /* how far the body was read */
  bool chunked, body_done;
  size_t body_size; /* Content-Length, or the decoded bytes so far */
  char *decoded;    /* a chunked body */
  const struct rs_answer *answer;
  size_t answer_number, sent, drip_left;
};

static const struct rs_answer dropped = {.action = RS_DROP};
static const struct rs_answer torn = {.action = RS_RESET};
static char exhausted_text[] =
  "HTTP/1.1 501 Not Implemented\r\nContent-Length: 23\r\n\r\n"
  "no scripted answer left";
static const struct rs_answer exhausted = {
  .pieces = {{exhausted_text, sizeof exhausted_text - 1, 1}}, .limit = SIZE_MAX};
static char malformed_text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 17\r\n\r\n"
                               "malformed request";
static const struct rs_answer malformed = {
  .pieces = {{malformed_text, sizeof malformed_text - 1, 1}},
  .limit = SIZE_MAX,
  .ending = RS_CLOSE};

/* ── what others may see ── */

static void publish(struct rs_server *s, const struct connection *c) {
  struct rs_record *r = rs_need(calloc(1, sizeof *r));
  const char *body = c->chunked ? c->decoded : c->in + c->body_start;
  r->head = rs_copy(c->in, r->head_size = c->head_size);
  r->body = rs_copy(body, r->body_size = c->body_done ? c->body_size : 0);
  r->connection = c->number;
  r->answer = c->answer_number;
  rs_publish(s, r);
}

static void hang_up(struct rs_server *s, struct connection *c, bool reset) {
  if (reset) {
    struct linger at_once = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  /* Closing is not enough: a child between fork and exec keeps the socket open, and epoll
     would go on to report it. */
  epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->fd, NULL);
  close(c->fd);
  c->dead = true;
  rs_count_connection(s, -1);
}

/* ── reading a request ── */

/* The value of a header of the current request; NULL if it is not there. */
static const char *header(const struct connection *c, const char *name) {
  size_t length = strlen(name);
  const char *end = c->in + c->head_size - 2;
  const char *line = memmem(c->in, c->head_size, "\r\n", 2);
  for (; line && line < end; line = memmem(line, (size_t)(end + 2 - line), "\r\n", 2)) {
    line += 2;
    if ((size_t)(end - line) > length && strncasecmp(line, name, length) == 0 &&
        line[length] == ':')
      return line + length + 1 + strspn(line + length + 1, " \t");
  }
  return NULL;
}

/* A non-negative number that a line ends with; SIZE_MAX for anything else. */
static size_t number(const char *text, int base) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, base);
  bool whole = isxdigit((unsigned char)*text) &&
               (*end == '\r' || *end == ' ' || (base == 16 && *end == ';'));
  return whole && errno == 0 && value <= MAX_REQUEST ? value : SIZE_MAX;
}

/* Finds the head of the next request; false: not all there yet. */
static bool read_head(struct connection *c, bool *good) {
  const char *end = c->size ? memmem(c->in, c->size, "\r\n\r\n", 4) : NULL;
  if (!end) return false;
  c->body_start = c->parsed = c->head_size = (size_t)(end - c->in) + 4;
  const char *coding = header(c, "Transfer-Encoding");
  const char *length = header(c, "Content-Length");
  c->chunked = coding && strncasecmp(coding, "chunked\r", 8) == 0;
  c->body_done = false;
  c->body_size = !c->chunked && length ? number(length, 10) : 0;
  const char *line_end = memmem(c->in, c->head_size, "\r\n", 2);
  const char *version = memmem(c->in, (size_t)(line_end - c->in), " HTTP/1.", 8);
  *good = version && (c->chunked || !coding) && c->body_size != SIZE_MAX;
  return true;
}

/* One chunk, or the trailer; false: it needs more bytes. */
static bool read_chunk(struct connection *c, bool *good) {
  const char *at = c->in + c->parsed;
  const char *end = memmem(at, c->size - c->parsed, "\r\n", 2);
  if (!end) return false;
  size_t size = number(at, 16), line = (size_t)(end - at) + 2;
  if (size == 0) {
    const char *blank = memmem(end, (size_t)(c->in + c->size - end), "\r\n\r\n", 4);
    if (blank) {
      c->parsed = (size_t)(blank - c->in) + 4;
      c->body_done = true;
    }
    return blank != NULL;
  }
  *good = size != SIZE_MAX && c->body_size + size <= MAX_REQUEST;
  if (!*good || c->size - c->parsed < line + size + 2) return false;
  c->decoded = rs_need(realloc(c->decoded, c->body_size + size));
  memcpy(c->decoded + c->body_size, at + line, size);
  c->body_size += size;
  c->parsed += line + size + 2;
  return true;
}

/* Reads on in the body; false: not all there yet. */
static bool read_body(struct connection *c, bool *good) {
  *good = true;
  if (c->chunked) {
    while (!c->body_done && read_chunk(c, good)) {
    }
  } else if (c->size - c->body_start >= c->body_size) {
    c->parsed = c->body_start + c->body_size;
    c->body_done = true;
  }
  return c->body_done;
}

/* Forgets the current request; what follows it in the buffer is the next one. */
static void next_request(struct connection *c) {
  c->size -= c->parsed;
  memmove(c->in, c->in + c->parsed, c->size);
  free(c->decoded);
  c->decoded = NULL;
  c->answer = NULL;
  c->sent = 0;
  c->served++;
  c->phase = HEAD;
}

/* ── answering ── */

static const struct rs_answer *take_answer(struct rs_server *s, size_t *place) {
  const struct rs_script *script = &s->script;
  if (s->next_answer < script->count)
    s->next_answer++;
  else if (script->once || script->count == 0)
    return *place = 0, &exhausted;
  *place = s->next_answer;
  return &script->answers[s->next_answer - 1];
}

static void choose(struct rs_server *s, struct connection *c) {
  c->answer_number = 0;
  if (c->served >= s->script.drop_after)
    c->answer = &dropped;
  else if (c->served >= s->script.reset_after)
    c->answer = &torn;
  else
    c->answer = take_answer(s, &c->answer_number);
  c->drip_left = c->answer->drip_bytes;
}

/* The contiguous bytes of an answer from an offset on; 0 at its end. */
static size_t span(const struct rs_answer *answer, size_t offset, const char **data) {
  size_t left = answer->limit > offset ? answer->limit - offset : 0;
  for (int i = 0; i < RS_PIECES; i++) {
    const struct rs_piece *p = &answer->pieces[i];
    if (offset < p->size * p->times) {
      size_t skip = offset % p->size;
      *data = p->data + skip;
      return p->size - skip < left ? p->size - skip : left;
    }
    offset -= p->size * p->times;
  }
  return 0;
}

/* Sends what can be sent; true when all of it is. */
static bool send_on(struct rs_server *s, struct connection *c) {
  const char *data;
  size_t size;
  c->writing = false;
  while ((size = span(c->answer, c->sent, &data)) > 0) {
    if (c->answer->drip_bytes > 0 && c->drip_left == 0) {
      c->due = rs_now() + c->answer->drip_delay;
      c->drip_left = c->answer->drip_bytes;
      return false;
    }
    if (c->answer->drip_bytes > 0 && size > c->drip_left) size = c->drip_left;
    ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      c->writing = errno == EAGAIN;
      if (!c->writing) hang_up(s, c, false);
      return false;
    }
    c->sent += (size_t)n;
    c->drip_left -= c->answer->drip_bytes > 0 ? (size_t)n : 0;
  }
  return true;
}

static void wait_for(struct connection *c, enum phase phase, double seconds) {
  c->phase = phase;
  c->due = seconds > 0 ? rs_now() + seconds : 0;
}

static bool is_due(struct connection *c) {
  if (c->due > rs_now()) return false;
  c->due = 0;
  return true;
}

static bool act(struct rs_server *s, struct connection *c) {
  switch (c->answer->action) {
  case RS_ANSWER:
    c->phase = SEND;
    return true;
  case RS_HANG:
    return false;
  default:
    hang_up(s, c, c->answer->action != RS_DROP);
    return false;
  }
}

static bool end(struct rs_server *s, struct connection *c) {
  enum rs_ending ending = c->answer->ending;
  bool cut = c->answer->limit != SIZE_MAX, spent = c->served + 1 >= s->script.close_after;
  if (ending == RS_KEEP && !cut && !spent) {
    c->phase = DRAIN;
    return true;
  }
  if (ending == RS_CLOSE_RESET || c->body_done) {
    hang_up(s, c, ending == RS_CLOSE_RESET);
  } else {
    shutdown(c->fd, SHUT_WR); /* closing over unread bytes would destroy the answer */
    c->phase = LINGER;
  }
  return false;
}

static void refuse(struct connection *c) {
  c->answer = &malformed;
  c->body_done = false;
  c->phase = SEND;
}

/* One step of a connection; false when it has to wait for bytes, room or time. */
static bool step(struct rs_server *s, struct connection *c) {
  bool good = true;
  switch (c->phase) {
  case HEAD:
    if (!read_head(c, &good)) return false;
    if (!good) return refuse(c), true;
    choose(s, c);
    c->phase = BODY;
    if (c->answer->early) {
      read_body(c, &good);
      publish(s, c);
      wait_for(c, WAIT, c->answer->delay);
    }
    return true;
  case BODY:
    if (!read_body(c, &good)) return good ? false : (refuse(c), true);
    publish(s, c);
    wait_for(c, WAIT, c->answer->delay);
    return true;
  case WAIT:
    return is_due(c) && act(s, c);
  case SEND:
    if (!is_due(c) || !send_on(s, c)) return false;
    read_body(c, &good);
    wait_for(c, END, c->answer->close_delay);
    return true;
  case END:
    return is_due(c) && end(s, c);
  case DRAIN:
    if (!read_body(c, &good)) return good ? false : (hang_up(s, c, true), false);
    next_request(c);
    return true;
  case LINGER:
    c->size = 0;
  }
  return false;
}

/* ── the loop ── */

static void receive(struct rs_server *s, struct connection *c) {
  for (;;) {
    if (c->size > 2 * (size_t)MAX_REQUEST) {
      hang_up(s, c, true);
      return;
    }
    if (c->capacity - c->size < READ_SIZE)
      c->in = rs_need(realloc(c->in, c->capacity = c->capacity * 2 + READ_SIZE));
    ssize_t n = recv(c->fd, c->in + c->size, READ_SIZE, 0);
    if (n > 0) {
      c->size += (size_t)n;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      if (n == 0 || errno != EAGAIN) hang_up(s, c, false);
      return;
    }
    if (n < READ_SIZE) return;
  }
}

static void go_on(struct rs_server *s, struct connection *c) {
  bool was_writing = c->writing;
  while (!c->dead && step(s, c)) {
  }
  if (!c->dead && c->writing != was_writing) {
    struct epoll_event e = {.events = EPOLLIN | (c->writing ? EPOLLOUT : 0U),
                            .data.ptr = c};
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
  }
}

static void accept_all(struct rs_server *s) {
  int fd;
  while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    struct connection *c = rs_need(calloc(1, sizeof *c));
    c->fd = fd;
    c->next = s->connections;
    s->connections = c;
    c->number = rs_count_connection(s, 1);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    size_t place =
      s->next_answer < s->script.count ? s->next_answer : s->script.count - 1;
    if (s->script.count > 0 && !(s->script.once && s->next_answer == s->script.count) &&
        s->script.answers[place].action == RS_RESET_BEFORE) {
      s->next_answer = place + 1;
      hang_up(s, c, true);
    }
  }
}

/* Lets due connections go on, frees dead ones; milliseconds until the next is due. */
static int sweep(struct rs_server *s) {
  double time = rs_now(), next = 0;
  for (struct connection **link = &s->connections; *link;) {
    struct connection *c = *link;
    if (!c->dead && c->due > 0 && c->due <= time) go_on(s, c);
    if (c->dead) {
      *link = c->next;
      free(c->in);
      free(c->decoded);
      free(c);
      continue;
    }
    if (c->due > 0 && (next <= 0 || c->due < next)) next = c->due;
    link = &c->next;
  }
  double left = (next - time) * 1000;
  return next <= 0 ? -1 : left <= 0 ? 0 : left < INT_MAX - 1 ? (int)left + 1 : INT_MAX;
}

void *rs_serve(void *server) {
  struct rs_server *s = server;
  struct epoll_event events[EVENTS];
  bool stopping = false;
  while (!stopping) {
    int count = epoll_wait(s->epoll, events, EVENTS, sweep(s));
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].data.ptr == &s->wake) {
        stopping = true;
      } else if (events[i].data.ptr == &s->listener) {
        accept_all(s);
      } else if (!c->dead) {
        if (events[i].events & ~(unsigned)EPOLLOUT) receive(s, c);
        go_on(s, c);
      }
    }
  }
  for (struct connection *c = s->connections; c; c = c->next)
    if (!c->dead) hang_up(s, c, false);
  sweep(s);
  return NULL;
}
