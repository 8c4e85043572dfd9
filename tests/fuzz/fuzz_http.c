/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_http - the bytes of an HTTP client, through parser, connection and
 * JSON decoder.
 *
 * The first byte says how the rest is cut into reads; a body that gets
 * through is decoded as a publish and, if it is valid, checked for what the
 * rings rely on.
 */

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/msg/topic.h"
#include "httpd/connection.h"
#include "httpd/counters.h"
#include "httpd/publish_json.h"
#include "tests/fuzz/fuzz.h"

static struct publish_scratch scratch;
static struct publish_entry entry;

static void
check_entry(void)
{
	struct record_message parsed;
	size_t length;
	void *body;

	BUG_ON(entry.topic_count == 0 || entry.message.qos > 2);
	for (size_t i = 0; i < entry.topic_count; i++)
		BUG_ON(!topic_name_is_valid(entry.topics[i]));
	length = record_message_size(&entry.message);
	body = malloc(length);
	if (body == NULL)
		return;
	record_message_write(&entry.message, body);
	BUG_ON(record_message_parse(body, length, &parsed) != 0);
	free(body);
}

static void
decode(struct slice body, enum publish_shape shape)
{
	struct publish_document document;
	struct publish_error error;

	if (publish_json_open(&scratch, body, shape, &document, &error) != 0)
		return;
	for (size_t i = 0; i < document.count; i++) {
		if (publish_json_read(&document, i, &entry, &error) == 0)
			check_entry();
		(void)publish_json_label(&document, i);
	}
	publish_json_close(&document);
}

static enum connection_verdict
on_head(void *context, struct request *request)
{
	(void)context;
	if (request->path_length % 2 == 0)
		return CONNECTION_READ;
	request_answer_error(request, 404, 404, 0, NULL, request->path);
	return CONNECTION_DONE;
}

static void
on_body(void *context, struct request *request, struct slice body)
{
	struct response response = { .status = 200, .body = body };

	(void)context;
	decode(body, PUBLISH_ONE);
	decode(body, PUBLISH_BATCH);
	request_answer(request, &response);
}

static void
on_gone(void *context, struct request *request)
{
	(void)context;
	(void)request;
}

static void
feed(struct loop *loop, struct connections *connections, int client,
    const uint8_t *data, size_t size)
{
	size_t step = size == 0 ? 1 : 1 + (size_t)data[0] * 4, part;

	for (size_t at = 1; at < size; at += part) {
		part = size - at < step ? size - at : step;
		if (send(client, data + at, part, MSG_DONTWAIT | MSG_NOSIGNAL) <
		    0)
			break;
		(void)loop_turn(loop, false);
		(void)loop_turn(loop, false);
		connections_reap(connections);
	}
	connections_tick(connections, clock_now_ns() + 3600 * CLOCK_SECOND_NS);
	(void)loop_turn(loop, false);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct connection_handler handler = {
		.head = on_head, .body = on_body, .gone = on_gone
	};
	static const struct connections_config config = {
		.max_connections = 4,
		.max_body = 65536,
		.header_timeout_ns = CLOCK_SECOND_NS,
		.body_timeout_ns = CLOCK_SECOND_NS,
		.idle_timeout_ns = CLOCK_SECOND_NS,
	};
	static struct loop *loop;
	static struct stream_hub *hub;
	static struct stats *stats;
	struct connections *connections;
	int pair[2];

	/* Half of the runs are bodies alone: JSON is rarely reached else. */
	if (size > 0 && data[0] >= 0x80) {
		decode(slice_of(data + 1, size - 1), PUBLISH_ONE);
		decode(slice_of(data + 1, size - 1), PUBLISH_BATCH);
		return 0;
	}
	if (loop == NULL) {
		loop = loop_new();
		hub = stream_hub_new(loop, 256);
		BUG_ON(counters_create(&stats) != 0);
	}
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0);
	connections = connections_new(
	    &config, loop, hub, &handler, NULL, stats_block(stats, 0));
	BUG_ON(connections == NULL);
	connections_accept(connections, pair[0], "192.0.2.1:1");
	feed(loop, connections, pair[1], data, size);
	connections_free(connections);
	close(pair[1]);
	return 0;
}
