/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "tests/unit/unit.h"

static bool
has(const char *text, const char *address)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct network network;

	ck_assert_msg(network_parse(text, &network) == 0, "%s", text);
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return network_has(&network, (const struct sockaddr *)&v4);
	ck_assert_int_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return network_has(&network, (const struct sockaddr *)&v6);
}

static const struct {
	const char *network, *in, *out;
} rows[] = {
	{ "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
	{ "10.0.0.0/8", "10.0.0.0", "9.255.255.255" },
	{ "192.168.128.0/17", "192.168.255.255", "192.168.127.255" },
	{ "192.168.1.7", "192.168.1.7", "192.168.1.6" },
	{ "192.168.1.7/32", "192.168.1.7", "192.168.1.8" },
	{ "192.168.1.6/31", "192.168.1.7", "192.168.1.8" },
	{ "0.0.0.0/0", "255.1.2.3", "fd00::1" },
	{ "0.0.0.0/1", "127.255.255.255", "128.0.0.0" },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3" },
	{ "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3" },
	{ "fd00::/8", "fdff::1", "fe00::" },
	{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::" },
	{ "::1", "::1", "::2" },
	{ "::1/128", "::1", "127.0.0.1" },
	{ "fe80::/10", "febf::1", "fec0::" },
	{ "::1/128", "::1", "8000::1" },
};

START_TEST(tells_who_is_of_it)
{
	ck_assert_msg(has(rows[_i].network, rows[_i].in), "%s has not %s",
	    rows[_i].network, rows[_i].in);
	ck_assert_msg(!has(rows[_i].network, rows[_i].out), "%s has %s",
	    rows[_i].network, rows[_i].out);
}
END_TEST

START_TEST(all_of_ipv6_has_ipv4_too)
{
	ck_assert(has("::/0", "1.2.3.4"));
	ck_assert(has("::/0", "fe80::1"));
}
END_TEST

START_TEST(a_unix_socket_is_of_none)
{
	const struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct network all;

	ck_assert_int_eq(network_parse("::/0", &all), 0);
	ck_assert(!network_has(&all, (const struct sockaddr *)&local));
}
END_TEST

static const char *const wrong[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33",
	"10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/ 8", "10.0.0.0/08x",
	"10.0.0.1/8", "10.0.0.1/31", "10.0.0/8", "10.0.0.0.0", "::1/129",
	"::1/127", "fd00::1/8", "[::1]", "localhost", "fe80::1%lo", "::1/",
	"1111:2222:3333:4444:5555:6666:7777:8888:9999",
	"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8",
	"10.0.0.0/18446744073709551617" };

START_TEST(refuses)
{
	struct network network = { .bits = 77 };

	ck_assert_msg(
	    network_parse(wrong[_i], &network) == -EINVAL, "%s", wrong[_i]);
	ck_assert_uint_eq(network.bits, 77);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("network");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(
	    tc, tells_who_is_of_it, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tc, all_of_ipv6_has_ipv4_too);
	tcase_add_test(tc, a_unix_socket_is_of_none);
	tcase_add_loop_test(
	    tc, refuses, 0, (int)(sizeof(wrong) / sizeof(wrong[0])));
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
