/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_connect - who is it, and what does its CONNECT say?  Then see admit.h.
 *
 * The packet may be looked at several times: first by the worker that
 * accepted the connection, then by the one that the client identifier belongs
 * to, there again when its credentials have been checked.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/admit.h"
#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/handover.h"
#include "broker/proven.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/msg/topic.h"

/* The top bit of the protocol level: the client is a bridge. */
#define BRIDGE_BIT 0x80

#define BRIDGE_PROPERTY "weir-bridge"

/* Credentials on their way through the thread that hashes. */
struct connect_check {
	struct auth_request request;
	struct client *client; /* NULL: it has gone */
};

/* ---- who is it? -------------------------------------------------------- */

bool
client_may_log_in(struct client *client, uint8_t version)
{
	struct worker *worker = client->worker;

	if (gate_may_log_in(worker->broker->gate, client->pass.address,
		worker_now_ns(worker)))
		return true;
	limit_reached(worker, LIMIT_FAILED_LOGINS, client);
	admit_turn_away(client, version, limit_reason(LIMIT_FAILED_LOGINS),
	    limit_text(LIMIT_FAILED_LOGINS));
	return false;
}

void
client_login_failed(struct client *client)
{
	struct worker *worker = client->worker;

	worker_count(worker, COUNT_logins_failed);
	gate_failed(
	    worker->broker->gate, client->pass.address, worker_now_ns(worker));
}

/* Wrong, or the broker could not tell. */
static void
refuse_login(struct client *client, uint8_t version, enum mqtt_reason reason)
{
	if (reason == MQTT_BAD_USER_NAME_OR_PASSWORD)
		client_login_failed(client);
	admit_refuse(client, version, reason);
}

static void
on_checked(struct mail *mail, void *owner)
{
	struct connect_check *check =
	    CONTAINER_OF(mail, struct connect_check, request.mail);
	struct client *client = check->client;
	const uint64_t identity = check->request.identity;
	enum mqtt_reason reason = check->request.reason;

	(void)owner;
	auth_request_fini(&check->request);
	free(check);
	if (client == NULL)
		return;
	client->check = NULL;
	/* A reload may have come between the check and this mail. */
	if (reason == MQTT_SUCCESS &&
	    !auth_identity_is_valid(client->worker->broker->auth, identity))
		reason = MQTT_BAD_USER_NAME_OR_PASSWORD;
	if (reason != MQTT_SUCCESS) {
		refuse_login(client, client->version, reason);
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
		return admit_refuse(client, connect->version, MQTT_SERVER_BUSY);
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
		refuse_login(client, connect->version, reason);
		return PACKET_OVER;
	}
	on_checked(&check->request.mail, NULL);
	return PACKET_DONE;
}

static bool
has_method(const struct mqtt_connect *connect)
{
	return connect->version == MQTT_5 &&
	    mqtt_properties_has(
		&connect->properties, MQTT_AUTHENTICATION_METHOD);
}

/*
 * Who has proved itself below MQTT is that account, and cannot become another
 * one by what it says here.
 */
static enum packet_verdict
take_proven(struct client *client, const struct mqtt_connect *connect)
{
	uint64_t identity = 0;

	if (client->is_verified)
		return PACKET_DONE;
	switch (proven_account(client, &identity)) {
	case PROVEN_ACCOUNT:
		break;
	case PROVEN_NOBODY:
		return admit_refuse(
		    client, connect->version, MQTT_NOT_AUTHORIZED);
	case PROVEN_NOTHING:
	default:
		return PACKET_DONE;
	}
	/* [MQTT-4.12.0-1] */
	if (has_method(connect))
		return admit_refuse_because(client, connect->version,
		    MQTT_BAD_AUTHENTICATION_METHOD,
		    "this connection has an account already: leave the "
		    "Authentication Method out");
	client->identity = identity;
	client->is_verified = true;
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
		return client_may_log_in(client, connect->version)
		    ? check_credentials(client, connect)
		    : PACKET_OVER;
	if (!anonymous) {
		log_info("anonymous_refused",
		    "listener=%s help=\"set allow_anonymous = true in that "
		    "listener, or give a user name\"",
		    broker->conf->listeners[client->listener].bind);
		return admit_refuse_because(client, connect->version,
		    MQTT_NOT_AUTHORIZED,
		    "this listener wants a user name and a password");
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
	/* A valid name, but not for clients. */
	if (attempt->connect.has_will &&
	    attempt->connect.will_topic.data[0] == '$')
		return attempt->connect.version == MQTT_5
		    ? MQTT_TOPIC_NAME_INVALID
		    : MQTT_NOT_AUTHORIZED;
	return MQTT_SUCCESS;
}

/*
 * An identifier that nobody has and that belongs to this worker
 * [MQTT-3.1.3-6] [MQTT-3.1.3-7].
 */
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

/* The first limit that it breaks; LIMIT_NONE. */
static enum limit
limit_of(const struct client *client, const struct mqtt_connect *connect)
{
	const struct limits_set *set = &client->worker->limits.set;
	enum limit limit = (enum limit)client->pass.refusal;

	if (limit == LIMIT_NONE && connect->has_will)
		limit = limits_topic(set, connect->will_topic);
	if (limit == LIMIT_NONE && connect->version == MQTT_5)
		limit = limits_user_properties(
		    set, connect->properties.user_property_count);
	if (limit == LIMIT_NONE && connect->version == MQTT_5 &&
	    connect->has_will)
		limit = limits_user_properties(
		    set, connect->will_properties.user_property_count);
	return limit;
}

static enum packet_verdict
attempt_connect(struct client *client, const struct mqtt_frame *frame,
    struct attempt *attempt)
{
	struct worker *worker = client->worker;
	enum packet_verdict verdict;
	enum mqtt_reason reason;
	enum limit limit;
	unsigned owner;

	reason = decode(frame, attempt);
	if (reason != MQTT_SUCCESS)
		return admit_refuse(client, attempt->connect.version, reason);
	admit_read_limits(client, &attempt->connect);
	limit = limit_of(client, &attempt->connect);
	if (limit != LIMIT_NONE) {
		limit_reached(worker, limit, client);
		/* The old versions know nothing more exact than this one. */
		reason = attempt->connect.version == MQTT_5
		    ? limit_reason(limit)
		    : MQTT_QUOTA_EXCEEDED;
		return admit_turn_away(client, attempt->connect.version, reason,
		    limit_text(limit));
	}
	if (attempt->connect.client_id.len != 0) {
		owner = worker_of_client(
		    worker->broker, attempt->connect.client_id);
		if (owner != worker->index) {
			client->handover_to = (uint16_t)(owner + 1);
			return PACKET_KEEP;
		}
	}
	verdict = take_proven(client, &attempt->connect);
	if (verdict != PACKET_DONE)
		return verdict;
	if (!client->is_verified && has_method(&attempt->connect))
		return !client_may_log_in(client, attempt->connect.version)
		    ? PACKET_OVER
		    : auth_begin(client, &attempt->connect, frame);
	verdict = verify(client, &attempt->connect);
	if (verdict != PACKET_DONE)
		return verdict;
	if (attempt->connect.client_id.len == 0)
		assign_id(worker, attempt);
	return admit(client, attempt);
}

enum packet_verdict
connect_again(struct client *client, struct slice body)
{
	const struct mqtt_frame frame = {
		.type = MQTT_CONNECT,
		.body = body,
	};

	return on_connect(client, &frame);
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
