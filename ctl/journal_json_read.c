/* SPDX-License-Identifier: Apache-2.0 */

/* The way back of journal_json: objects to records. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/options.h"
#include "common/base/parse.h"
#include "ctl/journal_json.h"

#define NEVER UINT64_MAX
#define TEXT_MAX 65535

/* Identifiers and receivers of one message, more than any broker names. */
#define LIST_MAX 100000000u

/*
 * One object being read; the first fault sticks.  Decoded bytes lie in the
 * record's memory, behind its body.
 */
struct reader {
	const json_t *object;
	char *fault; /* "" while all is well */
	bool no_memory;
	uint8_t *room; /* for what is decoded */
	size_t used;
};

static void
complain(struct reader *r, const char *field, const char *what)
{
	if (r->fault[0] == '\0')
		snprintf(
		    r->fault, JOURNAL_JSON_FAULT_SIZE, "%s %s", field, what);
}

static bool
is_well(const struct reader *r)
{
	return r->fault[0] == '\0' && !r->no_memory;
}

static uint64_t
to_number(struct reader *r, const char *field, const json_t *value,
    uint64_t absent, uint64_t max)
{
	uint64_t number = absent;

	if (value == NULL)
		return absent;
	if (json_is_integer(value) && json_integer_value(value) >= 0)
		number = (uint64_t)json_integer_value(value);
	else if (!json_is_string(value) ||
	    parse_u64(json_string_value(value), &number) != 0)
		complain(r, field, "is not a number");
	if (number > max && number != absent)
		complain(r, field, "is out of range");
	return number;
}

static uint64_t
number(struct reader *r, const char *field, uint64_t absent, uint64_t max)
{
	return to_number(
	    r, field, json_object_get(r->object, field), absent, max);
}

static uint64_t
cursor(struct reader *r)
{
	uint64_t value = number(r, "cursor", 0, UINT64_MAX);

	if (value == 0)
		complain(r, "cursor", "is missing or 0");
	return value;
}

static bool
flag(struct reader *r, const char *field)
{
	const json_t *value = json_object_get(r->object, field);

	if (value != NULL && !json_is_boolean(value))
		complain(r, field, "is not true or false");
	return json_is_true(value);
}

static struct slice
text(struct reader *r, const char *field)
{
	const json_t *value = json_object_get(r->object, field);

	if (!json_is_string(value)) {
		complain(r, field, "is missing, or no text");
		return slice_of(NULL, 0);
	}
	if (json_string_length(value) > TEXT_MAX)
		complain(r, field, "is longer than 65535 bytes");
	return slice_of(json_string_value(value), json_string_length(value));
}

static struct slice
base64(struct reader *r, const char *field)
{
	const json_t *value = json_object_get(r->object, field);
	uint8_t *at = r->room + r->used;
	struct slice coded;
	size_t length;

	if (value == NULL)
		return slice_of(NULL, 0);
	coded = slice_of(json_string_value(value), json_string_length(value));
	if (coded.data == NULL ||
	    base64_decode(coded, at, coded.len, &length) != 0) {
		complain(r, field, "is not base64");
		return slice_of(NULL, 0);
	}
	r->used += length;
	return slice_of(at, length);
}

/* What all base64 texts of an object and of those in it may decode to. */
static size_t
room_needed(const json_t *object)
{
	size_t sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (json_is_string(value))
			sum += json_string_length(value);
		else if (json_is_object(value))
			sum += room_needed(value);
	}
	return sum;
}

/* The body of `size` bytes, to be written; NULL: no memory, or a fault. */
static uint8_t *
new_body(struct reader *r, struct journal_record *record, size_t size)
{
	if (!is_well(r))
		return NULL;
	record->memory = malloc(size == 0 ? 1 : size);
	if (record->memory == NULL)
		r->no_memory = true;
	record->body = slice_of(record->memory, size);
	return record->memory;
}

static void
read_start(struct reader *r, struct journal_record *record)
{
	struct slice instance = base64(r, "instance");
	struct store_start start = {
		.wall_ns = number(r, "wall_ns", 0, UINT64_MAX),
	};
	uint8_t *body;

	if (instance.len != sizeof(start.instance))
		complain(r, "instance", "is not 16 bytes");
	else
		memcpy(start.instance, instance.data, sizeof(start.instance));
	body = new_body(r, record, STORE_SMALL_MAX);
	if (body != NULL)
		record->body.len = store_start_write(&start, body);
}

static void
read_will(struct reader *r, const json_t *will, struct store_session *session)
{
	const json_t *outer = r->object;

	if (!json_is_object(will)) {
		complain(r, "will", "is no object");
		return;
	}
	r->object = will;
	session->has_will = true;
	session->will_topic = text(r, "topic");
	session->will_qos = (uint8_t)number(r, "qos", 0, 2);
	session->will_retain = flag(r, "retain");
	session->will_delay_ns = number(r, "delay_ns", 0, UINT64_MAX);
	session->will_expiry_ns = number(r, "expiry_ns", NEVER, NEVER);
	session->will_properties = base64(r, "properties_base64");
	session->will_payload = base64(r, "payload_base64");
	r->object = outer;
}

static void
read_session(struct reader *r, struct journal_record *record)
{
	const json_t *will = json_object_get(r->object, "will");
	struct store_session session = {
		.cursor = cursor(r),
		.client_id = text(r, "client_id"),
		.account = text(r, "account"),
		.expiry_ns = number(r, "expiry_ns", NEVER, NEVER),
		.left_ns = number(r, "left_ns", 0, UINT64_MAX),
		.will_expiry_ns = NEVER,
	};
	uint8_t *body;

	if (will != NULL)
		read_will(r, will, &session);
	body = new_body(r, record, store_session_size(&session));
	if (body != NULL)
		store_session_write(&session, body);
}

static void
read_subscription(struct reader *r, struct journal_record *record)
{
	struct store_subscribe subscribe = {
		.cursor = cursor(r),
		.filter = text(r, "filter"),
		.qos = (uint8_t)number(r, "qos", 0, 2),
		.no_local = flag(r, "no_local"),
		.retain_as_published = flag(r, "retain_as_published"),
		.identifier = (uint32_t)number(r, "identifier", 0, 268435455),
	};
	uint8_t *body;

	body = new_body(r, record, store_subscribe_size(&subscribe));
	if (body != NULL)
		store_subscribe_write(&subscribe, body);
}

static void
read_unfinished(struct reader *r, struct journal_record *record)
{
	const json_t *ids = json_object_get(r->object, "packet_ids");
	struct store_unfinished unfinished = {
		.cursor = cursor(r),
		.count = json_array_size(ids),
	};
	uint8_t *body;

	if (unfinished.count == 0 ||
	    unfinished.count > ARRAY_LENGTH(unfinished.ids)) {
		complain(r, "packet_ids", "is no list of 1 to 512 numbers");
		return;
	}
	for (size_t i = 0; i < unfinished.count; i++)
		unfinished.ids[i] = (uint16_t)to_number(
		    r, "packet_ids", json_array_get(ids, i), 0, UINT16_MAX);
	body = new_body(r, record, STORE_SMALL_MAX);
	if (body != NULL)
		record->body.len = store_unfinished_write(&unfinished, body);
}

static void
read_received(struct reader *r, struct journal_record *record)
{
	const struct store_packet packet = {
		.cursor = cursor(r),
		.sequence = number(r, "sequence", 0, UINT64_MAX),
		.packet_id = (uint16_t)number(r, "packet_id", 0, UINT16_MAX),
	};
	uint8_t *body = new_body(r, record, STORE_SMALL_MAX);

	if (body != NULL)
		record->body.len = store_packet_write(&packet, body);
}

static void
read_bridge(struct reader *r, struct journal_record *record)
{
	const struct store_bridge bridge = {
		.cursor = cursor(r),
		.name = text(r, "name"),
		.terms = {
#define TERM(name) .name = number(r, #name, 0, UINT64_MAX),
			STORE_BRIDGE_TERMS(TERM)
#undef TERM
		},
	};
	uint8_t *body = new_body(r, record, store_bridge_size(&bridge));

	if (body != NULL)
		store_bridge_write(&bridge, body);
}

static void
read_dead(struct reader *r, struct journal_record *record)
{
	const struct store_dead dead = {
		.cursor = cursor(r),
		.id = number(r, "id", 0, UINT64_MAX),
		.attempts = (uint32_t)number(r, "attempts", 0, UINT32_MAX),
		.memory = (uint32_t)number(r, "memory", 0, UINT32_MAX),
		.sequence = number(r, "ring_sequence", 0, UINT64_MAX),
		.journal = number(r, "journal_sequence", 0, UINT64_MAX),
		.wall_ns = number(r, "wall_ns", 0, UINT64_MAX),
		.why = text(r, "why"),
		.message = base64(r, "message"),
	};
	uint8_t *body;

	if (dead.id == 0)
		complain(r, "id", "is missing or 0");
	if (dead.why.len > UINT8_MAX)
		complain(r, "why", "is longer than 255 bytes");
	body = new_body(r, record, store_dead_size(&dead));
	if (body != NULL)
		store_dead_write(&dead, body);
}

static struct store_source
source(struct reader *r)
{
	return (struct store_source){
		.link = (uint32_t)number(r, "link", UINT32_MAX, UINT32_MAX),
		.lane = (uint32_t)number(r, "lane", 0, UINT32_MAX),
		.sequence = number(r, "lane_sequence", 0, UINT64_MAX),
	};
}

static void
read_source(struct reader *r, struct journal_record *record)
{
	const struct store_source lane = source(r);
	uint8_t *body = new_body(r, record, STORE_SMALL_MAX);

	if (body != NULL)
		record->body.len = store_source_write(&lane, body);
}

/* ---- messages ------------------------------------------------------------ */

static void
read_identifiers(struct reader *r, const json_t *list,
    struct store_message_room *room, struct store_delivery *delivery)
{
	uint32_t *at = room->identifiers + room->identifier_count;

	delivery->identifiers = at;
	delivery->identifier_count = (uint16_t)json_array_size(list);
	for (size_t i = 0; i < delivery->identifier_count; i++)
		at[i] = (uint32_t)to_number(
		    r, "identifiers", json_array_get(list, i), 0, UINT32_MAX);
	room->identifier_count += delivery->identifier_count;
}

static void
read_receiver(
    struct reader *r, const json_t *object, struct store_message_room *room)
{
	struct store_delivery *delivery =
	    &room->deliveries[room->delivery_count++];
	const json_t *outer = r->object;

	r->object = object;
	*delivery = (struct store_delivery){
		.cursor = cursor(r),
		.qos = (uint8_t)number(r, "qos", 0, 2),
		.flags = (uint8_t)number(r, "flags", 0, UINT8_MAX),
	};
	read_identifiers(
	    r, json_object_get(object, "identifiers"), room, delivery);
	r->object = outer;
}

/* Room for the receivers and their identifiers; false: a fault. */
static bool
make_room(
    struct reader *r, const json_t *receivers, struct store_message_room *room)
{
	size_t identifiers = 0, count = json_array_size(receivers), one;

	for (size_t i = 0; i < count; i++) {
		one = json_array_size(json_object_get(
		    json_array_get(receivers, i), "identifiers"));
		if (one > UINT16_MAX) {
			complain(r, "identifiers", "are more than 65535");
			return false;
		}
		identifiers += one;
	}
	if (count > LIST_MAX || identifiers > LIST_MAX) {
		complain(r, "receivers", "are too many");
		return false;
	}
	room->deliveries = calloc(count + 1, sizeof(*room->deliveries));
	room->identifiers = calloc(identifiers + 1, sizeof(*room->identifiers));
	r->no_memory = room->deliveries == NULL || room->identifiers == NULL;
	return !r->no_memory;
}

static void
read_fields(struct reader *r, struct store_message *message)
{
	*message = (struct store_message){
		.topic = text(r, "topic"),
		.qos = (uint8_t)number(r, "qos", 0, 2),
		.retain = flag(r, "retain"),
		.retain_serial = number(r, "retain_serial", 0, UINT64_MAX),
		.publisher = number(r, "publisher", 0, UINT64_MAX),
		.packet_id = (uint16_t)number(r, "packet_id", 0, UINT16_MAX),
		.source = source(r),
		.identity = number(r, "identity", 0, UINT64_MAX),
		.created_ns = number(r, "created_ns", 0, UINT64_MAX),
		.expires_ns = number(r, "expires_ns", NEVER, NEVER),
		.properties = base64(r, "properties_base64"),
		.payload = base64(r, "payload_base64"),
	};
}

static void
read_message(struct reader *r, struct journal_record *record)
{
	const json_t *receivers = json_object_get(r->object, "receivers");
	struct store_message_room room = { NULL, 0, NULL, 0 };
	struct store_message message;
	uint8_t *body = NULL;

	record->sequence = number(r, "sequence", 0, UINT64_MAX);
	read_fields(r, &message);
	if (make_room(r, receivers, &room)) {
		for (size_t i = 0; i < json_array_size(receivers); i++)
			read_receiver(r, json_array_get(receivers, i), &room);
		message.deliveries = room.deliveries;
		message.delivery_count = room.delivery_count;
		body = new_body(r, record, store_message_size(&message));
	}
	if (body != NULL)
		store_message_write(&message, body);
	free(room.deliveries);
	free(room.identifiers);
}

static const struct kind {
	const char *name;
	uint8_t kind;
	void (*read)(struct reader *r, struct journal_record *record);
} kinds[] = {
	{ "message", STORE_MESSAGE, read_message },
	{ "start", STORE_START, read_start },
	{ "session", STORE_SESSION, read_session },
	{ "subscription", STORE_SUBSCRIBE, read_subscription },
	{ "unfinished", STORE_UNFINISHED, read_unfinished },
	{ "received", STORE_RECEIVED, read_received },
	{ "retained", STORE_RETAINED, read_message },
	{ "bridge", STORE_BRIDGE, read_bridge },
	{ "dead", STORE_DEAD, read_dead },
	{ "source", STORE_SOURCE, read_source },
};

static int
read_kind(struct reader *r, struct journal_record *record)
{
	const char *name =
	    json_string_value(json_object_get(r->object, "kind"));

	for (size_t i = 0; name != NULL && i < ARRAY_LENGTH(kinds); i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		record->kind = kinds[i].kind;
		kinds[i].read(r, record);
		return r->no_memory ? -ENOMEM : is_well(r) ? 0 : -EINVAL;
	}
	complain(r, "kind", "is none that weirctl store export writes");
	return -EINVAL;
}

int
journal_json_to_record(const json_t *object, struct journal_record *out_record,
    char out_fault[JOURNAL_JSON_FAULT_SIZE])
{
	struct journal_record record = { .kind = 0 };
	struct reader r = { .object = object, .fault = out_fault };
	int err;

	out_fault[0] = '\0';
	r.room = malloc(room_needed(object) + 1);
	if (r.room == NULL)
		return -ENOMEM;
	err = read_kind(&r, &record);
	free(r.room);
	if (err == 0)
		*out_record = record;
	else
		journal_record_fini(&record);
	return err;
}

void
journal_record_fini(struct journal_record *record)
{
	free(record->memory);
	*record = (struct journal_record){ .kind = 0 };
}
