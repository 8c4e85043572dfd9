/* SPDX-License-Identifier: Apache-2.0 */

/* The request that opens a WebSocket: what is taken, what is answered. */

#include "common/net/websocket_head.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

/* The example of RFC 6455, 1.3. */
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define HOST "Host: broker.example\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define MQTT "Sec-WebSocket-Protocol: mqtt\r\n"
#define ALL HOST UPGRADE KEY V13 MQTT

#define GET(fields) "GET /mqtt HTTP/1.1\r\n" fields "\r\n"

static const char *const origins[] = { "https://good.example",
	"http://localhost:8080" };
static const struct websocket_rules open_to_all = { "/mqtt", NULL, 0 };
static const struct websocket_rules of_two = { "/mqtt", origins, 2 };

static struct websocket_head head;

static size_t
read_all(const char *text, size_t len)
{
	websocket_head_init(&head);
	return websocket_head_read(&head, (const uint8_t *)text, len);
}

/* However it is cut. */
static size_t
read_in_steps(const char *text, size_t len, size_t step)
{
	size_t at = 0, here, used;

	websocket_head_init(&head);
	while (at < len) {
		here = step < len - at ? step : len - at;
		used = websocket_head_read(
		    &head, (const uint8_t *)text + at, here);
		at += used;
		if (used < here || head.status != 0 || head.is_complete)
			break;
	}
	return at;
}

static unsigned
judge(const struct websocket_rules *rules, const char **out_why)
{
	*out_why = NULL;
	ck_assert(head.is_complete || head.status != 0);
	return websocket_head_judge(&head, rules, out_why);
}

static const struct row {
	unsigned status;
	const char *words; /* in the reason; NULL: taken */
	const struct websocket_rules *rules;
	const char *text;
} rows[] = {
	{ 101, NULL, &open_to_all, GET(ALL) },
	{ 101, NULL, &open_to_all,
	    "\r\nGET /mqtt?token=x?y HTTP/1.1\r\n" ALL "\r\n" },
	{ 101, NULL, &open_to_all,
	    GET("HOST: a\r\nupgrade: h2c, WebSocket\r\n"
		"CONNECTION: keep-alive,upgrade\r\nSEC-WEBSOCKET-KEY:\t "
		"dGhlIHNhbXBsZSBub25jZQ== \t\r\nsec-websocket-version:13\r\n"
		"sec-websocket-protocol: chat, mqtt\r\n") },
	{ 101, NULL, &open_to_all,
	    GET(HOST UPGRADE KEY V13 "Sec-WebSocket-Protocol: mqttv3.1\r\n") },
	{ 101, NULL, &open_to_all,
	    GET(ALL "Sec-WebSocket-Protocol: x\r\nX-A-Very-Long-Name-That-Is-"
		    "Not-Kept-Anywhere: 1\r\nContent-Length: 0\r\n"
		    "Sec-WebSocket-Extensions: permessage-deflate\r\n") },
	{ 101, NULL, &open_to_all,
	    GET(ALL "Origin: https://evil.example\r\n") },
	/* origins */
	{ 101, NULL, &of_two, GET(ALL) },
	{ 101, NULL, &of_two, GET(ALL "Origin: https://GOOD.example\r\n") },
	{ 101, NULL, &of_two, GET(ALL "Origin: http://localhost:8080\r\n") },
	{ 403, "websocket_origins", &of_two,
	    GET(ALL "Origin: http://localhost:80\r\n") },
	{ 403, "websocket_origins", &of_two, GET(ALL "Origin: null\r\n") },
	{ 403, "websocket_origins", &of_two,
	    GET(ALL "Origin: https://good.example\r\n"
		    "Origin: https://good.example\r\n") },
	/* method, path, version of HTTP */
	{ 405, "GET", &open_to_all, "POST /mqtt HTTP/1.1\r\n" ALL "\r\n" },
	{ 405, "GET", &open_to_all, "HEAD /mqtt HTTP/1.1\r\n" ALL "\r\n" },
	{ 404, "path", &open_to_all, "GET / HTTP/1.1\r\n" ALL "\r\n" },
	{ 404, "path", &open_to_all, "GET /mqtt/ HTTP/1.1\r\n" ALL "\r\n" },
	{ 404, "path", &open_to_all, "GET /mqt HTTP/1.1\r\n" ALL "\r\n" },
	{ 404, "path", &open_to_all, "GET /MQTT HTTP/1.1\r\n" ALL "\r\n" },
	{ 400, "HTTP/1.1", &open_to_all, "GET /mqtt HTTP/1.0\r\n" ALL "\r\n" },
	{ 400, "Host", &open_to_all, GET(UPGRADE KEY V13 MQTT) },
	{ 400, "Host", &open_to_all, GET(ALL HOST) },
	/* the upgrade */
	{ 426, "upgrade", &open_to_all, GET(HOST) },
	{ 426, "upgrade", &open_to_all,
	    GET(HOST "Upgrade: websocket\r\n" KEY V13 MQTT) },
	{ 426, "upgrade", &open_to_all,
	    GET(HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY V13 MQTT) },
	{ 426, "13", &open_to_all, GET(HOST UPGRADE KEY MQTT) },
	{ 426, "13", &open_to_all,
	    GET(HOST UPGRADE KEY MQTT "Sec-WebSocket-Version: 8\r\n") },
	{ 426, "13", &open_to_all, GET(ALL V13) },
	{ 400, "Sec-WebSocket-Key", &open_to_all, GET(HOST UPGRADE V13 MQTT) },
	{ 400, "Sec-WebSocket-Key", &open_to_all, GET(ALL KEY) },
	{ 400, "base64", &open_to_all,
	    GET(HOST UPGRADE V13 MQTT
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n") },
	{ 400, "base64", &open_to_all,
	    GET(HOST UPGRADE V13 MQTT
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n") },
	{ 400, "base64", &open_to_all,
	    GET(HOST UPGRADE V13 MQTT
		"Sec-WebSocket-Key: dGhl\"HNhbXBsZSBub25jZQ==\r\n") },
	{ 400, "offer mqtt", &open_to_all, GET(HOST UPGRADE KEY V13) },
	{ 400, "offer mqtt", &open_to_all,
	    GET(HOST UPGRADE KEY V13
		"Sec-WebSocket-Protocol: MQTT, mqttv5\r\n") },
	/* what HTTP itself forbids */
	{ 400, "body", &open_to_all, GET(ALL "Content-Length: 1\r\n") },
	{ 400, "body", &open_to_all,
	    GET(ALL "Transfer-Encoding: chunked\r\n") },
	{ 400, "", &open_to_all,
	    GET(ALL "Content-Length: 0\r\nContent-Length: 0\r\n") },
	{ 400, "folded", &open_to_all,
	    GET(HOST UPGRADE KEY V13 "Sec-WebSocket-Protocol:\r\n mqtt\r\n") },
	{ 400, "folded", &open_to_all, GET(ALL "X: a\r\n\tb\r\n") },
	{ 400, "empty line", &open_to_all,
	    "GET /mqtt HTTP/1.1\r\n" ALL "\r\1" },
	{ 400, "blank", &open_to_all, GET(ALL "Bad Name: x\r\n") },
	{ 400, "", &open_to_all, "GET /mqtt HTTP/9.9x\r\n" },
	{ 400, "", &open_to_all, "GEX /mqtt HTTP/1.1\r\n" },
	{ 400, "plain MQTT or TLS", &open_to_all,
	    "\x10\x0e\0\4MQTT\4\2\0\x3c\0\2id" },
	{ 400, "plain MQTT or TLS", &open_to_all, "\x16\x03\x01\x02" },
};

/* The last rows have NULs in them: strlen() is enough of those. */
static size_t
length_of(const struct row *row)
{
	return strlen(row->text);
}

START_TEST(judges)
{
	const struct row *row = &rows[_i];
	const size_t steps[] = { 100000, 1, 2, 3, 7, 50 };
	const char *why;
	unsigned status;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		read_in_steps(row->text, length_of(row), steps[i]);
		status = judge(row->rules, &why);
		ck_assert_msg(status == row->status,
		    "row %d, steps of %zu: %u, not %u (%s)", _i, steps[i],
		    status, row->status, why == NULL ? "taken" : why);
		if (row->words != NULL)
			ck_assert_msg(strstr(why, row->words) != NULL,
			    "\"%s\" is not in \"%s\"", row->words, why);
	}
}
END_TEST

START_TEST(takes_nothing_behind_the_end)
{
	const char text[] = GET(ALL) "\x82\x80";

	ck_assert_uint_eq(
	    read_all(text, sizeof(text) - 1), sizeof(text) - 1 - 2);
	ck_assert(head.is_complete);
	ck_assert_uint_eq(
	    websocket_head_read(&head, (const uint8_t *)"GET", 3), 0);
	for (size_t step = 1; step < 80; step++)
		ck_assert_uint_eq(read_in_steps(text, sizeof(text) - 1, step),
		    sizeof(text) - 1 - 2);
}
END_TEST

START_TEST(waits_for_the_rest)
{
	read_all(GET(ALL), sizeof(GET(ALL)) - 2);
	ck_assert(!head.is_complete);
	ck_assert_uint_eq(head.status, 0);
}
END_TEST

/* A head of `size` bytes, its end included. */
static const char *
padded(size_t size)
{
	static char text[2 * WEBSOCKET_HEAD_LIMIT + 1];
	const char start[] = "GET /mqtt HTTP/1.1\r\n" ALL "X: ";
	const size_t used = sizeof(start) - 1;

	memcpy(text, start, used);
	memset(text + used, 'x', size - used - 4);
	memcpy(text + size - 4, "\r\n\r\n", 5);
	return text;
}

START_TEST(a_head_has_a_limit)
{
	const char *why;

	read_in_steps(padded(WEBSOCKET_HEAD_LIMIT), WEBSOCKET_HEAD_LIMIT, 1000);
	ck_assert_uint_eq(judge(&open_to_all, &why), 101);
	read_in_steps(
	    padded(WEBSOCKET_HEAD_LIMIT + 1), WEBSOCKET_HEAD_LIMIT + 1, 1000);
	ck_assert_uint_eq(judge(&open_to_all, &why), 431);
	read_all(padded(2 * WEBSOCKET_HEAD_LIMIT), 2 * WEBSOCKET_HEAD_LIMIT);
	ck_assert_uint_eq(judge(&open_to_all, &why), 431);
}
END_TEST

START_TEST(a_field_and_a_path_have_limits)
{
	char text[2048], pad[700];
	const char *why;

	memset(pad, 'a', sizeof(pad));
	pad[sizeof(pad) - 1] = '\0';
	snprintf(text, sizeof(text), GET("Origin: %s\r\n"), pad);
	read_all(text, strlen(text));
	ck_assert_uint_eq(judge(&open_to_all, &why), 431);
	snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n" ALL "\r\n", pad);
	read_all(text, strlen(text));
	ck_assert_uint_eq(judge(&open_to_all, &why), 404);
	/* Of no field that counts, anything. */
	snprintf(text, sizeof(text), GET(ALL "Cookie: %s\r\n"), pad);
	read_all(text, strlen(text));
	ck_assert_uint_eq(judge(&open_to_all, &why), 101);
}
END_TEST

START_TEST(answers_the_key_and_names_the_subprotocol)
{
	char out[WEBSOCKET_ANSWER_SIZE];
	size_t len;

	read_all(GET(ALL), sizeof(GET(ALL)) - 1);
	len = websocket_head_answer(&head, 101, NULL, out);
	ck_assert_uint_eq(len, strlen(out));
	ck_assert_ptr_nonnull(
	    strstr(out, "HTTP/1.1 101 Switching Protocols\r\n"));
	ck_assert_ptr_nonnull(strstr(out, "\r\nUpgrade: websocket\r\n"));
	ck_assert_ptr_nonnull(strstr(out, "\r\nConnection: Upgrade\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(out, "\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(out, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
	ck_assert_str_eq(out + len - 4, "\r\n\r\n");
	read_all(
	    GET(HOST UPGRADE KEY V13 "Sec-WebSocket-Protocol: mqttv3.1\r\n"),
	    sizeof(GET(
		HOST UPGRADE KEY V13 "Sec-WebSocket-Protocol: mqttv3.1\r\n")) -
		1);
	websocket_head_answer(&head, 101, NULL, out);
	ck_assert_ptr_nonnull(
	    strstr(out, "\r\nSec-WebSocket-Protocol: mqttv3.1\r\n"));
}
END_TEST

START_TEST(an_error_says_what_to_do_and_ends_the_connection)
{
	char out[WEBSOCKET_ANSWER_SIZE];
	size_t len;

	websocket_head_init(&head);
	len = websocket_head_answer(&head, 426, "do better", out);
	ck_assert_uint_eq(len, strlen(out));
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 426 Upgrade Required\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(out, "\r\nConnection: Upgrade, close\r\n"));
	ck_assert_ptr_nonnull(strstr(out, "\r\nSec-WebSocket-Version: 13\r\n"));
	ck_assert_ptr_nonnull(strstr(out, "\r\nContent-Length: 10\r\n"));
	ck_assert_str_eq(out + len - 14, "\r\n\r\ndo better\n");
	websocket_head_answer(&head, 405, "x", out);
	ck_assert_ptr_nonnull(strstr(out, "\r\nAllow: GET\r\n"));
	ck_assert_ptr_nonnull(strstr(out, "\r\nConnection: close\r\n"));
	websocket_head_answer(&head, 404, "x", out);
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 404 Not Found\r\n"));
	websocket_head_answer(&head, 403, "x", out);
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 403 Forbidden\r\n"));
	websocket_head_answer(&head, 400, "x", out);
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 400 Bad Request\r\n"));
	websocket_head_answer(&head, 431, "x", out);
	ck_assert_ptr_nonnull(strstr(out, "HTTP/1.1 431 Request Header"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("websocket_head");
	TCase *tc = tcase_create("all");

	tcase_add_loop_test(
	    tc, judges, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tc, takes_nothing_behind_the_end);
	tcase_add_test(tc, waits_for_the_rest);
	tcase_add_test(tc, a_head_has_a_limit);
	tcase_add_test(tc, a_field_and_a_path_have_limits);
	tcase_add_test(tc, answers_the_key_and_names_the_subprotocol);
	tcase_add_test(tc, an_error_says_what_to_do_and_ends_the_connection);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
