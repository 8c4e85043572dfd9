/* SPDX-License-Identifier: Apache-2.0 */

/*
 * give_back - memory of many clients goes back to the system when they have.
 *
 * What clients and sessions leave behind lies in pieces between what stays,
 * and the allocator gives back its end alone.  When a worker has a quarter
 * left of what it had, GIVE_BACK_LEAST or more, and what they were made of has
 * had time to be freed, the main thread has the allocator look for whole pages
 * (malloc_trim()): no worker waits for that.
 *
 * The worker's thread.
 */

#ifndef WEIR_BROKER_GIVE_BACK_H
#define WEIR_BROKER_GIVE_BACK_H

#include <stdatomic.h>
#include <stdint.h>

#include "broker/mailbox.h"
#include "common/net/loop.h"

/* Clients and sessions together. */
#define GIVE_BACK_LEAST 500u

struct worker;

/* In the worker. */
struct give_back {
	size_t most; /* since memory was given back last */
	struct loop_timer timer;
	struct mail mail; /* to the main thread, and back in our hands when */
	atomic_bool is_posted;
};

void give_back_init(struct worker *worker);
void give_back_fini(struct worker *worker);

/* Once a turn. */
void give_back_look(struct worker *worker);

#endif
