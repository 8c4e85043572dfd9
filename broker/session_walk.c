/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/checkpoint.h"
#include "broker/session_records.h"
#include "broker/will.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/msg/topic.h"

/* Empty places of the table cost little, but not nothing. */
#define STEP_BUCKETS 65536u

typedef int (*put_record)(
    void *context, enum store_kind kind, struct slice body);

/* One step, on its way. */
struct step {
	struct worker *worker;
	struct session_walk *walk;
	put_record put;
	void *context;
	unsigned sessions;
	size_t subscriptions; /* that it may still give */

	const struct session *session; /* whose subscriptions are given */
	uint8_t *bytes;                /* room for a record */
	size_t size;
};

static int
make_room(struct step *step, size_t size)
{
	uint8_t *bytes;

	if (size <= step->size)
		return 0;
	bytes = realloc(step->bytes, size);
	if (bytes == NULL)
		return -ENOMEM;
	step->bytes = bytes;
	step->size = size;
	return 0;
}

static int
put(struct step *step, enum store_kind kind, size_t size)
{
	return step->put(step->context, kind, slice_of(step->bytes, size));
}

/* ---- a session ---------------------------------------------------------- */

static int
put_session(struct step *step, const struct store_session *record)
{
	const size_t size = store_session_size(record);
	int err;

	err = make_room(step, size);
	if (err != 0)
		return err;
	store_session_write(record, step->bytes);
	return put(step, STORE_SESSION, size);
}

static int
put_unfinished(struct step *step, const struct session *session)
{
	const struct packet_ids *ids = &session->received;
	struct store_unfinished record = { .cursor = session->cursor };
	const size_t max = sizeof(record.ids) / sizeof(record.ids[0]);
	uint32_t at = 0;
	uint16_t id;
	int err = 0;

	while (err == 0 && (id = packet_ids_next(ids, &at)) != 0) {
		record.ids[record.count++] = id;
		if (record.count < max)
			continue;
		err = put(step, STORE_UNFINISHED,
		    store_unfinished_write(&record, step->bytes));
		record.count = 0;
	}
	if (err == 0 && record.count != 0)
		err = put(step, STORE_UNFINISHED,
		    store_unfinished_write(&record, step->bytes));
	return err;
}

static int
put_received(struct step *step, const struct session *session)
{
	const struct outgoing *outgoing = session->outbox.in_flight.first;
	struct store_packet record = { .cursor = session->cursor };
	int err = 0;

	for (; outgoing != NULL && err == 0; outgoing = outgoing->next) {
		if (outgoing->stage != OUTGOING_RECEIVED ||
		    outgoing->sequence == 0)
			continue;
		record.sequence = outgoing->sequence;
		err = put(step, STORE_RECEIVED,
		    store_packet_write(&record, step->bytes));
	}
	return err;
}

/* ---- its subscriptions --------------------------------------------------- */

static int
put_subscription(
    void *arg, struct slice filter, const struct subscription_options *options)
{
	struct step *step = arg;
	const struct store_subscribe record =
	    session_records_subscription(step->session, filter, options);
	const size_t size = store_subscribe_size(&record);
	int err;

	err = make_room(step, size);
	if (err != 0)
		return err;
	store_subscribe_write(&record, step->bytes);
	if (--step->subscriptions == 0) {
		memcpy(step->walk->after, filter.data, filter.len);
		step->walk->after_length = filter.len;
	}
	return put(step, STORE_SUBSCRIBE, size);
}

/* What may be left of them is for the next step: walk->cursor is set. */
static int
put_subscriptions(struct step *step, struct session *session)
{
	struct session_walk *walk = step->walk;
	struct subscription_tree *tree = step->worker->broker->subscriptions;
	const size_t max = step->subscriptions;
	struct slice after;
	int given;

	step->session = session;
	after =
	    slice_of(walk->after, walk->cursor == 0 ? 0 : walk->after_length);
	walk->cursor = 0;
	given = subscription_tree_list(
	    tree, &session->subscriber, after, max, put_subscription, step);
	if (given == -ENOENT)
		given = subscription_tree_list(tree, &session->subscriber,
		    slice_of(NULL, 0), max, put_subscription, step);
	if (given < 0)
		return given;
	if ((size_t)given < max)
		return 0;
	walk->cursor = session->cursor;
	walk->bucket_count = step->worker->sessions.bucket_count;
	return 0;
}

/* ---- the table ----------------------------------------------------------- */

static bool
is_known(const struct session *session)
{
	return session->is_durable ||
	    (session->will != NULL && will_cursor(session->will) != 0);
}

static int
put_all_of(struct step *step, struct session *session)
{
	struct store_session record;
	int err;

	if (!is_known(session))
		return 0;
	step->sessions++;
	session_records_describe(step->worker->broker->auth, session, &record);
	err = put_session(step, &record);
	if (err != 0 || !session->is_durable)
		return err;
	err = put_unfinished(step, session);
	if (err == 0)
		err = put_received(step, session);
	return err == 0 ? put_subscriptions(step, session) : err;
}

static int
put_chain(struct step *step, struct session *session)
{
	int err = 0;

	while (session != NULL && err == 0 && step->walk->cursor == 0) {
		err = put_all_of(step, session);
		session = session->next_in_table;
	}
	return err;
}

/*
 * A session whose subscriptions were not done, and those behind it in its
 * bucket.  If it has gone, or its bucket is another one now, the bucket begins
 * again: what moved is to be found further on.
 */
static int
put_rest(struct step *step)
{
	struct session_walk *walk = step->walk;
	struct sessions *sessions = &step->worker->sessions;
	const bool is_same = walk->bucket_count == sessions->bucket_count;
	struct session *session;
	int err;

	session = session_find_cursor(sessions, walk->cursor);
	if (session == NULL) {
		walk->cursor = 0;
		return put_chain(step, sessions->buckets[walk->bucket]);
	}
	step->sessions++;
	err = put_subscriptions(step, session);
	if (err != 0 || walk->cursor != 0)
		return err;
	return put_chain(step,
	    is_same ? session->next_in_table : sessions->buckets[walk->bucket]);
}

static int
put_waiting_wills(struct step *step)
{
	const struct will *will = NULL;
	struct store_session record;
	int err = 0;

	while (err == 0 &&
	    (will = will_next_waiting(step->worker, will)) != NULL) {
		if (will_cursor(will) == 0)
			continue;
		session_records_describe_will(
		    step->worker->broker->auth, will, &record);
		err = put_session(step, &record);
	}
	return err;
}

/* What sessions that have ended left, and is not given on yet. */
static int
put_estates(struct step *step)
{
	const struct estate *estate = step->worker->estates.first;
	struct store_session record;
	int err = 0;

	for (; estate != NULL && err == 0; estate = estate->next) {
		estate_describe(step->worker, estate, &record);
		err = put_session(step, &record);
	}
	return err;
}

static int
run(struct step *step)
{
	struct session_walk *walk = step->walk;
	struct sessions *sessions = &step->worker->sessions;
	size_t last;
	int err = 0;

	last = walk->bucket + STEP_BUCKETS;
	while (err == 0 && walk->bucket < sessions->bucket_count &&
	    walk->bucket < last && step->subscriptions != 0 &&
	    step->sessions < CHECKPOINT_TURN_SESSIONS) {
		err = walk->cursor != 0
		    ? put_rest(step)
		    : put_chain(step, sessions->buckets[walk->bucket]);
		if (walk->cursor == 0)
			walk->bucket++;
	}
	if (err != 0 || walk->bucket < sessions->bucket_count)
		return err;
	walk->is_over = true;
	err = put_waiting_wills(step);
	return err == 0 ? put_estates(step) : err;
}

int
session_walk_step(struct worker *worker, struct session_walk *walk,
    int (*put_one)(void *context, enum store_kind kind, struct slice body),
    void *context)
{
	struct step step = {
		.worker = worker,
		.walk = walk,
		.put = put_one,
		.context = context,
		.subscriptions = CHECKPOINT_TURN_SUBSCRIPTIONS,
	};
	int err;

	if (walk->after == NULL)
		walk->after = malloc(TOPIC_MAX_BYTES);
	err = make_room(&step, STORE_SMALL_MAX);
	if (err == 0 && walk->after == NULL)
		err = -ENOMEM;
	if (err == 0)
		err = run(&step);
	free(step.bytes);
	if (err != 0 || walk->is_over)
		session_walk_fini(walk);
	return err;
}

void
session_walk_fini(struct session_walk *walk)
{
	free(walk->after);
	walk->after = NULL;
}
