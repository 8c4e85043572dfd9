/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fill_journal - messages that wait for a session, without sending them.
 *
 *	bench/fill-journal DIRECTORY MESSAGES
 *
 * Writes the journal of a broker (state_dir/journal) that has one session,
 * "away", which has subscribed to "bench/#" with QoS 1 and left, and so many
 * messages of 64 bytes that wait for it: payloads begin with their number,
 * from 1.  For bench/recovery.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store/store.h"
#include "common/base/bug.h"

#define BATCH 1000
#define PAYLOAD 64

static void
die(const char *what, int err)
{
	fprintf(stderr, "fill-journal: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void
tell_damage(void *context, const struct store_damage *damage)
{
	(void)context;
	fprintf(stderr, "fill-journal: %s: %s\n", damage->file, damage->what);
}

static struct store *
open_store(const char *directory, struct store_io *io)
{
	const struct store_spec spec = {
		.io = io,
		.segment_bytes = UINT64_C(16) << 20,
		.max_bytes = UINT64_C(16) << 30,
	};
	const struct store_sink sink = { .damaged = tell_damage };
	struct store *store;
	int err;

	err = store_io_posix_open(directory, false, io);
	if (err != 0)
		die(directory, err);
	err = store_open(&spec, &sink, &store);
	if (err != 0)
		die("open", err);
	return store;
}

static void
put(struct store *store, uint8_t kind, void *body, size_t size)
{
	uint64_t sequence;
	int err = store_append(store, kind, slice_of(body, size), &sequence);

	if (err != 0)
		die("append", err);
	free(body);
}

static void
put_session(struct store *store, const struct store_io *io, uint64_t cursor)
{
	const struct store_session session = {
		.cursor = cursor,
		.client_id = slice_of_string("away"),
		.account = slice_of_string(""),
		.expiry_ns = UINT64_MAX,
		.left_ns = io->wall_ns(io->context),
	};
	const struct store_subscribe subscribe = {
		.cursor = cursor,
		.qos = 1,
		.filter = slice_of_string("bench/#"),
	};
	void *body;
	int err;

	err = store_append_open(store, cursor);
	if (err != 0)
		die("append", err);
	body = malloc(store_session_size(&session));
	BUG_ON(body == NULL);
	store_session_write(&session, body);
	put(store, STORE_SESSION, body, store_session_size(&session));
	body = malloc(store_subscribe_size(&subscribe));
	BUG_ON(body == NULL);
	store_subscribe_write(&subscribe, body);
	put(store, STORE_SUBSCRIBE, body, store_subscribe_size(&subscribe));
}

static void
put_messages(struct store *store, const struct store_io *io, uint64_t cursor,
    uint64_t count)
{
	const struct store_delivery delivery = { .cursor = cursor, .qos = 1 };
	char payload[PAYLOAD + 1];
	struct store_message message = {
		.qos = 1,
		.source = { .link = UINT32_MAX },
		.identity = 1,
		.created_ns = io->wall_ns(io->context),
		.expires_ns = UINT64_MAX,
		.topic = slice_of_string("bench/recovery"),
		.payload = slice_of(payload, PAYLOAD),
		.deliveries = &delivery,
		.delivery_count = 1,
	};
	uint64_t sequence;
	int err;

	for (uint64_t i = 1; i <= count; i++) {
		snprintf(payload, sizeof(payload), "%-64" PRIu64, i);
		err = store_append_message(store, &message, &sequence);
		if (err == 0 && (i % BATCH == 0 || i == count))
			err = store_commit(store, false);
		if (err != 0)
			die("append", err);
	}
}

int
main(int argc, char **argv)
{
	struct store_io io;
	struct store *store;
	uint64_t cursor;

	if (argc != 3) {
		fprintf(stderr, "usage: fill-journal DIRECTORY MESSAGES\n");
		return 64;
	}
	store = open_store(argv[1], &io);
	cursor = store_next_cursor(store);
	put_session(store, &io, cursor);
	put_messages(store, &io, cursor, strtoull(argv[2], NULL, 10));
	store_close(store);
	store_io_posix_close(&io);
	return 0;
}
