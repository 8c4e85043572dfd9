/* SPDX-License-Identifier: Apache-2.0 */

/*
 * merge_box - a store in its box (store_box.h), a cursor for which a little
 * waits everywhere, and one for which nothing does.
 */

#ifndef WEIR_TESTS_UNIT_MERGE_BOX_H
#define WEIR_TESTS_UNIT_MERGE_BOX_H

#include "tests/unit/store_box.h"

#define SLOW 7u /* a cursor for which much waits, a little everywhere */
#define FAST 8u

#define SLOW_MAX 600u

/* What waits for the slow one. */
static struct {
	uint64_t sequences[SLOW_MAX];
	size_t count;
} slow;

/* What reading gave. */
static struct {
	uint64_t sequences[SLOW_MAX];
	size_t count;
	void (*amidst)(void);
} got;

static inline void
begin(uint64_t seed)
{
	memset(&slow, 0, sizeof(slow));
	memset(&got, 0, sizeof(got));
	box_open(seed);
	box_open_cursor(SLOW);
	box_open_cursor(FAST);
}

static inline void
to_slow(size_t length)
{
	const uint64_t cursor = SLOW;

	ck_assert_uint_lt(slow.count, SLOW_MAX);
	slow.sequences[slow.count++] = box_message(&cursor, 1, length);
}

/* `count` for the fast one, which are over at once. */
static inline void
to_fast(unsigned count)
{
	const uint64_t cursor = FAST;
	uint64_t last = 0;

	for (unsigned i = 0; i < count; i++)
		last = box_message(&cursor, 1, 1000);
	box_done(FAST, last, last);
}

/* Segments with one message each that is waited for, and all is covered. */
static inline void
sparse(unsigned segments)
{
	for (unsigned i = 0; i < segments; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
}

static inline int
take(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)arg;
	ck_assert_uint_eq(delivery->cursor, SLOW);
	ck_assert_uint_eq(message->delivery_count, 1);
	ck_assert_uint_lt(got.count, SLOW_MAX);
	got.sequences[got.count++] = sequence;
	if (got.amidst != NULL)
		got.amidst();
	return 0;
}

/* All that waits for the slow one is there, in order, and nothing else. */
static inline void
check_slow(void)
{
	struct store_reader *reader = store_reader_new(box.store);
	uint64_t upto = 0;

	got.count = 0;
	ck_assert_int_eq(
	    store_read(reader, SLOW, 0, SLOW_MAX, SIZE_MAX, take, NULL, &upto),
	    0);
	store_reader_free(reader);
	ck_assert_uint_eq(upto, store_committed(box.store));
	ck_assert_uint_eq(got.count, slow.count);
	ck_assert_mem_eq(got.sequences, slow.sequences,
	    slow.count * sizeof(slow.sequences[0]));
	ck_assert_uint_eq(box_queued(SLOW), slow.count);
}

static inline size_t
merged_files(void)
{
	uint64_t first, merged_last;
	size_t count = 0;
	const char *name;

	for (size_t i = 0; (name = store_sim_name(box.sim, i)) != NULL; i++)
		if (segment_name_parse(name, &first, &merged_last) &&
		    merged_last != 0)
			count++;
	return count;
}

/* That the store knows of. */
static inline size_t
merged_segments(void)
{
	const struct segment *segment;
	size_t count = 0;

	for (size_t i = 0; i < box.store->segment_count; i++)
		count += box.store->segments[i]->merged_last != 0;
	for (segment = box.store->leaving; segment != NULL;
	     segment = segment->next)
		count += segment->merged_last != 0;
	return count;
}

/* A life, and a segment, of one message. */
static inline void
live_once(size_t length)
{
	to_slow(length);
	box_checkpoint("one");
	box_checkpoint("two");
	box_restart();
}

#endif
