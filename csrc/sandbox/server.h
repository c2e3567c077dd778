/* SPDX-License-Identifier: MIT */
/*
 * The HTTP server: one thread that drives libmicrohttpd and asks the rules. It belongs
 * to the thread that made it, which is the only one to call these functions. No Lua
 * enters here.
 */
#ifndef CIPHERSCALE_SANDBOX_SERVER_H
#define CIPHERSCALE_SANDBOX_SERVER_H

#include <stdint.h>

#include "rules.h"

#pragma GCC visibility push(hidden)

struct sb_server;

enum { SB_PROBLEM_SIZE = 1024 };

/* Listens on 127.0.0.1:`port` (0: any free one) and starts the thread; keeps the newest
 * `log_limit` requests. The server owns `rules` from here on, also when this fails:
 * then NULL, and `problem` (SB_PROBLEM_SIZE bytes) says why. */
struct sb_server *sb_server_new(struct sb_rules *rules, uint16_t port, size_t log_limit,
                                char *problem);
/* Closes every connection and ends the thread. May be called again; requests, state and
 * log can still be read. In a child made by fork it does nothing, since the thread is
 * not there. */
void sb_server_stop(struct sb_server *server);
/* Stops and frees. NULL is allowed. */
void sb_server_free(struct sb_server *server);

uint16_t sb_server_port(const struct sb_server *server);
/* False in a child made by fork: nothing but free may be called there. */
bool sb_server_is_ours(const struct sb_server *server);

/* See rules.h and log.h; safe while the server runs. */
bool sb_server_control(struct sb_server *server, const char *name, const char *text,
                       size_t size, struct sb_bytes *reply);
void sb_server_copy_log(struct sb_server *server, struct sb_bytes *copy);
void sb_server_clear_log(struct sb_server *server);

#pragma GCC visibility pop

#endif
