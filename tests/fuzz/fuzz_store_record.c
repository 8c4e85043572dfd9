/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_store_record - any bytes are safe to take apart as a body, and what
 * is a body comes back the same when it is written again.
 *
 * The first byte picks the kind, the rest is the body.
 */

#include <errno.h>
#include <stdlib.h>

#include "broker/store/store_record.h"
#include "common/base/bug.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/store_any.h"

#define ROOM 4096

static struct store_delivery deliveries[2][ROOM];
static uint32_t identifiers[2][ROOM];

static int
parse_message(struct slice body, unsigned which, struct store_message *out)
{
	struct store_message_room room = { 0 };
	int err;

	/* First without room: what it asks for must do. */
	err = store_message_parse(body, &room, out);
	if (err != -ENOBUFS)
		return err;
	BUG_ON(room.delivery_count > ROOM || room.identifier_count > ROOM);
	room.deliveries = deliveries[which];
	room.identifiers = identifiers[which];
	err = store_message_parse(body, &room, out);
	BUG_ON(err != 0);
	return 0;
}

static void
message(struct slice body)
{
	struct store_message first, second;
	uint8_t *again;
	size_t size;

	if (parse_message(body, 0, &first) != 0)
		return;
	size = store_message_size(&first);
	BUG_ON(size > body.len);
	again = malloc(size);
	BUG_ON(again == NULL);
	store_message_write(&first, again);
	BUG_ON(parse_message(slice_of(again, size), 1, &second) != 0);
	BUG_ON(!store_any_same(&first, &second));
	free(again);
}

static void
session(struct slice body)
{
	struct store_session session;
	uint8_t *again;

	if (store_session_parse(body, &session) != 0)
		return;
	BUG_ON(store_session_size(&session) != body.len);
	again = malloc(body.len);
	BUG_ON(again == NULL);
	store_session_write(&session, again);
	BUG_ON(memcmp(again, body.data, body.len) != 0);
	free(again);
}

static void
done(struct slice body)
{
	size_t count;

	if (store_done_parse(body, &count) != 0)
		return;
	BUG_ON(store_done_size(count) != body.len);
	for (size_t i = 0; i < count; i++)
		(void)store_done_at(body, i);
}

static void
with_text(struct slice body)
{
	struct store_subscribe subscribe;
	struct store_bridge bridge;

	if (store_subscribe_parse(body, &subscribe) == 0)
		BUG_ON(store_subscribe_size(&subscribe) != body.len);
	/* Of a former version it is shorter. */
	if (store_bridge_parse(body, &bridge) == 0)
		BUG_ON(store_bridge_size(&bridge) < body.len ||
		    (body.data[0] > 1 &&
			store_bridge_size(&bridge) != body.len));
}

static void
small(struct slice body)
{
	struct store_unfinished unfinished;
	struct store_source source;
	struct store_packet packet;
	struct store_leave leave;
	struct store_start start;
	uint8_t again[STORE_SMALL_MAX];
	uint64_t cursor;

	if (store_unfinished_parse(body, &unfinished) == 0)
		BUG_ON(store_unfinished_write(&unfinished, again) != body.len);
	if (store_source_parse(body, &source) == 0)
		BUG_ON(store_source_write(&source, again) != body.len);
	if (store_packet_parse(body, &packet) == 0)
		BUG_ON(store_packet_write(&packet, again) != body.len);
	if (store_leave_parse(body, &leave) == 0)
		BUG_ON(store_leave_write(&leave, again) != body.len);
	if (store_start_parse(body, &start) == 0)
		BUG_ON(store_start_write(&start, again) != body.len);
	if (store_cursor_parse(body, &cursor) == 0)
		BUG_ON(body.len != STORE_CURSOR_BYTES);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body;

	if (size == 0)
		return 0;
	body = slice_of(data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
		session(body);
		break;
	case 1:
		done(body);
		break;
	case 2:
		with_text(body);
		break;
	case 3:
		small(body);
		break;
	default:
		message(body);
		break;
	}
	return 0;
}
