/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/base64.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

START_TEST(base64_is_strict)
{
	static const char *const bad[] = { "a", "ab", "abc",
		"a===", "====", "ab=c", "QQ=a",
		"Q Q=", "QR==", "QUJ=", "_-8=" };
	uint8_t out[16];
	size_t length;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(base64_decode(slice_of_string(bad[i]), out, 16,
				  &length) == -EINVAL,
		    "%s", bad[i]);
	ck_assert_int_eq(
	    base64_decode(slice_of_string("QUJD"), out, 3, &length), 0);
	ck_assert_uint_eq(length, 3);
	ck_assert_mem_eq(out, "ABC", 3);
	ck_assert_int_eq(
	    base64_decode(slice_of_string("QUJD"), out, 2, &length), -ENOSPC);
	ck_assert_int_eq(base64_decode(slice_of("", 0), out, 0, &length), 0);
	ck_assert_uint_eq(length, 0);
}
END_TEST

/* RFC 4648, section 10. */
START_TEST(encodes_the_examples_of_the_standard)
{
	static const char *const texts[] = { "", "Zg==", "Zm8=", "Zm9v",
		"Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char out[BASE64_LENGTH(6) + 1];

	for (size_t i = 0; i < 7; i++) {
		ck_assert_str_eq(
		    base64_encode(slice_of("foobar", i), out), texts[i]);
		ck_assert_uint_eq(strlen(out), BASE64_LENGTH(i));
	}
}
END_TEST

START_TEST(any_bytes_come_back)
{
	uint8_t bytes[200], back[200];
	char text[BASE64_LENGTH(200) + 1];
	uint32_t dice = (uint32_t)_i;
	size_t length;

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (size_t i = 0; i < len; i++) {
			dice = dice * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(dice >> 24);
		}
		base64_encode(slice_of(bytes, len), text);
		ck_assert_int_eq(base64_decode(slice_of_string(text), back,
				     sizeof(back), &length),
		    0);
		ck_assert_uint_eq(length, len);
		ck_assert_mem_eq(bytes, back, len);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("base64");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, base64_is_strict);
	tcase_add_test(tc, encodes_the_examples_of_the_standard);
	tcase_add_loop_test(tc, any_bytes_come_back, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
