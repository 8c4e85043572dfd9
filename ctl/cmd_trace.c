/* SPDX-License-Identifier: Apache-2.0 */

/* trace - where sampled messages spend their time. */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "ctl/client_options.h"
#include "ctl/ctl.h"
#include "ctl/journey.h"
#include "ctl/record_id.h"
#include "ctl/table.h"

/* How often notes are collected, before their circles are full. */
#define COLLECT_NS (200 * CLOCK_MS_NS)

#define TIME_SIZE 40

struct settings {
	const char *conf_path;
	bool json;
	uint64_t watch_ns; /* 0: what is there now */
};

static const char *
read_seconds(void *target, const char *value)
{
	struct settings *settings = target;

	return client_options_read_seconds(value, &settings->watch_ns);
}

static const struct option_row rows[] = {
	{ 'c', "config", "FILE",
	    "look only at the installation that FILE configures", OPTION_STRING,
	    offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print a JSON object", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
	{ 's', "seconds", "SECONDS",
	    "wait so long, and take only messages that came meanwhile",
	    OPTION_CALL, 0, read_seconds },
};

const struct options cmd_trace_options = {
	.program = "weirctl trace",
	.synopsis = "[-j] [-c FILE] [-s SECONDS] [ID]",
	.summary = "Show how long messages take from stage to stage, of the "
		   "samples that the processes\nkeep (trace_every), or the way "
		   "of one message, whose ID weirctl dump prints.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static int
fail(int err)
{
	fprintf(stderr, "%s: cannot read the traces: %s\n",
	    cmd_trace_options.program, strerror(-err));
	return EXIT_FAILED;
}

static int
print_json(json_t *object)
{
	int err = object == NULL ? -ENOMEM : 0;

	if (err == 0 &&
	    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) ==
		-1)
		err = -EIO;
	json_decref(object);
	putchar('\n');
	return err == 0 ? EXIT_OK : fail(err);
}

static void
sleep_ns(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / CLOCK_SECOND_NS),
		(long)(ns % CLOCK_SECOND_NS) };

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static int
collect(struct ring_traces *traces, const char *run_dir, uint64_t watch_ns)
{
	const uint64_t end_ns = clock_now_ns() + watch_ns;
	uint64_t now_ns;
	int err;

	for (;;) {
		err = ring_traces_collect(traces, run_dir);
		now_ns = clock_now_ns();
		if (err != 0 || now_ns >= end_ns)
			return err;
		sleep_ns(end_ns - now_ns < COLLECT_NS ? end_ns - now_ns
						      : COLLECT_NS);
	}
}

/* "1.5ms": three figures and the unit that gives them. */
static const char *
exact(uint64_t ns, char *text)
{
	if (ns < 1000)
		snprintf(text, TIME_SIZE, "%" PRIu64 "ns", ns);
	else if (ns < CLOCK_MS_NS)
		snprintf(text, TIME_SIZE, "%.1f\u00b5s", (double)ns / 1e3);
	else if (ns < CLOCK_SECOND_NS)
		snprintf(text, TIME_SIZE, "%.2fms", (double)ns / 1e6);
	else
		snprintf(text, TIME_SIZE, "%.2fs", (double)ns / 1e9);
	return text;
}

/* ---- nothing to be seen ---------------------------------------------------
 */

/* The least that any process samples by; 0: none samples. */
static uint64_t
sampled_every(const struct ring_traces *traces)
{
	uint64_t every = 0;

	for (size_t i = 0; i < traces->sides; i++)
		if (traces->side[i].state.every != 0 &&
		    (every == 0 || traces->side[i].state.every < every))
			every = traces->side[i].state.every;
	return every;
}

static void
explain_nothing(const struct ring_traces *traces, uint64_t watch_ns)
{
	const uint64_t every = sampled_every(traces);

	if (traces->sides == 0)
		puts("Nothing was sampled: no Weir broker runs here, or its "
		     "processes may not be looked into.");
	else if (every == 0)
		puts("Nothing was sampled: sampling is off.  Set trace_every "
		     "in the configuration (64 is usual) and restart.");
	else
		printf("Nothing was sampled%s.  One message in %" PRIu64
		       " is, counted from each start, of those that come by "
		       "HTTP, from a bridge, or for a bridge.\n",
		    watch_ns == 0 ? "" : " in this time", every);
	if (traces->unreadable != 0)
		printf("%zu processes could not be looked into: run as root "
		       "to see all.\n",
		    traces->unreadable);
}

/* ---- all of them ----------------------------------------------------------
 */

static int
add_leg(struct table *table, const struct journey_times *times,
    enum journey_leg leg)
{
	const struct histogram *h = &times->leg[leg];
	char count[24], p50[TIME_SIZE], p90[TIME_SIZE], p99[TIME_SIZE];
	char max[TIME_SIZE];

	snprintf(count, sizeof(count), "%" PRIu64, h->count);
	return table_row(table,
	    (const char *const[]){ journey_leg_words[leg].text, count,
		exact(histogram_percentile(h, 50), p50),
		exact(histogram_percentile(h, 90), p90),
		exact(histogram_percentile(h, 99), p99), exact(h->max, max) });
}

static int
print_times(const struct ring_traces *traces, const struct journey_times *times)
{
	static const struct table_column columns[] = {
		{ "STAGE", false },
		{ "COUNT", true },
		{ "P50", true },
		{ "P90", true },
		{ "P99", true },
		{ "MAX", true },
		{ NULL, false },
	};
	struct table *table = table_new(columns);
	int err = table == NULL ? -ENOMEM : 0;

	for (unsigned leg = 0; leg < JOURNEY_LEGS && err == 0; leg++)
		if (times->leg[leg].count != 0)
			err = add_leg(table, times, (enum journey_leg)leg);
	if (err == 0)
		err = table_print(table);
	table_free(table);
	if (err != 0)
		return fail(err);
	printf("%" PRIu64 " messages, one in %" PRIu64 ".\n", times->journeys,
	    sampled_every(traces));
	if (traces->lost != 0)
		printf("%" PRIu64 " notes were overwritten before they could "
		       "be read: raise trace_every.\n",
		    traces->lost);
	return EXIT_OK;
}

static json_t *
leg_to_json(const struct journey_times *times, enum journey_leg leg)
{
	const struct histogram *h = &times->leg[leg];

	return json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "stage",
	    journey_leg_words[leg].name, "count", (json_int_t)h->count,
	    "p50_us", (double)histogram_percentile(h, 50) / 1e3, "p90_us",
	    (double)histogram_percentile(h, 90) / 1e3, "p99_us",
	    (double)histogram_percentile(h, 99) / 1e3, "max_us",
	    (double)(h->count == 0 ? 0 : h->max) / 1e3);
}

static json_t *
times_to_json(
    const struct ring_traces *traces, const struct journey_times *times)
{
	json_t *stages = json_array();

	for (unsigned leg = 0; leg < JOURNEY_LEGS; leg++)
		if (json_array_append_new(stages,
			leg_to_json(times, (enum journey_leg)leg)) != 0) {
			json_decref(stages);
			return NULL;
		}
	return json_pack("{s:I, s:I, s:I, s:o}", "messages",
	    (json_int_t)times->journeys, "trace_every",
	    (json_int_t)sampled_every(traces), "notes_lost",
	    (json_int_t)traces->lost, "stages", stages);
}

static int
show_times(const struct settings *settings, const struct ring_traces *traces,
    uint64_t since_ns)
{
	struct journey_times *times = calloc(1, sizeof(*times));
	int code = EXIT_OK;

	if (times == NULL)
		return fail(-ENOMEM);
	journey_measure(traces, since_ns, times);
	if (settings->json)
		code = print_json(times_to_json(traces, times));
	else if (times->journeys == 0)
		explain_nothing(traces, settings->watch_ns);
	else
		code = print_times(traces, times);
	free(times);
	return code;
}

/* ---- one of them ----------------------------------------------------------
 */

static const char *
name_of_link(const struct ring_traces *traces,
    const struct ring_traces_note *note, uint32_t link)
{
	for (size_t i = 0; i < traces->sides; i++)
		if (traces->side[i].link == link &&
		    memcmp(traces->side[i].instance, note->instance,
			sizeof(note->instance)) == 0)
			return traces->side[i].name;
	return "?";
}

/* Who noted it; for what goes into a bridge's ring, whose. */
static const char *
place_of(const struct ring_traces *traces, const struct ring_traces_note *note,
    char *text, size_t size)
{
	const char *name = name_of_link(traces, note, note->side_link);

	if (!note->by_broker)
		snprintf(text, size, "%s", name);
	else if (note->event.stage == RING_TRACE_ROUTED)
		snprintf(text, size, "broker, for %s", name);
	else
		snprintf(text, size, "broker");
	return text;
}

/* "2026-11-23T10:00:00.123456Z" of a time of CLOCK_MONOTONIC. */
static const char *
wall_time(uint64_t time_ns, char *text)
{
	const uint64_t wall_ns = clock_wall_ns() - clock_now_ns() + time_ns;
	const time_t seconds = (time_t)(wall_ns / CLOCK_SECOND_NS);
	char date[TIME_SIZE] = "?";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, TIME_SIZE, "%.20s.%06uZ", date,
	    (unsigned)(wall_ns % CLOCK_SECOND_NS / 1000));
	return text;
}

static int
add_note(struct table *table, const struct ring_traces *traces,
    const struct journey *journey, size_t i)
{
	const struct ring_traces_note *note = &journey->note[i];
	const uint64_t at_ns = note->event.time_ns;
	char at[TIME_SIZE], since[TIME_SIZE], stepped[TIME_SIZE], place[96];

	return table_row(table,
	    (const char *const[]){ wall_time(at_ns, at),
		exact(at_ns - journey->note[0].event.time_ns, since),
		i == 0 ? "\u2013"
		       : exact(at_ns - note[-1].event.time_ns, stepped),
		journey_stage_name(note->event.stage),
		place_of(traces, note, place, sizeof(place)) });
}

static int
print_journey(const struct ring_traces *traces, const struct journey *journey)
{
	static const struct table_column columns[] = {
		{ "TIME", false },
		{ "SINCE", true },
		{ "STEP", true },
		{ "STAGE", false },
		{ "BY", false },
		{ NULL, false },
	};
	struct table *table = table_new(columns);
	int err = table == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < journey->count && err == 0; i++)
		err = add_note(table, traces, journey, i);
	if (err == 0)
		err = table_print(table);
	table_free(table);
	return err == 0 ? EXIT_OK : fail(err);
}

static json_t *
note_to_json(const struct ring_traces *traces, const struct journey *journey,
    const struct ring_traces_note *note)
{
	char at[TIME_SIZE], place[96];

	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:f}", "stage",
	    journey_stage_name(note->event.stage), "by",
	    place_of(traces, note, place, sizeof(place)), "link",
	    name_of_link(traces, note, note->side_link), "time",
	    wall_time(note->event.time_ns, at), "broker", note->by_broker,
	    "since_us",
	    (double)(note->event.time_ns - journey->note[0].event.time_ns) /
		1e3);
}

static json_t *
journey_to_json(const struct ring_traces *traces, const struct journey *journey)
{
	char id[RECORD_ID_SIZE];
	json_t *stages = json_array();

	for (size_t i = 0; i < journey->count; i++)
		if (json_array_append_new(stages,
			note_to_json(traces, journey, &journey->note[i])) !=
		    0) {
			json_decref(stages);
			return NULL;
		}
	return json_pack("{s:s, s:o}", "id",
	    record_id_write(&journey->note[0].event.id, id), "stages", stages);
}

static bool
is_same(const struct ring_trace_id *a, const struct ring_trace_id *b)
{
	return a->link == b->link && a->lane == b->lane &&
	    a->sequence == b->sequence;
}

static int
show_journey(const struct settings *settings, const struct ring_traces *traces,
    const struct ring_trace_id *id)
{
	struct journey journey, newest = { NULL, 0 };
	char text[RECORD_ID_SIZE];

	/* A restarted broker may give an MQTT client's message an id anew. */
	for (size_t at = 0; at < traces->count; at += journey.count) {
		journey = journey_at(traces, at);
		if (is_same(&journey.note->event.id, id) &&
		    (newest.note == NULL ||
			journey.note->event.time_ns >
			    newest.note->event.time_ns))
			newest = journey;
	}
	if (newest.note != NULL)
		return settings->json
		    ? print_json(journey_to_json(traces, &newest))
		    : print_journey(traces, &newest);
	fprintf(stderr,
	    "%s: nothing is noted of message %s: it was not sampled, or its "
	    "notes are overwritten (each process keeps its last %zu)\n",
	    cmd_trace_options.program, record_id_write(id, text),
	    RING_TRACE_ENTRIES);
	return EXIT_FAILED;
}

/* ---- the verb -------------------------------------------------------------
 */

static int
show(const struct settings *settings, const char *run_dir,
    const struct ring_trace_id *id)
{
	const uint64_t since_ns = settings->watch_ns == 0 ? 0 : clock_now_ns();
	struct ring_traces traces = { .note = NULL };
	int code, err;

	err = collect(&traces, run_dir, settings->watch_ns);
	if (err != 0)
		code = fail(err);
	else if (id != NULL)
		code = show_journey(settings, &traces, id);
	else
		code = show_times(settings, &traces, since_ns);
	ring_traces_free(&traces);
	return code;
}

int
cmd_trace(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .watch_ns = 0 };
	struct ring_trace_id id;
	struct conf *conf;
	int code;

	code = options_parse(&cmd_trace_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 2)
		return options_usage_error(&cmd_trace_options,
		    "one ID or none, not \"%s\" too", argv[2]);
	if (argc == 2 && record_id_parse(argv[1], &id) != 0)
		return options_usage_error(&cmd_trace_options,
		    "\"%s\" is no ID as weirctl dump prints it: 0.1.4711 or "
		    "mqtt.0.99",
		    argv[1]);
	code = ctl_load(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = show(&settings, conf == NULL ? NULL : conf->run_dir,
	    argc == 2 ? &id : NULL);
	conf_free(conf);
	return code;
}
