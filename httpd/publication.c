/* SPDX-License-Identifier: Apache-2.0 */

/* What became of the messages, in HTTP's words. */

#include "httpd/publication.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/challenge.h"
#include "httpd/connection.h"

/* Bytes of one result, but for topic and message. */
#define RESULT_MAX 160

struct publish_status
publish_status_of_reason(uint8_t code)
{
	switch (code) {
	case 0x86: /* the identity is not known (any more) */
	case 0x8c:
		return (struct publish_status){ 401,
			PUBLISH_CODE_BAD_CREDENTIALS, 0,
			"the account is not known any more" };
	case 0x87:
		return (struct publish_status){ 403, 403, 0,
			"this account may not publish to this topic" };
	case 0x82:
	case 0x90:
		return (struct publish_status){ 400, PUBLISH_CODE_BAD_TOPIC, 0,
			"the broker does not accept this topic" };
	case 0x95:
		return (struct publish_status){ 413, 413, 0,
			"the message is larger than max_packet_size" };
	case 0x99:
		return (struct publish_status){ 400, PUBLISH_CODE_BAD_FIELD, 0,
			"the payload is not what payload_format_indicator "
			"says" };
	case 0x97:
		return (struct publish_status){ 429, 429, 1,
			"a bridge has no room for this message" };
	case 0x83:
		return (struct publish_status){ 503, 503, 1,
			"the journal takes nothing now, its disk is full or "
			"fails; the broker's log says which" };
	case 0x88:
	case 0x89:
	case 0x8b:
		return (struct publish_status){ 503, 503, 1,
			"the broker is busy or stopping" };
	default:
		return (struct publish_status){ 500, 500, 0,
			"the broker did not take the message; its log says "
			"why" };
	}
}

static const struct publish_status success = { 200, 0, 0, NULL };

static struct publish_status
away_status(struct publisher *publisher, struct publication *publication)
{
	snprintf(publication->detail, sizeof(publication->detail),
	    "the message was not accepted: %s",
	    publisher->ports.away_reason(publisher->ports.context));
	return (struct publish_status){ 503, 503, 1, publication->detail };
}

/* What the account lacks. */
static struct publish_status
status_of_detail(uint32_t detail)
{
	return (struct publish_status){ 403, 403, 0,
		detail == RECORD_DETAIL_SCOPE
		    ? "this account or key has not the scope \"publish\""
		    : "this account or key may not publish to this topic: "
		      "none of its publish filters matches it" };
}

/* A receipt: who wanted it, or why not. */
static struct publish_status
status_of_answer(struct publisher *publisher, struct publication *publication,
    const struct pending_outcome *outcome, uint32_t *out_receivers)
{
	const struct record_answer *answer = &outcome->answer;

	if (answer->code < 0x80) {
		publisher_count(publisher, COUNT_accepted_messages);
		if (answer->receivers == 0)
			publisher_count(publisher, COUNT_no_receiver_messages);
		*out_receivers = answer->receivers;
		return success;
	}
	publisher_count(publisher, COUNT_refused_messages);
	publisher_count(publisher, COUNT_refused_broker_messages);
	if (answer->code == 0x97)
		return publication_overflow(
		    publisher, publication, outcome->lane);
	if (answer->code == 0x86 || answer->code == 0x8c)
		publisher->ports.drop_identity(
		    publisher->ports.context, publication->identity);
	if (answer->code == 0x87 && answer->detail != RECORD_DETAIL_NONE)
		return status_of_detail(answer->detail);
	return publish_status_of_reason(answer->code);
}

struct publish_status
publication_status(struct publisher *publisher, struct publication *publication,
    const struct pending_outcome *outcome, uint32_t *out_receivers)
{
	*out_receivers = 0;
	switch (outcome->result) {
	case PENDING_ANSWERED:
		return status_of_answer(
		    publisher, publication, outcome, out_receivers);
	case PENDING_UNKNOWN:
		publisher_count(publisher, COUNT_unknown_messages);
		return (struct publish_status){ 504, 504, 0,
			"outcome unknown: the message was given to the "
			"broker, but no receipt came in time; sending it "
			"again may duplicate it" };
	case PENDING_NO_CREDIT:
	case PENDING_NO_PLACE:
	case PENDING_NO_STALLED_PLACE:
	case PENDING_NO_STALLED_BYTES:
		return publication_lack(publisher, publication, outcome);
	case PENDING_NO_MEMORY:
		publisher_count(publisher, COUNT_refused_messages);
		publisher_count(publisher, COUNT_refused_memory_messages);
		return (struct publish_status){ 503, 503, 1,
			"weir-httpd has no memory left" };
	case PENDING_TOO_LARGE:
		publisher_count(publisher, COUNT_refused_messages);
		publisher_count(publisher, COUNT_refused_size_messages);
		return (struct publish_status){ 413, 413, 0,
			"the message is larger than a quarter of "
			"http.ring.max_capacity" };
	case PENDING_ABANDONED:
		publisher_count(publisher, COUNT_refused_messages);
		publisher_count(publisher, COUNT_abandoned_messages);
		return (struct publish_status){ 503, 503, 0, "abandoned" };
	case PENDING_AWAY:
	case PENDING_RESULTS:
		break;
	}
	publisher_count(publisher, COUNT_refused_messages);
	publisher_count(publisher, COUNT_refused_away_messages);
	return away_status(publisher, publication);
}

/* ---- one message ---------------------------------------------------------
 */

/* What names a message for good: 32 hexadecimal digits. */
static int
write_id(const struct publisher *publisher,
    const struct publication *publication, uint32_t index, char *out,
    size_t size)
{
	return snprintf(out, size, "%016llx%016llx",
	    (unsigned long long)publisher->life,
	    (unsigned long long)(publication->first_serial + index));
}

static void
answer_success(struct publication *publication)
{
	char body[64];
	struct response response = { .status = 200 };
	int length;

	length =
	    snprintf(body, sizeof(body), "{\"code\":0,\"receivers\":%llu}\n",
		(unsigned long long)publication->receivers);
	response.body = slice_of(body, (size_t)length);
	request_answer(publication->request, &response);
}

/* "id":... and, when nobody wanted it, that. */
static size_t
write_success_v5(const struct publisher *publisher,
    const struct publication *publication, uint32_t index, uint64_t receivers,
    char *out, size_t size)
{
	char id[40];

	write_id(publisher, publication, index, id, sizeof(id));
	return (size_t)snprintf(out, size, "{\"id\":\"%s\"%s}", id,
	    receivers > 0 ? ""
			  : ",\"reason_code\":16,"
			    "\"message\":\"no_matching_subscribers\"");
}

static void
answer_success_v5(
    const struct publisher *publisher, struct publication *publication)
{
	char body[RESULT_MAX];
	struct response response = {
		.status = publication->receivers > 0 ? 200 : 202
	};
	size_t length;

	length = write_success_v5(publisher, publication, 0,
	    publication->receivers, body, sizeof(body) - 1);
	body[length++] = '\n';
	response.body = slice_of(body, length);
	request_answer(publication->request, &response);
}

static void
answer_failure(struct publisher *publisher, struct publication *publication)
{
	const struct publish_status *failure = &publication->first_failure;

	if (publication->limit[0] != '\0') {
		publication_answer_limit(publisher, publication);
		return;
	}
	request_answer_error(publication->request, failure->status,
	    failure->code, failure->retry_after_s,
	    failure->status == 401 ? CHALLENGE_BASIC : NULL, failure->message);
}

static bool
is_success(const struct publication *publication)
{
	return publication->accepted == publication->total &&
	    !publication->is_cut;
}

/* ---- several, each with its own code ---------------------------------------
 */

/* ,"code":N,"message":"..." */
static size_t
write_failure(
    const struct result *result, char *out, size_t length, size_t size)
{
	const char *message = result->message;

	if (message == NULL)
		message = response_phrase(result->status.status);
	length += (size_t)snprintf(out + length, size - length,
	    "\"code\":%u,\"message\":\"", result->status.code);
	length = response_escape(slice_of_string(message), out, length, size);
	length += (size_t)snprintf(out + length, size - length, "\"}");
	return length;
}

static size_t
write_results(const struct publication *publication, char *out, size_t size)
{
	const struct result *result;
	size_t length;

	length = (size_t)snprintf(out, size, "{\"data\":[");
	for (uint32_t i = 0; i < publication->total; i++) {
		result = &publication->results[i];
		length += (size_t)snprintf(out + length, size - length,
		    "%s{\"topic\":\"", i == 0 ? "" : ",");
		length = response_escape(result->topic, out, length, size);
		length += (size_t)snprintf(out + length, size - length,
		    result->status.status == 200 ? "\",\"code\":0}" : "\",");
		if (result->status.status != 200)
			length = write_failure(result, out, length, size);
	}
	length +=
	    (size_t)snprintf(out + length, size - length, "],\"code\":%u}\n",
		is_success(publication) ? 0 : publication->first_failure.code);
	return length;
}

static size_t
write_results_v5(const struct publisher *publisher,
    const struct publication *publication, char *out, size_t size)
{
	const struct result *result;
	size_t length = 0;

	for (uint32_t i = 0; i < publication->total; i++) {
		result = &publication->results[i];
		out[length++] = i == 0 ? '[' : ',';
		if (result->status.status == 200) {
			length += write_success_v5(publisher, publication, i,
			    result->receivers, out + length, size - length);
			continue;
		}
		out[length++] = '{';
		length = write_failure(result, out, length, size);
	}
	length += (size_t)snprintf(out + length, size - length, "]\n");
	return length;
}

static bool
all_have_receivers(const struct publication *publication)
{
	for (uint32_t i = 0; i < publication->total; i++)
		if (publication->results[i].receivers == 0)
			return false;
	return true;
}

/* 200 when all went, 202 when nobody wanted one of them, else 207. */
static unsigned
batch_status(const struct publication *publication)
{
	if (!is_success(publication))
		return 207;
	if (publish_shape_is_v5(publication->shape) &&
	    !all_have_receivers(publication))
		return 202;
	return 200;
}

static void
answer_batch(struct publisher *publisher, struct publication *publication)
{
	struct response response = { .status = batch_status(publication) };
	size_t size, length;
	char *body;

	/* A byte of text takes six at most when it is escaped. */
	size = RESULT_MAX * ((size_t)publication->total + 1) +
	    6 * (publication->labels_length + publication->messages_length);
	body = malloc(size);
	if (body == NULL) {
		request_answer_error(publication->request, 500, 500, 0, NULL,
		    "no memory for the answer; the messages were handled");
		return;
	}
	if (response.status == 207)
		response.retry_after_s =
		    publication->first_failure.retry_after_s;
	length = publish_shape_is_v5(publication->shape)
	    ? write_results_v5(publisher, publication, body, size)
	    : write_results(publication, body, size);
	response.body = slice_of(body, length);
	request_answer(publication->request, &response);
	free(body);
}

void
publication_answer(struct publisher *publisher, struct publication *publication)
{
	if (publish_shape_is_array(publication->shape))
		answer_batch(publisher, publication);
	else if (is_success(publication) &&
	    publish_shape_is_v5(publication->shape))
		answer_success_v5(publisher, publication);
	else if (is_success(publication))
		answer_success(publication);
	else if (publication->total == 1 || publication->accepted == 0)
		answer_failure(publisher, publication);
	else
		answer_batch(publisher, publication);
}
