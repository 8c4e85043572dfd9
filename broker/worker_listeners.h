/* SPDX-License-Identifier: Apache-2.0 */

/*
 * worker_listeners - the sockets on which a worker accepts.
 *
 * Each worker binds all addresses of the configuration for itself, and the
 * kernel spreads connections over them.  What there is only one of, a Unix
 * socket or one of the supervisor's (inherited.h), is worker 0's, which gives
 * each worker a connection in turn.  Limits of connections bite here.
 */

#ifndef WEIR_BROKER_WORKER_LISTENERS_H
#define WEIR_BROKER_WORKER_LISTENERS_H

struct worker;

/* Main thread: bind.  EXIT_OK, or an exit code after logging why not. */
int worker_listeners_open(struct worker *worker);

/* Main thread, before the worker runs: accept from now on.  0 or -errno. */
int worker_listeners_start(struct worker *worker);

/* No new connections from here on.  May be called twice. */
void worker_listeners_close(struct worker *worker);

/* Close and free all. */
void worker_listeners_free(struct worker *worker);

#endif
