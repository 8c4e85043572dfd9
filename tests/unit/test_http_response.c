/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/response.h"

#include <string.h>

#include "httpd/publish.h"
#include "tests/unit/unit.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

START_TEST(writes_a_head_with_what_is_asked_for)
{
	struct response response = { .status = 429,
		.body = slice_of("{}", 2),
		.retry_after_s = 3,
		.extra = "Allow: GET\r\n" };
	char head[RESPONSE_HEAD_MAX];
	size_t length;

	length = response_head(&response, true, DATE, head, sizeof(head));
	head[length] = '\0';
	ck_assert_str_eq(head,
	    "HTTP/1.1 429 Too Many Requests\r\n"
	    "Date: " DATE "\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: 2\r\n"
	    "Retry-After: 3\r\n"
	    "Allow: GET\r\n"
	    "Connection: close\r\n\r\n");
}
END_TEST

/* The example of RFC 9110, 5.6.7. */
START_TEST(writes_dates_of_http)
{
	char date[RESPONSE_DATE_SIZE];

	response_date(784111777, date);
	ck_assert_str_eq(date, DATE);
}
END_TEST

START_TEST(escapes_what_would_break_out_of_the_json)
{
	char body[256];
	size_t length;

	length = response_error_body(
	    400, "a\"b\\c\r\nd\x01\xff", body, sizeof(body));
	body[length] = '\0';
	ck_assert_str_eq(body,
	    "{\"code\":400,\"message\":\"a\\\"b\\\\c\\u000d\\u000ad\\u0001"
	    "\\ufffd\"}\n");
}
END_TEST

START_TEST(cuts_a_long_message_and_stays_json)
{
	char message[500], body[100];
	size_t length;

	memset(message, '"', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	length = response_error_body(400, message, body, sizeof(body));
	ck_assert_uint_le(length, sizeof(body));
	ck_assert_mem_eq(body + length - 5, "\\\"\"}\n", 5);
}
END_TEST

START_TEST(has_a_status_for_every_reason_of_the_broker)
{
	struct publish_status status;

	for (unsigned code = 0x80; code <= 0xff; code++) {
		status = publish_status_of_reason((uint8_t)code);
		ck_assert_uint_ge(status.status, 400);
		ck_assert_uint_le(status.status, 599);
		ck_assert_uint_ne(status.code, 0);
		ck_assert_ptr_nonnull(status.message);
		ck_assert_str_ne(response_phrase(status.status), "Unknown");
		/* RFC 9110: who is told to come back is told when. */
		ck_assert((status.status != 429 && status.status != 503) ||
		    status.retry_after_s > 0);
	}
	ck_assert_uint_eq(publish_status_of_reason(0x87).status, 403);
	ck_assert_uint_eq(publish_status_of_reason(0x97).status, 429);
	ck_assert_uint_eq(publish_status_of_reason(0x83).status, 503);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_response");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, writes_a_head_with_what_is_asked_for);
	tcase_add_test(tc, writes_dates_of_http);
	tcase_add_test(tc, escapes_what_would_break_out_of_the_json);
	tcase_add_test(tc, cuts_a_long_message_and_stays_json);
	tcase_add_test(tc, has_a_status_for_every_reason_of_the_broker);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
