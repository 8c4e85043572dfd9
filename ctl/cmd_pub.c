/* SPDX-License-Identifier: Apache-2.0 */

/* pub - publish messages given on the command line, in a file or on stdin. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/exit.h"
#include "common/msg/topic.h"
#include "ctl/client_options.h"
#include "ctl/ctl.h"

/* Bytes read at a time. */
#define READ_SIZE 65536

struct settings {
	const char *topic;
	const char *message;
	const char *file;
	bool null;
	bool lines;
	bool whole_stdin;
	bool retain;
	uint64_t repeat;
	uint64_t repeat_delay_ns;
};

/* Bytes from a file; what was used up is at the front. */
struct input {
	uint8_t *bytes;
	size_t start, len, size;
	int fd;
	bool at_end;
};

struct pub {
	const struct settings *settings;
	struct mqtt_client *client;
	struct mqtt_publish_out publish; /* all but the payload of a line */
	struct input input;
	struct loop_fd watch; /* of stdin, if it can be waited for */
	bool watching;
	bool can_watch;
	struct loop_timer delay;
	uint64_t left; /* to be sent, without -l */
	uint64_t refused;
};

static const char *
read_delay(void *target, const char *value)
{
	struct settings *settings = target;

	return client_options_read_seconds(value, &settings->repeat_delay_ns);
}

#define AT(field) offsetof(struct settings, field)

static const struct option_row rows[] = {
	{ 't', "topic", "TOPIC", "publish to this topic", OPTION_STRING,
	    AT(topic), NULL },
	{ 'm', "message", "TEXT", "publish TEXT", OPTION_STRING, AT(message),
	    NULL },
	{ 'f', "file", "FILE", "publish the contents of FILE", OPTION_STRING,
	    AT(file), NULL },
	{ 'n', "null-message", NULL, "publish an empty message", OPTION_FLAG,
	    AT(null), NULL },
	{ 'l', "stdin-line", NULL,
	    "publish each line of standard input as a message", OPTION_FLAG,
	    AT(lines), NULL },
	{ 's', "stdin-file", NULL,
	    "publish all of standard input as one message", OPTION_FLAG,
	    AT(whole_stdin), NULL },
	{ 'r', "retain", NULL, "let the broker retain the message", OPTION_FLAG,
	    AT(retain), NULL },
	{ 0, "repeat", "N", "publish it N times, not with -l", OPTION_U64,
	    AT(repeat), NULL },
	{ 0, "repeat-delay", "SECONDS", "wait between these", OPTION_CALL, 0,
	    read_delay },
};

const struct options cmd_pub_options = {
	.program = "weirctl pub",
	.synopsis = "[-dr] [-h HOST] [-p PORT] [-q QOS] -t TOPIC\n"
		    "       -m TEXT | -f FILE | -l | -n | -s",
	.summary = "Publish by MQTT.  It ends when the broker has "
		   "acknowledged every message of\nQoS 1 and 2.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
	.more = &client_options_table,
};

/*
 * Read once, which may block.  Returns 0, or -errno; at the end of the file
 * input->at_end is set.
 */
static int
input_read(struct input *input)
{
	ssize_t got;
	uint8_t *bytes;
	size_t size;

	if (input->start != 0) {
		memmove(input->bytes, input->bytes + input->start, input->len);
		input->start = 0;
	}
	if (input->size - input->len < READ_SIZE) {
		if (input->len > MQTT_MAX_VARINT)
			return -EMSGSIZE;
		size = 2 * input->size + READ_SIZE;
		bytes = realloc(input->bytes, size);
		if (bytes == NULL)
			return -ENOMEM;
		input->bytes = bytes;
		input->size = size;
	}
	got = read(
	    input->fd, input->bytes + input->len, input->size - input->len);
	if (got == -1)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	input->len += (size_t)got;
	input->at_end = got == 0;
	return 0;
}

/* The next line, or what is left at the end; false when more is needed. */
static bool
input_next_line(struct input *input, struct slice *out_line)
{
	struct slice there = slice_of(input->bytes + input->start, input->len);
	size_t len;

	if (there.len == 0)
		return false;
	len = slice_find(there, '\n');
	if (len == there.len && !input->at_end)
		return false;
	*out_line = slice_of(there.data, len);
	if (len != there.len)
		len++;
	input->start += len;
	input->len -= len;
	return true;
}

static const char *
input_error(int err)
{
	return err == -EMSGSIZE ? "larger than the 256 MiB that MQTT allows"
				: strerror(-err);
}

static void pump_lines(struct pub *pub);

static void
finish_when_done(struct pub *pub)
{
	if (mqtt_client_in_flight(pub->client) == 0)
		mqtt_client_end(
		    pub->client, pub->refused == 0 ? EXIT_OK : EXIT_FAILED);
}

static void
on_stdin(void *arg, int fd, unsigned ready)
{
	struct pub *pub = arg;
	int err;

	(void)fd;
	(void)ready;
	loop_fd_stop(&pub->watch);
	pub->watching = false;
	err = input_read(&pub->input);
	if (err != 0)
		mqtt_client_fail(pub->client, EXIT_FAILED,
		    "cannot read standard input: %s", input_error(err));
	else
		pump_lines(pub);
}

/*
 * Bring more input: now, if reading a regular file; else pump_lines() is
 * called again once there is some.
 */
static bool
want_input(struct pub *pub)
{
	int err;

	if (pub->watching)
		return false;
	if (pub->can_watch) {
		err = loop_fd_start(&pub->watch, mqtt_client_loop(pub->client),
		    pub->input.fd, LOOP_READ, on_stdin, pub);
		pub->watching = err == 0;
		if (err == 0)
			return false;
		/* epoll(7) does not take regular files; they never block. */
		pub->can_watch = false;
	}
	err = input_read(&pub->input);
	if (err != 0)
		mqtt_client_fail(pub->client, EXIT_FAILED,
		    "cannot read standard input: %s", input_error(err));
	return err == 0 && !pub->watching;
}

static void
pump_lines(struct pub *pub)
{
	struct slice line;

	while (mqtt_client_has_room(pub->client)) {
		if (input_next_line(&pub->input, &line)) {
			pub->publish.payload = line;
			mqtt_client_publish(pub->client, &pub->publish);
		} else if (pub->input.at_end) {
			finish_when_done(pub);
			return;
		} else if (!want_input(pub)) {
			return;
		}
	}
}

static void
pump_repeats(struct pub *pub)
{
	while (pub->left != 0 && mqtt_client_has_room(pub->client) &&
	    !loop_timer_is_running(&pub->delay)) {
		mqtt_client_publish(pub->client, &pub->publish);
		if (--pub->left != 0 && pub->settings->repeat_delay_ns != 0)
			loop_timer_start(
			    &pub->delay, pub->settings->repeat_delay_ns);
	}
	if (pub->left == 0)
		finish_when_done(pub);
}

static void
pump(void *arg)
{
	struct pub *pub = arg;

	if (pub->settings->lines)
		pump_lines(pub);
	else
		pump_repeats(pub);
}

static void
on_published(void *arg, uint16_t packet_id, enum mqtt_reason reason)
{
	struct pub *pub = arg;

	if (!mqtt_reason_is_error(reason))
		return;
	pub->refused++;
	fprintf(stderr, "%s: the broker refused message %u: %s\n",
	    cmd_pub_options.program, packet_id, mqtt_reason_name(reason));
}

static void
on_interrupted(void *arg)
{
	struct pub *pub = arg;
	const unsigned in_flight = mqtt_client_in_flight(pub->client);

	if (in_flight != 0)
		mqtt_client_fail(pub->client, EXIT_FAILED,
		    "interrupted: %u messages are not acknowledged", in_flight);
	else
		mqtt_client_end(pub->client,
		    pub->left == 0 && pub->refused == 0 ? EXIT_OK
							: EXIT_FAILED);
}

static const struct mqtt_client_callbacks callbacks = {
	.connected = pump,
	.writable = pump,
	.published = on_published,
	.interrupted = on_interrupted,
};

static int
check(const struct settings *settings, const struct options *options)
{
	const int sources = (settings->message != NULL) +
	    (settings->file != NULL) + settings->null + settings->lines +
	    settings->whole_stdin;

	if (settings->topic == NULL)
		return options_usage_error(options, "a topic is missing: -t");
	if (!topic_name_is_valid(slice_of_string(settings->topic)))
		return options_usage_error(options,
		    "-t: \"%s\" is no topic to publish to: 1 to 65535 bytes "
		    "of UTF-8 without + and #",
		    settings->topic);
	if (sources != 1)
		return options_usage_error(
		    options, "exactly one of -m, -f, -n, -l, -s is needed");
	if (settings->repeat == 0)
		return options_usage_error(options, "--repeat: at least 1");
	if (settings->lines && settings->repeat != 1)
		return options_usage_error(
		    options, "--repeat does not go with -l");
	return OPTIONS_GO;
}

/* epoll(7) does not take files and devices; they do not block either. */
static bool
can_watch(int fd)
{
	struct stat st;

	return isatty(fd) ||
	    (fstat(fd, &st) == 0 &&
		(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

/* -f and -s: all of it, before the broker is asked for anything. */
static int
read_whole(struct pub *pub)
{
	const char *file = pub->settings->file;
	int err = 0;

	pub->input.fd = STDIN_FILENO;
	if (file != NULL)
		pub->input.fd = open(file, O_RDONLY | O_CLOEXEC);
	if (pub->input.fd == -1)
		err = -errno;
	while (err == 0 && !pub->input.at_end)
		err = input_read(&pub->input);
	if (file != NULL && pub->input.fd != -1)
		close(pub->input.fd);
	if (err != 0) {
		fprintf(stderr, "%s: cannot read %s: %s\n",
		    cmd_pub_options.program,
		    file != NULL ? file : "standard input", input_error(err));
		return EXIT_OSERR;
	}
	pub->publish.payload = slice_of(pub->input.bytes, pub->input.len);
	return EXIT_OK;
}

static int
prepare(struct pub *pub, const struct client_options *options)
{
	const struct settings *settings = pub->settings;

	pub->left = settings->lines ? 0 : settings->repeat;
	pub->input.fd = STDIN_FILENO;
	pub->can_watch = can_watch(STDIN_FILENO);
	pub->publish = (struct mqtt_publish_out){
		.qos = options->qos,
		.retain = settings->retain,
		.topic = slice_of_string(settings->topic),
		.payload = slice_of_string(settings->message),
		.properties =
		    property_words_get(&options->properties, PROPERTY_PUBLISH),
	};
	if (settings->file != NULL || settings->whole_stdin)
		return read_whole(pub);
	return EXIT_OK;
}

static int
run(struct pub *pub, const struct mqtt_client_spec *spec)
{
	int code;

	pub->client = mqtt_client_new(spec, &callbacks, pub);
	if (pub->client == NULL) {
		fprintf(stderr, "%s: cannot start: %s\n", spec->program,
		    strerror(errno));
		return EXIT_FAILED;
	}
	loop_timer_init(&pub->delay, mqtt_client_loop(pub->client), pump, pub);
	code = mqtt_client_run(pub->client);
	loop_timer_stop(&pub->delay);
	loop_fd_stop(&pub->watch);
	mqtt_client_free(pub->client);
	return code;
}

static int
publish(const struct settings *settings, const struct client_options *client,
    const struct mqtt_client_spec *spec)
{
	struct pub pub = { .settings = settings };
	int code;

	code = prepare(&pub, client);
	if (code == EXIT_OK)
		code = run(&pub, spec);
	free(pub.input.bytes);
	return code;
}

int
cmd_pub(const struct ctl *ctl, int argc, char **argv)
{
	struct options options = cmd_pub_options;
	struct settings settings = { .repeat = 1 };
	struct client_options client;
	struct mqtt_client_spec spec;
	int code;

	code = client_options_parse(&client, &options, &settings, &argc, argv);
	if (code == OPTIONS_GO)
		code = check(&settings, &options);
	if (code == OPTIONS_GO)
		code = client_options_to_spec(&client, ctl, &options, &spec);
	if (code == OPTIONS_GO)
		code = publish(&settings, &client, &spec);
	client_options_fini(&client);
	return code;
}
