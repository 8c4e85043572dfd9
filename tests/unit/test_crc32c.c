/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/crc32c.h"

#include <string.h>

#include "tests/unit/unit.h"

typedef uint32_t crc_fn(uint32_t crc, const void *bytes, size_t length);

static crc_fn *const ways[] = { crc32c, crc32c_table };

/* RFC 3720, B.4, and the check value of the catalogues. */
START_TEST(gives_the_known_values)
{
	crc_fn *crc = ways[_i];
	uint8_t bytes[32];

	ck_assert_uint_eq(crc(0, "123456789", 9), UINT32_C(0xe3069283));
	memset(bytes, 0, sizeof(bytes));
	ck_assert_uint_eq(crc(0, bytes, 32), UINT32_C(0x8a9136aa));
	memset(bytes, 0xff, sizeof(bytes));
	ck_assert_uint_eq(crc(0, bytes, 32), UINT32_C(0x62a8ab43));
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	ck_assert_uint_eq(crc(0, bytes, 32), UINT32_C(0x46dd794e));
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = 31 - i;
	ck_assert_uint_eq(crc(0, bytes, 32), UINT32_C(0x113fdb5c));
	ck_assert_uint_eq(crc(0, NULL, 0), 0);
}
END_TEST

START_TEST(goes_on_from_any_place)
{
	crc_fn *crc = ways[_i];
	uint8_t bytes[100];
	uint32_t whole, part;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	whole = crc(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		part = crc(0, bytes, cut);
		ck_assert_uint_eq(
		    crc(part, bytes + cut, sizeof(bytes) - cut), whole);
	}
}
END_TEST

START_TEST(both_ways_agree_on_any_length_and_place)
{
	uint8_t bytes[300];
	uint32_t dice = 7;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		dice = dice * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(dice >> 24);
	}
	for (size_t from = 0; from < 16; from++)
		for (size_t length = 0; length + from <= 300; length++)
			ck_assert_uint_eq(crc32c(5, bytes + from, length),
			    crc32c_table(5, bytes + from, length));
}
END_TEST

START_TEST(leaves_out_where_it_is_kept_itself)
{
	uint8_t bytes[64];
	uint32_t crc;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 11);
	for (size_t at = 0; at + 4 <= sizeof(bytes); at++) {
		memset(bytes + at, 0, 4);
		crc = crc32c(0, bytes, sizeof(bytes));
		memcpy(bytes + at, &crc, sizeof(crc));
		ck_assert_uint_eq(crc32c_around(bytes, sizeof(bytes), at), crc);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("crc32c");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(tc, gives_the_known_values, 0, 2);
	tcase_add_loop_test(tc, goes_on_from_any_place, 0, 2);
	tcase_add_test(tc, both_ways_agree_on_any_length_and_place);
	tcase_add_test(tc, leaves_out_where_it_is_kept_itself);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
