/* SPDX-License-Identifier: Apache-2.0 */

/*
 * worker_commit - what the journal tells a worker: messages for its sessions,
 * how its own tickets ended, and what it asked to read.
 */

#include "broker/client.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/estates.h"
#include "broker/publish.h"
#include "broker/redispatch.h"
#include "broker/session_queue.h"
#include "broker/tally.h"
#include "broker/worker.h"

/*
 * What is encoded once is of this message.  It is held until the next one:
 * another at the same place must not be taken for it.
 */
static void
begin(struct worker *worker, struct message *message)
{
	if (worker->delivered == message)
		return;
	message_put(worker->delivered);
	worker->delivered = message == NULL ? NULL : message_take(message);
	if (message != NULL)
		deliver_begin(worker, message);
}

static struct outbox_item
item_of(struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	return (struct outbox_item){
		.message = message,
		.sequence = delivery->is_durable ? sequence : 0,
		.qos = delivery->qos,
		.retain = delivery->retain,
		.share = delivery->share,
		.identifiers = delivery->identifiers,
		.identifier_count = delivery->identifier_count,
	};
}

/* A session that has ended has ended in the journal too. */
static void
on_deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	struct worker *worker = context;
	const struct outbox_item item = item_of(message, sequence, delivery);
	struct session *session;

	session = session_find_cursor(&worker->sessions, delivery->cursor);
	if (session == NULL) {
		if (item.sequence != 0)
			estates_arrived(worker, delivery->cursor);
		else if (item.share != 0 && item.qos != 0)
			redispatch_message(worker, message, item.share);
		return;
	}
	begin(worker, message);
	deliver(worker, session, &item);
}

static void
on_claim_failed(void *context, uint64_t offered)
{
	tally_declined(((struct worker *)context)->tally, offered);
}

static void
on_settled(void *context, const struct commit_letter *letter)
{
	struct worker *worker = context;

	begin(worker, NULL);
	if (letter->last_ticket == 0)
		return;
	claims_settled(&worker->claims, worker->broker->backlogs, letter,
	    on_claim_failed, worker);
	if (letter->reason != MQTT_SUCCESS)
		acks_fail(worker, letter);
	settle_letter(worker, letter);
	redispatch_settled(worker, letter);
	estates_settled(worker, letter);
	worker_bridges_moved(worker);
}

static void
on_loaded(void *context, uint64_t cursor, struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	struct worker *worker = context;
	const struct outbox_item item = item_of(message, sequence, delivery);
	struct session *session;

	session = session_find_cursor(&worker->sessions, cursor);
	if (session == NULL)
		estates_load(worker, cursor, message, sequence, delivery);
	else if (session_queue_loads(session, &item) == SESSION_DROPPED)
		deliver_forget(session, sequence);
}

static void
on_loaded_upto(void *context, uint64_t cursor, uint64_t upto, int err)
{
	struct worker *worker = context;
	struct session *session;

	session = session_find_cursor(&worker->sessions, cursor);
	if (session == NULL) {
		estates_loaded(worker, cursor, upto, err);
		return;
	}
	if (err == 0)
		session_queue_loaded(session, upto);
	else
		deliver_read_failed(worker, session);
	deliver_waiting(worker, session);
}

void
worker_commit_member(struct worker *worker, struct commit_member *out_member)
{
	*out_member = (struct commit_member){
		.mailbox = worker->mailbox,
		.context = worker,
		.deliver = on_deliver,
		.settled = on_settled,
		.loaded = on_loaded,
		.loaded_upto = on_loaded_upto,
		.counters = worker->counters,
	};
}
