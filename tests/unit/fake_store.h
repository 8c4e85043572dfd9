/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fake_store - the store's functions as the commit calls them, on paper.
 *
 * A test includes it and is linked with it instead of with broker/store.  It
 * can hold a commit, let it or an append fail, and look at what there is.
 * All under one lock; any thread.
 */

#ifndef WEIR_TESTS_UNIT_FAKE_STORE_H
#define WEIR_TESTS_UNIT_FAKE_STORE_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store.h"
#include "tests/unit/unit.h"

#define FAKE_RECORDS 65536
#define FAKE_DELIVERIES 8

struct fake_record {
	uint8_t kind;
	uint64_t sequence;
	uint64_t cursor; /* of OPEN, CLOSE, the first DONE */
	struct store_message message;
	uint8_t bytes[64]; /* topic and payload, or the body */
	struct store_delivery deliveries[FAKE_DELIVERIES];
	uint32_t identifiers[FAKE_DELIVERIES];
	size_t count; /* of DONE */
};

static struct store {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct fake_record records[FAKE_RECORDS];
	size_t appended, committed, synced;
	unsigned commits, syncs, probes, refused;
	bool holds; /* commits wait */
	bool is_in_commit;
	int commit_error; /* for all commits */
	int append_error; /* for messages and state */
	int done_error;   /* for DONE and CLOSE */
	uint64_t poison;  /* this record's append fails, once */
	size_t room;      /* of a batch, in records; 0: no end */
	int state;
	bool wants_checkpoint;
	unsigned checkpoints, aborts;
	int checkpoint_error;
	int read_error; /* after read_limit messages */
	size_t read_limit;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

static inline void
fake_reset(void)
{
	fake.appended = fake.committed = fake.synced = 0;
	fake.commits = fake.syncs = fake.probes = fake.refused = 0;
	fake.holds = fake.is_in_commit = fake.wants_checkpoint = false;
	fake.commit_error = fake.append_error = fake.done_error = 0;
	fake.state = fake.checkpoint_error = fake.read_error = 0;
	fake.checkpoints = fake.aborts = 0;
	fake.poison = 0;
	fake.room = 0;
	fake.read_limit = SIZE_MAX;
}

static inline void
fake_lock(void)
{
	pthread_mutex_lock(&fake.lock);
}

static inline void
fake_unlock(void)
{
	pthread_cond_broadcast(&fake.changed);
	pthread_mutex_unlock(&fake.lock);
}

/* Until `condition` holds. */
#define FAKE_WAIT(condition)                                                   \
	do {                                                                   \
		fake_lock();                                                   \
		while (!(condition))                                           \
			pthread_cond_wait(&fake.changed, &fake.lock);          \
		fake_unlock();                                                 \
	} while (0)

#define FAKE_SET(assignment)                                                   \
	do {                                                                   \
		fake_lock();                                                   \
		assignment;                                                    \
		fake_unlock();                                                 \
	} while (0)

/* ---- the writer -------------------------------------------------------- */

/* Lock held. */
static inline struct fake_record *
fake_append(uint8_t kind)
{
	struct fake_record *record = &fake.records[fake.appended];

	ck_assert_uint_lt(fake.appended, FAKE_RECORDS);
	memset(record, 0, sizeof(*record));
	fake.appended++;
	record->kind = kind;
	record->sequence = fake.appended;
	return record;
}

static inline int
fake_refuses(int error)
{
	fake.refused += error != 0;
	if (error == 0 && fake.poison == fake.appended + 1) {
		fake.poison = 0;
		return -ENOSPC;
	}
	if (error == 0 && fake.room != 0 &&
	    fake.appended - fake.committed >= fake.room)
		return -EAGAIN;
	return error;
}

static inline void
fake_fill(struct fake_record *record, const struct store_message *message)
{
	size_t ids = 0;

	record->message = *message;
	ck_assert_uint_le(message->delivery_count, FAKE_DELIVERIES);
	ck_assert_uint_le(message->topic.len, 32);
	ck_assert_uint_le(message->payload.len, 32);
	memcpy(record->bytes, message->topic.data, message->topic.len);
	if (message->payload.len != 0)
		memcpy(record->bytes + 32, message->payload.data,
		    message->payload.len);
	record->message.topic.data = record->bytes;
	record->message.payload.data = record->bytes + 32;
	for (size_t i = 0; i < message->delivery_count; i++) {
		record->deliveries[i] = message->deliveries[i];
		record->deliveries[i].identifiers = record->identifiers + ids;
		for (size_t j = 0; j < message->deliveries[i].identifier_count;
		     j++)
			record->identifiers[ids++] =
			    message->deliveries[i].identifiers[j];
	}
	record->message.deliveries = record->deliveries;
}

int
store_append_message(struct store *store, const struct store_message *message,
    uint64_t *out_sequence)
{
	struct fake_record *record;
	int err;

	(void)store;
	fake_lock();
	err = fake_refuses(fake.append_error);
	if (err == 0) {
		record = fake_append(STORE_MESSAGE);
		fake_fill(record, message);
		*out_sequence = record->sequence;
	}
	fake_unlock();
	return err;
}

struct store_mark
store_mark(const struct store *store)
{
	struct store_mark mark;

	(void)store;
	fake_lock();
	mark = (struct store_mark){ .used = fake.appended };
	fake_unlock();
	return mark;
}

void
store_take_back(struct store *store, const struct store_mark *mark)
{
	(void)store;
	fake_lock();
	ck_assert_uint_ge(mark->used, fake.committed);
	ck_assert_uint_ge(fake.appended, mark->used);
	fake.appended = mark->used;
	fake_unlock();
}

int
store_append_done(
    struct store *store, const struct store_done *list, size_t count)
{
	struct fake_record *record;
	int err;

	(void)store;
	fake_lock();
	err = fake_refuses(fake.done_error);
	if (err == 0) {
		record = fake_append(STORE_DONE);
		record->cursor = list[0].cursor;
		record->count = count;
	}
	fake_unlock();
	return err;
}

static inline int
fake_append_cursor(uint8_t kind, uint64_t cursor, int error)
{
	int err;

	fake_lock();
	err = fake_refuses(error);
	if (err == 0)
		fake_append(kind)->cursor = cursor;
	fake_unlock();
	return err;
}

int
store_append_open(struct store *store, uint64_t cursor)
{
	(void)store;
	return fake_append_cursor(STORE_OPEN, cursor, fake.append_error);
}

int
store_append_close(struct store *store, uint64_t cursor)
{
	(void)store;
	return fake_append_cursor(STORE_CLOSE, cursor, fake.done_error);
}

int
store_append(struct store *store, uint8_t kind, struct slice body,
    uint64_t *out_sequence)
{
	struct fake_record *record;
	int err;

	(void)store;
	fake_lock();
	err = fake_refuses(fake.append_error);
	if (err == 0) {
		record = fake_append(kind);
		record->count = body.len;
		memcpy(record->bytes, body.data,
		    body.len < sizeof(record->bytes) ? body.len
						     : sizeof(record->bytes));
		*out_sequence = record->sequence;
	}
	fake_unlock();
	return err;
}

int
store_commit(struct store *store, bool must_sync)
{
	int err;

	(void)store;
	fake_lock();
	fake.is_in_commit = true;
	pthread_cond_broadcast(&fake.changed);
	while (fake.holds)
		pthread_cond_wait(&fake.changed, &fake.lock);
	fake.is_in_commit = false;
	err = fake.commit_error;
	if (fake.appended == fake.committed)
		fake.probes++;
	else
		fake.commits++;
	if (err != 0)
		fake.appended = fake.committed;
	fake.committed = fake.appended;
	if (err == 0 && must_sync) {
		fake.syncs++;
		fake.synced = fake.committed;
	}
	fake_unlock();
	return err;
}

int
store_state(const struct store *store)
{
	int state;

	(void)store;
	fake_lock();
	state = fake.state;
	fake_unlock();
	return state;
}

void
store_stat(struct store *store, struct store_stat *out_stat)
{
	(void)store;
	fake_lock();
	*out_stat = (struct store_stat){
		.commits = fake.commits,
		.syncs = fake.syncs,
		.appended_bytes = 100 * fake.committed,
	};
	fake_unlock();
}

/* ---- the keeper -------------------------------------------------------- */

uint64_t
store_tend(struct store *store)
{
	(void)store;
	return UINT64_MAX;
}

void
store_on_work(struct store *store, void (*wake)(void *arg), void *arg)
{
	(void)store;
	(void)wake;
	(void)arg;
}

bool
store_wants_checkpoint(const struct store *store)
{
	bool wants;

	(void)store;
	fake_lock();
	wants = fake.wants_checkpoint;
	fake_unlock();
	return wants;
}

int
store_checkpoint_begin(
    struct store *store, struct store_checkpoint **out_checkpoint)
{
	*out_checkpoint = (struct store_checkpoint *)(void *)store;
	return 0;
}

int
store_checkpoint_end(struct store_checkpoint *checkpoint)
{
	int err;

	(void)checkpoint;
	fake_lock();
	err = fake.checkpoint_error;
	if (err == 0) {
		fake.checkpoints++;
		fake.wants_checkpoint = false;
	}
	fake_unlock();
	return err;
}

void
store_checkpoint_abort(struct store_checkpoint *checkpoint)
{
	(void)checkpoint;
	FAKE_SET(fake.aborts++);
}

/* ---- the reader -------------------------------------------------------- */

struct store_reader *
store_reader_new(struct store *store)
{
	return (struct store_reader *)(void *)store;
}

void
store_reader_free(struct store_reader *reader)
{
	(void)reader;
}

static inline int
fake_give(const struct fake_record *record, uint64_t cursor,
    int (*each)(void *arg, uint64_t sequence,
	const struct store_message *message,
	const struct store_delivery *delivery),
    void *arg)
{
	for (size_t i = 0; i < record->message.delivery_count; i++)
		if (record->deliveries[i].cursor == cursor)
			return each(arg, record->sequence, &record->message,
			    &record->deliveries[i]);
	return 1;
}

int
store_read(struct store_reader *reader, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes,
    int (*each)(void *arg, uint64_t sequence,
	const struct store_message *message,
	const struct store_delivery *delivery),
    void *arg, uint64_t *out_upto)
{
	size_t given = 0;
	int err = 0, got;

	(void)reader;
	(void)max_bytes;
	fake_lock();
	for (; err == 0 && from <= fake.committed; from++) {
		if (fake.records[from - 1].kind != STORE_MESSAGE)
			continue;
		if (given == fake.read_limit)
			err = fake.read_error;
		if (given == max_messages || err != 0)
			break;
		got = fake_give(&fake.records[from - 1], cursor, each, arg);
		given += got == 0;
		err = got < 0 ? got : 0;
	}
	*out_upto = from - 1;
	fake_unlock();
	return err;
}

#endif
