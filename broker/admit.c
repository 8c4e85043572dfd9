/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/admit.h"

#include <stdlib.h>

#include "broker/access.h"
#include "broker/auth_revoke.h"
#include "broker/commit.h"
#include "broker/connack.h"
#include "broker/deliver.h"
#include "broker/session_records.h"
#include "broker/throttle.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

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
admit_turn_away(struct client *client, uint8_t version, enum mqtt_reason reason,
    const char *why)
{
	uint8_t bytes[CONNACK_SIZE];
	size_t length;

	worker_count(client->worker, COUNT_connects_refused);

	/* Nothing is said to what does not speak MQTT [MQTT-3.1.4-1]. */
	if (version == 0 ||
	    (version < MQTT_5 &&
		(reason == MQTT_MALFORMED_PACKET ||
		    reason == MQTT_PROTOCOL_ERROR ||
		    reason == MQTT_TOPIC_NAME_INVALID))) {
		client_finish(client, false);
		return PACKET_OVER;
	}
	version = version < MQTT_5 ? MQTT_3_1_1 : MQTT_5;
	length = connack_refuse(client, version, reason, why, bytes);
	if (length == 0 || length > client->max_packet ||
	    client_write(client, bytes, length))
		client_finish(client, false);
	return PACKET_OVER;
}

enum packet_verdict
admit_refuse_because(struct client *client, uint8_t version,
    enum mqtt_reason reason, const char *why)
{
	char address[LISTENER_ADDRESS_SIZE];

	log_info("connect_refused", "address=%s reason=\"%s\"",
	    client_address(client, address), mqtt_reason_name(reason));
	return admit_turn_away(client, version, reason, why);
}

enum packet_verdict
admit_refuse(struct client *client, uint8_t version, enum mqtt_reason reason)
{
	return admit_refuse_because(client, version, reason, NULL);
}

/* ---- letting it in ------------------------------------------------------ */

static void
take_over(struct session *session)
{
	struct client *old =
	    session->client != NULL ? session->client : session->arriving;

	worker_count(old->worker, COUNT_takeovers);
	log_info("session_taken_over", "client=%s old_fd=%d",
	    session_quote(session), stream_fd(&old->stream));
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
	    session_quote(session));
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

	/* [MQTT-3.1.2-5] [MQTT-3.1.4-4] */
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
	/* [MQTT-3.2.2-2] [MQTT-3.2.2-3] */
	attempt->session_present = session != NULL;
	if (session != NULL)
		return session;
	/* [MQTT-3.1.2-6] */
	return session_new(&worker->sessions, id,
	    expiry_of(worker->broker->conf, &attempt->connect) != 0);
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void
admit_read_limits(struct client *client, const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;
	const struct conf *conf = client->worker->broker->conf;

	client->wants_problems = connect->version == MQTT_5;
	if (connect->version != MQTT_5)
		return;
	if (mqtt_properties_has(properties, MQTT_MAXIMUM_PACKET_SIZE))
		client->max_packet = properties->maximum_packet_size;
	/* [MQTT-3.1.2-27] */
	if (mqtt_properties_has(properties, MQTT_TOPIC_ALIAS_MAXIMUM))
		client->aliases_out =
		    (uint16_t)least(properties->topic_alias_maximum,
			conf->topic_alias_maximum_out);
	if (mqtt_properties_has(properties, MQTT_REQUEST_PROBLEM_INFORMATION))
		client->wants_problems =
		    properties->request_problem_information != 0;
}

/* Its Receive Maximum. */
static uint16_t
window_of(const struct client *client, const struct mqtt_connect *connect)
{
	const struct mqtt_properties *properties = &connect->properties;

	if (connect->version == MQTT_5 &&
	    mqtt_properties_has(properties, MQTT_RECEIVE_MAXIMUM))
		return properties->receive_maximum;
	return (uint16_t)client->worker->broker->conf->max_inflight;
}

/* What it asks for holds, unless it is told otherwise [MQTT-3.2.2-22]. */
static void
set_keepalive(struct client *client, struct attempt *attempt)
{
	const uint32_t max = client->worker->broker->conf->max_keepalive;
	uint16_t asked = attempt->connect.keep_alive_s;

	/* Only MQTT 5.0 clients can be told otherwise [MQTT-3.1.2-21]. */
	if (attempt->connect.version == MQTT_5 && max < UINT16_MAX &&
	    (asked == 0 || asked > max))
		asked = (uint16_t)max;
	attempt->keep_alive_s = asked;
	client->keep_alive_s = asked;
}

static bool
start_keepalive(struct client *client)
{
	struct worker *worker = client->worker;

	alarms_stop(&worker->alarms, &client->alarm);
	return client->keep_alive_s == 0 ||
	    alarms_set(&worker->alarms, &client->alarm,
		worker_now_ns(worker) + client_patience_ns(client)) == 0;
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
	return admit_refuse_because(client, version, MQTT_QUOTA_EXCEEDED,
	    "no more sessions are kept here: connect without one, with clean "
	    "start and a Session Expiry Interval of 0");
}

/* `session` is the client's: the CONNACK, and all that waited for it. */
static enum packet_verdict
let_in(struct client *client, struct session *session, struct will *will,
    const struct arrival *arrival)
{
	struct worker *worker = client->worker;

	client->session = session;
	session_attach(session, client);
	/* Accounts may have changed while the journal was waited for. */
	if (!client_take_access(client, session_id(session))) {
		client_close(client, false);
		will_free(will);
		return PACKET_OVER;
	}
	if (client->access != NULL)
		session_trim(worker, session, client->access);
	session->will = will;
	session->outbox.window = arrival->window;
	client->connected_ns = worker_now_ns(worker);
	client_enter(client, CLIENT_CONNECTED);
	worker_count(worker, COUNT_connects_accepted);
	/* [MQTT-3.1.4-5] */
	if (!client_write(client, arrival->connack, arrival->length))
		return PACKET_OVER;
	if (!start_keepalive(client) ||
	    throttle_set(client, &worker->limits.set.publish_rate) != 0) {
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
	if (client->state != CLIENT_CHECKING)
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
	arrival.window = window_of(client, connect);
	arrival.length = connack_accept(
	    client, attempt, session->expiry_ns, arrival.connack);
	if (session->is_durable ||
	    ((will != NULL || attempt->has_ended_durable) &&
		worker->commit != NULL && !journal_refuses(worker)))
		return wait_for_journal(client, attempt, &arrival, will);
	return let_in(client, session, will, &arrival);
}

/* ---- public -------------------------------------------------------------- */

/* NULL: it may come in; else why not, and *out_reason. */
static const char *
refusal_of(struct client *client, struct attempt *attempt,
    enum mqtt_reason *out_reason)
{
	const struct mqtt_connect *connect = &attempt->connect;
	const struct conf *conf = client->worker->broker->conf;
	uint8_t connack[CONNACK_SIZE];

	/* [MQTT-3.2.2-12] */
	*out_reason = MQTT_QOS_NOT_SUPPORTED;
	if (connect->has_will && connect->will_qos > conf->max_qos)
		return "the QoS of the will is above the Maximum QoS";
	/* [MQTT-3.2.2-13] */
	*out_reason = MQTT_RETAIN_NOT_SUPPORTED;
	if (connect->has_will && connect->will_retain &&
	    !conf->retain_available)
		return "the will is retained, and that is not supported here";
	*out_reason = MQTT_NOT_AUTHORIZED;
	if (connect->has_will && client->access != NULL &&
	    !access_may_publish(client->access, connect->will_topic)) {
		worker_count(client->worker, COUNT_wills_denied);
		return "the account may not publish to the Will Topic";
	}
	/* [MQTT-3.1.3-8] */
	*out_reason = MQTT_CLIENT_IDENTIFIER_NOT_VALID;
	if (is_of_another(client, connect))
		return "the client identifier belongs to another user name";
	*out_reason = MQTT_PACKET_TOO_LARGE;
	if (connack_accept(
		client, attempt, expiry_of(conf, connect), connack) == 0)
		return "the Maximum Packet Size is too small for a CONNACK";
	return NULL;
}

enum packet_verdict
admit(struct client *client, struct attempt *attempt)
{
	const struct mqtt_connect *connect = &attempt->connect;
	struct worker *worker = client->worker;
	struct session *session;
	struct will *will = NULL;
	enum mqtt_reason reason;
	const char *why;

	if (!client_take_access(client, connect->client_id))
		return admit_refuse(client, connect->version, MQTT_SERVER_BUSY);
	set_keepalive(client, attempt);
	why = refusal_of(client, attempt, &reason);
	if (why != NULL)
		return admit_refuse_because(
		    client, connect->version, reason, why);
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
