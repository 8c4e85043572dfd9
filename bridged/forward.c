/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/forward.h"

#include <errno.h>
#include <string.h>

#include "bridged/counters.h"
#include "common/base/clock.h"
#include "common/mqtt/trail.h"

/* Records of one turn; then the loop looks at its sockets again. */
#define TURN_RECORDS 64

#define TOO_LARGE "larger than max_packet_size, the ring or the remote allows"

/* After "quota exceeded". */
#define RETRY_NS CLOCK_SECOND_NS

static bool
has_qos_2(const struct mapping *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->rules[i].qos == 2)
			return true;
	return false;
}

int
forward_init(struct forward *forward, const struct conf_bridge *conf,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct notes *notes, struct stats_block *counters,
    size_t max_record, uint64_t now_ns)
{
	size_t window = conf->max_inflight;
	int err;

	*forward = (struct forward){
		.conf = conf,
		.overflow = conf->overflow,
		.kind = kind,
		.remote = remote,
		.notes = notes,
		.counters = counters,
		.has_qos_2 = has_qos_2(rules),
	};
	pace_change(&forward->pace, &conf->rate, now_ns);
	forward->claims =
	    (struct claims){ .notes = notes, .kind = kind, .remote = remote };
	err = inflight_init(
	    &forward->inflight, window < INFLIGHT_MAX ? window : INFLIGHT_MAX);
	if (err == 0)
		err = outgoing_init(&forward->outgoing, conf, rules, counters,
		    max_record, now_ns);
	if (err != 0)
		forward_fini(forward);
	return err;
}

void
forward_fini(struct forward *forward)
{
	inflight_fini(&forward->inflight);
	outgoing_fini(&forward->outgoing);
	*forward = (struct forward){ 0 };
}

/* The broker keeps to itself what came from there; last known counts. */
static void
say_remote(struct forward *forward)
{
	uint64_t id[2];

	if (forward->ring != NULL && forward->is_up) {
		trail_id(slice_of_string(forward->limits.weir_id), id);
		ring_consumer_set_remote_id(forward->ring, id);
	}
}

void
forward_attach(
    struct forward *forward, struct ring_consumer *ring, const char *self)
{
	inflight_clear(&forward->inflight);
	forward->ring = ring;
	say_remote(forward);
	forward->may_have_lost = forward->overflow == CONF_OVERFLOW_DROP_OLDEST;
	forward->outgoing.self = self;
}

void
forward_detach(struct forward *forward)
{
	inflight_clear(&forward->inflight);
	forward->ring = NULL;
	forward->trace = NULL;
}

void
forward_set_trace(struct forward *forward, struct ring_trace *trace)
{
	forward->trace = trace;
}

/*
 * "drop_oldest" gives records back while they are under way, and so loses
 * them with the process.  What the remote remembers of them must not stand
 * in the way of the next records with the same identifiers.
 */
static void
end_lost(struct forward *forward)
{
	uint64_t last = notes_published(forward->notes);
	uint64_t first = last > INFLIGHT_MAX ? last - INFLIGHT_MAX + 1 : 1;
	uint64_t unread = forward_unread_sequence(forward);

	forward->may_have_lost = false;
	if (unread != 0 && unread <= last)
		last = unread - 1;
	if (first <= last)
		claims_end_lost(&forward->claims, first, last);
}

void
forward_conf_changed(struct forward *forward, uint64_t now_ns)
{
	forward->has_qos_2 = has_qos_2(forward->outgoing.rules);
	pace_change(&forward->pace, &forward->conf->rate, now_ns);
}

void
forward_set_grave(struct forward *forward, struct forward_grave grave)
{
	forward->grave = grave;
}

/* What was given back while it was under way dies with this process still. */
void
forward_set_overflow(struct forward *forward, enum conf_overflow overflow)
{
	forward->overflow = overflow;
}

void
forward_set_refresh(
    struct forward *forward, void (*refresh)(void *arg), void *arg)
{
	forward->outgoing.refresh = refresh;
	forward->outgoing.refresh_arg = arg;
}

void
forward_up(struct forward *forward, const struct remote_limits *limits)
{
	forward->limits = *limits;
	forward->outgoing.limits = &forward->limits;
	forward->is_up = true;
	say_remote(forward);
	forward->socket_is_full = false;
	forward->not_before_ns = 0;
	if (limits->session_present) {
		forward->sent_before = notes_published(forward->notes);
		if (forward->may_have_lost && forward->has_qos_2 &&
		    limits->max_qos == 2)
			end_lost(forward);
		return;
	}
	/* A new session: nothing of ours was ever sent in it. */
	inflight_forget_sent(&forward->inflight);
	forward->sent_before = 0;
	forward->may_have_lost = false;
	notes_claim_all(forward->notes);
}

void
forward_down(struct forward *forward)
{
	if (forward->is_up && forward->claims.is_busy &&
	    !forward->claims.is_noted)
		forward->may_have_lost = true;
	forward->is_up = false;
	claims_down(&forward->claims);
	inflight_resend_all(&forward->inflight);
}

void
forward_writable(struct forward *forward)
{
	forward->socket_is_full = false;
}

void
forward_drain(struct forward *forward)
{
	forward->is_draining = true;
}

size_t
forward_in_flight(const struct forward *forward)
{
	return forward->inflight.unsettled - forward->inflight.unsent;
}

/* It is released when the broker has it. */
static void
die(struct forward *forward, struct inflight_entry *entry, const char *why)
{
	if (forward->grave.bury == NULL)
		inflight_settle(&forward->inflight, entry, INFLIGHT_DEAD);
	else
		inflight_die(&forward->inflight, entry, why);
}

static void
count_sent(struct forward *forward, const struct inflight_entry *entry)
{
	stats_increment(forward->counters, BRIDGED_sent);
	if (entry->maybe_sent)
		stats_increment(forward->counters, BRIDGED_resent);
}

/* Returns -EAGAIN, whatever stands in the way. */
static int
cannot_send(struct forward *forward, int err)
{
	if (err == -EAGAIN)
		forward->socket_is_full = true;
	return -EAGAIN;
}

static int
send_entry(struct forward *forward, struct inflight_entry *entry,
    const struct remote_message *message, uint64_t now_ns)
{
	size_t bytes =
	    message->topic.len + message->properties.len + message->payload.len;
	int err;

	if (!pace_take(&forward->pace, bytes, now_ns)) {
		stats_increment(forward->counters, BRIDGED_rate_waits);
		return -EBUSY;
	}
	notes_publishing(forward->notes, entry->sequence);
	err = forward->kind->send(forward->remote, message);
	if (err != 0)
		pace_give(&forward->pace, bytes);
	if (err == -EMSGSIZE) {
		outgoing_bury(
		    &forward->outgoing, message->topic, TOO_LARGE, now_ns);
		die(forward, entry, TOO_LARGE);
		return 0;
	}
	if (err != 0)
		return cannot_send(forward, err);
	count_sent(forward, entry);
	ring_trace_note_record(forward->trace, &entry->record, RING_TRACE_SENT);
	inflight_sent(&forward->inflight, entry);
	/* [MQTT-4.3.1-1] QoS 0 is not acknowledged: written is done */
	if (message->qos == 0)
		inflight_settle(&forward->inflight, entry, INFLIGHT_DELIVERED);
	return 0;
}

/*
 * The remote has the message by its PUBREC.  What is left is to release the
 * identifier, or nothing: a remote that forgot the session has the message
 * all the same [MQTT-4.3.3-9].
 */
static int
send_release(struct forward *forward, struct inflight_entry *entry)
{
	int err;

	if (!forward->limits.session_present) {
		inflight_settle(&forward->inflight, entry, INFLIGHT_DELIVERED);
		return 0;
	}
	err = forward->kind->release(
	    forward->remote, inflight_id(entry->sequence));
	if (err != 0)
		return cannot_send(forward, err);
	stats_increment(forward->counters, BRIDGED_released);
	inflight_sent(&forward->inflight, entry);
	return 0;
}

/* The identifier must be ours before a QoS 2 message goes out under it. */
static int
send_message(struct forward *forward, struct inflight_entry *entry,
    const struct remote_message *message, uint64_t now_ns)
{
	if (message->qos < 2 || claims_has(&forward->claims, entry->sequence))
		return send_entry(forward, entry, message, now_ns);
	claims_begin(&forward->claims, entry->sequence);
	return cannot_send(forward, claims_work(&forward->claims));
}

/* Another error than -EPROTO, poison: nothing more can be sent now. */
static int
process(struct forward *forward, struct inflight_entry *entry, uint64_t now_ns)
{
	struct remote_message message;

	if (notes_is_kept(forward->notes, entry->sequence))
		return send_release(forward, entry);
	switch (
	    outgoing_translate(&forward->outgoing, entry, now_ns, &message)) {
	case OUTGOING_DROP:
		inflight_settle(&forward->inflight, entry, INFLIGHT_DROPPED);
		return 0;
	case OUTGOING_BURY:
		die(forward, entry, forward->outgoing.why);
		return 0;
	case OUTGOING_SEND:
		return send_message(forward, entry, &message, now_ns);
	case OUTGOING_POISON:
		break;
	}
	return -EPROTO;
}

static uint64_t
may_send_from(const struct forward *forward)
{
	return forward->pace.until_ns > forward->not_before_ns
	    ? forward->pace.until_ns
	    : forward->not_before_ns;
}

static bool
may_send(const struct forward *forward, uint64_t now_ns)
{
	return forward->is_up && !forward->socket_is_full &&
	    !forward->claims.is_busy && now_ns >= may_send_from(forward) &&
	    forward_in_flight(forward) < forward->limits.window;
}

/*
 * Step over what the producer wants dropped; it may come between others, so
 * it joins the queue as settled.  Returns 0 or -EPROTO.
 */
static int
skip_dropped(struct forward *forward)
{
	struct ring_record record;
	const void *payload;
	int found;

	for (int i = 0; i < TURN_RECORDS; i++) {
		found = ring_peek(forward->ring, &record, &payload);
		if (found != 1)
			return found;
		if (!ring_consumer_should_drop(forward->ring))
			return 0;
		stats_increment(forward->counters, BRIDGED_dropped_oldest);
		inflight_skip(&forward->inflight, record.sequence,
		    ring_next(forward->ring), INFLIGHT_DROPPED);
	}
	return 0;
}

/*
 * May that record be read?  What "drop_oldest" has copied out of the ring is
 * no more than the ring itself would hold.
 */
static bool
has_room(const struct forward *forward, const struct ring_record *record)
{
	return inflight_has_room(&forward->inflight, forward->limits.window,
		   record->sequence) &&
	    forward->inflight.copied_bytes + record->length <=
	    ring_consumer_capacity(forward->ring);
}

/* The next record that is to be sent; NULL and *out_err when there is none. */
static struct inflight_entry *
next_entry(struct forward *forward, int *out_err)
{
	struct inflight_entry *entry;
	struct ring_record record;
	const void *payload;
	int found;

	*out_err = 0;
	entry = inflight_next(&forward->inflight);
	if (entry != NULL)
		return entry;
	if (forward->is_draining)
		return NULL;
	found = ring_peek(forward->ring, &record, &payload);
	if (found != 1) {
		*out_err = found;
		return NULL;
	}
	if (ring_consumer_should_drop(forward->ring) ||
	    !has_room(forward, &record))
		return NULL;
	entry = inflight_push(
	    &forward->inflight, &record, payload, ring_next(forward->ring));
	entry->maybe_sent = entry->sequence <= forward->sent_before;
	return entry;
}

/* Send what can be sent.  Returns the records handled, or -EPROTO. */
static int
send_some(struct forward *forward, uint64_t now_ns)
{
	struct inflight_entry *entry;
	int err, handled = 0;

	while (handled < TURN_RECORDS && may_send(forward, now_ns)) {
		entry = next_entry(forward, &err);
		if (entry == NULL)
			return err < 0 ? err : handled;
		err = process(forward, entry, now_ns);
		if (err == -EPROTO)
			return err;
		if (err != 0)
			return handled;
		handled++;
	}
	return handled;
}

/* What was begun under a full socket. */
static void
continue_claims(struct forward *forward)
{
	if (forward->is_up && !forward->socket_is_full &&
	    claims_work(&forward->claims) == -EAGAIN)
		forward->socket_is_full = true;
}

/* What died goes to the broker before its record is given back. */
static void
bury(struct forward *forward)
{
	struct inflight_entry *entry;
	int err;

	while ((entry = inflight_dying(&forward->inflight)) != NULL) {
		err = forward->grave.bury(forward->grave.arg, entry);
		if (err == -EAGAIN)
			return;
		if (err != 0)
			stats_increment(forward->counters, BRIDGED_dead_lost);
		inflight_settle(&forward->inflight, entry, INFLIGHT_DEAD);
		forward->has_moved = true;
	}
}

static bool
can_bury(struct forward *forward)
{
	const struct inflight_entry *entry = inflight_dying(&forward->inflight);

	return entry != NULL &&
	    forward->grave.has_room(forward->grave.arg, entry);
}

static void
release(struct forward *forward, uint64_t now_ns)
{
	struct ring_outcome outcome;
	uint64_t word;

	if (inflight_pop(&forward->inflight, &word, &outcome) &&
	    ring_release(forward->ring, word, &outcome, now_ns))
		forward->has_moved = true;

	/* A SWITCH alone: the producer wants to shrink. */
	if (ring_consumer_has_padding(forward->ring) &&
	    ring_release(forward->ring, ring_consumer_cursor(forward->ring),
		NULL, now_ns))
		forward->has_moved = true;

	/* This policy may lose what is in flight when we die, and says so. */
	if (forward->overflow == CONF_OVERFLOW_DROP_OLDEST &&
	    inflight_copy_out(&forward->inflight, &word) == 0 && word != 0 &&
	    ring_release(forward->ring, word, NULL, now_ns))
		forward->has_moved = true;

	/* The ring's largest size is the bound on what waits for us. */
	if (ring_grant(forward->ring,
		RING_POSITION(ring_consumer_cursor(forward->ring)) +
		    ring_consumer_capacity(forward->ring)))
		forward->has_moved = true;
}

static void
publish_gauges(struct forward *forward)
{
	size_t in_flight = forward_in_flight(forward);
	size_t window = forward->limits.window;

	ring_consumer_set_remote(
	    forward->ring, in_flight, window, forward->is_up);
	stats_set(forward->counters, BRIDGED_in_flight, in_flight);
	stats_set(forward->counters, BRIDGED_window, window);
	stats_set(forward->counters, BRIDGED_remote_up, forward->is_up);
}

enum forward_result
forward_work(struct forward *forward, uint64_t now_ns, const char **out_fault)
{
	uint64_t before;
	int err, handled;

	forward->has_read = false;
	forward->has_moved = false;
	if (forward->ring == NULL)
		return FORWARD_DONE;
	before = ring_consumer_cursor(forward->ring);
	continue_claims(forward);
	err = skip_dropped(forward);
	handled = err < 0 ? err : send_some(forward, now_ns);
	if (handled < 0) {
		*out_fault = ring_consumer_fault(forward->ring);
		if (*out_fault == NULL)
			*out_fault = "a record is not a message";
		return FORWARD_POISONED;
	}
	forward->has_read = ring_consumer_cursor(forward->ring) != before;
	bury(forward);
	release(forward, now_ns);
	publish_gauges(forward);
	if (handled == TURN_RECORDS)
		return FORWARD_AGAIN;
	if (now_ns < may_send_from(forward))
		return FORWARD_WAITS;
	return FORWARD_DONE;
}

bool
forward_is_movable(struct forward *forward, uint64_t now_ns)
{
	struct ring_record record;
	const void *payload;
	int found;

	if (forward->ring == NULL)
		return false;
	if (may_send(forward, now_ns) && forward->inflight.unsent != 0)
		return true;
	if (can_bury(forward))
		return true;
	found = ring_peek(forward->ring, &record, &payload);
	if (found != 1)
		return found < 0 || ring_consumer_has_padding(forward->ring);
	if (ring_consumer_should_drop(forward->ring))
		return true;
	return may_send(forward, now_ns) && !forward->is_draining &&
	    has_room(forward, &record);
}

uint64_t
forward_wait_ns(const struct forward *forward, uint64_t now_ns)
{
	uint64_t from_ns = may_send_from(forward);

	return now_ns >= from_ns ? 0 : from_ns - now_ns;
}

/*
 * The unfinished record with that identifier, among those that may have been
 * sent: in flight, or still to be read again.  Returns false: there is none.
 */
static bool
find_sent(struct forward *forward, uint16_t id, uint64_t *out_sequence)
{
	struct inflight *inflight = &forward->inflight;
	struct inflight_entry *entry = inflight_find(inflight, id);
	uint64_t first, sequence;

	if (entry != NULL) {
		*out_sequence = entry->sequence;
		return entry->state == INFLIGHT_SENT || entry->maybe_sent;
	}
	first = forward_unread_sequence(forward);
	if (first == 0 || id == 0 || id > INFLIGHT_IDS)
		return false;
	sequence = inflight_sequence(first, id);
	*out_sequence = sequence;
	return sequence <= forward->sent_before &&
	    sequence - first < INFLIGHT_MAX;
}

bool
forward_kept(struct forward *forward, uint16_t id)
{
	uint64_t sequence;

	if (!find_sent(forward, id, &sequence))
		return false;
	notes_keep(forward->notes, sequence);
	return true;
}

void
forward_ended(struct forward *forward)
{
	claims_ended(&forward->claims);
}

void
forward_settled(struct forward *forward, uint16_t id,
    enum remote_verdict verdict, const char *why, uint64_t now_ns)
{
	struct inflight_entry *entry = inflight_find(&forward->inflight, id);

	if (entry == NULL || entry->state == INFLIGHT_DYING)
		return;
	switch (verdict) {
	case REMOTE_TOOK:
		ring_trace_note_record(
		    forward->trace, &entry->record, RING_TRACE_ACKED);
		inflight_settle(&forward->inflight, entry, INFLIGHT_DELIVERED);
		break;
	case REMOTE_REFUSED:
		outgoing_bury(&forward->outgoing,
		    outgoing_topic(&forward->outgoing, entry), why, now_ns);
		die(forward, entry, why);
		break;
	case REMOTE_LATER:
		/* It has ended this exchange: what follows is a new one. */
		stats_increment(forward->counters, BRIDGED_retried);
		inflight_resend(&forward->inflight, entry);
		entry->maybe_sent = false;
		forward->not_before_ns = now_ns + RETRY_NS;
		break;
	}
}
