/* SPDX-License-Identifier: MIT */
/*
 * Lists of requests, linked through the requests: a request is on one list at most, and
 * moving it takes it off the one it was on. Nothing here allocates or can fail.
 */
#ifndef CS_LIST_H
#define CS_LIST_H

#include "request.h"

#pragma GCC visibility push(hidden)

/* Takes a request off its list, if it is on one. */
void cs_list_remove(struct cs_request *request);

/* Moves a request to the end of a list. */
void cs_list_move(struct cs_list *list, struct cs_request *request);

/* Moves a request before `next` on a list; to its end when next is NULL. */
void cs_list_move_before(struct cs_list *list, struct cs_request *next,
                         struct cs_request *request);

/* Moves a request to its place in a list that is ordered by due time. */
void cs_list_move_by_due(struct cs_list *list, struct cs_request *request);

#pragma GCC visibility pop

#endif
