/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/pending.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/bug.h"
#include "httpd/pending_private.h"

struct pending *
pending_new(const struct pending_config *config, const struct pending_ops *ops,
    void *context)
{
	struct pending *pending;

	BUG_ON(config->max_pending == 0 || config->max_pending > PENDING_MAX);
	pending = calloc(1, sizeof(*pending));
	if (pending == NULL)
		return NULL;
	pending->entry = calloc(config->max_pending, sizeof(struct entry));
	if (pending->entry == NULL) {
		free(pending);
		return NULL;
	}
	pending->config = *config;
	pending->use.max = config->max_pending;
	pending->ops = ops;
	pending->context = context;
	for (uint32_t i = 0; i < config->max_pending; i++)
		pending->entry[i].next =
		    i + 1 < config->max_pending ? i + 1 : NONE;
	for (uint32_t i = 0; i < PENDING_LANES; i++)
		pending_list_init(&pending->held[i]);
	pending_list_init(&pending->committed);
	pending_list_init(&pending->orphans);
	return pending;
}

void
pending_free(struct pending *pending)
{
	if (pending == NULL)
		return;
	for (uint32_t i = 0; i < pending->config.max_pending; i++)
		free(pending->entry[i].body);
	free(pending->entry);
	free(pending);
}

static uint32_t
entry_take(struct pending *pending)
{
	uint32_t number = pending->free_first;

	if (number == NONE)
		return NONE;
	pending->free_first = pending->entry[number].next;
	pool_use_take(&pending->use);
	return number;
}

static void
entry_put(struct pending *pending, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	free(entry->body);
	*entry = (struct entry){
		.generation = entry->generation + 1,
		.next = pending->free_first,
		.state = FREE,
	};
	pending->free_first = number;
	pool_use_put(&pending->use);
}

/* Generation above 20 bits of entry number: an id is not soon used again. */
static uint64_t
correlation_of(const struct pending *pending, uint32_t number)
{
	uint64_t id;

	id = (uint64_t)pending->entry[number].generation << 20 | number;
	return record_correlation(pending->epoch, id);
}

static void
uncommit(struct pending *pending, uint32_t number)
{
	struct entry *entry = &pending->entry[number];

	pending_list_remove(pending,
	    entry->state == ORPHAN ? &pending->orphans : &pending->committed,
	    number);
	pending->outstanding--;
	pending->lane_outstanding[entry->lane]--;
}

/* Tell the owner; the entry is free already, so it may send again. */
static void
settle_entry(struct pending *pending, uint32_t number,
    enum pending_result result, const struct record_answer *answer)
{
	struct entry copy = pending->entry[number];
	struct pending_outcome outcome = { .result = result,
		.lane = copy.lane };

	if (answer != NULL)
		outcome.answer = *answer;
	entry_put(pending, number);
	if (copy.state != ORPHAN)
		pending->ops->settled(
		    pending->context, copy.owner, copy.index, &outcome);
}

static void
refuse(struct pending *pending, uint32_t lane, void *owner, uint32_t index,
    enum pending_result result)
{
	struct pending_outcome outcome = { .result = result, .lane = lane };

	pending->ops->settled(pending->context, owner, index, &outcome);
}

/* May this lane have one more receipt under way? */
static bool
receipt_room(const struct pending *pending, uint32_t lane)
{
	if (pending->outstanding >= pending->receipts)
		return false;
	return pending->lane_outstanding[lane] <
	    pending->receipts - pending->outstanding;
}

/* May this lane hold one more message, of so many bytes?  0, or why not. */
static enum pending_result
hold_fault(const struct pending *pending, uint32_t lane, const void *owner,
    size_t length)
{
	const struct pending_config *config = &pending->config;
	uint64_t bytes;

	if (pending->free_first == NONE ||
	    pending->held[lane].count >=
		config->max_pending - pending->use.in_use)
		return PENDING_NO_PLACE;
	if (pending->lane_requests[lane] >= config->max_stalled &&
	    !pending_held_is_last(pending, lane, owner))
		return PENDING_NO_STALLED_PLACE;
	bytes = pending->held_bytes + length;
	if (bytes > config->max_held_bytes ||
	    pending->lane_held_bytes[lane] + length >
		config->max_held_bytes - pending->held_bytes)
		return PENDING_NO_STALLED_BYTES;
	return PENDING_ANSWERED;
}

/* When the message was given to us: in this turn, or when it was held. */
static uint64_t
read_ns(
    const struct pending *pending, const struct entry *entry, uint64_t now_ns)
{
	return entry->state == HELD
	    ? entry->deadline_ns - pending->config.stall_timeout_ns
	    : now_ns;
}

/* Into the lane, if it takes it.  Returns as ops.put(). */
static int
try_put(struct pending *pending, uint32_t number, uint32_t lane,
    const struct record_message *message, uint64_t now_ns)
{
	struct entry *entry = &pending->entry[number];
	int err;

	if (!pending->is_attached)
		return -ENOTCONN;
	if (!receipt_room(pending, lane))
		return -EAGAIN;
	entry->correlation = correlation_of(pending, number);
	err =
	    pending->ops->put(pending->context, lane, message, entry->identity,
		entry->correlation, read_ns(pending, entry, now_ns));
	if (err != 0)
		return err;

	if (entry->state == HELD)
		pending_held_remove(pending, number);
	free(entry->body);
	entry->body = NULL;
	entry->state = COMMITTED;
	entry->lane = (uint8_t)lane;
	entry->serial = ++pending->serial;
	entry->deadline_ns = now_ns + pending->config.receipt_timeout_ns;
	pending_list_append(pending, &pending->committed, number);
	pending->outstanding++;
	pending->lane_outstanding[lane]++;
	return 0;
}

/* PENDING_ANSWERED: it is held; else why it cannot be. */
static enum pending_result
hold(struct pending *pending, uint32_t number, uint32_t lane,
    const struct record_message *message, uint64_t now_ns)
{
	struct entry *entry = &pending->entry[number];
	size_t length = record_message_size(message);
	enum pending_result fault;

	fault = hold_fault(pending, lane, entry->owner, length);
	if (fault != PENDING_ANSWERED)
		return fault;
	entry->body = malloc(length);
	if (entry->body == NULL)
		return PENDING_NO_MEMORY;
	record_message_write(message, entry->body);
	entry->length = (uint32_t)length;
	entry->state = HELD;
	entry->serial = ++pending->serial;
	entry->deadline_ns = now_ns + pending->config.stall_timeout_ns;
	pending_held_add(pending, lane, number);
	pending->held_total++;
	pending->lane_held_total[lane]++;
	return PENDING_ANSWERED;
}

/* Why a message that could not be put is refused; or it is held. */
static enum pending_result
hold_or_fault(struct pending *pending, uint32_t number, uint32_t lane,
    const struct record_message *message, uint64_t now_ns, int err)
{
	if (err == -EMSGSIZE)
		return PENDING_TOO_LARGE;
	if (err != -EAGAIN)
		return PENDING_AWAY;
	return hold(pending, number, lane, message, now_ns);
}

void
pending_send(struct pending *pending, uint32_t lane,
    const struct record_message *message, uint64_t identity, void *owner,
    uint32_t index, uint64_t now_ns)
{
	enum pending_result result;
	struct entry *entry;
	uint32_t number;
	int err = -EAGAIN;

	BUG_ON(lane >= PENDING_LANES);
	pending->ops->offered(pending->context, lane);
	if (!pending->is_attached) {
		refuse(pending, lane, owner, index, PENDING_AWAY);
		return;
	}
	number = entry_take(pending);
	if (number == NONE) {
		refuse(pending, lane, owner, index, PENDING_NO_PLACE);
		return;
	}
	entry = &pending->entry[number];
	entry->owner = owner;
	entry->index = index;
	entry->identity = identity;
	entry->lane = (uint8_t)lane;

	/* First in, first out: nobody passes those who wait. */
	if (pending->held[lane].count == 0)
		err = try_put(pending, number, lane, message, now_ns);
	if (err == 0)
		return;
	result = hold_or_fault(pending, number, lane, message, now_ns, err);
	if (result == PENDING_ANSWERED)
		return;
	entry_put(pending, number);
	refuse(pending, lane, owner, index, result);
}

/* The head of a lane's queue: into the lane, or out with an error. */
static bool
move_head(struct pending *pending, uint32_t lane, uint64_t now_ns)
{
	struct record_message message;
	uint32_t number = pending->held[lane].first;
	struct entry *entry = &pending->entry[number];
	int err;

	err = record_message_parse(entry->body, entry->length, &message);
	BUG_ON(err != 0);
	err = try_put(pending, number, lane, &message, now_ns);
	if (err == 0)
		return true;
	if (err == -EAGAIN)
		return false;
	pending_held_remove(pending, number);
	settle_entry(pending, number,
	    err == -EMSGSIZE ? PENDING_TOO_LARGE : PENDING_AWAY, NULL);
	return true;
}

void
pending_turn(struct pending *pending, uint64_t now_ns)
{
	uint32_t left;

	if (!pending->is_attached || pending->held_count == 0)
		return;
	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		/* Whoever is added meanwhile waits for the next turn. */
		left = pending->held[lane].count;
		while (left-- > 0 && pending->held[lane].count > 0)
			if (!move_head(pending, lane, now_ns))
				break;
	}
}

void
pending_committed(struct pending *pending)
{
	pending->committed_serial = pending->serial;
}

bool
pending_is_movable(struct pending *pending)
{
	uint32_t first;

	if (!pending->is_attached || pending->held_count == 0)
		return false;
	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		first = pending->held[lane].first;
		if (first != NONE && receipt_room(pending, lane) &&
		    pending->ops->has_room(
			pending->context, lane, pending->entry[first].length))
			return true;
	}
	return false;
}

bool
pending_receipt(struct pending *pending, uint64_t correlation,
    const struct record_answer *answer)
{
	uint64_t id = correlation & RECORD_CORRELATION_ID_MASK;
	uint32_t number = (uint32_t)(id & (PENDING_MAX - 1));
	struct entry *entry;

	if (number >= pending->config.max_pending)
		return false;
	entry = &pending->entry[number];
	if ((entry->state != COMMITTED && entry->state != ORPHAN) ||
	    entry->correlation != correlation)
		return false;
	uncommit(pending, number);
	settle_entry(pending, number, PENDING_ANSWERED, answer);
	return true;
}

void
pending_abandon(struct pending *pending, const void *owner)
{
	uint32_t number, next;

	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		for (number = pending->held[lane].first; number != NONE;
		     number = next) {
			next = pending->entry[number].next;
			if (pending->entry[number].owner != owner)
				continue;
			pending_held_remove(pending, number);
			settle_entry(pending, number, PENDING_ABANDONED, NULL);
			if (pending->held[lane].count == 0)
				pending->ops->unstalled(pending->context, lane);
		}
	}
}

/* Settled for its owner, yet its receipt still has a place kept for it. */
static void
orphan(struct pending *pending, uint32_t number)
{
	struct entry *entry = &pending->entry[number];
	struct pending_outcome outcome = { .result = PENDING_UNKNOWN,
		.lane = entry->lane };
	void *owner = entry->owner;

	pending_list_remove(pending, &pending->committed, number);
	pending_list_append(pending, &pending->orphans, number);
	entry->state = ORPHAN;
	entry->owner = NULL;
	pending->ops->settled(pending->context, owner, entry->index, &outcome);
}

void
pending_expire(struct pending *pending, uint64_t now_ns)
{
	uint32_t first;
	bool was_held;

	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		was_held = pending->held[lane].count > 0;
		while ((first = pending->held[lane].first) != NONE &&
		    pending->entry[first].deadline_ns <= now_ns) {
			pending_held_remove(pending, first);
			settle_entry(pending, first, PENDING_NO_CREDIT, NULL);
		}
		if (was_held && pending->held[lane].count == 0)
			pending->ops->unstalled(pending->context, lane);
	}
	while ((first = pending->committed.first) != NONE &&
	    pending->entry[first].deadline_ns <= now_ns)
		orphan(pending, first);
}

void
pending_attach(
    struct pending *pending, uint64_t epoch, uint32_t receipts, bool is_same)
{
	uint32_t first;

	pending->epoch = epoch;
	pending->receipts = receipts < pending->config.max_pending
	    ? receipts
	    : pending->config.max_pending;
	pending->is_attached = true;
	if (is_same)
		return;
	while ((first = pending->committed.first) != NONE) {
		uncommit(pending, first);
		settle_entry(pending, first, PENDING_UNKNOWN, NULL);
	}
	while ((first = pending->orphans.first) != NONE) {
		uncommit(pending, first);
		entry_put(pending, first);
	}
}

void
pending_detach(struct pending *pending)
{
	uint32_t last;

	pending->is_attached = false;
	for (uint32_t lane = 0; lane < PENDING_LANES; lane++) {
		while (pending->held[lane].first != NONE) {
			last = pending->held[lane].first;
			pending_held_remove(pending, last);
			settle_entry(pending, last, PENDING_AWAY, NULL);
		}
	}
	/* Put but never committed: the broker cannot have seen them. */
	while ((last = pending->committed.last) != NONE &&
	    pending->entry[last].serial > pending->committed_serial) {
		uncommit(pending, last);
		settle_entry(pending, last, PENDING_AWAY, NULL);
	}
}
