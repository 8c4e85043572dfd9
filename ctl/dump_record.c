/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/dump_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "ctl/escape.h"

/* Bytes of a topic and of a payload that a table shows. */
#define TABLE_TOPIC 64
#define TABLE_PAYLOAD 80

/* A body's beginning up to the end of its topic. */
#define PREFIX_MAX (sizeof(struct record_message_header) + UINT16_MAX)

const struct table_column dump_record_columns[] = {
	{ "ID", false },
	{ "SEQUENCE", true },
	{ "KIND", false },
	{ "AGE", true },
	{ "BYTES", true },
	{ "QOS", true },
	{ "MARKS", false },
	{ "TOPIC", false },
	{ NULL, false },
};

const struct table_column dump_record_columns_with_payload[] = {
	{ "ID", false },
	{ "SEQUENCE", true },
	{ "KIND", false },
	{ "AGE", true },
	{ "BYTES", true },
	{ "QOS", true },
	{ "MARKS", false },
	{ "TOPIC", false },
	{ "PAYLOAD", false },
	{ NULL, false },
};

void
dump_buffer_fini(struct dump_buffer *buffer)
{
	free(buffer->bytes);
	*buffer = (struct dump_buffer){ 0 };
}

static int
make_room(struct dump_buffer *buffer, size_t size)
{
	uint8_t *grown;

	if (size <= buffer->size)
		return 0;
	grown = realloc(buffer->bytes, size);
	if (grown == NULL)
		return -ENOMEM;
	buffer->bytes = grown;
	buffer->size = size;
	return 0;
}

/* In a lane to the broker it is itself the source, whatever it says. */
static void
identify(struct dump_record *r)
{
	const struct ring_record *header = &r->record->header;

	r->id = ring_trace_id_of(header);
	if (r->view->producer->role != RING_ROLE_BROKER)
		r->id = (struct ring_trace_id){
			.link = r->view->link,
			.lane = (uint16_t)r->view->lane_id,
			.sequence = header->sequence,
		};
	r->has_id = r->id.sequence != 0;
}

int
dump_record_read(struct dump_buffer *buffer, struct ring_dump_lane *lane,
    const struct ring_view *view, const struct ring_dump_record *record,
    bool with_payload, struct dump_record *out_record)
{
	const uint64_t now_ns = clock_now_ns();
	const struct ring_record *header = &record->header;
	struct dump_record r = { .view = view, .record = record };
	size_t have = header->length;
	int err;

	if (header->kind != RECORD_MESSAGE)
		have = 0;
	else if (!with_payload && have > PREFIX_MAX)
		have = PREFIX_MAX;
	err = make_room(buffer, have);
	if (err == 0)
		err = ring_dump_body(lane, record, buffer->bytes, have);
	if (err != 0)
		return err;
	r.age_ns = now_ns > header->time_ns ? now_ns - header->time_ns : 0;
	r.is_message = header->kind == RECORD_MESSAGE &&
	    record_message_peek(
		buffer->bytes, have, header->length, &r.message) == 0;
	r.is_bad = header->kind == RECORD_MESSAGE && !r.is_message;
	r.has_payload = r.is_message && with_payload;
	identify(&r);
	*out_record = r;
	return 0;
}

static const char *
kind_name(const struct dump_record *r)
{
	if (r->is_bad)
		return "bad message";
	switch (r->record->header.kind) {
	case RECORD_MESSAGE:
		return "message";
	case RECORD_RECEIPT:
		return "receipt";
	case RECORD_AUTH:
		return "credentials";
	case RECORD_AUTH_RESULT:
		return "auth result";
	default:
		return "unknown";
	}
}

/* What is special about it, in few letters; see weirctl(1). */
static const char *
marks_of(const struct dump_record *r, char *text)
{
	char *at = text;

	if (r->record->is_released)
		at = stpcpy(at, "released ");
	if (r->record->is_found && !r->record->is_released)
		at = stpcpy(at, "found ");
	if (r->is_message && r->message.retain)
		at = stpcpy(at, "retain ");
	if ((r->record->header.flags & RING_TRACED) != 0)
		at = stpcpy(at, "traced ");
	if (at == text)
		return "\u2013";
	at[-1] = '\0';
	return text;
}

int
dump_record_row(struct table *table, const struct dump_record *r)
{
	char id[RECORD_ID_SIZE] = "\u2013", sequence[24], age[32], bytes[24];
	char qos[4] = "\u2013", marks[64];
	char topic[ESCAPE_SIZE(TABLE_TOPIC)] = "\u2013";
	char payload[ESCAPE_SIZE(TABLE_PAYLOAD)] = "\u2013";

	if (r->has_id)
		record_id_write(&r->id, id);
	snprintf(
	    sequence, sizeof(sequence), "%" PRIu64, r->record->header.sequence);
	snprintf(bytes, sizeof(bytes), "%" PRIu32, r->record->header.length);
	if (r->is_message) {
		snprintf(qos, sizeof(qos), "%u", r->message.qos);
		escape_bytes(r->message.topic, TABLE_TOPIC, topic);
	}
	if (r->has_payload)
		escape_bytes(r->message.payload, TABLE_PAYLOAD, payload);
	return table_row(table,
	    (const char *const[]){ id, sequence, kind_name(r),
		table_duration(r->age_ns, age), bytes, qos, marks_of(r, marks),
		topic, payload });
}

/* Text as text, else as base64 under the second name. */
static int
set_bytes(json_t *object, const char *name, const char *name_of_base64,
    struct slice bytes)
{
	char *text;
	int err;

	if (utf8_is_valid(bytes))
		return json_object_set_new(object, name,
		    json_stringn(bytes.len == 0 ? "" : (const char *)bytes.data,
			bytes.len));
	text = malloc(BASE64_LENGTH(bytes.len) + 1);
	if (text == NULL)
		return -1;
	err = json_object_set_new(
	    object, name_of_base64, json_string(base64_encode(bytes, text)));
	free(text);
	return err;
}

static int
set_properties(json_t *object, struct slice properties)
{
	char *text;
	int err;

	if (properties.len == 0)
		return 0;
	text = malloc(BASE64_LENGTH(properties.len) + 1);
	if (text == NULL)
		return -1;
	err = json_object_set_new(object, "properties_base64",
	    json_string(base64_encode(properties, text)));
	free(text);
	return err;
}

static int
set_message(json_t *object, const struct dump_record *r)
{
	const struct record_message *message = &r->message;
	int err;

	err = set_bytes(object, "topic", "topic_base64", message->topic);
	err |= json_object_set_new(object, "qos", json_integer(message->qos));
	err |= json_object_set_new(
	    object, "retain", json_boolean(message->retain));
	if (message->expiry_s != RECORD_NEVER_EXPIRES)
		err |= json_object_set_new(
		    object, "expiry_s", json_integer(message->expiry_s));
	err |= json_object_set_new(object, "payload_bytes",
	    json_integer((json_int_t)message->payload.len));
	if (!r->has_payload)
		return err;
	err |= set_properties(object, message->properties);
	return err |
	    set_bytes(object, "payload", "payload_base64", message->payload);
}

json_t *
dump_record_to_json(const struct dump_record *r)
{
	const struct ring_record *header = &r->record->header;
	char id[RECORD_ID_SIZE];
	json_t *object;

	object = json_pack("{s:s, s:s?, s:s, s:I, s:I, s:i, s:I, s:I,"
			   " s:b, s:b, s:b}",
	    "ring", r->view->name, "id",
	    r->has_id ? record_id_write(&r->id, id) : NULL, "kind",
	    kind_name(r), "sequence", (json_int_t)header->sequence, "position",
	    (json_int_t)r->record->position, "class", (int)r->record->class,
	    "bytes", (json_int_t)header->length, "age_ms",
	    (json_int_t)(r->age_ns / CLOCK_MS_NS), "released",
	    r->record->is_released, "found", r->record->is_found, "traced",
	    (header->flags & RING_TRACED) != 0);
	if (object == NULL)
		return NULL;
	if (r->is_message && set_message(object, r) != 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}
