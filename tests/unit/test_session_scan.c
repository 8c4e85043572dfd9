/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_scan.h"

#include <stdlib.h>

#include "broker/session.h"
#include "tests/unit/unit.h"

#define PEOPLE 3000u

/* Sessions of paper: `cursor` is the hash that finds their bucket. */
static struct session people[PEOPLE];
static bool is_in[PEOPLE];
static struct sessions sessions;
static uint32_t dice;

/* What a scan gave, in order. */
static unsigned given[PEOPLE];
static unsigned order[2 * PEOPLE], order_count;

static uint32_t
roll(void)
{
	dice = dice * 1664525 + 1013904223;
	return dice >> 8;
}

static void
place(struct session *session)
{
	struct session **bucket =
	    &sessions.buckets[session->cursor & (sessions.bucket_count - 1)];

	session->next_in_table = *bucket;
	*bucket = session;
}

static void
rebuild(size_t count)
{
	free(sessions.buckets);
	sessions.buckets = calloc(count, sizeof(struct session *));
	sessions.bucket_count = count;
	for (unsigned i = 0; i < PEOPLE; i++)
		if (is_in[i])
			place(&people[i]);
}

static bool
note(void *context, struct session *session)
{
	const unsigned who = (unsigned)(session - people);
	const unsigned *patience = context;

	ck_assert_uint_lt(order_count, 2 * PEOPLE);
	given[who]++;
	order[order_count++] = who;
	return patience == NULL || order_count % *patience != 0;
}

static void
begin(unsigned seed)
{
	dice = seed + 1;
	order_count = 0;
	memset(given, 0, sizeof(given));
	for (unsigned i = 0; i < PEOPLE; i++) {
		people[i].cursor = (uint64_t)roll() << 20 ^ roll();
		is_in[i] = i % 3 != 0;
	}
	rebuild(64);
}

START_TEST(an_empty_table_is_over_at_once)
{
	struct session_scan scan = { 0 };

	begin(1);
	memset(is_in, 0, sizeof(is_in));
	rebuild(64);
	session_scan_step(&sessions, &scan, note, NULL);
	ck_assert(scan.is_over);
	ck_assert_uint_eq(order_count, 0);
}
END_TEST

START_TEST(a_step_is_bounded)
{
	struct session_scan scan = { 0 };
	unsigned patience = 1;

	begin(1);
	session_scan_step(&sessions, &scan, note, NULL);
	ck_assert(!scan.is_over);
	ck_assert_uint_lt(order_count, PEOPLE * 2 / 3);
	/* And ends behind the bucket in which one had enough. */
	memset(is_in, 0, sizeof(is_in));
	is_in[5] = is_in[6] = true;
	people[5].cursor = 0;
	people[6].cursor = 32;
	rebuild(64);
	scan = (struct session_scan){ 0 };
	order_count = 0;
	session_scan_step(&sessions, &scan, note, &patience);
	ck_assert_uint_eq(order_count, 1);
	ck_assert(!scan.is_over);
	memset(is_in, 0, sizeof(is_in));
	rebuild(1u << 16);
	scan = (struct session_scan){ 0 };
	session_scan_step(&sessions, &scan, note, NULL);
	ck_assert(!scan.is_over);
}
END_TEST

/* The place of a hash among those of the first table's buckets. */
static unsigned
place_of(unsigned who)
{
	unsigned place = 0;

	for (unsigned bit = 0; bit < 6; bit++)
		place = place << 1 | (people[who].cursor >> bit & 1);
	return place;
}

/*
 * The promise: whoever comes and goes, and however the table grows meanwhile,
 * those who stay come exactly once, in the order of any other scan.
 */
START_TEST(who_stays_is_given_once_and_in_order)
{
	struct session_scan scan = { 0 };
	unsigned patience = 7, who;

	begin((unsigned)_i);
	while (!scan.is_over) {
		session_scan_step(&sessions, &scan, note, &patience);
		who = roll() % PEOPLE / 3 * 3; /* these come and go */
		is_in[who] = !is_in[who];
		rebuild(sessions.bucket_count);
		if (roll() % 10 == 0 && sessions.bucket_count < 8192)
			rebuild(sessions.bucket_count * 2);
	}
	ck_assert_uint_gt(sessions.bucket_count, 64);
	for (unsigned i = 0; i < PEOPLE; i++)
		if (i % 3 != 0)
			ck_assert_uint_eq(given[i], 1);
	for (unsigned i = 1; i < order_count; i++)
		ck_assert_uint_le(place_of(order[i - 1]), place_of(order[i]));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session_scan");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, an_empty_table_is_over_at_once);
	tcase_add_test(tc, a_step_is_bounded);
	tcase_add_loop_test(tc, who_stays_is_given_once_and_in_order, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
