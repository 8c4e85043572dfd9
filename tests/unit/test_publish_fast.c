/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/publish_fast.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct publish_scratch scratch;
static struct publish_entry fast, slow;

static bool
same(struct slice a, struct slice b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/*
 * What the fast reader takes, the other takes, and both make the same of it.
 * Returns whether the fast one took it.
 */
static bool
agree(const char *text, size_t length, enum publish_shape shape)
{
	struct publish_document document;
	struct publish_error error;
	char *body = malloc(length + 1);
	bool taken;

	/* Of its own size, so that reading beyond it is seen. */
	ck_assert_ptr_nonnull(body);
	memcpy(body, text, length);
	body = realloc(body, length == 0 ? 1 : length);
	taken = publish_fast_read(slice_of(body, length), &fast);
	if (taken) {
		ck_assert_msg(
		    publish_json_open(&scratch, slice_of(body, length), shape,
			&document, &error) == 0,
		    "not JSON: %.*s", (int)length, text);
		ck_assert_msg(
		    publish_json_read(&document, 0, &slow, &error) == 0,
		    "%s: %.*s", error.text, (int)length, text);
		ck_assert_uint_eq(fast.topic_count, slow.topic_count);
		ck_assert(same(fast.topics[0], slow.topics[0]));
		ck_assert(same(fast.message.topic, slow.message.topic));
		ck_assert(same(fast.message.payload, slow.message.payload));
		ck_assert(
		    same(fast.message.properties, slow.message.properties));
		ck_assert_uint_eq(fast.message.qos, slow.message.qos);
		ck_assert_uint_eq(fast.message.retain, slow.message.retain);
		ck_assert_uint_eq(fast.message.expiry_s, slow.message.expiry_s);
		publish_json_close(&document);
	}
	free(body);
	return taken;
}

static bool
takes(const char *text)
{
	return agree(text, strlen(text), PUBLISH_ONE) &&
	    agree(text, strlen(text), PUBLISH_ONE_V5);
}

START_TEST(takes_what_most_clients_send)
{
	ck_assert(takes("{\"topic\":\"a/b\",\"payload\":\"text\",\"qos\":1}"));
	ck_assert(takes("{\"payload\":\"\",\"topic\":\"a\"}"));
	ck_assert(takes("{\"topic\":\"a/b\",\"payload\":\"x\",\"qos\":2,"
			"\"retain\":true,\"clientid\":\"c\"}"));
	ck_assert(takes(" {\n \"topic\" : \"a\" ,\t\"payload\":\"x\" ,\r\n"
			"\"retain\": false,\"encoding\":\"plain\" } \n"));
	ck_assert(
	    takes("{\"topic\":\"\xc3\xa4/\xe2\x82\xac\",\"payload\":"
		  "\"\xf0\x9f\x98\x80\",\"payload_encoding\":\"plain\"}"));
	ck_assert_uint_eq(fast.message.payload.len, 4);
	publish_scratch_fini(&scratch);
}
END_TEST

START_TEST(leaves_all_else_to_the_other)
{
	static const char *const others[] = {
		"",
		"{}",
		"[]",
		"{\"topic\":\"a\"}",
		"{\"payload\":\"a\"}",
		"{\"topic\":\"a\",\"payload\":\"x\"",
		"{\"topic\":\"a\",\"payload\":\"x\",}",
		"{\"topic\":\"a\",\"payload\":\"x\"}}",
		"{\"topic\":\"a\",\"payload\":\"x\"}x",
		"{\"topic\":\"a\",\"payload\":\"x\" \"qos\":1}",
		"{\"topic\":\"\",\"payload\":\"x\"}",
		"{\"topic\":\"a/#\",\"payload\":\"x\"}",
		"{\"topic\":\"a\",\"payload\":\"x\\n\"}",
		"{\"topic\":\"a\",\"payload\":\"x\ny\"}",
		"{\"topic\":\"a\",\"payload\":\"\xff\"}",
		"{\"topic\":\"a\",\"payload\":\"\xed\xa0\x80\"}",
		"{\"topic\":\"a\",\"payload\":1}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"qos\":3}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"qos\":1.0}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"qos\":01}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"qos\":\"1\"}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"retain\":1}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"retain\":truer}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"topic\":\"b\"}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"encoding\":\"base64\"}",
		("{\"topic\":\"a\",\"payload\":\"x\",\"encoding\":\"plain\","
		 "\"payload_encoding\":\"plain\"}"),
		"{\"topics\":\"a,b\",\"payload\":\"x\"}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"properties\":{}}",
		"{\"topic\":\"a\",\"payload\":\"x\",\"more\":1}",
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_assert_msg(!takes(others[i]), "taken: %s", others[i]);
	publish_scratch_fini(&scratch);
}
END_TEST

static uint32_t dice;

static uint32_t
roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (dice >> 8) % sides;
}

/* Pieces that make good bodies, nearly good ones, and nonsense. */
static size_t
build(char *out, size_t size)
{
	static const char *const pieces[] = { "{", "}", ",", ":", " ", "\n",
		"\"topic\"", "\"payload\"", "\"qos\"", "\"retain\"",
		"\"clientid\"", "\"encoding\"", "\"plain\"", "\"a/b\"", "\"x\"",
		"\"\"", "\"a+\"", "\"\xc3\xa4\"", "\"\xc3\"", "\"\\u0041\"",
		"0", "1", "2", "3", "-1", "1.0", "true", "false", "null", "[",
		"]", "\"topics\"", "\"properties\"" };
	static const char *const members[] = { "\"topic\":\"a/b\"",
		"\"payload\":\"text\"", "\"qos\":1", "\"qos\":0",
		"\"retain\":true", "\"retain\":false", "\"clientid\":\"c\"",
		"\"encoding\":\"plain\"", "\"payload\":\"\"",
		"\"topic\":\"\xe2\x82\xac\"" };
	size_t length = 1;
	const char *piece;
	uint32_t count = 1 + roll(6);

	out[0] = '{';
	for (uint32_t i = 0; i < count; i++) {
		piece = roll(12) == 0
		    ? pieces[roll(sizeof(pieces) / sizeof(pieces[0]))]
		    : members[roll(sizeof(members) / sizeof(members[0]))];
		/* Most have what is needed. */
		if (i < 2 && roll(4) != 0)
			piece = members[i];
		ck_assert_uint_lt(length + strlen(piece) + 2, size);
		memcpy(out + length, piece, strlen(piece));
		length += strlen(piece);
		out[length++] = i + 1 < count ? ',' : '}';
	}
	if (roll(4) == 0)
		out[roll((uint32_t)length)] = (char)roll(256);
	if (roll(8) == 0)
		length = roll((uint32_t)length + 1);
	return length;
}

START_TEST(never_differs_from_the_other)
{
	char body[512];
	unsigned taken = 0;

	dice = (uint32_t)_i * 7919 + 1;
	for (int turn = 0; turn < 50000; turn++)
		taken += agree(body, build(body, sizeof(body)),
		    turn % 2 == 0 ? PUBLISH_ONE : PUBLISH_ONE_V5);
	/* It would prove little if hardly any were taken. */
	ck_assert_uint_gt(taken, 2000);
	ck_assert_uint_lt(taken, 30000);
	publish_scratch_fini(&scratch);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("publish_fast");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, takes_what_most_clients_send);
	tcase_add_test(tc, leaves_all_else_to_the_other);
	tcase_add_loop_test(tc, never_differs_from_the_other, 0, 4);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
