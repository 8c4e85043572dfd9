/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/torture/roles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ring/ring_forward.h"

/* Records taken from or put into one lane in one turn. */
#define TURN_RECORDS 16u

/* Looks for what may shrink: one in this many turns, and before a sleep. */
#define TURNS_PER_TEND 8u
#define TENDS_PER_SLEEP 3u

struct life {
	struct world *world;
	enum world_role role;
	struct ring_link *link[WORLD_LINKS]; /* NULL: not this role's */
	struct ring_producer *publish[WORLD_LANES], *receipts, *bridge;
	struct ring_consumer *published[WORLD_LANES], *receipt, *bridged;
	struct ring_forward *forwarded; /* what the bridge's lane has */
	int epoll_fd;
	unsigned turns;
};

static void
check(struct life *life, int err, const char *what)
{
	if (err != 0)
		world_fail(life->world, "%s: %s: %s",
		    world_role_names[life->role], what, strerror(-err));
}

/* ---- attach --------------------------------------------------------------
 */

static void
watch(struct life *life, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	event.data.fd = fd;
	if (epoll_ctl(life->epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
		check(life, -errno, "epoll_ctl");
}

static void
attach_link(struct life *life, unsigned i)
{
	struct world *w = life->world;
	const bool is_broker = life->role == WORLD_BROKER;
	const enum ring_role role = is_broker
	    ? RING_ROLE_BROKER
	    : (enum ring_role)w->identity[i].endpoint_role;

	check(life,
	    ring_link_attach(&w->identity[i], role,
		is_broker ? w->broker_fd[i] : w->endpoint_fd[i],
		is_broker ? w->endpoint_fd[i] : w->broker_fd[i], &w->bells[i],
		&life->link[i]),
	    "attach");
	watch(life, ring_link_bell_fd(life->link[i]),
	    is_broker ? EPOLLIN | EPOLLET : EPOLLIN);
}

static void
add_producer(struct life *life, unsigned link, int fd,
    struct ring_lane_geometry geometry, struct ring_producer **out_producer)
{
	check(life,
	    ring_link_add_producer(
		life->link[link], &geometry, fd, out_producer),
	    "producer");
}

static void
add_consumer(struct life *life, unsigned link, int fd,
    struct ring_lane_geometry geometry, struct ring_consumer **out_consumer)
{
	check(life,
	    ring_link_add_consumer(
		life->link[link], &geometry, fd, out_consumer),
	    "consumer");
}

static void
remember_forwarded(struct life *life)
{
	life->forwarded =
	    ring_forward_new(ring_link_forwarded(life->link[1], 0),
		ring_producer_next_head(life->bridge));
	if (life->forwarded == NULL)
		check(life, -ENOMEM, "forwarded");
}

static void
attach(struct life *life)
{
	struct world *w = life->world;

	if (life->role != WORLD_BRIDGED)
		attach_link(life, 0);
	if (life->role != WORLD_HTTPD)
		attach_link(life, 1);
	switch (life->role) {
	case WORLD_HTTPD:
		add_producer(life, 0, w->publish_fd[0], world_lane(0, ""),
		    &life->publish[0]);
		add_consumer(
		    life, 0, w->receipts_fd, world_receipts(), &life->receipt);
		break;
	case WORLD_BROKER:
		add_consumer(life, 0, w->publish_fd[0], world_lane(0, ""),
		    &life->published[0]);
		add_consumer(life, 0, w->publish_fd[1], world_lane(1, "cloud"),
		    &life->published[1]);
		add_producer(
		    life, 0, w->receipts_fd, world_receipts(), &life->receipts);
		add_producer(
		    life, 1, w->bridge_fd, world_lane(0, ""), &life->bridge);
		remember_forwarded(life);
		break;
	default:
		add_consumer(
		    life, 1, w->bridge_fd, world_lane(0, ""), &life->bridged);
		break;
	}
}

/* As much as fits: a claim fails for want of room, and grows, or waits. */
static bool
grant(struct ring_consumer *consumer)
{
	return ring_grant(consumer,
	    RING_POSITION(ring_consumer_cursor(consumer)) +
		ring_consumer_capacity(consumer));
}

/* The next record: 1, with a copy; 0: none. */
static int
take(struct life *life, struct ring_consumer *consumer,
    struct ring_record *out_record, void *out_payload)
{
	const void *payload;
	int got = ring_peek(consumer, out_record, &payload);

	if (got < 0)
		world_fail(life->world, "%s: %s", world_role_names[life->role],
		    ring_consumer_fault(consumer));
	if (got == 0)
		return 0;
	if (out_record->length > WORLD_PAYLOAD_MAX)
		world_fail(
		    life->world, "a record of %u bytes", out_record->length);
	memcpy(out_payload, payload, out_record->length);
	return got;
}

/* Give back up to `word`, or at least the padding before the read cursor. */
static bool
release(struct ring_consumer *consumer, uint64_t word, uint64_t records)
{
	const struct ring_outcome outcome = { .delivered = records };

	if (word == 0 && (records != 0 || !ring_consumer_has_padding(consumer)))
		return false;
	return ring_release(consumer,
	    word != 0 ? word : ring_consumer_cursor(consumer),
	    records == 0 ? NULL : &outcome, clock_now_ns());
}

/* ---- httpd ---------------------------------------------------------------
 */

static bool
take_receipts(struct life *life)
{
	struct world *w = life->world;
	uint8_t copy[WORLD_PAYLOAD_MAX];
	struct world_stamp stamp;
	struct ring_record record;
	uint64_t accepted, word = 0, count = 0;
	bool moved;

	while (take(life, life->receipt, &record, copy) == 1) {
		if (record.length != sizeof(stamp))
			world_fail(w, "a receipt of %u bytes", record.length);
		memcpy(&stamp, copy, sizeof(stamp));
		if (stamp.lane >= WORLD_LANES)
			world_fail(w, "a receipt of no lane");
		accepted = w->ledger->lane[stamp.lane].accepted;
		if (stamp.number > accepted + 1)
			world_fail(w, "receipt %ju/%ju after %ju",
			    (uintmax_t)stamp.lane, (uintmax_t)stamp.number,
			    (uintmax_t)accepted);
		if (stamp.number == accepted + 1)
			w->ledger->lane[stamp.lane].accepted = stamp.number;
		word = ring_next(life->receipt);
		count++;
	}
	moved = release(life->receipt, word, count);
	return grant(life->receipt) || moved;
}

/* The last message of the wave that receipts are awaited of. */
static uint64_t
end_of_wave(const struct world *w, unsigned lane)
{
	const uint64_t accepted = w->ledger->lane[lane].accepted;
	const uint64_t end = (accepted / WORLD_WAVE + 1) * WORLD_WAVE;

	return end < w->messages ? end : w->messages;
}

/* Put what fits; the number follows from what is committed. */
static bool
publish(struct life *life, unsigned lane)
{
	struct ring_producer *producer = life->publish[lane];
	struct world_stamp stamp = { .lane = lane };
	const struct ring_record record = { .kind = 1 };
	void *payload;
	int err;

	for (unsigned i = 0; i < TURN_RECORDS; i++) {
		stamp.number = ring_producer_sequence(producer) + 1;
		if (stamp.number > end_of_wave(life->world, lane))
			break;
		err = ring_claim(
		    producer, world_payload_length(&stamp), &payload);
		if (err == -EAGAIN)
			break;
		check(life, err, "claim");
		world_write_payload(&stamp, payload);
		ring_put(producer, &record);
	}
	return ring_commit(producer, clock_now_ns());
}

static bool
work_httpd(struct life *life)
{
	struct world *w = life->world;
	bool moved = take_receipts(life);

	moved |= publish(life, 0);
	if (life->publish[1] == NULL &&
	    ring_producer_sequence(life->publish[0]) >= w->messages / 2)
		add_producer(life, 0, w->publish_fd[1], world_lane(1, "cloud"),
		    &life->publish[1]);
	if (life->publish[1] != NULL)
		moved |= publish(life, 1);
	return moved;
}

static bool
is_done_httpd(struct life *life)
{
	struct world *w = life->world;

	for (unsigned i = 0; i < WORLD_LANES; i++) {
		if (w->ledger->lane[i].accepted != w->messages ||
		    life->publish[i] == NULL ||
		    !ring_producer_is_drained(life->publish[i]))
			return false;
	}
	return ring_consumer_pending_bytes(life->receipt) == 0;
}

/* ---- broker --------------------------------------------------------------
 */

/* Once, whatever died: the lane itself says what it has. */
static bool
has(const struct life *life, const struct world_stamp *stamp)
{
	return ring_forward_has(
	    life->forwarded, 0, (uint32_t)stamp->lane, stamp->number);
}

static void
put(struct life *life, struct ring_producer *producer,
    const struct ring_record *record, const void *body, size_t length)
{
	void *payload;

	check(life, ring_claim(producer, length, &payload),
	    "claim after has_room");
	memcpy(payload, body, length);
	ring_put(producer, record);
}

/* Forward one message and its receipt, if both have room. */
static bool
forward(struct life *life, const struct ring_record *record, const void *copy,
    const struct world_stamp *stamp)
{
	const struct ring_record out = {
		.kind = record->kind,
		.source_lane = (uint16_t)stamp->lane,
		.source_sequence = record->sequence,
	};
	const bool has_it = has(life, stamp);

	if (!ring_producer_has_room(life->receipts, sizeof(*stamp)) ||
	    (!has_it && !ring_producer_has_room(life->bridge, record->length)))
		return false;
	if (!has_it) {
		put(life, life->bridge, &out, copy, record->length);
		ring_forward_note(life->forwarded, 0, (uint32_t)stamp->lane,
		    record->sequence);
	}
	put(life, life->receipts, &out, stamp, sizeof(*stamp));
	return true;
}

static bool
ends_group(const struct world *w, const struct world_stamp *stamp)
{
	return stamp->number % WORLD_GROUP == 0 || stamp->number == w->messages;
}

static bool
forward_lane(struct life *life, unsigned lane)
{
	struct ring_consumer *consumer = life->published[lane];
	uint8_t copy[WORLD_PAYLOAD_MAX];
	struct world_stamp stamp;
	struct ring_record record;
	uint64_t count = 0, next, word = 0;
	bool moved;

	for (unsigned i = 0; i < TURN_RECORDS; i++) {
		if (take(life, consumer, &record, copy) != 1)
			break;
		world_check_payload(life->world, copy, record.length, &stamp);
		if (stamp.lane != lane || stamp.number != record.sequence)
			world_fail(life->world, "lane %u has %ju/%ju at %ju",
			    lane, (uintmax_t)stamp.lane,
			    (uintmax_t)stamp.number,
			    (uintmax_t)record.sequence);
		if (!forward(life, &record, copy, &stamp))
			break;
		next = ring_next(consumer);
		count++;
		if (!life->world->holds || ends_group(life->world, &stamp))
			word = next;
	}
	/* Downstream, the receipts, and only then the tail. */
	ring_forward_fill(
	    life->forwarded, ring_producer_next_head(life->bridge));
	moved = ring_commit(life->bridge, clock_now_ns());
	moved |= ring_commit(life->receipts, clock_now_ns());
	moved |= release(consumer, word, count);
	return grant(consumer) || moved;
}

static bool
work_broker(struct life *life)
{
	bool moved = false;

	for (unsigned i = 0; i < WORLD_LANES; i++)
		moved |= forward_lane(life, i);
	return moved;
}

static bool
is_done_broker(struct life *life)
{
	for (unsigned i = 0; i < WORLD_LANES; i++) {
		if (ring_consumer_pending_bytes(life->published[i]) != 0)
			return false;
	}
	return ring_producer_is_drained(life->bridge) &&
	    ring_producer_is_drained(life->receipts);
}

/* ---- bridged -------------------------------------------------------------
 */

static void
tell_remote(struct world *w, const struct world_stamp *stamp)
{
	const uint64_t arrived = w->ledger->lane[stamp->lane].arrived;

	if (stamp->number > arrived + 1)
		world_fail(w, "lost: %ju/%ju arrives after %ju",
		    (uintmax_t)stamp->lane, (uintmax_t)stamp->number,
		    (uintmax_t)arrived);
	if (stamp->number == arrived + 1)
		w->ledger->lane[stamp->lane].arrived = stamp->number;
	else
		w->ledger->lane[stamp->lane].again++;
}

static bool
has_all_arrived(const struct world *w)
{
	return w->ledger->lane[0].arrived == w->messages &&
	    w->ledger->lane[1].arrived == w->messages;
}

static bool
work_bridged(struct life *life)
{
	struct world *w = life->world;
	uint8_t copy[WORLD_PAYLOAD_MAX];
	struct world_stamp stamp;
	struct ring_record record;
	uint64_t next, word = 0;
	bool moved = false;

	for (unsigned i = 0; i < TURN_RECORDS; i++) {
		if (take(life, life->bridged, &record, copy) != 1)
			break;
		world_check_payload(w, copy, record.length, &stamp);
		tell_remote(w, &stamp);
		if (record.sequence > w->ledger->ring_records)
			w->ledger->ring_records = record.sequence;
		next = ring_next(life->bridged);
		moved = true;
		if (!w->holds || record.sequence % WORLD_GROUP == 0 ||
		    has_all_arrived(w))
			word = next;
	}
	moved |= release(life->bridged, word, 0);
	return grant(life->bridged) || moved;
}

static bool
is_done_bridged(struct life *life)
{
	return has_all_arrived(life->world) &&
	    ring_consumer_pending_bytes(life->bridged) == 0;
}

/* ---- the loop ------------------------------------------------------------
 */

static const struct {
	bool (*work)(struct life *life);
	bool (*is_done)(struct life *life);
} behaviour[WORLD_ROLES] = {
	[WORLD_HTTPD] = { work_httpd, is_done_httpd },
	[WORLD_BROKER] = { work_broker, is_done_broker },
	[WORLD_BRIDGED] = { work_bridged, is_done_bridged },
};

static void
each_link(struct life *life, void (*action)(struct ring_link *link))
{
	for (unsigned i = 0; i < WORLD_LINKS; i++) {
		if (life->link[i] != NULL)
			action(life->link[i]);
	}
}

static bool
is_drained(struct ring_producer *producer)
{
	return producer == NULL || ring_producer_is_drained(producer);
}

static void
tend(struct life *life)
{
	if (life->world->holds &&
	    !(is_drained(life->publish[0]) && is_drained(life->publish[1]) &&
		is_drained(life->bridge)))
		return;
	for (unsigned i = 0; i < WORLD_LINKS; i++) {
		if (life->link[i] != NULL)
			(void)ring_link_tend(life->link[i], clock_now_ns());
	}
}

/* One turn.  Returns true if anything moved. */
static bool
turn(struct life *life)
{
	if (!behaviour[life->role].work(life))
		return false;
	if (++life->turns % TURNS_PER_TEND == 0)
		tend(life);
	each_link(life, ring_link_wake);
	return true;
}

static void
drain_bell(struct ring_link *link)
{
	(void)ring_link_drain_bell(link);
}

static void
set_done(struct life *life, bool is_done)
{
	const uint64_t one = 1;

	life->world->ledger->is_done[life->role] = is_done;
	if (is_done && write(life->world->notice_fd, &one, sizeof(one)) == -1 &&
	    errno != EAGAIN)
		check(life, -errno, "notice");
}

/* Returns false when it is time to end.  No time-out: bells must do it. */
static bool
wait_for_bell(struct life *life)
{
	struct epoll_event events[4];
	int count;

	count = epoll_wait(life->epoll_fd, events, 4, -1);
	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == life->world->quit_fd)
			return false;
	}
	if (life->role != WORLD_BROKER)
		each_link(life, drain_bell);
	return true;
}

static bool
sleep_or_go_on(struct life *life)
{
	bool goes_on = true;

	for (unsigned i = 0; i < TENDS_PER_SLEEP; i++)
		tend(life);
	each_link(life, ring_link_arm);
	ring_fence();
	if (!turn(life)) {
		if (behaviour[life->role].is_done(life))
			set_done(life, true);
		goes_on = wait_for_bell(life);
		set_done(life, false);
	}
	each_link(life, ring_link_disarm);
	return goes_on;
}

void
roles_live(struct world *world, enum world_role role)
{
	struct life life = { .world = world, .role = role };

	life.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (life.epoll_fd == -1)
		check(&life, -errno, "epoll");
	watch(&life, world->quit_fd, EPOLLIN);
	attach(&life);
	do {
		while (turn(&life))
			continue;
	} while (sleep_or_go_on(&life));
	each_link(&life, ring_link_detach);
	for (unsigned i = 0; i < STEPS_KINDS; i++)
		world->ledger->steps[role][i] +=
		    steps_taken((enum steps_kind)i);
	_exit(0);
}
