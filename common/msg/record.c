/* SPDX-License-Identifier: Apache-2.0 */

#include "common/msg/record.h"

#include <errno.h>
#include <string.h>

#include "common/base/bug.h"

#define TEXT_MAX UINT16_MAX

/* Identifiers of MQTT 5.0, 2.2.2.2. */
enum {
	PAYLOAD_FORMAT = 0x01,
	CONTENT_TYPE = 0x03,
	RESPONSE_TOPIC = 0x08,
	CORRELATION_DATA = 0x09,
	USER_PROPERTY = 0x26,
};

static uint8_t *
append(uint8_t *out, struct slice bytes)
{
	if (bytes.len != 0)
		memcpy(out, bytes.data, bytes.len);
	return out + bytes.len;
}

/* The next `length` bytes; the caller knows that they are there. */
static struct slice
take(const uint8_t **at, size_t length)
{
	struct slice bytes = slice_of(*at, length);

	*at += length;
	return bytes;
}

size_t
record_message_size(const struct record_message *message)
{
	return sizeof(struct record_message_header) + message->topic.len +
	    message->properties.len + message->payload.len;
}

size_t
record_message_prefix(
    const struct record_message *message, void *out, size_t capacity)
{
	struct record_message_header header;
	size_t size = record_message_size(message) - message->payload.len;
	uint8_t *at = out;

	BUG_ON(message->topic.len > TEXT_MAX);
	BUG_ON(message->properties.len > UINT32_MAX);
	BUG_ON(message->payload.len > UINT32_MAX);
	BUG_ON(message->qos > 2);
	BUG_ON(size > capacity);

	header = (struct record_message_header){
		.version = RECORD_VERSION,
		.qos = message->qos,
		.flags = message->retain ? RECORD_FLAG_RETAIN : 0,
		.topic_length = (uint16_t)message->topic.len,
		.properties_length = (uint32_t)message->properties.len,
		.payload_length = (uint32_t)message->payload.len,
		.expiry_s = message->expiry_s,
	};
	at = append(at, slice_of(&header, sizeof(header)));
	at = append(at, message->topic);
	append(at, message->properties);
	return size;
}

void
record_message_write(const struct record_message *message, void *out)
{
	size_t prefix;

	prefix =
	    record_message_prefix(message, out, record_message_size(message));
	append((uint8_t *)out + prefix, message->payload);
}

/* The next `length` bytes, without data if they are not all there. */
static struct slice
take_if_there(const uint8_t **at, const uint8_t *end, size_t length)
{
	if ((size_t)(end - *at) >= length)
		return take(at, length);
	*at = end;
	return slice_of(NULL, length);
}

int
record_message_peek(const void *body, size_t have, size_t length,
    struct record_message *out_message)
{
	struct record_message_header header;
	const uint8_t *at = body, *end = at + have;
	uint64_t need;

	if (have < sizeof(header) || have > length)
		return -EBADMSG;
	memcpy(&header, take(&at, sizeof(header)).data, sizeof(header));

	if (header.version != RECORD_VERSION || header.qos > 2 ||
	    (header.flags & ~RECORD_FLAG_RETAIN) != 0)
		return -EBADMSG;

	/* Three numbers of 32 bits or less cannot overflow 64. */
	need = (uint64_t)header.topic_length + header.properties_length +
	    header.payload_length;
	if (need != length - sizeof(header) ||
	    header.topic_length > have - sizeof(header))
		return -EBADMSG;

	out_message->qos = header.qos;
	out_message->retain = (header.flags & RECORD_FLAG_RETAIN) != 0;
	out_message->expiry_s = header.expiry_s;
	out_message->topic = take(&at, header.topic_length);
	out_message->properties =
	    take_if_there(&at, end, header.properties_length);
	out_message->payload = take_if_there(&at, end, header.payload_length);
	return 0;
}

int
record_message_parse(
    const void *body, size_t length, struct record_message *out_message)
{
	return record_message_peek(body, length, length, out_message);
}

size_t
record_auth_size(const struct record_auth *auth)
{
	return sizeof(struct record_auth_header) + auth->user.len +
	    auth->password.len + auth->address.len;
}

void
record_auth_write(const struct record_auth *auth, void *out)
{
	struct record_auth_header header;
	uint8_t *at = out;

	BUG_ON(auth->user.len > TEXT_MAX);
	BUG_ON(auth->password.len > TEXT_MAX);
	BUG_ON(auth->address.len > TEXT_MAX);

	header = (struct record_auth_header){
		.version = RECORD_VERSION,
		.kind = (uint8_t)auth->kind,
		.user_length = (uint16_t)auth->user.len,
		.password_length = (uint16_t)auth->password.len,
		.address_length = (uint16_t)auth->address.len,
	};
	at = append(at, slice_of(&header, sizeof(header)));
	at = append(at, auth->user);
	at = append(at, auth->password);
	append(at, auth->address);
}

int
record_auth_parse(const void *body, size_t length, struct record_auth *out_auth)
{
	struct record_auth_header header;
	const uint8_t *at = body;
	size_t need;

	if (length < sizeof(header))
		return -EBADMSG;
	memcpy(&header, take(&at, sizeof(header)).data, sizeof(header));
	if (header.version != RECORD_VERSION ||
	    header.kind > RECORD_AUTH_BEARER)
		return -EBADMSG;

	need = (size_t)header.user_length + header.password_length +
	    header.address_length;
	if (need != length - sizeof(header))
		return -EBADMSG;

	out_auth->kind = (enum record_auth_kind)header.kind;
	out_auth->user = take(&at, header.user_length);
	out_auth->password = take(&at, header.password_length);
	out_auth->address = take(&at, header.address_length);
	return 0;
}

static size_t
why_length(const struct record_dead *dead)
{
	return dead->why.len < RECORD_WHY_MAX ? dead->why.len : RECORD_WHY_MAX;
}

size_t
record_dead_size(const struct record_dead *dead)
{
	return sizeof(struct record_dead_header) + why_length(dead) +
	    dead->message.len;
}

void
record_dead_write(const struct record_dead *dead, void *out)
{
	const struct record_dead_header header = {
		.version = RECORD_VERSION,
		.why_length = (uint16_t)why_length(dead),
		.attempts = dead->attempts,
		.sequence = dead->sequence,
		.journal = dead->journal,
		.wall_ns = dead->wall_ns,
	};
	uint8_t *at = out;

	memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	if (header.why_length != 0)
		memcpy(at, dead->why.data, header.why_length);
	at += header.why_length;
	if (dead->message.len != 0)
		memcpy(at, dead->message.data, dead->message.len);
}

int
record_dead_parse(const void *body, size_t length, struct record_dead *out_dead)
{
	struct record_dead_header header;
	const uint8_t *at = body;

	if (length < sizeof(header))
		return -EBADMSG;
	memcpy(&header, at, sizeof(header));
	at += sizeof(header);
	length -= sizeof(header);
	if (header.version != RECORD_VERSION || header.why_length > length ||
	    header.why_length > RECORD_WHY_MAX)
		return -EBADMSG;
	*out_dead = (struct record_dead){
		.attempts = header.attempts,
		.sequence = header.sequence,
		.journal = header.journal,
		.wall_ns = header.wall_ns,
		.why = slice_of(at, header.why_length),
		.message = slice_of(
		    at + header.why_length, length - header.why_length),
	};
	return 0;
}

int
record_answer_parse(
    const void *body, size_t length, struct record_answer *out_answer)
{
	if (length != sizeof(*out_answer))
		return -EBADMSG;
	memcpy(out_answer, body, sizeof(*out_answer));
	return 0;
}

int
record_auth_result_parse(
    const void *body, size_t length, struct record_auth_result *out_result)
{
	struct record_auth_result result;

	if (length != sizeof(result))
		return -EBADMSG;
	memcpy(&result, body, sizeof(result));
	if (result.name[RECORD_NAME_SIZE - 1] != '\0')
		return -EBADMSG;
	*out_result = result;
	return 0;
}

/* Room for `length` more bytes, or NULL with `failed` set for good. */
static uint8_t *
reserve(struct record_properties *properties, size_t length)
{
	uint8_t *at = properties->bytes + properties->length;

	if (properties->failed ||
	    length > properties->capacity - properties->length) {
		properties->failed = true;
		return NULL;
	}
	properties->length += length;
	return at;
}

/* Two bytes of length, big-endian, then the bytes, as in MQTT. */
static uint8_t *
append_text(uint8_t *out, struct slice text)
{
	*out++ = (uint8_t)(text.len >> 8);
	*out++ = (uint8_t)text.len;
	return append(out, text);
}

static void
put_text(struct record_properties *properties, uint8_t id, struct slice value)
{
	uint8_t *at;

	if (value.len > TEXT_MAX) {
		properties->failed = true;
		return;
	}
	at = reserve(properties, 3 + value.len);
	if (at == NULL)
		return;
	*at++ = id;
	append_text(at, value);
}

void
record_properties_init(
    struct record_properties *properties, void *buffer, size_t capacity)
{
	*properties = (struct record_properties){
		.bytes = buffer,
		.capacity = capacity,
	};
}

void
record_properties_payload_format(
    struct record_properties *properties, uint8_t utf8)
{
	uint8_t *at = reserve(properties, 2);

	if (at == NULL)
		return;
	at[0] = PAYLOAD_FORMAT;
	at[1] = utf8;
}

void
record_properties_content_type(
    struct record_properties *properties, struct slice value)
{
	put_text(properties, CONTENT_TYPE, value);
}

void
record_properties_response_topic(
    struct record_properties *properties, struct slice value)
{
	put_text(properties, RESPONSE_TOPIC, value);
}

void
record_properties_correlation_data(
    struct record_properties *properties, struct slice value)
{
	put_text(properties, CORRELATION_DATA, value);
}

void
record_properties_user(
    struct record_properties *properties, struct slice name, struct slice value)
{
	uint8_t *at;

	if (name.len > TEXT_MAX || value.len > TEXT_MAX) {
		properties->failed = true;
		return;
	}
	at = reserve(properties, 5 + name.len + value.len);
	if (at == NULL)
		return;
	*at++ = USER_PROPERTY;
	at = append_text(at, name);
	append_text(at, value);
}
