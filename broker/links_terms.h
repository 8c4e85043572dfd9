/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_terms - the books of a bridge: two sums that must come out.
 *
 *	offered = accepted + declined + unknown      what producers were told
 *	given = delivered + queued + dropped + dead  what the bridge was given
 *
 * in messages, ever.  Each term is counted where it happens:
 *
 *	offered, declined	weir-httpd for the messages of its lanes
 *				(common/msg/offers.h), workers for their
 *				clients (tally.h), the links thread for what
 *				other bridges bring
 *	accepted		by weir-httpd's receipts; of MQTT, when it is
 *				given to the bridge
 *	unknown			committed, and no answer came
 *	given			put into the ring, committed to the journal, or
 *				dropped by the policy before that
 *	delivered, dead		weir-bridged, in the slots of its tail
 *	dropped			weir-bridged likewise, and here in front of the
 *				ring
 *	queued			in the ring, in the journal, or kept of former
 *				rings
 *
 * The first is exact when nothing is under way, the second always: its terms
 * are read in one turn of the links thread, with one look at the tail.  What
 * was given may be more than what was accepted: by messages whose outcome is
 * unknown to their producer.
 *
 * With a journal the books survive: a STORE_BRIDGE record has them once a
 * second while they change, and in each checkpoint.  What a ring, or httpd's
 * side, counts by itself is taken from there when its memory is there again,
 * which is known by its name (sources.h), and from the record if it is lost.
 *
 * The links thread, but for the recovery's start.
 */

#ifndef WEIR_BROKER_LINKS_TERMS_H
#define WEIR_BROKER_LINKS_TERMS_H

#include <stdint.h>

#include "broker/links_output.h"
#include "broker/store/store_record.h"
#include "common/msg/offers.h"

struct links;
struct links_endpoint;
struct recovered_bridge;

struct links_terms {
	struct links_offers producers;
	uint64_t given, delivered, queued, dropped, dead;
};

/* weir-httpd's rows, copied; all zero if there are none. */
void links_terms_read_http(const struct links *links, struct offers *out_http);

/* Of a bridge, with links_terms_read_http(). */
void links_terms_of(const struct links_endpoint *endpoint,
    const struct offers *http, struct links_terms *out_terms);

/* Messages of MQTT clients and of lanes that had to wait for it, ever. */
uint64_t links_terms_stalled(const struct links_endpoint *endpoint);

/* What the journal's record is to say now. */
void links_terms_record(const struct links_endpoint *endpoint,
    const struct offers *http, struct store_bridge_terms *out_terms);

/*
 * What the journal said, and has behind that.  Before the bridge has memory.
 * Of a ring that is lost it is not known what became of the messages that it
 * gave back last, since the terms were written: they count as delivered.
 */
void links_terms_recover(
    struct links_endpoint *endpoint, const struct recovered_bridge *recovered);

/* Its memory is that of a former life: it counts by itself. */
void links_terms_found(struct links_endpoint *endpoint);

/* weir-httpd's memory is about to go: keep what it counted. */
void links_terms_keep_http(struct links *links);

/* Once a second: into the journal, if anything changed. */
void links_terms_beat(struct links *links);

#endif
