/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rings of this process, found through its own /proc entry.  Times are made
 * up: what the rings hold is read at an instant of the test's choice.
 */

#include "common/ring/ring_inspect.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/ring/ring_link.h"
#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000000)
#define T0 (1000 * SECOND)

/* One link with a lane each way; both ends are this process. */
struct link {
	struct ring_link_identity identity;
	int broker_fd, endpoint_fd;
	struct ring_link *broker, *endpoint;
	struct ring_producer *in, *out; /* into the broker, out of it */
	struct ring_consumer *in_consumer, *out_consumer;
};

static char run_dir[64];
static uint8_t instance = 1;
static uint64_t nonce; /* of this run */

static void
add_lane(struct ring_link *from, struct ring_link *to, const char *set,
    struct ring_producer **out_producer, struct ring_consumer **out_consumer)
{
	struct ring_lane_geometry geometry = {
		.lane = 1,
		.min_shift = 12,
		.classes = 3,
	};
	const struct ring_link_identity *identity = ring_link_identity(from);
	enum ring_role role = RING_ROLE_BROKER;
	int fd;

	snprintf(geometry.name, sizeof(geometry.name), "%s", set);
	if (strcmp(set, "") != 0)
		role = (enum ring_role)identity->endpoint_role;
	fd = ring_link_create_lane(identity, role, &geometry);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    ring_link_add_producer(from, &geometry, fd, out_producer), 0);
	ck_assert_int_eq(
	    ring_link_add_consumer(to, &geometry, fd, out_consumer), 0);
	close(fd);
}

static struct link
open_link(uint32_t id, enum ring_role role, const char *name, const char *set)
{
	const struct bell_fds none = { -1, -1, -1 };
	struct link link = { 0 };

	link.identity.instance[0] = instance;
	memcpy(link.identity.instance + 8, &nonce, sizeof(nonce));
	link.identity.link = id;
	link.identity.endpoint_role = role;
	snprintf(link.identity.name, RING_NAME_MAX, "%s", name);
	snprintf(link.identity.run_dir, RING_RUN_DIR_MAX, "%s", run_dir);
	ck_assert_int_eq(ring_link_create(&link.identity, &link.broker_fd,
			     &link.endpoint_fd),
	    0);
	ck_assert_int_eq(
	    ring_link_attach(&link.identity, RING_ROLE_BROKER, link.broker_fd,
		link.endpoint_fd, &none, &link.broker),
	    0);
	ck_assert_int_eq(
	    ring_link_attach(&link.identity, role, link.endpoint_fd,
		link.broker_fd, &none, &link.endpoint),
	    0);
	add_lane(link.broker, link.endpoint, "", &link.out, &link.out_consumer);
	add_lane(link.endpoint, link.broker, set, &link.in, &link.in_consumer);
	ring_grant(link.in_consumer, 1 << 20);
	ring_grant(link.out_consumer, 1 << 20);
	return link;
}

static void
close_link(struct link *link)
{
	ring_link_detach(link->broker);
	ring_link_detach(link->endpoint);
	close(link->broker_fd);
	close(link->endpoint_fd);
}

static void
setup(void)
{
	/*
	 * Other tests of this kind may run beside this one, also in other pid
	 * namespaces: a pid is not enough.
	 */
	ck_assert_int_eq(
	    getrandom(&nonce, sizeof(nonce), 0), (int)sizeof(nonce));
	snprintf(run_dir, sizeof(run_dir), "/run/weir-test-%016llx",
	    (unsigned long long)nonce);
}

static void
put(struct ring_producer *producer, size_t length, uint64_t now_ns)
{
	const struct ring_record record = { .time_ns = now_ns };
	void *payload;

	ck_assert_int_eq(ring_claim(producer, length, &payload), 0);
	memset(payload, 'x', length);
	ring_put(producer, &record);
	ck_assert(ring_commit(producer, now_ns));
}

static void
take(struct ring_consumer *consumer, const struct ring_outcome *outcome,
    uint64_t now_ns)
{
	struct ring_record record;
	const void *payload;

	ck_assert_int_eq(ring_peek(consumer, &record, &payload), 1);
	ck_assert(ring_release(consumer, ring_next(consumer), outcome, now_ns));
}

/*
 * Somebody else who looks at the rings of this host holds ours open for a
 * moment, and what was just closed is still found through him.
 */
static struct ring_views
look(uint64_t now_ns, size_t count)
{
	struct ring_views views;

	for (int tries = 0;; tries++) {
		ck_assert_int_eq(ring_views_take(run_dir, now_ns, &views), 0);
		if (views.count == count || tries == 1000)
			break;
		ring_views_free(&views);
		sched_yield();
	}
	ck_assert_uint_eq(views.count, count);
	return views;
}

/* A copy of the view of that name. */
static struct ring_view
view_of(const char *name, uint64_t now_ns)
{
	struct ring_views views;
	struct ring_view view = { .link = 999 };

	ck_assert_int_eq(ring_views_take(run_dir, now_ns, &views), 0);
	for (size_t i = 0; i < views.count; i++)
		if (strcmp(views.view[i].name, name) == 0)
			view = views.view[i];
	ck_assert_msg(view.link != 999, "no ring %s", name);
	ring_views_free(&views);
	return view;
}

START_TEST(rings_are_found_named_and_sorted)
{
	struct link http = open_link(0, RING_ROLE_HTTPD, "httpd", "cloud");
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "plant");
	struct ring_views views = look(T0, 4);

	ck_assert_str_eq(views.view[0].name, "broker→cloud");
	ck_assert_str_eq(views.view[1].name, "broker→httpd");
	ck_assert_str_eq(views.view[2].name, "cloud→broker/plant");
	ck_assert_str_eq(views.view[3].name, "httpd→broker/cloud");
	ck_assert_str_eq(views.view[3].from, "httpd");
	ck_assert_str_eq(views.view[3].to, "broker");
	ck_assert_str_eq(views.view[3].lane, "cloud");
	ck_assert_str_eq(views.view[3].run_dir, run_dir);
	ck_assert_uint_eq(views.view[3].lane_id, 1);
	ck_assert_uint_eq(views.view[3].capacity, 4096);
	ck_assert_uint_eq(views.view[3].max_capacity, 16384);
	ck_assert_uint_eq(views.view[3].producer_pid, (uint64_t)getpid());
	ck_assert(views.view[3].producer_alive);
	ck_assert(views.view[3].consumer_alive);
	ring_views_free(&views);
	ck_assert_ptr_null(views.view);
	close_link(&http);
	close_link(&cloud);
	views = look(T0, 0);
	ring_views_free(&views);
}
END_TEST

/* What the broker writes about its lane to the bridge. */
static struct ring_lane_producer *
side_of(const struct link *link)
{
	void *side;

	ck_assert_int_eq(
	    memfd_map(link->broker_fd, RING_SIDE_LENGTH, true, &side), 0);
	return (struct ring_lane_producer *)((uint8_t *)side +
	    RING_SIDE_PRODUCERS + RING_PRODUCER_STRIDE);
}

START_TEST(counters_reconcile)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	const struct ring_outcome first = { .delivered = 1 };
	const struct ring_outcome second = { .dropped = 1 };
	const struct ring_outcome third = { .dead = 1 };
	struct ring_view view;

	for (uint64_t i = 1; i <= 5; i++)
		put(cloud.out, 100 * i, T0 + i);
	take(cloud.out_consumer, &first, T0 + 10);
	take(cloud.out_consumer, &second, T0 + 11);
	take(cloud.out_consumer, &third, T0 + 12);
	ring_producer_count_refused(cloud.out);
	ring_producer_count_dropped(cloud.out);
	side_of(&cloud)->grow_failures = 3;
	ring_consumer_set_remote(cloud.out_consumer, 2, 20, true);

	view = view_of("broker→cloud", T0 + 100);
	ck_assert_uint_eq(view.messages_in, 5);
	ck_assert_uint_eq(view.messages_out, 3);
	ck_assert_uint_eq(view.delivered, 1);
	ck_assert_uint_eq(view.dropped, 1);
	ck_assert_uint_eq(view.dead, 1);
	ck_assert_uint_eq(view.bytes_in, 1500);
	ck_assert_uint_eq(view.bytes_out, 600);
	ck_assert_uint_eq(view.used, 512 + 576);
	ck_assert_uint_eq(view.high_water, 192 + 320 + 384 + 512 + 576);
	ck_assert_uint_eq(view.credit_granted, 1 << 20);
	ck_assert_uint_eq(view.credit_used, 192 + 320 + 384 + 512 + 576);
	ck_assert_uint_eq(view.lag_ns, 96);
	ck_assert_uint_eq(view.refused, 1);
	ck_assert_uint_eq(view.offered_dropped, 1);
	ck_assert_uint_eq(view.grow_failures, 3);
	ck_assert_uint_eq(view.in_flight, 2);
	ck_assert_uint_eq(view.window, 20);
	ck_assert(view.remote_up);
	ck_assert_int_eq(view.state, RING_RUNNING);
	ck_assert_str_eq(view.held_by, "");
	close_link(&cloud);
}
END_TEST

START_TEST(the_state_follows_from_progress)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	const struct ring_outcome one = { .delivered = 1 };
	const char *name = "broker→cloud";
	struct ring_view view;

	ck_assert_int_eq(view_of(name, T0).state, RING_IDLE);
	put(cloud.out, 1, T0);
	put(cloud.out, 1, T0);
	view = view_of(name, T0 + SECOND / 2);
	ck_assert_int_eq(view.state, RING_RUNNING);
	ck_assert_uint_eq(view.still_ns, SECOND / 2);
	ck_assert(!view.is_stalled);
	view = view_of(name, T0 + SECOND);
	ck_assert_int_eq(view.state, RING_BLOCKED);
	ck_assert_uint_eq(view.lag_ns, SECOND);
	take(cloud.out_consumer, &one, T0 + SECOND);
	ck_assert_int_eq(view_of(name, T0 + SECOND + 1).state, RING_RUNNING);
	ck_assert_int_eq(view_of(name, T0 + 2 * SECOND).state, RING_BLOCKED);
	take(cloud.out_consumer, &one, T0 + 2 * SECOND);
	ck_assert_int_eq(view_of(name, T0 + 2 * SECOND).state, RING_IDLE);

	ring_producer_stall(cloud.out, T0 + 3 * SECOND);
	view = view_of(name, T0 + 3 * SECOND + 5);
	ck_assert_int_eq(view.state, RING_FLOW);
	ck_assert(view.is_stalled);
	ck_assert_uint_eq(view.still_ns, 5);
	ck_assert_uint_eq(view.stalls, 1);
	ck_assert_uint_eq(view.stalled_ns, 5);
	ck_assert_int_eq(view_of(name, T0 + 4 * SECOND).state, RING_BLOCKED);
	ring_producer_unstall(cloud.out, T0 + 5 * SECOND);
	ck_assert_int_eq(view_of(name, T0 + 5 * SECOND + 1).state, RING_FLOW);
	view = view_of(name, T0 + 6 * SECOND);
	ck_assert_int_eq(view.state, RING_IDLE);
	ck_assert_uint_eq(view.still_ns, 0);
	close_link(&cloud);
}
END_TEST

START_TEST(the_oldest_record_is_found_behind_pads_and_switches)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	const struct ring_outcome one = { .delivered = 1 };
	const char *name = "broker→cloud";
	struct ring_view view;
	unsigned records = 0;

	/* A PAD fills the end of the class; the record lies behind it. */
	for (unsigned i = 0; i < 3; i++)
		put(cloud.out, 1000, T0);
	for (unsigned i = 0; i < 3; i++)
		take(cloud.out_consumer, &one, T0);
	put(cloud.out, 1000, T0 + 5);
	ck_assert_uint_gt(view_of(name, T0 + 9).used, 1088);
	ck_assert_uint_eq(view_of(name, T0 + 9).lag_ns, 4);
	/* The next ones lead into the second class. */
	while (view_of(name, T0 + 9).capacity == 4096) {
		put(cloud.out, 1000, T0 + 7);
		ck_assert_uint_lt(++records, 5);
	}
	for (unsigned i = 0; i < records; i++)
		take(cloud.out_consumer, &one, T0 + 8);
	view = view_of(name, T0 + 9);
	ck_assert_uint_eq(view.messages_in - view.messages_out, 1);
	ck_assert_uint_eq(view.lag_ns, 2);
	close_link(&cloud);
}
END_TEST

START_TEST(neither_a_commit_nor_a_stall_is_progress)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	const char *name = "broker→cloud";

	put(cloud.out, 1, T0);
	put(cloud.out, 1, T0 + SECOND);
	ring_producer_stall(cloud.out, T0 + SECOND);
	ck_assert_uint_eq(view_of(name, T0 + SECOND + 1).still_ns, SECOND + 1);
	ck_assert_int_eq(view_of(name, T0 + SECOND + 1).state, RING_BLOCKED);
	close_link(&cloud);
}
END_TEST

/* Whichever of the two slots counts. */
START_TEST(each_commit_is_counted)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");

	for (unsigned i = 1; i <= 4; i++) {
		put(cloud.out, 1, T0);
		ck_assert_uint_eq(view_of("broker→cloud", T0).messages_in, i);
	}
	close_link(&cloud);
}
END_TEST

START_TEST(a_blocked_lane_says_who_holds_it)
{
	struct link http =
	    open_link(0, RING_ROLE_HTTPD, "httpd", "cloud+plant");
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	struct link plant = open_link(2, RING_ROLE_BRIDGE, "plant", "x");
	struct link pla = open_link(3, RING_ROLE_BRIDGE, "pla", "x");
	const char *name = "httpd→broker/cloud+plant";
	uint64_t later = T0 + 2 * SECOND;

	put(http.in, 1, T0);
	ck_assert_str_eq(view_of(name, later).held_by, "");
	put(pla.out, 900, T0);
	put(pla.out, 900, T0);
	ck_assert_str_eq(view_of(name, later).held_by, "");
	put(cloud.out, 1, T0);
	ck_assert_str_eq(view_of(name, later).held_by, "bridge cloud");
	put(plant.out, 300, T0);
	ck_assert_str_eq(view_of(name, later).held_by, "bridge plant");
	/* Nothing holds a lane that runs. */
	ck_assert_str_eq(view_of(name, T0 + 1).held_by, "");

	ck_assert_str_eq(
	    view_of("broker→plant", later).held_by, "remote not connected");
	ring_consumer_set_remote(plant.out_consumer, 20, 20, true);
	ck_assert_str_eq(view_of("broker→plant", later).held_by,
	    "remote: 20/20 unacknowledged");
	/* Less than the window holds a lane only if nothing moves at all. */
	ring_consumer_set_remote(plant.out_consumer, 19, 20, true);
	ck_assert_str_eq(view_of("broker→plant", later).held_by,
	    "remote: 19/20 unacknowledged");
	ring_producer_stall(plant.out, T0);
	ck_assert_str_eq(view_of("broker→plant", T0 + 1).held_by, "");
	ring_consumer_set_remote(plant.out_consumer, 0, 20, true);
	ck_assert_str_eq(view_of("broker→plant", later).held_by, "");
	close_link(&http);
	close_link(&cloud);
	close_link(&plant);
	close_link(&pla);
}
END_TEST

START_TEST(rings_outlive_their_processes)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	struct ring_view view;
	pid_t child;

	put(cloud.out, 1, T0);
	ring_link_detach(cloud.endpoint);
	/* A bridge that attaches and is killed without a word. */
	child = fork();
	if (child == 0) {
		const struct bell_fds none = { -1, -1, -1 };

		ring_link_attach(&cloud.identity, RING_ROLE_BRIDGE,
		    cloud.endpoint_fd, cloud.broker_fd, &none, &cloud.endpoint);
		raise(SIGKILL);
	}
	while (waitpid(child, NULL, WNOHANG) == 0)
		usleep(100);
	view = view_of("broker→cloud", T0 + 5 * SECOND);
	ck_assert_int_eq(view.state, RING_PEER_DEAD);
	ck_assert_uint_eq(view.consumer_pid, (uint64_t)child);
	ck_assert(!view.consumer_alive);
	ck_assert(view.producer_alive);
	ck_assert_uint_eq(view.messages_in, 1);
	ck_assert_uint_eq(view.lag_ns, 5 * SECOND);

	cloud.endpoint = NULL;
	close_link(&cloud);
}
END_TEST

START_TEST(a_process_waiting_to_be_reaped_is_dead)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	struct ring_side_header *side;
	siginfo_t info;
	void *map;
	pid_t child;

	child = fork();
	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	ck_assert_int_eq(
	    memfd_map(cloud.endpoint_fd, RING_SIDE_LENGTH, true, &map), 0);
	side = map;
	side->pid = (uint64_t)child;
	ck_assert_int_eq(view_of("broker→cloud", T0).state, RING_PEER_DEAD);
	waitpid(child, NULL, 0);
	munmap(map, RING_SIDE_LENGTH);
	close_link(&cloud);
}
END_TEST

START_TEST(without_any_process_rings_are_detached)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	struct ring_view view;

	ring_link_detach(cloud.endpoint);
	ring_link_detach(cloud.broker);
	view = view_of("broker→cloud", T0);
	ck_assert_int_eq(view.state, RING_DETACHED);
	ck_assert_uint_eq(view.producer_pid, 0);
	cloud.endpoint = cloud.broker = NULL;
	close_link(&cloud);
}
END_TEST

START_TEST(the_living_brokers_rings_come_first)
{
	struct link live, dead;
	struct ring_views views;

	/* Left over by a broker that is gone; either may be found first. */
	for (int i = 0; i < 2; i++) {
		instance = i == 0 ? 1 : 3;
		dead = open_link(1, RING_ROLE_BRIDGE, "aaa", "x");
		ring_link_detach(dead.broker);
		dead.broker = NULL;
		instance = 2;
		live = open_link(1, RING_ROLE_BRIDGE, "zzz", "x");
		views = look(T0, 4);
		ck_assert_str_eq(views.view[0].name, "broker→zzz");
		ck_assert_str_eq(views.view[1].name, "zzz→broker/x");
		ck_assert_str_eq(views.view[2].name, "aaa→broker/x");
		ck_assert_str_eq(views.view[3].name, "broker→aaa");
		ck_assert_int_eq(views.view[0].state, RING_IDLE);
		ck_assert_int_eq(views.view[2].state, RING_PEER_DEAD);
		ring_views_free(&views);
		close_link(&live);
		close_link(&dead);
	}
}
END_TEST

/* Everything an endpoint can write is garbage, again and again. */
START_TEST(garbage_is_reported_without_harm)
{
	struct link cloud = open_link(1, RING_ROLE_BRIDGE, "cloud", "x");
	uint32_t dice = (uint32_t)_i + 1;
	struct ring_views views;
	uint8_t *side;
	void *map;

	put(cloud.out, 1, T0);
	ck_assert_int_eq(
	    memfd_map(cloud.endpoint_fd, RING_SIDE_LENGTH, true, &map), 0);
	side = map;
	for (int round = 0; round < 4; round++) {
		/* The immutable part stays: without it nothing is found. */
		for (size_t i = 256; i < RING_SIDE_FORWARDED; i++) {
			dice = dice * 1664525 + 1013904223;
			side[i] = round == 0 ? 0xff : (uint8_t)(dice >> 24);
		}
		for (uint32_t lane = 0; lane < RING_LANES; lane++) {
			struct ring_lane_producer *p =
			    (struct ring_lane_producer *)(side +
				RING_SIDE_PRODUCERS +
				lane * RING_PRODUCER_STRIDE);

			/* Some look open. */
			if (lane % 2 == 0) {
				p->open = 1;
				p->min_shift = 12;
				p->classes = 16;
				p->class = 3;
			}
		}
		ck_assert_int_eq(ring_views_take(run_dir, T0, &views), 0);
		ck_assert_uint_eq(views.count, 17);
		for (size_t i = 0; i < views.count; i++) {
			const struct ring_view *view = &views.view[i];

			for (const char *c = view->name; *c != '\0'; c++)
				ck_assert(
				    (unsigned char)*c >= 0x20 && *c != 0x7f);
			ck_assert_uint_le(view->used, UINT64_C(2) << (12 + 15));
		}
		ring_views_free(&views);
	}
	munmap(map, RING_SIDE_LENGTH);
	close_link(&cloud);
}
END_TEST

START_TEST(a_state_has_its_name)
{
	ck_assert_str_eq(ring_state_name(RING_IDLE), "idle");
	ck_assert_str_eq(ring_state_name(RING_RUNNING), "running");
	ck_assert_str_eq(ring_state_name(RING_FLOW), "flow");
	ck_assert_str_eq(ring_state_name(RING_BLOCKED), "blocked");
	ck_assert_str_eq(ring_state_name(RING_PEER_DEAD), "peer_dead");
	ck_assert_str_eq(ring_state_name(RING_DETACHED), "detached");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_inspect");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, rings_are_found_named_and_sorted);
	tcase_add_test(tc, counters_reconcile);
	tcase_add_test(tc, the_state_follows_from_progress);
	tcase_add_test(tc, the_oldest_record_is_found_behind_pads_and_switches);
	tcase_add_test(tc, neither_a_commit_nor_a_stall_is_progress);
	tcase_add_test(tc, each_commit_is_counted);
	tcase_add_test(tc, a_blocked_lane_says_who_holds_it);
	tcase_add_test(tc, rings_outlive_their_processes);
	tcase_add_test(tc, a_process_waiting_to_be_reaped_is_dead);
	tcase_add_test(tc, without_any_process_rings_are_detached);
	tcase_add_test(tc, the_living_brokers_rings_come_first);
	tcase_add_loop_test(tc, garbage_is_reported_without_harm, 0, 4);
	tcase_add_test(tc, a_state_has_its_name);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
