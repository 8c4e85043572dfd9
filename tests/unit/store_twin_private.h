/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_twin_private - between store_twin.c, which does the same to store and
 * model, store_twin_see.c, which takes down all that the store has to say, and
 * store_twin_check.c, which compares that with the model.
 */

#ifndef WEIR_TESTS_UNIT_STORE_TWIN_PRIVATE_H
#define WEIR_TESTS_UNIT_STORE_TWIN_PRIVATE_H

#include "tests/unit/store_twin.h"

/* They are known not to be committed, nor ever will be. */
void twin_drop_ghosts(struct twin *twin);
void twin_drop_ops(struct twin *twin, size_t from);

/* Of this one the first `count` were; of the others none. */
void twin_keep_ghost(struct twin *twin, struct twin_ghost *ghost, size_t count);

/* A message that the store would hand to a cursor. */
struct twin_seen_message {
	uint64_t sequence;
	uint32_t number;
};

struct twin_seen_cursor {
	uint64_t cursor, floor, queued;
	uint64_t *over;
	size_t over_count;
	struct twin_seen_message *messages;
	size_t count, room;
};

/* All that the store has to say. */
struct twin_seen {
	struct twin *twin;
	struct twin_seen_cursor *cursors;
	size_t count, room;
	struct twin_seen_cursor *reading;
	const char *wrong;
};

/* Into twin->told, what is wrong too. */
struct store_sink twin_sink(struct twin *twin);

/* Cursors, and all messages above their floors, read in pieces of any size. */
void twin_see(struct twin *twin, struct twin_seen *out_seen);
void twin_seen_fini(struct twin_seen *seen);

/* Ends the test. */
void twin_complain(struct twin *twin, const char *what, uint64_t which);

#endif
