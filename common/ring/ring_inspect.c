/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ring/ring_inspect_scan.h"

/* No progress for this long: the records are not just passing through. */
#define STILL_NS CLOCK_SECOND_NS

/* Tries to read a block while its position stays the same. */
#define READ_TRIES 8

/* PADs and SWITCHes passed over on the way to the oldest record. */
#define SKIPS_MAX (2 * RING_CLASSES)

/* One lane with what is known of it, before it becomes a view. */
struct subject {
	const struct ring_scan *scan;
	const struct ring_scan_side *producer_side;
	const struct ring_scan_side *consumer_side; /* NULL: nobody has it */
	uint32_t lane;
	uint64_t head;
	struct ring_lane_producer producer;
	struct ring_lane_consumer consumer;
};

/* What orders the views of one installation before their names do. */
struct rank {
	bool broker_is_alive;
	uint64_t heartbeat_ns;
};

struct ranked_view {
	struct rank rank;
	struct ring_view view;
};

const char *
ring_state_name(enum ring_state state)
{
	switch (state) {
	case RING_IDLE:
		return "idle";
	case RING_RUNNING:
		return "running";
	case RING_FLOW:
		return "flow";
	case RING_BLOCKED:
		return "blocked";
	case RING_PEER_DEAD:
		return "peer_dead";
	case RING_DETACHED:
		return "detached";
	}
	return "unknown";
}

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

	if (s->consumer_side == NULL)
		return;
	offset = RING_SIDE_CONSUMERS + (uint64_t)s->lane * RING_CONSUMER_STRIDE;
	for (int i = 0; i < READ_TRIES; i++) {
		if (!read_at(s->consumer_side->fd, &s->consumer,
			sizeof(s->consumer), offset) ||
		    !read_at(
			s->consumer_side->fd, &again, sizeof(again), offset) ||
		    again == value(&s->consumer.tail))
			return;
	}
}

/* The producer's block, likewise with its head. */
static void
read_producer(struct subject *s)
{
	uint64_t again, head_offset, offset;
	int fd = s->producer_side->fd;

	head_offset = RING_SIDE_HEADS + s->lane * sizeof(struct ring_head);
	offset = RING_SIDE_PRODUCERS + (uint64_t)s->lane * RING_PRODUCER_STRIDE;
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
	    p->classes <= RING_CLASSES && value(&p->class) < p->classes;
}

static void
fill_positions(const struct subject *s, struct ring_view *view)
{
	const struct ring_lane_producer *p = &s->producer;
	uint64_t all, head, tail;

	head = RING_POSITION(s->head);
	tail = RING_POSITION(value(&s->consumer.tail));
	all = ring_lane_length(p->min_shift, p->classes) - (uint64_t)RING_PAGE;
	view->capacity =
	    ring_class_size(p->min_shift, (uint32_t)value(&p->class));
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
	view->refused = value(&p->refused);
	view->offered_dropped = value(&p->offered_dropped);
	view->in_flight = value(&c->in_flight);
	view->window = value(&c->window);
	view->remote_up = value(&c->remote_up) == 1;
	view->wakeups = value(&s->producer_side->header.bells_rung);
}

static const struct ring_scan_lane *
find_lane_memory(const struct subject *s)
{
	const struct ring_side_header *side = &s->producer_side->header;

	for (size_t i = 0; i < s->scan->lanes; i++) {
		const struct ring_lane_header *lane = &s->scan->lane[i].header;

		if (memcmp(lane->instance, side->instance,
			sizeof(lane->instance)) == 0 &&
		    lane->link == side->link && lane->lane == s->lane &&
		    lane->producer_role == side->role)
			return &s->scan->lane[i];
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

static void
fill_processes(const struct subject *s, struct ring_view *view)
{
	const struct ring_side_header *p = &s->producer_side->header;
	const struct ring_side_header *c;

	if (value(&p->attached) == 1) {
		view->producer_pid = value(&p->pid);
		view->producer_alive =
		    ring_scan_pid_is_alive(view->producer_pid);
	}
	if (s->consumer_side == NULL)
		return;
	c = &s->consumer_side->header;
	if (value(&c->attached) == 1) {
		view->consumer_pid = value(&c->pid);
		view->consumer_alive =
		    ring_scan_pid_is_alive(view->consumer_pid);
	}
}

static enum ring_state
state_of(const struct subject *s, const struct ring_view *view, uint64_t oldest,
    uint64_t now_ns)
{
	const struct ring_lane_producer *p = &s->producer;
	uint64_t moved_ns = value(&s->consumer.released_ns);
	uint64_t since_ns = value(&p->stalled_since_ns);
	uint64_t ended_ns = value(&p->unstalled_ns);
	uint64_t waits_since_ns;

	if (!view->producer_alive && !view->consumer_alive)
		return RING_DETACHED;
	if (!view->producer_alive || !view->consumer_alive)
		return RING_PEER_DEAD;

	if (view->used > 0 || since_ns != 0) {
		waits_since_ns = view->used > 0 ? oldest : since_ns;
		if (waits_since_ns == 0)
			waits_since_ns = value(&p->committed_ns);
		if (moved_ns > waits_since_ns)
			waits_since_ns = moved_ns;
		if (subtract(now_ns, waits_since_ns) >= STILL_NS)
			return RING_BLOCKED;
	}
	if (since_ns != 0 ||
	    (ended_ns != 0 && subtract(now_ns, ended_ns) < STILL_NS))
		return RING_FLOW;
	if (view->used == 0 &&
	    subtract(now_ns, value(&p->committed_ns)) >= STILL_NS)
		return RING_IDLE;
	return RING_RUNNING;
}

static const char *
party(const struct ring_side_header *side)
{
	return side->role == RING_ROLE_BROKER ? "broker" : side->name;
}

static void
fill_names(const struct subject *s, struct ring_view *view)
{
	const struct ring_side_header *p = &s->producer_side->header;
	const char *from = party(p);
	const char *to = p->role == RING_ROLE_BROKER ? p->name : "broker";

	memcpy(view->instance, p->instance, sizeof(view->instance));
	copy_name(view->run_dir, sizeof(view->run_dir), p->run_dir,
	    sizeof(p->run_dir));
	copy_name(view->from, sizeof(view->from), from, RING_NAME_MAX);
	copy_name(view->to, sizeof(view->to), to, RING_NAME_MAX);
	copy_name(view->lane, sizeof(view->lane), s->producer.name,
	    sizeof(s->producer.name));
	view->link = p->link;
	view->lane_id = s->lane;
	snprintf(view->name, sizeof(view->name), "%s\u2192%s%s%s", view->from,
	    view->to, view->lane[0] == '\0' ? "" : "/", view->lane);
}

/* A lane to a bridge is held by the bridge's remote. */
static void
fill_remote_hold(const struct subject *s, struct ring_view *view)
{
	if (s->consumer_side == NULL ||
	    s->consumer_side->header.role != RING_ROLE_BRIDGE ||
	    (view->state != RING_BLOCKED && view->state != RING_FLOW))
		return;
	if (!view->remote_up)
		snprintf(view->held_by, sizeof(view->held_by),
		    "remote not connected");
	else if (view->window > 0 && view->in_flight >= view->window)
		snprintf(view->held_by, sizeof(view->held_by),
		    "remote: %llu/%llu unacknowledged",
		    (unsigned long long)view->in_flight,
		    (unsigned long long)view->window);
}

/* Returns false when the lane is not open. */
static bool
make_view(struct subject *s, uint64_t now_ns, struct ring_view *view)
{
	uint64_t oldest;

	*view = (struct ring_view){ 0 };
	/* Consumer first: its tail is then never beyond the head. */
	read_consumer(s);
	read_producer(s);
	if (!geometry_is_valid(&s->producer))
		return false;
	fill_names(s, view);
	fill_positions(s, view);
	fill_counters(s, now_ns, view);
	fill_processes(s, view);
	oldest = view->used > 0 ? oldest_ns(s) : 0;
	if (oldest != 0)
		view->lag_ns = subtract(now_ns, oldest);
	view->state = state_of(s, view, oldest, now_ns);
	fill_remote_hold(s, view);
	return true;
}

static const struct ring_scan_side *
find_other_side(const struct ring_scan *scan, const struct ring_scan_side *side)
{
	bool is_broker = side->header.role == RING_ROLE_BROKER;

	for (size_t i = 0; i < scan->sides; i++) {
		const struct ring_side_header *other = &scan->side[i].header;

		if (memcmp(other->instance, side->header.instance,
			sizeof(other->instance)) == 0 &&
		    other->link == side->header.link &&
		    (other->role == RING_ROLE_BROKER) != is_broker)
			return &scan->side[i];
	}
	return NULL;
}

static struct rank
rank_of(const struct ring_scan_side *side, const struct ring_scan_side *other)
{
	const struct ring_scan_side *broker = side;

	if (side->header.role != RING_ROLE_BROKER)
		broker = other;
	if (broker == NULL)
		return (struct rank){ .broker_is_alive = false };
	return (struct rank){
		.broker_is_alive = value(&broker->header.attached) == 1 &&
		    ring_scan_pid_is_alive(value(&broker->header.pid)),
		.heartbeat_ns = value(&broker->header.heartbeat_ns),
	};
}

static int
compare(const void *a, const void *b)
{
	const struct ranked_view *x = a, *y = b;
	int order;

	order = strcmp(x->view.run_dir, y->view.run_dir);
	if (order != 0)
		return order;
	order = memcmp(
	    x->view.instance, y->view.instance, sizeof(x->view.instance));
	if (order != 0) {
		if (x->rank.broker_is_alive != y->rank.broker_is_alive)
			return x->rank.broker_is_alive ? -1 : 1;
		/* Of two dead ones, the one that died last. */
		return x->rank.heartbeat_ns > y->rank.heartbeat_ns ? -1 : 1;
	}
	order = strcmp(x->view.name, y->view.name);
	if (order != 0)
		return order;
	return x->view.lane_id < y->view.lane_id ? -1 : 1;
}

/* Is `name` one of the names in a set joined by '+', or is the set "*"? */
static bool
set_has(const char *set, const char *name)
{
	size_t length = strlen(name);

	if (strcmp(set, "*") == 0)
		return true;
	while (*set != '\0') {
		size_t part = strcspn(set, "+");

		if (part == length && memcmp(set, name, length) == 0)
			return true;
		set += part + (set[part] == '+' ? 1 : 0);
	}
	return false;
}

static bool
is_fuller(const struct ring_view *a, const struct ring_view *b)
{
	if (a->state != b->state)
		return a->state == RING_BLOCKED;
	return (double)a->used / (double)a->capacity >
	    (double)b->used / (double)b->capacity;
}

/* A lane into the broker is held by the fullest of its set's bridges. */
static void
fill_bridge_hold(const struct ring_views *views, struct ring_view *view)
{
	const struct ring_view *holder = NULL;

	if (view->lane[0] == '\0' || strcmp(view->to, "broker") != 0 ||
	    (view->state != RING_BLOCKED && view->state != RING_FLOW))
		return;
	for (size_t i = 0; i < views->count; i++) {
		const struct ring_view *out = &views->view[i];

		if (strcmp(out->from, "broker") != 0 ||
		    memcmp(out->instance, view->instance,
			sizeof(out->instance)) != 0 ||
		    !set_has(view->lane, out->to) ||
		    (out->state != RING_BLOCKED && out->state != RING_FLOW &&
			out->state != RING_PEER_DEAD))
			continue;
		if (holder == NULL || is_fuller(out, holder))
			holder = out;
	}
	if (holder != NULL)
		snprintf(view->held_by, sizeof(view->held_by), "bridge %s",
		    holder->to);
}

/* All lanes that this side produces. */
static size_t
view_side(const struct ring_scan *scan, const struct ring_scan_side *side,
    uint64_t now_ns, struct ranked_view *views)
{
	const struct ring_scan_side *other = find_other_side(scan, side);
	struct rank rank = rank_of(side, other);
	size_t count = 0;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		struct subject s = {
			.scan = scan,
			.producer_side = side,
			.consumer_side = other,
			.lane = lane,
		};

		if (!make_view(&s, now_ns, &views[count].view))
			continue;
		views[count].rank = rank;
		count++;
	}
	return count;
}

static int
make_views(const struct ring_scan *scan, const char *run_dir, uint64_t now_ns,
    struct ring_views *out_views)
{
	struct ranked_view *ranked;
	struct ring_views views = { .unreadable = scan->unreadable };

	ranked = calloc(scan->sides * RING_LANES + 1, sizeof(*ranked));
	views.view = calloc(scan->sides * RING_LANES + 1, sizeof(*views.view));
	if (ranked == NULL || views.view == NULL) {
		free(ranked);
		free(views.view);
		return -ENOMEM;
	}
	for (size_t i = 0; i < scan->sides; i++) {
		if (run_dir != NULL &&
		    strcmp(scan->side[i].header.run_dir, run_dir) != 0)
			continue;
		views.count += view_side(
		    scan, &scan->side[i], now_ns, ranked + views.count);
	}
	qsort(ranked, views.count, sizeof(*ranked), compare);
	for (size_t i = 0; i < views.count; i++)
		views.view[i] = ranked[i].view;
	free(ranked);
	for (size_t i = 0; i < views.count; i++)
		fill_bridge_hold(&views, &views.view[i]);
	*out_views = views;
	return 0;
}

int
ring_views_take(
    const char *run_dir, uint64_t now_ns, struct ring_views *out_views)
{
	struct ring_scan scan;
	int err;

	err = ring_scan_take(&scan);
	if (err == 0)
		err = make_views(&scan, run_dir, now_ns, out_views);
	ring_scan_free(&scan);
	return err;
}

void
ring_views_free(struct ring_views *views)
{
	free(views->view);
	*views = (struct ring_views){ 0 };
}
