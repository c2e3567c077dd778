/* SPDX-License-Identifier: MIT */
/* See transport.h. Sections cited as CURLOPT_… are libcurl's manual pages. */
#define _GNU_SOURCE /* SOCK_CLOEXEC, strdup */
#include "transport.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base_url.h"
#include "receive.h"
#include "retry.h"
#include "version.h"

struct cs_transport {
  struct cs_transport_settings settings; /* its strings are the copies in `owned` */
  char *owned[5];
  bool single_use;    /* each request opens a connection of its own */
  bool guarded;       /* header lines pass cs_receive_any before libcurl keeps them */
  bool single_handle; /* each attempt has a handle of its own; connections are kept */
  struct curl_slist *without_body, *with_body, *with_large_body; /* request headers */
};

enum {
  MAX_HEAD_BYTES = 64 * 1024,
  LEAST_ERROR = 4 * 1024, /* bytes of its body are kept, however small the limit */
  LARGE_BODY = 32 * 1024  /* far below libcurl's own threshold for Expect, 1 MiB */
};

/* ---- Callbacks: plain memory only; see receive.h, too ---- */

/* libcurl sends a request again by itself when a kept connection turns out to be dead,
   whatever the method. One start an attempt is all we allow: enum cs_repeat in request.h
   says why. */
static int on_start(void *request_, char *remote, char *local, int remote_port,
                    int local_port) {
  struct cs_request *request = request_;
  (void)remote, (void)local, (void)remote_port, (void)local_port;
  if (request->sent) {
    request->restarted = true;
    return CURL_PREREQFUNC_ABORT;
  }
  request->sent = true;
  return CURL_PREREQFUNC_OK;
}

/* Plain text leaves this machine under no name, whatever a resolver says of it. */
static curl_socket_t on_open_socket(void *transport_, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
  const struct cs_transport *transport = transport_;
  struct cs_poller *poller = transport->settings.poller;
  (void)purpose;
  if (transport->settings.loopback &&
      !cs_base_url_is_loopback(&address->addr, address->addrlen))
    return CURL_SOCKET_BAD;
  int type = address->socktype;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC; /* a program that the host starts must not hold our sockets */
#endif
  int fd = socket(address->family, type, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  if (cs_poller_opened(poller, fd) != CS_OK) {
    (void)close(fd);
    return CURL_SOCKET_BAD;
  }
  return fd;
}

static int on_close_socket(void *poller, curl_socket_t fd) {
  cs_poller_closing(poller, fd);
  return close(fd);
}

/* ---- Policy ---- */

/* Adds to a list that may be NULL; on failure frees it and leaves NULL. */
static bool add_header(struct curl_slist **list, const char *line) {
  struct curl_slist *grown = curl_slist_append(*list, line);
  if (!grown) {
    curl_slist_free_all(*list);
    *list = NULL;
    return false;
  }
  *list = grown;
  return true;
}

/* libcurl prints a User-Agent and an Accept-Encoding of its own twice for each request,
   byte by byte; those of a list once. */
static bool make_headers(struct curl_slist **list, const char *key_line,
                         const char *agent_line, const char *content_type) {
  return add_header(list, key_line) && add_header(list, agent_line) &&
         add_header(list, "Accept: application/json") &&
         add_header(list, "Accept-Encoding: gzip") && add_header(list, content_type);
}

static bool make_line(struct cs_buffer *line, const char *name, const char *value) {
  return cs_buffer_append_text(line, name) == CS_OK &&
         cs_buffer_append_text(line, value) == CS_OK;
}

/* "Name:" without a value keeps libcurl from sending that header. It would send Expect
   with large bodies only, and a header that is looked through costs time on each call. */
static bool make_all_headers(struct cs_transport *transport,
                             const struct cs_transport_settings *settings) {
  static const char json[] = "Content-Type: application/json";
  struct cs_buffer key, agent;
  cs_buffer_init(&key, MAX_HEAD_BYTES);
  cs_buffer_init(&agent, MAX_HEAD_BYTES);
  bool made =
    make_line(&key, "apikey: ", settings->api_key) &&
    make_line(&agent, "User-Agent: ", settings->user_agent) &&
    make_headers(&transport->without_body, key.data, agent.data, "Content-Type:") &&
    make_headers(&transport->with_body, key.data, agent.data, json) &&
    make_headers(&transport->with_large_body, key.data, agent.data, json) &&
    add_header(&transport->with_large_body, "Expect:");
  cs_buffer_free(&key);
  cs_buffer_free(&agent);
  return made;
}

static bool own(char **copy, const char **text) {
  if (!*text) return true;
  *copy = strdup(*text);
  *text = *copy;
  return *copy != NULL;
}

/* Before 8.0, libcurl cannot use a connection twice that began as HTTP/2 with prior
   knowledge (curl issue 10634). */
static bool single_use(const struct cs_transport_settings *settings) {
  return settings->http2 && settings->loopback &&
         curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

/* Whether libcurl would use one, by its settings or by its environment. */
static bool may_use_proxy(const struct cs_transport_settings *settings) {
  static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
                                      "ALL_PROXY"};
  if (settings->loopback) return false;
  if (settings->proxy) return settings->proxy[0] != '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (getenv(names[i])) return true;
  }
  return false;
}

struct cs_transport *cs_transport_new(const struct cs_transport_settings *settings) {
  struct cs_transport *transport = calloc(1, sizeof *transport);
  if (!transport) return NULL;
  transport->settings = *settings;
  struct cs_transport_settings *copy = &transport->settings;
  copy->api_key = NULL; /* lives in the header lists */
  transport->single_use = single_use(settings);
  /* See cs_receive_any; a proxy's answer to CONNECT does not pass there. */
  transport->guarded = curl_version_info(CURLVERSION_NOW)->version_num < 0x080100;
  bool proxied = may_use_proxy(settings);
  transport->single_handle = transport->guarded && proxied;
  /* One that the environment gets later must not be used. */
  if (transport->guarded && !proxied) copy->proxy = "";
  if (!proxied) copy->user_agent = NULL; /* the service's is in the header lists */
  bool owned = own(&transport->owned[0], &copy->user_agent) &&
               own(&transport->owned[1], &copy->ca_file) &&
               own(&transport->owned[2], &copy->ca_path) &&
               own(&transport->owned[3], &copy->proxy) &&
               own(&transport->owned[4], &copy->no_proxy);
  if (!owned || !make_all_headers(transport, settings)) {
    cs_transport_free(transport);
    return NULL;
  }
  return transport;
}

void cs_transport_free(struct cs_transport *transport) {
  if (!transport) return;
  curl_slist_free_all(transport->without_body);
  curl_slist_free_all(transport->with_body);
  curl_slist_free_all(transport->with_large_body);
  for (size_t i = 0; i < sizeof transport->owned / sizeof *transport->owned; i++)
    free(transport->owned[i]);
  free(transport);
}

/* Milliseconds for libcurl, to which 0 would mean "no limit". */
static long milliseconds(double seconds) {
  long ms = seconds > 2e6 ? 2000000000L : (long)(seconds * 1000 + 0.5);
  return ms > 0 ? ms : 1;
}

/* Collects the first failure of a row of curl_easy_setopt calls. */
#define SET(option, value) \
  if (code == CURLE_OK) code = curl_easy_setopt(handle, option, value)

static CURLcode set_callbacks(CURL *handle, const struct cs_transport *transport,
                              struct cs_request *request) {
  struct cs_poller *poller = transport->settings.poller;
  CURLcode code = CURLE_OK;
  SET(CURLOPT_PRIVATE, request);
  SET(CURLOPT_CURLU, request->parsed_url);
  SET(CURLOPT_ERRORBUFFER, request->error_text);
  SET(CURLOPT_WRITEFUNCTION, transport->guarded ? cs_receive_any : cs_receive_body);
  SET(CURLOPT_HEADER, transport->guarded ? 1L : 0L);
  SET(CURLOPT_WRITEDATA, request);
  SET(CURLOPT_HEADERFUNCTION, cs_receive_line);
  SET(CURLOPT_HEADERDATA, request);
  SET(CURLOPT_PREREQFUNCTION, on_start);
  SET(CURLOPT_PREREQDATA, request);
  SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  SET(CURLOPT_OPENSOCKETDATA, transport);
  SET(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  SET(CURLOPT_CLOSESOCKETDATA, poller);
  return code;
}

static long http_version(const struct cs_transport_settings *settings) {
  if (!settings->http2) return CURL_HTTP_VERSION_1_1;
  return settings->loopback ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                            : CURL_HTTP_VERSION_2TLS;
}

static CURLcode set_policy(CURL *handle, const struct cs_transport_settings *settings) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_PROTOCOLS_STR, settings->loopback ? "http" : "https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_PATH_AS_IS, 1L);
  SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  SET(CURLOPT_SSL_VERIFYPEER, 1L);
  SET(CURLOPT_SSL_VERIFYHOST, 2L);
  SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  SET(CURLOPT_HTTP_VERSION, http_version(settings));
  SET(CURLOPT_PIPEWAIT, settings->http2 && !single_use(settings) ? 1L : 0L);
  SET(CURLOPT_FORBID_REUSE, single_use(settings) ? 1L : 0L);
  SET(CURLOPT_ACCEPT_ENCODING, "gzip");
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_USERAGENT, settings->user_agent); /* for CONNECT only */
  SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings->connect_timeout));
  if (settings->ca_file) SET(CURLOPT_CAINFO, settings->ca_file);
  if (settings->ca_path) SET(CURLOPT_CAPATH, settings->ca_path);
  if (settings->proxy) SET(CURLOPT_PROXY, settings->proxy);
  if (settings->no_proxy) SET(CURLOPT_NOPROXY, settings->no_proxy);
#if LIBCURL_VERSION_NUM >= 0x075700
  /* Else a name server that hangs holds up timeouts, cancelling, closing. A libcurl that
     is older than its headers does not know it, and works as it did. */
  (void)curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
#endif
  /* What goes to loopback in plain text must not leave through a proxy. */
  if (settings->loopback) SET(CURLOPT_NOPROXY, "*");
  return code;
}

static enum cs_status status_of(CURLcode code) {
  return code == CURLE_OK ? CS_OK : CS_NO_MEMORY;
}

static enum cs_status open_handle(const struct cs_transport *transport,
                                  struct cs_request *request) {
  CURL *handle = curl_easy_init();
  if (!handle) return CS_NO_MEMORY;
  request->handle = handle;
  request->used = false;
  request->configured = -1;
  request->configured_timeout = -1;
  request->configured_fresh = !request->fresh;
  CURLcode code = set_policy(handle, &transport->settings);
  if (code == CURLE_OK) code = set_callbacks(handle, transport, request);
  return status_of(code);
}

enum cs_status cs_transport_open(const struct cs_transport *transport,
                                 struct cs_request *request) {
  size_t most = request->max_answer = transport->settings.max_response_bytes;
  cs_buffer_init(&request->answer, most > LEAST_ERROR ? most : LEAST_ERROR);
  cs_buffer_init(&request->head, MAX_HEAD_BYTES);
  request->parsed_url = curl_url();
  if (!request->parsed_url) return CS_NO_MEMORY;
  return open_handle(transport, request);
}

static void close_handle(struct cs_request *request) {
  if (request->handle) curl_easy_cleanup(request->handle);
  request->handle = NULL;
}

void cs_transport_close(struct cs_request *request) {
  close_handle(request);
  curl_url_cleanup(request->parsed_url);
  request->parsed_url = NULL;
  cs_buffer_free(&request->answer);
  cs_buffer_free(&request->head);
}

/* POST, PUT and PATCH have a body, if only an empty one (RFC 9110 8.6). */
static bool sends_body(const struct cs_request *request) {
  return request->has_body || request->verb == CS_POST || request->verb == CS_PUT ||
         request->verb == CS_PATCH;
}

static bool is_large(const struct cs_request *request) {
  return request->body.length > LARGE_BODY;
}

static struct curl_slist *headers_for(const struct cs_transport *transport,
                                      const struct cs_request *request) {
  if (!request->has_body) return transport->without_body;
  return is_large(request) ? transport->with_large_body : transport->with_body;
}

/* What only changes when a handle serves another kind of request than before. */
static CURLcode set_method(CURL *handle, const struct cs_transport *transport,
                           const struct cs_request *request) {
  CURLcode code = CURLE_OK;
  SET(CURLOPT_HTTPHEADER, headers_for(transport, request));
  SET(CURLOPT_NOBODY, request->verb == CS_HEAD ? 1L : 0L);
  if (!sends_body(request) && request->verb != CS_HEAD) SET(CURLOPT_HTTPGET, 1L);
  SET(CURLOPT_CUSTOMREQUEST, cs_verb_name(request->verb));
  return code;
}

/* libcurl prints a URL that it has parsed itself once more, byte by byte, a tenth of its
   work for a request. One given parsed it only copies. The text is for versions before
   8.12, which keep the first transfer's as the handle's (curl issue 15984). */
static CURLcode set_url(CURL *handle, const struct cs_request *request) {
  CURLcode code = CURLE_OK;
  const char *url = cs_buffer_text(&request->url);
  const unsigned flags = CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME;
  if (curl_url_set(request->parsed_url, CURLUPART_URL, url, flags) != CURLUE_OK)
    return CURLE_OUT_OF_MEMORY; /* nothing else can be wrong: see base_url.h */
  SET(CURLOPT_URL, url);
  return code;
}

static void forget_last_attempt(struct cs_request *request) {
  request->sent = request->restarted = request->head_complete = false;
  request->status = 0;
  request->first_visible = '\0';
  request->overflow = CS_OK;
  request->retry_after_text[0] = request->error_text[0] = '\0';
  request->retry_after = -1;
  request->truncated = false;
  request->second_line = false;
  request->failure = (struct cs_failure){.kind = CS_NO_FAILURE};
  cs_buffer_clear(&request->head);
  cs_buffer_clear(&request->answer);
}

enum cs_status cs_transport_prepare(const struct cs_transport *transport,
                                    struct cs_request *request, double timeout) {
  if (!request->handle || (request->used && transport->single_handle)) {
    close_handle(request);
    if (open_handle(transport, request) != CS_OK) {
      close_handle(request);
      return CS_NO_MEMORY;
    }
  }
  request->used = true;
  CURL *handle = request->handle;
  CURLcode code = CURLE_OK;
  int kind = (int)request->verb * 3 + request->has_body + is_large(request);
  forget_last_attempt(request);
  if (kind != request->configured) {
    code = set_method(handle, transport, request);
    request->configured = code == CURLE_OK ? kind : -1;
  }
  if (request->fresh != request->configured_fresh) {
    SET(CURLOPT_FRESH_CONNECT, request->fresh || transport->single_use ? 1L : 0L);
    request->configured_fresh = request->fresh;
  }
  if (code == CURLE_OK) code = set_url(handle, request);
  if (sends_body(request)) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length);
    SET(CURLOPT_POSTFIELDS, cs_buffer_text(&request->body)); /* POST; not copied */
  }
  if (timeout < request->configured_timeout || timeout > request->configured_timeout) {
    SET(CURLOPT_TIMEOUT_MS, milliseconds(timeout));
    request->configured_timeout = timeout;
  }
  return status_of(code);
}

#undef SET

/* ---- What an ended transfer means ---- */

static enum cs_kind kind_of(CURLcode code, bool *permanent) {
  switch (code) {
  case CURLE_OPERATION_TIMEDOUT:
    return CS_TIMEOUT;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_CRL_BADFILE:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_SSL_ENGINE_NOTFOUND:
  case CURLE_SSL_ENGINE_SETFAILED:
  case CURLE_SSL_ENGINE_INITFAILED:
  case CURLE_USE_SSL_FAILED:
    *permanent = true;
    return CS_TLS;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_SSL_SHUTDOWN_FAILED:
    return CS_TLS;
  default:
    return CS_NETWORK;
  }
}

static void fail(struct cs_request *request, enum cs_kind kind, const char *text) {
  request->failure.kind = kind;
  (void)snprintf(request->failure.text, sizeof request->failure.text, "%s", text);
}

static enum cs_outcome answered(struct cs_request *request) {
  if (request->status >= 200 && request->status < 300) return CS_ANSWERED;
  request->failure.kind = CS_HTTP;
  const char *text = request->retry_after_text;
  if (text[0] != '\0') {
    request->retry_after = cs_retry_parse_seconds(text);
    time_t date = request->retry_after < 0 ? curl_getdate(text, NULL) : -1;
    if (date != -1) {
      double seconds = difftime(date, time(NULL));
      request->retry_after = seconds > 0 ? seconds : 0;
    }
  }
  return CS_ANSWERED;
}

/* libcurl counts its restarts over the life of a handle: instead of every sixth it gives
   up, in words that are not true of this call. */
static bool was_to_restart(const struct cs_request *request, CURLcode code) {
  static const char words[] = "Connection died";
  return code == CURLE_SEND_ERROR && request->sent &&
         strncmp(request->error_text, words, sizeof words - 1) == 0;
}

enum cs_outcome cs_transport_finish(struct cs_request *request, int code_) {
  CURLcode code = (CURLcode)code_;
  request->cut = code != CURLE_OK;
  bool read = request->repeat == CS_READ;
  bool success = request->status >= 200 && request->status < 300;
  if (request->head_complete && !request->restarted) {
    /* An error answer counts however the transfer ended: a gateway may answer and hang
       up before it has read the body. A change that was answered 2xx was done, even if
       the rest of the answer is lost or too large. */
    if (code == CURLE_OK || !success) return answered(request);
    if (!read) {
      request->truncated = true;
      return answered(request);
    }
  }
  if (request->overflow == CS_TOO_LARGE) {
    request->failure.permanent = true;
    fail(request, CS_TOO_LARGE_ANSWER,
         request->head_complete ? "the answer is larger than max_response_bytes"
                                : "the answer's headers are too large");
    return CS_LOST;
  }
  if (request->overflow == CS_INVALID) {
    fail(request, CS_NETWORK, "the answer's first header line continues another");
    return CS_LOST;
  }
  if (request->restarted || was_to_restart(request, code)) {
    fail(request, CS_NETWORK, "the server closed the connection without an answer");
    return CS_STALE;
  }
  enum cs_kind kind = kind_of(code, &request->failure.permanent);
  const char *words = request->error_text;
  /* libcurl quotes it there, with its password. */
  if (strncmp(words, "Unsupported proxy", strlen("Unsupported proxy")) == 0)
    words = "the address of the proxy is not one that libcurl understands";
  fail(request, kind, words[0] ? words : curl_easy_strerror(code));
  return request->sent ? CS_LOST : CS_NOT_SENT;
}

/* ---- The library ---- */

/* curl_version() writes into a static buffer; this does not. */
void cs_transport_user_agent(char *text, size_t size, const char *app) {
  const char *curl = curl_version_info(CURLVERSION_NOW)->version;
  (void)snprintf(text, size, "lua-cipherscale/%s libcurl/%s%s%s", cs_version, curl,
                 app ? " " : "", app ? app : "");
}

enum cs_status cs_transport_global_init(void) {
  return status_of(curl_global_init(CURL_GLOBAL_DEFAULT));
}
