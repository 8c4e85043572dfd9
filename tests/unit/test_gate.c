/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "common/conf/conf.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS

static struct conf conf;
static struct gate *gate;

static void
make_gate(void)
{
	gate_free(gate);
	gate = gate_new(&conf, 7, SECOND);
	ck_assert_ptr_nonnull(gate);
}

static void
set_up(void)
{
	conf = (struct conf){ 0 };
	make_gate();
}

static void
tear_down(void)
{
	gate_free(gate);
	gate = NULL;
}

static void
limit_addresses(uint64_t per_second, uint64_t burst)
{
	conf.connect_rate_per_address.per_second = per_second;
	conf.connect_rate_per_address.burst = burst;
	gate_change(gate, &conf, SECOND);
}

static uint64_t
four(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	ck_assert_int_eq(inet_pton(AF_INET, text, &address.sin_addr), 1);
	return gate_address((struct sockaddr *)&address);
}

static uint64_t
six(const char *text)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };

	ck_assert_int_eq(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
	return gate_address((struct sockaddr *)&address);
}

START_TEST(takes_a_network_of_ipv6_for_one_address)
{
	ck_assert_uint_eq(six("2001:db8:1:2::1"), six("2001:db8:1:2:ffff::9"));
	ck_assert_uint_ne(six("2001:db8:1:2::1"), six("2001:db8:1:3::1"));
	ck_assert_uint_ne(four("10.0.0.1"), four("10.0.0.2"));
	ck_assert_uint_eq(six("::ffff:10.0.0.1"), four("10.0.0.1"));
	ck_assert_uint_ne(six("::1"), 0);
	ck_assert_uint_ne(six("::1"), four("127.0.0.1"));
}
END_TEST

START_TEST(takes_no_network_of_ipv6_for_an_address_of_ipv4)
{
	ck_assert_uint_ne(six("2001:db8::1"), four("184.13.1.32"));
	ck_assert_uint_ne(six("2001:db8::1"), four("32.1.13.184"));
	ck_assert_uint_gt(six("2001:db8::1"), UINT32_MAX);
	ck_assert_uint_gt(six("fe80::1"), UINT32_MAX);
}
END_TEST

START_TEST(does_not_limit_what_has_no_address)
{
	const struct sockaddr_un local = { .sun_family = AF_UNIX };

	conf.max_connections_per_address = 1;
	gate_change(gate, &conf, SECOND);
	ck_assert_uint_eq(gate_address((const struct sockaddr *)&local), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(gate_enter(gate, 0, SECOND), LIMIT_NONE);
	gate_leave(gate, 0, SECOND);
	ck_assert_uint_eq(gate_count(gate), 0);
}
END_TEST

START_TEST(limits_what_an_address_has_open)
{
	conf.max_connections_per_address = 2;
	gate_change(gate, &conf, SECOND);
	ck_assert_int_eq(gate_enter(gate, 5, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 5, SECOND), LIMIT_NONE);
	ck_assert_int_eq(
	    gate_enter(gate, 5, SECOND), LIMIT_ADDRESS_CONNECTIONS);
	ck_assert_int_eq(gate_enter(gate, 6, SECOND), LIMIT_NONE);
	gate_leave(gate, 5, SECOND);
	ck_assert_int_eq(gate_enter(gate, 5, SECOND), LIMIT_NONE);
	ck_assert_int_eq(
	    gate_enter(gate, 5, SECOND), LIMIT_ADDRESS_CONNECTIONS);
}
END_TEST

START_TEST(counts_also_while_there_is_no_limit)
{
	ck_assert_int_eq(gate_enter(gate, 5, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 5, SECOND), LIMIT_NONE);
	conf.max_connections_per_address = 2;
	gate_change(gate, &conf, SECOND);
	ck_assert_int_eq(
	    gate_enter(gate, 5, SECOND), LIMIT_ADDRESS_CONNECTIONS);
	gate_leave(gate, 5, SECOND);
	gate_leave(gate, 5, SECOND);
	ck_assert_uint_eq(gate_count(gate), 0);
}
END_TEST

START_TEST(limits_how_fast_all_come_together)
{
	conf.connect_rate.per_second = 1;
	conf.connect_rate.burst = 2;
	make_gate();
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 2, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 3, SECOND), LIMIT_CONNECT_RATE);
	ck_assert_int_eq(gate_enter(gate, 3, 2 * SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 3, 2 * SECOND), LIMIT_CONNECT_RATE);
}
END_TEST

START_TEST(limits_how_fast_one_address_comes)
{
	limit_addresses(1, 2);
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	ck_assert_int_eq(
	    gate_enter(gate, 1, SECOND), LIMIT_ADDRESS_CONNECT_RATE);
	ck_assert_int_eq(gate_enter(gate, 2, SECOND), LIMIT_NONE);
	/* Who is told to go away has been in. */
	for (int i = 0; i < 3; i++)
		gate_leave(gate, 1, SECOND);
	ck_assert_int_eq(
	    gate_enter(gate, 1, SECOND), LIMIT_ADDRESS_CONNECT_RATE);
	ck_assert_int_eq(gate_enter(gate, 1, 2 * SECOND), LIMIT_NONE);
}
END_TEST

/* Else a client that is over its own rate could use up that of all. */
START_TEST(takes_from_the_rate_of_all_only_for_who_comes_in)
{
	conf.connect_rate.per_second = 1;
	conf.connect_rate.burst = 2;
	limit_addresses(1, 1);
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(
		    gate_enter(gate, 1, SECOND), LIMIT_ADDRESS_CONNECT_RATE);
	ck_assert_int_eq(gate_enter(gate, 2, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, 3, SECOND), LIMIT_CONNECT_RATE);
}
END_TEST

START_TEST(forgets_an_address_when_its_bucket_is_full)
{
	limit_addresses(1, 2);
	gate_enter(gate, 1, SECOND);
	gate_leave(gate, 1, SECOND);
	ck_assert_uint_eq(gate_count(gate), 1);
	gate_enter(gate, 2, 3 * SECOND);
	ck_assert_uint_eq(gate_count(gate), 1);
}
END_TEST

START_TEST(remembers_no_more_addresses_than_it_says)
{
	limit_addresses(1, 1000);
	for (uint64_t i = 1; i <= GATE_MAX_IDLE + 100; i++) {
		gate_enter(gate, i, SECOND);
		gate_leave(gate, i, SECOND);
	}
	ck_assert_uint_le(gate_count(gate), GATE_MAX_IDLE + 1);
}
END_TEST

START_TEST(takes_a_rate_away_and_another_one)
{
	limit_addresses(1, 1);
	gate_enter(gate, 1, SECOND);
	ck_assert_int_eq(
	    gate_enter(gate, 1, SECOND), LIMIT_ADDRESS_CONNECT_RATE);
	limit_addresses(0, 0);
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	limit_addresses(1, 1);
	ck_assert_int_eq(gate_enter(gate, 1, SECOND), LIMIT_NONE);
	ck_assert_int_eq(
	    gate_enter(gate, 1, SECOND), LIMIT_ADDRESS_CONNECT_RATE);
}
END_TEST

/*
 * The promise, whoever comes and goes: the gate knows who is in, and forgets
 * all when all have left.
 */
START_TEST(knows_who_is_in)
{
	uint32_t in[16] = { 0 }, dice = (uint32_t)_i + 1, who;
	uint64_t now = SECOND;
	enum limit limit;

	conf.max_connections_per_address = 5;
	limit_addresses(1000, 1000);
	for (int turn = 0; turn < 20000; turn++) {
		dice = dice * 1664525 + 1013904223;
		who = dice >> 28;
		now += dice % (SECOND / 100);
		if ((dice >> 20 & 1) != 0) {
			limit = gate_enter(gate, who + 1, now);
			ck_assert_int_eq(limit,
			    in[who] == 5 ? LIMIT_ADDRESS_CONNECTIONS
					 : LIMIT_NONE);
			in[who] += limit == LIMIT_NONE;
		} else if (in[who] > 0) {
			gate_leave(gate, who + 1, now);
			in[who]--;
		}
	}
	for (who = 0; who < 16; who++)
		for (; in[who] > 0; in[who]--)
			gate_leave(gate, who + 1, now + 10 * SECOND);
	ck_assert_uint_eq(gate_count(gate), 0);
}
END_TEST

START_TEST(lets_nobody_log_in_after_too_many_failures)
{
	const uint64_t bad = four("10.0.0.1"), good = four("10.0.0.2");

	conf.failed_logins.per_second = 1;
	conf.failed_logins.burst = 3;
	gate_change(gate, &conf, SECOND);
	ck_assert_int_eq(gate_enter(gate, bad, SECOND), LIMIT_NONE);
	ck_assert_int_eq(gate_enter(gate, good, SECOND), LIMIT_NONE);
	for (int i = 0; i < 3; i++) {
		ck_assert(gate_may_log_in(gate, bad, SECOND));
		gate_failed(gate, bad, SECOND);
	}
	ck_assert(!gate_may_log_in(gate, bad, SECOND));
	ck_assert(gate_may_log_in(gate, good, SECOND));
	ck_assert(gate_may_log_in(gate, 0, SECOND));

	/* To go and come again does not help; to wait does. */
	gate_leave(gate, bad, SECOND);
	ck_assert_uint_eq(gate_count(gate), 2);
	ck_assert_int_eq(gate_enter(gate, bad, SECOND), LIMIT_NONE);
	ck_assert(!gate_may_log_in(gate, bad, SECOND));
	ck_assert(gate_may_log_in(gate, bad, 2 * SECOND));
	gate_failed(gate, bad, 2 * SECOND);
	ck_assert(!gate_may_log_in(gate, bad, 2 * SECOND));

	/* Nor is a limit in force that is taken away. */
	conf.failed_logins.per_second = 0;
	gate_change(gate, &conf, 2 * SECOND);
	ck_assert(gate_may_log_in(gate, bad, 2 * SECOND));
	gate_leave(gate, bad, 2 * SECOND);
	gate_leave(gate, good, 2 * SECOND);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("gate");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, takes_a_network_of_ipv6_for_one_address);
	tcase_add_test(tc, takes_no_network_of_ipv6_for_an_address_of_ipv4);
	tcase_add_test(tc, does_not_limit_what_has_no_address);
	tcase_add_test(tc, limits_what_an_address_has_open);
	tcase_add_test(tc, counts_also_while_there_is_no_limit);
	tcase_add_test(tc, limits_how_fast_all_come_together);
	tcase_add_test(tc, limits_how_fast_one_address_comes);
	tcase_add_test(tc, takes_from_the_rate_of_all_only_for_who_comes_in);
	tcase_add_test(tc, forgets_an_address_when_its_bucket_is_full);
	tcase_add_test(tc, remembers_no_more_addresses_than_it_says);
	tcase_add_test(tc, takes_a_rate_away_and_another_one);
	tcase_add_test(tc, lets_nobody_log_in_after_too_many_failures);
	tcase_add_loop_test(tc, knows_who_is_in, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
