/* SPDX-License-Identifier: Apache-2.0 */

/* The body of a MESSAGE, and of a RETAINED; the others: store_record.c. */

#include <errno.h>

#include "broker/store/store_bytes.h"
#include "broker/store/store_record.h"
#include "common/base/bug.h"

#define BODY_VERSION 1
#define NEVER UINT64_MAX

enum {
	FLAG_RETAIN = 0x01,
	FLAG_PUBLISHER = 0x02,
	FLAG_PACKET_ID = 0x04,
	FLAG_SOURCE = 0x08,
	FLAG_RETAIN_SERIAL = 0x10,
	FLAG_EXPIRES = 0x20,
	FLAG_PROPERTIES = 0x40,
	FLAGS_KNOWN = 0x7f,
};

/* What the fixed part says about the rest. */
struct head {
	uint16_t flags;
	uint16_t topic_length;
	uint32_t delivery_count;
	uint32_t payload_length;
	uint32_t properties_length;
};

static bool
has_source(const struct store_source *source)
{
	return source->link != UINT32_MAX || source->lane != 0 ||
	    source->sequence != 0;
}

static uint16_t
flags_of(const struct store_message *message)
{
	unsigned flags = 0;

	if (message->retain)
		flags |= FLAG_RETAIN;
	if (message->publisher != 0)
		flags |= FLAG_PUBLISHER;
	if (message->packet_id != 0)
		flags |= FLAG_PACKET_ID;
	if (has_source(&message->source))
		flags |= FLAG_SOURCE;
	if (message->retain_serial != 0)
		flags |= FLAG_RETAIN_SERIAL;
	if (message->expires_ns != NEVER)
		flags |= FLAG_EXPIRES;
	if (message->properties.len != 0)
		flags |= FLAG_PROPERTIES;
	return (uint16_t)flags;
}

static size_t
optional_bytes(unsigned flags)
{
	return ((flags & FLAG_PUBLISHER) != 0 ? 8 : 0) +
	    ((flags & FLAG_PACKET_ID) != 0 ? 2 : 0) +
	    ((flags & FLAG_SOURCE) != 0 ? 16 : 0) +
	    ((flags & FLAG_RETAIN_SERIAL) != 0 ? 8 : 0) +
	    ((flags & FLAG_EXPIRES) != 0 ? 8 : 0) +
	    ((flags & FLAG_PROPERTIES) != 0 ? 4 : 0);
}

size_t
store_message_size(const struct store_message *message)
{
	size_t size = STORE_MESSAGE_FIXED + optional_bytes(flags_of(message));

	for (size_t i = 0; i < message->delivery_count; i++)
		size += STORE_DELIVERY_BYTES +
		    message->deliveries[i].identifier_count * sizeof(uint32_t);
	return size + message->topic.len + message->properties.len +
	    message->payload.len;
}

static uint8_t *
put_optional(uint8_t *out, const struct store_message *message, unsigned flags)
{
	if ((flags & FLAG_PUBLISHER) != 0)
		out = store_bytes_put_u64(out, message->publisher);
	if ((flags & FLAG_PACKET_ID) != 0)
		out = store_bytes_put_u16(out, message->packet_id);
	if ((flags & FLAG_SOURCE) != 0) {
		out = store_bytes_put_u32(out, message->source.link);
		out = store_bytes_put_u32(out, message->source.lane);
		out = store_bytes_put_u64(out, message->source.sequence);
	}
	if ((flags & FLAG_RETAIN_SERIAL) != 0)
		out = store_bytes_put_u64(out, message->retain_serial);
	if ((flags & FLAG_EXPIRES) != 0)
		out = store_bytes_put_u64(out, message->expires_ns);
	if ((flags & FLAG_PROPERTIES) != 0)
		out =
		    store_bytes_put_u32(out, (uint32_t)message->properties.len);
	return out;
}

static uint8_t *
put_deliveries(uint8_t *out, const struct store_message *message)
{
	const struct store_delivery *delivery = message->deliveries;

	for (size_t i = 0; i < message->delivery_count; i++) {
		out = store_bytes_put_u64(out, delivery[i].cursor);
		out = store_bytes_put_u8(out, delivery[i].qos);
		out = store_bytes_put_u8(out, delivery[i].flags);
		out = store_bytes_put_u16(out, delivery[i].identifier_count);
	}
	for (size_t i = 0; i < message->delivery_count; i++)
		for (size_t k = 0; k < delivery[i].identifier_count; k++)
			out = store_bytes_put_u32(
			    out, delivery[i].identifiers[k]);
	return out;
}

void
store_message_write(const struct store_message *message, void *out)
{
	unsigned flags = flags_of(message);
	uint8_t *at = out;

	BUG_ON(message->topic.len > UINT16_MAX);
	BUG_ON(message->properties.len > UINT32_MAX);
	BUG_ON(message->payload.len > UINT32_MAX);
	BUG_ON(message->delivery_count > UINT32_MAX);

	at = store_bytes_put_u8(at, BODY_VERSION);
	at = store_bytes_put_u8(at, message->qos);
	at = store_bytes_put_u16(at, (uint16_t)flags);
	at = store_bytes_put_u16(at, (uint16_t)message->topic.len);
	at = store_bytes_put_u16(at, 0);
	at = store_bytes_put_u32(at, (uint32_t)message->delivery_count);
	at = store_bytes_put_u32(at, (uint32_t)message->payload.len);
	at = store_bytes_put_u64(at, message->identity);
	at = store_bytes_put_u64(at, message->created_ns);
	at = put_optional(at, message, flags);
	at = put_deliveries(at, message);
	at = store_bytes_put_slice(at, message->topic);
	at = store_bytes_put_slice(at, message->properties);
	store_bytes_put_slice(at, message->payload);
}

static int
read_head(struct store_bytes *in, struct head *out_head,
    struct store_message *out_message)
{
	uint8_t version = store_bytes_u8(in);

	if (version == 0)
		return -EBADMSG;
	if (version > BODY_VERSION)
		return -ENOTSUP;
	out_message->qos = store_bytes_u8(in);
	out_head->flags = store_bytes_u16(in);
	out_head->topic_length = store_bytes_u16(in);
	if (store_bytes_u16(in) != 0)
		return -EBADMSG;
	out_head->delivery_count = store_bytes_u32(in);
	out_head->payload_length = store_bytes_u32(in);
	out_message->identity = store_bytes_u64(in);
	out_message->created_ns = store_bytes_u64(in);
	if (in->is_short || out_message->qos > 2 ||
	    (out_head->flags & ~FLAGS_KNOWN) != 0)
		return -EBADMSG;
	return 0;
}

static void
read_optional(struct store_bytes *in, struct head *head,
    struct store_message *out_message)
{
	unsigned flags = head->flags;

	out_message->retain = (flags & FLAG_RETAIN) != 0;
	if ((flags & FLAG_PUBLISHER) != 0)
		out_message->publisher = store_bytes_u64(in);
	if ((flags & FLAG_PACKET_ID) != 0)
		out_message->packet_id = store_bytes_u16(in);
	if ((flags & FLAG_SOURCE) != 0) {
		out_message->source.link = store_bytes_u32(in);
		out_message->source.lane = store_bytes_u32(in);
		out_message->source.sequence = store_bytes_u64(in);
	}
	if ((flags & FLAG_RETAIN_SERIAL) != 0)
		out_message->retain_serial = store_bytes_u64(in);
	if ((flags & FLAG_EXPIRES) != 0)
		out_message->expires_ns = store_bytes_u64(in);
	if ((flags & FLAG_PROPERTIES) != 0)
		head->properties_length = store_bytes_u32(in);
}

static struct store_delivery
read_delivery(struct store_bytes *in)
{
	struct store_delivery delivery = { 0 };

	delivery.cursor = store_bytes_u64(in);
	delivery.qos = store_bytes_u8(in);
	delivery.flags = store_bytes_u8(in);
	delivery.identifier_count = store_bytes_u16(in);
	return delivery;
}

static bool
delivery_is_sound(const struct store_delivery *delivery)
{
	return (delivery->qos == 1 || delivery->qos == 2) &&
	    (delivery->flags & ~(STORE_RETAIN_FLAG | STORE_SHARE_FLAG)) == 0 &&
	    ((delivery->flags & STORE_SHARE_FLAG) == 0 ||
		delivery->identifier_count != 0);
}

/*
 * Walk the deliveries by a copy of the cursor.  The number of identifiers is
 * the sum of what each of them says; false if they are not sound.
 */
static bool
count_identifiers(
    struct store_bytes in, uint32_t delivery_count, size_t *out_count)
{
	struct store_delivery delivery;
	size_t count = 0;

	if (in.is_short || delivery_count > in.left / STORE_DELIVERY_BYTES)
		return false;
	for (uint32_t i = 0; i < delivery_count; i++) {
		delivery = read_delivery(&in);
		if (!delivery_is_sound(&delivery))
			return false;
		count += delivery.identifier_count;
	}
	if (count > in.left / sizeof(uint32_t))
		return false;
	*out_count = count;
	return true;
}

static void
read_deliveries(struct store_bytes *in, const struct head *head,
    size_t identifier_count, struct store_message_room *room)
{
	const uint32_t *identifiers = room->identifiers;

	for (uint32_t i = 0; i < head->delivery_count; i++) {
		room->deliveries[i] = read_delivery(in);
		room->deliveries[i].identifiers = identifiers;
		if (room->deliveries[i].identifier_count != 0)
			identifiers += room->deliveries[i].identifier_count;
	}
	for (size_t i = 0; i < identifier_count; i++)
		room->identifiers[i] = store_bytes_u32(in);
}

/* Is what follows the deliveries just the three texts? */
static bool
texts_fit(const struct store_bytes *in, const struct head *head,
    size_t identifier_count)
{
	/* Terms of 35 bits or less cannot overflow 64. */
	uint64_t need = (uint64_t)head->delivery_count * STORE_DELIVERY_BYTES +
	    (uint64_t)identifier_count * sizeof(uint32_t) + head->topic_length +
	    head->properties_length + head->payload_length;

	return need == in->left;
}

int
store_message_parse(struct slice body, struct store_message_room *room,
    struct store_message *out_message)
{
	struct store_message message = {
		.source.link = UINT32_MAX,
		.expires_ns = NEVER,
	};
	struct store_bytes in = store_bytes_of(body);
	struct head head = { 0 };
	size_t identifier_count;
	int err;

	err = read_head(&in, &head, &message);
	if (err != 0)
		return err;
	read_optional(&in, &head, &message);
	if (!count_identifiers(in, head.delivery_count, &identifier_count) ||
	    !texts_fit(&in, &head, identifier_count))
		return -EBADMSG;
	if (head.delivery_count > room->delivery_count ||
	    identifier_count > room->identifier_count) {
		room->delivery_count = head.delivery_count;
		room->identifier_count = identifier_count;
		return -ENOBUFS;
	}

	read_deliveries(&in, &head, identifier_count, room);
	message.deliveries = room->deliveries;
	message.delivery_count = head.delivery_count;
	message.topic = store_bytes_slice(&in, head.topic_length);
	message.properties = store_bytes_slice(&in, head.properties_length);
	message.payload = store_bytes_slice(&in, head.payload_length);
	*out_message = message;
	return 0;
}
