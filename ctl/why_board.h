/* SPDX-License-Identifier: Apache-2.0 */

/*
 * why_board - read what processes wrote on their boards.
 *
 * The lines are bridged/report.h's, httpd/held.h's and broker/held.h's.  A
 * board is another's memory: a line that is not as expected is passed over,
 * what is missing stays zero or empty.
 */

#ifndef WEIR_CTL_WHY_BOARD_H
#define WEIR_CTL_WHY_BOARD_H

#include <stdbool.h>
#include <stdint.h>

/* Of a bridge's side: its remote. */
struct why_remote {
	char address[160]; /* "10.0.0.9:1883", "": unknown */
	char state[64];
	char error[256];   /* what it said when it was lost last */
	uint64_t since_ns; /* of the state, CLOCK_MONOTONIC */
	uint64_t down_ns;  /* not connected since; 0: it is */
	uint64_t retry_ns;
	uint64_t later_ns;
	uint64_t rate_ns; /* its own rate lets nothing go until then */
	uint64_t error_ns;
	bool is_full; /* its socket takes no more */
};

/* Who is held, and how many of them. */
struct why_held {
	uint64_t messages; /* 0 where only clients are counted */
	uint64_t clients;
	char names[256]; /* "admin, meter-gw and others" */
	unsigned named;
	bool has_more;
};

/* The broker's side of a bridge's link: what waits in the journal. */
struct why_backlog {
	uint64_t messages, bytes, limit; /* limit 0: there is no journal */
};

/* The broker's side of any link: what waits for the journal. */
struct why_journal {
	uint64_t records;
	uint64_t since_ns; /* nothing was written, CLOCK_MONOTONIC */
};

void why_board_backlog(const char *board, struct why_backlog *out_backlog);
void why_board_journal(const char *board, struct why_journal *out_journal);

void why_board_remote(const char *board, struct why_remote *out_remote);

/* httpd's: those held in lanes whose set has `bridge` (NULL: in any). */
void why_board_clients(
    const char *board, const char *bridge, struct why_held *out_held);

/* Messages that httpd has committed and has no receipt for. */
uint64_t why_board_committed(const char *board);

/* The broker's side of a bridge's link: publishers held for that bridge. */
void why_board_publishers(const char *board, struct why_held *out_held);

/* Bring `names` to an end: " and others" if there are more. */
void why_held_finish(struct why_held *held);

#endif
