/* SPDX-License-Identifier: Apache-2.0 */

/* Both ends of a link in one process, each with its own mappings. */

#include "common/ring/ring_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

static const struct ring_link_identity cloud = {
	.instance = { 1, 2, 3 },
	.link = 5,
	.endpoint_role = RING_ROLE_BRIDGE,
	.name = "cloud",
	.run_dir = "/run/weir-test",
};

static const struct ring_lane_geometry small = {
	.lane = 3,
	.min_shift = RING_MIN_SHIFT_LOW,
	.classes = 2,
	.name = "plant",
};

struct ends {
	int broker_fd, endpoint_fd, broker_read_only;
	struct bell_fds bells;
	struct ring_link *broker, *endpoint;
};

static struct ring_link *
attach_broker(struct ends *ends)
{
	const struct bell_fds bells = {
		.to_broker = dup(ends->bells.to_broker),
		.to_endpoint_send = dup(ends->bells.to_endpoint_send),
		.to_endpoint_wait = -1,
	};
	struct ring_link *link = NULL;

	ck_assert_int_eq(ring_link_attach(&cloud, RING_ROLE_BROKER,
			     ends->broker_fd, ends->endpoint_fd, &bells, &link),
	    0);
	return link;
}

static struct ring_link *
attach_endpoint(struct ends *ends)
{
	const struct bell_fds bells = {
		.to_broker = dup(ends->bells.to_broker),
		.to_endpoint_send = -1,
		.to_endpoint_wait = dup(ends->bells.to_endpoint_wait),
	};
	struct ring_link *link = NULL;

	ck_assert_int_eq(
	    ring_link_attach(&cloud, RING_ROLE_BRIDGE, ends->endpoint_fd,
		ends->broker_read_only, &bells, &link),
	    0);
	return link;
}

static bool
has_rung(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

/* True if the broker rang the endpoint's bell since the last time. */
static bool
endpoint_was_rung(struct ends *ends)
{
	bool rung = has_rung(ends->bells.to_endpoint_wait);

	ck_assert(bell_drain(ends->bells.to_endpoint_wait));
	return rung;
}

static struct ends
open_ends(void)
{
	struct ends ends;

	ck_assert_int_eq(
	    ring_link_create(&cloud, &ends.broker_fd, &ends.endpoint_fd), 0);
	ends.broker_read_only = memfd_reopen_read_only(ends.broker_fd);
	ck_assert_int_ge(ends.broker_read_only, 0);
	ck_assert_int_eq(bell_open(&ends.bells), 0);
	ends.broker = attach_broker(&ends);
	ends.endpoint = attach_endpoint(&ends);
	endpoint_was_rung(&ends);
	return ends;
}

static void
close_ends(struct ends *ends)
{
	ring_link_detach(ends->broker);
	ring_link_detach(ends->endpoint);
	bell_close(&ends->bells);
	close(ends->broker_fd);
	close(ends->endpoint_fd);
	close(ends->broker_read_only);
}

/* A lane from the broker to the endpoint; returns its memfd. */
static int
open_lane(struct ends *ends)
{
	int fd, reader;

	fd = ring_link_create_lane(&cloud, RING_ROLE_BROKER, &small);
	ck_assert_int_ge(fd, 0);
	reader = memfd_reopen_read_only(fd);
	ck_assert_int_eq(
	    ring_link_add_producer(ends->broker, &small, fd, NULL), 0);
	ck_assert_int_eq(
	    ring_link_add_consumer(ends->endpoint, &small, reader, NULL), 0);
	ring_grant(ring_link_consumer(ends->endpoint, small.lane), 1 << 20);
	close(reader);
	return fd;
}

static void
put_one(struct ring_link *link)
{
	const struct ring_record record = { .kind = 1 };
	struct ring_producer *producer = ring_link_producer(link, small.lane);
	void *payload;

	ck_assert_int_eq(ring_claim(producer, 8, &payload), 0);
	memcpy(payload, "12345678", 8);
	ring_put(producer, &record);
}

static bool
take_one(struct ring_link *link)
{
	struct ring_consumer *consumer = ring_link_consumer(link, small.lane);
	const struct ring_outcome outcome = { .delivered = 1 };
	struct ring_record record;
	const void *payload;

	if (ring_peek(consumer, &record, &payload) != 1)
		return false;
	return ring_release(consumer, ring_next(consumer), &outcome, 1);
}

START_TEST(a_record_passes_from_side_to_side)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);

	close(fd);
	put_one(ends.broker);
	ck_assert(!take_one(ends.endpoint));
	ck_assert(ring_commit(ring_link_producer(ends.broker, small.lane), 1));
	ck_assert(take_one(ends.endpoint));
	ck_assert(ring_producer_is_drained(
	    ring_link_producer(ends.broker, small.lane)));
	ck_assert_ptr_null(ring_link_fault(ends.broker));
	close_ends(&ends);
}
END_TEST

START_TEST(each_side_knows_the_other)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);

	ck_assert_str_eq(ring_link_identity(ends.endpoint)->name, "cloud");
	ck_assert_uint_eq(ring_link_epoch(ends.endpoint), 1);
	ck_assert_uint_eq(ring_link_peer_epoch(ends.broker), 1);
	ck_assert_uint_eq(ring_link_peer_pid(ends.broker), (uint64_t)getpid());
	ck_assert(ring_link_peer_is_attached(ends.broker));
	ck_assert_str_eq(
	    ring_link_producer_lane(ends.broker, small.lane)->name, "plant");
	ck_assert_str_eq(
	    ring_link_consumer_lane(ends.endpoint, small.lane)->name, "plant");
	ck_assert_ptr_null(ring_link_consumer_lane(ends.broker, small.lane));
	ck_assert_ptr_null(ring_link_producer_lane(ends.broker, 32));
	ck_assert_ptr_null(ring_link_producer(ends.broker, 32));
	ck_assert_ptr_null(ring_link_consumer(ends.broker, 0));
	ring_link_detach(ends.endpoint);
	ck_assert(!ring_link_peer_is_attached(ends.broker));
	ends.endpoint = attach_endpoint(&ends);
	ck_assert_uint_eq(ring_link_peer_epoch(ends.broker), 2);
	close(fd);
	close_ends(&ends);
}
END_TEST

START_TEST(an_attach_rings_whatever_the_arm_says)
{
	struct ends ends = open_ends();

	ring_link_detach(ends.broker);
	ck_assert(!has_rung(ends.bells.to_endpoint_wait));
	ends.broker = attach_broker(&ends);
	ck_assert(endpoint_was_rung(&ends));
	ck_assert(has_rung(ends.bells.to_broker));
	close_ends(&ends);
}
END_TEST

START_TEST(a_sleeper_is_rung_once_for_each_sleep)
{
	struct ends ends = open_ends();

	ring_link_wake(ends.broker);
	ck_assert(!endpoint_was_rung(&ends));

	for (int sleep = 0; sleep < 3; sleep++) {
		ring_link_arm(ends.endpoint);
		ring_link_wake(ends.broker);
		ck_assert(endpoint_was_rung(&ends));
		ring_link_wake(ends.broker);
		ck_assert(!endpoint_was_rung(&ends));
		ring_link_disarm(ends.endpoint);
		ring_link_disarm(ends.endpoint);
		ring_link_wake(ends.broker);
		ck_assert(!endpoint_was_rung(&ends));
	}
	/* Armed again without a disarm is another sleep. */
	for (int sleep = 0; sleep < 3; sleep++) {
		ring_link_arm(ends.endpoint);
		ring_link_wake(ends.broker);
		ck_assert(endpoint_was_rung(&ends));
	}
	close_ends(&ends);
}
END_TEST

START_TEST(a_new_life_does_not_reuse_an_arm_value)
{
	struct ends ends = open_ends();

	ring_link_arm(ends.endpoint);
	ring_link_wake(ends.broker);
	ck_assert(endpoint_was_rung(&ends));
	/* It dies asleep; the next one arms in the same memory. */
	ring_link_detach(ends.endpoint);
	ends.endpoint = attach_endpoint(&ends);
	ring_link_wake(ends.broker);
	ck_assert(!endpoint_was_rung(&ends));
	ring_link_arm(ends.endpoint);
	ring_link_wake(ends.broker);
	ck_assert(endpoint_was_rung(&ends));
	close_ends(&ends);
}
END_TEST

/* Sleeping on uncommitted records would be a deadlock. */
START_TEST(arming_commits_and_wakes)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);

	ring_link_arm(ends.endpoint);
	put_one(ends.broker);
	ring_link_arm(ends.broker);
	ck_assert(endpoint_was_rung(&ends));
	ck_assert(take_one(ends.endpoint));
	close(fd);
	close_ends(&ends);
}
END_TEST

START_TEST(a_restarted_endpoint_gets_what_was_not_released)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);

	put_one(ends.broker);
	put_one(ends.broker);
	ring_link_arm(ends.broker);
	ck_assert(take_one(ends.endpoint));
	ring_link_detach(ends.endpoint);

	ends.endpoint = attach_endpoint(&ends);
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.endpoint, &small, fd, NULL), 0);
	ck_assert(take_one(ends.endpoint));
	ck_assert(!take_one(ends.endpoint));
	ck_assert_ptr_null(ring_link_fault(ends.endpoint));
	close(fd);
	close_ends(&ends);
}
END_TEST

START_TEST(the_fault_of_any_lane_is_the_links)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);
	void *side;

	ck_assert_int_eq(
	    memfd_map(ends.broker_fd, RING_SIDE_LENGTH, true, &side), 0);
	((struct ring_head *)((char *)side + RING_SIDE_HEADS))[3].word = 63;
	ck_assert(!take_one(ends.endpoint));
	ck_assert_str_eq(ring_link_fault(ends.endpoint),
	    "the head is in a size class that is not");
	munmap(side, RING_SIDE_LENGTH);
	close(fd);
	close_ends(&ends);
}
END_TEST

static int
try_attach(struct ends *ends, const struct ring_link_identity *identity,
    enum ring_role role, int own_fd, int peer_fd)
{
	const struct bell_fds bells = { -1, -1, -1 };
	struct ring_link *link = NULL;
	int err;

	(void)ends;
	err = ring_link_attach(identity, role, own_fd, peer_fd, &bells, &link);
	if (err != 0)
		ck_assert_ptr_null(link);
	ring_link_detach(link);
	return err;
}

START_TEST(memory_of_another_link_is_refused)
{
	struct ends ends = open_ends();
	struct ring_link_identity other;
	int own = ends.endpoint_fd, peer = ends.broker_read_only;

	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_BRIDGE, own, peer), 0);
	other = cloud;
	other.instance[15] = 1;
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_BRIDGE, own, peer), -EBADMSG);
	other = cloud;
	other.link = 6;
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_BRIDGE, own, peer), -EBADMSG);
	other.link = RING_LINKS;
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_BRIDGE, own, peer), -EBADMSG);
	other = cloud;
	other.name[0] = 'k';
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_BRIDGE, own, peer), -EBADMSG);
	other = cloud;
	other.run_dir[4] = '\0';
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_BRIDGE, own, peer), -EBADMSG);
	other = cloud;
	other.endpoint_role = RING_ROLE_HTTPD;
	ck_assert_int_eq(
	    try_attach(&ends, &other, RING_ROLE_HTTPD, own, peer), -EBADMSG);
	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_HTTPD, own, peer), -EINVAL);
	/* Sides exchanged, or one's own writable side handed back as both. */
	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_BRIDGE, ends.broker_fd, own),
	    -EBADMSG);
	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_BRIDGE, own, own), -EBADMSG);
	close_ends(&ends);
}
END_TEST

START_TEST(forged_memory_is_refused)
{
	struct ends ends = open_ends();
	int fd = memfd_create_sealed("weir-test", RING_SIDE_LENGTH);
	int shrinkable = memfd_create("weir-test", 0);
	int small_fd = memfd_create_sealed("weir-test", 4096);

	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_BROKER, ends.broker_fd, fd),
	    -EBADMSG);
	ck_assert_int_eq(ftruncate(shrinkable, RING_SIDE_LENGTH), 0);
	ck_assert_int_eq(try_attach(&ends, &cloud, RING_ROLE_BROKER,
			     ends.broker_fd, shrinkable),
	    -EBADMSG);
	ck_assert_int_eq(try_attach(&ends, &cloud, RING_ROLE_BROKER,
			     ends.broker_fd, small_fd),
	    -EBADMSG);
	ck_assert_int_eq(
	    try_attach(&ends, &cloud, RING_ROLE_BROKER, ends.broker_fd, -1),
	    -EBADF);
	/* The endpoint's copy of the broker's side cannot be written. */
	ck_assert_int_eq(try_attach(&ends, &cloud, RING_ROLE_BROKER,
			     ends.broker_read_only, ends.endpoint_fd),
	    -EACCES);
	close(fd);
	close(shrinkable);
	close(small_fd);
	close_ends(&ends);
}
END_TEST

START_TEST(a_lane_that_is_not_what_was_said_is_refused)
{
	struct ends ends = open_ends();
	struct ring_lane_geometry other = small;
	int fd = open_lane(&ends);

	ck_assert_int_eq(
	    ring_link_add_producer(ends.broker, &small, fd, NULL), -EEXIST);
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.endpoint, &small, fd, NULL), -EEXIST);
	/* Produced by the broker, so nothing that it consumes. */
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.broker, &small, fd, NULL), -EBADMSG);
	other.lane = 4;
	ck_assert_int_eq(
	    ring_link_add_producer(ends.broker, &other, fd, NULL), -EBADMSG);
	other.lane = RING_LANES;
	ck_assert_int_eq(
	    ring_link_add_producer(ends.broker, &other, fd, NULL), -EINVAL);
	other = small;
	other.lane = 4;
	other.min_shift = RING_MIN_SHIFT_LOW - 1;
	ck_assert_int_eq(
	    ring_link_add_producer(ends.broker, &other, fd, NULL), -EINVAL);
	ck_assert_int_eq(
	    ring_link_create_lane(&cloud, RING_ROLE_BROKER, &other), -EINVAL);
	other.min_shift = RING_MIN_SHIFT_HIGH + 1;
	ck_assert_int_eq(
	    ring_link_add_producer(ends.broker, &other, fd, NULL), -EINVAL);
	other.min_shift = RING_MIN_SHIFT_LOW;
	other.classes = RING_CLASSES + 1;
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.endpoint, &other, fd, NULL), -EINVAL);
	other.classes = 0;
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.endpoint, &other, fd, NULL), -EINVAL);
	other.classes = 1;
	memset(other.name, 'x', sizeof(other.name));
	ck_assert_int_eq(
	    ring_link_add_consumer(ends.endpoint, &other, fd, NULL), -EINVAL);
	close(fd);
	close_ends(&ends);
}
END_TEST

START_TEST(counts_sleeps_bells_and_useless_wakes)
{
	struct ends ends = open_ends();
	struct ring_side_header header;

	ring_link_arm(ends.endpoint);
	ring_link_count_empty_wake(ends.endpoint);
	ring_link_beat(ends.endpoint, 12345);
	ck_assert_int_eq(pread(ends.endpoint_fd, &header, sizeof(header), 0),
	    sizeof(header));
	ck_assert_uint_eq(header.sleeps, 1);
	ck_assert_uint_eq(header.empty_wakes, 1);
	ck_assert_uint_eq(header.heartbeat_ns, 12345);
	ck_assert_uint_eq(header.bells_rung, 1);
	ck_assert_uint_eq(header.arm, 1);
	close_ends(&ends);
}
END_TEST

#define RECORDS 20000

/* Block on the bell.  Returns false when nobody rings: a wake-up was lost. */
static bool
sleep_on(struct ring_link *link)
{
	struct pollfd pollfd = {
		.fd = ring_link_bell_fd(link),
		.events = POLLIN,
	};

	return poll(&pollfd, 1, 5000) == 1;
}

static void *
consume(void *context)
{
	struct ends *ends = context;
	struct ring_link *link = ends->endpoint;
	struct ring_consumer *consumer = ring_link_consumer(link, small.lane);

	for (int taken = 0; taken < RECORDS;) {
		while (taken < RECORDS && take_one(link))
			taken++;
		ring_grant(consumer,
		    RING_POSITION(ring_consumer_cursor(consumer)) + 2000);
		ring_link_wake(link);
		ring_link_arm(link);
		ring_fence();
		if (taken < RECORDS && !ring_consumer_has_record(consumer) &&
		    !sleep_on(link))
			return context;
		ring_link_disarm(link);
		ring_link_drain_bell(link);
	}
	return NULL;
}

/* The eventfd is read here only to sleep again: the broker's loop watches it
 * edge-triggered instead. */
static void
broker_sleep(struct ring_link *link, bool *out_is_lost)
{
	uint64_t count;

	if (!sleep_on(link))
		*out_is_lost = true;
	else if (read(ring_link_bell_fd(link), &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
}

START_TEST(no_wake_up_is_ever_lost)
{
	struct ends ends = open_ends();
	int fd = open_lane(&ends);
	struct ring_producer *producer =
	    ring_link_producer(ends.broker, small.lane);
	bool is_lost = false;
	pthread_t thread;
	void *failed;

	ck_assert_int_eq(pthread_create(&thread, NULL, consume, &ends), 0);
	for (int i = 0; i < RECORDS && !is_lost; i++) {
		while (!ring_producer_has_room(producer, 8) && !is_lost) {
			ring_link_arm(ends.broker);
			ring_fence();
			if (!ring_producer_has_room(producer, 8))
				broker_sleep(ends.broker, &is_lost);
			ring_link_disarm(ends.broker);
		}
		put_one(ends.broker);
		if (i % 7 == 0 && ring_commit(producer, 1))
			ring_link_wake(ends.broker);
	}
	ring_commit(producer, 1);
	ring_link_wake(ends.broker);
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
	ck_assert(!is_lost);
	close(fd);
	close_ends(&ends);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_link");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, a_record_passes_from_side_to_side);
	tcase_add_test(tc, each_side_knows_the_other);
	tcase_add_test(tc, an_attach_rings_whatever_the_arm_says);
	tcase_add_test(tc, a_sleeper_is_rung_once_for_each_sleep);
	tcase_add_test(tc, a_new_life_does_not_reuse_an_arm_value);
	tcase_add_test(tc, arming_commits_and_wakes);
	tcase_add_test(tc, a_restarted_endpoint_gets_what_was_not_released);
	tcase_add_test(tc, the_fault_of_any_lane_is_the_links);
	tcase_add_test(tc, memory_of_another_link_is_refused);
	tcase_add_test(tc, forged_memory_is_refused);
	tcase_add_test(tc, a_lane_that_is_not_what_was_said_is_refused);
	tcase_add_test(tc, counts_sleeps_bells_and_useless_wakes);
	tcase_add_test(tc, no_wake_up_is_ever_lost);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
