/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/drop_episode.h"

#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define START (1000 * SECOND)

static struct drop_episode episode;
static uint64_t dropped, lasted_ns;

static void
set_up(void)
{
	episode = (struct drop_episode){ 0 };
	dropped = lasted_ns = 0;
}

static bool
ends(uint64_t now_ns)
{
	return drop_episode_end(&episode, now_ns, &dropped, &lasted_ns);
}

START_TEST(tells_the_first_loss_and_not_the_next)
{
	ck_assert(drop_episode_count(&episode, START));
	ck_assert(!drop_episode_count(&episode, START));
	ck_assert(!drop_episode_count(&episode, START + 3600 * SECOND));
}
END_TEST

START_TEST(sums_up_at_the_end)
{
	for (unsigned i = 0; i < 7; i++)
		drop_episode_count(&episode, START + i * SECOND);
	ck_assert(ends(START + 9 * SECOND));
	ck_assert_uint_eq(dropped, 7);
	ck_assert_uint_eq(lasted_ns, 9 * SECOND);
	ck_assert(!ends(START + 9 * SECOND));
}
END_TEST

START_TEST(has_nothing_to_tell_without_a_loss)
{
	ck_assert(!ends(START));
	ck_assert(!drop_episode_close(&episode, START, &dropped, &lasted_ns));
}
END_TEST

START_TEST(is_quiet_for_a_while_after_a_sum)
{
	uint64_t told_ns = START + SECOND;

	drop_episode_count(&episode, START);
	ck_assert(ends(told_ns));
	ck_assert(
	    !drop_episode_count(&episode, told_ns + DROP_EPISODE_QUIET_NS - 1));
	ck_assert(!ends(told_ns + DROP_EPISODE_QUIET_NS - 1));
	ck_assert(
	    drop_episode_count(&episode, told_ns + DROP_EPISODE_QUIET_NS));
}
END_TEST

START_TEST(counts_what_was_untold_into_the_next_sum)
{
	drop_episode_count(&episode, START);
	ck_assert(ends(START));
	drop_episode_count(&episode, START + SECOND);
	ck_assert(!ends(START + SECOND));
	ck_assert(drop_episode_count(&episode, START + 20 * SECOND));
	ck_assert(ends(START + 21 * SECOND));
	ck_assert_uint_eq(dropped, 2);
	ck_assert_uint_eq(lasted_ns, 20 * SECOND);
}
END_TEST

START_TEST(leaves_nothing_untold_when_closed)
{
	drop_episode_count(&episode, START);
	ck_assert(ends(START));
	drop_episode_count(&episode, START + SECOND);
	ck_assert(
	    drop_episode_close(&episode, START + SECOND, &dropped, &lasted_ns));
	ck_assert_uint_eq(dropped, 1);
}
END_TEST

/* Whatever comes: each loss is in one sum, and sums are not too many. */
START_TEST(tells_every_loss_once_and_seldom)
{
	uint64_t now = START, random = 88172645463325252u;
	uint64_t lost = 0, told = 0;
	unsigned begins = 0;

	for (unsigned i = 0; i < 100000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		now += random % (SECOND / 10);
		if (random >> 60 < 12) {
			begins += drop_episode_count(&episode, now);
			lost++;
		} else if (ends(now)) {
			told += dropped;
		}
	}
	if (drop_episode_close(&episode, now, &dropped, &lasted_ns))
		told += dropped;
	ck_assert_uint_eq(told, lost);
	ck_assert_uint_gt(begins, 1);
	ck_assert_uint_le(begins, (now - START) / DROP_EPISODE_QUIET_NS + 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("drop_episode");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_test(tcase, tells_the_first_loss_and_not_the_next);
	tcase_add_test(tcase, sums_up_at_the_end);
	tcase_add_test(tcase, has_nothing_to_tell_without_a_loss);
	tcase_add_test(tcase, is_quiet_for_a_while_after_a_sum);
	tcase_add_test(tcase, counts_what_was_untold_into_the_next_sum);
	tcase_add_test(tcase, leaves_nothing_untold_when_closed);
	tcase_add_test(tcase, tells_every_loss_once_and_seldom);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
