/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/tls_tickets.h"

#include <string.h>

#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)
#define LIFETIME (100 * SECOND)

static struct tls_tickets *tickets;

static void
set_up(void)
{
	tickets = tls_tickets_new(LIFETIME, 0);
	ck_assert_ptr_nonnull(tickets);
}

static void
tear_down(void)
{
	tls_tickets_put(tickets);
}

static struct tls_ticket_key
newest(uint64_t now_ns)
{
	struct tls_ticket_key key;

	ck_assert(tls_tickets_newest(tickets, now_ns, &key));
	return key;
}

/* 0: not known, 1: known, 2: known, and the client gets a new ticket. */
static int
find(const struct tls_ticket_key *sought, uint64_t now_ns)
{
	struct tls_ticket_key key;
	bool is_old;

	if (!tls_tickets_find(tickets, sought->name, now_ns, &key, &is_old))
		return 0;
	ck_assert_mem_eq(&key, sought, sizeof(key));
	return is_old ? 2 : 1;
}

START_TEST(knows_its_newest_key)
{
	struct tls_ticket_key key = newest(0), again = newest(LIFETIME - 1);

	ck_assert_mem_eq(&key, &again, sizeof(key));
	ck_assert_int_eq(find(&key, LIFETIME - 1), 1);
	key.name[3] ^= 1;
	ck_assert_int_eq(find(&key, 0), 0);
}
END_TEST

START_TEST(takes_a_new_key_after_a_lifetime_and_opens_with_the_former)
{
	struct tls_ticket_key first = newest(0), second = newest(LIFETIME);

	ck_assert_mem_ne(first.name, second.name, sizeof(first.name));
	ck_assert_mem_ne(first.cipher, second.cipher, sizeof(first.cipher));
	ck_assert_mem_ne(first.mac, second.mac, sizeof(first.mac));
	ck_assert_int_eq(find(&first, 2 * LIFETIME - 1), 2);
	ck_assert_int_eq(find(&second, 2 * LIFETIME - 1), 1);
	ck_assert_int_eq(find(&first, 2 * LIFETIME), 0);
	ck_assert_int_eq(find(&second, 2 * LIFETIME), 2);
}
END_TEST

START_TEST(forgets_a_key_that_slept_two_lifetimes)
{
	struct tls_ticket_key first = newest(0);

	ck_assert_int_eq(find(&first, 2 * LIFETIME), 0);
	ck_assert_int_eq(find(&first, 2 * LIFETIME), 0);
}
END_TEST

START_TEST(a_clock_that_steps_back_changes_nothing)
{
	struct tls_ticket_key key = newest(5 * LIFETIME);

	ck_assert_int_eq(find(&key, 0), 1);
}
END_TEST

START_TEST(takes_another_lifetime)
{
	struct tls_ticket_key key = newest(0);

	tls_tickets_set_lifetime(tickets, LIFETIME / 2);
	ck_assert_uint_eq(tls_tickets_lifetime_ns(tickets), LIFETIME / 2);
	ck_assert_int_eq(find(&key, LIFETIME / 2 - 1), 1);
	ck_assert_int_eq(find(&key, LIFETIME / 2), 2);
}
END_TEST

START_TEST(gives_none_without_a_lifetime)
{
	struct tls_ticket_key key = newest(0);

	tls_tickets_set_lifetime(tickets, 0);
	ck_assert_int_eq(find(&key, 1), 0);
	ck_assert(!tls_tickets_newest(tickets, 1, &key));
}
END_TEST

START_TEST(two_servers_have_nothing_in_common)
{
	struct tls_ticket_key key = newest(0);

	tls_tickets_put(tickets);
	set_up();
	ck_assert_int_eq(find(&key, 0), 0);
}
END_TEST

/* The promise: a ticket is good for its lifetime, and never for two. */
START_TEST(keeps_a_ticket_for_one_lifetime_and_less_than_two)
{
	struct {
		struct tls_ticket_key key;
		uint64_t at_ns;
	} given[64] = { 0 };
	uint32_t dice = (uint32_t)_i + 1;
	uint64_t now_ns = 0, age_ns;
	unsigned i;

	for (int turn = 0; turn < 2000; turn++) {
		dice = dice * 1664525 + 1013904223;
		now_ns += (dice >> 8) % (LIFETIME / 8);
		i = (dice >> 4) % 64;
		age_ns = now_ns - given[i].at_ns;
		if (given[i].at_ns != 0 && age_ns < LIFETIME)
			ck_assert_int_ne(find(&given[i].key, now_ns), 0);
		if (given[i].at_ns != 0 && age_ns >= 2 * LIFETIME)
			ck_assert_int_eq(find(&given[i].key, now_ns), 0);
		given[i].key = newest(now_ns);
		given[i].at_ns = now_ns;
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tls_tickets");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, knows_its_newest_key);
	tcase_add_test(
	    tc, takes_a_new_key_after_a_lifetime_and_opens_with_the_former);
	tcase_add_test(tc, forgets_a_key_that_slept_two_lifetimes);
	tcase_add_test(tc, a_clock_that_steps_back_changes_nothing);
	tcase_add_test(tc, takes_another_lifetime);
	tcase_add_test(tc, gives_none_without_a_lifetime);
	tcase_add_test(tc, two_servers_have_nothing_in_common);
	tcase_add_loop_test(
	    tc, keeps_a_ticket_for_one_lifetime_and_less_than_two, 0, 8);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
