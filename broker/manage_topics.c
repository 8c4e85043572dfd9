/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tree of filters that are subscribed to, level by level:
 *
 *	{"tree":{"plant":{"subscriptions":0,"levels":{
 *		"+":{"subscriptions":2},"a":{"subscriptions":1}}}},
 *	 "levels":3,"truncated":false}
 *
 * Made of at most "limit" levels; what is not in it then is said with
 * "truncated".  Filters of shared subscriptions are below "$share".
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/manage_tour.h"
#include "broker/manage_walk.h"
#include "broker/session.h"
#include "broker/subscription_tree.h"
#include "common/msg/ask.h"

struct topics_tour {
	struct manage_tour tour; /* first */
	struct manage_walk walk;
	json_t *tree;
	char *text; /* the answer */
	uint64_t levels, limit;
	bool is_truncated;
};

/* The level below, made if need be.  NULL: the limit, or no memory. */
static json_t *
enter(struct topics_tour *tour, json_t *levels, struct slice name)
{
	json_t *level =
	    json_object_getn(levels, (const char *)name.data, name.len);

	if (level != NULL)
		return level;
	if (tour->levels == tour->limit) {
		tour->is_truncated = true;
		return NULL;
	}
	level = json_pack("{s:i}", "subscriptions", 0);
	if (json_object_setn_new(
		levels, (const char *)name.data, name.len, level) != 0) {
		tour->walk.has_failed = true;
		return NULL;
	}
	tour->levels++;
	return level;
}

static json_t *
levels_below(struct topics_tour *tour, json_t *level)
{
	json_t *levels = json_object_get(level, "levels");

	if (levels != NULL)
		return levels;
	levels = json_object();
	if (json_object_set_new(level, "levels", levels) != 0) {
		tour->walk.has_failed = true;
		return NULL;
	}
	return levels;
}

static bool
pass(void *context, uint64_t count)
{
	const struct topics_tour *tour = context;

	(void)count;
	return tour->is_truncated || tour->walk.has_failed;
}

static void
take(void *context, const struct session *session, struct slice filter,
    const struct subscription_options *options)
{
	struct topics_tour *tour = context;
	json_t *levels = tour->tree, *level = NULL, *count;
	size_t end;

	(void)session;
	(void)options;
	for (;;) {
		end = slice_find(filter, '/');
		level = enter(tour, levels, slice_of(filter.data, end));
		if (level == NULL || end == filter.len)
			break;
		levels = levels_below(tour, level);
		if (levels == NULL)
			return;
		filter = slice_from(filter, end + 1);
	}
	if (level == NULL)
		return;
	count = json_object_get(level, "subscriptions");
	json_integer_set(count, json_integer_value(count) + 1);
}

/* On the last worker: it is long. */
static void
write_answer(struct topics_tour *tour)
{
	json_t *answer = NULL;

	if (!tour->walk.has_failed)
		answer = json_pack("{s:i, s:O, s:I, s:b}", "status", 200,
		    "tree", tour->tree, "levels", (json_int_t)tour->levels,
		    "truncated", (int)tour->is_truncated);
	if (answer != NULL)
		tour->text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	json_decref(tour->tree);
	tour->tree = NULL;
}

static bool
step(struct manage_tour *base, struct worker *worker)
{
	struct topics_tour *tour = (struct topics_tour *)base;

	/* Nothing more fits: the others are not asked. */
	if (pass(tour, 0))
		base->last = base->worker;
	else if (!manage_walk_step(&tour->walk, worker))
		return false;
	if (base->worker == base->last)
		write_answer(tour);
	return true;
}

static void
done(struct manage_tour *base)
{
	struct topics_tour *tour = (struct topics_tour *)base;

	manage_answer_text(base->ask, 200, tour->text,
	    tour->text == NULL ? 0 : strlen(tour->text));
	manage_walk_fini(&tour->walk);
	free(tour);
}

void
manage_topic_tree(struct manage_ask *ask, const json_t *question)
{
	struct topics_tour *tour;
	struct manage_page page;

	if (manage_page_of(ask, question, &page) != 0)
		return;
	tour = calloc(1, sizeof(*tour));
	if (tour != NULL)
		tour->tree = json_object();
	if (tour == NULL || tour->tree == NULL) {
		free(tour);
		manage_answer(ask, NULL);
		return;
	}
	tour->limit = json_object_get(question, "limit") == NULL ? ASK_LIMIT_MAX
								 : page.limit;
	tour->walk.context = tour;
	tour->walk.pass = pass;
	tour->walk.take = take;
	tour->tour.ask = ask;
	tour->tour.step = step;
	tour->tour.done = done;
	manage_tour_all(&tour->tour);
}
