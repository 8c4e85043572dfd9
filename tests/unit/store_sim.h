/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_sim - a disk in memory that does what disks do at the worst moment.
 *
 * It keeps each file twice, as written and as it would be found after a power
 * cut, with the changes in between; names likewise.  A sync moves a file's
 * changes over, sync_directory() those of the names.
 *
 *	power cut	of the changes since the last sync any may survive:
 *			none, all, a random subset, single sectors, or a part
 *			of the last one
 *	kill		all changes survive; open files do not
 *	fault		the n-th call of a kind fails, once or from then on;
 *			a failed write may be half done; after a failed sync
 *			the changes are not tried again, as on Linux
 *	full disk	writes that need more room fail
 *
 * A cut in the midst of a call: store_sim_cut_at().  From then on each call
 * fails with -EIO and changes nothing, until store_sim_power_on(), so that
 * the store under test can be closed like any other.
 *
 * All is decided by the seed and the calls.  Misuse (a file that is not open,
 * a write to one that is open for reading) aborts.  Any thread; one lock.
 */

#ifndef WEIR_TESTS_UNIT_STORE_SIM_H
#define WEIR_TESTS_UNIT_STORE_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_io.h"

struct store_sim;

/* What can be counted and made to fail. */
enum store_sim_call {
	STORE_SIM_OPEN,
	STORE_SIM_READ,
	STORE_SIM_WRITE,
	STORE_SIM_SYNC,
	STORE_SIM_ALLOCATE,
	STORE_SIM_TRUNCATE,
	STORE_SIM_RENAME,
	STORE_SIM_REMOVE,
	STORE_SIM_SYNC_DIRECTORY,
	STORE_SIM_LIST,
	STORE_SIM_CALLS
};

/* What becomes of the changes that were not synced. */
enum store_sim_loss {
	STORE_SIM_LOSE_ALL,
	STORE_SIM_LOSE_NONE, /* all are on the disk */
	STORE_SIM_LOSE_SOME, /* another way for each file, by the seed */
	STORE_SIM_KILL,      /* the process dies: they are as before */
};

/* Aborts without memory. */
struct store_sim *store_sim_new(uint64_t seed);

/* A disk with the same files, nothing open, no faults; accepts NULL above. */
struct store_sim *store_sim_clone(const struct store_sim *sim);
void store_sim_free(struct store_sim *sim);

/* Valid as long as the disk. */
const struct store_io *store_sim_io(struct store_sim *sim);

/* The process dies, or the power fails and comes back. */
void store_sim_cut(struct store_sim *sim, enum store_sim_loss loss);

/*
 * Have it fail in the `nth` call from now on (0: the next) that changes
 * something: all but reads, lists, and opening what exists.  That call's
 * change is one of those that may survive.  UINT64_MAX: never.
 */
void store_sim_cut_at(
    struct store_sim *sim, uint64_t nth, enum store_sim_loss loss);

/* Did it? */
bool store_sim_is_off(struct store_sim *sim);
void store_sim_power_on(struct store_sim *sim);

/* Calls that changed something, since the disk was made. */
uint64_t store_sim_changes(struct store_sim *sim);

/* All calls of one kind, failed ones too; STORE_SIM_CALLS: of any kind. */
uint64_t store_sim_count(struct store_sim *sim, enum store_sim_call call);

/*
 * Fail the `nth` call of this kind from now on (0: the next) with `err`
 * (negative); `lasts`: all after it too.  UINT64_MAX: none any more.
 */
void store_sim_fail(struct store_sim *sim, enum store_sim_call call,
    uint64_t nth, int err, bool lasts);

/* As if broken: the calls from the `nth` on, `count` of them, of any kind. */
void store_sim_break(struct store_sim *sim, uint64_t nth, uint64_t count);

/* No fault any more, of any kind. */
void store_sim_heal(struct store_sim *sim);

/* The size of the disk; UINT64_MAX: without end, as it is made. */
void store_sim_set_disk(struct store_sim *sim, uint64_t bytes);
uint64_t store_sim_used(struct store_sim *sim);

/* Both clocks; a call takes some time by itself. */
void store_sim_advance(struct store_sim *sim, uint64_t ns);

/* ---- to look at files, and damage them --------------------------------- */

/* Names in the order in which they were made; NULL: no more. */
const char *store_sim_name(struct store_sim *sim, size_t index);

/* The bytes as written, valid until the next call that writes; or NULL. */
const uint8_t *store_sim_bytes(
    struct store_sim *sim, const char *name, size_t *out_size);

/* Behind everybody's back, and durable at once.  The file must exist. */
void store_sim_damage(struct store_sim *sim, const char *name, uint64_t offset,
    const void *bytes, size_t length);
void store_sim_shorten(struct store_sim *sim, const char *name, uint64_t size);
void store_sim_lose(struct store_sim *sim, const char *name);

/* Files that are open now. */
size_t store_sim_open_files(struct store_sim *sim);

/* ---- dice ----------------------------------------------------------------
 */

/* A number below `bound` (> 0) from a state that any seed may begin. */
uint64_t store_sim_dice(uint64_t *state, uint64_t bound);

#endif
