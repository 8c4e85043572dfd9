/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rules of the rings that were learnt the hard way, each with a test.
 *
 *	1 arming itself commits: who slept on uncommitted records slept for
 *	  ever		here; arming_commits_and_wakes (test_ring_link)
 *	2 stepping over padding alone must still be released
 *			skipping_only_pads_releases_them (test_ring)
 *	3 always arm, then look again, then sleep: never an early return
 *			here; no_wake_up_is_ever_lost (test_ring_link)
 *	4 counters that must match a position are stored with it, in slots
 *			totals_of_a_release_that_did_not_happen_do_not_count,
 *			the_sequence_of_a_commit_that_did_not_happen_is_erased
 *			(test_ring)
 *	5 what two sides write never shares a cache line, nor do two lanes
 *			here
 *	6 both sides ring whatever the arm says when they attach
 *			here; an_attach_rings_whatever_the_arm_says
 *			(test_ring_link)
 *	7 a bell in a peer's hands is never read nor waited for, and who rings
 *	  for nothing is not heard for a while
 *			here; ringing_a_full_bell_never_blocks,
 *			the_broker_hears_every_ring_without_reading (test_bell)
 *	8 nothing slow in a lane's way
 *			here; a_full_queue_is_answered_busy (test_auth)
 *	9 no spinning	here; an_idle_broker_sleeps,
 *			a_stalled_broker_sleeps_too (test_links)
 */

#include <sodium.h>
#include <sys/stat.h>

#include "broker/links.h"

#include "tests/unit/links_box.h"

#define LINE 64u
#define HTTPD 0u
#define CLOUD 1u

/* The arm word that a side has in shared memory. */
static uint64_t
arm_of(int side_fd)
{
	uint64_t arm;

	ck_assert_int_eq(pread(side_fd, &arm, sizeof(arm),
			     offsetof(struct ring_side_header, arm)),
	    (int)sizeof(arm));
	return arm;
}

static uint64_t
bells_of(int side_fd)
{
	uint64_t bells;

	ck_assert_int_eq(pread(side_fd, &bells, sizeof(bells),
			     offsetof(struct ring_side_header, bells_rung)),
	    (int)sizeof(bells));
	return bells;
}

static int
own_fd(uint32_t link)
{
	return broker.links->endpoints[link]->own_fd;
}

static int
peer_fd(uint32_t link)
{
	return broker.links->endpoints[link]->peer_fd;
}

static void
attach_both(void)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&httpd);
	grant_all(&bridge);
}

/* A record that is not committed by hand. */
static void
put_uncommitted(void)
{
	const struct ring_record record = { .kind = RECORD_MESSAGE,
		.identity = AUTH_ANONYMOUS };
	struct ring_producer *producer = ring_link_producer(httpd.link, 0);
	struct record_message message = {
		.qos = 1,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
	};
	void *out;

	ck_assert_int_eq(
	    ring_claim(producer, record_message_size(&message), &out), 0);
	record_message_write(&message, out);
	ring_put(producer, &record);
}

START_TEST(rule_1_arming_itself_commits)
{
	attach_both();
	put_uncommitted();
	run();
	ck_assert_uint_eq(routed, 0);
	ring_link_arm(httpd.link);
	run();
	ck_assert_uint_eq(routed, 1);
}
END_TEST

/* Also when there was something to commit, and when it is armed already. */
START_TEST(rule_3_every_arming_stores_a_new_odd_value)
{
	uint64_t last = 0;

	attach_both();
	for (int i = 0; i < 6; i++) {
		if (i % 2 == 0)
			put_uncommitted();
		ring_link_arm(httpd.link);
		ck_assert_uint_eq(arm_of(peer_fd(HTTPD)) & 1, 1);
		ck_assert_uint_gt(arm_of(peer_fd(HTTPD)), last);
		last = arm_of(peer_fd(HTTPD));
		if (i == 3)
			ring_link_disarm(httpd.link);
	}
}
END_TEST

/* Where the words that one side writes often begin and end, in its memory. */
static const struct {
	size_t begin, length, stride;
} busy[] = {
	{ RING_SIDE_HEADS, sizeof(struct ring_head), sizeof(struct ring_head) },
	{ RING_SIDE_PRODUCERS, sizeof(struct ring_lane_producer),
	    RING_PRODUCER_STRIDE },
	{ RING_SIDE_CONSUMERS, sizeof(struct ring_lane_consumer),
	    RING_CONSUMER_STRIDE },
};

static bool
is_same_file(int a, int b)
{
	struct stat x, y;

	ck_assert_int_eq(fstat(a, &x), 0);
	ck_assert_int_eq(fstat(b, &y), 0);
	return x.st_ino == y.st_ino;
}

/* Lines come in pairs: the next one is fetched with each. */
START_TEST(rule_5_no_line_has_two_writers_or_two_lanes)
{
	attach_both();
	ck_assert(!is_same_file(own_fd(CLOUD), peer_fd(CLOUD)));
	for (unsigned i = 0; i < sizeof(busy) / sizeof(busy[0]); i++) {
		ck_assert_uint_eq(busy[i].begin % (2 * LINE), 0);
		ck_assert_uint_eq(busy[i].stride % (2 * LINE), 0);
		ck_assert_uint_le(busy[i].length, busy[i].stride);
	}
	ck_assert_uint_ge(sizeof(struct ring_head), 2 * LINE);
	/* Read by a peer at each shortage; counters are written meanwhile. */
	ck_assert_uint_ge(offsetof(struct ring_lane_consumer, limit) -
		offsetof(struct ring_lane_consumer, tail),
	    2 * LINE);
	ck_assert_uint_ge(offsetof(struct ring_lane_consumer, bytes) -
		offsetof(struct ring_lane_consumer, limit),
	    2 * LINE);
	ck_assert_uint_ge(offsetof(struct ring_lane_producer, bytes) -
		offsetof(struct ring_lane_producer, sequence),
	    2 * LINE);
	ck_assert_uint_ge(offsetof(struct ring_side_header, epoch) -
		offsetof(struct ring_side_header, arm),
	    2 * LINE);
}
END_TEST

START_TEST(rule_6_both_sides_ring_when_they_attach)
{
	uint64_t before;

	attach_both();
	ck_assert_uint_ge(bells_of(peer_fd(CLOUD)), 1);
	ck_assert_uint_ge(bells_of(own_fd(CLOUD)), 1);
	/* Nobody sleeps and nothing has moved: they ring all the same. */
	before = bells_of(peer_fd(CLOUD));
	kill_program(&bridge);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_gt(bells_of(peer_fd(CLOUD)), before);
	before = bells_of(own_fd(CLOUD));
	restart_broker();
	ck_assert_uint_gt(bells_of(own_fd(CLOUD)), before);
}
END_TEST

/*
 * The peer makes the bell's description a blocking one and never takes a
 * ring; then it rings without end.  The broker goes on, and stops listening.
 */
START_TEST(rule_7_a_bell_in_a_peers_hands_harms_nobody)
{
	const struct links_endpoint *cloud_link;
	const uint64_t one = 1;
	unsigned rung = 0;
	int fd;

	attach_both();
	cloud_link = broker.links->endpoints[CLOUD];
	fd = cloud_link->bells.to_broker;
	ck_assert_int_eq(
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	fd = cloud_link->bells.to_endpoint_wait;
	ck_assert_int_eq(
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
	for (int i = 0; i < 5000; i++)
		ring_link_ring(cloud_link->link);
	while (cloud_link->bell_is_watched && rung < 100000) {
		ck_assert_int_eq(
		    write(cloud_link->bells.to_broker, &one, sizeof(one)),
		    (int)sizeof(one));
		ck_assert_int_eq(loop_turn(broker.loop, false), 0);
		rung++;
	}
	ck_assert(!cloud_link->bell_is_watched);
	ck_assert_uint_gt(rung, 1000);

	/* Others are served, and it is heard again by a timer. */
	ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	run();
	ck_assert_uint_eq(routed, 1);
	for (int i = 0; i < 10000 && !cloud_link->bell_is_watched; i++)
		ck_assert_int_eq(loop_turn(broker.loop, true), 0);
	ck_assert(cloud_link->bell_is_watched);
}
END_TEST

/* Credentials that take hashing, in front of a message in the same lane. */
START_TEST(rule_8_what_is_slow_leaves_the_lane_at_once)
{
	static char hash[crypto_pwhash_STRBYTES], bob[] = "bob";
	static struct conf_account account = { .name = bob, .hash = hash };
	const struct record_auth credentials = {
		.user = slice_of_string("bob"),
		.password = slice_of_string("secret"),
	};
	const struct ring_record record = { .kind = RECORD_AUTH,
		.correlation = 9 };
	struct ring_producer *producer;
	struct ring_record got;
	const void *body;
	void *out;

	ck_assert_int_ge(sodium_init(), 0);
	ck_assert_int_eq(
	    crypto_pwhash_str_alg(hash, "secret", 6, crypto_pwhash_OPSLIMIT_MIN,
		crypto_pwhash_MEMLIMIT_MIN, crypto_pwhash_ALG_ARGON2ID13),
	    0);
	conf.accounts = &account;
	conf.account_count = 1;
	stop_broker();
	kept_count = 0;
	start_broker();
	attach_both();
	producer = ring_link_producer(httpd.link, 0);
	ck_assert_int_eq(
	    ring_claim(producer, record_auth_size(&credentials), &out), 0);
	record_auth_write(&credentials, out);
	ring_put(producer, &record);
	ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	ck_assert_uint_eq(routed, 1);
	/* The message was answered; the credentials are, in a later turn. */
	ck_assert_int_eq(
	    ring_peek(ring_link_consumer(httpd.link, 0), &got, &body), 1);
	ck_assert_uint_eq(got.kind, RECORD_RECEIPT);
}
END_TEST

START_TEST(rule_9_nobody_spins)
{
	attach_both();
	ck_assert_int_eq(publish(&httpd, 0, "a", 10), 0);
	run();
	ck_assert_uint_le(turns_in_50_ms(), 3);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_rules");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, rule_1_arming_itself_commits);
	tcase_add_test(tc, rule_3_every_arming_stores_a_new_odd_value);
	tcase_add_test(tc, rule_5_no_line_has_two_writers_or_two_lanes);
	tcase_add_test(tc, rule_6_both_sides_ring_when_they_attach);
	tcase_add_test(tc, rule_7_a_bell_in_a_peers_hands_harms_nobody);
	tcase_add_test(tc, rule_8_what_is_slow_leaves_the_lane_at_once);
	tcase_add_test(tc, rule_9_nobody_spins);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
