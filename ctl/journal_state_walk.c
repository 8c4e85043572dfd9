/* SPDX-License-Identifier: Apache-2.0 */

/* journal_state: going through it. */

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "ctl/journal_state_private.h"

/* twalk_r() cannot be ended: what comes after an error is passed over. */
struct walk {
	const struct journal_state *state;
	int (*each)(void *arg, uint8_t kind, struct slice body);
	int (*each_owner)(void *arg, const struct journal_owner *owner);
	void *arg;
	struct journal_counts counts;
	int err;
};

/* The node, once: NULL while it is passed on the way. */
static const void *
visit(const void *node, VISIT order)
{
	if (order != postorder && order != leaf)
		return NULL;
	return *(const void *const *)node;
}

static void
count_owner(const void *node, VISIT order, void *arg)
{
	const struct owner *owner = visit(node, order);
	struct walk *walk = arg;

	if (owner == NULL)
		return;
	walk->counts.sessions += owner->kind == JOURNAL_SESSION;
	walk->counts.bridges += owner->kind == JOURNAL_BRIDGE;
	walk->counts.unknown += owner->kind == JOURNAL_UNKNOWN;
	walk->counts.subscriptions += owner->subscription_count;
	walk->counts.queued += owner->queue.queued;
	walk->counts.queued_bytes += owner->queue.queued_bytes;
}

static void
count_retained(const void *node, VISIT order, void *arg)
{
	const struct kept *kept = visit(node, order);
	struct walk *walk = arg;

	if (kept == NULL || kept->body.len == 0)
		return;
	walk->counts.retained++;
	walk->counts.retained_bytes += kept->bytes;
}

void
journal_state_count(
    const struct journal_state *state, struct journal_counts *out_counts)
{
	struct walk walk = { .state = state };

	twalk_r(state->owners, count_owner, &walk);
	twalk_r(state->retained, count_retained, &walk);
	walk.counts.unreadable = state->unreadable;
	*out_counts = walk.counts;
}

static void
show_owner(const void *node, VISIT order, void *arg)
{
	const struct owner *owner = visit(node, order);
	struct walk *walk = arg;
	struct journal_owner shown;

	if (owner == NULL || walk->err != 0)
		return;
	shown = (struct journal_owner){
		.kind = owner->kind,
		.cursor = owner->cursor,
		.name = owner->name,
		.session =
		    owner->kind == JOURNAL_SESSION ? &owner->session : NULL,
		.subscriptions = owner->subscription_count,
		.queue = owner->queue,
	};
	walk->err = walk->each_owner(walk->arg, &shown);
}

int
journal_state_each_owner(const struct journal_state *state,
    int (*each)(void *arg, const struct journal_owner *owner), void *arg)
{
	struct walk walk = { .each_owner = each, .arg = arg };

	twalk_r(state->owners, show_owner, &walk);
	return walk.err;
}

/* ---- as records ---------------------------------------------------------- */

static void
tell(struct walk *walk, uint8_t kind, const void *body, size_t length)
{
	if (walk->err == 0)
		walk->err = walk->each(walk->arg, kind, slice_of(body, length));
}

static void
tell_session(struct walk *walk, const struct owner *owner)
{
	size_t size = store_session_size(&owner->session);
	void *body = malloc(size);

	if (body == NULL) {
		walk->err = -ENOMEM;
		return;
	}
	/* Again, since a LEAVE has changed it. */
	store_session_write(&owner->session, body);
	tell(walk, STORE_SESSION, body, size);
	free(body);
}

static void
tell_bridge(struct walk *walk, const struct owner *owner)
{
	const struct store_bridge bridge = {
		.cursor = owner->cursor,
		.name = owner->name,
		.terms = owner->terms,
	};
	size_t size = store_bridge_size(&bridge);
	void *body = malloc(size);

	if (body == NULL) {
		walk->err = -ENOMEM;
		return;
	}
	store_bridge_write(&bridge, body);
	tell(walk, STORE_BRIDGE, body, size);
	free(body);
}

static void
tell_subscription(const void *node, VISIT order, void *arg)
{
	const struct subscription *subscription = visit(node, order);
	struct walk *walk = arg;
	size_t size;
	void *body;

	if (subscription == NULL || walk->err != 0)
		return;
	size = store_subscribe_size(&subscription->subscribe);
	body = malloc(size);
	if (body == NULL) {
		walk->err = -ENOMEM;
		return;
	}
	store_subscribe_write(&subscription->subscribe, body);
	tell(walk, STORE_SUBSCRIBE, body, size);
	free(body);
}

static void
flush_unfinished(struct walk *walk, struct store_unfinished *unfinished)
{
	uint8_t body[STORE_SMALL_MAX];

	if (unfinished->count != 0)
		tell(walk, STORE_UNFINISHED, body,
		    store_unfinished_write(unfinished, body));
	unfinished->count = 0;
}

static void
tell_unfinished(struct walk *walk, const struct owner *owner)
{
	struct store_unfinished unfinished = { .cursor = owner->cursor };

	for (unsigned id = 0; id < UNFINISHED_BYTES * 8; id++) {
		if ((owner->unfinished[id / 8] & 1u << id % 8) == 0)
			continue;
		unfinished.ids[unfinished.count++] = (uint16_t)id;
		if (unfinished.count ==
		    sizeof(unfinished.ids) / sizeof(unfinished.ids[0]))
			flush_unfinished(walk, &unfinished);
	}
	flush_unfinished(walk, &unfinished);
}

/* Only of deliveries that are not over. */
static void
tell_received(struct walk *walk, const struct owner *owner)
{
	uint8_t body[STORE_SMALL_MAX];

	for (size_t i = 0; i < owner->received_count; i++)
		if (journal_state_waits(walk->state, owner->cursor,
			owner->received[i].sequence))
			tell(walk, STORE_RECEIVED, body,
			    store_packet_write(&owner->received[i], body));
}

static int
tell_letter(void *arg, struct slice body)
{
	struct walk *walk = arg;

	tell(walk, STORE_DEAD, body.data, body.len);
	return walk->err;
}

static void
tell_owner(const void *node, VISIT order, void *arg)
{
	const struct owner *owner = visit(node, order);
	struct walk *walk = arg;

	if (owner == NULL || walk->err != 0)
		return;
	if (owner->kind == JOURNAL_SESSION)
		tell_session(walk, owner);
	else if (owner->kind == JOURNAL_BRIDGE)
		tell_bridge(walk, owner);
	journal_letters_each(&owner->letters, tell_letter, walk);
	twalk_r(owner->subscriptions, tell_subscription, walk);
	if (owner->unfinished != NULL)
		tell_unfinished(walk, owner);
	tell_received(walk, owner);
}

static void
tell_retained(const void *node, VISIT order, void *arg)
{
	const struct kept *kept = visit(node, order);

	if (kept != NULL && kept->body.len != 0)
		tell(arg, STORE_RETAINED, kept->body.data, kept->body.len);
}

static void
tell_lane(const void *node, VISIT order, void *arg)
{
	const struct store_source *lane = visit(node, order);
	uint8_t body[STORE_SMALL_MAX];

	if (lane != NULL)
		tell(arg, STORE_SOURCE, body, store_source_write(lane, body));
}

/* A message without a topic: serials go on above it. */
static void
tell_serial(struct walk *walk)
{
	const struct store_message serial = {
		.retain_serial = walk->state->retain_serial,
		.source = { UINT32_MAX, 0, 0 },
		.expires_ns = UINT64_MAX,
	};
	uint8_t body[STORE_SMALL_MAX];

	if (serial.retain_serial == 0)
		return;
	store_message_write(&serial, body);
	tell(walk, STORE_RETAINED, body, store_message_size(&serial));
}

int
journal_state_each_record(const struct journal_state *state,
    int (*each)(void *arg, uint8_t kind, struct slice body), void *arg)
{
	struct walk walk = { .state = state, .each = each, .arg = arg };
	uint8_t body[STORE_SMALL_MAX];

	if (state->has_start)
		tell(&walk, STORE_START, body,
		    store_start_write(&state->start, body));
	twalk_r(state->owners, tell_owner, &walk);
	tell_serial(&walk);
	twalk_r(state->retained, tell_retained, &walk);
	twalk_r(state->lanes, tell_lane, &walk);
	return walk.err;
}
