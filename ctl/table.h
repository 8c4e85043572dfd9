/* SPDX-License-Identifier: Apache-2.0 */

/*
 * table - aligned columns on stdout (libsmartcols), and short numbers.
 *
 * The text functions write into the caller's buffer of 32 bytes (the bar:
 * TABLE_BAR_SIZE) and return it.
 */

#ifndef WEIR_CTL_TABLE_H
#define WEIR_CTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define TABLE_BAR_CELLS 10
#define TABLE_BAR_SIZE (TABLE_BAR_CELLS * 3 + 1)

struct table;

struct table_column {
	const char *name; /* NULL ends the list */
	bool is_right;    /* numbers */
};

/* NULL when there is no memory. */
struct table *table_new(const struct table_column *columns);
void table_free(struct table *table);

/* As many cells as there are columns; copied.  0 or -errno. */
int table_row(struct table *table, const char *const *cells);
int table_print(struct table *table);

const char *table_bytes(uint64_t bytes, char *text);     /* "77K" */
const char *table_count(uint64_t count, char *text);     /* "8.3k" */
const char *table_duration(uint64_t ns, char *text);     /* "14s" */
const char *table_milliseconds(uint64_t ns, char *text); /* "0.24 ms" */
const char *table_bar(uint64_t part, uint64_t whole, char *text);

#endif
