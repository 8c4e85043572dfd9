/* SPDX-License-Identifier: Apache-2.0 */

/*
 * connection_faults - connections that fail below MQTT, counted and told.
 *
 * Each is counted.  The log has a line of the first with its reason, and one
 * of each that has another reason, CONNECTION_FAULTS_REASONS at most; all
 * others at the same listener and worker are summed up, in a line each
 * CONNECTION_FAULTS_QUIET_NS, until there are none.  So a client that tries
 * again and again, or a thousand of them, writes little.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_CONNECTION_FAULTS_H
#define WEIR_BROKER_CONNECTION_FAULTS_H

#include <stddef.h>

#include "common/base/clock.h"

/* Lines of failures in CONNECTION_FAULTS_QUIET_NS. */
#define CONNECTION_FAULTS_REASONS 16

#define CONNECTION_FAULTS_QUIET_NS (10 * CLOCK_SECOND_NS)

struct connection_faults;
struct worker;

/* Of all listeners; the worker has a loop.  NULL without memory. */
struct connection_faults *connection_faults_new(struct worker *worker);

/* Sums up what is untold.  Accepts NULL. */
void connection_faults_free(struct connection_faults *faults);

/* A connection of this listener failed; `reason` says why and what to do. */
void connection_faults_add(struct connection_faults *faults, unsigned listener,
    const char *address, const char *reason);

#endif
