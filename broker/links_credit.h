/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_credit - what endpoints get back: the space of what was taken, and
 * credit for what the destinations of a lane have room for.
 */

#ifndef WEIR_BROKER_LINKS_CREDIT_H
#define WEIR_BROKER_LINKS_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct links;
struct links_endpoint;
struct links_lane;

/* Give back what was taken; true if a tail moved (the peer may sleep). */
bool links_credit_release(struct links_endpoint *endpoint);

/* Extend the credit of each lane that is due; true if a limit moved. */
bool links_credit_grant(struct links_endpoint *endpoint);

/* Would the credit of this lane be extended, and up to where? */
bool links_credit_is_due(
    struct links *links, struct links_lane *lane, uint64_t *out_position);

#endif
