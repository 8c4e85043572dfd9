/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/response.h"

#include <stdio.h>
#include <time.h>

#include "common/base/bug.h"
#include "common/base/utf8.h"

const char *
response_phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 207, "Multi-Status" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

/* snprintf() is a third of the cost of a small response; this is not. */
static char *
put(char *at, const char *text)
{
	size_t length = strlen(text);

	memcpy(at, text, length);
	return at + length;
}

static char *
put_number(char *at, uint64_t number)
{
	char digits[20];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

size_t
response_head(const struct response *response, bool close, const char *date,
    char *out, size_t size)
{
	const char *type;
	char *at = out;

	BUG_ON(size < RESPONSE_HEAD_MAX);
	BUG_ON(response->extra != NULL && strlen(response->extra) > 512);

	type = response->content_type;
	at = put(at, "HTTP/1.1 ");
	at = put_number(at, response->status);
	*at++ = ' ';
	at = put(at, response_phrase(response->status));
	at = put(at, "\r\nDate: ");
	at = put(at, date);
	/* RFC 9110, 8.6: nothing has no length. */
	if (response->status != 204) {
		at = put(at, "\r\nContent-Type: ");
		at = put(at, type == NULL ? RESPONSE_JSON : type);
		at = put(at, "\r\nContent-Length: ");
		at = put_number(at, response->body.len);
	}
	if (response->retry_after_s != 0) {
		at = put(at, "\r\nRetry-After: ");
		at = put_number(at, response->retry_after_s);
	}
	at = put(at, "\r\n");
	if (response->extra != NULL)
		at = put(at, response->extra);
	if (close)
		at = put(at, "Connection: close\r\n");
	at = put(at, "\r\n");
	return (size_t)(at - out);
}

void
response_date(uint64_t wall_s, char date[RESPONSE_DATE_SIZE])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)wall_s;
	struct tm tm;

	/* Not strftime(): its names follow the locale. */
	gmtime_r(&seconds, &tm);
	snprintf(date, RESPONSE_DATE_SIZE,
	    "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * tm.tm_wday,
	    (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
	    (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
	    (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

static size_t
append(const char *text, size_t add, char *out, size_t length, size_t size)
{
	if (add > size - length)
		return length;
	memcpy(out + length, text, add);
	return length + add;
}

size_t
response_escape(struct slice text, char *out, size_t length, size_t size)
{
	char code[8];
	size_t step;

	while (text.len > 0) {
		step = utf8_sequence(text);
		if (text.data[0] == '"' || text.data[0] == '\\') {
			code[0] = '\\';
			code[1] = (char)text.data[0];
			length = append(code, 2, out, length, size);
		} else if (text.data[0] < 0x20) {
			snprintf(code, sizeof(code), "\\u%04x", text.data[0]);
			length = append(code, 6, out, length, size);
		} else if (step == 0) {
			length = append("\\ufffd", 6, out, length, size);
		} else {
			length = append(
			    (const char *)text.data, step, out, length, size);
		}
		text = slice_from(text, step == 0 ? 1 : step);
	}
	return length;
}

size_t
response_error_body(unsigned code, const char *message, char *out, size_t size)
{
	size_t length, room;

	BUG_ON(size < 64);
	length =
	    (size_t)snprintf(out, size, "{\"code\":%u,\"message\":\"", code);
	room = size - 3;
	length = response_escape(slice_of_string(message), out, length, room);
	return append("\"}\n", 3, out, length, size);
}
