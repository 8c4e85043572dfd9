/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/dead.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct dead dead;

static void
setup(void)
{
	dead = (struct dead){ .max_count = 3, .max_bytes = 4096 };
}

static void
teardown(void)
{
	dead_fini(&dead);
}

static struct dead_letter *
add(uint64_t journal, const char *why, const char *message)
{
	return dead_add(&dead, 0,
	    &(struct dead_parts){
		.memory = 5,
		.sequence = 100 + journal,
		.journal = journal,
		.why = slice_of_string(why),
		.message = slice_of_string(message),
	    });
}

static bool
has(uint64_t journal, uint32_t memory, uint64_t sequence)
{
	return dead_has(&dead,
	    &(struct dead_parts){
		.memory = memory,
		.sequence = sequence,
		.journal = journal,
	    });
}

START_TEST(keeps_what_it_is_given)
{
	const struct dead_letter *letter = add(7, "Not authorized", "body");

	ck_assert_uint_eq(letter->id, 1);
	ck_assert_uint_eq(letter->journal, 7);
	ck_assert(slice_equal_string(dead_why(letter), "Not authorized"));
	ck_assert(slice_equal_string(dead_message(letter), "body"));
	ck_assert_ptr_eq(dead_find(&dead, 1), letter);
	ck_assert_ptr_null(dead_find(&dead, 2));
}
END_TEST

START_TEST(gives_each_a_number_of_its_own_for_good)
{
	ck_assert_uint_eq(add(1, "", "")->id, 1);
	ck_assert_uint_eq(add(2, "", "")->id, 2);
	dead_remove(&dead, dead_find(&dead, 2));
	ck_assert_uint_eq(add(3, "", "")->id, 3);
	dead_add(&dead, 9, &(struct dead_parts){ .journal = 4 });
	dead_remove(&dead, dead_find(&dead, 9));
	ck_assert_uint_eq(add(5, "", "")->id, 10);
}
END_TEST

START_TEST(has_room_for_so_many)
{
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert(dead_has_room(&dead, 10));
		add(i, "", "0123456789");
	}
	ck_assert(!dead_has_room(&dead, 0));
	dead_remove(&dead, dead.first);
	ck_assert(dead_has_room(&dead, 10));
}
END_TEST

START_TEST(has_room_for_so_many_bytes)
{
	const size_t most = 4096 - sizeof(struct dead_letter);

	ck_assert(dead_has_room(&dead, most));
	ck_assert(!dead_has_room(&dead, most + 1));
	add(1, "why", "0123456");
	ck_assert_uint_eq(dead.bytes, sizeof(struct dead_letter) + 10);
	ck_assert(dead_has_room(&dead, most - dead.bytes));
	ck_assert(!dead_has_room(&dead, most - dead.bytes + 1));
	dead.max_bytes = 0;
	ck_assert(!dead_has_room(&dead, 0));
}
END_TEST

START_TEST(knows_a_copy_by_the_journals_number)
{
	add(7, "", "");
	add(4, "", "");
	ck_assert(has(7, 5, 1));
	ck_assert(has(4, 6, 1));
	ck_assert(!has(5, 5, 107));
	ck_assert(!has(8, 5, 107));
}
END_TEST

START_TEST(knows_a_copy_by_its_place_without_a_journal)
{
	add(0, "", "");
	ck_assert(has(0, 5, 100));
	ck_assert(!has(0, 6, 100));
	ck_assert(!has(0, 5, 101));
	/* One that the journal has is another, wherever it lay. */
	ck_assert(!has(1, 5, 100));
	add(3, "", "");
	ck_assert(!has(0, 5, 103));
}
END_TEST

/* The promise: oldest first, counted right, whatever is taken out. */
START_TEST(stays_in_order_whatever_goes)
{
	uint64_t count = 0, bytes = 0, last = 0;
	struct dead_letter *letter;

	srand((unsigned)_i);
	dead.max_count = 1000;
	for (uint64_t step = 1; step < 500; step++) {
		if (dead.count != 0 && rand() % 3 == 0) {
			letter = dead.first;
			for (int skip = rand() % (int)dead.count; skip > 0;
			     skip--)
				letter = letter->next;
			dead_remove(&dead, letter);
		} else {
			add(step, "why", "body");
		}
	}
	for (letter = dead.first; letter != NULL; letter = letter->next) {
		ck_assert_uint_gt(letter->id, last);
		last = letter->id;
		count++;
		bytes += sizeof(*letter) + 7;
		ck_assert_ptr_eq(
		    letter->next == NULL ? dead.last : letter->next->previous,
		    letter);
	}
	ck_assert_uint_eq(dead.count, count);
	ck_assert_uint_eq(dead.bytes, bytes);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("dead");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, keeps_what_it_is_given);
	tcase_add_test(tc, gives_each_a_number_of_its_own_for_good);
	tcase_add_test(tc, has_room_for_so_many);
	tcase_add_test(tc, has_room_for_so_many_bytes);
	tcase_add_test(tc, knows_a_copy_by_the_journals_number);
	tcase_add_test(tc, knows_a_copy_by_its_place_without_a_journal);
	tcase_add_loop_test(tc, stays_in_order_whatever_goes, 1, 11);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
