/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/counters.h"
#include "broker/overflow.h"
#include "broker/store/store.h"

#define FIRST_OVER 16

/* maybe_sent: nobody has come back for it yet. */
#define NOT_RESUMED UINT32_MAX

/* ---- how much there is -------------------------------------------------- */

/* Relaxed throughout: one writer, and readers that only compare. */
static uint64_t
load(const _Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

static void
store(_Atomic uint64_t *number, uint64_t value)
{
	atomic_store_explicit(number, value, memory_order_relaxed);
}

static void
count_in(struct session *session, size_t weight)
{
	struct session_queue *queue = &session->queue;

	store(&queue->count, load(&queue->count) + 1);
	store(&queue->bytes, load(&queue->bytes) + weight);
	session_queued(session, weight);
}

/* The store weighs bodies, so the bytes of a former life are about right. */
static void
count_out(struct session *session, size_t weight)
{
	struct session_queue *queue = &session->queue;
	const uint64_t count = load(&queue->count);
	const uint64_t bytes = load(&queue->bytes);

	if (count == 0)
		return;
	store(&queue->count, count - 1);
	if (count == 1 || bytes < weight)
		weight = bytes;
	store(&queue->bytes, bytes - weight);
	session_unqueued(session, weight);
}

uint64_t
session_queue_count(const struct session *session)
{
	return load(&session->queue.count);
}

uint64_t
session_queue_bytes(const struct session *session)
{
	return load(&session->queue.bytes);
}

bool
session_queue_is_full(const struct session *session, size_t weight)
{
	const struct outbox_limits *limits = &session->home->limits;
	const uint64_t count = load(&session->queue.count);

	/* Into an empty queue one always goes, however large. */
	return count != 0 &&
	    (session_are_full(session) || count >= limits->max_messages ||
		load(&session->queue.bytes) + weight > limits->max_bytes);
}

bool
session_queue_refuses(const struct session *session, size_t weight)
{
	return session_queue_is_full(session, weight) &&
	    session_slow_policy(session) != CONF_SLOW_DROP_OLDEST;
}

uint64_t
session_queue_excess(const struct session *session)
{
	const struct session_queue *queue = &session->queue;
	const struct outbox_limits *limits = &session->home->limits;
	const uint64_t all = load(&queue->count), bytes = load(&queue->bytes);
	uint64_t room = limits->max_messages;

	if (all <= queue->to_drop)
		return 0;
	/* The last one may stay, however large. */
	if (bytes > limits->max_bytes &&
	    limits->max_bytes / ((bytes + all - 1) / all) < room)
		room = limits->max_bytes / ((bytes + all - 1) / all);
	if (room == 0)
		room = 1;
	if (all - queue->to_drop > room)
		return all - queue->to_drop - room;
	return session_are_full(session) && all - queue->to_drop > 1;
}

static void
on_left_out(struct mail *mail, void *owner)
{
	struct session *session =
	    CONTAINER_OF(mail, struct session, queue.left_out_mail);
	struct stats_block *counters = session->home->counters;
	uint64_t count;

	(void)owner;
	/* Before the count: later ones write again.  Pairs with leave_out. */
	atomic_exchange_explicit(
	    &session->queue.left_out_is_posted, false, memory_order_acq_rel);
	count = atomic_exchange_explicit(
	    &session->queue.left_out, 0, memory_order_relaxed);
	stats_add(counters, COUNT_deliveries, count);
	stats_add(counters, COUNT_dropped_queue_full, count);
	if (!session->ended)
		overflow_note(session, count);
}

bool
session_queue_leave_out(struct session *session)
{
	struct session_queue *queue = &session->queue;

	atomic_fetch_add_explicit(&queue->left_out, 1, memory_order_relaxed);
	/* Release: the count is there when the mail is opened. */
	if (atomic_exchange_explicit(
		&queue->left_out_is_posted, true, memory_order_acq_rel))
		return false;
	queue->left_out_mail.open = on_left_out;
	mailbox_put(session->home->mailbox, &queue->left_out_mail);
	return true;
}

/* ---- what is over, though it will be read ------------------------------- */

static void
forget_over(struct session_queue *queue)
{
	free(queue->over);
	queue->over = NULL;
	queue->over_count = queue->over_size = queue->over_at = 0;
}

/* Nearly always behind all others.  False: no memory. */
static bool
remember_over(struct session_queue *queue, uint64_t sequence)
{
	const size_t size =
	    queue->over_size == 0 ? FIRST_OVER : queue->over_size * 2;
	size_t at = queue->over_count;
	uint64_t *over;

	if (queue->over_count == queue->over_size) {
		over = realloc(queue->over, size * sizeof(*over));
		if (over == NULL)
			return false;
		queue->over = over;
		queue->over_size = size;
	}
	for (; at > 0 && queue->over[at - 1] > sequence; at--)
		queue->over[at] = queue->over[at - 1];
	queue->over[at] = sequence;
	queue->over_count++;
	return true;
}

/* Reading is in order too: what is before `sequence` is passed. */
static bool
is_over(struct session_queue *queue, uint64_t sequence)
{
	while (queue->over_at < queue->over_count &&
	    queue->over[queue->over_at] < sequence)
		queue->over_at++;
	return queue->over_at < queue->over_count &&
	    queue->over[queue->over_at] == sequence;
}

/* ---- recovery ----------------------------------------------------------- */

int
session_queue_restore(
    struct session *session, const struct store_cursor *cursor, uint64_t last)
{
	struct session_queue *queue = &session->queue;
	const size_t size = cursor->over_count * sizeof(uint64_t);

	if (cursor->over_count != 0) {
		queue->over = malloc(size);
		if (queue->over == NULL)
			return -ENOMEM;
		memcpy(queue->over, cursor->over, size);
		queue->over_count = queue->over_size = cursor->over_count;
	}
	feed_init(&queue->feed, cursor->floor, cursor->queued == 0 ? 0 : last);
	queue->former = last;
	queue->maybe_sent = NOT_RESUMED;
	store(&queue->count, cursor->queued);
	store(&queue->bytes, cursor->queued_bytes);
	stats_add(session->home->counters, COUNT_queued, cursor->queued);
	session->home->queued_bytes += cursor->queued_bytes;
	return 0;
}

static bool
was_over(const struct session_queue *queue, uint64_t sequence)
{
	for (size_t i = 0; i < queue->over_count; i++)
		if (queue->over[i] == sequence)
			return true;
	return false;
}

int
session_queue_restore_received(struct session *session, uint64_t sequence)
{
	struct session_queue *queue = &session->queue;
	int err;

	if (sequence < queue->feed.next || sequence > queue->former ||
	    was_over(queue, sequence))
		return 0;
	/* For who reads: it is not sent again. */
	if (!remember_over(queue, sequence))
		return -ENOMEM;
	err = outbox_restore_received(
	    &session->outbox, &session->home->outgoing, sequence);
	if (err != 0)
		return err;
	stats_increment(session->home->counters, COUNT_in_flight);
	count_out(session, 0);
	return 0;
}

/* ---- arriving ----------------------------------------------------------- */

static bool
has_room(const struct session *session)
{
	const struct outbox *outbox = &session->outbox;

	return session->client != NULL &&
	    (outbox->waiting_count == 0 ||
		(outbox->waiting_count < SESSION_WINDOW_MESSAGES &&
		    outbox->waiting_bytes < SESSION_WINDOW_BYTES));
}

/* Beyond the limits.  Without memory to remember it, it stays. */
static enum session_arrival
leave_out(struct session *session, const struct outbox_item *item)
{
	struct session_queue *queue = &session->queue;

	switch (feed_arrives(&queue->feed, item->sequence, true)) {
	case FEED_KEEP:
		return SESSION_FULL;
	case FEED_KNOWN:
		return SESSION_KNOWN;
	case FEED_LATER:
		break;
	}
	if (remember_over(queue, item->sequence))
		return SESSION_FULL;
	count_in(session, message_weight(item->message));
	return SESSION_LATER;
}

static enum session_arrival
keep(struct session *session, const struct outbox_item *item)
{
	if (outbox_put(
		&session->outbox, &session->home->outgoing, NULL, item) == 0)
		return SESSION_KEPT;
	feed_rewind(&session->queue.feed, item->sequence);
	return SESSION_LATER;
}

enum session_arrival
session_queue_arrives(struct session *session, const struct outbox_item *item)
{
	const size_t weight = message_weight(item->message);

	if (session_queue_refuses(session, weight))
		return leave_out(session, item);
	switch (feed_arrives(
	    &session->queue.feed, item->sequence, has_room(session))) {
	case FEED_KNOWN:
		return SESSION_KNOWN;
	case FEED_LATER:
		count_in(session, weight);
		return SESSION_LATER;
	case FEED_KEEP:
		break;
	}
	count_in(session, weight);
	return keep(session, item);
}

/* ---- reading ------------------------------------------------------------ */

bool
session_queue_wants_read(struct session *session)
{
	const struct outbox *outbox = &session->outbox;

	return feed_begins_read(&session->queue.feed,
	    session->queue.to_drop != 0 ||
		(session->client != NULL &&
		    outbox->waiting_count <= SESSION_WINDOW_LOW &&
		    outbox->waiting_bytes <= SESSION_WINDOW_BYTES / 2));
}

size_t
session_queue_read_count(const struct session *session)
{
	const size_t room =
	    SESSION_WINDOW_MESSAGES - session->outbox.waiting_count;

	/* Only to drop them. */
	if (session->client == NULL && session->queue.to_drop < room)
		return session->queue.to_drop;
	return room;
}

size_t
session_queue_read_bytes(const struct session *session)
{
	const uint64_t waiting = session->outbox.waiting_bytes;

	/* One large message fills the window, and older ones are dropped. */
	return waiting < SESSION_WINDOW_BYTES ? SESSION_WINDOW_BYTES - waiting
					      : 0;
}

void
session_queue_read_failed(struct session *session)
{
	session->queue.is_stale = false;
	feed_read_failed(&session->queue.feed);
}

enum session_arrival
session_queue_loads(struct session *session, const struct outbox_item *item)
{
	struct session_queue *queue = &session->queue;
	struct feed *feed = &queue->feed;
	const bool is_new = item->sequence > feed->arrived;

	if (queue->is_stale || !feed->is_reading ||
	    item->sequence <= feed->loaded)
		return SESSION_KNOWN;
	if (is_over(queue, item->sequence)) {
		feed_loads(feed, item->sequence);
		return SESSION_KNOWN;
	}
	if (queue->to_drop != 0 && !is_new) {
		queue->to_drop--;
		feed_loads(feed, item->sequence);
		session_queue_drops(session, message_weight(item->message));
		return SESSION_DROPPED;
	}
	/* It was read to drop others, and nobody is there. */
	if (session->client == NULL) {
		queue->is_stale = true;
		return SESSION_LATER;
	}
	if (outbox_put(
		&session->outbox, &session->home->outgoing, NULL, item) != 0) {
		queue->is_stale = true;
		return SESSION_LATER;
	}
	feed_loads(feed, item->sequence);
	if (!is_new)
		return SESSION_KEPT;
	/* The mail that says so is still under way. */
	stats_increment(session->home->counters, COUNT_deliveries);
	count_in(session, message_weight(item->message));
	return SESSION_KEPT;
}

void
session_queue_loaded(struct session *session, uint64_t upto)
{
	if (!session->queue.feed.is_reading)
		return;
	if (session->queue.is_stale)
		session_queue_read_failed(session);
	else
		feed_loaded(&session->queue.feed, upto);
}

/* ---- leaving ------------------------------------------------------------ */

bool
session_queue_leaves(struct session *session, uint64_t sequence, size_t weight)
{
	struct session_queue *queue = &session->queue;

	count_out(session, weight);
	if (queue->over != NULL && !queue->feed.is_lagging &&
	    session->outbox.waiting_count == 0)
		forget_over(queue);
	if (queue->maybe_sent == 0 || sequence > queue->former)
		return false;
	queue->maybe_sent--;
	return true;
}

void
session_queue_drops(struct session *session, size_t weight)
{
	struct session_queue *queue = &session->queue;

	count_out(session, weight);
	if (queue->maybe_sent != 0 && queue->maybe_sent != NOT_RESUMED)
		queue->maybe_sent--;
}

bool
session_queue_drop_unread(struct session *session, uint64_t count)
{
	struct session_queue *queue = &session->queue;

	if (!queue->feed.is_lagging)
		return false;
	queue->to_drop = count > UINT32_MAX - queue->to_drop
	    ? UINT32_MAX
	    : queue->to_drop + (uint32_t)count;
	return true;
}

void
session_queue_resume(struct session *session)
{
	if (session->queue.maybe_sent == NOT_RESUMED)
		session->queue.maybe_sent = session->outbox.window;
}

void
session_queue_rest(struct session *session)
{
	struct session_queue *queue = &session->queue;
	uint64_t first;

	queue->is_stale = queue->feed.is_reading;
	queue->over_at = 0;
	first = outbox_drop_waiting(&session->outbox, &session->home->outgoing);
	if (first != 0)
		feed_rewind(&queue->feed, first);
}

/* Everything below what is in flight, waits, or is still to be read. */
static uint64_t
floor_of(const struct session *session)
{
	const struct outbox *outbox = &session->outbox;
	const struct feed *feed = &session->queue.feed;
	uint64_t lowest = feed->is_lagging ? feed->next : feed->loaded + 1;

	if (outbox->waiting.first != NULL &&
	    outbox->waiting.first->sequence < lowest)
		lowest = outbox->waiting.first->sequence;
	if (outbox->in_flight.first != NULL &&
	    outbox->in_flight.first->sequence < lowest)
		lowest = outbox->in_flight.first->sequence;
	return lowest - 1;
}

struct store_done
session_queue_done(const struct session *session, uint64_t sequence)
{
	return (struct store_done){
		.cursor = session->cursor,
		.sequence = sequence,
		.floor = floor_of(session),
	};
}

void
session_queue_fini(struct session *session)
{
	struct session_queue *queue = &session->queue;
	const uint64_t count = load(&queue->count);

	/* The others were counted when it was decided. */
	if (count > queue->to_drop && !session->leaves_estate)
		stats_add(session->home->counters, COUNT_dropped_session_end,
		    count - queue->to_drop);
	stats_subtract(session->home->counters, COUNT_queued, count);
	session->home->queued_bytes -= load(&queue->bytes);
	store(&queue->count, 0);
	store(&queue->bytes, 0);
	queue->to_drop = 0;
	forget_over(queue);
}
