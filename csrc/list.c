/* SPDX-License-Identifier: MIT */
/* See list.h. */
#include "list.h"

void cs_list_remove(struct cs_request *request) {
  struct cs_list *list = request->list;
  if (!list) return;
  if (request->previous) {
    request->previous->next = request->next;
  } else {
    list->first = request->next;
  }
  if (request->next) {
    request->next->previous = request->previous;
  } else {
    list->last = request->previous;
  }
  request->previous = request->next = NULL;
  request->list = NULL;
  list->count--;
}

void cs_list_move_before(struct cs_list *list, struct cs_request *next,
                         struct cs_request *request) {
  cs_list_remove(request);
  request->list = list;
  request->next = next;
  request->previous = next ? next->previous : list->last;
  if (request->previous) {
    request->previous->next = request;
  } else {
    list->first = request;
  }
  if (next) {
    next->previous = request;
  } else {
    list->last = request;
  }
  list->count++;
}

void cs_list_move(struct cs_list *list, struct cs_request *request) {
  cs_list_move_before(list, NULL, request);
}

void cs_list_move_by_due(struct cs_list *list, struct cs_request *request) {
  struct cs_request *next = list->first;
  while (next && next->due <= request->due) next = next->next;
  cs_list_move_before(list, next, request);
}
