/* SPDX-License-Identifier: Apache-2.0 */

/* Records that the broker moved before it died are not moved again. */

#include "broker/links.h"

#include "tests/unit/links_box.h"

#define HTTPD 0u
#define CLOUD 1u
#define PLANT 2u
#define LOOSE 3u

#define HEAD RING_SIDE_HEADS
#define TAIL_OF(lane) (RING_SIDE_CONSUMERS + (lane)*RING_CONSUMER_STRIDE)
#define TAIL_LENGTH offsetof(struct ring_lane_consumer, limit)

static struct image images[4];

/* httpd with a lane to both, both bridges; `before` records are through. */
static void
prepare(unsigned before)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&httpd);
	grant_all(&bridge);
	grant_all(&other);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	for (unsigned i = 0; i < before; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), before);
	ck_assert_uint_eq(receive(&bridge), before);
	ck_assert_uint_eq(receive(&other), before);
	for (uint32_t i = 0; i < 4; i++)
		remember(&images[i], i);
}

static void
forget_images(void)
{
	for (unsigned i = 0; i < 4; i++)
		forget_image(&images[i]);
}

/* No head, no slot: as if the round had not touched this output. */
static void
untouched(uint32_t link)
{
	take_back(&images[link], RING_SIDE_FORWARDED, RING_FORWARDED_STRIDE);
	take_back(&images[link], HEAD, sizeof(struct ring_head));
}

static void
tails_not_stored(void)
{
	take_back(&images[HTTPD], TAIL_OF(1), TAIL_LENGTH);
	take_back(&images[HTTPD], TAIL_OF(2), TAIL_LENGTH);
}

/* _i records were through before: slot 0 or slot 1 is the one that counts. */
START_TEST(dead_before_the_tails_nothing_is_handed_over_again)
{
	prepare((unsigned)_i);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	}
	run();
	ck_assert_uint_eq(receipts(0), 10);
	tails_not_stored();
	routed = 0;
	restart_broker();
	run();
	/* Answered again, routed again, but in the rings once. */
	ck_assert_uint_eq(receipts(0), 10);
	ck_assert_uint_eq(routed, 10);
	ck_assert_uint_eq(receive(&bridge), 10);
	ck_assert_uint_eq(receive(&other), 5);

	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	ck_assert_uint_eq(receive(&other), 1);
	forget_images();
}
END_TEST

/* _i: 0 before plant's slots, 1 between its slots and its head. */
START_TEST(dead_between_two_outputs_only_the_second_gets_it)
{
	prepare(3);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	tails_not_stored();
	if (_i == 0)
		untouched(PLANT);
	else
		take_back(&images[PLANT], HEAD, sizeof(struct ring_head));
	restart_broker();
	run();
	ck_assert_uint_eq(receive(&bridge), 5);
	ck_assert_uint_eq(receive(&other), 5);
	forget_images();
}
END_TEST

/* Cloud has it: plant alone must have room, and cloud need not. */
START_TEST(an_output_that_has_it_needs_no_room)
{
	unsigned filled = 0, got = 0;

	prepare(1);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	while (publish(&httpd, 1, "cloud/x", 8000) == 0) {
		run();
		receipts(0);
		filled++;
	}
	ck_assert_uint_gt(filled, 3);
	take_back(&images[HTTPD], TAIL_OF(2), TAIL_LENGTH);
	untouched(PLANT);
	restart_broker();
	run();
	ck_assert_uint_eq(receive(&other), 1);
	for (unsigned i = 0; i < 4; i++)
		got += receive(&bridge);
	ck_assert_uint_eq(got, filled + 1);
	forget_images();
}
END_TEST

/* A life that nobody saw gave cloud all up to `sequence` of lane 2. */
static void
say_cloud_has(uint64_t sequence)
{
	struct ring_forwarded pair;
	struct ring_head head;
	const off_t at = RING_SIDE_FORWARDED +
	    (off_t)((HTTPD * RING_LANES + 2) * sizeof(pair));
	int fd = images[CLOUD].fd;

	ck_assert_int_eq(
	    pread(fd, &head, sizeof(head), HEAD), (int)sizeof(head));
	pair.slot[0].head = pair.slot[1].head = head.word;
	pair.slot[0].sequence = pair.slot[1].sequence = sequence;
	ck_assert_int_eq(
	    pwrite(fd, &pair, sizeof(pair), at), (int)sizeof(pair));
}

/* What one bridge has is not refused because another has no room now. */
START_TEST(what_is_begun_waits_where_it_would_be_refused)
{
	unsigned filled = 0, got = 0;

	bridges[1].overflow = CONF_OVERFLOW_REJECT;
	stop_broker();
	start_broker();
	prepare(1);
	while (publish(&httpd, 2, "x/plant", 8000) == 0 && filled < 64) {
		run();
		if (receipts(MQTT_QUOTA_EXCEEDED) != 0)
			break;
		filled++;
	}
	ck_assert_uint_gt(filled, 3);
	ck_assert_uint_lt(filled, 64);
	say_cloud_has(filled + 3);
	restart_broker();
	receipts(0);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 16000), 0);
	run();
	ck_assert_uint_eq(receipts(MQTT_QUOTA_EXCEEDED), 0);
	ck_assert_uint_le(turns_in_50_ms(), 3);
	for (unsigned i = 0; i < 4; i++)
		got += receive(&other);
	ck_assert_uint_eq(got, filled + 1);
	ck_assert_uint_eq(receipts(0), 1);
	ck_assert_uint_eq(receive(&bridge), 0);
	forget_images();
}
END_TEST

/* Nor because its account is gone; what nobody has yet is. */
START_TEST(what_is_begun_is_not_refused_to_an_account_that_is_gone)
{
	prepare(1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), 2);
	tails_not_stored();
	untouched(PLANT);
	conf.allow_anonymous = false;
	restart_broker();
	run();
	ck_assert_uint_eq(receipts(0), 2);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(MQTT_NOT_AUTHORIZED), 1);
	ck_assert_uint_eq(receive(&bridge), 2);
	ck_assert_uint_eq(receive(&other), 2);
	forget_images();
}
END_TEST

START_TEST(a_bridge_that_drops_gets_nothing_twice_either)
{
	prepare(0);
	kill_program(&other);
	attach(&other, RING_ROLE_BRIDGE, "loose");
	grant_all(&other);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 0, "x/loose", 10), 0);
	run();
	take_back(&images[HTTPD], TAIL_OF(0), TAIL_LENGTH);
	restart_broker();
	run();
	ck_assert_uint_eq(receive(&other), 5);
	forget_images();
}
END_TEST

/* Its sequences begin again: they must not be taken for the old ones. */
START_TEST(a_link_that_is_made_anew_begins_again)
{
	prepare(8);
	ring_endpoint_poison(httpd.endpoint, "a test");
	run();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	for (int life = 0; life < 2; life++) {
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(
			    publish(&httpd, 2, "cloud/plant", 10), 0);
		run();
		ck_assert_uint_eq(receive(&bridge), 3);
		ck_assert_uint_eq(receive(&other), 3);
		restart_broker();
	}
	forget_images();
}
END_TEST

/* The broker died at its start, after the new memory was kept. */
START_TEST(new_memory_that_met_old_words_begins_again_too)
{
	prepare(8);
	for (size_t i = 0; i < kept_count;) {
		if (strncmp(kept[i].name, "ring.httpd.", 11) != 0) {
			i++;
			continue;
		}
		close(kept[i].fd);
		kept[i] = kept[--kept_count];
	}
	kill_program(&httpd);
	restart_broker();
	/* As if it had died before it erased them. */
	for (uint32_t i = CLOUD; i <= PLANT; i++)
		take_back(
		    &images[i], RING_SIDE_FORWARDED, RING_FORWARDED_STRIDE);
	restart_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 3);
	ck_assert_uint_eq(receive(&other), 3);
	forget_images();
}
END_TEST

/* What is carried into the ring of a new link is known to be there. */
START_TEST(a_ring_that_is_replaced_keeps_what_it_had)
{
	prepare(2);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	tails_not_stored();
	bridges[0].ring.capacity = bridges[0].ring.max_capacity =
	    2 * RING_BYTES;
	restart_broker();
	grant_all(&bridge);
	run();
	ck_assert_uint_eq(receive(&bridge), 5);
	ck_assert_uint_eq(receive(&other), 5);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	forget_images();
}
END_TEST

/* Nobody kept anything, and httpd is back before the bridges are. */
START_TEST(what_is_handed_back_late_has_nothing_twice)
{
	prepare(2);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), 5);
	tails_not_stored();
	stop_broker();
	while (kept_count > 0)
		close(kept[--kept_count].fd);
	is_supervised = false;
	start_broker();
	run();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	/* Into new rings, for want of the old ones; and what is really new. */
	ck_assert_uint_eq(receipts(0), 5);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), 1);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	ck_assert_uint_eq(receive(&bridge), 6);
	ck_assert_uint_eq(receive(&other), 6);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	ck_assert_uint_eq(receive(&other), 1);
	forget_images();
}
END_TEST

/* Lanes of the old memory would be found beside those of the new. */
START_TEST(what_is_replaced_is_not_kept_any_longer)
{
	prepare(2);
	ck_assert(is_kept("ring.httpd.in.1.cloud"));
	conf.http.ring.capacity = conf.http.ring.max_capacity = 2 * RING_BYTES;
	restart_broker();
	ck_assert(is_kept("ring.httpd.in.0."));
	ck_assert(!is_kept("ring.httpd.in.1.cloud"));
	ck_assert(!is_kept("ring.httpd.in.2.cloud+plant"));
	for (size_t i = 0; i < kept_count; i++) {
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(kept[i].name, kept[j].name);
	}
	grant_all(&httpd);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	restart_broker();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receive(&bridge), 1);
	forget_images();
}
END_TEST

/* Half of it is nothing, and must not take the new memory along. */
START_TEST(half_of_a_link_is_replaced_and_kept_anew)
{
	prepare(2);
	kill_program(&httpd);
	fdstore_remove("ring.httpd.out");
	restart_broker();
	ck_assert(is_kept("ring.httpd.broker"));
	ck_assert(is_kept("ring.httpd.out"));
	ck_assert(is_kept("ring.httpd.in.0."));
	forget_images();
}
END_TEST

/* A peer found to be hostile in a round: what was put into its ring stays. */
START_TEST(a_round_is_finished_before_a_link_is_given_up)
{
	struct ring_producer *producer;
	const struct ring_record record = { .kind = 99 };
	void *out;

	prepare(1);
	producer = ring_link_producer(bridge.link, 0);
	ck_assert_int_eq(ring_claim(producer, 8, &out), 0);
	ring_put(producer, &record);
	ring_commit(producer, 1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	ring_link_wake(bridge.link);
	run();
	ck_assert_ptr_null(bridge.link);
	ck_assert_uint_eq(receipts(0), 5);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	ck_assert_uint_eq(receive(&bridge), 5);
	forget_images();
}
END_TEST

/* The producer finds its peer at fault with a record put before. */
START_TEST(what_was_put_before_a_fault_is_kept)
{
	const uint64_t beyond = UINT64_C(1) << 40;
	unsigned filled = 0;

	prepare(0);
	while (filled < 6) {
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 8000), 0);
		run();
		filled++;
	}
	ck_assert_uint_eq(receipts(0), filled);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 8000), 0);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 16000), 0);
	ck_assert_int_eq(pwrite(broker.links->endpoints[CLOUD]->peer_fd,
			     &beyond, sizeof(beyond), RING_SIDE_CONSUMERS),
	    (int)sizeof(beyond));
	run();
	ck_assert_ptr_null(bridge.link);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	for (unsigned got = 0; got < filled + 2;)
		got += receive(&bridge);
	ck_assert_uint_eq(receipts(0), 2);
	forget_images();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links_handover");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(
	    tc, dead_before_the_tails_nothing_is_handed_over_again, 0, 3);
	tcase_add_loop_test(
	    tc, dead_between_two_outputs_only_the_second_gets_it, 0, 2);
	tcase_add_test(tc, an_output_that_has_it_needs_no_room);
	tcase_add_test(tc, what_is_begun_waits_where_it_would_be_refused);
	tcase_add_test(
	    tc, what_is_begun_is_not_refused_to_an_account_that_is_gone);
	tcase_add_test(tc, a_bridge_that_drops_gets_nothing_twice_either);
	tcase_add_test(tc, a_link_that_is_made_anew_begins_again);
	tcase_add_test(tc, new_memory_that_met_old_words_begins_again_too);
	tcase_add_test(tc, a_ring_that_is_replaced_keeps_what_it_had);
	tcase_add_test(tc, what_is_handed_back_late_has_nothing_twice);
	tcase_add_test(tc, what_is_replaced_is_not_kept_any_longer);
	tcase_add_test(tc, half_of_a_link_is_replaced_and_kept_anew);
	tcase_add_test(tc, a_round_is_finished_before_a_link_is_given_up);
	tcase_add_test(tc, what_was_put_before_a_fault_is_kept);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
