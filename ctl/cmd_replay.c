/* SPDX-License-Identifier: Apache-2.0 */

/* replay - publish dumped messages again. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/msg/topic.h"
#include "ctl/client_options.h"
#include "ctl/ctl.h"
#include "ctl/escape.h"
#include "ctl/replay_file.h"

#define KEEP_ALIVE_S 60
#define PROGRESS_NS CLOCK_SECOND_NS

/* Bytes of a topic that are shown. */
#define SHOWN 80

struct settings {
	const char *conf_path;
	const char *host;
	uint64_t port;
	const char *username;
	const char *password;
	const char *client_id;
	const char *topic;
	bool keep_topics;
	bool yes;
	bool debug;
};

struct replay {
	const struct settings *settings;
	const struct replay_file *file;
	const char *name; /* of the file */
	struct mqtt_client *client;
	struct loop_timer progress;
	size_t sent;
	size_t answered; /* in the order in which they were sent */
	size_t refused;
};

#define AT(field) offsetof(struct settings, field)

static const struct option_row rows[] = {
	{ 't', "topic", "TOPIC", "publish all of them to this topic",
	    OPTION_STRING, AT(topic), NULL },
	{ 0, "keep-topics", NULL,
	    "publish each to the topic that it had, retained if it was",
	    OPTION_FLAG, AT(keep_topics), NULL },
	{ 'y', "yes", NULL, "do it; without this it is only shown", OPTION_FLAG,
	    AT(yes), NULL },
	{ 'c', "config", "FILE",
	    "take host and port from the first listener of plain MQTT in FILE",
	    OPTION_STRING, AT(conf_path), NULL },
	{ 'h', "host", "HOST", "the broker (default 127.0.0.1)", OPTION_STRING,
	    AT(host), NULL },
	{ 'p', "port", "PORT", "its port (default 1883)", OPTION_U64, AT(port),
	    NULL },
	{ 'i', "id", "ID", "client identifier (default: a random one)",
	    OPTION_STRING, AT(client_id), NULL },
	{ 'u', "username", "NAME", "user name", OPTION_STRING, AT(username),
	    NULL },
	{ 'P', "pw", "PASSWORD", "password; ps(1) shows it to others",
	    OPTION_STRING, AT(password), NULL },
	{ 'd', "debug", NULL, "tell every packet on stderr", OPTION_FLAG,
	    AT(debug), NULL },
};

const struct options cmd_replay_options = {
	.program = "weirctl replay",
	.synopsis = "[-dy] [-c FILE] [-h HOST] [-p PORT] [-u NAME] "
		    "[-P PASSWORD]\n       -t TOPIC | --keep-topics FILE|-",
	.summary = "Publish the messages that weirctl dump --json --payload "
		   "printed, in their order,\nby MQTT 5.0 at QoS 1.  Without "
		   "--yes it only shows what it would do.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static struct slice
target_of(const struct settings *settings, const struct replay_message *message)
{
	return settings->keep_topics ? message->topic
				     : slice_of_string(settings->topic);
}

/* ---- for real ------------------------------------------------------------ */

static void
publish_next(struct replay *replay)
{
	const struct replay_message *message =
	    &replay->file->message[replay->sent++];
	const struct mqtt_publish_out publish = {
		.qos = 1,
		.retain = replay->settings->keep_topics && message->retain,
		.has_message_expiry = message->has_expiry,
		.message_expiry_interval_s = message->expiry_s,
		.topic = target_of(replay->settings, message),
		.properties = message->properties,
		.payload = message->payload,
	};

	mqtt_client_publish(replay->client, &publish);
}

static void
pump(void *arg)
{
	struct replay *replay = arg;

	while (replay->sent < replay->file->count &&
	    mqtt_client_has_room(replay->client))
		publish_next(replay);
	if (replay->answered == replay->file->count)
		mqtt_client_end(replay->client,
		    replay->refused == 0 ? EXIT_OK : EXIT_FAILED);
}

/* Answers come in the order of the messages [MQTT-4.6.0-2]. */
static void
on_published(void *arg, uint16_t packet_id, enum mqtt_reason reason)
{
	struct replay *replay = arg;
	const struct replay_message *message =
	    &replay->file->message[replay->answered++];

	(void)packet_id;
	if (!mqtt_reason_is_error(reason))
		return;
	replay->refused++;
	fprintf(stderr,
	    "%s: %s:%" PRIu64 ": the broker refused this message: %s\n",
	    cmd_replay_options.program, replay->name, message->line,
	    mqtt_reason_name(reason));
}

static void
on_interrupted(void *arg)
{
	struct replay *replay = arg;

	mqtt_client_fail(replay->client, EXIT_FAILED, "interrupted");
}

static void
show_progress(void *arg)
{
	struct replay *replay = arg;

	fprintf(stderr, "%s: %zu of %zu acknowledged\n",
	    cmd_replay_options.program, replay->answered, replay->file->count);
	loop_timer_start(&replay->progress, PROGRESS_NS);
}

static const struct mqtt_client_callbacks callbacks = {
	.connected = pump,
	.writable = pump,
	.published = on_published,
	.interrupted = on_interrupted,
};

static int
run(struct replay *replay, const struct mqtt_client_spec *spec)
{
	int code;

	replay->client = mqtt_client_new(spec, &callbacks, replay);
	if (replay->client == NULL) {
		fprintf(stderr, "%s: cannot start: %s\n", spec->program,
		    strerror(errno));
		return EXIT_FAILED;
	}
	loop_timer_init(&replay->progress, mqtt_client_loop(replay->client),
	    show_progress, replay);
	loop_timer_start(&replay->progress, PROGRESS_NS);
	code = mqtt_client_run(replay->client);
	loop_timer_stop(&replay->progress);
	mqtt_client_free(replay->client);
	return code;
}

/* What was done, and where to go on from if that is not all. */
static void
print_result(const struct replay *replay)
{
	const struct replay_file *file = replay->file;

	printf("%zu of %zu messages published, %zu refused.\n",
	    replay->answered - replay->refused, file->count, replay->refused);
	if (replay->answered == file->count)
		return;
	if (replay->sent > replay->answered)
		printf("Of %zu more no acknowledgement came: they may have "
		       "been published.\n",
		    replay->sent - replay->answered);
	printf("To go on: the lines from %" PRIu64 " of %s.\n",
	    file->message[replay->answered].line, replay->name);
}

static int
do_it(struct replay *replay, const struct mqtt_client_spec *spec)
{
	int code = EXIT_OK;

	if (replay->file->count != 0)
		code = run(replay, spec);
	print_result(replay);
	return code;
}

/* ---- only shown ---------------------------------------------------------- */

static void
show_message(
    const struct settings *settings, const struct replay_message *message)
{
	char from[ESCAPE_SIZE(SHOWN)], to[ESCAPE_SIZE(SHOWN)];
	char id[ESCAPE_SIZE(sizeof(message->id))];

	escape_bytes(message->topic, SHOWN, from);
	escape_bytes(target_of(settings, message), SHOWN, to);
	escape_bytes(slice_of_string(message->id), sizeof(message->id), id);
	printf("line %" PRIu64 ": %s %s, %zu bytes%s -> %s%s\n", message->line,
	    id, from, message->payload.len,
	    message->was_released ? ", released" : "", to,
	    settings->keep_topics && message->retain ? ", retained" : "");
}

static int
show_it(const struct replay *replay, const struct mqtt_client_spec *spec)
{
	const struct replay_file *file = replay->file;

	for (size_t i = 0; i < file->count; i++)
		show_message(replay->settings, &file->message[i]);
	printf("Would publish %zu messages, %" PRIu64 " bytes, to %s port %u.",
	    file->count, file->bytes, spec->host, spec->port);
	if (file->released != 0)
		printf("  %" PRIu64 " of them are released: their consumer "
		       "has had them.",
		    file->released);
	if (file->passed_over != 0)
		printf("  %" PRIu64 " lines without a message are passed "
		       "over.",
		    file->passed_over);
	puts("\nNothing was sent; add --yes to do it.");
	return EXIT_OK;
}

/* ---- the verb ------------------------------------------------------------ */

static int
read_file(const char *name, struct replay_file *file)
{
	const bool is_stdin = strcmp(name, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(name, "re");
	int err;

	if (in == NULL) {
		fprintf(stderr, "%s: cannot open %s: %s\n",
		    cmd_replay_options.program, name, strerror(errno));
		return EXIT_OSERR;
	}
	err = replay_file_read(
	    in, is_stdin ? "standard input" : name, stderr, file);
	if (!is_stdin)
		fclose(in);
	if (err == 0)
		return EXIT_OK;
	if (err == -EINVAL)
		fprintf(stderr, "%s: nothing was sent\n",
		    cmd_replay_options.program);
	else
		fprintf(stderr, "%s: cannot read %s: %s\n",
		    cmd_replay_options.program, name, strerror(-err));
	return err == -EINVAL ? EXIT_FAILED : EXIT_OSERR;
}

static int
check(const struct settings *settings, int argc)
{
	const struct options *options = &cmd_replay_options;

	if ((settings->topic != NULL) == settings->keep_topics)
		return options_usage_error(
		    options, "either --topic or --keep-topics is needed");
	if (settings->topic != NULL &&
	    !topic_name_is_valid(slice_of_string(settings->topic)))
		return options_usage_error(options,
		    "-t: \"%s\" is no topic to publish to: 1 to 65535 bytes "
		    "of UTF-8 without + and #",
		    settings->topic);
	if (settings->port > UINT16_MAX)
		return options_usage_error(options, "-p: 1 to 65535");
	if (argc != 2)
		return options_usage_error(
		    options, "one file is needed, or - for standard input");
	return OPTIONS_GO;
}

static int
replay_all(const struct ctl *ctl, const struct settings *settings,
    const struct replay_file *file, const char *name)
{
	struct client_options client = {
		.conf_path = settings->conf_path,
		.host = settings->host,
		.port = (uint16_t)settings->port,
		.client_id = settings->client_id,
		.username = settings->username,
		.password = settings->password,
		.debug = settings->debug,
		.version = MQTT_5,
		.keep_alive_s = KEEP_ALIVE_S,
	};
	struct replay replay = {
		.settings = settings, .file = file, .name = name
	};
	struct mqtt_client_spec spec;
	int code;

	code = client_options_to_spec(&client, ctl, &cmd_replay_options, &spec);
	if (code == OPTIONS_GO)
		code = settings->yes ? do_it(&replay, &spec)
				     : show_it(&replay, &spec);
	client_options_fini(&client);
	return code;
}

int
cmd_replay(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .port = 0 };
	struct replay_file file;
	int code;

	code = options_parse(&cmd_replay_options, &settings, &argc, argv);
	if (code == OPTIONS_GO)
		code = check(&settings, argc);
	if (code != OPTIONS_GO)
		return code;
	code = read_file(argv[1], &file);
	if (code != EXIT_OK)
		return code;
	code = replay_all(ctl, &settings, &file, argv[1]);
	replay_file_free(&file);
	return code;
}
