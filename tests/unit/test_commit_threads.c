/* SPDX-License-Identifier: Apache-2.0 */

/* The promise of the commit, with members that are threads of their own. */

#include "broker/commit.h"

#include <poll.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "tests/unit/fake_store.h"

#define MEMBERS 3
#define CURSORS 4 /* of each member */
#define SENDS 1500
#define WINDOW 8000

struct member {
	unsigned number;
	uint32_t dice;
	struct mailbox *mailbox;
	struct message_pools *pools;
	struct commit_port *port;
	pthread_t thread;

	uint64_t sent, settled, failed;
	uint64_t delivered, last_sequence;
	uint64_t last_of[CURSORS]; /* sequences */
	bool is_ok[SENDS + 1];     /* by ticket */
};

static struct member members[MEMBERS];
static struct commit *commit;
static atomic_uint finished;

static uint32_t
roll(struct member *member, uint32_t sides)
{
	member->dice = member->dice * 1664525 + 1013904223;
	return (member->dice >> 8) % sides;
}

static void
on_deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	struct member *member = context;
	unsigned cursor = (unsigned)delivery->cursor % CURSORS;

	ck_assert_uint_eq(delivery->cursor / CURSORS, member->number);
	ck_assert_uint_ge(sequence, member->last_sequence);
	ck_assert_uint_gt(sequence, member->last_of[cursor]);
	ck_assert_uint_gt(message->payload_length, 0);
	member->last_sequence = sequence;
	member->last_of[cursor] = sequence;
	member->delivered++;
}

static void
on_settled(void *context, const struct commit_letter *letter)
{
	struct member *member = context;

	if (letter->last_ticket == 0)
		return;
	ck_assert_uint_eq(letter->first_ticket, member->settled + 1);
	for (; member->settled < letter->last_ticket; member->settled++) {
		member->failed += letter->reason != MQTT_SUCCESS;
		member->is_ok[member->settled + 1] =
		    letter->reason == MQTT_SUCCESS;
	}
	ck_assert_uint_eq(commit_settled(member->port), member->settled);
}

static int
write_state(void *context, struct store_checkpoint *checkpoint)
{
	(void)context;
	(void)checkpoint;
	return 0;
}

/* To each cursor with one chance in four; its payload is who and which. */
static void
send_one(struct member *member)
{
	uint64_t name[2] = { member->number, member->sent + 1 };
	struct message *message;
	struct commit_item *item;

	message = message_new(member->pools,
	    &(struct message_parts){
		.topic = slice_of("t", 1),
		.payload = slice_of(name, sizeof(name)),
		.qos = 1,
	    });
	ck_assert_ptr_nonnull(message);
	item = commit_begin(member->port, message);
	message_put(message);
	if (item == NULL)
		return;
	for (unsigned i = 0; i < MEMBERS * CURSORS; i++) {
		if (roll(member, 4) == 0 &&
		    commit_receivers(item) < FAKE_DELIVERIES)
			ck_assert(commit_add(item,
			    &(struct commit_delivery){
				.cursor = i,
				.member = (uint16_t)(i / CURSORS),
				.qos = 1,
				.is_durable = true,
			    }));
	}
	member->sent++;
	ck_assert_uint_eq(commit_send(member->port, item,
			      &(struct commit_origin){ .is_written = true }),
	    member->sent);
}

static void
take_turn(struct member *member)
{
	struct pollfd ready = { mailbox_fd(member->mailbox), POLLIN, 0 };
	bool waits = member->sent == SENDS && member->settled == SENDS;
	enum commit_answer answer = COMMIT_TAKES;

	for (unsigned i = roll(member, 50); i > 0 && member->sent < SENDS;
	     i--) {
		answer = commit_offer(member->port, 145);
		if (answer != COMMIT_TAKES)
			break;
		send_one(member);
		if (roll(member, 3) == 0)
			commit_done(
			    member->port, &(struct store_done){ .cursor = 1 });
	}
	commit_flush(member->port);
	waits |= answer == COMMIT_STALLS;
	poll(&ready, 1, waits ? 10 : 0);
	mailbox_open(member->mailbox, 0);
}

static void *
run(void *arg)
{
	struct member *member = arg;

	message_pools_adopt(member->pools);
	while (member->settled < SENDS)
		take_turn(member);
	atomic_fetch_add(&finished, 1);
	while (atomic_load(&finished) <= MEMBERS)
		take_turn(member);
	mailbox_open(member->mailbox, 0);
	return NULL;
}

static void
begin(uint32_t seed)
{
	struct commit_member list[MEMBERS];

	fake_reset();
	atomic_store(&finished, 0);
	memset(members, 0, sizeof(members));
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i].number = i;
		members[i].dice = seed + i;
		members[i].mailbox = mailbox_new(&members[i]);
		members[i].pools = message_pools_new();
		list[i] = (struct commit_member){
			.mailbox = members[i].mailbox,
			.context = &members[i],
			.deliver = on_deliver,
			.settled = on_settled,
		};
	}
	commit = commit_new(&(struct commit_spec){
	    .store = &fake,
	    .members = list,
	    .member_count = MEMBERS,
	    .window_bytes = WINDOW,
	    .write_state = write_state,
	});
	ck_assert_ptr_nonnull(commit);
	ck_assert_int_eq(commit_start(commit), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i].port = commit_port(commit, i);
		ck_assert_int_eq(
		    pthread_create(&members[i].thread, NULL, run, &members[i]),
		    0);
	}
}

/* Let the journal fail now and then, until all members have sent all. */
static void
disturb(uint32_t seed)
{
	struct member dice = { .dice = seed };

	while (atomic_load(&finished) < MEMBERS) {
		fake_lock();
		switch (roll(&dice, 8)) {
		case 0:
			fake.commit_error = -EIO;
			break;
		case 1:
			fake.poison = fake.appended + 1 + roll(&dice, 3);
			break;
		default:
			fake.commit_error = 0;
		}
		fake_unlock();
		poll(NULL, 0, 1);
	}
	FAKE_SET(fake.commit_error = 0);
}

static void
end(void)
{
	commit_stop(commit, false);
	atomic_fetch_add(&finished, 1);
	for (unsigned i = 0; i < MEMBERS; i++)
		pthread_join(members[i].thread, NULL);
	commit_free(commit);
	for (unsigned i = 0; i < MEMBERS; i++) {
		mailbox_free(members[i].mailbox);
		message_pools_free(members[i].pools);
	}
}

/* What is in the journal, and only that, was told to be, and delivered. */
static void
check(void)
{
	uint64_t deliveries = 0, written[MEMBERS] = { 0 }, name[2];
	uint64_t last[MEMBERS] = { 0 }, delivered = 0;
	const struct fake_record *record;

	for (size_t i = 0; i < fake.committed; i++) {
		record = &fake.records[i];
		if (record->kind != STORE_MESSAGE)
			continue;
		memcpy(name, record->message.payload.data, sizeof(name));
		ck_assert(members[name[0]].is_ok[name[1]]);
		ck_assert_uint_gt(name[1], last[name[0]]);
		last[name[0]] = name[1];
		written[name[0]]++;
		deliveries += record->message.delivery_count;
	}
	for (unsigned i = 0; i < MEMBERS; i++) {
		ck_assert_uint_eq(written[i] + members[i].failed, SENDS);
		delivered += members[i].delivered;
	}
	ck_assert_uint_eq(delivered, deliveries);
}

START_TEST(keeps_its_promise_between_threads)
{
	begin((uint32_t)_i + 1);
	while (atomic_load(&finished) < MEMBERS)
		poll(NULL, 0, 1);
	end();
	check();
	for (unsigned i = 0; i < MEMBERS; i++)
		ck_assert_uint_eq(members[i].failed, 0);
}
END_TEST

START_TEST(keeps_its_promise_while_the_journal_fails)
{
	begin((uint32_t)_i + 1);
	disturb((uint32_t)_i + 100);
	end();
	check();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commit_threads");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, keeps_its_promise_between_threads, 0, 4);
	tcase_add_loop_test(
	    tc, keeps_its_promise_while_the_journal_fails, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
