/* SPDX-License-Identifier: Apache-2.0 */

/* Lanes that are closed when nobody uses them, and opened again. */

#include "broker/links.h"

#include "tests/unit/links_box.h"

#define HTTPD 0u
#define IDLE (60 * CLOCK_SECOND_NS)

/* Of the idle watch alone: no test waits. */
static uint64_t now_ns;

static void
prepare(void)
{
	now_ns = CLOCK_SECOND_NS;
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&httpd);
	grant_all(&bridge);
	grant_all(&other);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 3);
	ring_endpoint_close_idle(httpd.endpoint, now_ns, IDLE);
}

/* httpd looks again after so long. */
static void
look_after(uint64_t ns)
{
	now_ns += ns;
	ring_endpoint_close_idle(httpd.endpoint, now_ns, IDLE);
}

static bool
is_open(uint32_t lane)
{
	return ring_link_producer(httpd.link, lane) != NULL;
}

/* What weirctl reads, whoever is alive. */
static bool
says_open(uint32_t lane)
{
	struct ring_lane_producer block;

	ck_assert_int_eq(pread(broker.links->endpoints[HTTPD]->peer_fd, &block,
			     sizeof(block),
			     RING_SIDE_PRODUCERS + lane * RING_PRODUCER_STRIDE),
	    (int)sizeof(block));
	return block.open == 1;
}

/* The last record that plant gets. */
static struct ring_record
last_of_plant(void)
{
	struct ring_consumer *consumer = ring_link_consumer(other.link, 0);
	struct ring_record got = { 0 };
	const void *body;

	while (ring_peek(consumer, &got, &body) == 1)
		ring_release(consumer, ring_next(consumer), NULL, 0);
	return got;
}

START_TEST(an_idle_lane_is_closed_and_its_slot_used_again)
{
	struct ring_record got;

	prepare();
	look_after(IDLE - 1);
	run();
	ck_assert(is_open(1) && is_open(2));
	look_after(1);
	run();
	ck_assert(is_open(0) && !is_open(1) && !is_open(2));
	ck_assert(says_open(0) && !says_open(1) && !says_open(2));
	ck_assert(!is_kept("ring.httpd.in.1.cloud"));
	ck_assert(is_kept("ring.httpd.in.0."));
	ck_assert_uint_eq(
	    links_endpoint_lanes(broker.links->endpoints[HTTPD]), 1);

	/* (link, lane, sequence) is not used twice. */
	ck_assert_int_eq(open_lane(&httpd, "plant"), 1);
	ck_assert(says_open(1));
	ck_assert(is_kept("ring.httpd.in.1.plant"));
	ck_assert_int_eq(publish(&httpd, 1, "x/plant", 10), 0);
	run();
	got = last_of_plant();
	ck_assert_uint_eq(got.source_lane, 1);
	ck_assert_uint_eq(got.source_sequence, 4);
	ck_assert_ptr_nonnull(httpd.link);
}
END_TEST

START_TEST(a_lane_that_is_used_stays)
{
	prepare();
	look_after(IDLE / 2);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	look_after(IDLE / 2);
	run();
	ck_assert(is_open(1) && !is_open(2));
	look_after(IDLE - 1);
	run();
	ck_assert(is_open(1));
	look_after(1);
	run();
	ck_assert(!is_open(1));
}
END_TEST

START_TEST(a_lane_that_is_not_empty_stays)
{
	prepare();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 100), 0);
	/* Not taken: the broker has no turn before httpd looks. */
	look_after(0);
	look_after(IDLE);
	ck_assert_int_eq(httpd.closing, 2);
	run();
	ck_assert(is_open(1) && !is_open(2));
}
END_TEST

START_TEST(a_lane_that_something_waits_for_stays)
{
	prepare();
	httpd.wants = true;
	look_after(IDLE);
	run();
	ck_assert(is_open(1) && is_open(2));
	httpd.wants = false;
	look_after(IDLE - 1);
	run();
	ck_assert(is_open(1));
	look_after(1);
	run();
	ck_assert(!is_open(1));
}
END_TEST

START_TEST(a_lane_is_asked_for_once)
{
	prepare();
	look_after(IDLE);
	ck_assert_int_eq(httpd.closing, 2);
	httpd.closing = -1;
	look_after(IDLE);
	look_after(IDLE);
	ck_assert_int_eq(httpd.closing, -1);
	run();
	ck_assert_int_eq(httpd.closed, 2);
	ck_assert_uint_eq(httpd.losses, 0);
}
END_TEST

/* Many sets, one after the other: slots never run dry. */
START_TEST(more_sets_than_slots_find_a_lane_in_turn)
{
	static const char *const sets[] = { "cloud", "plant", "cloud+plant",
		"*" };
	int lane;

	prepare();
	for (unsigned i = 0; i < 100; i++) {
		look_after(IDLE);
		run();
		lane = open_lane(&httpd, sets[i % 4]);
		ck_assert_int_eq(lane, 1);
		ck_assert_int_eq(publish(&httpd, 1, "cloud/plant", 10), 0);
		run();
		receipts(0);
		receive(&bridge);
		last_of_plant();
		ring_link_wake(other.link);
		ring_endpoint_close_idle(httpd.endpoint, now_ns, IDLE);
	}
}
END_TEST

/* ---- deaths in between ----------------------------------------------------
 */

/* _i: 0 the broker has not read it yet, 1 it has closed it. */
START_TEST(httpd_dies_after_it_asked)
{
	prepare();
	look_after(IDLE);
	if (_i == 1)
		ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	kill_program(&httpd);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert(!is_open(1) && !says_open(1));
	ck_assert(!is_open(2) && !says_open(2));
	ck_assert_int_eq(open_lane(&httpd, "plant"), 1);
	ck_assert_int_eq(publish(&httpd, 1, "x/plant", 10), 0);
	run();
	ck_assert_uint_eq(last_of_plant().source_sequence, 4);
}
END_TEST

START_TEST(the_broker_dies_before_it_was_asked)
{
	prepare();
	look_after(IDLE);
	restart_broker();
	ck_assert(is_open(1) && is_open(2));
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	ring_endpoint_close_idle(httpd.endpoint, now_ns, IDLE);
	look_after(IDLE);
	run();
	ck_assert(!is_open(1) && !is_open(2));
}
END_TEST

START_TEST(the_broker_dies_after_the_memory_was_given_up)
{
	prepare();
	fdstore_remove("ring.httpd.in.1.cloud");
	restart_broker();
	ck_assert(!is_open(1) && !says_open(1));
	ck_assert(is_open(2) && says_open(2));
	ck_assert_int_eq(open_lane(&httpd, "plant"), 1);
	ck_assert_int_eq(publish(&httpd, 1, "x/plant", 10), 0);
	run();
	ck_assert_uint_eq(last_of_plant().source_sequence, 4);
}
END_TEST

/* What outputs say of (link, lane) is true of the slot's next set. */
START_TEST(a_slot_used_again_is_handed_over_once_too)
{
	static struct image image;

	prepare();
	look_after(IDLE);
	run();
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 1);
	remember(&image, HTTPD);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/plant", 10), 0);
	run();
	take_back(&image, RING_SIDE_CONSUMERS + RING_CONSUMER_STRIDE,
	    offsetof(struct ring_lane_consumer, limit));
	restart_broker();
	run();
	ck_assert_uint_eq(receive(&bridge), 5);
	ck_assert_uint_eq(receive(&other), 5);
	forget_image(&image);
}
END_TEST

/* ---- filters that change --------------------------------------------------
 */

static char new_filter[] = "new/#";

/* Bridge `index` forwards `filter` and nothing else. */
static void
change_filter(unsigned index, char *filter)
{
	rules[index].filter = filter;
	ck_assert_int_eq(bridge_table_replace(broker.bridges, &conf), 0);
	links_filters_changed(broker.links);
	run();
}

static void
filters_as_before(void)
{
	rules[0].filter = cloud_filter;
	rules[1].filter = plant_filter;
}

START_TEST(programs_get_the_filters_when_they_change)
{
	prepare();
	ck_assert_uint_eq(httpd.filter_lists, 1);
	change_filter(0, new_filter);
	ck_assert_uint_eq(httpd.filter_lists, 2);
	ck_assert_uint_eq(httpd.filters, 2);
	ck_assert_uint_eq(bridge.filter_lists, 2);
	ck_assert_uint_eq(bridge.filters, 1); /* not its own */
	filters_as_before();
}
END_TEST

/* In the set of its lane, and wanted now. */
static void
change_overflow(unsigned bridge_number, enum conf_overflow overflow)
{
	bridges[bridge_number].overflow = overflow;
	links_policies_changed(broker.links, &conf);
	links_filters_changed(broker.links);
	run();
}

/* Those that came by the lane for all who drop are not lost for that. */
START_TEST(who_drops_no_more_gets_what_was_sent_before_it_was_known)
{
	prepare();
	change_overflow(0, CONF_OVERFLOW_DROP_NEWEST);
	ck_assert_int_eq(publish(&httpd, 0, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	change_overflow(0, CONF_OVERFLOW_STALL);
	ck_assert_int_eq(publish(&httpd, 0, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	/* But such a lane waits for nobody. */
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(publish(&httpd, 0, "cloud/x", 1000), 0);
		run();
		receipts(0);
	}
	ck_assert_uint_gt(broker.links->endpoints[1]->output.dropped, 0);
	filters_as_before();
}
END_TEST

START_TEST(a_record_goes_where_its_lane_and_the_filters_say)
{
	prepare();
	change_filter(0, new_filter);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	ck_assert_int_eq(publish(&httpd, 0, "new/x", 10), 0);
	ck_assert_int_eq(publish(&httpd, 1, "new/x", 10), 0);
	ck_assert_int_eq(publish(&httpd, 2, "new/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), 7);
	ck_assert_uint_eq(receive(&bridge), 2);
	ck_assert_uint_eq(receive(&other), 1);
	filters_as_before();
}
END_TEST

/* It waited for cloud alone, which does not want it any more. */
START_TEST(a_record_that_waits_is_looked_at_again)
{
	prepare();
	receipts(0);
	while (publish(&httpd, 1, "cloud/x", 8000) == 0)
		run();
	publish(&httpd, 2, "cloud/plant", 12000);
	run();
	receipts(0);
	change_filter(0, new_filter);
	ck_assert(ring_producer_is_drained(ring_link_producer(httpd.link, 1)));
	ck_assert(ring_producer_is_drained(ring_link_producer(httpd.link, 2)));
	ck_assert_uint_eq(receive(&other), 1);
	filters_as_before();
}
END_TEST

/* ---- what is not right ----------------------------------------------------
 */

static const struct {
	uint32_t lane;
	const char *set;
	const char *reason;
} wrong[] = {
	{ 0, "", "not open" },
	{ 1, "plant", "not open" },
	{ 7, "cloud", "not open" },
	{ 1, "cloud", "not empty" },
};

START_TEST(who_asks_what_cannot_be_loses_the_link)
{
	int sock;

	prepare();
	sock = ring_endpoint_fd(httpd.endpoint);
	ck_assert_int_eq(
	    ring_control_send_close_lane(
		sock, RING_CONTROL_CLOSE_LANE, wrong[_i].lane, wrong[_i].set),
	    0);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	/* The socket is read before the rings are. */
	run();
	ck_assert_ptr_null(httpd.link);
	ck_assert_ptr_nonnull(strstr(httpd.reason, wrong[_i].reason));
	ck_assert_ptr_nonnull(bridge.link);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links_lanes");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_idle_lane_is_closed_and_its_slot_used_again);
	tcase_add_test(tc, a_lane_that_is_used_stays);
	tcase_add_test(tc, a_lane_that_is_not_empty_stays);
	tcase_add_test(tc, a_lane_that_something_waits_for_stays);
	tcase_add_test(tc, a_lane_is_asked_for_once);
	tcase_add_test(tc, more_sets_than_slots_find_a_lane_in_turn);
	tcase_add_loop_test(tc, httpd_dies_after_it_asked, 0, 2);
	tcase_add_test(tc, the_broker_dies_before_it_was_asked);
	tcase_add_test(tc, the_broker_dies_after_the_memory_was_given_up);
	tcase_add_test(tc, a_slot_used_again_is_handed_over_once_too);
	tcase_add_test(tc, programs_get_the_filters_when_they_change);
	tcase_add_test(
	    tc, who_drops_no_more_gets_what_was_sent_before_it_was_known);
	tcase_add_test(tc, a_record_goes_where_its_lane_and_the_filters_say);
	tcase_add_test(tc, a_record_that_waits_is_looked_at_again);
	tcase_add_loop_test(tc, who_asks_what_cannot_be_loses_the_link, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
