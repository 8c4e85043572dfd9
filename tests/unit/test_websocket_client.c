/* SPDX-License-Identifier: Apache-2.0 */

/* The client's opening handshake, then its layer against this test. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/websocket.h"
#include "tests/unit/layer_scene.h"
#include "tests/unit/unit.h"

#define LIMIT 100000

/* The example of RFC 6455, 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

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

static void
set_up(void)
{
	layer_scene_open(
	    websocket_client("broker.example:8083", "/mqtt", LIMIT));
	stream_write(&scene.stream, "hello", 5);
	layer_scene_turn();
}

/* Reads the request, answers it, with `more` behind. */
static void
answer(const void *more, size_t more_len)
{
	char request[1024], accept[WEBSOCKET_ACCEPT_SIZE], text[1024], *key;
	ssize_t len = read(scene.peer, request, sizeof(request) - 1);

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
	layer_scene_say(text, (size_t)len + more_len);
}

/* What the client has sent, unmasked. */
static size_t
heard(uint8_t *out, size_t size)
{
	struct websocket frames;
	ssize_t len = read(scene.peer, out, size);

	if (len <= 0)
		return 0;
	websocket_init(&frames, true, LIMIT);
	len = (ssize_t)websocket_decode(&frames, out, (size_t)len);
	ck_assert_msg(frames.fault == NULL, "%s", frames.fault);
	return (size_t)len;
}

START_TEST(sends_nothing_before_the_answer_and_all_of_it_then)
{
	uint8_t out[256];

	ck_assert_uint_eq(scene.layers, 0);
	ck_assert_uint_eq(stream_pending(&scene.stream), 5);
	answer("\x82\x02"
	       "hi",
	    4);
	ck_assert_uint_eq(scene.layers, 1);
	ck_assert_uint_eq(scene.got_len, 2);
	ck_assert_mem_eq(scene.got, "hi", 2);
	ck_assert_uint_eq(heard(out, sizeof(out)), 5);
	ck_assert_mem_eq(out, "hello", 5);
	ck_assert_uint_eq(stream_pending(&scene.stream), 0);
}
END_TEST

START_TEST(answers_a_ping)
{
	uint8_t out[256];

	answer("", 0);
	ck_assert_uint_eq(heard(out, sizeof(out)), 5);
	layer_scene_say("\x89\x03"
			"abc",
	    5);
	/* A pong, masked, with the same payload. */
	ck_assert_int_eq(read(scene.peer, out, sizeof(out)), 9);
	ck_assert_uint_eq(out[0], 0x8a);
	ck_assert_uint_eq(out[1], 0x83);
	websocket_mask(out + 6, out + 6, 3, out + 2, 0);
	ck_assert_mem_eq(out + 6, "abc", 3);
	ck_assert_uint_eq(scene.got_len, 0);
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
	while (
	    write(scene.peer, pings, sizeof(pings)) == (ssize_t)sizeof(pings))
		;
	layer_scene_turn();
	ck_assert_int_eq(ioctl(stream_fd(&scene.stream), FIONREAD, &left), 0);
	ck_assert_int_gt(left, 0);
	for (int i = 0; left != 0 && i < 100; i++) {
		layer_scene_turn();
		ck_assert_int_eq(
		    ioctl(stream_fd(&scene.stream), FIONREAD, &left), 0);
	}
	ck_assert_int_eq(left, 0);
	ck_assert_int_eq(scene.closed, 1); /* as it was */
	layer_scene_say("\x82\x02ok", 4);
	ck_assert_uint_eq(scene.got_len, 2);
}
END_TEST

START_TEST(closes_in_order)
{
	uint8_t out[256];

	answer("", 0);
	heard(out, sizeof(out));
	layer_scene_say("\x82\x01"
			"z"
			"\x88\x02\x03\xe9",
	    7);
	layer_scene_turn();
	ck_assert_uint_eq(scene.got_len, 1);
	ck_assert_int_eq(scene.closed, 0);
	ck_assert_int_eq(read(scene.peer, out, sizeof(out)), 8);
	ck_assert_uint_eq(out[0], 0x88);
}
END_TEST

START_TEST(says_good_bye_when_closed_by_us)
{
	uint8_t out[256];

	answer("", 0);
	heard(out, sizeof(out));
	stream_close(&scene.stream);
	ck_assert_int_eq(read(scene.peer, out, sizeof(out)), 8);
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
	layer_scene_say("\x82\x01"
			"y"
			"\x81\x01"
			"z",
	    6);
	layer_scene_turn();
	ck_assert_uint_eq(scene.got_len, 1);
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_ptr_nonnull(
	    strstr(scene.fault_text, "WebSocket: a text frame"));
	ck_assert_int_eq(read(scene.peer, out, sizeof(out)), 8);
	websocket_mask(out + 6, out + 6, 2, out + 2, 0);
	ck_assert_uint_eq(out[6] << 8 | out[7], WEBSOCKET_UNSUPPORTED);
}
END_TEST

START_TEST(a_refusal_is_told_in_words)
{
	layer_scene_say(
	    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 45);
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(scene.fault_text, "\"403 Forbidden\""));
	ck_assert_uint_eq(scene.layers, 0);
}
END_TEST

START_TEST(an_answer_without_end_is_refused)
{
	static char endless[2 * WEBSOCKET_HEAD_SIZE];

	memset(endless, 'x', sizeof(endless));
	memcpy(endless, "HTTP/1.1 101 x\r\n", 16);
	layer_scene_say(endless, sizeof(endless));
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(scene.fault_text, "has no end"));
}
END_TEST

START_TEST(hanging_up_before_the_answer_is_told)
{
	shutdown(scene.peer, SHUT_WR);
	layer_scene_turn();
	layer_scene_turn();
	ck_assert_int_eq(scene.closed, -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(scene.fault_text, "does this port"));
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
	ck_assert_int_eq(setsockopt(stream_fd(&scene.stream), SOL_SOCKET,
			     SO_SNDBUF, &small, sizeof(small)),
	    0);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 2654435761u >> 11);
	ck_assert_int_eq(stream_write(&scene.stream, text, sizeof(text)), 0);
	layer_scene_turn();
	ck_assert_uint_gt(stream_pending(&scene.stream), 0);
	websocket_init(&at_peer, true, LIMIT);
	for (int quiet = 0; quiet < 3;) {
		/* A ping each time: its answer waits for the frame's end. */
		if (quiet == 0 && all_len < sizeof(all) / 2)
			ck_assert_int_eq(write(scene.peer, "\x89\x01p", 3), 3);
		len = read(scene.peer, wire, sizeof(wire));
		quiet = len > 0 ? 0 : quiet + 1;
		if (len > 0) {
			payload = websocket_decode(&at_peer, wire, (size_t)len);
			ck_assert_ptr_null(at_peer.fault);
			ck_assert_uint_le(all_len + payload, sizeof(all));
			memcpy(all + all_len, wire, payload);
			all_len += payload;
		}
		layer_scene_turn();
	}
	ck_assert_uint_eq(all_len, sizeof(text));
	ck_assert_mem_eq(all, text, sizeof(text));
	ck_assert_uint_eq(stream_pending(&scene.stream), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("websocket_client");
	TCase *tc = tcase_create("handshake");

	tcase_add_test(tc, proves_the_answer);
	suite_add_tcase(suite, tc);

	tc = tcase_create("layer");
	tcase_add_checked_fixture(tc, set_up, layer_scene_close);
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
