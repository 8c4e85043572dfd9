/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/publish_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct publish_scratch scratch;
static struct publish_document document;
static struct publish_entry entry;
static struct publish_error error;

/* Open and read the first message: 0, or the error's code. */
static unsigned
read_text(const char *text, size_t length, enum publish_shape shape)
{
	int err;

	err = publish_json_open(
	    &scratch, slice_of(text, length), shape, &document, &error);
	if (err != 0) {
		ck_assert_int_eq(err, -EBADMSG);
		return error.code;
	}
	err = publish_json_read(&document, 0, &entry, &error);
	if (err == 0)
		return 0;
	publish_json_close(&document);
	return error.code;
}

static unsigned
read_one(const char *text)
{
	return read_text(text, strlen(text), PUBLISH_ONE);
}

static void
done(void)
{
	publish_json_close(&document);
	publish_scratch_fini(&scratch);
}

START_TEST(reads_all_fields)
{
	ck_assert_uint_eq(
	    read_one("{\"topic\":\"a/b\",\"payload\":\"hi\",\"qos\":2,"
		     "\"retain\":true,\"clientid\":\"c\",\"more\":[1]}"),
	    0);
	ck_assert(slice_equal_string(entry.message.topic, "a/b"));
	ck_assert(slice_equal_string(entry.message.payload, "hi"));
	ck_assert_uint_eq(entry.message.qos, 2);
	ck_assert(entry.message.retain);
	ck_assert_uint_eq(entry.message.expiry_s, RECORD_NEVER_EXPIRES);
	ck_assert_uint_eq(entry.topic_count, 1);
	done();
}
END_TEST

START_TEST(has_the_defaults_of_the_other_brokers)
{
	ck_assert_uint_eq(read_one("{\"topic\":\"a\",\"payload\":\"\"}"), 0);
	ck_assert_uint_eq(entry.message.qos, 0);
	ck_assert(!entry.message.retain);
	ck_assert_uint_eq(entry.message.payload.len, 0);
	ck_assert_uint_eq(entry.message.properties.len, 0);
	done();
}
END_TEST

START_TEST(reads_several_topics_in_both_spellings)
{
	ck_assert_uint_eq(
	    read_one("{\"topics\":\"a,b/c,d\",\"payload\":\"\"}"), 0);
	ck_assert_uint_eq(entry.topic_count, 3);
	ck_assert(slice_equal_string(entry.topics[1], "b/c"));
	publish_json_close(&document);
	ck_assert_uint_eq(
	    read_one("{\"topics\":[\"a,b\",\"c\"],\"payload\":\"\"}"), 0);
	ck_assert_uint_eq(entry.topic_count, 2);
	ck_assert(slice_equal_string(entry.topics[0], "a,b"));
	done();
}
END_TEST

START_TEST(decodes_base64_payloads_with_any_byte)
{
	ck_assert_uint_eq(read_one("{\"topic\":\"a\",\"encoding\":\"base64\","
				   "\"payload\":\"AP8=\"}"),
	    0);
	ck_assert_uint_eq(entry.message.payload.len, 2);
	ck_assert_mem_eq(entry.message.payload.data, "\0\xff", 2);
	done();
}
END_TEST

START_TEST(keeps_a_nul_in_a_plain_payload)
{
	ck_assert_uint_eq(
	    read_one("{\"topic\":\"a\",\"payload\":\"x\\u0000y\"}"), 0);
	ck_assert_uint_eq(entry.message.payload.len, 3);
	done();
}
END_TEST

/* Property identifiers: MQTT 5.0, 2.2.2.2. */
START_TEST(encodes_properties_as_they_go_on_the_wire)
{
	static const char expected[] = "\x01\x01"
				       "\x08\x00\x01r"
				       "\x03\x00\x01t"
				       "\x09\x00\x01"
				       "d"
				       "\x26\x00\x01k\x00\x02"
				       "10";

	ck_assert_uint_eq(
	    read_one("{\"topic\":\"a\",\"payload\":\"x\",\"properties\":{"
		     "\"payload_format_indicator\":1,"
		     "\"message_expiry_interval\":60,"
		     "\"content_type\":\"t\",\"response_topic\":\"r\","
		     "\"correlation_data\":\"d\","
		     "\"user_properties\":{\"k\":10}}}"),
	    0);
	ck_assert_uint_eq(entry.message.expiry_s, 60);
	ck_assert_uint_eq(entry.message.properties.len, sizeof(expected) - 1);
	ck_assert_mem_eq(
	    entry.message.properties.data, expected, sizeof(expected) - 1);
	done();
}
END_TEST

START_TEST(refuses_each_mistake_with_its_code)
{
	static const struct {
		const char *text;
		unsigned code;
	} rows[] = {
		{ "", 109 },
		{ "{", 109 },
		{ "[]", 109 },
		{ "17", 109 },
		{ "{\"topic\":\"a\",\"topic\":\"b\",\"payload\":\"\"}", 109 },
		{ "{\"topic\":\"a\",\"payload\":\"\xff\"}", 109 },
		{ "{\"payload\":\"x\"}", 107 },
		{ "{\"topic\":\"a\"}", 107 },
		{ "{\"topics\":[],\"payload\":\"x\"}", 107 },
		{ "{\"topic\":7,\"payload\":\"x\"}", 108 },
		{ "{\"topics\":[7],\"payload\":\"x\"}", 108 },
		{ "{\"topics\":{},\"payload\":\"x\"}", 108 },
		{ "{\"topic\":\"a\",\"topics\":\"b\",\"payload\":\"\"}", 108 },
		{ "{\"topic\":\"a\",\"payload\":{}}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"qos\":3}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"qos\":-1}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"qos\":1.5}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"qos\":\"1\"}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"retain\":2}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"retain\":\"\"}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"clientid\":1}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"encoding\":\"x\"}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"a\",\"encoding\":\"base64\"}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"properties\":[]}", 108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"properties\":{"
		  "\"user_properties\":{\"k\":[]}}}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"properties\":{"
		  "\"message_expiry_interval\":4294967296}}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"properties\":{"
		  "\"content_type\":\"\\u0000\"}}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"/w==\",\"encoding\":"
		  "\"base64\",\"properties\":{\"payload_format_indicator\":1}}",
		    108 },
		{ "{\"topic\":\"a\",\"payload\":\"\",\"properties\":{"
		  "\"response_topic\":\"a/#\"}}",
		    115 },
		{ "{\"topic\":\"\",\"payload\":\"\"}", 115 },
		{ "{\"topic\":\"a/#\",\"payload\":\"\"}", 115 },
		{ "{\"topic\":\"a/+/b\",\"payload\":\"\"}", 115 },
		{ "{\"topic\":\"a\\u0000\",\"payload\":\"\"}", 115 },
		{ "{\"topics\":\"a,,b\",\"payload\":\"\"}", 115 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(read_one(rows[i].text) == rows[i].code,
		    "row %zu: %s: code %u", i, rows[i].text, error.code);
		ck_assert_uint_gt(strlen(error.text), 10);
	}
	publish_scratch_fini(&scratch);
}
END_TEST

START_TEST(says_that_wildcards_are_the_mistake)
{
	ck_assert_uint_eq(
	    read_one("{\"topic\":\"a/#\",\"payload\":\"\"}"), 115);
	ck_assert_ptr_nonnull(strstr(error.text, "'+' or '#'"));
	publish_scratch_fini(&scratch);
}
END_TEST

START_TEST(says_line_and_column_of_bad_json)
{
	ck_assert_uint_eq(read_one("{\n\"topic\": x}"), 109);
	ck_assert_ptr_nonnull(strstr(error.text, "line 2 column"));
	publish_scratch_fini(&scratch);
}
END_TEST

/* [MQTT-4.7.3-3] no more than 65,535 bytes */
START_TEST(takes_the_longest_topic_and_no_longer)
{
	char *text = malloc(66000);
	int length;

	length = snprintf(
	    text, 66000, "{\"payload\":\"\",\"topic\":\"%065535d\"}", 0);
	ck_assert_uint_eq(read_text(text, (size_t)length, PUBLISH_ONE), 0);
	ck_assert_uint_eq(entry.message.topic.len, 65535);
	publish_json_close(&document);
	length = snprintf(
	    text, 66000, "{\"payload\":\"\",\"topic\":\"%065536d\"}", 0);
	ck_assert_uint_eq(read_text(text, (size_t)length, PUBLISH_ONE), 115);
	ck_assert_ptr_nonnull(strstr(error.text, "at most 65535"));
	publish_scratch_fini(&scratch);
	free(text);
}
END_TEST

START_TEST(survives_deep_nesting)
{
	size_t length = 100000;
	char *text = malloc(length);

	memset(text, '[', length);
	ck_assert_uint_eq(read_text(text, length, PUBLISH_BATCH), 109);
	memset(text, '{', length);
	ck_assert_uint_eq(read_text(text, length, PUBLISH_ONE), 109);
	publish_scratch_fini(&scratch);
	free(text);
}
END_TEST

START_TEST(reads_a_batch_message_by_message)
{
	static const char text[] = "[{\"topic\":\"a\",\"payload\":\"1\"},"
				   "{\"topic\":\"b/#\",\"payload\":\"2\"},3]";

	ck_assert_uint_eq(read_text(text, sizeof(text) - 1, PUBLISH_BATCH), 0);
	ck_assert_uint_eq(document.count, 3);
	ck_assert_int_eq(
	    publish_json_read(&document, 1, &entry, &error), -EBADMSG);
	ck_assert_uint_eq(error.code, 115);
	ck_assert(slice_equal_string(publish_json_label(&document, 1), "b/#"));
	ck_assert_int_eq(
	    publish_json_read(&document, 2, &entry, &error), -EBADMSG);
	ck_assert_uint_eq(publish_json_label(&document, 2).len, 0);
	done();
}
END_TEST

START_TEST(refuses_empty_and_oversized_batches)
{
	char *text = malloc(3 * PUBLISH_BATCH_MAX + 16);
	size_t length = 0;

	ck_assert_uint_eq(read_text("[]", 2, PUBLISH_BATCH), 107);
	ck_assert_uint_eq(read_text("{}", 2, PUBLISH_BATCH), 109);
	text[length++] = '[';
	for (int i = 0; i <= PUBLISH_BATCH_MAX; i++)
		length +=
		    (size_t)sprintf(text + length, "%s{}", i == 0 ? "" : ",");
	text[length++] = ']';
	ck_assert_uint_eq(read_text(text, length, PUBLISH_BATCH), 108);
	publish_scratch_fini(&scratch);
	free(text);
}
END_TEST

START_TEST(takes_both_names_of_the_encoding_but_not_at_once)
{
	ck_assert_uint_eq(read_one("{\"topic\":\"a\",\"payload\":\"aGk=\","
				   "\"payload_encoding\":\"base64\"}"),
	    0);
	ck_assert(slice_equal_string(entry.message.payload, "hi"));
	done();
	ck_assert_uint_eq(read_one("{\"topic\":\"a\",\"payload\":\"aGk=\","
				   "\"payload_encoding\":\"rot13\"}"),
	    108);
	ck_assert_uint_eq(
	    read_one("{\"topic\":\"a\",\"payload\":\"\",\"encoding\":"
		     "\"plain\",\"payload_encoding\":\"plain\"}"),
	    108);
	publish_scratch_fini(&scratch);
}
END_TEST

START_TEST(user_properties_may_stand_beside_the_others)
{
	static const uint8_t both[] = { 0x26, 0, 1, 'a', 0, 1, '1', 0x26, 0, 1,
		'b', 0, 1, '2' };

	ck_assert_uint_eq(
	    read_one("{\"topic\":\"t\",\"payload\":\"\","
		     "\"user_properties\":{\"b\":\"2\"},"
		     "\"properties\":{\"user_properties\":{\"a\":1}}}"),
	    0);
	ck_assert_uint_eq(entry.message.properties.len, sizeof(both));
	ck_assert_mem_eq(entry.message.properties.data, both, sizeof(both));
	done();
	ck_assert_uint_eq(read_one("{\"topic\":\"t\",\"payload\":\"\","
				   "\"user_properties\":[]}"),
	    108);
	publish_scratch_fini(&scratch);
}
END_TEST

START_TEST(v5_has_one_topic_a_message)
{
	static const char several[] = "{\"topics\":\"a,b\",\"payload\":\"\"}";
	static const char one[] = "[{\"topic\":\"a,b\",\"payload\":\"\"}]";

	ck_assert_uint_eq(
	    read_text(several, sizeof(several) - 1, PUBLISH_ONE_V5), 108);
	ck_assert_uint_eq(read_text(one, sizeof(one) - 1, PUBLISH_BULK_V5), 0);
	ck_assert_uint_eq(entry.topic_count, 1);
	ck_assert(slice_equal_string(entry.message.topic, "a,b"));
	done();
	ck_assert_uint_eq(read_text(one, sizeof(one) - 1, PUBLISH_ONE_V5), 109);
	publish_scratch_fini(&scratch);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("publish_json");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, reads_all_fields);
	tcase_add_test(tc, has_the_defaults_of_the_other_brokers);
	tcase_add_test(tc, reads_several_topics_in_both_spellings);
	tcase_add_test(tc, decodes_base64_payloads_with_any_byte);
	tcase_add_test(tc, keeps_a_nul_in_a_plain_payload);
	tcase_add_test(tc, encodes_properties_as_they_go_on_the_wire);
	tcase_add_test(tc, refuses_each_mistake_with_its_code);
	tcase_add_test(tc, says_that_wildcards_are_the_mistake);
	tcase_add_test(tc, says_line_and_column_of_bad_json);
	tcase_add_test(tc, takes_the_longest_topic_and_no_longer);
	tcase_add_test(tc, survives_deep_nesting);
	tcase_add_test(tc, reads_a_batch_message_by_message);
	tcase_add_test(tc, refuses_empty_and_oversized_batches);
	tcase_add_test(tc, takes_both_names_of_the_encoding_but_not_at_once);
	tcase_add_test(tc, user_properties_may_stand_beside_the_others);
	tcase_add_test(tc, v5_has_one_topic_a_message);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
