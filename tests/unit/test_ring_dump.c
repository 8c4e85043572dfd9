/* SPDX-License-Identifier: Apache-2.0 */

/* A lane of 4, 8 and 16 KiB, its producer and consumer in this process. */

#include "common/ring/ring_dump.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ring/ring_dump_search.h"
#include "common/ring/ring_link.h"
#include "tests/unit/unit.h"

#define LANE 3u
#define MIN_SHIFT 12
#define CLASSES 3u
#define FAR (UINT64_C(1) << 40)

static const struct ring_link_identity identity = {
	.instance = { 9, 8, 7 },
	.link = 5,
	.endpoint_role = RING_ROLE_BRIDGE,
	.name = "cloud",
	.run_dir = "/run/weir-test",
};

static int broker_fd, endpoint_fd, lane_fd;
static struct ring_link *broker, *endpoint;
static struct ring_producer *producer;
static struct ring_consumer *consumer;
static struct ring_dump_lane *lane;
static struct ring_dump dump;
static uint64_t numbers; /* of payloads put so far */

static uint8_t *broker_side, *endpoint_side, *data; /* to be damaged */

static struct ring_head *
head(void)
{
	return (struct ring_head *)(void *)(broker_side + RING_SIDE_HEADS) +
	    LANE;
}

static struct ring_lane_consumer *
consumer_block(void)
{
	return (struct ring_lane_consumer *)(void *)(endpoint_side +
	    RING_SIDE_CONSUMERS + LANE * RING_CONSUMER_STRIDE);
}

static void *
map(int fd, size_t length)
{
	void *at =
	    mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static void
setup_classes(uint32_t classes)
{
	const struct bell_fds none = { -1, -1, -1 };
	const struct ring_lane_geometry geometry = {
		.lane = LANE,
		.min_shift = MIN_SHIFT,
		.classes = classes,
		.name = "",
	};

	numbers = 0;
	ck_assert_int_eq(
	    ring_link_create(&identity, &broker_fd, &endpoint_fd), 0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BROKER,
			     broker_fd, endpoint_fd, &none, &broker),
	    0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BRIDGE,
			     endpoint_fd, broker_fd, &none, &endpoint),
	    0);
	lane_fd = ring_link_create_lane(&identity, RING_ROLE_BROKER, &geometry);
	ck_assert_int_ge(lane_fd, 0);
	ck_assert_int_eq(
	    ring_link_add_producer(broker, &geometry, lane_fd, &producer), 0);
	ck_assert_int_eq(
	    ring_link_add_consumer(endpoint, &geometry, lane_fd, &consumer), 0);
	ring_grant(consumer, FAR);
	ck_assert_int_eq(
	    ring_dump_open_memory(lane_fd, broker_fd, endpoint_fd, &lane), 0);
	broker_side = map(broker_fd, RING_SIDE_LENGTH);
	endpoint_side = map(endpoint_fd, RING_SIDE_LENGTH);
	data = map(lane_fd, ring_lane_length(MIN_SHIFT, classes));
}

static void
setup(void)
{
	setup_classes(CLASSES);
}

static void
teardown(void)
{
	ring_dump_free(&dump);
	ring_dump_close(lane);
	munmap(broker_side, RING_SIDE_LENGTH);
	munmap(endpoint_side, RING_SIDE_LENGTH);
	munmap(data, ring_lane_length(MIN_SHIFT, CLASSES));
	ring_link_detach(broker);
	ring_link_detach(endpoint);
	close(broker_fd);
	close(endpoint_fd);
	close(lane_fd);
}

/* A record that is full of its own number, uncommitted. */
static bool
put(size_t length)
{
	const struct ring_record record = { .kind = 1, .time_ns = numbers };
	void *payload;

	if (ring_claim(producer, length, &payload) != 0)
		return false;
	numbers++;
	/* In the order in which a message is written. */
	for (size_t i = 0; i < length; i++)
		((volatile uint8_t *)payload)[i] = (uint8_t)numbers;
	ring_put(producer, &record);
	return true;
}

static void
commit(void)
{
	ring_commit(producer, 1);
}

static void
put_many(unsigned count, size_t length)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert(put(length));
	commit();
}

/* Take and release so many, or all that there are. */
static unsigned
take(unsigned count)
{
	struct ring_record record;
	const void *payload;
	unsigned taken = 0;
	uint64_t word = ring_consumer_cursor(consumer);

	while (taken < count && ring_peek(consumer, &record, &payload) == 1) {
		word = ring_next(consumer);
		taken++;
	}
	ring_release(consumer, word, NULL, 1);
	return taken;
}

/* Dump anew, each record's payload looked at. */
static void
look(const struct ring_dump_options *options)
{
	uint8_t body[8192];

	ring_dump_free(&dump);
	ck_assert_int_eq(ring_dump_take(lane, options, &dump), 0);
	for (size_t i = 0; i < dump.count; i++) {
		const struct ring_record *header = &dump.record[i].header;

		ck_assert_int_eq(
		    ring_dump_body(lane, &dump.record[i], body, header->length),
		    0);
		for (size_t k = 0; k < header->length; k++)
			ck_assert_uint_eq(body[k], header->sequence & 0xff);
	}
}

static void
look_at_all(void)
{
	const struct ring_dump_options options = { .released = true };

	look(&options);
}

static void
look_at_waiting(void)
{
	const struct ring_dump_options options = { .released = false };

	look(&options);
}

/* Are the records those from `first` to `last`, in order? */
static void
expect(uint64_t first, uint64_t last)
{
	ck_assert_uint_eq(dump.count, last - first + 1);
	for (size_t i = 0; i < dump.count; i++)
		ck_assert_uint_eq(dump.record[i].header.sequence, first + i);
}

START_TEST(an_empty_lane_has_no_records)
{
	look_at_all();
	ck_assert_uint_eq(dump.count, 0);
	ck_assert_ptr_null(dump.fault.text);
	ck_assert_uint_eq(dump.waiting + dump.released + dump.left_out, 0);
}
END_TEST

START_TEST(what_waits_is_dumped_with_its_payload)
{
	put_many(5, 100);
	look_at_waiting();
	expect(1, 5);
	ck_assert_uint_eq(dump.waiting, 5);
	ck_assert_uint_eq(dump.record[1].position, ring_record_size(100));
	ck_assert(!dump.record[0].is_released && !dump.record[0].is_found);
}
END_TEST

START_TEST(what_is_not_committed_does_not_exist)
{
	put_many(2, 100);
	put(100);
	look_at_all();
	expect(1, 2);
}
END_TEST

START_TEST(what_is_released_is_dumped_only_if_wanted)
{
	put_many(5, 100);
	take(3);
	look_at_waiting();
	expect(4, 5);
	look_at_all();
	expect(1, 5);
	ck_assert_uint_eq(dump.released, 3);
	ck_assert_uint_eq(dump.waiting, 2);
	ck_assert(dump.record[2].is_released);
	ck_assert(!dump.record[3].is_released);
}
END_TEST

START_TEST(all_may_be_released)
{
	put_many(5, 100);
	take(5);
	look_at_all();
	expect(1, 5);
	ck_assert_uint_eq(dump.released, 5);
}
END_TEST

/* Round and round: all that is not overwritten is found, pads passed over. */
START_TEST(released_records_are_found_after_many_rounds)
{
	uint64_t gap;

	for (unsigned i = 0; i < 150; i++) {
		ck_assert(put(40 + i % 700));
		commit();
		take(1);
		look_at_all();
		ck_assert_uint_gt(dump.count, 0);
		ck_assert_uint_eq(
		    dump.record[dump.count - 1].header.sequence, i + 1);
		/* Missing are those that the next one may overwrite. */
		gap = dump.record[dump.count - 1].header.sequence -
		    dump.record[0].header.sequence + 1 - dump.count;
		ck_assert_uint_le(gap, dump.overtaken);
		if (i > 20)
			ck_assert_uint_ge(dump.count, 2);
	}
}
END_TEST

START_TEST(what_may_be_being_overwritten_is_left_out)
{
	void *payload;

	/* 16 records of 256 bytes fill the class but for the spare line. */
	for (unsigned i = 0; i < 20; i++) {
		put_many(1, 192);
		take(1);
	}
	/* The next one goes over 5 and, if it is longer, over 6. */
	look_at_all();
	expect(7, 20);
	ck_assert_uint_eq(dump.overtaken, 2);
	ck_assert_int_eq(ring_claim(producer, 192, &payload), 0);
	memset(payload, 0xee, 192);
	look_at_all();
	expect(7, 20);
}
END_TEST

START_TEST(what_is_put_and_not_committed_overwrites_too)
{
	for (unsigned i = 0; i < 20; i++) {
		put_many(1, 192);
		take(1);
	}
	ck_assert(put(192));
	ck_assert(put(192));
	look_at_all();
	/* 21 and 22 lie where 5 and 6 were; 7 and 8 are next. */
	expect(9, 20);
}
END_TEST

/* What does not fit before the end goes to the beginning, unannounced. */
START_TEST(a_record_behind_a_pad_that_is_to_come_overwrites_too)
{
	void *payload;

	for (unsigned i = 0; i < 28; i++) {
		put_many(1, i == 27 ? 1024 : 192);
		take(1);
	}
	/* 192 bytes are left at the end; 17 to 27 lie at the beginning. */
	ck_assert_int_eq(ring_claim(producer, 192, &payload), 0);
	memset(payload, 0xee, 192);
	look_at_all();
	/* Twice as far as the longest record, number 28, would reach. */
	expect(26, 28);
	ck_assert_uint_eq(dump.overtaken, 9);
}
END_TEST

START_TEST(records_chain_through_the_classes)
{
	/* Nothing is released: 4 KiB, then 8, then 16. */
	put_many(60, 192);
	look_at_waiting();
	expect(1, 60);
	ck_assert_uint_eq(dump.record[0].class, 0);
	ck_assert_uint_eq(dump.record[59].class, 2);
}
END_TEST

START_TEST(released_records_are_found_through_the_classes)
{
	put_many(60, 192);
	/* Class 1 is left and its memory not given back. */
	take(50);
	look_at_all();
	expect(1, 60);
	ck_assert_uint_eq(dump.released, 50);
	take(10);
	look_at_all();
	expect(1, 60);
}
END_TEST

START_TEST(what_was_punched_is_gone)
{
	put_many(60, 192);
	take(50);
	ring_producer_tend(producer, 1);
	look_at_all();
	ck_assert_uint_eq(dump.record[dump.count - 1].header.sequence, 60);
	ck_assert_uint_eq(dump.record[0].class, 2);
	ck_assert_uint_eq(dump.waiting, 10);
}
END_TEST

START_TEST(the_limit_keeps_the_newest_or_the_oldest)
{
	struct ring_dump_options options = { .released = true, .limit = 4 };

	put_many(10, 100);
	take(3);
	look(&options);
	expect(7, 10);
	ck_assert_uint_eq(dump.left_out, 6);
	ck_assert_uint_eq(dump.waiting, 7);
	options.keep_oldest = true;
	look(&options);
	expect(1, 4);
	ck_assert_uint_eq(dump.left_out, 6);
	options.limit = 10;
	look(&options);
	expect(1, 10);
	ck_assert_uint_eq(dump.left_out, 0);
}
END_TEST

/* The header at a position of class 0. */
static struct ring_record *
at(uint64_t position)
{
	return (struct ring_record *)(void *)(data + RING_PAGE +
	    position % (1u << MIN_SHIFT));
}

START_TEST(damage_is_told_and_what_lies_behind_it_is_found)
{
	put_many(8, 64);
	at(3 * 128)->type = 77;
	look_at_waiting();
	ck_assert_str_eq(dump.fault.text, "a record is of no known type");
	ck_assert_uint_eq(dump.fault.position, 3 * 128);
	ck_assert(dump.fault.has_place);
	ck_assert_uint_eq(dump.fault.header.type, 77);
	ck_assert_uint_eq(dump.fault.header.sequence, 4);
	ck_assert_uint_eq(dump.count, 7);
	ck_assert_uint_eq(dump.record[2].header.sequence, 3);
	ck_assert(!dump.record[2].is_found);
	ck_assert_uint_eq(dump.record[3].header.sequence, 5);
	ck_assert(dump.record[3].is_found);
}
END_TEST

struct damage {
	size_t offset;
	uint64_t value;
	size_t size;
	const char *fault;
};

static const struct damage damages[] = {
	{ offsetof(struct ring_record, length), 0xffffffff, 4,
	    "a record is longer than a quarter of the ring" },
	{ offsetof(struct ring_record, length), 1024, 4,
	    "a record is longer than what was committed" },
	{ offsetof(struct ring_record, sequence), 9, 8,
	    "a record is out of sequence" },
	{ offsetof(struct ring_record, sequence), 0, 8,
	    "a record has no sequence" },
	{ offsetof(struct ring_record, type), RING_SWITCH, 1,
	    "a class switch has a payload" },
};

START_TEST(each_kind_of_damage_has_its_name)
{
	const struct damage *d = &damages[_i];

	put_many(4, 64);
	memcpy((uint8_t *)at(2 * 128) + d->offset, &d->value, d->size);
	look_at_waiting();
	ck_assert_str_eq(dump.fault.text, d->fault);
	ck_assert_uint_eq(dump.fault.position, 2 * 128);
	ck_assert_uint_ge(dump.count, 2);
}
END_TEST

START_TEST(a_record_over_the_end_of_its_class_is_damage)
{
	put_many(15, 192);
	take(10);
	put_many(5, 192);
	at(15 * 256)->length = 448;
	look_at_waiting();
	ck_assert_str_eq(
	    dump.fault.text, "a record runs over the end of its size class");
	ck_assert_uint_eq(dump.fault.position, 15 * 256);
}
END_TEST

START_TEST(a_switch_to_nowhere_is_damage)
{
	put_many(4, 64);
	*at(2 * 128) =
	    (struct ring_record){ .type = RING_SWITCH, .class = CLASSES };
	look_at_waiting();
	ck_assert_str_eq(
	    dump.fault.text, "a switch to a size class that is not");
	ck_assert_uint_eq(dump.fault.position, 2 * 128);
	ck_assert_uint_eq(dump.count, 3);
}
END_TEST

START_TEST(a_tail_beyond_the_head_is_damage)
{
	put_many(4, 64);
	consumer_block()->tail = 5 * 128;
	look_at_all();
	ck_assert_str_eq(dump.fault.text, "the tail is beyond the head");
	ck_assert(!dump.fault.has_place);
	expect(1, 4);
	ck_assert(dump.record[0].is_found);
}
END_TEST

START_TEST(a_head_in_no_class_is_damage)
{
	put_many(4, 64);
	head()->word |= 17;
	look_at_all();
	ck_assert_str_eq(
	    dump.fault.text, "the head is in a size class that is not");
	ck_assert_uint_eq(dump.count, 0);
}
END_TEST

START_TEST(a_head_that_runs_away_is_damage)
{
	put_many(4, 64);
	head()->word = UINT64_C(1) << 50;
	look_at_all();
	ck_assert_str_eq(dump.fault.text,
	    "the head is farther from the tail than the ring is long");
}
END_TEST

START_TEST(without_the_consumers_side_the_head_is_enough)
{
	ring_dump_close(lane);
	ck_assert_int_eq(
	    ring_dump_open_memory(lane_fd, broker_fd, -1, &lane), 0);
	put_many(4, 64);
	take(2);
	look_at_waiting();
	ck_assert_ptr_nonnull(dump.fault.text);
	expect(1, 4);
}
END_TEST

/* A payload that looks like the records before it, and one behind it. */
START_TEST(records_within_a_payload_are_not_taken_for_true)
{
	const struct ring_record record = { .kind = 1 };
	struct ring_record *forged;
	void *payload;

	put_many(3, 64);
	ck_assert_int_eq(ring_claim(producer, 1024, &payload), 0);
	forged = payload;
	for (unsigned i = 0; i < 4; i++)
		forged[4 * i] = (struct ring_record){
			.type = RING_DATA,
			.length = 3 * 64 + (i == 3 ? 64 : 0),
			.sequence = i + 1,
		};
	numbers++;
	ring_put(producer, &record);
	put_many(1, 64);
	take(5);
	ring_dump_free(&dump);
	ck_assert_int_eq(
	    ring_dump_take(
		lane, &(struct ring_dump_options){ .released = true }, &dump),
	    0);
	expect(1, 5);
	ck_assert_uint_eq(dump.record[0].position, 0);
	ck_assert_uint_eq(dump.record[3].header.length, 1024);
}
END_TEST

START_TEST(a_body_that_was_released_meanwhile_is_refused)
{
	uint8_t body[64];

	put_many(3, 64);
	look_at_waiting();
	ck_assert_int_eq(ring_dump_body(lane, &dump.record[0], body, 64), 0);
	take(1);
	ck_assert_int_eq(
	    ring_dump_body(lane, &dump.record[0], body, 64), -ESTALE);
	ck_assert_int_eq(ring_dump_body(lane, &dump.record[1], body, 64), 0);
	ck_assert_int_eq(ring_dump_body(lane, &dump.record[1], body, 65), -EIO);
}
END_TEST

START_TEST(a_released_body_that_was_overwritten_meanwhile_is_refused)
{
	uint8_t body[192];

	for (unsigned i = 0; i < 20; i++) {
		put_many(1, 192);
		take(1);
	}
	look_at_all();
	ck_assert_int_eq(ring_dump_body(lane, &dump.record[0], body, 192), 0);
	/* Record 6 is next to be overwritten, then is. */
	put_many(1, 192);
	ck_assert_int_eq(
	    ring_dump_body(lane, &dump.record[0], body, 192), -ESTALE);
	put_many(1, 192);
	ck_assert_int_eq(
	    ring_dump_body(lane, &dump.record[0], body, 192), -ESTALE);
	ck_assert_int_eq(ring_dump_body(lane, &dump.record[2], body, 192), 0);
}
END_TEST

START_TEST(a_memfd_that_is_no_lane_is_refused)
{
	struct ring_dump_lane *none = NULL;

	ck_assert_int_eq(
	    ring_dump_open_memory(broker_fd, broker_fd, -1, &none), -EBADMSG);
	((struct ring_lane_header *)(void *)data)->classes = 99;
	ck_assert_int_eq(
	    ring_dump_open_memory(lane_fd, broker_fd, -1, &none), -EBADMSG);
	ck_assert_ptr_null(none);
}
END_TEST

/* Put, take, put, take, as fast as it goes, until killed. */
static void
write_for_ever(void)
{
	uint32_t random = 1;

	for (;;) {
		random = random * 1664525 + 1013904223;
		for (unsigned i = 0; i <= random >> 28; i++)
			if (!put(1 + (random >> 8 >> i) % 900))
				break;
		commit();
		take(random >> 20 & 15);
	}
}

/* What waits is there, whatever the writer does meanwhile. */
static void
check_what_waits(void)
{
	uint8_t body[8192];

	for (size_t i = 0; i < dump.count; i++) {
		const struct ring_record *header = &dump.record[i].header;

		if (dump.record[i].is_released ||
		    ring_dump_body(
			lane, &dump.record[i], body, header->length) != 0)
			continue;
		for (size_t k = 0; k < header->length; k++)
			ck_assert_uint_eq(body[k], header->sequence & 0xff);
	}
}

START_TEST(what_waits_in_a_lane_that_moves_is_never_misread)
{
	const struct ring_dump_options options = { .released = true };
	pid_t writer;

	writer = fork();
	ck_assert_int_ne(writer, -1);
	if (writer == 0)
		write_for_ever();
	while (head()->word < 1u << 16)
		sched_yield();
	for (unsigned i = 0; i < 40; i++) {
		ring_dump_free(&dump);
		ck_assert_int_eq(ring_dump_take(lane, &options, &dump), 0);
		ck_assert_msg(dump.fault.text == NULL, "%s", dump.fault.text);
		check_what_waits();
	}
	/* And when it was killed in the middle of anything. */
	kill(writer, SIGKILL);
	ck_assert_int_eq(waitpid(writer, NULL, 0), writer);
	ring_dump_free(&dump);
	ck_assert_int_eq(ring_dump_take(lane, &options, &dump), 0);
	ck_assert_ptr_null(dump.fault.text);
	check_what_waits();
}
END_TEST

static uint32_t dice;

static uint32_t
roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

/* One byte, word or head, tail somewhere. */
static void
damage(void)
{
	uint64_t length = ring_lane_length(MIN_SHIFT, CLASSES);
	uint64_t value = roll(2) == 0 ? roll(64) : UINT64_C(1) << roll(64);

	switch (roll(6)) {
	case 0:
		head()->word = roll(2) == 0 ? value : head()->word + value;
		break;
	case 1:
		consumer_block()->tail =
		    roll(2) == 0 ? value : consumer_block()->tail + value;
		break;
	case 2:
		*at(64 * roll(64)) = (struct ring_record){
			.type = (uint8_t)roll(5),
			.class = roll(CLASSES + 1),
			.length = roll(3) == 0 ? roll(20000) : 0,
			.sequence = roll(40),
		};
		break;
	default:
		data[RING_PAGE + roll((uint32_t)(length - RING_PAGE))] =
		    (uint8_t)value;
		break;
	}
}

/* The promise: any memory is read to its end, and every record is within. */
START_TEST(survives_any_damage)
{
	const struct ring_dump_options options = { .released = true };
	static uint8_t body[8192];
	uint64_t before;

	dice = (uint32_t)_i + 1;
	put_many(20 + roll(60), 1 + roll(150));
	take(roll(60));
	for (unsigned i = 0; i < 200; i++) {
		damage();
		ring_dump_free(&dump);
		ck_assert_int_eq(ring_dump_take(lane, &options, &dump), 0);
		before = 0;
		for (size_t k = 0; k < dump.count; k++) {
			const struct ring_dump_record *r = &dump.record[k];

			ck_assert_uint_le(r->header.length, 4096 - 64);
			ck_assert_uint_lt(r->class, CLASSES);
			ck_assert(k == 0 || r->position > before);
			before = r->position;
			(void)ring_dump_body(lane, r, body, r->header.length);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_dump");
	TCase *tc = tcase_create("all");
	TCase *live = tcase_create("live");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_empty_lane_has_no_records);
	tcase_add_test(tc, what_waits_is_dumped_with_its_payload);
	tcase_add_test(tc, what_is_not_committed_does_not_exist);
	tcase_add_test(tc, what_is_released_is_dumped_only_if_wanted);
	tcase_add_test(tc, all_may_be_released);
	tcase_add_test(tc, released_records_are_found_after_many_rounds);
	tcase_add_test(tc, what_may_be_being_overwritten_is_left_out);
	tcase_add_test(tc, what_is_put_and_not_committed_overwrites_too);
	tcase_add_test(
	    tc, a_record_behind_a_pad_that_is_to_come_overwrites_too);
	tcase_add_test(tc, records_chain_through_the_classes);
	tcase_add_test(tc, released_records_are_found_through_the_classes);
	tcase_add_test(tc, what_was_punched_is_gone);
	tcase_add_test(tc, the_limit_keeps_the_newest_or_the_oldest);
	tcase_add_test(tc, damage_is_told_and_what_lies_behind_it_is_found);
	tcase_add_loop_test(tc, each_kind_of_damage_has_its_name, 0,
	    sizeof(damages) / sizeof(damages[0]));
	tcase_add_test(tc, a_record_over_the_end_of_its_class_is_damage);
	tcase_add_test(tc, a_switch_to_nowhere_is_damage);
	tcase_add_test(tc, a_tail_beyond_the_head_is_damage);
	tcase_add_test(tc, a_head_in_no_class_is_damage);
	tcase_add_test(tc, a_head_that_runs_away_is_damage);
	tcase_add_test(tc, without_the_consumers_side_the_head_is_enough);
	tcase_add_test(tc, records_within_a_payload_are_not_taken_for_true);
	tcase_add_test(tc, a_body_that_was_released_meanwhile_is_refused);
	tcase_add_test(
	    tc, a_released_body_that_was_overwritten_meanwhile_is_refused);
	tcase_add_test(tc, a_memfd_that_is_no_lane_is_refused);
	tcase_add_test(live, what_waits_in_a_lane_that_moves_is_never_misread);
	tcase_add_loop_test(tc, survives_any_damage, 0, 24);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(live, setup, teardown);
	suite_add_tcase(suite, live);
	return unit_run(suite);
}
