/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/overflow.h"

#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/session_queue.h"
#include "broker/worker.h"

static void
disconnect(struct session *session)
{
	struct client *client = session->client;

	stats_increment(session->home->counters, COUNT_slow_disconnects);
	log_warning("slow_subscriber_disconnected",
	    "client=%s help=\"see slow_subscriber, max_queued_messages, "
	    "max_queued_bytes and output_buffer\"",
	    session_quote(session));
	client_disconnect_because(client, MQTT_QUOTA_EXCEEDED,
	    "it reads too slowly: the server's queue for it is full");
}

void
overflow_note(struct session *session, uint64_t count)
{
	session_note_drops(session, count);
	if (session->client != NULL &&
	    session_slow_policy(session) == CONF_SLOW_DISCONNECT)
		disconnect(session);
}

static void
drop(struct session *session, struct outgoing *outgoing)
{
	const uint64_t sequence = outgoing->sequence;
	const size_t weight = message_weight(outgoing->message);

	if (session->is_durable)
		session_queue_drops(session, weight);
	else
		session_unqueued(session, weight);
	outbox_done(&session->outbox, &session->home->outgoing, outgoing);
	deliver_forget(session, sequence);
	stats_increment(session->home->counters, COUNT_dropped_queue_full);
}

bool
overflow_drop_first(struct session *session)
{
	struct outgoing *first = session->outbox.waiting.first;

	if (first == NULL ||
	    session_slow_policy(session) != CONF_SLOW_DROP_OLDEST)
		return false;
	drop(session, first);
	session_note_drops(session, 1);
	return true;
}

bool
overflow_trim(struct session *session)
{
	uint64_t excess, dropped = 0;
	bool must_read = false;

	if (session_slow_policy(session) != CONF_SLOW_DROP_OLDEST)
		return false;
	excess = session_queue_excess(session);
	for (; excess > 0 && session->outbox.waiting.first != NULL; excess--) {
		drop(session, session->outbox.waiting.first);
		dropped++;
	}
	if (excess > 0 && session_queue_drop_unread(session, excess)) {
		stats_add(
		    session->home->counters, COUNT_dropped_queue_full, excess);
		dropped += excess;
		must_read = true;
	}
	if (dropped != 0)
		session_note_drops(session, dropped);
	return must_read;
}
