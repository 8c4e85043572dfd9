/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store_script.h"

#include <check.h>
#include <inttypes.h>

#define ROUNDS 20u
#define TURNS 5u
#define CURSORS 4u
#define TRIES 8u

struct script {
	struct twin *twin;
	uint64_t dice;
	uint64_t cursors[CURSORS]; /* 0: it could not be opened */
};

static uint64_t
roll(struct script *script, uint64_t bound)
{
	return store_sim_dice(&script->dice, bound);
}

static void
open_cursor(struct script *script, unsigned index)
{
	if (twin_open_cursor(script->twin, &script->cursors[index]) != 0)
		script->cursors[index] = 0;
}

/* Sizes from nothing to more than a page, and a few large ones. */
static void
publish(struct script *script)
{
	uint32_t length = (uint32_t)roll(script, 1u << (4 + roll(script, 9)));
	uint64_t first = roll(script, CURSORS);
	unsigned wanted = (unsigned)roll(script, MODEL_FANOUT + 1), fanout = 0;
	uint64_t cursors[MODEL_FANOUT], cursor;
	uint8_t key = (uint8_t)roll(script, 2 * MODEL_KEYS);

	if (roll(script, 12) == 0)
		length = MODEL_PAYLOAD_MAX - (uint32_t)roll(script, 100);
	for (unsigned i = 0; i < wanted; i++) {
		cursor = script->cursors[(first + i) % CURSORS];
		if (cursor != 0)
			cursors[fanout++] = cursor;
	}
	twin_message(script->twin, cursors, fanout, length,
	    key < MODEL_KEYS ? key : MODEL_KEYS);
}

static uint64_t
sequence_of(const struct twin *twin, uint32_t number)
{
	return twin->messages.list[number - 1].sequence;
}

/* Some that wait are over, not the first ones only; nobody waits for it. */
static void
finish_some(struct script *script)
{
	struct model_cursor *cursor;
	struct model now;
	uint64_t sequence;

	twin_committed(script->twin, &now);
	for (unsigned i = 0; i < 3 && now.cursor_count != 0; i++) {
		cursor = &now.cursors[roll(script, now.cursor_count)];
		if (cursor->count == 0)
			continue;
		sequence = sequence_of(
		    script->twin, cursor->waiting[roll(script, cursor->count)]);
		twin_done(script->twin, cursor->cursor, sequence, 0);
	}
	model_fini(&now);
	twin_commit(script->twin, false);
}

/* All but the last `left` of a cursor are over. */
static void
move_floor(struct script *script, unsigned index, size_t left)
{
	struct model_cursor *cursor;
	struct model now;

	twin_committed(script->twin, &now);
	cursor = model_find(&now, script->cursors[index]);
	if (cursor != NULL && cursor->count > left)
		twin_done(script->twin, cursor->cursor, 0,
		    sequence_of(script->twin,
			cursor->waiting[cursor->count - 1 - left]));
	model_fini(&now);
	twin_commit(script->twin, true);
}

static void
commit_in_between(struct twin *twin)
{
	if (twin_state(twin, (uint8_t)(twin->next_value % MODEL_KEYS)) == 0)
		twin_commit(twin, true);
}

static void
take_round(struct script *script, unsigned round)
{
	for (uint64_t i = roll(script, 6) + 1; i != 0; i--)
		publish(script);
	twin_state(script->twin, (uint8_t)roll(script, MODEL_KEYS));
	twin_commit(script->twin, true);
	if (round % 2 == 1)
		finish_some(script);
	if (round % 3 == 2)
		move_floor(script, round % CURSORS, 2);
	if (round % 7 == 6)
		twin_checkpoint(script->twin, commit_in_between);
	if (round % 2 == 0)
		twin_tend(script->twin);
	if (round == ROUNDS / 2) {
		if (script->cursors[1] != 0)
			twin_close_cursor(script->twin, script->cursors[1]);
		open_cursor(script, 1);
		twin_commit(script->twin, true);
	}
}

/* A segment is filled, most is over, and an older file is used again. */
static void
turn_over(struct script *script)
{
	struct twin *twin = script->twin;

	for (unsigned i = 0; i < 5; i++)
		if (script->cursors[i % CURSORS] != 0)
			twin_message(twin, &script->cursors[i % CURSORS], 1,
			    MODEL_PAYLOAD_MAX - i, MODEL_KEYS);
	twin_state(twin, (uint8_t)roll(script, MODEL_KEYS));
	twin_commit(twin, true);
	for (unsigned i = 0; i < CURSORS; i++)
		move_floor(script, i, 1);
	twin_checkpoint(twin, NULL);
	twin_tend(twin);
}

void
script_run(struct twin *twin)
{
	struct script script = { .twin = twin, .dice = 4711 };

	for (unsigned i = 0; i < CURSORS; i++)
		open_cursor(&script, i);
	twin_commit(twin, true);
	for (unsigned round = 0; round < ROUNDS; round++) {
		if (store_sim_is_off(twin->sim))
			return;
		take_round(&script, round);
	}
	for (unsigned turn = 0; turn < TURNS; turn++) {
		if (store_sim_is_off(twin->sim))
			return;
		turn_over(&script);
	}
}

void
script_goes_on(struct twin *twin)
{
	uint64_t cursor;
	int err = -1;

	for (unsigned i = 0; i < TRIES && err != 0; i++) {
		twin_commit(twin, true);
		twin_tend(twin);
		err = twin_open_cursor(twin, &cursor);
		if (err == 0)
			err = twin_message(twin, &cursor, 1, 100, 0);
		if (twin_commit(twin, true) != 0)
			err = -1;
	}
	if (err != 0)
		ck_abort_msg("seed %" PRIu64 ": it does not go on", twin->seed);
	twin_check(twin);
	twin_crash(
	    twin, twin->spec.is_synced ? STORE_SIM_LOSE_ALL : STORE_SIM_KILL);
	if (twin_open(twin) != 0)
		ck_abort_msg("seed %" PRIu64 ": no start", twin->seed);
}
