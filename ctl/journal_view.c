/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_view.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A broker that uses files again faster than this many looks can take. */
#define ATTEMPTS 10

/* More steps than any journal needs: each frees or merges a segment. */
#define TEND_MAX 10000000u

/* A rest longer than this means that nothing is due. */
#define REST_NS UINT64_C(1000000)

/* ---- what store_open() tells --------------------------------------------- */

static int
on_state(void *context, uint8_t kind, uint64_t sequence, struct slice body)
{
	struct journal_view *view = context;

	(void)sequence;
	return journal_state_apply(view->state, kind, body);
}

static int
on_message(
    void *context, uint64_t sequence, const struct store_message *message)
{
	struct journal_view *view = context;

	(void)sequence;
	return journal_state_message(view->state, message);
}

static int
on_opened(void *context, uint64_t cursor)
{
	struct journal_view *view = context;

	return journal_state_open(view->state, cursor);
}

static int
on_closed(void *context, uint64_t cursor)
{
	struct journal_view *view = context;

	journal_state_close(view->state, cursor);
	return 0;
}

static void
on_damaged(void *context, const struct store_damage *damage)
{
	struct journal_view *view = context;
	struct journal_damage *grown;

	/* Without memory for its words it still counts. */
	view->lost_count += !damage->is_torn_tail;
	grown =
	    reallocarray(view->damages, view->damage_count + 1, sizeof(*grown));
	if (grown == NULL)
		return;
	view->damages = grown;
	grown[view->damage_count++] = (struct journal_damage){
		.file = strdup(damage->file == NULL ? "" : damage->file),
		.kept_as =
		    damage->kept_as == NULL ? NULL : strdup(damage->kept_as),
		.what = strdup(damage->what == NULL ? "" : damage->what),
		.offset = damage->offset,
		.bytes = damage->bytes,
		.first_sequence = damage->first_sequence,
		.last_sequence = damage->last_sequence,
		.is_torn_tail = damage->is_torn_tail,
	};
}

static int
take_queue(void *arg, const struct store_cursor *queue)
{
	return journal_state_set_queue(arg, queue);
}

/* ---- opening ------------------------------------------------------------- */

static int
mix_name(void *arg, const char *name)
{
	*(uint64_t *)arg += slice_hash(slice_of_string(name), 0);
	return 0;
}

/* Differs when a file came, went, or has another name. */
static uint64_t
names_of(struct journal_view *view)
{
	uint64_t sum = 0;

	view->io.list(view->io.context, mix_name, &sum);
	return sum;
}

static void
forget(struct journal_view *view)
{
	store_close(view->store);
	journal_state_free(view->state);
	for (size_t i = 0; i < view->damage_count; i++) {
		free(view->damages[i].file);
		free(view->damages[i].kept_as);
		free(view->damages[i].what);
	}
	free(view->damages);
	view->store = NULL;
	view->state = NULL;
	view->damages = NULL;
	view->damage_count = view->lost_count = 0;
}

static int
open_once(const struct journal_view_spec *spec, struct journal_view *view)
{
	/* What is DONE the store counts; it is asked for at the end. */
	const struct store_sink sink = {
		.context = view,
		.state = on_state,
		.message = on_message,
		.opened = on_opened,
		.closed = on_closed,
		.damaged = on_damaged,
	};
	const struct store_spec store_spec = {
		.io = &view->io,
		.segment_bytes = spec->segment_bytes,
		.max_bytes = spec->max_bytes,
		.is_synced = spec->is_writable,
		.is_read_only = !spec->is_writable,
	};
	int err;

	view->state = journal_state_new();
	if (view->state == NULL)
		return -ENOMEM;
	err = store_open(&store_spec, &sink, &view->store);
	if (err == 0)
		err = store_each_cursor(view->store, take_queue, view->state);
	return err;
}

static int
become_owner(const struct journal_view_spec *spec)
{
	struct stat st;
	char *parent;
	int err;

	err = stat(spec->dir, &st) == -1 ? -errno : 0;
	if (err == -ENOENT && spec->may_make) {
		parent = strdup(spec->dir);
		if (parent == NULL)
			return -ENOMEM;
		err = stat(dirname(parent), &st) == -1 ? -errno : 0;
		free(parent);
	}
	if (err != 0 || !spec->is_writable || geteuid() != 0 || st.st_uid == 0)
		return err;
	if (setegid(st.st_gid) == -1 || seteuid(st.st_uid) == -1)
		return -errno;
	return 0;
}

int
journal_view_open(
    const struct journal_view_spec *spec, struct journal_view *out_view)
{
	struct journal_view *view = out_view;
	uint64_t before;
	int err;

	*view = (struct journal_view){ .store = NULL };
	err = become_owner(spec);
	if (err == 0)
		err = store_io_posix_open(
		    spec->dir, !spec->is_writable, &view->io);
	if (err != 0)
		return err;
	view->has_io = true;
	for (unsigned attempt = 1;; attempt++) {
		before = names_of(view);
		err = open_once(spec, view);
		if ((err == 0 && view->lost_count == 0) ||
		    before == names_of(view) || attempt == ATTEMPTS)
			return err;
		forget(view);
	}
}

void
journal_view_close(struct journal_view *view)
{
	forget(view);
	if (view->has_io)
		store_io_posix_close(&view->io);
	view->has_io = false;
}

const char *
journal_view_why_not(int err)
{
	switch (err) {
	case -ENOENT:
		return "there is no journal here: no broker with durability = "
		       "\"disk\" has run yet";
	case -EBUSY:
		return "a broker has it: stop the broker first";
	case -EACCES:
	case -EPERM:
		return "not allowed: run as root or as the broker's user";
	case -ENOTSUP:
		return "a newer version of Weir wrote it";
	default:
		return strerror(-err);
	}
}

/* ---- compacting ---------------------------------------------------------- */

static int
put_record(void *arg, uint8_t kind, struct slice body)
{
	return store_checkpoint_put(arg, kind, body);
}

int
journal_view_compact(struct journal_view *view)
{
	struct store_checkpoint *checkpoint;
	struct journal_counts counts;
	int err;

	/* A checkpoint without them would be their end. */
	journal_state_count(view->state, &counts);
	if (counts.unreadable != 0)
		return -ENOTSUP;
	/* Two are kept, and only what the older one covers is freed. */
	for (unsigned i = 0; i < 2; i++) {
		err = store_checkpoint_begin(view->store, &checkpoint);
		if (err != 0)
			return err;
		err = journal_state_each_record(
		    view->state, put_record, checkpoint);
		if (err != 0) {
			store_checkpoint_abort(checkpoint);
			return err;
		}
		err = store_checkpoint_end(checkpoint);
		if (err != 0)
			return err;
	}
	for (unsigned i = 0; i < TEND_MAX; i++)
		if (store_tend(view->store) > REST_NS)
			break;
	return 0;
}
