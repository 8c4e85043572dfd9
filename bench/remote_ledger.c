/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/remote_ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

#define SLOTS (REMOTE_LEDGER_STREAMS * 4) /* a power of two */
#define FIRST_SIZE 4096

int
remote_ledger_init(struct remote_ledger *ledger, size_t max)
{
	*ledger = (struct remote_ledger){ .max = max };
	ledger->names = calloc(REMOTE_LEDGER_STREAMS, sizeof(*ledger->names));
	ledger->slots = calloc(SLOTS, sizeof(*ledger->slots));
	if (ledger->names != NULL && ledger->slots != NULL)
		return 0;
	remote_ledger_fini(ledger);
	return -ENOMEM;
}

void
remote_ledger_fini(struct remote_ledger *ledger)
{
	free(ledger->names);
	free(ledger->slots);
	free(ledger->entries);
	*ledger = (struct remote_ledger){ 0 };
}

/* "PRODUCER NUMBER " in front of the payload. */
static bool
split(struct slice payload, struct slice *out_producer, uint32_t *out_number)
{
	struct slice rest;
	uint64_t number = 0;
	size_t space, i;

	space = slice_find(payload, ' ');
	rest = slice_from(payload, space + 1);
	for (i = 0; i < rest.len && i < 10; i++) {
		if (rest.data[i] < '0' || rest.data[i] > '9')
			break;
		number = number * 10 + (uint64_t)(rest.data[i] - '0');
	}
	if (space == 0 || i == 0 || i == rest.len || rest.data[i] != ' ' ||
	    number > UINT32_MAX)
		return false;
	*out_producer = slice_of(payload.data, space);
	*out_number = (uint32_t)number;
	return true;
}

/* The stream of that name; REMOTE_LEDGER_STREAMS when there is no room. */
static unsigned
find_stream(struct remote_ledger *ledger, struct slice topic, struct slice from)
{
	char name[REMOTE_LEDGER_NAME];
	struct slice key;
	size_t slot;
	int length;

	length = snprintf(name, sizeof(name), "%.*s %.*s", (int)topic.len,
	    (const char *)topic.data, (int)from.len, (const char *)from.data);
	if (length < 0 || (size_t)length >= sizeof(name))
		return REMOTE_LEDGER_STREAMS;
	key = slice_of(name, (size_t)length);
	slot = (size_t)slice_hash(key, 0) & (SLOTS - 1);
	while (ledger->slots[slot] != 0) {
		if (slice_equal_string(
			key, ledger->names[ledger->slots[slot] - 1]))
			return ledger->slots[slot] - 1u;
		slot = (slot + 1) & (SLOTS - 1);
	}
	if (ledger->streams == REMOTE_LEDGER_STREAMS)
		return REMOTE_LEDGER_STREAMS;
	memcpy(ledger->names[ledger->streams], name, sizeof(name));
	ledger->slots[slot] = (uint16_t)(ledger->streams + 1);
	return ledger->streams++;
}

static bool
has_room(struct remote_ledger *ledger)
{
	struct remote_ledger_entry *entries;
	size_t size;

	if (ledger->count < ledger->size)
		return true;
	size = ledger->size == 0 ? FIRST_SIZE : ledger->size * 2;
	if (ledger->count >= ledger->max)
		return false;
	entries = realloc(ledger->entries, size * sizeof(*entries));
	if (entries == NULL)
		return false;
	ledger->entries = entries;
	ledger->size = size;
	return true;
}

void
remote_ledger_note(struct remote_ledger *ledger, struct slice topic,
    struct slice payload, struct remote_ledger_entry entry)
{
	struct slice producer;
	unsigned stream;

	if (!split(payload, &producer, &entry.number)) {
		ledger->foreign++;
		return;
	}
	stream = find_stream(ledger, topic, producer);
	if (stream == REMOTE_LEDGER_STREAMS || !has_room(ledger)) {
		ledger->missed++;
		return;
	}
	entry.stream = (uint16_t)stream;
	ledger->entries[ledger->count++] = entry;
}

int
remote_ledger_write(const struct remote_ledger *ledger, const char *path)
{
	const struct remote_ledger_entry *entry;
	FILE *file = fopen(path, "we");
	bool is_bad;

	if (file == NULL)
		return -errno;
	for (size_t i = 0; i < ledger->count; i++) {
		entry = &ledger->entries[i];
		fprintf(file,
		    "%" PRIu32 " %" PRIu32 " %" PRIu64 " %u %s%s%s %s %" PRIu32
		    "\n",
		    entry->connection, entry->position,
		    entry->arrived_ns / CLOCK_US_NS, entry->qos,
		    entry->is_dup ? "d" : "", entry->is_refused ? "r" : "",
		    entry->is_dup || entry->is_refused ? "" : "-",
		    ledger->names[entry->stream], entry->number);
	}
	is_bad = ferror(file) != 0;
	return fclose(file) != 0 || is_bad ? -EIO : 0;
}
