/* SPDX-License-Identifier: Apache-2.0 */

/* Frames by themselves. */

#include "common/net/websocket.h"

#include <string.h>

#include "tests/unit/unit.h"

#define LIMIT 100000

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
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
