/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store_record.h"

#include <errno.h>

#include "tests/unit/store_any.h"
#include "tests/unit/unit.h"

#define SEEDS 8

/* Room that is always enough for what store_any makes. */
struct room {
	struct store_delivery deliveries[STORE_ANY_DELIVERIES];
	uint32_t identifiers[STORE_ANY_DELIVERIES * STORE_ANY_IDENTIFIERS];
};

static struct store_message_room
room_of(struct room *room)
{
	return (struct store_message_room){
		.deliveries = room->deliveries,
		.delivery_count = STORE_ANY_DELIVERIES,
		.identifiers = room->identifiers,
		.identifier_count =
		    STORE_ANY_DELIVERIES * STORE_ANY_IDENTIFIERS,
	};
}

/* On the heap and of exactly its size, so that a sanitizer sees a slip. */
static struct slice
body_of(const struct store_message *message)
{
	size_t size = store_message_size(message);
	uint8_t *body = malloc(size);

	ck_assert_ptr_nonnull(body);
	store_message_write(message, body);
	return slice_of(body, size);
}

static void
drop(struct slice body)
{
	free((void *)(uintptr_t)body.data);
}

START_TEST(any_message_comes_back_as_it_was_written)
{
	struct store_message_room room;
	struct store_message message, got;
	struct store_any any;
	struct room space;
	struct slice body;

	store_any_init(&any, (uint64_t)_i + 1);
	for (int turn = 0; turn < 2000; turn++) {
		message = store_any_message(&any);
		body = body_of(&message);
		room = room_of(&space);
		ck_assert_int_eq(store_message_parse(body, &room, &got), 0);
		ck_assert(store_any_same(&message, &got));
		drop(body);
	}
}
END_TEST

START_TEST(what_a_plain_message_has_not_takes_no_room)
{
	const uint32_t identifiers[2] = { 7, 9 };
	const struct store_delivery delivery = { .cursor = 3,
		.qos = 1,
		.identifier_count = 2,
		.identifiers = identifiers };
	struct store_message message = {
		.qos = 1,
		.source.link = UINT32_MAX,
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("a/b"),
		.payload = slice_of_string("hello"),
	};

	ck_assert_uint_eq(
	    store_message_size(&message), STORE_MESSAGE_FIXED + 3 + 5);
	message.deliveries = &delivery;
	message.delivery_count = 1;
	ck_assert_uint_eq(store_message_size(&message),
	    STORE_MESSAGE_FIXED + 3 + 5 + STORE_DELIVERY_BYTES + 8);
}
END_TEST

/* The layout is on disks: it may be added to, and never be changed. */
START_TEST(a_message_is_written_as_it_always_was)
{
	static const uint8_t expected[] = { 1, 2, 0x7f,
		0,                                   /* version, qos, flags */
		1, 0, 0, 0,                          /* topic */
		1, 0, 0, 0,                          /* deliveries */
		2, 0, 0, 0,                          /* payload */
		5, 0, 0, 0, 0, 0, 0, 0,              /* identity */
		6, 0, 0, 0, 0, 0, 0, 0,              /* created */
		7, 0, 0, 0, 0, 0, 0, 0,              /* publisher */
		8, 1,                                /* packet id */
		9, 0, 0, 0,                          /* link */
		10, 0, 0, 0,                         /* lane */
		11, 0, 0, 0, 0, 0, 0, 0,             /* sequence */
		12, 0, 0, 0, 0, 0, 0, 0,             /* retain serial */
		13, 0, 0, 0, 0, 0, 0, 0,             /* expires */
		2, 0, 0, 0,                          /* properties */
		14, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 0, /* delivery */
		15, 0, 0, 0,                         /* identifier */
		't', 1, 1, 'p', 'q' };
	const uint32_t identifier = 15;
	const struct store_delivery delivery = { .cursor = 14,
		.qos = 2,
		.flags = STORE_RETAIN_FLAG,
		.identifier_count = 1,
		.identifiers = &identifier };
	const struct store_message message = {
		.publisher = 7,
		.packet_id = 0x108,
		.qos = 2,
		.retain = true,
		.retain_serial = 12,
		.source = { .link = 9, .lane = 10, .sequence = 11 },
		.identity = 5,
		.created_ns = 6,
		.expires_ns = 13,
		.topic = slice_of("t", 1),
		.properties = slice_of("\1\1", 2),
		.payload = slice_of("pq", 2),
		.deliveries = &delivery,
		.delivery_count = 1,
	};
	struct slice body = body_of(&message);

	ck_assert_uint_eq(body.len, sizeof(expected));
	ck_assert_mem_eq(body.data, expected, sizeof(expected));
	drop(body);
}
END_TEST

START_TEST(too_little_room_says_how_much_is_needed)
{
	const uint32_t identifiers[3] = { 1, 2, 3 };
	const struct store_delivery deliveries[2] = {
		{ .cursor = 1,
		    .qos = 1,
		    .identifier_count = 1,
		    .identifiers = identifiers },
		{ .cursor = 2,
		    .qos = 2,
		    .identifier_count = 2,
		    .identifiers = identifiers + 1 },
	};
	const struct store_message message = {
		.topic = slice_of_string("t"),
		.deliveries = deliveries,
		.delivery_count = 2,
	};
	struct store_message got = { .qos = 77 };
	struct slice body = body_of(&message);
	struct store_message_room room;
	struct room space;

	for (unsigned lack = 0; lack < 2; lack++) {
		room = room_of(&space);
		room.delivery_count = lack == 0 ? 1 : 2;
		room.identifier_count = lack == 0 ? 3 : 2;
		ck_assert_int_eq(
		    store_message_parse(body, &room, &got), -ENOBUFS);
		ck_assert_uint_eq(room.delivery_count, 2);
		ck_assert_uint_eq(room.identifier_count, 3);
		ck_assert_uint_eq(got.qos, 77);
		ck_assert_int_eq(store_message_parse(body, &room, &got), 0);
		ck_assert(store_any_same(&message, &got));
		got.qos = 77;
	}
	drop(body);
}
END_TEST

START_TEST(a_message_of_any_other_length_is_refused)
{
	struct store_message_room room;
	struct store_message message, got;
	uint8_t longer[2048] = { 0 };
	struct store_any any;
	struct room space;
	struct slice body;

	store_any_init(&any, 99);
	for (int turn = 0; turn < 20; turn++) {
		message = store_any_message(&any);
		body = body_of(&message);
		memcpy(longer, body.data, body.len);
		for (size_t length = 0; length <= body.len + 1; length++) {
			if (length == body.len)
				continue;
			room = room_of(&space);
			ck_assert_int_eq(
			    store_message_parse(
				slice_of(longer, length), &room, &got),
			    -EBADMSG);
		}
		drop(body);
	}
}
END_TEST

START_TEST(a_newer_message_is_told_from_a_bad_one)
{
	const struct store_message message = { .topic = slice_of_string("t") };
	struct store_message got;
	struct store_message_room room;
	uint8_t body[128];
	struct slice whole = slice_of(body, store_message_size(&message));
	struct room space;
	static const struct {
		size_t at;
		uint8_t value;
		int answer;
	} cases[] = {
		{ 0, 1, 0 }, { 0, 2, -ENOTSUP }, { 0, 0, -EBADMSG },
		{ 1, 3, -EBADMSG },    /* qos */
		{ 2, 0xa8, -EBADMSG }, /* an unknown flag */
		{ 3, 1, -EBADMSG },    /* another */
		{ 6, 1, -EBADMSG },    /* reserved */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		store_message_write(&message, body);
		body[cases[i].at] = cases[i].value;
		room = room_of(&space);
		ck_assert_int_eq(
		    store_message_parse(whole, &room, &got), cases[i].answer);
	}
}
END_TEST

START_TEST(a_delivery_has_qos_1_or_2_and_no_unknown_flag)
{
	const struct store_delivery good = { .cursor = 1, .qos = 1 };
	struct store_delivery delivery;
	struct store_message got,
	    message = { .deliveries = &delivery, .delivery_count = 1 };
	struct store_message_room room;
	struct room space;
	struct slice body;

	for (unsigned what = 0; what < 4; what++) {
		delivery = good;
		if (what == 1)
			delivery.qos = 0;
		if (what == 2)
			delivery.qos = 3;
		if (what == 3)
			delivery.flags = 2;
		body = body_of(&message);
		room = room_of(&space);
		ck_assert_int_eq(store_message_parse(body, &room, &got),
		    what == 0 ? 0 : -EBADMSG);
		drop(body);
	}
}
END_TEST

START_TEST(counts_that_wrap_around_are_refused)
{
	const struct store_message message = { .topic = slice_of_string("t") };
	struct store_message_room room;
	struct store_message got;
	uint8_t body[128];
	struct slice whole = slice_of(body, store_message_size(&message));
	struct room space;

	store_message_write(&message, body);
	memset(body + 8, 0xff, 4); /* 12 * (2^32 - 1) deliveries */
	room = room_of(&space);
	ck_assert_int_eq(store_message_parse(whole, &room, &got), -EBADMSG);

	store_message_write(&message, body);
	memset(body + 12, 0xff, 4); /* payload */
	room = room_of(&space);
	ck_assert_int_eq(store_message_parse(whole, &room, &got), -EBADMSG);
}
END_TEST

START_TEST(deliveries_that_are_over_come_back)
{
	const struct store_done list[3] = {
		{ .cursor = 1, .sequence = 2, .floor = 3 },
		{ .cursor = UINT64_MAX },
		{ .cursor = 4, .floor = UINT64_MAX },
	};
	struct store_done got;
	uint8_t body[128];
	size_t count;

	for (size_t n = 0; n <= 3; n++) {
		struct slice whole = slice_of(body, store_done_size(n));

		ck_assert_uint_le(whole.len, sizeof(body));
		store_done_write(list, n, body);
		ck_assert_int_eq(store_done_parse(whole, &count), 0);
		ck_assert_uint_eq(count, n);
		for (size_t i = 0; i < n; i++) {
			got = store_done_at(whole, i);
			ck_assert_mem_eq(&got, &list[i], sizeof(got));
		}
		whole.len++;
		ck_assert_int_eq(store_done_parse(whole, &count), -EBADMSG);
	}
	ck_assert_int_eq(store_done_parse(slice_of(body, 9), &count), -EBADMSG);
	body[0] = 2;
	ck_assert_int_eq(
	    store_done_parse(slice_of(body, 25), &count), -ENOTSUP);
	body[0] = 0;
	ck_assert_int_eq(
	    store_done_parse(slice_of(body, 25), &count), -EBADMSG);
	ck_assert_int_eq(store_done_parse(slice_of(body, 0), &count), -EBADMSG);
}
END_TEST

/* ---- the small ones: one description, the same checks for all ------------ */

static const struct store_session any_session = {
	.cursor = 11,
	.client_id = { (const uint8_t *)"sensor-7", 8 },
	.account = { (const uint8_t *)"admin", 5 },
	.expiry_ns = 12,
	.left_ns = 13,
	.has_will = true,
	.will_delay_ns = 14,
	.will_expiry_ns = UINT64_MAX,
	.will_qos = 2,
	.will_retain = true,
	.will_topic = { (const uint8_t *)"gone", 4 },
	.will_properties = { (const uint8_t *)"\1\1", 2 },
	.will_payload = { (const uint8_t *)"bye", 3 },
};

static bool
same_will(const struct store_session *a, const struct store_session *b)
{
	return a->has_will == b->has_will &&
	    a->will_delay_ns == b->will_delay_ns &&
	    a->will_expiry_ns == b->will_expiry_ns &&
	    a->will_qos == b->will_qos && a->will_retain == b->will_retain &&
	    slice_equal(a->will_topic, b->will_topic) &&
	    slice_equal(a->will_properties, b->will_properties) &&
	    slice_equal(a->will_payload, b->will_payload);
}

static size_t
write_session(void *out)
{
	store_session_write(&any_session, out);
	return store_session_size(&any_session);
}

static int
read_session(struct slice body)
{
	struct store_session got;
	int err = store_session_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.cursor, 11);
	ck_assert(slice_equal(got.client_id, any_session.client_id));
	ck_assert(slice_equal(got.account, any_session.account));
	ck_assert_uint_eq(got.expiry_ns, 12);
	ck_assert_uint_eq(got.left_ns, 13);
	ck_assert(same_will(&got, &any_session));
	return 0;
}

static size_t
write_leave(void *out)
{
	const struct store_leave leave = {
		.cursor = 21, .left_ns = 22, .keeps_will = true
	};

	return store_leave_write(&leave, out);
}

static int
read_leave(struct slice body)
{
	struct store_leave got;
	int err = store_leave_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.cursor, 21);
	ck_assert_uint_eq(got.left_ns, 22);
	ck_assert(got.keeps_will);
	return 0;
}

static size_t
write_packet(void *out)
{
	const struct store_packet packet = {
		.cursor = 31, .sequence = 32, .packet_id = 0xfff3
	};

	return store_packet_write(&packet, out);
}

static int
read_packet(struct slice body)
{
	struct store_packet got;
	int err = store_packet_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.cursor, 31);
	ck_assert_uint_eq(got.sequence, 32);
	ck_assert_uint_eq(got.packet_id, 0xfff3);
	return 0;
}

static size_t
write_unfinished(void *out)
{
	struct store_unfinished unfinished = { .cursor = 41, .count = 512 };

	for (size_t i = 0; i < unfinished.count; i++)
		unfinished.ids[i] = (uint16_t)(65535 - i);
	return store_unfinished_write(&unfinished, out);
}

static int
read_unfinished(struct slice body)
{
	struct store_unfinished got;
	int err = store_unfinished_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.cursor, 41);
	ck_assert_uint_eq(got.count, 512);
	for (size_t i = 0; i < got.count; i++)
		ck_assert_uint_eq(got.ids[i], 65535 - i);
	return 0;
}

static size_t
write_start(void *out)
{
	const struct store_start start = { .instance = "0123456789abcde",
		.wall_ns = 51 };

	return store_start_write(&start, out);
}

static int
read_start(struct slice body)
{
	struct store_start got;
	int err = store_start_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.wall_ns, 51);
	ck_assert_mem_eq(got.instance, "0123456789abcde", 16);
	return 0;
}

static size_t
write_source(void *out)
{
	const struct store_source source = {
		.link = 61, .lane = 62, .sequence = 63
	};

	return store_source_write(&source, out);
}

static int
read_source(struct slice body)
{
	struct store_source got;
	int err = store_source_parse(body, &got);

	if (err != 0)
		return err;
	ck_assert_uint_eq(got.link, 61);
	ck_assert_uint_eq(got.lane, 62);
	ck_assert_uint_eq(got.sequence, 63);
	return 0;
}

static size_t
write_cursor(void *out)
{
	store_cursor_write(UINT64_MAX - 1, out);
	return STORE_CURSOR_BYTES;
}

static int
read_cursor(struct slice body)
{
	uint64_t got;
	int err = store_cursor_parse(body, &got);

	if (err == 0)
		ck_assert_uint_eq(got, UINT64_MAX - 1);
	return err;
}

static const struct {
	const char *name;
	size_t (*write)(void *out);
	int (*read)(struct slice body);
} small[] = {
	{ "session", write_session, read_session },
	{ "leave", write_leave, read_leave },
	{ "packet", write_packet, read_packet },
	{ "unfinished", write_unfinished, read_unfinished },
	{ "start", write_start, read_start },
	{ "source", write_source, read_source },
	{ "cursor", write_cursor, read_cursor },
};

#define SMALL_COUNT (int)(sizeof(small) / sizeof(small[0]))

START_TEST(a_small_body_comes_back_and_none_of_another_length)
{
	uint8_t body[STORE_SMALL_MAX + 1] = { 0 };
	size_t size = small[_i].write(body);

	ck_assert_uint_le(size, STORE_SMALL_MAX);
	ck_assert_msg(
	    small[_i].read(slice_of(body, size)) == 0, "%s", small[_i].name);
	for (size_t length = 0; length <= sizeof(body); length++)
		if (length != size)
			ck_assert_msg(
			    small[_i].read(slice_of(body, length)) == -EBADMSG,
			    "%s of %zu bytes", small[_i].name, length);
}
END_TEST

START_TEST(a_newer_small_body_is_told_from_a_bad_one)
{
	uint8_t body[STORE_SMALL_MAX];
	size_t size = small[_i].write(body);

	body[0] = 2;
	ck_assert_int_eq(small[_i].read(slice_of(body, size)), -ENOTSUP);
	body[0] = 0;
	ck_assert_int_eq(small[_i].read(slice_of(body, size)), -EBADMSG);
}
END_TEST

START_TEST(a_session_without_a_will_says_nothing_of_one)
{
	struct store_session session = any_session, got;
	uint8_t body[128];
	struct slice whole;

	session.has_will = false;
	whole = slice_of(body, store_session_size(&session));
	store_session_write(&session, body);
	ck_assert_int_eq(store_session_parse(whole, &got), 0);
	ck_assert(!got.has_will && !got.will_retain);
	ck_assert_uint_eq(got.will_topic.len, 0);
	ck_assert(slice_equal(got.account, any_session.account));

	body[1] = 0x02; /* a retained will, without a will */
	ck_assert_int_eq(store_session_parse(whole, &got), -EBADMSG);
}
END_TEST

START_TEST(an_unknown_way_to_leave_is_refused)
{
	struct store_leave got;
	uint8_t body[STORE_SMALL_MAX];
	struct slice whole = slice_of(body, write_leave(body));

	body[1] |= 2;
	ck_assert_int_eq(store_leave_parse(whole, &got), -EBADMSG);
}
END_TEST

START_TEST(more_unfinished_than_one_body_holds_are_refused)
{
	struct store_unfinished got;
	uint8_t body[STORE_SMALL_MAX] = { 0 };
	size_t size = write_unfinished(body);

	body[1]++; /* 513 */
	ck_assert_int_eq(
	    store_unfinished_parse(slice_of(body, size + 2), &got), -EBADMSG);
}
END_TEST

START_TEST(a_will_has_qos_0_to_2)
{
	struct store_session got;
	uint8_t body[128];
	struct slice whole = slice_of(body, write_session(body));

	body[1] |= 0x0c; /* QoS 3 */
	ck_assert_int_eq(store_session_parse(whole, &got), -EBADMSG);
	body[1] = 0x11; /* an unknown flag */
	ck_assert_int_eq(store_session_parse(whole, &got), -EBADMSG);
}
END_TEST

START_TEST(a_subscription_comes_back_with_each_option)
{
	struct store_subscribe got,
	    subscribe = {
		    .cursor = 71,
		    .filter = slice_of_string("a/+/#"),
		    .identifier = 268435455,
	    };
	uint8_t body[64];
	struct slice whole = slice_of(body, store_subscribe_size(&subscribe));

	for (uint8_t bits = 0; bits < 12; bits++) {
		subscribe.qos = bits / 4;
		subscribe.no_local = (bits & 1) != 0;
		subscribe.retain_as_published = (bits & 2) != 0;
		store_subscribe_write(&subscribe, body);
		ck_assert_int_eq(store_subscribe_parse(whole, &got), 0);
		ck_assert_uint_eq(got.cursor, 71);
		ck_assert_uint_eq(got.qos, subscribe.qos);
		ck_assert(got.no_local == subscribe.no_local);
		ck_assert(
		    got.retain_as_published == subscribe.retain_as_published);
		ck_assert_uint_eq(got.identifier, 268435455);
		ck_assert(slice_equal(got.filter, subscribe.filter));
	}
	body[2] = 4;
	ck_assert_int_eq(store_subscribe_parse(whole, &got), -EBADMSG);
	body[2] = 0;
	body[1] = 3;
	ck_assert_int_eq(store_subscribe_parse(whole, &got), -EBADMSG);
	ck_assert_int_eq(
	    store_subscribe_parse(slice_of(body, 14), &got), -EBADMSG);
}
END_TEST

START_TEST(a_bridge_comes_back_with_its_name)
{
	const struct store_bridge bridge = {
		.cursor = 81,
		.name = slice_of_string("cloud"),
		.terms = { .accepted_upto = 1,
		    .ring_memory = 14,
		    .too_large = 20 },
	};
	struct store_bridge got;
	uint8_t body[256];
	struct slice whole = slice_of(body, store_bridge_size(&bridge));

	store_bridge_write(&bridge, body);
	ck_assert_int_eq(store_bridge_parse(whole, &got), 0);
	ck_assert_uint_eq(got.cursor, 81);
	ck_assert(slice_equal(got.name, bridge.name));
	ck_assert_mem_eq(&got.terms, &bridge.terms, sizeof(got.terms));
	ck_assert_int_eq(store_bridge_parse(slice_of(body, 8), &got), -EBADMSG);
	ck_assert_int_eq(
	    store_bridge_parse(slice_of(body, 100), &got), -EBADMSG);
	body[0] = 9;
	ck_assert_int_eq(store_bridge_parse(whole, &got), -ENOTSUP);
	body[0] = 0;
	ck_assert_int_eq(store_bridge_parse(whole, &got), -EBADMSG);
}
END_TEST

START_TEST(a_dead_letter_comes_back_and_so_does_its_end)
{
	struct store_dead dead = {
		.cursor = 81,
		.id = 7,
		.attempts = 3,
		.memory = 5,
		.sequence = 11,
		.journal = 12,
		.wall_ns = 13,
		.why = slice_of_string("why"),
		.message = slice_of_string("body"),
	};
	struct store_dead got;
	uint8_t body[128];
	struct slice whole = slice_of(body, store_dead_size(&dead));

	store_dead_write(&dead, body);
	ck_assert_int_eq(store_dead_parse(whole, &got), 0);
	ck_assert_uint_eq(got.cursor, 81);
	ck_assert_uint_eq(got.id, 7);
	ck_assert_uint_eq(got.attempts, 3);
	ck_assert_uint_eq(got.memory, 5);
	ck_assert_uint_eq(got.sequence, 11);
	ck_assert_uint_eq(got.journal, 12);
	ck_assert_uint_eq(got.wall_ns, 13);
	ck_assert(!got.is_gone);
	ck_assert(slice_equal_string(got.why, "why"));
	ck_assert(slice_equal_string(got.message, "body"));
	ck_assert_int_eq(store_dead_parse(slice_of(body, 50), &got), -EBADMSG);
	body[1] = 2;
	ck_assert_int_eq(store_dead_parse(whole, &got), -EBADMSG);
	dead.is_gone = true;
	store_dead_write(&dead, body);
	whole.len = store_dead_size(&dead);
	ck_assert_int_eq(store_dead_parse(whole, &got), 0);
	ck_assert(got.is_gone);
	ck_assert_uint_eq(got.id, 7);
	body[0] = 2;
	ck_assert_int_eq(store_dead_parse(whole, &got), -ENOTSUP);
}
END_TEST

START_TEST(a_bridge_of_version_1_has_no_terms)
{
	static const uint8_t body[] = { 1, 81, 0, 0, 0, 0, 0, 0, 0, 'c' };
	const struct store_bridge_terms none = { 0 };
	struct store_bridge got;

	ck_assert_int_eq(
	    store_bridge_parse(slice_of(body, sizeof(body)), &got), 0);
	ck_assert_uint_eq(got.cursor, 81);
	ck_assert(slice_equal_string(got.name, "c"));
	ck_assert_mem_eq(&got.terms, &none, sizeof(none));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_record");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(
	    tc, any_message_comes_back_as_it_was_written, 0, SEEDS);
	tcase_add_test(tc, what_a_plain_message_has_not_takes_no_room);
	tcase_add_test(tc, a_message_is_written_as_it_always_was);
	tcase_add_test(tc, too_little_room_says_how_much_is_needed);
	tcase_add_test(tc, a_message_of_any_other_length_is_refused);
	tcase_add_test(tc, a_newer_message_is_told_from_a_bad_one);
	tcase_add_test(tc, a_delivery_has_qos_1_or_2_and_no_unknown_flag);
	tcase_add_test(tc, counts_that_wrap_around_are_refused);
	tcase_add_test(tc, deliveries_that_are_over_come_back);
	tcase_add_loop_test(tc,
	    a_small_body_comes_back_and_none_of_another_length, 0, SMALL_COUNT);
	tcase_add_loop_test(
	    tc, a_newer_small_body_is_told_from_a_bad_one, 0, SMALL_COUNT);
	tcase_add_test(tc, a_session_without_a_will_says_nothing_of_one);
	tcase_add_test(tc, an_unknown_way_to_leave_is_refused);
	tcase_add_test(tc, more_unfinished_than_one_body_holds_are_refused);
	tcase_add_test(tc, a_will_has_qos_0_to_2);
	tcase_add_test(tc, a_subscription_comes_back_with_each_option);
	tcase_add_test(tc, a_bridge_comes_back_with_its_name);
	tcase_add_test(tc, a_bridge_of_version_1_has_no_terms);
	tcase_add_test(tc, a_dead_letter_comes_back_and_so_does_its_end);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
