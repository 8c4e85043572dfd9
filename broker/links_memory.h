/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_memory - the shared memory of one endpoint: made, opened, adopted,
 * given up.
 */

#ifndef WEIR_BROKER_LINKS_MEMORY_H
#define WEIR_BROKER_LINKS_MEMORY_H

#include "broker/links_endpoint.h"
#include "broker/links_store.h"

/*
 * Give up the memory, if any, and make it anew; records in the output of a
 * bridge are kept and go into the new one first.  Returns 0 or -errno.
 */
int links_memory_rebuild(struct links_endpoint *endpoint);

/*
 * Go on with the memory of the broker's former life.  Takes the descriptors
 * that it uses out of *stored.  Returns as links_memory_rebuild(), which is
 * what it does when the memory does not fit.
 */
int links_memory_adopt(
    struct links_endpoint *endpoint, struct links_stored *stored);

/*
 * As adopt, instead of the memory that the endpoint has and has not used:
 * what was put into that for a bridge follows what is in *stored.
 */
int links_memory_replace(
    struct links_endpoint *endpoint, struct links_stored *stored);

/*
 * At the start, when all outputs are there: what they say of lanes that
 * nothing was ever put into is about memory that is gone.
 */
void links_memory_forget_fresh(struct links_endpoint *endpoint);

/*
 * The lanes of a link count from 1 again: no output has anything of them.
 * After its old memory is forgotten, which must never meet outputs that do
 * not know what they have of it, and before there is new memory, which must
 * never meet those that do.
 */
void links_memory_forget_forwarded(struct links_endpoint *endpoint);

/* Unmap and close; a supervisor may go on keeping it. */
void links_memory_release(struct links_endpoint *endpoint);

/* As above, and have the supervisor forget it. */
void links_memory_give_up(struct links_endpoint *endpoint);

#endif
