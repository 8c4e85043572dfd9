/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store_twin.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store_twin_private.h"
#include "tests/unit/unit_memory.h"

/* Turns of a keeper that never comes to rest. */
#define MAX_TURNS 10000u

/* A rest that is as good as none. */
#define REST_NS UINT64_C(1000000)

void
twin_init(struct twin *twin, uint64_t seed, uint64_t segment_bytes,
    uint64_t max_bytes, bool is_synced)
{
	*twin = (struct twin){
		.seed = seed,
		.dice = seed,
		.sim = store_sim_new(seed),
		.next_value = 1,
		.next_cursor = 1,
	};
	twin->spec = (struct store_spec){
		.io = store_sim_io(twin->sim),
		.segment_bytes = segment_bytes,
		.max_bytes = max_bytes,
		.is_synced = is_synced,
	};
}

uint64_t
twin_dice(struct twin *twin, uint64_t bound)
{
	return store_sim_dice(&twin->dice, bound);
}

void
twin_close(struct twin *twin)
{
	store_reader_free(twin->reader);
	store_close(twin->store);
	twin->reader = NULL;
	twin->store = NULL;
	if (store_sim_open_files(twin->sim) != 0)
		ck_abort_msg(
		    "seed %" PRIu64 ": files are left open", twin->seed);
}

void
twin_crash(struct twin *twin, enum store_sim_loss loss)
{
	twin->is_calm = !twin->has_failed && twin->ops.count == 0;
	twin_close(twin);
	store_sim_cut(twin->sim, loss);
	if (loss == STORE_SIM_LOSE_ALL || loss == STORE_SIM_LOSE_SOME)
		twin->loses = true;
}

void
twin_power_on(struct twin *twin, enum store_sim_loss loss)
{
	twin->is_calm = false;
	twin_close(twin);
	store_sim_power_on(twin->sim);
	if (loss == STORE_SIM_LOSE_ALL || loss == STORE_SIM_LOSE_SOME)
		twin->loses = true;
}

static void
void_ops(struct twin *twin, const struct model_ops *ops, size_t from)
{
	for (size_t i = from; i < ops->count; i++)
		if (ops->list[i].kind == MODEL_MESSAGE)
			twin->messages.list[ops->list[i].number - 1].is_void =
			    true;
}

void
twin_drop_ghosts(struct twin *twin)
{
	struct twin_ghost *ghost;

	while (twin->ghosts != NULL) {
		ghost = twin->ghosts;
		twin->ghosts = ghost->next;
		void_ops(twin, &ghost->ops, 0);
		free(ghost->ops.list);
		free(ghost);
	}
}

void
twin_keep_ghost(struct twin *twin, struct twin_ghost *ghost, size_t count)
{
	void_ops(twin, &ghost->ops, count);
	ghost->ops.count = 0;
	twin_drop_ghosts(twin);
}

void
twin_drop_ops(struct twin *twin, size_t from)
{
	void_ops(twin, &twin->ops, from);
	twin->ops.count = from;
}

void
twin_fini(struct twin *twin)
{
	twin_close(twin);
	twin_drop_ghosts(twin);
	model_fini(&twin->model);
	free(twin->messages.list);
	free(twin->ops.list);
	free(twin->told.messages);
	store_sim_free(twin->sim);
}

void
twin_committed(const struct twin *twin, struct model *out_model)
{
	*out_model = (struct model){ 0 };
	model_copy(out_model, &twin->model);
	for (size_t i = 0; i < twin->committed; i++)
		model_apply(out_model, &twin->messages, &twin->ops.list[i]);
}

/* ---- the batch ----------------------------------------------------------- */

int
twin_message(struct twin *twin, const uint64_t *cursors, unsigned fanout,
    uint32_t payload_length, uint8_t key)
{
	struct model_message *message = model_messages_add(&twin->messages);
	struct model_op op = { .kind = MODEL_MESSAGE,
		.number = message->number };
	int err;

	message->fanout = (uint8_t)fanout;
	message->payload_length = payload_length;
	message->key = key;
	message->value = twin->next_value++;
	for (unsigned i = 0; i < fanout; i++)
		message->cursors[i] = cursors[i];
	err = store_append_message(
	    twin->store, model_message_build(message), &message->sequence);
	if (err == 0 && message->sequence <= twin->highest)
		ck_abort_msg("seed %" PRIu64 ": sequence %" PRIu64
			     " is used twice",
		    twin->seed, message->sequence);
	if (err == 0)
		model_ops_add(&twin->ops, &op);
	else
		message->is_void = true;
	return err;
}

int
twin_done(struct twin *twin, uint64_t cursor, uint64_t sequence, uint64_t floor)
{
	struct model_op op = { .kind = MODEL_DONE,
		.done = { cursor, sequence, floor } };
	int err = store_append_done(twin->store, &op.done, 1);

	if (err == 0)
		model_ops_add(&twin->ops, &op);
	return err;
}

int
twin_open_cursor(struct twin *twin, uint64_t *out_cursor)
{
	struct model_op op = { .kind = MODEL_OPEN,
		.done = { .cursor = twin->next_cursor } };
	int err = store_append_open(twin->store, twin->next_cursor);

	if (err != 0)
		return err;
	model_ops_add(&twin->ops, &op);
	*out_cursor = twin->next_cursor++;
	return 0;
}

int
twin_close_cursor(struct twin *twin, uint64_t cursor)
{
	struct model_op op = { .kind = MODEL_CLOSE,
		.done = { .cursor = cursor } };
	int err = store_append_close(twin->store, cursor);

	if (err == 0)
		model_ops_add(&twin->ops, &op);
	return err;
}

int
twin_state(struct twin *twin, uint8_t key)
{
	struct model_op op = {
		.kind = MODEL_STATE, .key = key, .value = twin->next_value++
	};
	uint8_t body[MODEL_STATE_MAX];
	uint64_t sequence;
	int err;

	err = store_append(twin->store, STORE_SUBSCRIBE,
	    slice_of(body, model_state_write(key, op.value, body)), &sequence);
	if (err == 0)
		model_ops_add(&twin->ops, &op);
	return err;
}

static void
keep_ghost(struct twin *twin)
{
	struct twin_ghost *ghost;

	if (twin->ops.count == twin->committed)
		return;
	ghost = unit_new(sizeof(*ghost));
	for (size_t i = twin->committed; i < twin->ops.count; i++)
		model_ops_add(&ghost->ops, &twin->ops.list[i]);
	ghost->next = twin->ghosts;
	twin->ghosts = ghost;
	twin->ops.count = twin->committed;
}

/*
 * What was committed without a sync may be lost now, even if what comes later
 * is kept; nobody was told more than that a delivery is over.
 */
static void
doubt(struct twin *twin)
{
	const struct model_op *op;

	for (size_t i = 0; i < twin->committed; i++) {
		op = &twin->ops.list[i];
		if (op->kind == MODEL_DONE)
			model_apply_unsure(&twin->model, &twin->messages, op);
		else
			model_apply(&twin->model, &twin->messages, op);
	}
	twin->ops.count = twin->committed = twin->synced = 0;
}

/* Behind a commit that was synced there is no more way back. */
static void
fold(struct twin *twin)
{
	for (size_t i = 0; i < twin->synced; i++)
		model_apply(&twin->model, &twin->messages, &twin->ops.list[i]);
	model_ops_drop_front(&twin->ops, twin->synced);
	twin->committed -= twin->synced;
	twin->synced = 0;
}

int
twin_commit(struct twin *twin, bool must_sync)
{
	int err = store_commit(twin->store, must_sync);

	if (err != 0) {
		twin->has_failed = true;
		keep_ghost(twin);
		doubt(twin);
		return err;
	}
	twin_drop_ghosts(twin);
	if (store_committed(twin->store) > twin->highest)
		twin->highest = store_committed(twin->store);
	twin->committed = twin->ops.count;
	if (must_sync || !twin->spec.is_synced)
		twin->synced = twin->committed;
	fold(twin);
	return 0;
}

/* ---- the keeper ---------------------------------------------------------- */

void
twin_tend(struct twin *twin)
{
	for (unsigned turn = 0; turn < MAX_TURNS; turn++)
		if (store_tend(twin->store) >= REST_NS)
			return;
	ck_abort_msg("seed %" PRIu64 ": the keeper never rests", twin->seed);
}

static int
put_key(struct twin *twin, struct store_checkpoint *checkpoint, uint8_t key)
{
	uint8_t body[MODEL_STATE_MAX];
	struct model now;
	uint32_t value;

	twin_committed(twin, &now);
	value = now.values[key];
	model_fini(&now);
	if (value == 0)
		return 0;
	if (value > twin->put[key])
		twin->put[key] = value;
	return store_checkpoint_put(checkpoint, STORE_RETAINED,
	    slice_of(body, model_state_write(key, value, body)));
}

int
twin_checkpoint(struct twin *twin, void (*between)(struct twin *twin))
{
	struct store_checkpoint *checkpoint;
	int err = store_checkpoint_begin(twin->store, &checkpoint);

	if (err != 0)
		return err;
	for (uint8_t key = 0; key < MODEL_KEYS && err == 0; key++) {
		err = put_key(twin, checkpoint, key);
		if (between != NULL)
			between(twin);
	}
	if (err == 0)
		err = store_checkpoint_end(checkpoint);
	if (err != 0)
		store_checkpoint_abort(checkpoint);
	return err;
}
