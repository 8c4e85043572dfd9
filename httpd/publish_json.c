/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/publish_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/base64.h"
#include "common/base/utf8.h"
#include "common/msg/topic.h"

/* A property of MQTT is a string of at most so many bytes. */
#define STRING_MAX 65535u

/* One message as it is taken apart. */
struct reader {
	json_t *object;
	struct publish_entry *entry;
	struct publish_error *error;
	uint8_t *room; /* of the scratch, not yet used */
	size_t room_size;
	bool one_topic; /* "topics" is not known */
};

static int __attribute__((format(printf, 3, 4)))
fail(struct publish_error *error, unsigned code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

void
publish_scratch_fini(struct publish_scratch *scratch)
{
	free(scratch->bytes);
	*scratch = (struct publish_scratch){ .bytes = NULL };
}

/*
 * Decoded payload and encoded properties are each smaller than the JSON
 * they come from, but for a few bytes a property.
 */
static int
scratch_reserve(struct publish_scratch *scratch, size_t body_length)
{
	size_t size = 2 * body_length + 4096;
	uint8_t *bytes;

	if (scratch->size >= size)
		return 0;
	bytes = malloc(size);
	if (bytes == NULL)
		return -ENOMEM;
	free(scratch->bytes);
	scratch->bytes = bytes;
	scratch->size = size;
	return 0;
}

static const char *
type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int
check_shape(
    const struct publish_document *document, struct publish_error *error)
{
	if (!publish_shape_is_array(document->shape)) {
		if (json_is_object(document->root))
			return 0;
		return fail(error, PUBLISH_CODE_BAD_JSON,
		    "the body is %s, it must be an object like "
		    "{\"topic\":\"a/b\",\"payload\":\"text\"}",
		    type_name(document->root));
	}
	if (!json_is_array(document->root))
		return fail(error, PUBLISH_CODE_BAD_JSON,
		    "the body is %s, it must be an array of messages",
		    type_name(document->root));
	if (document->count == 0)
		return fail(error, PUBLISH_CODE_MISSING_FIELD,
		    "the array holds no message");
	if (document->count > PUBLISH_BATCH_MAX)
		return fail(error, PUBLISH_CODE_BAD_FIELD,
		    "%zu messages in one request, at most %d are allowed",
		    document->count, PUBLISH_BATCH_MAX);
	return 0;
}

int
publish_json_open(struct publish_scratch *scratch, struct slice body,
    enum publish_shape shape, struct publish_document *out_document,
    struct publish_error *out_error)
{
	struct publish_document document = { .scratch = scratch,
		.shape = shape };
	json_error_t at;
	int err;

	if (body.len == 0)
		return fail(out_error, PUBLISH_CODE_BAD_JSON,
		    "the body is empty, JSON is expected");
	if (scratch_reserve(scratch, body.len) != 0)
		return -ENOMEM;

	document.root = json_loadb((const char *)body.data, body.len,
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &at);
	if (document.root == NULL)
		return fail(out_error, PUBLISH_CODE_BAD_JSON,
		    "line %d column %d: %s", at.line, at.column, at.text);
	document.count =
	    publish_shape_is_array(shape) ? json_array_size(document.root) : 1;

	err = check_shape(&document, out_error);
	if (err != 0) {
		json_decref(document.root);
		return err;
	}
	*out_document = document;
	return 0;
}

void
publish_json_close(struct publish_document *document)
{
	json_decref(document->root);
	document->root = NULL;
	if (document->scratch->size > (1u << 20))
		publish_scratch_fini(document->scratch);
}

static struct slice
string_of(const json_t *value)
{
	return slice_of(json_string_value(value), json_string_length(value));
}

static int
wrong_type(struct reader *reader, const char *name, const json_t *value,
    const char *wanted)
{
	return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
	    "\"%s\" is %s, it must be %s", name, type_name(value), wanted);
}

/* An optional string; *out is left alone when the field is not there. */
static int
read_string(
    struct reader *reader, json_t *object, const char *name, struct slice *out)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return 0;
	if (!json_is_string(value))
		return wrong_type(reader, name, value, "a string");
	*out = string_of(value);
	return 0;
}

/* A string that becomes an MQTT string, if `text`, or binary data. */
static int
read_mqtt_string(struct reader *reader, json_t *object, const char *name,
    bool text, struct slice *out)
{
	int err;

	err = read_string(reader, object, name, out);
	if (err != 0)
		return err;
	if (out->len > STRING_MAX)
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"%s\" has %zu bytes, at most %u are allowed", name,
		    out->len, STRING_MAX);
	if (text && !utf8_is_valid(*out))
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"%s\" may not hold U+0000", name);
	return 0;
}

static int
read_integer(struct reader *reader, json_t *object, const char *name,
    json_int_t most, json_int_t *out)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return 0;
	if (!json_is_integer(value))
		return wrong_type(reader, name, value, "a whole number");
	if (json_integer_value(value) < 0 || json_integer_value(value) > most)
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"%s\" is %lld, it must be from 0 to %lld", name,
		    (long long)json_integer_value(value), (long long)most);
	*out = json_integer_value(value);
	return 0;
}

static int
read_retain(struct reader *reader)
{
	const json_t *value = json_object_get(reader->object, "retain");
	json_int_t number = 0;

	if (value == NULL)
		return 0;
	if (json_is_boolean(value)) {
		reader->entry->message.retain = json_is_true(value);
		return 0;
	}
	if (!json_is_integer(value))
		return wrong_type(reader, "retain", value, "true or false");
	if (read_integer(reader, reader->object, "retain", 1, &number) != 0)
		return -EBADMSG;
	reader->entry->message.retain = number == 1;
	return 0;
}

static int
add_topic(struct reader *reader, struct slice topic)
{
	struct publish_entry *entry = reader->entry;

	if (entry->topic_count == PUBLISH_TOPICS_MAX)
		return fail(reader->error, PUBLISH_CODE_BAD_TOPIC,
		    "more than %d topics in one message", PUBLISH_TOPICS_MAX);
	if (topic.len == 0)
		return fail(
		    reader->error, PUBLISH_CODE_BAD_TOPIC, "a topic is empty");
	if (topic.len > TOPIC_MAX_BYTES)
		return fail(reader->error, PUBLISH_CODE_BAD_TOPIC,
		    "a topic has %zu bytes, at most %d are allowed", topic.len,
		    TOPIC_MAX_BYTES);
	if (topic_has_wildcard(topic))
		return fail(reader->error, PUBLISH_CODE_BAD_TOPIC,
		    "a topic to publish to may not hold '+' or '#'");
	if (!topic_name_is_valid(topic))
		return fail(reader->error, PUBLISH_CODE_BAD_TOPIC,
		    "a topic may not hold U+0000");
	entry->topics[entry->topic_count++] = topic;
	return 0;
}

/* "a,b,c", as other brokers have it. */
static int
add_topic_list(struct reader *reader, struct slice list)
{
	size_t length;
	int err;

	for (;;) {
		length = slice_find(list, ',');
		err = add_topic(reader, slice_of(list.data, length));
		if (err != 0 || length == list.len)
			return err;
		list = slice_from(list, length + 1);
	}
}

static int
add_topic_array(struct reader *reader, const json_t *array)
{
	const json_t *value;
	size_t i;
	int err;

	json_array_foreach(array, i, value)
	{
		if (!json_is_string(value))
			return wrong_type(
			    reader, "topics", value, "an array of strings");
		err = add_topic(reader, string_of(value));
		if (err != 0)
			return err;
	}
	return 0;
}

static int
read_topics(struct reader *reader)
{
	const json_t *topic = json_object_get(reader->object, "topic");
	const json_t *topics = json_object_get(reader->object, "topics");
	int err = 0;

	if (topics != NULL && reader->one_topic)
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"topics\" is for /api/v4/mqtt/publish; give one "
		    "\"topic\" a message here");
	if (topic != NULL && topics != NULL)
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "give \"topic\" or \"topics\", not both");
	if (topic != NULL && !json_is_string(topic))
		return wrong_type(reader, "topic", topic, "a string");
	if (topic != NULL)
		err = add_topic(reader, string_of(topic));
	else if (json_is_string(topics))
		err = add_topic_list(reader, string_of(topics));
	else if (json_is_array(topics))
		err = add_topic_array(reader, topics);
	else if (topics != NULL)
		return wrong_type(
		    reader, "topics", topics, "\"a,b\" or an array of strings");
	if (err != 0)
		return err;
	if (reader->entry->topic_count == 0)
		return fail(reader->error, PUBLISH_CODE_MISSING_FIELD,
		    "\"topic\" is missing");
	reader->entry->message.topic = reader->entry->topics[0];
	return 0;
}

/* "encoding" in one API, "payload_encoding" in the other. */
static int
read_encoding(struct reader *reader, struct slice *out)
{
	const char *name = "encoding";

	if (json_object_get(reader->object, "payload_encoding") != NULL) {
		if (json_object_get(reader->object, name) != NULL)
			return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
			    "give \"encoding\" or \"payload_encoding\", not "
			    "both");
		name = "payload_encoding";
	}
	*out = slice_of("plain", 5);
	return read_string(reader, reader->object, name, out);
}

static int
read_payload(struct reader *reader)
{
	const json_t *value = json_object_get(reader->object, "payload");
	struct slice encoding, payload;
	size_t length;

	if (value == NULL)
		return fail(reader->error, PUBLISH_CODE_MISSING_FIELD,
		    "\"payload\" is missing; \"\" is an empty one");
	if (!json_is_string(value))
		return wrong_type(reader, "payload", value,
		    "a string: JSON inside it is written with \\\"");
	payload = string_of(value);
	if (read_encoding(reader, &encoding) != 0)
		return -EBADMSG;

	if (slice_equal_string(encoding, "base64")) {
		if (base64_decode(
			payload, reader->room, reader->room_size, &length) != 0)
			return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
			    "\"payload\" is not base64 (RFC 4648, padded)");
		payload = slice_of(reader->room, length);
		reader->room += length;
		reader->room_size -= length;
	} else if (!slice_equal_string(encoding, "plain")) {
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "the encoding of the payload must be \"plain\" or "
		    "\"base64\"");
	}
	reader->entry->message.payload = payload;
	return 0;
}

/* A user property's value as text: strings as they are, numbers printed. */
static int
user_value(struct reader *reader, const json_t *value, char number[32],
    struct slice *out)
{
	if (json_is_string(value))
		*out = string_of(value);
	else if (json_is_integer(value))
		*out = slice_of(number,
		    (size_t)snprintf(number, 32, "%lld",
			(long long)json_integer_value(value)));
	else if (json_is_real(value))
		*out = slice_of(number,
		    (size_t)snprintf(
			number, 32, "%.17g", json_real_value(value)));
	else if (json_is_boolean(value))
		*out = slice_of_string(json_is_true(value) ? "true" : "false");
	else
		return wrong_type(
		    reader, "user_properties", value, "an object of strings");
	return 0;
}

static int
read_user_properties(struct reader *reader, json_t *properties,
    struct record_properties *encoded)
{
	json_t *user = json_object_get(properties, "user_properties"), *value;
	struct slice name, text;
	char number[32];
	const char *key;

	if (user == NULL)
		return 0;
	if (!json_is_object(user))
		return wrong_type(
		    reader, "user_properties", user, "an object of strings");
	json_object_foreach(user, key, value)
	{
		if (user_value(reader, value, number, &text) != 0)
			return -EBADMSG;
		name = slice_of_string(key);
		if (name.len > STRING_MAX || text.len > STRING_MAX ||
		    !utf8_is_valid(text))
			return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
			    "a user property is longer than %u bytes or "
			    "holds U+0000",
			    STRING_MAX);
		record_properties_user(encoded, name, text);
	}
	return 0;
}

static int
read_response_topic(struct reader *reader, json_t *properties,
    struct record_properties *encoded)
{
	struct slice topic = { .data = NULL };

	if (read_mqtt_string(
		reader, properties, "response_topic", true, &topic) != 0)
		return -EBADMSG;
	if (topic.data == NULL)
		return 0;
	/* [MQTT-3.3.2-14] no wildcards in a response topic */
	if (!topic_name_is_valid(topic))
		return fail(reader->error, PUBLISH_CODE_BAD_TOPIC,
		    "\"response_topic\" must be a topic without wildcards");
	record_properties_response_topic(encoded, topic);
	return 0;
}

/* [MQTT-3.3.2-4]: what is announced as UTF-8 is UTF-8. */
static int
read_payload_format(struct reader *reader, json_t *properties,
    struct record_properties *encoded)
{
	struct slice payload = reader->entry->message.payload;
	json_int_t format = -1;

	if (read_integer(reader, properties, "payload_format_indicator", 1,
		&format) != 0)
		return -EBADMSG;
	if (format == 1 && !utf8_is_valid(payload))
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"payload_format_indicator\" is 1, but the payload is "
		    "not UTF-8");
	if (format >= 0)
		record_properties_payload_format(encoded, (uint8_t)format);
	return 0;
}

static int
read_expiry(struct reader *reader, json_t *properties)
{
	json_int_t expiry_s = RECORD_NEVER_EXPIRES;

	if (read_integer(reader, properties, "message_expiry_interval",
		UINT32_MAX, &expiry_s) != 0)
		return -EBADMSG;
	reader->entry->message.expiry_s = (uint32_t)expiry_s;
	return 0;
}

/* All but the user properties. */
static int
read_named_properties(struct reader *reader, json_t *properties,
    struct record_properties *encoded)
{
	struct slice type = { .data = NULL }, data = { .data = NULL };

	if (!json_is_object(properties))
		return wrong_type(
		    reader, "properties", properties, "an object");
	if (read_payload_format(reader, properties, encoded) != 0 ||
	    read_expiry(reader, properties) != 0 ||
	    read_mqtt_string(reader, properties, "content_type", true, &type) !=
		0 ||
	    read_mqtt_string(
		reader, properties, "correlation_data", false, &data) != 0 ||
	    read_response_topic(reader, properties, encoded) != 0)
		return -EBADMSG;
	if (type.data != NULL)
		record_properties_content_type(encoded, type);
	if (data.data != NULL)
		record_properties_correlation_data(encoded, data);
	return read_user_properties(reader, properties, encoded);
}

/* "user_properties" may also stand beside "properties". */
static int
read_properties(struct reader *reader)
{
	json_t *properties = json_object_get(reader->object, "properties");
	struct record_properties encoded;

	reader->entry->message.expiry_s = RECORD_NEVER_EXPIRES;
	record_properties_init(&encoded, reader->room, reader->room_size);
	if (properties != NULL &&
	    read_named_properties(reader, properties, &encoded) != 0)
		return -EBADMSG;
	if (read_user_properties(reader, reader->object, &encoded) != 0)
		return -EBADMSG;
	if (encoded.failed)
		return fail(reader->error, PUBLISH_CODE_BAD_FIELD,
		    "\"properties\" are too large");
	reader->entry->message.properties =
	    slice_of(encoded.bytes, encoded.length);
	return 0;
}

static json_t *
object_at(const struct publish_document *document, size_t index)
{
	if (!publish_shape_is_array(document->shape))
		return document->root;
	return json_array_get(document->root, index);
}

int
publish_json_read(struct publish_document *document, size_t index,
    struct publish_entry *out_entry, struct publish_error *out_error)
{
	struct reader reader = {
		.object = object_at(document, index),
		.entry = out_entry,
		.error = out_error,
		.room = document->scratch->bytes,
		.room_size = document->scratch->size,
		.one_topic = publish_shape_is_v5(document->shape),
	};
	struct slice client_id = { .data = NULL };
	json_int_t qos = 0;

	if (!json_is_object(reader.object))
		return fail(out_error, PUBLISH_CODE_BAD_FIELD,
		    "message %zu of the array is %s, it must be an object",
		    index + 1, type_name(reader.object));
	memset(&out_entry->message, 0, sizeof(out_entry->message));
	out_entry->topic_count = 0;

	if (read_topics(&reader) != 0 || read_payload(&reader) != 0 ||
	    read_integer(&reader, reader.object, "qos", 2, &qos) != 0 ||
	    read_retain(&reader) != 0 ||
	    read_string(&reader, reader.object, "clientid", &client_id) != 0 ||
	    read_properties(&reader) != 0)
		return -EBADMSG;
	out_entry->message.qos = (uint8_t)qos;
	return 0;
}

struct slice
publish_json_label(const struct publish_document *document, size_t index)
{
	json_t *object = object_at(document, index);
	const json_t *topic;

	topic = json_object_get(object, "topic");
	if (topic == NULL)
		topic = json_object_get(object, "topics");
	return json_is_string(topic) ? string_of(topic) : slice_of(NULL, 0);
}
