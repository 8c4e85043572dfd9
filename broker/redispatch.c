/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/redispatch.h"

#include <stdlib.h>

#include "broker/commit.h"
#include "broker/estates.h"
#include "broker/route.h"
#include "broker/worker.h"

/* Given on in one turn. */
#define MAX_A_TURN 512u

/* So often it may fail to be committed; then it is dropped. */
#define MAX_ATTEMPTS 100u

struct leftover {
	struct leftover *next;
	struct message *message;
	struct estate *estate; /* it comes from there; or NULL */
	uint64_t sequence;     /* for that */
	uint64_t ticket;       /* under way: when it is committed */
	uint32_t share;
	unsigned attempts;
};

/* What became of trying to give one on. */
enum given {
	GIVEN, /* or there is nobody: it is dealt with */
	GIVEN_TO_JOURNAL,
	GIVEN_LATER /* no room now */
};

/* ---- lists --------------------------------------------------------------- */

static void
append(struct leftover_list *list, struct leftover *leftover)
{
	leftover->next = NULL;
	if (list->last != NULL)
		list->last->next = leftover;
	else
		list->first = leftover;
	list->last = leftover;
}

static struct leftover *
take_first(struct leftover_list *list)
{
	struct leftover *leftover = list->first;

	if (leftover == NULL)
		return NULL;
	list->first = leftover->next;
	if (list->first == NULL)
		list->last = NULL;
	return leftover;
}

/* Those of `list` go before those of `rest`, and are there then. */
static void
put_before(struct leftover_list *rest, struct leftover_list *list)
{
	if (list->first == NULL)
		return;
	list->last->next = rest->first;
	rest->first = list->first;
	if (rest->last == NULL)
		rest->last = list->last;
	*list = (struct leftover_list){ NULL, NULL };
}

static void
forget(struct leftover *leftover)
{
	message_put(leftover->message);
	free(leftover);
}

/* It is another's now, or nobody's. */
static void
finish(struct worker *worker, struct leftover *leftover)
{
	if (leftover->estate != NULL)
		estate_given(worker, leftover->estate, leftover->sequence);
	forget(leftover);
}

static void
forget_all(struct leftover_list *list)
{
	struct leftover *leftover;

	while ((leftover = take_first(list)) != NULL)
		forget(leftover);
}

/* ---- what is left -------------------------------------------------------- */

bool
redispatch_of_estate(struct worker *worker, struct message *message,
    uint32_t share, struct estate *estate, uint64_t sequence)
{
	struct leftover *leftover = malloc(sizeof(*leftover));

	if (leftover == NULL)
		return false;
	*leftover = (struct leftover){
		.message = message_take(message),
		.estate = estate,
		.sequence = sequence,
		.share = share,
	};
	append(&worker->redispatch.ready, leftover);
	worker->redispatch.is_due = true;
	return true;
}

void
redispatch_message(
    struct worker *worker, struct message *message, uint32_t share)
{
	if (!worker->is_over &&
	    !redispatch_of_estate(worker, message, share, NULL, 0))
		worker_count(worker, COUNT_dropped_memory);
}

/* [MQTT-4.8.2-5] */
static bool
may_go_on(const struct outgoing *outgoing)
{
	return outgoing->share != 0 && outgoing->message != NULL &&
	    (outgoing->qos == 1 || outgoing->stage == OUTGOING_WAITING);
}

/* Those of a list of the outbox that may go on leave it. */
static void
take_from(struct worker *worker, struct session *session,
    const struct outgoing_list *list)
{
	struct outgoing *outgoing, *next;

	for (outgoing = list->first; outgoing != NULL; outgoing = next) {
		next = outgoing->next;
		if (!may_go_on(outgoing))
			continue;
		if (outgoing->stage == OUTGOING_WAITING)
			session_unqueued(
			    session, message_weight(outgoing->message));
		else
			stats_subtract(worker->counters, COUNT_in_flight, 1);
		redispatch_message(worker, outgoing->message, outgoing->share);
		outbox_done(
		    &session->outbox, &session->home->outgoing, outgoing);
	}
}

void
redispatch_session(struct worker *worker, struct session *session)
{
	if (worker->is_over)
		return;
	take_from(worker, session, &session->outbox.in_flight);
	take_from(worker, session, &session->outbox.waiting);
}

/* ---- giving it on -------------------------------------------------------- */

static enum given
give_directly(struct worker *worker, const struct leftover *leftover)
{
	const int receivers = route_share(
	    worker->broker, worker, leftover->message, leftover->share, NULL);

	if (receivers < 0)
		return GIVEN_LATER;
	worker_count(worker,
	    receivers == 0 ? COUNT_dropped_session_end
			   : COUNT_shared_redispatched);
	return GIVEN;
}

/* Who is full has counted it. */
static enum given
give_by_journal(struct worker *worker, struct leftover *leftover)
{
	const struct commit_origin origin = { 0 };
	struct commit_item *item;
	int receivers;

	if (commit_offer(worker->commit, message_weight(leftover->message)) !=
	    COMMIT_TAKES)
		return GIVEN_LATER;
	item = commit_begin(worker->commit, leftover->message);
	if (item == NULL)
		return GIVEN_LATER;
	receivers = route_share(
	    worker->broker, worker, leftover->message, leftover->share, item);
	if (receivers > 0 && commit_receivers(item) != 0) {
		leftover->ticket = commit_send(worker->commit, item, &origin);
		return GIVEN_TO_JOURNAL;
	}
	commit_cancel(worker->commit, item);
	if (receivers == 0)
		worker_count(worker, COUNT_dropped_session_end);
	return receivers < 0 ? GIVEN_LATER : GIVEN;
}

void
redispatch_run(struct worker *worker)
{
	struct redispatch *redispatch = &worker->redispatch;
	struct leftover *leftover;
	enum given given = GIVEN;
	unsigned i;

	redispatch->is_due = false;
	for (i = 0; i < MAX_A_TURN && given != GIVEN_LATER; i++) {
		if (redispatch->ready.first == NULL)
			return;
		if (!route_has_room(worker->broker, worker))
			break;
		/* Who gets it may be lost for that, and leave more. */
		leftover = take_first(&redispatch->ready);
		given = worker->commit == NULL
		    ? give_directly(worker, leftover)
		    : give_by_journal(worker, leftover);
		if (given == GIVEN)
			finish(worker, leftover);
		else if (given == GIVEN_TO_JOURNAL)
			append(&redispatch->under_way, leftover);
		else
			put_before(&redispatch->ready,
			    &(struct leftover_list){ leftover, leftover });
	}
	if (i == MAX_A_TURN && given != GIVEN_LATER)
		redispatch->is_due = true;
	else
		worker_retry_soon(worker);
}

bool
redispatch_is_due(const struct worker *worker)
{
	return worker->redispatch.is_due;
}

void
redispatch_settled(struct worker *worker, const struct commit_letter *letter)
{
	struct redispatch *redispatch = &worker->redispatch;
	struct leftover_list failed = { NULL, NULL };
	struct leftover *leftover;

	while ((leftover = redispatch->under_way.first) != NULL &&
	    leftover->ticket <= letter->last_ticket) {
		take_first(&redispatch->under_way);
		if (letter->reason == MQTT_SUCCESS) {
			worker_count(worker, COUNT_shared_redispatched);
			finish(worker, leftover);
		} else if (++leftover->attempts == MAX_ATTEMPTS) {
			worker_count(worker, COUNT_dropped_memory);
			finish(worker, leftover);
		} else {
			append(&failed, leftover);
		}
	}
	if (failed.first == NULL)
		return;
	put_before(&redispatch->ready, &failed);
	worker_retry_soon(worker);
}

void
redispatch_fini(struct worker *worker)
{
	forget_all(&worker->redispatch.ready);
	forget_all(&worker->redispatch.under_way);
}
