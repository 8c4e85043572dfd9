/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/container_of.h"
#include "tests/unit/unit.h"

static struct loop *loop;
static char trace[64];
static unsigned traced;
static struct loop_hook first_hook, second_hook;

static void
set_up(void)
{
	loop = loop_new();
	traced = 0;
	trace[0] = '\0';
}

static void
tear_down(void)
{
	loop_free(loop);
}

static void
note(char letter)
{
	trace[traced++] = letter;
	trace[traced] = '\0';
}

static void
on_timer(void *arg)
{
	(void)arg;
	note('t');
}

static void
on_first(void *arg)
{
	note('1');
	if (arg != NULL)
		loop_remove_hook(loop, arg);
}

static void
on_second(void *arg)
{
	(void)arg;
	note('2');
	loop_stop(loop);
}

START_TEST(runs_hooks_after_the_events_of_a_turn)
{
	struct loop_timer timer;

	first_hook = (struct loop_hook){ .run = on_first };
	second_hook = (struct loop_hook){ .run = on_second };
	loop_add_hook(loop, &first_hook);
	loop_add_hook(loop, &second_hook);
	loop_timer_init(&timer, loop, on_timer, NULL);
	loop_timer_start(&timer, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "t12");
	ck_assert(!loop_timer_is_running(&timer));
}
END_TEST

START_TEST(lets_a_hook_remove_itself_or_the_next)
{
	first_hook = (struct loop_hook){ .run = on_first, .arg = &second_hook };
	second_hook = (struct loop_hook){ .run = on_second };
	loop_add_hook(loop, &first_hook);
	loop_add_hook(loop, &second_hook);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_str_eq(trace, "1");
	first_hook.arg = &first_hook;
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_str_eq(trace, "11");
}
END_TEST

START_TEST(does_not_wait_when_work_is_left_over)
{
	loop_again(loop);
	ck_assert_int_eq(loop_turn(loop, true), 0);
}
END_TEST

START_TEST(reads_the_clock_once_a_turn)
{
	uint64_t now_ns = loop_now_ns(loop);

	while (clock_now_ns() == now_ns)
		;
	ck_assert_uint_eq(loop_now_ns(loop), now_ns);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_gt(loop_now_ns(loop), now_ns);
}
END_TEST

static void
on_ready(void *arg, int fd, unsigned ready)
{
	(void)arg;
	(void)fd;
	ck_assert_uint_eq(ready, LOOP_READ);
	note('r');
}

/* An edge is reported once for each write, though nobody reads. */
START_TEST(reports_edges_without_a_read)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct loop_fd watch;

	ck_assert_int_eq(loop_fd_start(&watch, loop, fd, LOOP_READ | LOOP_EDGE,
			     on_ready, NULL),
	    0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(eventfd_write(fd, 1), 0);
		for (int turn = 0; turn < 3; turn++)
			ck_assert_int_eq(loop_turn(loop, false), 0);
	}
	ck_assert_str_eq(trace, "rrr");
	loop_fd_stop(&watch);
	close(fd);
}
END_TEST

/* Two of them, each a socket of a pair; `victim` is stopped by the other. */
struct peer {
	struct loop_source source;
	struct peer *victim;
	unsigned interest; /* that the victim is left with */
	unsigned ready;
	unsigned calls;
};

static void
on_source(struct loop_source *source, unsigned ready)
{
	struct peer *peer = CONTAINER_OF(source, struct peer, source);

	peer->ready = ready;
	peer->calls++;
	if (peer->victim != NULL)
		ck_assert_int_eq(loop_source_wait(loop, &peer->victim->source,
				     peer->interest),
		    0);
}

static void
make_peers(struct peer peers[2])
{
	int fds[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	for (int i = 0; i < 2; i++) {
		peers[i] = (struct peer){
			.source = { .ready = on_source, .fd = fds[i] },
		};
		ck_assert_int_eq(
		    loop_source_wait(loop, &peers[i].source, LOOP_READ), 0);
	}
}

static void
end_peers(struct peer peers[2])
{
	for (int i = 0; i < 2; i++) {
		loop_source_wait(loop, &peers[i].source, 0);
		close(peers[i].source.fd);
	}
}

START_TEST(waits_for_what_is_of_interest_now)
{
	struct peer peers[2];

	make_peers(peers);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(peers[0].calls + peers[1].calls, 0);
	ck_assert_int_eq(write(peers[1].source.fd, "x", 1), 1);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(peers[0].ready, LOOP_READ);
	ck_assert_int_eq(
	    loop_source_wait(loop, &peers[0].source, LOOP_WRITE), 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(peers[0].ready, LOOP_WRITE);
	ck_assert_int_eq(
	    loop_source_wait(loop, &peers[0].source, LOOP_READ | LOOP_WRITE),
	    0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(peers[0].ready, LOOP_READ | LOOP_WRITE);
	ck_assert_uint_eq(peers[0].calls, 3);
	ck_assert_int_eq(loop_source_wait(loop, &peers[0].source, 0), 0);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(peers[0].calls, 3);
	ck_assert_uint_eq(peers[1].calls, 0);
	end_peers(peers);
}
END_TEST

/* A pipe tells of its end by a hang-up alone; who waits for nothing hears
 * nothing of it. */
START_TEST(tells_a_hang_up_to_who_waits)
{
	struct peer reader = { .source.ready = on_source };
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	reader.source.fd = fds[0];
	ck_assert_int_eq(loop_source_wait(loop, &reader.source, LOOP_READ), 0);
	close(fds[1]);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(reader.ready, LOOP_READ);
	loop_source_wait(loop, &reader.source, 0);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	ck_assert_uint_eq(reader.calls, 1);
	close(fds[0]);
}
END_TEST

/* Both are seen in one turn; the first one ends the other, which may be freed
 * memory by then. */
START_TEST(tells_nothing_to_who_was_stopped_in_this_turn)
{
	static const unsigned left[] = { 0, LOOP_WRITE };
	struct peer peers[2];
	unsigned first;

	for (size_t i = 0; i < 2; i++) {
		make_peers(peers);
		peers[0].victim = &peers[1];
		peers[1].victim = &peers[0];
		peers[0].interest = peers[1].interest = left[i];
		ck_assert_int_eq(write(peers[0].source.fd, "x", 1), 1);
		ck_assert_int_eq(write(peers[1].source.fd, "x", 1), 1);
		ck_assert_int_eq(loop_turn(loop, true), 0);
		ck_assert_uint_eq(peers[0].calls + peers[1].calls, 1);
		first = peers[0].calls == 1 ? 0 : 1;
		ck_assert_uint_eq(peers[first].ready, LOOP_READ);
		end_peers(peers);
	}
}
END_TEST

static void
must_not_be_told(struct loop_source *source, unsigned ready)
{
	(void)source;
	(void)ready;
	ck_abort_msg("told what was seen of another one");
}

/* Its memory is somebody else's by the time. */
static void
stop_and_use_again(struct loop_source *source, unsigned ready)
{
	struct peer *peer = CONTAINER_OF(source, struct peer, source);

	(void)ready;
	peer->calls++;
	loop_source_wait(loop, &peer->victim->source, 0);
	peer->victim->source.interest = LOOP_READ;
	peer->victim->source.ready = must_not_be_told;
}

START_TEST(forgets_who_was_stopped_in_this_turn)
{
	struct peer peers[2];

	make_peers(peers);
	for (int i = 0; i < 2; i++) {
		peers[i].victim = &peers[!i];
		peers[i].source.ready = stop_and_use_again;
		ck_assert_int_eq(write(peers[i].source.fd, "x", 1), 1);
	}
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(peers[0].calls + peers[1].calls, 1);
	end_peers(peers);
}
END_TEST

START_TEST(refuses_what_cannot_be_waited_for)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct loop_source source = { .ready = on_source, .fd = fd };

	ck_assert_int_eq(loop_source_wait(loop, &source, LOOP_READ), -EPERM);
	ck_assert_uint_eq(source.interest, 0);
	close(fd);
}
END_TEST

static void
on_libevent(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	ck_assert(loop_is_dispatching(loop));
	note('e');
}

/* Either wakes the loop, and both are told in the turn in which they come. */
START_TEST(waits_for_libevent_and_for_its_own)
{
	struct peer peers[2];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct event *event;

	make_peers(peers);
	event = event_new(loop_base(loop), fd, EV_READ | EV_ET | EV_PERSIST,
	    on_libevent, NULL);
	ck_assert_int_eq(event_add(event, NULL), 0);
	ck_assert_int_eq(eventfd_write(fd, 1), 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_str_eq(trace, "e");
	ck_assert_int_eq(write(peers[1].source.fd, "x", 1), 1);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_str_eq(trace, "e");
	ck_assert_uint_eq(peers[0].calls, 1);
	/* And with nothing of its own it is not asked. */
	event_free(event);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(peers[0].calls, 2);
	end_peers(peers);
	close(fd);
}
END_TEST

static struct loop_timer one, other;

static void
on_one(void *arg)
{
	(void)arg;
	note('1');
	loop_timer_start(&one, 0);
	loop_timer_stop(&other);
}

static void
on_other(void *arg)
{
	(void)arg;
	note('2');
	loop_stop(loop);
}

START_TEST(fires_timers_in_the_order_of_their_time)
{
	struct loop_timer third;

	loop_timer_init(&one, loop, on_timer, NULL);
	loop_timer_init(&other, loop, on_other, NULL);
	loop_timer_init(&third, loop, on_timer, NULL);
	loop_timer_start(&other, 2 * CLOCK_MS_NS);
	loop_timer_start(&third, UINT64_MAX);
	loop_timer_start(&one, CLOCK_MS_NS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "t2");
	ck_assert(loop_timer_is_running(&third));
	loop_timer_stop(&third);
}
END_TEST

START_TEST(fires_no_timer_before_its_time)
{
	uint64_t due_ns = clock_now_ns() + 3 * CLOCK_MS_NS;

	loop_timer_init(&other, loop, on_other, NULL);
	loop_timer_start(&other, 3 * CLOCK_MS_NS);
	while (clock_now_ns() < due_ns - CLOCK_MS_NS) {
		ck_assert_int_eq(loop_turn(loop, false), 0);
		ck_assert(traced == 0 || clock_now_ns() >= due_ns);
	}
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_ge(clock_now_ns(), due_ns);
}
END_TEST

START_TEST(fires_a_timer_that_was_started_again_at_its_new_time)
{
	uint64_t due_ns;

	loop_timer_init(&other, loop, on_other, NULL);
	loop_timer_start(&other, 1);
	due_ns = clock_now_ns() + 2 * CLOCK_MS_NS;
	loop_timer_start(&other, 2 * CLOCK_MS_NS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_ge(clock_now_ns(), due_ns);

	/* Sooner than what the kernel was told. */
	loop_timer_start(&other, 60 * CLOCK_SECOND_NS);
	ck_assert_int_eq(loop_turn(loop, false), 0);
	loop_timer_start(&other, CLOCK_MS_NS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_str_eq(trace, "22");
}
END_TEST

/* Else one that starts itself with 0 would keep everything else waiting. */
START_TEST(fires_what_a_timer_starts_in_the_next_turn)
{
	loop_timer_init(&one, loop, on_one, NULL);
	loop_timer_init(&other, loop, on_other, NULL);
	loop_timer_start(&one, 0);
	loop_timer_start(&other, 0);
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_str_eq(trace, "1");
	ck_assert(!loop_timer_is_running(&other));
	ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_str_eq(trace, "11");
}
END_TEST

START_TEST(stops_what_never_started)
{
	struct loop_timer timer = { .arg = NULL };
	struct loop_fd watch = { .arg = NULL };

	loop_timer_stop(&timer);
	loop_fd_stop(&watch);
	ck_assert(!loop_timer_is_running(&timer));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, runs_hooks_after_the_events_of_a_turn);
	tcase_add_test(tc, lets_a_hook_remove_itself_or_the_next);
	tcase_add_test(tc, does_not_wait_when_work_is_left_over);
	tcase_add_test(tc, reads_the_clock_once_a_turn);
	tcase_add_test(tc, reports_edges_without_a_read);
	tcase_add_test(tc, waits_for_what_is_of_interest_now);
	tcase_add_test(tc, tells_a_hang_up_to_who_waits);
	tcase_add_test(tc, tells_nothing_to_who_was_stopped_in_this_turn);
	tcase_add_test(tc, forgets_who_was_stopped_in_this_turn);
	tcase_add_test(tc, refuses_what_cannot_be_waited_for);
	tcase_add_test(tc, waits_for_libevent_and_for_its_own);
	tcase_add_test(tc, fires_timers_in_the_order_of_their_time);
	tcase_add_test(tc, fires_no_timer_before_its_time);
	tcase_add_test(
	    tc, fires_a_timer_that_was_started_again_at_its_new_time);
	tcase_add_test(tc, fires_what_a_timer_starts_in_the_next_turn);
	tcase_add_test(tc, stops_what_never_started);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
