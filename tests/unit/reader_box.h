/* SPDX-License-Identifier: Apache-2.0 */

/*
 * reader_box - a store in its box (store_box.h), a reader of it, and what
 * reading gave.
 *
 *	begin(BOX_SEGMENT)	a store, and a reader
 *	read_from(7, 0)		all that waits for cursor 7
 *	end()
 */

#ifndef WEIR_TESTS_UNIT_READER_BOX_H
#define WEIR_TESTS_UNIT_READER_BOX_H

#include "tests/unit/store_box.h"

#define ALL 100000u

/* What reading gave. */
static struct {
	struct store_reader *reader;
	uint64_t sequences[BOX_TOLD];
	size_t count, bytes;
	uint64_t upto;
	size_t stop_at; /* the n-th call says so; 0: none */
	int stop_with;
	void (*amidst)(void); /* called by each */
	size_t damages;
	uint64_t damaged_sequence, damaged_bytes;
	char damaged_file[STORE_NAME_MAX];
} got;

static inline int
take(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	ck_assert_uint_eq(delivery->cursor, *(uint64_t *)arg);
	ck_assert_uint_eq(message->delivery_count, 1);
	ck_assert_ptr_eq(message->deliveries, delivery);
	ck_assert(slice_equal_string(message->topic, "a/b"));
	ck_assert_uint_lt(got.count, BOX_TOLD);
	if (got.amidst != NULL)
		got.amidst();
	if (got.stop_at == got.count + 1)
		return got.stop_with;
	got.sequences[got.count++] = sequence;
	got.bytes += message->payload.len;
	return 0;
}

static inline void
take_damage(void *context, const struct store_damage *damage)
{
	ck_assert_ptr_eq(context, &got);
	got.damages++;
	got.damaged_sequence = damage->first_sequence;
	got.damaged_bytes = damage->bytes;
	snprintf(
	    got.damaged_file, sizeof(got.damaged_file), "%s", damage->file);
}

/* From now on; the reader that was is of a store that was. */
static inline void
new_reader(void)
{
	got.reader = store_reader_new(box.store);
	ck_assert_ptr_nonnull(got.reader);
	store_on_damage(box.store, take_damage, &got);
}

static inline void
crash(enum store_sim_loss loss)
{
	store_reader_free(got.reader);
	box_crash(loss);
	new_reader();
}

static inline void
restart(void)
{
	crash(STORE_SIM_KILL);
}

static inline void
begin(uint64_t segment_bytes)
{
	memset(&got, 0, sizeof(got));
	box_open(1);
	box.segment_bytes = segment_bytes;
	box.max_bytes = 64 * segment_bytes;
	new_reader();
	restart();
}

static inline void
end(void)
{
	store_reader_free(got.reader);
	box_close();
}

static inline int
try_read(uint64_t cursor, uint64_t from, size_t messages, size_t bytes)
{
	got.count = got.bytes = 0;
	got.upto = UINT64_MAX;
	return store_read(got.reader, cursor, from, messages, bytes, take,
	    &cursor, &got.upto);
}

static inline void
read_from(uint64_t cursor, uint64_t from)
{
	ck_assert_int_eq(try_read(cursor, from, ALL, SIZE_MAX), 0);
	ck_assert_uint_eq(got.upto, store_committed(box.store));
}

#endif
