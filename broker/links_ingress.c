/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_ingress.h"

#include <string.h>

#include "broker/links_asks.h"
#include "broker/links_auth.h"
#include "broker/links_credit.h"
#include "broker/links_dead.h"
#include "broker/links_egress.h"
#include "broker/links_incoming.h"
#include "broker/links_overdue.h"
#include "broker/links_pending.h"
#include "broker/links_private.h"
#include "broker/route.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

static bool
wants_receipts(const struct links_endpoint *endpoint)
{
	return endpoint->role == RING_ROLE_HTTPD;
}

/* ---- what is offered ----------------------------------------------------- */

uint64_t
links_ingress_offered(const struct links_endpoint *endpoint,
    const struct links_lane *lane, uint64_t bridges)
{
	/* Sets that share the lane "*" it does not tell apart. */
	if (wants_receipts(endpoint) && lane->geometry.name[0] != '*')
		return bridges & ~lane->set;
	return bridges;
}

static uint64_t
offered(const struct links_incoming *in, uint64_t bridges)
{
	return links_ingress_offered(in->endpoint, in->lane, bridges);
}

void
links_ingress_count_offered(const struct links_incoming *in, uint64_t bridges)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, offered(in, bridges))
	links_bridge_output(in->links, bridge)->offers.offered++;
}

void
links_ingress_count_declined(const struct links_incoming *in, uint64_t bridges)
{
	unsigned bridge;

	links_ingress_count_offered(in, bridges);
	BRIDGE_TABLE_EACH(bridge, offered(in, bridges))
	links_bridge_output(in->links, bridge)->offers.declined++;
}

/* ---- where does it go? ----------------------------------------------- */

/*
 * Those of `bridges` that a former life of the broker gave this record to,
 * or one behind it.
 */
static uint64_t
already_in(const struct links_incoming *in, uint64_t bridges)
{
	uint64_t held = 0;

	for (uint64_t left = bridges; left != 0; left &= left - 1) {
		if (links_output_has(links_bridge_output(in->links,
					 (unsigned)__builtin_ctzll(left)),
			in->endpoint->id, in->lane->geometry.lane,
			in->record.sequence))
			held |= left & -left;
	}
	return held;
}

static void
find_destinations(struct links_incoming *in)
{
	const struct bridge_table *table = in->links->broker->bridges;
	uint64_t wanted, all_reliable;

	all_reliable = bridge_table_reliable(table, UINT64_MAX);
	wanted = bridge_table_unseen(table,
	    bridge_table_match(table, in->message.topic),
	    in->message.properties);
	if (in->endpoint->bridge_number >= 0)
		wanted &= ~(UINT64_C(1) << in->endpoint->bridge_number);
	in->reliable = wanted & in->lane->set & all_reliable;
	/* Who chose the lane knew them as those that drop. */
	in->late =
	    wanted & all_reliable & in->links->were_droppable & ~in->lane->set;
	in->droppable = (wanted & ~all_reliable) | in->late;
	in->reliable =
	    links_egress_fitting(in->links, in->reliable, in->record.length);
	in->held = already_in(in, in->reliable | in->droppable);
	in->reliable &= ~in->held;
	in->droppable &= ~in->held;
	in->late &= ~in->held;
}

static uint64_t
without_room(
    struct links *links, uint64_t bridges, size_t length, const void *who)
{
	uint64_t lacking = 0;

	for (uint64_t left = bridges; left != 0; left &= left - 1) {
		if (!links_output_has_room(links_bridge_output(links,
					       (unsigned)__builtin_ctzll(left)),
			length, who))
			lacking |= left & -left;
	}
	return lacking;
}

/* What some bridge has already cannot be refused to its publisher. */
static bool
may_be_refused(const struct links_incoming *in)
{
	return in->held == 0 || !wants_receipts(in->endpoint);
}

bool
links_ingress_may_refuse(const struct links_incoming *in)
{
	return in->held == 0 && wants_receipts(in->endpoint);
}

/* Those that it is to go to: some of them have no room. */
static void
count_stalled(const struct links_incoming *in)
{
	unsigned bridge;

	BRIDGE_TABLE_EACH(bridge, in->reliable)
	links_bridge_output(in->links, bridge)->stalled++;
}

void
links_ingress_wait(struct links_incoming *in, size_t needed)
{
	if (!in->lane->is_known)
		count_stalled(in);
	in->lane->is_known = true;
	in->lane->is_begun = !may_be_refused(in);
	in->lane->needs = in->reliable;
	in->lane->needed = needed;
	links_overdue_note(in);
}

void
links_ingress_wait_for_memory(struct links_incoming *in)
{
	in->lane->is_known = true;
	in->lane->waits_for_memory = true;
	in->lane->needs = 0;
}

/* Leave the record where it is; the lane waits for these. */
static void
wait_for_room(struct links_incoming *in, uint64_t lacking)
{
	struct links *links = in->links;
	const void *who = NULL;

	/*
	 * Only who waits for one output alone may go first there: it holds
	 * nobody up for the sake of another output.
	 */
	if (in->may_queue && (in->reliable & (in->reliable - 1)) == 0)
		who = in->lane;
	for (; lacking != 0; lacking &= lacking - 1)
		links_output_lacks(links_bridge_output(links,
				       (unsigned)__builtin_ctzll(lacking)),
		    links->now_ns, who);
	links_ingress_wait(in, in->record.length);
}

/* Its source is where it lies, whatever it says itself. */
static void
trace_taken(const struct links_incoming *in)
{
	const struct ring_trace_id id = {
		.link = in->endpoint->id,
		.lane = (uint16_t)in->lane->geometry.lane,
		.sequence = in->record.sequence,
	};

	if ((in->record.flags & RING_TRACED) != 0)
		ring_trace_note(ring_link_trace(in->endpoint->link), &id,
		    RING_TRACE_TAKEN, clock_now_ns());
}

/* ---- taking it ---------------------------------------------------------- */

static void
put_to_bridge(struct links_incoming *in, unsigned bridge)
{
	struct links *links = in->links;
	struct links_output *output = links_bridge_output(links, bridge);
	const struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.source_link = in->endpoint->id,
		.source_lane = (uint16_t)in->lane->geometry.lane,
		.source_sequence = in->record.sequence,
		.identity = in->record.identity,
		.time_ns = in->record.time_ns,
		.flags = in->record.flags & RING_TRACED,
	};
	void *body;

	body = links_output_claim(output, in->record.length);
	memcpy(body, links->scratch, in->record.length);
	links_output_put(output, &record);
	links_output_accept(output, offered(in, UINT64_C(1) << bridge) != 0);
	ring_forward_note(output->forward, record.source_link,
	    record.source_lane, record.source_sequence);
	ring_trace_note_record(
	    links_bridge_trace(links, bridge), &record, RING_TRACE_ROUTED);
}

static void
put_to_bridges(struct links_incoming *in)
{
	uint64_t left;
	unsigned bridge;

	for (left = in->reliable; left != 0; left &= left - 1)
		put_to_bridge(in, (unsigned)__builtin_ctzll(left));
	for (left = in->droppable; left != 0; left &= left - 1) {
		bridge = (unsigned)__builtin_ctzll(left);
		if (links_egress_make_room(in->links, bridge, in->record.length,
			offered(in, UINT64_C(1) << bridge) != 0))
			put_to_bridge(in, bridge);
	}
	in->receivers += (unsigned)__builtin_popcountll(
	    in->reliable | in->droppable | in->held);
}

static bool
deliver(struct links_incoming *in)
{
	struct message *message = links_incoming_message(in);

	if (message == NULL) {
		links_ingress_wait_for_memory(in);
		return false;
	}
	trace_taken(in);
	links_ingress_count_offered(in, in->reliable | in->droppable);
	in->receivers = route_local(in->links->broker, NULL, message, NULL);
	message_put(message);
	put_to_bridges(in);
	links_count(in->links, COUNT_ring_messages_in, 1);
	if (in->receivers == 0) {
		in->reason = MQTT_NO_MATCHING_SUBSCRIBERS;
		links_count(in->links, COUNT_no_receiver, 1);
	}
	return true;
}

/* Taken: what is left is to wait for the journal, if there is one. */
static void
pass_on(struct links_incoming *in, bool wants_receipt)
{
	struct links_lane *lane = in->lane;

	lane->is_known = false;
	links_pending_add(in->endpoint, lane,
	    &(struct links_pending){
		.ticket = in->ticket,
		.word = ring_next(lane->consumer),
		.sequence = in->record.sequence,
		.correlation = in->record.correlation,
		.receivers = in->receivers,
		.reason = (uint8_t)in->reason,
		.wants_receipt = wants_receipt,
		.is_traced = (in->record.flags & RING_TRACED) != 0,
	    });
}

static void
finish(struct links_incoming *in)
{
	if (mqtt_reason_is_error(in->reason))
		trace_taken(in);
	pass_on(in, wants_receipts(in->endpoint));
}

static bool
place_in_journal(struct links_incoming *in)
{
	if (!links_journal_place(in))
		return false;
	if (!mqtt_reason_is_error(in->reason))
		trace_taken(in);
	return true;
}

/*
 * Bridges that reject and have no room: for HTTP the whole message is refused
 * (0x97) before any side effect.  A bridge's received message has nobody to be
 * refused to; it misses that bridge.
 */
static bool
place(struct links_incoming *in)
{
	struct links *links = in->links;
	uint64_t lacking, rejecting;

	if (links->journal.port != NULL)
		return place_in_journal(in);
	lacking =
	    without_room(links, in->reliable, in->record.length, in->lane);
	rejecting = may_be_refused(in)
	    ? bridge_table_rejecting(links->broker->bridges, lacking)
	    : 0;
	if (rejecting != 0 && wants_receipts(in->endpoint)) {
		in->reason = MQTT_QUOTA_EXCEEDED;
		links_egress_refused(links, rejecting);
		links_ingress_count_declined(in, in->reliable | in->droppable);
		return true;
	}
	in->reliable &= ~rejecting;
	lacking &= ~rejecting;
	if (links_overdue_refuse(in, lacking))
		return true;
	if (lacking != 0) {
		wait_for_room(in, lacking);
		return false;
	}
	links_egress_refused(links, rejecting);
	if (!deliver(in))
		return false;
	links_ingress_count_declined(in, rejecting);
	return true;
}

/* A former life had it committed, and could not say so. */
static void
take_known(struct links_incoming *in)
{
	links_count(in->links, COUNT_ring_messages_known, 1);
	in->receivers = 1;
	finish(in);
}

static bool
take_message(struct links_incoming *in)
{
	if (in->record.sequence <= in->lane->known_sequence &&
	    sources_has(&in->links->journal.known, in->endpoint->source,
		in->lane->geometry.lane, in->record.sequence)) {
		take_known(in);
		return true;
	}
	in->reason = links_incoming_check(in);
	if (in->reason == MQTT_SUCCESS) {
		find_destinations(in);
		if (!place(in))
			return false;
	}
	finish(in);
	return true;
}

static bool
has_receipt_room(struct links_endpoint *endpoint)
{
	return !wants_receipts(endpoint) ||
	    links_output_has_room(
		&endpoint->output, sizeof(struct record_answer), NULL);
}

static bool
take_auth(struct links_incoming *in)
{
	if (!links_auth_take(in->endpoint, &in->record, in->links->scratch))
		return false; /* no room for its answer, later */
	/* The password does not stay behind. */
	explicit_bzero(in->links->scratch, in->record.length);
	pass_on(in, false);
	return true;
}

static bool
take_ask(struct links_incoming *in)
{
	if (!links_asks_take(in->endpoint, &in->record, in->links->scratch))
		return false; /* it is at fault */
	pass_on(in, false);
	return true;
}

static bool
take_dead(struct links_incoming *in)
{
	if (!links_dead_take(in))
		return false; /* it is at fault, or there is no memory */
	pass_on(in, false);
	return true;
}

/*
 * A blocked head need not be copied and parsed again each time.
 */
static bool
still_waits(struct links *links, struct links_endpoint *endpoint,
    struct links_lane *lane)
{
	uint64_t lacking;

	if (!lane->is_known)
		return false;
	if (lane->waits_for_memory || !has_receipt_room(endpoint))
		return true;
	if (links->journal.port != NULL)
		lacking =
		    links_journal_lacking(links, lane->needs, lane->needed);
	else
		lacking = without_room(links, lane->needs, lane->needed, lane);
	return lacking != 0 && !links_overdue_is_due(links, lane) &&
	    (lane->is_begun ||
		bridge_table_rejecting(links->broker->bridges, lacking) == 0);
}

/* A lane that was served in its last turn may get in line now. */
static void
get_in_line(struct links *links, struct links_lane *lane)
{
	if (links->journal.port != NULL || lane->needs == 0 ||
	    (lane->needs & (lane->needs - 1)) != 0)
		return;
	links_output_lacks(
	    links_bridge_output(links, (unsigned)__builtin_ctzll(lane->needs)),
	    links->now_ns, lane);
}

/* Who cannot go for another reason keeps nobody waiting at an output. */
static void
step_aside(struct links *links, const struct links_lane *lane)
{
	struct links_output *output;

	for (uint64_t left = lane->needs; left != 0; left &= left - 1) {
		output =
		    links_bridge_output(links, (unsigned)__builtin_ctzll(left));
		if (output->waiter == lane)
			output->waiter = NULL;
	}
}

/* Returns false if the record stays where it is. */
static bool
take(struct links_incoming *in, const void *payload)
{
	struct links *links = in->links;

	if (in->record.time_ns > links->now_ns)
		in->record.time_ns = links->now_ns;
	if (links->journal.port != NULL && !links_pending_has_room(in->lane)) {
		links_ingress_wait_for_memory(in);
		return false;
	}
	BUG_ON(in->record.length > links->scratch_size);
	memcpy(links->scratch, payload, in->record.length);

	if (in->record.kind == RECORD_MESSAGE) {
		if (has_receipt_room(in->endpoint))
			return take_message(in);
		in->lane->is_known = true;
		in->lane->needs = 0;
		return false;
	}
	if (in->record.kind == RECORD_DEAD &&
	    in->endpoint->role == RING_ROLE_BRIDGE)
		return take_dead(in);
	if (in->record.kind == RECORD_AUTH &&
	    in->endpoint->role == RING_ROLE_HTTPD)
		return take_auth(in);
	if (in->record.kind == RECORD_ASK &&
	    in->endpoint->role == RING_ROLE_HTTPD)
		return take_ask(in);
	in->reason = MQTT_PROTOCOL_ERROR;
	return false;
}

/* A blocked head lets others go first, or gets in line for its one output. */
static void
wait_on(struct links *links, struct links_endpoint *endpoint,
    struct links_lane *lane, bool is_first)
{
	if (lane->waits_for_memory || !has_receipt_room(endpoint))
		step_aside(links, lane);
	else if (is_first)
		get_in_line(links, lane);
}

/* Look at the head record, `payload`.  Returns false if it stays. */
static bool
serve_record(struct links_incoming *in, const void *payload, bool is_first)
{
	struct links_lane *lane = in->lane;

	if (still_waits(in->links, in->endpoint, lane)) {
		wait_on(in->links, in->endpoint, lane, is_first);
		return false;
	}
	in->may_queue = is_first;
	lane->waits_for_memory = false;
	if (in->record.length > lane->largest)
		lane->largest = in->record.length;
	in->reason = MQTT_SUCCESS;
	in->receivers = 0;
	in->ticket = 0;
	return take(in, payload);
}

static uint64_t
position_of(const struct links_lane *lane)
{
	return RING_POSITION(ring_consumer_cursor(lane->consumer));
}

/* What the lane has moved since it was charged last, by whoever looked. */
static void
charge(struct links_lane *lane)
{
	lane->deficit -= (int64_t)(position_of(lane) - lane->charged);
	lane->charged = position_of(lane);
}

/*
 * One turn of one lane: LINKS_TURN_RECORDS headers and LINKS_TURN_BYTES.  What
 * the last record takes beyond is owed in the next turn.  PADs and SWITCHes
 * count like records, or a peer could have the thread walk them for ever.
 * Returns true if it moved, or would have.
 */
static bool
serve_lane(struct links *links, struct links_endpoint *endpoint,
    struct links_lane *lane)
{
	struct links_incoming in = {
		.links = links,
		.endpoint = endpoint,
		.lane = lane,
	};
	uint64_t steps = ring_consumer_steps(lane->consumer);
	uint64_t begin = position_of(lane);
	const void *payload;
	bool is_first = true;

	charge(lane);
	lane->deficit += LINKS_TURN_BYTES;
	if (lane->deficit > LINKS_TURN_BYTES)
		lane->deficit = LINKS_TURN_BYTES;
	if (lane->deficit <= 0)
		return ring_consumer_pending_bytes(lane->consumer) != 0;
	while (lane->deficit > 0 &&
	    ring_consumer_steps(lane->consumer) - steps < LINKS_TURN_RECORDS &&
	    ring_peek(lane->consumer, &in.record, &payload) == 1 &&
	    serve_record(&in, payload, is_first)) {
		is_first = false;
		charge(lane);
	}
	if (in.reason == MQTT_PROTOCOL_ERROR)
		endpoint->fault = "a record of an unknown kind";
	return position_of(lane) != begin;
}

static bool
serve_endpoint(struct links *links, struct links_endpoint *endpoint)
{
	uint32_t count = endpoint->lane_count, first;
	struct links_lane *lane;
	bool moved = false;

	first = (uint32_t)(links->turns % (count == 0 ? 1 : count));
	for (uint32_t i = 0; i < count && endpoint->fault == NULL; i++) {
		lane = &endpoint->lanes[(first + i) % count];
		if (lane->consumer != NULL)
			moved |= serve_lane(links, endpoint, lane);
	}
	if (endpoint->fault == NULL && endpoint->link != NULL)
		endpoint->fault = ring_link_fault(endpoint->link);
	return moved;
}

bool
links_ingress_round(struct links *links)
{
	uint32_t count = links->endpoint_count;
	struct links_endpoint *endpoint;
	bool moved = false;

	for (uint32_t i = 0; i < count; i++) {
		endpoint = links->endpoints[(links->turns + i) % count];
		if (links_endpoint_is_usable(endpoint))
			moved |= serve_endpoint(links, endpoint);
	}
	if (moved)
		route_flush(links->broker, NULL);
	return moved;
}

/* ---- before sleep ------------------------------------------------------- */

static bool
lane_can_move(struct links *links, struct links_endpoint *endpoint,
    struct links_lane *lane)
{
	uint64_t position;

	if (ring_consumer_has_record(lane->consumer) &&
	    !still_waits(links, endpoint, lane))
		return true;
	return ring_consumer_is_poisoned(lane->consumer) ||
	    links_credit_is_due(links, lane, &position);
}

bool
links_ingress_can_move(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (!links_endpoint_is_usable(endpoint))
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		{
			if (lane_can_move(links, endpoint, lane))
				return true;
		}
	}
	return false;
}

void
links_ingress_retry_memory(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint == NULL)
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		lane->waits_for_memory = false;
	}
}

void
links_ingress_look_again(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint == NULL)
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		{
			links_output_forget_waiter(links, lane);
			lane->is_known = false;
		}
	}
}

bool
links_ingress_is_empty(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_lane *lane;

	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (!links_endpoint_is_usable(endpoint))
			continue;
		LINKS_EACH_LANE(endpoint, lane)
		{
			if (ring_consumer_has_record(lane->consumer))
				return false;
		}
	}
	return links_pending_is_empty(links);
}
