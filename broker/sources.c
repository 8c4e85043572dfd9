/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/sources.h"

#include <string.h>

#include "broker/message.h"
#include "common/base/bug.h"

/* Bits above the number of the link. */
#define DRAWN_MASK UINT32_C(0x01ffffff)

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

void
sources_note(struct sources *sources, const struct store_source *source)
{
	const uint32_t link = sources_link(source->link);

	if (source->link == MESSAGE_FROM_MQTT || source->lane >= RING_LANES)
		return;
	if (source->link != sources->name[link]) {
		sources->name[link] = source->link;
		memset(sources->sequence[link], 0,
		    sizeof(sources->sequence[link]));
	}
	if (source->sequence > sources->sequence[link][source->lane])
		sources->sequence[link][source->lane] = source->sequence;
}

uint64_t
sources_last(const struct sources *sources, uint32_t name, uint32_t lane)
{
	const uint32_t link = sources_link(name);

	BUG_ON(lane >= RING_LANES);
	return sources->name[link] == name ? sources->sequence[link][lane] : 0;
}
