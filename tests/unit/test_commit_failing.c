/* SPDX-License-Identifier: Apache-2.0 */

/* What the commit does when the journal fails; and its other threads. */

#include "broker/commit.h"

#include "tests/unit/commit_box.h"

/* ---- what fails -------------------------------------------------------- */

/* Until offers are (not) refused. */
static void
await_offer(enum commit_answer answer)
{
	while (commit_offer(commit_port(commit, 0), 1) != answer)
		poll(NULL, 0, 1);
}

START_TEST(settles_a_batch_that_failed_and_delivers_none_of_it)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_item *item;

	FAKE_SET(fake.commit_error = -EIO);
	item = commit_begin(commit_port(commit, 0), message);
	commit_add(item,
	    &(struct commit_delivery){
		.cursor = 11, .member = 1, .is_durable = true });
	commit_send(commit_port(commit, 0), item, &(struct commit_origin){ 0 });
	flush(0);
	await(1);
	ck_assert_int_eq(events[0].what, SETTLED);
	ck_assert_uint_eq(events[0].member, 0);
	ck_assert_uint_eq(events[0].sequence, 1);
	ck_assert_int_eq(events[0].reason, MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	ck_assert_int_eq(
	    commit_offer(commit_port(commit, 1), 1), COMMIT_REFUSES);
	ck_assert_int_eq(commit_refusal(commit_port(commit, 1)),
	    MQTT_IMPLEMENTATION_SPECIFIC_ERROR);

	/* It finds out itself that the disk is well. */
	FAKE_SET(fake.commit_error = 0);
	await_offer(COMMIT_TAKES);
	ck_assert_int_eq(references(message), 1);
	message_put(message);
	send_one(0, 'b', 2);
	flush(0);
	await(4);
	ck_assert_uint_eq(counted(COUNT_journal_failures), 1);
	ck_assert_uint_ge(counted(COUNT_journal_refused), 2);

	/* What state was refused is in a checkpoint then. */
	FAKE_WAIT(fake.checkpoints == 1);
}
END_TEST

static void
send_with_copies(struct message *message, unsigned count)
{
	const struct commit_delivery delivery = { .cursor = 10,
		.is_durable = true };
	struct commit_item *item;

	item = commit_begin(commit_port(commit, 0), message);
	ck_assert(commit_add(item, &delivery));
	for (; count > 0; count--)
		ck_assert(commit_add_copy(item, &delivery));
	commit_send(commit_port(commit, 0), item, &(struct commit_origin){ 0 });
	flush(0);
}

/* So many deliveries of it, each under a sequence of its own. */
static void
ck_came(struct message *message, unsigned want)
{
	uint64_t last = 0;
	unsigned count = 0;

	for (unsigned i = 0; i < event_count; i++) {
		if (events[i].what != DELIVERED || events[i].payload != 'x')
			continue;
		ck_assert_uint_gt(events[i].sequence, last);
		last = events[i].sequence;
		count++;
	}
	ck_assert_uint_eq(count, want);
	ck_assert_int_eq(references(message), 1);
	message_put(message);
}

static void
await_settled(uint64_t ticket)
{
	while (commit_settled(commit_port(commit, 0)) != ticket)
		open_all();
}

/* What is answered with a failure went to nobody. */
START_TEST(takes_a_copy_back_if_its_item_has_no_room)
{
	struct message *message = message_of('x', 1, 1);

	FAKE_SET(fake.poison = 2);
	send_with_copies(message, 1);
	await(1);
	ck_assert_int_eq(events[0].what, SETTLED);
	ck_assert_int_eq(events[0].reason, MQTT_QUOTA_EXCEEDED);
	await_offer(COMMIT_TAKES);
	ck_assert_uint_eq(event_count, 1);
	ck_assert_uint_eq(fake.appended, 0);
	ck_assert_uint_eq(fake.committed, 0);
	ck_assert_int_eq(references(message), 1);
	message_put(message);
}
END_TEST

START_TEST(tries_both_again_when_there_is_room)
{
	struct message *message = message_of('x', 1, 1);

	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	send_one(0, 'b', 1);
	send_with_copies(message, 1);
	/* 'a', 'b' and the copy have room, what it is of has not. */
	FAKE_SET((fake.poison = 4, fake.holds = false));
	await_settled(3);
	ck_assert_uint_eq(fake.committed, 4);
	ck_assert_uint_eq(fake.commits, 3);
	ck_came(message, 2);
}
END_TEST

START_TEST(commits_in_parts_what_is_too_much_for_one_batch)
{
	struct message *message = message_of('x', 1, 1);

	FAKE_SET(fake.room = 1);
	send_with_copies(message, 2);
	await_settled(1);
	ck_assert_uint_eq(fake.commits, 3);
	ck_assert_uint_eq(fake.committed, 3);
	ck_came(message, 3);
}
END_TEST

/* Neither is delivered, and none of their memory is left. */
START_TEST(a_copy_fails_with_its_batch)
{
	struct message *message = message_of('x', 1, 1);

	FAKE_SET(fake.commit_error = -EIO);
	send_with_copies(message, 1);
	await(1);
	ck_assert_int_eq(events[0].what, SETTLED);
	ck_assert_int_eq(events[0].reason, MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	FAKE_SET(fake.commit_error = 0);
	await_offer(COMMIT_TAKES);
	ck_assert_uint_eq(event_count, 1);
	ck_assert_int_eq(references(message), 1);
	message_put(message);
}
END_TEST

START_TEST(refuses_only_what_has_no_room)
{
	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	send_one(0, 'b', 1);
	send_one(0, 'c', 1);
	send_one(1, 'd', 1);
	flush(0);
	flush(1);
	FAKE_SET((fake.poison = 3, fake.append_error = 0));
	FAKE_SET(fake.holds = false);

	/* 'c' is tried again as the first of a run, and has room then. */
	await(4 + 4);
	ck_assert_uint_eq(fake.committed, 4);
	ck_assert_int_eq(commit_offer(commit_port(commit, 0), 1), COMMIT_TAKES);

	FAKE_SET((fake.append_error = -ENOSPC, fake.state = -ENOSPC));
	send_one(0, 'e', 1);
	flush(0);
	await(9);
	ck_assert_int_eq(events[8].reason, MQTT_QUOTA_EXCEEDED);
	ck_assert_int_eq(
	    commit_refusal(commit_port(commit, 0)), MQTT_QUOTA_EXCEEDED);
	ck_assert_int_eq(
	    commit_offer(commit_port(commit, 0), 1), COMMIT_REFUSES);

	/* What needs no room goes on. */
	commit_send(commit_port(commit, 0), item_of(0, 'f', 1, false),
	    &(struct commit_origin){ 0 });
	flush(0);
	await(11);
	ck_assert_uint_eq(events[9].payload, 'f');

	/* The disk answers, but has no room. */
	FAKE_WAIT(fake.probes >= 2);
	ck_assert_int_eq(
	    commit_offer(commit_port(commit, 0), 1), COMMIT_REFUSES);

	FAKE_SET((fake.append_error = 0, fake.state = 0));
	await_offer(COMMIT_TAKES);
}
END_TEST

START_TEST(fails_one_that_is_too_large_alone)
{
	FAKE_SET(fake.append_error = -EMSGSIZE);
	send_one(0, 'a', 1);
	flush(0);
	await(1);
	ck_assert_int_eq(events[0].reason, MQTT_QUOTA_EXCEEDED);
	ck_assert_int_eq(commit_offer(commit_port(commit, 0), 1), COMMIT_TAKES);
	ck_assert_uint_eq(counted(COUNT_journal_failures), 0);
}
END_TEST

START_TEST(waits_for_memory_before_it_refuses)
{
	FAKE_SET(fake.append_error = -ENOMEM);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.refused > 2);
	FAKE_SET(fake.append_error = 0);
	await(2);
	ck_assert_int_eq(events[1].reason, MQTT_SUCCESS);

	FAKE_SET((fake.append_error = -ENOMEM, fake.refused = 0));
	send_one(0, 'b', 1);
	flush(0);
	await(3);
	ck_assert_int_eq(events[2].reason, MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	ck_assert_uint_eq(fake.refused, 51);
	ck_assert_int_eq(commit_offer(commit_port(commit, 0), 1), COMMIT_TAKES);
}
END_TEST

START_TEST(commits_before_what_does_not_fit_the_batch)
{
	FAKE_SET(fake.holds = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.is_in_commit);
	send_one(0, 'b', 1);
	send_one(0, 'c', 1);
	flush(0);
	FAKE_SET((fake.poison = 3, fake.holds = false));
	await(6);
	ck_assert_uint_eq(fake.commits, 3);
	ck_assert_uint_eq(fake.committed, 3);
	ck_assert_uint_eq(counted(COUNT_journal_refused), 0);
}
END_TEST

START_TEST(does_not_give_up_what_is_over)
{
	struct commit_port *port = commit_port(commit, 0);

	FAKE_SET(fake.commit_error = -EIO);
	commit_send_cursor(port, STORE_CLOSE, 52);
	commit_send_cursor(port, STORE_OPEN, 53);
	send_done(0, 51);
	flush(0);
	await(1);
	ck_assert_uint_eq(events[0].sequence, 2);
	ck_assert_int_eq(events[0].reason, MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	FAKE_WAIT(fake.probes > 0);
	FAKE_SET(fake.commit_error = 0);
	FAKE_WAIT(fake.committed == 2);
	ck_assert_uint_eq(fake.records[0].kind, STORE_CLOSE);
	ck_assert_uint_eq(fake.records[0].cursor, 52);
	ck_assert_uint_eq(fake.records[1].kind, STORE_DONE);
	ck_assert_uint_eq(fake.records[1].cursor, 51);
	await_offer(COMMIT_TAKES);
	stop(false);
	ck_assert_uint_eq(event_count, 1);
}
END_TEST

START_TEST(keeps_what_is_over_until_there_is_room)
{
	struct commit_port *port = commit_port(commit, 0);

	FAKE_SET((fake.append_error = fake.done_error = -ENOSPC,
	    fake.state = -ENOSPC));
	send_done(0, 51);
	commit_send_cursor(port, STORE_CLOSE, 52);
	flush(0);
	await(1);
	ck_assert_uint_eq(events[0].sequence, 1);
	await_offer(COMMIT_REFUSES);
	FAKE_WAIT(fake.probes > 0);
	FAKE_SET(fake.done_error = 0);
	FAKE_WAIT(fake.committed == 2);
	FAKE_SET((fake.append_error = 0, fake.state = 0));
	await_offer(COMMIT_TAKES);
	ck_assert_uint_eq(counted(COUNT_journal_failures), 1);
}
END_TEST

START_TEST(tries_again_what_is_over_after_a_lack_of_memory)
{
	FAKE_SET(fake.done_error = -ENOMEM);
	send_done(0, 51);
	flush(0);
	FAKE_WAIT(fake.probes > 0);
	ck_assert_int_eq(commit_offer(commit_port(commit, 0), 1), COMMIT_TAKES);
	FAKE_SET(fake.done_error = 0);
	FAKE_WAIT(fake.committed == 1);
}
END_TEST

/* ---- checkpoints ------------------------------------------------------- */

START_TEST(writes_a_checkpoint_when_asked)
{
	commit_ask_checkpoint(commit);
	FAKE_WAIT(fake.checkpoints == 1);
}
END_TEST

START_TEST(writes_a_checkpoint_when_much_was_written)
{
	FAKE_SET(fake.wants_checkpoint = true);
	send_one(0, 'a', 1);
	flush(0);
	FAKE_WAIT(fake.checkpoints == 1);
	await(2);
}
END_TEST

START_TEST(drops_a_checkpoint_that_failed)
{
	state_error = -EIO;
	commit_ask_checkpoint(commit);
	FAKE_WAIT(fake.aborts == 1);

	/* And waits before the next. */
	commit_ask_checkpoint(commit);
	send_one(0, 'a', 1);
	flush(0);
	await(2);
	stop(false);
	ck_assert_uint_eq(fake.aborts, 1);
	ck_assert_uint_eq(fake.checkpoints, 0);
}
END_TEST

START_TEST(ends_with_a_checkpoint_of_all_that_was_sent)
{
	unsigned delivered = 0;

	send_one(0, 'a', 1);
	send_one(1, 'b', 1);
	flush(0);
	flush(1);
	stop(true);
	ck_assert_uint_eq(fake.checkpoints, 1);
	ck_assert_uint_eq(fake.synced, 2);
	for (size_t i = 0; i < event_count; i++)
		delivered += events[i].what == DELIVERED;
	ck_assert_uint_eq(delivered, 2);
}
END_TEST

START_TEST(frees_what_was_sent_too_late)
{
	struct message *message = message_of('x', 1, 1);
	struct commit_item *item;

	commit_stop(commit, false);
	for (unsigned i = 0; i < 40; i++) {
		item = commit_begin(commit_port(commit, 0), message);
		commit_send(commit_port(commit, 0), item,
		    &(struct commit_origin){ .is_written = true });
	}
	send_done(0, 5);
	open_all();
	commit_free(commit);
	commit = NULL;
	ck_assert_int_eq(references(message), 1);
	message_put(message);
	ck_assert_uint_eq(fake.appended, 0);
}
END_TEST

/* ---- reading ----------------------------------------------------------- */

static void
write_some(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		send_one(0, (uint8_t)('a' + i), i == 1 ? 2 : 1);
	flush(0);
	FAKE_WAIT(fake.committed == count);
	await_settled(count);
	event_count = 0;
}

START_TEST(reads_a_cursor_from_the_journal)
{
	struct commit_port *port = commit_port(commit, 0);

	write_some(5);
	ck_assert_int_eq(commit_read(port, 10, 1, 2, 1000), 0);
	await(3);
	ck_assert_int_eq(events[0].what, LOADED);
	ck_assert_uint_eq(events[0].payload, 'a');
	ck_assert_uint_eq(events[1].sequence, 3);
	ck_assert_uint_eq(events[1].payload, 'c');
	ck_assert(events[1].delivery.is_durable);
	ck_assert_int_eq(events[2].what, LOADED_UPTO);
	ck_assert_uint_eq(events[2].cursor, 10);
	ck_assert_uint_eq(events[2].sequence, 3);
	ck_assert_int_eq(commit_read(port, 10, 4, 10, 1000), 0);
	await(6);
	ck_assert_uint_eq(events[5].sequence, 5);
}
END_TEST

START_TEST(reads_identifiers_and_times_as_they_were)
{
	struct commit_port *port = commit_port(commit, 0);
	uint64_t now_ns = clock_now_ns(), minute_ns = 60 * CLOCK_SECOND_NS;
	struct message *message =
	    message_of('x', now_ns - minute_ns, now_ns + minute_ns);
	const uint32_t ids[] = { 3, 4, 5, 6, 7 };
	struct commit_item *item = commit_begin(port, message);

	for (unsigned i = 0; i < 2; i++)
		commit_add(item,
		    &(struct commit_delivery){
			.cursor = 30 + i,
			.qos = 2,
			.retain = i == 1,
			.is_durable = true,
			.identifier_count = i == 0 ? 2 : 5,
			.identifiers = ids,
		    });
	commit_send(port, item, &(struct commit_origin){ 0 });
	message_put(message);
	flush(0);
	await(3);
	for (uint64_t i = 0; i < 2; i++)
		commit_read(port, 30 + i, 1, 1, 1);
	await(3 + 4);
	ck_assert_uint_eq(events[3].identifiers[1], 4);
	ck_assert(!events[3].delivery.retain);
	ck_assert_uint_eq(events[5].identifiers[4], 7);
	ck_assert_uint_eq(events[5].delivery.qos, 2);
	ck_assert(events[5].delivery.retain);

	/* Through the other clock and back, which a step may be between. */
	ck_assert_uint_gt(events[5].created_ns, now_ns - 2 * minute_ns);
	ck_assert_uint_lt(events[5].created_ns, now_ns);
	ck_assert_uint_gt(events[5].expires_ns, now_ns);
	ck_assert_uint_lt(events[5].expires_ns, now_ns + 2 * minute_ns);
}
END_TEST

START_TEST(gives_what_it_could_read_before_an_error)
{
	struct commit_port *port = commit_port(commit, 0);

	write_some(5);
	FAKE_SET((fake.read_limit = 2, fake.read_error = -EIO));
	commit_read(port, 10, 1, 10, 1000);
	await(3);
	ck_assert_int_eq(events[2].reason, 0);
	ck_assert_uint_eq(events[2].sequence, 3);
	FAKE_SET(fake.read_limit = 0);
	commit_read(port, 10, 4, 10, 1000);
	await(4);
	ck_assert_int_eq(events[3].reason, -EIO);
}
END_TEST

START_TEST(answers_reads_that_come_too_late)
{
	write_some(1);
	commit_stop(commit, false);
	commit_read(commit_port(commit, 0), 10, 1, 10, 1000);
	stop(false);
	ck_assert_uint_eq(event_count, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commit_failing");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, settles_a_batch_that_failed_and_delivers_none_of_it);
	tcase_add_test(tc, takes_a_copy_back_if_its_item_has_no_room);
	tcase_add_test(tc, tries_both_again_when_there_is_room);
	tcase_add_test(tc, commits_in_parts_what_is_too_much_for_one_batch);
	tcase_add_test(tc, a_copy_fails_with_its_batch);
	tcase_add_test(tc, refuses_only_what_has_no_room);
	tcase_add_test(tc, fails_one_that_is_too_large_alone);
	tcase_add_test(tc, waits_for_memory_before_it_refuses);
	tcase_add_test(tc, commits_before_what_does_not_fit_the_batch);
	tcase_add_test(tc, does_not_give_up_what_is_over);
	tcase_add_test(tc, keeps_what_is_over_until_there_is_room);
	tcase_add_test(tc, tries_again_what_is_over_after_a_lack_of_memory);
	tcase_add_test(tc, writes_a_checkpoint_when_asked);
	tcase_add_test(tc, writes_a_checkpoint_when_much_was_written);
	tcase_add_test(tc, drops_a_checkpoint_that_failed);
	tcase_add_test(tc, ends_with_a_checkpoint_of_all_that_was_sent);
	tcase_add_test(tc, frees_what_was_sent_too_late);
	tcase_add_test(tc, reads_a_cursor_from_the_journal);
	tcase_add_test(tc, reads_identifiers_and_times_as_they_were);
	tcase_add_test(tc, gives_what_it_could_read_before_an_error);
	tcase_add_test(tc, answers_reads_that_come_too_late);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
