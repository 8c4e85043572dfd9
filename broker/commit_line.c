/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The commit thread: everything goes through it, in one line.
 *
 * Items that end alike are a run: they are appended one by one, and committed
 * together when nothing more is there.  What nobody waits for (DONE entries)
 * does not end a run, it waits for company until write_due_ns; and what was
 * committed without a sync gets one at sync_due_ns.
 *
 * What the store refuses ends as failed, but for DONE and CLOSE: they are
 * facts, and they are what makes room.  They are kept and appended again.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/commit_private.h"
#include "broker/counters.h"
#include "broker/wall_clock.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* A run ends at so much weight, so that its time is bounded too. */
#define RUN_WEIGHT (UINT64_C(1) << 20)

/* How long DONE entries wait to be written with something else. */
#define WRITE_DELAY_NS (20 * CLOCK_MS_NS)

/* How long a floor on the disk may be behind. */
#define SYNC_DELAY_NS CLOCK_SECOND_NS

/* Between two looks whether the journal is well again. */
#define RETRY_NS (250 * CLOCK_MS_NS)

/* A failure is over when there was none for so long. */
#define CALM_NS CLOCK_SECOND_NS

/* Memory is waited for in such steps; for an item, so many of them. */
#define MEMORY_STEP_NS (10 * CLOCK_MS_NS)
#define MEMORY_STEPS 50u

/* Between two looks at what the store counts. */
#define STAT_NS (100 * CLOCK_MS_NS)

/* How often memory is given back while there is some. */
#define TRIM_NS CLOCK_SECOND_NS

enum filled {
	RUN_GOES_ON, /* there is nothing more, or nobody waits */
	RUN_ENDS,
	RUN_LACKS_MEMORY
};

/* ---- counting and telling ---------------------------------------------- */

static uint64_t
all_refused(const struct commit *commit)
{
	uint64_t refused = commit->line.refused;

	for (unsigned i = 0; i < commit->member_count; i++)
		/* relaxed: a recent number */
		refused += atomic_load_explicit(
		    &commit->ports[i].refused, memory_order_relaxed);
	return refused;
}

static void
count(struct commit *commit, enum counter counter, uint64_t n)
{
	if (commit->counters != NULL)
		stats_add(commit->counters, counter, n);
}

static void
count_run(struct commit *commit)
{
	uint64_t records = commit->line.run.records, most;

	if (commit->counters == NULL)
		return;
	count(commit, COUNT_journal_records, records);
	/* relaxed: this thread's own */
	most = atomic_load_explicit(
	    &commit->counters->values[COUNT_journal_batch_max],
	    memory_order_relaxed);
	if (records > most)
		stats_set(commit->counters, COUNT_journal_batch_max, records);
}

static void
count_store(struct commit *commit, uint64_t now_ns)
{
	struct store_stat was = commit->line.stat, is;

	if (commit->counters == NULL)
		return;
	commit->line.stat_at_ns = now_ns;
	store_stat(commit->store, &is);
	commit->line.stat = is;
	count(commit, COUNT_journal_commits, is.commits - was.commits);
	count(commit, COUNT_journal_syncs, is.syncs - was.syncs);
	count(commit, COUNT_journal_sync_ns,
	    is.sync_ns_total - was.sync_ns_total);
	count(commit, COUNT_journal_bytes,
	    is.appended_bytes - was.appended_bytes);
}

static const char *
advice(int err)
{
	switch (err) {
	case -ENOSPC:
		return "free space for the journal, raise its limit, or have "
		       "the clients come that messages wait for";
	case -EDQUOT:
		return "raise the quota of the broker's user";
	default:
		return "look at the kernel's log and the disk";
	}
}

static void
begin_failing(struct commit *commit, int err)
{
	struct commit_line *line = &commit->line;

	line->failed_at_ns = clock_now_ns();
	line->retry_at_ns = line->failed_at_ns + RETRY_NS;
	line->calm_at_ns = 0;
	/* relaxed: advice for commit_offer() */
	atomic_store_explicit(&commit->error, err, memory_order_relaxed);
	if (line->failing_since_ns != 0)
		return;
	line->failing_since_ns = line->failed_at_ns;
	line->refused_before = all_refused(commit);
	count(commit, COUNT_journal_failures, 1);
	log_error("journal_failing", "error=%s advice=%s",
	    log_quote(strerror(-err)), log_quote(advice(err)));
}

/*
 * Messages are taken again at once, but at the limit that may be over in a
 * moment: it is one failure, for the log, until there is calm.
 */
static void
note_well(struct commit *commit)
{
	struct commit_line *line = &commit->line;

	if (line->failing_since_ns == 0 || line->calm_at_ns != 0)
		return;
	atomic_store_explicit(&commit->error, 0, memory_order_relaxed);
	line->calm_at_ns = line->now_ns + CALM_NS;
}

/*
 * State that was refused is in no record; the checkpoint has it as it is in
 * memory.
 */
static void
end_failing(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	uint64_t ns = line->failed_at_ns - line->failing_since_ns;

	line->failing_since_ns = 0;
	line->calm_at_ns = 0;
	log_info("journal_resumed", "failed_ms=%llu refused=%llu",
	    (unsigned long long)(ns / CLOCK_MS_NS),
	    (unsigned long long)(all_refused(commit) - line->refused_before));
	commit_ask_checkpoint(commit);
}

/* ---- a run ------------------------------------------------------------- */

/* What has happened and makes room: it is not given up. */
static bool
is_fact(const struct commit_item *item)
{
	return item->what == COMMIT_DONE ||
	    (item->what == COMMIT_CURSOR && item->kind == STORE_CLOSE);
}

static bool
is_empty(const struct commit_run *run)
{
	return run->held.first == NULL && run->unheld.first == NULL;
}

static void
keep(struct commit_line *line, struct commit_item *item)
{
	item->ticket = 0;
	commit_list_add(&line->kept, item);
	if (line->retry_at_ns == 0)
		line->retry_at_ns = line->now_ns + RETRY_NS;
}

static void
add_to_run(struct commit *commit, struct commit_item *item)
{
	struct commit_line *line = &commit->line;
	struct commit_run *run = &line->run;

	commit_news_add(commit, item);
	run->weight += item->weight;
	run->is_urgent |= item->ticket != 0;
	run->must_sync |= item->must_sync;
	run->is_appended |= item->is_written;
	run->records += item->is_written;
	if (line->write_due_ns == 0)
		line->write_due_ns = line->now_ns + WRITE_DELAY_NS;
	commit_list_add(item->way_count != 0 ? &run->held : &run->unheld, item);
}

static void
give_up(struct commit *commit, struct commit_list *list)
{
	struct commit_item *item;

	while ((item = commit_list_take(list)) != NULL) {
		if (is_fact(item)) {
			keep(&commit->line, item);
			continue;
		}
		commit->line.refused++;
		count(commit, COUNT_journal_refused, 1);
		commit_item_free(item);
	}
}

/* What is in the news is not ours any more once they are posted. */
static void
end_run(struct commit *commit, enum mqtt_reason reason)
{
	struct commit_line *line = &commit->line;
	struct commit_run run = line->run;

	line->run = (struct commit_run){ 0 };
	line->write_due_ns = 0;
	line->is_stocked = false;
	commit_news_post(commit, reason);
	if (reason != MQTT_SUCCESS) {
		give_up(commit, &run.held);
		give_up(commit, &run.unheld);
	} else {
		commit_list_free(&run.unheld);
	}
}

static void
note_committed(struct commit *commit, bool was_synced)
{
	struct commit_line *line = &commit->line;

	if (was_synced)
		line->sync_due_ns = 0;
	else if (line->sync_due_ns == 0)
		line->sync_due_ns = line->now_ns + SYNC_DELAY_NS;
	if (line->kept.first == NULL && store_state(commit->store) == 0)
		note_well(commit);
	if (store_wants_checkpoint(commit->store))
		commit_keeper_wake(commit);
}

static int
commit_run(struct commit *commit, bool must_sync)
{
	struct commit_line *line = &commit->line;
	uint64_t began_ns = clock_now_ns(), now_ns;
	int err;

	err = store_commit(commit->store, must_sync);
	now_ns = clock_now_ns();
	if (must_sync)
		commit_gather_ended(
		    &line->gather, line->run.items, now_ns - began_ns, now_ns);
	return err;
}

static bool
is_due(uint64_t due_ns, uint64_t now_ns)
{
	return due_ns != 0 && due_ns <= now_ns;
}

static void
finish(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	bool must_sync =
	    line->run.must_sync || is_due(line->sync_due_ns, line->now_ns);
	bool is_appended = line->run.is_appended;
	int err = 0;

	if (is_appended)
		err = commit_run(commit, must_sync);
	if (err != 0)
		begin_failing(commit, err);
	else
		count_run(commit);
	end_run(commit, commit_reason(err));
	if (err == 0 && is_appended)
		note_committed(commit, must_sync);
}

/* It cannot be appended: it is a run of its own, that has failed. */
static void
fail(struct commit *commit, struct commit_item *item, int err)
{
	if (err != -EMSGSIZE && err != -ENOMEM)
		begin_failing(commit, err);
	add_to_run(commit, item);
	end_run(commit, commit_reason(err));
}

/* The first `count` of its copies are the run's. */
static void
give_copies(struct commit *commit, struct commit_item *item, size_t count)
{
	struct commit_item *copy;

	for (; count > 0; count--) {
		copy = item->copies;
		item->copies = copy->next;
		add_to_run(commit, copy);
	}
}

/*
 * With its copies, or none of it.  What is too much for one batch goes in
 * several, the item with the last: what a batch has room for is the run's.
 */
static int
append(struct commit *commit, struct commit_item *item)
{
	const struct store_mark mark = store_mark(commit->store);
	struct commit_item *copy;
	size_t count = 0;
	int err = 0;

	for (copy = item->copies; copy != NULL; copy = copy->next) {
		err = commit_append(commit, copy);
		if (err != 0)
			break;
		count++;
	}
	if (err == 0)
		err = commit_append(commit, item);
	if (err == 0 || (err == -EAGAIN && is_empty(&commit->line.run)))
		give_copies(commit, item, count);
	else if (count != 0)
		store_take_back(commit->store, &mark);
	return err;
}

/*
 * Append what is pending.  An item that fails is tried once more as the first
 * of a run, when what was before it is committed.
 */
static enum filled
fill(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	struct commit_item *item;
	int err;

	while ((item = line->pending.first) != NULL) {
		if (line->run.weight >= RUN_WEIGHT)
			return RUN_ENDS;
		if (!line->is_stocked)
			line->is_stocked = commit_news_stock(commit);
		if (!line->is_stocked)
			return RUN_LACKS_MEMORY;
		err = append(commit, item);
		if (err != 0 && !is_empty(&line->run))
			return RUN_ENDS;
		if (err == -ENOMEM && line->starved++ < MEMORY_STEPS)
			return RUN_LACKS_MEMORY;
		line->starved = 0;
		commit_list_take(&line->pending);
		if (err != 0) {
			fail(commit, item, err);
			continue;
		}
		add_to_run(commit, item);
		line->run.items++;
	}
	return RUN_GOES_ON;
}

/* ---- the thread --------------------------------------------------------- */

static void
take(struct commit *commit)
{
	struct commit_item *item, *next, *oldest = NULL;
	uint64_t count = 0;

	/* acquire: pairs with the exchange in push() */
	item = atomic_exchange_explicit(
	    &commit->inbox, NULL, memory_order_acquire);
	for (; item != NULL; item = next) {
		next = item->next;
		/* It is in another processor's cache, and read soon. */
		__builtin_prefetch(item->message);
		item->next = oldest;
		oldest = item;
	}
	while ((item = oldest) != NULL) {
		oldest = item->next;
		commit_list_add(&commit->line.pending, item);
		count++;
	}
	commit_gather_came(&commit->line.gather, count);
}

/* Is the journal well again?  What was kept comes before all that is new. */
static void
retry(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	struct commit_list pending = line->pending;
	struct commit_item *item;
	int err;

	line->retry_at_ns = 0;
	err = store_commit(commit->store, false);
	if (err == 0)
		err = store_state(commit->store);
	if (err != 0)
		begin_failing(commit, err);
	else if (line->kept.first == NULL)
		note_well(commit);
	line->pending = line->kept;
	line->kept = (struct commit_list){ 0 };
	while ((item = commit_list_take(&pending)) != NULL)
		commit_list_add(&line->pending, item);
}

static void
sync_late(struct commit *commit)
{
	int err = store_commit(commit->store, true);

	commit->line.sync_due_ns = 0;
	if (err != 0)
		begin_failing(commit, err);
}

static uint64_t
earlier(uint64_t one_ns, uint64_t other_ns)
{
	if (one_ns == 0 || other_ns == 0)
		return one_ns + other_ns;
	return one_ns < other_ns ? one_ns : other_ns;
}

static bool
stops(struct commit *commit)
{
	/* seq_cst, as the waker wants it */
	return atomic_load(&commit->stops[COMMIT_LINE]);
}

/* Give back what a burst took; when there is more to give, or 0. */
static uint64_t
trim(struct commit_line *line, uint64_t now_ns)
{
	if (!pool_may_trim(&line->news))
		return 0;
	if (now_ns >= line->trim_at_ns) {
		pool_trim(&line->news);
		line->trim_at_ns = now_ns + TRIM_NS;
	}
	return line->trim_at_ns;
}

static void
rest(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	uint64_t due_ns, now_ns;

	due_ns = earlier(earlier(line->write_due_ns, line->sync_due_ns),
	    earlier(line->retry_at_ns, line->calm_at_ns));
	waker_arm(&commit->waker, line->write_due_ns != 0);
	if (atomic_load(&commit->inbox) != NULL || stops(commit)) {
		waker_disarm(&commit->waker);
		return;
	}
	now_ns = clock_now_ns();
	count_store(commit, now_ns);
	due_ns = earlier(due_ns, trim(line, now_ns));
	if (due_ns == 0)
		waker_sleep(&commit->waker, WAKER_NEVER);
	else if (due_ns > now_ns)
		waker_sleep(&commit->waker, due_ns - now_ns);
	else
		waker_disarm(&commit->waker);
}

static void
pause_ns(uint64_t ns)
{
	const struct timespec step = { .tv_nsec = (long)ns };

	nanosleep(&step, NULL);
}

/* Publishers that were just answered may be about to come back. */
static bool
gathers(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	uint64_t step_ns = 0;

	if (line->run.must_sync)
		step_ns = commit_gather_ns(
		    &line->gather, line->run.items, line->now_ns);
	if (step_ns == 0)
		return false;
	pause_ns(step_ns);
	return true;
}

static bool
run_is_due(struct commit_line *line)
{
	return line->run.is_urgent ||
	    (!is_empty(&line->run) &&
		(is_due(line->write_due_ns, line->now_ns) ||
		    is_due(line->sync_due_ns, line->now_ns) ||
		    is_due(line->retry_at_ns, line->now_ns)));
}

/* Everything that is there.  False: nothing was, and nothing more comes. */
static bool
work(struct commit *commit)
{
	struct commit_line *line = &commit->line;
	bool is_last = stops(commit);
	enum filled filled;

	line->now_ns = clock_now_ns();
	line->ahead_ns = wall_clock_ahead_ns();
	take(commit);
	if (is_due(line->retry_at_ns, line->now_ns) && is_empty(&line->run))
		retry(commit);
	if (is_due(line->calm_at_ns, line->now_ns))
		end_failing(commit);
	filled = fill(commit);
	if (filled == RUN_LACKS_MEMORY)
		pause_ns(MEMORY_STEP_NS);
	else if (filled == RUN_ENDS || is_last)
		finish(commit);
	else if (run_is_due(line)) {
		if (!gathers(commit))
			finish(commit);
	} else if (is_due(line->sync_due_ns, line->now_ns))
		sync_late(commit);
	else
		rest(commit);
	return !is_last || line->pending.first != NULL ||
	    !is_empty(&line->run) || atomic_load(&commit->inbox) != NULL;
}

void *
commit_line_run(void *arg)
{
	struct commit *commit = arg;

	pthread_setname_np(pthread_self(), "journal");
	pool_adopt(&commit->line.news);
	while (work(commit))
		if (clock_now_ns() >= commit->line.stat_at_ns + STAT_NS)
			count_store(commit, clock_now_ns());
	if (commit->line.sync_due_ns != 0)
		sync_late(commit);
	if (commit->line.calm_at_ns != 0)
		end_failing(commit);
	count_store(commit, clock_now_ns());
	return NULL;
}

void
commit_line_fini(struct commit *commit)
{
	struct commit_line *line = &commit->line;

	take(commit);
	commit_list_free(&line->pending);
	commit_list_free(&line->kept);
	free(line->deliveries);
}
