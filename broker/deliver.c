/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/deliver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/commit.h"
#include "broker/overflow.h"
#include "broker/session_queue.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

/* MQTT 3.x, 5.0, 5.0 by an alias; three levels of QoS, retain or not. */
#define VARIANTS 18
#define ALIAS_VARIANTS 12
_Static_assert(VARIANTS <= 32, "a bit for each in encoder.encoded");

/* An encoded PUBLISH up to its payload. */
struct head {
	uint8_t *bytes;
	size_t capacity;
	size_t length;
	struct mqtt_publish_layout layout;
};

struct encoder {
	uint32_t encoded; /* a bit for each variant that is of the message */
	struct head variants[VARIANTS];
	struct head other; /* with Subscription Identifiers or a new alias */
	struct topic_alias alias; /* of what is sent now, to who takes them */
};

/* How sending one PUBLISH went. */
enum sent {
	SENT,
	SENT_LATER, /* no room now */
	SENT_NEVER  /* expired, too large: counted; or the client is over */
};

struct encoder *
encoder_new(void)
{
	return calloc(1, sizeof(struct encoder));
}

void
encoder_free(struct encoder *encoder)
{
	if (encoder == NULL)
		return;
	for (unsigned i = 0; i < VARIANTS; i++)
		free(encoder->variants[i].bytes);
	free(encoder->other.bytes);
	free(encoder);
}

void
deliver_begin(struct worker *worker, const struct message *message)
{
	(void)message;
	worker->encoder->encoded = 0;
}

/* Most bytes before the payload: fixed header, topic, id, properties. */
static size_t
head_bound(const struct outbox_item *item)
{
	return 5 + 2 + item->message->topic_length + 2 + 4 + 5 + 3 +
	    5 * item->identifier_count + item->message->properties_length;
}

/* Whole seconds that are left, rounded up [MQTT-3.3.2-6]. */
static uint32_t
seconds_left(const struct message *message, uint64_t now_ns)
{
	if (message->expires_ns <= now_ns)
		return 0;
	return (uint32_t)((message->expires_ns - now_ns + CLOCK_SECOND_NS - 1) /
	    CLOCK_SECOND_NS);
}

static bool
encode(struct head *head, const struct outbox_item *item, uint8_t version,
    struct topic_alias alias, uint64_t now_ns)
{
	const struct message *message = item->message;
	const struct mqtt_publish_out publish = {
		.retain = item->retain,
		.qos = item->qos,
		.packet_id = item->qos == 0 ? 0 : 1,
		.has_message_expiry = message->expires_ns != UINT64_MAX,
		.message_expiry_interval_s = message->expires_ns == UINT64_MAX
		    ? 0
		    : seconds_left(message, now_ns),
		.subscription_identifiers = item->identifiers,
		.subscription_identifier_count = item->identifier_count,
		.topic_alias = alias.alias,
		.topic = alias.alias != 0 && !alias.is_new
		    ? slice_of(NULL, 0)
		    : message_topic(message),
		.properties = message_properties(message),
		.payload = message_payload(message),
	};
	const size_t bound = head_bound(item);
	uint8_t *bytes;

	if (head->capacity < bound) {
		bytes = realloc(head->bytes, bound * 2);
		if (bytes == NULL)
			return false;
		head->bytes = bytes;
		head->capacity = bound * 2;
	}
	head->length = mqtt_encode_publish_head(
	    head->bytes, head->capacity, &publish, version, &head->layout);
	return head->length != 0;
}

static struct head *
encode_other(struct worker *worker, const struct client *client,
    const struct outbox_item *item, struct topic_alias alias)
{
	struct head *other = &worker->encoder->other;

	return encode(
		   other, item, client->version, alias, worker_now_ns(worker))
	    ? other
	    : NULL;
}

/* `alias` has any number that is of the variant. */
static struct head *
find_variant(struct worker *worker, const struct client *client,
    const struct outbox_item *item, unsigned variant, struct topic_alias alias)
{
	struct encoder *encoder = worker->encoder;

	if ((encoder->encoded & 1u << variant) == 0) {
		if (!encode(&encoder->variants[variant], item, client->version,
			alias, worker_now_ns(worker)))
			return NULL;
		encoder->encoded |= 1u << variant;
	}
	return &encoder->variants[variant];
}

/* The encoded head for this receiver, NULL without memory. */
static struct head *
head_for(struct worker *worker, const struct client *client,
    const struct outbox_item *item)
{
	const struct topic_alias none = { 0 };

	if (item->identifier_count != 0)
		return encode_other(worker, client, item, none);
	return find_variant(worker, client, item,
	    (client->version == MQTT_5) * 6u + item->qos * 2u + item->retain,
	    none);
}

/*
 * As head_for(), with the alias that the topic has or gets: encoder->alias,
 * which counts once the packet is written.
 */
static struct head *
head_with_alias(struct worker *worker, struct client *client,
    const struct outbox_item *item)
{
	const struct topic_alias alias =
	    topic_alias_for(client, message_topic(item->message));
	struct encoder *encoder = worker->encoder;
	struct head *head;

	encoder->alias = alias;
	if (alias.alias == 0)
		return head_for(worker, client, item);
	if (item->identifier_count == 0 && !alias.is_new) {
		head = find_variant(worker, client, item,
		    ALIAS_VARIANTS + item->qos * 2u + item->retain, alias);
		if (head != NULL)
			mqtt_patch_topic_alias(
			    head->bytes, &head->layout, alias.alias);
		return head;
	}
	head = encode_other(worker, client, item, alias);
	/* Its three bytes may be too many where the name alone is not. */
	if (head == NULL || !alias.is_new ||
	    head->length + item->message->payload_length <= client->max_packet)
		return head;
	encoder->alias = (struct topic_alias){ 0 };
	return head_for(worker, client, item);
}

static void
write_publish(struct client *client, struct head *head, struct message *message,
    uint16_t packet_id, bool dup)
{
	const struct slice payload = message_payload(message);
	const size_t total = head->length + payload.len;
	uint8_t *room;

	if (packet_id != 0)
		mqtt_patch_packet_id(head->bytes, &head->layout, packet_id);
	room = payload.len < CLIENT_LEND_BYTES && total <= STREAM_CHUNK_SIZE
	    ? stream_reserve(&client->stream, total)
	    : NULL;
	if (room != NULL) {
		memcpy(room, head->bytes, head->length);
		if (dup)
			mqtt_patch_dup(room);
		if (payload.len != 0)
			memcpy(room + head->length, payload.data, payload.len);
		stream_commit(&client->stream, total);
		return;
	}
	if (dup)
		mqtt_patch_dup(head->bytes);
	if (client_append(client, head->bytes, head->length))
		client_append_payload(client, message);
	head->bytes[0] &= (uint8_t)~0x08;
}

static enum sent
send_publish(struct worker *worker, struct client *client,
    const struct outbox_item *item, uint16_t packet_id, bool dup)
{
	const struct slice payload = message_payload(item->message);
	struct head *head;
	size_t total;

	/* [MQTT-3.3.2-5]; once sent it is sent again all the same. */
	if (item->message->expires_ns <= worker_now_ns(worker) && !dup) {
		worker_count(worker, COUNT_dropped_expired);
		return SENT_NEVER;
	}
	head = __builtin_expect(client->aliases_out == 0, true)
	    ? head_for(worker, client, item)
	    : head_with_alias(worker, client, item);
	if (head == NULL)
		return SENT_LATER;
	total = head->length + payload.len;
	if (total > client->max_packet) {
		/* [MQTT-3.1.2-24] [MQTT-3.1.2-25] */
		worker_count(worker, COUNT_dropped_too_large);
		return SENT_NEVER;
	}
	if (stream_room(&client->stream) < total)
		return SENT_LATER;
	write_publish(client, head, item->message, packet_id, dup);
	if (client_is_over(client))
		return SENT_NEVER;
	if (__builtin_expect(client->aliases_out != 0, false) &&
	    worker->encoder->alias.alias != 0)
		topic_alias_sent(client, worker->encoder->alias,
		    message_topic(item->message));
	worker_count(worker, COUNT_messages_out);
	client->messages_out++;
	stats_add(worker->counters, COUNT_publish_bytes_out, payload.len);
	return SENT;
}

bool
deliver_has_room(const struct session *session)
{
	return session->client != NULL &&
	    stream_pending(&session->client->stream) <
	    session->home->output_mark;
}

static bool
queue_is_full(const struct session *session)
{
	const struct outbox_limits *limits = &session->home->limits;
	const struct outbox *outbox = &session->outbox;

	if (session->is_durable)
		return session_queue_is_full(session, MESSAGE_LEAST_WEIGHT);
	return outbox->waiting_count != 0 &&
	    (outbox->waiting_count >= limits->max_messages ||
		outbox->waiting_bytes >= limits->max_bytes);
}

static uint32_t
backlog_of(const struct session *session)
{
	const struct outbox *outbox = &session->outbox;
	uint64_t count = outbox->waiting_count;

	if (queue_is_full(session))
		return SUBSCRIBER_FULL;
	if (session->client != NULL && !deliver_has_room(session))
		return SUBSCRIBER_STUCK;
	if (session->is_durable)
		count = session_queue_count(session);
	count += outbox->in_flight_count >= outbox->window;
	return count < SUBSCRIBER_STUCK ? (uint32_t)count
					: SUBSCRIBER_STUCK - 1;
}

/* To who chooses a member of its shares; written only when it changes. */
static void
show_backlog(struct session *session)
{
	_Atomic uint32_t *shown = &session->subscriber.backlog;
	const uint32_t backlog = backlog_of(session);

	if (atomic_load_explicit(shown, memory_order_relaxed) != backlog)
		atomic_store_explicit(shown, backlog, memory_order_relaxed);
}

static void
deliver_qos0(struct worker *worker, struct session *session,
    const struct outbox_item *item)
{
	if (session->client == NULL)
		worker_count(worker, COUNT_dropped_offline);
	else if (!deliver_has_room(session) ||
	    send_publish(worker, session->client, item, 0, false) ==
		SENT_LATER) {
		worker_count(worker, COUNT_dropped_slow);
		overflow_note(session, 1);
	}
}

void
deliver_forget(struct session *session, uint64_t sequence)
{
	struct commit_port *port = session->home->commit;
	struct store_done done;

	if (sequence == 0 || port == NULL)
		return;
	done = session_queue_done(session, sequence);
	commit_done(port, &done);
}

void
deliver_done(struct session *session, struct outgoing *outgoing)
{
	const uint64_t sequence = outgoing->sequence;

	if (session->resend == outgoing)
		session->resend = outgoing->next;
	stats_subtract(session->home->counters, COUNT_in_flight, 1);
	outbox_done(&session->outbox, &session->home->outgoing, outgoing);
	deliver_forget(session, sequence);
}

static struct outbox_item
item_of(const struct outgoing *outgoing)
{
	return (struct outbox_item){
		.message = outgoing->message,
		.qos = outgoing->qos,
		.retain = outgoing->retain,
		.share = outgoing->share,
		.identifiers = outgoing_identifiers(outgoing),
		.identifier_count = outgoing->identifier_count,
	};
}

/*
 * Is there room for all of it?  If the pool of chunks is what is short, no
 * event of this client says when there is more: come back on a timer.
 */
static bool
has_room_for(struct worker *worker, struct session *session,
    const struct outbox_item *item)
{
	struct stream *stream = &session->client->stream;

	if (stream_room(stream) >=
	    head_bound(item) + item->message->payload_length)
		return true;
	if (stream_pending(stream) == 0) {
		worker_pump_session(worker, session);
		worker_retry_soon(worker);
	}
	return false;
}

/*
 * May what is in flight be sent again: to this client, if it comes back
 * [MQTT-4.4.0-1], or to another member of its share?
 */
static bool
may_be_resumed(const struct session *session, const struct outgoing *outgoing)
{
	return session->expiry_ns != 0 || session->is_durable ||
	    (outgoing->share != 0 && outgoing->qos == 1);
}

/* The first of those that wait.  False: stop for now. */
static bool
send_first(
    struct worker *worker, struct session *session, struct outgoing *outgoing)
{
	const struct outbox_item item = item_of(outgoing);
	bool dup = false;

	if (!has_room_for(worker, session, &item) ||
	    outbox_take(&session->outbox, outgoing) != 0)
		return false;
	if (session->is_durable)
		/* [MQTT-3.3.1-1] */
		dup = session_queue_leaves(session, outgoing->sequence,
		    message_weight(outgoing->message));
	else
		session_unqueued(session, message_weight(outgoing->message));
	stats_increment(worker->counters, COUNT_in_flight);
	if (send_publish(worker, session->client, &item, outgoing->packet_id,
		dup) == SENT) {
		/* Freed while the processor still has it in its cache. */
		if (!may_be_resumed(session, outgoing))
			outbox_forget_message(outgoing);
		return true;
	}
	if (session->client == NULL)
		return false;
	deliver_done(session, outgoing);
	return true;
}

/* One that is in flight, to a client that is back.  False: stop for now. */
static bool
send_again(
    struct worker *worker, struct session *session, struct outgoing *outgoing)
{
	struct client *client = session->client;
	const struct outbox_item item = item_of(outgoing);

	if (outgoing->stage == OUTGOING_RECEIVED) {
		session->resend = outgoing->next;
		return client_release(client, outgoing);
	}
	if (!has_room_for(worker, session, &item))
		return false;
	deliver_begin(worker, outgoing->message);
	session->resend = outgoing->next;
	/* [MQTT-3.3.1-1] */
	if (send_publish(worker, client, &item, outgoing->packet_id, true) ==
	    SENT)
		return true;
	if (session->client == NULL)
		return false;
	deliver_done(session, outgoing);
	return true;
}

/* What is only in the journal, when the window over it is low. */
static void
read_more(struct worker *worker, struct session *session)
{
	struct session_queue *queue = &session->queue;

	if (session->home->commit == NULL || !session_queue_wants_read(session))
		return;
	if (queue->read_again_ns > worker_now_ns(worker)) {
		session_queue_read_failed(session);
		worker_pump_session(worker, session);
		worker_retry_soon(worker);
		return;
	}
	if (commit_read(session->home->commit, session->cursor,
		queue->feed.next, session_queue_read_count(session),
		session_queue_read_bytes(session)) != 0)
		deliver_read_failed(worker, session);
}

void
deliver_read_failed(struct worker *worker, struct session *session)
{
	session_queue_read_failed(session);
	session->queue.read_again_ns =
	    worker_now_ns(worker) + DELIVER_READ_AGAIN_NS;
	worker_pump_session(worker, session);
	worker_retry_soon(worker);
}

static bool
has_caught_up(const struct session *session)
{
	return session->is_durable ? session_queue_count(session) == 0
				   : session->outbox.waiting_count == 0;
}

void
deliver_waiting(struct worker *worker, struct session *session)
{
	struct outgoing *outgoing;

	while (deliver_has_room(session)) {
		if (session->resend != NULL) {
			if (!send_again(worker, session, session->resend))
				break;
			continue;
		}
		outgoing = outbox_peek(&session->outbox);
		if (outgoing == NULL) {
			if (has_caught_up(session))
				session_note_caught_up(session);
			break;
		}
		deliver_begin(worker, outgoing->message);
		if (!send_first(worker, session, outgoing))
			break;
	}
	if (session->is_durable)
		read_more(worker, session);
	if (session->subscriber.is_member)
		show_backlog(session);
}

/* It waits, and is the last of all that do. */
static void
send_unless_behind(
    struct worker *worker, struct session *session, bool queue_was_empty)
{
	struct outgoing *outgoing;

	/* Others wait: this one is behind them. */
	if (!queue_was_empty || session->resend != NULL ||
	    !deliver_has_room(session))
		return;
	outgoing = outbox_peek(&session->outbox);
	if (outgoing != NULL)
		send_first(worker, session, outgoing);
}

/* What is in the journal. */
static void
deliver_journalled(struct worker *worker, struct session *session,
    const struct outbox_item *item)
{
	const bool queue_was_empty = session->outbox.waiting_count == 0;

	switch (session_queue_arrives(session, item)) {
	case SESSION_KNOWN:
	case SESSION_DROPPED:
		return;
	case SESSION_KEPT:
		worker_count(worker, COUNT_deliveries);
		send_unless_behind(worker, session, queue_was_empty);
		break;
	case SESSION_LATER:
		worker_count(worker, COUNT_deliveries);
		if (session->client != NULL)
			read_more(worker, session);
		break;
	case SESSION_FULL:
		worker_count(worker, COUNT_deliveries);
		worker_count(worker, COUNT_dropped_queue_full);
		deliver_forget(session, item->sequence);
		overflow_note(session, 1);
		return;
	}
	if (overflow_trim(session))
		read_more(worker, session);
}

static void
deliver_reliably(struct worker *worker, struct session *session,
    const struct outbox_item *item)
{
	struct sessions *sessions = session->home;
	const bool queue_was_empty = session->outbox.waiting_count == 0;
	int err;

	if (!queue_was_empty && session_are_full(session) &&
	    !overflow_drop_first(session)) {
		err = -ENOSPC;
	} else {
		do
			err = outbox_put(&session->outbox, &sessions->outgoing,
			    &sessions->limits, item);
		while (err == -ENOSPC && overflow_drop_first(session));
	}
	switch (err) {
	case 0:
		session_queued(session, message_weight(item->message));
		break;
	case -ENOSPC:
		worker_count(worker, COUNT_dropped_queue_full);
		overflow_note(session, 1);
		return;
	default:
		worker_count(worker, COUNT_dropped_memory);
		session_note_drops(session, 1);
		return;
	}
	send_unless_behind(worker, session, queue_was_empty);
}

/* It was on its way when the session ended: another member gets it. */
static void
leave(struct session *session, const struct outbox_item *item)
{
	struct sessions *sessions = session->home;

	if (item->share != 0 && item->qos != 0 && item->sequence == 0 &&
	    sessions->leave_message != NULL)
		sessions->leave_message(
		    sessions->context, item->message, item->share);
}

void
deliver(struct worker *worker, struct session *session,
    const struct outbox_item *item)
{
	if (session->ended) {
		leave(session, item);
		return;
	}
	if (item->sequence != 0) {
		deliver_journalled(worker, session, item);
	} else {
		worker_count(worker, COUNT_deliveries);
		if (item->qos == 0)
			deliver_qos0(worker, session, item);
		else
			deliver_reliably(worker, session, item);
	}
	if (session->subscriber.is_member)
		show_backlog(session);
}

void
deliver_resume(struct worker *worker, struct session *session)
{
	if (session->is_durable)
		session_queue_resume(session);
	session->resend = session->outbox.in_flight.first;
	deliver_waiting(worker, session);
}
