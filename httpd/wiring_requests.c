/* SPDX-License-Identifier: Apache-2.0 */

/* Requests: who is it, and may it go on? */

#include <errno.h>
#include <stdio.h>

#include "httpd/challenge.h"
#include "httpd/counters.h"
#include "httpd/endpoints.h"
#include "httpd/httpd.h"
#include "httpd/refusal.h"
#include "httpd/wiring.h"

/* The name of the limit, for who is over it. */
#define FAILED_LOGINS "http.failed_logins"

static void
refuse_guesses(struct httpd *httpd, struct request *request, uint64_t wait_ns)
{
	const struct limits_refusal wait = { .wait_ns = wait_ns };
	const struct refusal refusal = { .status = 429,
		.retry_after_s = limits_retry_after_s(&wait),
		.message = "too many wrong credentials came from this address",
		.limit = FAILED_LOGINS };

	stats_increment(httpd->counters, COUNT_auth_limited);
	refusal_answer(request, &refusal);
}

static void
refuse_identity(struct httpd *httpd, struct request *request,
    enum identity_verdict verdict, const struct identity_handle *handle)
{
	switch (verdict) {
	case IDENTITY_AWAY:
		request_answer_error(request, 503, 503, 1, NULL,
		    link_is_up(httpd->link)
			? "the broker did not check the credentials in time"
			: link_reason(httpd->link));
		return;
	case IDENTITY_BUSY:
		stats_increment(httpd->counters, COUNT_auth_busy);
		request_answer_error(request, 503, 503, 1, NULL,
		    "too many credentials are being checked");
		return;
	case IDENTITY_LIMITED:
		refuse_guesses(httpd, request, handle->wait_ns);
		return;
	default:
		stats_increment(httpd->counters, COUNT_auth_denied);
		challenge_answer(
		    request, httpd->takes_tokens, verdict, handle->detail);
		return;
	}
}

static void
recognise(struct request *request, const struct identity_handle *handle)
{
	request->identity = handle->identity;
	request->account = handle->account;
	snprintf(request->account_name, sizeof(request->account_name), "%s",
	    handle->name);
}

static void
refuse_request(struct httpd *httpd, struct request *request,
    const struct limits_refusal *refusal)
{
	stats_increment(httpd->counters, COUNT_refused_requests);
	refusal_answer_rate(request, refusal);
}

/* Who asks is known: may the account, too?  Else it has been answered. */
static bool
admit_account(struct httpd *httpd, struct request *request)
{
	const struct limits_who who = { request->account,
		request_client(request) };
	struct limits_refusal refusal;

	if (limits_take_account_request(
		httpd->limits, &who, loop_now_ns(httpd->loop), &refusal))
		return true;
	refuse_request(httpd, request, &refusal);
	return false;
}

static enum connection_verdict
authenticate(struct httpd *httpd, struct request *request)
{
	const struct identity_question question = {
		.request = request,
		.authorization = slice_of(
		    request->authorization, request->authorization_length),
		.address = request_peer(request),
		.client = request_client(request),
		.now_ns = loop_now_ns(httpd->loop),
	};
	struct identity_handle handle = { .identity = 0 };
	enum identity_verdict verdict;

	verdict = identity_check(httpd->identity, &question, &handle);
	request_forget_authorization(request);
	switch (verdict) {
	case IDENTITY_KNOWN:
		stats_increment(httpd->counters, COUNT_auth_hits);
		recognise(request, &handle);
		return admit_account(httpd, request) ? CONNECTION_READ
						     : CONNECTION_DONE;
	case IDENTITY_ASKED:
		stats_increment(httpd->counters, COUNT_auth_asked);
		return CONNECTION_WAIT;
	default:
		refuse_identity(httpd, request, verdict, &handle);
		return CONNECTION_DONE;
	}
}

static enum connection_verdict
refuse_method(struct request *request, unsigned methods)
{
	char allow[64], line[96], text[128];

	endpoints_allow(methods, allow, sizeof(allow));
	snprintf(line, sizeof(line), "Allow: %s\r\n", allow);
	snprintf(text, sizeof(text), "this path takes %s", allow);
	request_answer_error(request, 405, 405, 0, line, text);
	return CONNECTION_DONE;
}

static enum connection_verdict
on_head(void *context, struct request *request)
{
	struct httpd *httpd = context;
	struct limits_refusal refusal;
	const struct endpoint *endpoint;
	unsigned methods;

	endpoint = endpoints_find(request->path, request->method, &methods);
	if (methods == 0) {
		request_answer_error(request, 404, 404, 0, NULL,
		    "there is nothing at this path; GET /api/openapi.json "
		    "lists what there is");
		return CONNECTION_DONE;
	}
	if (endpoint == NULL)
		return refuse_method(request, methods);
	/* Pages of other origins could order what takes no body, too. */
	if (endpoint->method != REQUEST_GET && !request_is_json(request)) {
		request_answer_error(request, 415, 415, 0, NULL,
		    "send Content-Type: application/json, not compressed");
		return CONNECTION_DONE;
	}
	request->endpoint = endpoint;
	if (endpoint->access == ENDPOINT_OPEN ||
	    (endpoint->access == ENDPOINT_LOOPBACK &&
		request_is_from_loopback(request)))
		return CONNECTION_READ;
	if (!limits_take_request(httpd->limits, request_client(request),
		loop_now_ns(httpd->loop), &refusal)) {
		refuse_request(httpd, request, &refusal);
		return CONNECTION_DONE;
	}
	return authenticate(httpd, request);
}

static void
on_body(void *context, struct request *request, struct slice body)
{
	const struct endpoint *endpoint = request->endpoint;

	endpoint->run(context, request, body);
}

static void
on_gone(void *context, struct request *request)
{
	struct httpd *httpd = context;

	identity_forget(httpd->identity, request);
	asks_forget(httpd->asks, request);
	endpoints_gone(httpd, request);
}

const struct connection_handler wiring_requests = {
	.head = on_head,
	.body = on_body,
	.gone = on_gone,
};

int
wiring_plain_lane(const struct httpd *httpd, uint32_t *out_ring_lane)
{
	const struct lanes_slot *plain = lanes_get(httpd->lanes, LANES_PLAIN);

	if (!link_is_up(httpd->link))
		return -ENOTCONN;
	if (plain->state != LANES_OPEN)
		return -EAGAIN;
	*out_ring_lane = plain->ring_lane;
	return 0;
}

static int
ask_broker(void *context, const struct record_auth *auth, uint64_t id)
{
	struct httpd *httpd = context;
	uint32_t lane;
	int err = wiring_plain_lane(httpd, &lane);

	if (err != 0)
		return err;
	return link_put_auth(httpd->link, lane, auth,
	    record_correlation(link_epoch(httpd->link), id));
}

static void
on_decided(void *context, void *asker, enum identity_verdict verdict,
    const struct identity_handle *handle)
{
	struct httpd *httpd = context;
	struct request *request = asker;

	if (verdict != IDENTITY_KNOWN) {
		refuse_identity(httpd, request, verdict, handle);
		return;
	}
	recognise(request, handle);
	if (admit_account(httpd, request))
		request_proceed(request);
}

const struct identity_ops wiring_identity = {
	.ask = ask_broker,
	.decided = on_decided,
};
