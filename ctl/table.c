/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/table.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

struct table {
	struct libscols_table *scols;
	size_t columns;
};

struct table *
table_new(const struct table_column *columns)
{
	struct table *table;

	table = calloc(1, sizeof(*table));
	if (table == NULL)
		return NULL;
	table->scols = scols_new_table();
	if (table->scols == NULL)
		goto fail;
	scols_table_set_column_separator(table->scols, "  ");
	for (; columns->name != NULL; columns++, table->columns++) {
		if (scols_table_new_column(table->scols, columns->name, 0,
			columns->is_right ? SCOLS_FL_RIGHT : 0) == NULL)
			goto fail;
	}
	return table;

fail:
	table_free(table);
	return NULL;
}

void
table_free(struct table *table)
{
	if (table == NULL)
		return;
	scols_unref_table(table->scols);
	free(table);
}

int
table_row(struct table *table, const char *const *cells)
{
	struct libscols_line *line;
	int err;

	line = scols_table_new_line(table->scols, NULL);
	if (line == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->columns; i++) {
		err = scols_line_set_data(line, i, cells[i]);
		if (err != 0)
			return err;
	}
	return 0;
}

int
table_print(struct table *table)
{
	return scols_print_table(table->scols);
}

const char *
table_bytes(uint64_t bytes, char *text)
{
	static const char units[] = "KMGTPE";
	size_t unit = 0;
	uint64_t whole = bytes;

	if (bytes < 1024) {
		snprintf(text, 32, "%" PRIu64, bytes);
		return text;
	}
	while (whole >= 1024 * 1024) {
		whole /= 1024;
		unit++;
	}
	snprintf(text, 32, "%" PRIu64 "%c", whole / 1024, units[unit]);
	return text;
}

const char *
table_count(uint64_t count, char *text)
{
	if (count < 1000)
		snprintf(text, 32, "%" PRIu64, count);
	else if (count < 1000000)
		snprintf(text, 32, "%.1fk", (double)count / 1e3);
	else
		snprintf(text, 32, "%.1fM", (double)count / 1e6);
	return text;
}

const char *
table_duration(uint64_t ns, char *text)
{
	const uint64_t ms = ns / NS_PER_MS;

	if (ms < 1000)
		snprintf(text, 32, "%" PRIu64 "ms", ms);
	else if (ms < 120 * 1000)
		snprintf(text, 32, "%" PRIu64 "s", ms / 1000);
	else if (ms < 2 * 3600 * 1000)
		snprintf(text, 32, "%" PRIu64 "m", ms / 60000);
	else
		snprintf(text, 32, "%" PRIu64 "h", ms / 3600000);
	return text;
}

const char *
table_milliseconds(uint64_t ns, char *text)
{
	double ms = (double)ns / 1e6;

	snprintf(text, 32,
	    ms < 0.1      ? "%.3f ms"
		: ms < 10 ? "%.2g ms"
			  : "%.0f ms",
	    ms);
	return text;
}

const char *
table_bar(uint64_t part, uint64_t whole, char *text)
{
	uint64_t filled = 0;
	char *end = text;

	if (whole != 0) {
		if (part > whole)
			part = whole;
		filled = (part * TABLE_BAR_CELLS + whole / 2) / whole;
	}
	for (unsigned i = 0; i < TABLE_BAR_CELLS; i++) {
		memcpy(end, i < filled ? "█" : "░", 3);
		end += 3;
	}
	*end = '\0';
	return text;
}
