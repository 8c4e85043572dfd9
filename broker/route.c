/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/rcu.h"
#include "broker/retain.h"
#include "broker/session_queue.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/pool.h"
#include "common/net/pool_trimmer.h"

/* Deliveries in one letter, and letters that may be under way. */
#define LETTER_ITEMS 60
#define MAX_LETTERS 8192
#define ENOUGH_LETTERS 4096

/* One delivery; its further Subscription Identifiers are items before it. */
struct letter_item {
	struct session *session; /* NULL: only an identifier */
	struct message *message;
	uint32_t identifier; /* 0: none */
	uint32_t share;      /* as in struct outbox_item */
	uint8_t qos;
	bool retain;
};

/* Deliveries for one worker.  Neighbours of one message share a reference. */
struct letter {
	struct mail mail;
	struct pool *home; /* NULL: from the heap */
	struct message *last;
	uint32_t count;
	uint32_t size;
	struct letter_item items[];
};

/* Of a subscriber with several subscriptions: where its match is. */
struct overlap {
	struct subscriber *subscriber;
	size_t match;
};

struct router {
	struct broker *broker;
	struct worker *worker; /* NULL: the links thread's */
	struct pool letters;
	struct letter **open;     /* being written, one for each worker */
	bool *must_wake;          /* mail was put for this worker */
	bool is_reading;          /* within rcu_enter() since the last flush */
	struct commit_item *item; /* receivers are added to it; or NULL */
	bool has_failed;          /* one could not be */
	uint64_t retain_serial;   /* of the last retained message */
	struct subscription_matches matches;
	struct overlap *overlaps;
	size_t overlaps_size;
	uint32_t *identifiers; /* as many */
};

/* ---- letters ------------------------------------------------------------ */

static void
free_letter(struct letter *letter)
{
	if (letter->home != NULL)
		pool_put(letter->home, letter);
	else
		free(letter);
}

/* On the receiving worker's thread. */
static void
on_letter(struct mail *mail, void *owner)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
	struct worker *worker = owner;
	uint32_t identifiers[LETTER_ITEMS];
	const struct letter_item *item;
	struct message *last = NULL;
	size_t count = 0;

	for (uint32_t i = 0; i < letter->count; i++) {
		item = &letter->items[i];
		if (item->identifier != 0 && count < LETTER_ITEMS)
			identifiers[count++] = item->identifier;
		if (item->session == NULL)
			continue;
		if (item->message != last) {
			message_put(last);
			last = item->message;
			deliver_begin(worker, last);
		}
		deliver(worker, item->session,
		    &(struct outbox_item){
			.message = item->message,
			.qos = item->qos,
			.retain = item->retain,
			.share = item->share,
			.identifiers = identifiers,
			.identifier_count = count,
		    });
		count = 0;
	}
	message_put(last);
	free_letter(letter);
}

static struct letter *
new_letter(struct router *router)
{
	const size_t size =
	    sizeof(struct letter) + LETTER_ITEMS * sizeof(struct letter_item);
	struct letter *letter;
	struct pool *home = &router->letters;

	letter = pool_take(home);
	if (letter == NULL) {
		home = NULL;
		letter = malloc(size);
	}
	if (letter == NULL)
		return NULL;
	letter->mail.open = on_letter;
	letter->home = home;
	letter->last = NULL;
	letter->count = 0;
	letter->size = LETTER_ITEMS;
	return letter;
}

static void
send_letter(struct router *router, unsigned to)
{
	struct letter *letter = router->open[to];

	if (letter == NULL)
		return;
	router->open[to] = NULL;
	router->must_wake[to] = true;
	mailbox_put(router->broker->workers[to]->mailbox, &letter->mail);
	if (router->worker != NULL)
		worker_count(router->worker, COUNT_letters);
}

/* A letter to worker `to` with room for `items` more; NULL: no memory. */
static struct letter *
letter_for(struct router *router, unsigned to, size_t items)
{
	struct letter *letter = router->open[to];

	if (letter != NULL && letter->count + items > letter->size)
		send_letter(router, to);
	if (router->open[to] == NULL)
		router->open[to] = new_letter(router);
	return router->open[to];
}

/* False: no memory. */
static bool
write_delivery(struct router *router, struct session *session,
    const struct outbox_item *item)
{
	/* More identifiers than fit a letter are cut: they are of no use. */
	const size_t ids = item->identifier_count < LETTER_ITEMS
	    ? item->identifier_count
	    : LETTER_ITEMS;
	const size_t items = ids == 0 ? 1 : ids;
	struct letter_item *at;
	struct letter *letter;

	letter = letter_for(router, session->subscriber.worker, items);
	if (letter == NULL)
		return false;
	at = &letter->items[letter->count];
	for (size_t i = 0; i < items; i++)
		at[i] = (struct letter_item){
			.identifier = ids == 0 ? 0 : item->identifiers[i],
		};
	at += items - 1;
	at->session = session;
	at->message = item->message;
	at->qos = item->qos;
	at->retain = item->retain;
	at->share = item->share;
	if (letter->last != item->message) {
		message_take(item->message);
		letter->last = item->message;
	}
	letter->count += (uint32_t)items;
	return true;
}

/* ---- matches ------------------------------------------------------------ */

static struct session *
session_of(struct subscriber *subscriber)
{
	return CONTAINER_OF(subscriber, struct session, subscriber);
}

/* For the journal.  The owner counts who was left out, and says so. */
static void
collect(struct router *router, struct session *session,
    const struct outbox_item *item, bool is_copy)
{
	const struct commit_delivery delivery = {
		.cursor = session->cursor,
		.member = (uint16_t)session->subscriber.worker,
		.qos = item->qos,
		.retain = item->retain,
		.is_durable = session->is_durable && item->qos != 0,
		.identifier_count = (uint16_t)item->identifier_count,
		.share = item->share,
		.identifiers = item->identifiers,
	};

	if (delivery.is_durable &&
	    session_queue_refuses(session, message_weight(item->message)))
		router->must_wake[session->subscriber.worker] |=
		    session_queue_leave_out(session);
	else if (!(is_copy ? commit_add_copy : commit_add)(
		     router->item, &delivery))
		router->has_failed = true;
}

static void
hand_over(struct router *router, struct session *session,
    const struct outbox_item *item)
{
	struct worker *worker = router->worker;

	if (router->item != NULL)
		collect(router, session, item, false);
	else if (worker != NULL && session->subscriber.worker == worker->index)
		deliver(worker, session, item);
	else if (!write_delivery(router, session, item) && worker != NULL)
		worker_count(worker, COUNT_dropped_memory);
}

/* [MQTT-3.8.4-8] [MQTT-4.8.2-3]: neither more than granted nor more than
 * published. */
static struct outbox_item
item_for(struct message *message, const struct subscription_options *options)
{
	return (struct outbox_item){
		.message = message,
		.qos =
		    message->qos < options->qos ? message->qos : options->qos,
		/* [MQTT-3.3.1-12] [MQTT-3.3.1-13] */
		.retain = options->retain_as_published && message->retain,
		.identifiers = &options->identifier,
		.identifier_count = options->identifier != 0,
	};
}

static int
by_subscriber(const void *a, const void *b)
{
	const struct overlap *one = a, *other = b;

	if (one->subscriber == other->subscriber)
		return one->match < other->match ? -1 : 1;
	return one->subscriber < other->subscriber ? -1 : 1;
}

static bool
make_room(struct router *router, size_t count)
{
	struct overlap *overlaps;
	uint32_t *identifiers;

	if (count <= router->overlaps_size)
		return true;
	overlaps = realloc(router->overlaps, count * 2 * sizeof(*overlaps));
	if (overlaps == NULL)
		return false;
	router->overlaps = overlaps;
	identifiers =
	    realloc(router->identifiers, count * 2 * sizeof(*identifiers));
	if (identifiers == NULL)
		return false;
	router->identifiers = identifiers;
	router->overlaps_size = count * 2;
	return true;
}

/*
 * One delivery for all matches of one subscriber: the highest QoS, all
 * Subscription Identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4]; no
 * copies of it [MQTT-3.3.4-5].  Returns how many matches it was.
 */
static size_t
merge(struct router *router, const struct overlap *first, size_t count,
    struct message *message)
{
	struct subscription_options all = { 0 };
	const struct subscription_options *one;
	struct outbox_item item;
	size_t ids = 0, i;

	for (i = 0; i < count && first[i].subscriber == first->subscriber;
	     i++) {
		one = &router->matches.list[first[i].match].options;
		if (one->qos > all.qos)
			all.qos = one->qos;
		all.retain_as_published |= one->retain_as_published;
		if (one->identifier != 0)
			router->identifiers[ids++] = one->identifier;
	}
	item = item_for(message, &all);
	item.identifiers = router->identifiers;
	item.identifier_count = ids;
	hand_over(router, session_of(first->subscriber), &item);
	return i;
}

static unsigned
merge_all(struct router *router, size_t count, struct message *message)
{
	unsigned receivers = 0;

	qsort(
	    router->overlaps, count, sizeof(*router->overlaps), by_subscriber);
	for (size_t i = 0; i < count; receivers++)
		i += merge(router, router->overlaps + i, count - i, message);
	return receivers;
}

static bool
may_overlap(const struct subscription_match *match)
{
	return match->share == 0 &&
	    atomic_load_explicit(
		&match->subscriber->may_overlap, memory_order_relaxed);
}

static bool
goes_to_journal(
    const struct subscription_match *match, const struct message *message)
{
	return message->qos != 0 && match->options.qos != 0 &&
	    session_of(match->subscriber)->is_durable;
}

/*
 * The journal knows one delivery of a message to a session: if this is a
 * share's, and not the only one, it is a copy.
 */
static bool
is_copy(const struct router *router, size_t i, const struct message *message)
{
	const struct subscription_match *match = &router->matches.list[i];
	const struct subscription_match *other;

	if (router->item == NULL || match->share == 0 ||
	    !atomic_load_explicit(
		&match->subscriber->may_overlap, memory_order_relaxed) ||
	    !goes_to_journal(match, message))
		return false;
	for (size_t k = 0; k < router->matches.count; k++) {
		other = &router->matches.list[k];
		if (other->subscriber == match->subscriber &&
		    goes_to_journal(other, message) &&
		    (other->share == 0 || k < i))
			return true;
	}
	return false;
}

static unsigned
hand_over_all(struct router *router, struct message *message,
    const struct session *publisher)
{
	struct subscription_matches *matches = &router->matches;
	const struct subscription_match *match;
	struct session *session;
	struct outbox_item item;
	unsigned receivers = 0;
	size_t overlaps = 0;

	for (size_t i = 0; i < matches->count; i++) {
		match = &matches->list[i];
		/* [MQTT-3.8.3-3] */
		if (match->options.no_local && publisher != NULL &&
		    match->subscriber == &publisher->subscriber)
			continue;
		if (may_overlap(match) && make_room(router, overlaps + 1)) {
			router->overlaps[overlaps++] =
			    (struct overlap){ match->subscriber, i };
			continue;
		}
		item = item_for(message, &match->options);
		item.share = match->share;
		session = session_of(match->subscriber);
		if (is_copy(router, i, message))
			collect(router, session, &item, true);
		else
			hand_over(router, session, &item);
		receivers++;
	}
	if (overlaps != 0)
		receivers += merge_all(router, overlaps, message);
	return receivers;
}

/* ---- public ------------------------------------------------------------- */

static struct router *
router_of(struct broker *broker, struct worker *worker)
{
	return worker != NULL ? worker->router : broker->links_router;
}

struct router *
router_new(struct broker *broker, struct worker *worker)
{
	const size_t size =
	    sizeof(struct letter) + LETTER_ITEMS * sizeof(struct letter_item);
	struct router *router;

	router = aligned_alloc(_Alignof(struct router), sizeof(*router));
	if (router == NULL)
		return NULL;
	memset(router, 0, sizeof(*router));
	router->broker = broker;
	router->worker = worker;
	router->open = calloc(broker->worker_count, sizeof(struct letter *));
	router->must_wake = calloc(broker->worker_count, sizeof(bool));
	if (router->open == NULL || router->must_wake == NULL ||
	    pool_init(&router->letters, size, 0, MAX_LETTERS) != 0) {
		router_free(router);
		return NULL;
	}
	return router;
}

void
router_trim(struct router *router, struct pool_trimmer *trimmer)
{
	pool_trimmer_add(trimmer, &router->letters);
}

void
router_adopt(struct router *router)
{
	pool_adopt(&router->letters);
}

void
router_free(struct router *router)
{
	if (router == NULL)
		return;
	pool_fini(&router->letters);
	subscription_matches_fini(&router->matches);
	free(router->overlaps);
	free(router->identifiers);
	free(router->open);
	free(router->must_wake);
	free(router);
}

bool
route_has_room(struct broker *broker, struct worker *worker)
{
	return pool_in_use(&router_of(broker, worker)->letters) <
	    ENOUGH_LETTERS;
}

/* Stored before it is matched: a new subscription misses neither. */
static void
store_retained(struct router *router, struct message *message)
{
	if (retained_store(router->broker->retained, message,
		&router->retain_serial) != 0 &&
	    router->worker != NULL)
		worker_count(router->worker, COUNT_retained_refused);
}

static void
begin_reading(struct router *router)
{
	router->matches.count = 0;
	if (router->is_reading)
		return;
	/* Until the flush: what is in open letters stays alive. */
	rcu_enter();
	router->is_reading = true;
}

/* 0 or -ENOMEM: those that were found are in the list nevertheless. */
static int
find(struct router *router, struct slice topic, const struct session *publisher)
{
	begin_reading(router);
	router->matches.publisher =
	    publisher == NULL ? slice_of(NULL, 0) : session_id(publisher);
	return subscription_tree_match(
	    router->broker->subscriptions, topic, &router->matches);
}

static unsigned
hand_over_found(struct router *router, struct message *message,
    const struct session *publisher)
{
	struct worker *worker = router->worker;

	if (worker != NULL) {
		worker_count(worker, COUNT_messages_routed);
		if (router->matches.count != 0)
			deliver_begin(worker, message);
	}
	return hand_over_all(router, message, publisher);
}

unsigned
route_local(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher)
{
	struct router *router = router_of(broker, worker);

	if (message->retain)
		store_retained(router, message);
	if (find(router, message_topic(message), publisher) != 0 &&
	    worker != NULL)
		worker_count(worker, COUNT_dropped_memory);
	return hand_over_found(router, message, publisher);
}

int
route_collect(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher,
    struct commit_item *item, uint64_t *out_retain_serial)
{
	struct router *router = router_of(broker, worker);
	unsigned receivers;

	*out_retain_serial = 0;
	if (message->retain) {
		store_retained(router, message);
		*out_retain_serial = router->retain_serial;
	}
	router->has_failed =
	    find(router, message_topic(message), publisher) != 0;
	router->item = item;
	receivers = hand_over_found(router, message, publisher);
	router->item = NULL;
	return router->has_failed ? -ENOMEM : (int)receivers;
}

bool
route_is_durable(struct broker *broker, struct worker *worker,
    struct slice topic, const struct session *publisher)
{
	struct router *router = router_of(broker, worker);
	const struct subscription_match *match;

	/* Who could not be found may be. */
	if (find(router, topic, publisher) != 0)
		return true;
	for (size_t i = 0; i < router->matches.count; i++) {
		match = &router->matches.list[i];
		if (match->options.qos != 0 &&
		    session_of(match->subscriber)->is_durable)
			return true;
	}
	return false;
}

unsigned
route_found(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher)
{
	return hand_over_found(router_of(broker, worker), message, publisher);
}

int
route_share(struct broker *broker, struct worker *worker,
    struct message *message, uint32_t share, struct commit_item *item)
{
	struct router *router = router_of(broker, worker);
	const struct subscription_match *match = NULL;
	struct outbox_item to;

	begin_reading(router);
	router->matches.publisher = slice_of(NULL, 0);
	if (subscription_tree_match_share(broker->subscriptions,
		message_topic(message), share, &router->matches) != 0)
		return -ENOMEM;
	if (router->matches.count == 0)
		return 0;
	match = &router->matches.list[0];
	to = item_for(message, &match->options);
	to.share = share;
	if (worker != NULL)
		deliver_begin(worker, message);
	router->item = item;
	router->has_failed = false;
	hand_over(router, session_of(match->subscriber), &to);
	router->item = NULL;
	return router->has_failed ? -ENOMEM : 1;
}

uint64_t
route_retain_serial(struct broker *broker, struct worker *worker)
{
	return router_of(broker, worker)->retain_serial;
}

void
route_flush(struct broker *broker, struct worker *worker)
{
	struct router *router = router_of(broker, worker);

	if (!router->is_reading)
		return;
	for (unsigned i = 0; i < broker->worker_count; i++)
		send_letter(router, i);
	rcu_leave();
	router->is_reading = false;
	for (unsigned i = 0; i < broker->worker_count; i++) {
		if (!router->must_wake[i])
			continue;
		router->must_wake[i] = false;
		mailbox_wake(broker->workers[i]->mailbox);
	}
}
