/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "ctl/ctl.h"
#include "ctl/why.h"
#include "ctl/why_text.h"

struct settings {
	const char *conf_path;
	bool json;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE",
	    "look only at the installation that FILE configures", OPTION_STRING,
	    offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print one JSON object", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
};

const struct options cmd_why_options = {
	.program = "weirctl why",
	.synopsis = "[-j] [-c FILE] [NAME]",
	.summary =
	    "Say what holds up a bridge, a program, or a ring (as `weirctl "
	    "rings` names it);\nwithout NAME, whatever is blocked.  Nobody's "
	    "help is needed for it.\nExits 0 when nothing is blocked, 1 when "
	    "something is, 69 without any ring.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* ---- as text --------------------------------------------------------------
 */

static void
print_advice(const struct why_trouble *trouble)
{
	struct why_advice advice[WHY_ADVICE_MAX];
	unsigned count = why_advise(trouble, advice);

	for (unsigned i = 0; i < count; i++) {
		if (advice[i].command[0] == '\0')
			printf("  %s\n", advice[i].text);
		else
			printf("  %s\n      %s\n", advice[i].command,
			    advice[i].text);
	}
}

/* Each lane that was asked for, when it is as it should be. */
static void
print_fine(const struct ring_views *views, const char *name, uint64_t now_ns)
{
	for (size_t i = 0; i < views->count; i++) {
		if (name != NULL && why_names_view(&views->view[i], name)) {
			why_print_fine(&views->view[i], now_ns, stdout);
			putchar('\n');
		}
	}
}

static void
print_text(const struct ring_views *views, const struct why *why,
    const char *name, uint64_t now_ns)
{
	if (why->count == 0) {
		printf("%s%snothing is blocked.\n", name == NULL ? "" : name,
		    name == NULL ? "" : ": ");
		print_fine(views, name, now_ns);
	}
	for (size_t i = 0; i < why->count; i++) {
		why_print_sentence(&why->trouble[i], now_ns, stdout);
		puts(".");
		print_advice(&why->trouble[i]);
	}
	if (views->unreadable != 0)
		printf("%zu processes could not be looked into: run as root "
		       "to see all.\n",
		    views->unreadable);
}

/* ---- as JSON --------------------------------------------------------------
 */

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *
text_or_null(const char *text)
{
	return text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *
held_to_json(const struct why_held *held)
{
	return json_pack("{s:o, s:o, s:o}", "clients", number(held->clients),
	    "messages", number(held->messages), "names",
	    text_or_null(held->names));
}

static json_t *
lanes_to_json(const struct why_trouble *trouble)
{
	json_t *array = json_array();

	for (size_t i = 0; i < trouble->lane_count; i++)
		json_array_append_new(
		    array, json_string(trouble->lanes[i]->name));
	return array;
}

static json_t *
remote_to_json(const struct why_trouble *trouble)
{
	const struct why_remote *remote = &trouble->remote;
	const struct ring_view *lane = trouble->lane;

	if (trouble->party->role != RING_ROLE_BRIDGE)
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "address",
	    text_or_null(remote->address), "state", text_or_null(remote->state),
	    "error", text_or_null(remote->error), "in_flight",
	    number(lane == NULL ? 0 : lane->in_flight), "window",
	    number(lane == NULL ? 0 : lane->window), "socket_full",
	    remote->is_full);
}

static json_t *
advice_to_json(const struct why_trouble *trouble)
{
	struct why_advice advice[WHY_ADVICE_MAX];
	unsigned count = why_advise(trouble, advice);
	json_t *array = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(array,
		    json_pack("{s:o, s:s}", "command",
			text_or_null(advice[i].command), "text",
			advice[i].text));
	return array;
}

static json_t *
sentence_to_json(const struct why_trouble *trouble, uint64_t now_ns)
{
	char *text = NULL;
	size_t length;
	json_t *string;
	FILE *out;

	out = open_memstream(&text, &length);
	if (out == NULL)
		return json_null();
	why_print_sentence(trouble, now_ns, out);
	string = fclose(out) == 0 ? json_string(text) : NULL;
	free(text);
	return string == NULL ? json_null() : string;
}

static json_t *
backlog_to_json(const struct why_backlog *backlog)
{
	if (backlog->limit == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "messages",
	    number(backlog->messages), "bytes", number(backlog->bytes), "limit",
	    number(backlog->limit));
}

static json_t *
trouble_to_json(const struct why_trouble *trouble, uint64_t now_ns)
{
	const struct ring_party *party = trouble->party;
	char program[80];

	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o,"
			 " s:o, s:o, s:o, s:o, s:o, s:o}",
	    "subject", trouble->subject, "kind", why_kind_name(trouble->kind),
	    "sentence", sentence_to_json(trouble, now_ns), "process",
	    why_program(party, program), "pid", number(party->pid),
	    "process_state", ring_life_name(party->life), "heartbeat_age_ms",
	    number(party->beat_age_ns / CLOCK_MS_NS), "for_ms",
	    number(trouble->for_ns / CLOCK_MS_NS), "lanes",
	    lanes_to_json(trouble), "remote", remote_to_json(trouble),
	    "http_clients", held_to_json(&trouble->clients), "publishers",
	    held_to_json(&trouble->publishers), "receipts",
	    number(trouble->receipts), "grow_failures",
	    number(trouble->lane == NULL ? 0 : trouble->lane->grow_failures),
	    "backlog", backlog_to_json(&trouble->backlog), "next",
	    advice_to_json(trouble));
}

static int
print_json(const struct why *why, uint64_t now_ns)
{
	json_t *array = json_array();
	json_t *object;
	int err = 0;

	for (size_t i = 0; i < why->count; i++) {
		if (json_array_append_new(
			array, trouble_to_json(&why->trouble[i], now_ns)) == -1)
			err = -ENOMEM;
	}
	object = json_pack(
	    "{s:b, s:o}", "blocked", why->count != 0, "troubles", array);
	if (err == 0 && json_dumpf(object, stdout, JSON_INDENT(2)) == -1)
		err = -EIO;
	json_decref(object);
	putchar('\n');
	return err;
}

/* ---- the verb -------------------------------------------------------------
 */

static int
say_unknown(const struct ring_views *views, const char *name)
{
	fprintf(stderr,
	    "weirctl: there is no bridge, program or ring \"%s\"; there are:",
	    name);
	for (size_t i = 0; i < views->count; i++)
		fprintf(stderr, " %s", views->view[i].name);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

static int
answer(const struct settings *settings, const struct ring_views *views,
    const char *name, uint64_t now_ns)
{
	struct why why;
	int code, err;

	err = why_find(views, name, now_ns, &why);
	if (err == 0 && !why.is_known) {
		code = say_unknown(views, name);
		why_free(&why);
		return code;
	}
	if (err == 0 && settings->json)
		err = print_json(&why, now_ns);
	else if (err == 0)
		print_text(views, &why, name, now_ns);
	if (err == 0 && fflush(stdout) != 0)
		err = -errno;
	if (err != 0)
		fprintf(
		    stderr, "weirctl: cannot say why: %s\n", strerror(-err));
	code = err != 0 || why.count != 0 ? EXIT_FAILED : EXIT_OK;
	why_free(&why);
	return code;
}

static int
ask_rings(
    const struct settings *settings, const char *run_dir, const char *name)
{
	const uint64_t now_ns = clock_now_ns();
	struct ring_views views;
	int code, err;

	err = ring_views_take(run_dir, now_ns, &views);
	if (err != 0) {
		fprintf(stderr, "weirctl: cannot read the rings: %s\n",
		    strerror(-err));
		return EXIT_FAILED;
	}
	if (views.count == 0) {
		fprintf(stderr,
		    "weirctl: no rings: no weir-broker runs%s%s, or its "
		    "processes may not be looked into (run as root)\n",
		    run_dir == NULL ? "" : " in ",
		    run_dir == NULL ? "" : run_dir);
		code = EXIT_UNAVAILABLE;
	} else {
		code = answer(settings, &views, name, now_ns);
	}
	ring_views_free(&views);
	return code;
}

int
cmd_why(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { NULL, false };
	struct conf *conf;
	int code;

	code = options_parse(&cmd_why_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 2)
		return options_usage_error(&cmd_why_options,
		    "why takes one NAME at most, not also \"%s\"", argv[2]);
	code = ctl_load(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = ask_rings(&settings, conf == NULL ? NULL : conf->run_dir,
	    argc == 2 ? argv[1] : NULL);
	conf_free(conf);
	return code;
}
