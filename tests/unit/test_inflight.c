/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/inflight.h"

#include "tests/unit/unit.h"

#define WINDOW 4

static struct inflight inflight;
static uint8_t payload[8] = "payload";

static void
setup(void)
{
	ck_assert_int_eq(inflight_init(&inflight, WINDOW), 0);
}

static void
teardown(void)
{
	inflight_fini(&inflight);
}

/* Records are 64 bytes apart in this ring. */
static struct inflight_entry *
push(uint64_t sequence)
{
	struct ring_record record = { .sequence = sequence,
		.length = sizeof(payload) };

	return inflight_push(&inflight, &record, payload, 64 * sequence);
}

static void
send_all(void)
{
	struct inflight_entry *entry;

	while ((entry = inflight_next(&inflight)) != NULL)
		inflight_sent(&inflight, entry);
}

static void
settle(uint64_t sequence)
{
	struct inflight_entry *entry =
	    inflight_find(&inflight, inflight_id(sequence));

	ck_assert_ptr_nonnull(entry);
	ck_assert_uint_eq(entry->sequence, sequence);
	inflight_settle(&inflight, entry, INFLIGHT_DELIVERED);
}

/* What can be released now; 0 when nothing. */
static uint64_t
released(struct ring_outcome *outcome)
{
	uint64_t word;

	return inflight_pop(&inflight, &word, outcome) ? word : 0;
}

START_TEST(releases_the_longest_settled_prefix_only)
{
	struct ring_outcome outcome;

	for (uint64_t i = 1; i <= 4; i++)
		push(i);
	send_all();
	settle(2);
	settle(3);
	ck_assert_uint_eq(released(&outcome), 0);
	settle(1);
	ck_assert_uint_eq(released(&outcome), 64 * 3);
	ck_assert_uint_eq(outcome.delivered, 3);
	settle(4);
	ck_assert_uint_eq(released(&outcome), 64 * 4);
	ck_assert_uint_eq(outcome.delivered, 1);
}
END_TEST

START_TEST(holds_no_more_than_the_window)
{
	for (uint64_t i = 1; i <= WINDOW; i++) {
		ck_assert(inflight_has_room(&inflight, WINDOW, i));
		push(i);
	}
	/* [MQTT-3.3.4-7] [MQTT-4.9.0-2] */
	ck_assert(!inflight_has_room(&inflight, WINDOW, 5));
	send_all();
	settle(2);
	ck_assert(inflight_has_room(&inflight, WINDOW, 5));
	ck_assert(!inflight_has_room(&inflight, WINDOW - 1, 5));
}
END_TEST

START_TEST(counts_skipped_records_with_the_prefix_they_stand_in)
{
	struct ring_outcome outcome;

	push(1);
	inflight_skip(&inflight, 2, 128, INFLIGHT_DROPPED);
	inflight_skip(&inflight, 3, 192, INFLIGHT_DEAD);
	ck_assert_uint_eq(inflight.count, 2);
	send_all();
	ck_assert_uint_eq(released(&outcome), 0);
	settle(1);
	ck_assert_uint_eq(released(&outcome), 192);
	ck_assert_uint_eq(outcome.delivered, 1);
	ck_assert_uint_eq(outcome.dropped, 1);
	ck_assert_uint_eq(outcome.dead, 1);
}
END_TEST

START_TEST(sends_again_in_order_what_was_not_settled)
{
	for (uint64_t i = 1; i <= 3; i++)
		push(i);
	send_all();
	settle(2);
	inflight_resend_all(&inflight);

	/* [MQTT-4.6.0-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1] */
	ck_assert_uint_eq(inflight_next(&inflight)->sequence, 1);
	ck_assert(inflight_next(&inflight)->maybe_sent);
	inflight_sent(&inflight, inflight_next(&inflight));
	ck_assert_uint_eq(inflight_next(&inflight)->sequence, 3);
	inflight_sent(&inflight, inflight_next(&inflight));
	ck_assert_ptr_null(inflight_next(&inflight));
}
END_TEST

START_TEST(marks_nothing_as_a_copy_for_a_remote_that_forgot_us)
{
	push(1);
	send_all();
	inflight_resend_all(&inflight);
	/* [MQTT-3.2.2-5] */
	inflight_forget_sent(&inflight);
	ck_assert(!inflight_next(&inflight)->maybe_sent);
}
END_TEST

START_TEST(gives_a_record_the_same_identifier_in_every_life)
{
	ck_assert_uint_eq(inflight_id(7), inflight_id(7));
	ck_assert_uint_eq(inflight_id(7 + INFLIGHT_IDS), inflight_id(7));
	for (uint64_t i = 0; i < 3 * (uint64_t)INFLIGHT_IDS; i++) {
		/* [MQTT-2.2.1-3] */
		ck_assert_uint_ge(inflight_id(i), 1);
		ck_assert_uint_le(inflight_id(i), INFLIGHT_IDS);
		ck_assert_uint_ne(inflight_id(i), inflight_id(i + 1));
	}
}
END_TEST

START_TEST(does_not_use_an_identifier_twice_at_a_time)
{
	uint64_t far = 1 + INFLIGHT_MAX;

	push(1);
	inflight_skip(&inflight, far - 1, 128, INFLIGHT_DROPPED);
	ck_assert(inflight_has_room(&inflight, WINDOW, far - 1));
	/* [MQTT-4.3.2-1] [MQTT-4.3.3-1] */
	ck_assert(!inflight_has_room(&inflight, WINDOW, far));
	send_all();
	settle(1);
	ck_assert(inflight_has_room(&inflight, WINDOW, far));
}
END_TEST

START_TEST(knows_only_identifiers_that_are_under_way)
{
	push(10);
	inflight_skip(&inflight, 11, 704, INFLIGHT_DROPPED);
	push(12);
	send_all();
	ck_assert_ptr_null(inflight_find(&inflight, 0));
	ck_assert_ptr_null(inflight_find(&inflight, 65535));
	ck_assert_ptr_null(inflight_find(&inflight, inflight_id(9)));
	ck_assert_ptr_null(inflight_find(&inflight, inflight_id(11)));
	ck_assert_ptr_null(inflight_find(&inflight, inflight_id(13)));
	settle(12);
	ck_assert_ptr_null(inflight_find(&inflight, inflight_id(12)));
	ck_assert_ptr_nonnull(inflight_find(&inflight, inflight_id(10)));
}
END_TEST

START_TEST(keeps_a_copy_of_what_the_ring_gets_back_early)
{
	struct inflight_entry *entry = push(1);
	struct ring_outcome outcome;
	uint64_t word;

	inflight_skip(&inflight, 2, 128, INFLIGHT_DROPPED);
	ck_assert_int_eq(inflight_copy_out(&inflight, &word), 0);
	ck_assert_uint_eq(word, 128);
	ck_assert_ptr_ne(entry->payload, payload);
	ck_assert_mem_eq(entry->payload, payload, sizeof(payload));
	send_all();
	settle(1);
	ck_assert_uint_eq(released(&outcome), 128);
	ck_assert_int_eq(inflight_copy_out(&inflight, &word), 0);
	ck_assert_uint_eq(word, 0);
}
END_TEST

START_TEST(forgets_everything_with_the_ring)
{
	push(1);
	send_all();
	inflight_clear(&inflight);
	ck_assert_uint_eq(inflight.unsettled, 0);
	ck_assert_ptr_null(inflight_find(&inflight, inflight_id(1)));
	push(1);
	ck_assert_uint_eq(inflight_next(&inflight)->sequence, 1);
}
END_TEST

/*
 * The promise: whatever order the remote answers in, the records before the
 * released position are exactly those that were settled or skipped, and the
 * outcomes add up.
 */
START_TEST(releases_exactly_what_is_settled_in_any_order)
{
	bool finished[2001] = { false };
	uint64_t next = 1, tail = 0, word, total = 0;
	struct ring_outcome outcome;
	uint32_t dice = (uint32_t)_i + 1;

	while (tail < 2000) {
		dice = dice * 1664525 + 1013904223;
		if ((dice >> 28) < 4 && next <= 2000) {
			inflight_skip(
			    &inflight, next, 64 * next, INFLIGHT_DROPPED);
			finished[next++] = true;
		} else if ((dice >> 28) < 10 && next <= 2000 &&
		    inflight_has_room(&inflight, WINDOW, next)) {
			push(next++);
			send_all();
		} else if (inflight.unsettled != 0) {
			uint64_t pick = tail + 1 + (dice >> 8) % (next - tail);

			if (inflight_find(&inflight, inflight_id(pick))) {
				settle(pick);
				finished[pick] = true;
			}
		}
		if (inflight_pop(&inflight, &word, &outcome)) {
			total += outcome.delivered + outcome.dropped;
			while (tail < word / 64)
				ck_assert(finished[++tail]);
			ck_assert_uint_eq(total, tail);
		}
		ck_assert(tail + 1 == next || !finished[tail + 1]);
		ck_assert_uint_le(inflight.unsettled, WINDOW);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("inflight");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, releases_the_longest_settled_prefix_only);
	tcase_add_test(tc, holds_no_more_than_the_window);
	tcase_add_test(
	    tc, counts_skipped_records_with_the_prefix_they_stand_in);
	tcase_add_test(tc, sends_again_in_order_what_was_not_settled);
	tcase_add_test(tc, marks_nothing_as_a_copy_for_a_remote_that_forgot_us);
	tcase_add_test(tc, gives_a_record_the_same_identifier_in_every_life);
	tcase_add_test(tc, does_not_use_an_identifier_twice_at_a_time);
	tcase_add_test(tc, knows_only_identifiers_that_are_under_way);
	tcase_add_test(tc, keeps_a_copy_of_what_the_ring_gets_back_early);
	tcase_add_test(tc, forgets_everything_with_the_ring);
	tcase_add_loop_test(
	    tc, releases_exactly_what_is_settled_in_any_order, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
