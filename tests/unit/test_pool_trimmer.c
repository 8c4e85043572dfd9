/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/pool_trimmer.h"

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define BURST 1000

static struct loop *loop;
static struct pool_trimmer trimmer;
static struct pool pool;
static void *objects[BURST];

static void
set_up(void)
{
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(pool_init(&pool, 1024, 0, BURST), 0);
	pool_trimmer_init(&trimmer, loop);
	pool_trimmer_add(&trimmer, &pool);
}

static void
tear_down(void)
{
	pool_trimmer_fini(&trimmer);
	pool_fini(&pool);
	loop_free(loop);
}

/* The timer fires as if its second were over. */
static void
second(void)
{
	ck_assert(loop_timer_is_running(&trimmer.timer));
	loop_timer_stop(&trimmer.timer);
	trimmer.timer.fire(trimmer.timer.arg);
	ck_assert_int_eq(loop_turn(loop, false), 0);
}

START_TEST(gives_back_and_then_sleeps)
{
	for (int i = 0; i < BURST; i++)
		objects[i] = pool_take(&pool);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert(!loop_timer_is_running(&trimmer.timer));
	for (int i = 0; i < BURST; i++)
		pool_put(&pool, objects[i]);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	second();
	ck_assert_uint_ge(pool.total, BURST);
	second();
	ck_assert_uint_eq(pool.total, 0);
	ck_assert(!loop_timer_is_running(&trimmer.timer));
}
END_TEST

START_TEST(what_is_there_from_the_start_keeps_nobody_awake)
{
	struct pool other;

	ck_assert_int_eq(pool_init(&other, 1024, 10, BURST), 0);
	pool_trimmer_add(&trimmer, &other);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert(!loop_timer_is_running(&trimmer.timer));
	ck_assert_uint_eq(pool_trim(&other), 0);
	ck_assert_uint_ge(other.total, 10);
	pool_fini(&other);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pool_trimmer");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, gives_back_and_then_sleeps);
	tcase_add_test(tc, what_is_there_from_the_start_keeps_nobody_awake);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
