/* SPDX-License-Identifier: Apache-2.0 */

/* Links of this process, found through its own /proc entry. */

#include "common/ring/ring_traces.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/ring/ring_link.h"
#include "tests/unit/unit.h"

static char run_dir[RING_RUN_DIR_MAX];
static struct ring_link_identity identity;
static struct ring_link *broker, *endpoint;
static int broker_fd, endpoint_fd;
static struct ring_traces traces;

static void
setup(void)
{
	const struct bell_fds none = { -1, -1, -1 };
	uint64_t nonce;

	/* Other runs of this test on the same host are not looked at. */
	ck_assert_int_eq(getrandom(&nonce, sizeof(nonce), 0), sizeof(nonce));
	snprintf(run_dir, sizeof(run_dir), "/run/weir-traces-%llx",
	    (unsigned long long)nonce);
	identity = (struct ring_link_identity){
		.link = 2,
		.endpoint_role = RING_ROLE_BRIDGE,
		.name = "clo\033d",
	};
	memcpy(identity.instance, &nonce, sizeof(nonce));
	memcpy(identity.run_dir, run_dir, sizeof(run_dir));
	ck_assert_int_eq(
	    ring_link_create(&identity, &broker_fd, &endpoint_fd), 0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BROKER,
			     broker_fd, endpoint_fd, &none, &broker),
	    0);
	ck_assert_int_eq(ring_link_attach(&identity, RING_ROLE_BRIDGE,
			     endpoint_fd, broker_fd, &none, &endpoint),
	    0);
}

static void
teardown(void)
{
	ring_traces_free(&traces);
	ring_link_detach(broker);
	ring_link_detach(endpoint);
	close(broker_fd);
	close(endpoint_fd);
}

static void
note(struct ring_link *link, uint64_t sequence, enum ring_trace_stage stage,
    uint64_t time_ns)
{
	const struct ring_trace_id id = { 0, 1, sequence };

	ring_trace_note(ring_link_trace(link), &id, stage, time_ns);
}

static void
collect(void)
{
	ck_assert_int_eq(ring_traces_collect(&traces, run_dir), 0);
}

START_TEST(notes_of_both_sides_are_put_in_order)
{
	note(endpoint, 5, RING_TRACE_ACKED, 300);
	note(endpoint, 5, RING_TRACE_SENT, 200);
	note(broker, 5, RING_TRACE_ROUTED, 100);
	note(broker, 4, RING_TRACE_ROUTED, 400);
	collect();
	ck_assert_uint_eq(traces.count, 4);
	ck_assert_uint_eq(traces.note[0].event.id.sequence, 4);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_uint_eq(traces.note[i].event.time_ns, 100 * i);
	ck_assert(traces.note[1].by_broker);
	ck_assert(!traces.note[2].by_broker);
	ck_assert_uint_eq(traces.note[2].side_link, 2);
}
END_TEST

START_TEST(sides_say_how_they_sample_and_their_names_are_harmless)
{
	ring_trace_set_every(ring_link_trace(endpoint), 7);
	collect();
	ck_assert_uint_eq(traces.sides, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_str_eq(traces.side[i].name, "clo?d");
		ck_assert_uint_eq(traces.side[i].state.every,
		    traces.side[i].role == RING_ROLE_BROKER ? 0 : 7);
	}
}
END_TEST

START_TEST(each_note_is_collected_once)
{
	note(broker, 1, RING_TRACE_ROUTED, 100);
	collect();
	note(broker, 2, RING_TRACE_ROUTED, 100);
	collect();
	collect();
	ck_assert_uint_eq(traces.count, 2);
	ck_assert_uint_eq(traces.sides, 2);
	ck_assert_uint_eq(traces.lost, 0);
}
END_TEST

START_TEST(what_was_overwritten_before_it_was_collected_is_counted)
{
	note(broker, 1, RING_TRACE_ROUTED, 1);
	collect();
	for (uint64_t i = 0; i < RING_TRACE_ENTRIES + 5; i++)
		note(broker, 2 + i, RING_TRACE_ROUTED, 1);
	collect();
	ck_assert_uint_eq(traces.lost, 5);
	/* The first one was kept by us. */
	ck_assert_uint_eq(traces.count, RING_TRACE_ENTRIES + 1);
}
END_TEST

START_TEST(other_installations_are_left_out)
{
	note(broker, 1, RING_TRACE_ROUTED, 1);
	ck_assert_int_eq(ring_traces_collect(&traces, "/run/other"), 0);
	ck_assert_uint_eq(traces.count, 0);
	ck_assert_uint_eq(traces.sides, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_traces");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, notes_of_both_sides_are_put_in_order);
	tcase_add_test(
	    tc, sides_say_how_they_sample_and_their_names_are_harmless);
	tcase_add_test(tc, each_note_is_collected_once);
	tcase_add_test(
	    tc, what_was_overwritten_before_it_was_collected_is_counted);
	tcase_add_test(tc, other_installations_are_left_out);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
