/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/limits.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/token_bucket.h"
#include "httpd/limits_table.h"
#include "tests/unit/unit.h"

#define MS CLOCK_MS_NS

static struct limits_refusal refusal;
static uint64_t requested;

/* Rates whose burst is that of one second. */
static struct limits_rates
rates(uint32_t requests, uint32_t messages, uint32_t bytes)
{
	return (struct limits_rates){ .unit = {
					  [LIMITS_REQUESTS] = { requests,
					      requests },
					  [LIMITS_MESSAGES] = { messages,
					      messages },
					  [LIMITS_BYTES] = { bytes, bytes },
				      } };
}

static struct limits *
make(const struct limits_config *config)
{
	struct limits *limits = limits_new(config, 42, 0);

	ck_assert_ptr_nonnull(limits);
	requested = 0;
	return limits;
}

static bool
take(struct limits *limits, uint64_t account, uint64_t client,
    const char *topic, uint32_t bytes, uint64_t now_ns)
{
	const struct limits_who who = { account, client };

	return limits_take_message(limits, &who, slice_of_string(topic), bytes,
	    &requested, now_ns, &refusal);
}

/* It says no, by this limit, and passes after exactly that wait. */
#define REFUSES(limits, account, client, topic, bytes, now, name, wait)        \
	do {                                                                   \
		ck_assert(!take(limits, account, client, topic, bytes, now));  \
		ck_assert_str_eq(refusal.limit, name);                         \
		ck_assert_uint_eq(refusal.wait_ns, wait);                      \
	} while (0)

START_TEST(passes_all_without_limits)
{
	struct limits *limits = make(&(struct limits_config){ 0 });

	for (int i = 0; i < 1000; i++) {
		ck_assert(take(limits, 1, 1, "t", UINT32_MAX, 0));
		ck_assert(limits_take_request(limits, 1, 0, &refusal));
	}
	limits_free(limits);
}
END_TEST

START_TEST(names_the_limit_and_the_wait)
{
	const struct limits_config config = { .global = rates(0, 10, 0) };
	struct limits *limits = make(&config);

	for (int i = 0; i < 10; i++)
		ck_assert(take(limits, 1, 1, "t", 1, 0));
	REFUSES(limits, 1, 1, "t", 1, 0, "http.rate.per_second", 100 * MS);
	REFUSES(limits, 1, 1, "t", 1, 40 * MS, "http.rate.per_second", 60 * MS);
	ck_assert(take(limits, 1, 1, "t", 1, 100 * MS));
	limits_free(limits);
}
END_TEST

START_TEST(counts_bytes_beside_messages)
{
	const struct limits_config config = { .global = rates(0, 100, 1000) };
	struct limits *limits = make(&config);

	ck_assert(take(limits, 1, 1, "t", 900, 0));
	REFUSES(
	    limits, 1, 1, "t", 600, 0, "http.rate.bytes_per_second", 500 * MS);
	ck_assert(take(limits, 1, 1, "t", 100, 0));
	REFUSES(limits, 1, 1, "t", 1001, 9 * CLOCK_SECOND_NS,
	    "http.rate.bytes_per_second", TOKEN_BUCKET_NEVER);
	limits_free(limits);
}
END_TEST

START_TEST(keeps_accounts_and_clients_apart)
{
	const struct limits_config config = { .per_account = rates(0, 1, 0),
		.per_client = rates(0, 2, 0) };
	struct limits *limits = make(&config);

	ck_assert(take(limits, 1, 1, "t", 1, 0));
	REFUSES(limits, 1, 2, "t", 1, 0, "http.rate_per_account.per_second",
	    CLOCK_SECOND_NS);
	ck_assert(take(limits, 2, 1, "t", 1, 0));
	REFUSES(limits, 3, 1, "t", 1, 0, "http.rate_per_client.per_second",
	    500 * MS);
	limits_free(limits);
}
END_TEST

START_TEST(a_refusal_takes_nothing_from_the_other_buckets)
{
	const struct limits_config config = { .global = rates(0, 1, 0),
		.per_account = rates(0, 3, 100),
		.per_client = rates(0, 2, 0) };
	struct limits *limits = make(&config);

	ck_assert(take(limits, 1, 1, "t", 50, 0));
	for (int i = 0; i < 5; i++)
		REFUSES(limits, 1, 1, "t", 50, 0, "http.rate.per_second",
		    CLOCK_SECOND_NS);
	/* Had they taken, the client's second and the bytes would be gone. */
	ck_assert(take(limits, 1, 1, "t", 50, CLOCK_SECOND_NS));
	limits_free(limits);
}
END_TEST

START_TEST(tells_the_longest_of_all_waits)
{
	const struct limits_config config = { .global = rates(0, 10, 0),
		.per_account = rates(0, 1, 0),
		.per_client = rates(0, 5, 0) };
	struct limits *limits = make(&config);
	uint64_t now_ns = 0;

	for (int turn = 0; turn < 200; turn++) {
		if (!take(limits, 1, 1, "t", 1, now_ns)) {
			/* Not a nanosecond earlier, not one later. */
			now_ns += refusal.wait_ns;
			ck_assert(!take(limits, 1, 1, "t", 1, now_ns - 1));
			ck_assert(take(limits, 1, 1, "t", 1, now_ns));
		}
		now_ns += (uint64_t)turn * MS;
	}
	limits_free(limits);
}
END_TEST

START_TEST(rounds_retry_after_up_to_whole_seconds)
{
	const struct {
		uint64_t wait_ns;
		uint32_t seconds;
	} cases[] = { { 1, 1 }, { CLOCK_SECOND_NS, 1 },
		{ CLOCK_SECOND_NS + 1, 2 }, { 59 * CLOCK_SECOND_NS, 59 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refusal.wait_ns = cases[i].wait_ns;
		ck_assert_uint_eq(
		    limits_retry_after_s(&refusal), cases[i].seconds);
	}
}
END_TEST

START_TEST(limits_requests_of_clients_and_accounts)
{
	const struct limits_config config = { .global = rates(3, 0, 0),
		.per_account = rates(1, 0, 0),
		.per_client = rates(2, 0, 0) };
	const struct limits_who one = { 1, 1 };
	struct limits *limits = make(&config);

	ck_assert(limits_take_request(limits, 1, 0, &refusal));
	ck_assert(limits_take_account_request(limits, &one, 0, &refusal));
	/* What the account is refused does not count for anybody. */
	for (int i = 0; i < 5; i++) {
		ck_assert(limits_take_request(limits, 1, 0, &refusal));
		ck_assert(
		    !limits_take_account_request(limits, &one, 0, &refusal));
		ck_assert_str_eq(
		    refusal.limit, "http.rate_per_account.requests_per_second");
		ck_assert_uint_eq(refusal.wait_ns, CLOCK_SECOND_NS);
	}
	ck_assert(limits_take_request(limits, 1, 0, &refusal));
	ck_assert(!limits_take_request(limits, 1, 0, &refusal));
	ck_assert_str_eq(
	    refusal.limit, "http.rate_per_client.requests_per_second");
	ck_assert(limits_take_request(limits, 2, 0, &refusal));
	ck_assert(!limits_take_request(limits, 3, 0, &refusal));
	ck_assert_str_eq(refusal.limit, "http.rate.requests_per_second");
	limits_free(limits);
}
END_TEST

START_TEST(limits_what_goes_to_a_filter)
{
	const struct limits_filter filters[] = {
		{ "all", "#", rates(0, 5, 0) },
		{ "sensors", "sensors/+", rates(0, 2, 0) },
	};
	const struct limits_config config = { .filters = filters,
		.filter_count = 2 };
	struct limits *limits = make(&config);

	ck_assert(take(limits, 1, 1, "sensors/a", 1, 0));
	ck_assert(take(limits, 2, 2, "sensors/b", 1, 0));
	REFUSES(limits, 1, 1, "sensors/a", 1, 0,
	    "http.rate_per_filter.sensors.per_second", 500 * MS);
	ck_assert(take(limits, 1, 1, "sensors", 1, 0));
	ck_assert(take(limits, 1, 1, "x", 1, 0));
	ck_assert(take(limits, 1, 1, "sensors/a/b", 1, 0));
	REFUSES(limits, 1, 1, "x", 1, 0, "http.rate_per_filter.all.per_second",
	    200 * MS);
	limits_free(limits);
}
END_TEST

START_TEST(a_request_counts_once_for_a_filter)
{
	const struct limits_filter filter = { "a", "a/#", rates(2, 0, 0) };
	const struct limits_config config = { .filters = &filter,
		.filter_count = 1 };
	struct limits *limits = make(&config);

	for (int request = 0; request < 2; request++) {
		requested = 0;
		for (int message = 0; message < 9; message++)
			ck_assert(take(limits, 1, 1, "a/b", 1, 0));
	}
	requested = 0;
	REFUSES(limits, 1, 1, "a/b", 1, 0,
	    "http.rate_per_filter.a.requests_per_second", 500 * MS);
	ck_assert(take(limits, 1, 1, "b", 1, 0));
	limits_free(limits);
}
END_TEST

START_TEST(a_change_keeps_what_was_used)
{
	struct limits_filter filter = { "a", "a/#", rates(0, 4, 0) };
	struct limits_config config = { .global = rates(0, 4, 0),
		.per_client = rates(0, 4, 0),
		.filters = &filter,
		.filter_count = 1 };
	struct limits *limits = make(&config);

	for (int i = 0; i < 4; i++)
		ck_assert(take(limits, 1, 1, "a/b", 1, 0));
	/* Nobody gets a new burst by it, nor is one that was not had lost. */
	ck_assert_int_eq(limits_change(limits, &config, 0), 0);
	REFUSES(limits, 1, 2, "x", 1, 0, "http.rate.per_second", 250 * MS);
	config.global = rates(0, 1000, 0);
	ck_assert_int_eq(limits_change(limits, &config, 0), 0);
	REFUSES(limits, 1, 1, "x", 1, 1 * MS, "http.rate_per_client.per_second",
	    249 * MS);
	REFUSES(limits, 1, 2, "a/x", 1, 1 * MS,
	    "http.rate_per_filter.a.per_second", 249 * MS);

	filter.filter = "c/#";
	config.per_client = rates(0, 0, 0);
	ck_assert_int_eq(limits_change(limits, &config, 1 * MS), 0);
	REFUSES(limits, 1, 2, "c/x", 1, 1 * MS,
	    "http.rate_per_filter.a.per_second", 249 * MS);
	filter.name = "b";
	ck_assert_int_eq(limits_change(limits, &config, 1 * MS), 0);
	ck_assert(take(limits, 1, 1, "c/x", 1, 2 * MS));
	limits_free(limits);
}
END_TEST

START_TEST(a_smaller_burst_takes_effect_at_once)
{
	struct limits_config config = { .per_account = rates(0, 100, 0) };
	struct limits *limits = make(&config);

	ck_assert(take(limits, 1, 1, "t", 1, 0));
	config.per_account = rates(0, 2, 0);
	ck_assert_int_eq(limits_change(limits, &config, 0), 0);
	ck_assert(take(limits, 1, 1, "t", 1, 0));
	ck_assert(take(limits, 1, 1, "t", 1, 0));
	REFUSES(limits, 1, 1, "t", 1, 0, "http.rate_per_account.per_second",
	    500 * MS);
	limits_free(limits);
}
END_TEST

struct seen {
	unsigned limits;
	uint64_t refused;
};

static void
see(void *context, const char *limit, uint64_t refused)
{
	struct seen *seen = context;

	ck_assert_int_eq(strncmp(limit, "http.rate", 9), 0);
	seen->limits++;
	seen->refused += refused;
}

START_TEST(counts_refusals_of_each_limit_that_is_set)
{
	const struct limits_filter filter = { "a", "a/#", rates(0, 1, 0) };
	struct limits_config config = {
		.global = rates(1, 0, 5), .filters = &filter, .filter_count = 1
	};
	struct limits *limits = make(&config);
	struct seen seen = { 0 };

	ck_assert(take(limits, 1, 1, "a/b", 1, 0));
	ck_assert(!take(limits, 1, 1, "a/b", 1, 0));
	ck_assert(!take(limits, 1, 1, "a/b", 1, 0));
	ck_assert_int_eq(limits_change(limits, &config, 0), 0);
	limits_each(limits, see, &seen);
	ck_assert_uint_eq(seen.limits, 3);
	ck_assert_uint_eq(seen.refused, 2);
	limits_free(limits);
}
END_TEST

START_TEST(remembers_a_busy_client_among_many_idle_ones)
{
	const struct limits_config config = { .per_client = rates(0, 1000, 0) };
	struct limits *limits = make(&config);

	for (int i = 0; i < 1000; i++)
		ck_assert(take(limits, 0, 0, "t", 1, 0));
	/* Five times as many as there are places; each takes one of 1000. */
	for (uint64_t i = 1; i < 5 * LIMITS_SETS * LIMITS_WAYS; i++)
		ck_assert(take(limits, 0, i, "t", 1, 0));
	ck_assert(!take(limits, 0, 0, "t", 1, 0));
	limits_free(limits);
}
END_TEST

START_TEST(gives_no_new_burst_to_who_changes_its_address)
{
	const struct limits_config config = { .per_client = rates(0, 10, 0) };
	struct limits *limits = make(&config);
	uint64_t passed = 0, most;

	/* Each comes back again and again, also after it lost its place. */
	for (int round = 0; round < 20; round++)
		for (uint64_t client = 0; client < 20000; client++)
			passed += take(limits, 0, client, "t", 1, 0);
	most = 10 * LIMITS_SETS * LIMITS_WAYS;
	ck_assert_uint_le(passed, most);
	ck_assert_uint_ge(passed, most / 2);
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
	tcase_add_test(tc, counts_bytes_beside_messages);
	tcase_add_test(tc, keeps_accounts_and_clients_apart);
	tcase_add_test(tc, a_refusal_takes_nothing_from_the_other_buckets);
	tcase_add_test(tc, tells_the_longest_of_all_waits);
	tcase_add_test(tc, rounds_retry_after_up_to_whole_seconds);
	tcase_add_test(tc, limits_requests_of_clients_and_accounts);
	tcase_add_test(tc, limits_what_goes_to_a_filter);
	tcase_add_test(tc, a_request_counts_once_for_a_filter);
	tcase_add_test(tc, a_change_keeps_what_was_used);
	tcase_add_test(tc, a_smaller_burst_takes_effect_at_once);
	tcase_add_test(tc, counts_refusals_of_each_limit_that_is_set);
	tcase_add_test(tc, remembers_a_busy_client_among_many_idle_ones);
	tcase_add_test(tc, gives_no_new_burst_to_who_changes_its_address);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
