/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_salvage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_private.h"
#include "common/base/log.h"
#include "common/shm/memfd.h"

/*
 * The memory of one former link, read by a consumer of our own: its tail is
 * private, and begins where the bridge was last known to be.
 */
struct links_salvage {
	struct links_salvage *next; /* older records come first */
	struct ring_lane_consumer tail;
	struct ring_consumer *consumer;
	void *side, *lane;
	size_t lane_length;
	uint64_t count;
	bool has_feed; /* what is the journal's is in the journal */
	bool is_newer; /* than what the output was adopted with */
};

static void
salvage_free(struct links_salvage *salvage)
{
	if (salvage == NULL)
		return;
	ring_consumer_free(salvage->consumer);
	if (salvage->lane != NULL)
		munmap(salvage->lane, salvage->lane_length);
	if (salvage->side != NULL)
		munmap(salvage->side, RING_SIDE_LENGTH);
	free(salvage);
}

static int
map(struct links_salvage *salvage, const struct links_endpoint *endpoint)
{
	const struct links_output *output = &endpoint->output;
	int err;

	err = memfd_map(
	    endpoint->own_fd, RING_SIDE_LENGTH, false, &salvage->side);
	if (err != 0)
		return err;
	salvage->lane_length = ring_lane_length(
	    output->geometry.min_shift, output->geometry.classes);
	return memfd_map(
	    output->fd, salvage->lane_length, false, &salvage->lane);
}

/* A consumer at the last tail of the bridge that was valid. */
static int
read_from(struct links_salvage *salvage, const struct links_output *output)
{
	const uint8_t *side = salvage->side;
	const struct ring_consumer_memory memory = {
		.head = (const void *)(side + RING_SIDE_HEADS),
		.peer = (const void *)(side + RING_SIDE_PRODUCERS),
		.own = &salvage->tail,
		.data = salvage->lane,
		.min_shift = output->geometry.min_shift,
		.classes = output->geometry.classes,
	};

	atomic_init(&salvage->tail.tail, ring_producer_tail(output->producer));
	atomic_init(&salvage->tail.limit, UINT64_MAX);
	salvage->consumer = ring_consumer_new(&memory);
	return salvage->consumer == NULL ? -errno : 0;
}

/*
 * Walk over all that is in the ring, which is our own memory.  Only what came
 * without the journal is counted here; the rest is in *out_ring.
 */
static void
walk(struct links_endpoint *endpoint, struct links_salvage *salvage,
    bool notes_heads, struct links_feed_ring *out_ring)
{
	const uint64_t last = ring_producer_sequence(endpoint->output.producer);
	struct links_feed_ring ring = { 0 };
	struct ring_record record = { 0 };
	const void *payload;
	uint64_t word;

	while (record.sequence < last &&
	    ring_peek(salvage->consumer, &record, &payload) == 1) {
		word = ring_next(salvage->consumer);
		if (record.correlation == 0 || endpoint->feed == NULL) {
			salvage->count++;
			continue;
		}
		ring.count++;
		ring.bytes += links_egress_weight(record.length);
		if (ring.first == 0)
			ring.first = record.correlation;
		if (notes_heads)
			links_feed_note_head(
			    endpoint, RING_POSITION(word), record.correlation);
	}
	*out_ring = ring;
}

/* The ring of the endpoint, to be read from its tail.  NULL with errno. */
static struct links_salvage *
salvage_new(struct links_endpoint *endpoint)
{
	struct links_salvage *salvage;
	int err;

	salvage =
	    aligned_alloc(_Alignof(struct links_salvage), sizeof(*salvage));
	if (salvage == NULL)
		return NULL;
	memset(salvage, 0, sizeof(*salvage));
	salvage->has_feed = endpoint->feed != NULL;
	err = map(salvage, endpoint);
	if (err == 0)
		err = read_from(salvage, &endpoint->output);
	if (err == 0)
		return salvage;
	salvage_free(salvage);
	errno = -err;
	return NULL;
}

/* 0 or -errno; begins at the tail again. */
static int
look(struct links_endpoint *endpoint, struct links_salvage *salvage,
    struct links_feed_ring *out_ring)
{
	walk(endpoint, salvage, false, out_ring);
	ring_consumer_free(salvage->consumer);
	salvage->consumer = NULL;
	return read_from(salvage, &endpoint->output);
}

static void
keep(struct links_endpoint *endpoint, struct links_salvage *salvage)
{
	salvage->next = endpoint->salvage;
	endpoint->salvage = salvage;
	log_info("records_kept", "link=%s records=%llu",
	    log_quote(endpoint->identity.name),
	    (unsigned long long)salvage->count);
}

int
links_salvage_keep(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	struct links_feed_ring ring = { 0 };
	struct links_salvage *salvage;
	int err = 0;

	if (endpoint->role != RING_ROLE_BRIDGE || output->producer == NULL)
		return 0;
	links_output_commit(output, endpoint->links->now_ns);
	links_feed_committed(endpoint);
	if (ring_producer_used_bytes(output->producer) == 0) {
		links_feed_ring_lost(endpoint, &ring);
		return 0;
	}
	salvage = salvage_new(endpoint);
	if (salvage == NULL)
		err = -errno;
	else
		err = look(endpoint, salvage, &ring);
	if (err != 0)
		ring = links_feed_ring_unknown(endpoint);
	links_feed_ring_lost(endpoint, &ring);
	if (err == 0 && salvage->count > 0)
		keep(endpoint, salvage);
	else
		salvage_free(salvage);
	return endpoint->feed == NULL ? err : 0;
}

void
links_salvage_find(struct links_endpoint *endpoint)
{
	struct links_salvage *salvage = salvage_new(endpoint);
	struct links_feed_ring ring = { 0 };

	if (salvage != NULL)
		walk(endpoint, salvage, true, &ring);
	links_feed_ring_found(endpoint, &ring);
	salvage_free(salvage);
}

/* The feed puts it again. */
static bool
is_the_journals(
    const struct links_salvage *salvage, const struct ring_record *record)
{
	return salvage->has_feed && record->correlation != 0;
}

/* An older ring came back, and has what was handed over once before. */
static bool
is_there_already(const struct links_output *output,
    const struct links_salvage *salvage, const struct ring_record *record)
{
	return salvage->is_newer && record->source_link < RING_LINKS &&
	    record->source_lane < RING_LANES &&
	    ring_forward_has(output->forward, record->source_link,
		record->source_lane, record->source_sequence);
}

static void
put(struct links_output *output, const struct links_salvage *salvage,
    const struct ring_record *record, const void *payload)
{
	void *body = links_output_claim(output, record->length);

	memcpy(body, payload, record->length);
	links_output_put(output, record);
	if (salvage->is_newer && record->source_link < RING_LINKS &&
	    record->source_lane < RING_LANES)
		ring_forward_note(output->forward, record->source_link,
		    record->source_lane, record->source_sequence);
}

/* The head record into the output.  Returns false if there is no room. */
static bool
move_one(struct links_output *output, struct links_salvage *salvage)
{
	struct ring_record record;
	const void *payload;

	if (ring_peek(salvage->consumer, &record, &payload) != 1) {
		salvage->count = 0;
		return true;
	}
	if (is_the_journals(salvage, &record)) {
		ring_next(salvage->consumer);
		return true;
	}
	if (is_there_already(output, salvage, &record)) {
		output->accepted--; /* it was counted with that ring, too */
	} else {
		if (!links_output_has_room(output, record.length, salvage))
			return false;
		put(output, salvage, &record, payload);
	}
	ring_next(salvage->consumer);
	salvage->count--;
	return true;
}

void
links_salvage_is_newer(struct links_endpoint *endpoint)
{
	struct links_salvage *salvage;

	for (salvage = endpoint->salvage; salvage != NULL;
	     salvage = salvage->next)
		salvage->is_newer = true;
}

bool
links_salvage_round(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	struct links_salvage *salvage;
	bool moved = false;

	for (unsigned i = 0; i < LINKS_TURN_RECORDS; i++) {
		salvage = endpoint->salvage;
		if (salvage == NULL || !move_one(output, salvage))
			break;
		moved = true;
		if (salvage->count > 0)
			continue;
		endpoint->salvage = salvage->next;
		salvage_free(salvage);
	}
	/* First come, first served: all others wait. */
	output->waiter = endpoint->salvage;
	return moved;
}

bool
links_salvage_can_move(struct links_endpoint *endpoint)
{
	struct links_salvage *salvage = endpoint->salvage;
	struct ring_record record;
	const void *payload;

	if (salvage == NULL)
		return false;
	return ring_peek(salvage->consumer, &record, &payload) != 1 ||
	    is_the_journals(salvage, &record) ||
	    is_there_already(&endpoint->output, salvage, &record) ||
	    links_output_has_room(&endpoint->output, record.length, salvage);
}

uint64_t
links_salvage_count(const struct links_endpoint *endpoint)
{
	const struct links_salvage *salvage;
	uint64_t all = 0;

	for (salvage = endpoint->salvage; salvage != NULL;
	     salvage = salvage->next)
		all += salvage->count;
	return all;
}

void
links_salvage_free(struct links_endpoint *endpoint)
{
	struct links_salvage *salvage;

	while ((salvage = endpoint->salvage) != NULL) {
		endpoint->salvage = salvage->next;
		salvage_free(salvage);
	}
}
