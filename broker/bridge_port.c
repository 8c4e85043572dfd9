/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/bridge_port.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/bridge_port_links.h"
#include "common/base/bug.h"
#include "common/base/pool.h"
#include "common/conf/conf.h"

/* The way to one bridge. */
struct way {
	/* [worker] bytes sent, ever. */
	uint64_t sent_bytes;
	_Atomic uint64_t refused; /* written by the worker */

	/* [links] */
	_Alignas(64) struct bridge_port_item *head;
	struct bridge_port_item **tail;
	uint64_t done_bytes;  /* advanced, ever */
	uint64_t done_ticket; /* of the item advanced last */
	uint64_t seen_refused;

	/* Written by links when it publishes, read by the worker. */
	_Alignas(64) _Atomic uint64_t taken_bytes;
	_Atomic uint64_t committed_ticket;
};

struct bridge_port {
	struct bridge_port_spec spec; /* [const] */

	/* [worker] */
	struct pool items;
	struct bridge_port_item *spare; /* taken by an offer, not yet sent */
	unsigned spare_count;
	bool is_adopted;
	bool has_unflushed;
	uint64_t ticket;

	/*
	 * Newest first.  The worker pushes one by one (release), links takes
	 * all at once (acquire), so there is no ABA.
	 */
	_Alignas(64) _Atomic(struct bridge_port_item *) inbox;

	/* At most one letter each way is under way. */
	struct mail sent_mail;
	struct mail moved_mail;
	_Atomic bool sent_is_posted;
	_Atomic bool moved_is_posted;

	/* [links] */
	uint64_t waiting;
	uint64_t unpublished; /* bridges advanced since the last publish */

	struct way ways[];
};

static void
open_sent(struct mail *mail, void *owner)
{
	struct bridge_port *port = (struct bridge_port *)(void *)((char *)mail -
	    offsetof(struct bridge_port, sent_mail));

	(void)owner;
	/*
	 * Before the inbox is looked at: what is pushed later posts a letter
	 * again.  Pairs with the exchange in bridge_port_flush().
	 */
	atomic_exchange_explicit(
	    &port->sent_is_posted, false, memory_order_acq_rel);
	port->spec.sent(port->spec.sent_context, port);
}

static void
open_moved(struct mail *mail, void *owner)
{
	struct bridge_port *port = (struct bridge_port *)(void *)((char *)mail -
	    offsetof(struct bridge_port, moved_mail));

	(void)owner;
	/* As in open_sent(); pairs with the exchange in bridge_port_moved(). */
	atomic_exchange_explicit(
	    &port->moved_is_posted, false, memory_order_acq_rel);
	port->spec.moved(port->spec.moved_context);
}

/* ---- the worker's half ---------------------------------------------- */

/* Have `count` items at hand, so that a send cannot fail. */
static bool
stock_spares(struct bridge_port *port, unsigned count)
{
	struct bridge_port_item *item;

	if (!port->is_adopted) {
		pool_adopt(&port->items);
		port->is_adopted = true;
	}
	while (port->spare_count < count) {
		item = pool_take(&port->items);
		if (item == NULL)
			return false;
		item->next = port->spare;
		port->spare = item;
		port->spare_count++;
	}
	return true;
}

/* A message larger than the window goes through an empty one. */
static bool
has_window(const struct bridge_port *port, unsigned bridge, size_t weight)
{
	const struct way *way = &port->ways[bridge];
	uint64_t taken, used;

	/* Acquire pairs with the release in bridge_port_publish(). */
	taken = atomic_load_explicit(&way->taken_bytes, memory_order_acquire);
	used = way->sent_bytes - taken;
	return used == 0 ||
	    (weight <= port->spec.window_bytes &&
		used <= port->spec.window_bytes - weight);
}

static void
count_refused(struct way *way)
{
	uint64_t refused;

	/* Relaxed: a counter with one writer. */
	refused = atomic_load_explicit(&way->refused, memory_order_relaxed);
	atomic_store_explicit(&way->refused, refused + 1, memory_order_relaxed);
}

enum bridge_port_answer
bridge_port_offer(struct bridge_port *port, uint64_t bridges, size_t weight)
{
	uint64_t refusing;
	unsigned bridge;

	/* Relaxed: advice; whoever is let through waits in the window. */
	refusing = bridges &
	    atomic_load_explicit(port->spec.rejecting, memory_order_relaxed) &
	    atomic_load_explicit(port->spec.full, memory_order_relaxed);
	if (refusing != 0) {
		BRIDGE_TABLE_EACH(bridge, refusing)
		count_refused(&port->ways[bridge]);
		return BRIDGE_PORT_REJECTS;
	}

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		if (!has_window(port, bridge, weight))
			return BRIDGE_PORT_STALLS;
	}
	if (!stock_spares(port, (unsigned)__builtin_popcountll(bridges)))
		return BRIDGE_PORT_STALLS;
	return BRIDGE_PORT_TAKES;
}

static void
push(struct bridge_port *port, struct bridge_port_item *item)
{
	item->next = atomic_load_explicit(&port->inbox, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&port->inbox, &item->next,
	    item, memory_order_release, memory_order_relaxed))
		;
}

uint64_t
bridge_port_send(
    struct bridge_port *port, uint64_t bridges, struct message *message)
{
	struct bridge_port_item *item;
	unsigned bridge;

	port->ticket++;
	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		BUG_ON(bridge >= port->spec.bridges);
		BUG_ON(port->spare == NULL); /* no offer before the send */
		item = port->spare;
		port->spare = item->next;
		port->spare_count--;

		item->message = message_take(message);
		item->ticket = port->ticket;
		item->weight = message_weight(message);
		item->bridge = bridge;
		port->ways[bridge].sent_bytes += item->weight;
		push(port, item);
		port->has_unflushed = true;
	}
	return port->ticket;
}

bool
bridge_port_is_committed(
    const struct bridge_port *port, uint64_t bridges, uint64_t ticket)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		/* Acquire pairs with the release in bridge_port_publish(). */
		if (atomic_load_explicit(&port->ways[bridge].committed_ticket,
			memory_order_acquire) < ticket)
			return false;
	}
	return true;
}

void
bridge_port_flush(struct bridge_port *port)
{
	if (!port->has_unflushed)
		return;
	port->has_unflushed = false;
	if (atomic_exchange_explicit(
		&port->sent_is_posted, true, memory_order_acq_rel))
		return;
	mailbox_put(port->spec.links_mailbox, &port->sent_mail);
	mailbox_wake(port->spec.links_mailbox);
}

/* ---- the links thread's half ---------------------------------------- */

struct bridge_port *
bridge_port_new(const struct bridge_port_spec *spec)
{
	struct bridge_port *port;
	size_t size, most;
	int err;

	BUG_ON(spec->bridges > CONF_MAX_BRIDGES);
	size = sizeof(*port) + spec->bridges * sizeof(port->ways[0]);
	size = (size + 63) & ~(size_t)63;
	port = aligned_alloc(64, size);
	if (port == NULL)
		return NULL;
	memset(port, 0, size);

	/* A full window of empty messages, one too large, one spare. */
	most =
	    (spec->window_bytes / MESSAGE_LEAST_WEIGHT + 2) * spec->bridges + 1;
	if (most > UINT32_MAX)
		most = UINT32_MAX;
	/* One for each bridge is always there: an empty port never stalls. */
	err = pool_init(&port->items, sizeof(struct bridge_port_item),
	    spec->bridges + 1, (uint32_t)most);
	if (err != 0) {
		free(port);
		errno = -err;
		return NULL;
	}

	port->spec = *spec;
	port->sent_mail.open = open_sent;
	port->moved_mail.open = open_moved;
	for (unsigned i = 0; i < spec->bridges; i++)
		port->ways[i].tail = &port->ways[i].head;
	return port;
}

void
bridge_port_free(struct bridge_port *port)
{
	struct bridge_port_item *item;
	unsigned bridge;

	if (port == NULL)
		return;
	bridge_port_collect(port);
	BRIDGE_TABLE_EACH(bridge, port->waiting)
	{
		while (bridge_port_head(port, bridge) != NULL)
			bridge_port_advance(port, bridge);
	}
	while ((item = port->spare) != NULL) {
		port->spare = item->next;
		pool_put(&port->items, item);
	}
	pool_fini(&port->items);
	free(port);
}

static struct bridge_port_item *
reverse(struct bridge_port_item *newest)
{
	struct bridge_port_item *next, *oldest = NULL;

	for (; newest != NULL; newest = next) {
		next = newest->next;
		newest->next = oldest;
		oldest = newest;
	}
	return oldest;
}

void
bridge_port_collect(struct bridge_port *port)
{
	struct bridge_port_item *item, *next;
	struct way *way;

	/* Acquire pairs with the release in push(). */
	item = reverse(
	    atomic_exchange_explicit(&port->inbox, NULL, memory_order_acquire));
	for (; item != NULL; item = next) {
		next = item->next;
		item->next = NULL;
		way = &port->ways[item->bridge];
		*way->tail = item;
		way->tail = &item->next;
		port->waiting |= UINT64_C(1) << item->bridge;
	}
}

uint64_t
bridge_port_waiting(const struct bridge_port *port)
{
	return port->waiting;
}

struct bridge_port_item *
bridge_port_head(struct bridge_port *port, unsigned bridge)
{
	return port->ways[bridge].head;
}

void
bridge_port_advance(struct bridge_port *port, unsigned bridge)
{
	struct way *way = &port->ways[bridge];
	struct bridge_port_item *item = way->head;

	BUG_ON(item == NULL);
	way->head = item->next;
	if (way->head == NULL) {
		way->tail = &way->head;
		port->waiting &= ~(UINT64_C(1) << bridge);
	}
	way->done_bytes += item->weight;
	way->done_ticket = item->ticket;
	port->unpublished |= UINT64_C(1) << bridge;

	message_put(item->message);
	pool_put(&port->items, item);
}

void
bridge_port_moved(struct bridge_port *port)
{
	if (atomic_exchange_explicit(
		&port->moved_is_posted, true, memory_order_acq_rel))
		return;
	mailbox_put(port->spec.worker_mailbox, &port->moved_mail);
	mailbox_wake(port->spec.worker_mailbox);
}

bool
bridge_port_publish(struct bridge_port *port)
{
	unsigned bridge;
	struct way *way;

	if (port->unpublished == 0)
		return false;
	BRIDGE_TABLE_EACH(bridge, port->unpublished)
	{
		way = &port->ways[bridge];
		/* Release: after the ring's commit; pairs with the worker. */
		atomic_store_explicit(&way->committed_ticket, way->done_ticket,
		    memory_order_release);
		atomic_store_explicit(
		    &way->taken_bytes, way->done_bytes, memory_order_release);
	}
	port->unpublished = 0;
	bridge_port_moved(port);
	return true;
}

uint64_t
bridge_port_refused(struct bridge_port *port, unsigned bridge)
{
	struct way *way = &port->ways[bridge];
	uint64_t refused, news;

	refused = atomic_load_explicit(&way->refused, memory_order_relaxed);
	news = refused - way->seen_refused;
	way->seen_refused = refused;
	return news;
}
