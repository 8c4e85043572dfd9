/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/feed.h"

#include "tests/unit/unit.h"

static struct feed
feed_of(uint64_t floor, uint64_t arrived)
{
	struct feed feed;

	feed_init(&feed, floor, arrived);
	return feed;
}

START_TEST(keeps_what_arrives_while_there_is_room)
{
	struct feed feed = feed_of(0, 0);

	ck_assert_int_eq(feed_arrives(&feed, 3, true), FEED_KEEP);
	ck_assert_int_eq(feed_arrives(&feed, 7, true), FEED_KEEP);
	ck_assert(!feed_begins_read(&feed, true));
}
END_TEST

START_TEST(reads_later_what_had_no_room_and_all_behind_it)
{
	struct feed feed = feed_of(0, 0);

	ck_assert_int_eq(feed_arrives(&feed, 3, true), FEED_KEEP);
	ck_assert_int_eq(feed_arrives(&feed, 7, false), FEED_LATER);
	ck_assert_int_eq(feed_arrives(&feed, 9, true), FEED_LATER);
	ck_assert(!feed_begins_read(&feed, false));
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 7);
	feed_loaded(&feed, 9);
	ck_assert(!feed_begins_read(&feed, true));
	ck_assert_int_eq(feed_arrives(&feed, 12, true), FEED_KEEP);
}
END_TEST

START_TEST(goes_on_reading_where_a_read_ended)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	feed_arrives(&feed, 9, false);
	ck_assert(feed_begins_read(&feed, true));
	feed_loaded(&feed, 5);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 6);
}
END_TEST

START_TEST(goes_on_behind_what_a_failed_read_gave)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	ck_assert(feed_begins_read(&feed, true));
	feed_loads(&feed, 3);
	feed_loads(&feed, 6);
	ck_assert_int_eq(feed_arrives(&feed, 6, true), FEED_KNOWN);
	feed_read_failed(&feed);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 7);
}
END_TEST

START_TEST(reads_again_what_its_owner_let_go)
{
	struct feed feed = feed_of(0, 0);

	for (uint64_t i = 3; i < 6; i++)
		feed_arrives(&feed, i, true);
	feed_rewind(&feed, 4);
	ck_assert_int_eq(feed_arrives(&feed, 8, true), FEED_LATER);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 4);
	feed_loads(&feed, 4);
	feed_loaded(&feed, 8);
	ck_assert_int_eq(feed_arrives(&feed, 9, true), FEED_KEEP);
}
END_TEST

START_TEST(has_one_read_at_a_time)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert(!feed_begins_read(&feed, true));
}
END_TEST

START_TEST(knows_by_mail_what_the_read_gave_already)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	feed_begins_read(&feed, true);
	feed_loaded(&feed, 8);
	ck_assert_int_eq(feed_arrives(&feed, 8, true), FEED_KNOWN);
	ck_assert_int_eq(feed_arrives(&feed, 9, true), FEED_KEEP);
	ck_assert_int_eq(feed_arrives(&feed, 9, true), FEED_KNOWN);
}
END_TEST

START_TEST(reads_again_for_what_arrived_behind_the_read)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	feed_begins_read(&feed, true);
	ck_assert_int_eq(feed_arrives(&feed, 11, true), FEED_LATER);
	feed_loaded(&feed, 10);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 11);
}
END_TEST

START_TEST(tries_a_failed_read_again_from_the_same_place)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 3, false);
	feed_begins_read(&feed, true);
	feed_read_failed(&feed);
	ck_assert_int_eq(feed_arrives(&feed, 4, true), FEED_LATER);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 3);
}
END_TEST

START_TEST(stays_where_it_is_when_a_read_gave_nothing)
{
	struct feed feed = feed_of(0, 0);

	feed_arrives(&feed, 5, true);
	feed_arrives(&feed, 6, false);
	feed_begins_read(&feed, true);
	feed_loaded(&feed, 4);
	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 6);
}
END_TEST

START_TEST(begins_behind_its_floor_with_what_recovery_found)
{
	struct feed feed = feed_of(40, 50);

	ck_assert(feed_begins_read(&feed, true));
	ck_assert_uint_eq(feed.next, 41);
	feed_loaded(&feed, 45);
	ck_assert(feed_begins_read(&feed, true));

	feed = feed_of(50, 50);
	ck_assert(!feed_begins_read(&feed, true));
	ck_assert_int_eq(feed_arrives(&feed, 51, true), FEED_KEEP);

	/* The journal may have forgotten what was over. */
	feed = feed_of(50, 20);
	ck_assert(!feed_begins_read(&feed, true));
	ck_assert_int_eq(feed_arrives(&feed, 50, true), FEED_KNOWN);
}
END_TEST

/* ---- the promise -------------------------------------------------------- */

#define RECORDS 3000
#define WINDOW 4

/*
 * A journal of records 1..RECORDS of which some are for our cursor; mail that
 * comes when the dice say so; reads that give some at a time, and fail.
 */
struct world {
	uint32_t dice;
	bool is_ours[RECORDS + 1];
	uint64_t committed, mailed; /* sequences */
	uint64_t window;            /* messages in memory */
	uint64_t taken;             /* the last that came into the window */
	uint64_t taken_count;
	bool is_reading;
	struct feed feed;
};

static uint32_t
roll(struct world *world, uint32_t sides)
{
	world->dice = world->dice * 1664525 + 1013904223;
	return (world->dice >> 8) % sides;
}

/* In order and none twice; that none is left out is for the count. */
static void
take(struct world *world, uint64_t sequence)
{
	ck_assert_uint_gt(sequence, world->taken);
	ck_assert_uint_lt(world->window, WINDOW);
	world->taken = sequence;
	world->taken_count++;
	world->window++;
}

static void
mail_one(struct world *world)
{
	if (world->mailed == world->committed)
		return;
	world->mailed++;
	if (world->is_ours[world->mailed] &&
	    feed_arrives(&world->feed, world->mailed, world->window < WINDOW) ==
		FEED_KEEP)
		take(world, world->mailed);
}

static void
end_read(struct world *world)
{
	uint64_t at, count = 0, room = WINDOW - world->window;

	world->is_reading = false;
	if (roll(world, 4) == 0) {
		feed_read_failed(&world->feed);
		return;
	}
	if (room > 1)
		room = 1 + roll(world, (uint32_t)room);
	for (at = world->feed.next; at <= world->committed; at++) {
		if (!world->is_ours[at])
			continue;
		if (count == room)
			break;
		take(world, at);
		count++;
	}
	feed_loaded(&world->feed, at - 1);
}

static void
step(struct world *world)
{
	switch (roll(world, 5)) {
	case 0:
		world->committed += world->committed < RECORDS;
		break;
	case 1:
		mail_one(world);
		break;
	case 2:
		if (feed_begins_read(&world->feed, world->window < WINDOW))
			world->is_reading = true;
		break;
	case 3:
		if (world->is_reading)
			end_read(world);
		break;
	default:
		world->window -= world->window > 0;
	}
}

/* Whatever comes when: each of ours once, in order, in a bounded window. */
START_TEST(gives_each_message_once_and_in_order)
{
	struct world world = { .dice = (uint32_t)_i + 1 };
	uint64_t ours = 0;

	feed_init(&world.feed, 0, 0);
	for (unsigned i = 1; i <= RECORDS; i++) {
		world.is_ours[i] = roll(&world, 3) != 0;
		ours += world.is_ours[i];
	}
	for (unsigned i = 0; i < 200 * RECORDS; i++)
		step(&world);
	ck_assert_uint_eq(world.mailed, RECORDS);
	ck_assert_uint_eq(world.taken_count, ours);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("feed");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, keeps_what_arrives_while_there_is_room);
	tcase_add_test(tc, reads_later_what_had_no_room_and_all_behind_it);
	tcase_add_test(tc, goes_on_reading_where_a_read_ended);
	tcase_add_test(tc, goes_on_behind_what_a_failed_read_gave);
	tcase_add_test(tc, reads_again_what_its_owner_let_go);
	tcase_add_test(tc, has_one_read_at_a_time);
	tcase_add_test(tc, knows_by_mail_what_the_read_gave_already);
	tcase_add_test(tc, reads_again_for_what_arrived_behind_the_read);
	tcase_add_test(tc, tries_a_failed_read_again_from_the_same_place);
	tcase_add_test(tc, stays_where_it_is_when_a_read_gave_nothing);
	tcase_add_test(tc, begins_behind_its_floor_with_what_recovery_found);
	tcase_add_loop_test(tc, gives_each_message_once_and_in_order, 0, 16);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
