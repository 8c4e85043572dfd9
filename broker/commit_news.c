/* SPDX-License-Identifier: Apache-2.0 */

/* What each member is told of a run, by mail. */

#include <errno.h>
#include <stdlib.h>

#include "broker/commit_private.h"

/* ---- on the member's thread -------------------------------------------- */

static void
deliver(const struct commit_member *member, const struct commit_way *way)
{
	const struct commit_item *item = way->item;
	struct commit_delivery delivery = {
		.cursor = way->cursor,
		.member = way->member,
		.qos = way->qos,
		.retain = way->retain,
		.is_durable = way->is_durable,
		.share = way->share,
		.identifier_count = way->identifier_count,
	};

	if (way->identifier_count != 0)
		delivery.identifiers =
		    item->identifiers + way->first_identifier;
	member->deliver(
	    member->context, item->message, item->sequence, &delivery);
}

/*
 * Deliveries of one item are neighbours.  The commit thread has written all
 * of this last, on another processor, so the next is asked for ahead.
 */
static void
deliver_all(const struct commit_member *member, struct commit_way *way)
{
	struct commit_item *item = NULL;
	struct commit_way *next;

	for (; way != NULL; way = next) {
		next = way->next;
		if (next != NULL) {
			__builtin_prefetch(next->item);
			__builtin_prefetch(next->next);
		}
		if (way->item != item) {
			if (item != NULL)
				commit_item_drop(item);
			item = way->item;
		}
		deliver(member, way);
	}
	if (item != NULL)
		commit_item_drop(item);
}

static void
open_news(struct mail *mail, void *owner)
{
	struct commit_news *news = CONTAINER_OF(mail, struct commit_news, mail);
	struct commit *commit = news->commit;
	const struct commit_member *member = &commit->members[news->member];
	struct commit_port *port = &commit->ports[news->member];
	struct commit_letter letter = news->letter;

	(void)owner;
	deliver_all(member, news->first);
	if (letter.last_ticket != 0) {
		port->settled_ticket = letter.last_ticket;
		port->settled_weight += news->weight;
	}
	pool_put(&commit->line.news, news);
	member->settled(member->context, &letter);
}

/* ---- on the commit thread ---------------------------------------------- */

int
commit_news_init(struct commit *commit)
{
	struct commit_line *line = &commit->line;

	line->desks = calloc(commit->member_count, sizeof(*line->desks));
	if (line->desks == NULL)
		return -ENOMEM;
	return pool_init(
	    &line->news, sizeof(struct commit_news), 0, UINT32_MAX);
}

void
commit_news_fini(struct commit *commit)
{
	free(commit->line.desks);
	pool_fini(&commit->line.news);
}

bool
commit_news_stock(struct commit *commit)
{
	struct commit_desk *desk;

	for (unsigned i = 0; i < commit->member_count; i++) {
		desk = &commit->line.desks[i];
		if (desk->spare == NULL)
			desk->spare = pool_take(&commit->line.news);
		if (desk->spare == NULL)
			return false;
	}
	return true;
}

static struct commit_news *
news_of(struct commit *commit, unsigned member)
{
	struct commit_desk *desk = &commit->line.desks[member];

	if (desk->open == NULL) {
		desk->open = desk->spare;
		desk->spare = NULL;
		*desk->open = (struct commit_news){
			.mail.open = open_news,
			.commit = commit,
			.member = member,
		};
	}
	return desk->open;
}

static void
add_way(struct commit *commit, struct commit_way *way)
{
	struct commit_desk *desk = &commit->line.desks[way->member];
	struct commit_news *news = news_of(commit, way->member);

	if (news->first == NULL)
		news->first = way;
	else
		news->last->next = way;
	news->last = way;
	if (desk->last == way->item)
		return;
	desk->last = way->item;
	/* relaxed: the mail carries it to the others */
	atomic_store_explicit(&way->item->holders,
	    atomic_load_explicit(&way->item->holders, memory_order_relaxed) + 1,
	    memory_order_relaxed);
}

void
commit_news_add(struct commit *commit, struct commit_item *item)
{
	struct commit_news *news;

	for (uint32_t i = 0; i < item->way_count; i++)
		add_way(commit, &item->ways[i]);
	if (item->ticket == 0)
		return;
	news = news_of(commit, item->port->member);
	if (news->letter.first_ticket == 0)
		news->letter.first_ticket = item->ticket;
	news->letter.last_ticket = item->ticket;
	news->weight += item->weight;
}

/*
 * When all have their mail: who is woken may take the processor, and have a
 * publisher answered and hear from it again before the others have theirs.
 */
static void
wake_all(struct commit *commit)
{
	struct commit_desk *desk;

	for (unsigned i = 0; i < commit->member_count; i++) {
		desk = &commit->line.desks[i];
		if (desk->must_wake)
			mailbox_wake(commit->members[i].mailbox);
		desk->must_wake = false;
	}
}

void
commit_news_post(struct commit *commit, enum mqtt_reason reason)
{
	struct commit_desk *desk;
	struct commit_news *news;

	for (unsigned i = 0; i < commit->member_count; i++) {
		desk = &commit->line.desks[i];
		desk->last = NULL;
		if (desk->open == NULL)
			continue;
		news = desk->open;
		desk->open = NULL;
		news->letter.reason = reason;
		if (reason != MQTT_SUCCESS)
			news->first = NULL;
		if (news->first == NULL && news->letter.last_ticket == 0) {
			desk->spare = news;
			continue;
		}
		mailbox_put(commit->members[i].mailbox, &news->mail);
		desk->must_wake = true;
	}
	wake_all(commit);
}
