/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/sub_format.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"

#define WALL_NS (UINT64_C(86400) * 1000000000)

static const uint8_t user_properties[] = { 0x26, 0, 1, 'k', 0, 1, 'v', 0x26, 0,
	1, 'l', 0, 0 };

static struct mqtt_publish
message(void)
{
	struct mqtt_publish publish = { 0 };

	publish.qos = 1;
	publish.retain = true;
	publish.packet_id = 300;
	publish.topic = slice_of_string("a/b");
	publish.payload = slice_of("x\0\xff", 3);
	return publish;
}

static void
expect(const char *format, const struct mqtt_publish *publish, const char *want,
    size_t want_len)
{
	char *got;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	ck_assert_ptr_null(sub_format_check(format));
	sub_format_print(format, publish, WALL_NS, out);
	fclose(out);
	ck_assert_uint_eq(len, want_len);
	ck_assert_mem_eq(got, want, want_len);
	free(got);
}

#define EXPECT(format, want) expect(format, &publish, want, sizeof(want) - 1)

START_TEST(prints_each_part_of_a_message)
{
	struct mqtt_publish publish = message();

	EXPECT("%t|%p|%l|%x", "a/b|x\0\xff|3|7800ff");
	EXPECT("%q %r %m", "1 1 300");
	publish.retain = false;
	EXPECT("%r", "0");
}
END_TEST

START_TEST(prints_text_percent_signs_and_escapes)
{
	struct mqtt_publish publish = message();

	EXPECT("", "");
	EXPECT("100%% of %t", "100% of a/b");
	EXPECT("\\n\\t\\r\\0\\\\n", "\n\t\r\0\\n");
}
END_TEST

START_TEST(prints_the_time_as_iso_8601)
{
	struct mqtt_publish publish = message();

	setenv("TZ", "UTC0", 1);
	tzset();
	EXPECT("%I", "1970-01-02T00:00:00+0000");
}
END_TEST

START_TEST(prints_properties_and_nothing_for_those_that_are_not_there)
{
	struct mqtt_publish publish = message();

	EXPECT("[%C%R%P]", "[]");
	publish.properties.content_type = slice_of_string("text/plain");
	publish.properties.response_topic = slice_of_string("re");
	publish.properties.raw =
	    slice_of(user_properties, sizeof(user_properties));
	mqtt_properties_set(&publish.properties, MQTT_CONTENT_TYPE);
	mqtt_properties_set(&publish.properties, MQTT_RESPONSE_TOPIC);
	mqtt_properties_set(&publish.properties, MQTT_USER_PROPERTY);
	EXPECT("[%C,%R,%P]", "[text/plain,re,k:v l:]");
}
END_TEST

START_TEST(refuses_what_it_does_not_know)
{
	ck_assert_ptr_nonnull(sub_format_check("%z"));
	ck_assert_ptr_nonnull(sub_format_check("%t%"));
	ck_assert_ptr_nonnull(sub_format_check("\\q"));
	ck_assert_ptr_nonnull(sub_format_check("%t\\"));
	ck_assert_ptr_nonnull(strchr(sub_format_check("%z"), '%'));
	ck_assert_ptr_nonnull(strchr(sub_format_check("\\q"), '\\'));
	ck_assert_ptr_null(sub_format_check("%%z"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sub_format");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, prints_each_part_of_a_message);
	tcase_add_test(tc, prints_text_percent_signs_and_escapes);
	tcase_add_test(tc, prints_the_time_as_iso_8601);
	tcase_add_test(
	    tc, prints_properties_and_nothing_for_those_that_are_not_there);
	tcase_add_test(tc, refuses_what_it_does_not_know);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
