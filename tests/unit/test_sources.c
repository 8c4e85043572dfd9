/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sources.h"

#include <string.h>

#include "broker/message.h"
#include "tests/unit/unit.h"

static struct sources sources;

static void
set_up(void)
{
	sources = (struct sources){ 0 };
}

static void
tear_down(void)
{
	sources_fini(&sources);
}

static void
note(uint32_t name, uint32_t lane, uint64_t sequence)
{
	const struct store_source source = { name, lane, sequence };

	ck_assert_int_eq(sources_note(&sources, &source), 0);
}

static void
cover(uint32_t name, uint32_t lane, uint64_t sequence)
{
	sources_cover(&sources, &(struct store_source){ name, lane, sequence });
}

static bool
has(uint32_t name, uint32_t lane, uint64_t sequence)
{
	return sources_has(&sources, name, lane, sequence);
}

START_TEST(a_name_tells_its_link_and_is_nobody_elses)
{
	const uint64_t dice[] = { 0, 1, 2, UINT32_MAX, UINT64_MAX, 0x1ffffff };
	uint32_t name;

	for (uint32_t link = 0; link < RING_LINKS; link++) {
		for (unsigned i = 0; i < 6; i++) {
			name = sources_name(link, dice[i]);
			ck_assert_uint_eq(sources_link(name), link);
			ck_assert_uint_ne(name, 0);
			ck_assert_uint_ne(name, MESSAGE_FROM_MQTT);
		}
	}
	ck_assert_uint_ne(sources_name(3, 5), sources_name(3, 6));
}
END_TEST

START_TEST(each_lane_has_its_own)
{
	const uint32_t httpd = sources_name(0, 7), cloud = sources_name(1, 7);

	ck_assert(!has(httpd, 0, 5));
	note(httpd, 0, 5);
	note(httpd, 1, 3);
	note(cloud, 0, 9);
	ck_assert(has(httpd, 0, 5));
	ck_assert(has(httpd, 1, 3));
	ck_assert(has(cloud, 0, 9));
	ck_assert(!has(httpd, 0, 3));
	ck_assert(!has(httpd, 0, 6));
	ck_assert(!has(httpd, 2, 5));
	ck_assert(!has(cloud, 0, 5));
}
END_TEST

/* What failed between two that did not is to be taken again. */
START_TEST(it_is_known_of_each_of_them)
{
	const uint32_t httpd = sources_name(0, 7);

	note(httpd, 0, 2);
	note(httpd, 0, 4);
	note(httpd, 0, 70);
	note(httpd, 0, 3);
	ck_assert(!has(httpd, 0, 1));
	ck_assert(has(httpd, 0, 2));
	ck_assert(has(httpd, 0, 3));
	ck_assert(has(httpd, 0, 4));
	ck_assert(!has(httpd, 0, 5));
	ck_assert(!has(httpd, 0, 69));
	ck_assert(has(httpd, 0, 70));
	ck_assert(!has(httpd, 0, 71));
}
END_TEST

START_TEST(a_checkpoint_covers_all_up_to_it)
{
	const uint32_t httpd = sources_name(0, 7);

	note(httpd, 0, 5);
	cover(httpd, 0, 10);
	cover(httpd, 0, 8);
	note(httpd, 0, 12);
	note(httpd, 0, 9);
	ck_assert(has(httpd, 0, 1));
	ck_assert(has(httpd, 0, 10));
	ck_assert(!has(httpd, 0, 11));
	ck_assert(has(httpd, 0, 12));
	ck_assert_uint_eq(sources_lane(&sources, httpd, 0)->all, 10);
	ck_assert_uint_eq(sources_lane(&sources, httpd, 0)->last, 12);
}
END_TEST

START_TEST(what_is_far_behind_was_answered)
{
	const uint32_t httpd = sources_name(0, 7);

	note(httpd, 0, 3);
	note(httpd, 0, SOURCES_WINDOW);
	ck_assert(!has(httpd, 0, 2));
	note(httpd, 0, SOURCES_WINDOW + 3);
	ck_assert(has(httpd, 0, 2));
	ck_assert(!has(httpd, 0, 4));
	ck_assert(!has(httpd, 0, SOURCES_WINDOW + 2));
	/* Older than the window: it changes nothing of what is in it. */
	note(httpd, 0, 2);
	ck_assert(!has(httpd, 0, SOURCES_WINDOW + 2));
	note(httpd, 0, 10 * (uint64_t)SOURCES_WINDOW);
	ck_assert(!has(httpd, 0, 10 * (uint64_t)SOURCES_WINDOW - 1));
	ck_assert(has(httpd, 0, 5));
}
END_TEST

START_TEST(new_memory_of_a_link_begins_with_nothing)
{
	const uint32_t before = sources_name(0, 7), now = sources_name(0, 8);

	note(before, 0, 5);
	cover(before, 1, 5);
	ck_assert(!has(now, 0, 5));
	note(now, 0, 2);
	ck_assert(has(now, 0, 2));
	ck_assert(!has(now, 0, 5));
	ck_assert(!has(now, 1, 5));
	ck_assert(!has(before, 0, 5));
	ck_assert_ptr_null(sources_lane(&sources, before, 0));
}
END_TEST

START_TEST(what_is_of_no_lane_is_passed_over)
{
	const uint32_t last = sources_name(RING_LINKS - 1, 1);

	note(MESSAGE_FROM_MQTT, 0, 5);
	note(last, RING_LANES, 5);
	cover(last, RING_LANES, 5);
	ck_assert_uint_eq(sources.name[RING_LINKS - 1], 0);
}
END_TEST

/* Beside a plain list, for any order that keeps near its greatest. */
START_TEST(knows_what_it_was_told)
{
	static bool told[4096];
	const uint32_t httpd = sources_name(0, 7);
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t at, greatest = 0;

	memset(told, 0, sizeof(told));
	for (unsigned i = 0; i < 2000; i++) {
		dice = dice * 1664525 + 1013904223;
		at = 1 + greatest / 2 + (dice >> 8) % (greatest + 4);
		if (at >= 4096)
			break;
		if (at > greatest)
			greatest = at;
		told[at] = true;
		note(httpd, 0, at);
	}
	for (at = 1; at < 4096; at++)
		ck_assert_int_eq(has(httpd, 0, at), told[at]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sources");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_name_tells_its_link_and_is_nobody_elses);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, each_lane_has_its_own);
	tcase_add_test(tc, it_is_known_of_each_of_them);
	tcase_add_test(tc, a_checkpoint_covers_all_up_to_it);
	tcase_add_test(tc, what_is_far_behind_was_answered);
	tcase_add_test(tc, new_memory_of_a_link_begins_with_nothing);
	tcase_add_test(tc, what_is_of_no_lane_is_passed_over);
	tcase_add_loop_test(tc, knows_what_it_was_told, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
