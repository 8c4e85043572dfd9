/* SPDX-License-Identifier: Apache-2.0 */

/* Each lane has its turn, whatever another one is full of. */

#include "broker/links.h"

#include "tests/unit/links_box.h"

#define CLOUD 1u

/* Headers that one look at a lane steps over at most: two a size class. */
#define SKIPS_MAX (2 * RING_CLASSES)

/* Bridge cloud's first lane holds `count` headers and nothing else. */
static void
flood(const struct ring_record *header, unsigned count)
{
	const struct links_endpoint *endpoint = broker.links->endpoints[CLOUD];
	const uint64_t size = ring_record_size(header->length);
	const uint64_t head = size * count;

	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(
		    pwrite(endpoint->lanes[0].fd, header, sizeof(*header),
			(off_t)(RING_PAGE + i * size)),
		    (int)sizeof(*header));
	ck_assert_int_eq(
	    pwrite(endpoint->peer_fd, &head, sizeof(head), RING_SIDE_HEADS),
	    (int)sizeof(head));
}

/* How far the broker has read it. */
static uint64_t
tail(void)
{
	const struct links_endpoint *endpoint = broker.links->endpoints[CLOUD];

	return RING_POSITION(ring_consumer_cursor(endpoint->lanes[0].consumer));
}

static void
attach_both(void)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
}

START_TEST(pads_without_end_get_no_more_than_a_turn)
{
	const struct ring_record pad = { .type = RING_PAD };
	const unsigned count = RING_BYTES / 64 - 1;
	const unsigned published = 100;

	attach_both();
	for (unsigned i = 0; i < published; i++)
		ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	flood(&pad, count);
	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_eq(routed, published);
	ck_assert_uint_gt(tail(), 0);
	ck_assert_uint_le(tail() / RING_ALIGN,
	    LINKS_ROUNDS * (LINKS_TURN_RECORDS + SKIPS_MAX));
	run();
	ck_assert_uint_eq(tail(), count * RING_ALIGN);
	ck_assert_ptr_nonnull(bridge.link);
}
END_TEST

/* Few headers that pass by many bytes: what is too much is owed. */
START_TEST(large_pads_are_paid_for_in_bytes)
{
	const uint64_t each = 128 * 1024, first = SKIPS_MAX * each;
	const struct ring_record pad = {
		.type = RING_PAD,
		.length = (uint32_t)(each - sizeof(struct ring_record)),
	};
	unsigned turns;

	bridges[0].ring.capacity = bridges[0].ring.max_capacity = 16 << 20;
	stop_broker();
	kept_count = 0;
	start_broker();
	attach_both();
	flood(&pad, 127);
	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_gt(tail(), 0);
	ck_assert_uint_le(tail(), LINKS_ROUNDS * LINKS_TURN_BYTES + first);
	for (turns = 1; tail() < 127 * each && turns < 1000; turns++)
		ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_eq(tail(), 127 * each);
	ck_assert_uint_ge(
	    turns * LINKS_ROUNDS, (127 * each - first) / LINKS_TURN_BYTES);
}
END_TEST

/*
 * Switches up and down between two classes, by 64 bytes each, as no honest
 * producer makes them: each is a step like a record.
 */
static void
flood_with_switches(unsigned count)
{
	const struct links_endpoint *endpoint = broker.links->endpoints[CLOUD];
	const uint32_t shift = endpoint->lanes[0].geometry.min_shift;
	uint64_t position = 0, offset, head;
	struct ring_record record = { .type = RING_SWITCH };

	for (unsigned i = 0; i < count; i++, position += RING_ALIGN) {
		offset = ring_class_offset(shift, i % 2) +
		    position % ring_class_size(shift, i % 2);
		record.class = 1 - i % 2;
		ck_assert_int_eq(pwrite(endpoint->lanes[0].fd, &record,
				     sizeof(record), (off_t)offset),
		    (int)sizeof(record));
	}
	head = RING_WORD(position, count % 2);
	ck_assert_int_eq(
	    pwrite(endpoint->peer_fd, &head, sizeof(head), RING_SIDE_HEADS),
	    (int)sizeof(head));
}

START_TEST(switches_up_and_down_get_no_more_than_a_turn)
{
	const unsigned count = 2000, published = 100;

	bridges[0].ring.max_capacity = 2 * RING_BYTES;
	stop_broker();
	kept_count = 0;
	start_broker();
	attach_both();
	for (unsigned i = 0; i < published; i++)
		ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	flood_with_switches(count);
	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_eq(routed, published);
	ck_assert_uint_le(tail() / RING_ALIGN,
	    LINKS_ROUNDS * (LINKS_TURN_RECORDS + SKIPS_MAX));
	/* To the end or to the link's end; the others go on. */
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	run();
	ck_assert_uint_eq(routed, published + 20);
}
END_TEST

/* Small records are many in a few bytes. */
START_TEST(a_turn_has_so_many_records)
{
	const unsigned most = LINKS_ROUNDS * LINKS_TURN_RECORDS;

	conf.http.ring.capacity = conf.http.ring.max_capacity = 1 << 20;
	stop_broker();
	kept_count = 0;
	start_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	for (unsigned i = 0; i < most + 100; i++)
		ck_assert_int_eq(publish(&httpd, 0, "a", 1), 0);
	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_eq(routed, most);
	run();
	ck_assert_uint_eq(routed, most + 100);
}
END_TEST

/* A switch that leads nowhere is a fault, not a turn without end. */
START_TEST(switches_without_end_cost_the_link)
{
	const struct ring_record to_itself = { .type = RING_SWITCH };

	attach_both();
	ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	flood(&to_itself, 900);
	run();
	ck_assert_uint_eq(routed, 1);
	ck_assert_ptr_null(bridge.link);
	ck_assert_ptr_nonnull(strstr(bridge.reason, "switch"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links_turns");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, pads_without_end_get_no_more_than_a_turn);
	tcase_add_test(tc, large_pads_are_paid_for_in_bytes);
	tcase_add_test(tc, switches_up_and_down_get_no_more_than_a_turn);
	tcase_add_test(tc, a_turn_has_so_many_records);
	tcase_add_test(tc, switches_without_end_cost_the_link);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
