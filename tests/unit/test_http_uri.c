/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/uri.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/utf8.h"
#include "tests/unit/unit.h"

#define CLIENTS "/api/v4/clients/{clientid}"
#define DEAD "/b/{name}/dead/{id}/retry"

START_TEST(a_path_fits_its_pattern_alone)
{
	ck_assert(uri_matches("/metrics", "/metrics"));
	ck_assert(uri_matches("/metrics", "/metrics/"));
	ck_assert(!uri_matches("/metrics", "/metrics//"));
	ck_assert(!uri_matches("/metrics", "/metric"));
	ck_assert(!uri_matches("/metrics", "/metricsx"));
	ck_assert(!uri_matches("/metrics", ""));
	ck_assert(!uri_matches("/metrics", "/METRICS"));
}
END_TEST

START_TEST(a_name_in_braces_stands_for_one_segment)
{
	ck_assert(uri_matches(CLIENTS, "/api/v4/clients/a"));
	ck_assert(uri_matches(CLIENTS, "/api/v4/clients/a%2Fb"));
	ck_assert(!uri_matches(CLIENTS, "/api/v4/clients/"));
	ck_assert(!uri_matches(CLIENTS, "/api/v4/clients"));
	ck_assert(!uri_matches(CLIENTS, "/api/v4/clients/a/b"));
	ck_assert(!uri_matches(DEAD, "/b/x/dead//retry"));
	ck_assert(!uri_matches(DEAD, "/b/x/dead/7/drop"));
}
END_TEST

START_TEST(segments_are_found_by_name)
{
	struct slice segment = { .data = NULL };

	ck_assert(uri_segment(DEAD, "/b/cloud/dead/17/retry", "id", &segment));
	ck_assert(slice_equal_string(segment, "17"));
	ck_assert(
	    uri_segment(DEAD, "/b/cloud/dead/17/retry", "name", &segment));
	ck_assert(slice_equal_string(segment, "cloud"));
	ck_assert(!uri_segment(DEAD, "/b/cloud/dead/17/retry", "x", &segment));
	ck_assert(!uri_segment(DEAD, "/b/cloud/dead/17", "id", &segment));
	ck_assert(slice_equal_string(segment, "cloud"));
}
END_TEST

static int
decode(const char *text, bool is_query, char out[16])
{
	size_t length = 99;
	int err;

	memset(out, 'z', 16);
	err = uri_decode(slice_of_string(text), is_query, out, 16, &length);
	if (err == 0)
		ck_assert_uint_eq(length, strlen(out));
	else
		ck_assert_uint_eq(length, 99);
	return err;
}

START_TEST(decoding_is_strict)
{
	char out[16];

	ck_assert_int_eq(decode("a%2Fb%2f", false, out), 0);
	ck_assert_str_eq(out, "a/b/");
	ck_assert_int_eq(decode("", false, out), 0);
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(decode("1+1", false, out), 0);
	ck_assert_str_eq(out, "1+1");
	ck_assert_int_eq(decode("1+1%2B", true, out), 0);
	ck_assert_str_eq(out, "1 1+");
	ck_assert_int_eq(decode("%", false, out), -EBADMSG);
	ck_assert_int_eq(decode("%4", false, out), -EBADMSG);
	ck_assert_int_eq(decode("%4g", false, out), -EBADMSG);
	ck_assert_int_eq(decode("%g4", false, out), -EBADMSG);
	ck_assert_int_eq(decode("% 4", false, out), -EBADMSG);
	ck_assert_int_eq(decode("a%00b", false, out), -EBADMSG);
	ck_assert_int_eq(decode("%ff", false, out), -EBADMSG);
	ck_assert_int_eq(decode("%C3%A9", false, out), 0);
	ck_assert_str_eq(out, "\xc3\xa9");
}
END_TEST

START_TEST(decoding_never_writes_beyond_its_room)
{
	char out[16];

	size_t length;

	/* Nor does it read beyond: a slice has no end that can be seen. */
	ck_assert_int_eq(
	    uri_decode(slice_of("a%41", 3), false, out, 16, &length), -EBADMSG);
	ck_assert_int_eq(decode("123456789012345", false, out), 0);
	ck_assert_int_eq(decode("1234567890123456", false, out), -EMSGSIZE);
	ck_assert_int_eq(decode("12345678901234%356", false, out), -EMSGSIZE);
}
END_TEST

START_TEST(a_query_is_taken_pair_by_pair)
{
	struct slice query = slice_of_string("a=1&&b&c=x=y&=v&d=");
	struct slice name, value;
	static const char *const pairs[][2] = { { "a", "1" }, { "b", "" },
		{ "c", "x=y" }, { "", "v" }, { "d", "" } };

	for (size_t i = 0; i < 5; i++) {
		ck_assert(uri_query_next(&query, &name, &value));
		ck_assert(slice_equal_string(name, pairs[i][0]));
		ck_assert(slice_equal_string(value, pairs[i][1]));
	}
	ck_assert(!uri_query_next(&query, &name, &value));
	query = slice_of_string("&&");
	ck_assert(!uri_query_next(&query, &name, &value));
}
END_TEST

/* Any text comes back from its encoding, whichever bytes are escaped. */
START_TEST(what_was_encoded_is_decoded)
{
	char text[64], encoded[3 * 64 + 1], out[64];
	uint32_t dice = (uint32_t)_i + 1;
	size_t length, at, decoded;

	for (int turn = 0; turn < 2000; turn++) {
		length = 0;
		at = 0;
		for (int i = 0; i < 40; i++) {
			dice = dice * 1664525 + 1013904223;
			text[length++] = (char)(1 + (dice >> 24) % 127);
			/* Only what means something must be escaped. */
			if ((dice & 0x10000) != 0 ||
			    strchr("%+&=/", text[length - 1]) != NULL)
				at += (size_t)sprintf(encoded + at, "%%%02X",
				    (unsigned)text[length - 1]);
			else
				encoded[at++] = text[length - 1];
		}
		ck_assert_int_eq(uri_decode(slice_of(encoded, at), turn % 2,
				     out, sizeof(out), &decoded),
		    0);
		ck_assert_uint_eq(decoded, length);
		ck_assert_mem_eq(out, text, length);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_uri");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_path_fits_its_pattern_alone);
	tcase_add_test(tc, a_name_in_braces_stands_for_one_segment);
	tcase_add_test(tc, segments_are_found_by_name);
	tcase_add_test(tc, decoding_is_strict);
	tcase_add_test(tc, decoding_never_writes_beyond_its_room);
	tcase_add_test(tc, a_query_is_taken_pair_by_pair);
	tcase_add_loop_test(tc, what_was_encoded_is_decoded, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
