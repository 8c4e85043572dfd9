/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_inspect - look at the rings of a host from outside, read-only.
 *
 * Rings are found without the broker's help through /proc/PID/fd of all
 * processes that may be read (root: all; else the caller's own), so they
 * can be seen while the broker is stopped, hung or dead, as long as any
 * process holds the memory.  Nothing is ever written; all that is read is
 * treated as damaged until checked.  Data is read with pread(), since
 * touching holes through a mapping would allocate them.
 */

#ifndef WEIR_COMMON_RING_RING_INSPECT_H
#define WEIR_COMMON_RING_RING_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/board.h"
#include "common/ring/ring_layout.h"

enum ring_state {
	RING_IDLE, /* empty, nothing committed for a second */
	RING_RUNNING,
	RING_FLOW,      /* throttled now and then by missing credit */
	RING_BLOCKED,   /* records wait, no progress for a second */
	RING_PEER_DEAD, /* one of the two processes is gone */
	RING_DETACHED,  /* no process serves either side */
};

const char *ring_state_name(enum ring_state state); /* "idle", "peer_dead" */

/* How the process of one side is. */
enum ring_life {
	RING_ABSENT, /* none is attached */
	RING_ALIVE,
	RING_STOPPED, /* by a signal or a debugger */
	RING_HUNG,    /* runs, the kernel says, and has not beaten for long */
	RING_DEAD,    /* killed, or died, without detaching */
};

const char *ring_life_name(enum ring_life life); /* "alive" */

/* One side of a link: the broker, or the endpoint. */
struct ring_party {
	uint8_t instance[16];
	char run_dir[RING_RUN_DIR_MAX];
	char name[RING_NAME_MAX]; /* "broker", "httpd", "cloud" */
	uint32_t link;
	enum ring_role role;
	enum ring_life life;
	uint64_t pid;         /* 0: absent */
	uint64_t beat_age_ns; /* since its last sign of life */
	bool is_asleep;       /* waits for its bell */
	uint64_t sleeps, empty_wakes;
	char board[BOARD_MAX + 1]; /* lines it wrote; no other controls in it */
};

/* One lane, one snapshot. */
struct ring_view {
	uint8_t instance[16];
	char run_dir[RING_RUN_DIR_MAX];
	char name[3 * RING_NAME_MAX + 16]; /* "httpd→broker/cloud" */
	char from[RING_NAME_MAX], to[RING_NAME_MAX];
	char lane[RING_NAME_MAX]; /* its set, "" for none */
	uint32_t link, lane_id;
	enum ring_state state;
	uint64_t capacity, max_capacity, used, high_water; /* bytes */
	uint64_t messages_in, messages_out, bytes_in, bytes_out;
	uint64_t delivered, dropped, dead; /* sum: messages_out */
	uint64_t lag_ns;                   /* age of the oldest record */
	uint64_t still_ns; /* something waits and nothing moves for so long */
	bool is_stalled;   /* the producer lacks room or credit */
	uint64_t credit_granted, credit_used; /* bytes since the beginning */
	uint64_t stalls, stalled_ns, grows, shrinks, wakeups, refused;
	uint64_t offered_dropped, grow_failures;
	uint64_t in_flight, window; /* of the consumer's remote, 0/0: none */
	bool remote_up;
	uint64_t producer_pid, consumer_pid; /* 0: none attached */
	bool producer_alive, consumer_alive;
	const struct ring_party *producer, *consumer; /* consumer may be NULL */
	char held_by[128]; /* "" when nothing holds it */
};

struct ring_views {
	struct ring_view *view;
	size_t count;
	struct ring_party *party; /* what view[] points to */
	size_t parties;
	size_t unreadable; /* processes that could not be looked into */
};

/*
 * Take a snapshot of all lanes of the installation whose run_dir is given
 * (NULL: of all).  Sorted by name.  If two instances share a run_dir (a dead
 * broker's rings still held by endpoints), the one whose broker lives comes
 * first; older ones are kept as detached or peer_dead.
 * Returns 0, or -errno.  Free with ring_views_free().
 */
int ring_views_take(
    const char *run_dir, uint64_t now_ns, struct ring_views *out_views);
void ring_views_free(struct ring_views *views);

/* Is `bridge` one of the names in a lane's set, or is the set "*"? */
bool ring_set_has(const char *set, const char *bridge);

#endif
