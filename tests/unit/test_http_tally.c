/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct offers notes;
static struct tally tally;

static void
setup(void)
{
	memset(&notes, 0, sizeof(notes));
	memset(&tally, 0, sizeof(tally));
}

/* A process that begins while the link's memory is there. */
static void
live_again(void)
{
	memset(&tally, 0, sizeof(tally));
	tally_attach(&tally, &notes);
}

static const struct offers_row *
row(const char *name)
{
	for (unsigned i = 0; i < OFFERS_ROWS; i++)
		if (strcmp(notes.rows[i].name, name) == 0)
			return &notes.rows[i];
	ck_abort_msg("no row \"%s\"", name);
	return NULL;
}

static void
expect(const char *name, uint64_t offered, uint64_t accepted, uint64_t refused,
    uint64_t unknown)
{
	ck_assert_uint_eq(row(name)->offered, offered);
	ck_assert_uint_eq(row(name)->accepted, accepted);
	ck_assert_uint_eq(row(name)->refused, refused);
	ck_assert_uint_eq(row(name)->unknown, unknown);
}

START_TEST(counts_for_every_bridge_of_a_set)
{
	tally_attach(&tally, &notes);
	tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_count(&tally, "cloud+plant", TALLY_OFFERED);
	tally_count(&tally, "cloud+plant", TALLY_ACCEPTED);
	tally_count(&tally, "cloud", TALLY_REFUSED);
	tally_count(&tally, "clou", TALLY_UNKNOWN);
	expect("cloud", 2, 1, 1, 0);
	expect("plant", 1, 1, 0, 0);
	expect("clou", 0, 0, 0, 1);
}
END_TEST

START_TEST(takes_back_what_goes_another_way)
{
	tally_attach(&tally, &notes);
	tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_count(&tally, "cloud", TALLY_WITHDRAWN);
	tally_count(&tally, "plant", TALLY_OFFERED);
	expect("cloud", 0, 0, 0, 0);
	expect("plant", 1, 0, 0, 0);
}
END_TEST

START_TEST(counts_sets_without_a_bridge_nowhere)
{
	tally_attach(&tally, &notes);
	tally_count(&tally, "", TALLY_OFFERED);
	tally_count(&tally, "*", TALLY_OFFERED);
	ck_assert_int_eq(notes.rows[0].name[0], '\0');
}
END_TEST

START_TEST(keeps_what_it_counts_without_a_link)
{
	tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_count(&tally, "cloud", TALLY_REFUSED);
	tally_attach(&tally, &notes);
	tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_detach(&tally);
	tally_count(&tally, "cloud", TALLY_REFUSED);
	expect("cloud", 2, 0, 1, 0);
	tally_attach(&tally, &notes);
	expect("cloud", 2, 0, 2, 0);
}
END_TEST

START_TEST(calls_unknown_what_a_killed_life_had_under_way)
{
	tally_attach(&tally, &notes);
	for (int i = 0; i < 5; i++)
		tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_count(&tally, "cloud", TALLY_ACCEPTED);
	tally_count(&tally, "cloud", TALLY_REFUSED);
	live_again();
	expect("cloud", 5, 1, 1, 3);
}
END_TEST

/* The same process, whose link was away: its messages are still answered. */
START_TEST(waits_for_what_is_under_way_when_only_the_link_was_lost)
{
	tally_attach(&tally, &notes);
	tally_count(&tally, "cloud", TALLY_OFFERED);
	tally_detach(&tally);
	tally_attach(&tally, &notes);
	expect("cloud", 1, 0, 0, 0);
	tally_count(&tally, "cloud", TALLY_ACCEPTED);
	expect("cloud", 1, 1, 0, 0);
}
END_TEST

START_TEST(counts_no_bridge_beyond_its_rows)
{
	char name[16];

	tally_attach(&tally, &notes);
	for (unsigned i = 0; i < OFFERS_ROWS + 8; i++) {
		snprintf(name, sizeof(name), "b%u", i);
		tally_count(&tally, name, TALLY_OFFERED);
	}
	expect("b0", 1, 0, 0, 0);
	expect("b63", 1, 0, 0, 0);
}
END_TEST

/* The promise: whatever is counted in whatever order, the terms add up. */
START_TEST(adds_up_over_lives_and_links)
{
	static const enum tally_term ends[] = { TALLY_ACCEPTED, TALLY_REFUSED,
		TALLY_UNKNOWN };
	uint64_t all = 0, open = 0;

	srand((unsigned)_i);
	live_again();
	for (int step = 0; step < 2000; step++) {
		switch (rand() % 8) {
		case 0:
			live_again();
			open = 0;
			break;
		case 1:
			tally_detach(&tally);
			tally_attach(&tally, &notes);
			break;
		default:
			if (open > 0 && rand() % 2 == 0) {
				tally_count(&tally, "cloud", ends[rand() % 3]);
				open--;
			} else {
				tally_count(&tally, "cloud", TALLY_OFFERED);
				open++;
				all++;
			}
		}
	}
	live_again();
	ck_assert_uint_eq(row("cloud")->offered, all);
	ck_assert_uint_eq(row("cloud")->accepted + row("cloud")->refused +
		row("cloud")->unknown,
	    all);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_tally");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, counts_for_every_bridge_of_a_set);
	tcase_add_test(tc, takes_back_what_goes_another_way);
	tcase_add_test(tc, counts_sets_without_a_bridge_nowhere);
	tcase_add_test(tc, keeps_what_it_counts_without_a_link);
	tcase_add_test(tc, calls_unknown_what_a_killed_life_had_under_way);
	tcase_add_test(
	    tc, waits_for_what_is_under_way_when_only_the_link_was_lost);
	tcase_add_test(tc, counts_no_bridge_beyond_its_rows);
	tcase_add_loop_test(tc, adds_up_over_lives_and_links, 1, 21);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
