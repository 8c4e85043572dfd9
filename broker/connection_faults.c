/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/connection_faults.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/worker.h"
#include "common/base/log.h"

/* Of one listener. */
struct row {
	struct connection_faults *all;
	struct loop_timer timer; /* runs from the first line to the last */
	uint64_t untold;
	uint64_t told[CONNECTION_FAULTS_REASONS]; /* hashes of reasons */
	unsigned told_count;
};

struct connection_faults {
	struct worker *worker;
	size_t count;
	struct row rows[];
};

static const char *
bind_of(const struct row *row)
{
	const size_t listener = (size_t)(row - row->all->rows);

	return row->all->worker->broker->conf->listeners[listener].bind;
}

static void
sum_up(struct row *row)
{
	log_info("connections_failed",
	    "listener=%s count=%" PRIu64 " seconds=%u note=\"more of "
	    "the kinds before\"",
	    bind_of(row), row->untold,
	    (unsigned)(CONNECTION_FAULTS_QUIET_NS / CLOCK_SECOND_NS));
	row->untold = 0;
}

static void
on_timer(void *arg)
{
	struct row *row = arg;

	row->told_count = 0;
	if (row->untold == 0)
		return;
	sum_up(row);
	loop_timer_start(&row->timer, CONNECTION_FAULTS_QUIET_NS);
}

struct connection_faults *
connection_faults_new(struct worker *worker)
{
	const size_t count = worker->broker->conf->listener_count;
	struct connection_faults *all;

	all = calloc(1, sizeof(*all) + count * sizeof(struct row));
	if (all == NULL)
		return NULL;
	all->worker = worker;
	for (; all->count < count; all->count++) {
		struct row *row = &all->rows[all->count];

		row->all = all;
		loop_timer_init(&row->timer, worker->loop, on_timer, row);
	}
	return all;
}

void
connection_faults_free(struct connection_faults *all)
{
	for (size_t i = 0; all != NULL && i < all->count; i++) {
		if (all->rows[i].untold != 0)
			sum_up(&all->rows[i]);
		loop_timer_stop(&all->rows[i].timer);
	}
	free(all);
}

/* Has the log a line of it already, or too many? */
static bool
is_told(struct row *row, const char *reason)
{
	const uint64_t hash = slice_hash(slice_of_string(reason), 1);

	for (unsigned i = 0; i < row->told_count; i++)
		if (row->told[i] == hash)
			return true;
	if (row->told_count == CONNECTION_FAULTS_REASONS)
		return true;
	row->told[row->told_count++] = hash;
	return false;
}

void
connection_faults_add(struct connection_faults *all, unsigned listener,
    const char *address, const char *reason)
{
	struct row *row = &all->rows[listener];

	worker_count(all->worker, COUNT_connections_failed);
	if (is_told(row, reason)) {
		row->untold++;
		return;
	}
	log_info("connection_failed", "listener=%s address=%s reason=%s",
	    bind_of(row), address, log_quote(reason));
	if (!loop_timer_is_running(&row->timer))
		loop_timer_start(&row->timer, CONNECTION_FAULTS_QUIET_NS);
}
