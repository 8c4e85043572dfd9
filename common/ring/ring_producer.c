/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_producer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

#define NOTHING_CLAIMED UINT64_MAX

/* Private memory; positions are bytes without the class. */
struct ring_producer {
	struct ring_producer_memory m; /* [const] */
	uint8_t *region;               /* [const] where the class begins */
	uint64_t size;                 /* [const] of the class, a power of 2 */

	uint64_t position;  /* after the last record put */
	uint64_t committed; /* after the last record committed */
	uint64_t tail;      /* last validated value of the peer's tail */
	uint64_t limit;     /* last validated value of the peer's limit */

	uint64_t claimed;     /* payload bytes, or NOTHING_CLAIMED */
	uint64_t claimed_pad; /* bytes to skip before the claimed record */

	uint64_t sequence, committed_sequence;
	uint64_t bytes, committed_bytes;
	unsigned next_slot; /* the sequence slot that does not count */

	enum ring_shortage shortage;
	uint64_t stalled_since_ns; /* 0: not stalled */
	uint64_t high_water;
	const char *fault;
};

static int
poison(struct ring_producer *p, const char *fault)
{
	p->fault = fault;
	return -EPROTO;
}

/* Counters have one writer, so a plain read-add-store is enough. */
static void
add_to(_Atomic uint64_t *counter, uint64_t amount)
{
	uint64_t value;

	/* relaxed: statistics, paired with nothing */
	value = atomic_load_explicit(counter, memory_order_relaxed);
	atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

static uint64_t
free_space(const struct ring_producer *p)
{
	return p->size - (p->position - p->tail);
}

/* Bytes to the end of the class, if the record does not fit before it. */
static uint64_t
pad_before(const struct ring_producer *p, uint64_t need)
{
	uint64_t contiguous;

	contiguous = p->size - (p->position & (p->size - 1));
	return need > contiguous ? contiguous : 0;
}

static int
read_tail(struct ring_producer *p)
{
	uint64_t position, word;

	/* acquire: pairs with the store in ring_release(); the consumer has
	 * read what we are about to overwrite. */
	word = atomic_load_explicit(&p->m.peer->tail, memory_order_acquire);
	position = RING_POSITION(word);
	if (RING_CLASS(word) != p->m.class)
		return poison(p, "the consumer is in a size class never used");
	if (position < p->tail)
		return poison(p, "the consumer's tail went backwards");
	if (position > p->committed)
		return poison(p, "the consumer's tail is beyond the head");
	p->tail = position;
	return 0;
}

static int
read_limit(struct ring_producer *p)
{
	uint64_t limit;

	/* relaxed: credit carries no data; the tail says what is free */
	limit = atomic_load_explicit(&p->m.peer->limit, memory_order_relaxed);
	if (limit < p->limit)
		return poison(p, "the consumer lowered its limit");
	p->limit = limit;
	return 0;
}

/*
 * Is there room and credit for a record that takes `need` bytes, with a
 * SWITCH to spare?  What the peer wrote is read again only on shortage.
 * Returns 0, -EPROTO, or -EAGAIN with *out_shortage set.
 */
static int
find_room(struct ring_producer *p, uint64_t need, uint64_t *out_pad,
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
	if (pad + need + RING_ALIGN > free_space(p)) {
		if (read_tail(p) != 0)
			return -EPROTO;
		if (pad + need + RING_ALIGN > free_space(p)) {
			*out_shortage = RING_SHORT_OF_SPACE;
			return -EAGAIN;
		}
	}
	*out_pad = pad;
	return 0;
}

static struct ring_record *
place_at(const struct ring_producer *p, uint64_t position)
{
	return (struct ring_record *)(p->region + (position & (p->size - 1)));
}

/*
 * The slot with the greatest head <= head counts, slot 0 on a tie.  One above
 * head belongs to a commit that never happened: it is erased before it could
 * come true.  Its sequence goes first, so that no half of it ever counts.
 */
static void
recover_sequence(struct ring_producer *p, uint64_t head)
{
	struct ring_sequence_slot *slot = p->m.own->sequence;
	uint64_t at[2], sequence[2];
	unsigned counts;

	for (unsigned i = 0; i < 2; i++) {
		/* relaxed: our own memory; a reader takes tail or head first */
		at[i] =
		    atomic_load_explicit(&slot[i].head, memory_order_relaxed);
		sequence[i] = atomic_load_explicit(
		    &slot[i].sequence, memory_order_relaxed);
		if (at[i] <= head)
			continue;
		atomic_store_explicit(
		    &slot[i].sequence, 0, memory_order_relaxed);
		/* release: after the sequence, for other processes and us */
		atomic_store_explicit(&slot[i].head, 0, memory_order_release);
		at[i] = 0;
		sequence[i] = 0;
	}
	counts = at[1] > at[0] ? 1 : 0;
	p->next_slot = 1 - counts;
	p->sequence = p->committed_sequence = sequence[counts];
}

static int
recover(struct ring_producer *p)
{
	struct ring_lane_producer *own = p->m.own;
	uint64_t head, tail;

	/* relaxed: only this side stores head; a predecessor is dead */
	head = atomic_load_explicit(&p->m.head->word, memory_order_relaxed);
	if (RING_CLASS(head) != p->m.class)
		return -EPROTO;
	p->position = p->committed = RING_POSITION(head);

	/* acquire: as in read_tail(), but nothing is known about it yet */
	tail = atomic_load_explicit(&p->m.peer->tail, memory_order_acquire);
	if (RING_CLASS(tail) != p->m.class ||
	    RING_POSITION(tail) > p->committed ||
	    p->committed - RING_POSITION(tail) > p->size)
		return -EPROTO;
	p->tail = RING_POSITION(tail);
	recover_sequence(p, head);

	/* relaxed: statistics that only this side writes */
	p->bytes = p->committed_bytes =
	    atomic_load_explicit(&own->bytes, memory_order_relaxed);
	p->high_water =
	    atomic_load_explicit(&own->high_water, memory_order_relaxed);
	atomic_store_explicit(&own->class, p->m.class, memory_order_relaxed);
	atomic_store_explicit(&own->stalled_since_ns, 0, memory_order_relaxed);
	return 0;
}

struct ring_producer *
ring_producer_new(const struct ring_producer_memory *m)
{
	struct ring_producer *p;

	BUG_ON(m->class >= m->classes);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->m = *m;
	p->region =
	    (uint8_t *)m->data + ring_class_offset(m->min_shift, m->class);
	p->size = ring_class_size(m->min_shift, m->class);
	p->claimed = NOTHING_CLAIMED;
	if (recover(p) != 0) {
		free(p);
		errno = EPROTO;
		return NULL;
	}
	return p;
}

void
ring_producer_free(struct ring_producer *producer)
{
	free(producer);
}

size_t
ring_producer_max_payload(const struct ring_producer *producer)
{
	return producer->size / 4 - sizeof(struct ring_record);
}

void
ring_producer_stall(struct ring_producer *producer, uint64_t now_ns)
{
	if (producer->stalled_since_ns != 0)
		return;
	producer->stalled_since_ns = now_ns;
	add_to(&producer->m.own->stalls, 1);
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
		add_to(&own->stalled_ns, now_ns - producer->stalled_since_ns);
	producer->stalled_since_ns = 0;
	/* relaxed: statistics */
	atomic_store_explicit(&own->stalled_since_ns, 0, memory_order_relaxed);
	atomic_store_explicit(&own->unstalled_ns, now_ns, memory_order_relaxed);
}

int
ring_claim(struct ring_producer *producer, size_t length, void **out_payload)
{
	struct ring_producer *p = producer;
	uint64_t begin, pad;
	int err;

	if (p->fault != NULL)
		return -EPROTO;
	if (length > ring_producer_max_payload(p))
		return -EMSGSIZE;

	err = find_room(p, ring_record_size(length), &pad, &p->shortage);
	if (err == -EAGAIN && p->stalled_since_ns == 0)
		ring_producer_stall(p, clock_now_ns());
	if (err != 0)
		return err;
	if (p->stalled_since_ns != 0)
		ring_producer_unstall(p, clock_now_ns());

	p->shortage = RING_SHORT_OF_NOTHING;
	p->claimed = length;
	p->claimed_pad = pad;
	begin = (p->position + pad) & (p->size - 1);
	*out_payload = p->region + begin + sizeof(struct ring_record);
	return 0;
}

enum ring_shortage
ring_producer_shortage(const struct ring_producer *producer)
{
	return producer->shortage;
}

static void
write_pad(struct ring_producer *p)
{
	*place_at(p, p->position) = (struct ring_record){
		.type = RING_PAD,
		.length =
		    (uint32_t)(p->claimed_pad - sizeof(struct ring_record)),
	};
	p->position += p->claimed_pad;
}

void
ring_put(struct ring_producer *producer, const struct ring_record *record)
{
	struct ring_producer *p = producer;
	struct ring_record *place;

	BUG_ON(p->claimed == NOTHING_CLAIMED);
	BUG_ON(record->length != 0 && record->length != p->claimed);

	if (p->claimed_pad != 0)
		write_pad(p);
	p->sequence++;
	p->bytes += p->claimed;
	/*
	 * Field by field: a copy of the whole would read wide what was just
	 * written narrow, which costs as much as all the rest of this.
	 */
	place = place_at(p, p->position);
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

/* The cached tail only ever makes the ring look fuller than it is. */
static void
note_fill(struct ring_producer *p)
{
	if (p->committed - p->tail <= p->high_water || read_tail(p) != 0)
		return;
	if (p->committed - p->tail <= p->high_water)
		return;
	p->high_water = p->committed - p->tail;
	/* relaxed: statistics */
	atomic_store_explicit(
	    &p->m.own->high_water, p->high_water, memory_order_relaxed);
}

bool
ring_commit(struct ring_producer *producer, uint64_t now_ns)
{
	struct ring_producer *p = producer;
	struct ring_lane_producer *own = p->m.own;
	struct ring_sequence_slot *slot = &own->sequence[p->next_slot];
	uint64_t word = RING_WORD(p->position, p->m.class);

	if (p->position == p->committed || p->fault != NULL)
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
	note_fill(p);
	return true;
}

void
ring_abort(struct ring_producer *producer)
{
	producer->position = producer->committed;
	producer->sequence = producer->committed_sequence;
	producer->bytes = producer->committed_bytes;
	producer->claimed = NOTHING_CLAIMED;
}

bool
ring_producer_has_room(struct ring_producer *producer, size_t length)
{
	enum ring_shortage shortage;
	uint64_t pad;

	return producer->fault == NULL &&
	    length <= ring_producer_max_payload(producer) &&
	    find_room(producer, ring_record_size(length), &pad, &shortage) == 0;
}

uint64_t
ring_producer_free_bytes(struct ring_producer *producer, size_t largest)
{
	struct ring_producer *p = producer;
	uint64_t credit, reach, to_end, worst_pad;

	if (p->fault != NULL || read_tail(p) != 0 || read_limit(p) != 0)
		return 0;
	reach = free_space(p) > RING_ALIGN ? free_space(p) - RING_ALIGN : 0;
	credit = p->limit > p->position ? p->limit - p->position : 0;
	if (reach > credit)
		reach = credit;
	to_end = p->size - (p->position & (p->size - 1));
	if (reach <= to_end)
		return reach;
	/* Beyond the end of the class there is one pad, shorter than the
	 * record that needs it; up to the end there is none. */
	worst_pad = ring_record_size(largest) - RING_ALIGN;
	return reach - to_end > worst_pad ? reach - worst_pad : to_end;
}

uint64_t
ring_producer_used_bytes(struct ring_producer *producer)
{
	if (producer->fault == NULL)
		(void)read_tail(producer);
	return producer->position - producer->tail;
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

	if (p->fault != NULL || read_tail(p) != 0)
		return false;
	need = ring_record_size(length);
	wanted = pad_before(p, need) + need + RING_ALIGN;
	if (wanted > p->size)
		wanted = p->size;
	if (wanted <= free_space(p))
		return false;
	before = p->tail + (wanted - free_space(p));
	if (before > p->committed)
		before = p->committed;
	/* relaxed: a hint; the consumer compares it with its own cursor */
	old =
	    atomic_load_explicit(&p->m.own->drop_before, memory_order_relaxed);
	if (before <= RING_POSITION(old))
		return false;
	atomic_store_explicit(&p->m.own->drop_before,
	    RING_WORD(before, p->m.class), memory_order_relaxed);
	return true;
}

void
ring_producer_count_refused(struct ring_producer *producer)
{
	add_to(&producer->m.own->refused, 1);
}

void
ring_producer_count_dropped(struct ring_producer *producer)
{
	add_to(&producer->m.own->offered_dropped, 1);
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
