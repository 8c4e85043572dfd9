/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_overdue - what waits in httpd's lanes is refused in time.
 *
 * Credit is a promise that can be overtaken: a bridge's room is shared, and
 * what httpd put into a lane on the strength of it may find that MQTT
 * publishers were faster.  Its HTTP client waits for an answer all the same,
 * so the head of a lane that nobody has taken anything of yet is refused
 * (0x97) when stall_timeout has passed since its request was read, as if it
 * had waited in httpd.  What some bridge has, or the journal, is not.
 */

#ifndef WEIR_BROKER_LINKS_OVERDUE_H
#define WEIR_BROKER_LINKS_OVERDUE_H

#include <stdbool.h>
#include <stdint.h>

struct links;
struct links_incoming;
struct links_lane;

void links_overdue_start(struct links *links);
void links_overdue_stop(struct links *links);

/* It stays at the head of its lane for want of room at bridges. */
void links_overdue_note(struct links_incoming *in);

/* Has the head of this lane, which was noted, waited for too long? */
bool links_overdue_is_due(
    const struct links *links, const struct links_lane *lane);

/*
 * It finds no room at `lacking`.  True: that was for too long, and
 * in->reason is why it is refused; counted for each of them.
 */
bool links_overdue_refuse(struct links_incoming *in, uint64_t lacking);

#endif
