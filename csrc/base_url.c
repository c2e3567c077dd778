/* SPDX-License-Identifier: MIT */
/* See base_url.h. */
#define _POSIX_C_SOURCE 200809L /* strcasecmp */
#include "base_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* libcurl has written 127.1 or 0x7f.1 out by now; what is no address is a name, and would
   be looked up. */
static bool is_loopback(const char *host) {
  unsigned char address[4];
  return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
         (inet_pton(AF_INET, host, address) == 1 && address[0] == 127);
}

bool cs_base_url_is_loopback(const void *address, size_t length) {
  static const struct in6_addr six = IN6ADDR_LOOPBACK_INIT;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  if (length >= sizeof in) {
    memcpy(&in, address, sizeof in);
    if (in.sin_family == AF_INET) return ntohl(in.sin_addr.s_addr) >> 24 == 127;
  }
  if (length < sizeof in6) return false;
  memcpy(&in6, address, sizeof in6);
  return in6.sin6_family == AF_INET6 && memcmp(&in6.sin6_addr, &six, sizeof six) == 0;
}

static bool has_part(CURLU *url, CURLUPart part) {
  char *text = NULL;
  bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
  curl_free(text);
  return has;
}

/* NULL when all is well. */
static const char *base_problem(CURLU *url, const char *text, bool *loopback) {
  for (const char *p = text; *p; p++) {
    if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f)
      return "has a space, a control character or a byte beyond ASCII";
  }
  if (strpbrk(text, "?#")) return "has a query or a fragment";
  /* libcurl forgives a slash too many or too few, and takes a part of the path for the
     host. */
  const char *host_part = strstr(text, "://");
  if (!host_part || host_part[3] == '/' || host_part[3] == '\\') return "is not a URL";
  if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return "is not a URL";
  if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
    return "carries credentials";
  char *scheme = NULL, *host = NULL;
  const char *problem = "is not a URL";
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
    bool https = strcmp(scheme, "https") == 0;
    *loopback = strcmp(scheme, "http") == 0 && is_loopback(host);
    problem = https || *loopback ? NULL : "is neither https nor http to loopback";
  }
  curl_free(scheme);
  curl_free(host);
  return problem;
}

enum cs_status cs_base_url_check(const char *text, struct cs_buffer *checked,
                                 bool *loopback, const char **problem) {
  CURLU *url = curl_url();
  if (!url) return CS_NO_MEMORY;
  *problem = base_problem(url, text, loopback);
  enum cs_status status = CS_INVALID;
  if (!*problem) {
    char *whole = NULL;
    status = CS_NO_MEMORY;
    if (curl_url_get(url, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
      size_t length = strlen(whole);
      while (length > 0 && whole[length - 1] == '/') length--;
      status = cs_buffer_append(checked, whole, length);
    }
    curl_free(whole);
  }
  curl_url_cleanup(url);
  return status;
}

/* Appends the decoded part to `text`, which may be NULL. False where it cannot be
   decoded: libcurl would go on without the proxy then, and not say so. */
static bool decode_part(CURLU *url, CURLUPart part, CURLUcode none,
                        struct cs_buffer *text, enum cs_status *status) {
  char *decoded = NULL;
  CURLUcode code = curl_url_get(url, part, &decoded, CURLU_URLDECODE);
  if (code == CURLUE_OUT_OF_MEMORY) *status = CS_NO_MEMORY;
  if (code == CURLUE_OK && text && *status == CS_OK)
    *status = cs_buffer_append_text(text, decoded);
  curl_free(decoded);
  return code == CURLUE_OK || code == none || code == CURLUE_OUT_OF_MEMORY;
}

/* NULL when all is well. */
static const char *proxy_problem(CURLU *url, const char *text) {
  static const char *const schemes[] = {"http",    "https",  "socks",  "socks4",
                                        "socks4a", "socks5", "socks5h"};
  for (const char *p = text; *p; p++) {
    if ((unsigned char)*p < 0x20 || *p == 0x7f) return "has a control character";
  }
  char *scheme = NULL;
  const unsigned flags = CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME;
  if (curl_url_set(url, CURLUPART_URL, text, flags) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
    return "is not a URL";
  bool known = false;
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    known = known || strcasecmp(scheme, schemes[i]) == 0;
  curl_free(scheme);
  return known ? NULL : "is neither http, https nor socks";
}

enum cs_status cs_base_url_check_proxy(const char *text, struct cs_buffer *password,
                                       const char **problem) {
  CURLU *url = curl_url();
  if (!url) return CS_NO_MEMORY;
  *problem = proxy_problem(url, text);
  enum cs_status status = *problem ? CS_INVALID : CS_OK;
  if (status == CS_OK &&
      !(decode_part(url, CURLUPART_USER, CURLUE_NO_USER, NULL, &status) &&
        decode_part(url, CURLUPART_PASSWORD, CURLUE_NO_PASSWORD, password, &status))) {
    *problem = "has a user or a password with a control character";
    status = CS_INVALID;
  }
  curl_url_cleanup(url);
  return status;
}
