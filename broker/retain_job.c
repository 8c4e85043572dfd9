/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/retain_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/retain.h"

/* Messages to one session in one turn: others have theirs too. */
#define TURN_BUDGET 64

struct retained_job {
	struct retained_job *next;
	struct retained_cursor cursor;
	struct subscription_options options;
	uint64_t ticket; /* it rests until this one is settled */
	size_t filter_length;
	uint8_t filter[];
};

static struct slice
filter_of(const struct retained_job *job)
{
	return slice_of(job->filter, job->filter_length);
}

/* What follows waits for what was sent last, too. */
static void
remove_job(struct retained_job **link)
{
	struct retained_job *job = *link;

	*link = job->next;
	if (job->next != NULL && job->next->ticket < job->ticket)
		job->next->ticket = job->ticket;
	retained_cursor_fini(&job->cursor);
	free(job);
}

void
retain_job_stop(struct session *session, struct slice filter)
{
	struct retained_job **link = &session->jobs;

	while (*link != NULL && !slice_equal(filter_of(*link), filter))
		link = &(*link)->next;
	if (*link != NULL)
		remove_job(link);
}

int
retain_job_start(struct session *session, struct slice filter,
    const struct subscription_options *options)
{
	struct retained_job *job, **link = &session->jobs;

	retain_job_stop(session, filter);
	job = calloc(1, sizeof(*job) + filter.len);
	if (job == NULL)
		return -ENOMEM;
	job->options = *options;
	job->filter_length = filter.len;
	memcpy(job->filter, filter.data, filter.len);
	while (*link != NULL)
		link = &(*link)->next;
	*link = job;
	return 0;
}

/*
 * QoS 1 and 2 go one by one into the window, not into the queue; `pending`
 * are on their way there, through the journal.
 */
static bool
has_room(const struct session *session, unsigned pending)
{
	return deliver_has_room(session) && session->resend == NULL &&
	    session->outbox.waiting_count == 0 &&
	    session->outbox.in_flight_count + pending < session->outbox.window;
}

static bool
goes_by_journal(const struct worker *worker, const struct session *session,
    const struct retained_job *job)
{
	return worker->commit != NULL && session->is_durable &&
	    job->options.qos != 0;
}

static void
send_directly(struct worker *worker, struct session *session,
    struct message *message, const struct commit_delivery *delivery)
{
	const struct outbox_item item = {
		.message = message,
		.qos = delivery->qos,
		.retain = true,
		.identifiers = delivery->identifiers,
		.identifier_count = delivery->identifier_count,
	};

	deliver_begin(worker, message);
	deliver(worker, session, &item);
}

/* False: no memory. */
static bool
send_by_journal(struct worker *worker, struct session *session,
    struct message *message, const struct commit_delivery *delivery)
{
	const struct commit_origin origin = { .publisher = 0 };
	struct commit_item *item;

	item = commit_begin(worker->commit, message);
	if (item == NULL)
		return false;
	if (!commit_add(item, delivery)) {
		commit_cancel(worker->commit, item);
		return false;
	}
	session->jobs->ticket = commit_send(worker->commit, item, &origin);
	return true;
}

/* Returns how many are on their way through the journal: one or none. */
static unsigned
send_one(struct worker *worker, struct session *session,
    const struct retained_job *job, struct message *message)
{
	const uint8_t granted = job->options.qos;
	/* [MQTT-3.3.1-8] [MQTT-3.3.4-3] */
	const struct commit_delivery delivery = {
		.cursor = session->cursor,
		.member = (uint16_t)worker->index,
		.qos = message->qos < granted ? message->qos : granted,
		.retain = true,
		.is_durable = true,
		.identifiers = &job->options.identifier,
		.identifier_count = job->options.identifier != 0,
	};

	worker_count(worker, COUNT_retained_sent);
	if (!goes_by_journal(worker, session, job) || delivery.qos == 0) {
		send_directly(worker, session, message, &delivery);
		return 0;
	}
	if (send_by_journal(worker, session, message, &delivery))
		return 1;
	worker_count(worker, COUNT_dropped_memory);
	return 0;
}

/* The next retained message of the first job; NULL: that was all of it. */
static struct message *
next_message(struct worker *worker, struct session *session)
{
	struct retained_job *job = session->jobs;
	struct message *message;

	if (retained_find(worker->broker->retained, filter_of(job),
		&job->cursor, &message, 1, worker_now_ns(worker)) != 0)
		return message;
	remove_job(&session->jobs);
	return NULL;
}

/* The journal has what was sent before, and takes more. */
static bool
may_go_on(struct worker *worker, struct session *session)
{
	if (worker->commit == NULL)
		return true;
	if (commit_settled(worker->commit) >= session->jobs->ticket) {
		if (!goes_by_journal(worker, session, session->jobs) ||
		    commit_offer(worker->commit, 0) == COMMIT_TAKES)
			return true;
		worker_retry_soon(worker);
	}
	worker_pump_session(worker, session);
	return false;
}

bool
retain_jobs_pump(struct worker *worker, struct session *session)
{
	struct message *message;
	unsigned sent, pending = 0;

	for (sent = 0; session->jobs != NULL && has_room(session, pending);) {
		if (pending == 0 && !may_go_on(worker, session))
			return false;
		if (sent++ == TURN_BUDGET)
			return true;
		message = next_message(worker, session);
		if (message == NULL)
			continue;
		pending += send_one(worker, session, session->jobs, message);
		message_put(message);
	}
	if (pending != 0)
		worker_pump_session(worker, session);
	return false;
}

void
retain_jobs_fini(struct session *session)
{
	while (session->jobs != NULL)
		remove_job(&session->jobs);
}
