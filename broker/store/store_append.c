/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The writer's appends.  Whatever may fail does so before a record is put
 * together: its room in the batch, and the memory that counting its deliveries
 * takes when it is committed.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_private.h"
#include "common/base/bug.h"

#define FIRST_BATCH_ROOM (UINT64_C(1) << 18)
#define FIRST_EFFECTS 256u

/* Entries of one DONE record. */
#define DONE_ENTRIES 512u

static int
reserve_batch(struct store_batch *batch, uint64_t bytes)
{
	uint64_t need = STORE_PAGE + batch->used + bytes + STORE_TERMINATOR;
	uint64_t room = batch->room == 0 ? FIRST_BATCH_ROOM : batch->room;
	uint8_t *grown;

	if (need <= batch->room)
		return 0;
	while (room < need)
		room *= 2;
	grown = realloc(batch->buffer, room);
	if (grown == NULL)
		return -ENOMEM;
	batch->buffer = grown;
	batch->room = room;
	return 0;
}

static int
reserve_effects(struct store_batch *batch, size_t count)
{
	size_t room =
	    batch->effect_room == 0 ? FIRST_EFFECTS : batch->effect_room;
	struct store_effect *grown;

	if (batch->effect_count + count <= batch->effect_room)
		return 0;
	while (room < batch->effect_count + count)
		room *= 2;
	grown = realloc(batch->effects, room * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	batch->effects = grown;
	batch->effect_room = room;
	return 0;
}

/* Where the body of the next record goes. */
static uint8_t *
next_body(struct store_batch *batch)
{
	return batch->buffer + STORE_PAGE + batch->used +
	    sizeof(struct store_record_header);
}

/* The body is in its place. */
static void
seal(struct store *store, uint8_t kind, uint64_t sequence, uint64_t length)
{
	struct store_batch *batch = &store->batch;
	uint8_t *body = next_body(batch);

	segment_record_seal(body - sizeof(struct store_record_header),
	    &(struct segment_record){
		.sequence = sequence,
		.tag = store->tag,
		.kind = kind,
		.body = slice_of(body, length),
	    });
	batch->used += store_record_bytes(length);
}

int
store_begin_batch(struct store *store)
{
	struct store_batch *batch = &store->batch;
	struct store_batch_body body;
	int err;

	if (batch->used > 0)
		return 0;
	err = reserve_batch(batch, store_record_bytes(sizeof(body)));
	if (err != 0)
		return err;
	body = (struct store_batch_body){
		.durable = htole64(store->end.durable),
		.wall_ns = htole64(store->io->wall_ns(store->io->context)),
	};
	memcpy(next_body(batch), &body, sizeof(body));
	seal(store, STORE_BATCH, store->next_sequence, sizeof(body));
	batch->last_sequence = store->next_sequence - 1;
	return 0;
}

void
store_drop_batch(struct store *store)
{
	struct store_batch *batch = &store->batch;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < batch->effect_count; i++)
		cursors_unreserve(&store->cursors, batch->effects[i].cursor);
	pthread_mutex_unlock(&store->lock);
	batch->effect_count = 0;
	batch->used = 0;
}

/* How much of the last room a record may take; see store.h. */
enum need {
	NEED_ROOM,  /* what adds to the journal: none of it */
	NEED_STATE, /* a session or a bridge comes or goes: half */
	NEED_LITTLE /* what makes room: all */
};

static enum need
need_of(uint8_t kind)
{
	switch (kind) {
	case STORE_RELEASED:
	case STORE_RECEIVED:
		return NEED_LITTLE;
	case STORE_BRIDGE:
	case STORE_SESSION:
	case STORE_LEAVE:
	case STORE_UNSUBSCRIBE:
		return NEED_STATE;
	default:
		return NEED_ROOM;
	}
}

/*
 * The last segment that there is, or what is left of it once it is begun, is
 * kept for those who come to take what waits for them.
 */
static bool
has_last_room(const struct store *store, uint64_t bytes, uint64_t left,
    uint64_t available, enum need need)
{
	if (available >= 1)
		return true;
	return bytes <= left &&
	    (need == NEED_LITTLE ||
		left - bytes >= store->spec.segment_bytes / 2);
}

static int
may_append(struct store *store, uint64_t bytes, enum need kind)
{
	const struct store_batch *batch = &store->batch;
	uint64_t available, left = 0, need;
	int err = 0;

	need = batch->used + bytes + STORE_TERMINATOR;
	if (batch->used == 0)
		need += store_record_bytes(sizeof(struct store_batch_body));
	if (STORE_PAGE + need > store->spec.segment_bytes)
		return -EAGAIN;

	pthread_mutex_lock(&store->lock);
	available = store->available;
	if (store->active != NULL && !store->is_broken)
		left = store->active->size - store->active->end;
	if (store->error != 0 && store->error != -ENOSPC)
		err = -EIO;
	else if (kind != NEED_ROOM)
		err = has_last_room(store, need, left, available, kind)
		    ? 0
		    : -ENOSPC;
	else
		err = available >= (need <= left ? 1 : 2) ? 0 : -ENOSPC;
	pthread_mutex_unlock(&store->lock);
	return err;
}

/* Everything that may fail before a record of `length` is put together. */
static int
prepare(struct store *store, uint64_t length, size_t effects, enum need need)
{
	uint64_t bytes = store_record_bytes(length);
	int err;

	if (length > store->spec.segment_bytes / STORE_BODY_SHARE)
		return -EMSGSIZE;
	err = may_append(store, bytes, need);
	if (err == 0)
		err = store_begin_batch(store);
	if (err == 0)
		err = reserve_batch(&store->batch, bytes);
	if (err == 0)
		err = reserve_effects(&store->batch, effects);
	return err;
}

static void
finish(struct store *store, uint8_t kind, uint64_t length)
{
	seal(store, kind, store->next_sequence, length);
	store->batch.last_sequence = store->next_sequence++;
}

static void
add_effect(struct store *store, const struct store_effect *effect)
{
	struct store_batch *batch = &store->batch;
	struct store_effect *added = &batch->effects[batch->effect_count++];

	*added = *effect;
	added->sequence = store->next_sequence;
	added->offset = batch->used;
}

static int
reserve_deliveries(struct store *store, const struct store_message *message)
{
	int err = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < message->delivery_count && err == 0; i++)
		err = cursors_reserve_delivery(
		    &store->cursors, message->deliveries[i].cursor);
	pthread_mutex_unlock(&store->lock);
	return err;
}

int
store_append_message(struct store *store, const struct store_message *message,
    uint64_t *out_sequence)
{
	uint64_t length = store_message_size(message);
	int err;

	err = prepare(store, length, message->delivery_count, NEED_ROOM);
	if (err == 0)
		err = reserve_deliveries(store, message);
	if (err != 0)
		return err;

	for (size_t i = 0; i < message->delivery_count; i++)
		add_effect(store,
		    &(struct store_effect){
			.kind = STORE_MESSAGE,
			.is_first = i == 0,
			.cursor = message->deliveries[i].cursor,
			.bytes = length,
		    });
	store_message_write(message, next_body(&store->batch));
	*out_sequence = store->next_sequence;
	finish(store, STORE_MESSAGE, length);
	return 0;
}

struct store_mark
store_mark(const struct store *store)
{
	return (struct store_mark){
		.next_sequence = store->next_sequence,
		.last_sequence = store->batch.last_sequence,
		.used = store->batch.used,
		.effect_count = store->batch.effect_count,
	};
}

/* For a MESSAGE nothing is reserved but room that stays. */
void
store_take_back(struct store *store, const struct store_mark *mark)
{
	struct store_batch *batch = &store->batch;

	BUG_ON(batch->used < mark->used);
	for (size_t i = mark->effect_count; i < batch->effect_count; i++)
		BUG_ON(batch->effects[i].kind != STORE_MESSAGE);
	store->next_sequence = mark->next_sequence;
	batch->last_sequence = mark->last_sequence;
	batch->used = mark->used;
	batch->effect_count = mark->effect_count;
}

static int
reserve_done(struct store *store, const struct store_done *list, size_t count)
{
	int err = 0;

	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < count && err == 0; i++)
		err = cursors_reserve_done(&store->cursors, list[i].cursor);
	pthread_mutex_unlock(&store->lock);
	return err;
}

static int
append_done(struct store *store, const struct store_done *list, size_t count)
{
	size_t length = store_done_size(count);
	int err;

	err = prepare(store, length, count, NEED_LITTLE);
	if (err == 0)
		err = reserve_done(store, list, count);
	if (err != 0)
		return err;

	for (size_t i = 0; i < count; i++)
		add_effect(store,
		    &(struct store_effect){ .kind = STORE_DONE,
			.cursor = list[i].cursor,
			.done = list[i] });
	store_done_write(list, count, next_body(&store->batch));
	finish(store, STORE_DONE, length);
	return 0;
}

int
store_append_done(
    struct store *store, const struct store_done *list, size_t count)
{
	size_t part;
	int err;

	for (; count > 0; list += part, count -= part) {
		part = count < DONE_ENTRIES ? count : DONE_ENTRIES;
		err = append_done(store, list, part);
		if (err != 0)
			return err;
	}
	return 0;
}

static int
append_cursor(struct store *store, uint8_t kind, uint64_t cursor)
{
	int err;

	err = prepare(store, STORE_CURSOR_BYTES, 1,
	    kind == STORE_CLOSE ? NEED_LITTLE : NEED_STATE);
	if (err == 0 && kind == STORE_OPEN) {
		pthread_mutex_lock(&store->lock);
		err = cursors_reserve_open(&store->cursors, cursor);
		pthread_mutex_unlock(&store->lock);
	}
	if (err != 0)
		return err;

	add_effect(
	    store, &(struct store_effect){ .kind = kind, .cursor = cursor });
	store_cursor_write(cursor, next_body(&store->batch));
	finish(store, kind, STORE_CURSOR_BYTES);
	return 0;
}

int
store_append_open(struct store *store, uint64_t cursor)
{
	return append_cursor(store, STORE_OPEN, cursor);
}

int
store_append_close(struct store *store, uint64_t cursor)
{
	return append_cursor(store, STORE_CLOSE, cursor);
}

int
store_append(struct store *store, uint8_t kind, struct slice body,
    uint64_t *out_sequence)
{
	int err;

	BUG_ON(kind < STORE_START);
	err = prepare(store, body.len, 0, need_of(kind));
	if (err != 0)
		return err;
	if (body.len > 0)
		memcpy(next_body(&store->batch), body.data, body.len);
	*out_sequence = store->next_sequence;
	finish(store, kind, body.len);
	return 0;
}
