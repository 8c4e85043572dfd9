/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_endpoint - httpd or one bridge as the links thread sees it.
 *
 * The memory of a link belongs to the broker and outlives the processes at
 * its other end:
 *
 *	            HELLO                     process gone
 *	  ABSENT ----------> ATTACHED ------------------------> ABSENT
 *	    ^                   |                 (memory stays, lanes stay)
 *	    |  HELLO rebuilds   | a lane or the side is hostile
 *	    +--- POISONED <-----+   (memory is given up)
 *
 * Descriptors are kept beside the mappings, to be granted again to a
 * restarted process, which finds all lanes as they were.
 */

#ifndef WEIR_BROKER_LINKS_ENDPOINT_H
#define WEIR_BROKER_LINKS_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/dead.h"
#include "broker/links_output.h"
#include "broker/links_pending.h"
#include "common/base/token_bucket.h"
#include "common/conf/conf.h"
#include "common/msg/record.h"
#include "common/net/loop.h"
#include "common/ring/ring_link.h"

struct ask;
struct links;
struct links_connection;
struct links_feed;
struct links_salvage;

enum links_state {
	LINKS_ABSENT, /* no process serves the other end */
	LINKS_ATTACHED,
	LINKS_POISONED, /* fresh memory at the next HELLO */
};

/* Most answers that may wait for room in the lane of receipts. */
#define LINKS_ANSWERS_MAX 256u

/* A lane from the endpoint to the broker. */
struct links_lane {
	struct ring_consumer *consumer;
	struct ring_lane_geometry geometry;
	int fd;           /* its memfd, to be granted read-write */
	uint64_t set;     /* the bridges it is for */
	int64_t deficit;  /* bytes it may still take in this round */
	uint64_t charged; /* position up to which it paid for its turns */
	uint64_t granted; /* position */
	size_t largest;   /* payload bytes of its largest record so far */

	/* The head record, once it was looked at and could not be taken. */
	bool is_known;
	bool is_begun; /* a bridge has it already: it is not refused */
	bool waits_for_memory;
	uint64_t needs;      /* the reliable bridges it goes to */
	size_t needed;       /* bytes of a record, or of a backlog */
	uint64_t overdue_ns; /* when it is refused, if it still waits */

	/* Taken, and not settled. */
	struct links_pending_line pending;

	/* Done with, and not yet released. */
	struct ring_outcome outcome;
	uint64_t done_word;      /* position word */
	uint64_t done_sequence;  /* of the last one; 0: none */
	uint64_t known_sequence; /* the last one that a former life took */
};

/* An answer that waits for room. */
struct links_answer {
	uint64_t correlation;
	struct record_auth_result body;
};

struct links_endpoint {
	struct links *links;
	uint32_t id;
	enum ring_role role;
	const struct conf_bridge *bridge; /* NULL for httpd */
	int bridge_number;                /* -1 for httpd */
	enum conf_overflow overflow;      /* of a bridge, as it is now */
	uint64_t backlog;                 /* likewise: as configured */
	const struct conf_ring *ring;
	struct ring_link_identity identity;
	enum links_state state;
	bool is_disabled; /* by order: no connection to its remote */
	bool was_stored;  /* the supervisor had memory for it at the start */
	bool is_adopted; /* its memory is that of a former life of the broker */

	/* Kept for the next life of the process. */
	int own_fd;            /* the broker's side */
	int peer_fd;           /* the endpoint's side */
	struct bell_fds bells; /* to_broker and to_endpoint_wait */

	struct ring_link *link;
	uint32_t source;         /* the name of its memory, see sources.h */
	const char *fault;       /* found in this round: poisoned at its end */
	struct dead dead;        /* letters of a bridge */
	struct links_feed *feed; /* of a bridge, with a journal; else NULL */
	struct links_salvage *salvage; /* of links given up, to go first */
	struct links_lane lanes[RING_LANES];
	uint32_t lane_count; /* the greatest number of an open one + 1 */
	struct links_output output;

	/* The process: pid 0, pidfd -1 when it is known to be gone. */
	struct links_connection *connection;
	pid_t pid;
	int pidfd;
	struct loop_fd pidfd_watch;

	struct loop_fd bell_watch;
	bool bell_is_watched;
	bool is_touched;      /* in this round: wake it if it sleeps */
	bool was_woken;       /* since the last turn */
	uint32_t empty_wakes; /* since the last beat */

	struct links_answer answers[LINKS_ANSWERS_MAX]; /* a circle */
	uint32_t first_answer, answer_count;
	uint32_t auth_pending; /* checks under way */

	/* Questions, see links_asks.h. */
	struct ask *asks;       /* in the order in which they go on */
	uint32_t ask_count;     /* of them */
	uint64_t asks_position; /* the end of the last piece in the output */

	uint64_t attaches, poisoned;
	struct token_bucket refused_lines; /* of the log, about lanes */
};

/* Each open lane; one that was closed leaves a gap. */
#define LINKS_EACH_LANE(endpoint, lane)                                        \
	for ((lane) = (endpoint)->lanes;                                       \
	     (lane) < (endpoint)->lanes + (endpoint)->lane_count; (lane)++)    \
		if ((lane)->consumer != NULL)

/*
 * Make an endpoint with its memory.  `bridge` NULL: httpd.
 * NULL with errno.
 */
struct links_endpoint *links_endpoint_new(struct links *links, uint32_t id,
    const struct conf_bridge *bridge, int bridge_number);
void links_endpoint_free(struct links_endpoint *endpoint);

/*
 * What became of the records in the lane to the endpoint, as it says itself;
 * any numbers are harmless.
 */
struct ring_outcome links_endpoint_outcome(
    const struct links_endpoint *endpoint);

/* Records in the lane to it that it has not released, by that outcome. */
uint64_t links_endpoint_in_ring(
    const struct links_endpoint *endpoint, const struct ring_outcome *outcome);

/* Is it connected to its remote, as it says itself? */
bool links_endpoint_remote_is_up(const struct links_endpoint *endpoint);

/* Lanes from it that are open. */
unsigned links_endpoint_lanes(const struct links_endpoint *endpoint);

/*
 * A process said HELLO.  Returns 0, or -EBUSY with *out_pid when another
 * process has this name.
 */
int links_endpoint_claim(
    struct links_endpoint *endpoint, pid_t pid, pid_t *out_pid);

/* Its process is served from now on. */
void links_endpoint_attached(
    struct links_endpoint *endpoint, struct links_connection *connection);

/* Its connection is closed; it may come back. */
void links_endpoint_detached(struct links_endpoint *endpoint);

/* Watch its bell or not: it is muted when it rings for nothing. */
void links_endpoint_watch_bell(struct links_endpoint *endpoint, bool watch);

/* Its memory cannot be trusted: give it up, tell it, count and log it. */
void links_endpoint_poison(struct links_endpoint *endpoint, const char *why);

/* Queue an AUTH_RESULT.  Returns false if there is no room for it. */
bool links_endpoint_answer(struct links_endpoint *endpoint,
    uint64_t correlation, const struct record_auth_result *result);

/* Put queued answers into the ring; returns true if any went. */
bool links_endpoint_flush_answers(struct links_endpoint *endpoint);

#endif
