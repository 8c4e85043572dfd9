/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/dump_diagnosis.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

static struct ring_party consumer, producer;
static struct ring_view view;
static struct ring_dump dump;
static struct dump_diagnosis d;

/* A lane to a bridge where ten records have waited for a minute. */
static void
setup(void)
{
	producer =
	    (struct ring_party){ .role = RING_ROLE_BROKER, .life = RING_ALIVE };
	consumer = (struct ring_party){
		.role = RING_ROLE_BRIDGE, .life = RING_ALIVE, .pid = 4711
	};
	view = (struct ring_view){
		.name = "broker-cloud",
		.from = "broker",
		.to = "cloud",
		.still_ns = 60 * CLOCK_SECOND_NS,
		.producer = &producer,
		.consumer = &consumer,
	};
	dump = (struct ring_dump){ .waiting = 10 };
}

static void
expect(enum diagnosis what, const char *text, const char *hint)
{
	dump_diagnose(&view, &dump, &d);
	ck_assert_str_eq(diagnosis_name(d.what), diagnosis_name(what));
	ck_assert_msg(strstr(d.text, text) != NULL, "%s", d.text);
	ck_assert_msg(strstr(d.hint, hint) != NULL, "%s", d.hint);
}

START_TEST(an_empty_lane_is_well)
{
	dump.waiting = 0;
	expect(DIAGNOSIS_EMPTY, "nothing waits", "");
	consumer.life = RING_DEAD;
	expect(DIAGNOSIS_EMPTY, "nothing waits", "");
}
END_TEST

START_TEST(a_consumer_that_is_not_well_is_named)
{
	consumer.life = RING_DEAD;
	expect(DIAGNOSIS_CONSUMER_DEAD, "cloud (pid 4711), is dead: 10", "");
	consumer.life = RING_STOPPED;
	expect(DIAGNOSIS_CONSUMER_STOPPED, "stopped", "kill -CONT 4711");
	consumer.life = RING_HUNG;
	consumer.beat_age_ns = 7 * CLOCK_SECOND_NS;
	expect(DIAGNOSIS_CONSUMER_HUNG, "for 7 s", "restart");
	consumer.life = RING_ABSENT;
	expect(DIAGNOSIS_CONSUMER_ABSENT, "no process cloud", "start it");
	view.consumer = NULL;
	expect(DIAGNOSIS_CONSUMER_ABSENT, "no process cloud", "start it");
}
END_TEST

START_TEST(what_moves_is_not_blamed)
{
	view.still_ns = CLOCK_SECOND_NS - 1;
	consumer.is_asleep = true;
	expect(DIAGNOSIS_MOVING, "come and go", "");
}
END_TEST

START_TEST(a_sleeper_with_work_has_lost_its_wake_up)
{
	consumer.is_asleep = true;
	expect(DIAGNOSIS_LOST_WAKE, "10 records wait for 60 s", "report");
	consumer.is_asleep = false;
	expect(DIAGNOSIS_BLOCKED, "is awake", "weirctl why");
}
END_TEST

START_TEST(a_sleeper_that_waits_for_somebody_has_not)
{
	consumer.is_asleep = true;
	view.in_flight = 10;
	expect(DIAGNOSIS_NOT_ACKED, "all 10 records are at the remote", "");
	view.in_flight = 9;
	expect(DIAGNOSIS_LOST_WAKE, "", "");
	strcpy(view.held_by, "remote: 9/9 unacknowledged");
	expect(DIAGNOSIS_HELD, "held by remote: 9/9", "");
}
END_TEST

START_TEST(a_producer_without_credit_is_told_from_an_empty_lane)
{
	dump.waiting = 0;
	dump.head = RING_WORD(640, 1);
	view.is_stalled = true;
	view.credit_granted = 640;
	expect(DIAGNOSIS_NO_CREDIT, "up to position 640 and is at 640", "");
}
END_TEST

START_TEST(damage_comes_first)
{
	consumer.life = RING_DEAD;
	dump.fault.text = "a record is of no known type";
	expect(DIAGNOSIS_DAMAGED, "damaged: a record is of", "broker");
	dump.fault.has_place = true;
	dump.fault.position = 128;
	dump.fault.class = 2;
	expect(DIAGNOSIS_DAMAGED, "at position 128 (class 2)", "broker");
}
END_TEST

START_TEST(all_of_it_is_in_the_json_line)
{
	json_t *object, *fault;

	dump.fault.text = "a record is of no known type";
	dump.fault.has_place = true;
	dump.fault.position = 128;
	dump.fault.header.type = 0xab;
	dump.released = 3;
	dump_diagnose(&view, &dump, &d);
	object = dump_diagnosis_to_json(&view, &dump, &d);
	ck_assert_str_eq(
	    json_string_value(json_object_get(object, "diagnosis")), "damaged");
	ck_assert_int_eq(
	    json_integer_value(json_object_get(object, "waiting")), 10);
	ck_assert_int_eq(
	    json_integer_value(json_object_get(object, "released")), 3);
	fault = json_object_get(object, "fault");
	ck_assert_int_eq(
	    json_integer_value(json_object_get(fault, "position")), 128);
	ck_assert_int_eq(
	    strncmp(json_string_value(json_object_get(fault, "header")),
		"00000000ab00", 12),
	    0);
	json_decref(object);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("dump_diagnosis");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, an_empty_lane_is_well);
	tcase_add_test(tc, a_consumer_that_is_not_well_is_named);
	tcase_add_test(tc, what_moves_is_not_blamed);
	tcase_add_test(tc, a_sleeper_with_work_has_lost_its_wake_up);
	tcase_add_test(tc, a_sleeper_that_waits_for_somebody_has_not);
	tcase_add_test(
	    tc, a_producer_without_credit_is_told_from_an_empty_lane);
	tcase_add_test(tc, damage_comes_first);
	tcase_add_test(tc, all_of_it_is_in_the_json_line);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
