/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/access.h"
#include "broker/admit.h"
#include "broker/connection_faults.h"
#include "broker/deliver.h"
#include "broker/handover.h"
#include "broker/listener_tls.h"
#include "broker/peer.h"
#include "broker/throttle.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/net/stream_layer.h"

/* Time to take the last bytes after a DISCONNECT or a refusing CONNACK. */
#define LEAVING_NS CLOCK_SECOND_NS

static size_t on_data(struct stream *stream, const uint8_t *data, size_t len);
static void on_closed(struct stream *stream, int reason);
static void on_drained(struct stream *stream);
static void on_layer(struct stream *stream, const char *name);
static void on_alarm(struct alarm *alarm);

static const struct stream_callbacks callbacks = {
	.on_data = on_data,
	.on_closed = on_closed,
	.on_drained = on_drained,
	.on_layer = on_layer,
};

static const char *const state_names[CLIENT_STATES] = {
	[CLIENT_NEW] = "new",
	[CLIENT_CHECKING] = "checking",
	[CLIENT_AUTHENTICATING] = "authenticating",
	[CLIENT_CONNECTED] = "connected",
	[CLIENT_LEAVING] = "leaving",
	[CLIENT_CLOSED] = "closed",
};

const char *
client_address(const struct client *client, char text[LISTENER_ADDRESS_SIZE])
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if (peer_format(client->peer, text) != NULL)
		return text;
	if (!stream_is_open(&client->stream) ||
	    getpeername(stream_fd(&client->stream), (struct sockaddr *)&address,
		&length) != 0)
		return strcpy(text, "gone");
	return listener_format((struct sockaddr *)&address, text);
}

void
client_enter(struct client *client, enum client_state state)
{
	BUG_ON(client->state == CLIENT_CLOSED);
	log_debug("client_state", "fd=%d from=%s to=%s",
	    stream_fd(&client->stream), state_names[client->state],
	    state_names[state]);
	if (state == CLIENT_CONNECTED) {
		stats_increment(client->worker->counters, COUNT_clients);
		client->max_in =
		    (uint32_t)client->worker->broker->max_packet_size;
	}
	if (client->state == CLIENT_CONNECTED)
		stats_subtract(client->worker->counters, COUNT_clients, 1);
	client->state = (uint8_t)state;
}

/* ---- birth ------------------------------------------------------------ */

static void
set_limits(struct client *client)
{
	const size_t packet = client->worker->broker->max_packet_size;

	stream_set_limits(&client->stream,
	    (uint32_t)(client->worker->sessions.output_mark + packet +
		CONF_CONNECTION_ANSWER_BYTES),
	    (uint32_t)(packet + STREAM_READ_SIZE));
}

/* The last in the worker's list. */
static void
enlist(struct client *client)
{
	struct client_list *list = &client->worker->clients;

	client->previous = list->last;
	if (list->last != NULL)
		list->last->next = client;
	else
		list->first = client;
	list->last = client;
	list->count++;
}

static struct client *
make(struct worker *worker, const struct client_origin *origin)
{
	struct client *client = NULL;

	if (!worker->draining)
		client = calloc(1, sizeof(*client));
	if (client == NULL) {
		stream_parts_close(&origin->parts);
		return NULL;
	}
	client->worker = worker;
	client->listener = (uint16_t)origin->listener;
	client->pass = origin->pass;
	client->max_packet = UINT32_MAX;
	client->max_in = (uint32_t)worker->broker->conf->max_connect_size;
	client->alarm.fire = on_alarm;
	if (stream_attach(&client->stream, worker->hub, &origin->parts,
		&callbacks, client) != 0) {
		free(client);
		return NULL;
	}
	return client;
}

struct client *
client_new(struct worker *worker, const struct client_origin *origin)
{
	const uint64_t deadline_ns =
	    origin->accepted_ns + worker->broker->conf->connect_timeout_ns;
	const struct slice input = origin->input;
	struct client *client = make(worker, origin);

	if (client == NULL) {
		peer_free(origin->peer);
		client_count_closed(worker, origin->listener, &origin->pass);
		return NULL;
	}
	client->peer = origin->peer;
	client->in_handshake = !stream_is_ready(&client->stream);
	set_limits(client);
	enlist(client);
	if (alarms_set(&worker->alarms, &client->alarm, deadline_ns) == 0 &&
	    (input.len == 0 ||
		stream_feed(&client->stream, input.data, input.len) == 0))
		return client;
	client_close(client, false);
	return NULL;
}

/* ---- death ------------------------------------------------------------ */

static void
leave_session(struct client *client, bool send_will)
{
	struct session *session = client->session;

	parked_drop(client);
	connect_check_abandon(client);
	arrival_abandon(client);
	settle_forget_client(client);
	client->session = NULL;
	if (session != NULL)
		session_leave(session, send_will);
}

/* To be freed at the end of the turn: callers up the stack still look. */
static void
bury(struct client *client)
{
	struct worker *worker = client->worker;

	alarms_stop(&worker->alarms, &client->alarm);
	if (client->next != NULL)
		client->next->previous = client->previous;
	else
		worker->clients.last = client->previous;
	if (client->previous != NULL)
		client->previous->next = client->next;
	else
		worker->clients.first = client->next;
	worker->clients.count--;
	topic_aliases_free(client->aliases);
	throttle_free(client);
	client->aliases = NULL;
	access_free(client->access);
	client->access = NULL;
	auth_exchange_free(client->exchange);
	client->exchange = NULL;
	peer_free(client->peer);
	client->peer = NULL;
	client->next = worker->graveyard;
	worker->graveyard = client;
}

int
client_give_away(struct client *client, struct client_origin *out)
{
	struct client_origin origin = {
		.peer = client->peer,
		.pass = client->pass,
		.listener = client->listener,
		.accepted_ns = client->alarm.when_ns -
		    client->worker->broker->conf->connect_timeout_ns,
	};
	const int err = stream_detach(&client->stream, &origin.parts);

	if (err != 0)
		return err;
	client->peer = NULL;
	client_enter(client, CLIENT_CLOSED);
	bury(client);
	*out = origin;
	return 0;
}

void
client_close(struct client *client, bool send_will)
{
	if (client->state == CLIENT_CLOSED)
		return;
	stream_close(&client->stream);
	client_enter(client, CLIENT_CLOSED);
	client_count_closed(client->worker, client->listener, &client->pass);
	leave_session(client, send_will);
	bury(client);
}

void
client_finish(struct client *client, bool send_will)
{
	struct worker *worker = client->worker;

	if (client_is_over(client))
		return;
	client_enter(client, CLIENT_LEAVING);
	leave_session(client, send_will);
	stream_finish(&client->stream);
	if (alarms_set(&worker->alarms, &client->alarm,
		worker_now_ns(worker) + LEAVING_NS) != 0)
		client_close(client, false);
}

/* What comes before MQTT went wrong. */
static void
tell_failure(struct client *client, const char *reason)
{
	char address[LISTENER_ADDRESS_SIZE];

	connection_faults_add(client->worker->faults, client->listener,
	    client_address(client, address), reason);
}

/* ---- alarms ------------------------------------------------------------ */

static void
on_keepalive(struct client *client)
{
	struct worker *worker = client->worker;
	uint64_t due = client->last_seen_ns + client_patience_ns(client);

	/* While we do not read, its silence is ours. */
	if (client->paused != 0)
		due = worker_now_ns(worker) + client_patience_ns(client);
	if (due <= worker_now_ns(worker)) {
		/* [MQTT-3.1.2-22] */
		worker_count(worker, COUNT_keepalive_timeouts);
		client_disconnect(client, MQTT_KEEP_ALIVE_TIMEOUT);
		return;
	}
	if (alarms_set(&worker->alarms, &client->alarm, due) != 0)
		client_close(client, true);
}

static void
on_alarm(struct alarm *alarm)
{
	struct client *client = CONTAINER_OF(alarm, struct client, alarm);

	switch ((enum client_state)client->state) {
	case CLIENT_NEW:
	case CLIENT_CHECKING:
	case CLIENT_AUTHENTICATING:
		worker_count(client->worker, COUNT_connect_timeouts);
		if (client->in_handshake)
			tell_failure(
			    client, "no handshake within connect_timeout");
		client_close(client, false);
		break;
	case CLIENT_CONNECTED:
		on_keepalive(client);
		break;
	case CLIENT_LEAVING:
	case CLIENT_CLOSED:
	case CLIENT_STATES:
		client_close(client, false);
		break;
	}
}

/* ---- input and output --------------------------------------------------- */

/* A handshake of TLS begins so, and no packet that a client may send does. */
static bool
speaks_tls(const struct client *client, const uint8_t *data, size_t len)
{
	return client->state == CLIENT_NEW && data[0] == 0x16 &&
	    (len == 1 || data[1] == 3) &&
	    !listener_tls_is_on(client->worker->broker->tls, client->listener);
}

/* A packet that is not there as a whole.  False: the client is over. */
static bool
wait_for_rest(struct client *client, uint8_t first)
{
	if (client_accepts(client, first))
		return true;
	client_fail(client, MQTT_PROTOCOL_ERROR, "packet not expected now");
	return false;
}

/* The protocol level of a CONNECT of which this is the beginning, or 0. */
static uint8_t
peek_version(const uint8_t *data, size_t len)
{
	static const uint8_t name[] = { 0, 4, 'M', 'Q', 'T', 'T' };
	size_t at = 1;

	while (at < len && (data[at] & 0x80) != 0)
		at++;
	at++;
	return len > at + sizeof(name) &&
		memcmp(data + at, name, sizeof(name)) == 0
	    ? data[at + sizeof(name)]
	    : 0;
}

/* The packet that begins here is larger than client->max_in. */
static void
refuse_large(struct client *client, const uint8_t *data, size_t len)
{
	enum limit limit = client->state == CLIENT_CONNECTED
	    ? LIMIT_PACKET_SIZE
	    : LIMIT_CONNECT_SIZE;

	if (!wait_for_rest(client, data[0]))
		return;
	limit_reached(client->worker, limit, client);
	/* [MQTT-3.2.2-15] */
	if (client->state == CLIENT_CONNECTED)
		client_disconnect_because(
		    client, MQTT_PACKET_TOO_LARGE, limit_text(limit));
	else
		admit_turn_away(client, peek_version(data, len),
		    MQTT_PACKET_TOO_LARGE, limit_text(limit));
}

static size_t
on_data(struct stream *stream, const uint8_t *data, size_t len)
{
	struct client *client = stream->owner;
	struct worker *worker = client->worker;
	struct mqtt_frame frame;
	size_t used = 0;

	client->last_seen_ns = worker_now_ns(worker);
	if (__builtin_expect(speaks_tls(client, data, len), false)) {
		tell_failure(client,
		    "the client speaks TLS, this listener does not; use the "
		    "port of one with tls, or give this one cert and key");
		client_close(client, false);
		return len;
	}
	while (used < len && client->paused == 0) {
		switch (mqtt_frame(
		    data + used, len - used, client->max_in, &frame)) {
		case MQTT_FRAME_WHOLE:
			break;
		case MQTT_FRAME_PARTIAL:
			return wait_for_rest(client, data[used]) ? used : len;
		case MQTT_FRAME_MALFORMED:
			client_fail(
			    client, MQTT_MALFORMED_PACKET, "fixed header");
			return len;
		case MQTT_FRAME_TOO_LARGE:
			refuse_large(client, data + used, len - used);
			return len;
		}
		switch (client_dispatch(client, &frame)) {
		case PACKET_DONE:
			break;
		case PACKET_KEEP:
			if (client->handover_to == 0)
				return used;
			handover_send(client, client->handover_to - 1u,
			    slice_of(data + used, len - used));
			return len;
		case PACKET_OVER:
			return len;
		}
		used += frame.size;
		if (stream_pending(stream) >= worker->sessions.output_mark * 2)
			client_pause(client, CLIENT_PAUSE_OUTPUT);
	}
	return used;
}

static void
on_closed(struct stream *stream, int reason)
{
	struct client *client = stream->owner;

	log_debug("client_gone", "error=%d", -reason);
	if (stream_fault(stream)[0] != '\0')
		tell_failure(client, stream_fault(stream));
	client_close(client, true);
}

static void
on_layer(struct stream *stream, const char *name)
{
	struct client *client = stream->owner;
	const struct stream_layer *layer = stream_layer_named(stream, name);

	if (strcmp(name, "TLS") == 0) {
		worker_count(client->worker, COUNT_tls_handshakes);
		if (tls_is_resumed(layer))
			worker_count(client->worker, COUNT_tls_resumed);
	}
	client->in_handshake = layer != stream->layer;
}

static void
on_drained(struct stream *stream)
{
	struct client *client = stream->owner;

	client_resume(client, CLIENT_PAUSE_OUTPUT);
	if (client->session == NULL)
		return;
	deliver_waiting(client->worker, client->session);
	if (client->session != NULL && client->session->jobs != NULL)
		worker_pump_session(client->worker, client->session);
}

/* What the stream answered to bytes for it. */
static bool
is_appended(struct client *client, int err)
{
	if (err == 0)
		return true;
	worker_count(client->worker, COUNT_output_overflows);
	client_close(client, true);
	return false;
}

bool
client_append(struct client *client, const uint8_t *bytes, size_t length)
{
	return !client_is_over(client) &&
	    is_appended(client, stream_write(&client->stream, bytes, length));
}

static void
put_lent(void *message)
{
	message_put(message);
}

bool
client_append_payload(struct client *client, struct message *message)
{
	const struct slice payload = message_payload(message);
	int err;

	if (client_is_over(client))
		return false;
	if (payload.len < CLIENT_LEND_BYTES)
		return client_append(client, payload.data, payload.len);
	err = stream_lend(&client->stream, payload.data, payload.len, put_lent,
	    message_take(message));
	if (err != 0)
		message_put(message);
	return is_appended(client, err);
}

bool
client_write(struct client *client, const uint8_t *bytes, size_t length)
{
	worker_count(client->worker, COUNT_answers_out);
	return client_append(client, bytes, length);
}

void
client_pause(struct client *client, enum client_pause why)
{
	if (client->paused == 0)
		stream_pause_read(&client->stream);
	client->paused |= (uint8_t)why;
}

void
client_resume(struct client *client, enum client_pause why)
{
	if ((client->paused & why) == 0)
		return;
	client->paused &= (uint8_t)~why;
	if (client->paused != 0 || client_is_over(client))
		return;
	client->last_seen_ns = worker_now_ns(client->worker);
	stream_resume_read(&client->stream);
}
