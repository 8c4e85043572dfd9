/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_egress - the bridges' rings: order, overflow policy, episodes.
 *
 * What workers sent lies in the ports, a queue for each (port, bridge).  A
 * bridge's ring is filled from the ports in turn; ingress lanes put into it
 * too (links_ingress.h).  Without room a bridge
 *
 *	stalls		the queue waits, and behind it its worker's window
 *	rejects		as stall, but workers and HTTP are refused new ones
 *	drops oldest	the consumer is asked to skip the oldest; while it
 *			does not, the newest is dropped
 *	drops newest	the message is dropped
 *
 * With a journal only QoS 0 comes by the ports, and the policies are those of
 * the bridge's backlog (backlog.h): its ring is then no more than a window.
 *
 * Every loss is counted where it happens.  The log says when an episode of
 * want of room begins (after a second) and sums it up at its end.
 */

#ifndef WEIR_BROKER_LINKS_EGRESS_H
#define WEIR_BROKER_LINKS_EGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct links;
struct message;
struct ring_record;

/* One bounded turn for each (port, bridge).  True if anything moved. */
bool links_egress_round(struct links *links);

/* Tell the workers what was committed; call after the commits. */
void links_egress_publish(struct links *links);

/* Keep `links->full` true; a few loads a bridge. */
void links_egress_note_full(struct links *links);

/* The recheck before sleep. */
bool links_egress_can_move(struct links *links);

/* Nothing left in any port? */
bool links_egress_is_empty(struct links *links);

/* Once a second: episodes, counters. */
void links_egress_beat(struct links *links);

/*
 * Those of `bridges` whose ring could ever hold such a record; the others
 * are counted, and do not get it.
 */
uint64_t links_egress_fitting(
    struct links *links, uint64_t bridges, size_t length);

/*
 * For a bridge that drops: true if there is room; else it is counted.
 * `is_offered`: see links_output_accept().
 */
bool links_egress_make_room(
    struct links *links, unsigned bridge, size_t length, bool is_offered);

/* An accepted one that the bridge does not get, by its policy: counted. */
void links_egress_drop(struct links *links, unsigned bridge);

/* overflow = "drop_oldest": have the bridge skip what is oldest in its ring. */
void links_egress_ask_to_drop(struct links *links, unsigned bridge);

/* Bytes of a message in a ring, and what such a record weighs elsewhere. */
size_t links_egress_body_size(const struct message *message);
size_t links_egress_weight(size_t body_size);

/*
 * Into the bridge's ring, where there is room.  One that came from an MQTT
 * client may be sampled here.
 */
void links_egress_put(struct links *links, unsigned bridge,
    const struct message *message, const struct ring_record *record);

/* Count a refusal for each of `bridges`. */
void links_egress_refused(struct links *links, uint64_t bridges);

#endif
