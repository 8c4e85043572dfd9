/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop_signals.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const int numbers[] = { SIGUSR1, SIGUSR2, 0 };

static struct loop *loop;
static struct loop_signals signals;
static int told[8];
static unsigned told_count;
static bool stops;

static void
set_up(void)
{
	loop = loop_new();
	signals = (struct loop_signals){ .fd = 0 };
	told_count = 0;
	stops = false;
}

static void
tear_down(void)
{
	loop_signals_stop(&signals);
	loop_free(loop);
}

static void
on_signal(void *arg, int number)
{
	ck_assert_ptr_eq(arg, &signals);
	told[told_count++] = number;
	if (stops)
		loop_signals_stop(&signals);
}

static void
start(void)
{
	ck_assert_int_eq(
	    loop_signals_start(&signals, loop, numbers, on_signal, &signals),
	    0);
}

static bool
is_blocked(int number)
{
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&mask, number);
}

START_TEST(tells_each_in_the_loop)
{
	start();
	raise(SIGUSR2);
	raise(SIGUSR1);
	ck_assert_uint_eq(told_count, 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(told_count, 2);
	ck_assert_int_eq(told[0] + told[1], SIGUSR1 + SIGUSR2);
	raise(SIGUSR1);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(told_count, 3);
	ck_assert_int_eq(told[2], SIGUSR1);
}
END_TEST

/* Were it still pending, its own action would end this process. */
START_TEST(forgets_what_was_not_told)
{
	start();
	raise(SIGUSR1);
	loop_signals_stop(&signals);
	loop_signals_stop(&signals);
	ck_assert(!is_blocked(SIGUSR1));
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(told_count, 0);
}
END_TEST

START_TEST(may_be_stopped_by_whom_it_tells)
{
	stops = true;
	start();
	raise(SIGUSR1);
	raise(SIGUSR2);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(told_count, 1);
	ck_assert(!is_blocked(SIGUSR2));
}
END_TEST

START_TEST(leaves_blocked_what_was)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	start();
	ck_assert(is_blocked(SIGUSR1));
	loop_signals_stop(&signals);
	ck_assert(!is_blocked(SIGUSR1));
	ck_assert(is_blocked(SIGUSR2));
	pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("loop_signals");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, tells_each_in_the_loop);
	tcase_add_test(tc, forgets_what_was_not_told);
	tcase_add_test(tc, may_be_stopped_by_whom_it_tells);
	tcase_add_test(tc, leaves_blocked_what_was);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
