/* SPDX-License-Identifier: Apache-2.0 */

/*
 * report - what a bridge says of its remote, for weirctl to read.
 *
 * The numbers of a lane (in flight, window, connected) do not say which
 * remote it is, since when it is away, and what it said last.  That goes to
 * the board of the bridge's side of the link, one line each:
 *
 *	remote HOST:PORT
 *	state connected			as bridge.c names its states
 *	since NS			CLOCK_MONOTONIC, when that began
 *	down NS				it is not connected since then
 *	retry NS			when it tries again; only while waiting
 *	full 1				its socket takes no more
 *	later NS			it asked to be left alone until then
 *	rate NS				our own rate lets nothing go until then
 *	error NS WHY			the last time it was lost, and why
 *
 * The loop's thread.
 */

#ifndef WEIR_BRIDGED_REPORT_H
#define WEIR_BRIDGED_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/board.h"
#include "common/conf/conf.h"

#define REPORT_WHY_SIZE 256
#define REPORT_REMOTE_SIZE 280

struct report {
	char remote[REPORT_REMOTE_SIZE]; /* HOST:PORT that is tried */
	const char *state;               /* constant */
	uint64_t since_ns;
	uint64_t down_ns;  /* 0: connected */
	uint64_t retry_ns; /* 0: none is due */
	uint64_t later_ns; /* likewise */
	uint64_t rate_ns;  /* likewise */
	uint64_t error_ns; /* likewise */
	char why[REPORT_WHY_SIZE];
	bool is_full;
	bool is_news;
	const struct board *board; /* that has all of it, but for news */
};

void report_init(struct report *report, const struct conf_bridge *conf);

void report_remote(struct report *report, const struct conf_remote *remote);

/* `state` is a constant text; ends a wait for a retry. */
void report_state(struct report *report, const char *state, uint64_t now_ns);
void report_retry(struct report *report, uint64_t at_ns);
void report_error(struct report *report, const char *why, uint64_t now_ns);

/* What forward knows; `later_ns` as its not_before_ns, `rate_ns` its pace's. */
void report_flow(
    struct report *report, bool is_full, uint64_t later_ns, uint64_t rate_ns);

/* Whether there is a connection; call it each turn, before the post. */
void report_up(struct report *report, bool is_up, uint64_t now_ns);

/* Once a turn: write what is news.  `board` is NULL while detached. */
void report_post(struct report *report, struct board *board);

#endif
