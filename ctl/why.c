/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/why.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

/*
 * A sleeper with work to do is given this long: it may be about to wake, on
 * a machine that is busy with others.
 */
#define SLEEPER_NS (2 * CLOCK_SECOND_NS)

/* The journal is given this long: a disk may be busy with others, too. */
#define JOURNAL_NS CLOCK_SECOND_NS

/* At most so many troubles: one a party, two a lane. */
#define TROUBLES_OF(views) (2 * (views)->count + (views)->parties + 1)

/* The rate's next message may be under way, or be the cause of another wait. */
#define RATE_SLACK_NS (CLOCK_SECOND_NS / 2)

/* What is looked at, and what has been found. */
struct search {
	const struct ring_views *views;
	const char *name; /* NULL: everything */
	uint64_t now_ns;
	struct why *why;
};

const char *
why_kind_name(enum why_kind kind)
{
	static const char *const names[] = {
		[WHY_PROCESS] = "process",
		[WHY_REMOTE_AWAY] = "remote_away",
		[WHY_REMOTE_STALLS] = "remote_stalls",
		[WHY_REMOTE_ASKED] = "remote_asked",
		[WHY_RATE] = "rate",
		[WHY_RECEIPTS] = "receipts",
		[WHY_LOST_WAKE] = "lost_wake",
		[WHY_NO_MEMORY] = "no_memory",
		[WHY_JOURNAL] = "journal",
		[WHY_UNKNOWN] = "unknown",
	};

	return names[kind];
}

/* ---- what belongs together ------------------------------------------------
 */

/* The views are sorted: an installation's living instance comes first. */
static bool
is_current(const struct ring_views *views, const struct ring_view *view)
{
	for (size_t i = 0; i < views->count; i++) {
		const struct ring_view *first = &views->view[i];

		if (strcmp(first->run_dir, view->run_dir) == 0)
			return memcmp(first->instance, view->instance,
				   sizeof(first->instance)) == 0;
	}
	return false;
}

static bool
is_same_instance(const struct ring_party *party, const struct ring_view *view)
{
	return memcmp(party->instance, view->instance,
		   sizeof(view->instance)) == 0;
}

static bool
is_to_bridge(const struct ring_view *view)
{
	return view->producer->role == RING_ROLE_BROKER &&
	    view->consumer != NULL && view->consumer->role == RING_ROLE_BRIDGE;
}

static bool
is_well(const struct ring_party *party)
{
	return party != NULL && party->life == RING_ALIVE;
}

/* Is it this party, or the same process on another link of the broker? */
static bool
is_same_process(const struct ring_party *a, const struct ring_party *b)
{
	return a == b ||
	    (a->role == RING_ROLE_BROKER && b->role == RING_ROLE_BROKER &&
		memcmp(a->instance, b->instance, sizeof(a->instance)) == 0);
}

static bool
is_waiting(const struct ring_view *view)
{
	return view->used > 0 || view->is_stalled;
}

/* Does this lane stand still because of that trouble? */
static bool
is_held_by(const struct ring_view *view, const struct why_trouble *trouble)
{
	const struct ring_party *party = trouble->party;

	if (!is_same_instance(party, view) || !is_waiting(view))
		return false;
	if (view == trouble->lane)
		return true;
	if (trouble->kind == WHY_NO_MEMORY ||
	    (trouble->kind == WHY_LOST_WAKE && party->role != RING_ROLE_BRIDGE))
		return false;
	/* Whatever goes to that process ... */
	if (view->consumer != NULL && is_same_process(view->consumer, party))
		return true;
	/* ... and on the way to the broker, what is to go on to it. */
	return party->role == RING_ROLE_BRIDGE && view->state == RING_BLOCKED &&
	    view->producer->role != RING_ROLE_BROKER &&
	    ring_set_has(view->lane, party->name);
}

static void
add_lanes(const struct search *search, struct why_trouble *trouble)
{
	for (size_t i = 0; i < search->views->count; i++) {
		const struct ring_view *view = &search->views->view[i];

		if (!is_held_by(view, trouble))
			continue;
		if (view->still_ns > trouble->for_ns)
			trouble->for_ns = view->still_ns;
		if (trouble->lane_count < WHY_LANES)
			trouble->lanes[trouble->lane_count++] = view;
		else
			trouble->lanes_left_out++;
	}
}

/* ---- who waits ------------------------------------------------------------
 */

/* The broker's own boards, of each of its links, and httpd's. */
static void
add_waiting(const struct search *search, struct why_trouble *trouble)
{
	const struct ring_party *it = trouble->party;
	const char *bridge = it->role == RING_ROLE_BRIDGE ? it->name : NULL;

	for (size_t i = 0; i < search->views->parties; i++) {
		const struct ring_party *party = &search->views->party[i];

		if (memcmp(party->instance, it->instance,
			sizeof(it->instance)) != 0)
			continue;
		/* A dead httpd holds nobody, whatever its board says. */
		if (party->role == RING_ROLE_HTTPD &&
		    party->life != RING_DEAD && party->life != RING_ABSENT) {
			why_board_clients(
			    party->board, bridge, &trouble->clients);
			if (bridge == NULL)
				trouble->receipts =
				    why_board_committed(party->board);
		}
		if (party->role == RING_ROLE_BROKER && bridge != NULL &&
		    party->link == it->link) {
			why_board_publishers(
			    party->board, &trouble->publishers);
			why_board_backlog(party->board, &trouble->backlog);
		}
	}
}

/* ---- is it asked for? -----------------------------------------------------
 */

/* "a->b/c" or "a→b/c". */
static bool
is_lane_name(const char *given, const char *name)
{
	const char *arrow = strstr(name, "\u2192");
	size_t before;

	if (strcmp(given, name) == 0)
		return true;
	if (arrow == NULL)
		return false;
	before = (size_t)(arrow - name);
	return strncmp(given, name, before) == 0 &&
	    strncmp(given + before, "->", 2) == 0 &&
	    strcmp(given + before + 2, arrow + strlen("\u2192")) == 0;
}

/* "weir-broker" is the broker, too. */
static bool
is_party_name(const char *given, const struct ring_party *party)
{
	if (party->role != RING_ROLE_BRIDGE && strncmp(given, "weir-", 5) == 0)
		given += 5;
	return strcmp(given, party->name) == 0;
}

bool
why_names_view(const struct ring_view *view, const char *name)
{
	return is_lane_name(name, view->name) ||
	    is_party_name(name, view->producer) ||
	    (view->consumer != NULL && is_party_name(name, view->consumer));
}

/* Without the broker nothing moves, whatever was asked for. */
static bool
is_wanted(const struct search *search, const struct why_trouble *trouble)
{
	const char *name = search->name;

	if (name == NULL || is_party_name(name, trouble->party) ||
	    (trouble->kind == WHY_PROCESS &&
		trouble->party->role == RING_ROLE_BROKER))
		return true;
	if (trouble->lane != NULL && why_names_view(trouble->lane, name))
		return true;
	for (size_t i = 0; i < trouble->lane_count; i++) {
		if (is_lane_name(name, trouble->lanes[i]->name))
			return true;
	}
	return false;
}

/* Complete what was found, and keep it if it is asked for. */
static void
add(const struct search *search, const struct why_trouble *found)
{
	struct why *why = search->why;
	struct why_trouble *trouble = &why->trouble[why->count];

	*trouble = *found;
	add_lanes(search, trouble);
	if (trouble->kind != WHY_NO_MEMORY)
		add_waiting(search, trouble);
	if (trouble->party->role == RING_ROLE_BRIDGE)
		why_board_remote(trouble->party->board, &trouble->remote);
	if (is_wanted(search, trouble))
		why->count++;
}

/* ---- processes ------------------------------------------------------------
 */

static bool
is_found(const struct search *search, const struct ring_party *party)
{
	for (size_t i = 0; i < search->why->count; i++) {
		const struct why_trouble *it = &search->why->trouble[i];

		if (it->kind == WHY_PROCESS &&
		    is_same_process(it->party, party))
			return true;
	}
	return false;
}

/* An endpoint that left in order is missed when something waits for it. */
static bool
is_missed(const struct search *search, const struct ring_party *party)
{
	if (party->life != RING_ABSENT || party->role == RING_ROLE_BROKER)
		return true;
	for (size_t i = 0; i < search->views->count; i++) {
		const struct ring_view *view = &search->views->view[i];

		if (view->consumer == party && is_waiting(view))
			return true;
	}
	return false;
}

static void
look_at_party(const struct search *search, const struct ring_party *party)
{
	struct why_trouble trouble = { .kind = WHY_PROCESS, .party = party };

	if (is_well(party) || is_found(search, party) ||
	    !is_missed(search, party))
		return;
	snprintf(trouble.subject, sizeof(trouble.subject), "%s", party->name);
	add(search, &trouble);
}

/* ---- lanes ----------------------------------------------------------------
 */

/* Both ends can act; one of them, or what is behind it, does not. */
static bool
is_stuck(const struct ring_view *view)
{
	return view->state == RING_BLOCKED && is_well(view->producer) &&
	    is_well(view->consumer);
}

/* Room there is, and the producer sleeps as if there were none. */
static bool
producer_overslept(const struct ring_view *view)
{
	return view->is_stalled && view->used == 0 &&
	    view->credit_granted > view->credit_used &&
	    view->still_ns >= SLEEPER_NS && view->producer->is_asleep;
}

static bool
consumer_overslept(const struct ring_view *view)
{
	return view->used > 0 && view->still_ns >= SLEEPER_NS &&
	    view->consumer->is_asleep;
}

static enum why_kind
kind_of_bridge_lane(const struct ring_view *view,
    const struct why_remote *remote, uint64_t now_ns)
{
	if (producer_overslept(view))
		return WHY_LOST_WAKE;
	if (!view->remote_up)
		return WHY_REMOTE_AWAY;
	if (remote->later_ns > now_ns)
		return WHY_REMOTE_ASKED;
	if (remote->rate_ns + RATE_SLACK_NS > now_ns)
		return WHY_RATE;
	if (view->in_flight > 0 || remote->is_full)
		return WHY_REMOTE_STALLS;
	return consumer_overslept(view) ? WHY_LOST_WAKE : WHY_UNKNOWN;
}

static void
look_at_bridge_lane(const struct search *search, const struct ring_view *view)
{
	struct why_trouble trouble = {
		.party = view->consumer,
		.lane = view,
		.for_ns = view->still_ns,
	};
	struct why_remote remote;

	why_board_remote(view->consumer->board, &remote);
	trouble.kind = kind_of_bridge_lane(view, &remote, search->now_ns);
	if (producer_overslept(view))
		trouble.party = view->producer;
	snprintf(trouble.subject, sizeof(trouble.subject), "%s",
	    trouble.kind == WHY_LOST_WAKE ? view->name : view->to);
	add(search, &trouble);
}

/* Is one of the bridges that a lane goes to blocked itself? */
static bool
is_held_further_on(const struct search *search, const struct ring_view *view)
{
	for (size_t i = 0; i < search->views->count; i++) {
		const struct ring_view *out = &search->views->view[i];

		if (!is_to_bridge(out) ||
		    !is_same_instance(out->producer, view))
			continue;
		if (ring_set_has(view->lane, out->to) &&
		    (out->state == RING_BLOCKED || out->state == RING_FLOW ||
			!is_well(out->consumer)))
			return true;
	}
	return false;
}

/* No room for receipts: what httpd sends has to wait for it. */
static bool
is_held_by_receipts(const struct search *search, const struct ring_view *view)
{
	for (size_t i = 0; i < search->views->count; i++) {
		const struct ring_view *back = &search->views->view[i];

		if (back->consumer == view->producer &&
		    (back->state == RING_BLOCKED || back->state == RING_FLOW))
			return true;
	}
	return false;
}

static bool
waits_for_journal(const struct why_journal *journal, uint64_t now_ns)
{
	return journal->records != 0 && now_ns > journal->since_ns &&
	    now_ns - journal->since_ns >= JOURNAL_NS;
}

/* A lane into the broker, or the lane of receipts out of it. */
static void
look_at_other_lane(const struct search *search, const struct ring_view *view)
{
	struct why_trouble trouble = {
		.kind = view->consumer->role == RING_ROLE_HTTPD ? WHY_RECEIPTS
								: WHY_UNKNOWN,
		.party = view->consumer,
		.lane = view,
		.for_ns = view->still_ns,
	};

	if (view->consumer->role == RING_ROLE_BROKER &&
	    (is_held_further_on(search, view) ||
		is_held_by_receipts(search, view)))
		return;
	why_board_journal(view->consumer->board, &trouble.journal);
	if (waits_for_journal(&trouble.journal, search->now_ns)) {
		trouble.kind = WHY_JOURNAL;
	} else if (producer_overslept(view)) {
		trouble.kind = WHY_LOST_WAKE;
		trouble.party = view->producer;
	} else if (consumer_overslept(view)) {
		trouble.kind = WHY_LOST_WAKE;
	}
	snprintf(trouble.subject, sizeof(trouble.subject), "%s", view->name);
	add(search, &trouble);
}

/* It is full and would be larger if there were memory. */
static void
look_at_memory(const struct search *search, const struct ring_view *view)
{
	struct why_trouble trouble = {
		.kind = WHY_NO_MEMORY,
		.party = view->producer,
		.lane = view,
		.for_ns = view->still_ns,
	};

	if (view->grow_failures == 0 || !view->is_stalled ||
	    view->capacity >= view->max_capacity)
		return;
	snprintf(trouble.subject, sizeof(trouble.subject), "%s", view->name);
	add(search, &trouble);
}

static void
look_at_lane(const struct search *search, const struct ring_view *view)
{
	if (is_stuck(view)) {
		if (is_to_bridge(view))
			look_at_bridge_lane(search, view);
		else
			look_at_other_lane(search, view);
	}
	look_at_memory(search, view);
}

/* ---- all of it ------------------------------------------------------------
 */

static void
look_at_parties(const struct search *search, const struct ring_view *view)
{
	look_at_party(search, view->producer);
	if (view->consumer != NULL)
		look_at_party(search, view->consumer);
}

int
why_find(const struct ring_views *views, const char *name, uint64_t now_ns,
    struct why *out_why)
{
	struct why why = { .is_known = name == NULL };
	const struct search search = {
		.views = views,
		.name = name,
		.now_ns = now_ns,
		.why = &why,
	};

	why.trouble = calloc(TROUBLES_OF(views), sizeof(*why.trouble));
	if (why.trouble == NULL)
		return -ENOMEM;
	/* Processes first: what they hold up needs no reason of its own. */
	for (size_t i = 0; i < views->count; i++) {
		if (!is_current(views, &views->view[i]))
			continue;
		if (name != NULL && why_names_view(&views->view[i], name))
			why.is_known = true;
		look_at_parties(&search, &views->view[i]);
	}
	for (size_t i = 0; i < views->count; i++) {
		if (is_current(views, &views->view[i]))
			look_at_lane(&search, &views->view[i]);
	}
	*out_why = why;
	return 0;
}

void
why_free(struct why *why)
{
	free(why->trouble);
	*why = (struct why){ .count = 0 };
}
