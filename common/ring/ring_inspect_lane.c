/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_inspect_lane.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

/* A beat comes each second; without one for this long a process hangs. */
#define HUNG_NS (5 * CLOCK_SECOND_NS)

/* No progress for this long: the records are not just passing through. */
#define STILL_NS CLOCK_SECOND_NS

/* Tries to read a block while its position stays the same. */
#define READ_TRIES 8

/* PADs and SWITCHes passed over on the way to the oldest record. */
#define SKIPS_MAX (2 * RING_CLASSES)

/* One lane with what is known of it, before it becomes a view. */
struct subject {
	struct ring_inspect_lane at;
	uint64_t head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
};

static uint64_t
subtract(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Copy a name that a peer wrote: it ends, and cannot steer a terminal. */
static void
copy_name(char *to, size_t size, const char *from, size_t from_size)
{
	size_t length = strnlen(from, from_size);

	if (length >= size)
		length = size - 1;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = c < 0x20 || c == 0x7f ? '?' : from[i];
	}
	to[length] = '\0';
}

static bool
read_at(int fd, void *to, size_t length, uint64_t offset)
{
	return pread(fd, to, length, (off_t)offset) == (ssize_t)length;
}

/* The copies below are private: plain reads of them need no order. */
static uint64_t
value(const _Atomic uint64_t *copy)
{
	return atomic_load_explicit(copy, memory_order_relaxed);
}

/* The consumer's block, with slots that match its tail if it can be had. */
static void
read_consumer(struct subject *s)
{
	uint64_t again, offset;

	if (s->at.consumer_side == NULL)
		return;
	offset =
	    RING_SIDE_CONSUMERS + (uint64_t)s->at.lane * RING_CONSUMER_STRIDE;
	for (int i = 0; i < READ_TRIES; i++) {
		if (!read_at(s->at.consumer_side->fd, &s->consumer,
			sizeof(s->consumer), offset) ||
		    !read_at(s->at.consumer_side->fd, &again, sizeof(again),
			offset) ||
		    again == value(&s->consumer.tail))
			return;
	}
}

/* The producer's block, likewise with its head. */
static void
read_producer(struct subject *s)
{
	uint64_t again, head_offset, offset;
	int fd = s->at.producer_side->fd;

	head_offset = RING_SIDE_HEADS + s->at.lane * sizeof(struct ring_head);
	offset =
	    RING_SIDE_PRODUCERS + (uint64_t)s->at.lane * RING_PRODUCER_STRIDE;
	for (int i = 0; i < READ_TRIES; i++) {
		if (!read_at(fd, &s->head, sizeof(s->head), head_offset) ||
		    !read_at(fd, &s->producer, sizeof(s->producer), offset) ||
		    !read_at(fd, &again, sizeof(again), head_offset) ||
		    again == s->head)
			return;
	}
}

static bool
geometry_is_valid(const struct ring_lane_producer *p)
{
	return value(&p->open) == 1 && p->min_shift >= RING_MIN_SHIFT_LOW &&
	    p->min_shift <= RING_MIN_SHIFT_HIGH && p->classes >= 1 &&
	    p->classes <= RING_CLASSES;
}

/* The class of the head; what is out of range is damage, not a class. */
static uint32_t
class_of(const struct subject *s)
{
	uint32_t class = RING_CLASS(s->head);

	return class < s->producer.classes ? class : s->producer.classes - 1;
}

static void
fill_positions(const struct subject *s, struct ring_view *view)
{
	const struct ring_lane_producer *p = &s->producer;
	uint64_t all, head, tail;

	head = RING_POSITION(s->head);
	tail = RING_POSITION(value(&s->consumer.tail));
	all = ring_lane_length(p->min_shift, p->classes) - (uint64_t)RING_PAGE;
	view->capacity = ring_class_size(p->min_shift, class_of(s));
	view->max_capacity = ring_class_size(p->min_shift, p->classes - 1);
	view->used = subtract(head, tail);
	if (view->used > all)
		view->used = all;
	view->high_water = value(&p->high_water);
	view->credit_granted = value(&s->consumer.limit);
	view->credit_used = head;
}

static void
fill_counters(const struct subject *s, uint64_t now_ns, struct ring_view *view)
{
	const struct ring_lane_producer *p = &s->producer;
	const struct ring_lane_consumer *c = &s->consumer;
	const struct ring_sequence_slot *sent = p->sequence;
	const struct ring_tail_slot *slot = c->slot;
	uint64_t since_ns = value(&p->stalled_since_ns);

	/* The slot with the greatest head <= head; slot 0 on a tie. */
	if (value(&sent[0].head) > s->head ||
	    (value(&sent[1].head) <= s->head &&
		value(&sent[1].head) > value(&sent[0].head)))
		sent++;
	if (value(&slot[1].tail) == value(&c->tail) &&
	    value(&slot[0].tail) != value(&c->tail))
		slot++;
	view->messages_in = value(&sent->sequence);
	view->bytes_in = value(&p->bytes);
	view->bytes_out = value(&c->bytes);
	view->delivered = value(&slot->delivered);
	view->dropped = value(&slot->dropped);
	view->dead = value(&slot->dead);
	view->messages_out = view->delivered + view->dropped + view->dead;
	view->stalls = value(&p->stalls);
	view->stalled_ns = value(&p->stalled_ns);
	if (since_ns != 0)
		view->stalled_ns += subtract(now_ns, since_ns);
	view->grows = value(&p->grows);
	view->shrinks = value(&p->shrinks);
	view->grow_failures = value(&p->grow_failures);
	view->refused = value(&p->refused);
	view->offered_dropped = value(&p->offered_dropped);
	view->in_flight = value(&c->in_flight);
	view->window = value(&c->window);
	view->remote_up = value(&c->remote_up) == 1;
	view->wakeups = value(&s->at.producer_side->header.bells_rung);
}

static const struct ring_scan_lane *
find_lane_memory(const struct subject *s)
{
	const struct ring_side_header *side = &s->at.producer_side->header;

	for (size_t i = 0; i < s->at.scan->lanes; i++) {
		const struct ring_lane_header *lane =
		    &s->at.scan->lane[i].header;

		if (memcmp(lane->instance, side->instance,
			sizeof(lane->instance)) == 0 &&
		    lane->link == side->link && lane->lane == s->at.lane &&
		    lane->producer_role == side->role)
			return &s->at.scan->lane[i];
	}
	return NULL;
}

/* When the oldest record that waits was made; 0 when there is none to see. */
static uint64_t
oldest_ns(const struct subject *s)
{
	const struct ring_scan_lane *memory = find_lane_memory(s);
	uint64_t position, size, tail = value(&s->consumer.tail);
	uint32_t class = RING_CLASS(tail);
	struct ring_record record;

	if (memory == NULL)
		return 0;
	position = RING_POSITION(tail);
	for (unsigned i = 0; i < SKIPS_MAX; i++) {
		if (position >= RING_POSITION(s->head) ||
		    class >= memory->header.classes)
			return 0;
		size = ring_class_size(memory->header.min_shift, class);
		if (!read_at(memory->fd, &record, sizeof(record),
			ring_class_offset(memory->header.min_shift, class) +
			    (position & (size - 1))))
			return 0;
		if (record.type == RING_DATA)
			return record.time_ns;
		if (record.type == RING_SWITCH)
			class = record.class;
		else if (record.type != RING_PAD)
			return 0;
		position += ring_record_size(record.length);
	}
	return 0;
}

static bool
is_alive(const struct ring_party *party)
{
	return party != NULL && party->life != RING_ABSENT &&
	    party->life != RING_DEAD;
}

static void
fill_processes(const struct subject *s, struct ring_view *view)
{
	view->producer = s->at.producer;
	view->producer_pid = s->at.producer->pid;
	view->producer_alive = is_alive(s->at.producer);
	view->consumer = s->at.consumer;
	if (s->at.consumer != NULL)
		view->consumer_pid = s->at.consumer->pid;
	view->consumer_alive = is_alive(s->at.consumer);
}

/* How long something waits and nothing moved; 0: nothing waits. */
static uint64_t
still_ns(const struct subject *s, const struct ring_view *view, uint64_t oldest,
    uint64_t now_ns)
{
	uint64_t moved_ns = value(&s->consumer.released_ns);
	uint64_t since_ns = value(&s->producer.stalled_since_ns);

	if (view->used == 0 && since_ns == 0)
		return 0;
	if (view->used > 0)
		since_ns = oldest;
	if (since_ns == 0)
		since_ns = value(&s->producer.committed_ns);
	return subtract(now_ns, moved_ns > since_ns ? moved_ns : since_ns);
}

static enum ring_state
state_of(const struct subject *s, const struct ring_view *view, uint64_t now_ns)
{
	const struct ring_lane_producer *p = &s->producer;
	uint64_t ended_ns = value(&p->unstalled_ns);

	if (!view->producer_alive && !view->consumer_alive)
		return RING_DETACHED;
	if (!view->producer_alive || !view->consumer_alive)
		return RING_PEER_DEAD;
	if (view->still_ns >= STILL_NS)
		return RING_BLOCKED;
	if (value(&p->stalled_since_ns) != 0 ||
	    (ended_ns != 0 && subtract(now_ns, ended_ns) < STILL_NS))
		return RING_FLOW;
	if (view->used == 0 &&
	    subtract(now_ns, value(&p->committed_ns)) >= STILL_NS)
		return RING_IDLE;
	return RING_RUNNING;
}

static void
fill_names(const struct subject *s, struct ring_view *view)
{
	const struct ring_side_header *p = &s->at.producer_side->header;
	const char *to = p->role == RING_ROLE_BROKER ? p->name : "broker";

	memcpy(view->instance, p->instance, sizeof(view->instance));
	copy_name(view->run_dir, sizeof(view->run_dir), p->run_dir,
	    sizeof(p->run_dir));
	copy_name(view->from, sizeof(view->from), s->at.producer->name,
	    RING_NAME_MAX);
	copy_name(view->to, sizeof(view->to), to, RING_NAME_MAX);
	copy_name(view->lane, sizeof(view->lane), s->producer.name,
	    sizeof(s->producer.name));
	view->link = p->link;
	view->lane_id = s->at.lane;
	snprintf(view->name, sizeof(view->name), "%s\u2192%s%s%s", view->from,
	    view->to, view->lane[0] == '\0' ? "" : "/", view->lane);
}

/*
 * A lane to a bridge is held by the bridge's remote: by its whole window, or,
 * when nothing moves at all, by whatever it does not acknowledge.
 */
static void
fill_remote_hold(const struct subject *s, struct ring_view *view)
{
	if (s->at.consumer_side == NULL ||
	    s->at.consumer_side->header.role != RING_ROLE_BRIDGE ||
	    (view->state != RING_BLOCKED && view->state != RING_FLOW))
		return;
	if (!view->remote_up)
		snprintf(view->held_by, sizeof(view->held_by),
		    "remote not connected");
	else if (view->in_flight > 0 &&
	    (view->in_flight >= view->window || view->state == RING_BLOCKED))
		snprintf(view->held_by, sizeof(view->held_by),
		    "remote: %llu/%llu unacknowledged",
		    (unsigned long long)view->in_flight,
		    (unsigned long long)view->window);
}

/* Whatever it would say: a consumer that cannot act holds its lane. */
static void
fill_process_hold(const struct subject *s, struct ring_view *view)
{
	const struct ring_party *consumer = s->at.consumer;
	const char *word;

	if (consumer == NULL || (view->used == 0 && !view->is_stalled))
		return;
	switch (consumer->life) {
	case RING_ABSENT:
		word = "is not attached";
		break;
	case RING_STOPPED:
		word = "is stopped";
		break;
	case RING_HUNG:
		word = "hangs";
		break;
	case RING_DEAD:
		word = "is dead";
		break;
	case RING_ALIVE:
	default:
		return;
	}
	snprintf(view->held_by, sizeof(view->held_by), "%s%s %s",
	    consumer->role == RING_ROLE_BRIDGE ? "bridge " : "", view->to,
	    word);
}

bool
ring_inspect_lane(const struct ring_inspect_lane *lane, uint64_t now_ns,
    struct ring_view *out_view)
{
	struct subject subject = { .at = *lane }, *s = &subject;
	struct ring_view view = { .state = RING_IDLE };
	uint64_t oldest;

	/* Consumer first: its tail is then never beyond the head. */
	read_consumer(s);
	read_producer(s);
	if (!geometry_is_valid(&s->producer))
		return false;
	fill_names(s, &view);
	fill_positions(s, &view);
	fill_counters(s, now_ns, &view);
	fill_processes(s, &view);
	oldest = view.used > 0 ? oldest_ns(s) : 0;
	if (oldest != 0)
		view.lag_ns = subtract(now_ns, oldest);
	view.still_ns = still_ns(s, &view, oldest, now_ns);
	view.is_stalled = value(&s->producer.stalled_since_ns) != 0;
	view.state = state_of(s, &view, now_ns);
	fill_remote_hold(s, &view);
	fill_process_hold(s, &view);
	*out_view = view;
	return true;
}

/* The board as it stood at one instant, or none. */
static void
read_board(int fd, char text[BOARD_MAX + 1])
{
	struct board board;
	uint64_t version;

	text[0] = '\0';
	for (int i = 0; i < READ_TRIES; i++) {
		if (!read_at(fd, &board, sizeof(board), RING_SIDE_BOARD) ||
		    !read_at(fd, &version, sizeof(version), RING_SIDE_BOARD))
			return;
		if (version == value(&board.version)) {
			text[board_read(&board, text)] = '\0';
			break;
		}
	}
	for (char *c = text; *c != '\0'; c++) {
		if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
			*c = '?';
	}
}

static enum ring_life
life_of(const struct ring_side_header *header, uint64_t beat_age_ns)
{
	if (value(&header->attached) != 1)
		return RING_ABSENT;
	switch (ring_scan_process(
	    value(&header->pid), value(&header->heartbeat_ns))) {
	case RING_SCAN_GONE:
		return RING_DEAD;
	case RING_SCAN_STOPPED:
		return RING_STOPPED;
	case RING_SCAN_RUNS:
		break;
	}
	return beat_age_ns > HUNG_NS ? RING_HUNG : RING_ALIVE;
}

void
ring_inspect_party(const struct ring_scan_side *side, uint64_t now_ns,
    struct ring_party *out_party)
{
	const struct ring_side_header *header = &side->header;
	const char *name =
	    header->role == RING_ROLE_BROKER ? "broker" : header->name;
	struct ring_party party = { .link = header->link };

	memcpy(party.instance, header->instance, sizeof(party.instance));
	copy_name(party.run_dir, sizeof(party.run_dir), header->run_dir,
	    sizeof(header->run_dir));
	copy_name(party.name, sizeof(party.name), name, RING_NAME_MAX);
	party.role = (enum ring_role)header->role;
	party.beat_age_ns = subtract(now_ns, value(&header->heartbeat_ns));
	party.life = life_of(header, party.beat_age_ns);
	if (party.life != RING_ABSENT)
		party.pid = value(&header->pid);
	party.is_asleep = value(&header->arm) % 2 == 1;
	party.sleeps = value(&header->sleeps);
	party.empty_wakes = value(&header->empty_wakes);
	read_board(side->fd, party.board);
	*out_party = party;
}
