/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_box - a store on a simulated disk, and what its recovery told.
 *
 *	box_open(1)		an empty disk, and a store on it
 *	box_message(...)	committed at once, unless box.gathers
 *	box_restart()		the process dies and a new one recovers
 */

#ifndef WEIR_TESTS_UNIT_STORE_BOX_H
#define WEIR_TESTS_UNIT_STORE_BOX_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/store_private.h"
#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define BOX_TOLD 4096u
#define BOX_SEGMENT STORE_MIN_SEGMENT

static struct {
	struct store_sim *sim;
	struct store *store;
	uint64_t segment_bytes;
	uint64_t max_bytes;
	bool gathers; /* the caller commits */

	/* Told by the last recovery. */
	size_t states, messages, damages, tails, opened, closed, dones;
	uint8_t kinds[BOX_TOLD];
	uint64_t sequences[BOX_TOLD]; /* of `kinds` */
	char bodies[BOX_TOLD][16];    /* of `kinds`, cut */
	uint64_t message_sequences[BOX_TOLD];
	size_t covered;
	uint64_t covered_last;
	char damaged_file[STORE_NAME_MAX];
	char kept_as[STORE_NAME_MAX];
	char what[64];
	uint64_t progress_done, progress_total;
} box;

static int
box_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	(void)context;
	ck_assert_uint_lt(box.states, BOX_TOLD);
	box.kinds[box.states] = kind;
	box.sequences[box.states] = sequence;
	snprintf(box.bodies[box.states], sizeof(box.bodies[0]), "%.*s",
	    (int)body.len, (const char *)body.data);
	box.states++;
	return 0;
}

static int
box_told_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	(void)context;
	(void)message;
	ck_assert_uint_lt(box.messages, BOX_TOLD);
	box.message_sequences[box.messages++] = sequence;
	return 0;
}

static int
box_told_covered(
    void *context, uint64_t sequence, const struct store_message *message)
{
	(void)context;
	(void)message;
	ck_assert_uint_gt(sequence, box.covered_last);
	ck_assert_uint_eq(box.messages, 0);
	box.covered++;
	box.covered_last = sequence;
	return 0;
}

static int
box_told_done(void *context, const struct store_done *done)
{
	(void)context;
	(void)done;
	box.dones++;
	return 0;
}

static int
box_told_opened(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	box.opened++;
	return 0;
}

static int
box_told_closed(void *context, uint64_t cursor)
{
	(void)context;
	(void)cursor;
	box.closed++;
	return 0;
}

static void
box_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_le(done, total);
	box.progress_done = done;
	box.progress_total = total;
}

static void
box_damaged(void *context, const struct store_damage *damage)
{
	(void)context;
	if (damage->is_torn_tail) {
		box.tails++;
		return;
	}
	box.damages++;
	snprintf(
	    box.damaged_file, sizeof(box.damaged_file), "%s", damage->file);
	snprintf(box.kept_as, sizeof(box.kept_as), "%s",
	    damage->kept_as == NULL ? "" : damage->kept_as);
	snprintf(box.what, sizeof(box.what), "%s", damage->what);
}

static const struct store_sink box_sink = {
	.state = box_state,
	.message = box_told_message,
	.covered = box_told_covered,
	.done = box_told_done,
	.opened = box_told_opened,
	.closed = box_told_closed,
	.progress = box_progress,
	.damaged = box_damaged,
};

static inline int
box_try_open(bool is_read_only)
{
	const struct store_spec spec = {
		.io = store_sim_io(box.sim),
		.segment_bytes = box.segment_bytes,
		.max_bytes = box.max_bytes,
		.is_synced = true,
		.is_read_only = is_read_only,
	};

	box.states = box.messages = box.damages = box.tails = 0;
	box.opened = box.closed = box.dones = 0;
	box.covered = box.covered_last = 0;
	box.damaged_file[0] = box.kept_as[0] = box.what[0] = '\0';
	box.store = NULL;
	return store_open(&spec, &box_sink, &box.store);
}

static inline void
box_open(uint64_t seed)
{
	memset(&box, 0, sizeof(box));
	box.sim = store_sim_new(seed);
	box.segment_bytes = BOX_SEGMENT;
	box.max_bytes = 64 * BOX_SEGMENT;
	ck_assert_int_eq(box_try_open(false), 0);
}

static inline void
box_close(void)
{
	store_close(box.store);
	ck_assert_uint_eq(store_sim_open_files(box.sim), 0);
	store_sim_free(box.sim);
}

/* The process dies, or the power fails, and a new life begins. */
static inline void
box_crash(enum store_sim_loss loss)
{
	store_close(box.store);
	store_sim_cut(box.sim, loss);
	ck_assert_int_eq(box_try_open(false), 0);
}

static inline void
box_restart(void)
{
	box_crash(STORE_SIM_KILL);
}

static inline void
box_commit(void)
{
	if (!box.gathers)
		ck_assert_int_eq(store_commit(box.store, true), 0);
}

/* To `count` cursors, into the batch. */
static inline int
box_try_message(const uint64_t *cursors, size_t count, size_t length,
    uint64_t *out_sequence)
{
	static uint8_t payload[16384];
	struct store_delivery deliveries[16] = { 0 };
	const struct store_message message = {
		.qos = 1,
		.source.link = UINT32_MAX,
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("a/b"),
		.payload = slice_of(payload, length),
		.deliveries = deliveries,
		.delivery_count = count,
	};

	ck_assert_uint_le(count, 16);
	ck_assert_uint_le(length, sizeof(payload));
	for (size_t i = 0; i < count; i++) {
		deliveries[i].cursor = cursors[i];
		deliveries[i].qos = 1;
	}
	return store_append_message(box.store, &message, out_sequence);
}

/* Its sequence. */
static inline uint64_t
box_message(const uint64_t *cursors, size_t count, size_t length)
{
	uint64_t sequence = 0;

	ck_assert_int_eq(box_try_message(cursors, count, length, &sequence), 0);
	box_commit();
	return sequence;
}

static inline uint64_t
box_to(uint64_t cursor)
{
	return box_message(&cursor, 1, 10);
}

static inline void
box_open_cursor(uint64_t cursor)
{
	ck_assert_int_eq(store_append_open(box.store, cursor), 0);
	box_commit();
}

static inline void
box_close_cursor(uint64_t cursor)
{
	ck_assert_int_eq(store_append_close(box.store, cursor), 0);
	box_commit();
}

static inline void
box_done(uint64_t cursor, uint64_t sequence, uint64_t floor)
{
	const struct store_done done = {
		.cursor = cursor, .sequence = sequence, .floor = floor
	};

	ck_assert_int_eq(store_append_done(box.store, &done, 1), 0);
	box_commit();
}

static inline uint64_t
box_put_state(uint8_t kind, const char *body)
{
	uint64_t sequence = 0;

	ck_assert_int_eq(
	    store_append(box.store, kind, slice_of_string(body), &sequence), 0);
	box_commit();
	return sequence;
}

/* A checkpoint with one record of state. */
static inline void
box_checkpoint(const char *body)
{
	struct store_checkpoint *checkpoint = NULL;

	ck_assert_int_eq(store_checkpoint_begin(box.store, &checkpoint), 0);
	ck_assert_int_eq(store_checkpoint_put(
			     checkpoint, STORE_SESSION, slice_of_string(body)),
	    0);
	ck_assert_int_eq(store_checkpoint_end(checkpoint), 0);
}

/* What is queued for a cursor; UINT64_MAX: it is not there. */
static inline uint64_t
box_queued(uint64_t number)
{
	const struct cursor *cursor = cursors_find(&box.store->cursors, number);
	uint64_t bytes;

	return cursor == NULL ? UINT64_MAX : cursor_queued(cursor, &bytes);
}

static inline bool
box_is_over(uint64_t cursor, uint64_t sequence)
{
	return cursors_is_over(&box.store->cursors, cursor, sequence);
}

/* Until it rests. */
static inline void
box_tend(void)
{
	unsigned turns = 0;

	while (store_tend(box.store) == 0)
		ck_assert_uint_lt(turns++, 10000);
}

/* How many files have a name with this in it. */
static inline size_t
box_files(const char *part)
{
	size_t count = 0;
	const char *name;

	for (size_t i = 0; (name = store_sim_name(box.sim, i)) != NULL; i++)
		if (strstr(name, part) != NULL)
			count++;
	return count;
}

/* The first file whose name has this in it; NULL: there is none. */
static inline const char *
box_file(const char *part)
{
	const char *name;

	for (size_t i = 0; (name = store_sim_name(box.sim, i)) != NULL; i++)
		if (strstr(name, part) != NULL)
			return name;
	return NULL;
}

static inline void
box_flip(const char *name, uint64_t at)
{
	size_t size;
	const uint8_t *bytes = store_sim_bytes(box.sim, name, &size);
	uint8_t byte;

	ck_assert_msg(bytes != NULL && at < size, "%s", name);
	byte = bytes[at] ^ 0x10;
	store_sim_damage(box.sim, name, at, &byte, 1);
}

#endif
