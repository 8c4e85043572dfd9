/* SPDX-License-Identifier: Apache-2.0 */

/* A ring in plain memory on one side, a remote that obeys on the other. */

#include "bridged/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridged/counters.h"
#include "common/base/clock.h"
#include "common/mqtt/properties.h"
#include "common/mqtt/trail.h"
#include "common/msg/record.h"
#include "common/ring/ring_producer.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define SHIFT 14u
#define SIZE (UINT64_C(1) << SHIFT)
#define SELF "0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210"
#define MOST_SENT 4096

struct memory {
	struct ring_head head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
	_Alignas(4096) uint8_t data[RING_PAGE + 7 * SIZE];
};

/* What the remote was given. */
struct sent {
	uint16_t id;
	uint8_t qos;
	bool dup;
	uint32_t expiry_s;
	char topic[64];
	unsigned number; /* the payload's */
	bool has_trail;
};

static struct sent sent[MOST_SENT];
static size_t sent_count;
static int send_result;
static uint8_t remote_max_qos;
static size_t window;
static uint16_t released_ids[16];
static size_t released_count;
static size_t ended_count, end_at_most;
static int end_result;
static uint16_t first_ended, last_ended;

static struct memory *memory;
static uint32_t classes; /* at most 3: so much memory there is */
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static struct forward forward;
static struct notes notes;
static struct notes_memory *notes_memory;
static struct mapping rules;
static struct stats *stats;
static uint64_t now_ns;

static char filter_one[] = "one/#";
static char filter_two[] = "two/#";
static char filter_zero[] = "zero/#";
static char none[] = "";
static char prefix[] = "far/";
static struct conf_rule conf_rules[] = {
	{ .filter = filter_one,
	    .qos = 1,
	    .local_prefix = none,
	    .remote_prefix = prefix,
	    .line = 1 },
	{ .filter = filter_two,
	    .qos = 2,
	    .local_prefix = none,
	    .remote_prefix = none,
	    .line = 2 },
	{ .filter = filter_zero,
	    .qos = 0,
	    .local_prefix = none,
	    .remote_prefix = none,
	    .line = 3 },
};
#define FIRST "11111111111111111111111111111111"
#define SECOND_WEIR "22222222222222222222222222222222"

static char name[] = "cloud";
static struct conf_bridge conf;
static uint32_t flags; /* of the records that are put */

static int
fake_send(struct remote *remote, const struct remote_message *message)
{
	struct sent *s = &sent[sent_count];

	ck_assert_ptr_null(remote);
	if (send_result != 0)
		return send_result;
	ck_assert_uint_lt(sent_count++, MOST_SENT);
	*s = (struct sent){
		.id = message->id,
		.qos = message->qos,
		.dup = message->dup,
		.expiry_s = message->expiry_s,
		.has_trail = trail_contains(message->properties, SELF),
	};
	snprintf(s->topic, sizeof(s->topic), "%.*s", (int)message->topic.len,
	    (const char *)message->topic.data);
	ck_assert_uint_eq(message->payload.len, sizeof(s->number));
	memcpy(&s->number, message->payload.data, sizeof(s->number));
	return 0;
}

static int
fake_release(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	ck_assert_uint_lt(released_count, 16);
	released_ids[released_count++] = id;
	return 0;
}

static int
fake_end(struct remote *remote, uint16_t id)
{
	ck_assert_ptr_null(remote);
	if (end_result != 0 && ended_count >= end_at_most)
		return end_result;
	if (ended_count++ == 0)
		first_ended = id;
	last_ended = id;
	return 0;
}

static const struct remote_kind fake = {
	.type = "fake",
	.send = fake_send,
	.release = fake_release,
	.end = fake_end,
};

static const struct stats_row counter_rows[] = {
#define STAT(kind, name, help) STATS_ROW(kind, name, help)
#include "bridged/counters.def"
#undef STAT
};

static uint64_t
counted(enum bridged_counter counter)
{
	return stats_read(stats, counter);
}

static int
change_space(void *context, uint64_t offset, uint64_t length)
{
	(void)context;
	ck_assert_uint_le(offset + length, sizeof(memory->data));
	return 0;
}

static void
open_ring(void)
{
	const struct ring_producer_memory p = {
		.head = &memory->head,
		.own = &memory->producer,
		.peer = &memory->consumer,
		.data = memory->data,
		.space = { .allocate = change_space, .punch = change_space },
		.min_shift = SHIFT,
		.classes = classes,
	};
	const struct ring_consumer_memory c = {
		.head = &memory->head,
		.peer = &memory->producer,
		.own = &memory->consumer,
		.data = memory->data,
		.min_shift = SHIFT,
		.classes = classes,
	};

	producer = ring_producer_new(&p);
	consumer = ring_consumer_new(&c);
	ck_assert_ptr_nonnull(producer);
	ck_assert_ptr_nonnull(consumer);
}

static void
start(void)
{
	static const uint64_t committed[RING_LANES];
	const char *fault;

	memset(&notes, 0, sizeof(notes));
	notes_open(&notes, notes_memory, 1, committed, &fault);
	ck_assert_int_eq(forward_init(&forward, &conf, &rules, &fake, NULL,
			     &notes, stats_block(stats, 0), SIZE / 4, now_ns),
	    0);
	forward_attach(&forward, consumer, SELF);
}

/* Another process: nothing but the shared memory is left. */
static void
die_and_start(void)
{
	forward_fini(&forward);
	ring_consumer_free(consumer);
	ring_producer_free(producer);
	open_ring();
	start();
}

static void
setup(void)
{
	size_t bad;

	flags = 0;
	sent_count = 0;
	send_result = 0;
	remote_max_qos = 2;
	window = 4;
	classes = 1;
	now_ns = 1000 * SECOND;
	conf = (struct conf_bridge){
		.name = name, .max_inflight = 4, .overflow = CONF_OVERFLOW_STALL
	};
	released_count = ended_count = 0;
	end_result = 0;
	end_at_most = SIZE_MAX;
	notes_memory = aligned_alloc(4096, sizeof(*notes_memory));
	ck_assert_ptr_nonnull(notes_memory);
	memset(notes_memory, 0, sizeof(*notes_memory));
	memory = aligned_alloc(4096, sizeof(*memory));
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, sizeof(*memory));
	open_ring();
	ck_assert_int_eq(
	    mapping_init(&rules, conf_rules, 3, MAPPING_FORWARD, &bad), 0);
	ck_assert_int_eq(
	    stats_create("test", counter_rows, BRIDGED_COUNTERS, 1, &stats), 0);
	start();
}

static void
teardown(void)
{
	forward_fini(&forward);
	mapping_fini(&rules);
	stats_free(stats);
	ring_producer_free(producer);
	ring_consumer_free(consumer);
	free(memory);
	free(notes_memory);
}

/* One turn of the loop. */
static enum forward_result
work(void)
{
	const char *fault = NULL;
	enum forward_result result;

	result = forward_work(&forward, now_ns, &fault);
	if (result == FORWARD_POISONED)
		ck_assert_ptr_nonnull(fault);
	return result;
}

static void
come_up(bool session_present)
{
	struct remote_limits limits = { .window = window,
		.max_qos = remote_max_qos,
		.session_present = session_present };

	strcpy(limits.weir_id, OTHER);
	forward_up(&forward, &limits);
}

static bool
put_message(const char *topic, unsigned number, uint32_t expiry_s,
    struct slice properties)
{
	struct record_message message = {
		.qos = 1,
		.expiry_s = expiry_s,
		.topic = slice_of_string(topic),
		.properties = properties,
		.payload = slice_of(&number, sizeof(number)),
	};
	struct ring_record record = {
		.kind = RECORD_MESSAGE, .time_ns = now_ns, .flags = flags
	};
	void *place;

	record.length = (uint32_t)record_message_size(&message);
	if (ring_claim(producer, record.length, &place) != 0)
		return false;
	record_message_write(&message, place);
	ring_put(producer, &record);
	ring_commit(producer, now_ns);
	return true;
}

static bool
put(const char *topic, unsigned number)
{
	return put_message(
	    topic, number, RECORD_NEVER_EXPIRES, slice_of(NULL, 0));
}

static void
begin(void)
{
	work();
	come_up(false);
}

static void
settle(size_t index, enum remote_verdict verdict)
{
	forward_settled(&forward, sent[index].id, verdict, "test", now_ns);
}

/* The totals that count: those of the slot with the tail. */
static struct ring_outcome
totals(void)
{
	struct ring_lane_consumer *own = &memory->consumer;
	struct ring_tail_slot *slot =
	    &own->slot[own->slot[0].tail == own->tail ? 0 : 1];

	return (
	    struct ring_outcome){ slot->delivered, slot->dropped, slot->dead };
}

START_TEST(releases_a_record_only_when_the_remote_has_it)
{
	begin();
	put("one/a", 1);
	work();
	ck_assert_uint_eq(sent_count, 1);
	work();
	ck_assert_uint_ne(ring_producer_used_bytes(producer), 0);
	settle(0, REMOTE_TOOK);
	ck_assert_uint_ne(ring_producer_used_bytes(producer), 0);
	work();
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
	ck_assert_uint_eq(totals().delivered, 1);
}
END_TEST

START_TEST(notes_when_a_traced_message_is_sent_and_acknowledged)
{
	static struct ring_trace_area area;
	struct ring_trace trace;
	static const enum ring_trace_stage stages[] = { RING_TRACE_SENT,
		RING_TRACE_SENT, RING_TRACE_ACKED };

	memset(&area, 0, sizeof(area));
	ring_trace_init(&trace, &area);
	forward_set_trace(&forward, &trace);
	begin();
	put("one/a", 1);
	flags = RING_TRACED;
	put("one/a", 2);
	work();
	settle(0, REMOTE_TOOK);
	ck_assert_uint_eq(area.written, 1);
	settle(1, REMOTE_LATER);
	ck_assert_uint_eq(area.written, 1);
	now_ns += 2 * SECOND;
	work();
	settle(1, REMOTE_TOOK);
	ck_assert_uint_eq(area.written, 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(area.entry[i].place & 0xffff, stages[i]);
}
END_TEST

static unsigned refreshes;

/* The configuration has a rule for it since a moment ago. */
static void
learn_three(void *arg)
{
	static char filter_three[] = "three/#";
	static struct conf_rule rule = { .filter = filter_three,
		.qos = 1,
		.local_prefix = none,
		.remote_prefix = none,
		.line = 1 };
	size_t bad;

	ck_assert_ptr_eq(arg, &refreshes);
	if (refreshes++ == 0)
		return;
	mapping_fini(&rules);
	ck_assert_int_eq(
	    mapping_init(&rules, &rule, 1, MAPPING_FORWARD, &bad), 0);
	forward_conf_changed(&forward, now_ns);
}

START_TEST(sends_no_faster_than_the_rate_allows)
{
	conf.rate.per_second = 10;
	conf.rate.burst = 2;
	forward_conf_changed(&forward, now_ns);
	begin();
	for (unsigned i = 1; i <= 4; i++)
		put("one/a", i);
	ck_assert_int_eq(work(), FORWARD_WAITS);
	ck_assert_uint_eq(sent_count, 2);
	ck_assert(!forward_is_movable(&forward, now_ns));
	ck_assert_uint_eq(forward_wait_ns(&forward, now_ns), SECOND / 10);
	now_ns += SECOND / 10;
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 3);
	/* Without a limit from now on. */
	conf.rate = (struct conf_rate){ 0 };
	forward_conf_changed(&forward, now_ns);
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 4);
}
END_TEST

START_TEST(pays_for_nothing_that_the_socket_did_not_take)
{
	conf.rate.per_second = 1;
	conf.rate.burst = 1;
	forward_conf_changed(&forward, now_ns);
	begin();
	put("one/a", 1);
	send_result = -EAGAIN;
	work();
	send_result = 0;
	forward_writable(&forward);
	work();
	ck_assert_uint_eq(sent_count, 1);
}
END_TEST

START_TEST(stops_what_has_passed_too_many_weirs)
{
	uint8_t once[TRAIL_SIZE(32)], twice[2 * TRAIL_SIZE(32)];
	struct slice trail;

	conf.max_hops = 2;
	begin();
	trail = slice_of(once, trail_add(slice_of(NULL, 0), FIRST, once));
	ck_assert(put_message("one/a", 1, RECORD_NEVER_EXPIRES, trail));
	trail = slice_of(twice, trail_add(trail, SECOND_WEIR, twice));
	ck_assert_uint_eq(trail_length(trail), 2);
	ck_assert(put_message("one/a", 2, RECORD_NEVER_EXPIRES, trail));
	work();
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent[0].number, 1);
	settle(0, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(totals().dropped, 1);
}
END_TEST

START_TEST(knows_what_waits)
{
	work();
	ck_assert(!forward_has_waiting(&forward));
	ck_assert_uint_eq(forward_unread_since_ns(&forward), 0);
	put("one/a", 1);
	ck_assert(forward_has_waiting(&forward));
	ck_assert_uint_gt(forward_unread_bytes(&forward), 0);
	ck_assert_uint_eq(forward_unread_since_ns(&forward), now_ns);
	begin();
	work();
	ck_assert_uint_eq(forward_unread_bytes(&forward), 0);
	ck_assert(forward_has_waiting(&forward));
	settle(0, REMOTE_TOOK);
	work();
	ck_assert(!forward_has_waiting(&forward));
}
END_TEST

START_TEST(looks_for_newer_rules_before_it_drops_what_matches_none)
{
	begin();
	forward_set_refresh(&forward, learn_three, &refreshes);
	put("three/a", 1); /* there is none even then */
	put("three/a", 2);
	work();
	ck_assert_uint_eq(refreshes, 2);
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent[0].number, 2);
	ck_assert_str_eq(sent[0].topic, "three/a");
	put("three/b", 3);
	work();
	ck_assert_uint_eq(refreshes, 2);
	ck_assert_uint_eq(sent_count, 2);
}
END_TEST

START_TEST(maps_topic_and_qos_and_adds_the_trail)
{
	begin();
	put("one/a", 1);
	put("two/a", 2);
	work();
	ck_assert_str_eq(sent[0].topic, "far/one/a");
	ck_assert_uint_eq(sent[0].qos, 1);
	ck_assert(sent[0].has_trail);
	ck_assert_str_eq(sent[1].topic, "two/a");
	ck_assert_uint_eq(sent[1].qos, 2);
}
END_TEST

START_TEST(sends_no_more_than_the_window)
{
	begin();
	for (unsigned i = 0; i < 6; i++)
		put("one/a", i);
	work();
	work();
	ck_assert_uint_eq(sent_count, 4);
	ck_assert(!forward_is_movable(&forward, now_ns));
	settle(1, REMOTE_TOOK);
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 5);
	ck_assert_uint_eq(sent[4].number, 4);
}
END_TEST

START_TEST(sends_again_in_order_as_copies_to_a_remote_that_remembers)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		put("one/a", i);
	work();
	settle(1, REMOTE_TOOK);
	forward_down(&forward);
	work();
	ck_assert_uint_eq(sent_count, 3);
	come_up(true);
	work();
	ck_assert_uint_eq(sent_count, 5);
	ck_assert_uint_eq(sent[3].number, 0);
	ck_assert_uint_eq(sent[3].id, sent[0].id);
	ck_assert(sent[3].dup);
	ck_assert_uint_eq(sent[4].number, 2);
	ck_assert(sent[4].dup);
}
END_TEST

START_TEST(sends_again_as_new_to_a_remote_that_forgot)
{
	begin();
	put("one/a", 1);
	work();
	forward_down(&forward);
	come_up(false);
	work();
	ck_assert_uint_eq(sent_count, 2);
	ck_assert(!sent[1].dup);
}
END_TEST

START_TEST(reads_again_what_a_killed_bridge_had_under_way)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		put("two/a", i);
	work();
	settle(0, REMOTE_TOOK);
	work();

	die_and_start();
	come_up(true);
	work();
	ck_assert_uint_eq(sent_count, 5);
	ck_assert_uint_eq(sent[3].number, 1);
	ck_assert_uint_eq(sent[3].id, sent[1].id);
	ck_assert(sent[3].dup);
	ck_assert_uint_eq(sent[4].id, sent[2].id);
}
END_TEST

START_TEST(counts_as_dead_what_is_refused_for_good_and_goes_on)
{
	begin();
	put("one/a", 1);
	put("one/a", 2);
	work();
	settle(0, REMOTE_REFUSED);
	settle(1, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
	ck_assert_uint_eq(totals().dead, 1);
	ck_assert_uint_eq(totals().delivered, 1);
	ck_assert_uint_eq(counted(BRIDGED_dead), 1);
}
END_TEST

/* ---- a grave that has room for so many ---- */

static unsigned grave_room, buried;
static char buried_why[INFLIGHT_WHY_SIZE];

static int
bury(void *arg, const struct inflight_entry *entry)
{
	ck_assert_ptr_eq(arg, &grave_room);
	/* Its own record is not given back before. */
	ck_assert_uint_ne(ring_producer_used_bytes(producer), 0);
	if (grave_room == 0)
		return -EAGAIN;
	grave_room--;
	buried++;
	strcpy(buried_why, entry->why);
	return 0;
}

static bool
has_grave(void *arg, const struct inflight_entry *entry)
{
	ck_assert_ptr_eq(arg, &grave_room);
	ck_assert_uint_eq(entry->state, INFLIGHT_DYING);
	return grave_room != 0;
}

static void
dig(unsigned room)
{
	const struct forward_grave grave = { bury, has_grave, &grave_room };

	grave_room = room;
	buried = 0;
	forward_set_grave(&forward, grave);
}

START_TEST(gives_a_dead_letter_back_when_it_is_kept)
{
	dig(0);
	begin();
	put("one/a", 1);
	put("one/a", 2);
	work();
	settle(0, REMOTE_REFUSED);
	settle(1, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(buried, 0);
	ck_assert_uint_eq(totals().dead, 0);
	ck_assert_uint_eq(totals().delivered, 0);
	ck_assert(!forward_is_movable(&forward, now_ns));
	/* The flow goes on meanwhile. */
	put("one/a", 3);
	work();
	ck_assert_uint_eq(sent_count, 3);
	grave_room = 1;
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(buried, 1);
	ck_assert_str_eq(buried_why, "test");
	ck_assert_uint_eq(totals().dead, 1);
	ck_assert_uint_eq(totals().delivered, 1);
	settle(2, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
	ck_assert_uint_eq(buried, 1);
}
END_TEST

START_TEST(does_not_send_again_what_dies)
{
	dig(0);
	begin();
	put("one/a", 1);
	work();
	settle(0, REMOTE_REFUSED);
	/* A second answer is none, and a new connection changes nothing. */
	settle(0, REMOTE_TOOK);
	forward_down(&forward);
	come_up(true);
	work();
	ck_assert_uint_eq(sent_count, 1);
	grave_room = 1;
	work();
	ck_assert_uint_eq(totals().dead, 1);
	ck_assert_uint_eq(totals().delivered, 0);
}
END_TEST

START_TEST(counts_as_dead_what_is_too_large_for_the_remote)
{
	begin();
	put("one/a", 1);
	send_result = -EMSGSIZE;
	work();
	work();
	ck_assert_uint_eq(totals().dead, 1);
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);
}
END_TEST

START_TEST(asks_again_later_when_the_remote_is_full)
{
	begin();
	put("one/a", 1);
	work();
	settle(0, REMOTE_LATER);
	put("one/a", 2);
	ck_assert_int_eq(work(), FORWARD_WAITS);
	ck_assert_uint_eq(sent_count, 1);
	ck_assert(!forward_is_movable(&forward, now_ns));
	now_ns += forward_wait_ns(&forward, now_ns);
	ck_assert_int_eq(work(), FORWARD_DONE);
	ck_assert_uint_eq(sent_count, 3);
	ck_assert_uint_eq(sent[1].number, 1);
	ck_assert(!sent[1].dup);
	ck_assert_uint_eq(sent[2].number, 2);
}
END_TEST

START_TEST(takes_qos_0_as_delivered_once_written)
{
	begin();
	put("zero/a", 1);
	work();
	work();
	ck_assert_uint_eq(sent[0].qos, 0);
	ck_assert_uint_eq(totals().delivered, 1);
	remote_max_qos = 0;
	forward_down(&forward);
	come_up(false);
	put("one/a", 2);
	work();
	work();
	ck_assert_uint_eq(totals().delivered, 2);
}
END_TEST

START_TEST(counts_down_the_expiry_and_drops_what_is_over)
{
	put_message("one/a", 1, 10, slice_of(NULL, 0));
	put_message("one/a", 2, 3, slice_of(NULL, 0));
	put_message("one/a", 3, RECORD_NEVER_EXPIRES, slice_of(NULL, 0));
	work();
	put_message("one/a", 1, 10, slice_of(NULL, 0));
	put_message("one/a", 2, 3, slice_of(NULL, 0));
	put_message("one/a", 3, RECORD_NEVER_EXPIRES, slice_of(NULL, 0));
	now_ns += 3 * SECOND;
	come_up(false);
	work();
	ck_assert_uint_eq(sent_count, 2);
	ck_assert_uint_eq(sent[0].number, 1);
	ck_assert_uint_eq(sent[0].expiry_s, 7);
	ck_assert_uint_eq(sent[1].number, 3);
	ck_assert_uint_eq(sent[1].expiry_s, REMOTE_NEVER_EXPIRES);
	settle(0, REMOTE_TOOK);
	settle(1, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(totals().dropped, 1);
	ck_assert_uint_eq(counted(BRIDGED_expired), 1);
}
END_TEST

START_TEST(does_not_send_to_a_weir_what_came_from_it)
{
	uint8_t properties[TRAIL_SIZE(32)];
	size_t len;

	len = trail_add(slice_of(NULL, 0), OTHER, properties);
	begin();
	put_message(
	    "one/a", 1, RECORD_NEVER_EXPIRES, slice_of(properties, len));
	work();
	work();
	ck_assert_uint_eq(sent_count, 0);
	ck_assert_uint_eq(counted(BRIDGED_loops), 1);
	ck_assert_uint_eq(totals().dropped, 1);
}
END_TEST

START_TEST(buries_a_message_with_malformed_properties)
{
	static const uint8_t topic_alias[] = { 0x23, 0, 1 };
	static const uint8_t torn[] = { 0x26, 0, 9, 'a' };

	begin();
	put_message("one/a", 1, RECORD_NEVER_EXPIRES,
	    slice_of(topic_alias, sizeof(topic_alias)));
	put_message(
	    "one/a", 2, RECORD_NEVER_EXPIRES, slice_of(torn, sizeof(torn)));
	put("one/a", 3);
	work();
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent[0].number, 3);
	ck_assert_uint_eq(counted(BRIDGED_dead), 2);
}
END_TEST

START_TEST(poisons_the_link_on_a_record_that_is_no_message)
{
	struct ring_record record = { .kind = RECORD_MESSAGE, .length = 8 };
	void *place;

	begin();
	ck_assert_int_eq(ring_claim(producer, 8, &place), 0);
	memset(place, 0xff, 8);
	ring_put(producer, &record);
	ring_commit(producer, now_ns);
	ck_assert_int_eq(work(), FORWARD_POISONED);
}
END_TEST

START_TEST(drops_the_oldest_while_the_remote_is_stuck)
{
	unsigned number = 0;

	forward_set_overflow(&forward, CONF_OVERFLOW_DROP_OLDEST);
	begin();
	for (unsigned i = 0; i < 4; i++)
		put("one/a", number++);
	work();
	ck_assert_uint_eq(sent_count, 4);
	ck_assert_uint_eq(ring_producer_used_bytes(producer), 0);

	/* Three times the ring, nothing acknowledged. */
	for (unsigned i = 0; i < 3 * SIZE / 128; i++) {
		if (!put("one/a", number)) {
			ring_producer_drop_oldest(producer, SIZE / 4);
			work();
			ck_assert(put("one/a", number));
		}
		number++;
	}
	ck_assert_uint_gt(counted(BRIDGED_dropped_oldest), SIZE / 128);

	/* What was under way was kept, and can be sent again. */
	forward_down(&forward);
	come_up(true);
	work();
	ck_assert_uint_eq(sent[4].number, 0);
	ck_assert_uint_eq(sent[7].number, 3);
	for (size_t i = 4; i < 8; i++)
		settle(i, REMOTE_TOOK);
	work();
	ck_assert_uint_gt(sent[8].number, 4);
}
END_TEST

START_TEST(sends_nothing_new_while_it_drains)
{
	begin();
	put("one/a", 1);
	work();
	put("one/a", 2);
	forward_drain(&forward);
	work();
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(forward_in_flight(&forward), 1);
	ck_assert(!forward_is_movable(&forward, now_ns));
	settle(0, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(forward_in_flight(&forward), 0);
	ck_assert_uint_eq(totals().delivered, 1);
}
END_TEST

START_TEST(waits_for_the_socket_when_it_is_full)
{
	begin();
	put("one/a", 1);
	send_result = -EAGAIN;
	work();
	ck_assert(!forward_is_movable(&forward, now_ns));
	send_result = 0;
	work();
	ck_assert_uint_eq(sent_count, 0);
	forward_writable(&forward);
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 1);
}
END_TEST

/* Send three at QoS 2; the remote has the second, by its PUBREC. */
static void
send_three_and_keep_one(void)
{
	begin();
	for (unsigned i = 0; i < 3; i++)
		put("two/a", i);
	work();
	ck_assert_uint_eq(sent_count, 3);
	ck_assert(forward_kept(&forward, sent[1].id));
}

START_TEST(releases_what_the_remote_has_and_sends_the_rest_again)
{
	send_three_and_keep_one();
	if (_i == 0)
		forward_down(&forward);
	else
		die_and_start();
	come_up(true);
	work();
	ck_assert_uint_eq(released_count, 1);
	ck_assert_uint_eq(released_ids[0], sent[1].id);
	ck_assert_uint_eq(sent_count, 5);
	ck_assert_uint_eq(sent[3].number, 0);
	ck_assert(sent[3].dup);
	ck_assert_uint_eq(sent[4].number, 2);
	ck_assert_uint_eq(counted(BRIDGED_released), 1);
	for (size_t i = 0; i < 3; i++)
		settle(i, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(totals().delivered, 3);
}
END_TEST

START_TEST(counts_as_delivered_what_a_remote_had_before_it_forgot)
{
	send_three_and_keep_one();
	if (_i == 0)
		forward_down(&forward);
	else
		die_and_start();
	come_up(false);
	work();
	ck_assert_uint_eq(released_count, 0);
	ck_assert_uint_eq(sent_count, 5);
	ck_assert_uint_eq(sent[4].number, 2);
	ck_assert(!sent[4].dup);
	settle(3, REMOTE_TOOK);
	work();
	ck_assert_uint_eq(totals().delivered, 2);
}
END_TEST

START_TEST(takes_a_pubrec_that_comes_before_the_ring_was_read)
{
	send_three_and_keep_one();
	die_and_start();
	come_up(true);
	ck_assert(forward_kept(&forward, sent[2].id));
	ck_assert(!forward_kept(&forward, 0));
	ck_assert(!forward_kept(&forward, 65535));
	ck_assert(!forward_kept(&forward, (uint16_t)(sent[2].id + 1)));
	work();
	ck_assert_uint_eq(released_count, 2);
	ck_assert_uint_eq(sent_count, 4);
}
END_TEST

START_TEST(does_not_take_a_pubrec_for_what_was_never_sent)
{
	begin();
	ck_assert(!forward_kept(&forward, 2));
	put("two/a", 1);
	ck_assert(!forward_kept(&forward, 2));
	send_result = -EAGAIN;
	work();
	ck_assert(!forward_kept(&forward, 2));
	forward_writable(&forward);
	send_result = 0;
	work();
	ck_assert_uint_eq(sent[0].id, 2);
	ck_assert(forward_kept(&forward, 2));
	settle(0, REMOTE_TOOK);
	ck_assert(!forward_kept(&forward, 2));
}
END_TEST

/* Its Receive Maximum may be smaller than it was. */
START_TEST(sends_again_no_more_than_the_window)
{
	begin();
	for (unsigned i = 0; i < 4; i++)
		put("one/a", i);
	work();
	forward_down(&forward);
	window = 2;
	come_up(true);
	work();
	ck_assert_uint_eq(sent_count, 6);
	ck_assert(!forward_is_movable(&forward, now_ns));
	settle(4, REMOTE_TOOK);
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 7);
	ck_assert_uint_eq(sent[6].number, 2);
}
END_TEST

START_TEST(ends_what_a_session_may_hold_before_it_uses_identifiers)
{
	work();
	put("one/a", 1);
	put("two/a", 2);
	put("one/a", 3);
	end_result = -EAGAIN;
	end_at_most = 100;
	come_up(true);
	work();
	/* QoS 1 needs nothing; what is behind QoS 2 waits for it. */
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(ended_count, 100);
	ck_assert(!forward_is_movable(&forward, now_ns));
	end_result = 0;
	forward_writable(&forward);
	work();
	ck_assert_uint_eq(first_ended, inflight_id(1));
	ck_assert_uint_eq(last_ended, inflight_id(1 + CLAIMS_BLOCK));
	for (size_t i = 1; i < ended_count; i++)
		forward_ended(&forward);
	work();
	ck_assert_uint_eq(sent_count, 1);
	forward_ended(&forward);
	ck_assert(forward_is_movable(&forward, now_ns));
	work();
	ck_assert_uint_eq(sent_count, 3);

	/* It is done, also for the next life. */
	die_and_start();
	come_up(true);
	work();
	ck_assert_uint_eq(sent_count, 6);
	ck_assert_uint_eq(ended_count, CLAIMS_BLOCK + 1);
}
END_TEST

START_TEST(ends_them_again_when_the_connection_was_lost)
{
	work();
	put("two/a", 1);
	come_up(true);
	work();
	ck_assert_uint_eq(ended_count, CLAIMS_BLOCK);
	for (size_t i = 1; i < ended_count; i++)
		forward_ended(&forward);
	forward_down(&forward);
	come_up(true);
	forward_ended(&forward);
	work();
	ck_assert_uint_eq(sent_count, 0);
	ck_assert_uint_eq(ended_count, 2 * CLAIMS_BLOCK);
}
END_TEST

START_TEST(has_nothing_to_end_in_a_new_session_or_below_qos_2)
{
	work();
	put("two/a", 1);
	if (_i == 0) {
		come_up(false);
	} else {
		remote_max_qos = 1;
		come_up(true);
	}
	work();
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent[0].qos, _i == 0 ? 2 : 1);
	ck_assert_uint_eq(ended_count, 0);
}
END_TEST

/* Identifiers of QoS 1 that are long past need no end. */
START_TEST(ends_one_block_after_a_long_time_without_qos_2)
{
	work();
	come_up(true);
	for (unsigned i = 0; i < 2 * CLAIMS_BLOCK; i++) {
		ck_assert(put("one/a", i));
		work();
		settle(i, REMOTE_TOOK);
		work();
	}
	ck_assert(put("two/a", 0));
	work();
	ck_assert_uint_eq(ended_count, CLAIMS_BLOCK);
	ck_assert_uint_eq(first_ended, inflight_id(2 * CLAIMS_BLOCK + 1));
}
END_TEST

/* The limit is a ring beyond what was read, and no further. */
START_TEST(grants_what_lets_the_ring_fill_while_the_remote_stalls)
{
	unsigned number = 0;
	uint64_t read;

	begin();
	while (put("one/a", number))
		number++;
	ck_assert_int_eq(ring_producer_shortage(producer), RING_SHORT_OF_SPACE);
	work();
	ck_assert_uint_eq(sent_count, 4);
	read = RING_POSITION(ring_consumer_cursor(consumer));
	ck_assert_uint_eq(memory->consumer.limit, read + SIZE);
	for (int turn = 0; turn < 100; turn++)
		work();
	ck_assert_uint_eq(sent_count, 4);
	ck_assert_uint_eq(memory->consumer.limit, read + SIZE);
	ck_assert(!forward_is_movable(&forward, now_ns));
}
END_TEST

/* Its largest class, of which the records in flight are no part. */
START_TEST(lets_the_ring_grow_to_its_maximum_while_the_remote_stalls)
{
	unsigned number = 0;
	uint64_t read;

	classes = 3;
	die_and_start();
	begin();
	while (put("one/a", number)) {
		number++;
		work();
	}
	read = RING_POSITION(ring_consumer_cursor(consumer));
	ck_assert_uint_eq(sent_count, 4);
	ck_assert_uint_eq(ring_producer_capacity(producer), 4 * SIZE);
	ck_assert_uint_eq(memory->consumer.limit, read + 4 * SIZE);
	ck_assert_uint_gt(ring_producer_used_bytes(producer), 3 * SIZE);
	ck_assert_uint_lt(ring_producer_used_bytes(producer), 5 * SIZE);
	for (unsigned i = 0; i < number; i++) {
		settle(i, REMOTE_TOOK);
		work();
	}
	ck_assert_uint_eq(totals().delivered, number);
}
END_TEST

/* A remote that takes the window and answers nothing, a policy that copies. */
START_TEST(holds_no_more_copies_than_the_ring_has_room)
{
	unsigned number = 0;

	conf.overflow = CONF_OVERFLOW_DROP_OLDEST;
	conf.max_inflight = INFLIGHT_MAX;
	window = INFLIGHT_MAX;
	forward_fini(&forward);
	start();
	begin();
	for (unsigned i = 0; i < 4 * SIZE / 128; i++) {
		if (!put("one/a", number))
			ring_producer_drop_oldest(producer, SIZE / 4);
		else
			number++;
		work();
	}
	ck_assert_uint_gt(sent_count, 32);
	ck_assert_uint_gt(forward.inflight.copied_bytes, SIZE / 2);
	ck_assert_uint_le(forward.inflight.copied_bytes, SIZE);
	settle(0, REMOTE_TOOK);
	settle(1, REMOTE_TOOK);
	number = sent_count;
	work();
	ck_assert_uint_gt(sent_count, number);
}
END_TEST

/*
 * The promise: whatever is lost and answered in whatever order, every record
 * that left the ring was taken by the remote, in order of first sending.
 */
START_TEST(loses_nothing_whatever_the_remote_does)
{
	bool taken[500] = { false };
	unsigned next = 0, newest = 0, n;
	uint32_t dice = (uint32_t)_i + 1;
	size_t seen = 0, base = 0, released = 0;

	work();
	for (int turn = 0; turn < 4000; turn++) {
		dice = dice * 1664525 + 1013904223;
		if (sent_count > MOST_SENT - 64)
			break;
		if ((dice >> 24) % 8 < 3 && next < 500)
			next += put("two/a", next);
		else if ((dice >> 24) % 16 == 15)
			forward_down(&forward);
		else if (!forward.is_up) {
			base = sent_count;
			come_up((dice >> 20) % 2);
		} else if (sent_count > base) {
			n = base + (dice >> 8) % (sent_count - base);
			if (inflight_find(&forward.inflight, sent[n].id)) {
				settle(n, REMOTE_TOOK);
				taken[sent[n].number] = true;
			}
		}
		work();
		for (; seen < sent_count; seen++) {
			/* The sign of a message overtaken by a newer one. */
			if (sent[seen].number > newest)
				ck_abort_msg("out of order");
			newest += sent[seen].number == newest;
		}
		for (; released < totals().delivered; released++)
			ck_assert(taken[released]);
	}
	ck_assert_uint_gt(totals().delivered, 50);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("forward");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, releases_a_record_only_when_the_remote_has_it);
	tcase_add_test(
	    tc, notes_when_a_traced_message_is_sent_and_acknowledged);
	tcase_add_test(tc, sends_no_faster_than_the_rate_allows);
	tcase_add_test(tc, pays_for_nothing_that_the_socket_did_not_take);
	tcase_add_test(tc, stops_what_has_passed_too_many_weirs);
	tcase_add_test(tc, knows_what_waits);
	tcase_add_test(
	    tc, looks_for_newer_rules_before_it_drops_what_matches_none);
	tcase_add_test(tc, maps_topic_and_qos_and_adds_the_trail);
	tcase_add_test(tc, sends_no_more_than_the_window);
	tcase_add_test(
	    tc, sends_again_in_order_as_copies_to_a_remote_that_remembers);
	tcase_add_test(tc, sends_again_as_new_to_a_remote_that_forgot);
	tcase_add_test(tc, reads_again_what_a_killed_bridge_had_under_way);
	tcase_add_test(tc, counts_as_dead_what_is_refused_for_good_and_goes_on);
	tcase_add_test(tc, gives_a_dead_letter_back_when_it_is_kept);
	tcase_add_test(tc, does_not_send_again_what_dies);
	tcase_add_test(tc, counts_as_dead_what_is_too_large_for_the_remote);
	tcase_add_test(tc, asks_again_later_when_the_remote_is_full);
	tcase_add_test(tc, takes_qos_0_as_delivered_once_written);
	tcase_add_test(tc, counts_down_the_expiry_and_drops_what_is_over);
	tcase_add_test(tc, does_not_send_to_a_weir_what_came_from_it);
	tcase_add_test(tc, buries_a_message_with_malformed_properties);
	tcase_add_test(tc, poisons_the_link_on_a_record_that_is_no_message);
	tcase_add_test(tc, drops_the_oldest_while_the_remote_is_stuck);
	tcase_add_test(tc, sends_nothing_new_while_it_drains);
	tcase_add_test(tc, waits_for_the_socket_when_it_is_full);
	tcase_add_loop_test(
	    tc, releases_what_the_remote_has_and_sends_the_rest_again, 0, 2);
	tcase_add_loop_test(
	    tc, counts_as_delivered_what_a_remote_had_before_it_forgot, 0, 2);
	tcase_add_test(tc, takes_a_pubrec_that_comes_before_the_ring_was_read);
	tcase_add_test(tc, does_not_take_a_pubrec_for_what_was_never_sent);
	tcase_add_test(tc, sends_again_no_more_than_the_window);
	tcase_add_test(
	    tc, ends_what_a_session_may_hold_before_it_uses_identifiers);
	tcase_add_test(tc, ends_them_again_when_the_connection_was_lost);
	tcase_add_loop_test(
	    tc, has_nothing_to_end_in_a_new_session_or_below_qos_2, 0, 2);
	tcase_add_test(tc, ends_one_block_after_a_long_time_without_qos_2);
	tcase_add_test(
	    tc, grants_what_lets_the_ring_fill_while_the_remote_stalls);
	tcase_add_test(
	    tc, lets_the_ring_grow_to_its_maximum_while_the_remote_stalls);
	tcase_add_test(tc, holds_no_more_copies_than_the_ring_has_room);
	tcase_add_loop_test(tc, loses_nothing_whatever_the_remote_does, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
