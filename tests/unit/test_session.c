/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/counters.h"
#include "broker/will.h"
#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS

static struct sessions sessions;
static struct alarms alarms;
static struct message_pools *pools;
static struct stats *stats;
static uint64_t now_ns;
static unsigned wills;
static atomic_uint kept_count;
static _Atomic uint64_t next_cursor = 1;
static char someone; /* stands for a client, is not looked at */

static uint64_t
tell_time(void *context)
{
	(void)context;
	return now_ns;
}

static void
take_will(void *context, struct will *will)
{
	(void)context;
	will_free(will);
	wills++;
}

static void
set_up(void)
{
	rcu_thread_start();
	now_ns = 1000 * SECOND;
	wills = 0;
	memset(&alarms, 0, sizeof(alarms));
	memset(&sessions, 0, sizeof(sessions));
	pools = message_pools_new();
	ck_assert_int_eq(
	    stats_create("test", counter_rows, COUNT_ROWS, 1, &stats), 0);
	sessions.limits = (struct outbox_limits){ 3, 100000 };
	sessions.kept = &kept_count;
	sessions.max_kept = 1000;
	atomic_store(&kept_count, 0);
	sessions.next_cursor = &next_cursor;
	sessions.alarms = &alarms;
	sessions.mailbox = mailbox_new(NULL);
	sessions.tree = subscription_tree_new();
	sessions.counters = stats_block(stats, 0);
	sessions.now_ns = tell_time;
	sessions.publish_will = take_will;
	ck_assert_int_eq(sessions_init(&sessions), 0);
}

static void
tear_down(void)
{
	sessions_end_all(&sessions);
	urcu_memb_barrier();
	mailbox_open(sessions.mailbox, 0);
	sessions_fini(&sessions);
	subscription_tree_free(sessions.tree);
	mailbox_free(sessions.mailbox);
	alarms_fini(&alarms);
	message_pools_free(pools);
	stats_free(stats);
	rcu_thread_end();
}

static struct session *
online(const char *id, uint64_t expiry_ns)
{
	struct session *session;

	session = session_new(&sessions, slice_of_string(id), expiry_ns != 0);
	session_keep(session, expiry_ns);
	session_attach(session, (struct client *)&someone);
	return session;
}

static struct session *
find(const char *id)
{
	return session_find(&sessions, slice_of_string(id));
}

static struct will *
will(uint32_t delay_s)
{
	struct mqtt_connect connect = {
		.version = MQTT_5,
		.has_will = true,
		.will_topic = slice_of_string("w"),
		.will_properties.will_delay_interval_s = delay_s,
	};

	mqtt_properties_set(&connect.will_properties, MQTT_WILL_DELAY_INTERVAL);
	return will_new(&connect, 1);
}

static void
wait_until(uint64_t when_ns)
{
	now_ns = when_ns;
	alarms_fire(&alarms, now_ns);
}

START_TEST(is_found_by_its_identifier)
{
	struct session *session = online("a", SECOND);

	ck_assert_ptr_eq(find("a"), session);
	ck_assert_ptr_null(find("b"));
	for (char c[3] = "b"; c[0] < 'z'; c[0]++)
		for (c[1] = 'a'; c[1] < 'z'; c[1]++)
			session_leave(online(c, SECOND), false);
	ck_assert_ptr_eq(find("a"), session);
	session_leave(session, false);
}
END_TEST

START_TEST(is_found_by_its_number_until_it_ends)
{
	struct session *session, *restored;
	uint64_t cursor;

	restored = session_restore(&sessions, slice_of_string("old"), 7000);
	ck_assert(restored->is_durable);
	for (int i = 0; i < 300; i++) {
		char id[12];

		snprintf(id, sizeof(id), "%d", i);
		session = online(id, SECOND);
		cursor = session->cursor;
		ck_assert_uint_ne(cursor, 0);
		/* There is no journal to keep it. */
		ck_assert(!session->is_durable);
		ck_assert_ptr_eq(
		    session_find_cursor(&sessions, cursor), session);
		session_leave(session, false);
		if (i % 3 == 0) {
			session_end(session);
			ck_assert_ptr_null(
			    session_find_cursor(&sessions, cursor));
		}
	}
	ck_assert_ptr_eq(session_find_cursor(&sessions, 7000), restored);
}
END_TEST

START_TEST(ends_with_its_connection_without_an_expiry)
{
	session_leave(online("a", 0), false);
	ck_assert_ptr_null(find("a"));
}
END_TEST

/* To the millisecond, not to a second. */
START_TEST(ends_at_its_expiry_and_not_before)
{
	const uint64_t left_ns = now_ns;

	session_leave(online("a", 2 * SECOND), false);
	wait_until(left_ns + 2 * SECOND - 1);
	ck_assert_ptr_nonnull(find("a"));
	wait_until(left_ns + 2 * SECOND);
	ck_assert_ptr_null(find("a"));
	ck_assert_uint_eq(stats_read(stats, COUNT_sessions_expired), 1);
}
END_TEST

START_TEST(does_not_end_when_its_client_came_back)
{
	struct session *session = online("a", SECOND);
	const uint64_t left_ns = now_ns;

	session_leave(session, false);
	session_attach(session, (struct client *)&someone);
	wait_until(left_ns + 5 * SECOND);
	ck_assert_ptr_eq(find("a"), session);
	session_leave(session, false);
	ck_assert(alarm_is_set(&session->alarm));
}
END_TEST

START_TEST(lives_for_ever_if_it_may)
{
	session_leave(online("a", SESSION_NEVER), false);
	wait_until(UINT64_MAX - 1);
	ck_assert_ptr_nonnull(find("a"));
}
END_TEST

START_TEST(publishes_its_will_when_the_connection_breaks)
{
	struct session *session = online("a", SECOND);

	session->will = will(0);
	session_leave(session, true);
	ck_assert_uint_eq(wills, 1);
	ck_assert_ptr_null(session->will);
}
END_TEST

/* [MQTT-3.14.4-3] */
START_TEST(forgets_its_will_after_a_normal_disconnect)
{
	struct session *session = online("a", SECOND);

	session->will = will(0);
	session_leave(session, false);
	wait_until(now_ns + 2 * SECOND);
	ck_assert_uint_eq(wills, 0);
}
END_TEST

/* [MQTT-3.1.3-9] */
START_TEST(waits_for_the_will_delay_or_the_end)
{
	struct session *session = online("a", 100 * SECOND);
	struct session *other = online("b", 2 * SECOND);
	const uint64_t left_ns = now_ns;

	session->will = will(3);
	session_leave(session, true);
	wait_until(left_ns + 3 * SECOND - 1);
	ck_assert_uint_eq(wills, 0);
	wait_until(left_ns + 3 * SECOND);
	ck_assert_uint_eq(wills, 1);
	ck_assert_ptr_eq(find("a"), session);

	/* An expiry before the delay: at the session's end. */
	other->will = will(50);
	session_leave(other, true);
	wait_until(now_ns + 2 * SECOND);
	ck_assert_uint_eq(wills, 2);
	ck_assert_ptr_null(find("b"));
}
END_TEST

/* [MQTT-3.1.3-9] */
START_TEST(forgets_a_delayed_will_when_the_client_comes_back)
{
	struct session *session = online("a", 100 * SECOND);

	session->will = will(3);
	session_leave(session, true);
	session_attach(session, (struct client *)&someone);
	wait_until(now_ns + 10 * SECOND);
	ck_assert_uint_eq(wills, 0);
	session_leave(session, false);
}
END_TEST

START_TEST(is_freed_only_after_mail_that_was_under_way)
{
	struct session *session = online("a", 0);

	session_leave(session, false);
	ck_assert_uint_eq(sessions.count, 1);
	urcu_memb_barrier();
	ck_assert_uint_eq(sessions.count, 1);
	mailbox_open(sessions.mailbox, 0);
	ck_assert_uint_eq(sessions.count, 0);
}
END_TEST

START_TEST(is_not_kept_beyond_the_limit)
{
	struct session *one, *other;

	sessions.max_kept = 1;
	one = online("one", 0);
	other = online("other", 0);
	ck_assert(session_keep(one, SECOND));
	ck_assert(session_keep(one, 2 * SECOND));
	ck_assert(!session_keep(other, SECOND));
	ck_assert_uint_eq(other->expiry_ns, 0);
	ck_assert(session_keep(other, 0));
	ck_assert(session_keep(one, 0));
	ck_assert(session_keep(other, SECOND));
	ck_assert_uint_eq(atomic_load(&kept_count), 1);
	session_leave(one, false);
	session_leave(other, false);
	ck_assert_uint_eq(atomic_load(&kept_count), 1);
	wait_until(now_ns + SECOND);
	ck_assert_uint_eq(atomic_load(&kept_count), 0);
}
END_TEST

START_TEST(publishes_wills_that_wait_when_it_is_told_to)
{
	struct session *offline = online("offline", 100 * SECOND);
	struct session *here = online("here", 100 * SECOND);

	offline->will = will(60);
	here->will = will(60);
	session_leave(offline, true);
	ck_assert_uint_eq(wills, 0);
	sessions_publish_wills(&sessions);
	ck_assert_uint_eq(wills, 1);
	sessions_publish_wills(&sessions);
	ck_assert_uint_eq(wills, 1);
	session_leave(here, false);
}
END_TEST

START_TEST(takes_its_subscriptions_with_it)
{
	struct session *session = online("a", 0);
	struct subscription_options options = { .qos = 1 };
	bool existed;

	subscription_tree_add(sessions.tree, slice_of_string("x"),
	    &session->subscriber, &options, &existed);
	session_leave(session, false);
	ck_assert_uint_eq(subscription_tree_count(sessions.tree), 0);
}
END_TEST

/* ---- acknowledgements that wait ---- */

START_TEST(keeps_the_order_of_acknowledgements)
{
	struct ack_queue queue = { 0 };

	for (uint16_t i = 1; i <= 100; i++) {
		ck_assert_int_eq(
		    ack_queue_put(&queue,
			&(struct pending_ack){ .packet_id = i,
			    .type = i % 3 == 0 ? MQTT_PUBREC : MQTT_PUBACK }),
		    0);
		if (i % 4 == 0)
			ack_queue_drop_first(&queue);
	}
	ck_assert_uint_eq(ack_queue_count(&queue), 75);
	ck_assert_uint_eq(ack_queue_first(&queue)->packet_id, 26);
	ck_assert(ack_queue_has(&queue, MQTT_PUBACK, 100));
	ck_assert(!ack_queue_has(&queue, MQTT_PUBREC, 100));
	ck_assert(!ack_queue_has(&queue, MQTT_PUBACK, 25));
	ack_queue_keep_type(&queue, MQTT_PUBREC);
	ck_assert_uint_eq(ack_queue_count(&queue), 25);
	for (uint16_t i = 27; i <= 99; i += 3) {
		ck_assert_uint_eq(ack_queue_first(&queue)->packet_id, i);
		ack_queue_drop_first(&queue);
	}
	ck_assert_ptr_null(ack_queue_first(&queue));
	ck_assert_ptr_null(queue.list);
}
END_TEST

/* ---- the outbox ---- */

static int
put(struct session *session, const char *payload, uint8_t qos)
{
	const struct message_parts parts = {
		.topic = slice_of_string("t"),
		.payload = slice_of_string(payload),
		.qos = qos,
		.expires_ns = UINT64_MAX,
	};
	struct message *message = message_new(pools, &parts);
	const uint32_t identifiers[] = { 5, 6 };
	int err;

	err = outbox_put(&session->outbox, &sessions.outgoing, &sessions.limits,
	    &(struct outbox_item){
		.message = message,
		.qos = qos,
		.identifiers = identifiers,
		.identifier_count = 2,
	    });
	message_put(message);
	return err;
}

START_TEST(lets_no_more_in_flight_than_the_window)
{
	struct session *session = online("a", 0);
	struct outbox *outbox = &session->outbox;
	struct outgoing *first;

	outbox->window = 2;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(put(session, "x", 1), 0);
	first = outbox_peek(outbox);
	ck_assert_uint_eq(first->identifier_count, 2);
	ck_assert_uint_eq(outgoing_identifiers(first)[1], 6);
	ck_assert_int_eq(outbox_take(outbox, first), 0);
	ck_assert_int_eq(outbox_take(outbox, outbox_peek(outbox)), 0);
	ck_assert_ptr_null(outbox_peek(outbox));
	ck_assert_ptr_eq(outbox_find(outbox, first->packet_id), first);
	outbox_done(outbox, &sessions.outgoing, first);
	ck_assert_ptr_nonnull(outbox_peek(outbox));
	session_leave(session, false);
}
END_TEST

START_TEST(refuses_what_is_beyond_its_limits)
{
	struct session *session = online("a", 0);

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(put(session, "x", 1), 0);
	ck_assert_int_eq(put(session, "x", 1), -ENOSPC);
	sessions.limits = (struct outbox_limits){ 100, 4 * 130 };
	ck_assert_int_eq(put(session, "x", 1), 0);
	ck_assert_int_eq(put(session, "x", 1), -ENOSPC);
	session_leave(session, false);
}
END_TEST

START_TEST(leaves_no_message_in_the_gauges_when_it_ends)
{
	struct session *session = online("a", 0);
	struct outbox *outbox = &session->outbox;

	for (int i = 0; i < 3; i++)
		put(session, "x", 1);
	outbox_take(outbox, outbox_peek(outbox));
	stats_add(sessions.counters, COUNT_queued, 2);
	stats_add(sessions.counters, COUNT_in_flight, 1);
	session_leave(session, false);
	ck_assert_uint_eq(stats_read(stats, COUNT_queued), 0);
	ck_assert_uint_eq(stats_read(stats, COUNT_in_flight), 0);
	ck_assert_uint_eq(stats_read(stats, COUNT_dropped_session_end), 2);
}
END_TEST

/* [MQTT-2.2.1-4]: over and over through all 65,535 of them. */
START_TEST(never_uses_a_packet_identifier_twice)
{
	struct session *session = online("a", 0);
	struct outbox *outbox = &session->outbox;
	struct outgoing *kept, *next;

	outbox->window = 10;
	put(session, "stays", 2);
	kept = outbox_peek(outbox);
	outbox_take(outbox, kept);
	for (int i = 0; i < 140000; i++) {
		put(session, "x", 1);
		next = outbox_peek(outbox);
		ck_assert_int_eq(outbox_take(outbox, next), 0);
		ck_assert_uint_ne(next->packet_id, 0);
		ck_assert_uint_ne(next->packet_id, kept->packet_id);
		ck_assert_ptr_eq(outbox_find(outbox, next->packet_id), next);
		outbox_done(outbox, &sessions.outgoing, next);
	}
	outbox_received(kept);
	ck_assert_ptr_null(kept->message);
	ck_assert_ptr_eq(outbox_find(outbox, kept->packet_id), kept);
	session_leave(session, false);
}
END_TEST

START_TEST(keeps_the_identifier_of_a_message_that_is_forgotten)
{
	struct session *session = online("a", 0);
	struct outbox *outbox = &session->outbox;
	struct outgoing *sent;
	uint16_t packet_id;

	put(session, "x", 1);
	sent = outbox_peek(outbox);
	ck_assert_int_eq(outbox_take(outbox, sent), 0);
	packet_id = sent->packet_id;
	outbox_forget_message(sent);
	ck_assert_ptr_null(sent->message);
	ck_assert_ptr_eq(outbox_find(outbox, packet_id), sent);
	ck_assert_uint_eq(outbox->in_flight_count, 1);
	outbox_done(outbox, &sessions.outgoing, sent);
	ck_assert_ptr_null(outbox_find(outbox, packet_id));
	session_leave(session, false);
}
END_TEST

/* ---- packet identifiers received ---- */

START_TEST(remembers_exactly_the_identifiers_it_was_given)
{
	static bool there[65536];
	struct packet_ids ids = { 0 };
	uint32_t dice = 7, count = 0, at = 0;
	uint16_t id;

	for (int i = 0; i < 20000; i++) {
		dice = dice * 1664525 + 1013904223;
		id = (uint16_t)(1 + (dice >> 20) % 700 * 93);
		ck_assert_int_eq(packet_ids_has(&ids, id), there[id]);
		if (there[id]) {
			ck_assert(packet_ids_remove(&ids, id));
			count--;
		} else {
			ck_assert_int_eq(packet_ids_add(&ids, id), 0);
			count++;
		}
		there[id] = !there[id];
		ck_assert_uint_eq(packet_ids_count(&ids), count);
	}
	for (unsigned i = 1; i < 65536; i++)
		ck_assert_int_eq(packet_ids_has(&ids, (uint16_t)i), there[i]);
	while ((id = packet_ids_next(&ids, &at)) != 0) {
		ck_assert(there[id]);
		there[id] = false;
		count--;
	}
	ck_assert_uint_eq(count, 0);
	packet_ids_fini(&ids);
	at = 0;
	ck_assert_uint_eq(packet_ids_next(&ids, &at), 0);
	ck_assert_uint_eq(packet_ids_count(&ids), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, is_found_by_its_identifier);
	tcase_add_test(tc, is_found_by_its_number_until_it_ends);
	tcase_add_test(tc, ends_with_its_connection_without_an_expiry);
	tcase_add_test(tc, ends_at_its_expiry_and_not_before);
	tcase_add_test(tc, does_not_end_when_its_client_came_back);
	tcase_add_test(tc, lives_for_ever_if_it_may);
	tcase_add_test(tc, publishes_its_will_when_the_connection_breaks);
	tcase_add_test(tc, forgets_its_will_after_a_normal_disconnect);
	tcase_add_test(tc, waits_for_the_will_delay_or_the_end);
	tcase_add_test(tc, forgets_a_delayed_will_when_the_client_comes_back);
	tcase_add_test(tc, is_freed_only_after_mail_that_was_under_way);
	tcase_add_test(tc, is_not_kept_beyond_the_limit);
	tcase_add_test(tc, publishes_wills_that_wait_when_it_is_told_to);
	tcase_add_test(tc, takes_its_subscriptions_with_it);
	tcase_add_test(tc, keeps_the_order_of_acknowledgements);
	tcase_add_test(tc, lets_no_more_in_flight_than_the_window);
	tcase_add_test(tc, refuses_what_is_beyond_its_limits);
	tcase_add_test(tc, leaves_no_message_in_the_gauges_when_it_ends);
	tcase_add_test(tc, never_uses_a_packet_identifier_twice);
	tcase_add_test(tc, keeps_the_identifier_of_a_message_that_is_forgotten);
	tcase_add_test(tc, remembers_exactly_the_identifiers_it_was_given);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
