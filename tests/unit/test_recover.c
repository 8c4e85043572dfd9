/* SPDX-License-Identifier: Apache-2.0 */

/* A journal that is made by hand, and what the broker is after it. */

#include "broker/recover.h"

#include <sys/mman.h>

#include "tests/unit/recover_box.h"

/* ---- the tests --------------------------------------------------------- */

START_TEST(begins_with_nothing)
{
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 0);
	ck_assert_uint_ge(atomic_load(&broker.next_cursor), 1);
	ck_assert(!broker.recovered->is_changed);
}
END_TEST

START_TEST(has_open_sessions_and_no_others)
{
	struct store_session record;

	open_session(10, "a");
	open_session(11, "b");
	record = session_record(11, "b");
	record.expiry_ns = UINT64_MAX;
	record.account = slice_of_string(anna);
	put_session(&record);
	open_session(12, "gone");
	put_subscribe(STORE_SUBSCRIBE, 12, "x");
	ck_assert_int_eq(store_append_close(store, 12), 0);
	open_session(13, "gone");
	/* More than max_sessions: what was kept is kept. */
	open_session(14, "c");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 4);
	ck_assert_uint_eq(find("a")->cursor, 10);
	ck_assert_uint_eq(find("a")->identity, AUTH_ANONYMOUS);
	ck_assert_uint_eq(find("gone")->cursor, 13);
	ck_assert_uint_eq(find("b")->expiry_ns, SESSION_NEVER);
	ck_assert_str_eq(
	    auth_identity_name(broker.auth, find("b")->identity), anna);
	ck_assert_uint_eq(match("x"), 0);
	ck_assert_uint_eq(atomic_load(&broker.kept_sessions), 4);
	ck_assert_uint_eq(atomic_load(&broker.next_cursor), 15);
	ck_assert(broker.recovered->is_changed);
}
END_TEST

START_TEST(counts_expiry_from_when_a_session_was_left)
{
	const uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
	struct store_session record = session_record(3, "over");

	open_session(1, "connected");
	open_session(2, "left");
	put_leave(2, wall_ns - 3000 * SECOND, false);
	open_session(3, "over");
	record.left_ns = wall_ns - 7200 * SECOND;
	put_session(&record);
	open_session(4, "never");
	record = session_record(4, "never");
	record.expiry_ns = UINT64_MAX;
	put_session(&record);
	/* Left in the future: its clock was set back. */
	open_session(5, "future");
	put_leave(5, wall_ns + 5000 * SECOND, false);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_ge(
	    find("connected")->expires_at_ns, now_ns + 3600 * SECOND);
	ck_assert_uint_ge(find("connected")->left_ns, wall_ns);
	/* The two clocks were not read at the same moment. */
	ck_assert_uint_ge(find("left")->expires_at_ns, now_ns + 590 * SECOND);
	ck_assert_uint_lt(find("left")->expires_at_ns, now_ns + 660 * SECOND);
	ck_assert_uint_eq(find("left")->left_ns, wall_ns - 3000 * SECOND);
	ck_assert_uint_eq(find("never")->expires_at_ns, SESSION_NEVER);
	ck_assert(!alarm_is_set(&find("never")->alarm));
	ck_assert_uint_lt(
	    find("future")->expires_at_ns, now_ns + 3660 * SECOND);
	/* It is due at once: the first turn ends it, and says so. */
	ck_assert_uint_le(find("over")->alarm.when_ns, clock_now_ns());
	ck_assert(alarm_is_set(&find("over")->alarm));
}
END_TEST

START_TEST(has_subscriptions_as_they_were_last)
{
	open_session(1, "a");
	open_session(2, "b");
	put_subscribe(STORE_SUBSCRIBE, 1, "t/+");
	put_subscribe(STORE_SUBSCRIBE, 2, "t/#");
	put_subscribe(STORE_SUBSCRIBE, 2, "gone");
	put_subscribe(STORE_UNSUBSCRIBE, 2, "gone");
	put_subscribe(STORE_UNSUBSCRIBE, 2, "never/was");
	put_subscribe(STORE_SUBSCRIBE, 1, "$share/g/s");
	put_subscribe(STORE_SUBSCRIBE, 99, "of/nobody");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(match("t/1"), 2);
	ck_assert_uint_eq(matches.list[0].options.qos, 1);
	ck_assert(matches.list[0].options.no_local);
	ck_assert_uint_eq(matches.list[0].options.identifier, 77);
	ck_assert_uint_eq(match("gone"), 0);
	ck_assert_uint_eq(match("s"), 1);
	ck_assert(matches.list[0].share != 0);
	ck_assert_uint_eq(match("of/nobody"), 0);
}
END_TEST

START_TEST(retains_by_serial_not_by_order)
{
	struct store_message expired = message_to(NULL);

	put_retained("a", "new", 5);
	put_retained("a", "old", 3);
	put_retained("cleared", "", 7);
	put_retained("cleared", "old", 6);
	put_retained("b", "1", 1);
	put_retained("b", "2", 8);
	expired.retain = true;
	expired.retain_serial = 9;
	expired.expires_ns = clock_wall_ns() - SECOND;
	expired.topic = slice_of_string("expired");
	put_message(&expired);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_str_eq(retained("a"), "new");
	ck_assert_str_eq(retained("cleared"), "");
	ck_assert_str_eq(retained("b"), "2");
	ck_assert_str_eq(retained("expired"), "");
	ck_assert_uint_eq(retained_serial(broker.retained), 9);
}
END_TEST

START_TEST(publishes_wills_that_are_due)
{
	const uint64_t wall_ns = clock_wall_ns(), now_ns = clock_now_ns();
	uint64_t due_ns;

	put_will(1, "transient", 0);
	put_will(2, "transient that left", 0);
	put_leave(2, wall_ns, false);
	open_session(3, "connected");
	put_will(3, "connected", 0);
	open_session(4, "delayed");
	put_will(4, "delayed", 100 * SECOND);
	put_leave(4, wall_ns - 40 * SECOND, true);
	open_session(5, "said goodbye");
	put_will(5, "said goodbye", 0);
	put_leave(5, wall_ns, false);
	/* Ended, but its will had still to be published. */
	open_session(6, "ended");
	put_will(6, "ended", 10 * SECOND);
	put_leave(6, wall_ns, true);
	ck_assert_int_eq(store_append_close(store, 6), 0);
	/* Back: the will of the connection before is no more. */
	open_session(7, "back");
	put_will(7, "back", 1000 * SECOND);
	put_leave(7, wall_ns, true);
	open_session(7, "back");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(waiting_wills(), 3);
	ck_assert_uint_eq(session_count(), 4);
	ck_assert_ptr_null(find("connected")->will);
	ck_assert_ptr_nonnull(find("delayed")->will);
	due_ns = will_due_ns(find("delayed")->will);
	ck_assert_uint_ge(due_ns, now_ns + 59 * SECOND);
	ck_assert_uint_lt(due_ns, now_ns + 90 * SECOND);
	ck_assert_uint_eq(find("delayed")->alarm.when_ns, due_ns);
	ck_assert_uint_eq(will_cursor(find("delayed")->will), 4);
	ck_assert_ptr_null(find("said goodbye")->will);
	ck_assert_ptr_null(find("back")->will);
}
END_TEST

START_TEST(knows_unfinished_packets_of_both_sides)
{
	const struct store_delivery delivery = { .cursor = 2, .qos = 2 };
	struct store_message message = message_to(&delivery);
	struct store_done done = { .cursor = 2 };
	uint64_t sequences[4];
	struct session *session;

	open_session(1, "publisher");
	open_session(2, "subscriber");
	message.publisher = 1;
	for (unsigned i = 0; i < 4; i++) {
		message.packet_id = (uint16_t)(100 + i);
		sequences[i] = put_message(&message);
	}
	put_packet(STORE_RELEASED, 1, 101);
	put_packet(STORE_RECEIVED, 2, sequences[2]);
	put_packet(STORE_RECEIVED, 2, sequences[0]);
	put_packet(STORE_RECEIVED, 2, sequences[1]);
	done.sequence = sequences[1];
	ck_assert_int_eq(store_append_done(store, &done, 1), 0);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	session = find("publisher");
	ck_assert_uint_eq(packet_ids_count(&session->received), 3);
	ck_assert(packet_ids_has(&session->received, 100));
	ck_assert(!packet_ids_has(&session->received, 101));
	session = find("subscriber");
	ck_assert_uint_eq(session->outbox.in_flight_count, 2);
	ck_assert_uint_eq(
	    session->outbox.in_flight.first->sequence, sequences[0]);
	ck_assert_uint_eq(
	    session->outbox.in_flight.last->sequence, sequences[2]);
	ck_assert_uint_eq(
	    session->outbox.in_flight.last->stage, OUTGOING_RECEIVED);
	/* One of the four is over, two are in flight. */
	ck_assert_uint_eq(atomic_load(&session->queue.count), 1);
}
END_TEST

static void
put_bridge(uint64_t cursor, const char *name)
{
	const struct store_bridge record = {
		.cursor = cursor,
		.name = slice_of_string(name),
	};
	uint8_t bytes[STORE_SMALL_MAX];

	store_bridge_write(&record, bytes);
	append(STORE_BRIDGE, bytes, store_bridge_size(&record));
	append_open(cursor);
}

START_TEST(gives_bridges_and_lanes_to_links)
{
	const struct store_delivery delivery = { .cursor = 20, .qos = 1 };
	struct store_message message = message_to(&delivery);
	uint64_t last;

	put_bridge(20, "cloud");
	put_bridge(21, "not configured");
	message.source = (struct store_source){ sources_name(3, 5), 1, 900 };
	put_message(&message);
	message.source.sequence = 901;
	last = put_message(&message);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(broker.recovered->bridges[0].cursor, 20);
	ck_assert_uint_eq(broker.recovered->bridges[0].queued, 2);
	ck_assert_uint_ge(broker.recovered->bridges[0].last, last);
	ck_assert_uint_lt(broker.recovered->bridges[0].floor, last - 1);
	ck_assert(sources_has(
	    &broker.recovered->sources, sources_name(3, 5), 1, 901));
	ck_assert(!sources_has(
	    &broker.recovered->sources, sources_name(3, 5), 1, 902));
	/* The other one is nobody's, and kept nevertheless. */
	ck_assert_uint_eq(broker.recovered->closing_count, 0);
}
END_TEST

/* The terms say up to where they count; the rest is counted anew. */
START_TEST(gives_links_the_books_of_a_bridge)
{
	const struct store_delivery delivery = { .cursor = 20, .qos = 1 };
	struct store_message message = message_to(&delivery);
	struct store_bridge bridge = {
		.cursor = 20,
		.name = slice_of_string("cloud"),
		.terms = { .offered = 10, .dead = 3 },
	};
	uint8_t bytes[STORE_SMALL_MAX];

	put_bridge(20, "cloud");
	message.source.link = MESSAGE_FROM_MQTT;
	put_message(&message);
	bridge.terms.accepted_upto = put_message(&message);
	put_message(&message);
	store_bridge_write(&bridge, bytes);
	append(STORE_BRIDGE, bytes, store_bridge_size(&bridge));
	put_message(&message);
	/* weir-httpd counts its own. */
	message.source = (struct store_source){ sources_name(0, 5), 1, 900 };
	put_message(&message);
	message.source = (struct store_source){ sources_name(2, 5), 1, 900 };
	put_message(&message);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(broker.recovered->bridges[0].terms.offered, 10);
	ck_assert_uint_eq(broker.recovered->bridges[0].terms.dead, 3);
	ck_assert_uint_eq(broker.recovered->bridges[0].given_behind, 4);
	ck_assert_uint_eq(broker.recovered->bridges[0].accepted_behind, 3);
	ck_assert_uint_eq(broker.recovered->bridges[0].queued, 6);
}
END_TEST

static void
put_dead(uint64_t cursor, uint64_t id, bool is_gone)
{
	const struct store_dead dead = {
		.cursor = cursor,
		.id = id,
		.is_gone = is_gone,
		.journal = 1000 + id,
		.why = slice_of_string("why"),
		.message = slice_of_string("body"),
	};
	uint8_t bytes[128];

	store_dead_write(&dead, bytes);
	append(STORE_DEAD, bytes, store_dead_size(&dead));
}

/* A checkpoint may have some already, and what was gone before it. */
START_TEST(gives_links_the_dead_letters_of_a_bridge)
{
	const struct dead *dead;

	put_bridge(20, "cloud");
	put_dead(20, 1, false);
	put_dead(20, 2, false);
	put_dead(20, 2, false);
	put_dead(20, 1, true);
	put_dead(20, 1, true);
	put_dead(20, 3, false);
	put_dead(20, 5, true);
	put_dead(21, 4, false);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	dead = &broker.recovered->bridges[0].dead;
	ck_assert_uint_eq(dead->count, 2);
	ck_assert_uint_eq(dead->first->id, 2);
	ck_assert_uint_eq(dead->last->id, 3);
	ck_assert_uint_eq(dead->last->journal, 1003);
	ck_assert(slice_equal_string(dead_message(dead->last), "body"));
	/* A number is not given out again. */
	ck_assert_uint_eq(dead->last_id, 5);
}
END_TEST

START_TEST(closes_what_nobody_has)
{
	struct store_session record = session_record(31, "of nobody");

	append_open(30);
	open_session(31, "of nobody");
	record.account = slice_of_string("fired");
	put_session(&record);
	open_session(32, "kept");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 1);
	ck_assert_ptr_null(find("of nobody"));
	ck_assert_uint_eq(broker.recovered->closing_count, 2);
	ck_assert_uint_eq(
	    broker.recovered->closing[0] + broker.recovered->closing[1],
	    30 + 31);
}
END_TEST

START_TEST(passes_over_a_body_that_makes_no_sense)
{
	open_session(1, "a");
	append(STORE_SUBSCRIBE, "?", 1);
	append(STORE_SESSION, "", 0);
	open_session(2, "b");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 2);
}
END_TEST

/* The store says so, as damage. */
START_TEST(passes_over_a_record_of_a_newer_kind)
{
	open_session(1, "a");
	append((enum store_kind)200, "new", 3);
	open_session(2, "b");
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(session_count(), 2);
}
END_TEST

/* ---- a checkpoint, and what is behind it ------------------------------------
 */

static void
put_retained_state(struct store_checkpoint *checkpoint, const char *topic,
    const char *payload, uint64_t serial)
{
	struct store_message message = message_to(NULL);
	uint8_t bytes[256];

	message.retain = true;
	message.retain_serial = serial;
	message.topic = slice_of_string(topic);
	message.payload = slice_of_string(payload);
	store_message_write(&message, bytes);
	ck_assert_int_eq(store_checkpoint_put(checkpoint, STORE_RETAINED,
			     slice_of(bytes, store_message_size(&message))),
	    0);
}

/*
 * Messages of before the walk come behind the checkpoint, if their commit was
 * late.  The walk saw what they did, and what was done after them.
 */
START_TEST(knows_what_a_checkpoint_has_seen_of_retained_messages)
{
	struct store_checkpoint *checkpoint;

	put_retained("seen", "old", 1);
	ck_assert_int_eq(store_commit(store, true), 0);
	ck_assert_int_eq(store_checkpoint_begin(store, &checkpoint), 0);
	put_retained_state(checkpoint, "", "", 5);
	put_retained_state(checkpoint, "seen", "new", 4);
	put_retained_state(checkpoint, "during", "walk", 6);
	ck_assert_int_eq(store_checkpoint_end(checkpoint), 0);
	/* Cleared, with serial 5, before it was committed. */
	put_retained("cleared", "late", 3);
	put_retained("seen", "late", 2);
	put_retained("during", "walk", 6);
	put_retained("behind", "x", 7);
	put_retained("seen too", "x", 8);
	put_retained("seen too", "", 9);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_str_eq(retained("cleared"), "");
	ck_assert_str_eq(retained("seen"), "new");
	ck_assert_str_eq(retained("during"), "walk");
	ck_assert_str_eq(retained("behind"), "x");
	ck_assert_str_eq(retained("seen too"), "");
	ck_assert_uint_eq(retained_count(broker.retained), 3);
	ck_assert_uint_eq(retained_serial(broker.retained), 9);
}
END_TEST

static int
take_none(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)arg;
	(void)sequence;
	(void)message;
	(void)delivery;
	return 0;
}

/* Read what waits for the cursor, and return what was logged meanwhile. */
static const char *
log_of_reading(uint64_t cursor)
{
	static char text[4096];
	struct store_reader *reader = store_reader_new(broker.store);
	int out = dup(STDERR_FILENO), file = memfd_create("log", 0);
	uint64_t upto;
	ssize_t length;

	ck_assert_int_ge(file, 0);
	ck_assert_int_ge(out, 0);
	dup2(file, STDERR_FILENO);
	ck_assert_int_eq(
	    store_read(reader, cursor, 0, 10, SIZE_MAX, take_none, NULL, &upto),
	    0);
	dup2(out, STDERR_FILENO);
	store_reader_free(reader);
	length = pread(file, text, sizeof(text) - 1, 0);
	ck_assert_int_ge(length, 0);
	text[length] = '\0';
	close(file);
	close(out);
	return text;
}

START_TEST(says_what_was_damaged_since)
{
	const struct store_delivery delivery = { .cursor = 1, .qos = 1 };
	const struct store_message message = message_to(&delivery);
	const char *name = NULL;
	size_t size;

	open_session(1, "a");
	put_message(&message);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_str_eq(log_of_reading(1), "");
	for (size_t i = 0; name == NULL || strstr(name, ".seg") == NULL; i++)
		name = store_sim_name(sim, i);
	ck_assert_ptr_nonnull(store_sim_bytes(sim, name, &size));
	for (uint64_t at = 4096; at + 21 < size && at < 8192; at += 21)
		store_sim_damage(sim, name, at, "damage over all of it", 21);
	ck_assert_ptr_nonnull(
	    strstr(log_of_reading(1), "event=journal_damaged"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("recover");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, begins_with_nothing);
	tcase_add_test(tc, has_open_sessions_and_no_others);
	tcase_add_test(tc, counts_expiry_from_when_a_session_was_left);
	tcase_add_test(tc, has_subscriptions_as_they_were_last);
	tcase_add_test(tc, retains_by_serial_not_by_order);
	tcase_add_test(tc, publishes_wills_that_are_due);
	tcase_add_test(tc, knows_unfinished_packets_of_both_sides);
	tcase_add_test(tc, gives_bridges_and_lanes_to_links);
	tcase_add_test(tc, gives_links_the_books_of_a_bridge);
	tcase_add_test(tc, gives_links_the_dead_letters_of_a_bridge);
	tcase_add_test(tc, closes_what_nobody_has);
	tcase_add_test(tc, passes_over_a_body_that_makes_no_sense);
	tcase_add_test(tc, passes_over_a_record_of_a_newer_kind);
	tcase_add_test(tc, says_what_was_damaged_since);
	tcase_add_test(
	    tc, knows_what_a_checkpoint_has_seen_of_retained_messages);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
