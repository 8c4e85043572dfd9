/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/utf8.h"

#include <string.h>

#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(accepts_well_formed_text_of_every_length)
{
	ck_assert(utf8_is_valid(slice_of_string("")));
	ck_assert(utf8_is_valid(slice_of_string("plain ascii, more than 8")));
	ck_assert(utf8_is_valid(slice_of_string("\xc2\x80")));
	ck_assert(utf8_is_valid(slice_of_string("\xdf\xbf")));
	ck_assert(utf8_is_valid(slice_of_string("\xe0\xa0\x80")));
	ck_assert(utf8_is_valid(slice_of_string("\xed\x9f\xbf")));
	ck_assert(utf8_is_valid(slice_of_string("\xee\x80\x80")));
	ck_assert(utf8_is_valid(slice_of_string("\xef\xbb\xbf")));
	ck_assert(utf8_is_valid(slice_of_string("\xf0\x90\x80\x80")));
	ck_assert(utf8_is_valid(slice_of_string("\xf4\x8f\xbf\xbf")));
}
END_TEST

/* [MQTT-1.5.4-1] */
START_TEST(refuses_ill_formed_text)
{
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
		"\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf",
		"\xe0\xa0", "\xe1\x80\x7f", "\xe1\x80\xc0", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
		"\xf1\x80\x80\xc0", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff", "12345678\xff", "1234567\xc3" };

	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(
		    !utf8_is_valid(slice_of_string(bad[i])), "row %zu", i);
}
END_TEST

/* The bytes after the end would complete the character. */
START_TEST(refuses_a_character_cut_by_the_end)
{
	ck_assert(!utf8_is_valid(slice_of("\xc3\xa9", 1)));
	ck_assert(!utf8_is_valid(slice_of("\xe1\x80\x80", 2)));
	ck_assert(!utf8_is_valid(slice_of("\xf1\x80\x80\x80", 3)));
}
END_TEST

/* [MQTT-1.5.4-2] */
START_TEST(refuses_the_null_character_anywhere)
{
	char text[24];

	for (size_t i = 0; i < sizeof(text); i++) {
		memset(text, 'a', sizeof(text));
		text[i] = '\0';
		ck_assert(!utf8_is_valid(slice_of(text, sizeof(text))));
	}
}
END_TEST

START_TEST(measures_the_first_character)
{
	ck_assert_uint_eq(utf8_sequence(slice_of_string("")), 0);
	ck_assert_uint_eq(utf8_sequence(slice_of("\0a", 2)), 0);
	ck_assert_uint_eq(utf8_sequence(slice_of_string("ab")), 1);
	ck_assert_uint_eq(utf8_sequence(slice_of_string("\x7f")), 1);
	ck_assert_uint_eq(utf8_sequence(slice_of_string("\xc3\xa9z")), 2);
	ck_assert_uint_eq(utf8_sequence(slice_of_string("\xe2\x82\xac!")), 3);
	ck_assert_uint_eq(
	    utf8_sequence(slice_of_string("\xf0\x9f\x98\x80")), 4);
	ck_assert_uint_eq(utf8_sequence(slice_of_string("\x80z")), 0);
	ck_assert_uint_eq(utf8_sequence(slice_of("\xe2\x82\xac", 2)), 0);
}
END_TEST

/* The shortest form of `code`; returns its length. */
static size_t
write_point(uint32_t code, char *out)
{
	static const uint8_t firsts[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t length = code < 0x80 ? 1
	    : code < 0x800          ? 2
	    : code < 0x10000        ? 3
				    : 4;

	for (size_t i = length; i-- > 1; code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(firsts[length] | code);
	return length;
}

/* The promise: every code point but U+0000 and the surrogates. */
START_TEST(accepts_every_code_point)
{
	struct slice text;
	char bytes[4];
	bool allowed;

	for (uint32_t code = 0; code <= 0x110000; code++) {
		text = slice_of(bytes, write_point(code, bytes));
		allowed = code != 0 && (code < 0xd800 || code > 0xdfff) &&
		    code <= 0x10ffff;
		if (utf8_sequence(text) != (allowed ? text.len : 0) ||
		    utf8_is_valid(text) != allowed)
			ck_abort_msg("U+%04X", code);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("utf8");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, accepts_well_formed_text_of_every_length);
	tcase_add_test(tc, refuses_ill_formed_text);
	tcase_add_test(tc, refuses_a_character_cut_by_the_end);
	tcase_add_test(tc, refuses_the_null_character_anywhere);
	tcase_add_test(tc, measures_the_first_character);
	tcase_add_test(tc, accepts_every_code_point);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
