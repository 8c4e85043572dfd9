/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/top_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

#define FILTER_SIZE 64

struct top_model {
	struct top_row *row;
	size_t count;
	const struct top_row **shown; /* in order */
	size_t shown_count;
	enum top_sort sort;
	bool is_reversed;
	char filter[FILTER_SIZE];
	uint64_t updated_ns; /* 0: never */
};

static const struct {
	char key;
	const char *name;
} sorts[TOP_SORTS] = {
	[TOP_SORT_NAME] = { 'n', "name" },
	[TOP_SORT_STATE] = { 's', "state" },
	[TOP_SORT_FILL] = { 'f', "fill" },
	[TOP_SORT_USED] = { 'u', "used" },
	[TOP_SORT_IN] = { 'i', "in" },
	[TOP_SORT_OUT] = { 'o', "out" },
	[TOP_SORT_LAG] = { 'l', "lag" },
};

char
top_sort_key(enum top_sort sort)
{
	return sorts[sort].key;
}

const char *
top_sort_name(enum top_sort sort)
{
	return sorts[sort].name;
}

enum top_sort
top_sort_of(const char *name)
{
	unsigned i = 0;

	while (i < TOP_SORTS && strcmp(sorts[i].name, name) != 0)
		i++;
	return (enum top_sort)i;
}

char
top_state_mark(enum ring_state state)
{
	static const char marks[] = {
		[RING_IDLE] = '.',
		[RING_RUNNING] = '-',
		[RING_FLOW] = '~',
		[RING_BLOCKED] = '#',
		[RING_PEER_DEAD] = 'x',
		[RING_DETACHED] = 'o',
	};

	return marks[state];
}

struct top_model *
top_model_new(void)
{
	return calloc(1, sizeof(struct top_model));
}

void
top_model_free(struct top_model *model)
{
	if (model == NULL)
		return;
	free(model->row);
	free(model->shown);
	free(model);
}

/* ---- one lane -------------------------------------------------------------
 */

static uint64_t
rate(uint64_t now, uint64_t before, uint64_t elapsed_ns)
{
	if (now <= before || elapsed_ns == 0)
		return 0;
	return (uint64_t)((double)(now - before) * (double)CLOCK_SECOND_NS /
	    (double)elapsed_ns);
}

/* The states are listed from well to worst, but for their marks. */
static bool
is_worse(char mark, char than)
{
	static const char order[] = { TOP_NOT_SEEN, '.', '-', '~', '#', 'x',
		'o', '\0' };

	return strchr(order, mark) > strchr(order, than);
}

static void
note_state(struct top_row *row, uint64_t now_ns)
{
	const uint64_t second = now_ns / CLOCK_SECOND_NS;
	const char mark = top_state_mark(row->state);
	char *newest = &row->history[TOP_HISTORY - 1];
	uint64_t passed = second - row->second;

	if (passed == 0) {
		if (is_worse(mark, *newest))
			*newest = mark;
		return;
	}
	if (passed > TOP_HISTORY)
		passed = TOP_HISTORY;
	memmove(row->history, row->history + passed, TOP_HISTORY - passed);
	/* Seconds in which nobody looked. */
	memset(newest - passed + 1, TOP_NOT_SEEN, passed);
	*newest = mark;
	row->second = second;
}

/* What is kept of a lane from one look to the next. */
static struct top_row
begin_row(const struct ring_view *view, uint64_t now_ns)
{
	struct top_row row = {
		.messages_in = view->messages_in,
		.messages_out = view->messages_out,
		.second = now_ns / CLOCK_SECOND_NS,
	};

	memcpy(row.instance, view->instance, sizeof(row.instance));
	snprintf(row.name, sizeof(row.name), "%s", view->name);
	memset(row.history, TOP_NOT_SEEN, sizeof(row.history));
	return row;
}

static void
update_row(struct top_row *row, const struct ring_view *view, uint64_t now_ns,
    uint64_t elapsed_ns)
{
	row->state = view->state;
	row->used = view->used;
	row->capacity = view->capacity;
	row->max_capacity = view->max_capacity;
	row->high_water = view->high_water;
	row->lag_ns = view->lag_ns;
	row->in_rate = rate(view->messages_in, row->messages_in, elapsed_ns);
	row->out_rate = rate(view->messages_out, row->messages_out, elapsed_ns);
	row->messages_in = view->messages_in;
	row->messages_out = view->messages_out;
	snprintf(row->held_by, sizeof(row->held_by), "%s", view->held_by);
	note_state(row, now_ns);
}

static const struct top_row *
find_row(const struct top_model *model, const struct ring_view *view)
{
	for (size_t i = 0; i < model->count; i++) {
		if (strcmp(model->row[i].name, view->name) == 0 &&
		    memcmp(model->row[i].instance, view->instance,
			sizeof(view->instance)) == 0)
			return &model->row[i];
	}
	return NULL;
}

/* ---- order ----------------------------------------------------------------
 */

static double
fill_of(const struct top_row *row)
{
	return row->capacity == 0 ? 0
				  : (double)row->used / (double)row->capacity;
}

static int
compare_numbers(double a, double b)
{
	return (a < b) - (a > b); /* the greater first */
}

static int
compare_by(enum top_sort sort, const struct top_row *a, const struct top_row *b)
{
	switch (sort) {
	case TOP_SORT_STATE:
		return compare_numbers(a->state, b->state);
	case TOP_SORT_FILL:
		return compare_numbers(fill_of(a), fill_of(b));
	case TOP_SORT_USED:
		return compare_numbers((double)a->used, (double)b->used);
	case TOP_SORT_IN:
		return compare_numbers((double)a->in_rate, (double)b->in_rate);
	case TOP_SORT_OUT:
		return compare_numbers(
		    (double)a->out_rate, (double)b->out_rate);
	case TOP_SORT_LAG:
		return compare_numbers((double)a->lag_ns, (double)b->lag_ns);
	case TOP_SORT_NAME:
	case TOP_SORTS:
		break;
	}
	return strcmp(a->name, b->name);
}

/* Equal ones by name, then as they came: they do not jump about. */
static int
compare(const void *x, const void *y, void *context)
{
	const struct top_model *model = context;
	const struct top_row *a = *(const struct top_row *const *)x;
	const struct top_row *b = *(const struct top_row *const *)y;
	int order = compare_by(model->sort, a, b);

	if (order != 0)
		return model->is_reversed ? -order : order;
	order = strcmp(a->name, b->name);
	return order != 0 ? order : (a > b) - (a < b);
}

static bool
is_shown(const struct top_model *model, const struct top_row *row)
{
	return strcasestr(row->name, model->filter) != NULL ||
	    strcasestr(ring_state_name(row->state), model->filter) != NULL ||
	    strcasestr(row->held_by, model->filter) != NULL;
}

static void
arrange(struct top_model *model)
{
	model->shown_count = 0;
	for (size_t i = 0; i < model->count; i++) {
		if (is_shown(model, &model->row[i]))
			model->shown[model->shown_count++] = &model->row[i];
	}
	if (model->shown_count > 1)
		qsort_r(model->shown, model->shown_count,
		    sizeof(struct top_row *), compare, model);
}

/* ---- the whole ------------------------------------------------------------
 */

int
top_model_update(
    struct top_model *model, const struct ring_views *views, uint64_t now_ns)
{
	const uint64_t elapsed_ns = now_ns - model->updated_ns;
	const struct top_row *before, **shown;
	struct top_row *rows;

	rows = calloc(views->count + 1, sizeof(*rows));
	shown = calloc(views->count + 1, sizeof(struct top_row *));
	if (rows == NULL || shown == NULL) {
		free(rows);
		free(shown);
		return -ENOMEM;
	}
	for (size_t i = 0; i < views->count; i++) {
		before = find_row(model, &views->view[i]);
		rows[i] = before != NULL ? *before
					 : begin_row(&views->view[i], now_ns);
		update_row(&rows[i], &views->view[i], now_ns, elapsed_ns);
	}
	free(model->row);
	free(model->shown);
	model->row = rows;
	model->shown = shown;
	model->count = views->count;
	model->updated_ns = now_ns;
	arrange(model);
	return 0;
}

void
top_model_sort(struct top_model *model, enum top_sort sort)
{
	model->is_reversed = false;
	model->sort = sort;
	arrange(model);
}

void
top_model_reverse(struct top_model *model)
{
	model->is_reversed = !model->is_reversed;
	arrange(model);
}

bool
top_model_is_reversed(const struct top_model *model)
{
	return model->is_reversed;
}

enum top_sort
top_model_sorted_by(const struct top_model *model)
{
	return model->sort;
}

void
top_model_filter(struct top_model *model, const char *text)
{
	snprintf(model->filter, sizeof(model->filter), "%s", text);
	arrange(model);
}

const char *
top_model_filtered_by(const struct top_model *model)
{
	return model->filter;
}

const struct top_row *
top_model_row(const struct top_model *model, size_t index)
{
	return index < model->shown_count ? model->shown[index] : NULL;
}

struct top_sum
top_model_sum(const struct top_model *model)
{
	struct top_sum sum = { .lanes = model->shown_count };

	for (size_t i = 0; i < model->shown_count; i++) {
		sum.blocked += model->shown[i]->state == RING_BLOCKED;
		sum.gone += model->shown[i]->state == RING_PEER_DEAD ||
		    model->shown[i]->state == RING_DETACHED;
	}
	return sum;
}
