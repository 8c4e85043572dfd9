/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/replay_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct replay_file file;
static char *told; /* of the mistakes */
static size_t told_length;

static int
read_text(const char *text, size_t length)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, length, "r");
	FILE *errors = open_memstream(&told, &told_length);
	int err;

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(errors);
	err = replay_file_read(in, "dump", errors, &file);
	fclose(in);
	fclose(errors);
	return err;
}

static int
read_string(const char *text)
{
	return read_text(text, strlen(text));
}

static void
teardown(void)
{
	replay_file_free(&file);
	free(told);
	told = NULL;
}

START_TEST(reads_messages_in_their_order)
{
	ck_assert_int_eq(
	    read_string("{\"kind\":\"message\",\"id\":\"0.1.7\",\"topic\":"
			"\"a/b\",\"payload\":\"x\",\"retain\":true,"
			"\"released\":true,\"expiry_s\":9}\n"
			"\n"
			"{\"kind\":\"receipt\"}\n"
			"{\"kind\":\"message\",\"topic\":\"c\","
			"\"payload_base64\":\"AP8=\"}\n"
			"{\"ring\":\"r\",\"diagnosis\":\"empty\"}"),
	    0);
	ck_assert_uint_eq(file.count, 2);
	ck_assert_uint_eq(file.passed_over, 3);
	ck_assert_uint_eq(file.released, 1);
	ck_assert_uint_eq(file.bytes, 3);
	ck_assert_uint_eq(file.message[0].line, 1);
	ck_assert_str_eq(file.message[0].id, "0.1.7");
	ck_assert(slice_equal_string(file.message[0].topic, "a/b"));
	ck_assert(slice_equal_string(file.message[0].payload, "x"));
	ck_assert(file.message[0].retain && file.message[0].has_expiry);
	ck_assert_uint_eq(file.message[0].expiry_s, 9);
	ck_assert_uint_eq(file.message[1].line, 4);
	ck_assert(!file.message[1].retain && !file.message[1].has_expiry);
	ck_assert_uint_eq(file.message[1].payload.len, 2);
	ck_assert_mem_eq(file.message[1].payload.data, "\0\xff", 2);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(keeps_properties_that_are_sound)
{
	/* 0x03 content type "t"; 0x26 user property "a" = "b". */
	ck_assert_int_eq(
	    read_string("{\"kind\":\"message\",\"topic\":\"a\",\"payload\":"
			"\"\",\"properties_base64\":\"AwABdCYAAWEAAWI=\"}"),
	    0);
	ck_assert_uint_eq(file.message[0].properties.len, 11);
	ck_assert_int_eq(file.message[0].properties.data[0], 3);
}
END_TEST

static const struct {
	const char *line, *fault;
} mistakes[] = {
	{ "x", "no JSON object" },
	{ "[]", "no JSON object" },
	{ "{}", "no \"kind\"" },
	{ "{\"kind\":\"message\"", "no JSON object" },
	{ "{\"kind\":\"message\",\"payload\":\"\"}", "topic is missing" },
	{ "{\"kind\":\"message\",\"topic\":\"a/#\",\"payload\":\"\"}",
	    "topic is missing, or none" },
	{ "{\"kind\":\"message\",\"topic\":\"a\"}",
	    "dump with --json --payload" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload_base64\":\"A\"}",
	    "payload_base64 is not base64" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"properties_base64\":\"!\"}",
	    "properties_base64 is not base64" },
	/* A cut property, one of another packet, a topic alias. */
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"properties_base64\":\"AwAF\"}",
	    "properties of MQTT 5.0" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"properties_base64\":\"IQAB\"}",
	    "properties of MQTT 5.0" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"properties_base64\":\"IwAB\"}",
	    "properties of MQTT 5.0" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"expiry_s\":-1}",
	    "expiry_s" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"payload\":\"\","
	  "\"expiry_s\":\"1\"}",
	    "expiry_s" },
	{ "{\"kind\":\"message\",\"topic\":\"a\",\"topic\":\"b\","
	  "\"payload\":\"\"}",
	    "no JSON object" },
};

START_TEST(tells_each_mistake_with_its_line)
{
	char text[512];

	snprintf(text, sizeof(text), "\n{\"kind\":\"receipt\"}\n%s\n",
	    mistakes[_i].line);
	ck_assert_int_eq(read_string(text), -EINVAL);
	ck_assert_msg(strncmp(told, "dump:3: ", 8) == 0 &&
		strstr(told, mistakes[_i].fault) != NULL,
	    "\"%s\" gives \"%s\"", mistakes[_i].line, told);
	ck_assert_ptr_null(file.message);
}
END_TEST

START_TEST(does_not_flood_with_mistakes)
{
	char text[4096] = "";
	unsigned lines = 0;

	for (unsigned i = 0; i < 50; i++)
		strcat(text, "x\n");
	ck_assert_int_eq(read_string(text), -EINVAL);
	for (const char *at = told; *at != '\0'; at++)
		lines += *at == '\n';
	ck_assert_uint_eq(lines, 21);
	ck_assert_ptr_nonnull(strstr(told, "30 more lines"));
}
END_TEST

START_TEST(an_empty_file_has_no_messages)
{
	ck_assert_int_eq(read_string("\n"), 0);
	ck_assert_uint_eq(file.count, 0);
}
END_TEST

/* The promise: any damage to a good line is told or harmless. */
START_TEST(survives_any_damage)
{
	static const char good[] =
	    "{\"kind\":\"message\",\"id\":\"0.1.7\",\"topic\":\"a/b\","
	    "\"payload_base64\":\"AP8=\",\"properties_base64\":"
	    "\"AwABdCYAAWEAAWI=\",\"retain\":true,\"expiry_s\":9}\n";
	uint32_t dice = (uint32_t)_i + 1;
	char text[sizeof(good)];

	for (unsigned turn = 0; turn < 2000; turn++) {
		memcpy(text, good, sizeof(good));
		for (unsigned i = 0; i <= turn % 3; i++) {
			dice = dice * 1664525 + 1013904223;
			text[(dice >> 8) % (sizeof(good) - 1)] =
			    (char)(dice >> 24);
		}
		if (read_text(text, sizeof(good) - 1) == 0)
			for (size_t i = 0; i < file.count; i++)
				ck_assert_uint_ne(file.message[i].topic.len, 0);
		teardown();
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("replay_file");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, reads_messages_in_their_order);
	tcase_add_test(tc, keeps_properties_that_are_sound);
	tcase_add_loop_test(tc, tells_each_mistake_with_its_line, 0,
	    sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(tc, does_not_flood_with_mistakes);
	tcase_add_test(tc, an_empty_file_has_no_messages);
	tcase_add_loop_test(tc, survives_any_damage, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
