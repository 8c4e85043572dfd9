/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/commit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/commit_private.h"
#include "common/base/bug.h"
#include "common/base/thread.h"

static int
init(struct commit *commit, const struct commit_spec *spec)
{
	const size_t count = spec->member_count;
	int err;

	commit->store = spec->store;
	commit->window_bytes = spec->window_bytes;
	commit->counters = spec->counters;
	commit->write_state = spec->write_state;
	commit->context = spec->context;
	commit->members = calloc(count, sizeof(*commit->members));
	commit->ports = aligned_alloc(
	    _Alignof(struct commit_port), count * sizeof(*commit->ports));
	if (commit->members == NULL || commit->ports == NULL)
		return -ENOMEM;
	memcpy(
	    commit->members, spec->members, count * sizeof(*commit->members));
	memset(commit->ports, 0, count * sizeof(*commit->ports));
	commit->member_count = spec->member_count;
	for (unsigned i = 0; i < count; i++) {
		err = commit_port_init(&commit->ports[i], commit, i);
		if (err != 0)
			return err;
	}
	err = commit_news_init(commit);
	return err == 0 ? commit_reader_init(commit) : err;
}

struct commit *
commit_new(const struct commit_spec *spec)
{
	struct commit *commit;
	int err;

	BUG_ON(spec->member_count == 0 || spec->member_count > UINT16_MAX);
	commit = aligned_alloc(_Alignof(struct commit), sizeof(*commit));
	if (commit == NULL)
		return NULL;
	memset(commit, 0, sizeof(*commit));
	err = init(commit, spec);
	if (err == 0)
		return commit;
	commit_free(commit);
	errno = -err;
	return NULL;
}

void
commit_free(struct commit *commit)
{
	if (commit == NULL)
		return;
	for (unsigned i = 0; i < COMMIT_THREADS; i++)
		BUG_ON(commit->is_running[i]);
	commit_line_fini(commit);
	commit_reader_fini(commit);
	commit_news_fini(commit);
	for (unsigned i = 0; i < commit->member_count; i++)
		commit_port_fini(&commit->ports[i]);
	free(commit->ports);
	free(commit->members);
	free(commit);
}

/* ---- threads ----------------------------------------------------------- */

static struct waker *
waker_of(struct commit *commit, enum commit_thread thread)
{
	switch (thread) {
	case COMMIT_READER:
		return &commit->reader.waker;
	case COMMIT_KEEPER:
		return &commit->keeper.waker;
	default:
		return &commit->waker;
	}
}

static void
stop_thread(struct commit *commit, enum commit_thread thread)
{
	if (!commit->is_running[thread])
		return;
	/* seq_cst, as the waker wants it */
	atomic_store(&commit->stops[thread], true);
	waker_wake(waker_of(commit, thread));
	pthread_join(commit->threads[thread], NULL);
	commit->is_running[thread] = false;
}

static int
start_thread(struct commit *commit, enum commit_thread thread,
    void *(*run)(void *commit))
{
	int err;

	err = thread_start(&commit->threads[thread], run, commit);
	commit->is_running[thread] = err == 0;
	return err;
}

int
commit_start(struct commit *commit)
{
	int err;

	store_on_work(commit->store, commit_keeper_wake, commit);
	err = start_thread(commit, COMMIT_KEEPER, commit_keeper_run);
	if (err == 0)
		err = start_thread(commit, COMMIT_READER, commit_reader_run);
	if (err == 0)
		err = start_thread(commit, COMMIT_LINE, commit_line_run);
	if (err != 0)
		commit_stop(commit, false);
	return err;
}

void
commit_stop(struct commit *commit, bool checkpoint)
{
	stop_thread(commit, COMMIT_READER);
	stop_thread(commit, COMMIT_LINE);
	commit->has_last_checkpoint = checkpoint;
	stop_thread(commit, COMMIT_KEEPER);
}

struct commit_port *
commit_port(struct commit *commit, unsigned member)
{
	BUG_ON(member >= commit->member_count);
	return &commit->ports[member];
}
