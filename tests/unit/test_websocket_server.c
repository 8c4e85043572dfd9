/* SPDX-License-Identifier: Apache-2.0 */

/* The server's layer against a client that this test plays. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/websocket.h"
#include "tests/unit/layer_scene.h"
#include "tests/unit/unit.h"

#define REQUEST                                                                \
	"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"              \
	"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                 \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                      \
	"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

/* A mask that leaves the payload readable. */
#define PLAIN "\0\0\0\0"

#define SAY(text) layer_scene_say(text, sizeof(text) - 1)

static const struct websocket_rules rules = { "/mqtt", NULL, 0 };

static void
set_up(void)
{
	layer_scene_open(websocket_server(&rules));
	layer_scene_turn();
}

/* What the server has sent, as text. */
static size_t
heard(char *out, size_t size)
{
	ssize_t len = read(scene.peer, out, size - 1);

	len = len < 0 ? 0 : len;
	out[len] = '\0';
	return (size_t)len;
}

static void
shake_hands(void)
{
	char out[1024];

	SAY(REQUEST);
	heard(out, sizeof(out));
	ck_assert_uint_eq(scene.layers, 1);
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 101 "));
	ck_assert_ptr_nonnull(strstr(out, ACCEPT));
}

START_TEST(shakes_hands_byte_by_byte)
{
	char out[1024];

	for (const char *at = REQUEST; *at != '\0'; at++) {
		ck_assert_uint_eq(scene.layers, 0);
		ck_assert_uint_eq(heard(out, sizeof(out)), 0);
		layer_scene_say(at, 1);
	}
	ck_assert_uint_eq(scene.layers, 1);
	ck_assert_uint_gt(heard(out, sizeof(out)), 0);
	ck_assert_ptr_nonnull(strstr(out, ACCEPT));
	SAY("\x82\x82" PLAIN "hi");
	ck_assert_uint_eq(scene.got_len, 2);
}
END_TEST

/* A client may begin at once: its first frame comes with the request. */
START_TEST(takes_frames_behind_the_request)
{
	char out[1024];

	SAY(REQUEST "\x02\x82" PLAIN "ab"
		    "\x80\x81" PLAIN "c");
	ck_assert_uint_eq(scene.got_len, 3);
	ck_assert_mem_eq(scene.got, "abc", 3);
	heard(out, sizeof(out));
	ck_assert_ptr_nonnull(strstr(out, ACCEPT));
}
END_TEST

START_TEST(holds_what_is_written_until_hands_are_shaken)
{
	char out[1024];
	size_t len;

	stream_write(&scene.stream, "\xd0\0", 2);
	layer_scene_turn();
	ck_assert_uint_eq(heard(out, sizeof(out)), 0);
	SAY(REQUEST);
	layer_scene_turn();
	len = heard(out, sizeof(out));
	ck_assert_ptr_nonnull(memmem(out, len, "\r\n\r\n\x82\x02\xd0\0", 8));
}
END_TEST

/* A PUBLISH of `size` bytes, of which the header has 3 or 4. */
static void
write_packet(size_t size)
{
	static uint8_t packet[40000];
	size_t at = 1, left = size - (size < 16384 + 3 ? 3 : 4);

	memset(packet, (int)('a' + size % 26), size);
	packet[0] = 0x30;
	/* All three or four bytes, whatever their value: padded. */
	for (unsigned i = size < 16384 + 3 ? 2 : 3; i > 0; i--) {
		packet[at++] = (uint8_t)((left & 0x7f) | (i > 1 ? 0x80 : 0));
		left >>= 7;
	}
	ck_assert_int_eq(stream_write(&scene.stream, packet, size), 0);
}

/* [MQTT-6.0.0-1]; and one packet, for clients that rely on it. */
START_TEST(a_packet_is_a_binary_frame)
{
	static char out[4 * STREAM_CHUNK_SIZE];
	const size_t large = 2 * STREAM_CHUNK_SIZE + 5;

	shake_hands();
	stream_write(&scene.stream, "\x40\2\0\1", 4);
	stream_write(&scene.stream, "\xd0\0", 2);
	write_packet(300);
	layer_scene_turn();
	ck_assert_uint_eq(heard(out, sizeof(out)), 6 + 4 + 304);
	ck_assert_mem_eq(
	    out, "\x82\4\x40\2\0\1\x82\2\xd0\0\x82\x7e\1\x2c\x30", 15);
	/* Also one that lies in several chunks, with others around it. */
	stream_write(&scene.stream, "\xd0\0", 2);
	write_packet(large);
	stream_write(&scene.stream, "\xd0\0", 2);
	layer_scene_turn();
	ck_assert_uint_eq(heard(out, sizeof(out)), 4 + 4 + large + 4);
	ck_assert_mem_eq(out, "\x82\2\xd0\0\x82\x7e", 6);
	ck_assert_uint_eq((uint8_t)out[6], large >> 8);
	ck_assert_uint_eq((uint8_t)out[7], large & 0xff);
	ck_assert_int_eq(out[8], 0x30);
	ck_assert_mem_eq(out + 8 + large, "\x82\2\xd0\0", 4);
}
END_TEST

/* Bytes that are no packet are sent all the same. */
START_TEST(what_is_no_packet_is_a_frame_as_it_comes)
{
	char out[64];

	shake_hands();
	stream_write(&scene.stream, "x", 1);
	layer_scene_turn();
	stream_write(&scene.stream, "\x7f\xff", 2);
	layer_scene_turn();
	ck_assert_uint_eq(heard(out, sizeof(out)), 7);
	ck_assert_mem_eq(out, "\x82\1x\x82\2\x7f\xff", 7);
}
END_TEST

START_TEST(answers_a_ping)
{
	char out[256];

	shake_hands();
	SAY("\x89\x83" PLAIN "abc");
	ck_assert_uint_eq(heard(out, sizeof(out)), 5);
	ck_assert_mem_eq(out,
	    "\x8a\x03"
	    "abc",
	    5);
	ck_assert_uint_eq(scene.got_len, 0);
	ck_assert_int_eq(scene.closed, 1);
}
END_TEST

START_TEST(closes_in_order)
{
	char out[256];

	shake_hands();
	SAY("\x82\x81" PLAIN "z"
	    "\x88\x82" PLAIN "\x03\xe9");
	layer_scene_turn();
	ck_assert_uint_eq(scene.got_len, 1);
	ck_assert_int_eq(scene.closed, 0);
	ck_assert_uint_eq(heard(out, sizeof(out)), 4);
	ck_assert_mem_eq(out, "\x88\x02\x03\xe8", 4);
}
END_TEST

START_TEST(says_good_bye_when_closed_by_us)
{
	char out[256];

	shake_hands();
	stream_write(&scene.stream, "\xe0\1\x8b", 3);
	stream_finish(&scene.stream);
	layer_scene_turn();
	ck_assert_int_eq(scene.closed, 0);
	ck_assert_uint_eq(heard(out, sizeof(out)), 9);
	ck_assert_mem_eq(out,
	    "\x82\x03\xe0\1\x8b"
	    "\x88\x02\x03\xe8",
	    9);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
	unsigned status;
	const char *words;
} faults[] = {
#define FAULT(bytes, status, words)                                            \
	{                                                                      \
		bytes, sizeof(bytes) - 1, status, words                        \
	}
	FAULT("\x81\x81" PLAIN "z", 1003, "text frame"),
	FAULT("\x82\x01z", 1002, "not masked"),
	FAULT("\xc2\x81" PLAIN "z", 1002, "reserved bit"),
	FAULT("\x80\x81" PLAIN "z", 1002, "never began"),
	FAULT(
	    "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" PLAIN, 1002, "negative"),
};

START_TEST(a_fault_is_told_to_both_sides)
{
	char out[256];

	shake_hands();
	SAY("\x82\x81" PLAIN "y");
	layer_scene_say(faults[_i].bytes, faults[_i].len);
	layer_scene_turn();
	ck_assert_mem_eq(scene.got, "y", 1);
	ck_assert_uint_eq(scene.got_len, 1);
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_msg(strstr(scene.fault_text, faults[_i].words) != NULL,
	    "\"%s\" is not in \"%s\"", faults[_i].words, scene.fault_text);
	ck_assert_uint_eq(heard(out, sizeof(out)), 4);
	ck_assert_mem_eq(out, "\x88\x02", 2);
	ck_assert_uint_eq(
	    (uint8_t)out[2] << 8 | (uint8_t)out[3], faults[_i].status);
}
END_TEST

/* However long a frame says to be, nothing is allocated for it. */
START_TEST(a_frame_may_be_longer_than_memory)
{
	shake_hands();
	SAY("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" PLAIN "abc");
	ck_assert_uint_eq(scene.got_len, 3);
	SAY("def");
	ck_assert_uint_eq(scene.got_len, 6);
	ck_assert_mem_eq(scene.got, "abcdef", 6);
	ck_assert_int_eq(scene.closed, 1);
}
END_TEST

START_TEST(a_refusal_is_an_http_answer)
{
	char out[1024];

	SAY("POST /mqtt HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	layer_scene_turn();
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_uint_eq(scene.layers, 0);
	ck_assert_ptr_nonnull(strstr(scene.fault_text, "answered 400"));
	heard(out, sizeof(out));
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 400 Bad Request\r\n"));
}
END_TEST

START_TEST(an_mqtt_client_is_told_that_it_is_wrong_here)
{
	char out[1024];

	SAY("\x10\x0e\0\4MQTT\4\2\0\x3c\0\2id");
	layer_scene_turn();
	ck_assert_int_eq(scene.closed, -EPROTO);
	ck_assert_ptr_nonnull(strstr(scene.fault_text, "plain MQTT"));
	heard(out, sizeof(out));
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 400 Bad Request\r\n"));
}
END_TEST

START_TEST(hanging_up_in_the_request_is_told_and_before_it_is_not)
{
	if (_i == 1)
		SAY("GET /mq");
	shutdown(scene.peer, SHUT_WR);
	layer_scene_turn();
	layer_scene_turn();
	ck_assert_int_eq(scene.closed, _i == 1 ? -ECONNRESET : 0);
	if (_i == 1)
		ck_assert_ptr_nonnull(strstr(
		    scene.fault_text, "before the request was complete"));
	else
		ck_assert_str_eq(scene.fault_text, "");
}
END_TEST

/*
 * Much, to a peer that takes it in small bites and pings all the time: no pong
 * lands within a frame, and the last one is answered in the end.
 */
START_TEST(carries_much_through_a_full_socket)
{
	static uint8_t wire[2048], all[400000];
	static struct websocket at_peer;
	size_t all_len = 0, text_len = 0, payload, size;
	const int small = 8192;
	unsigned pongs = 0;
	ssize_t len;

	shake_hands();
	ck_assert_int_eq(setsockopt(stream_fd(&scene.stream), SOL_SOCKET,
			     SO_SNDBUF, &small, sizeof(small)),
	    0);
	/* Most small, some larger than what is copied. */
	for (uint32_t dice = 1; text_len < 300000; text_len += size) {
		dice = dice * 1664525 + 1013904223;
		size = dice % 5 == 0 ? 3 + (dice >> 8) % 30000
				     : 3 + (dice >> 8) % 700;
		write_packet(size);
	}
	layer_scene_turn();
	ck_assert_uint_gt(stream_pending(&scene.stream), 0);
	websocket_init(&at_peer, false, 30003);
	for (int quiet = 0; quiet < 3;) {
		if (quiet == 0 && all_len < text_len - 5000)
			ck_assert_int_eq(
			    write(scene.peer, "\x89\x81" PLAIN "p", 7), 7);
		len = read(scene.peer, wire, sizeof(wire));
		quiet = len > 0 ? 0 : quiet + 1;
		if (len > 0) {
			payload = websocket_decode(&at_peer, wire, (size_t)len);
			ck_assert_msg(
			    at_peer.fault == NULL, "%s", at_peer.fault);
			ck_assert_uint_le(all_len + payload, sizeof(all));
			memcpy(all + all_len, wire, payload);
			all_len += payload;
			/* [5.5.3] in one read, the last of several */
			pongs += at_peer.opcode == WEBSOCKET_PONG;
		}
		layer_scene_turn();
	}
	ck_assert_uint_eq(all_len, text_len);
	all_len = 0;
	for (uint32_t dice = 1; all_len < text_len; all_len += size) {
		dice = dice * 1664525 + 1013904223;
		size = dice % 5 == 0 ? 3 + (dice >> 8) % 30000
				     : 3 + (dice >> 8) % 700;
		ck_assert_uint_eq(all[all_len], 0x30);
		ck_assert_uint_eq(
		    all[all_len + size - 1], size == 3 ? 0 : 'a' + size % 26);
	}
	ck_assert_uint_gt(pongs, 0);
	ck_assert_uint_eq(stream_pending(&scene.stream), 0);
	SAY("\x82\x81" PLAIN "z");
	ck_assert_mem_eq(scene.got, "z", 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("websocket_server");
	TCase *tc = tcase_create("layer");

	tcase_add_checked_fixture(tc, set_up, layer_scene_close);
	tcase_add_test(tc, shakes_hands_byte_by_byte);
	tcase_add_test(tc, takes_frames_behind_the_request);
	tcase_add_test(tc, holds_what_is_written_until_hands_are_shaken);
	tcase_add_test(tc, a_packet_is_a_binary_frame);
	tcase_add_test(tc, what_is_no_packet_is_a_frame_as_it_comes);
	tcase_add_test(tc, answers_a_ping);
	tcase_add_test(tc, closes_in_order);
	tcase_add_test(tc, says_good_bye_when_closed_by_us);
	tcase_add_loop_test(tc, a_fault_is_told_to_both_sides, 0,
	    (int)(sizeof(faults) / sizeof(faults[0])));
	tcase_add_test(tc, a_frame_may_be_longer_than_memory);
	tcase_add_test(tc, a_refusal_is_an_http_answer);
	tcase_add_test(tc, an_mqtt_client_is_told_that_it_is_wrong_here);
	tcase_add_loop_test(
	    tc, hanging_up_in_the_request_is_told_and_before_it_is_not, 0, 2);
	tcase_add_test(tc, carries_much_through_a_full_socket);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
