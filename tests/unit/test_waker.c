/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/waker.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define ROUNDS 20000

static struct waker waker;
static atomic_uint work, done;

START_TEST(sleeps_until_the_timeout)
{
	uint64_t began_ns = clock_now_ns();

	waker_arm(&waker, false);
	waker_sleep(&waker, 20 * CLOCK_MS_NS);
	ck_assert_uint_ge(clock_now_ns() - began_ns, 20 * CLOCK_MS_NS);
}
END_TEST

START_TEST(does_not_sleep_when_woken_before)
{
	waker_arm(&waker, false);
	waker_wake(&waker);
	waker_sleep(&waker, WAKER_NEVER);
	waker_arm(&waker, true);
	waker_wake(&waker);
	waker_sleep(&waker, WAKER_NEVER);
	waker_arm(&waker, false);
	waker_nudge(&waker);
	waker_sleep(&waker, WAKER_NEVER);
	waker_disarm(&waker);
	waker_sleep(&waker, WAKER_NEVER);
}
END_TEST

START_TEST(is_not_nudged_from_a_doze)
{
	uint64_t began_ns = clock_now_ns();

	waker_arm(&waker, true);
	waker_nudge(&waker);
	waker_sleep(&waker, 20 * CLOCK_MS_NS);
	ck_assert_uint_ge(clock_now_ns() - began_ns, 20 * CLOCK_MS_NS);
}
END_TEST

/* One at a time, so that the owner sleeps between them. */
static void *
put_work(void *arg)
{
	void (*rouse)(struct waker * waker) = *(void (**)(struct waker *))arg;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		atomic_store(&work, i);
		rouse(&waker);
		while (atomic_load(&done) != i)
			;
	}
	return NULL;
}

static void
lose_no_wake(void (*rouse)(struct waker *waker))
{
	pthread_t thread;

	ck_assert_int_eq(
	    pthread_create(&thread, NULL, put_work, (void *)&rouse), 0);
	while (atomic_load(&done) != ROUNDS) {
		atomic_store(&done, atomic_load(&work));
		waker_arm(&waker, false);
		if (atomic_load(&work) != atomic_load(&done) ||
		    atomic_load(&done) == ROUNDS)
			waker_disarm(&waker);
		else
			waker_sleep(&waker, WAKER_NEVER);
	}
	pthread_join(thread, NULL);
}

START_TEST(loses_no_wake)
{
	lose_no_wake(_i == 0 ? waker_wake : waker_nudge);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("waker");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, sleeps_until_the_timeout);
	tcase_add_test(tc, does_not_sleep_when_woken_before);
	tcase_add_test(tc, is_not_nudged_from_a_doze);
	tcase_add_loop_test(tc, loses_no_wake, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
