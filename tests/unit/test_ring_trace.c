/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

/* A side memfd with its trace mapped, as its owner has it. */
struct side {
	int fd;
	uint8_t *map;
	struct ring_trace_area *area;
	struct ring_trace trace;
};

static struct ring_trace_event events[RING_TRACE_ENTRIES];
static struct ring_trace_state state;

static struct side
open_side(void)
{
	struct side side;
	void *map;

	side.fd = memfd_create_sealed("weir-test", RING_SIDE_LENGTH);
	ck_assert_int_ge(side.fd, 0);
	ck_assert_int_eq(memfd_map(side.fd, RING_SIDE_LENGTH, true, &map), 0);
	side.map = map;
	side.area =
	    (struct ring_trace_area *)(void *)(side.map + RING_SIDE_TRACE);
	ring_trace_init(&side.trace, side.area);
	return side;
}

static void
close_side(struct side *side)
{
	munmap(side->map, RING_SIDE_LENGTH);
	close(side->fd);
}

static int
read_side(const struct side *side)
{
	return ring_trace_read(side->fd, events, &state);
}

static void
note(struct side *side, uint64_t sequence, uint64_t time_ns)
{
	const struct ring_trace_id id = { 3, 2, sequence };

	ring_trace_note(&side->trace, &id, RING_TRACE_SENT, time_ns);
}

START_TEST(what_is_noted_is_read)
{
	struct side side = open_side();

	note(&side, UINT64_C(1) << 50, 77);
	ck_assert_int_eq(read_side(&side), 1);
	ck_assert_uint_eq(events[0].id.link, 3);
	ck_assert_uint_eq(events[0].id.lane, 2);
	ck_assert_uint_eq(events[0].id.sequence, UINT64_C(1) << 50);
	ck_assert_int_eq(events[0].stage, RING_TRACE_SENT);
	ck_assert_uint_eq(events[0].time_ns, 77);
	ck_assert_uint_eq(state.written, 1);
	close_side(&side);
}
END_TEST

START_TEST(an_untouched_circle_holds_nothing)
{
	struct side side = open_side();

	ck_assert_int_eq(read_side(&side), 0);
	ck_assert_uint_eq(state.written, 0);
	ck_assert_uint_eq(state.every, 0);
	close_side(&side);
}
END_TEST

START_TEST(a_message_may_come_by_no_link)
{
	struct side side = open_side();
	struct ring_record record = {
		.source_link = RING_TRACE_NO_LINK,
		.source_lane = 5,
		.source_sequence = 9,
		.flags = RING_TRACED,
	};

	ring_trace_note_record(&side.trace, &record, RING_TRACE_ROUTED);
	ck_assert_int_eq(read_side(&side), 1);
	ck_assert_uint_eq(events[0].id.link, RING_TRACE_NO_LINK);
	ck_assert_uint_eq(events[0].id.lane, 5);
	ck_assert_uint_eq(events[0].id.sequence, 9);
	ck_assert_uint_gt(events[0].time_ns, 0);
	close_side(&side);
}
END_TEST

START_TEST(records_without_the_flag_are_not_noted)
{
	struct side side = open_side();
	struct ring_record record = { .source_sequence = 9 };

	ring_trace_note_record(&side.trace, &record, RING_TRACE_ROUTED);
	record.flags = RING_TRACED;
	ring_trace_note_record(NULL, &record, RING_TRACE_ROUTED);
	ck_assert_int_eq(read_side(&side), 0);
	close_side(&side);
}
END_TEST

START_TEST(one_message_in_n_is_due_the_first_too)
{
	struct side side = open_side();
	char seen[11] = "";

	ring_trace_set_every(&side.trace, 4);
	for (int i = 0; i < 10; i++)
		seen[i] = ring_trace_is_due(&side.trace) ? 'x' : '.';
	ck_assert_str_eq(seen, "x...x...x.");
	read_side(&side);
	ck_assert_uint_eq(state.every, 4);
	close_side(&side);
}
END_TEST

START_TEST(none_is_due_when_it_is_off)
{
	struct side side = open_side();

	for (int i = 0; i < 1000; i++)
		ck_assert(!ring_trace_is_due(&side.trace));
	ring_trace_set_every(&side.trace, 1);
	ck_assert(ring_trace_is_due(&side.trace));
	ck_assert(ring_trace_is_due(&side.trace));
	ring_trace_set_every(&side.trace, 0);
	for (int i = 0; i < 1000; i++)
		ck_assert(!ring_trace_is_due(&side.trace));
	ck_assert(!ring_trace_is_due(NULL));
	close_side(&side);
}
END_TEST

START_TEST(the_newest_entries_stay)
{
	struct side side = open_side();
	uint64_t least = UINT64_MAX;

	for (uint64_t i = 1; i <= RING_TRACE_ENTRIES + 10; i++)
		note(&side, i, i);
	ck_assert_int_eq(read_side(&side), RING_TRACE_ENTRIES);
	for (size_t i = 0; i < RING_TRACE_ENTRIES; i++)
		if (events[i].id.sequence < least)
			least = events[i].id.sequence;
	ck_assert_uint_eq(least, 11);
	ck_assert_uint_eq(state.written, RING_TRACE_ENTRIES + 10);
	close_side(&side);
}
END_TEST

START_TEST(a_restarted_owner_goes_on_after_the_last_entry)
{
	struct side side = open_side();

	note(&side, 1, 1);
	note(&side, 2, 2);
	ring_trace_init(&side.trace, side.area);
	note(&side, 3, 3);
	ck_assert_int_eq(read_side(&side), 3);
	ck_assert_uint_eq(events[2].id.sequence, 3);
	close_side(&side);
}
END_TEST

/* Each word in turn is still the old one: the writer died in between. */
START_TEST(a_torn_entry_is_left_out)
{
	struct side side = open_side();
	struct ring_trace_entry old;
	_Atomic uint64_t *words = (_Atomic uint64_t *)&side.area->entry[0];

	note(&side, 1, 1000);
	memcpy(&old, (void *)&side.area->entry[0], sizeof(old));
	side.trace.written = 0;
	ring_trace_note(&side.trace, &(struct ring_trace_id){ 4, 2, 2 },
	    RING_TRACE_ACKED, 2000);
	for (int i = 0; i < 4; i++) {
		uint64_t fresh = words[i];

		words[i] = ((_Atomic uint64_t *)&old)[i];
		ck_assert_int_eq(read_side(&side), 0);
		words[i] = fresh;
	}
	ck_assert_int_eq(read_side(&side), 1);
	close_side(&side);
}
END_TEST

START_TEST(impossible_entries_are_left_out)
{
	struct side side = open_side();
	const struct ring_trace_id wild = { RING_LINKS, 0, 1 };
	const struct ring_trace_id good = { RING_LINKS - 1, 0, 1 };

	ring_trace_note(&side.trace, &wild, RING_TRACE_PUT, 1);
	ring_trace_note(&side.trace, &good, RING_TRACE_STAGES, 1);
	ring_trace_note(&side.trace, &good, (enum ring_trace_stage)0, 1);
	ck_assert_int_eq(read_side(&side), 0);
	ring_trace_note(&side.trace, &good, RING_TRACE_ANSWERED, 1);
	ck_assert_int_eq(read_side(&side), 1);
	close_side(&side);
}
END_TEST

START_TEST(a_memfd_that_is_no_side_is_an_error)
{
	int fd = memfd_create_sealed("weir-test", RING_PAGE);

	ck_assert_int_eq(ring_trace_read(fd, events, &state), -EBADMSG);
	close(fd);
	ck_assert_int_eq(ring_trace_read(-1, events, &state), -EBADF);
}
END_TEST

/* The promise: whatever lies there, what is read was written as a whole. */
START_TEST(random_memory_gives_nothing)
{
	struct side side = open_side();
	uint64_t dice = (uint64_t)_i + 1, *words = (uint64_t *)side.area;

	for (size_t i = 0; i < RING_TRACE_LENGTH / 8; i++) {
		dice = dice * UINT64_C(6364136223846793005) + 1442695040888963;
		words[i] = (dice >> 60) < 4 ? 0 : dice;
	}
	ck_assert_int_eq(read_side(&side), 0);
	close_side(&side);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_trace");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, what_is_noted_is_read);
	tcase_add_test(tc, an_untouched_circle_holds_nothing);
	tcase_add_test(tc, a_message_may_come_by_no_link);
	tcase_add_test(tc, records_without_the_flag_are_not_noted);
	tcase_add_test(tc, one_message_in_n_is_due_the_first_too);
	tcase_add_test(tc, none_is_due_when_it_is_off);
	tcase_add_test(tc, the_newest_entries_stay);
	tcase_add_test(tc, a_restarted_owner_goes_on_after_the_last_entry);
	tcase_add_test(tc, a_torn_entry_is_left_out);
	tcase_add_test(tc, impossible_entries_are_left_out);
	tcase_add_test(tc, a_memfd_that_is_no_side_is_an_error);
	tcase_add_loop_test(tc, random_memory_gives_nothing, 0, 16);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
