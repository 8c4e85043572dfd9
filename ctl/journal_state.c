/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trees (search.h): owners by cursor, each with its subscriptions by filter;
 * retained messages by topic; lanes.  A cleared topic stays as a node without
 * a body, so that a record which is older cannot bring it back.
 */

#include "ctl/journal_state.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/journal_state_private.h"

/* ---- trees ---------------------------------------------------------------
 */

static int
compare_slices(struct slice a, struct slice b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

static int
compare_owners(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;

	return x->cursor < y->cursor ? -1 : x->cursor > y->cursor;
}

static int
compare_subscriptions(const void *a, const void *b)
{
	const struct subscription *x = a, *y = b;

	return compare_slices(x->subscribe.filter, y->subscribe.filter);
}

static int
compare_kept(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return compare_slices(x->topic, y->topic);
}

static int
compare_lanes(const void *a, const void *b)
{
	const struct store_source *x = a, *y = b;

	if (x->link != y->link)
		return x->link < y->link ? -1 : 1;
	return x->lane < y->lane ? -1 : x->lane > y->lane;
}

static void *
find(const void *key, void *const *root,
    int (*compare)(const void *a, const void *b))
{
	void *node = tfind(key, root, compare);

	return node == NULL ? NULL : *(void **)node;
}

/* A copy with `extra` bytes in front, which are zero; NULL: no memory. */
static void *
copy_behind(size_t extra, struct slice bytes)
{
	uint8_t *copy = calloc(1, extra + bytes.len + 1);

	if (copy != NULL && bytes.len != 0)
		memcpy(copy + extra, bytes.data, bytes.len);
	return copy;
}

/* ---- owners --------------------------------------------------------------
 */

static struct owner *
find_owner(const struct journal_state *state, uint64_t cursor)
{
	const struct owner key = { .cursor = cursor };

	return find(&key, &state->owners, compare_owners);
}

/* It is made if there is none; NULL: no memory. */
static struct owner *
need_owner(struct journal_state *state, uint64_t cursor)
{
	struct owner *owner = find_owner(state, cursor);

	if (owner != NULL)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (owner == NULL)
		return NULL;
	owner->cursor = cursor;
	if (tsearch(owner, &state->owners, compare_owners) == NULL) {
		free(owner);
		return NULL;
	}
	return owner;
}

static void
free_owner(void *arg)
{
	struct owner *owner = arg;

	tdestroy(owner->subscriptions, free);
	free(owner->body);
	free(owner->unfinished);
	free(owner->received);
	free(owner->over);
	journal_letters_fini(&owner->letters);
	free(owner);
}

static int
apply_session(struct journal_state *state, struct slice body)
{
	struct store_session session;
	struct owner *owner;
	uint8_t *copy;

	if (store_session_parse(body, &session) != 0)
		return -EBADMSG;
	owner = need_owner(state, session.cursor);
	copy = copy_behind(0, body);
	if (owner == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	store_session_parse(slice_of(copy, body.len), &owner->session);
	free(owner->body);
	owner->body = copy;
	owner->kind = JOURNAL_SESSION;
	owner->name = owner->session.client_id;
	return 0;
}

static int
apply_bridge(struct journal_state *state, struct slice body)
{
	struct store_bridge bridge;
	struct owner *owner;
	uint8_t *copy;

	if (store_bridge_parse(body, &bridge) != 0)
		return -EBADMSG;
	owner = need_owner(state, bridge.cursor);
	copy = copy_behind(0, bridge.name);
	if (owner == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	free(owner->body);
	owner->body = copy;
	owner->kind = JOURNAL_BRIDGE;
	owner->name = slice_of(copy, bridge.name.len);
	owner->terms = bridge.terms;
	return 0;
}

static int
apply_dead(struct journal_state *state, struct slice body)
{
	struct store_dead dead;
	struct owner *owner;

	if (store_dead_parse(body, &dead) != 0)
		return -EBADMSG;
	owner = need_owner(state, dead.cursor);
	return owner == NULL ? -ENOMEM
			     : journal_letters_apply(&owner->letters, dead.id,
				   dead.is_gone, body);
}

static int
apply_leave(struct journal_state *state, struct slice body)
{
	struct store_leave leave;
	struct owner *owner;

	if (store_leave_parse(body, &leave) != 0)
		return -EBADMSG;
	owner = find_owner(state, leave.cursor);
	if (owner == NULL || owner->kind != JOURNAL_SESSION)
		return 0;
	owner->session.left_ns = leave.left_ns;
	owner->session.has_will &= leave.keeps_will;
	return 0;
}

static void
remove_subscription(struct owner *owner, const struct subscription *key)
{
	struct subscription *old =
	    find(key, &owner->subscriptions, compare_subscriptions);

	if (old == NULL)
		return;
	tdelete(old, &owner->subscriptions, compare_subscriptions);
	free(old);
	owner->subscription_count--;
}

static int
apply_subscribe(struct journal_state *state, struct slice body, bool adds)
{
	struct subscription key, *added;
	struct owner *owner;

	if (store_subscribe_parse(body, &key.subscribe) != 0)
		return -EBADMSG;
	owner = need_owner(state, key.subscribe.cursor);
	if (owner == NULL)
		return -ENOMEM;
	remove_subscription(owner, &key);
	if (!adds)
		return 0;
	added = copy_behind(sizeof(*added), key.subscribe.filter);
	if (added == NULL)
		return -ENOMEM;
	added->subscribe = key.subscribe;
	added->subscribe.filter = slice_of(added + 1, key.subscribe.filter.len);
	if (tsearch(added, &owner->subscriptions, compare_subscriptions) ==
	    NULL) {
		free(added);
		return -ENOMEM;
	}
	owner->subscription_count++;
	return 0;
}

static int
mark_unfinished(struct journal_state *state, uint64_t cursor, uint16_t id)
{
	struct owner *owner = need_owner(state, cursor);

	if (owner != NULL && owner->unfinished == NULL)
		owner->unfinished = calloc(1, UNFINISHED_BYTES);
	if (owner == NULL || owner->unfinished == NULL)
		return -ENOMEM;
	owner->unfinished[id / 8] |= (uint8_t)(1u << (id % 8));
	return 0;
}

static int
apply_unfinished(struct journal_state *state, struct slice body)
{
	struct store_unfinished unfinished;
	int err = 0;

	if (store_unfinished_parse(body, &unfinished) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < unfinished.count && err == 0; i++)
		err = mark_unfinished(
		    state, unfinished.cursor, unfinished.ids[i]);
	return err;
}

static int
apply_released(struct journal_state *state, struct slice body)
{
	struct store_packet packet;
	struct owner *owner;

	if (store_packet_parse(body, &packet) != 0)
		return -EBADMSG;
	owner = find_owner(state, packet.cursor);
	if (owner != NULL && owner->unfinished != NULL)
		owner->unfinished[packet.packet_id / 8] &=
		    (uint8_t) ~(1u << (packet.packet_id % 8));
	return 0;
}

static int
apply_received(struct journal_state *state, struct slice body)
{
	struct store_packet packet, *grown;
	struct owner *owner;

	if (store_packet_parse(body, &packet) != 0)
		return -EBADMSG;
	owner = need_owner(state, packet.cursor);
	if (owner == NULL)
		return -ENOMEM;
	/* Only at powers of two, so that growing stays cheap. */
	if ((owner->received_count & (owner->received_count - 1)) == 0) {
		grown = reallocarray(owner->received,
		    owner->received_count == 0 ? 1 : 2 * owner->received_count,
		    sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		owner->received = grown;
	}
	owner->received[owner->received_count++] = packet;
	return 0;
}

/* ---- retained messages and lanes ----------------------------------------- */

static void
note_serial(struct journal_state *state, uint64_t serial)
{
	if (state->retain_serial < serial)
		state->retain_serial = serial;
}

/* What is kept of a retained message: no receivers, nobody to answer. */
static int
keep(struct journal_state *state, const struct store_message *message)
{
	struct store_message plain = *message;
	struct kept key = { .topic = message->topic }, *old, *node;
	size_t size = 0;

	note_serial(state, message->retain_serial);
	old = find(&key, &state->retained, compare_kept);
	if (old != NULL && old->serial > message->retain_serial)
		return 0;
	plain.deliveries = NULL;
	plain.delivery_count = 0;
	plain.publisher = plain.packet_id = 0;
	if (message->payload.len != 0)
		size = store_message_size(&plain);
	node = calloc(1, sizeof(*node) + message->topic.len + size + 1);
	if (node == NULL)
		return -ENOMEM;
	memcpy(node + 1, message->topic.data, message->topic.len);
	node->topic = slice_of(node + 1, message->topic.len);
	node->serial = message->retain_serial;
	node->body = slice_of((uint8_t *)(node + 1) + message->topic.len, size);
	node->bytes =
	    plain.topic.len + plain.properties.len + plain.payload.len;
	if (size != 0)
		store_message_write(
		    &plain, (uint8_t *)(node + 1) + message->topic.len);
	if (old != NULL)
		tdelete(old, &state->retained, compare_kept);
	free(old);
	if (tsearch(node, &state->retained, compare_kept) != NULL)
		return 0;
	free(node);
	return -ENOMEM;
}

static int
apply_retained(struct journal_state *state, struct slice body)
{
	struct store_message_room room = { NULL, 0, NULL, 0 };
	struct store_message message;

	if (store_message_parse(body, &room, &message) != 0)
		return -EBADMSG;
	/* It says up to which change the checkpoint knows all of them. */
	if (message.topic.len == 0) {
		state->retain_floor = message.retain_serial;
		note_serial(state, message.retain_serial);
		return 0;
	}
	return keep(state, &message);
}

static int
take_lane(struct journal_state *state, const struct store_source *source)
{
	struct store_source *lane = find(source, &state->lanes, compare_lanes);

	if (lane == NULL) {
		lane = malloc(sizeof(*lane));
		if (lane == NULL)
			return -ENOMEM;
		*lane = *source;
		if (tsearch(lane, &state->lanes, compare_lanes) == NULL) {
			free(lane);
			return -ENOMEM;
		}
	}
	if (lane->sequence < source->sequence)
		lane->sequence = source->sequence;
	return 0;
}

static int
apply_source(struct journal_state *state, struct slice body)
{
	struct store_source source;

	if (store_source_parse(body, &source) != 0)
		return -EBADMSG;
	return take_lane(state, &source);
}

static int
apply_start(struct journal_state *state, struct slice body)
{
	if (store_start_parse(body, &state->start) != 0)
		return -EBADMSG;
	state->has_start = true;
	return 0;
}

/* ---- public ------------------------------------------------------------- */

struct journal_state *
journal_state_new(void)
{
	return calloc(1, sizeof(struct journal_state));
}

void
journal_state_free(struct journal_state *state)
{
	if (state == NULL)
		return;
	tdestroy(state->owners, free_owner);
	tdestroy(state->retained, free);
	tdestroy(state->lanes, free);
	free(state);
}

static int
apply(struct journal_state *state, uint8_t kind, struct slice body)
{
	switch (kind) {
	case STORE_START:
		return apply_start(state, body);
	case STORE_SESSION:
		return apply_session(state, body);
	case STORE_LEAVE:
		return apply_leave(state, body);
	case STORE_SUBSCRIBE:
		return apply_subscribe(state, body, true);
	case STORE_UNSUBSCRIBE:
		return apply_subscribe(state, body, false);
	case STORE_RELEASED:
		return apply_released(state, body);
	case STORE_RECEIVED:
		return apply_received(state, body);
	case STORE_UNFINISHED:
		return apply_unfinished(state, body);
	case STORE_RETAINED:
		return apply_retained(state, body);
	case STORE_BRIDGE:
		return apply_bridge(state, body);
	case STORE_DEAD:
		return apply_dead(state, body);
	case STORE_SOURCE:
		return apply_source(state, body);
	default:
		return -EBADMSG;
	}
}

int
journal_state_apply(
    struct journal_state *state, uint8_t kind, struct slice body)
{
	int err = apply(state, kind, body);

	if (err != -EBADMSG)
		return err;
	state->unreadable++;
	return 0;
}

int
journal_state_message(
    struct journal_state *state, const struct store_message *message)
{
	int err = 0;

	if (message->publisher != 0 && message->packet_id != 0)
		err = mark_unfinished(
		    state, message->publisher, message->packet_id);
	if (err == 0 && message->source.link != UINT32_MAX)
		err = take_lane(state, &message->source);
	/* What is not above was replaced by what the checkpoint has. */
	if (err == 0 && message->retain &&
	    (message->retain_serial == 0 ||
		message->retain_serial > state->retain_floor))
		err = keep(state, message);
	return err;
}

int
journal_state_open(struct journal_state *state, uint64_t cursor)
{
	return need_owner(state, cursor) == NULL ? -ENOMEM : 0;
}

void
journal_state_close(struct journal_state *state, uint64_t cursor)
{
	struct owner *owner = find_owner(state, cursor);

	if (owner == NULL)
		return;
	tdelete(owner, &state->owners, compare_owners);
	free_owner(owner);
}

static int
compare_sequences(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int
journal_state_set_queue(
    struct journal_state *state, const struct store_cursor *queue)
{
	struct owner *owner = need_owner(state, queue->cursor);
	uint64_t *over = NULL;

	if (owner == NULL)
		return -ENOMEM;
	if (queue->over_count != 0) {
		over = reallocarray(NULL, queue->over_count, sizeof(*over));
		if (over == NULL)
			return -ENOMEM;
		memcpy(over, queue->over, queue->over_count * sizeof(*over));
		qsort(
		    over, queue->over_count, sizeof(*over), compare_sequences);
	}
	free(owner->over);
	owner->over = over;
	owner->queue = *queue;
	owner->queue.over = over;
	owner->is_open = true;
	return 0;
}

bool
journal_state_waits(
    const struct journal_state *state, uint64_t cursor, uint64_t sequence)
{
	const struct owner *owner = find_owner(state, cursor);

	return owner != NULL && owner->is_open &&
	    sequence > owner->queue.floor &&
	    (owner->queue.over_count == 0 ||
		bsearch(&sequence, owner->over, owner->queue.over_count,
		    sizeof(sequence), compare_sequences) == NULL);
}

bool
journal_state_is_received(
    const struct journal_state *state, uint64_t cursor, uint64_t sequence)
{
	const struct owner *owner = find_owner(state, cursor);

	for (size_t i = 0; owner != NULL && i < owner->received_count; i++)
		if (owner->received[i].sequence == sequence)
			return true;
	return false;
}
