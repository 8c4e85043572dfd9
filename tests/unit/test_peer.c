/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/peer.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

#include "tests/unit/unit.h"

START_TEST(knows_nothing_at_first)
{
	struct peer *peer = peer_new();

	ck_assert_ptr_null(peer_address(NULL));
	ck_assert_ptr_null(peer_address(peer));
	ck_assert_ptr_null(peer->user_name);
	ck_assert_ptr_null(peer->server_name);
	peer_free(peer);
	peer_free(NULL);
}
END_TEST

START_TEST(keeps_an_address_of_either_version)
{
	const struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(1883),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(8883),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_scope_id = 7 };
	const struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct peer *peer = peer_new();

	ck_assert(peer_set_address(peer, (const struct sockaddr *)&v4));
	ck_assert_mem_eq(peer_address(peer), &v4, sizeof(v4));
	ck_assert(peer_set_address(peer, (const struct sockaddr *)&v6));
	ck_assert_mem_eq(peer_address(peer), &v6, sizeof(v6));
	ck_assert(!peer_set_address(peer, (const struct sockaddr *)&local));
	ck_assert_mem_eq(peer_address(peer), &v6, sizeof(v6));
	peer_free(peer);
}
END_TEST

START_TEST(keeps_texts_of_its_own)
{
	char name[] = "sensor-7, and more";
	struct peer *peer = peer_new();

	ck_assert(peer_set_text(&peer->user_name, slice_of(name, 8)));
	memset(name, 'x', sizeof(name) - 1);
	ck_assert_str_eq(peer->user_name, "sensor-7");
	ck_assert(peer_set_text(&peer->user_name, slice_of_string("other")));
	ck_assert_str_eq(peer->user_name, "other");
	ck_assert(peer_set_text(&peer->server_name, slice_of(NULL, 0)));
	ck_assert_str_eq(peer->server_name, "");
	peer_free(peer);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("peer");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, knows_nothing_at_first);
	tcase_add_test(tc, keeps_an_address_of_either_version);
	tcase_add_test(tc, keeps_texts_of_its_own);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
