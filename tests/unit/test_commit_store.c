/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The commit on a real store, on a disk in memory that loses its power: what
 * was settled is there afterwards, and is read in order.
 */

#include "broker/commit.h"

#include <poll.h>

#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define MEMBERS 2
#define SENDS 200 /* of each member */
#define WINDOW 6000
#define CURSOR(member) (10 + (uint64_t)(member))
#define PIECE 7 /* messages of one read */

enum fate {
	NOT_SETTLED,
	SETTLED,
	FAILED
};

struct member {
	unsigned number;
	struct mailbox *mailbox;
	struct commit_port *port;

	uint64_t sent, settled;
	enum fate fate[SENDS + 1]; /* by ticket */
	bool is_over[SENDS + 1];   /* a DONE was sent, by ticket */
	uint64_t sequence[SENDS + 1];

	/* What is read after it all. */
	uint64_t last_read, upto;
	bool is_found[SENDS + 1];
	bool is_read;
};

static struct store_sim *sim;
static struct store *store;
static struct message_pools *pools;
static struct member members[MEMBERS];
static struct commit *commit;
static uint64_t dice;

/* A message says who sent it, and with which ticket. */
struct name {
	uint64_t member, ticket;
};

static struct name
name_of(struct slice payload)
{
	struct name name;

	ck_assert_uint_eq(payload.len, sizeof(name));
	memcpy(&name, payload.data, sizeof(name));
	ck_assert_uint_lt(name.member, MEMBERS);
	ck_assert_uint_le(name.ticket, SENDS);
	return name;
}

/* ---- what members are told ----------------------------------------------- */

static void
on_deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	struct name name = name_of(message_payload(message));

	ck_assert_uint_eq(
	    delivery->cursor, CURSOR(((struct member *)context)->number));
	ck_assert_uint_ne(sequence, 0);
	members[name.member].sequence[name.ticket] = sequence;
}

static void
on_settled(void *context, const struct commit_letter *letter)
{
	struct member *member = context;

	if (letter->last_ticket == 0)
		return;
	ck_assert_uint_eq(letter->first_ticket, member->settled + 1);
	while (member->settled < letter->last_ticket)
		member->fate[++member->settled] =
		    letter->reason == MQTT_SUCCESS ? SETTLED : FAILED;
}

static void
on_loaded(void *context, uint64_t cursor, struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	struct name name = name_of(message_payload(message));
	struct member *reader = context;

	(void)delivery;
	ck_assert_uint_eq(cursor, CURSOR(reader->number));
	ck_assert_uint_gt(sequence, reader->last_read);
	reader->last_read = sequence;
	/* To its own member's cursor, see send_one(). */
	ck_assert_uint_eq(name.member, reader->number);
	reader->is_found[name.ticket] = true;
}

static void
on_loaded_upto(void *context, uint64_t cursor, uint64_t upto, int err)
{
	struct member *reader = context;

	(void)cursor;
	ck_assert_int_eq(err, 0);
	reader->upto = upto;
	reader->is_read = true;
}

static int
write_state(void *context, struct store_checkpoint *checkpoint)
{
	(void)context;
	(void)checkpoint;
	return 0;
}

/* ---- a life ----------------------------------------------------------------
 */

static void
on_damaged(void *context, const struct store_damage *damage)
{
	(void)context;
	ck_assert(damage->is_torn_tail);
}

static void
start(void)
{
	const struct store_sink sink = { .damaged = on_damaged };
	struct commit_member list[MEMBERS] = { 0 };

	ck_assert_int_eq(store_open(
			     &(struct store_spec){
				 .io = store_sim_io(sim),
				 .segment_bytes = STORE_MIN_SEGMENT,
				 .max_bytes = 64 * STORE_MIN_SEGMENT,
				 .is_synced = true,
			     },
			     &sink, &store),
	    0);
	for (unsigned i = 0; i < MEMBERS; i++)
		list[i] = (struct commit_member){
			.mailbox = members[i].mailbox,
			.context = &members[i],
			.deliver = on_deliver,
			.settled = on_settled,
			.loaded = on_loaded,
			.loaded_upto = on_loaded_upto,
		};
	commit = commit_new(&(struct commit_spec){
	    .store = store,
	    .members = list,
	    .member_count = MEMBERS,
	    .window_bytes = WINDOW,
	    .write_state = write_state,
	});
	ck_assert_ptr_nonnull(commit);
	ck_assert_int_eq(commit_start(commit), 0);
	for (unsigned i = 0; i < MEMBERS; i++)
		members[i].port = commit_port(commit, i);
}

static void
open_all(void)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		mailbox_open(members[i].mailbox, 0);
}

static void
stop(void)
{
	commit_stop(commit, false);
	open_all();
	commit_free(commit);
	store_close(store);
}

static void
await_mail(void)
{
	struct pollfd ready[MEMBERS];

	for (unsigned i = 0; i < MEMBERS; i++)
		ready[i] = (struct pollfd){ mailbox_fd(members[i].mailbox),
			POLLIN, 0 };
	poll(ready, MEMBERS, -1);
	open_all();
}

static void
set_up(void)
{
	dice = (uint64_t)1;
	pools = message_pools_new();
	memset(members, 0, sizeof(members));
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i].number = i;
		members[i].mailbox = mailbox_new(&members[i]);
	}
}

static void
tear_down(void)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		mailbox_free(members[i].mailbox);
	message_pools_free(pools);
	store_sim_free(sim);
}

/* ---- a run -----------------------------------------------------------------
 */

static void
send_one(struct member *member)
{
	struct name name = { member->number, member->sent + 1 };
	struct message *message;
	struct commit_item *item;

	message = message_new(pools,
	    &(struct message_parts){
		.topic = slice_of("t", 1),
		.payload = slice_of(&name, sizeof(name)),
		.qos = 1,
		.expires_ns = UINT64_MAX,
	    });
	item = commit_begin(member->port, message);
	message_put(message);
	ck_assert_ptr_nonnull(item);
	commit_add(item,
	    &(struct commit_delivery){
		.cursor = CURSOR(member->number),
		.member = (uint16_t)member->number,
		.qos = 1,
		.is_durable = true,
	    });
	member->sent++;
	commit_send(member->port, item, &(struct commit_origin){ 0 });
}

static void
finish_one(struct member *member)
{
	uint64_t ticket;

	if (member->settled == 0)
		return;
	ticket = 1 + store_sim_dice(&dice, member->settled);
	if (member->fate[ticket] != SETTLED || member->is_over[ticket] ||
	    member->sequence[ticket] == 0)
		return;
	member->is_over[ticket] = true;
	commit_done(member->port,
	    &(struct store_done){ .cursor = CURSOR(member->number),
		.sequence = member->sequence[ticket] });
}

/* True: all was sent and settled. */
static bool
take_turn(struct member *member)
{
	for (uint64_t i = store_sim_dice(&dice, 12); i > 0; i--) {
		if (member->sent == SENDS ||
		    commit_offer(member->port, 145) != COMMIT_TAKES)
			break;
		send_one(member);
		if (store_sim_dice(&dice, 3) == 0)
			finish_one(member);
	}
	commit_flush(member->port);
	return member->settled == SENDS;
}

/* Until all is sent, or the disk is off and what was sent is settled. */
static void
run(void)
{
	bool is_over = false, is_settled;

	while (!is_over) {
		is_over = is_settled = true;
		for (unsigned i = 0; i < MEMBERS; i++) {
			is_over &= take_turn(&members[i]);
			is_settled &= members[i].settled == members[i].sent;
		}
		is_over |= is_settled && store_sim_is_off(sim);
		if (!is_settled)
			await_mail();
	}
}

static void
read_all(void)
{
	struct member *member;

	for (unsigned i = 0; i < MEMBERS; i++) {
		member = &members[i];
		while (member->upto < store_committed(store)) {
			member->is_read = false;
			ck_assert_int_eq(commit_read(member->port, CURSOR(i),
					     member->upto + 1, PIECE, SIZE_MAX),
			    0);
			while (!member->is_read)
				await_mail();
		}
	}
}

static bool
is_over(const struct store_cursor *cursor, uint64_t sequence)
{
	if (sequence <= cursor->floor)
		return true;
	for (size_t i = 0; i < cursor->over_count; i++)
		if (cursor->over[i] == sequence)
			return true;
	return false;
}

static void
check_read(void)
{
	const struct member *member;

	for (unsigned i = 0; i < MEMBERS; i++) {
		member = &members[i];
		for (uint64_t ticket = 1; ticket <= member->sent; ticket++)
			if (member->fate[ticket] == SETTLED &&
			    !member->is_over[ticket])
				ck_assert(member->is_found[ticket]);
	}
}

static int
check_over(void *arg, const struct store_cursor *cursor)
{
	const struct member *member = &members[cursor->cursor - CURSOR(0)];

	for (uint64_t ticket = 1; ticket <= member->sent; ticket++)
		if (member->is_over[ticket])
			ck_assert(is_over(cursor, member->sequence[ticket]));
	(*(unsigned *)arg)++;
	return 0;
}

/* All that was told to be over is. */
static void
check_cursors(void)
{
	unsigned count = 0;

	ck_assert_int_eq(store_each_cursor(store, check_over, &count), 0);
	ck_assert_uint_eq(count, MEMBERS);
}

static void
begin(uint64_t seed)
{
	dice = seed + 1;
	sim = store_sim_new(seed + 1);
	start();
	for (unsigned i = 0; i < MEMBERS; i++) {
		commit_send_cursor(members[i].port, STORE_OPEN, CURSOR(i));
		commit_flush(members[i].port);
	}
	stop();
	/* They were no messages. */
	for (unsigned i = 0; i < MEMBERS; i++) {
		ck_assert_int_eq(members[i].fate[1], SETTLED);
		members[i].settled = 0;
		members[i].fate[1] = NOT_SETTLED;
	}
	start();
}

START_TEST(has_what_was_settled_after_a_power_cut)
{
	const enum store_sim_loss losses[] = { STORE_SIM_LOSE_ALL,
		STORE_SIM_LOSE_NONE, STORE_SIM_LOSE_SOME };

	begin((uint64_t)_i);
	store_sim_cut_at(
	    sim, store_sim_dice(&dice, 60), losses[(unsigned)_i % 3]);
	run();
	stop();
	store_sim_power_on(sim);
	start();
	read_all();
	check_read();
	stop();
}
END_TEST

START_TEST(has_all_and_what_is_over_after_an_end)
{
	begin((uint64_t)_i);
	run();
	stop();
	store_sim_cut(sim, STORE_SIM_LOSE_ALL);
	start();
	read_all();
	check_read();
	check_cursors();
	stop();
}
END_TEST

/* A disk that fails for a time: nothing is lost that was settled. */
START_TEST(goes_on_when_the_disk_is_well_again)
{
	begin((uint64_t)_i);
	store_sim_break(sim, 3 + store_sim_dice(&dice, 20), 5);
	run();
	stop();
	store_sim_cut(sim, STORE_SIM_LOSE_ALL);
	start();
	read_all();
	check_read();
	check_cursors();
	stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("commit_store");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, has_what_was_settled_after_a_power_cut, 0, 30);
	tcase_add_loop_test(tc, has_all_and_what_is_over_after_an_end, 0, 4);
	tcase_add_loop_test(tc, goes_on_when_the_disk_is_well_again, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
