/* SPDX-License-Identifier: Apache-2.0 */

/*
 * api - the management routes: a question to the broker, its answer in the
 * shape that clients of the route expect.
 *
 *	run:	api_ask_for(httpd, request, "clients", done);
 *	done:	api_answer_list(call, clients);
 *
 * weir-httpd keeps no state of its own for them: what can be read or changed
 * is the broker's, which also proves the rights of the account.  Routes of
 * /api/v4 answer {"code":0,"data":...}; those of /api/v5 answer bare objects,
 * lists as {"data":[...],"meta":...}.  Errors are proper statuses with
 * {"code":N,"message":"..."}, where N is a number of old clients where one
 * fits, else the status.
 *
 * Everything belongs to the loop's thread.
 */

#ifndef WEIR_HTTPD_API_H
#define WEIR_HTTPD_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct httpd;
struct request;

/* The one node there is, where other brokers have several. */
#define API_NODE "weir"

/*
 * While answers that their clients have not read take more than this, nothing
 * more is asked: 503.  One answer may be as long as it is.
 */
#define API_UNSENT_MAX (UINT64_C(16) << 20)

/* Codes of old clients that are not among PUBLISH_CODE_*. */
#define API_CODE_NO_SUCH_CLIENT 112u

struct api_call {
	struct httpd *httpd;
	struct request *request; /* to be answered */
	json_t *question;
	json_t *context; /* the route's own, or NULL */
	unsigned status; /* of the answer: 200, unless failures are taken */
	json_t *answer;  /* an object */
};

/* Answer call->request, or ask again.  The call is the caller's. */
typedef void (*api_done)(struct api_call *call);

/*
 * {"ask":ask} with the request's parameters.  NULL after the request was
 * answered 400, or 503 without memory.
 */
json_t *api_question(struct request *request, const char *ask);

/* done() is for answers of status 200; others are told the client. */
void api_ask(struct httpd *httpd, struct request *request, json_t *question,
    api_done done);

/* The question that is `ask` and the request's parameters alone. */
void api_ask_for(struct httpd *httpd, struct request *request, const char *ask,
    api_done done);

/* A question that is not like most. */
struct api_plan {
	json_t *question; /* taken; NULL (no memory) is answered 503 */
	json_t *context;  /* the route's own, taken; or NULL */
	api_done done;
	bool takes_failures; /* done() looks at call->status itself */
	uint64_t timeout_ns; /* 0: that of asks.h */
};

void api_ask_as(
    struct httpd *httpd, struct request *request, const struct api_plan *plan);

/* Tell the client what the broker said, or why it said nothing. */
void api_answer_failure(struct api_call *call);

/* The client of a request that api_ask() was called for left. */
void api_gone(struct request *request);

/*
 * The body as an object, for routes that take JSON.  NULL after the request
 * was answered 400.
 */
json_t *api_body(struct request *request, struct slice body);

/* Is it a route of /api/v5? */
bool api_is_v5(const struct request *request);

/* Answer with a body, which is taken; NULL (no memory) is 503. */
void api_answer(struct request *request, unsigned status, json_t *body);

/* 200 with data, which is taken: {"code":0,"data":data}; v5: data alone. */
void api_answer_data(struct request *request, json_t *data);

/* The same for a page of a list: with "meta", from question and answer. */
void api_answer_list(struct api_call *call, json_t *data);

/* 200 {"code":0}, or in v5 204 without a body. */
void api_answer_done(struct request *request);

/* 200, or 201, with what the broker says that it did: {"code":0, ...}. */
void api_answer_order(struct api_call *call);
void api_answer_created(struct api_call *call);

/* How a field of an answer is called in an API, and what it becomes. */
enum api_kind {
	API_AS_IS, /* also null */
	API_TIME,  /* seconds since 1970: "2026-01-31 12:00:00", v5 RFC 3339 */
	API_ADDRESS,   /* "1.2.3.4:5": "1.2.3.4" */
	API_PORT,      /* "1.2.3.4:5": 5 */
	API_CONNECTED, /* true: "connected" */
	API_NUMBER,    /* true: 1 */
	API_PROTOCOL   /* any: "MQTT" */
};

#define API_V4 1u
#define API_V5 2u

struct api_field {
	const char *name;
	const char *ask;
	enum api_kind kind;
	unsigned versions;
};

/*
 * Each object of a list with the fields of a table; what the broker did not
 * say is left out.  NULL without memory.
 */
json_t *api_map(const struct request *request, const json_t *list,
    const struct api_field *fields, size_t count);

#endif
