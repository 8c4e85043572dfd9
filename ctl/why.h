/* SPDX-License-Identifier: Apache-2.0 */

/*
 * why - follow missing credit to whoever holds it.
 *
 * From one snapshot of all rings (common/ring/ring_inspect.h), which needs
 * nobody's help, to a list of troubles, each with its root and with what
 * stands still because of it:
 *
 *	HTTP client <- httpd->broker/cloud <- broker->cloud <- remote
 *
 * No I/O and no clock in here.  A list points into the snapshot.
 */

#ifndef WEIR_CTL_WHY_H
#define WEIR_CTL_WHY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_inspect.h"
#include "ctl/why_board.h"

/* Lanes that are listed for one trouble; the others are counted. */
#define WHY_LANES 8

enum why_kind {
	WHY_PROCESS,       /* absent, dead, stopped or hung: party->life */
	WHY_REMOTE_AWAY,   /* not connected */
	WHY_REMOTE_STALLS, /* does not acknowledge, or does not read */
	WHY_REMOTE_ASKED,  /* asked not to be sent anything for a while */
	WHY_RATE,          /* the bridge keeps to its configured rate */
	WHY_RECEIPTS,      /* httpd does not take them */
	WHY_LOST_WAKE,     /* something can move and everybody sleeps */
	WHY_NO_MEMORY,     /* the lane could not grow */
	WHY_JOURNAL,       /* the disk does not take what waits for it */
	WHY_UNKNOWN,       /* nothing moves, and none of the above */
};

const char *why_kind_name(enum why_kind kind); /* "remote_stalls" */

struct why_trouble {
	enum why_kind kind;
	char subject[sizeof(((struct ring_view *)0)->name)]; /* "cloud" */
	const struct ring_party *party; /* whose trouble it is; not NULL */
	const struct ring_view *lane;   /* where it is seen first, or NULL */
	uint64_t for_ns;                /* how long nothing moves */
	struct why_remote remote;       /* of a bridge */
	struct why_held clients;        /* held by httpd */
	struct why_held publishers;     /* held by the broker */
	struct why_backlog backlog;     /* of a bridge, in the journal */
	struct why_journal journal;     /* what waits for it */
	uint64_t receipts; /* that httpd waits for, when it is the broker */

	/* What stands still with it; the first may be `lane` itself. */
	const struct ring_view *lanes[WHY_LANES];
	size_t lane_count, lanes_left_out;
};

struct why {
	struct why_trouble *trouble;
	size_t count;
	bool is_known; /* there is something of that name */
};

/*
 * What is wrong with `name`: a bridge, a program ("broker", "httpd"), or a
 * lane as `weirctl rings` names it ("->" will do for the arrow); NULL: with
 * anything.  Of an installation's instances only the living one counts.
 * Returns 0 or -ENOMEM.
 */
int why_find(const struct ring_views *views, const char *name, uint64_t now_ns,
    struct why *out_why);
void why_free(struct why *why);

/* Is this the lane, or one of its two ends, that `name` means? */
bool why_names_view(const struct ring_view *view, const char *name);

#endif
