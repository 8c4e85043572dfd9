/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/peer.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/unit.h"

START_TEST(knows_nothing_at_first)
{
	struct peer *peer = peer_new();

	ck_assert_ptr_null(peer_address(NULL));
	ck_assert_ptr_null(peer_address(peer));
	ck_assert_ptr_null(peer->user_name);
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

START_TEST(knows_the_process_behind_a_unix_socket)
{
	char text[LISTENER_ADDRESS_SIZE], want[LISTENER_ADDRESS_SIZE];
	struct peer *peer;
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	peer = peer_of_socket(fds[0]);
	ck_assert_ptr_nonnull(peer);
	ck_assert(peer->is_local);
	ck_assert_uint_eq(peer->uid, getuid());
	ck_assert_int_eq(peer->pid, getpid());
	ck_assert_ptr_null(peer_address(peer));
	snprintf(want, sizeof(want), "unix:uid=%u,pid=%d", getuid(), getpid());
	ck_assert_str_eq(peer_format(peer, text), want);
	peer_free(peer);
	close(fds[0]);
	close(fds[1]);
	ck_assert_ptr_null(peer_of_socket(fds[0]));
}
END_TEST

START_TEST(says_an_address_in_words)
{
	const struct sockaddr_in6 mapped = { .sin6_family = AF_INET6,
		.sin6_port = htons(1883),
		.sin6_addr.s6_addr = { [10] = 0xff, 0xff, 10, 0, 0, 7 } };
	const struct sockaddr_in6 zone = { .sin6_family = AF_INET6,
		.sin6_port = htons(1),
		.sin6_addr.s6_addr = { 0xfe, 0x80, [15] = 1 },
		.sin6_scope_id = if_nametoindex("lo") };
	char text[LISTENER_ADDRESS_SIZE];
	struct peer *peer = peer_new();

	ck_assert_ptr_null(peer_format(NULL, text));
	ck_assert_ptr_null(peer_format(peer, text));
	peer_set_address(peer, (const struct sockaddr *)&mapped);
	ck_assert_str_eq(peer_format(peer, text), "10.0.0.7:1883");
	peer_set_address(peer, (const struct sockaddr *)&zone);
	ck_assert_str_eq(peer_format(peer, text), "[fe80::1%lo]:1");
	peer->address.v6.sin6_scope_id = 123456;
	ck_assert_str_eq(peer_format(peer, text), "[fe80::1%123456]:1");
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
	ck_assert(peer_set_text(&peer->user_name, slice_of(NULL, 0)));
	ck_assert_str_eq(peer->user_name, "");
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
	tcase_add_test(tc, knows_the_process_behind_a_unix_socket);
	tcase_add_test(tc, says_an_address_in_words);
	tcase_add_test(tc, keeps_texts_of_its_own);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
