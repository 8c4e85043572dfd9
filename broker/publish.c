/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/publish.h"

#include "broker/backlog.h"
#include "broker/commit.h"
#include "broker/route.h"
#include "broker/session.h"
#include "broker/worker.h"

/* ---- offering ------------------------------------------------------------ */

enum publish_answer
publish_offer(struct worker *worker, uint64_t bridges, size_t weight,
    uint64_t *out_bridges)
{
	switch (commit_offer(worker->commit, weight)) {
	case COMMIT_TAKES:
		break;
	case COMMIT_STALLS:
		return PUBLISH_WAITS;
	case COMMIT_REFUSES:
		return PUBLISH_REFUSES;
	}
	*out_bridges = 0;
	if (bridges == 0)
		return PUBLISH_TAKES;
	switch (backlog_offer(
	    worker->broker->backlogs, bridges, weight, out_bridges)) {
	case BACKLOG_TAKES:
		return PUBLISH_TAKES;
	case BACKLOG_STALLS:
		return PUBLISH_STALLS;
	case BACKLOG_REJECTS:
		break;
	}
	return PUBLISH_REJECTS;
}

void
publish_withdraw(struct worker *worker, uint64_t bridges, size_t weight)
{
	if (bridges != 0)
		backlog_withdraw(worker->broker->backlogs, bridges, weight);
}

/* ---- committing ---------------------------------------------------------- */

bool
publish_add_bridges(const struct broker *broker, struct commit_item *item,
    const struct message *message, uint64_t bridges)
{
	struct commit_delivery delivery = {
		.member = (uint16_t)broker->worker_count,
		/* By HTTP, QoS 0 is treated as QoS 1. */
		.qos = message->qos == 2 ? 2 : 1,
		.retain = message->retain,
		.is_durable = true,
	};

	for (; bridges != 0; bridges &= bridges - 1) {
		delivery.cursor = bridge_table_cursor(
		    broker->bridges, (unsigned)__builtin_ctzll(bridges));
		if (!commit_add(item, &delivery))
			return false;
	}
	return true;
}

/* An item with all receivers.  NULL: no memory. */
static struct commit_item *
make_item(struct worker *worker, const struct publication *publication,
    uint64_t *out_serial, unsigned *out_receivers)
{
	struct message *message = publication->message;
	struct commit_item *item;
	int receivers = 0;

	if (publication->bridges != 0 && !claims_reserve(&worker->claims))
		return NULL;
	item = commit_begin(worker->commit, message);
	if (item == NULL)
		return NULL;
	if (publish_add_bridges(
		worker->broker, item, message, publication->bridges))
		receivers = route_collect(worker->broker, worker, message,
		    publication->publisher, item, out_serial);
	else
		receivers = -1;
	if (receivers < 0) {
		commit_cancel(worker->commit, item);
		return NULL;
	}
	*out_receivers = (unsigned)receivers +
	    (unsigned)__builtin_popcountll(publication->bridges);
	return item;
}

uint64_t
publish_commit(struct worker *worker, const struct publication *publication,
    unsigned *out_receivers)
{
	const struct session *publisher = publication->publisher;
	struct commit_origin origin = {
		.publisher = publisher != NULL && publisher->is_durable
		    ? publisher->cursor
		    : 0,
		.packet_id = publication->packet_id,
	};
	struct commit_item *item;
	uint64_t ticket;

	item = make_item(
	    worker, publication, &origin.retain_serial, out_receivers);
	if (item == NULL) {
		publish_withdraw(worker, publication->bridges,
		    message_weight(publication->message));
		return 0;
	}
	origin.is_written = origin.retain_serial != 0 || origin.packet_id != 0;
	ticket = commit_send(worker->commit, item, &origin);
	claims_add(&worker->claims, ticket, publication->bridges,
	    publication->bridges, message_weight(publication->message));
	return ticket;
}

void
publish_keep_retained(
    struct worker *worker, struct message *message, uint64_t serial)
{
	const struct commit_origin origin = {
		.retain_serial = serial,
		.is_written = true,
	};
	struct commit_item *item;

	item = commit_begin(worker->commit, message);
	if (item == NULL)
		worker_count(worker, COUNT_retained_refused);
	else
		commit_send(worker->commit, item, &origin);
}
