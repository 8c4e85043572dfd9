/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The keeper's thread: what the store has to do beside the line, and
 * checkpoints.
 */

#include <string.h>

#include "broker/commit_private.h"
#include "broker/rcu.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* After a checkpoint that failed. */
#define RETRY_NS (10 * CLOCK_SECOND_NS)

void
commit_keeper_wake(void *arg)
{
	struct commit *commit = arg;

	/* seq_cst, as the waker wants it */
	atomic_store(&commit->keeper.has_work, true);
	waker_wake(&commit->keeper.waker);
}

void
commit_ask_checkpoint(struct commit *commit)
{
	atomic_store(&commit->keeper.is_asked, true);
	commit_keeper_wake(commit);
}

static int
write_checkpoint(struct commit *commit)
{
	struct store_checkpoint *checkpoint;
	int err;

	err = store_checkpoint_begin(commit->store, &checkpoint);
	if (err != 0)
		return err;
	err = commit->write_state(commit->context, checkpoint);
	if (err == 0)
		err = store_checkpoint_end(checkpoint);
	else
		store_checkpoint_abort(checkpoint);
	return err;
}

static void
checkpoint(struct commit *commit)
{
	struct commit_keeper *keeper = &commit->keeper;
	uint64_t began_ns = clock_now_ns();
	int err;

	atomic_store(&keeper->is_asked, false);
	err = write_checkpoint(commit);
	if (err == 0) {
		log_debug("checkpoint_written", "ms=%llu",
		    (unsigned long long)((clock_now_ns() - began_ns) /
			CLOCK_MS_NS));
		keeper->not_before_ns = 0;
		keeper->has_failed = false;
		return;
	}
	if (!keeper->has_failed)
		log_warning(
		    "checkpoint_failed", "error=%s", log_quote(strerror(-err)));
	keeper->has_failed = true;
	keeper->not_before_ns = clock_now_ns() + RETRY_NS;
}

static bool
wants_checkpoint(struct commit *commit)
{
	return atomic_load(&commit->keeper.is_asked) ||
	    store_wants_checkpoint(commit->store);
}

static bool
stops(struct commit *commit)
{
	return atomic_load(&commit->stops[COMMIT_KEEPER]);
}

static void
rest(struct commit *commit, uint64_t rest_ns)
{
	struct commit_keeper *keeper = &commit->keeper;

	waker_arm(&keeper->waker, false);
	if (atomic_load(&keeper->has_work) || stops(commit))
		waker_disarm(&keeper->waker);
	else
		waker_sleep(&keeper->waker, rest_ns);
}

/* Returns how long there is nothing to do. */
static uint64_t
work(struct commit *commit)
{
	struct commit_keeper *keeper = &commit->keeper;
	uint64_t rest_ns, now_ns;

	atomic_store(&keeper->has_work, false);
	rest_ns = store_tend(commit->store);
	if (!wants_checkpoint(commit))
		return rest_ns;
	now_ns = clock_now_ns();
	if (now_ns >= keeper->not_before_ns) {
		checkpoint(commit);
		return 0;
	}
	now_ns = keeper->not_before_ns - now_ns;
	return rest_ns < now_ns ? rest_ns : now_ns;
}

void *
commit_keeper_run(void *arg)
{
	struct commit *commit = arg;
	uint64_t rest_ns;

	pthread_setname_np(pthread_self(), "keeper");
	rcu_thread_start();
	while (!stops(commit)) {
		rest_ns = work(commit);
		if (rest_ns != 0)
			rest(commit, rest_ns);
	}
	if (commit->has_last_checkpoint)
		checkpoint(commit);
	rcu_thread_end();
	return NULL;
}
