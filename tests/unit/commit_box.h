/* SPDX-License-Identifier: Apache-2.0 */

/*
 * commit_box - a commit with two members on a store of paper; the test's own
 * thread is both of them, and notes what they are told.
 */

#ifndef WEIR_TESTS_UNIT_COMMIT_BOX_H
#define WEIR_TESTS_UNIT_COMMIT_BOX_H

#include <poll.h>

#include "broker/commit.h"
#include "broker/counters.h"
#include "common/base/clock.h"
#include "tests/unit/fake_store.h"

#define MEMBERS 2
#define WINDOW 4000
#define EVENTS 512

/* What members were told, in order. */
struct event {
	enum {
		DELIVERED,
		SETTLED,
		LOADED,
		LOADED_UPTO
	} what;
	unsigned member;
	uint64_t sequence; /* or the last ticket, or upto */
	uint64_t first;    /* ticket */
	uint64_t cursor;
	int reason; /* or err */
	uint8_t payload;
	struct commit_delivery delivery;
	uint32_t identifiers[8];
	uint64_t created_ns, expires_ns;
};

struct member {
	unsigned number;
	struct mailbox *mailbox;
};

static struct member members[MEMBERS];
static struct message_pools *pools;
static struct commit *commit;
static struct stats *stats;
static struct event events[EVENTS];
static size_t event_count;
static int state_error;

static inline struct event *
note(void *context, int what)
{
	struct event *event = &events[event_count++];

	ck_assert_uint_lt(event_count, EVENTS);
	*event = (struct event){ .what = what,
		.member = ((struct member *)context)->number };
	return event;
}

static inline void
note_message(struct event *event, const struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	event->sequence = sequence;
	event->delivery = *delivery;
	event->cursor = delivery->cursor;
	event->payload = message_payload(message).data[0];
	event->created_ns = message->created_ns;
	event->expires_ns = message->expires_ns;
	if (delivery->identifier_count != 0)
		memcpy(event->identifiers, delivery->identifiers,
		    delivery->identifier_count * sizeof(uint32_t));
}

static inline void
on_deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	note_message(note(context, DELIVERED), message, sequence, delivery);
}

static inline void
on_settled(void *context, const struct commit_letter *letter)
{
	struct event *event = note(context, SETTLED);

	event->first = letter->first_ticket;
	event->sequence = letter->last_ticket;
	event->reason = letter->reason;
}

static inline void
on_loaded(void *context, uint64_t cursor, struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	ck_assert_uint_eq(cursor, delivery->cursor);
	note_message(note(context, LOADED), message, sequence, delivery);
}

static inline void
on_loaded_upto(void *context, uint64_t cursor, uint64_t upto, int err)
{
	struct event *event = note(context, LOADED_UPTO);

	event->cursor = cursor;
	event->sequence = upto;
	event->reason = err;
}

static inline int
write_state(void *context, struct store_checkpoint *checkpoint)
{
	ck_assert_ptr_eq(context, members);
	ck_assert_ptr_nonnull(checkpoint);
	return state_error;
}

static inline void
set_up(void)
{
	struct commit_member list[MEMBERS];

	fake_reset();
	event_count = 0;
	state_error = 0;
	pools = message_pools_new();
	ck_assert_int_eq(
	    stats_create("test", counter_rows, COUNT_ROWS, 2, &stats), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		members[i].number = i;
		members[i].mailbox = mailbox_new(&members[i]);
		ck_assert_ptr_nonnull(members[i].mailbox);
		list[i] = (struct commit_member){
			.mailbox = members[i].mailbox,
			.context = &members[i],
			.deliver = on_deliver,
			.settled = on_settled,
			.loaded = on_loaded,
			.loaded_upto = on_loaded_upto,
			.counters = stats_block(stats, 1),
		};
	}
	commit = commit_new(&(struct commit_spec){
	    .store = &fake,
	    .members = list,
	    .member_count = MEMBERS,
	    .window_bytes = WINDOW,
	    .counters = stats_block(stats, 0),
	    .write_state = write_state,
	    .context = members,
	});
	ck_assert_ptr_nonnull(commit);
	ck_assert_int_eq(commit_start(commit), 0);
}

static inline void
open_all(void)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		mailbox_open(members[i].mailbox, 0);
}

static inline void
stop(bool checkpoint)
{
	if (commit == NULL)
		return;
	commit_stop(commit, checkpoint);
	open_all();
	commit_free(commit);
	commit = NULL;
}

static inline void
tear_down(void)
{
	stop(false);
	for (unsigned i = 0; i < MEMBERS; i++)
		mailbox_free(members[i].mailbox);
	message_pools_free(pools);
	stats_free(stats);
}

/* Open mail until there are so many events. */
static inline void
await(size_t count)
{
	struct pollfd ready[MEMBERS];

	for (unsigned i = 0; i < MEMBERS; i++)
		ready[i] = (struct pollfd){ mailbox_fd(members[i].mailbox),
			POLLIN, 0 };
	while (event_count < count) {
		poll(ready, MEMBERS, -1);
		open_all();
	}
	ck_assert_uint_eq(event_count, count);
}

static inline struct message *
message_of(uint8_t payload, uint64_t created_ns, uint64_t expires_ns)
{
	struct message *message;

	message = message_new(pools,
	    &(struct message_parts){
		.topic = slice_of("t", 1),
		.payload = slice_of(&payload, 1),
		.qos = 1,
		.link = MESSAGE_FROM_MQTT,
		.created_ns = created_ns,
		.expires_ns = expires_ns,
	    });
	ck_assert_ptr_nonnull(message);
	return message;
}

static inline int
references(const struct message *message)
{
	return __atomic_load_n(&message->references, __ATOMIC_ACQUIRE);
}

/* To member 0 as cursor 10, to member 1 as cursor 11, durable or not. */
static inline struct commit_item *
item_of(unsigned from, uint8_t payload, unsigned to, bool is_durable)
{
	struct message *message = message_of(payload, 1, UINT64_MAX);
	struct commit_item *item;

	item = commit_begin(commit_port(commit, from), message);
	message_put(message);
	for (unsigned i = 0; i < MEMBERS; i++)
		if ((to & 1u << i) != 0)
			ck_assert(commit_add(item,
			    &(struct commit_delivery){
				.cursor = 10 + i,
				.member = (uint16_t)i,
				.qos = 1,
				.is_durable = is_durable,
			    }));
	return item;
}

static inline uint64_t
send_one(unsigned from, uint8_t payload, unsigned to)
{
	return commit_send(commit_port(commit, from),
	    item_of(from, payload, to, true), &(struct commit_origin){ 0 });
}

static inline void
flush(unsigned member)
{
	commit_flush(commit_port(commit, member));
}

static inline void
send_done(unsigned member, uint64_t cursor)
{
	commit_done(commit_port(commit, member),
	    &(struct store_done){ .cursor = cursor, .sequence = 1 });
}

static inline uint64_t
counted(enum counter counter)
{
	return stats_read(stats, counter);
}

#endif
