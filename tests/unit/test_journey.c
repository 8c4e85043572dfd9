/* SPDX-License-Identifier: Apache-2.0 */

/* Ids, and what the notes of a message are taken to mean. */

#include "ctl/journey.h"

#include <errno.h>
#include <string.h>

#include "ctl/record_id.h"
#include "tests/unit/unit.h"

#define HTTPD 0u
#define CLOUD 1u
#define PLANT 2u

static struct ring_traces_note notes[64];
static struct ring_traces traces = { .note = notes };
static struct journey_times times;

static void
setup(void)
{
	memset(notes, 0, sizeof(notes));
	memset(&times, 0, sizeof(times));
	traces.count = 0;
}

static void
note(uint32_t link, uint64_t sequence, enum ring_trace_stage stage,
    uint64_t time_ns, uint32_t side_link)
{
	notes[traces.count++] = (struct ring_traces_note){
		.event.id = { link, 0, sequence },
		.event.stage = stage,
		.event.time_ns = time_ns,
		.side_link = side_link,
	};
}

static void
expect_leg(enum journey_leg leg, uint64_t count, uint64_t max_ns)
{
	ck_assert_uint_eq(times.leg[leg].count, count);
	if (count != 0)
		ck_assert_uint_eq(times.leg[leg].max, max_ns);
}

START_TEST(a_message_by_http_is_measured_leg_by_leg)
{
	note(HTTPD, 9, RING_TRACE_READ, 1000, HTTPD);
	note(HTTPD, 9, RING_TRACE_PUT, 1010, HTTPD);
	note(HTTPD, 9, RING_TRACE_TAKEN, 1030, HTTPD);
	note(HTTPD, 9, RING_TRACE_ROUTED, 1034, CLOUD);
	note(HTTPD, 9, RING_TRACE_ANSWERED, 1060, HTTPD);
	note(HTTPD, 9, RING_TRACE_SENT, 1084, CLOUD);
	note(HTTPD, 9, RING_TRACE_ACKED, 1184, CLOUD);
	journey_measure(&traces, 0, &times);
	ck_assert_uint_eq(times.journeys, 1);
	expect_leg(JOURNEY_TO_RING, 1, 10);
	expect_leg(JOURNEY_IN_RING, 1, 20);
	expect_leg(JOURNEY_TO_BRIDGE_RING, 0, 0);
	expect_leg(JOURNEY_ROUTING, 1, 4);
	expect_leg(JOURNEY_IN_BRIDGE_RING, 1, 50);
	expect_leg(JOURNEY_REMOTE, 1, 100);
	expect_leg(JOURNEY_RECEIPT, 1, 30);
	expect_leg(JOURNEY_TO_ANSWER, 1, 60);
	expect_leg(JOURNEY_TO_REMOTE, 1, 184);
}
END_TEST

START_TEST(each_bridge_is_measured_for_itself)
{
	note(HTTPD, 9, RING_TRACE_TAKEN, 1000, HTTPD);
	note(HTTPD, 9, RING_TRACE_ROUTED, 1001, CLOUD);
	note(HTTPD, 9, RING_TRACE_ROUTED, 1002, PLANT);
	note(HTTPD, 9, RING_TRACE_SENT, 1010, PLANT);
	note(HTTPD, 9, RING_TRACE_SENT, 1100, CLOUD);
	journey_measure(&traces, 0, &times);
	ck_assert_uint_eq(times.journeys, 1);
	expect_leg(JOURNEY_ROUTING, 2, 2);
	expect_leg(JOURNEY_IN_BRIDGE_RING, 2, 99);
	ck_assert_uint_eq(times.leg[JOURNEY_IN_BRIDGE_RING].min, 8);
	expect_leg(JOURNEY_REMOTE, 0, 0);
}
END_TEST

START_TEST(an_mqtt_clients_message_has_no_first_ring)
{
	const uint32_t mqtt = RING_TRACE_NO_LINK;

	/* To two bridges: noted as read for both. */
	note(mqtt, 9, RING_TRACE_READ, 1000, CLOUD);
	note(mqtt, 9, RING_TRACE_READ, 1000, PLANT);
	note(mqtt, 9, RING_TRACE_ROUTED, 1005, CLOUD);
	note(mqtt, 9, RING_TRACE_ROUTED, 1007, PLANT);
	journey_measure(&traces, 0, &times);
	ck_assert_uint_eq(times.journeys, 1);
	expect_leg(JOURNEY_TO_BRIDGE_RING, 2, 7);
	expect_leg(JOURNEY_ROUTING, 0, 0);
}
END_TEST

START_TEST(what_was_sent_again_is_measured_from_the_last_time)
{
	note(HTTPD, 9, RING_TRACE_ROUTED, 1000, CLOUD);
	note(HTTPD, 9, RING_TRACE_SENT, 1010, CLOUD);
	note(HTTPD, 9, RING_TRACE_SENT, 5000, CLOUD);
	note(HTTPD, 9, RING_TRACE_ACKED, 5007, CLOUD);
	journey_measure(&traces, 0, &times);
	expect_leg(JOURNEY_IN_BRIDGE_RING, 1, 10);
	expect_leg(JOURNEY_REMOTE, 1, 7);
}
END_TEST

START_TEST(an_id_that_is_used_again_is_another_journey)
{
	const uint32_t mqtt = RING_TRACE_NO_LINK;

	note(mqtt, 9, RING_TRACE_READ, 1000, CLOUD);
	note(mqtt, 9, RING_TRACE_ROUTED, 1005, CLOUD);
	note(mqtt, 9, RING_TRACE_READ, 7000, CLOUD);
	note(mqtt, 9, RING_TRACE_ROUTED, 7001, CLOUD);
	journey_measure(&traces, 0, &times);
	ck_assert_uint_eq(times.journeys, 2);
	expect_leg(JOURNEY_TO_BRIDGE_RING, 2, 5);
	ck_assert_uint_eq(journey_at(&traces, 0).count, 2);
}
END_TEST

START_TEST(instances_are_told_apart)
{
	note(HTTPD, 9, RING_TRACE_READ, 1000, HTTPD);
	note(HTTPD, 9, RING_TRACE_PUT, 1001, HTTPD);
	notes[1].instance[15] = 1;
	journey_measure(&traces, 0, &times);
	ck_assert_uint_eq(times.journeys, 2);
	expect_leg(JOURNEY_TO_RING, 0, 0);
}
END_TEST

START_TEST(only_what_came_since_is_measured)
{
	note(HTTPD, 8, RING_TRACE_READ, 1000, HTTPD);
	note(HTTPD, 8, RING_TRACE_PUT, 1500, HTTPD);
	note(HTTPD, 9, RING_TRACE_READ, 1200, HTTPD);
	note(HTTPD, 9, RING_TRACE_PUT, 1207, HTTPD);
	journey_measure(&traces, 1200, &times);
	ck_assert_uint_eq(times.journeys, 1);
	expect_leg(JOURNEY_TO_RING, 1, 7);
}
END_TEST

START_TEST(times_that_run_backwards_are_left_out)
{
	note(HTTPD, 9, RING_TRACE_TAKEN, 1000, HTTPD);
	note(HTTPD, 9, RING_TRACE_PUT, 1001, HTTPD);
	journey_measure(&traces, 0, &times);
	expect_leg(JOURNEY_IN_RING, 0, 0);
}
END_TEST

START_TEST(every_stage_and_leg_has_a_name)
{
	for (unsigned i = RING_TRACE_READ; i < RING_TRACE_STAGES; i++)
		ck_assert_ptr_nonnull(
		    journey_stage_name((enum ring_trace_stage)i));
	for (unsigned i = 0; i < JOURNEY_LEGS; i++) {
		ck_assert_ptr_nonnull(journey_leg_words[i].name);
		ck_assert_ptr_nonnull(journey_leg_words[i].text);
	}
}
END_TEST

START_TEST(an_id_is_read_as_it_is_written)
{
	static const struct ring_trace_id ids[] = {
		{ 0, 0, 1 },
		{ RING_LINKS - 1, 31, UINT64_MAX },
		{ RING_TRACE_NO_LINK, UINT16_MAX, 99 },
	};
	struct ring_trace_id back;
	char text[RECORD_ID_SIZE];

	for (size_t i = 0; i < 3; i++) {
		record_id_write(&ids[i], text);
		ck_assert_int_eq(record_id_parse(text, &back), 0);
		ck_assert_uint_eq(back.link, ids[i].link);
		ck_assert_uint_eq(back.lane, ids[i].lane);
		ck_assert_uint_eq(back.sequence, ids[i].sequence);
	}
	ck_assert_str_eq(text, "mqtt.65535.99");
	ck_assert_str_eq(record_id_write(&ids[0], text), "0.0.1");
}
END_TEST

START_TEST(what_is_no_id_is_refused)
{
	static const char *const bad[] = { "", "1", "1.2", "1.2.", ".1.2",
		"1..2", "1.2.3.4", "64.0.1", "0.65536.1", "a.0.1", "0.0.-1",
		"mqtt.0", "mqtt..1", "mqttx.0.1", "0.0.18446744073709551616",
		" 0.0.1", "0.0.1 ", "mqtt.1.2.3",
		"000000000000000000000000.0.1" };
	struct ring_trace_id id;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(
		    record_id_parse(bad[i], &id) == -EINVAL, "%s", bad[i]);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journey");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_message_by_http_is_measured_leg_by_leg);
	tcase_add_test(tc, each_bridge_is_measured_for_itself);
	tcase_add_test(tc, an_mqtt_clients_message_has_no_first_ring);
	tcase_add_test(tc, what_was_sent_again_is_measured_from_the_last_time);
	tcase_add_test(tc, an_id_that_is_used_again_is_another_journey);
	tcase_add_test(tc, instances_are_told_apart);
	tcase_add_test(tc, only_what_came_since_is_measured);
	tcase_add_test(tc, times_that_run_backwards_are_left_out);
	tcase_add_test(tc, every_stage_and_leg_has_a_name);
	tcase_add_test(tc, an_id_is_read_as_it_is_written);
	tcase_add_test(tc, what_is_no_id_is_refused);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
