/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_salvage - accepted records in the ring of a link that was given up.
 *
 * When a bridge's process breaks its link, the records that it had not
 * released are still in our own memory, which it could not write.  They are
 * kept, and go into the ring of the new link before anything else does.  The
 * same is done with a ring whose place is taken by an older one that a program
 * hands back.
 */

#ifndef WEIR_BROKER_LINKS_SALVAGE_H
#define WEIR_BROKER_LINKS_SALVAGE_H

#include <stdbool.h>
#include <stdint.h>

struct links;
struct links_endpoint;
struct links_salvage;

/*
 * Keep what the endpoint's output holds, before its memory goes.  Nothing to
 * keep is nothing done.  Returns 0 or -errno: they are lost.
 */
int links_salvage_keep(struct links_endpoint *endpoint);

/*
 * The output is that of a former life: tell its feed what is in it.  (With a
 * journal; what is the journal's is put again by the feed and not kept here.)
 */
void links_salvage_find(struct links_endpoint *endpoint);

/*
 * The output is now older memory that came back: what is kept follows what is
 * in it, but for what it says it has already.
 */
void links_salvage_is_newer(struct links_endpoint *endpoint);

/*
 * Put into the output what has room.  Returns true if anything moved.  Until
 * all is through nobody else may put into this output.
 */
bool links_salvage_round(struct links_endpoint *endpoint);

/* Is there something, and room for it? */
bool links_salvage_can_move(struct links_endpoint *endpoint);

/* Records that wait. */
uint64_t links_salvage_count(const struct links_endpoint *endpoint);

void links_salvage_free(struct links_endpoint *endpoint);

#endif
