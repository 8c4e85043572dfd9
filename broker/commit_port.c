/* SPDX-License-Identifier: Apache-2.0 */

/* A member's end of the line; all of it runs on the member's thread. */

#include <errno.h>

#include "broker/commit_private.h"
#include "broker/counters.h"
#include "common/base/bug.h"
#include "common/net/pool_trimmer.h"

/*
 * So many items are handed on before the turn is over, so that the commit
 * thread writes while the member goes on.
 */
#define GATHER_ITEMS 32u

/* Items that may lie with members that are behind, in windows. */
#define WINDOWS_OF_ITEMS 4u

int
commit_port_init(
    struct commit_port *port, struct commit *commit, unsigned member)
{
	size_t most = commit->window_bytes / MESSAGE_LEAST_WEIGHT + 1;
	int err;

	port->commit = commit;
	port->member = member;
	port->counters = commit->members[member].counters;
	most *= WINDOWS_OF_ITEMS;
	if (most > UINT32_MAX)
		most = UINT32_MAX;
	err = pool_init(
	    &port->items, sizeof(struct commit_item), 0, (uint32_t)most);
	if (err == 0)
		err = pool_init(&port->done_items,
		    sizeof(struct commit_item) +
			COMMIT_DONES * sizeof(struct store_done),
		    0, UINT32_MAX);
	return err;
}

void
commit_port_trim(struct commit_port *port, struct pool_trimmer *trimmer)
{
	pool_trimmer_add(trimmer, &port->items);
	pool_trimmer_add(trimmer, &port->done_items);
}

void
commit_port_level(const struct commit_port *port, struct pool_level *level)
{
	pool_level_add(level, &port->items);
	pool_level_add(level, &port->done_items);
}

void
commit_port_fini(struct commit_port *port)
{
	struct commit_list left = { port->newest, port->oldest };

	commit_list_free(&left);
	if (port->done != NULL)
		commit_item_free(port->done);
	if (port->spare != NULL)
		commit_item_free(port->spare);
	pool_fini(&port->items);
	pool_fini(&port->done_items);
}

enum mqtt_reason
commit_reason(int err)
{
	if (err == 0)
		return MQTT_SUCCESS;
	return err == -ENOSPC || err == -EDQUOT || err == -EMSGSIZE
	    ? MQTT_QUOTA_EXCEEDED
	    : MQTT_IMPLEMENTATION_SPECIFIC_ERROR;
}

static void
count(struct commit_port *port, enum counter counter)
{
	if (port->counters != NULL)
		stats_increment(port->counters, counter);
}

/* ---- what may be sent -------------------------------------------------- */

/* A message larger than the window goes through an empty one. */
enum commit_answer
commit_offer(struct commit_port *port, size_t weight)
{
	size_t window = port->commit->window_bytes;
	uint64_t used = port->sent_weight - port->settled_weight;

	/* relaxed: advice, what comes too late fails in the line */
	if (atomic_load_explicit(&port->commit->error, memory_order_relaxed) !=
	    0) {
		atomic_fetch_add_explicit(
		    &port->refused, 1, memory_order_relaxed);
		count(port, COUNT_journal_refused);
		return COMMIT_REFUSES;
	}
	if (used == 0 || (weight <= window && used <= window - weight))
		return COMMIT_TAKES;
	count(port, COUNT_journal_stalls);
	return COMMIT_STALLS;
}

bool
commit_is_failing(const struct commit_port *port)
{
	/* relaxed: as in commit_offer() */
	return atomic_load_explicit(
		   &port->commit->error, memory_order_relaxed) != 0;
}

enum mqtt_reason
commit_refusal(const struct commit_port *port)
{
	/* relaxed: it may have ended meanwhile; then any reason will do */
	int err =
	    atomic_load_explicit(&port->commit->error, memory_order_relaxed);

	return commit_reason(err == 0 ? -EIO : err);
}

/* ---- sending ----------------------------------------------------------- */

/*
 * seq_cst, for the waker: the chain is in the inbox before the waker's state
 * is looked at.
 */
static void
push(struct commit_port *port)
{
	struct commit *commit = port->commit;
	struct commit_item *top;

	if (port->newest == NULL)
		return;
	top = atomic_load_explicit(&commit->inbox, memory_order_relaxed);
	do
		port->oldest->next = top;
	while (
	    !atomic_compare_exchange_weak(&commit->inbox, &top, port->newest));
	port->newest = port->oldest = NULL;
	port->gathered = 0;
	if (port->is_urgent)
		waker_wake(&commit->waker);
	else
		waker_nudge(&commit->waker);
	port->is_urgent = false;
}

static void
gather(struct commit_port *port, struct commit_item *item, bool is_urgent)
{
	item->next = port->newest;
	port->newest = item;
	if (port->oldest == NULL)
		port->oldest = item;
	port->is_urgent |= is_urgent;
	port->gathered++;
	if (port->gathered == GATHER_ITEMS)
		push(port);
}

static uint64_t
send_item(struct commit_port *port, struct commit_item *item)
{
	uint64_t ticket = ++port->last_ticket;

	item->ticket = ticket;
	port->sent_weight += item->weight;
	gather(port, item, true);
	return ticket;
}

uint64_t
commit_send(struct commit_port *port, struct commit_item *item,
    const struct commit_origin *origin)
{
	BUG_ON(item->port != port);
	item->publisher = origin->publisher;
	item->packet_id = origin->packet_id;
	item->retain_serial = origin->retain_serial;
	item->is_written = origin->is_written || item->durable_count != 0;
	item->must_sync = item->is_written;
	item->weight += message_weight(item->message);
	return send_item(port, item);
}

uint64_t
commit_send_state(struct commit_port *port, enum store_kind kind,
    struct slice body, bool must_sync)
{
	struct commit_item *item;

	item = commit_item_new(port, COMMIT_STATE);
	if (item == NULL)
		return 0;
	if (!commit_item_set_body(item, body)) {
		commit_item_free(item);
		return 0;
	}
	item->kind = (uint8_t)kind;
	item->must_sync = must_sync;
	item->is_written = true;
	item->weight = MESSAGE_LEAST_WEIGHT + body.len;
	return send_item(port, item);
}

uint64_t
commit_send_cursor(
    struct commit_port *port, enum store_kind kind, uint64_t cursor)
{
	struct commit_item *item;

	BUG_ON(kind != STORE_OPEN && kind != STORE_CLOSE);
	item = commit_item_new(port, COMMIT_CURSOR);
	if (item == NULL)
		return 0;
	item->kind = (uint8_t)kind;
	item->publisher = cursor;
	item->is_written = true;
	/* Clean Start waits for what ends, a CONNECT for what begins. */
	item->must_sync = true;
	item->weight = MESSAGE_LEAST_WEIGHT;
	return send_item(port, item);
}

/* ---- what is over ------------------------------------------------------ */

/*
 * One item is always kept in reserve, so that a lack of memory is met with
 * COMMIT_DONES entries in hand, and is over when it can be made good.
 */
static bool
begin_dones(struct commit_port *port)
{
	if (port->done != NULL)
		return true;
	port->done = commit_item_new(port, COMMIT_DONE);
	if (port->done == NULL) {
		port->done = port->spare;
		port->spare = NULL;
	} else if (port->spare == NULL) {
		port->spare = commit_item_new(port, COMMIT_DONE);
	}
	return port->done != NULL;
}

void
commit_done(struct commit_port *port, const struct store_done *done)
{
	struct commit_item *item;

	if (!begin_dones(port)) {
		count(port, COUNT_journal_forgotten);
		return;
	}
	item = port->done;
	item->dones[item->length++] = *done;
	if (item->length < COMMIT_DONES)
		return;
	port->done = NULL;
	item->is_written = true;
	gather(port, item, true);
}

/* ---- tickets ----------------------------------------------------------- */

uint64_t
commit_settled(const struct commit_port *port)
{
	return port->settled_ticket;
}

uint64_t
commit_last_ticket(const struct commit_port *port)
{
	return port->last_ticket;
}

void
commit_flush(struct commit_port *port)
{
	struct commit_item *item = port->done;

	if (item != NULL) {
		port->done = NULL;
		item->is_written = true;
		gather(port, item, false);
	}
	push(port);
}
