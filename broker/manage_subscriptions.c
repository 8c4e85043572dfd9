/* SPDX-License-Identifier: Apache-2.0 */

/* Subscriptions: all, or those of one client. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/manage_list.h"
#include "broker/manage_tour.h"
#include "broker/manage_walk.h"
#include "broker/session.h"
#include "broker/subscription_tree.h"

struct subscriptions_tour {
	struct manage_tour tour; /* first */
	struct manage_list list;
	struct manage_walk walk;
	uint8_t id[]; /* walk.only */
};

static json_t *
describe(const struct session *session, struct slice filter,
    const struct subscription_options *options)
{
	const struct slice id = session_id(session);
	json_t *object = json_object();

	json_object_set_new(
	    object, "client_id", json_stringn((const char *)id.data, id.len));
	json_object_set_new(object, "filter",
	    json_stringn((const char *)filter.data, filter.len));
	json_object_set_new(object, "qos", json_integer(options->qos));
	json_object_set_new(
	    object, "no_local", json_boolean(options->no_local));
	json_object_set_new(object, "retain_as_published",
	    json_boolean(options->retain_as_published));
	json_object_set_new(object, "subscription_id",
	    options->identifier == 0
		? json_null()
		: json_integer((json_int_t)options->identifier));
	return object;
}

static bool
pass(void *context, uint64_t count)
{
	struct manage_list *list = context;

	if (!manage_list_is_full(list) && list->count + count > list->page.skip)
		return false;
	manage_list_pass(list, count);
	return true;
}

static void
take(void *context, const struct session *session, struct slice filter,
    const struct subscription_options *options)
{
	struct manage_list *list = context;

	if (manage_list_wants(list))
		manage_list_add(list, describe(session, filter, options));
	else
		manage_list_pass(list, 1);
}

static bool
step(struct manage_tour *base, struct worker *worker)
{
	struct subscriptions_tour *tour = (struct subscriptions_tour *)base;

	return manage_walk_step(&tour->walk, worker);
}

static void
done(struct manage_tour *base)
{
	struct subscriptions_tour *tour = (struct subscriptions_tour *)base;

	if (tour->walk.has_failed)
		tour->list.has_failed = true;
	manage_list_answer(&tour->list, base->ask);
	manage_walk_fini(&tour->walk);
	free(tour);
}

void
manage_subscriptions(struct manage_ask *ask, const json_t *question)
{
	struct subscriptions_tour *tour;
	struct manage_page page;
	struct slice id = { 0 };

	if (manage_page_of(ask, question, &page) != 0 ||
	    manage_string(ask, question, "client_id", &id) == -EINVAL)
		return;
	tour = calloc(1, sizeof(*tour) + id.len);
	if (tour == NULL) {
		manage_answer(ask, NULL);
		return;
	}
	manage_list_init(&tour->list, &page, "subscriptions");
	tour->walk.context = &tour->list;
	tour->walk.pass = pass;
	tour->walk.take = take;
	tour->tour.ask = ask;
	tour->tour.step = step;
	tour->tour.done = done;
	if (id.data == NULL) {
		manage_tour_all(&tour->tour);
		return;
	}
	memcpy(tour->id, id.data, id.len);
	tour->walk.only = slice_of(tour->id, id.len);
	manage_tour_one(&tour->tour, tour->walk.only);
}
