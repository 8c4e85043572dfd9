/* SPDX-License-Identifier: Apache-2.0 */

/* sub - subscribe and print what comes, until told otherwise. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/msg/topic.h"
#include "ctl/client_options.h"
#include "ctl/ctl.h"
#include "ctl/sub_format.h"

/* What mosquitto_sub returns when -W ends it. */
#define EXIT_TIMED_OUT 27

struct settings {
	const char **topics;
	size_t topic_count;
	const char *format;
	bool verbose;
	bool no_newline;
	bool no_stale;
	bool retained_only;
	bool exit_subscribed;
	bool no_clean;
	uint64_t count; /* 0: no end */
	uint64_t wait_ns;
};

struct sub {
	const struct settings *settings;
	const struct client_options *options;
	struct mqtt_client *client;
	struct loop_timer wait;
	struct loop_hook flush; /* once a turn, not a message */
	uint64_t printed;
};

static const char *
note_topic(void *target, const char *value)
{
	struct settings *settings = target;

	if (!topic_filter_is_valid(slice_of_string(value)))
		return "a topic filter: + for one level, # at the end for all";
	settings->topics[settings->topic_count++] = value;
	return NULL;
}

static const char *
read_count(void *target, const char *value)
{
	struct settings *settings = target;

	if (parse_u64(value, &settings->count) != 0 || settings->count == 0)
		return "a number of messages, at least 1";
	return NULL;
}

static const char *
read_wait(void *target, const char *value)
{
	struct settings *settings = target;
	const char *allowed =
	    client_options_read_seconds(value, &settings->wait_ns);

	if (allowed == NULL && settings->wait_ns == 0)
		return "more than 0";
	return allowed;
}

#define AT(field) offsetof(struct settings, field)

static const struct option_row rows[] = {
	{ 't', "topic", "FILTER", "subscribe to this; may be given often",
	    OPTION_CALL, 0, note_topic },
	{ 'v', "verbose", NULL, "print the topic before the payload",
	    OPTION_FLAG, AT(verbose), NULL },
	{ 'F', "format", "FORMAT",
	    "print by FORMAT, as in '%t: %p' (letters below)", OPTION_STRING,
	    AT(format), NULL },
	{ 'N', "no-newline", NULL, "print no newline after each message",
	    OPTION_FLAG, AT(no_newline), NULL },
	{ 'C', "count", "N", "exit after N messages", OPTION_CALL, 0,
	    read_count },
	{ 'W', "wait", "SECONDS", "exit with 27 after this long", OPTION_CALL,
	    0, read_wait },
	{ 'E', "exit-subscribed", NULL, "exit as soon as subscribed",
	    OPTION_FLAG, AT(exit_subscribed), NULL },
	{ 'R', "no-stale", NULL, "leave out what was retained before",
	    OPTION_FLAG, AT(no_stale), NULL },
	{ 0, "retained-only", NULL,
	    "print retained messages and exit at the first other one",
	    OPTION_FLAG, AT(retained_only), NULL },
	{ 0, "no-clean", NULL,
	    "keep the session in the broker when this ends; needs -i",
	    OPTION_FLAG, AT(no_clean), NULL },
};

const struct options cmd_sub_options = {
	.program = "weirctl sub",
	.synopsis = "[-dENRv] [-h HOST] [-p PORT] [-q QOS] [-C N] "
		    "[-W SECONDS] -t FILTER ...",
	.summary = "Subscribe by MQTT and print what comes.",
	.epilogue =
	    "In FORMAT: %t topic, %p payload, %l its length, %x it in hex, "
	    "%q QoS,\n%r retained, %m packet identifier, %I time; of MQTT "
	    "5.0 %C content type,\n%R response topic, %P user properties; "
	    "%%, \\n, \\t, \\r, \\0, \\\\.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
	.more = &client_options_table,
};

static void
subscribe(void *arg)
{
	struct sub *sub = arg;
	const struct settings *settings = sub->settings;
	struct mqtt_properties properties = { 0 };
	struct mqtt_subscription *list;

	list = calloc(settings->topic_count, sizeof(*list));
	if (list == NULL) {
		mqtt_client_fail(sub->client, EXIT_FAILED, "no memory");
		return;
	}
	for (size_t i = 0; i < settings->topic_count; i++) {
		list[i].filter = slice_of_string(settings->topics[i]);
		list[i].qos = sub->options->qos;
	}
	properties.verbatim =
	    property_words_get(&sub->options->properties, PROPERTY_SUBSCRIBE);
	mqtt_client_subscribe(
	    sub->client, list, settings->topic_count, &properties);
	free(list);
}

/* "Subscribed (mid: 1): 1, 0" */
static void
tell_granted(const struct mqtt_suback *suback)
{
	fprintf(stderr, "Subscribed (mid: %u): ", suback->packet_id);
	for (size_t i = 0; i < suback->codes.len; i++)
		fprintf(
		    stderr, "%s%u", i == 0 ? "" : ", ", suback->codes.data[i]);
	fputc('\n', stderr);
}

static void
on_subscribed(void *arg, const struct mqtt_suback *suback)
{
	struct sub *sub = arg;
	size_t refused = 0;

	if (sub->options->debug)
		tell_granted(suback);
	for (size_t i = 0; i < suback->codes.len; i++) {
		if (suback->codes.data[i] < MQTT_UNSPECIFIED_ERROR)
			continue;
		refused++;
		fprintf(stderr, "%s: the broker refused \"%s\": %s\n",
		    cmd_sub_options.program, sub->settings->topics[i],
		    mqtt_reason_name(suback->codes.data[i]));
	}
	if (refused == suback->codes.len)
		mqtt_client_end(sub->client, EXIT_FAILED);
	else if (sub->settings->exit_subscribed)
		mqtt_client_end(
		    sub->client, refused == 0 ? EXIT_OK : EXIT_FAILED);
}

static void
print(const struct settings *settings, const struct mqtt_publish *publish)
{
	const char *format = settings->format;

	if (format == NULL && !settings->verbose)
		format = "%p";
	else if (format == NULL)
		format =
		    slice_is_empty(publish->payload) ? "%t (null)" : "%t %p";
	sub_format_print(format, publish, clock_wall_ns(), stdout);
	if (!settings->no_newline)
		putchar('\n');
}

static bool
on_message(void *arg, const struct mqtt_publish *publish)
{
	struct sub *sub = arg;
	const struct settings *settings = sub->settings;

	if (settings->retained_only && !publish->retain) {
		mqtt_client_end(sub->client, EXIT_OK);
		return false;
	}
	if (settings->no_stale && publish->retain)
		return true;
	print(settings, publish);
	sub->printed++;
	return !ferror(stdout);
}

static void
end_at_count(void *arg)
{
	struct sub *sub = arg;

	if (sub->settings->count != 0 && sub->printed >= sub->settings->count)
		mqtt_client_end(sub->client, EXIT_OK);
}

static void
on_wait_over(void *arg)
{
	struct sub *sub = arg;

	mqtt_client_end(sub->client, EXIT_TIMED_OUT);
}

static void
on_interrupted(void *arg)
{
	struct sub *sub = arg;

	mqtt_client_end(sub->client, EXIT_OK);
}

static void
flush(void *arg)
{
	struct sub *sub = arg;

	if (fflush(stdout) != 0)
		mqtt_client_fail(sub->client, EXIT_FAILED,
		    "cannot write to standard output: %s", strerror(errno));
}

static const struct mqtt_client_callbacks callbacks = {
	.connected = subscribe,
	.writable = end_at_count,
	.subscribed = on_subscribed,
	.message = on_message,
	.interrupted = on_interrupted,
};

static int
run(const struct settings *settings, const struct client_options *options,
    const struct mqtt_client_spec *spec)
{
	struct sub sub = { .settings = settings, .options = options };
	int code;

	sub.client = mqtt_client_new(spec, &callbacks, &sub);
	if (sub.client == NULL) {
		fprintf(stderr, "%s: cannot start: %s\n", spec->program,
		    strerror(errno));
		return EXIT_FAILED;
	}
	loop_timer_init(
	    &sub.wait, mqtt_client_loop(sub.client), on_wait_over, &sub);
	if (settings->wait_ns != 0)
		loop_timer_start(&sub.wait, settings->wait_ns);
	sub.flush = (struct loop_hook){ .run = flush, .arg = &sub };
	loop_add_hook(mqtt_client_loop(sub.client), &sub.flush);
	code = mqtt_client_run(sub.client);
	loop_remove_hook(mqtt_client_loop(sub.client), &sub.flush);
	loop_timer_stop(&sub.wait);
	mqtt_client_free(sub.client);
	return code;
}

static int
check(const struct settings *settings, const struct options *options)
{
	const char *wrong;

	if (settings->topic_count == 0)
		return options_usage_error(
		    options, "a topic filter is missing: -t");
	if (settings->no_stale && settings->retained_only)
		return options_usage_error(
		    options, "-R and --retained-only leave nothing");
	wrong = settings->format == NULL ? NULL
					 : sub_format_check(settings->format);
	if (wrong != NULL)
		return options_usage_error(options, "-F: %s", wrong);
	return OPTIONS_GO;
}

int
cmd_sub(const struct ctl *ctl, int argc, char **argv)
{
	struct options options = cmd_sub_options;
	struct settings settings = { 0 };
	struct client_options client;
	struct mqtt_client_spec spec;
	int code;

	settings.topics = calloc((size_t)argc, sizeof(*settings.topics));
	if (settings.topics == NULL)
		return EXIT_FAILED;
	code = client_options_parse(&client, &options, &settings, &argc, argv);
	client.no_clean = settings.no_clean;
	if (code == OPTIONS_GO)
		code = check(&settings, &options);
	if (code == OPTIONS_GO)
		code = client_options_to_spec(&client, ctl, &options, &spec);
	if (code == OPTIONS_GO)
		code = run(&settings, &client, &spec);
	client_options_fini(&client);
	free(settings.topics);
	return code;
}
