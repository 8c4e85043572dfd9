/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A store and a model of it, side by side, through anything.
 *
 * WEIR_SEED: the first seed.  WEIR_ROUNDS: how many, one after the other.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/store_twin.h"
#include "tests/unit/unit.h"

#define SEGMENT_BYTES (UINT64_C(64) << 10)
#define MAX_BYTES (UINT64_C(1) << 20)
#define STEPS 400u
#define TRIES 20u

static uint64_t
from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static struct model_cursor *
any_cursor(struct twin *twin, struct model *now)
{
	if (now->cursor_count == 0)
		return NULL;
	return &now->cursors[twin_dice(twin, now->cursor_count)];
}

static uint64_t
sequence_of(const struct twin *twin, uint32_t number)
{
	return twin->messages.list[number - 1].sequence;
}

/* ---- steps --------------------------------------------------------------- */

/* To cursors that are open, and now and then to one that never was. */
static void
step_publish(struct twin *twin, struct model *now)
{
	uint64_t cursors[MODEL_FANOUT], key = twin_dice(twin, 3 * MODEL_KEYS);
	uint32_t length =
	    (uint32_t)twin_dice(twin, UINT64_C(1) << (3 + twin_dice(twin, 10)));
	unsigned fanout = 0,
		 wanted = (unsigned)twin_dice(twin, MODEL_FANOUT + 1);

	for (size_t i = 0; i < now->cursor_count && fanout < wanted; i++)
		if (twin_dice(twin, now->cursor_count) < wanted)
			cursors[fanout++] = now->cursors[i].cursor;
	if (fanout == 0 && twin_dice(twin, 8) == 0 && twin->next_cursor > 1)
		cursors[fanout++] = 1 + twin_dice(twin, twin->next_cursor - 1);
	if (twin_dice(twin, 40) == 0)
		length = MODEL_PAYLOAD_MAX;
	twin_message(twin, cursors, fanout, length,
	    (uint8_t)(key < MODEL_KEYS ? key : MODEL_KEYS));
}

static void
step_done(struct twin *twin, struct model *now)
{
	struct model_cursor *cursor = any_cursor(twin, now);

	if (cursor != NULL && cursor->count != 0)
		twin_done(twin, cursor->cursor,
		    sequence_of(
			twin, cursor->waiting[twin_dice(twin, cursor->count)]),
		    0);
}

/* Everything up to some message, or to the end. */
static void
step_floor(struct twin *twin, struct model *now)
{
	struct model_cursor *cursor = any_cursor(twin, now);
	size_t at;

	if (cursor == NULL || cursor->count == 0)
		return;
	at = twin_dice(twin, 2) == 0 ? cursor->count - 1
				     : twin_dice(twin, cursor->count);
	twin_done(
	    twin, cursor->cursor, 0, sequence_of(twin, cursor->waiting[at]));
}

static void
step_open(struct twin *twin, struct model *now)
{
	uint64_t cursor;

	if (now->cursor_count < 6)
		twin_open_cursor(twin, &cursor);
}

static void
step_close(struct twin *twin, struct model *now)
{
	if (now->cursor_count > 2)
		twin_close_cursor(twin, any_cursor(twin, now)->cursor);
}

static void
step_state(struct twin *twin, struct model *now)
{
	(void)now;
	twin_state(twin, (uint8_t)twin_dice(twin, MODEL_KEYS));
}

static void
step_commit(struct twin *twin, struct model *now)
{
	(void)now;
	twin_commit(twin, true);
}

/* What is over is committed without a sync: nobody waits for it. */
static void
step_finish(struct twin *twin, struct model *now)
{
	if (twin->ops.count != twin->committed)
		twin_commit(twin, true);
	step_done(twin, now);
	if (twin_dice(twin, 2) == 0)
		step_floor(twin, now);
	twin_commit(twin, false);
}

static void
step_tend(struct twin *twin, struct model *now)
{
	(void)now;
	twin_tend(twin);
}

static void
commit_in_between(struct twin *twin)
{
	if (twin_dice(twin, 3) != 0)
		return;
	twin_state(twin, (uint8_t)twin_dice(twin, MODEL_KEYS));
	twin_commit(twin, true);
}

static void
step_checkpoint(struct twin *twin, struct model *now)
{
	(void)now;
	twin_checkpoint(twin, commit_in_between);
}

static void
no_trouble(struct twin *twin)
{
	store_sim_heal(twin->sim);
	store_sim_cut_at(twin->sim, UINT64_MAX, STORE_SIM_LOSE_ALL);
}

static void
step_check(struct twin *twin, struct model *now)
{
	(void)now;
	no_trouble(twin);
	if (twin->ops.count == twin->committed)
		twin_check(twin);
}

/*
 * A start in which something fails: it ends, or serves as if nothing had.
 * Not a read: what cannot be read is damage, and lost.
 */
static bool
open_with_fault(struct twin *twin)
{
	static const enum store_sim_call calls[] = { STORE_SIM_OPEN,
		STORE_SIM_WRITE, STORE_SIM_SYNC, STORE_SIM_RENAME,
		STORE_SIM_REMOVE, STORE_SIM_SYNC_DIRECTORY };

	return twin_open_with_fault(
		   twin, calls[twin_dice(twin, 6)], twin_dice(twin, 24)) == 0;
}

static void
open_again(struct twin *twin)
{
	int err = twin_open(twin);

	if (err != 0)
		ck_abort_msg("seed %" PRIu64 ": open: %d", twin->seed, err);
}

static void
step_crash(struct twin *twin, struct model *now)
{
	enum store_sim_loss loss = (enum store_sim_loss)twin_dice(twin, 4);

	(void)now;
	if (!twin->spec.is_synced)
		loss = STORE_SIM_KILL;
	no_trouble(twin);
	twin_crash(twin, loss);
	while (twin->has_trouble && twin_dice(twin, 2) == 0)
		if (open_with_fault(twin))
			return;
	open_again(twin);
}

static const struct {
	unsigned odds;
	void (*take)(struct twin *twin, struct model *now);
} steps[] = {
	{ 400, step_publish },
	{ 150, step_done },
	{ 60, step_floor },
	{ 10, step_open },
	{ 5, step_close },
	{ 60, step_state },
	{ 150, step_commit },
	{ 50, step_finish },
	{ 100, step_tend },
	{ 10, step_checkpoint },
	{ 30, step_check },
	{ 8, step_crash },
};

static void
take_any_step(struct twin *twin)
{
	struct model now;
	unsigned all = 0, rolled;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		all += steps[i].odds;
	rolled = (unsigned)twin_dice(twin, all);
	twin_committed(twin, &now);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (rolled < steps[i].odds) {
			if (!store_sim_is_off(twin->sim))
				steps[i].take(twin, &now);
			break;
		}
		rolled -= steps[i].odds;
	}
	model_fini(&now);
	if (store_sim_used(twin->sim) > twin->spec.max_bytes)
		ck_abort_msg(
		    "seed %" PRIu64 ": larger than it may be", twin->seed);
}

/* The power goes in some call, or a call fails, once or for a while. */
static void
plan_trouble(struct twin *twin)
{
	static const enum store_sim_call calls[] = { STORE_SIM_OPEN,
		STORE_SIM_WRITE, STORE_SIM_SYNC, STORE_SIM_ALLOCATE,
		STORE_SIM_RENAME, STORE_SIM_REMOVE, STORE_SIM_SYNC_DIRECTORY };
	uint64_t dice = twin_dice(twin, 200);

	if (dice < 2 && twin->spec.is_synced)
		store_sim_cut_at(
		    twin->sim, twin_dice(twin, 40), STORE_SIM_LOSE_SOME);
	else if (dice < 10)
		store_sim_fail(twin->sim, calls[twin_dice(twin, 7)],
		    twin_dice(twin, 10), twin_dice(twin, 2) ? -EIO : -ENOSPC,
		    twin_dice(twin, 2));
	else if (dice < 14)
		store_sim_break(
		    twin->sim, twin_dice(twin, 10), 1 + twin_dice(twin, 12));
	else if (dice < 40)
		store_sim_heal(twin->sim);
}

/* When all is over, the journal gives its room back. */
static void
must_take_messages_again(struct twin *twin)
{
	struct model now;
	int err = -1;

	for (unsigned i = 0; i < TRIES && err != 0; i++) {
		twin_commit(twin, true);
		twin_committed(twin, &now);
		for (size_t j = 0; j < now.cursor_count; j++)
			twin_done(twin, now.cursors[j].cursor, 0,
			    store_committed(twin->store));
		model_fini(&now);
		twin_commit(twin, true);
		twin_checkpoint(twin, NULL);
		twin_tend(twin);
		err = twin_message(twin, NULL, 0, 8000, 1);
		if (twin_commit(twin, true) != 0)
			err = -1;
	}
	if (err != 0)
		ck_abort_msg("seed %" PRIu64 ": it stays full or ill: %d",
		    twin->seed, err);
}

static void
run(uint64_t seed, bool has_trouble, bool is_synced)
{
	struct twin twin;

	twin_init(&twin, seed, SEGMENT_BYTES, MAX_BYTES, is_synced);
	twin.has_trouble = has_trouble;
	open_again(&twin);
	for (unsigned i = 0; i < STEPS; i++) {
		if (has_trouble)
			plan_trouble(&twin);
		take_any_step(&twin);
		if (!store_sim_is_off(twin.sim))
			continue;
		no_trouble(&twin);
		twin_power_on(&twin, STORE_SIM_LOSE_SOME);
		open_again(&twin);
	}
	no_trouble(&twin);
	must_take_messages_again(&twin);
	twin_check(&twin);
	twin_fini(&twin);
}

static void
run_all(bool has_trouble, bool is_synced)
{
	uint64_t seed = from_environment("WEIR_SEED", 1);
	uint64_t count = from_environment("WEIR_ROUNDS", 100);

	for (uint64_t i = 0; i < count; i++)
		run(seed + i, has_trouble, is_synced);
	printf("# seeds %" PRIu64 " to %" PRIu64 "\n", seed, seed + count - 1);
}

START_TEST(is_its_model_on_a_good_disk)
{
	run_all(false, true);
}
END_TEST

START_TEST(is_its_model_on_a_disk_that_fails)
{
	run_all(true, true);
}
END_TEST

START_TEST(is_its_model_without_syncs_as_long_as_the_power_stays)
{
	run_all(true, false);
}
END_TEST

/* A batch whose sync fails stays behind the end of its file; then another. */
static void
fail_batch(struct twin *twin, uint64_t cursor)
{
	store_sim_fail(twin->sim, STORE_SIM_SYNC, 0, -EIO, false);
	ck_assert_int_eq(twin_message(twin, &cursor, 1, 100, MODEL_KEYS), 0);
	ck_assert_int_eq(twin_commit(twin, true), -EIO);
	store_sim_heal(twin->sim);
	ck_assert_int_eq(twin_commit(twin, true), 0);
}

static void
commit_for(struct twin *twin, uint64_t cursor)
{
	ck_assert_int_eq(twin_message(twin, &cursor, 1, 100, MODEL_KEYS), 0);
	ck_assert_int_eq(twin_commit(twin, true), 0);
}

static void
commit_done(struct twin *twin, uint64_t cursor)
{
	ck_assert_int_eq(
	    twin_done(twin, cursor, 0, store_committed(twin->store)), 0);
	ck_assert_int_eq(twin_commit(twin, true), 0);
}

/*
 * Three segments, each ended by a batch that failed.  The middle one, whose
 * header said where the first ends, is taken away: the list says it now.
 */
static void
lose_a_header(struct twin *twin)
{
	uint64_t stays, leaves;

	ck_assert_int_eq(twin_open_cursor(twin, &stays), 0);
	ck_assert_int_eq(twin_open_cursor(twin, &leaves), 0);
	commit_for(twin, stays);
	fail_batch(twin, stays);
	commit_for(twin, leaves);
	fail_batch(twin, stays);
	commit_for(twin, stays);
	commit_done(twin, leaves);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(twin_checkpoint(twin, NULL), 0);
		commit_for(twin, stays);
	}
	twin_tend(twin);
}

START_TEST(no_start_brings_back_what_was_refused)
{
	unsigned ended = 0;
	struct twin twin;

	twin_init(&twin, 1, SEGMENT_BYTES, MAX_BYTES, true);
	open_again(&twin);
	lose_a_header(&twin);
	for (unsigned nth = 0; nth < 20; nth++) {
		twin_crash(&twin, STORE_SIM_KILL);
		if (twin_open_with_fault(&twin, STORE_SIM_OPEN, nth) == 0)
			continue;
		ended++;
		open_again(&twin);
	}
	ck_assert_uint_ne(ended, 0);
	twin_check(&twin);
	twin_fini(&twin);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_model");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(
	    tc, (double)(20 + from_environment("WEIR_ROUNDS", 0)));
	tcase_add_test(tc, is_its_model_on_a_good_disk);
	tcase_add_test(tc, is_its_model_on_a_disk_that_fails);
	tcase_add_test(
	    tc, is_its_model_without_syncs_as_long_as_the_power_stays);
	tcase_add_test(tc, no_start_brings_back_what_was_refused);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
