/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the store has, against what it must have.
 *
 * Behind what must be there in any case there may be a beginning of what was
 * under way: each length of it is tried, and then of each batch that failed.
 */

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store_cursors.h"
#include "common/base/bug.h"
#include "tests/unit/store_twin_private.h"

/* Deliveries that a count may be too high by, see store_cursors.h. */
#define COUNTED_LATE STORE_MARK_EVERY

/* ---- comparing ----------------------------------------------------------- */

static bool
is_over(const struct twin_seen_cursor *cursor, uint64_t sequence)
{
	for (size_t i = 0; i < cursor->over_count; i++)
		if (cursor->over[i] == sequence)
			return true;
	return sequence <= cursor->floor;
}

static bool
is_unsure(const struct model_cursor *model, uint32_t number)
{
	for (size_t i = 0; i < model->unsure_count; i++)
		if (model->unsure[i] == number)
			return true;
	return false;
}

/* Must what was seen here be over?  Nothing else may be passed over. */
static bool
may_wait(const struct twin_seen_cursor *seen, const struct model_cursor *model,
    size_t at)
{
	return is_over(seen, seen->messages[at].sequence) ||
	    is_unsure(model, seen->messages[at].number);
}

/* A floor within a segment is counted a few too few, never too many. */
static bool
counts_right(
    const struct twin_seen_cursor *seen, const struct model_cursor *model)
{
	return seen->queued >= model->count &&
	    seen->queued <= model->count + model->unsure_count + COUNTED_LATE;
}

/* NULL, or how the cursor differs from the model's. */
static const char *
compare_cursor(struct twin *twin, const struct twin_seen_cursor *seen,
    const struct model_cursor *model)
{
	size_t at = 0;
	uint64_t sequence;

	if (!counts_right(seen, model))
		return "a cursor counts another number of deliveries";
	for (size_t i = 0; i < model->count; i++) {
		sequence = twin->messages.list[model->waiting[i] - 1].sequence;
		if (is_over(seen, sequence))
			return "a delivery is over that was not done";
		while (at < seen->count &&
		    seen->messages[at].number != model->waiting[i])
			if (!may_wait(seen, model, at++))
				return "a delivery that was done waits";
		if (at++ == seen->count)
			return "a message is lost";
	}
	for (; at < seen->count; at++)
		if (!may_wait(seen, model, at))
			return "a delivery that was done waits still";
	/* Ahead of what a power cut left of it: see put_upto(). */
	if (seen->floor > twin->highest)
		return "a floor is ahead of the journal";
	return NULL;
}

static const char *
compare_cursors(struct twin_seen *seen, const struct model *model)
{
	const struct model_cursor *expected;
	const char *wrong = NULL;

	if (seen->count != model->cursor_count)
		return "another number of cursors is open";
	for (size_t i = 0; i < seen->count && wrong == NULL; i++) {
		expected = model_find(model, seen->cursors[i].cursor);
		wrong = expected == NULL
		    ? "another cursor is open"
		    : compare_cursor(seen->twin, &seen->cursors[i], expected);
	}
	if (store_next_cursor(seen->twin->store) <= model->largest_cursor)
		return "the next cursor's number was used before";
	return wrong;
}

/*
 * State in a checkpoint may be newer than the journal behind it, if commits
 * that nobody waited for were lost.
 */
static const char *
compare_values(const struct twin *twin, const struct model *model)
{
	uint32_t told;

	for (unsigned key = 0; key < MODEL_KEYS; key++) {
		told = twin->told.values[key];
		if (told == model->values[key] ||
		    (twin->loses && told > model->values[key] &&
			told <= twin->put[key]))
			continue;
		return told < model->values[key] ? "state is lost"
						 : "state is ahead";
	}
	return NULL;
}

/* Every message behind the checkpoint was told, up to `last`. */
static const char *
compare_told(const struct twin *twin, uint64_t checkpoint, uint64_t last)
{
	const struct model_message *message;
	size_t at = 0;

	for (size_t i = 0; i < twin->messages.count; i++) {
		message = &twin->messages.list[i];
		if (message->is_void || message->sequence <= checkpoint ||
		    message->sequence > last)
			continue;
		if (at == twin->told.message_count ||
		    twin->told.messages[at] != message->number)
			return "a message behind the checkpoint was not told";
		at++;
	}
	return at == twin->told.message_count
	    ? NULL
	    : "a message is told that is not there";
}

/* ---- how much of it is there? -------------------------------------------- */

struct search {
	struct twin_seen seen;
	struct model model;   /* the candidate */
	size_t told_in_doubt; /* messages that might have been lost */
	const char *first_wrong;
};

static bool
was_told(const struct twin *twin, uint32_t number)
{
	for (size_t i = twin->told.message_count; i-- != 0;)
		if (twin->told.messages[i] == number)
			return true;
	return false;
}

/* How many messages of these were told. */
static size_t
count_told(const struct twin *twin, const struct model_ops *ops, size_t from,
    size_t upto)
{
	size_t count = 0;

	for (size_t i = from; i < upto; i++)
		count += ops->list[i].kind == MODEL_MESSAGE &&
		    was_told(twin, ops->list[i].number);
	return count;
}

/* All messages of the first `upto` were told, and no other in doubt. */
static const char *
compare_tail(const struct twin *twin, const struct search *search,
    const struct model_ops *ops, size_t from, size_t upto)
{
	size_t messages = 0;

	for (size_t i = from; i < upto; i++)
		messages += ops->list[i].kind == MODEL_MESSAGE;
	if (count_told(twin, ops, from, upto) != messages ||
	    messages != search->told_in_doubt)
		return "not the first ones survived";
	return NULL;
}

static bool
fits(struct twin *twin, struct search *search, const struct model_ops *ops,
    size_t from, size_t upto)
{
	const char *wrong = compare_values(twin, &search->model);

	if (wrong == NULL)
		wrong = compare_tail(twin, search, ops, from, upto);

	if (wrong == NULL)
		wrong = compare_cursors(&search->seen, &search->model);
	if (search->first_wrong == NULL)
		search->first_wrong = wrong;
	return wrong == NULL;
}

/* Of these from `from` on, how many; SIZE_MAX: it cannot be. */
static size_t
search_ops(struct twin *twin, struct search *search,
    const struct model_ops *ops, size_t from)
{
	for (size_t upto = from; upto <= ops->count; upto++) {
		if (upto > from)
			model_apply(&search->model, &twin->messages,
			    &ops->list[upto - 1]);
		if (fits(twin, search, ops, from, upto))
			return upto;
	}
	return SIZE_MAX;
}

static void
start_at(struct twin *twin, struct search *search, size_t count)
{
	model_copy(&search->model, &twin->model);
	for (size_t i = 0; i < count; i++)
		model_apply(
		    &search->model, &twin->messages, &twin->ops.list[i]);
}

/*
 * What was done without a sync: if that is lost, the delivery may wait again,
 * or it may be gone with a file that was used again meanwhile.
 */
static void
doubt_unsynced(const struct twin *twin, struct search *search, size_t from)
{
	for (size_t i = from; i < twin->committed; i++)
		if (twin->ops.list[i].kind == MODEL_DONE)
			model_apply_unsure(&search->model, &twin->messages,
			    &twin->ops.list[i]);
}

/* One of the batches that failed, or a part of it, may be there after all. */
static bool
search_ghosts(struct twin *twin, struct search *search)
{
	size_t found;

	for (struct twin_ghost *ghost = twin->ghosts; ghost != NULL;
	     ghost = ghost->next) {
		start_at(twin, search, twin->committed);
		found = search_ops(twin, search, &ghost->ops, 0);
		if (found == SIZE_MAX)
			continue;
		twin_drop_ops(twin, twin->committed);
		twin_keep_ghost(twin, ghost, found);
		return true;
	}
	return false;
}

static const struct twin_seen_cursor *
find_seen(const struct twin_seen *seen, uint64_t cursor)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->cursors[i].cursor == cursor)
			return &seen->cursors[i];
	return NULL;
}

static void
settle_unsure(struct model *model, const struct twin_seen *seen)
{
	const struct twin_seen_cursor *cursor;
	struct model_cursor *expected;

	for (size_t i = 0; i < model->cursor_count; i++) {
		expected = &model->cursors[i];
		cursor = find_seen(seen, expected->cursor);
		for (size_t j = 0; cursor != NULL && j < cursor->count; j++)
			if (!is_over(cursor, cursor->messages[j].sequence) &&
			    is_unsure(expected, cursor->messages[j].number))
				model_wait_again(
				    expected, cursor->messages[j].number);
		expected->unsure_count = 0;
	}
}

/* What did survive is the model's state from now on. */
static void
adopt(struct twin *twin, struct search *search)
{
	model_fini(&twin->model);
	twin->model = search->model;
	search->model = (struct model){ 0 };
	settle_unsure(&twin->model, &search->seen);
	memcpy(
	    twin->model.values, twin->told.values, sizeof(twin->told.values));
	twin->ops.count = twin->committed = twin->synced = 0;
	memset(twin->put, 0, sizeof(twin->put));
	twin->loses = false;
}

static void
find_what_survived(struct twin *twin)
{
	struct search search = { 0 };
	size_t lower = twin->loses ? twin->synced : twin->committed, found;
	struct store_stat stat;
	const char *wrong;

	twin_see(twin, &search.seen);
	search.told_in_doubt =
	    count_told(twin, &twin->ops, lower, twin->ops.count);
	for (const struct twin_ghost *ghost = twin->ghosts; ghost != NULL;
	     ghost = ghost->next)
		search.told_in_doubt +=
		    count_told(twin, &ghost->ops, 0, ghost->ops.count);
	start_at(twin, &search, lower);
	doubt_unsynced(twin, &search, lower);
	found = search_ops(twin, &search, &twin->ops, lower);
	if (found != SIZE_MAX) {
		twin_drop_ops(twin, found);
		twin_drop_ghosts(twin);
	} else if (!search_ghosts(twin, &search))
		twin_complain(twin, search.first_wrong, 0);
	adopt(twin, &search);
	twin_seen_fini(&search.seen);
	store_stat(twin->store, &stat);
	wrong =
	    compare_told(twin, stat.checkpoint_sequence, stat.last_sequence);
	if (wrong != NULL)
		twin_complain(twin, wrong, stat.checkpoint_sequence);
}

void
twin_open_in_vain(struct twin *twin)
{
	struct store_sink sink = twin_sink(twin);

	twin->told.last_sequence = 0;
	if (store_open(&twin->spec, &sink, &twin->store) != 0)
		twin->store = NULL;
	twin_close(twin);
}

/* What is told of a file that was not read is no damage of it. */
static int
open_it(struct twin *twin, bool has_fault)
{
	struct store_sink sink = twin_sink(twin);
	struct twin_told *told = &twin->told;
	int err;

	free(told->messages);
	*told = (struct twin_told){ 0 };
	err = store_open(&twin->spec, &sink, &twin->store);
	if (has_fault) {
		store_sim_heal(twin->sim);
		told->damaged = 0;
	}
	if (err != 0)
		return err;
	twin->reader = store_reader_new(twin->store);
	if (twin->reader == NULL)
		twin_complain(twin, "no reader", 0);
	if (told->wrong != NULL)
		twin_complain(twin, told->wrong, told->last_sequence);
	if (told->damaged != 0)
		twin_complain(
		    twin, "damage is told where none is", told->last_sequence);
	if (twin->is_calm && told->torn != 0)
		twin_complain(twin, "a torn tail is told where none is",
		    told->last_sequence);
	if (told->torn != 0)
		twin->has_failed = true;
	/* A commit that failed may be found all the same. */
	if (store_committed(twin->store) > twin->highest)
		twin->highest = store_committed(twin->store);
	find_what_survived(twin);
	twin->next_cursor = store_next_cursor(twin->store);
	return 0;
}

int
twin_open(struct twin *twin)
{
	return open_it(twin, false);
}

int
twin_open_with_fault(struct twin *twin, enum store_sim_call call, uint64_t nth)
{
	store_sim_fail(twin->sim, call, nth, -EIO, false);
	return open_it(twin, true);
}

/* What comes of it: each value, and what waits for each cursor. */
static uint64_t
fingerprint(struct twin *twin, const struct twin_seen *seen)
{
	uint64_t print = 0, of_cursor;
	const struct twin_seen_cursor *cursor;

	for (unsigned key = 0; key < MODEL_KEYS; key++)
		print = print * 1000003 + twin->told.values[key];
	for (size_t i = 0; i < seen->count; i++) {
		cursor = &seen->cursors[i];
		of_cursor = cursor->cursor;
		for (size_t j = 0; j < cursor->count; j++)
			if (!is_over(cursor, cursor->messages[j].sequence))
				of_cursor = of_cursor * 1000033 +
				    cursor->messages[j].number;
		print += store_sim_dice(&of_cursor, UINT64_MAX);
	}
	return print;
}

int
twin_open_damaged(struct twin *twin, uint64_t *out_print)
{
	struct store_sink sink = twin_sink(twin);
	struct twin_seen seen;
	int err;

	free(twin->told.messages);
	twin->told = (struct twin_told){ 0 };
	err = store_open(&twin->spec, &sink, &twin->store);
	if (err != 0)
		return err;
	twin->reader = store_reader_new(twin->store);
	if (twin->reader == NULL)
		twin_complain(twin, "no reader", 0);
	if (twin->told.wrong != NULL)
		twin_complain(twin, twin->told.wrong, twin->told.last_sequence);
	twin_see(twin, &seen);
	*out_print = fingerprint(twin, &seen);
	twin_seen_fini(&seen);
	return 0;
}

void
twin_check(struct twin *twin)
{
	struct model model;
	struct twin_seen seen;
	const char *wrong;

	BUG_ON(twin->ops.count != twin->committed);
	twin_committed(twin, &model);
	twin_see(twin, &seen);
	wrong = compare_cursors(&seen, &model);
	if (wrong != NULL)
		twin_complain(twin, wrong, store_committed(twin->store));
	twin_seen_fini(&seen);
	model_fini(&model);
}
