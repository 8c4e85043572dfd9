/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/backlog.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "common/conf/conf.h"
#include "tests/unit/unit.h"

/*
 * Two that stall, one that rejects, one that drops what is newest; one
 * without; a large one; one that drops what is oldest.
 */
#define A UINT64_C(1)
#define B UINT64_C(2)
#define REJECT UINT64_C(4)
#define DROP UINT64_C(8)
#define NONE UINT64_C(16)
#define LARGE UINT64_C(32)
#define OLDEST UINT64_C(64)
#define LARGE_BYTES (UINT64_C(256) << 20)

static struct conf_bridge bridges[] = {
	{ .backlog = 8000, .overflow = CONF_OVERFLOW_STALL },
	{ .backlog = 8000, .overflow = CONF_OVERFLOW_STALL },
	{ .backlog = 8000, .overflow = CONF_OVERFLOW_REJECT },
	{ .backlog = 8000, .overflow = CONF_OVERFLOW_DROP_NEWEST },
	{ .backlog = 0, .overflow = CONF_OVERFLOW_STALL },
	{ .backlog = LARGE_BYTES, .overflow = CONF_OVERFLOW_STALL },
	{ .backlog = 8000, .overflow = CONF_OVERFLOW_DROP_OLDEST },
};

static struct backlogs *backlogs;
static atomic_uint reliefs;

static void
count_relief(void *context)
{
	ck_assert_ptr_eq(context, &reliefs);
	atomic_fetch_add(&reliefs, 1);
}

static void
set_up(void)
{
	atomic_store(&reliefs, 0);
	backlogs = backlogs_new(&(struct conf){
	    .bridges = bridges,
	    .bridge_count = sizeof(bridges) / sizeof(bridges[0]),
	    .worker_window = 4096,
	});
	ck_assert_ptr_nonnull(backlogs);
	backlogs_on_relief(backlogs, count_relief, &reliefs);
}

static void
tear_down(void)
{
	backlogs_free(backlogs);
}

static enum backlog_answer
offer(uint64_t set, size_t weight)
{
	uint64_t taken = 0;
	enum backlog_answer answer;

	answer = backlog_offer(backlogs, set, weight, &taken);
	ck_assert_uint_eq(taken, answer == BACKLOG_TAKES ? set : 0);
	return answer;
}

START_TEST(takes_up_to_the_limit_of_each)
{
	ck_assert_int_eq(offer(A | B, 5000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 3001), BACKLOG_STALLS);
	ck_assert_int_eq(offer(A, 3000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 1), BACKLOG_STALLS);
	ck_assert_uint_eq(backlog_bytes(backlogs, 0), 8000);
	ck_assert_uint_eq(backlog_bytes(backlogs, 1), 5000);
	ck_assert_uint_eq(backlog_limit(backlogs, 0), 8000);
}
END_TEST

START_TEST(takes_one_window_without_a_backlog)
{
	ck_assert_uint_eq(backlog_limit(backlogs, 4), 4096);
	ck_assert_int_eq(offer(NONE, 4096), BACKLOG_TAKES);
	ck_assert_int_eq(offer(NONE, 1), BACKLOG_STALLS);
}
END_TEST

START_TEST(counts_for_all_or_for_none)
{
	ck_assert_int_eq(offer(B, 8000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A | B | REJECT, 10), BACKLOG_STALLS);
	ck_assert_uint_eq(backlog_bytes(backlogs, 0), 0);
	ck_assert_uint_eq(backlog_bytes(backlogs, 2), 0);
	ck_assert_int_eq(offer(REJECT, 8000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A | B | REJECT, 10), BACKLOG_REJECTS);
	ck_assert_uint_eq(backlog_bytes(backlogs, 0), 0);
}
END_TEST

START_TEST(leaves_out_what_may_be_dropped)
{
	uint64_t taken = 0;

	ck_assert_int_eq(offer(DROP | A, 8000), BACKLOG_TAKES);
	ck_assert_int_eq(
	    backlog_offer(backlogs, DROP | B, 10, &taken), BACKLOG_TAKES);
	ck_assert_uint_eq(taken, B);
	ck_assert_uint_eq(backlog_bytes(backlogs, 3), 8000);

	/* Nobody waits for it. */
	backlog_passed(backlogs, 3, 8000);
	ck_assert_uint_eq(backlog_relieved(backlogs), 0);
}
END_TEST

START_TEST(takes_what_is_newest_when_the_oldest_may_be_dropped)
{
	ck_assert_int_eq(offer(OLDEST, 8000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(OLDEST | A, 10), BACKLOG_TAKES);
	ck_assert_uint_eq(backlog_bytes(backlogs, 6), 8010);
	ck_assert_uint_eq(backlog_losses(backlogs, 6).dropped, 0);
}
END_TEST

START_TEST(counts_what_is_lost_where_it_is_decided)
{
	struct backlog_losses losses;
	uint64_t taken;

	offer(DROP, 8000);
	offer(REJECT, 8000);
	for (int i = 0; i < 3; i++)
		backlog_offer(backlogs, DROP, 10, &taken);
	ck_assert_int_eq(offer(REJECT, 1), BACKLOG_REJECTS);
	ck_assert_int_eq(offer(REJECT, 1), BACKLOG_REJECTS);
	losses = backlog_losses(backlogs, 3);
	ck_assert_uint_eq(losses.dropped, 3);
	ck_assert_uint_eq(losses.refused, 0);
	losses = backlog_losses(backlogs, 2);
	ck_assert_uint_eq(losses.dropped, 0);
	ck_assert_uint_eq(losses.refused, 2);
	ck_assert_uint_eq(backlog_losses(backlogs, 2).refused, 0);
}
END_TEST

START_TEST(is_full_from_when_it_was_asked_to_when_it_is_relieved)
{
	offer(A, 8000);
	ck_assert_uint_eq(backlog_full(backlogs), 0);
	ck_assert_int_eq(offer(A, 1), BACKLOG_STALLS);
	ck_assert_uint_eq(backlog_full(backlogs), A);
	backlog_passed(backlogs, 0, 8000);
	ck_assert_uint_eq(backlog_relieved(backlogs), A);
	ck_assert_uint_eq(backlog_full(backlogs), 0);
}
END_TEST

/* Or the large one would wait for as long as small ones come. */
START_TEST(small_ones_do_not_overtake_one_that_waits)
{
	offer(A, 7500);
	ck_assert(backlog_has_room(backlogs, 0, 500));
	ck_assert_int_eq(offer(A, 900), BACKLOG_STALLS);
	ck_assert_int_eq(offer(A, 1), BACKLOG_STALLS);
	ck_assert(!backlog_has_room(backlogs, 0, 1));
	backlog_passed(backlogs, 0, 500);
	ck_assert(backlog_has_room(backlogs, 0, 900));
	ck_assert_uint_eq(backlog_relieved(backlogs), A);
	ck_assert_int_eq(offer(A, 900), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 1), BACKLOG_TAKES);
}
END_TEST

START_TEST(what_comes_back_counts_again)
{
	offer(A, 8000);
	backlog_passed(backlogs, 0, 8000);
	backlog_return(backlogs, 0, 8000);
	ck_assert_int_eq(offer(A, 1), BACKLOG_STALLS);
}
END_TEST

START_TEST(takes_a_message_beyond_the_limit_when_empty)
{
	ck_assert_int_eq(offer(A, 9000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 1), BACKLOG_STALLS);
	backlog_passed(backlogs, 0, 9000);
	ck_assert_int_eq(offer(A, 1), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 9000), BACKLOG_STALLS);
}
END_TEST

START_TEST(tells_of_room_once_and_only_who_asked)
{
	ck_assert_int_eq(offer(A | B, 8000), BACKLOG_TAKES);
	ck_assert_int_eq(offer(A, 100), BACKLOG_STALLS);
	ck_assert_uint_eq(backlog_relieved(backlogs), 0);

	/* Not for each message: when an eighth is free. */
	backlog_passed(backlogs, 1, 8000);
	backlog_passed(backlogs, 0, 999);
	ck_assert_uint_eq(backlog_relieved(backlogs), 0);
	backlog_passed(backlogs, 0, 1);
	ck_assert_uint_eq(backlog_relieved(backlogs), A);
	ck_assert_uint_eq(backlog_relieved(backlogs), 0);
	ck_assert_uint_eq(atomic_load(&reliefs), 0);
}
END_TEST

START_TEST(lets_nobody_wait_for_an_eighth_of_much)
{
	ck_assert_int_eq(offer(LARGE, LARGE_BYTES), BACKLOG_TAKES);
	ck_assert_int_eq(offer(LARGE, 100), BACKLOG_STALLS);
	backlog_passed(backlogs, 5, 65535);
	ck_assert_uint_eq(backlog_relieved(backlogs), 0);
	backlog_passed(backlogs, 5, 1);
	ck_assert_uint_eq(backlog_relieved(backlogs), LARGE);
}
END_TEST

START_TEST(wakes_links_when_a_withdrawal_leaves_room_asked_for)
{
	ck_assert_int_eq(offer(A, 8000), BACKLOG_TAKES);
	backlog_withdraw(backlogs, A, 4000);
	ck_assert_uint_eq(atomic_load(&reliefs), 0);
	ck_assert_int_eq(offer(A, 4001), BACKLOG_STALLS);
	backlog_withdraw(backlogs, A, 4000);
	ck_assert_uint_eq(atomic_load(&reliefs), 1);
	ck_assert_uint_eq(backlog_relieved(backlogs), A);
}
END_TEST

START_TEST(goes_on_from_what_recovery_found)
{
	backlog_set(backlogs, 1, 7000);
	ck_assert_int_eq(offer(B, 1001), BACKLOG_STALLS);
	ck_assert_int_eq(offer(B, 1000), BACKLOG_TAKES);
	backlog_passed(backlogs, 1, 7000);
	ck_assert_uint_eq(backlog_bytes(backlogs, 1), 1000);
	backlog_passed(backlogs, 1, 2000);
	ck_assert_uint_eq(backlog_bytes(backlogs, 1), 0);
}
END_TEST

/* ---- threads ------------------------------------------------------------ */

#define THREADS 3
#define MESSAGES 20000
#define WEIGHT 700

static atomic_uint sent, told;

/* Waits only to be told, as a worker does. */
static void *
send_many(void *arg)
{
	uint64_t taken;
	unsigned seen;

	(void)arg;
	for (unsigned i = 0; i < MESSAGES;) {
		seen = atomic_load(&told);
		if (backlog_offer(backlogs, A | B, WEIGHT, &taken) ==
		    BACKLOG_TAKES) {
			atomic_fetch_add(&sent, 1);
			i++;
			continue;
		}
		while (atomic_load(&told) == seen)
			sched_yield();
	}
	return NULL;
}

/*
 * Nobody waits for ever, and no more is let through than there is room for.
 * The links thread looks only after it passed something or was called.
 */
START_TEST(is_short_before_it_is_full)
{
	ck_assert_int_eq(offer(A, 7000), BACKLOG_TAKES);
	ck_assert(!backlog_is_short(backlogs, 0));
	ck_assert_int_eq(offer(A, 1), BACKLOG_TAKES);
	ck_assert(backlog_is_short(backlogs, 0));
	ck_assert_uint_eq(backlog_full(backlogs), 0);
	backlog_passed(backlogs, 0, 1);
	ck_assert(!backlog_is_short(backlogs, 0));
}
END_TEST

START_TEST(takes_another_policy_while_it_is_full)
{
	uint64_t taken;

	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 8000, &taken), BACKLOG_TAKES);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_STALLS);
	backlog_configure(backlogs, 0, 8000, CONF_OVERFLOW_REJECT);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_REJECTS);
	backlog_configure(backlogs, 0, 8000, CONF_OVERFLOW_DROP_NEWEST);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_TAKES);
	ck_assert_uint_eq(taken, 0);
	backlog_configure(backlogs, 0, 8000, CONF_OVERFLOW_DROP_OLDEST);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_TAKES);
	ck_assert_uint_eq(taken, A);
	backlog_configure(backlogs, 0, 8000, CONF_OVERFLOW_STALL);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_STALLS);
}
END_TEST

START_TEST(takes_another_limit_while_it_is_full)
{
	uint64_t taken;

	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 8000, &taken), BACKLOG_TAKES);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_STALLS);
	backlog_configure(backlogs, 0, 9000, CONF_OVERFLOW_STALL);
	ck_assert_uint_eq(backlog_limit(backlogs, 0), 9000);
	/* Who waited before is forgotten, and asks again. */
	ck_assert_uint_eq(backlog_full(backlogs), 0);
	ck_assert_int_eq(
	    backlog_offer(backlogs, A, 100, &taken), BACKLOG_TAKES);
	backlog_configure(backlogs, 0, 0, CONF_OVERFLOW_STALL);
	ck_assert_uint_eq(backlog_limit(backlogs, 0), 4096);
	ck_assert_int_eq(backlog_offer(backlogs, A, 1, &taken), BACKLOG_STALLS);
	ck_assert_uint_eq(backlog_bytes(backlogs, 0), 8100);
}
END_TEST

START_TEST(loses_no_wake_between_threads)
{
	pthread_t threads[THREADS];
	unsigned passed = 0, called = 0, calls;
	bool has_moved;

	atomic_store(&sent, 0);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, send_many, NULL), 0);
	while (passed < THREADS * MESSAGES) {
		ck_assert_uint_le(backlog_bytes(backlogs, 0), 8000);
		has_moved = passed < atomic_load(&sent);
		if (has_moved) {
			backlog_passed(backlogs, 0, WEIGHT);
			backlog_passed(backlogs, 1, WEIGHT);
			passed++;
		} else {
			sched_yield();
		}
		calls = atomic_load(&reliefs);
		if ((has_moved || calls != called) &&
		    backlog_relieved(backlogs) != 0)
			atomic_fetch_add(&told, 1);
		called = calls;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(backlog_bytes(backlogs, 0), 0);
	ck_assert_uint_eq(backlog_bytes(backlogs, 1), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("backlog");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, takes_up_to_the_limit_of_each);
	tcase_add_test(tc, takes_one_window_without_a_backlog);
	tcase_add_test(tc, counts_for_all_or_for_none);
	tcase_add_test(tc, leaves_out_what_may_be_dropped);
	tcase_add_test(tc, takes_what_is_newest_when_the_oldest_may_be_dropped);
	tcase_add_test(tc, counts_what_is_lost_where_it_is_decided);
	tcase_add_test(
	    tc, is_full_from_when_it_was_asked_to_when_it_is_relieved);
	tcase_add_test(tc, small_ones_do_not_overtake_one_that_waits);
	tcase_add_test(tc, what_comes_back_counts_again);
	tcase_add_test(tc, takes_a_message_beyond_the_limit_when_empty);
	tcase_add_test(tc, tells_of_room_once_and_only_who_asked);
	tcase_add_test(tc, lets_nobody_wait_for_an_eighth_of_much);
	tcase_add_test(tc, wakes_links_when_a_withdrawal_leaves_room_asked_for);
	tcase_add_test(tc, goes_on_from_what_recovery_found);
	tcase_add_test(tc, is_short_before_it_is_full);
	tcase_add_test(tc, takes_another_policy_while_it_is_full);
	tcase_add_test(tc, takes_another_limit_while_it_is_full);
	tcase_add_test(tc, loses_no_wake_between_threads);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
