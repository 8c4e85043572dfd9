/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/packet_ids.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SIZE 16

/* Not freed when empty: who sends QoS 2 messages sends more of them. */
#define KEPT_SIZE 256

/*
 * Open addressing with linear probing, at most half full.  Clients number
 * their messages in sequence, so the identifier itself is a good hash.
 */
struct packet_id_table {
	uint32_t size; /* a power of two */
	uint32_t count;
	uint16_t slots[]; /* 0: free */
};

void
packet_ids_fini(struct packet_ids *ids)
{
	free(ids->table);
	ids->table = NULL;
}

uint32_t
packet_ids_count(const struct packet_ids *ids)
{
	return ids->table == NULL ? 0 : ids->table->count;
}

/* The slot of `id`, or the free one where it belongs. */
static uint32_t
find(const struct packet_id_table *table, uint16_t id)
{
	uint32_t at = id & (table->size - 1);

	while (table->slots[at] != 0 && table->slots[at] != id)
		at = (at + 1) & (table->size - 1);
	return at;
}

bool
packet_ids_has(const struct packet_ids *ids, uint16_t id)
{
	const struct packet_id_table *table = ids->table;

	return table != NULL && table->slots[find(table, id)] == id;
}

static int
grow(struct packet_ids *ids)
{
	const uint32_t size =
	    ids->table == NULL ? FIRST_SIZE : ids->table->size * 2;
	struct packet_id_table *larger;
	uint32_t at = 0;
	uint16_t id;

	larger = calloc(1, sizeof(*larger) + size * sizeof(larger->slots[0]));
	if (larger == NULL)
		return -ENOMEM;
	larger->size = size;
	larger->count = packet_ids_count(ids);
	while ((id = packet_ids_next(ids, &at)) != 0)
		larger->slots[find(larger, id)] = id;
	free(ids->table);
	ids->table = larger;
	return 0;
}

int
packet_ids_add(struct packet_ids *ids, uint16_t id)
{
	uint32_t at;
	int err;

	if (ids->table == NULL ||
	    (ids->table->count + 1) * 2 > ids->table->size) {
		err = grow(ids);
		if (err != 0)
			return err;
	}
	at = find(ids->table, id);
	if (ids->table->slots[at] == 0) {
		ids->table->slots[at] = id;
		ids->table->count++;
	}
	return 0;
}

bool
packet_ids_remove(struct packet_ids *ids, uint16_t id)
{
	struct packet_id_table *table = ids->table;
	uint32_t mask, hole, at, home;

	if (!packet_ids_has(ids, id))
		return false;

	/* Close the hole, so that no search ends too early. */
	mask = table->size - 1;
	hole = find(table, id);
	for (at = (hole + 1) & mask; table->slots[at] != 0;
	     at = (at + 1) & mask) {
		home = table->slots[at] & mask;
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		table->slots[hole] = table->slots[at];
		hole = at;
	}
	table->slots[hole] = 0;
	table->count--;
	if (table->count == 0 && table->size > KEPT_SIZE)
		packet_ids_fini(ids);
	return true;
}

uint16_t
packet_ids_next(const struct packet_ids *ids, uint32_t *at)
{
	const struct packet_id_table *table = ids->table;

	while (table != NULL && *at < table->size)
		if (table->slots[(*at)++] != 0)
			return table->slots[*at - 1];
	return 0;
}
