/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/links_private.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* A check under way. */
struct check {
	struct auth_request request; /* first: its mail comes back */
	struct links_endpoint *endpoint;
	uint64_t correlation;
	char address[64]; /* of the HTTP client, for the log */
};

static void
answer(struct links_endpoint *endpoint, uint64_t correlation,
    const struct record_auth_result *result)
{
	bool has_room;

	has_room = links_endpoint_answer(endpoint, correlation, result);
	BUG_ON(!has_room); /* it was counted before the record was taken */
}

static void
refuse(struct links_endpoint *endpoint, uint64_t correlation,
    enum mqtt_reason reason)
{
	const struct record_auth_result result = { .code = (uint8_t)reason };

	answer(endpoint, correlation, &result);
}

/* How long the handle may be kept: at least a millisecond, never 0. */
static uint32_t
valid_ms(const struct auth_request *request)
{
	const uint64_t now_ns = clock_wall_ns();
	uint64_t left_ms;

	if (request->ends_ns == 0)
		return 0;
	if (request->ends_ns <= now_ns + CLOCK_MS_NS)
		return 1;
	left_ms = (request->ends_ns - now_ns) / CLOCK_MS_NS;
	return left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
}

/* Who it is, for httpd's limits and for who looks. */
static void
describe(
    const struct links_endpoint *endpoint, struct record_auth_result *result)
{
	const struct auth *auth = endpoint->links->broker->auth;
	const char *name = auth_identity_name(auth, result->identity);

	result->account = auth_identity_account(auth, result->identity);
	if (name != NULL)
		snprintf(result->name, sizeof(result->name), "%s", name);
}

static void
answer_check(const struct check *check)
{
	const struct auth_request *request = &check->request;
	struct record_auth_result result = {
		.code = (uint8_t)request->reason,
		.detail = (uint8_t)request->detail,
		.identity = request->identity,
	};

	if (request->reason == MQTT_SUCCESS) {
		result.valid_ms = valid_ms(request);
		describe(check->endpoint, &result);
	}
	if (request->reason == MQTT_BAD_USER_NAME_OR_PASSWORD)
		log_info("credentials_refused", "link=%s address=%s",
		    log_quote(check->endpoint->identity.name),
		    log_quote(check->address));
	answer(check->endpoint, check->correlation, &result);
}

static void
check_free(struct check *check)
{
	auth_request_fini(&check->request);
	free(check);
}

/* The mail with the outcome, on the links thread. */
static void
open_outcome(struct mail *mail, void *owner)
{
	struct check *check = (struct check *)mail;

	(void)owner;
	check->endpoint->auth_pending--;
	answer_check(check);
	check_free(check);
}

static enum mqtt_reason
begin(struct links_endpoint *endpoint, uint64_t correlation,
    const struct record_auth *credentials)
{
	struct broker *broker = endpoint->links->broker;
	size_t length = credentials->address.len;
	struct check *check;

	check = calloc(1, sizeof(*check));
	if (check == NULL)
		return MQTT_SERVER_BUSY;
	check->endpoint = endpoint;
	check->correlation = correlation;
	check->request.mail.open = open_outcome;
	check->request.kind = credentials->kind == RECORD_AUTH_BEARER
	    ? AUTH_OF_TOKEN
	    : AUTH_OF_HTTP;
	check->request.reply = broker->links_mailbox;
	if (length >= sizeof(check->address))
		length = sizeof(check->address) - 1;
	memcpy(check->address, credentials->address.data, length);

	if (!auth_check(broker->auth, credentials->user, credentials->password,
		&check->request)) {
		endpoint->auth_pending++;
		return MQTT_SUCCESS;
	}
	answer_check(check);
	check_free(check);
	return MQTT_SUCCESS;
}

bool
links_auth_take(struct links_endpoint *endpoint,
    const struct ring_record *record, const void *body)
{
	struct links *links = endpoint->links;
	enum mqtt_reason reason;
	struct record_auth credentials;

	if (endpoint->answer_count + endpoint->auth_pending >=
	    LINKS_ANSWERS_MAX)
		return false;

	links_count(links, COUNT_auth_checks, 1);
	if (record_auth_parse(body, record->length, &credentials) != 0)
		reason = MQTT_MALFORMED_PACKET;
	else if (endpoint->auth_pending >= LINKS_AUTH_MAX)
		reason = MQTT_SERVER_BUSY;
	else
		reason = begin(endpoint, record->correlation, &credentials);
	if (reason == MQTT_SERVER_BUSY)
		links_count(links, COUNT_auth_busy, 1);
	if (reason != MQTT_SUCCESS)
		refuse(endpoint, record->correlation, reason);
	return true;
}
