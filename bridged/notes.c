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

static uint64_t
bit_of(uint16_t id)
{
	return UINT64_C(1) << id % 64;
}

static void
set_taken(struct notes *notes, uint16_t id)
{
	notes->taken[id / 64] |= bit_of(id);
	notes->taken_count++;
}

static void
clear_taken(struct notes *notes, uint16_t id)
{
	notes->taken[id / 64] &= ~bit_of(id);
	notes->taken_count--;
}

/* The word of shared memory, as our own has it but for those in slots. */
static void
store_bit(struct notes *notes, uint16_t id, bool value)
{
	_Atomic uint64_t *word = &notes->memory->taken[id / 64];

	store(word, value ? load(word) | bit_of(id) : load(word) & ~bit_of(id));
}

static void
free_slot(struct notes *notes, size_t slot)
{
	store(&notes->memory->slot[slot].key, 0);
	notes->slot_id[slot] = 0;
	notes->slot_count--;
}

static void
forget_doubts(struct notes *notes)
{
	memset(notes->doubt, 0, sizeof(notes->doubt));
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
slot_fault(
    const struct notes_memory *memory, const uint64_t committed[RING_LANES])
{
	uint64_t seen[1024] = { 0 }, key;
	uint16_t id;

	if ((load(&memory->taken[0]) & 1) != 0)
		return "a received message has no identifier";
	for (size_t i = 0; i < NOTES_SLOTS; i++) {
		key = load(&memory->slot[i].key);
		id = KEY_ID(key);
		if (key == 0)
			continue;
		if ((key & ~KEY_BITS) != 0 || id == 0 ||
		    KEY_LANE(key) >= RING_LANES)
			return "a received message has no such identifier "
			       "and lane";
		if ((seen[id / 64] & bit_of(id)) != 0)
			return "a received message is noted twice";
		seen[id / 64] |= bit_of(id);
		if (load(&memory->slot[i].sequence) >
		    committed[KEY_LANE(key)] + MOST_UNCOMMITTED)
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
	return fault != NULL ? fault : slot_fault(memory, committed);
}

/* What this process knows to be in a lane, into memory that does not. */
static void
write_taken(struct notes *notes)
{
	for (size_t i = 0; i < 1024; i++)
		if (notes->taken[i] != 0)
			store(&notes->memory->taken[i], notes->taken[i]);
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

/* What was noted for a commit that never came is erased. */
static void
settle_slots(struct notes *notes, const uint64_t committed[RING_LANES])
{
	struct notes_slot *slot = notes->memory->slot;
	uint64_t key;

	for (size_t i = 0; i < NOTES_SLOTS; i++) {
		key = load(&slot[i].key);
		if (key == 0)
			continue;
		if (load(&slot[i].sequence) <= committed[KEY_LANE(key)])
			store_bit(notes, KEY_ID(key), true);
		store(&slot[i].key, 0);
	}
}

static void
read_taken(struct notes *notes)
{
	memset(notes->slot_id, 0, sizeof(notes->slot_id));
	notes->slot_count = 0;
	notes->taken_count = 0;
	forget_doubts(notes);
	for (size_t i = 0; i < 1024; i++) {
		notes->taken[i] = load(&notes->memory->taken[i]);
		notes->taken_count +=
		    (size_t)__builtin_popcountll(notes->taken[i]);
	}
}

static enum notes_found
resume(
    struct notes *notes, uint64_t remote, const uint64_t committed[RING_LANES])
{
	struct notes_memory *memory = notes->memory;

	settle_slots(notes, committed);
	read_taken(notes);
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
	for (size_t i = 0; i < NOTES_SLOTS; i++)
		if (notes->slot_id[i] != 0)
			clear_taken(notes, notes->slot_id[i]);
	memset(notes->slot_id, 0, sizeof(notes->slot_id));
	notes->slot_count = 0;
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
	return notes->slot_count < NOTES_SLOTS;
}

size_t
notes_take(struct notes *notes, uint16_t id, uint32_t lane, uint64_t sequence)
{
	size_t slot = 0;

	BUG_ON(id == 0 || notes_is_taken(notes, id) || !notes_has_room(notes));
	while (notes->slot_id[slot] != 0)
		slot++;
	store(&notes->memory->slot[slot].sequence, sequence);
	store(&notes->memory->slot[slot].key, KEY(id, lane));
	notes->slot_id[slot] = id;
	notes->slot_count++;
	set_taken(notes, id);
	return slot;
}

/* Between the two stores it is noted in both places, which is as true. */
void
notes_confirm(struct notes *notes, size_t slot)
{
	store_bit(notes, notes->slot_id[slot], true);
	free_slot(notes, slot);
}

bool
notes_is_taken(const struct notes *notes, uint16_t id)
{
	return (notes->taken[id / 64] & bit_of(id)) != 0;
}

/* No more doubts: the session is the one that we know. */
static void
end_doubts(struct notes *notes)
{
	if (notes->doubts == 0)
		store(&notes->memory->connecting, NOTES_CONNECTED);
}

bool
notes_release(struct notes *notes, uint16_t id)
{
	if (!notes_is_taken(notes, id))
		return false;
	store_bit(notes, id, false);
	for (size_t slot = 0; notes->slot_count != 0 && slot < NOTES_SLOTS;
	     slot++)
		if (notes->slot_id[slot] == id)
			free_slot(notes, slot);
	clear_taken(notes, id);
	if ((notes->doubt[id / 64] & bit_of(id)) != 0) {
		notes->doubt[id / 64] &= ~bit_of(id);
		notes->doubts--;
		end_doubts(notes);
	}
	return true;
}

void
notes_release_all(struct notes *notes)
{
	uint16_t id = 0;

	while ((id = notes_next_taken(notes, id)) != 0)
		notes_release(notes, id);
}

uint16_t
notes_next_taken(const struct notes *notes, uint16_t id)
{
	if (notes->taken_count == 0)
		return 0;
	for (uint32_t next = id + 1u; next <= UINT16_MAX; next++)
		if (notes_is_taken(notes, (uint16_t)next))
			return (uint16_t)next;
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
	if (was_in_doubt) {
		memcpy(notes->doubt, notes->taken, sizeof(notes->doubt));
		notes->doubts = notes->taken_count;
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
	uint16_t id = 0;

	while (notes->doubts != 0 && (id = notes_next_taken(notes, id)) != 0)
		if ((notes->doubt[id / 64] & bit_of(id)) != 0)
			notes_release(notes, id);
	return count;
}
