/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_backup - copy a journal, also while a broker writes it.
 *
 * Nobody is asked to stop: files are copied again and again until nothing
 * that matters changed in the meantime.
 *
 *	round	copy the list of segments and list the files, until the former
 *		did not change meanwhile; copy the checkpoints, then the
 *		segments in their order, each that is new or changed since
 *	whole	when in a round no file of its list vanished before it was
 *		copied, and none but the last segment changed under the copy
 *
 * The list first: what is in it is there, or was taken out of it before.
 * Checkpoints next: what they say is over was appended before, so the
 * segments, which are copied later, have it.  A segment that vanishes after
 * it was copied does no harm: the copy still has what it held.  Segments that
 * come after the list was made are later than the backup.
 *
 * One thread.
 */

#ifndef WEIR_CTL_JOURNAL_BACKUP_H
#define WEIR_CTL_JOURNAL_BACKUP_H

#include <stdint.h>

struct journal_backup {
	uint64_t files, bytes; /* in the copy */
	unsigned rounds;
};

/* For tests: called after each file that was copied.  May be NULL. */
typedef void (*journal_backup_fn)(void *arg, const char *name);

/*
 * Copy the journal in `from` into the folder `to`, which is made, or is
 * empty.  All of it is on the disk when this returns 0.  -ENOENT: no journal;
 * -ENOTEMPTY; -EBUSY: files changed faster than they could be copied; or
 * -errno.
 */
int journal_backup(const char *from, const char *to, journal_backup_fn copied,
    void *arg, struct journal_backup *out_backup);

#endif
