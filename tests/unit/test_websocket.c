/* SPDX-License-Identifier: Apache-2.0 */

/* Frames by themselves, then the client's layer against this test. */

#include "common/net/websocket.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/stream.h"
#include "tests/unit/unit.h"

#define LIMIT 100000

/* The example of RFC 6455, 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static struct websocket frames;
static uint8_t bytes[LIMIT + 64];

static size_t
decode(bool is_server, const void *input, size_t len)
{
	websocket_init(&frames, is_server, LIMIT);
	memcpy(bytes, input, len);
	return websocket_decode(&frames, bytes, len);
}

#define DECODE(is_server, text) decode(is_server, text, sizeof(text) - 1)

START_TEST(joins_frames_and_parts_of_a_message)
{
	ck_assert_uint_eq(DECODE(false,
			      "\x02\x03"
			      "abc"
			      "\x00\x01"
			      "d"
			      "\x80\x02"
			      "ef"
			      "\x82\x00"
			      "\x82\x01"
			      "g"),
	    7);
	ck_assert_ptr_null(frames.fault);
	ck_assert_mem_eq(bytes, "abcdefg", 7);
}
END_TEST

START_TEST(takes_the_mask_off)
{
	/* RFC 6455, 5.7, as a binary frame */
	ck_assert_uint_eq(
	    DECODE(true, "\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), 5);
	ck_assert_mem_eq(bytes, "Hello", 5);
}
END_TEST

START_TEST(answers_the_last_ping_between_parts)
{
	ck_assert_uint_eq(DECODE(false,
			      "\x02\x01"
			      "a"
			      "\x89\x01"
			      "x"
			      "\x89\x02"
			      "yz"
			      "\x8a\x00"
			      "\x80\x01"
			      "b"),
	    2);
	ck_assert(frames.has_ping);
	ck_assert_uint_eq(frames.ping_len, 2);
	ck_assert_mem_eq(frames.ping, "yz", 2);
	ck_assert_mem_eq(bytes, "ab", 2);
}
END_TEST

START_TEST(ends_with_a_close_frame)
{
	ck_assert_uint_eq(DECODE(false,
			      "\x82\x01"
			      "a"
			      "\x88\x02\x03\xe8"
			      "\x82\x01"
			      "b"),
	    1);
	ck_assert(frames.is_closed);
	ck_assert_uint_eq(frames.close_status, 1000);
	ck_assert_uint_eq(DECODE(false, "\x88\x00"), 0);
	ck_assert(frames.is_closed);
	ck_assert_ptr_null(frames.fault);
	ck_assert_uint_eq(frames.close_status, 0);
}
END_TEST

static const struct fault {
	bool is_server;
	const char *input;
	size_t len;
	enum websocket_status status;
	const char *words;
} faults[] = {
#define FAULT(is_server, input, status, words)                                 \
	{                                                                      \
		is_server, input, sizeof(input) - 1, status, words             \
	}
	FAULT(false,
	    "\xc2\x01"
	    "a",
	    1002, "reserved"),
	FAULT(false,
	    "\xa2\x01"
	    "a",
	    1002, "reserved"),
	FAULT(false,
	    "\x92\x01"
	    "a",
	    1002, "reserved"),
	FAULT(false,
	    "\x82\x81\0\0\0\0"
	    "a",
	    1002, "server's frame is masked"),
	FAULT(true,
	    "\x82\x01"
	    "a",
	    1002, "client's frame is not masked"),
	FAULT(false,
	    "\x81\x01"
	    "a",
	    1003, "text"),
	FAULT(false,
	    "\x83\x01"
	    "a",
	    1002, "unknown opcode"),
	FAULT(false,
	    "\x87\x01"
	    "a",
	    1002, "unknown opcode"),
	FAULT(false,
	    "\x8b\x01"
	    "a",
	    1002, "unknown opcode"),
	FAULT(false,
	    "\x8f\x01"
	    "a",
	    1002, "unknown opcode"),
	FAULT(false,
	    "\x80\x01"
	    "a",
	    1002, "never began"),
	FAULT(false,
	    "\x02\x01"
	    "a"
	    "\x82\x01"
	    "b",
	    1002, "within a message"),
	FAULT(false,
	    "\x09\x01"
	    "a",
	    1002, "in parts"),
	FAULT(false, "\x89\x7e\x00\x7e", 1002, "too long"),
	FAULT(false,
	    "\x88\x01"
	    "a",
	    1002, "half a status"),
	FAULT(false, "\x82\x7e\x00\x7d", 1002, "not the shortest"),
	FAULT(false, "\x82\x7f\0\0\0\0\0\0\xff\xff", 1002, "not the shortest"),
	FAULT(false, "\x82\x7f\x80\0\0\0\0\x01\0\0", 1002, "negative"),
	FAULT(false, "\x82\x7f\0\0\0\0\0\x01\x86\xa1", 1009, "over the limit"),
	FAULT(false, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009, "limit"),
};

START_TEST(refuses)
{
	const struct fault *fault = &faults[_i];

	decode(fault->is_server, fault->input, fault->len);
	ck_assert_ptr_nonnull(frames.fault);
	ck_assert_msg(strstr(frames.fault, fault->words) != NULL,
	    "\"%s\" is not in \"%s\"", fault->words, frames.fault);
	ck_assert_uint_eq(frames.fault_status, fault->status);
	/* And for good. */
	memcpy(bytes,
	    "\x82\x01"
	    "a",
	    3);
	ck_assert_uint_eq(websocket_decode(&frames, bytes, 3), 0);
}
END_TEST

START_TEST(takes_frames_up_to_the_limit)
{
	static uint8_t big[LIMIT + 32];
	size_t head = websocket_header(big, WEBSOCKET_BINARY, LIMIT, NULL);

	ck_assert_uint_eq(decode(false, big, head + LIMIT), LIMIT);
	ck_assert_ptr_null(frames.fault);
	ck_assert_uint_eq(
	    websocket_header(big, WEBSOCKET_BINARY, 125, NULL), 2);
	ck_assert_uint_eq(
	    websocket_header(big, WEBSOCKET_BINARY, 126, NULL), 4);
	ck_assert_uint_eq(
	    websocket_header(big, WEBSOCKET_BINARY, 65535, NULL), 4);
	ck_assert_uint_eq(
	    websocket_header(big, WEBSOCKET_BINARY, 65536, NULL), 10);
}
END_TEST

static uint32_t dice;

static uint32_t throw(void)
{
	dice = dice * 1664525 + 1013904223;
	return dice >> 8;
}

/* Frames around `text` as a sender may cut it, with pings in between. */
static size_t
wrap(bool is_server, uint8_t *out, const uint8_t *text, size_t len)
{
	size_t at = 0, used = 0, here;
	bool is_first = true;
	uint8_t mask[4];

	do {
		here = throw() % 4 == 0 ? throw() % 70000 : throw() % 300;
		here = here > len - at ? len - at : here;
		for (int i = 0; i < 4; i++)
			mask[i] = (uint8_t) throw();
		if (throw() % 3 == 0) {
			used += websocket_header(out + used, WEBSOCKET_PING, 3,
			    is_server ? mask : NULL);
			websocket_mask(out + used, (const uint8_t *)"abc", 3,
			    is_server ? mask : (const uint8_t *)"\0\0\0\0", 0);
			used += 3;
		}
		out[used] = 0;
		here = at + here == len ? here : here;
		size_t start = used;

		used += websocket_header(out + used,
		    is_first ? WEBSOCKET_BINARY : WEBSOCKET_CONTINUATION, here,
		    is_server ? mask : NULL);
		is_first = at + here == len || throw() % 2 == 0;
		if (!is_first)
			out[start] &= 0x7f;
		websocket_mask(out + used, text + at, here,
		    is_server ? mask : (const uint8_t *)"\0\0\0\0", 0);
		used += here;
		at += here;
	} while (at < len);
	return used;
}

/* The promise: however it is framed and cut, what goes in comes out. */
START_TEST(gives_back_what_was_sent_however_it_is_cut)
{
	static uint8_t text[50000], wire[400000], got[sizeof(text)];
	size_t len, at = 0, here, got_len = 0, payload;
	bool is_server = _i % 2 == 0;

	dice = (uint32_t)_i + 1;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t) throw();
	len = wrap(is_server, wire, text, sizeof(text));
	websocket_init(&frames, is_server, LIMIT);
	while (at < len) {
		here = _i < 4 ? 1 : 1 + throw() % 3000;
		here = here > len - at ? len - at : here;
		memcpy(bytes, wire + at, here);
		payload = websocket_decode(&frames, bytes, here);
		ck_assert_msg(frames.fault == NULL, "%s", frames.fault);
		ck_assert_uint_le(got_len + payload, sizeof(got));
		memcpy(got + got_len, bytes, payload);
		got_len += payload;
		at += here;
	}
	ck_assert_uint_eq(got_len, sizeof(text));
	ck_assert_mem_eq(got, text, sizeof(text));
}
END_TEST

#define ANSWER(more)                                                           \
	"HTTP/1.1 101 Switching Protocols\r\n"                                 \
	"upgrade: WebSocket\r\n"                                               \
	"Connection: keep-alive, Upgrade\r\n" more "\r\n"
#define PROVED "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define MQTT "Sec-WebSocket-Protocol: mqtt\r\n"

static void
judge(const char *answer, const char *words)
{
	char head[WEBSOCKET_HEAD_SIZE], error[STREAM_FAULT_SIZE];
	const char *fault;

	snprintf(head, sizeof(head), "%s", answer);
	fault = websocket_check_answer(head, KEY, error, sizeof(error));
	if (words == NULL)
		ck_assert_msg(fault == NULL, "%s", fault);
	else
		ck_assert_msg(fault != NULL && strstr(fault, words) != NULL,
		    "\"%s\" is not in \"%s\"", words,
		    fault == NULL ? "(right)" : fault);
}

START_TEST(proves_the_answer)
{
	char accept[WEBSOCKET_ACCEPT_SIZE];

	websocket_accept_key(KEY, accept);
	ck_assert_str_eq(accept, ACCEPT);
	judge(ANSWER(PROVED MQTT), NULL);
	judge(ANSWER(MQTT), "Sec-WebSocket-Accept");
	judge(
	    ANSWER(
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n" MQTT),
	    "Sec-WebSocket-Accept");
	judge(ANSWER(PROVED), "subprotocol mqtt");
	judge(ANSWER(PROVED "Sec-WebSocket-Protocol: chat\r\n"),
	    "subprotocol mqtt");
	judge(
	    ANSWER(PROVED MQTT "Sec-WebSocket-Extensions: x\r\n"), "extension");
	judge("HTTP/1.1 404 Not Found\r\n\r\n", "\"404 Not Found\"");
	judge("HTTP/1.0 101 x\r\n\r\n", "not HTTP/1.1");
	judge("\x20\x02", "not HTTP/1.1");
	judge("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n" PROVED MQTT "\r\n",
	    "does not upgrade");
	judge("HTTP/1.1 101 x\r\nConnection: Upgrade\r\n" PROVED MQTT "\r\n",
	    "does not upgrade");
}
END_TEST

/* ---- the layer ------------------------------------------------------- */

static struct loop *loop;
static struct stream_hub *hub;
static struct stream stream;
static int peer = -1;
static uint8_t got[1 << 20];
static size_t got_len;
static unsigned layers;
static int closed;
static char fault_text[STREAM_FAULT_SIZE];

static size_t
on_data(struct stream *s, const uint8_t *data, size_t len)
{
	(void)s;
	memcpy(got + got_len, data, len);
	got_len += len;
	return len;
}

static void
on_closed(struct stream *s, int reason)
{
	closed = reason;
	snprintf(fault_text, sizeof(fault_text), "%s", stream_fault(s));
}

static void
on_layer(struct stream *s, const char *name)
{
	(void)s;
	ck_assert_str_eq(name, "WebSocket");
	layers++;
}

static const struct stream_callbacks callbacks = { on_data, on_closed, NULL,
	on_layer };

static void
turn(void)
{
	ck_assert_int_eq(loop_turn(loop, false), 0);
}

static void
set_up(void)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	loop = loop_new();
	hub = stream_hub_new(loop, 512);
	peer = fds[1];
	got_len = 0;
	layers = 0;
	closed = 1;
	fault_text[0] = '\0';
	ck_assert_int_eq(
	    stream_init(&stream, hub, fds[0], &callbacks, NULL), 0);
	stream_push_layer(
	    &stream, websocket_client("broker.example:8083", "/mqtt", LIMIT));
	stream_write(&stream, "hello", 5);
	turn();
}

static void
tear_down(void)
{
	stream_close(&stream);
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
	stream_hub_free(hub);
	loop_free(loop);
	close(peer);
}

static void
say(const void *data, size_t len)
{
	ck_assert_int_eq(write(peer, data, len), (ssize_t)len);
	turn();
	turn();
}

/* Reads the request, answers it, with `more` behind. */
static void
answer(const void *more, size_t more_len)
{
	char request[1024], accept[WEBSOCKET_ACCEPT_SIZE], text[1024], *key;
	ssize_t len = read(peer, request, sizeof(request) - 1);

	ck_assert_int_gt(len, 0);
	request[len] = '\0';
	ck_assert_ptr_nonnull(strstr(request, "GET /mqtt HTTP/1.1\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(request, "\r\nHost: broker.example:8083\r\n"));
	/* [MQTT-6.0.0-3] */
	ck_assert_ptr_nonnull(
	    strstr(request, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
	key = strstr(request, "Sec-WebSocket-Key: ");
	ck_assert_ptr_nonnull(key);
	key += strlen("Sec-WebSocket-Key: ");
	key[24] = '\0';
	websocket_accept_key(key, accept);
	len = snprintf(text, sizeof(text),
	    ANSWER(MQTT "Sec-WebSocket-Accept: %s\r\n"), accept);
	memcpy(text + len, more, more_len);
	say(text, (size_t)len + more_len);
}

/* What the client has sent, unmasked. */
static size_t
heard(uint8_t *out, size_t size)
{
	static struct websocket at_peer;
	ssize_t len = read(peer, out, size);

	if (len <= 0)
		return 0;
	websocket_init(&at_peer, true, LIMIT);
	frames = at_peer;
	len = (ssize_t)websocket_decode(&frames, out, (size_t)len);
	ck_assert_msg(frames.fault == NULL, "%s", frames.fault);
	return (size_t)len;
}

START_TEST(sends_nothing_before_the_answer_and_all_of_it_then)
{
	uint8_t out[256];

	ck_assert_uint_eq(layers, 0);
	ck_assert_uint_eq(stream_pending(&stream), 5);
	answer("\x82\x02"
	       "hi",
	    4);
	ck_assert_uint_eq(layers, 1);
	ck_assert_uint_eq(got_len, 2);
	ck_assert_mem_eq(got, "hi", 2);
	ck_assert_uint_eq(heard(out, sizeof(out)), 5);
	ck_assert_mem_eq(out, "hello", 5);
	ck_assert_uint_eq(stream_pending(&stream), 0);
}
END_TEST

START_TEST(answers_a_ping)
{
	uint8_t out[256];

	answer("", 0);
	ck_assert_uint_eq(heard(out, sizeof(out)), 5);
	say("\x89\x03"
	    "abc",
	    5);
	/* A pong, masked, with the same payload. */
	ck_assert_int_eq(read(peer, out, sizeof(out)), 9);
	ck_assert_uint_eq(out[0], 0x8a);
	ck_assert_uint_eq(out[1], 0x83);
	websocket_mask(out + 6, out + 6, 3, out + 2, 0);
	ck_assert_mem_eq(out + 6, "abc", 3);
	ck_assert_uint_eq(got_len, 0);
}
END_TEST

/* Who sends no payload, and much of it, holds nobody else up. */
START_TEST(reads_once_a_turn_whatever_comes)
{
	static char pings[4096];
	int left = 0;

	answer("", 0);
	for (size_t i = 0; i < sizeof(pings); i += 2)
		memcpy(pings + i, "\x89", 2); /* an empty one */
	while (write(peer, pings, sizeof(pings)) == (ssize_t)sizeof(pings))
		;
	turn();
	ck_assert_int_eq(ioctl(stream_fd(&stream), FIONREAD, &left), 0);
	ck_assert_int_gt(left, 0);
	for (int i = 0; left != 0 && i < 100; i++) {
		turn();
		ck_assert_int_eq(ioctl(stream_fd(&stream), FIONREAD, &left), 0);
	}
	ck_assert_int_eq(left, 0);
	ck_assert_int_eq(closed, 1); /* as it was */
	say("\x82\x02ok", 4);
	ck_assert_uint_eq(got_len, 2);
}
END_TEST

START_TEST(closes_in_order)
{
	uint8_t out[256];

	answer("", 0);
	heard(out, sizeof(out));
	say("\x82\x01"
	    "z"
	    "\x88\x02\x03\xe9",
	    7);
	turn();
	ck_assert_uint_eq(got_len, 1);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(read(peer, out, sizeof(out)), 8);
	ck_assert_uint_eq(out[0], 0x88);
}
END_TEST

START_TEST(says_good_bye_when_closed_by_us)
{
	uint8_t out[256];

	answer("", 0);
	heard(out, sizeof(out));
	stream_close(&stream);
	ck_assert_int_eq(read(peer, out, sizeof(out)), 8);
	ck_assert_uint_eq(out[0], 0x88);
	websocket_mask(out + 6, out + 6, 2, out + 2, 0);
	ck_assert_uint_eq(out[6] << 8 | out[7], 1000);
}
END_TEST

START_TEST(a_fault_is_told_to_both_sides)
{
	uint8_t out[256];

	answer("", 0);
	heard(out, sizeof(out));
	say("\x82\x01"
	    "y"
	    "\x81\x01"
	    "z",
	    6);
	turn();
	ck_assert_uint_eq(got_len, 1);
	ck_assert_int_eq(closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(fault_text, "WebSocket: a text frame"));
	ck_assert_int_eq(read(peer, out, sizeof(out)), 8);
	websocket_mask(out + 6, out + 6, 2, out + 2, 0);
	ck_assert_uint_eq(out[6] << 8 | out[7], WEBSOCKET_UNSUPPORTED);
}
END_TEST

START_TEST(a_refusal_is_told_in_words)
{
	say("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 45);
	ck_assert_int_eq(closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(fault_text, "\"403 Forbidden\""));
	ck_assert_uint_eq(layers, 0);
}
END_TEST

START_TEST(an_answer_without_end_is_refused)
{
	static char endless[2 * WEBSOCKET_HEAD_SIZE];

	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "HTTP/1.1 101 x\r\n", 16);
	say(endless, sizeof(endless));
	ck_assert_int_eq(closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(fault_text, "has no end"));
}
END_TEST

START_TEST(hanging_up_before_the_answer_is_told)
{
	shutdown(peer, SHUT_WR);
	turn();
	turn();
	ck_assert_int_eq(closed, -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(fault_text, "does this port"));
}
END_TEST

/* Much, to a peer that takes it in small bites. */
START_TEST(carries_much_through_a_full_socket)
{
	static uint8_t text[300000], wire[2048], all[sizeof(text)];
	static struct websocket at_peer;
	size_t all_len = 0, payload;
	const int small = 8192;
	uint8_t out[256];
	ssize_t len;

	answer("", 0);
	heard(out, sizeof(out));
	/* So small that frames are parted. */
	ck_assert_int_eq(setsockopt(stream_fd(&stream), SOL_SOCKET, SO_SNDBUF,
			     &small, sizeof(small)),
	    0);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 2654435761u >> 11);
	ck_assert_int_eq(stream_write(&stream, text, sizeof(text)), 0);
	turn();
	ck_assert_uint_gt(stream_pending(&stream), 0);
	websocket_init(&at_peer, true, LIMIT);
	for (int quiet = 0; quiet < 3;) {
		/* A ping each time: its answer waits for the frame's end. */
		if (quiet == 0 && all_len < sizeof(all) / 2)
			ck_assert_int_eq(write(peer, "\x89\x01p", 3), 3);
		len = read(peer, wire, sizeof(wire));
		quiet = len > 0 ? 0 : quiet + 1;
		if (len > 0) {
			payload = websocket_decode(&at_peer, wire, (size_t)len);
			ck_assert_ptr_null(at_peer.fault);
			ck_assert_uint_le(all_len + payload, sizeof(all));
			memcpy(all + all_len, wire, payload);
			all_len += payload;
		}
		turn();
	}
	ck_assert_uint_eq(all_len, sizeof(text));
	ck_assert_mem_eq(all, text, sizeof(text));
	ck_assert_uint_eq(stream_pending(&stream), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("websocket");
	TCase *tc = tcase_create("frames");

	tcase_add_test(tc, joins_frames_and_parts_of_a_message);
	tcase_add_test(tc, takes_the_mask_off);
	tcase_add_test(tc, answers_the_last_ping_between_parts);
	tcase_add_test(tc, ends_with_a_close_frame);
	tcase_add_loop_test(
	    tc, refuses, 0, (int)(sizeof(faults) / sizeof(faults[0])));
	tcase_add_test(tc, takes_frames_up_to_the_limit);
	tcase_add_loop_test(
	    tc, gives_back_what_was_sent_however_it_is_cut, 0, 32);
	tcase_add_test(tc, proves_the_answer);
	suite_add_tcase(suite, tc);

	tc = tcase_create("layer");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, sends_nothing_before_the_answer_and_all_of_it_then);
	tcase_add_test(tc, answers_a_ping);
	tcase_add_test(tc, reads_once_a_turn_whatever_comes);
	tcase_add_test(tc, closes_in_order);
	tcase_add_test(tc, says_good_bye_when_closed_by_us);
	tcase_add_test(tc, a_fault_is_told_to_both_sides);
	tcase_add_test(tc, a_refusal_is_told_in_words);
	tcase_add_test(tc, an_answer_without_end_is_refused);
	tcase_add_test(tc, hanging_up_before_the_answer_is_told);
	tcase_add_test(tc, carries_much_through_a_full_socket);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
