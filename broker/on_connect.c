/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_connect - from CONNECT to CONNACK.
 *
 * The packet may be looked at several times: first by the worker that
 * accepted the connection, then by the one that the client identifier belongs
 * to, there again when its credentials have been checked.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/handover.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/msg/topic.h"

/* The top bit of the protocol level: the client is a bridge. */
#define BRIDGE_BIT 0x80

#define BRIDGE_PROPERTY "weir-bridge"
#define INSTANCE_PROPERTY "weir-id"

/* "weir-" and 16 hex digits. */
#define ASSIGNED_ID_SIZE 24

/* Room for a CONNACK with all properties that we send. */
#define CONNACK_SIZE 256

/* Credentials on their way through the thread that hashes. */
struct connect_check {
	struct auth_request request;
	struct client *client; /* NULL: it has gone */
};

/* A CONNECT with what was found out about it. */
struct attempt {
	struct mqtt_connect connect;
	uint8_t *unbridged; /* a copy of the packet without the bridge bit */
	bool is_bridge;
	bool wants_instance;
	char assigned[ASSIGNED_ID_SIZE]; /* "": it has an identifier */
	uint16_t keep_alive_s;           /* in force */
	bool session_present;
};

/* ---- refusing --------------------------------------------------------- */

static enum packet_verdict
refuse(struct client *client, uint8_t version, enum mqtt_reason reason)
{
	const struct mqtt_connack connack = { .reason = reason };
	char address[LISTENER_ADDRESS_SIZE];
	uint8_t bytes[CONNACK_SIZE];
	size_t length;

	worker_count(client->worker, COUNT_connects_refused);
	log_info("connect_refused", "address=%s reason=\"%s\"",
	    client_address(client, address), mqtt_reason_name(reason));

	/* Nothing is said to what does not speak MQTT [MQTT-3.1.4-1]. */
	if (version == 0 ||
	    (version < MQTT_5 &&
		(reason == MQTT_MALFORMED_PACKET ||
		    reason == MQTT_PROTOCOL_ERROR))) {
		client_finish(client, false);
		return PACKET_OVER;
	}
	version = version < MQTT_5 ? MQTT_3_1_1 : MQTT_5;
	length = mqtt_encode_connack(bytes, sizeof(bytes), &connack, version);
	if (length == 0 || client_write(client, bytes, length))
		client_finish(client, false);
	return PACKET_OVER;
}

/* ---- who is it? -------------------------------------------------------- */

static void
on_checked(struct mail *mail, void *owner)
{
	struct connect_check *check =
	    CONTAINER_OF(mail, struct connect_check, request.mail);
	struct client *client = check->client;
	const enum mqtt_reason reason = check->request.reason;
	const uint64_t identity = check->request.identity;

	(void)owner;
	auth_request_fini(&check->request);
	free(check);
	if (client == NULL)
		return;
	client->check = NULL;
	if (reason != MQTT_SUCCESS) {
		refuse(client, client->version, reason);
		return;
	}
	client->is_verified = true;
	client->identity = identity;
	/* Its CONNECT comes again. */
	client_resume(client, CLIENT_PAUSE_CHECKING);
}

void
connect_check_abandon(struct client *client)
{
	if (client->check != NULL)
		client->check->client = NULL;
	client->check = NULL;
}

static enum packet_verdict
check_credentials(struct client *client, const struct mqtt_connect *connect)
{
	struct auth *auth = client->worker->broker->auth;
	struct connect_check *check;

	check = calloc(1, sizeof(*check));
	if (check == NULL)
		return refuse(client, connect->version, MQTT_SERVER_BUSY);
	check->client = client;
	check->request.mail.open = on_checked;
	check->request.reply = client->worker->mailbox;
	client->version = connect->version;
	client_enter(client, CLIENT_CHECKING);
	if (!auth_check(
		auth, connect->username, connect->password, &check->request)) {
		client->check = check;
		client_pause(client, CLIENT_PAUSE_CHECKING);
		return PACKET_KEEP;
	}
	check->client = NULL;
	client->identity = check->request.identity;
	client->is_verified = check->request.reason == MQTT_SUCCESS;
	if (!client->is_verified) {
		const enum mqtt_reason reason = check->request.reason;

		on_checked(&check->request.mail, NULL);
		return refuse(client, connect->version, reason);
	}
	on_checked(&check->request.mail, NULL);
	return PACKET_DONE;
}

static enum packet_verdict
verify(struct client *client, const struct mqtt_connect *connect)
{
	const struct broker *broker = client->worker->broker;
	const bool anonymous =
	    broker->conf->listeners[client->listener].allow_anonymous;
	const bool named = connect->has_username || connect->has_password;

	if (client->is_verified)
		return PACKET_DONE;
	if (named && (auth_has_accounts(broker->auth) || !anonymous))
		return check_credentials(client, connect);
	if (!anonymous) {
		log_info("anonymous_refused",
		    "listener=%s help=\"set allow_anonymous = true in that "
		    "listener, or give a user name\"",
		    broker->conf->listeners[client->listener].bind);
		return refuse(client, connect->version, MQTT_NOT_AUTHORIZED);
	}
	client->identity = AUTH_ANONYMOUS;
	client->is_verified = true;
	return PACKET_DONE;
}

/* ---- reading the packet ------------------------------------------------- */

static void
read_user_properties(struct attempt *attempt)
{
	struct wire walk = wire_read(attempt->connect.properties.raw);
	struct mqtt_property_item item;

	if (attempt->connect.version != MQTT_5)
		return;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item))
		if (slice_equal_string(item.name, BRIDGE_PROPERTY))
			attempt->wants_instance = true;
}

/*
 * Bridges of other brokers set the top bit of the protocol level.  The
 * decoder is given a copy without it.
 */
static enum mqtt_reason
decode(const struct mqtt_frame *frame, struct attempt *attempt)
{
	struct mqtt_frame plain = *frame;
	enum mqtt_reason reason;
	size_t at;

	at = frame->body.len < 2 ? 0
				 : 2 + (size_t)wire_load_u16(frame->body.data);
	if (at > 0 && at < frame->body.len &&
	    (frame->body.data[at] == (BRIDGE_BIT | MQTT_3_1) ||
		frame->body.data[at] == (BRIDGE_BIT | MQTT_3_1_1))) {
		attempt->unbridged = malloc(frame->body.len);
		if (attempt->unbridged == NULL)
			return MQTT_SERVER_BUSY;
		memcpy(attempt->unbridged, frame->body.data, frame->body.len);
		attempt->unbridged[at] &= (uint8_t)~BRIDGE_BIT;
		attempt->is_bridge = true;
		plain.body.data = attempt->unbridged;
	}
	reason = mqtt_decode_connect(&plain, &attempt->connect);
	if (reason != MQTT_SUCCESS)
		return reason;
	read_user_properties(attempt);
	/* [MQTT-4.12.0-1] */
	if (attempt->connect.version == MQTT_5 &&
	    mqtt_properties_has(
		&attempt->connect.properties, MQTT_AUTHENTICATION_METHOD))
		return MQTT_BAD_AUTHENTICATION_METHOD;
	if (attempt->connect.has_will &&
	    (!topic_name_is_valid(attempt->connect.will_topic) ||
		attempt->connect.will_topic.data[0] == '$'))
		return MQTT_TOPIC_NAME_INVALID;
	return MQTT_SUCCESS;
}

/* An identifier that nobody has and that belongs to this worker. */
static void
assign_id(struct worker *worker, struct attempt *attempt)
{
	struct slice id;

	do {
		snprintf(attempt->assigned, sizeof(attempt->assigned),
		    "weir-%016" PRIx64, worker_random(worker));
		id = slice_of_string(attempt->assigned);
	} while (worker_of_client(worker->broker, id) != worker->index ||
	    session_find(&worker->sessions, id) != NULL);
	attempt->connect.client_id = id;
}

/* ---- letting it in ------------------------------------------------------ */

static void
take_over(struct session *session)
{
	struct client *old = session->client;

	worker_count(old->worker, COUNT_takeovers);
	log_info("session_taken_over", "client=%s old_fd=%d",
	    log_quote_n(session->id, session->id_length),
	    stream_fd(&old->stream));
	/* [MQTT-3.1.4-3] */
	client_disconnect(old, MQTT_SESSION_TAKEN_OVER);
}

/* A session is its account's alone: others neither see nor end it. */
static bool
is_of_another(struct client *client, const struct mqtt_connect *connect)
{
	const struct session *session =
	    session_find(&client->worker->sessions, connect->client_id);

	if (session == NULL || session->identity == client->identity)
		return false;
	worker_count(client->worker, COUNT_sessions_denied);
	log_info("session_denied",
	    "client=%s help=\"the session belongs to another user name; use "
	    "another client identifier\"",
	    log_quote_n(session->id, session->id_length));
	return true;
}

static uint64_t
expiry_of(const struct conf *conf, const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;
	uint64_t wanted = 0;

	if (connect->version != MQTT_5)
		return connect->clean_start ? 0 : conf->session_expiry_max_ns;
	if (mqtt_properties_has(properties, MQTT_SESSION_EXPIRY_INTERVAL))
		wanted = properties->session_expiry_interval_s == UINT32_MAX
		    ? SESSION_NEVER
		    : properties->session_expiry_interval_s * CLOCK_SECOND_NS;
	return wanted < conf->session_expiry_max_ns
	    ? wanted
	    : conf->session_expiry_max_ns;
}

/* The session to go on with, or a new one; NULL without memory. */
static struct session *
obtain_session(struct worker *worker, struct attempt *attempt)
{
	const struct slice id = attempt->connect.client_id;
	struct session *session;

	session = session_find(&worker->sessions, id);
	if (session != NULL && session->client != NULL) {
		take_over(session);
		/* It may have ended with its connection. */
		session = session_find(&worker->sessions, id);
	}
	if (session != NULL && attempt->connect.clean_start) {
		/* [MQTT-3.1.2-4] */
		session_end(session);
		session = NULL;
	}
	attempt->session_present = session != NULL;
	if (session != NULL)
		return session;
	return session_new(&worker->sessions, id,
	    expiry_of(worker->broker->conf, &attempt->connect) != 0);
}

static void
set_window(struct client *client, const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;
	struct session *session = client->session;

	session->outbox.window =
	    (uint16_t)client->worker->broker->conf->max_inflight;
	if (connect->version != MQTT_5)
		return;
	if (mqtt_properties_has(properties, MQTT_RECEIVE_MAXIMUM))
		session->outbox.window = properties->receive_maximum;
	if (mqtt_properties_has(properties, MQTT_MAXIMUM_PACKET_SIZE))
		client->max_packet = properties->maximum_packet_size;
}

static void
set_keepalive(struct client *client, struct attempt *attempt)
{
	const uint32_t max = client->worker->broker->conf->max_keepalive;
	uint16_t asked = attempt->connect.keep_alive_s;

	/* Only MQTT 5.0 clients can be told otherwise [MQTT-3.1.2-21]. */
	if (client->version == MQTT_5 && max < UINT16_MAX &&
	    (asked == 0 || asked > max))
		asked = (uint16_t)max;
	attempt->keep_alive_s = asked;
	client->keepalive_ns = asked * CLOCK_SECOND_NS * 3 / 2;
}

static void
fill_properties(struct client *client, const struct attempt *attempt,
    struct mqtt_properties *out)
{
	const struct broker *broker = client->worker->broker;
	const uint64_t expiry_ns = client->session->expiry_ns;
	const struct mqtt_properties *asked = &attempt->connect.properties;

	out->receive_maximum = (uint16_t)broker->conf->receive_maximum;
	mqtt_properties_set(out, MQTT_RECEIVE_MAXIMUM);
	out->maximum_packet_size = (uint32_t)broker->max_packet_size;
	mqtt_properties_set(out, MQTT_MAXIMUM_PACKET_SIZE);
	out->topic_alias_maximum = CLIENT_TOPIC_ALIASES;
	mqtt_properties_set(out, MQTT_TOPIC_ALIAS_MAXIMUM);
	if (attempt->assigned[0] != '\0') {
		/* [MQTT-3.2.2-16] */
		out->assigned_client_identifier =
		    slice_of_string(attempt->assigned);
		mqtt_properties_set(out, MQTT_ASSIGNED_CLIENT_IDENTIFIER);
	}
	if (attempt->keep_alive_s != attempt->connect.keep_alive_s) {
		out->server_keep_alive_s = attempt->keep_alive_s;
		mqtt_properties_set(out, MQTT_SERVER_KEEP_ALIVE);
	}
	if (mqtt_properties_has(asked, MQTT_SESSION_EXPIRY_INTERVAL) &&
	    expiry_ns != SESSION_NEVER &&
	    expiry_ns / CLOCK_SECOND_NS != asked->session_expiry_interval_s) {
		out->session_expiry_interval_s =
		    (uint32_t)(expiry_ns / CLOCK_SECOND_NS);
		mqtt_properties_set(out, MQTT_SESSION_EXPIRY_INTERVAL);
	}
}

/* "weir-id": by this a bridge knows that both its ends are one broker. */
static void
put_instance(const struct broker *broker, struct wire_out *w)
{
	char hex[2 * sizeof(broker->instance) + 1];

	for (size_t i = 0; i < sizeof(broker->instance); i++)
		snprintf(hex + 2 * i, 3, "%02x", broker->instance[i]);
	mqtt_properties_put_user(
	    w, slice_of_string(INSTANCE_PROPERTY), slice_of_string(hex));
}

static bool
send_connack(struct client *client, const struct attempt *attempt)
{
	struct mqtt_connack connack = {
		.reason = MQTT_SUCCESS,
		.session_present = attempt->session_present,
	};
	uint8_t bytes[CONNACK_SIZE], user[CONNACK_SIZE / 2];
	struct wire_out w = wire_write(user, sizeof(user));
	size_t length;

	if (client->version == MQTT_5) {
		fill_properties(client, attempt, &connack.properties);
		if (attempt->wants_instance)
			put_instance(client->worker->broker, &w);
		connack.properties.verbatim =
		    slice_of(user, (size_t)(w.p - user));
	}
	length = mqtt_encode_connack(
	    bytes, sizeof(bytes), &connack, client->version);
	BUG_ON(length == 0 || w.bad);
	return client_write(client, bytes, length);
}

static bool
start_keepalive(struct client *client)
{
	struct worker *worker = client->worker;

	alarms_stop(&worker->alarms, &client->alarm);
	return client->keepalive_ns == 0 ||
	    alarms_set(&worker->alarms, &client->alarm,
		worker_now_ns(worker) + client->keepalive_ns) == 0;
}

/* There are max_sessions: the one just made, for it is new, goes again. */
static enum packet_verdict
refuse_session(struct client *client, uint8_t version, struct session *session)
{
	session_end(session);
	worker_count(client->worker, COUNT_sessions_refused);
	log_info("session_refused",
	    "max_sessions=%u help=\"raise max_sessions, or lower "
	    "session_expiry_max\"",
	    client->worker->broker->conf->max_sessions);
	return refuse(client, version, MQTT_QUOTA_EXCEEDED);
}

static enum packet_verdict
admit(struct client *client, struct attempt *attempt)
{
	const struct mqtt_connect *connect = &attempt->connect;
	struct worker *worker = client->worker;
	struct session *session;
	struct will *will = NULL;

	if (is_of_another(client, connect))
		return refuse(
		    client, connect->version, MQTT_CLIENT_IDENTIFIER_NOT_VALID);
	if (connect->has_will) {
		will = will_new(connect, client->identity);
		if (will == NULL)
			return refuse(
			    client, connect->version, MQTT_SERVER_BUSY);
	}
	session = obtain_session(worker, attempt);
	if (session == NULL) {
		will_free(will);
		return refuse(client, connect->version, MQTT_SERVER_BUSY);
	}
	if (!session_keep(session, expiry_of(worker->broker->conf, connect))) {
		will_free(will);
		return refuse_session(client, connect->version, session);
	}
	client->version = connect->version;
	client->is_bridge = attempt->is_bridge;
	client->session = session;
	session_attach(session, client);
	session->will = will;
	session->identity = client->identity;
	set_window(client, connect);
	set_keepalive(client, attempt);
	client_enter(client, CLIENT_CONNECTED);
	worker_count(worker, COUNT_connects_accepted);
	if (!send_connack(client, attempt))
		return PACKET_OVER;
	if (!start_keepalive(client)) {
		client_close(client, true);
		return PACKET_OVER;
	}
	deliver_resume(worker, session);
	if (client_is_over(client))
		return PACKET_OVER;
	if (session->jobs != NULL)
		worker_pump_session(worker, session);
	return PACKET_DONE;
}

static enum packet_verdict
attempt_connect(struct client *client, const struct mqtt_frame *frame,
    struct attempt *attempt)
{
	struct worker *worker = client->worker;
	enum packet_verdict verdict;
	enum mqtt_reason reason;
	unsigned owner;

	reason = decode(frame, attempt);
	if (reason != MQTT_SUCCESS)
		return refuse(client, attempt->connect.version, reason);
	if (attempt->connect.client_id.len != 0) {
		owner = worker_of_client(
		    worker->broker, attempt->connect.client_id);
		if (owner != worker->index) {
			client->handover_to = (uint16_t)(owner + 1);
			return PACKET_KEEP;
		}
	}
	verdict = verify(client, &attempt->connect);
	if (verdict != PACKET_DONE)
		return verdict;
	if (attempt->connect.client_id.len == 0)
		assign_id(worker, attempt);
	return admit(client, attempt);
}

enum packet_verdict
on_connect(struct client *client, const struct mqtt_frame *frame)
{
	struct attempt attempt = { 0 };
	enum packet_verdict verdict;

	verdict = attempt_connect(client, frame, &attempt);
	free(attempt.unbridged);
	return verdict;
}
