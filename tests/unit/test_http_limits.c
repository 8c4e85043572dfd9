/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/limits.h"

#include "common/base/clock.h"
#include "common/base/token_bucket.h"
#include "tests/unit/unit.h"

static uint64_t wait_ns;

static struct limits *
make(uint32_t global, uint32_t account, uint32_t client)
{
	struct limits_config config = { .global = { global, global },
		.per_account = { account, account },
		.per_client = { client, client } };
	struct limits *limits = limits_new(&config, 0);

	ck_assert_ptr_nonnull(limits);
	return limits;
}

START_TEST(passes_all_without_limits)
{
	struct limits *limits = make(0, 0, 0);

	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(
		    limits_take(limits, 1, 1, 1000, 0, &wait_ns), LIMITS_PASS);
	limits_free(limits);
}
END_TEST

START_TEST(names_the_limit_and_the_wait)
{
	struct limits *limits = make(10, 0, 0);

	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 10, 0, &wait_ns), LIMITS_PASS);
	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 1, 0, &wait_ns), LIMITS_GLOBAL);
	ck_assert_uint_eq(wait_ns, 100 * CLOCK_MS_NS);
	ck_assert_str_eq(limits_name(LIMITS_GLOBAL), "http.rate");
	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 1, 100 * CLOCK_MS_NS, &wait_ns),
	    LIMITS_PASS);
	limits_free(limits);
}
END_TEST

START_TEST(keeps_accounts_and_clients_apart)
{
	struct limits *limits = make(0, 1, 2);

	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 1, 0, &wait_ns), LIMITS_PASS);
	ck_assert_int_eq(
	    limits_take(limits, 1, 2, 1, 0, &wait_ns), LIMITS_ACCOUNT);
	ck_assert_int_eq(
	    limits_take(limits, 2, 1, 1, 0, &wait_ns), LIMITS_PASS);
	ck_assert_int_eq(
	    limits_take(limits, 3, 1, 1, 0, &wait_ns), LIMITS_CLIENT);
	limits_free(limits);
}
END_TEST

START_TEST(a_refusal_takes_nothing_from_the_other_buckets)
{
	struct limits *limits = make(1, 0, 2);

	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 1, 0, &wait_ns), LIMITS_PASS);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(
		    limits_take(limits, 1, 1, 1, 0, &wait_ns), LIMITS_GLOBAL);
	/* One of the client's two is left. */
	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 1, CLOCK_SECOND_NS, &wait_ns),
	    LIMITS_PASS);
	limits_free(limits);
}
END_TEST

START_TEST(says_never_when_a_burst_cannot_be_that_large)
{
	struct limits *limits = make(5, 0, 0);

	ck_assert_int_eq(
	    limits_take(limits, 1, 1, 6, 0, &wait_ns), LIMITS_GLOBAL);
	ck_assert_uint_eq(wait_ns, TOKEN_BUCKET_NEVER);
	limits_free(limits);
}
END_TEST

START_TEST(remembers_a_busy_client_among_many_idle_ones)
{
	struct limits *limits = make(0, 0, 1000);

	ck_assert_int_eq(
	    limits_take(limits, 0, 512, 1000, 0, &wait_ns), LIMITS_PASS);
	/* All in the same set of the table; each takes one of a thousand. */
	for (uint64_t i = 2; i < 100; i++)
		ck_assert_int_eq(
		    limits_take(limits, 0, i * 512, 1, 0, &wait_ns),
		    LIMITS_PASS);
	ck_assert_int_eq(
	    limits_take(limits, 0, 512, 1, 0, &wait_ns), LIMITS_CLIENT);
	limits_free(limits);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_limits");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, passes_all_without_limits);
	tcase_add_test(tc, names_the_limit_and_the_wait);
	tcase_add_test(tc, keeps_accounts_and_clients_apart);
	tcase_add_test(tc, a_refusal_takes_nothing_from_the_other_buckets);
	tcase_add_test(tc, says_never_when_a_burst_cannot_be_that_large);
	tcase_add_test(tc, remembers_a_busy_client_among_many_idle_ones);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
