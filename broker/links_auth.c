/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_auth.h"

#include <stdlib.h>

#include "broker/links_private.h"
#include "common/base/bug.h"
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
    enum mqtt_reason reason, uint64_t identity)
{
	const struct record_answer body = {
		.code = (uint8_t)reason,
		.identity = identity,
	};
	bool has_room;

	has_room = links_endpoint_answer(
	    endpoint, RECORD_AUTH_RESULT, correlation, &body);
	BUG_ON(!has_room); /* it was counted before the record was taken */
}

static void
answer_check(const struct check *check)
{
	const struct auth_request *request = &check->request;

	if (request->reason == MQTT_BAD_USER_NAME_OR_PASSWORD)
		log_info("credentials_refused", "link=%s address=%s",
		    log_quote(check->endpoint->identity.name),
		    log_quote(check->address));
	answer(check->endpoint, check->correlation, request->reason,
	    request->identity);
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
	check->request.kind = AUTH_OF_HTTP;
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
		answer(endpoint, record->correlation, reason, 0);
	return true;
}
