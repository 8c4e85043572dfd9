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
void
packet_ids_fini(struct packet_ids *ids)
{
	free(ids->slots);
	*ids = (struct packet_ids){ 0 };
}

/* The slot of `id`, or the free one where it belongs. */
static uint32_t
find(const struct packet_ids *ids, uint16_t id)
{
	uint32_t at = id & (ids->size - 1);

	while (ids->slots[at] != 0 && ids->slots[at] != id)
		at = (at + 1) & (ids->size - 1);
	return at;
}

bool
packet_ids_has(const struct packet_ids *ids, uint16_t id)
{
	return ids->count != 0 && ids->slots[find(ids, id)] == id;
}

static int
grow(struct packet_ids *ids)
{
	struct packet_ids larger = { .count = ids->count };

	larger.size = ids->size == 0 ? FIRST_SIZE : ids->size * 2;
	larger.slots = calloc(larger.size, sizeof(*larger.slots));
	if (larger.slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < ids->size; i++)
		if (ids->slots[i] != 0)
			larger.slots[find(&larger, ids->slots[i])] =
			    ids->slots[i];
	free(ids->slots);
	*ids = larger;
	return 0;
}

int
packet_ids_add(struct packet_ids *ids, uint16_t id)
{
	uint32_t at;
	int err;

	if ((ids->count + 1) * 2 > ids->size) {
		err = grow(ids);
		if (err != 0)
			return err;
	}
	at = find(ids, id);
	if (ids->slots[at] == 0) {
		ids->slots[at] = id;
		ids->count++;
	}
	return 0;
}

bool
packet_ids_remove(struct packet_ids *ids, uint16_t id)
{
	uint32_t mask = ids->size - 1, hole, at, home;

	if (!packet_ids_has(ids, id))
		return false;

	/* Close the hole, so that no search ends too early. */
	hole = find(ids, id);
	for (at = (hole + 1) & mask; ids->slots[at] != 0;
	     at = (at + 1) & mask) {
		home = ids->slots[at] & mask;
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		ids->slots[hole] = ids->slots[at];
		hole = at;
	}
	ids->slots[hole] = 0;
	ids->count--;
	if (ids->count == 0 && ids->size > KEPT_SIZE)
		packet_ids_fini(ids);
	return true;
}
