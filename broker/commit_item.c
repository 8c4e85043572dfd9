/* SPDX-License-Identifier: Apache-2.0 */

/* What a member sends, while it is made. */

#include <stdlib.h>
#include <string.h>

#include "broker/commit_private.h"
#include "common/base/bug.h"

static void
adopt(struct commit_port *port)
{
	if (port->is_adopted)
		return;
	pool_adopt(&port->items);
	pool_adopt(&port->done_items);
	port->is_adopted = true;
}

/*
 * Messages that find no item wait, as for any memory; their number is bounded
 * by the pool.  What tells of something that has happened cannot wait: it
 * may come from the heap.
 */
struct commit_item *
commit_item_new(struct commit_port *port, enum commit_what what)
{
	struct pool *home =
	    what == COMMIT_DONE ? &port->done_items : &port->items;
	struct commit_item *item;

	adopt(port);
	item = pool_take(home);
	if (item == NULL && what != COMMIT_MESSAGE) {
		item = malloc(home->object_size);
		home = NULL;
	}
	if (item == NULL)
		return NULL;
	memset(item, 0, offsetof(struct commit_item, few));
	item->port = port;
	item->home = home;
	item->what = (uint8_t)what;
	return item;
}

bool
commit_item_set_body(struct commit_item *item, struct slice body)
{
	BUG_ON(body.len > UINT32_MAX);
	item->bytes = body.len <= sizeof(item->few)
	    ? (uint8_t *)(void *)item->few
	    : malloc(body.len);
	if (item->bytes == NULL)
		return false;
	if (body.len != 0)
		memcpy(item->bytes, body.data, body.len);
	item->length = (uint32_t)body.len;
	return true;
}

void
commit_item_free(struct commit_item *item)
{
	struct commit_item *copy;

	while ((copy = item->copies) != NULL) {
		item->copies = copy->next;
		commit_item_free(copy);
	}
	message_put(item->message);
	if (item->ways != item->few)
		free(item->ways);
	if (item->bytes != (uint8_t *)(void *)item->few)
		free(item->bytes);
	free(item->identifiers);
	if (item->home != NULL)
		pool_put(item->home, item);
	else
		free(item);
}

/*
 * Release on every drop and acquire on the last pair up: all that holders did
 * happens before it is freed.  The last one needs no locked instruction.
 */
void
commit_item_drop(struct commit_item *item)
{
	if (atomic_load_explicit(&item->holders, memory_order_acquire) != 1 &&
	    atomic_fetch_sub_explicit(
		&item->holders, 1, memory_order_acq_rel) != 1)
		return;
	commit_item_free(item);
}

struct commit_item *
commit_list_take(struct commit_list *list)
{
	struct commit_item *item = list->first;

	if (item != NULL)
		list->first = item->next;
	return item;
}

void
commit_list_free(struct commit_list *list)
{
	struct commit_item *item;

	while ((item = commit_list_take(list)) != NULL)
		commit_item_free(item);
}

/* ---- public ------------------------------------------------------------ */

struct commit_item *
commit_begin(struct commit_port *port, struct message *message)
{
	struct commit_item *item;

	item = commit_item_new(port, COMMIT_MESSAGE);
	if (item == NULL)
		return NULL;
	item->message = message_take(message);
	item->ways = item->few;
	item->way_room = COMMIT_FEW_WAYS;
	return item;
}

static bool
grow_ways(struct commit_item *item)
{
	struct commit_way *old = item->ways == item->few ? NULL : item->ways;
	uint32_t room = item->way_room * 4;
	struct commit_way *ways;

	ways = realloc(old, room * sizeof(*ways));
	if (ways == NULL)
		return false;
	if (old == NULL)
		memcpy(ways, item->few, sizeof(item->few));
	item->ways = ways;
	item->way_room = room;
	return true;
}

/* Behind the number of its share, if there is one: so the store wants it. */
static bool
add_identifiers(
    struct commit_item *item, const struct commit_delivery *delivery)
{
	const size_t count = delivery->identifier_count;
	const size_t needed =
	    item->identifier_count + count + (delivery->share != 0);
	uint32_t *identifiers;

	if (needed > item->identifier_room) {
		identifiers = realloc(
		    item->identifiers, 2 * needed * sizeof(*identifiers));
		if (identifiers == NULL)
			return false;
		item->identifiers = identifiers;
		item->identifier_room = (uint32_t)(2 * needed);
	}
	if (delivery->share != 0)
		item->identifiers[needed - count - 1] = delivery->share;
	memcpy(item->identifiers + needed - count, delivery->identifiers,
	    count * sizeof(*identifiers));
	item->identifier_count = (uint32_t)needed;
	return true;
}

bool
commit_add(struct commit_item *item, const struct commit_delivery *delivery)
{
	BUG_ON(delivery->member >= item->port->commit->member_count);
	if (item->way_count == item->way_room && !grow_ways(item))
		return false;
	if (delivery->identifier_count != 0 && !add_identifiers(item, delivery))
		return false;
	item->ways[item->way_count] = (struct commit_way){
		.item = item,
		.cursor = delivery->cursor,
		.first_identifier =
		    item->identifier_count - delivery->identifier_count,
		.identifier_count = delivery->identifier_count,
		.member = delivery->member,
		.qos = delivery->qos,
		.retain = delivery->retain,
		.is_durable = delivery->is_durable,
		.share = delivery->share,
	};
	item->way_count++;
	item->durable_count += delivery->is_durable;
	return true;
}

bool
commit_add_copy(
    struct commit_item *item, const struct commit_delivery *delivery)
{
	struct commit_item *copy;

	copy = commit_begin(item->port, item->message);
	if (copy == NULL)
		return false;
	if (!commit_add(copy, delivery)) {
		commit_item_free(copy);
		return false;
	}
	copy->is_written = delivery->is_durable;
	copy->must_sync = copy->is_written;
	copy->next = item->copies;
	item->copies = copy;
	item->weight += message_weight(item->message);
	return true;
}

unsigned
commit_receivers(const struct commit_item *item)
{
	const struct commit_item *copy;
	unsigned count = item->way_count;

	for (copy = item->copies; copy != NULL; copy = copy->next)
		count++;
	return count;
}

void
commit_cancel(struct commit_port *port, struct commit_item *item)
{
	BUG_ON(item->port != port);
	commit_item_free(item);
}
