/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/ring/ring_inspect.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* Rates of a single table are taken over this long. */
#define SAMPLE_NS (250 * MS)

struct settings {
	const char *conf_path;
	bool json;
	bool watch;
	uint64_t interval_ns;
	uint64_t count;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE",
	    "show only the installation that FILE configures", OPTION_STRING,
	    offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print a JSON array, one object a lane",
	    OPTION_FLAG, offsetof(struct settings, json), NULL },
	{ 'w', "watch", NULL, "print again and again until interrupted",
	    OPTION_FLAG, offsetof(struct settings, watch), NULL },
	{ 'i', "interval", "TIME", "with --watch: how often (default 1s)",
	    OPTION_DURATION, offsetof(struct settings, interval_ns), NULL },
	{ 'n', "count", "N", "with --watch: stop after N times", OPTION_U64,
	    offsetof(struct settings, count), NULL },
};

const struct options cmd_rings_options = {
	.program = "weirctl rings",
	.synopsis = "[-jw] [-c FILE] [-i TIME] [-n N]",
	.summary = "Show every ring of this host that may be read, found "
		   "without the broker's\nhelp: also while it hangs, and after "
		   "it died.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static void
sleep_ns(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / SECOND), (long)(ns % SECOND) };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static json_t *
view_to_json(const struct ring_view *v)
{
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:s,"
	    " s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
	    " s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
	    " s:I, s:I, s:I, s:s?}",
	    "name", v->name, "from", v->from, "to", v->to, "lane", v->lane,
	    "state", ring_state_name(v->state), "capacity",
	    (json_int_t)v->capacity, "max_capacity",
	    (json_int_t)v->max_capacity, "used", (json_int_t)v->used,
	    "high_water", (json_int_t)v->high_water, "messages_in",
	    (json_int_t)v->messages_in, "messages_out",
	    (json_int_t)v->messages_out, "bytes_in", (json_int_t)v->bytes_in,
	    "bytes_out", (json_int_t)v->bytes_out, "lag_ms",
	    (json_int_t)(v->lag_ns / MS), "credit_granted",
	    (json_int_t)v->credit_granted, "credit_used",
	    (json_int_t)v->credit_used, "stalls", (json_int_t)v->stalls,
	    "stalled_ms", (json_int_t)(v->stalled_ns / MS), "grows",
	    (json_int_t)v->grows, "shrinks", (json_int_t)v->shrinks,
	    "grow_failures", (json_int_t)v->grow_failures, "wakeups",
	    (json_int_t)v->wakeups, "refused", (json_int_t)v->refused,
	    "dropped", (json_int_t)(v->dropped + v->offered_dropped), "dead",
	    (json_int_t)v->dead, "in_flight", (json_int_t)v->in_flight,
	    "window", (json_int_t)v->window, "producer_pid",
	    (json_int_t)v->producer_pid, "consumer_pid",
	    (json_int_t)v->consumer_pid, "held_by",
	    v->held_by[0] != '\0' ? v->held_by : NULL);
}

static int
print_json(const struct ring_views *views)
{
	json_t *array = json_array();
	int err = 0;

	for (size_t i = 0; i < views->count; i++) {
		if (json_array_append_new(
			array, view_to_json(&views->view[i])) == -1)
			err = -ENOMEM;
	}
	if (err == 0 && json_dumpf(array, stdout, JSON_INDENT(2)) == -1)
		err = -EIO;
	json_decref(array);
	putchar('\n');
	return err;
}

/* What came through since `before`, a second; "–" for a lane that is new. */
static const char *
rate(uint64_t now, uint64_t before, uint64_t elapsed_ns, char *text)
{
	if (now < before || elapsed_ns == 0)
		return "–";
	return table_count(
	    (uint64_t)((double)(now - before) * 1e9 / (double)elapsed_ns),
	    text);
}

static const struct ring_view *
find_same(const struct ring_views *views, const struct ring_view *wanted)
{
	for (size_t i = 0; i < views->count; i++) {
		const struct ring_view *v = &views->view[i];

		if (strcmp(v->name, wanted->name) == 0 &&
		    memcmp(v->instance, wanted->instance,
			sizeof(v->instance)) == 0)
			return v;
	}
	return NULL;
}

static const char *
state_word(const struct ring_view *v)
{
	return v->state == RING_BLOCKED ? "BLOCKED" : ring_state_name(v->state);
}

static int
add_row(struct table *table, const struct ring_view *v,
    const struct ring_view *before, uint64_t elapsed_ns)
{
	char used[32], capacity[32], max[32], in[32], out[32], lag[32];
	char bar[TABLE_BAR_SIZE], sizes[100];

	snprintf(sizes, sizeof(sizes), "%s/%s/%s", table_bytes(v->used, used),
	    table_bytes(v->capacity, capacity),
	    table_bytes(v->max_capacity, max));
	return table_row(table,
	    (const char *const[]){ v->name, state_word(v),
		table_bar(v->used, v->capacity, bar), sizes,
		before == NULL
		    ? "–"
		    : rate(v->messages_in, before->messages_in, elapsed_ns, in),
		before == NULL ? "–"
			       : rate(v->messages_out, before->messages_out,
				     elapsed_ns, out),
		v->used == 0 ? "–" : table_duration(v->lag_ns, lag),
		v->held_by[0] != '\0' ? v->held_by : "–" });
}

/* What to ask `weirctl why` for; the bridge of a lane if it has one. */
static const char *
culprit(const struct ring_view *v)
{
	static const char bridge[] = "bridge ";

	if (strcmp(v->from, "broker") == 0)
		return v->to;
	/* As ring_inspect words it: the bridge that holds this lane. */
	if (strncmp(v->held_by, bridge, sizeof(bridge) - 1) == 0)
		return v->held_by + sizeof(bridge) - 1;
	return v->from;
}

static void
print_sum(const struct ring_views *views)
{
	size_t blocked = 0, gone = 0;
	const char *first = NULL;

	for (size_t i = 0; i < views->count; i++) {
		const struct ring_view *v = &views->view[i];

		if (v->state == RING_BLOCKED && blocked++ == 0)
			first = culprit(v);
		gone += v->state == RING_PEER_DEAD || v->state == RING_DETACHED;
	}
	if (blocked != 0)
		printf("%zu blocked. Next: weirctl why %s\n", blocked, first);
	if (gone != 0)
		printf("%zu with a process gone; what is committed in them is "
		       "kept.%s\n",
		    gone, blocked != 0 ? "" : " Next: weirctl why");
	if (views->unreadable != 0)
		printf("%zu processes could not be looked into: run as root "
		       "to see all.\n",
		    views->unreadable);
}

static int
print_table(const struct ring_views *views, const struct ring_views *before,
    uint64_t elapsed_ns)
{
	static const struct table_column columns[] = {
		{ "LANE", false },
		{ "STATE", false },
		{ "FILL", false },
		{ "USED/CAP/MAX", false },
		{ "IN/s", true },
		{ "OUT/s", true },
		{ "LAG", true },
		{ "HELD BY", false },
		{ NULL, false },
	};
	struct table *table;
	int err = 0;

	if (views->count == 0) {
		puts("No rings: no Weir broker runs here, or its processes "
		     "may not be looked into.");
		print_sum(views);
		return 0;
	}
	table = table_new(columns);
	if (table == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < views->count && err == 0; i++) {
		err = add_row(table, &views->view[i],
		    find_same(before, &views->view[i]), elapsed_ns);
	}
	if (err == 0)
		err = table_print(table);
	table_free(table);
	print_sum(views);
	return err;
}

static int
fail(int err)
{
	fprintf(stderr, "weirctl: cannot read the rings: %s\n", strerror(-err));
	return EXIT_FAILED;
}

static int
show_json(const struct settings *settings, const char *run_dir)
{
	struct ring_views views;
	int err;

	for (uint64_t n = 1;; n++) {
		err = ring_views_take(run_dir, clock_now_ns(), &views);
		if (err != 0)
			return fail(err);
		err = print_json(&views);
		ring_views_free(&views);
		if (err != 0)
			return fail(err);
		if (fflush(stdout) != 0 || !settings->watch ||
		    n == settings->count)
			return EXIT_OK;
		sleep_ns(settings->interval_ns);
	}
}

static int
show_table(const struct settings *settings, const char *run_dir)
{
	const bool clear = settings->watch && isatty(STDOUT_FILENO);
	struct ring_views views, before;
	uint64_t then_ns, now_ns;
	int err;

	then_ns = clock_now_ns();
	err = ring_views_take(run_dir, then_ns, &before);
	if (err != 0)
		return fail(err);
	sleep_ns(SAMPLE_NS);
	for (uint64_t n = 1;; n++) {
		now_ns = clock_now_ns();
		err = ring_views_take(run_dir, now_ns, &views);
		if (err != 0)
			break;
		if (clear)
			fputs("\033[H\033[2J", stdout);
		err = print_table(&views, &before, now_ns - then_ns);
		ring_views_free(&before);
		before = views;
		then_ns = now_ns;
		if (err != 0 || fflush(stdout) != 0 || !settings->watch ||
		    n == settings->count)
			break;
		sleep_ns(settings->interval_ns);
	}
	ring_views_free(&before);
	return err == 0 ? EXIT_OK : fail(err);
}

int
cmd_rings(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .interval_ns = SECOND };
	struct conf *conf;
	const char *run_dir;
	int code;

	code = options_parse(&cmd_rings_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 1)
		return options_usage_error(&cmd_rings_options,
		    "rings takes no operand, not \"%s\"", argv[1]);
	if (settings.interval_ns < 10 * MS)
		return options_usage_error(
		    &cmd_rings_options, "--interval must be at least 10ms");
	code = ctl_load(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	run_dir = conf == NULL ? NULL : conf->run_dir;
	if (settings.json)
		code = show_json(&settings, run_dir);
	else
		code = show_table(&settings, run_dir);
	conf_free(conf);
	return code;
}
