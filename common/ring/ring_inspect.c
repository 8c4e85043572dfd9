/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ring/ring_inspect_lane.h"
#include "common/ring/ring_inspect_scan.h"

/* What orders the views of one installation before their names do. */
struct rank {
	bool broker_is_alive;
	uint64_t beat_age_ns;
};

struct ranked_view {
	struct rank rank;
	struct ring_view view;
};

const char *
ring_state_name(enum ring_state state)
{
	switch (state) {
	case RING_IDLE:
		return "idle";
	case RING_RUNNING:
		return "running";
	case RING_FLOW:
		return "flow";
	case RING_BLOCKED:
		return "blocked";
	case RING_PEER_DEAD:
		return "peer_dead";
	case RING_DETACHED:
		return "detached";
	}
	return "unknown";
}

const char *
ring_life_name(enum ring_life life)
{
	switch (life) {
	case RING_ABSENT:
		return "absent";
	case RING_ALIVE:
		return "alive";
	case RING_STOPPED:
		return "stopped";
	case RING_HUNG:
		return "hung";
	case RING_DEAD:
		return "dead";
	}
	return "unknown";
}

static const struct ring_scan_side *
find_other_side(const struct ring_scan *scan, const struct ring_scan_side *side)
{
	bool is_broker = side->header.role == RING_ROLE_BROKER;

	for (size_t i = 0; i < scan->sides; i++) {
		const struct ring_side_header *other = &scan->side[i].header;

		if (memcmp(other->instance, side->header.instance,
			sizeof(other->instance)) == 0 &&
		    other->link == side->header.link &&
		    (other->role == RING_ROLE_BROKER) != is_broker)
			return &scan->side[i];
	}
	return NULL;
}

static bool
is_alive(const struct ring_party *party)
{
	return party != NULL && party->life != RING_ABSENT &&
	    party->life != RING_DEAD;
}

static struct rank
rank_of(const struct ring_party *party, const struct ring_party *other)
{
	const struct ring_party *broker =
	    party->role == RING_ROLE_BROKER ? party : other;

	return (struct rank){
		.broker_is_alive = is_alive(broker),
		.beat_age_ns =
		    broker == NULL ? UINT64_MAX : broker->beat_age_ns,
	};
}

static int
compare(const void *a, const void *b)
{
	const struct ranked_view *x = a, *y = b;
	int order;

	order = strcmp(x->view.run_dir, y->view.run_dir);
	if (order != 0)
		return order;
	order = memcmp(
	    x->view.instance, y->view.instance, sizeof(x->view.instance));
	if (order != 0) {
		if (x->rank.broker_is_alive != y->rank.broker_is_alive)
			return x->rank.broker_is_alive ? -1 : 1;
		/* Of two dead ones, the one that died last. */
		return x->rank.beat_age_ns < y->rank.beat_age_ns ? -1 : 1;
	}
	order = strcmp(x->view.name, y->view.name);
	if (order != 0)
		return order;
	return x->view.lane_id < y->view.lane_id ? -1 : 1;
}

bool
ring_set_has(const char *set, const char *name)
{
	size_t length = strlen(name);

	if (strcmp(set, "*") == 0)
		return true;
	while (*set != '\0') {
		size_t part = strcspn(set, "+");

		if (part == length && memcmp(set, name, length) == 0)
			return true;
		set += part + (set[part] == '+' ? 1 : 0);
	}
	return false;
}

static bool
is_fuller(const struct ring_view *a, const struct ring_view *b)
{
	if (a->state != b->state)
		return a->state == RING_BLOCKED;
	return (double)a->used / (double)a->capacity >
	    (double)b->used / (double)b->capacity;
}

/* A lane into the broker is held by the fullest of its set's bridges. */
static void
fill_bridge_hold(const struct ring_views *views, struct ring_view *view)
{
	const struct ring_view *holder = NULL;

	if (view->held_by[0] != '\0' || view->lane[0] == '\0' ||
	    strcmp(view->to, "broker") != 0 ||
	    (view->state != RING_BLOCKED && view->state != RING_FLOW))
		return;
	for (size_t i = 0; i < views->count; i++) {
		const struct ring_view *out = &views->view[i];

		if (strcmp(out->from, "broker") != 0 ||
		    memcmp(out->instance, view->instance,
			sizeof(out->instance)) != 0 ||
		    !ring_set_has(view->lane, out->to) ||
		    (out->state != RING_BLOCKED && out->state != RING_FLOW &&
			out->state != RING_PEER_DEAD))
			continue;
		if (holder == NULL || is_fuller(out, holder))
			holder = out;
	}
	if (holder != NULL)
		snprintf(view->held_by, sizeof(view->held_by), "bridge %s",
		    holder->to);
}

/* All lanes that side `index` produces. */
static size_t
view_side(const struct ring_scan *scan, size_t index,
    const struct ring_party *parties, uint64_t now_ns,
    struct ranked_view *views)
{
	const struct ring_scan_side *other =
	    find_other_side(scan, &scan->side[index]);
	struct ring_inspect_lane lane = {
		.scan = scan,
		.producer_side = &scan->side[index],
		.consumer_side = other,
		.producer = &parties[index],
		.consumer = other == NULL ? NULL : &parties[other - scan->side],
	};
	size_t count = 0;

	for (; lane.lane < RING_LANES; lane.lane++) {
		if (!ring_inspect_lane(&lane, now_ns, &views[count].view))
			continue;
		views[count].rank = rank_of(lane.producer, lane.consumer);
		count++;
	}
	return count;
}

static bool
is_wanted(const struct ring_scan_side *side, const char *run_dir)
{
	return run_dir == NULL || strcmp(side->header.run_dir, run_dir) == 0;
}

static int
make_views(const struct ring_scan *scan, const char *run_dir, uint64_t now_ns,
    struct ring_views *views)
{
	struct ranked_view *ranked;

	ranked = calloc(scan->sides * RING_LANES + 1, sizeof(*ranked));
	views->view =
	    calloc(scan->sides * RING_LANES + 1, sizeof(*views->view));
	views->party = calloc(scan->sides + 1, sizeof(*views->party));
	if (ranked == NULL || views->view == NULL || views->party == NULL) {
		free(ranked);
		return -ENOMEM;
	}
	for (; views->parties < scan->sides; views->parties++)
		ring_inspect_party(&scan->side[views->parties], now_ns,
		    &views->party[views->parties]);
	for (size_t i = 0; i < scan->sides; i++) {
		if (is_wanted(&scan->side[i], run_dir))
			views->count += view_side(scan, i, views->party, now_ns,
			    ranked + views->count);
	}
	qsort(ranked, views->count, sizeof(*ranked), compare);
	for (size_t i = 0; i < views->count; i++)
		views->view[i] = ranked[i].view;
	free(ranked);
	for (size_t i = 0; i < views->count; i++)
		fill_bridge_hold(views, &views->view[i]);
	return 0;
}

int
ring_views_take(
    const char *run_dir, uint64_t now_ns, struct ring_views *out_views)
{
	struct ring_views views = { 0 };
	struct ring_scan scan;
	int err;

	err = ring_scan_take(&scan);
	views.unreadable = scan.unreadable;
	if (err == 0)
		err = make_views(&scan, run_dir, now_ns, &views);
	ring_scan_free(&scan);
	if (err != 0) {
		ring_views_free(&views);
		return err;
	}
	*out_views = views;
	return 0;
}

void
ring_views_free(struct ring_views *views)
{
	free(views->view);
	free(views->party);
	*views = (struct ring_views){ 0 };
}
