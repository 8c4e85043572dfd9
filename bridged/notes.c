/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/notes.h"

#include <string.h>

#include "common/base/bug.h"

#define KEY(id, lane) ((uint64_t)(id) | (uint64_t)(lane) << 16)
#define KEY_ID(key) ((uint16_t)((key)&0xffff))
#define KEY_LANE(key) ((uint32_t)((key) >> 16 & 0xff))
#define KEY_BITS UINT64_C(0xffffff)

/* Uncommitted records that an honest life may leave noted in a lane. */
#define MOST_UNCOMMITTED UINT64_C(65536)

/*
 * The reader is a process that begins when the writer is dead: it sees every
 * store that came before, in the order of the program.  Release keeps the
 * compiler to that order.
 */
static void
store(_Atomic uint64_t *field, uint64_t value)
{
	/* release: see above; pairs with load() in the next life */
	atomic_store_explicit(field, value, memory_order_release);
}

static uint64_t
load(const _Atomic uint64_t *field)
{
	/* relaxed: our own memory; a former writer is dead */
	return atomic_load_explicit(field, memory_order_relaxed);
}

/* FNV-1a, with the NUL. */
static uint64_t
hash_string(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	while (*text++ != '\0');
	return hash;
}

uint64_t
notes_remote(const char *host, uint16_t port, const char *client_id)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ port;

	return hash_string(hash_string(hash, host), client_id);
}

static void
set_taken(struct notes *notes, size_t slot, uint16_t id)
{
	notes->taken_id[slot] = id;
	notes->taken_bits[id / 8] |= (uint8_t)(1u << id % 8);
	notes->taken_doubt[slot] = false;
	notes->taken_count++;
}

static void
clear_taken(struct notes *notes, size_t slot)
{
	uint16_t id = notes->taken_id[slot];

	notes->taken_bits[id / 8] &= (uint8_t) ~(1u << id % 8);
	notes->taken_id[slot] = 0;
	notes->taken_count--;
}

static void
forget_doubts(struct notes *notes)
{
	memset(notes->taken_doubt, 0, sizeof(notes->taken_doubt));
	notes->doubts = 0;
}

/* ---- taking them over ------------------------------------------------ */

static bool
is_zero(const struct notes_memory *memory)
{
	static const uint8_t zero[RING_PAGE];
	const uint8_t *bytes = (const uint8_t *)memory;

	for (size_t at = 0; at < sizeof(*memory); at += sizeof(zero))
		if (memcmp(bytes + at, zero, sizeof(zero)) != 0)
			return false;
	return true;
}

static const char *
taken_fault(
    const struct notes_memory *memory, const uint64_t committed[RING_LANES])
{
	uint8_t seen[8192] = { 0 };
	uint64_t key, sequence;

	for (size_t i = 0; i < NOTES_TAKEN; i++) {
		key = load(&memory->taken[i].key);
		sequence = load(&memory->taken[i].sequence);
		if (key == 0)
			continue;
		if ((key & ~KEY_BITS) != 0 || KEY_ID(key) == 0 ||
		    KEY_LANE(key) >= RING_LANES)
			return "a received message has no such identifier "
			       "and lane";
		if ((seen[KEY_ID(key) / 8] >> KEY_ID(key) % 8 & 1) != 0)
			return "a received message is noted twice";
		seen[KEY_ID(key) / 8] |= (uint8_t)(1u << KEY_ID(key) % 8);
		if (sequence > committed[KEY_LANE(key)] + MOST_UNCOMMITTED)
			return "a received message is far beyond its lane";
	}
	return NULL;
}

static const char *
kept_fault(const struct notes_memory *memory)
{
	uint64_t published = load(&memory->published), sequence;

	for (size_t i = 0; i < NOTES_KEPT; i++) {
		sequence = load(&memory->kept[i]);
		if (sequence != 0 && sequence % NOTES_KEPT != i)
			return "a sent message is noted in another's place";
		if (sequence > published)
			return "a message is noted that was never sent";
	}
	return NULL;
}

static const char *
find_fault(
    const struct notes_memory *memory, const uint64_t committed[RING_LANES])
{
	const char *fault;

	if (load(&memory->magic) != NOTES_MAGIC)
		return "they are not notes";
	if (memory->version != NOTES_VERSION ||
	    memory->length != sizeof(*memory))
		return "they are of another version";
	if (load(&memory->claimed) != 0 && load(&memory->claim_first) == 0)
		return "identifiers are claimed from nowhere on";
	if (load(&memory->connecting) > NOTES_IN_DOUBT)
		return "the connection is in no known state";
	fault = kept_fault(memory);
	return fault != NULL ? fault : taken_fault(memory, committed);
}

/* What this process knows to be in a lane, into memory that does not. */
static void
write_taken(struct notes *notes)
{
	struct notes_taken_slot *slot = notes->memory->taken;

	for (size_t i = 0; i < NOTES_TAKEN; i++)
		if (notes->taken_id[i] != 0)
			store(&slot[i].key, KEY(notes->taken_id[i], 0));
}

/* Half of it is no notes: the magic goes first and comes last. */
static void
begin(struct notes *notes, uint64_t remote)
{
	struct notes_memory *memory = notes->memory;

	store(&memory->magic, 0);
	memset(memory, 0, sizeof(*memory));
	memory->version = NOTES_VERSION;
	memory->length = sizeof(*memory);
	memory->remote = remote;
	/* What became of the session since the last link is not known. */
	store(&memory->connecting,
	    notes->taken_count == 0 ? NOTES_CONNECTED : NOTES_CONNECTING);
	write_taken(notes);
	store(&memory->magic, NOTES_MAGIC);
}

static void
read_taken(struct notes *notes, const uint64_t committed[RING_LANES])
{
	struct notes_taken_slot *slot = notes->memory->taken;
	uint64_t key;

	forget_doubts(notes);
	memset(notes->taken_id, 0, sizeof(notes->taken_id));
	memset(notes->taken_bits, 0, sizeof(notes->taken_bits));
	notes->taken_count = 0;
	for (size_t i = 0; i < NOTES_TAKEN; i++) {
		key = load(&slot[i].key);
		if (key == 0)
			continue;
		if (load(&slot[i].sequence) > committed[KEY_LANE(key)]) {
			/* It was noted for a commit that never came. */
			store(&slot[i].key, 0);
			continue;
		}
		/* True from now on, whatever becomes of the lane. */
		store(&slot[i].sequence, 0);
		set_taken(notes, i, KEY_ID(key));
	}
}

static enum notes_found
resume(
    struct notes *notes, uint64_t remote, const uint64_t committed[RING_LANES])
{
	struct notes_memory *memory = notes->memory;

	read_taken(notes, committed);
	if (memory->remote == remote)
		return NOTES_RESUMED;
	/* The other one's identifiers; what it has, it has. */
	notes_release_all(notes);
	store(&memory->claimed, 0);
	store(&memory->claim_first, 0);
	store(&memory->connecting, NOTES_CONNECTED);
	memory->remote = remote;
	return NOTES_OTHER;
}

enum notes_found
notes_open(struct notes *notes, struct notes_memory *memory, uint64_t remote,
    const uint64_t committed[RING_LANES], const char **out_fault)
{
	bool is_new = is_zero(memory);
	const char *fault;

	BUG_ON(notes->memory != NULL);
	notes->memory = memory;
	fault = is_new ? NULL : find_fault(memory, committed);
	if (!is_new && fault == NULL)
		return resume(notes, remote, committed);
	begin(notes, remote);
	if (is_new)
		return NOTES_NEW;
	*out_fault = fault;
	return NOTES_DAMAGED;
}

void
notes_close(struct notes *notes)
{
	if (notes->memory == NULL)
		return;
	/* What was not confirmed may not be there: the next link decides. */
	for (size_t i = 0; i < NOTES_TAKEN; i++)
		if (notes->taken_id[i] != 0 &&
		    load(&notes->memory->taken[i].sequence) != 0)
			clear_taken(notes, i);
	forget_doubts(notes);
	notes->memory = NULL;
}

/* ---- to the remote --------------------------------------------------- */

void
notes_publishing(struct notes *notes, uint64_t sequence)
{
	if (sequence > load(&notes->memory->published))
		store(&notes->memory->published, sequence);
}

uint64_t
notes_published(const struct notes *notes)
{
	return load(&notes->memory->published);
}

/* The record that had this place before has left the ring. */
void
notes_keep(struct notes *notes, uint64_t sequence)
{
	store(&notes->memory->kept[sequence % NOTES_KEPT], sequence);
}

bool
notes_is_kept(const struct notes *notes, uint64_t sequence)
{
	return load(&notes->memory->kept[sequence % NOTES_KEPT]) == sequence;
}

bool
notes_is_claimed(const struct notes *notes, uint64_t sequence)
{
	return sequence <= notes_claimed(notes);
}

uint64_t
notes_claimed(const struct notes *notes)
{
	return load(&notes->memory->claimed);
}

/* After a gap the round begins anew; until `claimed` follows, less is known. */
void
notes_claim(struct notes *notes, uint64_t first, uint64_t last, uint64_t ids)
{
	struct notes_memory *memory = notes->memory;
	uint64_t claimed = load(&memory->claimed);

	if (claimed == 0 || first > claimed + 1 ||
	    load(&memory->claim_first) > first)
		store(&memory->claim_first, first);
	if (last - load(&memory->claim_first) >= ids - 1)
		last = NOTES_ALL_CLAIMED;
	store(&memory->claimed, last);
}

void
notes_claim_all(struct notes *notes)
{
	store(&notes->memory->claim_first, 1);
	store(&notes->memory->claimed, NOTES_ALL_CLAIMED);
}

/* ---- from the remote ------------------------------------------------- */

bool
notes_has_room(const struct notes *notes)
{
	return notes->taken_count < NOTES_TAKEN;
}

/* The slot of an identifier, of a free one with 0; NOTES_TAKEN: none. */
static size_t
find_slot(const struct notes *notes, uint16_t id)
{
	size_t slot = 0;

	while (slot < NOTES_TAKEN && notes->taken_id[slot] != id)
		slot++;
	return slot;
}

size_t
notes_take(struct notes *notes, uint16_t id, uint32_t lane, uint64_t sequence)
{
	size_t slot = find_slot(notes, 0);

	BUG_ON(id == 0 || slot == NOTES_TAKEN || notes_is_taken(notes, id));
	store(&notes->memory->taken[slot].sequence, sequence);
	store(&notes->memory->taken[slot].key, KEY(id, lane));
	set_taken(notes, slot, id);
	return slot;
}

void
notes_confirm(struct notes *notes, size_t slot)
{
	store(&notes->memory->taken[slot].sequence, 0);
}

bool
notes_is_taken(const struct notes *notes, uint16_t id)
{
	return (notes->taken_bits[id / 8] >> id % 8 & 1) != 0;
}

/* No more doubts: the session is the one that we know. */
static void
end_doubts(struct notes *notes)
{
	if (notes->doubts == 0 && notes->memory != NULL)
		store(&notes->memory->connecting, NOTES_CONNECTED);
}

static void
release_slot(struct notes *notes, size_t slot)
{
	if (notes->memory != NULL)
		store(&notes->memory->taken[slot].key, 0);
	clear_taken(notes, slot);
	if (!notes->taken_doubt[slot])
		return;
	notes->taken_doubt[slot] = false;
	notes->doubts--;
	end_doubts(notes);
}

bool
notes_release(struct notes *notes, uint16_t id)
{
	if (!notes_is_taken(notes, id))
		return false;
	release_slot(notes, find_slot(notes, id));
	return true;
}

void
notes_release_all(struct notes *notes)
{
	for (size_t slot = 0; slot < NOTES_TAKEN; slot++)
		if (notes->taken_id[slot] != 0)
			release_slot(notes, slot);
}

uint16_t
notes_next_taken(const struct notes *notes, size_t *at)
{
	while (*at < NOTES_TAKEN)
		if (notes->taken_id[(*at)++] != 0)
			return notes->taken_id[*at - 1];
	return 0;
}

/* ---- is it the same session? ----------------------------------------- */

void
notes_connecting(struct notes *notes)
{
	if (load(&notes->memory->connecting) == NOTES_CONNECTED)
		store(&notes->memory->connecting, NOTES_CONNECTING);
	else
		store(&notes->memory->connecting, NOTES_IN_DOUBT);
}

bool
notes_connected(struct notes *notes, bool session_present)
{
	bool was_in_doubt = load(&notes->memory->connecting) == NOTES_IN_DOUBT;

	forget_doubts(notes);
	if (!session_present)
		notes_release_all(notes);
	for (size_t slot = 0; was_in_doubt && slot < NOTES_TAKEN; slot++) {
		notes->taken_doubt[slot] = notes->taken_id[slot] != 0;
		notes->doubts += notes->taken_doubt[slot];
	}
	end_doubts(notes);
	return notes->doubts == 0;
}

bool
notes_is_in_doubt(const struct notes *notes)
{
	return notes->doubts != 0;
}

size_t
notes_release_doubts(struct notes *notes)
{
	size_t count = notes->doubts;

	for (size_t slot = 0; slot < NOTES_TAKEN; slot++)
		if (notes->taken_doubt[slot])
			release_slot(notes, slot);
	return count;
}
