/* SPDX-License-Identifier: Apache-2.0 */

/* All that a store tells and hands out; each piece is looked at by itself. */

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store_twin_private.h"
#include "tests/unit/unit_memory.h"

void
twin_complain(struct twin *twin, const char *what, uint64_t which)
{
	ck_abort_msg(
	    "seed %" PRIu64 ": %s (%" PRIu64 ")", twin->seed, what, which);
}

/* ---- what is told while it opens ----------------------------------------- */

/* Sequences grow, and behind a sequence there is no checkpoint any more. */
static void
check_order(struct twin_told *told, uint64_t sequence)
{
	if (sequence == 0 && told->has_left_checkpoint)
		told->wrong = "the checkpoint is told behind the journal";
	if (sequence == 0)
		return;
	told->has_left_checkpoint = true;
	if (sequence <= told->last_sequence)
		told->wrong = "records are told out of order";
	told->last_sequence = sequence;
}

static int
told_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	struct twin *twin = context;
	uint32_t value;
	uint8_t key;

	check_order(&twin->told, sequence);
	if (kind != (sequence == 0 ? STORE_RETAINED : STORE_SUBSCRIBE))
		twin->told.wrong = "state of another kind is told";
	else if (!model_state_parse(body, &key, &value))
		twin->told.wrong = "state is told that was never put";
	else
		twin->told.values[key] = value;
	return 0;
}

static int
told_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	struct twin *twin = context;
	struct twin_told *told = &twin->told;
	const struct model_message *known;
	const char *why;
	uint32_t number;

	check_order(told, sequence);
	number =
	    model_message_recognise(&twin->messages, sequence, message, &why);
	if (number == 0) {
		told->wrong = why;
		return 0;
	}
	known = model_message_at(&twin->messages, number);
	if (known->key < MODEL_KEYS)
		told->values[known->key] = known->value;
	told->messages = unit_grow(told->messages, told->message_count,
	    &told->message_room, sizeof(*told->messages));
	told->messages[told->message_count++] = number;
	return 0;
}

static int
told_done(void *context, const struct store_done *done)
{
	struct twin *twin = context;

	if (done->cursor >= twin->next_cursor)
		twin->told.wrong = "a delivery is over to a cursor unknown";
	return 0;
}

static int
told_cursor(void *context, uint64_t cursor)
{
	struct twin *twin = context;

	if (cursor == 0 || cursor >= twin->next_cursor)
		twin->told.wrong = "a cursor is told that never was";
	return 0;
}

static void
told_progress(void *context, uint64_t done, uint64_t total)
{
	struct twin *twin = context;

	if (done > total)
		twin->told.wrong = "more progress than there is to do";
}

static void
told_damage(void *context, const struct store_damage *damage)
{
	struct twin *twin = context;

	if (damage->is_torn_tail)
		twin->told.torn++;
	else
		twin->told.damaged++;
	if (getenv("WEIR_VERBOSE") != NULL)
		printf("# %s+%" PRIu64 ": %s, %" PRIu64 " bytes, %" PRIu64
		       "..%" PRIu64 "%s\n",
		    damage->file, damage->offset, damage->what, damage->bytes,
		    damage->first_sequence, damage->last_sequence,
		    damage->is_torn_tail ? ", torn" : "");
}

struct store_sink
twin_sink(struct twin *twin)
{
	return (struct store_sink){
		.context = twin,
		.state = told_state,
		.message = told_message,
		.done = told_done,
		.opened = told_cursor,
		.closed = told_cursor,
		.progress = told_progress,
		.damaged = told_damage,
	};
}

/* ---- what it has when it is open ----------------------------------------- */

static int
see_cursor(void *arg, const struct store_cursor *cursor)
{
	struct twin_seen *seen = arg;
	struct twin_seen_cursor *added;

	seen->cursors = unit_grow(
	    seen->cursors, seen->count, &seen->room, sizeof(*seen->cursors));
	added = &seen->cursors[seen->count++];
	*added = (struct twin_seen_cursor){
		.cursor = cursor->cursor,
		.floor = cursor->floor,
		.queued = cursor->queued,
		.over = unit_new(cursor->over_count * sizeof(*added->over)),
		.over_count = cursor->over_count,
	};
	if (cursor->over_count != 0)
		memcpy(added->over, cursor->over,
		    cursor->over_count * sizeof(*added->over));
	return 0;
}

/* It was compared as one of the message's. */
static bool
has_delivery(
    const struct store_message *message, const struct store_delivery *delivery)
{
	for (size_t i = 0; i < message->delivery_count; i++)
		if (&message->deliveries[i] == delivery)
			return true;
	return false;
}

static int
see_message(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	struct twin_seen *seen = arg;
	struct twin_seen_cursor *reading = seen->reading;
	const char *why;
	uint32_t number;

	number = model_message_recognise(
	    &seen->twin->messages, sequence, message, &why);
	if (number == 0) {
		seen->wrong = why;
		return 0;
	}
	if (delivery->cursor != reading->cursor ||
	    !has_delivery(message, delivery))
		seen->wrong = "a message that was read is for another cursor";
	if (reading->count != 0 &&
	    reading->messages[reading->count - 1].sequence >= sequence)
		seen->wrong = "messages are read out of order";
	reading->messages = unit_grow(reading->messages, reading->count,
	    &reading->room, sizeof(*reading->messages));
	reading->messages[reading->count++] =
	    (struct twin_seen_message){ sequence, number };
	return 0;
}

/* In pieces of any size. */
static void
read_cursor(struct twin_seen *seen, struct twin_seen_cursor *cursor)
{
	struct twin *twin = seen->twin;
	uint64_t from = cursor->floor + 1, upto = 0;
	size_t before;
	int err;

	seen->reading = cursor;
	do {
		before = cursor->count;
		err = store_read(twin->reader, cursor->cursor, from,
		    1 + twin_dice(twin, 40), 1 + twin_dice(twin, 1u << 16),
		    see_message, seen, &upto);
		if (err != 0)
			twin_complain(
			    twin, "a cursor cannot be read", (uint64_t)-err);
		if (upto < store_committed(twin->store) && upto < from &&
		    cursor->count == before)
			twin_complain(twin, "reading does not get on", from);
		from = upto + 1;
	} while (upto < store_committed(twin->store));
}

void
twin_see(struct twin *twin, struct twin_seen *out_seen)
{
	*out_seen = (struct twin_seen){ .twin = twin };
	if (store_each_cursor(twin->store, see_cursor, out_seen) != 0)
		twin_complain(twin, "the cursors cannot be listed", 0);
	for (size_t i = 0; i < out_seen->count; i++)
		read_cursor(out_seen, &out_seen->cursors[i]);
	if (out_seen->wrong != NULL)
		twin_complain(twin, out_seen->wrong, 0);
}

void
twin_seen_fini(struct twin_seen *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		free(seen->cursors[i].over);
		free(seen->cursors[i].messages);
	}
	free(seen->cursors);
}
