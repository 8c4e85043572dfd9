/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "httpd/counters.h"
#include "tests/unit/unit.h"

#define MAX_REQUESTS 64

/* A server with one client at the other end of a socket pair. */
struct world {
	struct loop *loop;
	struct stream_hub *hub;
	struct stats *stats;
	struct connections *connections;
	int client;
	enum connection_verdict verdict; /* of head() */
	bool hold;                       /* body() does not answer */
	char *large;                     /* body() answers this */
	struct request *waiting[MAX_REQUESTS];
	unsigned heads, bodies, gone, held;
	uint64_t peer_number; /* of the last request */
	char body[65536];
	size_t body_length;
	char reply[65536];
	size_t reply_length;
	bool is_closed;
};

static void
answer(struct request *request, const char *text)
{
	struct response response = { .status = 200,
		.content_type = RESPONSE_TEXT,
		.body = slice_of_string(text) };

	request_answer(request, &response);
}

static enum connection_verdict
on_head(void *context, struct request *request)
{
	struct world *world = context;

	world->heads++;
	world->peer_number = request_client(request);
	if (world->verdict == CONNECTION_WAIT)
		world->waiting[world->held++] = request;
	if (world->verdict == CONNECTION_DONE)
		request_answer_error(request, 401, 401, 0, NULL, "who?");
	return world->verdict;
}

static void
on_body(void *context, struct request *request, struct slice body)
{
	struct world *world = context;

	world->bodies++;
	if (body.len > 0)
		memcpy(world->body, body.data, body.len);
	world->body_length = body.len;
	if (world->hold)
		world->waiting[world->held++] = request;
	else
		answer(request, world->large ? world->large : request->path);
}

static void
on_gone(void *context, struct request *request)
{
	struct world *world = context;

	(void)request;
	world->gone++;
}

static const struct connection_handler handler = {
	.head = on_head,
	.body = on_body,
	.gone = on_gone,
};

static void
setup(struct world *world)
{
	struct connections_config config = { .max_connections = 2,
		.max_body = 40000,
		.header_timeout_ns = 10 * CLOCK_SECOND_NS,
		.body_timeout_ns = 20 * CLOCK_SECOND_NS,
		.idle_timeout_ns = 60 * CLOCK_SECOND_NS };
	int pair[2];

	memset(world, 0, sizeof(*world));
	ck_assert_int_eq(counters_create(&world->stats), 0);
	world->loop = loop_new();
	world->hub = stream_hub_new(world->loop, 1024);
	world->connections = connections_new(&config, world->loop, world->hub,
	    &handler, world, stats_block(world->stats, 0));
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    0);
	connections_accept(world->connections, pair[0], "192.0.2.1:5000");
	world->client = pair[1];
}

static void
teardown(struct world *world)
{
	connections_free(world->connections);
	stream_hub_free(world->hub);
	loop_free(world->loop);
	stats_free(world->stats);
	if (world->client != -1)
		close(world->client);
}

/* Let the server do all that it can, and collect what it answers. */
static void
run(struct world *world)
{
	ssize_t got;

	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(loop_turn(world->loop, false), 0);
		connections_reap(world->connections);
		if (world->client == -1)
			continue;
		got = recv(world->client, world->reply + world->reply_length,
		    sizeof(world->reply) - 1 - world->reply_length, 0);
		if (got == 0)
			world->is_closed = true;
		if (got > 0)
			world->reply_length += (size_t)got;
	}
	world->reply[world->reply_length] = '\0';
}

static void
say(struct world *world, const char *text)
{
	size_t length = strlen(text);

	ck_assert_int_eq(
	    send(world->client, text, length, MSG_NOSIGNAL), (ssize_t)length);
	run(world);
}

static unsigned
occurrences(const char *text, const char *word)
{
	unsigned found = 0;

	while ((text = strstr(text, word)) != NULL) {
		found++;
		text++;
	}
	return found;
}

/* One request to an own server; the status of the answer. */
static unsigned
status_of(const char *request)
{
	struct world world;
	unsigned status = 0;

	setup(&world);
	say(&world, request);
	sscanf(world.reply, "HTTP/1.1 %u", &status);
	ck_assert_uint_le(world.bodies, 1);
	teardown(&world);
	return status;
}

START_TEST(answers_and_keeps_the_connection)
{
	struct world world;

	setup(&world);
	say(&world, "GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(world.reply, "\r\n\r\n/one"));
	say(&world, "GET /two?q=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(world.reply, "\r\n\r\n/two"));
	ck_assert(!world.is_closed);
	teardown(&world);
}
END_TEST

START_TEST(reads_a_request_that_comes_byte_by_byte)
{
	static const char text[] = "POST /p HTTP/1.1\r\nHost: x\r\n"
				   "Content-Length: 5\r\n\r\nhello";
	struct world world;

	setup(&world);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		ck_assert_int_eq(send(world.client, text + i, 1, 0), 1);
		run(&world);
	}
	ck_assert_uint_eq(world.body_length, 5);
	ck_assert_mem_eq(world.body, "hello", 5);
	ck_assert_uint_eq(occurrences(world.reply, "200 OK"), 1);
	teardown(&world);
}
END_TEST

START_TEST(reads_chunked_bodies)
{
	struct world world;

	setup(&world);
	say(&world,
	    "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	ck_assert_uint_eq(world.body_length, 5);
	ck_assert_mem_eq(world.body, "abcde", 5);
	teardown(&world);
}
END_TEST

START_TEST(answers_pipelined_requests_in_their_order)
{
	struct world world;
	const char *a, *b;

	setup(&world);
	world.hold = true;
	say(&world,
	    "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: "
	    "x\r\n\r\n");
	ck_assert_uint_eq(world.held, 2);
	answer(world.waiting[1], "second");
	run(&world);
	ck_assert_uint_eq(world.reply_length, 0);
	answer(world.waiting[0], "first");
	run(&world);
	a = strstr(world.reply, "first");
	b = strstr(world.reply, "second");
	ck_assert(a != NULL && b != NULL && a < b);
	teardown(&world);
}
END_TEST

START_TEST(stops_reading_at_the_pipeline_bound_and_goes_on_later)
{
	static const char one[] = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
	char many[50 * sizeof(one)];
	struct world world;

	setup(&world);
	world.hold = true;
	many[0] = '\0';
	for (int i = 0; i < 40; i++)
		strcat(many, one);
	say(&world, many);
	ck_assert_uint_eq(world.heads, CONNECTION_PIPELINE);
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_uint_lt(i, world.held);
		answer(world.waiting[i], "ok");
		run(&world);
	}
	ck_assert_uint_eq(occurrences(world.reply, "200 OK"), 40);
	teardown(&world);
}
END_TEST

START_TEST(refuses_lengths_that_can_be_read_two_ways)
{
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Content-Length: 1\r\n"
				    "Content-Length: 1\r\n\r\na"),
	    400);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Content-Length: 5\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n"
				    "0\r\n\r\n"),
	    400);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Transfer-Encoding: chunked\r\n"
				    "Content-Length: 5\r\n\r\n0\r\n\r\n"),
	    400);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n"
				    "0x2\r\nab\r\n0\r\n\r\n"),
	    400);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Content-Length: -1\r\n\r\n"),
	    400);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Transfer-Encoding: gzip, chunked\r\n\r\n"
				    "0\r\n\r\n"),
	    501);
}
END_TEST

/* The number of a client who has this address. */
static uint64_t
client_at(const char *peer)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct world world;
	int pair[2];

	setup(&world);
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    0);
	connections_accept(world.connections, pair[0], peer);
	ck_assert_int_eq(
	    send(pair[1], ask, strlen(ask), MSG_NOSIGNAL), strlen(ask));
	run(&world);
	close(pair[1]);
	teardown(&world);
	return world.peer_number;
}

START_TEST(knows_clients_by_their_address_or_network)
{
	ck_assert_uint_eq(
	    client_at("192.0.2.1:5000"), client_at("192.0.2.1:6000"));
	ck_assert_uint_ne(
	    client_at("192.0.2.1:5000"), client_at("192.0.2.2:5000"));
	ck_assert_uint_eq(
	    client_at("192.0.2.1:5000"), client_at("[::ffff:192.0.2.1]:1"));
	ck_assert_uint_eq(client_at("[2001:db8:0:1::1]:1"),
	    client_at("[2001:db8:0:1:ffff::2]:2"));
	ck_assert_uint_ne(
	    client_at("[2001:db8:0:1::1]:1"), client_at("[2001:db8:0:2::1]:1"));
}
END_TEST

/* The status when the request comes in two pieces, parted at `split`. */
static unsigned
status_when_split(const char *request, size_t split)
{
	struct world world;
	char first[512];
	unsigned status = 0;

	setup(&world);
	snprintf(first, sizeof(first), "%.*s", (int)split, request);
	say(&world, first);
	if (world.reply_length == 0)
		say(&world, request + split);
	sscanf(world.reply, "HTTP/1.1 %u", &status);
	ck_assert_uint_le(occurrences(world.reply, "HTTP/1.1 "), 1);
	teardown(&world);
	return status;
}

START_TEST(refuses_headers_that_others_may_read_differently)
{
	static const struct {
		const char *request;
		unsigned status;
	} cases[] = {
		{ "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\na",
		    400 },
		{ "POST / HTTP/1.1\r\nHost: x\r\nX y: 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\tc\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nHost: x\r\nA:b\n  \tc\r\n\r\n", 400 },
		/* These are as they should be. */
		{ "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB: \r\nC: d e\r\n\r\n",
		    200 },
		{ "GET / HTTP/1.1\nHost: x\nA: \t b\t\nB:c\n\n", 200 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t at = 1; at < strlen(cases[i].request); at++)
			ck_assert_msg(status_when_split(cases[i].request, at) ==
				cases[i].status,
			    "case %zu, parted at %zu: not %u", i, at,
			    cases[i].status);
}
END_TEST

/* Whatever the parser lets through: the head itself is judged too. */
START_TEST(judges_heads_without_trusting_the_parser)
{
	static const char *const names[] = { "Host", "Content-Length",
		"Transfer-Encoding" };
	static const char *const values[] = { "x", "0", "chunked" };
	struct request request;
	const char *text;

	request_init(&request);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(
		    request_head_fault(&request, &text) == 0, i == 1 || i == 2);
		request_add_name(&request, names[i], strlen(names[i]));
		request_add_value(&request, values[i], strlen(values[i]));
	}
	request_end_head(&request);
	ck_assert_uint_eq(request_head_fault(&request, &text), 400);
}
END_TEST

START_TEST(a_target_is_parted_into_path_and_query)
{
	struct request request;

	request_init(&request);
	request_add_path(&request, "/a", 2);
	request_add_path(&request, "/b?x=%2F&y", 10);
	request_add_path(&request, "=1?#z", 5);
	request_end_head(&request);
	ck_assert_str_eq(request.path, "/a/b");
	ck_assert_uint_eq(request.path_length, 4);
	ck_assert_str_eq(request.query, "x=%2F&y=1?");
	request_fini(&request);

	request_init(&request);
	request_add_path(&request, "/a#b?c", 6);
	request_end_head(&request);
	ck_assert_str_eq(request.path, "/a");
	ck_assert_str_eq(request.query, "");
	request_fini(&request);
}
END_TEST

/* In pieces of any size; the room is made once it is needed. */
START_TEST(a_target_is_kept_up_to_its_limit)
{
	const size_t piece = (size_t)_i * 50 + 1;
	struct request request;
	const char *text;
	char bytes[512];

	memset(bytes, 'x', sizeof(bytes));
	request_init(&request);
	request.content_type[0] = 'y';
	request_add_path(&request, bytes, REQUEST_PATH_SIZE);
	ck_assert_int_eq(request.content_type[0], 'y');
	request_fini(&request);

	request_init(&request);
	while (request.target_length + piece <= REQUEST_TARGET_MAX) {
		request_add_path(&request, bytes, piece);
		ck_assert_uint_eq(strlen(request.path), request.target_length);
	}
	ck_assert_uint_eq(request_fault(&request, &text), 0);
	request_add_path(&request, bytes, piece);
	ck_assert_uint_eq(request_fault(&request, &text), 414);
	ck_assert_uint_le(strlen(request.path), REQUEST_TARGET_MAX);
	request_fini(&request);
}
END_TEST

START_TEST(json_is_asked_for_of_pages_of_other_origins)
{
	static const char form[] = "application/x-www-form-urlencoded";
	struct request request;

	request_init(&request);
	ck_assert(request_is_json(&request));
	request_add_name(&request, "Content-Type", 12);
	request_add_value(&request, form, sizeof(form) - 1);
	ck_assert(request_is_json(&request));
	request_add_name(&request, "Origin", 6);
	request_add_value(&request, "http://evil", 11);
	ck_assert(!request_is_json(&request));
}
END_TEST

START_TEST(refuses_what_is_not_http)
{
	ck_assert_uint_eq(status_of("\x16\x03\x01\x02"), 400);
	ck_assert_uint_eq(status_of("GET\r\n\r\n"), 400);
	ck_assert_uint_eq(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
	ck_assert_uint_eq(
	    status_of("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400);
	ck_assert_uint_eq(status_of("GET / HTTP/1.1\r\nHost: x\r\n"
				    "Expect: tea\r\n\r\n"),
	    417);
}
END_TEST

START_TEST(closes_after_an_error_that_loses_the_framing)
{
	struct world world;

	setup(&world);
	say(&world,
	    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
	    "Content-Length: 2\r\n\r\nGET /evil HTTP/1.1\r\n");
	ck_assert_ptr_nonnull(strstr(world.reply, "Connection: close"));
	say(&world, "Host: x\r\n\r\n");
	ck_assert_uint_eq(world.bodies, 0);
	ck_assert_uint_eq(occurrences(world.reply, "HTTP/1.1 "), 1);
	connections_tick(
	    world.connections, clock_now_ns() + 2 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert(world.is_closed);
	teardown(&world);
}
END_TEST

START_TEST(limits_target_headers_and_body)
{
	char text[70000];
	int length;

	length = snprintf(text, sizeof(text), "GET /%03000d HTTP/1.1\r\n", 0);
	ck_assert_int_gt(length, 0);
	ck_assert_uint_eq(status_of(text), 414);
	snprintf(text, sizeof(text),
	    "GET / HTTP/1.1\r\nHost: x\r\nA: %020000d\r\n\r\n", 0);
	ck_assert_uint_eq(status_of(text), 431);
	strcpy(text, "GET / HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 100; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	ck_assert_uint_eq(status_of(text), 431);
	ck_assert_uint_eq(status_of("POST / HTTP/1.1\r\nHost: x\r\n"
				    "Content-Length: 40001\r\n\r\n"),
	    413);
	snprintf(text, sizeof(text),
	    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "9c41\r\n%040001d",
	    0);
	ck_assert_uint_eq(status_of(text), 413);
}
END_TEST

START_TEST(head_has_the_length_but_no_body)
{
	struct world world;

	setup(&world);
	say(&world, "HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(world.reply, "Content-Length: 4\r\n"));
	ck_assert_str_eq(world.reply + world.reply_length - 4, "\r\n\r\n");
	teardown(&world);
}
END_TEST

START_TEST(says_continue_only_if_the_body_is_wanted)
{
	static const char text[] = "POST /p HTTP/1.1\r\nHost: x\r\nExpect: "
				   "100-continue\r\nContent-Length: 2\r\n\r\n";
	struct world world;

	setup(&world);
	say(&world, text);
	ck_assert_str_eq(world.reply, "HTTP/1.1 100 Continue\r\n\r\n");
	say(&world, "ok");
	ck_assert_uint_eq(occurrences(world.reply, "200 OK"), 1);
	teardown(&world);

	setup(&world);
	world.verdict = CONNECTION_DONE;
	say(&world, text);
	ck_assert_uint_eq(occurrences(world.reply, " 100 "), 0);
	ck_assert_uint_eq(occurrences(world.reply, " 401 "), 1);
	ck_assert_ptr_nonnull(strstr(world.reply, "Connection: close"));
	teardown(&world);
}
END_TEST

START_TEST(throws_the_body_of_a_refused_request_away)
{
	struct world world;

	setup(&world);
	world.verdict = CONNECTION_DONE;
	say(&world,
	    "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n"
	    "GET /inner HTTP/1.1\r\nHost: x\r\n");
	world.verdict = CONNECTION_READ;
	say(&world, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_uint_eq(world.heads, 2);
	ck_assert_uint_eq(world.bodies, 1);
	ck_assert_ptr_nonnull(strstr(world.reply, "/next"));
	teardown(&world);
}
END_TEST

START_TEST(waits_for_the_verdict_before_the_body)
{
	struct world world;

	setup(&world);
	world.verdict = CONNECTION_WAIT;
	say(&world,
	    "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
	    "hi");
	ck_assert_uint_eq(world.bodies, 0);
	request_proceed(world.waiting[0]);
	run(&world);
	ck_assert_uint_eq(world.bodies, 1);
	ck_assert_mem_eq(world.body, "hi", 2);

	say(&world,
	    "POST /q HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
	    "hi");
	request_answer_error(world.waiting[1], 401, 103, 0, NULL, "no");
	run(&world);
	ck_assert_uint_eq(world.bodies, 1);
	ck_assert_uint_eq(occurrences(world.reply, " 401 "), 1);
	ck_assert(!world.is_closed);
	teardown(&world);
}
END_TEST

START_TEST(header_deadline_does_not_move_with_each_byte)
{
	struct world world;
	uint64_t start_ns = clock_now_ns();

	setup(&world);
	say(&world, "GET /slow HT");
	connections_tick(world.connections, start_ns + 9 * CLOCK_SECOND_NS);
	say(&world, "TP/1.1\r\nX: ");
	run(&world);
	ck_assert_uint_eq(world.reply_length, 0);
	connections_tick(world.connections, start_ns + 11 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert_uint_eq(occurrences(world.reply, " 408 "), 1);
	teardown(&world);
}
END_TEST

START_TEST(body_deadline_ends_slow_bodies)
{
	struct world world;
	uint64_t start_ns = clock_now_ns();

	setup(&world);
	say(&world, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na");
	connections_tick(world.connections, start_ns + 19 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert_uint_eq(world.reply_length, 0);
	connections_tick(world.connections, start_ns + 21 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert_uint_eq(occurrences(world.reply, " 408 "), 1);
	ck_assert_uint_eq(world.gone, 1);
	teardown(&world);
}
END_TEST

START_TEST(closes_idle_connections)
{
	struct world world;

	setup(&world);
	say(&world, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	connections_tick(
	    world.connections, clock_now_ns() + 59 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert(!world.is_closed);
	connections_tick(
	    world.connections, clock_now_ns() + 61 * CLOCK_SECOND_NS);
	run(&world);
	ck_assert(world.is_closed);
	teardown(&world);
}
END_TEST

START_TEST(tells_when_the_client_left)
{
	struct world world;

	setup(&world);
	world.hold = true;
	say(&world, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	close(world.client);
	world.client = -1;
	run(&world);
	ck_assert_uint_eq(world.gone, 1);
	ck_assert_uint_eq(connections_count(world.connections), 0);
	teardown(&world);
}
END_TEST

START_TEST(tells_connections_over_the_limit_and_closes_them)
{
	struct world world;
	char reply[1024] = "";
	int pair[2];

	setup(&world);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
		    0);
		connections_accept(
		    world.connections, pair[0], "192.0.2.1:5001");
		if (i == 0)
			close(pair[1]);
	}
	run(&world);
	/* The first was closed again; only the last one is told. */
	ck_assert_int_gt(recv(pair[1], reply, sizeof(reply) - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(reply, " 503 "));
	ck_assert_ptr_nonnull(strstr(reply, "http.max_connections"));
	close(pair[1]);
	teardown(&world);
}
END_TEST

#define LARGE (3u << 20)

static char *
large_text(void)
{
	char *text = malloc(LARGE + 1);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < LARGE; i++)
		text[i] = (char)('a' + i % 26);
	text[LARGE] = '\0';
	return text;
}

/* Read the answer to its end; true: its body is the large text. */
static bool
read_large(struct world *world)
{
	char *all = malloc(LARGE + 4096), *body = NULL;
	size_t have = 0;
	ssize_t got;
	bool is_same;

	ck_assert_ptr_nonnull(all);
	for (int i = 0; i < 100000; i++) {
		ck_assert_int_eq(loop_turn(world->loop, false), 0);
		got = recv(world->client, all + have, 10000, 0);
		if (got == 0)
			break;
		if (got > 0)
			have += (size_t)got;
		if (body == NULL)
			body = memmem(all, have, "\r\n\r\n", 4);
		if (body != NULL && have == (size_t)(body + 4 - all) + LARGE)
			break;
	}
	is_same = body != NULL && memcmp(body + 4, world->large, LARGE) == 0;
	free(all);
	return is_same;
}

START_TEST(an_answer_longer_than_the_output_may_be_arrives_whole)
{
	const char *requests[] = { "GET /l HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /l HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" };
	struct world world;

	setup(&world);
	world.large = large_text();
	for (int i = 0; i < 2; i++) {
		ck_assert_int_gt(send(world.client, requests[i],
				     strlen(requests[i]), MSG_NOSIGNAL),
		    0);
		ck_assert(read_large(&world));
		run(&world);
		ck_assert(world.is_closed == (i == 1));
		if (i == 0)
			ck_assert_uint_eq(
			    connections_unsent_bytes(world.connections), 0);
	}
	ck_assert_uint_eq(world.bodies, 2);
	free(world.large);
	teardown(&world);
}
END_TEST

START_TEST(who_does_not_read_a_long_answer_is_closed)
{
	static const char request[] = "GET /l HTTP/1.1\r\nHost: x\r\n\r\n";
	struct world world;

	setup(&world);
	world.large = large_text();
	ck_assert_int_gt(
	    send(world.client, request, sizeof(request) - 1, MSG_NOSIGNAL), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(world.loop, false), 0);
	ck_assert_uint_eq(connections_count(world.connections), 1);
	ck_assert_uint_gt(connections_unsent_bytes(world.connections), LARGE);
	connections_tick(
	    world.connections, loop_now_ns(world.loop) + 59 * CLOCK_SECOND_NS);
	ck_assert_uint_eq(connections_count(world.connections), 1);
	connections_tick(
	    world.connections, loop_now_ns(world.loop) + 61 * CLOCK_SECOND_NS);
	ck_assert_uint_eq(connections_count(world.connections), 0);
	ck_assert_uint_eq(connections_unsent_bytes(world.connections), 0);
	ck_assert_uint_eq(world.gone, 0);
	free(world.large);
	teardown(&world);
}
END_TEST

/* Also when it has begun the next request, which is then refused. */
START_TEST(who_does_not_read_is_closed_whatever_it_sends)
{
	static const char begun[] =
	    "GET /l HTTP/1.1\r\nHost: x\r\n\r\nGET /m HTTP/1.1\r\n";
	struct world world;
	uint64_t now_ns;

	setup(&world);
	world.large = large_text();
	world.hold = true;
	ck_assert_int_gt(
	    send(world.client, begun, sizeof(begun) - 1, MSG_NOSIGNAL), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(world.loop, false), 0);
	ck_assert_uint_eq(world.held, 1);
	answer(world.waiting[0], world.large);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(world.loop, false), 0);
	now_ns = loop_now_ns(world.loop);
	connections_tick(world.connections, now_ns + 11 * CLOCK_SECOND_NS);
	ck_assert_uint_eq(connections_count(world.connections), 1);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(world.loop, false), 0);
	connections_tick(world.connections, now_ns + 72 * CLOCK_SECOND_NS);
	ck_assert_uint_eq(connections_count(world.connections), 0);
	ck_assert_uint_eq(connections_unsent_bytes(world.connections), 0);
	free(world.large);
	teardown(&world);
}
END_TEST

/* Also of those that come and go while nobody looks. */
START_TEST(the_most_connections_are_known_afterwards)
{
	struct world world;
	int pair[2];

	setup(&world);
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    0);
	connections_accept(world.connections, pair[0], "192.0.2.2:5000");
	close(pair[1]);
	run(&world);
	ck_assert_uint_eq(connections_count(world.connections), 1);
	ck_assert_uint_eq(connections_most(world.connections), 2);
	connections_forget_most(world.connections);
	ck_assert_uint_eq(connections_most(world.connections), 1);
	teardown(&world);
}
END_TEST

START_TEST(closes_http_1_0_after_the_answer)
{
	struct world world;

	setup(&world);
	say(&world, "GET /old HTTP/1.0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(world.reply, "/old"));
	ck_assert(world.is_closed);
	teardown(&world);
}
END_TEST

START_TEST(drains_by_answering_what_is_under_way)
{
	struct world world;

	setup(&world);
	world.hold = true;
	say(&world, "GET /last HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_uint_eq(connections_drain(world.connections), 1);
	answer(world.waiting[0], "bye");
	run(&world);
	ck_assert_ptr_nonnull(strstr(world.reply, "bye"));
	ck_assert(world.is_closed);
	ck_assert_uint_eq(connections_drain(world.connections), 0);
	teardown(&world);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_connection");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, answers_and_keeps_the_connection);
	tcase_add_test(tc, reads_a_request_that_comes_byte_by_byte);
	tcase_add_test(tc, reads_chunked_bodies);
	tcase_add_test(tc, answers_pipelined_requests_in_their_order);
	tcase_add_test(
	    tc, stops_reading_at_the_pipeline_bound_and_goes_on_later);
	tcase_add_test(tc, refuses_lengths_that_can_be_read_two_ways);
	tcase_add_test(tc, knows_clients_by_their_address_or_network);
	tcase_add_test(tc, refuses_headers_that_others_may_read_differently);
	tcase_add_test(tc, judges_heads_without_trusting_the_parser);
	tcase_add_test(tc, json_is_asked_for_of_pages_of_other_origins);
	tcase_add_test(tc, a_target_is_parted_into_path_and_query);
	tcase_add_loop_test(tc, a_target_is_kept_up_to_its_limit, 0, 10);
	tcase_add_test(tc, refuses_what_is_not_http);
	tcase_add_test(tc, closes_after_an_error_that_loses_the_framing);
	tcase_add_test(tc, limits_target_headers_and_body);
	tcase_add_test(tc, head_has_the_length_but_no_body);
	tcase_add_test(tc, says_continue_only_if_the_body_is_wanted);
	tcase_add_test(tc, throws_the_body_of_a_refused_request_away);
	tcase_add_test(tc, waits_for_the_verdict_before_the_body);
	tcase_add_test(tc, header_deadline_does_not_move_with_each_byte);
	tcase_add_test(tc, body_deadline_ends_slow_bodies);
	tcase_add_test(tc, closes_idle_connections);
	tcase_add_test(tc, tells_when_the_client_left);
	tcase_add_test(tc, tells_connections_over_the_limit_and_closes_them);
	tcase_add_test(
	    tc, an_answer_longer_than_the_output_may_be_arrives_whole);
	tcase_add_test(tc, who_does_not_read_a_long_answer_is_closed);
	tcase_add_test(tc, who_does_not_read_is_closed_whatever_it_sends);
	tcase_add_test(tc, the_most_connections_are_known_afterwards);
	tcase_add_test(tc, closes_http_1_0_after_the_answer);
	tcase_add_test(tc, drains_by_answering_what_is_under_way);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
