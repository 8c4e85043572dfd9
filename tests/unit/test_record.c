/* SPDX-License-Identifier: Apache-2.0 */

#include "common/msg/record.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"

static const struct record_message sample = {
	.qos = 1,
	.retain = true,
	.expiry_s = 60,
	.topic = { (const uint8_t *)"a/b", 3 },
	.properties = { (const uint8_t *)"\x01\x01", 2 },
	.payload = { (const uint8_t *)"hello", 5 },
};

static size_t
write_sample(uint8_t *body)
{
	record_message_write(&sample, body);
	return record_message_size(&sample);
}

START_TEST(a_message_comes_back_as_it_was_written)
{
	struct record_message got;
	uint8_t body[64];
	size_t length = write_sample(body);

	ck_assert_uint_eq(length, 24 + 3 + 2 + 5);
	ck_assert_int_eq(record_message_parse(body, length, &got), 0);
	ck_assert_uint_eq(got.qos, 1);
	ck_assert(got.retain);
	ck_assert_uint_eq(got.expiry_s, 60);
	ck_assert(slice_equal(got.topic, sample.topic));
	ck_assert(slice_equal(got.properties, sample.properties));
	ck_assert(slice_equal(got.payload, sample.payload));
}
END_TEST

START_TEST(an_empty_message_has_a_header_only)
{
	struct record_message message = { .expiry_s = RECORD_NEVER_EXPIRES };
	struct record_message got = sample;
	uint8_t body[24];

	ck_assert_uint_eq(record_message_size(&message), sizeof(body));
	record_message_write(&message, body);
	ck_assert_int_eq(record_message_parse(body, sizeof(body), &got), 0);
	ck_assert_uint_eq(got.topic.len, 0);
	ck_assert_uint_eq(got.payload.len, 0);
	ck_assert(!got.retain);
	ck_assert_uint_eq(got.expiry_s, RECORD_NEVER_EXPIRES);
}
END_TEST

START_TEST(the_prefix_is_all_before_the_payload)
{
	uint8_t body[64], prefix[64];
	size_t length = write_sample(body);

	ck_assert_uint_eq(
	    record_message_prefix(&sample, prefix, sizeof(prefix)), length - 5);
	ck_assert_mem_eq(prefix, body, length - 5);
}
END_TEST

START_TEST(any_other_length_is_refused_and_changes_nothing)
{
	struct record_message got = { .qos = 7 };
	uint8_t body[64] = { 0 };
	size_t length = write_sample(body);

	for (size_t l = 0; l < sizeof(body); l++) {
		if (l == length)
			continue;
		ck_assert_int_eq(record_message_parse(body, l, &got), -EBADMSG);
		ck_assert_uint_eq(got.qos, 7);
	}
}
END_TEST

START_TEST(lengths_that_wrap_around_are_refused)
{
	struct record_message_header header = {
		.version = RECORD_VERSION,
		.topic_length = 1,
		.properties_length = UINT32_MAX,
		.payload_length = 8,
	};
	struct record_message got;
	uint8_t body[32] = { 0 };

	/* 1 + 0xffffffff + 8 is 8 modulo 2^32: just what there is. */
	memcpy(body, &header, sizeof(header));
	ck_assert_int_eq(
	    record_message_parse(body, sizeof(body), &got), -EBADMSG);
}
END_TEST

START_TEST(wrong_version_qos_and_flags_are_refused)
{
	struct record_message got;
	uint8_t body[64];
	size_t length;

	for (int field = 0; field < 3; field++) {
		length = write_sample(body);
		body[field] = field == 1 ? 3 : 0xfe;
		ck_assert_int_eq(
		    record_message_parse(body, length, &got), -EBADMSG);
	}
}
END_TEST

START_TEST(credentials_come_back_as_they_were_written)
{
	const struct record_auth auth = {
		.kind = RECORD_AUTH_BEARER,
		.user = slice_of_string("admin"),
		.password = slice_of("p\0w", 3),
		.address = slice_of_string("10.0.0.9"),
	};
	struct record_auth got;
	uint8_t body[64] = { 0 };
	size_t length = record_auth_size(&auth);

	record_auth_write(&auth, body);
	ck_assert_int_eq(record_auth_parse(body, length, &got), 0);
	ck_assert(slice_equal(got.user, auth.user));
	ck_assert(slice_equal(got.password, auth.password));
	ck_assert(slice_equal(got.address, auth.address));
	ck_assert_int_eq(got.kind, RECORD_AUTH_BEARER);

	ck_assert_int_eq(record_auth_parse(body, length - 1, &got), -EBADMSG);
	ck_assert_int_eq(record_auth_parse(body, length + 1, &got), -EBADMSG);
	ck_assert_int_eq(record_auth_parse(body, 7, &got), -EBADMSG);
	body[1] = RECORD_AUTH_BEARER + 1;
	ck_assert_int_eq(record_auth_parse(body, length, &got), -EBADMSG);
	body[1] = RECORD_AUTH_BASIC;
	body[0] = RECORD_VERSION + 1;
	ck_assert_int_eq(record_auth_parse(body, length, &got), -EBADMSG);
}
END_TEST

START_TEST(an_answer_has_exactly_its_size)
{
	const struct record_answer answer = { .code = 0x10, .receivers = 42 };
	struct record_auth_result result = {
		.code = 0x86, .detail = RECORD_TOKEN_EXPIRED, .name = "admin"
	};
	struct record_auth_result taken = { .code = 1 };
	struct record_answer got = { .code = 1 };

	ck_assert_int_eq(record_answer_parse(&answer, 15, &got), -EBADMSG);
	ck_assert_uint_eq(got.code, 1);
	ck_assert_int_eq(record_answer_parse(&answer, 16, &got), 0);
	ck_assert_uint_eq(got.code, 0x10);
	ck_assert_uint_eq(got.receivers, 42);

	ck_assert_int_eq(
	    record_auth_result_parse(&result, 63, &taken), -EBADMSG);
	ck_assert_uint_eq(taken.code, 1);
	ck_assert_int_eq(record_auth_result_parse(&result, 64, &taken), 0);
	ck_assert_uint_eq(taken.detail, RECORD_TOKEN_EXPIRED);
	ck_assert_str_eq(taken.name, "admin");
	/* A name without an end is no text. */
	memset(result.name, 'x', sizeof(result.name));
	ck_assert_int_eq(
	    record_auth_result_parse(&result, 64, &taken), -EBADMSG);
}
END_TEST

START_TEST(properties_are_built_in_wire_form)
{
	static const uint8_t expected[] = {
		0x01, 1,                   /* Payload Format Indicator */
		0x03, 0, 2, 't', 'x',      /* Content Type */
		0x08, 0, 1, 'r',           /* Response Topic */
		0x09, 0, 2, 0, 0xff,       /* Correlation Data */
		0x26, 0, 1, 'k', 0, 1, 'v' /* User Property */
	};
	struct record_properties properties;
	uint8_t buffer[sizeof(expected)];

	record_properties_init(&properties, buffer, sizeof(buffer));
	record_properties_payload_format(&properties, 1);
	record_properties_content_type(&properties, slice_of("tx", 2));
	record_properties_response_topic(&properties, slice_of("r", 1));
	record_properties_correlation_data(&properties, slice_of("\0\xff", 2));
	record_properties_user(&properties, slice_of("k", 1), slice_of("v", 1));

	ck_assert(!properties.failed);
	ck_assert_uint_eq(properties.length, sizeof(expected));
	ck_assert_mem_eq(buffer, expected, sizeof(expected));
}
END_TEST

START_TEST(a_full_buffer_sticks)
{
	struct record_properties properties;
	uint8_t buffer[6];

	record_properties_init(&properties, buffer, sizeof(buffer));
	record_properties_content_type(&properties, slice_of("abcd", 4));
	ck_assert(properties.failed);
	record_properties_payload_format(&properties, 1);
	ck_assert(properties.failed);
	ck_assert_uint_eq(properties.length, 0);
}
END_TEST

START_TEST(text_beyond_65535_bytes_fails)
{
	static char text[65536], buffer[80000];
	struct record_properties properties;

	record_properties_init(&properties, buffer, sizeof(buffer));
	record_properties_content_type(&properties, slice_of(text, 65535));
	ck_assert(!properties.failed);

	record_properties_init(&properties, buffer, sizeof(buffer));
	record_properties_content_type(&properties, slice_of(text, 65536));
	ck_assert(properties.failed);

	record_properties_init(&properties, buffer, sizeof(buffer));
	record_properties_user(
	    &properties, slice_of("k", 1), slice_of(text, 65536));
	ck_assert(properties.failed);
}
END_TEST

START_TEST(a_dead_letter_comes_back)
{
	static const char long_why[300] = { [0 ... 299] = 'y' };
	struct record_dead dead = {
		.attempts = 3,
		.sequence = 4,
		.journal = 5,
		.wall_ns = 6,
		.why = slice_of_string("Not authorized"),
		.message = slice_of_string("body"),
	};
	struct record_dead got;
	uint8_t body[512];
	size_t length = record_dead_size(&dead);

	record_dead_write(&dead, body);
	ck_assert_int_eq(record_dead_parse(body, length, &got), 0);
	ck_assert_uint_eq(got.attempts, 3);
	ck_assert_uint_eq(got.sequence, 4);
	ck_assert_uint_eq(got.journal, 5);
	ck_assert_uint_eq(got.wall_ns, 6);
	ck_assert(slice_equal(got.why, dead.why));
	ck_assert(slice_equal(got.message, dead.message));
	ck_assert_int_eq(record_dead_parse(body, 31, &got), -EBADMSG);
	ck_assert_int_eq(record_dead_parse(body, 40, &got), -EBADMSG);
	body[0] = 9;
	ck_assert_int_eq(record_dead_parse(body, length, &got), -EBADMSG);
	/* A reason that is too long is cut. */
	dead.why = slice_of(long_why, sizeof(long_why));
	length = record_dead_size(&dead);
	record_dead_write(&dead, body);
	ck_assert_int_eq(record_dead_parse(body, length, &got), 0);
	ck_assert_uint_eq(got.why.len, RECORD_WHY_MAX);
	ck_assert(slice_equal(got.message, dead.message));
}
END_TEST

START_TEST(correlations_keep_epoch_and_number_apart)
{
	uint64_t c = record_correlation(3, RECORD_CORRELATION_ID_MASK + 5);

	ck_assert_uint_eq(c >> 40, 3);
	ck_assert_uint_eq(c & RECORD_CORRELATION_ID_MASK, 4);
}
END_TEST

/* Whatever the bytes: no crash, and what is accepted lies in the body. */
START_TEST(never_looks_outside_whatever_the_bytes)
{
	struct record_message got;
	struct record_auth auth;
	uint32_t dice = (uint32_t)_i + 1;
	uint8_t body[48];

	for (int turn = 0; turn < 20000; turn++) {
		write_sample(body);
		dice = dice * 1664525 + 1013904223;
		body[dice % 24] = (uint8_t)(dice >> 16);
		if (record_message_parse(body, dice >> 26, &got) == 0) {
			ck_assert_ptr_eq(got.topic.data, body + 24);
			ck_assert_uint_le(
			    (size_t)(got.payload.data - body) + got.payload.len,
			    dice >> 26);
		}
		if (record_auth_parse(body, dice >> 27, &auth) == 0)
			ck_assert_uint_le(record_auth_size(&auth), dice >> 27);
	}
}
END_TEST

/* As parsed, for every length from which the topic is there. */
START_TEST(a_part_of_a_body_shows_what_is_in_it)
{
	const struct record_message message = {
		.qos = 1,
		.retain = true,
		.expiry_s = 7,
		.topic = slice_of_string("a/b"),
		.properties = slice_of("\x01\x01", 2),
		.payload = slice_of_string("hello"),
	};
	const size_t topic_end = sizeof(struct record_message_header) + 3;
	struct record_message part;
	uint8_t body[64];
	size_t size = record_message_size(&message);

	record_message_write(&message, body);
	for (size_t have = 0; have <= size; have++) {
		if (have < topic_end) {
			ck_assert_int_eq(
			    record_message_peek(body, have, size, &part),
			    -EBADMSG);
			continue;
		}
		ck_assert_int_eq(
		    record_message_peek(body, have, size, &part), 0);
		ck_assert(slice_equal(part.topic, message.topic));
		ck_assert_uint_eq(part.properties.len, 2);
		ck_assert_uint_eq(part.payload.len, 5);
		ck_assert_int_eq(
		    part.properties.data != NULL, have >= topic_end + 2);
		ck_assert_int_eq(part.payload.data != NULL, have == size);
	}
	ck_assert_int_eq(
	    record_message_peek(body, size, size - 1, &part), -EBADMSG);
	ck_assert_int_eq(
	    record_message_peek(body, size, size + 1, &part), -EBADMSG);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_message_comes_back_as_it_was_written);
	tcase_add_test(tc, an_empty_message_has_a_header_only);
	tcase_add_test(tc, the_prefix_is_all_before_the_payload);
	tcase_add_test(tc, any_other_length_is_refused_and_changes_nothing);
	tcase_add_test(tc, lengths_that_wrap_around_are_refused);
	tcase_add_test(tc, wrong_version_qos_and_flags_are_refused);
	tcase_add_test(tc, credentials_come_back_as_they_were_written);
	tcase_add_test(tc, an_answer_has_exactly_its_size);
	tcase_add_test(tc, properties_are_built_in_wire_form);
	tcase_add_test(tc, a_full_buffer_sticks);
	tcase_add_test(tc, text_beyond_65535_bytes_fails);
	tcase_add_test(tc, a_dead_letter_comes_back);
	tcase_add_test(tc, correlations_keep_epoch_and_number_apart);
	tcase_add_loop_test(tc, never_looks_outside_whatever_the_bytes, 0, 4);
	tcase_add_test(tc, a_part_of_a_body_shows_what_is_in_it);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
