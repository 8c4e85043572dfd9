/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_output - the lane from the broker to one endpoint, and who may put
 * into it.
 *
 * Workers, lanes and receipts share an output.  Room is asked for before
 * anything is written, so that a record goes to all its outputs or to none.
 */

#ifndef WEIR_BROKER_LINKS_OUTPUT_H
#define WEIR_BROKER_LINKS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_forward.h"
#include "common/ring/ring_link.h"

struct links;

/*
 * What producers offered for a bridge, as far as the links thread counts it:
 * see links_terms.h.
 */
struct links_offers {
	uint64_t offered, accepted, declined, unknown;
};

/* The lane from the broker to the endpoint; its one writer is links. */
struct links_output {
	struct ring_producer *producer;
	struct ring_lane_geometry geometry;
	int fd; /* its memfd, reopened read-only to be granted */
	struct ring_forward *forward; /* what is in it; NULL: receipts only */

	/*
	 * The memory is new, but a program may come with that of the broker's
	 * former life, and with what that has handed over already.
	 */
	bool is_awaited;

	/*
	 * Who waits for room in this output and nothing else.  Others let
	 * it go first, or a large record would starve among small ones.
	 */
	const void *waiter;

	uint64_t remote_id[2]; /* of the Weir that it leads to, as it says */

	/* The episode of want of room that may be going on. */
	uint64_t lacking_since_ns; /* 0: the last record found room */
	uint64_t episode_ns;       /* when it was logged; 0: none */
	uint64_t dropped, refused; /* ever */
	uint64_t too_large;        /* ever */
	uint64_t stalled;          /* records of lanes that had to wait, ever */
	uint64_t drop_requests;    /* to skip the oldest, ever */
	uint64_t seen_losses;      /* of all kinds, at the last beat */
	uint64_t episode_dropped, episode_refused; /* at its begin */
	uint64_t episode_stalled;                  /* likewise */
	uint64_t accepted; /* for it, or dropped, ever; counted once */

	struct links_offers offers;

	/* What became of records in memory that was given up. */
	struct ring_outcome former;

	/*
	 * As the journal says of memory that is not here, or not yet: of the
	 * ring, by its name, and of weir-httpd's side.
	 */
	uint32_t absent_ring, absent_http; /* 0: none */
	struct ring_outcome absent_outcome;
	struct links_offers absent_offers;
};

/*
 * It is one more that the bridge is given, or that its policy drops;
 * `is_offered`: its producer's offer is counted by the broker.
 */
static inline void
links_output_accept(struct links_output *output, bool is_offered)
{
	output->accepted++;
	output->offers.accepted += is_offered;
}

/* Room in the lane to the endpoint for a record, as `who` sees it. */
bool links_output_has_room(
    struct links_output *output, size_t length, const void *who);

/* No room: begin an episode, and let `who` go first if it may (else NULL). */
void links_output_lacks(
    struct links_output *output, uint64_t now_ns, const void *who);

/* `who` is gone and goes first nowhere. */
void links_output_forget_waiter(struct links *links, const void *who);

/*
 * Write a record; room is known to be there.  Returns where the body goes;
 * the record is finished with links_output_put().  Who brings it counts it as
 * accepted, which may have been long before.
 */
void *links_output_claim(struct links_output *output, size_t length);
void links_output_put(
    struct links_output *output, const struct ring_record *record);

/* Is that record of an ingress lane in it already? */
bool links_output_has(const struct links_output *output, uint32_t link,
    uint32_t lane, uint64_t sequence);

/*
 * Commit, and with it the word which records are in it.  Returns true when
 * there was something to commit.
 */
bool links_output_commit(struct links_output *output, uint64_t now_ns);

#endif
