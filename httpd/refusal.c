/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/refusal.h"

#include <stdio.h>

#include "common/base/bug.h"
#include "httpd/connection.h"
#include "httpd/limits.h"
#include "httpd/response.h"

/* Room that the end of the body takes. */
#define TAIL 4

static size_t
add_text(
    const char *key, const char *value, char *out, size_t length, size_t size)
{
	int head;

	if (value == NULL)
		return length;
	head = snprintf(out + length, size - length, ",\"%s\":\"", key);
	if (head < 0 || (size_t)head + TAIL >= size - length)
		return length;
	length = response_escape(
	    slice_of_string(value), out, length + (size_t)head, size - TAIL);
	out[length++] = '"';
	return length;
}

size_t
refusal_body(const struct refusal *refusal, char *out, size_t size)
{
	size_t length;

	BUG_ON(size < 64);
	length = (size_t)snprintf(out, size, "{\"code\":%u", refusal->status);
	length = add_text("message", refusal->message, out, length, size);
	length = add_text("limit", refusal->limit, out, length, size);
	length = add_text("held_by", refusal->held_by, out, length, size);
	length = add_text("explain", refusal->explain, out, length, size);
	out[length++] = '}';
	out[length++] = '\n';
	return length;
}

void
refusal_answer(struct request *request, const struct refusal *refusal)
{
	char body[REFUSAL_BODY_SIZE];
	struct response response = { .status = refusal->status,
		.retry_after_s = refusal->retry_after_s };

	response.body =
	    slice_of(body, refusal_body(refusal, body, sizeof(body)));
	request_answer(request, &response);
}

void
refusal_answer_rate(struct request *request, const struct limits_refusal *rate)
{
	char message[LIMITS_NAME_SIZE + 64];
	const struct refusal refusal = { .status = 429,
		.retry_after_s = limits_retry_after_s(rate),
		.message = message,
		.limit = rate->limit };

	snprintf(message, sizeof(message), "the rate limit %s is reached",
	    rate->limit);
	refusal_answer(request, &refusal);
}
