/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/escape.h"

#include "common/base/utf8.h"
#include "tests/unit/unit.h"

static const char *
escaped(const char *text, size_t most)
{
	static char out[ESCAPE_SIZE(64)];

	ck_assert_uint_le(most, 64);
	return escape_bytes(slice_of_string(text), most, out);
}

START_TEST(printable_text_stays)
{
	ck_assert_str_eq(escaped("a b/c\"d~", 64), "a b/c\"d~");
	ck_assert_str_eq(escaped("Gr\u00fc\u00dfe \u65e5\u672c \U0001f600", 64),
	    "Gr\u00fc\u00dfe \u65e5\u672c \U0001f600");
	ck_assert_str_eq(escaped("", 64), "");
}
END_TEST

START_TEST(what_steers_a_terminal_does_not)
{
	ck_assert_str_eq(
	    escaped("\033[2J\r\n\t\x7f", 64), "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
	/* C1 controls: U+009B is CSI. */
	ck_assert_str_eq(escaped("\xc2\x9b"
				 "31m",
			     64),
	    "\\xc2\\x9b31m");
	ck_assert_str_eq(escaped("\xff\xfe", 64), "\\xff\\xfe");
	ck_assert_str_eq(escaped("a\\b", 64), "a\\\\b");
}
END_TEST

START_TEST(what_hides_or_turns_text_does_not)
{
	static const char *const bad[] = { "\u202e", "\u2066", "\u200b",
		"\ufeff", "\u2028", "\u00ad", "\U000e0041", "\ue000",
		"\ufffd" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(escaped(bad[i], 64)[0], '\\');
}
END_TEST

START_TEST(what_is_cut_is_marked)
{
	ck_assert_str_eq(escaped("abcdef", 6), "abcdef");
	ck_assert_str_eq(escaped("abcdef", 5), "abcde\u2026");
	ck_assert_str_eq(escaped("abc\u00fc", 4), "abc\\xc3\u2026");
}
END_TEST

/* The promise: any bytes give well-formed text without a control. */
START_TEST(any_bytes_become_harmless)
{
	uint32_t dice = (uint32_t)_i + 1;
	uint8_t bytes[64];
	char out[ESCAPE_SIZE(64)];

	for (unsigned turn = 0; turn < 2000; turn++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			dice = dice * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(dice >> 24);
		}
		escape_bytes(slice_of(bytes, sizeof(bytes)), turn % 65, out);
		ck_assert_uint_lt(strlen(out), sizeof(out));
		ck_assert(utf8_is_valid(slice_of_string(out)));
		for (const char *at = out; *at != '\0'; at++)
			ck_assert((unsigned char)*at >= 0x20 && *at != 0x7f);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("escape");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, printable_text_stays);
	tcase_add_test(tc, what_steers_a_terminal_does_not);
	tcase_add_test(tc, what_hides_or_turns_text_does_not);
	tcase_add_test(tc, what_is_cut_is_marked);
	tcase_add_loop_test(tc, any_bytes_become_harmless, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
