/* SPDX-License-Identifier: Apache-2.0 */

/*
 * world - all that outlives a process: the memory of two links, their bells,
 * and what the world outside was told.
 *
 *	 httpd ===lane 0, lane 1===> broker ===lane 0===> bridged --> remote
 *	       <====== receipts ====        link 1
 *	       link 0
 *
 * The supervisor makes it before it forks, as the one who holds descriptors
 * for the dead; each role attaches to it by the same functions as a program.
 *
 * A message has a number, from 1 in each of the two lanes, and a payload that
 * follows from lane and number.  Since a lane's sequence is the number of its
 * message, a restarted httpd knows from the lane where to go on.
 */

#ifndef WEIR_TESTS_TORTURE_WORLD_H
#define WEIR_TESTS_TORTURE_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_link.h"
#include "tests/torture/steps.h"

enum world_role {
	WORLD_HTTPD,
	WORLD_BROKER,
	WORLD_BRIDGED,
	WORLD_ROLES
};

#define WORLD_LANES 2u /* from httpd */
#define WORLD_LINKS 2u

/*
 * Where consumers hold, they release whole groups alone, so that rings must
 * grow.  The largest class takes one; but what is held pins its classes, so
 * rings are shrunk there only when they are empty.  Where they do not hold,
 * rings shrink with records in them.
 */
#define WORLD_GROUP 32u

/* httpd waits for all receipts of a wave: rings get empty, and shrink. */
#define WORLD_WAVE 64u

#define WORLD_MIN_SHIFT 12u
#define WORLD_CLASSES 4u
#define WORLD_PAYLOAD_MAX 3000u

/* One number of a lane, as receipts and the heads of payloads have it. */
struct world_stamp {
	uint64_t lane, number;
};

/* What nobody in the rings may change any more.  Not a file: no step. */
struct world_ledger {
	struct {
		_Atomic uint64_t accepted; /* receipts httpd has taken */
		_Atomic uint64_t arrived;  /* at the remote, without a gap */
		_Atomic uint64_t again;    /* came once more */
	} lane[WORLD_LANES];
	_Atomic uint64_t ring_records; /* that the broker gave to bridged */
	_Atomic bool is_done[WORLD_ROLES];
	_Atomic uint64_t steps[WORLD_ROLES][STEPS_KINDS]; /* of whole lives */
	_Atomic bool has_fault;
	char fault[256];
};

struct world {
	uint64_t messages; /* a lane */
	bool holds;        /* consumers release whole groups alone */
	struct ring_link_identity identity[WORLD_LINKS];
	struct bell_fds bells[WORLD_LINKS];
	int broker_fd[WORLD_LINKS], endpoint_fd[WORLD_LINKS];
	int publish_fd[WORLD_LANES], receipts_fd, bridge_fd;
	int quit_fd;   /* readable: all is done, end */
	int notice_fd; /* rung when a role has nothing left to do */
	struct world_ledger *ledger;
};

extern const char *const world_role_names[WORLD_ROLES];

/* Any error ends the program with a message. */
void world_open(struct world *world, uint64_t messages, bool holds);
void world_close(struct world *world);

/* The first fault is kept for the supervisor; then the process ends. */
_Noreturn void world_fail(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct ring_lane_geometry world_lane(uint32_t lane, const char *name);
struct ring_lane_geometry world_receipts(void);

size_t world_payload_length(const struct world_stamp *stamp);
void world_write_payload(const struct world_stamp *stamp, void *out_payload);

/* Ends the process if it is not what world_write_payload() writes. */
void world_check_payload(struct world *world, const void *payload,
    size_t length, struct world_stamp *out_stamp);

/* Growth and shrinking of all lanes so far. */
void world_count_changes(
    const struct world *world, uint64_t *out_grows, uint64_t *out_shrinks);

/* Where everybody stands, as comments on stdout. */
void world_describe(const struct world *world);

#endif
