/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/store_recovery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- which of them count ---------------------------------------------------
 */

static void
drop_found(struct recovery *recovery, size_t i)
{
	struct found_segment *found = &recovery->found[i];
	const struct store_io *io = recovery->store->io;

	io->close(io->context, found->file);
	if (!recovery->store->spec.is_read_only)
		io->remove(io->context, found->name);
	recovery->count--;
	memmove(found, found + 1, (recovery->count - i) * sizeof(*found));
}

/*
 * A segment that the header behind it does not know was left by a commit that
 * failed, so late that the file had its name.
 */
static void
drop_unknown(struct recovery *recovery)
{
	const struct found_segment *next;

	for (size_t i = recovery->count; i-- > 1;) {
		next = &recovery->found[i];
		if (next->has_header &&
		    next->header.before_first <
			recovery->found[i - 1].first_sequence)
			drop_found(recovery, i - 1);
	}
}

/*
 * The list was written without it, and then its file was to go: nothing in it
 * was needed.  A merged one is listed only later.
 */
static bool
was_taken_away(
    const struct store_manifest *manifest, const struct found_segment *found)
{
	uint64_t newest = 0;

	if (!found->has_header || found->header.merged_last != 0)
		return false;
	for (size_t i = 0; i < manifest->count; i++) {
		if (manifest->entries[i].first == found->first_sequence)
			return false;
		newest = manifest->entries[i].first;
	}
	return found->first_sequence < newest;
}

static void
drop_taken_away(struct recovery *recovery)
{
	for (size_t i = recovery->count; i-- > 0;)
		if (was_taken_away(&recovery->manifest, &recovery->found[i]))
			drop_found(recovery, i);
}

/* Is it one of those that another stands for? */
static bool
was_merged(const struct recovery *recovery, const struct found_segment *found)
{
	const struct found_segment *other;
	uint64_t last = found->merged_last;

	if (last == 0)
		last = found->first_sequence;
	for (size_t i = 0; i < recovery->count; i++) {
		other = &recovery->found[i];
		if (other != found &&
		    other->first_sequence <= found->first_sequence &&
		    other->merged_last >= last)
			return true;
	}
	return false;
}

/* One with the name of a merged one was complete. */
static void
drop_merged(struct recovery *recovery)
{
	for (size_t i = recovery->count; i-- > 0;)
		if (was_merged(recovery, &recovery->found[i]))
			drop_found(recovery, i);
}

void
recovery_drop_void(struct recovery *recovery)
{
	drop_merged(recovery);
	drop_taken_away(recovery);
	drop_unknown(recovery);
}

/* ---- which are missing ------------------------------------------------------
 */

static bool
is_present(const struct recovery *recovery, uint64_t first_sequence)
{
	const struct found_segment *found;

	for (size_t i = 0; i < recovery->count; i++) {
		found = &recovery->found[i];
		if (found->first_sequence == first_sequence ||
		    (found->first_sequence < first_sequence &&
			found->merged_last >= first_sequence))
			return true;
	}
	return false;
}

void
recovery_tell_one(
    struct recovery *recovery, uint64_t first_sequence, uint64_t last_sequence)
{
	char name[STORE_NAME_MAX];

	segment_name(first_sequence, 0, name);
	store_tell_sink(recovery->sink,
	    &(struct store_damage){ .file = name,
		.first_sequence = first_sequence,
		.last_sequence = last_sequence,
		.what = "a segment that is missing" });
}

uint64_t
recovery_next_first(const struct recovery *recovery, uint64_t first_sequence)
{
	for (size_t i = 0; i < recovery->count; i++)
		if (recovery->found[i].first_sequence > first_sequence)
			return recovery->found[i].first_sequence;
	return first_sequence + 1;
}

static void
tell_manifest(struct recovery *recovery, const char *what)
{
	store_tell_sink(recovery->sink,
	    &(struct store_damage){ .file = STORE_MANIFEST_NAME,
		.first_sequence = 1,
		.what = what });
}

/*
 * Each header names the one before.  Up to the newest in the list the list
 * knows better: there some have been taken away.
 */
void
recovery_tell_missing(struct recovery *recovery)
{
	const struct store_manifest *manifest = &recovery->manifest;
	const struct found_segment *found;
	uint64_t newest = 0;

	if (recovery->listed != 0 && recovery->listed != -ENOENT)
		tell_manifest(recovery, "the list of segments is damaged");
	for (size_t i = 0; i < manifest->count; i++) {
		newest = manifest->entries[i].first;
		if (!is_present(recovery, newest))
			recovery_tell_one(recovery, newest,
			    recovery_next_first(recovery, newest) - 1);
	}
	recovery->store->listed = newest;
	for (size_t i = 0; i < recovery->count; i++) {
		found = &recovery->found[i];
		if (!found->has_header || found->merged_last != 0 ||
		    found->header.before_first <= newest ||
		    is_present(recovery, found->header.before_first))
			continue;
		if (recovery->listed != 0) {
			tell_manifest(recovery,
			    "segments are missing, or the list of them");
			break;
		}
		recovery_tell_one(recovery, found->header.before_first,
		    found->header.before_last);
	}
}

/* ---- what they say ---------------------------------------------------------
 */

/* NULL: the list has no end of this segment. */
static const struct store_manifest_entry *
find_listed(const struct recovery *recovery, uint64_t first_sequence)
{
	const struct store_manifest *manifest = &recovery->manifest;

	for (size_t i = 0; i < manifest->count; i++)
		if (manifest->entries[i].first == first_sequence &&
		    manifest->entries[i].end != 0)
			return &manifest->entries[i];
	return NULL;
}

void
recovery_set_bounds(
    const struct recovery *recovery, size_t i, struct store_bounds *out_bounds)
{
	const struct found_segment *found = &recovery->found[i];
	const struct found_segment *next = found + 1;
	const struct store_manifest_entry *listed =
	    find_listed(recovery, found->first_sequence);
	struct store_bounds bounds = { .name = found->name,
		.size = found->size,
		.end = found->size,
		.last = UINT64_MAX };

	if (found->merged_last != 0) {
		if (found->has_header)
			bounds.end = found->header.segment_bytes;
		bounds.last = found->merged_last;
		bounds.durable = found->merged_last;
	} else if (i + 1 == recovery->count) {
		bounds.is_last = true;
		bounds.durable = recovery->store->checkpoint_sequence;
	} else if (next->has_header &&
	    next->header.before_first == found->first_sequence) {
		bounds.end = next->header.before_end;
		bounds.last = next->header.before_last;
		bounds.durable = next->header.before_durable;
	} else if (listed != NULL) {
		bounds.end = listed->end;
		bounds.last = listed->last;
		bounds.durable = listed->durable;
	} else {
		bounds.last = next->first_sequence - 1;
		bounds.durable = bounds.last;
		bounds.is_open_ended = true;
	}
	*out_bounds = bounds;
}
