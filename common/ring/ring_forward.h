/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_forward - what is in an output lane already, by where it came from.
 *
 * The broker moves records from input lanes to output lanes, one record to
 * several outputs, and may die between any two stores.  Its next life finds
 * records that it did not release: which outputs have them?  Each output
 * keeps, for each (link, lane) that feeds it, the last source sequence that
 * is in it, in two slots of (sequence, head it becomes true at):
 *
 *	attach			the slot with the greatest head <= the ring's
 *				head counts (tie: slot 0); one above it is
 *				erased before anything is written
 *	ring_forward_has()	this output is skipped for this record
 *	ring_put(), ring_forward_note()
 *	ring_forward_fill()	the slot that does not count, for each lane
 *				noted: becomes true ...
 *	ring_commit()		... with this one store
 *
 * So a record and the word that it is there appear together.  A link whose
 * memory is made anew counts from 1 again: ring_forward_forget() first.
 *
 * One for each output lane; of the thread that writes the lane.
 */

#ifndef WEIR_COMMON_RING_RING_FORWARD_H
#define WEIR_COMMON_RING_RING_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

struct ring_forward;

/*
 * Attach to the RING_LINKS * RING_LANES pairs of an output lane whose head
 * word is `head`.  `table` must outlive it.  NULL: no memory.
 */
struct ring_forward *ring_forward_new(
    struct ring_forwarded *table, uint64_t head);
void ring_forward_free(struct ring_forward *forward);

/* The last sequence of that lane that was noted; 0: none. */
uint64_t ring_forward_sequence(
    const struct ring_forward *forward, uint32_t link, uint32_t lane);

/* Is the record of that lane in the output, or behind one that is? */
bool ring_forward_has(const struct ring_forward *forward, uint32_t link,
    uint32_t lane, uint64_t sequence);

/* The record was put into the output; not committed yet. */
void ring_forward_note(struct ring_forward *forward, uint32_t link,
    uint32_t lane, uint64_t sequence);

/*
 * Say in memory what was noted since the last call.  It becomes true when
 * the output's head is `head`, to be stored next and in any case.
 */
void ring_forward_fill(struct ring_forward *forward, uint64_t head);

/* Nothing came from this link: its lanes begin again at sequence 1. */
void ring_forward_forget(struct ring_forward *forward, uint32_t link);

/* As above for one lane. */
void ring_forward_forget_lane(
    struct ring_forward *forward, uint32_t link, uint32_t lane);

/*
 * The output was made anew and what it held is carried over: remember of the
 * old one what it had, without saying so in the new one's memory.
 */
void ring_forward_carry(
    struct ring_forward *forward, const struct ring_forward *old);

#endif
