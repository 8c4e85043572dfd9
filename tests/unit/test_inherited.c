/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/listener.h"
#include "common/service/fdstore.h"
#include "tests/unit/unit.h"

static struct fdstore_entry entries[4];
static struct fdstore store;
static char here[LISTENER_ADDRESS_SIZE];

static void
put(const char *name, int fd)
{
	ck_assert_int_ge(fd, 0);
	snprintf(entries[store.count].name, FDSTORE_NAME_MAX, "%s", name);
	entries[store.count].fd = fd;
	store.count++;
}

/* A control socket, a ring, and a listening socket that blocks. */
static void
set_up(void)
{
	const struct listener_spec spec = { .bind = "127.0.0.1:0" };
	char error[LISTENER_ERROR_SIZE];
	struct listener *listener;
	int fd;

	store = (struct fdstore){ .entries = entries };
	put("ctl", socket(AF_UNIX, SOCK_SEQPACKET, 0));
	put("ring.httpd.in.0", open("/dev/null", O_RDONLY));
	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	strcpy(here, listener_address(listener));
	fd = dup(listener_fd(listener));
	listener_close(listener);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	put("mqtt", fd);
	put("other", socket(AF_INET, SOCK_STREAM, 0));
}

static void
tear_down(void)
{
	for (size_t i = 0; i < store.count; i++)
		if (entries[i].fd != -1)
			close(entries[i].fd);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

START_TEST(gives_the_one_that_is_there_and_once)
{
	int fd = inherited_take(&store, here);

	ck_assert_int_ge(fd, 0);
	ck_assert((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	ck_assert(listener_is_at(fd, here));
	ck_assert_int_eq(inherited_take(&store, here), -ENOENT);
	inherited_close_rest(&store);
	ck_assert(is_open(fd));
	close(fd);
}
END_TEST

START_TEST(another_address_is_none)
{
	ck_assert_int_eq(inherited_take(&store, "127.0.0.1:1"), -ENOENT);
	ck_assert_int_eq(inherited_take(&store, "unix:/tmp/x"), -ENOENT);
	ck_assert_uint_eq(store.count, 4);
}
END_TEST

/* What is no listening socket is others' business. */
START_TEST(closes_what_nobody_took_and_nothing_else)
{
	const int fd = entries[2].fd;

	inherited_close_rest(&store);
	ck_assert(!is_open(fd));
	ck_assert_uint_eq(store.count, 3);
	ck_assert_str_eq(entries[0].name, "ctl");
	ck_assert_str_eq(entries[1].name, "ring.httpd.in.0");
	ck_assert_str_eq(entries[2].name, "other");
	for (size_t i = 0; i < store.count; i++)
		ck_assert(is_open(entries[i].fd));
	inherited_close_rest(&store);
	ck_assert_uint_eq(store.count, 3);
}
END_TEST

START_TEST(nothing_inherited_is_nothing_to_do)
{
	struct fdstore none = { 0 };

	ck_assert_int_eq(inherited_take(&none, here), -ENOENT);
	inherited_close_rest(&none);
	ck_assert_uint_eq(none.count, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("inherited");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, gives_the_one_that_is_there_and_once);
	tcase_add_test(tc, another_address_is_none);
	tcase_add_test(tc, closes_what_nobody_took_and_nothing_else);
	tcase_add_test(tc, nothing_inherited_is_nothing_to_do);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
