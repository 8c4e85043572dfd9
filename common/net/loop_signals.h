/* SPDX-License-Identifier: Apache-2.0 */

/*
 * loop_signals - signals that are told by a loop, among its other events.
 *
 * They are blocked in the thread that starts this, and in those that it starts
 * afterwards: begin before there are others.  A program that is executed
 * inherits the mask, and wants it cleared.
 */

#ifndef WEIR_COMMON_NET_LOOP_SIGNALS_H
#define WEIR_COMMON_NET_LOOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "common/net/loop.h"

/* Embed it by value; its fields are private. */
struct loop_signals {
	struct loop_fd watch;
	sigset_t blocked; /* by this, not before */
	int fd;
	bool is_started;
	void (*raised)(void *arg, int number);
	void *arg;
};

/*
 * Tell those of `numbers`, which ends with 0; raised() may stop it.
 * Returns 0 or -errno.
 */
int loop_signals_start(struct loop_signals *signals, struct loop *loop,
    const int *numbers, void (*raised)(void *arg, int number), void *arg);

/*
 * They do again what they did; those that were raised and not told are
 * forgotten.  Stopping what is stopped or zeroed is nothing.
 */
void loop_signals_stop(struct loop_signals *signals);

#endif
