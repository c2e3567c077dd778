/* SPDX-License-Identifier: MIT */
/*
 * The reader of queries: walks a table along a field list and writes "?a=b&c=d" as it
 * checks. A list repeats its key, the default of OpenAPI. A filter is a table of fields
 * that are a value, or a table of operators and values:
 *   { type = "PRIVATE", name = { ilike = "%web%", ne = "x" } }
 * becomes filter[name][ilike]=%web%, filter[name][ne]=x and filter[type][eq]=PRIVATE,
 * percent-encoded, sorted by field and operator. Lists are joined by commas.
 */
#ifndef CS_QUERY_H
#define CS_QUERY_H

#include "writer.h"

#pragma GCC visibility push(hidden)

/* Appends a query, or nothing. `index` is the table's absolute stack index, or that of
   nil; `place` is as for cs_shape_write_body. An open writer takes unknown fields, too:
   strings, numbers, booleans and lists of these, sorted by name; a loose one also takes
   them for known fields, and tables, which become "name[field]=value", and any operator
   and value of a filter. */
void cs_query_write(const struct cs_writer *w, const struct cs_place *place, int index,
                    const struct cs_field *fields);

#pragma GCC visibility pop

#endif
