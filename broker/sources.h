/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sources - how far each lane to the broker is in the journal.
 *
 * A record of a lane is taken once, though the broker may die after it was
 * committed and before the lane was told so: a message in the journal names
 * its source (link, lane, sequence), and the next life takes what is behind.
 *
 * Sequences are of a link's memory, and memory that is made anew counts from
 * 1 again.  So what the journal has as `link` is a source name: the number of
 * the link, and bits that are drawn for each memory.  It is kept in that
 * memory (links_memory.c), and goes where it goes.
 *
 * Of each link the memory that was named last counts; nothing is known of
 * those before it.  One thread.
 */

#ifndef WEIR_BROKER_SOURCES_H
#define WEIR_BROKER_SOURCES_H

#include <stdint.h>

#include "broker/store/store_record.h"
#include "common/ring/ring_layout.h"

/* Zeroed: nothing is known. */
struct sources {
	uint32_t name[RING_LINKS]; /* 0: none */
	uint64_t sequence[RING_LINKS][RING_LANES];
};

/* The name of new memory of `link`; never 0, nor MESSAGE_FROM_MQTT. */
uint32_t sources_name(uint32_t link, uint64_t random);

/* The number of the link that a name is of. */
static inline uint32_t
sources_link(uint32_t name)
{
	return name % RING_LINKS;
}

/*
 * The journal has it, or a checkpoint says so (STORE_SOURCE).  What is of no
 * lane is passed over.
 */
void sources_note(struct sources *sources, const struct store_source *source);

/* The last sequence of that lane that is in the journal; 0: none. */
uint64_t sources_last(
    const struct sources *sources, uint32_t name, uint32_t lane);

#endif
