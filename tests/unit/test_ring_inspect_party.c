/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is seen of the two processes of a link.  The broker is this process;
 * a bridge is a child that attached, or only a number in the memory.
 */

#include "common/ring/ring_inspect.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ring/ring_link.h"
#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS

static struct ring_link_identity identity;
static struct ring_link *broker, *bridge;
static struct ring_producer *producer;
static struct ring_side_header *bridge_side;
static int broker_fd, bridge_fd;
static pid_t child;

static void
setup(void)
{
	const struct bell_fds none = { -1, -1, -1 };
	struct ring_lane_geometry geometry = { .min_shift = 12, .classes = 3 };
	void *map;
	int fd;

	identity = (struct ring_link_identity){
		.link = 1,
		.endpoint_role = RING_ROLE_BRIDGE,
		.name = "cloud",
	};
	/* Also other tests run on this host. */
	ck_assert_int_eq(getrandom(identity.instance, 16, 0), 16);
	for (unsigned i = 0; i < 16; i++)
		snprintf(identity.run_dir + (size_t)2 * i, 3, "%02x",
		    identity.instance[i]);
	ck_assert_int_eq(
	    ring_link_create(&identity, &broker_fd, &bridge_fd), 0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BROKER,
			     broker_fd, bridge_fd, &none, &broker),
	    0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BRIDGE,
			     bridge_fd, broker_fd, &none, &bridge),
	    0);
	fd = ring_link_create_lane(&identity, RING_ROLE_BROKER, &geometry);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    ring_link_add_producer(broker, &geometry, fd, &producer), 0);
	ck_assert_int_eq(
	    ring_link_add_consumer(bridge, &geometry, fd, NULL), 0);
	close(fd);
	ck_assert_int_eq(memfd_map(bridge_fd, RING_SIDE_LENGTH, true, &map), 0);
	bridge_side = map;
	child = 0;
}

static void
teardown(void)
{
	munmap(bridge_side, RING_SIDE_LENGTH);
	ring_link_detach(broker);
	ring_link_detach(bridge);
	close(broker_fd);
	close(bridge_fd);
	if (child == 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The one lane; its parties are copied out. */
static struct ring_view
look(uint64_t now_ns, struct ring_party *out_broker,
    struct ring_party *out_bridge)
{
	struct ring_views views;
	struct ring_view view;

	ck_assert_int_eq(ring_views_take(identity.run_dir, now_ns, &views), 0);
	ck_assert_uint_eq(views.count, 1);
	view = views.view[0];
	ck_assert_ptr_nonnull(view.consumer);
	*out_broker = *view.producer;
	*out_bridge = *view.consumer;
	ring_views_free(&views);
	return view;
}

static struct ring_party
bridge_at(uint64_t now_ns)
{
	struct ring_party it, other;

	look(now_ns, &other, &it);
	return it;
}

/* Its number stands in for the bridge's. */
static void
start_child(void)
{
	child = fork();
	if (child == 0) {
		for (;;)
			pause();
	}
	ck_assert_int_gt(child, 0);
	bridge_side->pid = (uint64_t)child;
	bridge_side->heartbeat_ns = clock_now_ns();
}

START_TEST(both_sides_are_named_and_alive)
{
	struct ring_party the_broker, the_bridge;

	look(clock_now_ns(), &the_broker, &the_bridge);
	ck_assert_str_eq(the_broker.name, "broker");
	ck_assert_str_eq(the_bridge.name, "cloud");
	ck_assert_mem_eq(the_broker.instance, identity.instance, 16);
	ck_assert_str_eq(the_bridge.run_dir, identity.run_dir);
	ck_assert_int_eq(the_broker.role, RING_ROLE_BROKER);
	ck_assert_int_eq(the_bridge.role, RING_ROLE_BRIDGE);
	ck_assert_int_eq(the_broker.life, RING_ALIVE);
	ck_assert_int_eq(the_bridge.life, RING_ALIVE);
	ck_assert_uint_eq(the_bridge.pid, (uint64_t)getpid());
}
END_TEST

START_TEST(who_does_not_beat_hangs)
{
	uint64_t now_ns = clock_now_ns();

	ring_link_beat(bridge, now_ns);
	ck_assert_int_eq(bridge_at(now_ns + 5 * SECOND).life, RING_ALIVE);
	ck_assert_int_eq(bridge_at(now_ns + 5 * SECOND + 1).life, RING_HUNG);
	ck_assert_uint_eq(
	    bridge_at(now_ns + 9 * SECOND).beat_age_ns, 9 * SECOND);
}
END_TEST

START_TEST(a_stopped_process_is_told_from_a_hung_one)
{
	struct ring_party it, other;
	struct ring_view view;
	siginfo_t info;

	start_child();
	ck_assert_int_eq(bridge_at(clock_now_ns()).life, RING_ALIVE);
	kill(child, SIGSTOP);
	waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT);
	ck_assert_int_eq(bridge_at(clock_now_ns()).life, RING_STOPPED);
	ck_assert_int_eq(
	    bridge_at(clock_now_ns() + 60 * SECOND).life, RING_STOPPED);

	ring_producer_stall(producer, clock_now_ns());
	view = look(clock_now_ns() + 2 * SECOND, &other, &it);
	ck_assert_int_eq(view.state, RING_BLOCKED);
	ck_assert_str_eq(view.held_by, "bridge cloud is stopped");
}
END_TEST

START_TEST(a_killed_process_is_dead)
{
	start_child();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(bridge_at(clock_now_ns()).life, RING_DEAD);
	ck_assert_uint_eq(bridge_at(clock_now_ns()).pid, (uint64_t)child);
	child = 0;
}
END_TEST

/* Its number was given to another process after it had beaten last. */
START_TEST(a_process_younger_than_the_heartbeat_is_another)
{
	struct ring_party it, other;

	start_child();
	bridge_side->heartbeat_ns = clock_now_ns() - 30 * SECOND;
	ck_assert_int_eq(bridge_at(clock_now_ns()).life, RING_DEAD);
	ck_assert_int_eq(
	    look(clock_now_ns(), &other, &it).state, RING_PEER_DEAD);
}
END_TEST

START_TEST(who_detached_is_absent)
{
	struct ring_party it, other;

	ring_link_detach(bridge);
	bridge = NULL;
	ck_assert_str_eq(look(clock_now_ns(), &other, &it).held_by, "");
	ring_producer_stall(producer, clock_now_ns());
	ck_assert_str_eq(look(clock_now_ns(), &other, &it).held_by,
	    "bridge cloud is not attached");
	ck_assert_int_eq(bridge_at(clock_now_ns()).life, RING_ABSENT);
	ck_assert_uint_eq(bridge_at(clock_now_ns()).pid, 0);
}
END_TEST

START_TEST(an_armed_side_sleeps)
{
	ck_assert(!bridge_at(clock_now_ns()).is_asleep);
	ring_link_arm(bridge);
	ck_assert(bridge_at(clock_now_ns()).is_asleep);
	ring_link_disarm(bridge);
	ck_assert(!bridge_at(clock_now_ns()).is_asleep);
}
END_TEST

START_TEST(boards_are_read_from_both_sides)
{
	struct ring_party the_broker, the_bridge;

	board_write(ring_link_board(broker), "publishers 1 plc7\n", 18);
	board_write(ring_link_board(bridge), "remote a\x1b[2Jb\n", 14);
	look(clock_now_ns(), &the_broker, &the_bridge);
	ck_assert_str_eq(the_broker.board, "publishers 1 plc7\n");
	ck_assert_str_eq(the_bridge.board, "remote a?[2Jb\n");
}
END_TEST

START_TEST(a_board_of_a_dead_process_stays)
{
	struct ring_party it;

	board_write(ring_link_board(bridge), "state up\n", 9);
	start_child();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
	it = bridge_at(clock_now_ns());
	ck_assert_int_eq(it.life, RING_DEAD);
	ck_assert_str_eq(it.board, "state up\n");
}
END_TEST

START_TEST(the_capacity_is_that_of_the_heads_class)
{
	struct ring_party it, other;
	_Atomic uint64_t *head;
	void *map;

	ck_assert_uint_eq(look(clock_now_ns(), &other, &it).capacity, 4096);
	ck_assert_int_eq(memfd_map(broker_fd, RING_SIDE_LENGTH, true, &map), 0);
	head = (_Atomic uint64_t *)(void *)((uint8_t *)map + RING_SIDE_HEADS);
	*head = RING_WORD(UINT64_C(128), 1);
	ck_assert_uint_eq(look(clock_now_ns(), &other, &it).capacity, 8192);
	/* A class that there is not: damage is shown, and not followed. */
	*head = RING_WORD(UINT64_C(128), 63);
	ck_assert_uint_eq(look(clock_now_ns(), &other, &it).capacity, 16384);
	munmap(map, RING_SIDE_LENGTH);
}
END_TEST

START_TEST(a_life_has_its_name)
{
	ck_assert_str_eq(ring_life_name(RING_ABSENT), "absent");
	ck_assert_str_eq(ring_life_name(RING_ALIVE), "alive");
	ck_assert_str_eq(ring_life_name(RING_STOPPED), "stopped");
	ck_assert_str_eq(ring_life_name(RING_HUNG), "hung");
	ck_assert_str_eq(ring_life_name(RING_DEAD), "dead");
}
END_TEST

START_TEST(a_set_has_its_bridges)
{
	ck_assert(ring_set_has("cloud", "cloud"));
	ck_assert(ring_set_has("cloud+plant", "plant"));
	ck_assert(ring_set_has("*", "plant"));
	ck_assert(!ring_set_has("cloud+plant", "plan"));
	ck_assert(!ring_set_has("cloud+plant", "clouds"));
	ck_assert(!ring_set_has("", "cloud"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_inspect_party");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, both_sides_are_named_and_alive);
	tcase_add_test(tc, who_does_not_beat_hangs);
	tcase_add_test(tc, a_stopped_process_is_told_from_a_hung_one);
	tcase_add_test(tc, a_killed_process_is_dead);
	tcase_add_test(tc, a_process_younger_than_the_heartbeat_is_another);
	tcase_add_test(tc, who_detached_is_absent);
	tcase_add_test(tc, an_armed_side_sleeps);
	tcase_add_test(tc, boards_are_read_from_both_sides);
	tcase_add_test(tc, a_board_of_a_dead_process_stays);
	tcase_add_test(tc, the_capacity_is_that_of_the_heads_class);
	tcase_add_test(tc, a_life_has_its_name);
	tcase_add_test(tc, a_set_has_its_bridges);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
