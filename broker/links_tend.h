/* SPDX-License-Identifier: Apache-2.0 */

/* links_tend - rings to endpoints that have grown shrink again. */

#ifndef WEIR_BROKER_LINKS_TEND_H
#define WEIR_BROKER_LINKS_TEND_H

struct links;

/* Let the timer run while some ring needs it. */
void links_tend_later(struct links *links);

/* The timer: `arg` is the links. */
void links_tend(void *arg);

#endif
