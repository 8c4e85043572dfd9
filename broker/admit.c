/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/admit.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/session_records.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define INSTANCE_PROPERTY "weir-id"

/* Room for a CONNACK with all properties that we send. */
#define CONNACK_SIZE 256

/* What waits until the journal has the session. */
struct arrival {
	struct settle_wait wait;
	struct session *session; /* NULL: it was abandoned */
	bool is_new;             /* the session was made for it */
	uint16_t window;
	size_t length;
	uint8_t connack[CONNACK_SIZE];
};

/* ---- refusing --------------------------------------------------------- */

enum packet_verdict
admit_refuse(struct client *client, uint8_t version, enum mqtt_reason reason)
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

/* ---- letting it in ------------------------------------------------------ */

static void
take_over(struct session *session)
{
	struct client *old =
	    session->client != NULL ? session->client : session->arriving;

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

	if (session == NULL ||
	    auth_is_same_owner(client->worker->broker->auth, session->identity,
		client->identity))
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
	if (session != NULL &&
	    (session->client != NULL || session->arriving != NULL)) {
		take_over(session);
		/* It may have ended with its connection. */
		session = session_find(&worker->sessions, id);
	}
	if (session != NULL && attempt->connect.clean_start) {
		/* [MQTT-3.1.2-4] */
		attempt->has_ended_durable = session->is_durable;
		session_end(session);
		session = NULL;
	}
	attempt->session_present = session != NULL;
	if (session != NULL)
		return session;
	return session_new(&worker->sessions, id,
	    expiry_of(worker->broker->conf, &attempt->connect) != 0);
}

/* What the client can take; its Receive Maximum is returned. */
static uint16_t
read_limits(struct client *client, const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;

	if (connect->version != MQTT_5)
		return (uint16_t)client->worker->broker->conf->max_inflight;
	if (mqtt_properties_has(properties, MQTT_MAXIMUM_PACKET_SIZE))
		client->max_packet = properties->maximum_packet_size;
	return mqtt_properties_has(properties, MQTT_RECEIVE_MAXIMUM)
	    ? properties->receive_maximum
	    : (uint16_t)client->worker->broker->conf->max_inflight;
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
    uint64_t expiry_ns, struct mqtt_properties *out)
{
	const struct broker *broker = client->worker->broker;
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

static size_t
write_connack(struct client *client, const struct attempt *attempt,
    uint64_t expiry_ns, uint8_t bytes[CONNACK_SIZE])
{
	struct mqtt_connack connack = {
		.reason = MQTT_SUCCESS,
		.session_present = attempt->session_present,
	};
	uint8_t user[CONNACK_SIZE / 2];
	struct wire_out w = wire_write(user, sizeof(user));
	size_t length;

	if (client->version == MQTT_5) {
		fill_properties(
		    client, attempt, expiry_ns, &connack.properties);
		if (attempt->wants_instance)
			put_instance(client->worker->broker, &w);
		connack.properties.verbatim =
		    slice_of(user, (size_t)(w.p - user));
	}
	length =
	    mqtt_encode_connack(bytes, CONNACK_SIZE, &connack, client->version);
	BUG_ON(length == 0 || w.bad);
	return length;
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
	return admit_refuse(client, version, MQTT_QUOTA_EXCEEDED);
}

/* `session` is the client's: the CONNACK, and all that waited for it. */
static enum packet_verdict
let_in(struct client *client, struct session *session, struct will *will,
    const struct arrival *arrival)
{
	struct worker *worker = client->worker;

	client->session = session;
	session_attach(session, client);
	session->will = will;
	session->outbox.window = arrival->window;
	client->connected_ns = worker_now_ns(worker);
	client_enter(client, CLIENT_CONNECTED);
	worker_count(worker, COUNT_connects_accepted);
	if (!client_write(client, arrival->connack, arrival->length))
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

/* ---- waiting for the journal -------------------------------------------- */

/* Its client has gone, or is refused: as if it had not come. */
static void
take_back(struct client *client, struct session *session, bool is_new)
{
	session->arriving = NULL;
	will_free(session->will);
	session->will = NULL;
	if (is_new) {
		session_end(session);
		return;
	}
	session_attach(session, client);
	session_leave(session, false);
}

void
arrival_abandon(struct client *client)
{
	struct arrival *arrival = client->arrival;

	if (arrival == NULL)
		return;
	client->arrival = NULL;
	take_back(client, arrival->session, arrival->is_new);
	arrival->session = NULL;
}

static void
arrive(struct client *client, const struct arrival *arrival,
    enum mqtt_reason reason)
{
	struct session *session = arrival->session;
	struct will *will = session->will;

	client->arrival = NULL;
	/* What is not to be kept may go on without. */
	if (reason != MQTT_SUCCESS && session->is_durable) {
		take_back(client, session, arrival->is_new);
		admit_refuse(client, client->version, reason);
		return;
	}
	session->arriving = NULL;
	session->will = NULL;
	if (let_in(client, session, will, arrival) == PACKET_DONE)
		client_resume(client, CLIENT_PAUSE_CHECKING);
}

static void
on_settled(struct settle_wait *wait, enum mqtt_reason reason)
{
	struct arrival *arrival = CONTAINER_OF(wait, struct arrival, wait);

	if (wait->client != NULL)
		arrive(wait->client, arrival, reason);
	free(arrival);
}

/* Takes the will, whatever happens. */
static enum packet_verdict
wait_for_journal(struct client *client, const struct attempt *attempt,
    const struct arrival *usual, struct will *will)
{
	struct worker *worker = client->worker;
	struct session *session = usual->session;
	struct arrival *arrival;

	alarms_stop(session->home->alarms, &session->alarm);
	will_free(session->will);
	session->will = will;
	session->arriving = client;
	arrival = malloc(sizeof(*arrival));
	if (arrival != NULL) {
		*arrival = *usual;
		arrival->wait.settled = on_settled;
		arrival->wait.ticket = session->is_durable || will != NULL
		    ? session_records_begin(worker, session, usual->is_new)
		    : commit_last_ticket(worker->commit);
	}
	if (arrival == NULL || arrival->wait.ticket == 0) {
		free(arrival);
		take_back(client, session, usual->is_new);
		return admit_refuse(
		    client, attempt->connect.version, MQTT_SERVER_BUSY);
	}
	client->arrival = arrival;
	settle_await(worker, client, &arrival->wait);
	if (client->state == CLIENT_NEW)
		client_enter(client, CLIENT_CHECKING);
	client_pause(client, CLIENT_PAUSE_CHECKING);
	return PACKET_DONE;
}

/* Would it be a promise that the journal cannot give now? */
static bool
journal_refuses(const struct worker *worker)
{
	return worker->commit != NULL &&
	    commit_offer(worker->commit, 0) == COMMIT_REFUSES;
}

/* Who comes back to a journal that is full may take what waits. */
static bool
wants_what_is_refused(struct worker *worker, const struct attempt *attempt)
{
	const struct mqtt_connect *connect = &attempt->connect;
	const struct session *session;

	session = session_find(&worker->sessions, connect->client_id);
	if (session != NULL && session->is_durable && !connect->clean_start)
		return commit_refusal(worker->commit) != MQTT_QUOTA_EXCEEDED;
	return expiry_of(worker->broker->conf, connect) != 0;
}

/* `session` is its own: say so, now or once the journal has it. */
static enum packet_verdict
give_session(struct client *client, struct attempt *attempt,
    struct session *session, struct will *will)
{
	const struct mqtt_connect *connect = &attempt->connect;
	struct worker *worker = client->worker;
	struct arrival arrival = {
		.session = session,
		.is_new = !attempt->session_present,
	};

	session->identity = client->identity;
	client->version = connect->version;
	client->is_bridge = attempt->is_bridge;
	client->clean_start = connect->clean_start;
	set_keepalive(client, attempt);
	arrival.window = read_limits(client, connect);
	arrival.length =
	    write_connack(client, attempt, session->expiry_ns, arrival.connack);
	if (session->is_durable ||
	    ((will != NULL || attempt->has_ended_durable) &&
		worker->commit != NULL && !journal_refuses(worker)))
		return wait_for_journal(client, attempt, &arrival, will);
	return let_in(client, session, will, &arrival);
}

/* ---- public -------------------------------------------------------------- */

enum packet_verdict
admit(struct client *client, struct attempt *attempt)
{
	const struct mqtt_connect *connect = &attempt->connect;
	struct worker *worker = client->worker;
	struct session *session;
	struct will *will = NULL;

	if (is_of_another(client, connect))
		return admit_refuse(
		    client, connect->version, MQTT_CLIENT_IDENTIFIER_NOT_VALID);
	if (journal_refuses(worker) && wants_what_is_refused(worker, attempt))
		return admit_refuse(
		    client, connect->version, commit_refusal(worker->commit));
	if (connect->has_will) {
		will = will_new(connect, client->identity);
		if (will == NULL)
			return admit_refuse(
			    client, connect->version, MQTT_SERVER_BUSY);
	}
	session = obtain_session(worker, attempt);
	if (session == NULL) {
		will_free(will);
		return admit_refuse(client, connect->version, MQTT_SERVER_BUSY);
	}
	if (!session_keep(session, expiry_of(worker->broker->conf, connect))) {
		will_free(will);
		return refuse_session(client, connect->version, session);
	}
	return give_session(client, attempt, session, will);
}
