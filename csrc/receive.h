/* SPDX-License-Identifier: MIT */
/*
 * What becomes of an answer's bytes while they arrive. transport.c gives these functions
 * to libcurl, with the request as the last argument. They touch plain memory of the
 * request only, and return how many bytes they took: fewer than given end the transfer.
 */
#ifndef CS_RECEIVE_H
#define CS_RECEIVE_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Decompressed bytes of the body. */
size_t cs_receive_body(char *bytes, size_t size, size_t n, void *request);

/* One whole line of a head, the empty one at its end included, or of the trailers. */
size_t cs_receive_line(char *line, size_t size, size_t n, void *request);

/* Body, and before that each header line, in pieces when it is long, before it goes to
   cs_receive_line: for libcurl before 8.1. That appends a folded line (it begins with
   white space) to the last header that it has kept for the handle. Where such a line is
   the first of an answer, that is one of the answer before, and freed (curl issue 11101).
   Here it is refused before libcurl looks at it. */
size_t cs_receive_any(char *bytes, size_t size, size_t n, void *request);

#pragma GCC visibility pop

#endif
