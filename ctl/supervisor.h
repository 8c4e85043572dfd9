/* SPDX-License-Identifier: Apache-2.0 */

/*
 * supervisor - start programs, keep them running, end them in order.
 *
 * Each child is in one state:
 *
 *	            start              READY=1
 *	  WAITING --------> STARTING ----------> UP
 *	     ^                 |                 |
 *	     |   back-off      | ends            | ends
 *	     +-----------------+-----------------+
 *	                       | ends, or SIGTERM at the end of the run
 *	                       v
 *	                     ENDED
 *
 * A child that dies is started again after a delay that doubles from 100 ms
 * to 5 s and is reset once it has been up for 10 s.  It speaks sd_notify
 * (notify.h): readiness, watchdog, and descriptors that are kept for its
 * next life.  What it writes on stdout and stderr is logged (log_relay.h).
 *
 * A child that ends with EXIT_CONFIG or EXIT_USAGE at any time, or with
 * EXIT_OSERR before everything was up once, ends the whole run: a restart
 * cannot mend that, and the person who typed the command is there to see it.
 *
 * Ending goes by `stop_order`: all children of one order get SIGTERM, and
 * SIGKILL 6 s later; the next order follows when they are gone.  The calls
 * are for the loop's thread.
 */

#ifndef WEIR_CTL_SUPERVISOR_H
#define WEIR_CTL_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/net/loop.h"

#define SUPERVISOR_MAX_ARGS 6

struct supervisor;

struct supervisor_child {
	const char *name;                      /* in the log; lives as long */
	const char *argv[SUPERVISOR_MAX_ARGS]; /* argv[0]: the path */
	unsigned stop_order;                   /* 0 first */
};

struct supervisor_callbacks {
	/* Everything is up, for the first time. */
	void (*all_up)(void *arg);
};

/* NULL with errno. */
struct supervisor *supervisor_new(
    struct loop *loop, const struct supervisor_callbacks *callbacks, void *arg);
void supervisor_free(struct supervisor *supervisor);

/* Add before supervisor_start(); returns 0 or -ENOMEM. */
int supervisor_add(
    struct supervisor *supervisor, const struct supervisor_child *child);

/*
 * Start the first child; the others follow when it is up.  Returns 0 or
 * -errno.
 */
int supervisor_start(struct supervisor *supervisor);

/* End all, then stop the loop.  A second call kills what is left. */
void supervisor_stop(struct supervisor *supervisor);

/* Pass a signal on to all children that run. */
void supervisor_signal(struct supervisor *supervisor, int signal);

/* What the run ends with: EXIT_OK, or the code that ended it. */
int supervisor_exit_code(const struct supervisor *supervisor);

#endif
