/* SPDX-License-Identifier: Apache-2.0 */

/* A remote that only listens, and both ends of a real link. */

#include "bridged/ingest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridged/counters.h"
#include "common/base/clock.h"
#include "common/mqtt/trail.h"
#include "common/msg/record.h"
#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

#define SELF "0123456789abcdef0123456789abcdef"
#define LANE_PLAIN 0
#define LANE_PLANT 4

/* An acknowledgement as the remote sees it. */
struct answer {
	uint16_t id;
	uint8_t qos;
	bool accepted;
};

static struct answer answers[1024];
static size_t answer_count;
static uint16_t reminded[16];
static size_t reminded_count;
static char asked[RING_NAME_MAX];
static unsigned asked_count;

static struct ingest ingest;
static struct notes notes;
static struct mapping rules;
static struct stats *stats;
static struct ring_link *broker, *endpoint;
static struct ring_consumer *plain, *plant;
static int broker_fd, endpoint_fd, read_only_fd;
static struct bell_fds bells;

static char filter[] = "#";
static char prefix[] = "in/";
static char none[] = "";
static struct conf_rule conf_rules[] = { { .filter = filter,
    .qos = 1,
    .local_prefix = prefix,
    .remote_prefix = none,
    .line = 1 } };

static const struct ring_link_identity identity = {
	.instance = { 1, 2, 3 },
	.link = 5,
	.endpoint_role = RING_ROLE_BRIDGE,
	.name = "cloud",
	.run_dir = "/run/weir-test",
};

static void
fake_acknowledge(struct remote *remote, uint16_t id, uint8_t qos, bool accepted)
{
	ck_assert_ptr_null(remote);
	answers[answer_count++] = (struct answer){ id, qos, accepted };
}

static void
fake_remind(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	reminded[reminded_count++] = id;
}

static const struct remote_kind fake = {
	.type = "fake",
	.acknowledge = fake_acknowledge,
	.remind = fake_remind,
};

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static void
open_lane(void *arg, const char *set)
{
	(void)arg;
	asked_count++;
	strcpy(asked, set);
}

static void
open_link(void)
{
	struct bell_fds b, e;

	ck_assert_int_eq(
	    ring_link_create(&identity, &broker_fd, &endpoint_fd), 0);
	read_only_fd = memfd_reopen_read_only(broker_fd);
	ck_assert_int_eq(bell_open(&bells), 0);
	b = (struct bell_fds){ dup(bells.to_broker),
		dup(bells.to_endpoint_send), -1 };
	e = (struct bell_fds){ dup(bells.to_broker), -1,
		dup(bells.to_endpoint_wait) };
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BROKER,
			     broker_fd, endpoint_fd, &b, &broker),
	    0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BRIDGE,
			     endpoint_fd, read_only_fd, &e, &endpoint),
	    0);
}

/* As a process does that begins with this link. */
static enum notes_found
open_notes(void)
{
	uint64_t committed[RING_LANES] = { 0 };
	struct ring_producer *producer;
	const char *fault;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		producer = ring_link_producer(endpoint, lane);
		if (producer != NULL)
			committed[lane] = ring_producer_sequence(producer);
	}
	return notes_open(
	    &notes, ring_link_notes(endpoint), 1, committed, &fault);
}

static bool
come_up(bool session_present, const char *weir_id)
{
	struct remote_limits limits = { .session_present = session_present };

	strcpy(limits.weir_id, weir_id);
	notes_connecting(&notes);
	return ingest_up(&ingest, &limits);
}

/* A lane of 4 KiB: records of 1 KiB at most. */
static struct ring_consumer *
add_lane(uint32_t lane, const char *set)
{
	struct ring_lane_geometry geometry = {
		.lane = lane, .min_shift = RING_MIN_SHIFT_LOW, .classes = 1
	};
	struct ring_producer *producer;
	struct ring_consumer *consumer;
	int fd;

	strcpy(geometry.name, set);
	fd = ring_link_create_lane(&identity, RING_ROLE_BRIDGE, &geometry);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    ring_link_add_consumer(broker, &geometry, fd, &consumer), 0);
	ck_assert_int_eq(
	    ring_link_add_producer(endpoint, &geometry, fd, &producer), 0);
	close(fd);
	ring_grant(consumer, UINT64_C(1) << 40);
	lane_table_opened(ingest.lanes, set, lane);
	return consumer;
}

static void
setup(void)
{
	size_t bad;

	answer_count = 0;
	asked_count = 0;
	reminded_count = 0;
	memset(&notes, 0, sizeof(notes));
	ck_assert_int_eq(
	    stats_create("test", counter_rows, BRIDGED_COUNTERS, 1, &stats), 0);
	ck_assert_int_eq(
	    mapping_init(&rules, conf_rules, 1, MAPPING_RECEIVE, &bad), 0);
	ck_assert_int_eq(ingest_init(&ingest, "cloud", &rules, &fake, NULL,
			     &notes, stats_block(stats, 0), open_lane, NULL),
	    0);
	lane_table_begin(ingest.lanes);
	lane_table_add(ingest.lanes, "plant", "in/plant/#", 10);
	lane_table_add(ingest.lanes, "cloud", "#", 1);
	ck_assert_int_eq(lane_table_end(ingest.lanes), 0);
	open_link();
	open_notes();
	ingest_attach(&ingest, endpoint, SELF);
	plain = add_lane(LANE_PLAIN, "");
	plant = add_lane(LANE_PLANT, "plant");
}

static void
teardown(void)
{
	ingest_fini(&ingest);
	mapping_fini(&rules);
	stats_free(stats);
	ring_link_detach(broker);
	ring_link_detach(endpoint);
	bell_close(&bells);
	close(broker_fd);
	close(endpoint_fd);
	close(read_only_fd);
}

static void
receive_bytes(
    const char *topic, uint8_t qos, uint16_t id, const void *bytes, size_t len)
{
	struct remote_message message = {
		.id = id,
		.qos = qos,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string(topic),
		.payload = slice_of(bytes, len),
	};

	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
}

static void
receive(const char *topic, uint8_t qos, uint16_t id)
{
	receive_bytes(topic, qos, id, &id, sizeof(id));
}

static void
work(void)
{
	ingest_work(&ingest, CLOCK_SECOND_NS);
}

/* Take one record; returns the number in its payload, 0 when there is none. */
static uint16_t
take(struct ring_consumer *lane)
{
	struct record_message message;
	struct ring_record record;
	const void *payload;
	uint8_t body[1024];
	uint16_t number;

	if (ring_peek(lane, &record, &payload) != 1)
		return 0;
	memcpy(body, payload, record.length);
	ck_assert_int_eq(
	    record_message_parse(body, record.length, &message), 0);
	ck_assert_uint_eq(record.time_ns, CLOCK_SECOND_NS);
	ck_assert(slice_starts_with(message.topic, slice_of_string("in/")));
	memcpy(&number, message.payload.data, sizeof(number));
	ring_release(lane, ring_next(lane), NULL, 0);
	return number;
}

/* Fill the lane of the bridge "plant" with QoS 1 messages from `id` on. */
static uint16_t
fill_plant(uint16_t id)
{
	for (; ingest.waiting == 0; id++) {
		receive("plant/a", 1, id);
		work();
	}
	return id;
}

/* Take the message; returns its retain flag. */
static bool
take_retain(struct ring_consumer *lane)
{
	struct record_message message;
	struct ring_record record;
	const void *payload;

	ck_assert_int_eq(ring_peek(lane, &record, &payload), 1);
	ck_assert_int_eq(
	    record_message_parse(payload, record.length, &message), 0);
	ring_release(lane, ring_next(lane), NULL, 0);
	return message.retain;
}

START_TEST(changes_the_retain_flag_as_the_rule_says)
{
	struct remote_message message = {
		.id = 1,
		.qos = 1,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
		.retain = true,
	};

	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	rules.rules[0].retain = CONF_RETAIN_CLEAR;
	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	message.retain = false;
	rules.rules[0].retain = CONF_RETAIN_SET;
	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	work();
	ck_assert(take_retain(plain));
	ck_assert(!take_retain(plain));
	ck_assert(take_retain(plain));
}
END_TEST

START_TEST(drops_what_was_retained_where_the_remote_cannot_keep_it)
{
	struct remote_limits limits = { .marks_retained = true };
	struct remote_message message = {
		.id = 1,
		.qos = 1,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
		.retain = true,
	};

	rules.rules[0].retain_handling = CONF_RETAIN_HANDLING_NEVER;
	for (unsigned i = 0; i < 2; i++) {
		limits.marks_retained = i == 0;
		notes_connecting(&notes);
		ck_assert(ingest_up(&ingest, &limits));
		ingest_received(&ingest, &message, CLOCK_SECOND_NS);
		work();
		ck_assert_uint_eq(answer_count, i + 1);
		ck_assert(answers[i].accepted);
	}
	ck_assert(take_retain(plain)); /* the second */
	ck_assert_uint_eq(take(plain), 0);
}
END_TEST

START_TEST(stops_what_has_passed_too_many_weirs)
{
	uint8_t once[TRAIL_SIZE(32)], twice[2 * TRAIL_SIZE(32)];
	struct remote_message message = {
		.id = 1,
		.qos = 1,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
	};

	ingest.max_hops = 1;
	message.properties = slice_of(once,
	    trail_add(
		slice_of(NULL, 0), "11111111111111111111111111111111", once));
	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	message.id = 2;
	message.properties = slice_of(twice,
	    trail_add(
		message.properties, "22222222222222222222222222222222", twice));
	ingest_received(&ingest, &message, CLOCK_SECOND_NS);
	work();
	/* Both are acknowledged; the second goes no further. */
	ck_assert_uint_eq(answer_count, 2);
	ck_assert(answers[1].accepted);
	take_retain(plain);
	ck_assert_uint_eq(take(plain), 0);
}
END_TEST

START_TEST(tells_the_broker_what_is_our_own)
{
	struct record_message message = {
		.qos = 1,
		.retain = true,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = slice_of_string("state"),
	};

	ck_assert(ingest_tell(&ingest, &message, CLOCK_SECOND_NS));
	work();
	ck_assert_uint_eq(answer_count, 0);
	ck_assert(take_retain(plain));
	/* Without room nothing is counted as lost: it is told later. */
	ingest.qos0_bytes = INGEST_QOS0_BYTES;
	ck_assert(!ingest_tell(&ingest, &message, CLOCK_SECOND_NS));
	ingest.qos0_bytes = 0;
	ck_assert_uint_eq(stats_read(stats, BRIDGED_received_dropped), 0);
}
END_TEST

START_TEST(acknowledges_what_is_committed)
{
	receive("a", 1, 7);
	ck_assert_uint_eq(answer_count, 0);
	work();
	ck_assert_uint_eq(answer_count, 1);
	ck_assert_uint_eq(answers[0].id, 7);
	ck_assert(answers[0].accepted);
	ck_assert_uint_eq(take(plain), 7);
	ck_assert_uint_eq(take(plain), 0);
}
END_TEST

/* A power cut takes what is in a lane, and not what is in the journal. */
START_TEST(with_a_journal_acknowledges_what_the_broker_released)
{
	ingest.awaits_journal = true;
	receive("a", 1, 7);
	receive("plant/a", 2, 8);
	receive("a", 1, 9);
	work();
	ck_assert_uint_eq(answer_count, 0);
	ck_assert(!ingest_is_movable(&ingest));
	ck_assert_uint_eq(take(plant), 8);
	ck_assert(ingest_is_movable(&ingest));
	work();
	/* In the order in which they came. */
	ck_assert_uint_eq(answer_count, 0);
	ck_assert(!ingest_is_movable(&ingest));
	ck_assert_uint_eq(take(plain), 7);
	work();
	ck_assert_uint_eq(answer_count, 2);
	ck_assert_uint_eq(answers[0].id, 7);
	ck_assert_uint_eq(answers[1].id, 8);
	ck_assert(answers[1].accepted);
	ck_assert_uint_eq(take(plain), 9);
	work();
	ck_assert_uint_eq(answer_count, 3);
	ck_assert_uint_eq(ingest.given, 0);
}
END_TEST

START_TEST(with_a_journal_a_lane_outlives_the_broker_all_the_same)
{
	ingest.awaits_journal = true;
	receive("a", 1, 7);
	work();
	ck_assert_uint_eq(answer_count, 0);
	ingest_detach(&ingest);
	work();
	ck_assert_uint_eq(answer_count, 1);
}
END_TEST

START_TEST(with_a_journal_a_remote_that_goes_sends_it_again)
{
	ingest.awaits_journal = true;
	receive("a", 1, 7);
	work();
	ingest_down(&ingest);
	ck_assert_uint_eq(ingest.given, 0);
	take(plain);
	work();
	ck_assert_uint_eq(answer_count, 0);
}
END_TEST

START_TEST(puts_a_topic_into_the_lane_of_its_set)
{
	receive("plant/a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 0);
	ck_assert_uint_eq(take(plant), 7);
	ck_assert_uint_eq(answers[0].qos, 2);
}
END_TEST

START_TEST(marks_and_notes_one_message_in_n)
{
	static struct ring_trace_event events[RING_TRACE_ENTRIES];
	struct ring_trace_state state;
	struct ring_record record;
	const void *payload;

	ring_trace_set_every(ring_link_trace(endpoint), 2);
	receive("plant/a", 1, 1);
	receive("plant/a", 1, 2);
	work();
	ck_assert_int_eq(ring_peek(plant, &record, &payload), 1);
	ck_assert_uint_eq(record.flags, RING_TRACED);
	ring_next(plant);
	ck_assert_int_eq(ring_peek(plant, &record, &payload), 1);
	ck_assert_uint_eq(record.flags, 0);

	ck_assert_int_eq(ring_trace_read(endpoint_fd, events, &state), 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_uint_eq(events[i].id.link, identity.link);
		ck_assert_uint_eq(events[i].id.lane, LANE_PLANT);
		ck_assert_uint_eq(events[i].id.sequence, 1);
	}
	ck_assert_int_eq(events[0].stage, RING_TRACE_READ);
	ck_assert_uint_eq(events[0].time_ns, CLOCK_SECOND_NS);
	ck_assert_int_eq(events[1].stage, RING_TRACE_PUT);
}
END_TEST

START_TEST(withholds_acknowledgements_while_a_lane_is_full)
{
	uint16_t last = fill_plant(1) - 1;

	ck_assert_uint_eq(answer_count, last - 1);
	ck_assert(!ingest_is_movable(&ingest));
	ck_assert_uint_eq(take(plant), 1);
	ck_assert(ingest_is_movable(&ingest));
	work();
	ck_assert_uint_eq(answer_count, last);
	ck_assert_uint_eq(answers[last - 1].id, last);
}
END_TEST

START_TEST(lets_other_lanes_pass_a_full_one_but_answers_in_order)
{
	uint16_t last = fill_plant(1) - 1;
	size_t before = answer_count;

	receive("a", 1, 900);
	work();
	ck_assert_uint_eq(take(plain), 900);
	ck_assert_uint_eq(answer_count, before);
	take(plant);
	work();
	ck_assert_uint_eq(answer_count, before + 2);
	ck_assert_uint_eq(answers[before].id, last);
	ck_assert_uint_eq(answers[before + 1].id, 900);
}
END_TEST

START_TEST(keeps_the_order_within_a_lane_when_a_smaller_one_would_fit)
{
	static const uint8_t large[900] = { 0x39, 0x30 };
	uint16_t number;

	for (uint16_t id = 1; id < 4; id++) {
		receive_bytes("plant/a", 1, id, large, sizeof(large));
		work();
	}
	receive_bytes("plant/a", 1, 4, large, sizeof(large));
	receive_bytes("plant/a", 1, 5, large, sizeof(large));
	receive("plant/a", 1, 6);
	work();
	ck_assert_uint_lt(answer_count, 5);
	for (int taken = 0; taken < 5; taken++) {
		number = take(plant);
		ck_assert_uint_eq(number, 0x3039);
		work();
	}
	ck_assert_uint_eq(take(plant), 6);
	ck_assert_uint_eq(answer_count, 6);
}
END_TEST

START_TEST(drops_qos_0_when_its_queue_is_full)
{
	static uint8_t large[800];

	fill_plant(1);
	for (int i = 0; i < 2000; i++)
		receive_bytes("plant/a", 0, 0, large, sizeof(large));
	ck_assert_uint_gt(stats_read(stats, BRIDGED_received_dropped), 0);
	ck_assert_uint_le(ingest.qos0_bytes, INGEST_QOS0_BYTES);
	receive("plant/a", 1, 500);
	ck_assert_uint_eq(ingest.first == NULL, false);
}
END_TEST

START_TEST(leaves_to_the_remote_what_it_will_send_again)
{
	fill_plant(1);
	receive("plant/a", 0, 77);
	ingest_down(&ingest);
	ck_assert_uint_eq(ingest.waiting, 1);
	while (take(plant) != 0)
		work();
	ck_assert_uint_eq(ingest.waiting, 0);
}
END_TEST

START_TEST(drops_what_has_been_here_before_and_acknowledges_it)
{
	uint8_t properties[TRAIL_SIZE(32)];
	struct remote_message message = {
		.id = 3,
		.qos = 1,
		.topic = slice_of_string("a"),
	};
	size_t len = trail_add(slice_of(NULL, 0), SELF, properties);

	message.properties = slice_of(properties, len);
	ingest_received(&ingest, &message, 0);
	work();
	ck_assert_uint_eq(take(plain), 0);
	ck_assert_uint_eq(answer_count, 1);
	ck_assert(answers[0].accepted);
	ck_assert_uint_eq(stats_read(stats, BRIDGED_loops), 1);
}
END_TEST

/* Else another bridge could carry it back to where it came from. */
START_TEST(adds_a_weir_that_is_the_remote_to_the_trail_once)
{
	static const char other[] = "00112233445566778899aabbccddeeff";
	struct remote_message message = {
		.id = 3,
		.qos = 1,
		.topic = slice_of_string("a"),
	};
	const uint16_t number = 7;
	uint8_t properties[2 * TRAIL_SIZE(32)], copy[1024];
	struct record_message body;
	struct ring_record record;
	const void *payload;

	message.payload = slice_of(&number, sizeof(number));
	ck_assert(come_up(false, other));
	for (unsigned round = 0; round < 2; round++) {
		ingest_received(&ingest, &message, CLOCK_SECOND_NS);
		work();
		ck_assert_int_eq(ring_peek(plain, &record, &payload), 1);
		memcpy(copy, payload, record.length);
		ck_assert_int_eq(
		    record_message_parse(copy, record.length, &body), 0);
		ck_assert(trail_contains(body.properties, other));
		ck_assert_uint_eq(body.properties.len, TRAIL_SIZE(32));
		memcpy(properties, body.properties.data, body.properties.len);
		message.properties = slice_of(properties, body.properties.len);
		ck_assert_uint_eq(take(plain), number);
	}
}
END_TEST

START_TEST(refuses_what_can_never_fit_and_goes_on)
{
	static const uint8_t huge[2000];

	receive_bytes("a", 1, 1, huge, sizeof(huge));
	receive("a", 1, 2);
	work();
	ck_assert_uint_eq(answer_count, 2);
	ck_assert(!answers[0].accepted);
	ck_assert(answers[1].accepted);
	ck_assert_uint_eq(take(plain), 2);
	ck_assert_uint_eq(stats_read(stats, BRIDGED_received_refused), 1);
}
END_TEST

START_TEST(asks_for_a_lane_once_and_waits_for_it)
{
	lane_table_reset(ingest.lanes);
	receive("plant/a", 1, 1);
	receive("plant/a", 1, 2);
	work();
	work();
	ck_assert_uint_eq(asked_count, 1);
	ck_assert_str_eq(asked, "plant");
	ck_assert_uint_eq(answer_count, 0);
	lane_table_opened(ingest.lanes, "plant", LANE_PLANT);
	ck_assert(ingest_is_movable(&ingest));
	work();
	ck_assert_uint_eq(answer_count, 2);
}
END_TEST

START_TEST(gives_a_qos_2_message_on_once_until_it_is_released)
{
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 7);
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 0);
	ck_assert_uint_eq(answer_count, 2);
	ck_assert_uint_eq(stats_read(stats, BRIDGED_received_copies), 1);
	ck_assert(ingest_forgotten(&ingest, 7));
	ck_assert(!ingest_forgotten(&ingest, 7));
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 7);
}
END_TEST

START_TEST(answers_a_copy_in_its_turn)
{
	receive("a", 2, 900);
	work();
	fill_plant(1);
	answer_count = 0;
	receive("a", 2, 900);
	work();
	ck_assert_uint_eq(answer_count, 0);
	take(plant);
	work();
	ck_assert_uint_eq(answer_count, 2);
	ck_assert_uint_eq(answers[1].id, 900);
}
END_TEST

START_TEST(knows_a_copy_when_the_connection_or_the_broker_was_lost)
{
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 7);
	ingest_down(&ingest);
	if (_i == 1) {
		ingest_detach(&ingest);
		notes_close(&notes);
		ck_assert_int_eq(open_notes(), NOTES_RESUMED);
		ingest_attach(&ingest, endpoint, SELF);
		lane_table_opened(ingest.lanes, "", LANE_PLAIN);
	}
	ck_assert(come_up(true, ""));
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 0);

	/* A new session has new messages. */
	ck_assert(come_up(false, ""));
	receive("a", 2, 7);
	work();
	ck_assert_uint_eq(take(plain), 7);
}
END_TEST

START_TEST(asks_the_remote_when_the_session_is_in_doubt)
{
	receive("a", 2, 7);
	receive("a", 2, 8);
	work();
	notes_connecting(&notes);
	ck_assert(!come_up(true, ""));
	ck_assert_uint_eq(reminded_count, 2);
	ck_assert_uint_eq(reminded[0] + reminded[1], 15);
	ck_assert(ingest_forgotten(&ingest, 7));
	ck_assert(notes_is_in_doubt(&notes));
	ck_assert(ingest_forgotten(&ingest, 8));
	ck_assert(!notes_is_in_doubt(&notes));
	ck_assert(come_up(true, ""));
}
END_TEST

START_TEST(waits_for_a_place_to_note_a_qos_2_message)
{
	uint16_t id = 0;

	while (notes_has_room(&notes)) {
		id++;
		notes_take(&notes, id, LANE_PLAIN, id);
	}
	receive("a", 2, 60000);
	receive("a", 1, 60001);
	work();
	/* The lane keeps its order, and does not spin meanwhile. */
	ck_assert_uint_eq(take(plain), 0);
	ck_assert_uint_eq(ingest.waiting, 2);
	ck_assert(!ingest_is_movable(&ingest));
	ck_assert(ingest_forgotten(&ingest, 3));
	ck_assert(ingest_is_movable(&ingest));
	work();
	ck_assert_uint_eq(take(plain), 60000);
	ck_assert_uint_eq(take(plain), 60001);
}
END_TEST

START_TEST(does_not_spin_for_a_smaller_one_behind_a_full_lane)
{
	static const uint8_t large[900];

	for (uint16_t id = 1; ingest.waiting == 0; id++) {
		receive_bytes("plant/a", 1, id, large, sizeof(large));
		work();
	}
	receive("plant/a", 1, 99);
	ck_assert(!ingest_is_movable(&ingest));
}
END_TEST

START_TEST(holds_everything_while_there_is_no_broker)
{
	ingest_detach(&ingest);
	receive("a", 1, 1);
	work();
	ck_assert_uint_eq(answer_count, 0);
	ck_assert(!ingest_is_movable(&ingest));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ingest");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, changes_the_retain_flag_as_the_rule_says);
	tcase_add_test(
	    tc, drops_what_was_retained_where_the_remote_cannot_keep_it);
	tcase_add_test(tc, stops_what_has_passed_too_many_weirs);
	tcase_add_test(tc, tells_the_broker_what_is_our_own);
	tcase_add_test(tc, acknowledges_what_is_committed);
	tcase_add_test(
	    tc, with_a_journal_acknowledges_what_the_broker_released);
	tcase_add_test(
	    tc, with_a_journal_a_lane_outlives_the_broker_all_the_same);
	tcase_add_test(tc, with_a_journal_a_remote_that_goes_sends_it_again);
	tcase_add_test(tc, puts_a_topic_into_the_lane_of_its_set);
	tcase_add_test(tc, marks_and_notes_one_message_in_n);
	tcase_add_test(tc, withholds_acknowledgements_while_a_lane_is_full);
	tcase_add_test(
	    tc, lets_other_lanes_pass_a_full_one_but_answers_in_order);
	tcase_add_test(
	    tc, keeps_the_order_within_a_lane_when_a_smaller_one_would_fit);
	tcase_add_test(tc, drops_qos_0_when_its_queue_is_full);
	tcase_add_test(tc, leaves_to_the_remote_what_it_will_send_again);
	tcase_add_test(tc, drops_what_has_been_here_before_and_acknowledges_it);
	tcase_add_test(tc, adds_a_weir_that_is_the_remote_to_the_trail_once);
	tcase_add_test(tc, refuses_what_can_never_fit_and_goes_on);
	tcase_add_test(tc, asks_for_a_lane_once_and_waits_for_it);
	tcase_add_test(tc, gives_a_qos_2_message_on_once_until_it_is_released);
	tcase_add_test(tc, answers_a_copy_in_its_turn);
	tcase_add_loop_test(
	    tc, knows_a_copy_when_the_connection_or_the_broker_was_lost, 0, 2);
	tcase_add_test(tc, asks_the_remote_when_the_session_is_in_doubt);
	tcase_add_test(tc, waits_for_a_place_to_note_a_qos_2_message);
	tcase_add_test(tc, does_not_spin_for_a_smaller_one_behind_a_full_lane);
	tcase_add_test(tc, holds_everything_while_there_is_no_broker);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
