/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_export - a journal as JSON lines, and these into an empty one.
 *
 * The lines are those of journal_json, between a first and a last line that
 * say that it is whole.  All is read and checked before anything is written:
 *
 *	journal_export_read()	every line; the state that they come to
 *	journal_export_write()	the messages, then a checkpoint of the state
 *
 * Cursors get other numbers, sequences too: what a subscriber had in its
 * hands when the export was made (PUBREC was said) is not sent again, and
 * what was sent and not answered comes under another packet identifier.
 *
 * One thread.
 */

#ifndef WEIR_CTL_JOURNAL_EXPORT_H
#define WEIR_CTL_JOURNAL_EXPORT_H

#include <stdint.h>
#include <stdio.h>

#include "ctl/journal_view.h"

#define JOURNAL_EXPORT_BEGIN "journal"
#define JOURNAL_EXPORT_END "end"
#define JOURNAL_EXPORT_VERSION 1

/*
 * Print all of it, with the messages and receivers that wait.  Records that
 * make no sense are counted and passed over.  0 or -errno.
 */
int journal_export_print(
    const struct journal_view *view, FILE *out, uint64_t *out_passed_over);

/* A cursor of the export and what it becomes. */
struct journal_cursor_pair {
	uint64_t from, to;
};

struct journal_export {
	FILE *in;         /* that can be rewound */
	const char *name; /* for mistakes */
	FILE *errors;
	struct journal_state *state; /* of the export, with new cursors */
	uint64_t first_cursor;       /* number 1 of the export becomes this */
	struct journal_cursor_pair *bridges; /* that are there already */
	size_t bridge_count;
	uint64_t lines, messages, unanswered;
	unsigned mistakes;
	bool has_begin, has_end;
};

/*
 * Read all of `in` for this journal.  Each mistake is written to `errors` as
 * `NAME:LINE: what is wrong`.  0; -EINVAL: there was one; -errno.
 * journal_export_fini() in any case.
 */
int journal_export_read(FILE *in, const char *name, FILE *errors,
    const struct journal_view *into, struct journal_export *out_export);

/* Into the journal, which is empty and writable.  0 or -errno. */
int journal_export_write(
    struct journal_export *export, struct journal_view *into);

void journal_export_fini(struct journal_export *export);

#endif
