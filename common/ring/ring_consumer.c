/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_consumer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

/*
 * PADs and SWITCHes stepped over in one call.  An honest producer writes no
 * more than one SWITCH a class and one PAD with each.
 */
#define SKIPS_MAX (2 * RING_CLASSES)

/* A place in the stream: where, and in which class's region. */
struct cursor {
	uint64_t position;
	uint32_t class;
};

struct ring_consumer {
	struct ring_consumer_memory m; /* [const] */
	uint64_t total;                /* [const] bytes of all classes */
	uint64_t max_payload;          /* [const] of a record */

	/* Of the class that `read` is in. */
	const uint8_t *region;
	uint64_t size;

	struct cursor read;     /* the record to look at next */
	struct cursor finished; /* after the last record stepped over */
	struct cursor released; /* what our tail says */
	struct cursor head;     /* last validated value of the peer's head */

	/* Of the record peeked at. */
	struct cursor after;
	uint64_t peeked_sequence;
	uint32_t peeked_length;
	bool is_peeked;

	uint64_t steps;    /* over records, PADs and SWITCHes, ever */
	uint64_t sequence; /* of the last record stepped over */
	bool has_sequence; /* false: unknown after an attach */
	uint64_t limit;
	uint64_t read_bytes;     /* payload bytes up to `finished` */
	uint64_t released_bytes; /* payload bytes up to `released` */
	struct ring_outcome totals;
	unsigned next_slot; /* the tail slot that does not count */
	const char *fault;
};

static struct cursor
cursor_of(uint64_t word)
{
	return (struct cursor){
		.position = RING_POSITION(word),
		.class = RING_CLASS(word),
	};
}

static uint64_t
word_of(struct cursor cursor)
{
	return RING_WORD(cursor.position, cursor.class);
}

static int
poison(struct ring_consumer *c, const char *fault)
{
	uint64_t bad;

	c->fault = fault;
	/* relaxed: statistics */
	bad = atomic_load_explicit(&c->m.own->bad, memory_order_relaxed);
	atomic_store_explicit(&c->m.own->bad, bad + 1, memory_order_relaxed);
	return -EPROTO;
}

static int
refresh_head(struct ring_consumer *c)
{
	struct cursor head;

	/* acquire: pairs with the store in ring_commit(); what head covers is
	 * written. */
	head = cursor_of(
	    atomic_load_explicit(&c->m.head->word, memory_order_acquire));
	if (head.class >= c->m.classes)
		return poison(c, "the head is in a size class that is not");
	if (head.position < c->head.position)
		return poison(c, "the head went backwards");
	if (head.position == c->head.position && head.class != c->head.class)
		return poison(c, "the head changed class without moving");
	if (head.position - c->released.position > c->total)
		return poison(c, "the head is farther than the ring is long");
	c->head = head;
	return 0;
}

static const uint8_t *
address_of(const struct ring_consumer *c, struct cursor at)
{
	uint64_t size = ring_class_size(c->m.min_shift, at.class);

	return (const uint8_t *)c->m.data +
	    ring_class_offset(c->m.min_shift, at.class) +
	    (at.position & (size - 1));
}

static void
read_in_class(struct ring_consumer *c)
{
	c->region = (const uint8_t *)c->m.data +
	    ring_class_offset(c->m.min_shift, c->read.class);
	c->size = ring_class_size(c->m.min_shift, c->read.class);
}

/* Copy the header at `place` once; the compiler may not read it again. */
static inline void
copy_header(const uint8_t *place, struct ring_record *out_record)
{
	memcpy(out_record, place, sizeof(*out_record));
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * The cursor after the record at `at`, whose header copy is `record`; it ends
 * neither beyond `end` nor beyond its class.
 * Returns NULL with *out_after, or the fault.
 */
static const char *
step(const struct ring_consumer *c, struct cursor at, uint64_t end,
    const struct ring_record *record, struct cursor *out_after)
{
	uint64_t contiguous, size = ring_record_size(record->length);

	contiguous = ring_class_size(c->m.min_shift, at.class);
	contiguous -= at.position & (contiguous - 1);
	if (record->type != RING_DATA && record->type != RING_PAD &&
	    record->type != RING_SWITCH)
		return "a record is of no known type";
	if (size > end - at.position)
		return "a record is longer than what was committed";
	if (size > contiguous)
		return "a record runs over the end of its size class";
	*out_after = at;
	out_after->position += size;
	if (record->type != RING_SWITCH)
		return NULL;
	if (record->length != 0)
		return "a class switch has a payload";
	if (record->class >= c->m.classes || record->class == at.class)
		return "a switch to a size class that is not";
	out_after->class = record->class;
	return NULL;
}

static const char *
check_data(const struct ring_consumer *c, const struct ring_record *record)
{
	if (record->length > c->max_payload)
		return "a record is longer than a quarter of the ring";
	/*
	 * PADs are free of the limit: what counts is where the last record
	 * ended.  After an attach that is not known, PADs may be released.
	 */
	if (c->has_sequence && c->finished.position >= c->limit)
		return "a record begins beyond the limit granted";
	if (record->sequence == 0 ||
	    (c->has_sequence && record->sequence != c->sequence + 1))
		return "a record is out of sequence";
	return NULL;
}

static void
recover_totals(struct ring_consumer *c, uint64_t tail)
{
	struct ring_tail_slot *slot = c->m.own->slot;
	uint64_t at[2];
	unsigned counts;

	/* relaxed, here and below: our own memory, written by a dead one */
	for (unsigned i = 0; i < 2; i++)
		at[i] =
		    atomic_load_explicit(&slot[i].tail, memory_order_relaxed);
	if (at[0] == tail || at[1] == tail)
		counts = at[0] == tail ? 0 : 1;
	else if (at[0] <= tail && at[1] <= tail)
		counts = at[1] > at[0] ? 1 : 0;
	else
		counts = at[0] <= tail ? 0 : 1;
	c->next_slot = 1 - counts;
	c->totals = (struct ring_outcome){
		.delivered = atomic_load_explicit(
		    &slot[counts].delivered, memory_order_relaxed),
		.dropped = atomic_load_explicit(
		    &slot[counts].dropped, memory_order_relaxed),
		.dead = atomic_load_explicit(
		    &slot[counts].dead, memory_order_relaxed),
	};
}

struct ring_consumer *
ring_consumer_new(const struct ring_consumer_memory *m)
{
	struct ring_consumer *c;
	uint64_t tail;

	/* relaxed: only this side stores tail; a predecessor is dead */
	tail = atomic_load_explicit(&m->own->tail, memory_order_relaxed);
	if (RING_CLASS(tail) >= m->classes) {
		errno = EPROTO;
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->m = *m;
	c->total =
	    ring_lane_length(m->min_shift, m->classes) - (uint64_t)RING_PAGE;
	c->read = c->finished = c->released = c->head = cursor_of(tail);
	c->max_payload = ring_consumer_max_payload(c);
	read_in_class(c);
	c->has_sequence = tail == 0;
	/* relaxed: our own memory */
	c->limit = atomic_load_explicit(&m->own->limit, memory_order_relaxed);
	c->read_bytes = c->released_bytes =
	    atomic_load_explicit(&m->own->bytes, memory_order_relaxed);
	recover_totals(c, tail);
	return c;
}

void
ring_consumer_free(struct ring_consumer *consumer)
{
	free(consumer);
}

int
ring_peek(struct ring_consumer *consumer, struct ring_record *out_record,
    const void **out_payload)
{
	struct ring_consumer *c = consumer;
	const uint8_t *place;
	const char *fault;

	if (c->fault != NULL)
		return -EPROTO;
	for (unsigned skips = 0; skips < SKIPS_MAX; skips++) {
		if (c->read.position == c->head.position &&
		    refresh_head(c) != 0)
			return -EPROTO;
		if (c->read.position == c->head.position)
			return c->read.class == c->head.class ? 0
							      : poison(c,
								    "the head "
								    "is not in "
								    "its size "
								    "class");

		place = c->region + (c->read.position & (c->size - 1));
		copy_header(place, out_record);
		fault =
		    step(c, c->read, c->head.position, out_record, &c->after);
		if (fault == NULL && out_record->type == RING_DATA)
			fault = check_data(c, out_record);
		if (fault != NULL)
			return poison(c, fault);
		if (out_record->type == RING_DATA) {
			c->is_peeked = true;
			c->peeked_length = out_record->length;
			c->peeked_sequence = out_record->sequence;
			*out_payload = place + sizeof(*out_record);
			return 1;
		}
		c->read = c->after;
		read_in_class(c);
		c->steps++;
	}
	return 0;
}

uint64_t
ring_consumer_steps(const struct ring_consumer *consumer)
{
	return consumer->steps;
}

uint64_t
ring_next(struct ring_consumer *consumer)
{
	struct ring_consumer *c = consumer;

	BUG_ON(!c->is_peeked);
	c->is_peeked = false;
	c->read.position = c->after.position;
	c->finished = c->read;
	c->steps++;
	c->sequence = c->peeked_sequence;
	c->has_sequence = true;
	c->read_bytes += c->peeked_length;
	return word_of(c->read);
}

uint64_t
ring_consumer_cursor(const struct ring_consumer *consumer)
{
	return word_of(consumer->read);
}

bool
ring_consumer_should_drop(const struct ring_consumer *consumer)
{
	uint64_t before;

	/* relaxed: a hint about positions, it carries no data */
	before = atomic_load_explicit(
	    &consumer->m.peer->drop_before, memory_order_relaxed);
	return consumer->read.position < RING_POSITION(before);
}

/*
 * Payload bytes of the records from the tail up to `position`, for releases
 * that stay behind the read cursor.  The headers were valid when they were
 * read; if the peer changed them since, the count ends there.
 */
static uint64_t
walk_bytes(const struct ring_consumer *c, uint64_t position)
{
	struct cursor after, at = c->released;
	struct ring_record record;
	uint64_t bytes = 0;

	while (at.position < position) {
		copy_header(address_of(c, at), &record);
		if (step(c, at, position, &record, &after) != NULL)
			break;
		if (record.type == RING_DATA)
			bytes += record.length;
		at = after;
	}
	return bytes;
}

/* The slot becomes true when the tail says so: both or neither. */
static void
store_tail(struct ring_consumer *c, struct cursor to)
{
	struct ring_tail_slot *slot = &c->m.own->slot[c->next_slot];
	uint64_t word = word_of(to);

	/* relaxed: the store of tail orders them before it */
	atomic_store_explicit(&slot->tail, word, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->delivered, c->totals.delivered, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->dropped, c->totals.dropped, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->dead, c->totals.dead, memory_order_relaxed);
	/* release: pairs with the load in read_tail() of the producer; our
	 * reads of the space are done before it is given back. */
	atomic_store_explicit(&c->m.own->tail, word, memory_order_release);
	c->next_slot = 1 - c->next_slot;
	c->released = to;
}

/*
 * What became of records that were given back earlier: the slot of the tail
 * as it stands.  A reader may see one of the three sooner than the others.
 */
static void
store_totals(struct ring_consumer *c)
{
	struct ring_tail_slot *slot = &c->m.own->slot[1 - c->next_slot];

	/* relaxed: statistics */
	atomic_store_explicit(
	    &slot->delivered, c->totals.delivered, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->dropped, c->totals.dropped, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->dead, c->totals.dead, memory_order_relaxed);
}

bool
ring_release(struct ring_consumer *consumer, uint64_t word,
    const struct ring_outcome *outcome, uint64_t now_ns)
{
	struct ring_consumer *c = consumer;
	struct cursor to = cursor_of(word);

	BUG_ON(to.position > c->read.position);
	if (outcome != NULL) {
		c->totals.delivered += outcome->delivered;
		c->totals.dropped += outcome->dropped;
		c->totals.dead += outcome->dead;
	}
	if (to.position >= c->finished.position) {
		/* All that was read, and the PADs skipped after it. */
		to = c->read;
		c->released_bytes = c->read_bytes;
	}
	if (to.position <= c->released.position) {
		if (outcome != NULL)
			store_totals(c);
		return false;
	}
	if (to.position < c->finished.position)
		c->released_bytes += walk_bytes(c, to.position);

	store_tail(c, to);
	/* relaxed: statistics */
	atomic_store_explicit(
	    &c->m.own->bytes, c->released_bytes, memory_order_relaxed);
	atomic_store_explicit(
	    &c->m.own->released_ns, now_ns, memory_order_relaxed);
	return true;
}

bool
ring_grant(struct ring_consumer *consumer, uint64_t position)
{
	if (position <= consumer->limit)
		return false;
	consumer->limit = position;
	/* relaxed: pairs with read_limit() of the producer; credit carries no
	 * data, space is given back by the tail. */
	atomic_store_explicit(
	    &consumer->m.own->limit, consumer->limit, memory_order_relaxed);
	return true;
}

size_t
ring_consumer_max_payload(const struct ring_consumer *consumer)
{
	return ring_consumer_capacity(consumer) / 4 -
	    sizeof(struct ring_record);
}

uint64_t
ring_consumer_capacity(const struct ring_consumer *consumer)
{
	return ring_class_size(consumer->m.min_shift, consumer->m.classes - 1);
}

uint64_t
ring_consumer_pending_bytes(struct ring_consumer *consumer)
{
	if (consumer->fault != NULL || refresh_head(consumer) != 0)
		return 0;
	return consumer->head.position - consumer->read.position;
}

bool
ring_consumer_has_record(struct ring_consumer *consumer)
{
	struct ring_record record;
	const void *payload;

	switch (ring_peek(consumer, &record, &payload)) {
	case 1:
		return true;
	case 0:
		/* More PADs than a call skips: the next one gets further. */
		return consumer->read.position != consumer->head.position ||
		    ring_consumer_has_padding(consumer);
	default:
		return false;
	}
}

bool
ring_consumer_has_padding(const struct ring_consumer *consumer)
{
	return consumer->finished.position <= consumer->released.position &&
	    consumer->read.position > consumer->released.position;
}

void
ring_consumer_set_remote(struct ring_consumer *consumer, uint64_t in_flight,
    uint64_t window, bool is_up)
{
	struct ring_lane_consumer *own = consumer->m.own;

	/* relaxed: gauges for weirctl */
	atomic_store_explicit(&own->in_flight, in_flight, memory_order_relaxed);
	atomic_store_explicit(&own->window, window, memory_order_relaxed);
	atomic_store_explicit(&own->remote_up, is_up, memory_order_relaxed);
}

void
ring_consumer_set_remote_id(
    struct ring_consumer *consumer, const uint64_t id[2])
{
	/* relaxed: half of an old and half of a new one is nobody's */
	for (unsigned i = 0; i < 2; i++)
		atomic_store_explicit(&consumer->m.own->remote_id[i], id[i],
		    memory_order_relaxed);
}

bool
ring_consumer_is_poisoned(const struct ring_consumer *consumer)
{
	return consumer->fault != NULL;
}

const char *
ring_consumer_fault(const struct ring_consumer *consumer)
{
	return consumer->fault;
}
