/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/thread.h"

#include <signal.h>

#include "tests/unit/unit.h"

static void *
look(void *arg)
{
	sigset_t *seen = arg;

	pthread_sigmask(SIG_SETMASK, NULL, seen);
	return seen;
}

START_TEST(a_thread_gets_no_signals_and_who_starts_it_does)
{
	sigset_t seen, before, after;
	pthread_t thread;
	void *result;

	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	ck_assert_int_eq(thread_start(&thread, look, &seen), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, &seen);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&seen, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&seen, SIGUSR1), 1);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 0);
	ck_assert_int_eq(sigismember(&after, SIGUSR1), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("thread");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_thread_gets_no_signals_and_who_starts_it_does);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
