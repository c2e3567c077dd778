/* SPDX-License-Identifier: MIT */
/*
 * All that we ask of libcurl's easy interface: the policy (TLS, headers, no redirects),
 * the callbacks, what an ended transfer means. The callbacks touch plain memory only.
 * No other file names a CURLOPT_.
 */
#ifndef CS_TRANSPORT_H
#define CS_TRANSPORT_H

#include "poller.h"
#include "request.h"

#pragma GCC visibility push(hidden)

struct cs_transport;

struct cs_transport_settings {
  const char *api_key;                              /* printable ASCII without spaces */
  const char *user_agent;                           /* printable ASCII */
  const char *ca_file, *ca_path, *proxy, *no_proxy; /* NULL for libcurl's own choice */
  double connect_timeout;                           /* seconds */
  bool loopback;                                    /* base URL is http to loopback */
  bool http2;
  size_t max_response_bytes;
  struct cs_poller *poller; /* told about sockets that open and close; outlives us */
};

/* Copies the settings; NULL when memory is short. */
struct cs_transport *cs_transport_new(const struct cs_transport_settings *settings);
/* Only after every request was closed and the multi handle is gone. */
void cs_transport_free(struct cs_transport *transport);

/* Gives a request its handle, and takes it back. */
enum cs_status cs_transport_open(const struct cs_transport *transport,
                                 struct cs_request *request);
void cs_transport_close(struct cs_request *request);

/* Sets the handle up for one attempt of at most `timeout` seconds. */
enum cs_status cs_transport_prepare(const struct cs_transport *transport,
                                    struct cs_request *request, double timeout);

/* Reads what an attempt that ended with libcurl's `code` came to, and fills failure
   (no failure for a 2xx answer), retry_after and truncated. */
enum cs_outcome cs_transport_finish(struct cs_request *request, int code);

/* Writes "lua-cipherscale/1.0 libcurl/8.0 app/1.2"; app may be NULL. */
void cs_transport_user_agent(char *text, size_t size, const char *app);

/* Prepares libcurl for this process. Thread-safe, may be called again. */
enum cs_status cs_transport_global_init(void);

#pragma GCC visibility pop

#endif
