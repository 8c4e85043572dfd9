/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_tour - a question that goes round the workers.
 *
 * It travels by mail from the links thread to a worker, which takes one
 * bounded step on its own thread, and back; then to that worker again, or to
 * the next one.  Between two steps of a worker its loop goes on, so that a
 * list of 100,000 clients holds nobody up.  The list is of those who were
 * there when it came by; it is no snapshot.
 *
 * Embed it as the first member.
 */

#ifndef WEIR_BROKER_MANAGE_TOUR_H
#define WEIR_BROKER_MANAGE_TOUR_H

#include <stdbool.h>

#include "broker/mailbox.h"
#include "common/base/slice.h"

struct broker;
struct manage_ask;
struct worker;

struct manage_tour {
	struct mail mail;
	struct manage_ask *ask; /* waits for the tour */
	struct broker *broker;
	unsigned worker; /* where it is, or goes first */
	unsigned last;   /* the last one */

	/* On the worker's thread.  True: it is done with this worker. */
	bool (*step)(struct manage_tour *tour, struct worker *worker);

	/* On the links thread, at the end: answers and frees. */
	void (*done)(struct manage_tour *tour);
};

/*
 * Set out; ask, step and done are set.  Links thread.  manage_tour_all():
 * to all workers; manage_tour_one(): to the one of this client identifier.
 */
void manage_tour_all(struct manage_tour *tour);
void manage_tour_one(struct manage_tour *tour, struct slice client_id);

#endif
