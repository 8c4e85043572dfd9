/* SPDX-License-Identifier: Apache-2.0 */

/* links_drain - the end: what is waited for (links_drain()), what is left. */

#ifndef WEIR_BROKER_LINKS_DRAIN_H
#define WEIR_BROKER_LINKS_DRAIN_H

struct links;

/* Into the log, when the links stop. */
void links_say_what_is_left(struct links *links);

#endif
