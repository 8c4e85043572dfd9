/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/publish.h"

#include <stdlib.h>

#include "broker/backlog.h"
#include "broker/commit.h"
#include "broker/route.h"
#include "broker/session.h"
#include "broker/worker.h"
#include "common/base/bug.h"

#define FIRST_CLAIMS 16

/* ---- claims ------------------------------------------------------------- */

static struct publish_claim *
claim_at(const struct publish_claims *claims, uint32_t i)
{
	return &claims->list[(claims->first + i) & (claims->size - 1)];
}

/* Room for one more.  False: no memory. */
static bool
make_room(struct publish_claims *claims)
{
	struct publish_claims larger = { .count = claims->count };

	if (claims->count < claims->size)
		return true;
	larger.size = claims->size == 0 ? FIRST_CLAIMS : claims->size * 2;
	larger.list = malloc(larger.size * sizeof(*larger.list));
	if (larger.list == NULL)
		return false;
	for (uint32_t i = 0; i < claims->count; i++)
		larger.list[i] = *claim_at(claims, i);
	free(claims->list);
	*claims = larger;
	return true;
}

void
publish_settled(struct worker *worker, const struct commit_letter *letter)
{
	struct publish_claims *claims = &worker->claims;
	const struct publish_claim *claim;

	while (claims->count != 0) {
		claim = claim_at(claims, 0);
		if (claim->ticket > letter->last_ticket)
			return;
		/* Else the links thread does, when it is in the ring. */
		if (letter->reason != MQTT_SUCCESS)
			publish_withdraw(worker, claim->bridges, claim->weight);
		claims->first++;
		claims->count--;
	}
}

void
publish_claims_fini(struct publish_claims *claims)
{
	free(claims->list);
	*claims = (struct publish_claims){ 0 };
}

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

static bool
add_bridges(struct worker *worker, struct commit_item *item,
    const struct message *message, uint64_t bridges)
{
	struct commit_delivery delivery = {
		.member = (uint16_t)worker->broker->worker_count,
		.qos = message->qos,
		.retain = message->retain,
		.is_durable = true,
	};

	for (; bridges != 0; bridges &= bridges - 1) {
		delivery.cursor = bridge_table_cursor(worker->broker->bridges,
		    (unsigned)__builtin_ctzll(bridges));
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

	if (publication->bridges != 0 && !make_room(&worker->claims))
		return NULL;
	item = commit_begin(worker->commit, message);
	if (item == NULL)
		return NULL;
	if (add_bridges(worker, item, message, publication->bridges))
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

static void
claim(struct worker *worker, const struct publication *publication,
    uint64_t ticket)
{
	struct publish_claims *claims = &worker->claims;

	if (publication->bridges == 0)
		return;
	*claim_at(claims, claims->count++) = (struct publish_claim){
		.ticket = ticket,
		.bridges = publication->bridges,
		.weight = message_weight(publication->message),
	};
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
	claim(worker, publication, ticket);
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
