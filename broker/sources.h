/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sources - which records of the lanes to the broker are in the journal.
 *
 * A record of a lane is taken once, though the broker may die after it was
 * committed and before the lane was told so: a message in the journal names
 * its source (link, lane, sequence), and the next life takes the others.
 *
 * Others may lie among them: what was refused, what could not be written for
 * want of memory, what nobody had to have kept.  So it is known of each of the
 * last SOURCES_WINDOW sequences of a lane; what is older has been answered.
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

#include <stdbool.h>
#include <stdint.h>

#include "broker/store/store_record.h"
#include "common/ring/ring_layout.h"

/* More than can be on their way from one lane (conf_commit_window()). */
#define SOURCES_WINDOW 65536u

struct source_lane {
	uint64_t all;   /* all up to it */
	uint64_t last;  /* none behind it */
	uint64_t *bits; /* [sequence % SOURCES_WINDOW] of those between */
};

/* Zeroed: nothing is known. */
struct sources {
	uint32_t name[RING_LINKS]; /* 0: none */
	struct source_lane lane[RING_LINKS][RING_LANES];
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
 * The journal has a message of this source; what is of no lane is passed
 * over.  Returns 0 or -ENOMEM.
 */
int sources_note(struct sources *sources, const struct store_source *source);

/* STORE_SOURCE: all up to this one were answered. */
void sources_cover(struct sources *sources, const struct store_source *source);

/* Was that record taken? */
bool sources_has(const struct sources *sources, uint32_t name, uint32_t lane,
    uint64_t sequence);

/* What is known of a lane; NULL of one of other memory. */
const struct source_lane *sources_lane(
    const struct sources *sources, uint32_t name, uint32_t lane);

void sources_fini(struct sources *sources);

#endif
