/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/replay_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "common/base/base64.h"
#include "common/mqtt/properties.h"
#include "common/mqtt/protocol.h"
#include "common/msg/topic.h"

/* Mistakes that are told one by one. */
#define ERRORS_MAX 20

/* One line that is being read. */
struct line {
	const char *name;
	uint64_t number;
	FILE *errors;
	unsigned mistakes;
};

static int
complain(struct line *line, const char *what)
{
	line->mistakes++;
	if (line->mistakes <= ERRORS_MAX)
		fprintf(line->errors, "%s:%llu: %s\n", line->name,
		    (unsigned long long)line->number, what);
	return -EINVAL;
}

/* The text of a field in an object; empty, without data, if there is none. */
static struct slice
text_of(const json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);

	if (!json_is_string(value))
		return slice_of(NULL, 0);
	return slice_of(json_string_value(value), json_string_length(value));
}

/* Append to the message's own bytes, which have the room. */
static struct slice
keep(struct replay_message *message, size_t *used, struct slice bytes)
{
	char *at = message->bytes + *used;

	if (bytes.len != 0)
		memcpy(at, bytes.data, bytes.len);
	*used += bytes.len;
	return slice_of(at, bytes.len);
}

/* Likewise, decoded; false if it is not base64. */
static bool
keep_decoded(struct replay_message *message, size_t *used, struct slice text,
    struct slice *out)
{
	uint8_t *at = (uint8_t *)message->bytes + *used;
	size_t len;

	if (base64_decode(text, at, text.len, &len) != 0)
		return false;
	*used += len;
	*out = slice_of(at, len);
	return true;
}

/* Are these properties that a PUBLISH may be sent with? */
static bool
properties_are_sound(struct slice properties)
{
	struct mqtt_properties decoded;
	struct wire_out out;
	struct wire in;
	uint8_t *copy;
	bool ok;

	copy = malloc(properties.len + 4);
	if (copy == NULL)
		return false;
	out = wire_write(copy, properties.len + 4);
	wire_put_varint(&out, (uint32_t)properties.len);
	wire_put_bytes(&out, properties);
	in = wire_read(slice_of(copy, (size_t)(out.p - copy)));
	ok = !out.bad &&
	    mqtt_properties_decode(&in, MQTT_PUBLISH, MQTT_SERVER, &decoded) ==
		0 &&
	    decoded.forwardable_size == properties.len;
	free(copy);
	return ok;
}

static int
take_payload(struct line *line, const json_t *object,
    struct replay_message *message, size_t *used)
{
	const struct slice plain = text_of(object, "payload");
	const struct slice coded = text_of(object, "payload_base64");

	if (plain.data != NULL)
		message->payload = keep(message, used, plain);
	else if (coded.data == NULL)
		return complain(
		    line, "there is no payload: dump with --json --payload");
	else if (!keep_decoded(message, used, coded, &message->payload))
		return complain(line, "payload_base64 is not base64");
	return 0;
}

static int
take_properties(struct line *line, const json_t *object,
    struct replay_message *message, size_t *used)
{
	const struct slice coded = text_of(object, "properties_base64");

	if (coded.data == NULL)
		return 0;
	if (!keep_decoded(message, used, coded, &message->properties))
		return complain(line, "properties_base64 is not base64");
	if (!properties_are_sound(message->properties))
		return complain(line,
		    "properties_base64 does not hold properties of MQTT 5.0");
	return 0;
}

static int
take_expiry(
    struct line *line, const json_t *object, struct replay_message *message)
{
	const json_t *expiry = json_object_get(object, "expiry_s");

	if (expiry == NULL)
		return 0;
	if (!json_is_integer(expiry) || json_integer_value(expiry) < 0 ||
	    json_integer_value(expiry) > UINT32_MAX)
		return complain(
		    line, "expiry_s is not a number from 0 to 4294967295");
	message->has_expiry = true;
	message->expiry_s = (uint32_t)json_integer_value(expiry);
	return 0;
}

static int
take_message(struct line *line, const json_t *object, size_t length,
    struct replay_message *message)
{
	size_t used = 0;
	int err;

	/* No text or its decoding is longer than the line it is in. */
	message->bytes = malloc(length + 1);
	if (message->bytes == NULL)
		return -ENOMEM;
	message->line = line->number;
	message->retain = json_is_true(json_object_get(object, "retain"));
	message->was_released =
	    json_is_true(json_object_get(object, "released"));
	snprintf(message->id, sizeof(message->id), "%.*s",
	    (int)text_of(object, "id").len,
	    text_of(object, "id").len == 0
		? ""
		: (const char *)text_of(object, "id").data);
	message->topic = keep(message, &used, text_of(object, "topic"));
	if (!topic_name_is_valid(message->topic))
		return complain(line,
		    "the topic is missing, or none that one may publish to");
	err = take_payload(line, object, message, &used);
	if (err == 0)
		err = take_properties(line, object, message, &used);
	if (err == 0)
		err = take_expiry(line, object, message);
	return err;
}

/*
 * Returns 1 with *message filled in (its bytes are to be freed whatever is
 * returned), 0 for a line without a message, -EINVAL after a complaint.
 */
static int
read_line(struct line *line, const char *text, size_t length,
    struct replay_message *message)
{
	char what[JSON_ERROR_TEXT_LENGTH + 32];
	json_error_t error;
	json_t *object;
	int err;

	if (strspn(text, " \t\r\n") == length)
		return 0;
	object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object)) {
		snprintf(what, sizeof(what), "no JSON object: %s",
		    object == NULL ? error.text : "something else");
		json_decref(object);
		return complain(line, what);
	}
	if (json_object_get(object, "diagnosis") != NULL)
		err = 0;
	else if (text_of(object, "kind").data == NULL)
		err = complain(
		    line, "this is no line of weirctl dump: no \"kind\"");
	else if (!slice_equal_string(text_of(object, "kind"), "message"))
		err = 0;
	else
		err = take_message(line, object, length, message) == 0
		    ? 1
		    : -EINVAL;
	json_decref(object);
	return err;
}

static int
add_message(struct replay_file *file, const struct replay_message *message)
{
	struct replay_message *grown;

	/* Only at powers of two, so that growing stays cheap. */
	if ((file->count & (file->count - 1)) == 0) {
		grown = realloc(file->message,
		    (file->count == 0 ? 1 : 2 * file->count) * sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		file->message = grown;
	}
	file->message[file->count++] = *message;
	file->bytes += message->payload.len;
	file->released += message->was_released;
	return 0;
}

static int
read_lines(FILE *in, struct line *line, struct replay_file *file)
{
	struct replay_message message;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;
	int err = 0;

	while (err == 0 && (length = getline(&text, &size, in)) > 0) {
		line->number++;
		message = (struct replay_message){ .bytes = NULL };
		switch (read_line(line, text, (size_t)length, &message)) {
		case 1:
			err = add_message(file, &message);
			break;
		case 0:
			file->passed_over++;
			break;
		default:
			free(message.bytes);
		}
	}
	free(text);
	if (err == 0 && ferror(in))
		err = errno != 0 ? -errno : -EIO;
	return err;
}

int
replay_file_read(
    FILE *in, const char *name, FILE *errors, struct replay_file *out_file)
{
	struct line line = { .name = name, .errors = errors };
	struct replay_file file = { .message = NULL };
	int err;

	err = read_lines(in, &line, &file);
	if (line.mistakes > ERRORS_MAX)
		fprintf(errors, "%s: %u more lines with mistakes\n", name,
		    line.mistakes - ERRORS_MAX);
	if (err == 0 && line.mistakes != 0)
		err = -EINVAL;
	if (err != 0) {
		replay_file_free(&file);
		return err;
	}
	*out_file = file;
	return 0;
}

void
replay_file_free(struct replay_file *file)
{
	for (size_t i = 0; i < file->count; i++)
		free(file->message[i].bytes);
	free(file->message);
	*file = (struct replay_file){ .message = NULL };
}
