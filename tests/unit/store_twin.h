/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_twin - a store on a simulated disk beside a model of it.
 *
 * Each twin_* call does the same to both.  After a crash twin_open() finds out
 * how much of what was appended the store has again.  That must be all that
 * was committed, in order, and of the rest a beginning: nothing that was not
 * appended, nothing twice, and no cursor ahead of what was done.
 *
 *	twin_message(), twin_done() ...	into the batch
 *	twin_commit()			returns what the store did
 *	twin_crash(), twin_open()		a kill or a power cut, and back
 *	twin_check()			what is committed, by each cursor
 *
 * What is wrong ends the test, with twin->seed in the text.  One thread.
 */

#ifndef WEIR_TESTS_UNIT_STORE_TWIN_H
#define WEIR_TESTS_UNIT_STORE_TWIN_H

#include "tests/unit/store_model.h"
#include "tests/unit/store_sim.h"

/* What was appended and failed, and may be found after a crash all the same:
 * until the store could write again, the disk may have it. */
struct twin_ghost {
	struct model_ops ops;
	struct twin_ghost *next;
};

/* What the store told when it was opened. */
struct twin_told {
	uint32_t values[MODEL_KEYS];
	uint64_t last_sequence;
	uint32_t *messages; /* numbers, in the order they came */
	size_t message_count, message_room;
	unsigned torn, damaged; /* reports */
	bool has_left_checkpoint;
	const char *wrong; /* NULL: nothing was */
};

struct twin {
	uint64_t seed, dice;
	struct store_sim *sim;
	struct store_spec spec;
	struct store *store; /* NULL: it is not open */
	struct store_reader *reader;
	struct twin_told told;

	struct model model; /* behind what is folded */
	struct model_messages messages;
	struct model_ops ops;     /* what came behind that */
	size_t committed, synced; /* of ops */
	uint64_t highest;         /* sequence that was ever committed */
	struct twin_ghost *ghosts;
	uint64_t next_cursor;
	uint32_t next_value;
	uint32_t put[MODEL_KEYS]; /* the newest in a checkpoint */
	bool loses;               /* the crash was one that loses */
	bool has_failed;          /* ever: a tail may be torn */
	bool is_calm;             /* nothing can be torn */
	bool has_trouble;         /* for the test: the disk fails at times */
};

/* A disk without a store yet; the store's limits as given. */
void twin_init(struct twin *twin, uint64_t seed, uint64_t segment_bytes,
    uint64_t max_bytes, bool is_synced);
void twin_fini(struct twin *twin);

/* 0, or what store_open() said; then the twin is as it was before. */
int twin_open(struct twin *twin);

/* The same while the `nth` call of a kind fails; none does later. */
int twin_open_with_fault(
    struct twin *twin, enum store_sim_call call, uint64_t nth);

/* As a broker that ends does it: without a commit. */
void twin_close(struct twin *twin);

/*
 * The same with files that were damaged: what is told and read is checked
 * message by message, but not for what is missing.  Two that open with the
 * same state, and the same messages waiting, have the same print.
 */
int twin_open_damaged(struct twin *twin, uint64_t *out_print);

/* Open it and close it, whatever comes of it: the power may fail meanwhile. */
void twin_open_in_vain(struct twin *twin);

/* Closed, then: killed, or without power. */
void twin_crash(struct twin *twin, enum store_sim_loss loss);

/* The same, behind a cut that the disk was told to make. */
void twin_power_on(struct twin *twin, enum store_sim_loss loss);

/* All return what the store did; then the model has it too. */
int twin_message(struct twin *twin, const uint64_t *cursors, unsigned fanout,
    uint32_t payload_length, uint8_t key);
int twin_done(
    struct twin *twin, uint64_t cursor, uint64_t sequence, uint64_t floor);
int twin_open_cursor(struct twin *twin, uint64_t *out_cursor);
int twin_close_cursor(struct twin *twin, uint64_t cursor);
int twin_state(struct twin *twin, uint8_t key);
int twin_commit(struct twin *twin, bool must_sync);

/* The keeper's turns, until it would rest; bounded. */
void twin_tend(struct twin *twin);

/* `between` is called between any two keys, if it is not NULL. */
int twin_checkpoint(struct twin *twin, void (*between)(struct twin *twin));

/* Compare what is committed; nothing may be in the batch. */
void twin_check(struct twin *twin);

/* What is committed, as a model of its own; model_fini() it. */
void twin_committed(const struct twin *twin, struct model *out_model);

uint64_t twin_dice(struct twin *twin, uint64_t bound);

#endif
