/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/ring/ring_control.h"
#include "common/ring/ring_inspect.h"
#include "ctl/ask.h"
#include "ctl/ctl.h"
#include "ctl/processes.h"
#include "ctl/table.h"

struct settings {
	const char *conf_path;
	bool json;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print one JSON object", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
};

const struct options cmd_status_options = {
	.program = "weirctl status",
	.synopsis = "[-j] [-c FILE]",
	.summary = "Show the broker, its bridges, and the memory that they "
		   "may take and do take.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* The terms of the formula, for both kinds of output. */
struct term {
	const char *name;
	uint64_t bytes;
};

#define TERMS 9

static void
memory_terms(const struct conf_memory *m, struct term *out_terms)
{
	const struct term terms[TERMS] = {
		{ "rings", m->rings },
		{ "windows", m->windows },
		{ "journal", m->journal },
		{ "connections", m->connections },
		{ "sessions", m->sessions },
		{ "retained", m->retained },
		{ "http", m->http },
		{ "bridges", m->bridges },
		{ "programs", m->programs },
	};

	memcpy(out_terms, terms, sizeof(terms));
}

/* The bound for the clients and sessions there are, and the worst case. */
struct bound {
	struct conf_memory now;
	uint64_t worst_case;
	uint64_t clients, sessions;
};

static json_t *
memory_to_json(const struct bound *bound, uint64_t resident)
{
	const struct conf_memory *m = &bound->now;
	struct term terms[TERMS];
	json_t *object;

	memory_terms(m, terms);
	object = json_pack("{s:I, s:I, s:I, s:I, s:I}", "bound",
	    (json_int_t)m->total, "worst_case", (json_int_t)bound->worst_case,
	    "resident", (json_int_t)resident, "per_connection",
	    (json_int_t)m->per_connection, "per_session",
	    (json_int_t)m->per_session);
	for (size_t i = 0; i < TERMS; i++)
		json_object_set_new(object, terms[i].name,
		    json_integer((json_int_t)terms[i].bytes));
	return object;
}

static json_t *
processes_to_json(const struct processes *processes)
{
	json_t *array = json_array();

	for (size_t i = 0; i < processes->count; i++) {
		const struct process *p = &processes->process[i];

		json_array_append_new(array,
		    json_pack("{s:s, s:I, s:I, s:b}", "name", p->name, "pid",
			(json_int_t)p->pid, "resident",
			(json_int_t)p->resident_bytes, "alive", p->alive));
	}
	return array;
}

static int64_t
number(const json_t *object, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(object, key));
}

static void
print_broker(const json_t *status)
{
	char text[32];

	printf("broker %s, pid %" PRId64 ", up %s, %" PRId64
	       " clients, %" PRId64 " sessions, %" PRId64 " workers\n",
	    json_string_value(json_object_get(status, "version")),
	    number(status, "pid"),
	    table_duration(
		(uint64_t)number(status, "uptime_s") * UINT64_C(1000000000),
		text),
	    number(status, "clients"), number(status, "sessions"),
	    number(status, "worker_count"));
}

static void
print_days(const json_t *listener, const char *key, const char *what)
{
	const int64_t days = number(listener, key);

	if (json_object_get(listener, key) == NULL)
		return;
	if (days < 0)
		printf(", %s is past its end", what);
	else
		printf(", %s ends in %" PRId64 " days", what, days);
}

static void
print_listeners(const json_t *listeners)
{
	const json_t *listener;
	size_t index;

	json_array_foreach(listeners, index, listener)
	{
		printf("listener %s%s, %" PRId64 " connections",
		    json_string_value(json_object_get(listener, "bind")),
		    json_is_true(json_object_get(listener, "tls")) ? " with TLS"
								   : "",
		    number(listener, "connections"));
		print_days(listener, "certificate_days_left", "certificate");
		print_days(listener, "crl_days_left", "list of revoked");
		putchar('\n');
	}
}

/* "12M/256M", of what is queued; "–" without a journal. */
static const char *
backlog_text(const json_t *bridge, char text[64])
{
	char used[32], limit[32];

	if (json_object_get(bridge, "backlog") == NULL)
		return "–";
	snprintf(text, 64, "%s/%s",
	    table_bytes((uint64_t)number(bridge, "backlog_bytes"), used),
	    table_bytes((uint64_t)number(bridge, "backlog"), limit));
	return text;
}

static int
print_bridges(const json_t *bridges)
{
	static const struct table_column columns[] = {
		{ "BRIDGE", false },
		{ "STATE", false },
		{ "ACCEPTED", true },
		{ "DELIVERED", true },
		{ "QUEUED", true },
		{ "BACKLOG", true },
		{ "DROPPED", true },
		{ "DEAD", true },
		{ NULL, false },
	};
	static const char *const counted[] = { "accepted", "delivered",
		"queued", "dropped", "dead" };
	char text[5][24], backlog[64];
	const json_t *bridge;
	const char *state;
	struct table *table;
	size_t index;
	int err = 0;

	if (json_array_size(bridges) == 0)
		return 0;
	table = table_new(columns);
	if (table == NULL)
		return -ENOMEM;
	json_array_foreach(bridges, index, bridge)
	{
		for (size_t i = 0; i < 5; i++)
			snprintf(text[i], sizeof(text[i]), "%" PRId64,
			    number(bridge, counted[i]));
		state = json_string_value(json_object_get(bridge, "state"));
		err = table_row(table,
		    (const char *const[]){
			json_string_value(json_object_get(bridge, "name")),
			state == NULL ? "–" : state, text[0], text[1], text[2],
			backlog_text(bridge, backlog), text[3], text[4] });
		if (err != 0)
			break;
	}
	if (err == 0) {
		putchar('\n');
		err = table_print(table);
	}
	table_free(table);
	return err;
}

static void
print_verdict(int64_t off_by, int64_t under_way)
{
	if (off_by != 0)
		printf(": off by %" PRId64 "\n", off_by);
	else if (under_way != 0)
		printf(" + %" PRId64 " under way: reconciles\n", under_way);
	else
		puts(": reconciles");
}

/* Both sums of a bridge, with what is missing if they do not come out. */
static void
print_sums(const json_t *bridge, int width)
{
	const json_t *producers = json_object_get(bridge, "producers");

	printf("%-*s  offered %" PRId64 " = accepted %" PRId64
	       " + refused %" PRId64 " + unknown %" PRId64,
	    width, json_string_value(json_object_get(bridge, "name")),
	    number(producers, "offered"), number(producers, "accepted"),
	    number(producers, "refused"), number(producers, "unknown"));
	print_verdict(
	    number(producers, "off_by"), number(producers, "under_way"));
	printf("%-*s  accepted %" PRId64 " = delivered %" PRId64
	       " + queued %" PRId64 " + dropped %" PRId64 " + dead %" PRId64,
	    width, "", number(bridge, "accepted"), number(bridge, "delivered"),
	    number(bridge, "queued"), number(bridge, "dropped"),
	    number(bridge, "dead"));
	print_verdict(number(bridge, "off_by"), 0);
}

static void
print_all_sums(const json_t *bridges)
{
	const json_t *bridge;
	size_t index, length, width = 0;

	json_array_foreach(bridges, index, bridge)
	{
		length = json_string_length(json_object_get(bridge, "name"));
		if (length > width)
			width = length;
	}
	if (width != 0)
		putchar('\n');
	json_array_foreach(bridges, index, bridge)
	    print_sums(bridge, (int)width);
}

static void
print_memory(const struct bound *bound, const struct processes *processes)
{
	const struct conf_memory *m = &bound->now;
	struct term terms[TERMS];
	char a[32], b[32];

	memory_terms(m, terms);
	printf("\nmemory: with %" PRIu64 " clients and %" PRIu64
	       " sessions at most %s =\n ",
	    bound->clients, bound->sessions, table_bytes(m->total, a));
	for (size_t i = 0; i < TERMS; i++)
		printf("%s%s %s", i == 0 ? " " : " + ", terms[i].name,
		    table_bytes(terms[i].bytes, a));
	putchar('\n');
	printf("resident now: %s in %zu processes",
	    table_bytes(processes->resident_bytes, a), processes->count);
	for (size_t i = 0; i < processes->count; i++)
		printf("%s%s %s", i == 0 ? " (" : ", ",
		    processes->process[i].name,
		    table_bytes(processes->process[i].resident_bytes, b));
	puts(processes->count == 0 ? "" : ")");
	printf("worst case of this configuration (max_connections clients, "
	       "all their queues full): %s\n",
	    table_bytes(bound->worst_case, a));
}

static int
show_json(json_t *status, int why, const struct bound *bound,
    const struct processes *processes)
{
	json_t *all = status != NULL ? json_incref(status) : json_object();
	int err = 0;

	json_object_set_new(all, "answers", json_boolean(status != NULL));
	if (status == NULL)
		json_object_set_new(
		    all, "reason", json_string(ask_why_not(why)));
	json_object_set_new(
	    all, "memory", memory_to_json(bound, processes->resident_bytes));
	json_object_set_new(all, "processes", processes_to_json(processes));
	if (json_dumpf(all, stdout, JSON_INDENT(2)) == -1)
		err = -EIO;
	putchar('\n');
	json_decref(all);
	return err;
}

/* Without an answer from the broker only the worst case is known. */
static void
compute_bound(
    const struct conf *conf, const json_t *status, struct bound *out_bound)
{
	struct conf_memory worst;

	out_bound->worst_case = conf_memory_bound(conf, &worst);
	if (status == NULL) {
		out_bound->clients = out_bound->sessions =
		    conf->max_connections;
		out_bound->now = worst;
		return;
	}
	out_bound->clients = (uint64_t)number(status, "clients");
	out_bound->sessions = (uint64_t)number(status, "sessions");
	conf_memory_for(
	    conf, out_bound->clients, out_bound->sessions, &out_bound->now);
}

static int
show(const struct conf *conf, bool as_json)
{
	struct processes processes;
	struct bound bound;
	json_t *status;
	int err, why;

	err = processes_find(conf->run_dir, &processes);
	if (err != 0) {
		fprintf(stderr, "weirctl: cannot read the rings: %s\n",
		    strerror(-err));
		return EXIT_FAILED;
	}
	status = ask_broker(conf->run_dir, "status", &why);
	compute_bound(conf, status, &bound);
	if (as_json) {
		show_json(status, why, &bound, &processes);
	} else {
		if (status != NULL) {
			print_broker(status);
			print_listeners(json_object_get(status, "listeners"));
			print_bridges(json_object_get(status, "bridges"));
			print_all_sums(json_object_get(status, "bridges"));
		}
		print_memory(&bound, &processes);
	}
	if (status == NULL)
		fprintf(stderr,
		    "weirctl: %s (%s/%s). `weirctl rings` works "
		    "all the same.\n",
		    ask_why_not(why), conf->run_dir, RING_CONTROL_SOCKET);
	json_decref(status);
	processes_free(&processes);
	return status != NULL ? EXIT_OK : EXIT_UNAVAILABLE;
}

int
cmd_status(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { NULL, false };
	struct conf *conf;
	int code;

	code = options_parse(&cmd_status_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 1)
		return options_usage_error(&cmd_status_options,
		    "status takes no operand, not \"%s\"", argv[1]);
	code = ctl_need(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = show(conf, settings.json);
	conf_free(conf);
	return code;
}
