/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_auth - enhanced authentication: SCRAM-SHA-256 in CONNECT and AUTH.
 *
 * The CONNECT is kept until the client has shown that it knows the password,
 * and is looked at again then; nothing but AUTH and DISCONNECT is taken
 * meanwhile [MQTT-3.1.2-30].  A client that came in by a method may prove
 * itself once more [MQTT-4.12.1-1]; its other packets go on meanwhile.
 *
 * A name that there is not is answered as one that there is, and fails at the
 * end (auth_scram_of()).
 */

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/admit.h"
#include "broker/client.h"
#include "broker/scram.h"
#include "common/base/bug.h"

/* Room for an AUTH with a message of ours. */
#define AUTH_SIZE (SCRAM_MESSAGE_SIZE + 64)

struct auth_exchange {
	struct scram scram;
	uint64_t identity; /* of who it says it is; 0: of nobody */
	uint8_t *connect;  /* the body of its CONNECT; NULL: again */
	size_t connect_length;
	char final[SCRAM_MESSAGE_SIZE]; /* server-final, once it is right */
};

void
auth_exchange_free(struct auth_exchange *exchange)
{
	if (exchange == NULL)
		return;
	free(exchange->connect);
	free(exchange);
}

void
auth_exchange_tell(
    const struct client *client, struct mqtt_properties *properties)
{
	/* [MQTT-4.12.0-5] [MQTT-4.12.0-6] */
	if (client->exchange == NULL)
		return;
	properties->authentication_method = slice_of_string(SCRAM_METHOD);
	mqtt_properties_set(properties, MQTT_AUTHENTICATION_METHOD);
	properties->authentication_data =
	    slice_of_string(client->exchange->final);
	mqtt_properties_set(properties, MQTT_AUTHENTICATION_DATA);
}

/* ---- what both have in common ---------------------------------------------
 */

/*
 * False: the client is over, or does not take a packet of that size.  `reason`
 * is one of AUTH [MQTT-3.15.2-1]; no Reason String or User Property is in it
 * [MQTT-3.15.2-2] [MQTT-3.15.2-3].
 */
static bool
send_auth(struct client *client, enum mqtt_reason reason, const char *data)
{
	struct mqtt_disconnect auth = { .reason = reason };
	uint8_t bytes[AUTH_SIZE];
	size_t length;

	auth.properties.authentication_method = slice_of_string(SCRAM_METHOD);
	mqtt_properties_set(&auth.properties, MQTT_AUTHENTICATION_METHOD);
	auth.properties.authentication_data = slice_of_string(data);
	mqtt_properties_set(&auth.properties, MQTT_AUTHENTICATION_DATA);
	length = mqtt_encode_auth(bytes, sizeof(bytes), &auth);
	BUG_ON(length == 0);
	return length <= client->max_packet &&
	    client_write(client, bytes, length);
}

static bool
is_our_method(const struct mqtt_properties *properties)
{
	return mqtt_properties_has(properties, MQTT_AUTHENTICATION_METHOD) &&
	    slice_equal_string(properties->authentication_method, SCRAM_METHOD);
}

static struct slice
data_of(const struct mqtt_properties *properties)
{
	return mqtt_properties_has(properties, MQTT_AUTHENTICATION_DATA)
	    ? properties->authentication_data
	    : slice_of(NULL, 0);
}

/* A new exchange and its challenge.  MQTT_SUCCESS, or why not. */
static enum mqtt_reason
begin(struct client *client, struct slice first)
{
	const struct auth *auth = client->worker->broker->auth;
	uint8_t nonce[SCRAM_NONCE_BYTES];
	struct auth_exchange *exchange;
	struct auth_scram known;

	exchange = calloc(1, sizeof(*exchange));
	if (exchange == NULL ||
	    getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce)) {
		free(exchange);
		return MQTT_SERVER_BUSY;
	}
	if (!scram_read_first(&exchange->scram, first)) {
		free(exchange);
		return MQTT_NOT_AUTHORIZED;
	}
	auth_scram_of(auth, exchange->scram.user, &known);
	exchange->identity = known.identity;
	scram_challenge(&exchange->scram, &known.verifier, nonce);
	client->exchange = exchange;
	return MQTT_SUCCESS;
}

/* client-final.  A reload may have come in between. */
static bool
is_right(struct client *client, struct slice message)
{
	struct auth_exchange *exchange = client->exchange;
	bool is_right =
	    scram_read_final(&exchange->scram, message, exchange->final);

	return is_right && exchange->identity != 0 &&
	    auth_identity_is_valid(
		client->worker->broker->auth, exchange->identity);
}

static void
forget(struct client *client)
{
	auth_exchange_free(client->exchange);
	client->exchange = NULL;
}

/* ---- CONNECT --------------------------------------------------------------
 */

static bool
keep_connect(struct auth_exchange *exchange, struct slice body)
{
	exchange->connect = malloc(body.len);
	if (exchange->connect == NULL)
		return false;
	memcpy(exchange->connect, body.data, body.len);
	exchange->connect_length = body.len;
	return true;
}

static enum packet_verdict
refuse(struct client *client, enum mqtt_reason reason, const char *why)
{
	if (reason == MQTT_NOT_AUTHORIZED)
		client_login_failed(client);
	return admit_refuse_because(client, MQTT_5, reason, why);
}

/* One name in two places: it must be the same. */
static bool
is_of_its_user_name(
    const struct client *client, const struct mqtt_connect *connect)
{
	return !connect->has_username ||
	    slice_equal_string(connect->username, client->exchange->scram.user);
}

enum packet_verdict
auth_begin(struct client *client, const struct mqtt_connect *connect,
    const struct mqtt_frame *frame)
{
	enum mqtt_reason reason;

	client->version = connect->version;
	/* [MQTT-4.12.0-1] */
	if (!is_our_method(&connect->properties))
		return admit_refuse_because(client, MQTT_5,
		    MQTT_BAD_AUTHENTICATION_METHOD,
		    "the method here is " SCRAM_METHOD);
	reason = begin(client, data_of(&connect->properties));
	if (reason != MQTT_SUCCESS)
		return refuse(client, reason,
		    "the Authentication Data is no client-first-message "
		    "without channel binding");
	if (!is_of_its_user_name(client, connect))
		return refuse(client, MQTT_NOT_AUTHORIZED,
		    "the User Name is not that of the Authentication Data");
	if (!keep_connect(client->exchange, frame->body))
		return admit_refuse(client, MQTT_5, MQTT_SERVER_BUSY);
	client_enter(client, CLIENT_AUTHENTICATING);
	/* [MQTT-4.12.0-2] */
	if (send_auth(client, MQTT_CONTINUE_AUTHENTICATION,
		client->exchange->scram.server_first))
		return PACKET_DONE;
	if (client_is_over(client))
		return PACKET_OVER;
	return admit_refuse(client, MQTT_5, MQTT_PACKET_TOO_LARGE);
}

static enum packet_verdict
finish_connect(struct client *client, const struct mqtt_disconnect *auth)
{
	struct auth_exchange *exchange = client->exchange;
	enum packet_verdict verdict;

	if (!is_our_method(&auth->properties))
		return refuse(client, MQTT_BAD_AUTHENTICATION_METHOD,
		    "the method is that of CONNECT");
	/* [MQTT-4.12.0-3] */
	if (auth->reason != MQTT_CONTINUE_AUTHENTICATION)
		return refuse(
		    client, MQTT_PROTOCOL_ERROR, "AUTH with 0x18 is due");
	/* [MQTT-4.12.0-4] */
	if (!is_right(client, data_of(&auth->properties)))
		return refuse(client, MQTT_NOT_AUTHORIZED, NULL);
	client->identity = exchange->identity;
	client->is_verified = true;
	client->has_method = true;
	verdict = connect_again(
	    client, slice_of(exchange->connect, exchange->connect_length));
	forget(client);
	return verdict;
}

/* ---- once more ------------------------------------------------------------
 */

static enum packet_verdict
fail_again(struct client *client, enum mqtt_reason reason, const char *what)
{
	if (reason == MQTT_NOT_AUTHORIZED)
		client_login_failed(client);
	/* [MQTT-4.12.1-2] */
	client_fail(client, reason, what);
	return PACKET_OVER;
}

static enum packet_verdict
begin_again(struct client *client, const struct mqtt_disconnect *auth)
{
	enum mqtt_reason reason;

	if (client->exchange != NULL)
		return fail_again(client, MQTT_PROTOCOL_ERROR,
		    "a re-authentication is under way");
	reason = begin(client, data_of(&auth->properties));
	if (reason != MQTT_SUCCESS)
		return fail_again(client, reason, "no client-first-message");
	if (send_auth(client, MQTT_CONTINUE_AUTHENTICATION,
		client->exchange->scram.server_first))
		return PACKET_DONE;
	return fail_again(client, MQTT_PACKET_TOO_LARGE, "AUTH");
}

static enum packet_verdict
finish_again(struct client *client, const struct mqtt_disconnect *auth)
{
	const struct auth_exchange *exchange = client->exchange;
	bool is_sent;

	if (exchange == NULL)
		return fail_again(client, MQTT_PROTOCOL_ERROR,
		    "AUTH with 0x18 before one with 0x19");
	if (!is_right(client, data_of(&auth->properties)) ||
	    !auth_is_same_owner(client->worker->broker->auth, client->identity,
		exchange->identity))
		return fail_again(
		    client, MQTT_NOT_AUTHORIZED, "re-authentication failed");
	client->identity = exchange->identity;
	client->session->identity = exchange->identity;
	is_sent = send_auth(client, MQTT_SUCCESS, exchange->final);
	forget(client);
	if (is_sent)
		return PACKET_DONE;
	return fail_again(client, MQTT_PACKET_TOO_LARGE, "AUTH");
}

static enum packet_verdict
once_more(struct client *client, const struct mqtt_disconnect *auth)
{
	/* [MQTT-4.12.0-7] */
	if (!client->has_method)
		return fail_again(
		    client, MQTT_PROTOCOL_ERROR, "AUTH without a method");
	/* [MQTT-4.12.1-1]; DISCONNECT has no reason of its own for it. */
	if (!is_our_method(&auth->properties))
		return fail_again(client, MQTT_PROTOCOL_ERROR,
		    "another Authentication Method than that of CONNECT");
	switch (auth->reason) {
	case MQTT_RE_AUTHENTICATE:
		return begin_again(client, auth);
	case MQTT_CONTINUE_AUTHENTICATION:
		return finish_again(client, auth);
	default:
		return fail_again(
		    client, MQTT_PROTOCOL_ERROR, "AUTH with 0x00");
	}
}

enum packet_verdict
on_auth(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_disconnect auth;
	enum mqtt_reason reason;

	reason =
	    mqtt_decode_auth(frame, (enum mqtt_version)client->version, &auth);
	if (reason != MQTT_SUCCESS) {
		if (client->state == CLIENT_AUTHENTICATING)
			return refuse(client, reason, NULL);
		client_fail(client, reason, "AUTH");
		return PACKET_OVER;
	}
	return client->state == CLIENT_AUTHENTICATING
	    ? finish_connect(client, &auth)
	    : once_more(client, &auth);
}
