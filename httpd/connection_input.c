/* SPDX-License-Identifier: Apache-2.0 */

/* Input: bytes through the parser to the handler, at the pace of answers. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "httpd/connection_state.h"
#include "httpd/counters.h"

/* No further requests are read while so many bytes of answers wait. */
#define OUTPUT_HIGH 65536u

#define BODY_STEP 16384u

/* Reading stops while enough is under way and goes on afterwards. */
static bool
must_block(const struct connection *c)
{
	struct pool *pool = &c->all->requests;

	/* The pool holds four a connection: nobody is refused for others. */
	return c->requests >= CONNECTION_PIPELINE ||
	    (c->requests >= 4 && pool_in_use(pool) > pool->max / 2) ||
	    stream_pending(&c->stream) > OUTPUT_HIGH;
}

void
connection_unblock(struct connection *c)
{
	if (!c->is_blocked || c->is_dead || c->is_deaf || must_block(c))
		return;
	c->is_blocked = false;
	http_parser_pause(&c->parser, 0);
	stream_resume_read(&c->stream);
}

void
request_proceed(struct request *request)
{
	struct connection *c = request->connection;

	if (request->input == INPUT_WAIT)
		request->input = INPUT_BODY;
	c->deadline_ns =
	    loop_now_ns(c->all->loop) + c->all->config.body_timeout_ns;
	if (!request->answered && request_expects_continue(request)) {
		request->continued = true;
		if (request == c->first)
			connection_continue(c, request);
	}
	if (c->is_dead || c->in_parser)
		return;
	http_parser_pause(&c->parser, 0);
	stream_resume_read(&c->stream);
}

/* It runs from the first byte, be it only an empty line. */
static void
start_head_clock(struct connection *c)
{
	if (c->in_head)
		return;
	c->in_head = true;
	c->deadline_ns =
	    loop_now_ns(c->all->loop) + c->all->config.header_timeout_ns;
}

/* Running out is not the client's fault. */
static int
no_memory(struct connection *c)
{
	stats_increment(c->all->counters, COUNT_out_of_memory);
	c->is_short = true;
	return -1;
}

static int
on_message_begin(struct http_parser *parser)
{
	struct connection *c = parser->data;
	struct request *request;

	request = pool_take(&c->all->requests);
	if (request == NULL)
		return no_memory(c);
	pool_use_take(&c->all->requests_use);
	start_head_clock(c);
	request_init(request);
	request->connection = c;
	request->input = INPUT_HEAD;
	c->current = request;
	if (c->last == NULL)
		c->first = request;
	else
		c->last->next = request;
	c->last = request;
	c->requests++;
	return 0;
}

void
connection_reject(struct connection *c, unsigned status, const char *text)
{
	struct request *request;

	stats_increment(c->all->counters, COUNT_bad_requests);
	if (c->current == NULL && on_message_begin(&c->parser) != 0) {
		/* Others wait for their answers: it is none of theirs. */
		if (c->first != NULL)
			connection_kill(c);
		else
			connection_refuse(c, "weir-httpd has no memory left");
		return;
	}
	c->is_deaf = true;
	c->deadline_ns = CONNECTION_NO_DEADLINE;
	request = c->current;
	request->close = true;
	if (request->answered) {
		connection_advance(c);
		return;
	}
	if (request->input != INPUT_HEAD)
		c->all->handler->gone(c->all->context, request);
	request_answer_error(request, status, status, 0, NULL, text);
}

/* A limit that was passed ends the parsing. */
static int
check_limits(struct connection *c)
{
	const char *text;

	return request_fault(c->current, &text) == 0 ? 0 : -1;
}

static int
on_url(struct http_parser *parser, const char *at, size_t length)
{
	struct connection *c = parser->data;

	request_add_path(c->current, at, length);
	return check_limits(c);
}

/*
 * The parser joins the lines of a value that is folded; not everybody in front
 * of us does.  A line end between a header's name and its value, or between
 * two pieces of a value, tells; it may be in an earlier piece of the input.
 */
static bool
gap_has_line_end(struct connection *c, const char *end)
{
	return c->gap_has_line_end ||
	    memchr(c->gap, '\n', (size_t)(end - c->gap)) != NULL;
}

static void
begin_gap(struct connection *c, const char *at)
{
	c->gap = at;
	c->gap_has_line_end = false;
}

static int
on_header_field(struct http_parser *parser, const char *at, size_t length)
{
	struct connection *c = parser->data;

	/* Trailers of a chunked body mean nothing here, but they count. */
	request_add_name(c->current, at, length);
	begin_gap(c, at + length);
	return check_limits(c);
}

static int
on_header_value(struct http_parser *parser, const char *at, size_t length)
{
	struct connection *c = parser->data;

	/* What is empty is told when the line is over. */
	if (length > 0) {
		c->current->is_folded |= gap_has_line_end(c, at);
		begin_gap(c, at + length);
	}
	if (c->current->input != INPUT_HEAD) {
		c->current->head_length += length;
		return check_limits(c);
	}
	request_add_value(c->current, at, length);
	return check_limits(c);
}

static enum request_method
method_of(unsigned method)
{
	switch (method) {
	case HTTP_GET:
		return REQUEST_GET;
	case HTTP_HEAD:
		return REQUEST_HEAD;
	case HTTP_POST:
		return REQUEST_POST;
	case HTTP_PUT:
		return REQUEST_PUT;
	case HTTP_DELETE:
		return REQUEST_DELETE;
	default:
		return REQUEST_OTHER;
	}
}

static bool
body_is_too_large(const struct connection *c)
{
	return c->parser.content_length != UINT64_MAX &&
	    c->parser.content_length > c->all->config.max_body;
}

static void
answer_too_large(struct connection *c, struct request *request)
{
	char text[128], size[PARSE_TEXT_SIZE];

	request->close = true;
	snprintf(text, sizeof(text),
	    "the body is larger than http.max_body, "
	    "which is %s",
	    format_size(c->all->config.max_body, size));
	request_answer_error(request, 413, 413, 0, NULL, text);
}

/* What is to be done with the request whose head is complete. */
static enum connection_verdict
judge_head(struct connection *c, struct request *request)
{
	const char *text;
	unsigned status;

	status = request_head_fault(request, &text);
	if (status == 0 && c->parser.http_major != 1) {
		status = 505;
		text = "this is HTTP/1.1";
	}
	if (status != 0) {
		stats_increment(c->all->counters, COUNT_bad_requests);
		request->close = true;
		request_answer_error(request, status, status, 0, NULL, text);
		return CONNECTION_DONE;
	}
	if (body_is_too_large(c)) {
		answer_too_large(c, request);
		return CONNECTION_DONE;
	}
	return c->all->handler->head(c->all->context, request);
}

static int
on_headers_complete(struct http_parser *parser)
{
	struct connection *c = parser->data;
	struct request *request = c->current;
	enum connection_verdict verdict;

	c->gap = NULL;
	/* HTTP/1.1 goes on, whatever the client would like to speak. */
	parser->upgrade = 0;
	stats_increment(c->all->counters, COUNT_requests);
	request->method = method_of(parser->method);
	request->is_http_1_0 =
	    parser->http_major == 1 && parser->http_minor == 0;
	request->close = !http_should_keep_alive(parser);
	request_end_head(request);
	request->input = INPUT_WAIT;

	verdict = judge_head(c, request);
	if (c->is_dead)
		return -1;
	if (verdict == CONNECTION_WAIT && !request->answered) {
		c->deadline_ns = CONNECTION_NO_DEADLINE;
		http_parser_pause(parser, 1);
		return 0;
	}
	request->input = request->answered ? INPUT_DISCARD : INPUT_BODY;
	if (request->answered && request->close)
		return -1;
	request_proceed(request);
	return c->is_dead ? -1 : 0;
}

static int
body_reserve(struct connection *c, struct request *request, size_t length)
{
	size_t wanted = request->body_length + length;
	size_t size = request->body_size == 0 ? BODY_STEP : request->body_size;
	void *grown;

	if (wanted > c->all->config.max_body)
		return -EMSGSIZE;
	while (size < wanted)
		size *= 2;
	if (size == request->body_size)
		return 0;
	grown = realloc(request->body, size);
	if (grown == NULL)
		return -ENOMEM;
	request->body = grown;
	request->body_size = size;
	return 0;
}

static void
give_body(struct connection *c, struct request *request, struct slice body)
{
	request->input = INPUT_END;
	c->all->handler->body(c->all->context, request, body);
}

static int
on_body(struct http_parser *parser, const char *at, size_t length)
{
	struct connection *c = parser->data;
	struct request *request = c->current;

	if (request->input != INPUT_BODY)
		return 0;
	/* The whole body in one piece needs no copy. */
	if (request->body_length == 0 && (parser->flags & F_CHUNKED) == 0 &&
	    parser->content_length == 0) {
		give_body(c, request, slice_of(at, length));
		return c->is_dead ? -1 : 0;
	}
	switch (body_reserve(c, request, length)) {
	case 0:
		memcpy(
		    (char *)request->body + request->body_length, at, length);
		request->body_length += length;
		return 0;
	case -EMSGSIZE:
		c->all->handler->gone(c->all->context, request);
		answer_too_large(c, request);
		return -1;
	default:
		return no_memory(c);
	}
}

static int
on_message_complete(struct http_parser *parser)
{
	struct connection *c = parser->data;
	struct request *request = c->current;

	if (request->input == INPUT_BODY) {
		give_body(
		    c, request, slice_of(request->body, request->body_length));
		if (c->is_dead)
			return -1;
	}
	request->input = INPUT_END;
	free(request->body);
	request->body = NULL;
	request->body_length = request->body_size = 0;

	c->current = NULL;
	c->gap = NULL;
	c->in_head = false;
	c->deadline_ns = CONNECTION_NO_DEADLINE;
	connection_advance(c);
	if (c->is_dead)
		return -1;
	if (c->is_deaf || must_block(c)) {
		c->is_blocked = true;
		http_parser_pause(parser, 1);
	}
	return 0;
}

static const struct http_parser_settings parser_settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* The parser stopped: a fault of the client's, or ours to have stopped it. */
static void
handle_fault(struct connection *c)
{
	const char *text =
	    http_errno_description(HTTP_PARSER_ERRNO(&c->parser));
	struct request *request = c->current;
	unsigned status = 0;

	if (request != NULL && request->answered && request->close) {
		c->is_deaf = true;
		c->deadline_ns = CONNECTION_NO_DEADLINE;
		connection_advance(c);
		return;
	}
	if (request != NULL)
		status = request_fault(request, &text);
	if (c->is_short) {
		status = 503;
		text = "weir-httpd has no memory left";
	}
	connection_reject(c, status == 0 ? 400 : status, text);
}

size_t
connection_input(struct stream *stream, const uint8_t *data, size_t length)
{
	struct connection *c = stream->owner;
	size_t used;

	if (c->is_deaf)
		return length;
	if (connection_is_between_requests(c))
		start_head_clock(c);

	c->in_parser = true;
	if (c->gap != NULL)
		c->gap = (const char *)data;
	used = http_parser_execute(
	    &c->parser, &parser_settings, (const char *)data, length);
	c->in_parser = false;
	/* It stops elsewhere only between headers and what follows them. */
	if (!c->is_dead && c->gap != NULL && used == length &&
	    HTTP_PARSER_ERRNO(&c->parser) == HPE_OK)
		c->gap_has_line_end =
		    gap_has_line_end(c, (const char *)data + used);
	if (c->is_dead || c->is_deaf)
		return length;
	if (HTTP_PARSER_ERRNO(&c->parser) == HPE_PAUSED) {
		stream_pause_read(&c->stream);
		return used;
	}
	if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK)
		handle_fault(c);
	return length;
}
