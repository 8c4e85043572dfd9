/* SPDX-License-Identifier: Apache-2.0 */

/* All bodies but that of a MESSAGE (store_message.c). */

#include "broker/store/store_record.h"

#include <errno.h>

#include "broker/store/store_bytes.h"
#include "common/base/bug.h"

#define BODY_VERSION 1
#define DONE_BYTES 24u
#define SESSION_FIXED 30u
#define WILL_FIXED 26u
#define SUBSCRIBE_FIXED 15u
#define DEAD_GONE_BYTES 18u
#define DEAD_FIXED 51u
#define BRIDGE_VERSION 2
#define BRIDGE_FIXED (9u + sizeof(struct store_bridge_terms))

enum {
	SESSION_HAS_WILL = 0x01,
	SESSION_WILL_RETAIN = 0x02,
	SESSION_WILL_QOS = 0x0c, /* shifted by WILL_QOS_SHIFT */
	SESSION_KNOWN = 0x0f,
	WILL_QOS_SHIFT = 2,

	LEAVE_KEEPS_WILL = 0x01,

	SUBSCRIBE_NO_LOCAL = 0x01,
	SUBSCRIBE_RETAIN_AS_PUBLISHED = 0x02,
	SUBSCRIBE_KNOWN = 0x03,
};

_Static_assert(1 + 2 + 8 + sizeof(((struct store_unfinished *)NULL)->ids) <=
	STORE_SMALL_MAX,
    "the largest of the small ones");

/* The version byte that all bodies begin with: 0, -EBADMSG or -ENOTSUP. */
static int
read_version(struct store_bytes *in)
{
	uint8_t version = store_bytes_u8(in);

	if (version == 0)
		return -EBADMSG;
	return version > BODY_VERSION ? -ENOTSUP : 0;
}

static size_t
written(const void *out, const uint8_t *end)
{
	return (size_t)(end - (const uint8_t *)out);
}

size_t
store_done_size(size_t count)
{
	return 1 + count * DONE_BYTES;
}

void
store_done_write(const struct store_done *list, size_t count, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	for (size_t i = 0; i < count; i++) {
		at = store_bytes_put_u64(at, list[i].cursor);
		at = store_bytes_put_u64(at, list[i].sequence);
		at = store_bytes_put_u64(at, list[i].floor);
	}
}

int
store_done_parse(struct slice body, size_t *out_count)
{
	struct store_bytes in = store_bytes_of(body);
	int err = read_version(&in);

	if (err != 0)
		return err;
	if (in.left % DONE_BYTES != 0)
		return -EBADMSG;
	*out_count = in.left / DONE_BYTES;
	return 0;
}

struct store_done
store_done_at(struct slice body, size_t index)
{
	struct store_bytes in =
	    store_bytes_of(slice_from(body, 1 + index * DONE_BYTES));
	struct store_done done;

	BUG_ON(in.left < DONE_BYTES);
	done.cursor = store_bytes_u64(&in);
	done.sequence = store_bytes_u64(&in);
	done.floor = store_bytes_u64(&in);
	return done;
}

void
store_cursor_write(uint64_t cursor, void *out)
{
	store_bytes_put_u64(store_bytes_put_u8(out, BODY_VERSION), cursor);
}

int
store_cursor_parse(struct slice body, uint64_t *out_cursor)
{
	struct store_bytes in = store_bytes_of(body);
	int err = read_version(&in);
	uint64_t cursor;

	if (err != 0)
		return err;
	cursor = store_bytes_u64(&in);
	if (!store_bytes_ended(&in))
		return -EBADMSG;
	*out_cursor = cursor;
	return 0;
}

size_t
store_session_size(const struct store_session *session)
{
	size_t size =
	    SESSION_FIXED + session->client_id.len + session->account.len;

	if (session->has_will)
		size += WILL_FIXED + session->will_topic.len +
		    session->will_properties.len + session->will_payload.len;
	return size;
}

static void
put_will(uint8_t *at, const struct store_session *session)
{
	BUG_ON(session->will_topic.len > UINT16_MAX);
	BUG_ON(session->will_properties.len > UINT32_MAX);
	BUG_ON(session->will_payload.len > UINT32_MAX);

	at = store_bytes_put_u64(at, session->will_delay_ns);
	at = store_bytes_put_u64(at, session->will_expiry_ns);
	at = store_bytes_put_u16(at, (uint16_t)session->will_topic.len);
	at = store_bytes_put_u32(at, (uint32_t)session->will_properties.len);
	at = store_bytes_put_u32(at, (uint32_t)session->will_payload.len);
	at = store_bytes_put_slice(at, session->will_topic);
	at = store_bytes_put_slice(at, session->will_properties);
	store_bytes_put_slice(at, session->will_payload);
}

void
store_session_write(const struct store_session *session, void *out)
{
	uint8_t *at = out;
	unsigned flags = 0;

	BUG_ON(session->client_id.len > UINT16_MAX);
	BUG_ON(session->account.len > UINT16_MAX);
	BUG_ON(session->will_qos > 2);

	if (session->has_will)
		flags |= SESSION_HAS_WILL |
		    (session->will_retain ? SESSION_WILL_RETAIN : 0) |
		    (unsigned)session->will_qos << WILL_QOS_SHIFT;
	at = store_bytes_put_u8(at, BODY_VERSION);
	at = store_bytes_put_u8(at, (uint8_t)flags);
	at = store_bytes_put_u16(at, (uint16_t)session->client_id.len);
	at = store_bytes_put_u16(at, (uint16_t)session->account.len);
	at = store_bytes_put_u64(at, session->cursor);
	at = store_bytes_put_u64(at, session->expiry_ns);
	at = store_bytes_put_u64(at, session->left_ns);
	at = store_bytes_put_slice(at, session->client_id);
	at = store_bytes_put_slice(at, session->account);
	if (session->has_will)
		put_will(at, session);
}

static void
read_will(
    struct store_bytes *in, unsigned flags, struct store_session *out_session)
{
	uint16_t topic_length;
	uint32_t properties_length, payload_length;

	out_session->has_will = true;
	out_session->will_retain = (flags & SESSION_WILL_RETAIN) != 0;
	out_session->will_qos =
	    (uint8_t)((flags & SESSION_WILL_QOS) >> WILL_QOS_SHIFT);
	out_session->will_delay_ns = store_bytes_u64(in);
	out_session->will_expiry_ns = store_bytes_u64(in);
	topic_length = store_bytes_u16(in);
	properties_length = store_bytes_u32(in);
	payload_length = store_bytes_u32(in);
	out_session->will_topic = store_bytes_slice(in, topic_length);
	out_session->will_properties = store_bytes_slice(in, properties_length);
	out_session->will_payload = store_bytes_slice(in, payload_length);
}

/* Without a will, nothing may be said about one. */
static bool
session_flags_are_sound(unsigned flags)
{
	if ((flags & ~SESSION_KNOWN) != 0)
		return false;
	if ((flags & SESSION_HAS_WILL) == 0)
		return flags == 0;
	return (flags & SESSION_WILL_QOS) >> WILL_QOS_SHIFT <= 2;
}

int
store_session_parse(struct slice body, struct store_session *out_session)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_session session = { 0 };
	uint16_t client_id_length, account_length;
	int err = read_version(&in);
	unsigned flags;

	if (err != 0)
		return err;
	flags = store_bytes_u8(&in);
	client_id_length = store_bytes_u16(&in);
	account_length = store_bytes_u16(&in);
	session.cursor = store_bytes_u64(&in);
	session.expiry_ns = store_bytes_u64(&in);
	session.left_ns = store_bytes_u64(&in);
	session.client_id = store_bytes_slice(&in, client_id_length);
	session.account = store_bytes_slice(&in, account_length);
	if ((flags & SESSION_HAS_WILL) != 0)
		read_will(&in, flags, &session);
	if (!store_bytes_ended(&in) || !session_flags_are_sound(flags))
		return -EBADMSG;
	*out_session = session;
	return 0;
}

size_t
store_leave_write(const struct store_leave *leave, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	at = store_bytes_put_u8(at, leave->keeps_will ? LEAVE_KEEPS_WILL : 0);
	at = store_bytes_put_u64(at, leave->cursor);
	at = store_bytes_put_u64(at, leave->left_ns);
	return written(out, at);
}

int
store_leave_parse(struct slice body, struct store_leave *out_leave)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_leave leave = { 0 };
	int err = read_version(&in);
	unsigned flags;

	if (err != 0)
		return err;
	flags = store_bytes_u8(&in);
	leave.keeps_will = (flags & LEAVE_KEEPS_WILL) != 0;
	leave.cursor = store_bytes_u64(&in);
	leave.left_ns = store_bytes_u64(&in);
	if (!store_bytes_ended(&in) || (flags & ~LEAVE_KEEPS_WILL) != 0)
		return -EBADMSG;
	*out_leave = leave;
	return 0;
}

size_t
store_packet_write(const struct store_packet *packet, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	at = store_bytes_put_u16(at, packet->packet_id);
	at = store_bytes_put_u64(at, packet->cursor);
	at = store_bytes_put_u64(at, packet->sequence);
	return written(out, at);
}

int
store_packet_parse(struct slice body, struct store_packet *out_packet)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_packet packet = { 0 };
	int err = read_version(&in);

	if (err != 0)
		return err;
	packet.packet_id = store_bytes_u16(&in);
	packet.cursor = store_bytes_u64(&in);
	packet.sequence = store_bytes_u64(&in);
	if (!store_bytes_ended(&in))
		return -EBADMSG;
	*out_packet = packet;
	return 0;
}

size_t
store_unfinished_write(const struct store_unfinished *unfinished, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	BUG_ON(unfinished->count >
	    sizeof(unfinished->ids) / sizeof(unfinished->ids[0]));

	at = store_bytes_put_u16(at, (uint16_t)unfinished->count);
	at = store_bytes_put_u64(at, unfinished->cursor);
	for (size_t i = 0; i < unfinished->count; i++)
		at = store_bytes_put_u16(at, unfinished->ids[i]);
	return written(out, at);
}

int
store_unfinished_parse(
    struct slice body, struct store_unfinished *out_unfinished)
{
	struct store_bytes in = store_bytes_of(body);
	int err = read_version(&in);
	uint64_t cursor;
	uint16_t count;

	if (err != 0)
		return err;
	count = store_bytes_u16(&in);
	cursor = store_bytes_u64(&in);
	if (in.is_short || in.left != count * sizeof(uint16_t) ||
	    in.left > sizeof(out_unfinished->ids))
		return -EBADMSG;
	out_unfinished->cursor = cursor;
	out_unfinished->count = count;
	for (size_t i = 0; i < count; i++)
		out_unfinished->ids[i] = store_bytes_u16(&in);
	return 0;
}

size_t
store_start_write(const struct store_start *start, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	at = store_bytes_put_u64(at, start->wall_ns);
	at = store_bytes_put_slice(
	    at, slice_of(start->instance, sizeof(start->instance)));
	return written(out, at);
}

int
store_start_parse(struct slice body, struct store_start *out_start)
{
	struct store_bytes in = store_bytes_of(body);
	int err = read_version(&in);
	struct slice instance;
	uint64_t wall_ns;

	if (err != 0)
		return err;
	wall_ns = store_bytes_u64(&in);
	instance = store_bytes_slice(&in, sizeof(out_start->instance));
	if (!store_bytes_ended(&in))
		return -EBADMSG;
	out_start->wall_ns = wall_ns;
	memcpy(out_start->instance, instance.data, instance.len);
	return 0;
}

size_t
store_source_write(const struct store_source *source, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	at = store_bytes_put_u32(at, source->link);
	at = store_bytes_put_u32(at, source->lane);
	at = store_bytes_put_u64(at, source->sequence);
	return written(out, at);
}

int
store_source_parse(struct slice body, struct store_source *out_source)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_source source = { 0 };
	int err = read_version(&in);

	if (err != 0)
		return err;
	source.link = store_bytes_u32(&in);
	source.lane = store_bytes_u32(&in);
	source.sequence = store_bytes_u64(&in);
	if (!store_bytes_ended(&in))
		return -EBADMSG;
	*out_source = source;
	return 0;
}

size_t
store_subscribe_size(const struct store_subscribe *subscribe)
{
	return SUBSCRIBE_FIXED + subscribe->filter.len;
}

void
store_subscribe_write(const struct store_subscribe *subscribe, void *out)
{
	uint8_t *at = out;

	BUG_ON(subscribe->filter.len > UINT16_MAX);
	BUG_ON(subscribe->qos > 2);

	at = store_bytes_put_u8(at, BODY_VERSION);
	at = store_bytes_put_u8(at, subscribe->qos);
	at = store_bytes_put_u8(at,
	    (subscribe->no_local ? SUBSCRIBE_NO_LOCAL : 0) |
		(subscribe->retain_as_published ? SUBSCRIBE_RETAIN_AS_PUBLISHED
						: 0));
	at = store_bytes_put_u32(at, subscribe->identifier);
	at = store_bytes_put_u64(at, subscribe->cursor);
	store_bytes_put_slice(at, subscribe->filter);
}

int
store_subscribe_parse(struct slice body, struct store_subscribe *out_subscribe)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_subscribe subscribe = { 0 };
	int err = read_version(&in);
	unsigned flags;

	if (err != 0)
		return err;
	subscribe.qos = store_bytes_u8(&in);
	flags = store_bytes_u8(&in);
	subscribe.no_local = (flags & SUBSCRIBE_NO_LOCAL) != 0;
	subscribe.retain_as_published =
	    (flags & SUBSCRIBE_RETAIN_AS_PUBLISHED) != 0;
	subscribe.identifier = store_bytes_u32(&in);
	subscribe.cursor = store_bytes_u64(&in);
	subscribe.filter = store_bytes_slice(&in, in.left);
	if (!store_bytes_ended(&in) || subscribe.qos > 2 ||
	    (flags & ~SUBSCRIBE_KNOWN) != 0 ||
	    subscribe.filter.len > UINT16_MAX)
		return -EBADMSG;
	*out_subscribe = subscribe;
	return 0;
}

size_t
store_dead_size(const struct store_dead *dead)
{
	return dead->is_gone ? DEAD_GONE_BYTES
			     : DEAD_FIXED + dead->why.len + dead->message.len;
}

void
store_dead_write(const struct store_dead *dead, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BODY_VERSION);

	BUG_ON(dead->why.len > UINT8_MAX);
	at = store_bytes_put_u8(at, dead->is_gone);
	at = store_bytes_put_u64(at, dead->cursor);
	at = store_bytes_put_u64(at, dead->id);
	if (dead->is_gone)
		return;
	at = store_bytes_put_u32(at, dead->attempts);
	at = store_bytes_put_u32(at, dead->memory);
	at = store_bytes_put_u64(at, dead->sequence);
	at = store_bytes_put_u64(at, dead->journal);
	at = store_bytes_put_u64(at, dead->wall_ns);
	at = store_bytes_put_u8(at, (uint8_t)dead->why.len);
	at = store_bytes_put_slice(at, dead->why);
	store_bytes_put_slice(at, dead->message);
}

static void
read_letter(struct store_bytes *in, struct store_dead *out_dead)
{
	out_dead->attempts = store_bytes_u32(in);
	out_dead->memory = store_bytes_u32(in);
	out_dead->sequence = store_bytes_u64(in);
	out_dead->journal = store_bytes_u64(in);
	out_dead->wall_ns = store_bytes_u64(in);
	out_dead->why = store_bytes_slice(in, store_bytes_u8(in));
	out_dead->message = store_bytes_slice(in, in->left);
}

int
store_dead_parse(struct slice body, struct store_dead *out_dead)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_dead dead = { 0 };
	int err = read_version(&in);
	unsigned gone;

	if (err != 0)
		return err;
	gone = store_bytes_u8(&in);
	dead.is_gone = gone == 1;
	dead.cursor = store_bytes_u64(&in);
	dead.id = store_bytes_u64(&in);
	if (gone == 0)
		read_letter(&in, &dead);
	if (!store_bytes_ended(&in) || gone > 1 || dead.id == 0)
		return -EBADMSG;
	*out_dead = dead;
	return 0;
}

size_t
store_bridge_size(const struct store_bridge *bridge)
{
	return BRIDGE_FIXED + bridge->name.len;
}

static uint8_t *
put_terms(uint8_t *at, const struct store_bridge_terms *terms)
{
#define TERM(name) at = store_bytes_put_u64(at, terms->name);
	STORE_BRIDGE_TERMS(TERM)
#undef TERM
	return at;
}

void
store_bridge_write(const struct store_bridge *bridge, void *out)
{
	uint8_t *at = store_bytes_put_u8(out, BRIDGE_VERSION);

	BUG_ON(bridge->name.len > UINT16_MAX);

	at = store_bytes_put_u64(at, bridge->cursor);
	at = put_terms(at, &bridge->terms);
	store_bytes_put_slice(at, bridge->name);
}

static void
read_terms(struct store_bytes *in, struct store_bridge_terms *out_terms)
{
#define TERM(name) out_terms->name = store_bytes_u64(in);
	STORE_BRIDGE_TERMS(TERM)
#undef TERM
}

int
store_bridge_parse(struct slice body, struct store_bridge *out_bridge)
{
	struct store_bytes in = store_bytes_of(body);
	struct store_bridge bridge = { 0 };
	unsigned version = store_bytes_u8(&in);

	if (version == 0)
		return -EBADMSG;
	if (version > BRIDGE_VERSION)
		return -ENOTSUP;
	bridge.cursor = store_bytes_u64(&in);
	if (version > 1)
		read_terms(&in, &bridge.terms);
	bridge.name = store_bytes_slice(&in, in.left);
	if (!store_bytes_ended(&in) || bridge.name.len > UINT16_MAX)
		return -EBADMSG;
	*out_bridge = bridge;
	return 0;
}
