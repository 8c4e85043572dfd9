/* SPDX-License-Identifier: Apache-2.0 */

#include "common/mqtt/wire.h"

#include "tests/unit/unit.h"

START_TEST(reads_integers_in_network_order)
{
	struct wire w = wire_read(slice_of("\x01\x02\x03\x04\x05\x06\x07", 7));

	ck_assert_uint_eq(wire_u8(&w), 0x01);
	ck_assert_uint_eq(wire_u16(&w), 0x0203);
	ck_assert_uint_eq(wire_u32(&w), 0x04050607);
	ck_assert(!w.bad && wire_left(&w) == 0);
}
END_TEST

START_TEST(stays_bad_after_reading_past_the_end)
{
	struct wire w = wire_read(slice_of("\x01\x02\x03", 3));

	ck_assert_uint_eq(wire_u32(&w), 0);
	ck_assert(w.bad);
	ck_assert_uint_eq(wire_u8(&w), 0);
	ck_assert_uint_eq(wire_bytes(&w, 1).len, 0);
	ck_assert(w.bad && wire_left(&w) == 0);
}
END_TEST

START_TEST(reads_nothing_from_an_empty_slice)
{
	struct wire w = wire_read(slice_of(NULL, 0));

	ck_assert_uint_eq(wire_rest(&w).len, 0);
	ck_assert(!w.bad);
	ck_assert_uint_eq(wire_varint(&w), 0);
	ck_assert(w.bad);
}
END_TEST

/* [MQTT-1.5.5-1] */
START_TEST(refuses_varints_that_are_padded_long_or_cut)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = { { "\x80\x00", 2 }, { "\xff\x80\x00", 3 }, { "\x80", 1 },
		{ "\xff\xff\xff\xff\x01", 5 }, { "\x80\x80\x80\x80\x01", 5 },
		{ "\xff\xff\xff", 3 } };
	struct wire w;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		w = wire_read(slice_of(bad[i].bytes, bad[i].len));
		wire_varint(&w);
		ck_assert_msg(w.bad, "row %zu", i);
	}
}
END_TEST

START_TEST(refuses_text_that_is_not_utf8)
{
	struct wire w = wire_read(slice_of("\x00\x01\xff", 3));

	ck_assert_uint_eq(wire_utf8(&w).len, 0);
	ck_assert(w.bad);
	w = wire_read(slice_of("\x00\x01\xff", 3));
	ck_assert_uint_eq(wire_binary(&w).len, 1);
	ck_assert(!w.bad);
}
END_TEST

START_TEST(writes_nothing_past_the_end)
{
	uint8_t buffer[5] = { 0, 0, 0, 0, 0xaa };
	struct wire_out w = wire_write(buffer, 4);

	wire_put_u16(&w, 1);
	wire_put_u32(&w, 0xffffffff);
	ck_assert(w.bad);
	wire_put_u8(&w, 0xff);
	ck_assert_uint_eq(buffer[2], 0);
	ck_assert_uint_eq(buffer[4], 0xaa);
}
END_TEST

START_TEST(cannot_express_strings_above_65535_bytes)
{
	static uint8_t buffer[70000], text[65536];
	struct wire_out w = wire_write(buffer, sizeof(buffer));

	wire_put_binary(&w, slice_of(text, 65535));
	ck_assert(!w.bad);
	w = wire_write(buffer, sizeof(buffer));
	wire_put_binary(&w, slice_of(text, 65536));
	ck_assert(w.bad);
	w = wire_write(buffer, sizeof(buffer));
	wire_put_varint(&w, MQTT_MAX_VARINT + 1);
	ck_assert(w.bad);
}
END_TEST

/* The promise: a varint comes back, in exactly the bytes foretold. */
START_TEST(gives_back_every_varint)
{
	uint8_t buffer[4];
	struct wire_out out;
	struct wire in;
	uint32_t value;

	for (uint64_t i = 0; i <= MQTT_MAX_VARINT; i += 1 + i / 64) {
		for (uint32_t near = 0; near < 3; near++) {
			value = (uint32_t)i + near;
			if (value > MQTT_MAX_VARINT)
				break;
			out = wire_write(buffer, wire_varint_size(value));
			wire_put_varint(&out, value);
			ck_assert(!out.bad && out.p == out.end);
			in = wire_read(
			    slice_of(buffer, wire_varint_size(value)));
			ck_assert_uint_eq(wire_varint(&in), value);
			ck_assert(!in.bad && wire_left(&in) == 0);
		}
	}
	ck_assert_uint_eq(wire_varint_size(127), 1);
	ck_assert_uint_eq(wire_varint_size(128), 2);
	ck_assert_uint_eq(wire_varint_size(16383), 2);
	ck_assert_uint_eq(wire_varint_size(16384), 3);
	ck_assert_uint_eq(wire_varint_size(2097151), 3);
	ck_assert_uint_eq(wire_varint_size(2097152), 4);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, reads_integers_in_network_order);
	tcase_add_test(tc, stays_bad_after_reading_past_the_end);
	tcase_add_test(tc, reads_nothing_from_an_empty_slice);
	tcase_add_test(tc, refuses_varints_that_are_padded_long_or_cut);
	tcase_add_test(tc, refuses_text_that_is_not_utf8);
	tcase_add_test(tc, writes_nothing_past_the_end);
	tcase_add_test(tc, cannot_express_strings_above_65535_bytes);
	tcase_add_test(tc, gives_back_every_varint);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
