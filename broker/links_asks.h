/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_asks - questions that httpd asks, and their answers (manage.h).
 *
 * An ASK record is copied and released at once; its answer comes when it
 * comes and goes out in pieces, one of each answer in turn.  Pieces are put
 * only while nothing else waits for the lane of receipts, and fill a part of
 * it at most (ASK_SHARE): a long answer, or an httpd that does not read, holds
 * no receipt up.  Bounded: LINKS_ASKS_MAX questions of a link, and
 * LINKS_ASKS_BYTES of their answers; what is over that is answered 503.
 */

#ifndef WEIR_BROKER_LINKS_ASKS_H
#define WEIR_BROKER_LINKS_ASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

struct links_asks;
struct links_endpoint;

/* Questions under way for one endpoint; httpd asks no more (ASKS_MAX). */
#define LINKS_ASKS_MAX 32u

/*
 * Bytes of answers that wait to be read, those over the control socket too;
 * one more may begin below it.
 */
#define LINKS_ASKS_BYTES (UINT64_C(16) << 20)

/*
 * Take an ASK record whose body was copied to `body`.
 * Returns false if it asks for more than it may: the endpoint is at fault.
 */
bool links_asks_take(struct links_endpoint *endpoint,
    const struct ring_record *record, const void *body);

/* Put pieces that have room.  Returns true if any went. */
bool links_asks_round(struct links_endpoint *endpoint);

/* Would a round move anything? */
bool links_asks_can_move(struct links_endpoint *endpoint);

/*
 * Its process or its memory is gone: nobody reads the answers.  What is under
 * way ends by itself.
 */
void links_asks_forget(struct links_endpoint *endpoint);

#endif
