/* SPDX-License-Identifier: Apache-2.0 */

/*
 * top_model - what `weirctl top` shows: rings with rates and a history.
 *
 * Fed with one snapshot after another (common/ring/ring_inspect.h); rows are
 * then sorted and filtered as wanted:
 *
 *	top_model_update(model, &views, now_ns);
 *	for (size_t i = 0; (row = top_model_row(model, i)) != NULL; i++)
 *		draw(row);
 *
 * The history has one character for each second: the worst state that was
 * seen in it.  No clock and no screen in here.
 */

#ifndef WEIR_CTL_TOP_MODEL_H
#define WEIR_CTL_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_inspect.h"

#define TOP_HISTORY 60 /* seconds */
#define TOP_NOT_SEEN ' '

enum top_sort {
	TOP_SORT_NAME,
	TOP_SORT_STATE, /* the worst first, as all below: the most first */
	TOP_SORT_FILL,
	TOP_SORT_USED,
	TOP_SORT_IN,
	TOP_SORT_OUT,
	TOP_SORT_LAG,
	TOP_SORTS
};

struct top_row {
	uint8_t instance[16];
	char name[sizeof(((struct ring_view *)0)->name)];
	char held_by[sizeof(((struct ring_view *)0)->held_by)];
	enum ring_state state;
	uint64_t used, capacity, max_capacity, high_water; /* bytes */
	uint64_t in_rate, out_rate; /* messages a second, since the last look */
	uint64_t lag_ns;
	char history[TOP_HISTORY]; /* the newest last; no NUL */

	/* Private to the model. */
	uint64_t messages_in, messages_out;
	uint64_t second; /* of the newest character */
};

/* How the lanes shown are, taken together; filtered ones do not count. */
struct top_sum {
	size_t lanes;
	size_t blocked;
	size_t gone; /* with a process gone */
};

struct top_model;

/* NULL without memory. */
struct top_model *top_model_new(void);
void top_model_free(struct top_model *model);

/*
 * Take the next snapshot.  A lane that is in it no more is forgotten, with
 * its history.  Returns 0 or -ENOMEM; rows are then as before.
 */
int top_model_update(
    struct top_model *model, const struct ring_views *views, uint64_t now_ns);

/* Order from now on: by name at first.  reverse() turns any order round. */
void top_model_sort(struct top_model *model, enum top_sort sort);
void top_model_reverse(struct top_model *model);
bool top_model_is_reversed(const struct top_model *model);
enum top_sort top_model_sorted_by(const struct top_model *model);

/* Show lanes with `text` in name, state or holder, in any case; "": all. */
void top_model_filter(struct top_model *model, const char *text);
const char *top_model_filtered_by(const struct top_model *model);

/* Row `index` in order; NULL beyond the last. */
const struct top_row *top_model_row(
    const struct top_model *model, size_t index);
struct top_sum top_model_sum(const struct top_model *model);

/* 'i' and "in" for TOP_SORT_IN; a word that is none gives TOP_SORTS. */
char top_sort_key(enum top_sort sort);
const char *top_sort_name(enum top_sort sort);
enum top_sort top_sort_of(const char *name);

/* The character of a state in a history. */
char top_state_mark(enum ring_state state);

#endif
