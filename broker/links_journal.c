/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_journal.h"

#include "broker/backlog.h"
#include "broker/bridge_port_links.h"
#include "broker/bridge_table.h"
#include "broker/commit.h"
#include "broker/links_dead.h"
#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_incoming.h"
#include "broker/links_ingress.h"
#include "broker/links_overdue.h"
#include "broker/links_private.h"
#include "broker/links_terms.h"
#include "broker/publish.h"
#include "broker/recover.h"
#include "broker/route.h"
#include "common/base/board.h"

/* ---- sampled records -----------------------------------------------------
 */

static void
note_traced(struct links_incoming *in)
{
	struct links_journal *journal = &in->links->journal;

	if ((in->record.flags & RING_TRACED) == 0)
		return;
	journal->traced[journal->next_traced] = (struct store_source){
		.link = in->endpoint->source,
		.lane = in->lane->geometry.lane,
		.sequence = in->record.sequence,
	};
	journal->next_traced = (journal->next_traced + 1) % LINKS_TRACED_MAX;
}

bool
links_journal_was_traced(
    const struct links *links, const struct message *message)
{
	const struct store_source *it;

	for (unsigned i = 0; i < LINKS_TRACED_MAX; i++) {
		it = &links->journal.traced[i];
		if (it->sequence == message->sequence &&
		    it->link == message->link && it->lane == message->lane)
			return true;
	}
	return false;
}

/* ---- into the journal ---------------------------------------------------- */

static size_t
weight_of(const struct links_incoming *in)
{
	return message_weight_of(in->message.topic.len,
	    in->message.properties.len, in->message.payload.len);
}

static void
count_receivers(struct links_incoming *in, unsigned sessions)
{
	in->receivers = sessions +
	    (unsigned)__builtin_popcountll(
		in->reliable | in->droppable | in->held);
	links_count(in->links, COUNT_ring_messages_in, 1);
	if (in->receivers > 0)
		return;
	in->reason = MQTT_NO_MATCHING_SUBSCRIBERS;
	links_count(in->links, COUNT_no_receiver, 1);
}

/* True: the item has all receivers. */
static bool
find_receivers(struct links_incoming *in, struct message *message,
    struct commit_item *item, uint64_t bridges, uint64_t *out_serial)
{
	int sessions;

	if (!publish_add_bridges(in->links->broker, item, message, bridges))
		return false;
	sessions = route_collect(
	    in->links->broker, NULL, message, NULL, item, out_serial);
	if (sessions < 0)
		return false;
	count_receivers(in, (unsigned)sessions);
	return true;
}

static void
send_item(struct links_incoming *in, struct commit_item *item, uint64_t bridges,
    uint64_t retain_serial)
{
	struct links_journal *journal = &in->links->journal;
	const struct commit_origin origin = {
		.retain_serial = retain_serial,
		.is_written = retain_serial != 0,
	};

	in->ticket = commit_send(journal->port, item, &origin);
	journal->sent_ticket = in->ticket;
	if (journal->still_since_ns == 0)
		journal->still_since_ns = in->links->now_ns;
	claims_add(&journal->claims, in->ticket, bridges,
	    links_ingress_offered(in->endpoint, in->lane, bridges),
	    weight_of(in));
	note_traced(in);
}

/* `bridges`: those that have counted it.  False: no memory. */
static bool
send_on(struct links_incoming *in, uint64_t bridges)
{
	struct commit_port *port = in->links->journal.port;
	struct message *message = links_incoming_message(in);
	struct commit_item *item = NULL;
	uint64_t retain_serial = 0;
	bool is_done = false;

	if (message != NULL)
		item = commit_begin(port, message);
	if (item != NULL)
		is_done =
		    find_receivers(in, message, item, bridges, &retain_serial);
	if (is_done && (commit_receivers(item) > 0 || retain_serial != 0))
		send_item(in, item, bridges, retain_serial);
	else if (item != NULL)
		commit_cancel(port, item);
	message_put(message);
	return is_done;
}

/* ---- is there room? ------------------------------------------------------ */

uint64_t
links_journal_lacking(
    const struct links *links, uint64_t bridges, size_t weight)
{
	uint64_t lacking = 0;
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, bridges)
	{
		if (!backlog_has_room(links->broker->backlogs, bridge, weight))
			lacking |= UINT64_C(1) << bridge;
	}
	return lacking;
}

/* For HTTP the whole message is refused, before any side effect. */
static bool
refuse(struct links_incoming *in, enum mqtt_reason reason)
{
	if (!links_ingress_may_refuse(in))
		return false;
	in->reason = reason;
	links_ingress_count_declined(in, in->reliable | in->droppable);
	return true;
}

/* Does the journal take any?  False: in->reason, or it waits. */
static bool
journal_takes(struct links_incoming *in)
{
	switch (commit_offer(in->links->journal.port, weight_of(in))) {
	case COMMIT_TAKES:
		break;
	case COMMIT_REFUSES:
		if (refuse(in, MQTT_IMPLEMENTATION_SPECIFIC_ERROR))
			return false;
		links_ingress_wait_for_memory(in);
		return false;
	case COMMIT_STALLS:
		links_ingress_wait_for_memory(in);
		return false;
	}
	if (claims_reserve(&in->links->journal.claims))
		return true;
	links_ingress_wait_for_memory(in);
	return false;
}

/*
 * Nobody is there to be refused what a bridge received: it misses those that
 * are full.  True: so it can be tried again.
 */
static bool
misses_some(struct links_incoming *in)
{
	struct links *links = in->links;
	uint64_t full = bridge_table_rejecting(links->broker->bridges,
	    links_journal_lacking(links, in->reliable, weight_of(in)));

	if (full == 0 || in->endpoint->role != RING_ROLE_BRIDGE)
		return false;
	in->reliable &= ~full;
	links_ingress_count_declined(in, full);
	return true;
}

/*
 * What a bridge of another policy is given by those who do not know it yet is
 * dropped if it is full.
 */
static uint64_t
late_and_full(const struct links_incoming *in)
{
	return in->late == 0
	    ? 0
	    : links_journal_lacking(in->links, in->late, weight_of(in));
}

/* True: counted in *out_bridges, or in->reason says why it is refused. */
static bool
backlogs_take(struct links_incoming *in, uint64_t *out_bridges)
{
	struct links *links = in->links;
	const size_t weight = weight_of(in);
	enum backlog_answer answer;

	do {
		answer = backlog_offer(links->broker->backlogs,
		    (in->reliable | in->droppable) & ~late_and_full(in), weight,
		    out_bridges);
		if (answer == BACKLOG_TAKES)
			return true;
		if (answer == BACKLOG_REJECTS &&
		    refuse(in, MQTT_QUOTA_EXCEEDED))
			return true;
	} while (answer == BACKLOG_REJECTS && misses_some(in));
	if (links_overdue_refuse(
		in, links_journal_lacking(links, in->reliable, weight)))
		return true;
	links_ingress_wait(in, weight);
	return false;
}

/* Taken by `bridges`; the others drop it by their policy. */
static void
count_taken(struct links_incoming *in, uint64_t bridges)
{
	const uint64_t all = in->reliable | in->droppable;
	unsigned bridge;

	links_ingress_count_offered(in, all);
	BRIDGE_TABLE_EACH(bridge,
	    links_ingress_offered(in->endpoint, in->lane, all & ~bridges))
	links_bridge_output(in->links, bridge)->offers.accepted++;
	/* The others were counted where they dropped it (backlog.h). */
	BRIDGE_TABLE_EACH(bridge, in->late & ~bridges)
	{
		links_bridge_output(in->links, bridge)->accepted++;
		links_egress_drop(in->links, bridge);
	}
}

bool
links_journal_place(struct links_incoming *in)
{
	uint64_t bridges = 0;

	if (!journal_takes(in))
		return mqtt_reason_is_error(in->reason);
	if (!backlogs_take(in, &bridges))
		return false;
	if (mqtt_reason_is_error(in->reason))
		return true;
	if (send_on(in, bridges)) {
		count_taken(in, bridges);
		return true;
	}
	backlog_withdraw(in->links->broker->backlogs, bridges, weight_of(in));
	links_ingress_wait_for_memory(in);
	return false;
}

/* ---- a member of the commit ---------------------------------------------- */

static struct links_endpoint *
bridge_of_cursor(const struct links *links, uint64_t cursor)
{
	struct links_endpoint *endpoint;

	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint->feed != NULL && endpoint->feed->cursor == cursor)
			return endpoint;
	}
	return NULL;
}

static void
deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	struct links_endpoint *endpoint =
	    bridge_of_cursor(context, delivery->cursor);

	if (endpoint != NULL)
		links_feed_arrived(endpoint, message, sequence);
}

static void
claim_failed(void *context, uint64_t offered)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, offered)
	links_bridge_output(context, bridge)->offers.declined++;
}

static void
settled(void *context, const struct commit_letter *letter)
{
	struct links *links = context;
	const bool is_failed = mqtt_reason_is_error(letter->reason);

	if (letter->last_ticket == 0)
		return;
	if (is_failed)
		links_pending_fail(links, letter->first_ticket,
		    letter->last_ticket, MQTT_IMPLEMENTATION_SPECIFIC_ERROR);
	claims_settled(&links->journal.claims, links->broker->backlogs, letter,
	    claim_failed, links);
	links->journal.settled = letter->last_ticket;
	links->journal.still_since_ns =
	    letter->last_ticket < links->journal.sent_ticket
	    ? loop_now_ns(links->loop)
	    : 0;
	links_ingress_retry_memory(links);
}

static void
loaded(void *context, uint64_t cursor, struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	struct links_endpoint *endpoint = bridge_of_cursor(context, cursor);

	(void)delivery;
	if (endpoint != NULL)
		links_feed_loaded(endpoint, message, sequence);
}

static void
loaded_upto(void *context, uint64_t cursor, uint64_t upto, int err)
{
	struct links_endpoint *endpoint = bridge_of_cursor(context, cursor);

	if (endpoint != NULL)
		links_feed_loaded_upto(endpoint, upto, err);
}

void
links_commit_member(struct links *links, struct commit_member *out_member)
{
	*out_member = (struct commit_member){
		.mailbox = links->broker->links_mailbox,
		.context = links,
		.deliver = deliver,
		.settled = settled,
		.loaded = loaded,
		.loaded_upto = loaded_upto,
		.counters = links->counters,
	};
}

/* ---- life -----------------------------------------------------------------
 */

void
links_journal_init(struct links *links)
{
	struct recovered *recovered = links->broker->recovered;

	if (recovered == NULL)
		return;
	links->journal.known = recovered->sources;
	recovered->sources = (struct sources){ 0 };
}

void
links_journal_know_lane(
    struct links_endpoint *endpoint, struct links_lane *lane)
{
	const struct source_lane *known =
	    sources_lane(&endpoint->links->journal.known, endpoint->source,
		lane->geometry.lane);

	if (known == NULL)
		return;
	lane->known_sequence = known->last;
	lane->done_sequence = known->all;
}

/* Any thread: what was withdrawn made room that somebody waits for. */
static void
relief(void *context)
{
	mailbox_wake(((struct links *)context)->broker->links_mailbox);
}

void
links_journal_start(struct links *links)
{
	struct broker *broker = links->broker;

	if (broker->commit == NULL)
		return;
	links->journal.port = commit_port(broker->commit, broker->worker_count);
	backlogs_on_relief(broker->backlogs, relief, links);
}

void
links_journal_fini(struct links *links)
{
	sources_fini(&links->journal.known);
	claims_fini(&links->journal.claims);
}

void
links_journal_tell(const struct links *links, struct board_text *text)
{
	const struct links_journal *journal = &links->journal;

	if (journal->still_since_ns != 0)
		board_text_line(text, "journal %llu %llu",
		    (unsigned long long)(journal->sent_ticket -
			journal->settled),
		    (unsigned long long)journal->still_since_ns);
}

void
links_journal_flush(struct links *links)
{
	if (links->journal.port == NULL)
		return;
	if (backlog_relieved(links->broker->backlogs) != 0) {
		for (unsigned i = 0; i < links->port_count; i++)
			if (links->ports[i] != NULL)
				bridge_port_moved(links->ports[i]);
	}
	commit_flush(links->journal.port);
}

/* ---- checkpoints ----------------------------------------------------------
 */

struct putter {
	int (*put)(void *context, enum store_kind kind, struct slice body);
	void *context;
};

static int
put_bridge(const struct putter *putter, const struct links_endpoint *endpoint,
    const struct offers *http)
{
	struct store_bridge bridge = {
		.cursor = endpoint->feed->cursor,
		.name = slice_of_string(endpoint->identity.name),
	};
	uint8_t body[STORE_SMALL_MAX];

	links_terms_record(endpoint, http, &bridge.terms);
	store_bridge_write(&bridge, body);
	return putter->put(putter->context, STORE_BRIDGE,
	    slice_of(body, store_bridge_size(&bridge)));
}

static int
put_sources(const struct putter *putter, const struct links_endpoint *endpoint)
{
	struct store_source source = { .link = endpoint->source };
	const struct links_lane *lane;
	uint8_t body[STORE_SMALL_MAX];
	int err = 0;

	LINKS_EACH_LANE(endpoint, lane)
	{
		source.lane = lane->geometry.lane;
		source.sequence = lane->done_sequence;
		if (err == 0 && source.sequence != 0)
			err = putter->put(putter->context, STORE_SOURCE,
			    slice_of(body, store_source_write(&source, body)));
	}
	return err;
}

int
links_checkpoint(struct links *links,
    int (*put)(void *context, enum store_kind kind, struct slice body),
    void *context)
{
	const struct putter putter = { put, context };
	struct links_endpoint *endpoint;
	struct offers http;
	int err = 0;

	links_terms_read_http(links, &http);
	for (uint32_t i = 0; i < links->endpoint_count && err == 0; i++) {
		endpoint = links->endpoints[i];
		if (endpoint != NULL && endpoint->feed != NULL)
			err = put_bridge(&putter, endpoint, &http);
		if (err == 0 && endpoint != NULL)
			err = links_dead_checkpoint(endpoint, put, context);
		if (err == 0 && endpoint != NULL)
			err = put_sources(&putter, endpoint);
	}
	return err;
}
