/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_dead - dead letters: kept by the broker, told to the journal.
 *
 *	weir-bridged --RECORD_DEAD--> lane --> kept, STORE_DEAD --> released
 *	     |                                                         |
 *	     +--- gives the message's own record back only then <-----+
 *
 * A bridge that dies in between finds out once more, and its copy is known by
 * where it comes from (dead_has()).  What goes for room, by order, or on its
 * way again is told to the journal likewise.  Without a journal they live in
 * memory, and end with this process.
 *
 * The links thread.
 */

#ifndef WEIR_BROKER_LINKS_DEAD_H
#define WEIR_BROKER_LINKS_DEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/dead.h"
#include "broker/store/store_record.h"

struct links_endpoint;
struct links_incoming;

/*
 * A record of that kind, copied to links->scratch; in->ticket is to be waited
 * for.  False: it stays; in->reason says so if it cannot be one.
 */
bool links_dead_take(struct links_incoming *in);

/* Its letters as recovery found them, cut to the limits of today. */
void links_dead_recover(struct links_endpoint *endpoint);

typedef int links_dead_put(
    void *context, enum store_kind kind, struct slice body);

/*
 * What a checkpoint has of letters: each, and the number that was given out
 * last.  Ends with what `put` returned if it is not 0; -ENOMEM.
 */
int links_dead_each_record(const struct dead *dead, uint64_t cursor,
    links_dead_put *put, void *context);
int links_dead_checkpoint(
    const struct links_endpoint *endpoint, links_dead_put *put, void *context);

/*
 * To the end of that bridge's queue, as a new message for it alone that never
 * expires.  0: the letter is gone; -EAGAIN: the bridge or the journal has no
 * room now; -EMSGSIZE: its ring can never hold it; -EBADMSG: it is no message.
 */
int links_dead_retry(
    struct links_endpoint *endpoint, struct dead_letter *letter);

/* By order: it is gone. */
void links_dead_drop(
    struct links_endpoint *endpoint, struct dead_letter *letter);

#endif
