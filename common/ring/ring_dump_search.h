/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_dump_search - records that nothing leads to, found backwards.
 *
 * What the consumer has released lies where it was until it is overwritten,
 * but records are linked forwards only.  So every 64th byte before a known
 * end is a candidate, and the longest chain of sound headers with consecutive
 * sequences that ends exactly there is taken to be what was written.  Chains
 * lead on through the SWITCH records into regions of other classes that have
 * been left and not yet been punched.
 *
 * A payload may look like records.  Such a chain lies within the record that
 * it is the payload of, so the true one is longer: only if the header of that
 * record is overwritten already, and its payload not, may it be taken for
 * true.  While the producer writes, a payload may be overwritten between two
 * looks at it.  What was found is a flight recorder's, not a notary's.
 */

#ifndef WEIR_COMMON_RING_RING_DUMP_SEARCH_H
#define WEIR_COMMON_RING_RING_DUMP_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_dump_lane.h"

struct ring_dump_search {
	struct ring_dump_place end; /* the chain ends there ... */
	uint64_t after;             /* ... where this sequence follows */
	uint64_t lowest;            /* position that it may not begin before */
};

/* Bytes that are searched, the newest ones. */
#define RING_DUMP_SEARCH_BYTES (UINT64_C(256) << 20)

/*
 * Find where the longest chain begins: *out_start is a record, a PAD or a
 * SWITCH, or `end` if there is none.  *out_is_cut is set if a limit of the
 * search was reached.  Returns 0 or -ENOMEM.
 */
int ring_dump_search(struct ring_dump_lane *lane,
    const struct ring_dump_search *search, struct ring_dump_place *out_start,
    bool *out_is_cut);

/*
 * Where the producer writes next: behind the head, after what it has put and
 * not committed.
 */
struct ring_dump_place ring_dump_reach(
    struct ring_dump_lane *lane, const struct ring_dump_ends *ends);

/*
 * May the payload of the released record at `at` be overwritten in part,
 * though its header is whole?  The producer writes payloads first, from the
 * beginning on but for what memcpy() does otherwise, so that is what lies where
 * it writes next: for twice as many bytes as the longest record that the last
 * search found, to be on the safe side.
 */
bool ring_dump_is_at_risk(const struct ring_dump_lane *lane,
    struct ring_dump_place reach, const struct ring_dump_ends *ends,
    struct ring_dump_place at);

#endif
