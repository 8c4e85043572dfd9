/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_view - a journal opened by weirctl: to look, or to change it while
 * no broker has it.
 *
 * Looking takes no lock and works beside a running broker.  Files may then
 * be used again while they are read; what looks damaged because of that is
 * read once more.  One thread.
 */

#ifndef WEIR_CTL_JOURNAL_VIEW_H
#define WEIR_CTL_JOURNAL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"
#include "ctl/journal_state.h"

/* As struct store_damage; the texts are the view's. */
struct journal_damage {
	char *file;
	char *kept_as; /* NULL: nowhere */
	char *what;
	uint64_t offset, bytes, first_sequence, last_sequence;
	bool is_torn_tail;
};

struct journal_view {
	struct store *store;
	struct journal_state *state;
	struct journal_damage *damages;
	size_t damage_count;
	size_t lost_count; /* of them, those that are no torn tail */
	struct store_io io;
	bool has_io;
};

struct journal_view_spec {
	const char *dir;
	uint64_t segment_bytes, max_bytes; /* conf_journal's */
	bool is_writable;
	bool may_make; /* the folder, in one that is there */
};

/*
 * 0; -ENOENT: there is no such folder; -EBUSY: is_writable, and a broker has
 * it; -ENOTSUP: of a newer version; or -errno.  journal_view_close() in any
 * case.  To write, root becomes the folder's owner, for good: the broker must
 * be able to open what is made.
 */
int journal_view_open(
    const struct journal_view_spec *spec, struct journal_view *out_view);
void journal_view_close(struct journal_view *view);

/* What -errno of the above means, in words. */
const char *journal_view_why_not(int err);

/*
 * A checkpoint of the state, then the keeper's work until nothing is due.
 * is_writable.  0; -ENOTSUP: there are records that make no sense here; or
 * -errno.
 */
int journal_view_compact(struct journal_view *view);

#endif
