/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tally - what a worker's clients offered for each bridge.
 *
 * A message counts as offered to each bridge that it is for when it is looked
 * at first, and as refused when it is turned away: for want of room, by the
 * journal, or because its client left while it was held.  What is accepted is
 * counted by the links thread, in the order in which the bridge gets it
 * (links_terms.h); only what a policy drops at the door is counted as accepted
 * here.
 *
 * A worker writes its own tally; any thread sums them up.  Sets are those of
 * bridge_table.h.
 */

#ifndef WEIR_BROKER_TALLY_H
#define WEIR_BROKER_TALLY_H

#include <stdint.h>

struct tally;

/* Messages, ever. */
struct tally_terms {
	uint64_t offered, accepted, declined;
	uint64_t stalled; /* of those offered: they had to wait for room */
};

/* For bridges 0 to `bridges` - 1.  NULL: no memory. */
struct tally *tally_new(unsigned bridges);

/* Accepts NULL. */
void tally_free(struct tally *tally);

/* The worker's thread. */
void tally_offered(struct tally *tally, uint64_t bridges);
void tally_accepted(struct tally *tally, uint64_t bridges);
void tally_declined(struct tally *tally, uint64_t bridges);
void tally_stalled(struct tally *tally, uint64_t bridges);

/* A message that was offered to `from` turns out to be for `to`. */
void tally_moved(struct tally *tally, uint64_t from, uint64_t to);

/* Any thread: added to *sum; a recent state. */
void tally_add(
    const struct tally *tally, unsigned bridge, struct tally_terms *sum);

#endif
