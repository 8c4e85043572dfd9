/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/flood_producer.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

/* An answer a moment before the deadline is one at the deadline. */
#define EARLY_NS (5 * CLOCK_MS_NS)

/* The body: %t is the topic, %p the payload, %q the QoS. */
static size_t
make_body(const struct flood_producer *producer, const char *payload,
    char *room, size_t size)
{
	const char *form = producer->options->body;
	size_t length = 0;
	int more;

	for (; *form != '\0' && length < size; form++) {
		if (form[0] != '%' || strchr("tpq", form[1]) == NULL ||
		    form[1] == '\0') {
			room[length++] = *form;
			continue;
		}
		form++;
		if (*form == 'q')
			more = snprintf(
			    room + length, size - length, "%u", producer->qos);
		else
			more = snprintf(room + length, size - length, "%s",
			    *form == 't' ? producer->topic : payload);
		length += (size_t)more;
	}
	BUG_ON(length >= size);
	return length;
}

void
flood_http_send(struct flood_producer *producer, bool is_on)
{
	const struct flood_options *options = producer->options;
	char payload[FLOOD_INPUT], body[2 * FLOOD_INPUT], head[4096];
	size_t length;
	int head_length;

	if (producer->under_way != 0 || !is_on ||
	    !flood_take_number(producer, &producer->number))
		return;
	flood_payload(producer, producer->number, payload);
	length = make_body(producer, payload, body, sizeof(body));
	head_length = snprintf(head, sizeof(head),
	    "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    options->http_path,
	    options->authorization == NULL ? "" : "Authorization: ",
	    options->authorization == NULL ? "" : options->authorization,
	    options->authorization == NULL ? "" : "\r\n", length);
	BUG_ON(head_length >= (int)sizeof(head));
	memcpy(flood_reserve(producer, (size_t)head_length), head,
	    (size_t)head_length);
	memcpy(flood_reserve(producer, length), body, length);
	producer->under_way = 1;
	producer->sent_ns = clock_now_ns();
}

/* The value of a header field of the answer, or NULL. */
static const char *
field(const char *head, const char *end, const char *name)
{
	const char *hit = strcasestr(head, name);

	return hit == NULL || hit > end ? NULL : hit + strlen(name);
}

static enum flood_outcome
judge(const struct flood_producer *producer, unsigned status, const char *head,
    const char *body)
{
	const char *retry_after = field(head, body, "\r\nRetry-After:");

	if (status == 429 || status == 503)
		return retry_after != NULL && atoi(retry_after) > 0
		    ? FLOOD_REFUSED
		    : FLOOD_RUDE;
	if (status == 504)
		return FLOOD_UNKNOWN;
	if (status < 200 || status > 299)
		return FLOOD_ERROR;
	return producer->options->accepted_text == NULL ||
		strstr(body, producer->options->accepted_text) != NULL
	    ? FLOOD_ACCEPTED
	    : FLOOD_ERROR;
}

static void
note_time(const struct flood_producer *producer, struct flood_totals *totals,
    unsigned status)
{
	uint64_t waited_ns = clock_now_ns() - producer->sent_ns;
	uint64_t limit_ns = producer->options->stall_timeout_ns;

	if (status < 300)
		histogram_record(&totals->accepted_us, waited_ns / CLOCK_US_NS);
	if (status != 429)
		return;
	if (waited_ns + EARLY_NS < limit_ns)
		totals->refused_at_once++;
	else
		histogram_record(&totals->late_us,
		    waited_ns < limit_ns
			? 0
			: (waited_ns - limit_ns) / CLOCK_US_NS);
}

bool
flood_http_receive(struct flood_producer *producer, struct flood_totals *totals)
{
	const char *head = (const char *)producer->input, *body, *length;
	const char *close_field;
	unsigned status;

	producer->input[producer->input_length] = '\0';
	body = strstr(head, "\r\n\r\n");
	if (body == NULL)
		return producer->input_length < FLOOD_INPUT;
	length = field(head, body, "\r\nContent-Length:");
	if (length == NULL || strncmp(head, "HTTP/1.", 7) != 0)
		return false;
	body += 4;
	if ((size_t)(body - head) + strtoul(length, NULL, 10) >
	    producer->input_length)
		return producer->input_length < FLOOD_INPUT;
	status = (unsigned)atoi(head + 9);
	if (status < 600)
		totals->by_status[status]++;
	note_time(producer, totals, status);
	flood_note(producer, totals, producer->number,
	    judge(producer, status, head, body));
	producer->under_way = 0;
	producer->input_length = 0;
	close_field = field(head, body, "\r\nConnection:");
	return close_field == NULL ||
	    strncasecmp(close_field, " close", 6) != 0;
}

void
flood_http_lost(struct flood_producer *producer, struct flood_totals *totals)
{
	if (producer->under_way != 0)
		flood_note(producer, totals, producer->number, FLOOD_UNKNOWN);
	producer->under_way = 0;
}
