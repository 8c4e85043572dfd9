/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sources.h"

#include "broker/message.h"
#include "tests/unit/unit.h"

static void
note(struct sources *sources, uint32_t name, uint32_t lane, uint64_t sequence)
{
	sources_note(sources,
	    &(struct store_source){
		.link = name,
		.lane = lane,
		.sequence = sequence,
	    });
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

START_TEST(each_lane_has_its_own_last_sequence)
{
	static struct sources sources;
	const uint32_t httpd = sources_name(0, 7), cloud = sources_name(1, 7);

	ck_assert_uint_eq(sources_last(&sources, httpd, 0), 0);
	note(&sources, httpd, 0, 5);
	note(&sources, httpd, 1, 3);
	note(&sources, cloud, 0, 9);
	ck_assert_uint_eq(sources_last(&sources, httpd, 0), 5);
	ck_assert_uint_eq(sources_last(&sources, httpd, 1), 3);
	ck_assert_uint_eq(sources_last(&sources, httpd, 2), 0);
	ck_assert_uint_eq(sources_last(&sources, cloud, 0), 9);
}
END_TEST

/* A checkpoint may be newer than the records that are told behind it. */
START_TEST(what_comes_late_takes_nothing_back)
{
	static struct sources sources;
	const uint32_t httpd = sources_name(0, 7);

	note(&sources, httpd, 0, 5);
	note(&sources, httpd, 0, 4);
	ck_assert_uint_eq(sources_last(&sources, httpd, 0), 5);
}
END_TEST

START_TEST(new_memory_of_a_link_begins_with_nothing)
{
	static struct sources sources;
	const uint32_t before = sources_name(0, 7), now = sources_name(0, 8);

	note(&sources, before, 0, 5);
	note(&sources, before, 1, 5);
	ck_assert_uint_eq(sources_last(&sources, now, 0), 0);
	note(&sources, now, 0, 2);
	ck_assert_uint_eq(sources_last(&sources, now, 0), 2);
	ck_assert_uint_eq(sources_last(&sources, now, 1), 0);
	ck_assert_uint_eq(sources_last(&sources, before, 0), 0);
}
END_TEST

START_TEST(what_is_of_no_lane_is_passed_over)
{
	static struct sources sources;
	const uint32_t last = sources_name(RING_LINKS - 1, 1);

	note(&sources, MESSAGE_FROM_MQTT, 0, 5);
	note(&sources, last, RING_LANES, 5);
	ck_assert_uint_eq(sources_last(&sources, last, RING_LANES - 1), 0);
	ck_assert_uint_eq(sources.name[RING_LINKS - 1], 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sources");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_name_tells_its_link_and_is_nobody_elses);
	tcase_add_test(tc, each_lane_has_its_own_last_sequence);
	tcase_add_test(tc, what_comes_late_takes_nothing_back);
	tcase_add_test(tc, new_memory_of_a_link_begins_with_nothing);
	tcase_add_test(tc, what_is_of_no_lane_is_passed_over);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
