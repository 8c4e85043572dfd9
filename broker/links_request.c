/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_request.h"

#include <stdlib.h>
#include <string.h>

#include "broker/links_asks.h"
#include "broker/links_connection.h"
#include "broker/links_private.h"
#include "broker/links_status.h"
#include "broker/manage.h"

#define PIECE_MAX 32768u

/* One question. */
struct links_request {
	struct manage_ask manage;            /* first */
	struct links_connection *connection; /* NULL: it was closed */
	size_t sent;
	bool is_answered;
};

static void
request_free(struct links_request *request)
{
	if (request->connection != NULL)
		request->connection->request = NULL;
	if (request->is_answered)
		request->manage.links->answer_bytes -= request->manage.length;
	free(request->manage.text);
	free(request);
}

/* As much as the socket takes at once. */
static void
send_pieces(struct links_request *request)
{
	struct links_connection *connection = request->connection;
	const struct manage_ask *manage = &request->manage;
	size_t length;

	while (request->sent < manage->length && connection->unsent == NULL &&
	    !connection->is_broken) {
		length = manage->length - request->sent;
		if (length > PIECE_MAX)
			length = PIECE_MAX;
		links_connection_send_answer(connection,
		    slice_of(manage->text + request->sent, length),
		    request->sent + length < manage->length);
		request->sent += length;
	}
	if (request->sent == manage->length || connection->is_broken)
		request_free(request);
}

static void
answer_fixed(struct links_request *request, const char *text)
{
	links_connection_send_answer(
	    request->connection, slice_of_string(text), false);
	request_free(request);
}

static void
answered(struct manage_ask *manage)
{
	struct links_request *request = (struct links_request *)manage;

	if (request->connection == NULL) {
		request_free(request);
	} else if (manage->text == NULL) {
		answer_fixed(request,
		    "{\"status\":503,\"message\":\"the broker has no memory "
		    "for "
		    "this\",\"error\":\"no memory\"}");
	} else if (manage->links->answer_bytes > LINKS_ASKS_BYTES) {
		links_count(manage->links, COUNT_asks_refused, 1);
		answer_fixed(request,
		    "{\"status\":503,\"message\":\"too many answers wait to be "
		    "read: try again\",\"error\":\"busy\"}");
	} else {
		request->is_answered = true;
		manage->links->answer_bytes += manage->length;
		send_pieces(request);
	}
}

const char *
links_request_take(struct links *links, struct links_connection *connection,
    struct slice question)
{
	struct links_request *request;
	char *text;

	if (connection->request != NULL)
		return "it asked before it was answered";
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return "no memory for an answer";
	request->connection = connection;
	request->manage.links = links;
	request->manage.has_all_rights = true;
	request->manage.answered = answered;
	connection->request = request;
	if (question.len != 0 && question.data[0] == '{') {
		manage_run(&request->manage, question);
		return NULL;
	}
	text = links_status_answer(links, question);
	manage_answer_text(
	    &request->manage, 200, text, text == NULL ? 0 : strlen(text));
	return NULL;
}

void
links_request_go_on(struct links_connection *connection)
{
	if (connection->request != NULL && connection->request->is_answered)
		send_pieces(connection->request);
}

void
links_request_forget(struct links_connection *connection)
{
	struct links_request *request = connection->request;

	if (request == NULL)
		return;
	connection->request = NULL;
	request->connection = NULL;
	if (request->is_answered)
		request_free(request);
}
