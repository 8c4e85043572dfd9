/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/retain_job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/deliver.h"
#include "broker/retain.h"

/* Messages to one session in one turn: others have theirs too. */
#define TURN_BUDGET 64

struct retained_job {
	struct retained_job *next;
	struct retained_cursor cursor;
	struct subscription_options options;
	size_t filter_length;
	uint8_t filter[];
};

static struct slice
filter_of(const struct retained_job *job)
{
	return slice_of(job->filter, job->filter_length);
}

static void
free_job(struct retained_job *job)
{
	retained_cursor_fini(&job->cursor);
	free(job);
}

void
retain_job_stop(struct session *session, struct slice filter)
{
	struct retained_job **link = &session->jobs, *job;

	while (*link != NULL && !slice_equal(filter_of(*link), filter))
		link = &(*link)->next;
	job = *link;
	if (job == NULL)
		return;
	*link = job->next;
	free_job(job);
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

/* QoS 1 and 2 go one by one into the window, not into the queue. */
static bool
has_room(const struct session *session)
{
	return deliver_has_room(session) && session->resend == NULL &&
	    session->outbox.waiting.count == 0 &&
	    session->outbox.in_flight.count < session->outbox.window;
}

static void
send_one(struct worker *worker, struct session *session,
    const struct retained_job *job, struct message *message)
{
	const uint8_t granted = job->options.qos;
	/* [MQTT-3.3.1-8] [MQTT-3.3.4-3] */
	const struct outbox_item item = {
		.message = message,
		.qos = message->qos < granted ? message->qos : granted,
		.retain = true,
		.identifiers = &job->options.identifier,
		.identifier_count = job->options.identifier != 0,
	};

	worker_count(worker, COUNT_retained_sent);
	deliver_begin(worker, message);
	deliver(worker, session, &item);
}

bool
retain_jobs_pump(struct worker *worker, struct session *session)
{
	struct retained_job *job;
	struct message *message;

	for (unsigned sent = 0; session->jobs != NULL && has_room(session);) {
		if (sent++ == TURN_BUDGET)
			return true;
		job = session->jobs;
		if (retained_find(worker->broker->retained, filter_of(job),
			&job->cursor, &message, 1,
			worker_now_ns(worker)) == 0) {
			session->jobs = job->next;
			free_job(job);
			continue;
		}
		send_one(worker, session, job, message);
		message_put(message);
	}
	return false;
}

void
retain_jobs_fini(struct session *session)
{
	struct retained_job *job;

	while ((job = session->jobs) != NULL) {
		session->jobs = job->next;
		free_job(job);
	}
}
