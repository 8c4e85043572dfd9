/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a client is told that asks for something to be kept: nothing before
 * the disk has it, and no when the disk has failed.  The worker is real, its
 * thread is the test's; so are the journal and its threads, but for the disk.
 */

#include "broker/admit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "broker/bridge_port_links.h"
#include "broker/commit.h"

#define WORKERS 1u
#include "tests/unit/recover_box.h"

#define TURNS 5000
#define FAILED MQTT_IMPLEMENTATION_SPECIFIC_ERROR

static struct conf_listener listeners[1];
static _Atomic uint64_t full_bridges;
static struct worker *worker;
static int fd = -1; /* the client's end */
static uint8_t answer[256];
static size_t answer_length;

static int
no_checkpoint(void *context, struct store_checkpoint *checkpoint)
{
	(void)context;
	(void)checkpoint;
	return -EAGAIN;
}

static void
nothing_sent(void *context, struct bridge_port *port)
{
	(void)context;
	(void)port;
}

static void
start(void)
{
	const struct bridge_port_spec port = {
		.bridges = 1,
		.window_bytes = 10000,
		.full = &full_bridges,
		.links_mailbox = broker.links_mailbox,
		.sent = nothing_sent,
		.worker_mailbox = worker->mailbox,
		.moved = worker_bridges_moved,
		.moved_context = worker,
	};
	struct commit_member member = { 0 };
	const struct commit_spec spec = {
		.store = broker.store,
		.members = &member,
		.member_count = 1,
		.window_bytes = 100000,
		.write_state = no_checkpoint,
	};

	worker->port = bridge_port_new(&port);
	worker_commit_member(worker, &member);
	broker.commit = commit_new(&spec);
	worker->commit = commit_port(broker.commit, 0);
	worker->sessions.commit = worker->commit;
	ck_assert_int_eq(commit_start(broker.commit), 0);
}

static void
set_up_worker(void)
{
	set_up();
	listeners[0].allow_anonymous = true;
	conf.listeners = listeners;
	conf.connect_timeout_ns = 60 * SECOND;
	conf.session_expiry_max_ns = 3600 * SECOND;
	conf.max_keepalive = 65535;
	conf.max_inflight = 16;
	conf.receive_maximum = 16;
	conf.max_qos = 2;
	conf.retain_available = true;
	conf.max_sessions = 100;
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	broker.links_mailbox = mailbox_new(&broker);
	broker.max_packet_size = 10000;
	atomic_store(&broker.connections, 100);
	worker = broker.workers[0];
	start();
}

static void
tear_down_worker(void)
{
	store_sim_heal(sim);
	commit_stop(broker.commit, false);
	mailbox_open(worker->mailbox, 0);
	mailbox_open(broker.links_mailbox, 0);
	worker->commit = NULL;
	worker->sessions.commit = NULL;
	commit_free(broker.commit);
	bridge_port_free(worker->port);
	mailbox_free(broker.links_mailbox);
	if (fd != -1)
		close(fd);
	fd = -1;
	tear_down();
}

/* ---- the client ------------------------------------------------------------
 */

static void
arrive(void)
{
	int both[2];

	if (fd != -1)
		close(fd);
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, both),
	    0);
	fd = both[0];
	client_new(worker,
	    &(struct client_origin){
		.parts.fd = both[1], .accepted_ns = worker_now_ns(worker) });
	answer_length = 0;
}

static void
say(const void *bytes, size_t length)
{
	ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
}

#define SAY(...)                                                               \
	do {                                                                   \
		const uint8_t said[] = { __VA_ARGS__ };                        \
		say(said, sizeof(said));                                       \
	} while (0)

/* Turn until so many bytes have come.  False: it was closed instead. */
static bool
hears(size_t length)
{
	ssize_t got;

	for (int i = 0; i < TURNS && answer_length < length; i++) {
		ck_assert_int_eq(loop_turn(worker->loop, false), 0);
		got = read(
		    fd, answer + answer_length, sizeof(answer) - answer_length);
		if (got == 0 || (got == -1 && errno == ECONNRESET))
			return false;
		if (got > 0)
			answer_length += (size_t)got;
		else
			poll(NULL, 0, 1);
	}
	ck_assert_uint_ge(answer_length, length);
	return true;
}

/* As many turns as an answer could need that must not come. */
static bool
is_silent(void)
{
	uint8_t byte;

	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(loop_turn(worker->loop, false), 0);
		if (recv(fd, &byte, 1, MSG_PEEK) != -1)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

static bool
is_closed(void)
{
	while (hears(answer_length + 1))
		;
	return true;
}

/* Session Expiry Interval 600. */
static void
connect_kept(void)
{
	SAY(0x10, 19, 0, 4, 'M', 'Q', 'T', 'T', 5, 0, 0, 0, 5, 0x11, 0, 0, 2,
	    0x58, 0, 1, 'a');
}

static void
connect_passing(void)
{
	SAY(0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'a');
}

/* To "f" and "g", QoS 1. */
static void
subscribe_two(void)
{
	SAY(0x82, 11, 0, 7, 0, 0, 1, 'f', 1, 0, 1, 'g', 1);
}

static bool
is_let_in(void)
{
	return hears(4) && answer[0] == 0x20 && answer[3] == 0;
}

static void
let_in(void)
{
	arrive();
	connect_kept();
	ck_assert(is_let_in());
	/* All of the CONNACK. */
	ck_assert(hears(2u + answer[1]));
	answer_length = 0;
}

static void
fail_syncs(void)
{
	store_sim_fail(sim, STORE_SIM_SYNC, 0, -EIO, true);
}

/* ---- the tests
 * --------------------------------------------------------------- */

START_TEST(lets_in_what_the_disk_has)
{
	let_in();
	ck_assert_ptr_nonnull(find("a"));
	ck_assert(find("a")->is_durable);
	ck_assert_ptr_nonnull(find("a")->client);
	subscribe_two();
	ck_assert(hears(7));
	ck_assert_mem_eq(answer, "\x90\x05\x00\x07\x00\x01\x01", 7);
	ck_assert_uint_eq(match("f"), 1);
}
END_TEST

START_TEST(refuses_a_session_that_the_disk_has_not)
{
	arrive();
	fail_syncs();
	connect_kept();
	ck_assert(hears(4));
	ck_assert_uint_eq(answer[0], 0x20);
	ck_assert_uint_eq(answer[3], FAILED);
	ck_assert(is_closed());
	ck_assert_ptr_null(find("a"));
	ck_assert_uint_eq(atomic_load(&broker.kept_sessions), 0);
}
END_TEST

START_TEST(keeps_a_session_whose_client_is_refused)
{
	let_in();
	SAY(0xe0, 0);
	ck_assert(is_closed());
	ck_assert_ptr_nonnull(find("a"));
	arrive();
	fail_syncs();
	connect_kept();
	ck_assert(hears(4));
	ck_assert_uint_eq(answer[3], FAILED);
	ck_assert(is_closed());
	ck_assert_ptr_nonnull(find("a"));
	ck_assert_ptr_null(find("a")->client);
	ck_assert_ptr_null(find("a")->arriving);
	ck_assert(alarm_is_set(&find("a")->alarm));
	store_sim_heal(sim);
}
END_TEST

START_TEST(lets_in_who_keeps_nothing_whatever_the_disk_does)
{
	let_in();
	fail_syncs();
	/* Its CLOSE is not committed; nothing else is promised. */
	arrive();
	connect_passing();
	ck_assert(is_let_in());
	ck_assert(!find("a")->is_durable);
}
END_TEST

START_TEST(takes_back_subscriptions_that_the_disk_has_not)
{
	bool existed;
	const struct subscription_options options = { .qos = 0 };

	let_in();
	ck_assert_int_eq(
	    subscription_tree_add(broker.subscriptions, slice_of_string("g"),
		&find("a")->subscriber, &options, &existed),
	    0);
	fail_syncs();
	subscribe_two();
	ck_assert(hears(7));
	ck_assert_mem_eq(answer, "\x90\x39\x00\x07\x34\x1f", 6);
	/* A Reason String of 49 bytes is before the two codes. */
	ck_assert(hears(2 + 0x39));
	ck_assert_mem_eq(answer + 0x39, "\x83\x83", 2);
	ck_assert_uint_eq(match("f"), 0);
	/* It was there before. */
	ck_assert_uint_eq(match("g"), 1);
}
END_TEST

START_TEST(closes_who_has_asked_for_more_than_one_thing)
{
	let_in();
	fail_syncs();
	subscribe_two();
	subscribe_two();
	ck_assert(hears(3));
	ck_assert_uint_eq(answer[0], 0xe0);
	ck_assert_uint_eq(answer[2], FAILED);
	ck_assert(is_closed());
}
END_TEST

START_TEST(closes_who_could_not_unsubscribe)
{
	let_in();
	subscribe_two();
	ck_assert(hears(7));
	answer_length = 0;
	fail_syncs();
	SAY(0xa2, 6, 0, 8, 0, 0, 1, 'f');
	ck_assert(hears(3));
	ck_assert_uint_eq(answer[0], 0xe0);
	ck_assert_uint_eq(answer[2], FAILED);
}
END_TEST

/* The commit thread has the disk: nothing can be said before it is back. */
START_TEST(says_nothing_before_it_is_committed)
{
	let_in();
	commit_stop(broker.commit, false);
	subscribe_two();
	ck_assert(is_silent());
	SAY(0xc0, 0);
	ck_assert(hears(2));
	ck_assert_mem_eq(answer, "\xd0\x00", 2);
	answer_length = 0;
	SAY(0xa2, 6, 0, 8, 0, 0, 1, 'f');
	ck_assert(is_silent());
	arrive();
	connect_kept();
	ck_assert(is_silent());
}
END_TEST

START_TEST(forgets_a_client_that_goes_before_it_is_let_in)
{
	commit_stop(broker.commit, false);
	arrive();
	connect_kept();
	ck_assert(is_silent());
	ck_assert_ptr_nonnull(find("a")->arriving);
	client_close(find("a")->arriving, true);
	ck_assert_ptr_null(find("a"));
}
END_TEST

START_TEST(takes_over_from_one_that_is_still_arriving)
{
	struct client *first;
	int kept;

	commit_stop(broker.commit, false);
	arrive();
	connect_kept();
	ck_assert(is_silent());
	first = find("a")->arriving;
	kept = fd;
	fd = -1;
	arrive();
	connect_kept();
	ck_assert(is_silent());
	ck_assert_ptr_nonnull(find("a")->arriving);
	ck_assert_ptr_ne(find("a")->arriving, first);
	close(kept);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("admit");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up_worker, tear_down_worker);
	tcase_add_test(tc, lets_in_what_the_disk_has);
	tcase_add_test(tc, refuses_a_session_that_the_disk_has_not);
	tcase_add_test(tc, keeps_a_session_whose_client_is_refused);
	tcase_add_test(tc, lets_in_who_keeps_nothing_whatever_the_disk_does);
	tcase_add_test(tc, takes_back_subscriptions_that_the_disk_has_not);
	tcase_add_test(tc, closes_who_has_asked_for_more_than_one_thing);
	tcase_add_test(tc, closes_who_could_not_unsubscribe);
	tcase_add_test(tc, says_nothing_before_it_is_committed);
	tcase_add_test(tc, forgets_a_client_that_goes_before_it_is_let_in);
	tcase_add_test(tc, takes_over_from_one_that_is_still_arriving);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
