/* SPDX-License-Identifier: Apache-2.0 */

/* The text format of Prometheus, version 0.0.4. */

#include "common/stats/stats.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define NS_PER_SECOND UINT64_C(1000000000)

static void
put_escaped(FILE *out, const char *text, bool is_label)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\' || (is_label && *text == '"'))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

void
stats_prometheus_family(
    FILE *out, const char *name, const char *help, enum stats_kind kind)
{
	fprintf(out, "# HELP %s ", name);
	put_escaped(out, help, false);
	fprintf(out, "\n# TYPE %s %s\n", name,
	    kind == STATS_COUNTER ? "counter" : "gauge");
}

void
stats_prometheus_sample(
    FILE *out, const char *name, const char *labels, uint64_t value)
{
	if (labels == NULL || labels[0] == '\0')
		fprintf(out, "%s %llu\n", name, (unsigned long long)value);
	else
		fprintf(out, "%s{%s} %llu\n", name, labels,
		    (unsigned long long)value);
}

void
stats_prometheus(FILE *out, const char *name, const char *help,
    enum stats_kind kind, uint64_t value)
{
	stats_prometheus_family(out, name, help, kind);
	stats_prometheus_sample(out, name, NULL, value);
}

void
stats_prometheus_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	put_escaped(out, value, true);
	fputc('"', out);
}

/* Whether it counts nanoseconds: Prometheus wants seconds. */
static bool
is_time(const char *name)
{
	size_t length = strlen(name);

	return length > 3 && strcmp(name + length - 3, "_ns") == 0;
}

static void
put_row(FILE *out, const char *prefix, const struct stats_row *row,
    uint64_t value)
{
	const char *suffix = row->kind == STATS_COUNTER ? "_total" : "";
	char name[160];

	if (!is_time(row->name)) {
		snprintf(
		    name, sizeof(name), "%s_%s%s", prefix, row->name, suffix);
		stats_prometheus(out, name, row->help, row->kind, value);
		return;
	}
	snprintf(name, sizeof(name), "%s_%.*s_seconds%s", prefix,
	    (int)strlen(row->name) - 3, row->name, suffix);
	stats_prometheus_family(out, name, row->help, row->kind);
	fprintf(out, "%s %" PRIu64 ".%09" PRIu64 "\n", name,
	    value / NS_PER_SECOND, value % NS_PER_SECOND);
}

void
stats_prometheus_all(FILE *out, const char *prefix, const struct stats *stats)
{
	struct stats_row row;

	for (uint32_t i = 0; i < stats_count(stats); i++) {
		row = stats_row(stats, i);
		put_row(out, prefix, &row, stats_read(stats, i));
	}
}
