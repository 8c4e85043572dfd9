/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/commit.h"

#include "tests/unit/commit_box.h"

/* ---- the way of a message ---------------------------------------------- */

START_TEST(delivers_what_is_committed_and_then_settles_it)
{
	FAKE_SET(fake.holds = true);
	ck_assert_uint_eq(send_one(0, 'a', 3), 1);
	ck_assert_uint_eq(commit_last_ticket(commit_port(commit, 0)), 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	open_all();
	ck_assert_uint_eq(event_count, 0);
	ck_assert_uint_eq(commit_settled(commit_port(commit, 0)), 0);

	FAKE_SET(fake.holds = false);
	await(4); /* member 1 is told of no ticket */
	ck_assert_int_eq(events[0].what, DELIVERED);
	ck_assert_uint_eq(events[0].sequence, 1);
	ck_assert_uint_eq(events[0].payload, 'a');
	ck_assert_uint_eq(commit_settled(commit_port(commit, 0)), 1);
	ck_assert_uint_eq(commit_settled(commit_port(commit, 1)), 0);
	for (unsigned i = 0; i < 4; i += 2) {
		ck_assert_int_eq(events[i].what, DELIVERED);
		ck_assert_uint_eq(events[i].cursor, 10 + events[i].member);
		ck_assert_int_eq(events[i + 1].what, SETTLED);
		ck_assert_uint_eq(
		    events[i + 1].sequence, events[i].member == 0 ? 1 : 0);
	}
	ck_assert_uint_eq(fake.synced, 1);
	ck_assert_uint_eq(fake.records[0].message.delivery_count, 2);
}
END_TEST

START_TEST(gathers_what_comes_while_a_sync_runs)
{
	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	for (unsigned i = 0; i < 100; i++)
		send_one(i % 2, 'b', 1);
	flush(0);
	flush(1);
	FAKE_SET(fake.holds = false);
	await(101 + 3);
	ck_assert_uint_eq(fake.commits, 2);
	ck_assert_uint_eq(fake.committed, 101);
	for (unsigned i = 1, next = 1; i < event_count; i++)
		if (events[i].what == DELIVERED)
			ck_assert_uint_eq(events[i].sequence, ++next);
}
END_TEST

START_TEST(tells_of_a_delivery_as_it_was_added)
{
	struct message *message = message_of('x', 5, 6);
	struct commit_port *port = commit_port(commit, 0);
	struct commit_item *item = commit_begin(port, message);
	uint32_t ids[] = { 7, 8, 9 };
	struct commit_delivery delivery = {
		.member = 1,
		.identifiers = ids,
	};

	ck_assert_int_eq(references(message), 2);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(commit_receivers(item), i);
		delivery.cursor = 20 + i;
		delivery.qos = (uint8_t)(1 + i % 2);
		delivery.retain = i % 2;
		delivery.is_durable = i != 3;
		delivery.identifier_count = i == 1 ? 1 : i == 2 ? 3 : 0;
		ck_assert(commit_add(item, &delivery));
	}
	ids[0] = 0;
	commit_send(port, item,
	    &(struct commit_origin){
		.publisher = 4, .packet_id = 77, .retain_serial = 99 });
	flush(0);
	await(8 + 2);
	for (unsigned i = 0; i < 10; i++)
		if (events[i].what == SETTLED) {
			memmove(&events[i], &events[i + 1],
			    (9 - i) * sizeof(events[0]));
			break;
		}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_uint_eq(events[i].cursor, 20 + i);
		ck_assert_uint_eq(events[i].delivery.qos, 1 + i % 2);
		ck_assert(events[i].delivery.retain == (i % 2 == 1));
		ck_assert(events[i].delivery.is_durable == (i != 3));
	}
	ck_assert_uint_eq(events[1].identifiers[0], 7);
	ck_assert_uint_eq(events[2].delivery.identifier_count, 3);
	ck_assert_uint_eq(events[2].identifiers[2], 9);
	ck_assert_int_eq(references(message), 1);
	message_put(message);

	ck_assert_uint_eq(fake.records[0].message.delivery_count, 7);
	ck_assert_uint_eq(fake.records[0].message.publisher, 4);
	ck_assert_uint_eq(fake.records[0].message.packet_id, 77);
	ck_assert_uint_eq(fake.records[0].message.retain_serial, 99);
	ck_assert_uint_eq(fake.records[0].deliveries[2].identifier_count, 3);
	ck_assert_uint_eq(fake.records[0].deliveries[2].identifiers[1], 8);
	ck_assert_uint_eq(
	    fake.records[0].deliveries[1].flags, STORE_RETAIN_FLAG);
	ck_assert_uint_eq(fake.records[0].deliveries[3].cursor, 24);
}
END_TEST

START_TEST(frees_a_message_when_the_last_member_has_it)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_item *item;

	item = commit_begin(commit_port(commit, 0), message);
	for (uint16_t i = 0; i < MEMBERS; i++)
		commit_add(item,
		    &(struct commit_delivery){
			.cursor = 10, .member = i, .is_durable = true });
	commit_send(commit_port(commit, 0), item, &(struct commit_origin){ 0 });
	flush(0);
	while (event_count < 2)
		mailbox_open(members[0].mailbox, 0);
	ck_assert_int_eq(references(message), 2);
	await(4);
	ck_assert_int_eq(references(message), 1);

	item = commit_begin(commit_port(commit, 0), message);
	ck_assert_int_eq(references(message), 2);
	commit_cancel(commit_port(commit, 0), item);
	ck_assert_int_eq(references(message), 1);
	message_put(message);
}
END_TEST

/* To a session twice, and once to another one. */
static struct commit_item *
item_with_copy(struct message *message)
{
	struct commit_item *item;
	struct commit_delivery delivery = { .cursor = 10, .is_durable = true };

	item = commit_begin(commit_port(commit, 0), message);
	ck_assert(commit_add(item, &delivery));
	delivery.share = 5;
	delivery.qos = 1;
	ck_assert(commit_add_copy(item, &delivery));
	delivery.cursor = 11;
	delivery.member = 1;
	delivery.share = 0;
	ck_assert(commit_add(item, &delivery));
	ck_assert_uint_eq(commit_receivers(item), 3);
	return item;
}

START_TEST(gives_a_copy_a_record_of_its_own)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_port *port = commit_port(commit, 0);
	const struct commit_origin origin = { .publisher = 4, .packet_id = 77 };

	FAKE_SET(fake.holds = true);
	ck_assert_uint_eq(
	    commit_send(port, item_with_copy(message), &origin), 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	FAKE_SET(fake.holds = false);
	await(3 + 2);
	ck_assert_uint_eq(fake.commits, 1);
	ck_assert_uint_eq(fake.committed, 2);
	ck_assert_uint_eq(fake.records[0].message.publisher, 0);
	ck_assert_uint_eq(fake.records[0].message.packet_id, 0);
	ck_assert_uint_eq(fake.records[0].message.delivery_count, 1);
	ck_assert_uint_eq(fake.records[0].deliveries[0].cursor, 10);
	ck_assert_uint_eq(fake.records[1].message.packet_id, 77);
	ck_assert_uint_eq(fake.records[1].message.delivery_count, 2);
	for (unsigned i = 0, copies = 0; i < event_count; i++) {
		if (events[i].what == SETTLED || events[i].member != 0)
			continue;
		ck_assert_uint_eq(events[i].sequence, ++copies);
		ck_assert_uint_eq(
		    events[i].delivery.share, copies == 1 ? 5 : 0);
	}
	ck_assert_uint_eq(commit_settled(port), 1);
	ck_assert_uint_eq(commit_last_ticket(port), 1);
	ck_assert_int_eq(references(message), 1);
	commit_cancel(port, item_with_copy(message));
	ck_assert_int_eq(references(message), 1);
	message_put(message);
}
END_TEST

/* Its item has nothing that is to be written. */
START_TEST(syncs_for_a_copy_alone)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_delivery delivery = { .cursor = 10, .is_durable = true };
	struct commit_item *item =
	    commit_begin(commit_port(commit, 0), message);

	ck_assert(commit_add_copy(item, &delivery));
	commit_send(commit_port(commit, 0), item, &(struct commit_origin){ 0 });
	flush(0);
	await(1 + 1);
	ck_assert_uint_eq(fake.committed, 1);
	ck_assert_uint_eq(fake.synced, 1);
	ck_assert_uint_eq(commit_settled(commit_port(commit, 0)), 1);
	message_put(message);
}
END_TEST

/* Those behind it find the window as full as all its records make it. */
START_TEST(counts_a_copy_in_the_window)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_port *port = commit_port(commit, 0);
	const size_t weight = message_weight(message);

	FAKE_SET(fake.holds = true);
	commit_send(
	    port, item_with_copy(message), &(struct commit_origin){ 0 });
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	ck_assert_int_eq(commit_offer(port, WINDOW - 2 * weight), COMMIT_TAKES);
	ck_assert_int_eq(
	    commit_offer(port, WINDOW - 2 * weight + 1), COMMIT_STALLS);
	FAKE_SET(fake.holds = false);
	await(3 + 2);
	ck_assert_int_eq(commit_offer(port, WINDOW), COMMIT_TAKES);
	message_put(message);
}
END_TEST

START_TEST(keeps_the_place_of_what_is_not_written)
{
	struct commit_port *port = commit_port(commit, 0);

	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	commit_send(port, item_of(0, 'b', 1, false),
	    &(struct commit_origin){ .is_written = false });
	send_one(0, 'c', 1);
	commit_send(port, item_of(0, 'd', 1, false),
	    &(struct commit_origin){ .is_written = true });
	commit_send(port, item_of(0, 'e', 1, false),
	    &(struct commit_origin){ .is_written = false });
	flush(0);
	FAKE_SET(fake.holds = false);
	await(5 + 2);
	ck_assert_uint_eq(events[2].payload, 'b');
	ck_assert_uint_eq(events[2].sequence, 0);
	ck_assert_uint_eq(events[3].payload, 'c');
	ck_assert_uint_eq(events[3].sequence, 2);
	ck_assert_uint_eq(events[4].sequence, 3);
	ck_assert_uint_eq(fake.committed, 3);
}
END_TEST

START_TEST(writes_nothing_for_what_is_not_written)
{
	commit_send(commit_port(commit, 0), item_of(0, 'b', 2, false),
	    &(struct commit_origin){ 0 });
	flush(0);
	await(3);
	ck_assert_uint_eq(fake.commits + fake.probes, 0);
}
END_TEST

START_TEST(writes_state_in_line_with_messages)
{
	struct commit_port *port = commit_port(commit, 0);
	uint8_t large[300];

	memset(large, 'L', sizeof(large));
	FAKE_SET(fake.holds = true);
	commit_send_cursor(port, STORE_OPEN, 42);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	commit_send_state(port, STORE_SESSION, slice_of("body", 4), true);
	commit_send_state(
	    port, STORE_SUBSCRIBE, slice_of(large, sizeof(large)), false);
	ck_assert_uint_eq(commit_send_cursor(port, STORE_CLOSE, 42), 4);
	flush(0);
	FAKE_SET(fake.holds = false);
	await(2);
	ck_assert_uint_eq(events[1].first, 2);
	ck_assert_uint_eq(events[1].sequence, 4);
	ck_assert_uint_eq(fake.records[0].kind, STORE_OPEN);
	ck_assert_uint_eq(fake.records[0].cursor, 42);
	ck_assert_int_eq(memcmp(fake.records[1].bytes, "body", 4), 0);
	ck_assert_uint_eq(fake.records[2].count, 300);
	ck_assert_uint_eq(fake.records[2].bytes[63], 'L');
	ck_assert_uint_eq(fake.records[3].kind, STORE_CLOSE);
	ck_assert_uint_eq(fake.synced, 4);
}
END_TEST

START_TEST(bounds_what_is_committed_together)
{
	static const uint8_t body[60000];

	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	for (unsigned i = 0; i < 30; i++)
		commit_send_state(commit_port(commit, 0), STORE_SESSION,
		    slice_of(body, sizeof(body)), true);
	flush(0);
	FAKE_SET(fake.holds = false);
	await(2 + 2);
	ck_assert_uint_eq(fake.commits, 3);
	ck_assert_uint_eq(fake.committed, 31);
}
END_TEST

START_TEST(does_not_sync_for_what_nobody_waits_for)
{
	struct commit_port *port = commit_port(commit, 0);

	commit_send_state(port, STORE_LEAVE, slice_of("x", 1), false);
	flush(0);
	await(1);
	ck_assert_uint_eq(fake.committed, 1);
	ck_assert_uint_eq(fake.syncs, 0);

	/* But within a second of rest. */
	FAKE_WAIT(fake.syncs == 1);
}
END_TEST

/* ---- the window -------------------------------------------------------- */

START_TEST(stalls_a_member_whose_window_is_full)
{
	struct commit_port *port = commit_port(commit, 0);

	FAKE_SET(fake.holds = true);
	/* 130 each */
	for (unsigned i = 0; i < 30; i++) {
		ck_assert_int_eq(commit_offer(port, 130), COMMIT_TAKES);
		send_one(0, 'a', 1);
	}
	ck_assert_int_eq(commit_offer(port, 101), COMMIT_STALLS);
	ck_assert_int_eq(commit_offer(port, 100), COMMIT_TAKES);
	ck_assert_int_eq(
	    commit_offer(commit_port(commit, 1), 130), COMMIT_TAKES);
	flush(0);
	ck_assert_uint_eq(counted(COUNT_journal_stalls), 1);
	FAKE_SET(fake.holds = false);
	while (commit_settled(port) != 30)
		open_all();
	ck_assert_int_eq(commit_offer(port, WINDOW), COMMIT_TAKES);
	ck_assert_int_eq(commit_offer(port, 10 * WINDOW), COMMIT_TAKES);
	send_one(0, 'a', 1);
	ck_assert_int_eq(commit_offer(port, 10 * WINDOW), COMMIT_STALLS);
}
END_TEST

START_TEST(bounds_what_lies_with_members_that_are_behind)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_item *items[200];
	unsigned count = 0;

	while (count < 200 &&
	    (items[count] = commit_begin(commit_port(commit, 0), message)) !=
		NULL)
		count++;
	ck_assert_uint_ge(count, WINDOW / 128);
	ck_assert_uint_lt(count, 200);
	ck_assert_uint_ne(commit_send_state(commit_port(commit, 0), STORE_LEAVE,
			      slice_of("x", 1), false),
	    0);
	while (count-- > 0)
		commit_cancel(commit_port(commit, 0), items[count]);
	message_put(message);
}
END_TEST

/* ---- what is over ------------------------------------------------------ */

START_TEST(writes_what_is_over_without_a_sync)
{
	for (unsigned i = 0; i < 3; i++)
		send_done(0, 50);
	flush(0);
	FAKE_WAIT(fake.committed == 1);
	ck_assert_uint_eq(fake.records[0].kind, STORE_DONE);
	ck_assert_uint_eq(fake.records[0].count, 3);
	ck_assert_uint_eq(fake.syncs, 0);
	ck_assert_uint_eq(commit_last_ticket(commit_port(commit, 0)), 0);
	stop(false);
	ck_assert_uint_eq(fake.synced, 1);
	ck_assert_uint_eq(event_count, 0);
}
END_TEST

START_TEST(hands_on_what_is_over_before_the_turn_ends)
{
	for (unsigned i = 0; i < 64 * 65; i++)
		send_done(0, 50);
	FAKE_WAIT(fake.committed >= 64);
	for (unsigned i = 0; i < 64; i++)
		ck_assert_uint_eq(fake.records[i].count, 64);
}
END_TEST

START_TEST(writes_what_is_over_with_a_message_that_comes)
{
	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	send_done(0, 50);
	flush(0);
	send_one(0, 'b', 1);
	flush(0);
	FAKE_SET(fake.holds = false);
	await(4);
	ck_assert_uint_eq(fake.commits, 2);
	ck_assert_uint_eq(fake.records[1].kind, STORE_DONE);
	ck_assert_uint_eq(fake.records[2].kind, STORE_MESSAGE);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commit");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, delivers_what_is_committed_and_then_settles_it);
	tcase_add_test(tc, gathers_what_comes_while_a_sync_runs);
	tcase_add_test(tc, tells_of_a_delivery_as_it_was_added);
	tcase_add_test(tc, frees_a_message_when_the_last_member_has_it);
	tcase_add_test(tc, gives_a_copy_a_record_of_its_own);
	tcase_add_test(tc, syncs_for_a_copy_alone);
	tcase_add_test(tc, counts_a_copy_in_the_window);
	tcase_add_test(tc, keeps_the_place_of_what_is_not_written);
	tcase_add_test(tc, writes_nothing_for_what_is_not_written);
	tcase_add_test(tc, writes_state_in_line_with_messages);
	tcase_add_test(tc, bounds_what_is_committed_together);
	tcase_add_test(tc, does_not_sync_for_what_nobody_waits_for);
	tcase_add_test(tc, stalls_a_member_whose_window_is_full);
	tcase_add_test(tc, bounds_what_lies_with_members_that_are_behind);
	tcase_add_test(tc, writes_what_is_over_without_a_sync);
	tcase_add_test(tc, hands_on_what_is_over_before_the_turn_ends);
	tcase_add_test(tc, writes_what_is_over_with_a_message_that_comes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
