/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_producer_private.h"

#include <errno.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

/* Bytes to the end of the class, if the record does not fit before it. */
static uint64_t
pad_before(const struct ring_producer *p, uint64_t need)
{
	uint64_t contiguous;

	contiguous = p->size - (p->position & (p->size - 1));
	return need > contiguous ? contiguous : 0;
}

int
ring_producer_read_tail(struct ring_producer *p)
{
	uint64_t position, word;

	/* acquire: pairs with the store in ring_release(); the consumer has
	 * read what we are about to overwrite. */
	word = atomic_load_explicit(&p->m.peer->tail, memory_order_acquire);
	position = RING_POSITION(word);
	if (position < p->tail)
		return ring_producer_poison(
		    p, "the consumer's tail went backwards");
	if (position > p->committed)
		return ring_producer_poison(
		    p, "the consumer's tail is beyond the head");
	if (!ring_regions_has(&p->regions, word))
		return ring_producer_poison(
		    p, "the consumer is in a size class never used");
	p->tail = position;
	ring_regions_release(&p->regions, position);
	return 0;
}

static int
read_limit(struct ring_producer *p)
{
	uint64_t limit;

	/* relaxed: credit carries no data; the tail says what is free */
	limit = atomic_load_explicit(&p->m.peer->limit, memory_order_relaxed);
	if (limit < p->limit)
		return ring_producer_poison(
		    p, "the consumer lowered its limit");
	p->limit = limit;
	return 0;
}

/*
 * Is there room and credit for a record that takes `need` bytes, with a
 * SWITCH to spare?  What the peer wrote is read again only on shortage.
 * Returns 0, -EPROTO, or -EAGAIN with *out_shortage set.
 */
static int
find_room(struct ring_producer *p, uint64_t need, struct ring_place *out_place,
    enum ring_shortage *out_shortage)
{
	uint64_t pad = pad_before(p, need);

	/* A PAD needs no credit, or an empty lane could stall for ever. */
	if (p->position >= p->limit) {
		if (read_limit(p) != 0)
			return -EPROTO;
		if (p->position >= p->limit) {
			*out_shortage = RING_SHORT_OF_CREDIT;
			return -EAGAIN;
		}
	}
	if (pad + need + RING_ALIGN > ring_producer_free_space(p)) {
		if (ring_producer_read_tail(p) != 0)
			return -EPROTO;
		if (pad + need + RING_ALIGN > ring_producer_free_space(p)) {
			*out_shortage = RING_SHORT_OF_SPACE;
			return ring_producer_find_larger(p, need, out_place)
			    ? 0
			    : -EAGAIN;
		}
	}
	*out_place =
	    (struct ring_place){ .class = p->regions.class, .pad = pad };
	return 0;
}

size_t
ring_producer_max_payload(const struct ring_producer *producer)
{
	return ring_producer_max_capacity(producer) / 4 -
	    sizeof(struct ring_record);
}

void
ring_producer_stall(struct ring_producer *producer, uint64_t now_ns)
{
	if (producer->stalled_since_ns != 0)
		return;
	producer->stalled_since_ns = now_ns;
	ring_producer_count(&producer->m.own->stalls, 1);
	/* relaxed: statistics */
	atomic_store_explicit(
	    &producer->m.own->stalled_since_ns, now_ns, memory_order_relaxed);
}

void
ring_producer_unstall(struct ring_producer *producer, uint64_t now_ns)
{
	struct ring_lane_producer *own = producer->m.own;

	producer->shortage = RING_SHORT_OF_NOTHING;
	if (producer->stalled_since_ns == 0)
		return;
	if (now_ns > producer->stalled_since_ns)
		ring_producer_count(
		    &own->stalled_ns, now_ns - producer->stalled_since_ns);
	producer->stalled_since_ns = 0;
	/* relaxed: statistics */
	atomic_store_explicit(&own->stalled_since_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&own->unstalled_ns, now_ns, memory_order_relaxed);
}

/* Where the record's header goes in the class that it goes to. */
static uint8_t *
address_of(const struct ring_producer *p, const struct ring_place *place)
{
	uint64_t begin = p->position + place->pad, size;

	if (place->class == p->regions.class)
		return p->region + (begin & (p->size - 1));
	size = ring_class_size(p->m.min_shift, place->class);
	return (uint8_t *)p->m.data +
	    ring_class_offset(p->m.min_shift, place->class) +
	    ((begin + RING_ALIGN) & (size - 1));
}

/* Room and credit in this class, without asking the peer or a PAD. */
static inline bool
fits_here(const struct ring_producer *p, uint64_t need)
{
	uint64_t begin = p->position & (p->size - 1);

	return p->position < p->limit && need <= p->size - begin &&
	    need + RING_ALIGN <= ring_producer_free_space(p) &&
	    p->stalled_since_ns == 0 && p->fault == NULL;
}

int
ring_claim(struct ring_producer *producer, size_t length, void **out_payload)
{
	struct ring_producer *p = producer;
	int err;

	if (length <= p->max_payload &&
	    fits_here(p, ring_record_size(length))) {
		p->claimed_place = (struct ring_place){ p->regions.class, 0 };
		p->shortage = RING_SHORT_OF_NOTHING;
		p->claimed = length;
		*out_payload = ring_producer_place_at(p, p->position) + 1;
		return 0;
	}
	if (p->fault != NULL)
		return -EPROTO;
	if (length > p->max_payload)
		return -EMSGSIZE;

	err = find_room(
	    p, ring_record_size(length), &p->claimed_place, &p->shortage);
	if (err == -EAGAIN && p->stalled_since_ns == 0)
		ring_producer_stall(p, clock_now_ns());
	if (err != 0)
		return err;
	if (p->stalled_since_ns != 0)
		ring_producer_unstall(p, clock_now_ns());

	p->shortage = RING_SHORT_OF_NOTHING;
	p->claimed = length;
	*out_payload =
	    address_of(p, &p->claimed_place) + sizeof(struct ring_record);
	return 0;
}

enum ring_shortage
ring_producer_shortage(const struct ring_producer *producer)
{
	return producer->shortage;
}

static void
write_pad(struct ring_producer *p, uint64_t bytes)
{
	*ring_producer_place_at(p, p->position) = (struct ring_record){
		.type = RING_PAD,
		.length = (uint32_t)(bytes - sizeof(struct ring_record)),
	};
	p->position += bytes;
}

/* What comes before the record claimed. */
static void
go_to_place(struct ring_producer *p)
{
	const struct ring_place *place = &p->claimed_place;

	if (place->class != p->regions.class)
		ring_producer_switch(p, place->class);
	if (place->pad != 0)
		write_pad(p, place->pad);
}

void
ring_put(struct ring_producer *producer, const struct ring_record *record)
{
	struct ring_producer *p = producer;
	struct ring_record *place;

	BUG_ON(p->claimed == NOTHING_CLAIMED);
	BUG_ON(record->length != 0 && record->length != p->claimed);

	go_to_place(p);
	p->sequence++;
	p->bytes += p->claimed;
	/*
	 * Field by field: a copy of the whole would read wide what was just
	 * written narrow, which costs as much as all the rest of this.
	 */
	place = ring_producer_place_at(p, p->position);
	place->length = (uint32_t)p->claimed;
	place->type = RING_DATA;
	place->kind = record->kind;
	place->source_lane = record->source_lane;
	place->sequence = p->sequence;
	place->correlation = record->correlation;
	place->source_sequence = record->source_sequence;
	place->source_link = record->source_link;
	place->crc = record->crc;
	place->identity = record->identity;
	place->time_ns = record->time_ns;
	place->flags = record->flags;
	place->class = 0;
	p->position += ring_record_size(p->claimed);
	p->claimed = NOTHING_CLAIMED;
}

bool
ring_commit(struct ring_producer *producer, uint64_t now_ns)
{
	struct ring_producer *p = producer;
	struct ring_lane_producer *own = p->m.own;
	struct ring_sequence_slot *slot = &own->sequence[p->next_slot];
	uint64_t word = RING_WORD(p->position, p->regions.class);

	/* What was put is whole, also when the peer is at fault since. */
	if (p->position == p->committed)
		return false;
	/*
	 * The slot becomes true at the head stored below; relaxed, because
	 * that store orders both before it.
	 */
	atomic_store_explicit(&slot->head, word, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->sequence, p->sequence, memory_order_relaxed);
	/* release: pairs with the load in refresh_head() of the consumer;
	 * headers and payloads are complete before head covers them. */
	atomic_store_explicit(&p->m.head->word, word, memory_order_release);

	p->next_slot = 1 - p->next_slot;
	p->committed = p->position;
	p->committed_sequence = p->sequence;
	p->committed_bytes = p->bytes;
	/* relaxed: statistics */
	atomic_store_explicit(&own->bytes, p->bytes, memory_order_relaxed);
	atomic_store_explicit(&own->committed_ns, now_ns, memory_order_relaxed);
	if (p->regions.uncommitted != 0)
		ring_producer_commit_class(p);
	if (p->committed - p->tail > p->noted)
		ring_producer_note_fill(p);
	return true;
}

uint64_t
ring_producer_next_head(const struct ring_producer *producer)
{
	return RING_WORD(producer->position, producer->regions.class);
}

void
ring_abort(struct ring_producer *producer)
{
	producer->position = producer->committed;
	producer->sequence = producer->committed_sequence;
	producer->bytes = producer->committed_bytes;
	producer->claimed = NOTHING_CLAIMED;
	if (producer->regions.uncommitted != 0) {
		ring_regions_abort(&producer->regions);
		ring_producer_work_in_class(producer);
	}
}

bool
ring_producer_has_room(struct ring_producer *producer, size_t length)
{
	enum ring_shortage shortage;
	struct ring_place place;

	return producer->fault == NULL &&
	    length <= ring_producer_max_payload(producer) &&
	    find_room(producer, ring_record_size(length), &place, &shortage) ==
	    0;
}

/*
 * In this class alone, with credit for `credit` bytes.  Beyond the end of the
 * class there is one pad, shorter than the record that needs it; up to the
 * end there is none.
 */
static uint64_t
free_in_class(const struct ring_producer *p, uint64_t credit, uint64_t record)
{
	uint64_t reach = ring_producer_free_space(p), to_end;

	reach = reach > RING_ALIGN ? reach - RING_ALIGN : 0;
	if (reach > credit)
		reach = credit;
	to_end = p->size - (p->position & (p->size - 1));
	if (reach <= to_end)
		return reach;
	record -= RING_ALIGN;
	return reach - to_end > record ? reach - record : to_end;
}

uint64_t
ring_producer_free_bytes(struct ring_producer *producer, size_t largest)
{
	struct ring_producer *p = producer;
	uint64_t credit, free_here, record = ring_record_size(largest);

	if (p->fault != NULL || ring_producer_read_tail(p) != 0 ||
	    read_limit(p) != 0)
		return 0;
	credit = p->limit > p->position ? p->limit - p->position : 0;
	free_here = ring_producer_free_space(p);
	if (p->is_starved || credit <= free_here)
		return free_in_class(p, credit, record);
	/* A class is left when a record does not fit: less than one is lost
	 * there, and a pad and the SWITCHes in the next. */
	return free_in_class(p, credit, record) +
	    ring_regions_spare(&p->regions, credit - free_here, 3 * record);
}

uint64_t
ring_producer_used_bytes(struct ring_producer *producer)
{
	if (producer->fault == NULL)
		(void)ring_producer_read_tail(producer);
	return producer->position - producer->tail;
}

uint64_t
ring_producer_tail(struct ring_producer *producer)
{
	struct ring_producer *p = producer;

	if (p->fault == NULL)
		(void)ring_producer_read_tail(p);
	return RING_WORD(p->tail, ring_regions_class_of(&p->regions, p->tail));
}

void
ring_producer_remote_id(
    const struct ring_producer *producer, uint64_t out_id[2])
{
	/* relaxed: as in ring_consumer_set_remote_id() */
	for (unsigned i = 0; i < 2; i++)
		out_id[i] = atomic_load_explicit(
		    &producer->m.peer->remote_id[i], memory_order_relaxed);
}

uint64_t
ring_producer_sequence(const struct ring_producer *producer)
{
	return producer->sequence;
}

bool
ring_producer_is_drained(struct ring_producer *producer)
{
	return ring_producer_used_bytes(producer) == 0;
}

bool
ring_producer_drop_oldest(struct ring_producer *producer, size_t length)
{
	struct ring_producer *p = producer;
	uint64_t before, need, old, wanted;

	if (p->fault != NULL || ring_producer_read_tail(p) != 0)
		return false;
	need = ring_record_size(length);
	wanted = pad_before(p, need) + need + RING_ALIGN;
	if (wanted > p->size)
		wanted = p->size;
	if (wanted <= ring_producer_free_space(p) ||
	    ring_producer_can_grow(p, need))
		return false;
	before = p->tail > p->entered ? p->tail : p->entered;
	before += wanted - ring_producer_free_space(p);
	if (before > p->committed)
		before = p->committed;
	/* relaxed: a hint; the consumer compares it with its own cursor */
	old =
	    atomic_load_explicit(&p->m.own->drop_before, memory_order_relaxed);
	if (before <= RING_POSITION(old))
		return false;
	atomic_store_explicit(&p->m.own->drop_before,
	    RING_WORD(before, p->regions.class), memory_order_relaxed);
	return true;
}

uint64_t
ring_producer_capacity(const struct ring_producer *producer)
{
	return producer->size;
}

uint64_t
ring_producer_max_capacity(const struct ring_producer *producer)
{
	return ring_class_size(producer->m.min_shift, producer->m.classes - 1);
}

void
ring_producer_count_refused(struct ring_producer *producer)
{
	ring_producer_count(&producer->m.own->refused, 1);
}

void
ring_producer_count_dropped(struct ring_producer *producer)
{
	ring_producer_count(&producer->m.own->offered_dropped, 1);
}

bool
ring_producer_is_poisoned(const struct ring_producer *producer)
{
	return producer->fault != NULL;
}

const char *
ring_producer_fault(const struct ring_producer *producer)
{
	return producer->fault;
}
