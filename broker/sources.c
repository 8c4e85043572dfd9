/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sources.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/message.h"
#include "common/base/bug.h"

/* Bits above the number of the link. */
#define DRAWN_MASK UINT32_C(0x01ffffff)

#define WORDS (SOURCES_WINDOW / 64)

uint32_t
sources_name(uint32_t link, uint64_t random)
{
	uint32_t drawn = (uint32_t)random & DRAWN_MASK;

	BUG_ON(link >= RING_LINKS);
	/* All ones would be that of an MQTT client, with the last link. */
	if (drawn == 0 || drawn == DRAWN_MASK)
		drawn = 1;
	return drawn * RING_LINKS + link;
}

/* ---- one lane ------------------------------------------------------------ */

static uint64_t *
word_of(const struct source_lane *lane, uint64_t sequence)
{
	return &lane->bits[sequence % SOURCES_WINDOW / 64];
}

static uint64_t
bit_of(uint64_t sequence)
{
	return UINT64_C(1) << sequence % 64;
}

/* What stood there was of a sequence that is out of the window. */
static void
move_last(struct source_lane *lane, uint64_t last)
{
	uint64_t at = lane->last + 1;

	if (last - lane->last > SOURCES_WINDOW)
		at = last - SOURCES_WINDOW + 1;
	for (; at <= last; at++)
		*word_of(lane, at) &= ~bit_of(at);
	lane->last = last;
}

static int
note(struct source_lane *lane, uint64_t sequence)
{
	if (sequence <= lane->all)
		return 0;
	if (lane->bits == NULL)
		lane->bits = calloc(WORDS, sizeof(*lane->bits));
	if (lane->bits == NULL)
		return -ENOMEM;
	if (sequence > lane->last)
		move_last(lane, sequence);
	if (lane->last - sequence < SOURCES_WINDOW)
		*word_of(lane, sequence) |= bit_of(sequence);
	return 0;
}

static bool
has(const struct source_lane *lane, uint64_t sequence)
{
	if (sequence <= lane->all)
		return true;
	if (sequence > lane->last)
		return false;
	return lane->last - sequence >= SOURCES_WINDOW ||
	    (*word_of(lane, sequence) & bit_of(sequence)) != 0;
}

/* ---- all -------------------------------------------------------------------
 */

static void
forget_link(struct sources *sources, uint32_t link)
{
	for (uint32_t i = 0; i < RING_LANES; i++) {
		free(sources->lane[link][i].bits);
		sources->lane[link][i] = (struct source_lane){ 0 };
	}
}

/* NULL: it is of no lane. */
static struct source_lane *
lane_of(struct sources *sources, const struct store_source *source)
{
	const uint32_t link = sources_link(source->link);

	if (source->link == MESSAGE_FROM_MQTT || source->lane >= RING_LANES)
		return NULL;
	if (source->link != sources->name[link]) {
		forget_link(sources, link);
		sources->name[link] = source->link;
	}
	return &sources->lane[link][source->lane];
}

int
sources_note(struct sources *sources, const struct store_source *source)
{
	struct source_lane *lane = lane_of(sources, source);

	return lane == NULL ? 0 : note(lane, source->sequence);
}

void
sources_cover(struct sources *sources, const struct store_source *source)
{
	struct source_lane *lane = lane_of(sources, source);

	if (lane == NULL || source->sequence <= lane->all)
		return;
	lane->all = source->sequence;
	if (lane->all > lane->last)
		lane->last = lane->all;
}

const struct source_lane *
sources_lane(const struct sources *sources, uint32_t name, uint32_t lane)
{
	const uint32_t link = sources_link(name);

	BUG_ON(lane >= RING_LANES);
	return sources->name[link] == name ? &sources->lane[link][lane] : NULL;
}

bool
sources_has(const struct sources *sources, uint32_t name, uint32_t lane,
    uint64_t sequence)
{
	const struct source_lane *it = sources_lane(sources, name, lane);

	return it != NULL && has(it, sequence);
}

void
sources_fini(struct sources *sources)
{
	for (uint32_t i = 0; i < RING_LINKS; i++)
		forget_link(sources, i);
}
