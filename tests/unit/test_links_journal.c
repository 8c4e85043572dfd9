/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records from httpd and bridges through the journal, and out of it into the
 * bridges' rings, wherever the broker dies.
 */

#include "broker/links_feed.h"
#include "broker/links_lanes.h"
#include "broker/links_pending.h"
#include "tests/unit/links_journal_box.h"

#define BACKLOG (UINT64_C(4) << 20)
#define LARGE 8000u

static void
begin_with(enum conf_overflow policy, uint64_t bytes)
{
	overflow = policy;
	backlog = bytes;
	set_up_journal();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
}

/* Lane 1 leads to cloud, lane 2 to cloud and plant. */
static void
begin(void)
{
	begin_with(CONF_OVERFLOW_STALL, BACKLOG);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
}

static void
attach_bridge(void)
{
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
}

static uint64_t
unreleased(uint32_t lane)
{
	return ring_producer_used_bytes(ring_link_producer(httpd.link, lane));
}

static struct links_feed *
feed_of_cloud(void)
{
	return broker.links->endpoints[1]->feed;
}

static uint64_t
in_ring_of_cloud(void)
{
	const struct links_endpoint *endpoint = broker.links->endpoints[1];
	const struct ring_outcome outcome = links_endpoint_outcome(endpoint);

	return links_endpoint_in_ring(endpoint, &outcome);
}

static uint64_t
queued_of_cloud(void)
{
	return in_ring_of_cloud() +
	    links_feed_waiting(broker.links->endpoints[1]);
}

/* Publish that many, through as many turns as it takes. */
static void
publish_all(uint32_t lane, const char *topic, size_t size, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (int turns = 0; publish(&httpd, lane, topic, size) != 0;) {
			run_all();
			receipts(0);
			ck_assert_int_lt(turns++, 20);
		}
	}
	run_all();
}

/*
 * Take up to `most` of the bridge's ring; they are in the journal's order and
 * begin behind *last.  Returns how many there were.
 */
static unsigned
take(unsigned most, uint64_t *last)
{
	struct ring_consumer *consumer = ring_link_consumer(bridge.link, 0);
	const struct ring_outcome delivered = { .delivered = 1 };
	struct ring_record got;
	const void *body;
	unsigned count = 0;

	while (count < most && ring_peek(consumer, &got, &body) == 1) {
		if (got.correlation != 0) {
			ck_assert_uint_gt(got.correlation, *last);
			*last = got.correlation;
		}
		ring_release(consumer, ring_next(consumer), &delivered, 0);
		count++;
	}
	ring_link_wake(bridge.link);
	return count;
}

/* All that there is, also what is still in the journal. */
static unsigned
take_all(uint64_t *last)
{
	unsigned count = 0, more;

	run_all();
	do {
		more = take(UINT32_MAX, last);
		count += more;
		grant_all(&bridge);
		run_all();
	} while (more > 0);
	return count;
}

/* ---- what is answered -----------------------------------------------------
 */

START_TEST(a_record_is_answered_when_the_journal_has_it)
{
	begin();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receipts(0), 0);
	ck_assert_uint_ne(unreleased(1), 0);
	ck_assert_uint_eq(line_count, 1);

	commit_all(true);
	run();
	ck_assert_uint_eq(receipts(0), 1);
	ck_assert_uint_eq(unreleased(1), 0);
	tear_down_journal();
}
END_TEST

START_TEST(what_the_journal_cannot_keep_is_refused_and_goes_nowhere)
{
	begin();
	attach_bridge();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 10), 0);
	run();
	ck_assert_uint_ne(backlog_bytes(broker.backlogs, 1), 0);
	fail_all(MQTT_QUOTA_EXCEEDED);
	run();
	ck_assert_uint_eq(receipts(MQTT_IMPLEMENTATION_SPECIFIC_ERROR), 2);
	ck_assert_uint_eq(unreleased(1), 0);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 1), 0);
	ck_assert_uint_eq(receive(&bridge), 0);

	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run_all();
	ck_assert_uint_eq(receipts(0), 1);
	ck_assert_uint_eq(receive(&bridge), 1);
	tear_down_journal();
}
END_TEST

START_TEST(a_lane_is_not_empty_before_all_is_settled)
{
	struct links_endpoint *endpoint;

	begin();
	endpoint = broker.links->endpoints[0];
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_ptr_nonnull(links_lanes_close(endpoint, 1, "cloud"));
	commit_all(true);
	run();
	ck_assert_ptr_null(links_lanes_close(endpoint, 1, "cloud"));
	tear_down_journal();
}
END_TEST

START_TEST(a_bad_record_waits_for_its_turn)
{
	begin();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/#", 10), 0);
	run();
	ck_assert_uint_eq(receipts(MQTT_TOPIC_NAME_INVALID), 0);
	ck_assert_uint_ne(unreleased(1), 0);
	commit_all(true);
	run();
	ck_assert_uint_eq(unreleased(1), 0);
	ck_assert_uint_eq(receipts(MQTT_TOPIC_NAME_INVALID), 1);
	tear_down_journal();
}
END_TEST

START_TEST(what_nobody_wants_is_not_written)
{
	begin();
	ck_assert_int_eq(publish(&httpd, 0, "nobody", 10), 0);
	run();
	ck_assert_uint_eq(line_count, 0);
	ck_assert_uint_eq(receipts(MQTT_NO_MATCHING_SUBSCRIBERS), 1);
	ck_assert_uint_eq(unreleased(0), 0);
	tear_down_journal();
}
END_TEST

START_TEST(a_sick_disk_refuses_at_once)
{
	begin();
	commit_answer = COMMIT_REFUSES;
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(receipts(MQTT_IMPLEMENTATION_SPECIFIC_ERROR), 1);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	tear_down_journal();
}
END_TEST

START_TEST(a_disk_that_is_behind_stalls_the_lane)
{
	begin();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	commit_answer = COMMIT_STALLS;
	ck_assert_int_eq(publish(&httpd, 1, "cloud/y", 10), 0);
	run();
	ck_assert_uint_eq(line_count, 1);
	ck_assert_uint_lt(turns_in_50_ms(), 20);

	commit_answer = COMMIT_TAKES;
	commit_all(true);
	run_all();
	ck_assert_uint_eq(receipts(0), 2);
	tear_down_journal();
}
END_TEST

/* A program that reads no receipts holds its own lanes, and nobody spins. */
START_TEST(receipts_without_room_hold_what_is_settled)
{
	unsigned sent = 0, got = 0;

	begin();
	/* No more credit than a few receipts take. */
	while (publish(&httpd, 1, "cloud/x", 10) == 0) {
		run_all();
		sent++;
		ck_assert_uint_lt(sent, 10000);
	}
	ck_assert_uint_gt(sent, 100);
	ck_assert_uint_lt(turns_in_50_ms(), 20);
	for (int i = 0; i < 100 && got < sent; i++) {
		got += receipts(0);
		run_all();
	}
	ck_assert_uint_eq(got, sent);
	ck_assert_uint_eq(unreleased(1), 0);
	tear_down_journal();
}
END_TEST

/* ---- into the rings --------------------------------------------------------
 */

START_TEST(a_bridge_gets_what_is_committed_in_order)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 50);
	ck_assert_uint_eq(take_all(&last), 50);
	ck_assert_uint_eq(last, 50);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	tear_down_journal();
}
END_TEST

/* bridged may be asked which record this is: httpd's number, not ours. */
START_TEST(a_record_keeps_its_source)
{
	struct ring_record got;
	const void *body;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 2);
	ck_assert_int_eq(
	    ring_peek(ring_link_consumer(bridge.link, 0), &got, &body), 1);
	ck_assert_uint_eq(got.source_link, 0);
	ck_assert_uint_eq(got.source_lane, 1);
	ck_assert_uint_eq(got.source_sequence, 1);
	ck_assert_uint_eq(got.correlation, 1);
	tear_down_journal();
}
END_TEST

START_TEST(the_floor_follows_what_the_bridge_releases)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 10);
	ck_assert_uint_eq(floor_of("cloud"), 0);
	ck_assert_uint_eq(take(4, &last), 4);
	run_all();
	ck_assert_uint_lt(floor_of("cloud"), 5);
	ck_assert_uint_eq(take_all(&last), 6);
	ck_assert_uint_eq(floor_of("cloud"), 10);
	ck_assert_uint_eq(floor_of("plant"), 0);
	tear_down_journal();
}
END_TEST

/* Far more than ring and window hold: the journal has it, in order. */
START_TEST(what_finds_no_room_waits_in_the_journal)
{
	uint64_t last = 0;

	begin();
	publish_all(1, "cloud/x", LARGE, 300);
	ck_assert_uint_eq(journal_last, 300);
	ck_assert_uint_le(feed_of_cloud()->bytes, LINKS_FEED_WINDOW);
	ck_assert(feed_of_cloud()->feed.is_lagging);
	ck_assert_uint_gt(links_feed_waiting(broker.links->endpoints[1]), 280);

	/* Nothing new comes, and all goes out. */
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 300);
	ck_assert_uint_eq(last, 300);
	ck_assert_uint_eq(links_feed_waiting(broker.links->endpoints[1]), 0);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	ck_assert_uint_eq(floor_of("cloud"), 300);
	tear_down_journal();
}
END_TEST

/* New ones come while it reads: none twice, none left out, all in order. */
START_TEST(a_refill_and_new_ones_make_one_order)
{
	uint64_t last = 0;
	unsigned got = 0;

	begin();
	publish_all(1, "cloud/x", LARGE, 150);
	attach_bridge();
	for (int i = 0; i < 100; i++) {
		got += take(3, &last);
		run();
		if (publish(&httpd, 1, "cloud/y", 1000) == 0 && i % 3 == 0)
			run();
		if (i % 2 == 0)
			commit_all(true);
		else
			answer_read();
		receipts(0);
	}
	run_all();
	got += take_all(&last);
	ck_assert_uint_eq(got, journal_last);
	ck_assert_uint_eq(last, journal_last);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	tear_down_journal();
}
END_TEST

START_TEST(a_read_that_fails_is_tried_again)
{
	uint64_t last = 0;

	begin();
	publish_all(1, "cloud/x", LARGE, 120);
	attach_bridge();
	for (int i = 0; i < 50 && !asked_read.is_asked; i++) {
		take(1, &last);
		run();
	}
	ck_assert(asked_read.is_asked);
	asked_read.is_asked = false;
	member.loaded_upto(member.context, asked_read.cursor, 0, -EIO);
	loop_again(broker.loop);
	run();
	ck_assert(!asked_read.is_asked);
	links_feed_beat(broker.links);
	run_all();
	take_all(&last);
	ck_assert_uint_eq(last, 120);
	tear_down_journal();
}
END_TEST

/* As a worker sends QoS 0.  False: there was no room in its window. */
static bool
send_qos0(void)
{
	const struct message_parts parts = {
		.topic = slice_of_string("cloud/x"),
		.link = MESSAGE_FROM_MQTT,
		.created_ns = clock_now_ns(),
		.expires_ns = UINT64_MAX,
	};
	struct message *message = message_new(broker.links_messages, &parts);
	bool has_room = bridge_port_offer(worker.port, 1,
			    message_weight(message)) == BRIDGE_PORT_TAKES;

	if (has_room)
		bridge_port_send(worker.port, 1, message);
	bridge_port_flush(worker.port);
	message_put(message);
	run();
	mailbox_open(worker.mailbox, 0);
	return has_room;
}

START_TEST(qos_0_goes_straight_and_waits_for_nothing)
{
	struct links_output *output;
	uint64_t last = 0;

	begin();
	output = &broker.links->endpoints[1]->output;
	ck_assert(send_qos0());
	ck_assert_uint_eq(output->dropped, 0);
	publish_all(1, "cloud/x", LARGE, 20);
	for (int i = 0; i < 500; i++)
		ck_assert(send_qos0());
	ck_assert_uint_eq(output->dropped, 500);
	ck_assert_uint_eq(output->accepted, 521);

	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 21);
	ck_assert(send_qos0());
	ck_assert_uint_eq(output->dropped, 500);
	tear_down_journal();
}
END_TEST

/* What it gave before it failed is not put twice. */
START_TEST(a_read_that_fails_half_way_is_tried_again)
{
	struct message *message;
	uint64_t last = 0;
	unsigned got = 0;

	begin();
	publish_all(1, "cloud/x", LARGE, 120);
	attach_bridge();
	for (int i = 0; i < 50 && !asked_read.is_asked; i++) {
		got += take(1, &last);
		run();
	}
	ck_assert(asked_read.is_asked);
	asked_read.is_asked = false;
	for (uint64_t at = asked_read.from; at < asked_read.from + 3; at++) {
		message = load(at);
		member.loaded(
		    member.context, asked_read.cursor, message, at, NULL);
		message_put(message);
	}
	member.loaded_upto(member.context, asked_read.cursor, 0, -EIO);
	links_feed_beat(broker.links);
	run_all();
	got += take_all(&last);
	ck_assert_uint_eq(got, 120);
	ck_assert_uint_eq(last, 120);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	tear_down_journal();
}
END_TEST

/* ---- no room --------------------------------------------------------------
 */

START_TEST(a_full_backlog_stalls_its_lane_alone)
{
	unsigned sent = 0;
	uint64_t last = 0;

	begin_with(CONF_OVERFLOW_STALL, 40000);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "plant"), 2);
	while (publish(&httpd, 1, "cloud/x", 4000) == 0) {
		run_all();
		sent++;
		ck_assert_uint_lt(sent, 100);
	}
	/* What the ring holds, and the backlog; the rest had no credit. */
	ck_assert_uint_ge(sent, 14);
	ck_assert_uint_le(unreleased(1), 2 * 4200);
	ck_assert_uint_lt(turns_in_50_ms(), 20);
	publish_all(2, "x/plant", 100, 1);
	ck_assert_uint_ge(receipts(0), 1);

	attach_bridge();
	run_all();
	take_all(&last);
	publish_all(1, "cloud/x", 4000, 1);
	take_all(&last);
	ck_assert_uint_eq(last, journal_last);
	tear_down_journal();
}
END_TEST

START_TEST(what_waits_for_a_full_backlog_is_refused_in_time)
{
	uint64_t last = 0, begin_ns;

	begin_with(CONF_OVERFLOW_STALL, 40000);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	/* There is credit, and MQTT publishers take what it was given for. */
	backlog_set(broker.backlogs, 0, 39990);
	conf.http.stall_timeout_ns = 30 * CLOCK_MS_NS;
	begin_ns = clock_now_ns();
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 1000), 0);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 1000), 0);
	run_all();
	if (clock_now_ns() - begin_ns < 30 * CLOCK_MS_NS)
		ck_assert_uint_eq(receipts(MQTT_QUOTA_EXCEEDED), 0);
	ck_assert_uint_lt(turns_in_50_ms(), 20);
	run_all();
	ck_assert_uint_eq(receipts(MQTT_QUOTA_EXCEEDED), 2);
	ck_assert_uint_eq(unreleased(1), 0);

	/* One that did not wait for so long is taken. */
	conf.http.stall_timeout_ns = STALL_TIMEOUT_NS;
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 1000), 0);
	run_all();
	backlog_set(broker.backlogs, 0, 0);
	run_all();
	loop_again(broker.loop);
	run_all();
	ck_assert_uint_eq(receipts(0), 1);
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 1);
	tear_down_journal();
}
END_TEST

START_TEST(a_full_backlog_that_rejects_refuses)
{
	uint64_t last = 0;
	unsigned got;

	begin_with(CONF_OVERFLOW_REJECT, 40000);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	backlog_set(broker.backlogs, 0, 38000);
	publish_all(1, "cloud/x", 1000, 1);
	ck_assert_uint_eq(receipts(0), 1);
	/* There is credit for it, and the backlog is full. */
	backlog_set(broker.backlogs, 0, 39990);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 1000), 0);
	run_all();
	ck_assert_uint_eq(receipts(MQTT_QUOTA_EXCEEDED), 1);
	backlog_set(broker.backlogs, 0, 0);
	publish_all(1, "cloud/x", 1000, 1);
	attach_bridge();
	got = take_all(&last);
	ck_assert_uint_eq(got, 2);
	tear_down_journal();
}
END_TEST

START_TEST(drop_newest_drops_in_front_of_the_journal)
{
	uint64_t last = 0;
	unsigned got;

	begin_with(CONF_OVERFLOW_DROP_NEWEST, 40000);
	publish_all(0, "cloud/x", 4000, 50);
	ck_assert_uint_lt(journal_last, 30);
	attach_bridge();
	got = take_all(&last);
	ck_assert_uint_eq(got, journal_last);
	links_feed_beat(broker.links);
	run_all();
	tear_down_journal();
}
END_TEST

/* The bridge is not there to skip what its ring has. */
START_TEST(drop_oldest_keeps_the_newest)
{
	struct links_output *output;
	uint64_t last = 0;
	unsigned got;

	begin_with(CONF_OVERFLOW_DROP_OLDEST, 40000);
	output = &broker.links->endpoints[1]->output;
	publish_all(0, "cloud/x", 4000, 200);
	ck_assert_uint_eq(journal_last, 200);
	ck_assert_uint_le(
	    backlog_bytes(broker.backlogs, 0), 40000 + (256u << 10));
	ck_assert_uint_gt(output->dropped, 50);
	attach_bridge();
	got = take_all(&last);
	ck_assert_uint_eq(last, 200);
	ck_assert_uint_eq(got + output->dropped, 200);
	ck_assert_uint_eq(floor_of("cloud"), 200);
	tear_down_journal();
}
END_TEST

/* It is: it skips, and what came last goes into its ring. */
START_TEST(drop_oldest_asks_the_bridge_to_skip)
{
	struct ring_consumer *consumer;
	const struct ring_outcome dropped = { .dropped = 1 };
	struct ring_record got;
	const void *body;
	unsigned skipped = 0;

	begin_with(CONF_OVERFLOW_DROP_OLDEST, 40000);
	attach_bridge();
	consumer = ring_link_consumer(bridge.link, 0);
	publish_all(0, "cloud/x", 4000, 40);
	while (ring_peek(consumer, &got, &body) == 1 &&
	    ring_consumer_should_drop(consumer)) {
		ring_release(consumer, ring_next(consumer), &dropped, 0);
		skipped++;
	}
	ck_assert_uint_gt(skipped, 2);
	ck_assert_uint_lt(skipped, 16);
	ring_link_wake(bridge.link);
	run_all();
	ck_assert_uint_le(backlog_bytes(broker.backlogs, 0), 160000);
	ck_assert_uint_eq(broker.links->endpoints[1]->output.dropped, 0);
	tear_down_journal();
}
END_TEST

/* ---- the broker dies -------------------------------------------------------
 */

START_TEST(what_was_committed_and_not_answered_is_not_taken_twice)
{
	uint64_t last = 0;

	begin();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	commit_all(false);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	restart();
	run_all();
	ck_assert_uint_eq(receipts(0), 6);
	ck_assert_uint_eq(journal_last, 6);
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 6);
	tear_down_journal();
}
END_TEST

/* One could not be written, those behind it were, and it dies then. */
START_TEST(what_failed_among_others_is_taken_by_the_next_life)
{
	begin();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10 + i), 0);
	run();
	ck_assert_uint_eq(line_count, 3);
	message_put(line[0]->message);
	free(line[0]);
	line[0] = line[1];
	line[1] = line[2];
	line_count = 2;
	commit_all(false);
	restart();
	run_all();
	ck_assert_uint_eq(receipts(0), 3);
	ck_assert_uint_eq(journal_last, 3);
	ck_assert_uint_eq(journal[3].payload_length, 10);
	tear_down_journal();
}
END_TEST

START_TEST(what_was_not_committed_is_taken_by_the_next_life)
{
	uint64_t last = 0;

	begin();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_uint_eq(line_count, 5);
	restart();
	run_all();
	ck_assert_uint_eq(receipts(0), 5);
	ck_assert_uint_eq(journal_last, 5);
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 5);
	tear_down_journal();
}
END_TEST

/* Memory of httpd that is made anew counts from 1, as it did before. */
START_TEST(new_memory_is_not_taken_for_old)
{
	begin();
	publish_all(1, "cloud/x", 10, 5);
	ck_assert_uint_eq(receipts(0), 5);
	broker.links->endpoints[0]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&httpd);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	grant_all(&httpd);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	restart();
	run_all();
	ck_assert_uint_eq(receipts(0), 3);
	ck_assert_uint_eq(journal_last, 8);
	tear_down_journal();
}
END_TEST

/* _i taken of 20 before it dies; the supervisor has the rings. */
START_TEST(a_ring_that_is_kept_is_gone_on_with)
{
	uint64_t last = 0;
	unsigned got;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	got = take((unsigned)_i, &last);
	restart();
	run_all();
	/* What was taken, and the floor does not know, waits nowhere. */
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	ck_assert_uint_eq(links_feed_waiting(broker.links->endpoints[1]), 0);
	got += take_all(&last);
	ck_assert_uint_eq(got, 20);
	publish_all(1, "cloud/x", 100, 5);
	ck_assert_uint_eq(take_all(&last), 5);
	ck_assert_uint_eq(floor_of("cloud"), 25);
	tear_down_journal();
}
END_TEST

START_TEST(a_ring_that_is_kept_is_full_and_the_journal_has_the_rest)
{
	uint64_t last = 0;
	unsigned got;

	begin();
	publish_all(1, "cloud/x", LARGE, 200);
	restart();
	run_all();
	ck_assert_uint_eq(queued_of_cloud(), 200);
	attach_bridge();
	got = take(3, &last);
	restart();
	run_all();
	grant_all(&bridge);
	got += take_all(&last);
	ck_assert_uint_eq(got, 200);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	ck_assert_uint_eq(links_feed_waiting(broker.links->endpoints[1]), 0);
	tear_down_journal();
}
END_TEST

/* Nobody keeps memory, all programs die: the journal has it. */
START_TEST(a_ring_that_is_gone_is_filled_again)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	ck_assert_uint_eq(take(7, &last), 7);
	run_all();
	kill_program(&bridge);
	kill_program(&httpd);
	while (kept_count > 0)
		close(kept[--kept_count].fd);
	last = floor_of("cloud");
	ck_assert_uint_le(last, 7);
	restart();
	attach_bridge();
	take_all(&last);
	ck_assert_uint_eq(last, 20);
	tear_down_journal();
}
END_TEST

/*
 * Nobody keeps memory, and the bridge lives: it hands its ring back, at once
 * or when the new broker has filled another one.
 */
START_TEST(a_ring_that_comes_back_is_gone_on_with)
{
	struct ring_endpoint *endpoint;
	uint64_t last = 0;

	begin();
	is_supervised = false;
	while (kept_count > 0)
		close(kept[--kept_count].fd);
	attach_bridge();
	publish_all(1, "cloud/x", LARGE, 100);
	ck_assert_uint_eq(take(3, &last), 3);
	endpoint = bridge.endpoint;
	if (_i == 1)
		bridge.endpoint = NULL;
	restart();
	run_all();
	if (_i == 1) {
		broker.links->endpoints[1]->output.is_awaited = false;
		publish_all(1, "cloud/x", LARGE, 1);
		ck_assert_uint_gt(in_ring_of_cloud(), 3);
		bridge.endpoint = endpoint;
		ring_endpoint_process(endpoint);
		attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	}
	grant_all(&bridge);
	ck_assert_uint_eq(take_all(&last), journal_last - 3);
	ck_assert_uint_eq(floor_of("cloud"), journal_last);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	ck_assert_uint_eq(links_feed_waiting(broker.links->endpoints[1]), 0);
	tear_down_journal();
}
END_TEST

START_TEST(another_journal_does_not_know_what_a_kept_ring_has)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 20);
	ck_assert_uint_eq(take_all(&last), 20);
	journal_last = 0;
	cursor_count = 0;
	restart();
	publish_all(1, "cloud/x", 100, 3);
	last = 0;
	ck_assert_uint_eq(take_all(&last), 3);
	ck_assert_uint_eq(last, 3);
	tear_down_journal();
}
END_TEST

/* ---- a bridge breaks its link
 * ------------------------------------------------ */

START_TEST(a_link_that_breaks_loses_and_doubles_nothing)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", LARGE, 100);
	ck_assert_uint_eq(take(3, &last), 3);
	run();
	broker.links->endpoints[1]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&bridge);
	run_all();
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 97);
	ck_assert_uint_eq(last, 100);
	ck_assert_uint_eq(floor_of("cloud"), 100);
	ck_assert_uint_eq(backlog_bytes(broker.backlogs, 0), 0);
	tear_down_journal();
}
END_TEST

/* The journal has what it has; what it has not is kept of the old ring. */
START_TEST(qos_0_in_a_ring_that_breaks_is_kept_beside_the_journal)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", 100, 3);
	ck_assert(send_qos0());
	publish_all(1, "cloud/x", 100, 3);
	broker.links->endpoints[1]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&bridge);
	attach_bridge();
	ck_assert_uint_eq(take_all(&last), 7);
	ck_assert_uint_eq(last, 6);
	tear_down_journal();
}
END_TEST

/* It breaks while a read is under way, which is then about the past. */
START_TEST(a_read_under_way_is_of_no_use_to_a_new_ring)
{
	uint64_t last = 0;
	unsigned got = 0;

	begin();
	attach_bridge();
	publish_all(1, "cloud/x", LARGE, 150);
	for (int i = 0; i < 200 && !asked_read.is_asked; i++) {
		got += take(1, &last);
		run();
	}
	ck_assert(asked_read.is_asked);
	broker.links->endpoints[1]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&bridge);
	attach_bridge();
	run_all();
	got += take_all(&last);
	ck_assert_uint_eq(got, 150);
	ck_assert_uint_eq(last, 150);
	tear_down_journal();
}
END_TEST

/* What was sent and not settled is forgotten for receipts alone. */
START_TEST(httpd_breaks_its_link_with_records_in_the_line)
{
	uint64_t last = 0;

	begin();
	attach_bridge();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	broker.links->endpoints[0]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&httpd);
	commit_all(true);
	run_all();
	ck_assert_uint_eq(take_all(&last), 5);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_uint_eq(receipts(0), 0);
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run_all();
	ck_assert_uint_eq(receipts(0), 1);
	tear_down_journal();
}
END_TEST

/* ---- accounts ---------------------------------------------------------------
 */

static void
reconcile(void)
{
	const struct links_endpoint *endpoint = broker.links->endpoints[1];
	const struct ring_outcome outcome = links_endpoint_outcome(endpoint);
	const struct links_output *output = &endpoint->output;

	ck_assert_uint_eq(output->accepted,
	    output->former.delivered + outcome.delivered + output->dropped +
		output->former.dropped + outcome.dropped + queued_of_cloud());
}

START_TEST(accepted_is_what_became_of_it)
{
	uint64_t last = 0;

	begin();
	publish_all(1, "cloud/x", LARGE, 120);
	reconcile();
	attach_bridge();
	take(20, &last);
	run_all();
	reconcile();
	broker.links->endpoints[1]->fault = "the test says so";
	loop_again(broker.loop);
	run();
	kill_program(&bridge);
	run_all();
	reconcile();
	attach_bridge();
	take_all(&last);
	reconcile();
	ck_assert_uint_eq(broker.links->endpoints[1]->output.accepted, 120);
	restart();
	run_all();
	reconcile();
	tear_down_journal();
}
END_TEST

static unsigned put_bridges, put_sources, put_letters;
static struct store_dead last_letter;
static struct store_source last_source;

static int
put_record(void *context, enum store_kind kind, struct slice body)
{
	ck_assert_ptr_eq(context, &put_bridges);
	put_bridges += kind == STORE_BRIDGE;
	put_sources += kind == STORE_SOURCE;
	if (kind == STORE_SOURCE)
		ck_assert_int_eq(store_source_parse(body, &last_source), 0);
	put_letters += kind == STORE_DEAD;
	if (kind == STORE_DEAD)
		ck_assert_int_eq(store_dead_parse(body, &last_letter), 0);
	return 0;
}

START_TEST(a_checkpoint_has_bridges_and_what_is_settled)
{
	put_bridges = put_sources = 0;
	begin();
	publish_all(1, "cloud/x", 10, 5);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10), 0);
	run();
	ck_assert_int_eq(
	    links_checkpoint(broker.links, put_record, &put_bridges), 0);
	ck_assert_uint_eq(put_bridges, 3);
	ck_assert_uint_eq(put_sources, 1);
	ck_assert_uint_eq(last_source.lane, 1);
	ck_assert_uint_eq(last_source.sequence, 5);
	ck_assert_uint_eq(last_source.link, broker.links->endpoints[0]->source);
	tear_down_journal();
}
END_TEST

START_TEST(a_checkpoint_has_the_number_of_the_last_dead_letter)
{
	static const struct dead_parts parts = { .journal = 7 };
	struct dead *dead;

	put_letters = 0;
	begin();
	dead = &broker.links->endpoints[1]->dead;
	dead_add(dead, 0, &parts);
	dead_add(dead, 0, &parts);
	ck_assert_int_eq(
	    links_checkpoint(broker.links, put_record, &put_bridges), 0);
	ck_assert_uint_eq(put_letters, 2);
	ck_assert_uint_eq(last_letter.id, 2);
	ck_assert(!last_letter.is_gone);

	/* It is gone, its number not to be given out again. */
	dead_remove(dead, dead->last);
	ck_assert_int_eq(
	    links_checkpoint(broker.links, put_record, &put_bridges), 0);
	ck_assert_uint_eq(put_letters, 4);
	ck_assert_uint_eq(last_letter.id, 2);
	ck_assert(last_letter.is_gone);
	ck_assert_uint_eq(
	    last_letter.cursor, broker.links->endpoints[1]->feed->cursor);
	tear_down_journal();
}
END_TEST

static void
add_answers(TCase *tc)
{
	tcase_add_test(tc, a_record_is_answered_when_the_journal_has_it);
	tcase_add_test(
	    tc, what_the_journal_cannot_keep_is_refused_and_goes_nowhere);
	tcase_add_test(tc, a_lane_is_not_empty_before_all_is_settled);
	tcase_add_test(tc, a_bad_record_waits_for_its_turn);
	tcase_add_test(tc, what_nobody_wants_is_not_written);
	tcase_add_test(tc, a_sick_disk_refuses_at_once);
	tcase_add_test(tc, a_disk_that_is_behind_stalls_the_lane);
	tcase_add_test(tc, receipts_without_room_hold_what_is_settled);
}

static void
add_rings(TCase *tc)
{
	tcase_add_test(tc, a_bridge_gets_what_is_committed_in_order);
	tcase_add_test(tc, a_record_keeps_its_source);
	tcase_add_test(tc, the_floor_follows_what_the_bridge_releases);
	tcase_add_test(tc, what_finds_no_room_waits_in_the_journal);
	tcase_add_test(tc, a_refill_and_new_ones_make_one_order);
	tcase_add_test(tc, a_read_that_fails_is_tried_again);
	tcase_add_test(tc, a_read_that_fails_half_way_is_tried_again);
	tcase_add_test(tc, qos_0_goes_straight_and_waits_for_nothing);
	tcase_add_test(tc, a_full_backlog_stalls_its_lane_alone);
	tcase_add_test(tc, a_full_backlog_that_rejects_refuses);
	tcase_add_test(tc, what_waits_for_a_full_backlog_is_refused_in_time);
	tcase_add_test(tc, drop_newest_drops_in_front_of_the_journal);
	tcase_add_test(tc, drop_oldest_keeps_the_newest);
	tcase_add_test(tc, drop_oldest_asks_the_bridge_to_skip);
	tcase_add_test(tc, accepted_is_what_became_of_it);
}

static void
add_deaths(TCase *tc)
{
	tcase_add_test(
	    tc, what_was_committed_and_not_answered_is_not_taken_twice);
	tcase_add_test(tc, what_failed_among_others_is_taken_by_the_next_life);
	tcase_add_test(tc, what_was_not_committed_is_taken_by_the_next_life);
	tcase_add_test(tc, new_memory_is_not_taken_for_old);
	tcase_add_loop_test(tc, a_ring_that_is_kept_is_gone_on_with, 0, 21);
	tcase_add_test(
	    tc, a_ring_that_is_kept_is_full_and_the_journal_has_the_rest);
	tcase_add_test(tc, a_ring_that_is_gone_is_filled_again);
	tcase_add_loop_test(tc, a_ring_that_comes_back_is_gone_on_with, 0, 2);
	tcase_add_test(tc, another_journal_does_not_know_what_a_kept_ring_has);
	tcase_add_test(tc, a_link_that_breaks_loses_and_doubles_nothing);
	tcase_add_test(
	    tc, qos_0_in_a_ring_that_breaks_is_kept_beside_the_journal);
	tcase_add_test(tc, a_read_under_way_is_of_no_use_to_a_new_ring);
	tcase_add_test(tc, httpd_breaks_its_link_with_records_in_the_line);
	tcase_add_test(tc, a_checkpoint_has_bridges_and_what_is_settled);
	tcase_add_test(tc, a_checkpoint_has_the_number_of_the_last_dead_letter);
}

int
main(void)
{
	Suite *suite = suite_create("links_journal");
	TCase *tc = tcase_create("all");

	add_answers(tc);
	add_rings(tc);
	add_deaths(tc);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
