/* SPDX-License-Identifier: Apache-2.0 */

/* Output: answers leave in the order of the requests. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "httpd/connection_state.h"
#include "httpd/counters.h"

/* How long input is thrown away after a last answer, so that it arrives. */
#define LINGER_NS CLOCK_SECOND_NS

static const char *
date_now(struct connections *all)
{
	uint64_t now_s = clock_wall_ns() / CLOCK_SECOND_NS;

	if (now_s != all->date_s) {
		all->date_s = now_s;
		response_date(now_s, all->date);
	}
	return all->date;
}

void
connection_end(struct connection *c, bool has_more_input)
{
	c->is_deaf = true;
	c->is_ended = true;
	if (has_more_input) {
		/* Closing over unread input would destroy the answer. */
		c->deadline_ns = loop_now_ns(c->all->loop) + LINGER_NS;
		stream_resume_read(&c->stream);
		return;
	}
	c->deadline_ns =
	    loop_now_ns(c->all->loop) + c->all->config.idle_timeout_ns;
	stream_finish(&c->stream);
}

static void
request_done(struct connection *c)
{
	struct request *request = c->first;

	c->first = request->next;
	if (c->first == NULL)
		c->last = NULL;
	c->requests--;
	connection_free_request(c->all, request);
	if (c->requests == 0 && connection_is_between_requests(c))
		c->deadline_ns =
		    loop_now_ns(c->all->loop) + c->all->config.idle_timeout_ns;
}

void
connection_continue(struct connection *c, struct request *request)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	request->continued = false;
	stats_increment(c->all->counters, COUNT_continues);
	if (stream_write(&c->stream, text, sizeof(text) - 1) != 0)
		connection_kill(c);
}

/*
 * As much of an answer as the stream takes; the rest goes when it has drained,
 * and a client that reads nothing for idle_timeout is closed.
 */
static void
write_rendered(struct connection *c, struct request *request)
{
	size_t length = request->rendered_length - request->rendered_sent;
	size_t room = stream_room(&c->stream);

	if (length > room)
		length = room;
	if (length > 0 &&
	    stream_write(&c->stream, request->rendered + request->rendered_sent,
		length) != 0) {
		connection_kill(c);
		return;
	}
	request->rendered_sent += length;
	request->written = request->rendered_sent == request->rendered_length;
	/* No other clock runs then. */
	if (!request->written &&
	    (c->is_deaf || connection_is_between_requests(c)))
		c->deadline_ns =
		    loop_now_ns(c->all->loop) + c->all->config.idle_timeout_ns;
}

void
connection_advance(struct connection *c)
{
	struct request *request;
	bool more;

	while (!c->is_dead && !c->is_ended && (request = c->first) != NULL) {
		if (request->continued && !request->answered)
			connection_continue(c, request);
		if (c->is_dead || !request->answered)
			break;
		if (!request->written)
			write_rendered(c, request);
		if (c->is_dead || !request->written)
			break;
		if (request->close) {
			more = request->input != INPUT_END ||
			    !connection_is_between_requests(c);
			connection_end(c, more);
			return;
		}
		if (request->input != INPUT_END)
			break;
		request_done(c);
	}
	connection_unblock(c);
}

static bool
should_close(const struct request *request)
{
	struct connection *c = request->connection;

	/* Who waits for 100 Continue may or may not send the body now. */
	return request->close || c->all->is_draining ||
	    (request->input < INPUT_END && request_expects_continue(request));
}

/* Render into the stream if it is this request's turn, else keep it. */
static int
render(struct connection *c, struct request *request,
    const struct response *response)
{
	char head[RESPONSE_HEAD_MAX];
	size_t length;
	bool has_body = request->method != REQUEST_HEAD;
	size_t body_length = has_body ? response->body.len : 0;
	uint8_t *out = NULL;

	length = response_head(
	    response, request->close, date_now(c->all), head, sizeof(head));
	if (request == c->first && length + body_length <= STREAM_CHUNK_SIZE) {
		out = stream_reserve(&c->stream, length + body_length);
		if (out == NULL)
			return -ENOBUFS;
		request->written = true;
	} else {
		request->rendered = malloc(length + body_length);
		if (request->rendered == NULL)
			return -ENOMEM;
		request->rendered_length = length + body_length;
		c->all->unsent_bytes += request->rendered_length;
	}

	memcpy(out != NULL ? out : (uint8_t *)request->rendered, head, length);
	if (body_length > 0)
		memcpy(
		    (out != NULL ? out : (uint8_t *)request->rendered) + length,
		    response->body.data, body_length);
	if (out != NULL)
		stream_commit(&c->stream, length + body_length);
	return 0;
}

void
request_answer(struct request *request, const struct response *response)
{
	struct connection *c = request->connection;

	BUG_ON(c == NULL || request->answered);
	counters_response(c->all->counters, response->status);
	request->close = should_close(request);
	if (render(c, request, response) != 0) {
		/* Not gone(): the caller knows that it has answered. */
		request->answered = true;
		connection_kill(c);
		return;
	}
	request->answered = true;
	request->continued = false;
	request->owner = NULL;
	if (request->input == INPUT_WAIT && !c->in_parser) {
		request->input = INPUT_DISCARD;
		request_proceed(request);
	}
	/* From inside the parser, the end of the request is not seen yet. */
	if (!c->in_parser)
		connection_advance(c);
}

void
request_answer_error(struct request *request, unsigned status, unsigned code,
    uint32_t retry_after_s, const char *extra, const char *message)
{
	char body[512];
	struct response response = {
		.status = status, .retry_after_s = retry_after_s, .extra = extra
	};

	response.body = slice_of(
	    body, response_error_body(code, message, body, sizeof(body)));
	request_answer(request, &response);
}

void
connection_refuse(struct connection *c, const char *why)
{
	char head[RESPONSE_HEAD_MAX], body[256];
	struct response response = { .status = 503, .retry_after_s = 1 };
	size_t length;

	response.body =
	    slice_of(body, response_error_body(503, why, body, sizeof(body)));
	length = response_head(
	    &response, true, date_now(c->all), head, sizeof(head));
	counters_response(c->all->counters, 503);
	if (stream_write(&c->stream, head, length) != 0 ||
	    stream_write(&c->stream, body, response.body.len) != 0) {
		connection_kill(c);
		return;
	}
	connection_end(c, true);
}
