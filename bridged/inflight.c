/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/inflight.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

static struct inflight_entry *
at(const struct inflight *inflight, size_t index)
{
	return &inflight->entries[(inflight->first + index) % inflight->size];
}

int
inflight_init(struct inflight *inflight, size_t max_window)
{
	BUG_ON(max_window == 0 || max_window > INFLIGHT_MAX);
	*inflight = (struct inflight){ 0 };

	/* Skipped records between any two, before and after them, merged. */
	inflight->size = 2 * max_window + 1;
	inflight->entries = calloc(inflight->size, sizeof(*inflight->entries));
	return inflight->entries == NULL ? -ENOMEM : 0;
}

void
inflight_fini(struct inflight *inflight)
{
	if (inflight->entries != NULL)
		inflight_clear(inflight);
	free(inflight->entries);
	*inflight = (struct inflight){ 0 };
}

static void
drop_copy(struct inflight *inflight, struct inflight_entry *entry)
{
	if (entry->copy != NULL)
		inflight->copied_bytes -= entry->record.length;
	free(entry->copy);
	entry->copy = NULL;
	entry->payload = NULL;
}

void
inflight_clear(struct inflight *inflight)
{
	for (size_t i = 0; i < inflight->count; i++)
		drop_copy(inflight, at(inflight, i));
	inflight->first = 0;
	inflight->count = 0;
	inflight->unsettled = 0;
	inflight->unsent = 0;
	inflight->dying = 0;
}

static const struct inflight_entry *
oldest_unsettled(const struct inflight *inflight)
{
	for (size_t i = 0; i < inflight->count; i++)
		if (at(inflight, i)->state != INFLIGHT_SETTLED)
			return at(inflight, i);
	return NULL;
}

bool
inflight_has_room(
    const struct inflight *inflight, size_t window, uint64_t sequence)
{
	const struct inflight_entry *oldest;

	/* One entry stays free for what is skipped behind the last record. */
	if (inflight->unsettled >= window ||
	    inflight->count + 1 >= inflight->size)
		return false;

	/* Its place in the notes may not be that of one still under way. */
	oldest = oldest_unsettled(inflight);
	return oldest == NULL || sequence - oldest->sequence < INFLIGHT_MAX;
}

static struct inflight_entry *
append(struct inflight *inflight)
{
	struct inflight_entry *entry;

	BUG_ON(inflight->count == inflight->size);
	entry = at(inflight, inflight->count++);
	memset(entry, 0, sizeof(*entry));
	return entry;
}

struct inflight_entry *
inflight_push(struct inflight *inflight, const struct ring_record *record,
    const void *payload, uint64_t word)
{
	struct inflight_entry *entry = append(inflight);

	entry->word = word;
	entry->sequence = record->sequence;
	entry->record = *record;
	entry->payload = payload;
	entry->state = INFLIGHT_READY;
	inflight->unsettled++;
	inflight->unsent++;
	return entry;
}

static void
count_fate(struct ring_outcome *outcome, enum inflight_fate fate)
{
	switch (fate) {
	case INFLIGHT_DELIVERED:
		outcome->delivered++;
		break;
	case INFLIGHT_DROPPED:
		outcome->dropped++;
		break;
	case INFLIGHT_DEAD:
		outcome->dead++;
		break;
	}
}

static void
add_outcome(struct ring_outcome *to, const struct ring_outcome *from)
{
	to->delivered += from->delivered;
	to->dropped += from->dropped;
	to->dead += from->dead;
}

void
inflight_skip(struct inflight *inflight, uint64_t sequence, uint64_t word,
    enum inflight_fate fate)
{
	struct inflight_entry *entry = NULL;

	if (inflight->count != 0)
		entry = at(inflight, inflight->count - 1);
	if (entry == NULL || entry->state != INFLIGHT_SETTLED) {
		entry = append(inflight);
		entry->state = INFLIGHT_SETTLED;
	}
	entry->sequence = sequence;
	entry->word = word;
	count_fate(&entry->outcome, fate);
}

struct inflight_entry *
inflight_next(struct inflight *inflight)
{
	if (inflight->unsent == 0)
		return NULL;
	for (size_t i = 0; i < inflight->count; i++)
		if (at(inflight, i)->state == INFLIGHT_READY)
			return at(inflight, i);
	BUG_ON(true);
	return NULL;
}

void
inflight_sent(struct inflight *inflight, struct inflight_entry *entry)
{
	BUG_ON(entry->state != INFLIGHT_READY);
	entry->state = INFLIGHT_SENT;
	entry->attempts++;
	inflight->unsent--;
}

void
inflight_die(
    struct inflight *inflight, struct inflight_entry *entry, const char *why)
{
	BUG_ON(entry->state != INFLIGHT_READY && entry->state != INFLIGHT_SENT);
	if (entry->state == INFLIGHT_READY)
		inflight->unsent--;
	entry->state = INFLIGHT_DYING;
	inflight->dying++;
	snprintf(entry->why, sizeof(entry->why), "%s", why);
}

struct inflight_entry *
inflight_dying(struct inflight *inflight)
{
	if (inflight->dying == 0)
		return NULL;
	for (size_t i = 0; i < inflight->count; i++)
		if (at(inflight, i)->state == INFLIGHT_DYING)
			return at(inflight, i);
	BUG_ON(true);
	return NULL;
}

void
inflight_settle(struct inflight *inflight, struct inflight_entry *entry,
    enum inflight_fate fate)
{
	BUG_ON(entry->state == INFLIGHT_SETTLED);
	if (entry->state == INFLIGHT_READY)
		inflight->unsent--;
	if (entry->state == INFLIGHT_DYING)
		inflight->dying--;
	inflight->unsettled--;
	entry->state = INFLIGHT_SETTLED;
	count_fate(&entry->outcome, fate);
	drop_copy(inflight, entry);
}

void
inflight_resend(struct inflight *inflight, struct inflight_entry *entry)
{
	if (entry->state != INFLIGHT_SENT)
		return;
	entry->state = INFLIGHT_READY;
	entry->maybe_sent = true;
	inflight->unsent++;
}

void
inflight_resend_all(struct inflight *inflight)
{
	for (size_t i = 0; i < inflight->count; i++)
		inflight_resend(inflight, at(inflight, i));
}

void
inflight_forget_sent(struct inflight *inflight)
{
	for (size_t i = 0; i < inflight->count; i++)
		at(inflight, i)->maybe_sent = false;
}

uint16_t
inflight_id(uint64_t sequence)
{
	return (uint16_t)(1 + sequence % INFLIGHT_IDS);
}

uint64_t
inflight_sequence(uint64_t from, uint16_t id)
{
	uint64_t base = inflight_id(from);

	return from + (id + INFLIGHT_IDS - base) % INFLIGHT_IDS;
}

struct inflight_entry *
inflight_find(struct inflight *inflight, uint16_t id)
{
	const struct inflight_entry *oldest = oldest_unsettled(inflight);
	size_t low = 0, high = inflight->count, middle;
	uint64_t sequence;

	if (oldest == NULL || id == 0 || id > INFLIGHT_IDS)
		return NULL;
	sequence = inflight_sequence(oldest->sequence, id);

	/* Sequences grow along the queue, merged entries included. */
	while (low < high) {
		middle = low + (high - low) / 2;
		if (at(inflight, middle)->sequence < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == inflight->count || at(inflight, low)->sequence != sequence ||
	    at(inflight, low)->state == INFLIGHT_SETTLED)
		return NULL;
	return at(inflight, low);
}

bool
inflight_pop(struct inflight *inflight, uint64_t *out_word,
    struct ring_outcome *out_outcome)
{
	struct ring_outcome outcome = { 0 };
	uint64_t word = 0;
	bool any = false;

	while (inflight->count != 0 &&
	    at(inflight, 0)->state == INFLIGHT_SETTLED) {
		add_outcome(&outcome, &at(inflight, 0)->outcome);
		word = at(inflight, 0)->word;
		inflight->first = (inflight->first + 1) % inflight->size;
		inflight->count--;
		any = true;
	}
	if (any) {
		*out_word = word;
		*out_outcome = outcome;
	}
	return any;
}

int
inflight_copy_out(struct inflight *inflight, uint64_t *out_word)
{
	struct inflight_entry *entry;
	uint64_t word = 0;

	for (size_t i = 0; i < inflight->count; i++) {
		entry = at(inflight, i);
		word = entry->word;
		if (entry->state == INFLIGHT_SETTLED || entry->copy != NULL)
			continue;
		entry->copy = malloc((size_t)entry->record.length + 1);
		if (entry->copy == NULL)
			return -ENOMEM;
		memcpy(entry->copy, entry->payload, entry->record.length);
		entry->payload = entry->copy;
		inflight->copied_bytes += entry->record.length;
	}
	*out_word = word;
	return 0;
}
