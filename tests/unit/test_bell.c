/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/bell.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static bool
is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

START_TEST(the_endpoint_hears_once_for_many_rings)
{
	struct bell_fds bells;

	ck_assert_int_eq(bell_open(&bells), 0);
	ck_assert(!is_readable(bells.to_endpoint_wait));
	for (int i = 0; i < 1000; i++)
		bell_ring_endpoint(bells.to_endpoint_send);
	ck_assert(is_readable(bells.to_endpoint_wait));
	ck_assert(bell_drain(bells.to_endpoint_wait));
	ck_assert(!is_readable(bells.to_endpoint_wait));
	ck_assert(bell_drain(bells.to_endpoint_wait));
	bell_close(&bells);
	ck_assert_int_eq(bells.to_broker, -1);
	bell_close(&bells);
}
END_TEST

/* The broker must not depend on the flags of a description it shares. */
START_TEST(ringing_a_full_bell_never_blocks)
{
	struct bell_fds bells;

	ck_assert_int_eq(bell_open(&bells), 0);
	ck_assert_int_eq(fcntl(bells.to_endpoint_send, F_SETFL, 0), 0);
	ck_assert_int_eq(fcntl(bells.to_endpoint_wait, F_SETFL, 0), 0);
	for (int i = 0; i < 100000; i++)
		bell_ring_endpoint(bells.to_endpoint_send);
	ck_assert(bell_drain(bells.to_endpoint_wait));
	while (is_readable(bells.to_endpoint_wait))
		ck_assert(bell_drain(bells.to_endpoint_wait));
	ck_assert(bell_drain(bells.to_endpoint_wait));
	bell_close(&bells);
}
END_TEST

START_TEST(the_endpoint_hears_the_end)
{
	struct bell_fds bells;

	ck_assert_int_eq(bell_open(&bells), 0);
	close(bells.to_endpoint_send);
	bells.to_endpoint_send = -1;
	ck_assert(!bell_drain(bells.to_endpoint_wait));
	bell_close(&bells);
}
END_TEST

START_TEST(ringing_a_bell_whose_hearer_is_gone_harms_nobody)
{
	struct bell_fds bells;

	ck_assert_int_eq(bell_open(&bells), 0);
	close(bells.to_endpoint_wait);
	bells.to_endpoint_wait = -1;
	bell_ring_endpoint(bells.to_endpoint_send);
	bell_close(&bells);
}
END_TEST

/* The broker watches edge-triggered and never reads. */
START_TEST(the_broker_hears_every_ring_without_reading)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct bell_fds bells;

	ck_assert_int_eq(bell_open(&bells), 0);
	ck_assert_int_eq(
	    epoll_ctl(epoll, EPOLL_CTL_ADD, bells.to_broker, &event), 0);
	ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
	for (int i = 0; i < 3; i++) {
		bell_ring_broker(bells.to_broker);
		ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 1);
		ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 0);
	}
	close(epoll);
	bell_close(&bells);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bell");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, the_endpoint_hears_once_for_many_rings);
	tcase_add_test(tc, ringing_a_full_bell_never_blocks);
	tcase_add_test(tc, the_endpoint_hears_the_end);
	tcase_add_test(tc, ringing_a_bell_whose_hearer_is_gone_harms_nobody);
	tcase_add_test(tc, the_broker_hears_every_ring_without_reading);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
