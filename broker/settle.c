/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/settle.h"

#include "broker/client.h"
#include "broker/commit.h"
#include "common/base/bug.h"

void
settle_await(
    struct worker *worker, struct client *client, struct settle_wait *wait)
{
	struct settle_line *line = &worker->settling;

	BUG_ON(line->last != NULL && line->last->ticket > wait->ticket);
	wait->next = NULL;
	wait->next_of_client = NULL;
	wait->client = client;
	if (line->last != NULL)
		line->last->next = wait;
	else
		line->first = wait;
	line->last = wait;
	if (client->waits.last != NULL)
		client->waits.last->next_of_client = wait;
	else
		client->waits.first = wait;
	client->waits.last = wait;
}

/* The first of the line is also the first of its client. */
static struct settle_wait *
remove_first(struct settle_line *line)
{
	struct settle_wait *wait = line->first;
	struct client *client = wait->client;

	line->first = wait->next;
	if (line->first == NULL)
		line->last = NULL;
	if (client == NULL)
		return wait;
	BUG_ON(client->waits.first != wait);
	client->waits.first = wait->next_of_client;
	if (client->waits.first == NULL)
		client->waits.last = NULL;
	return wait;
}

void
settle_letter(struct worker *worker, const struct commit_letter *letter)
{
	struct settle_line *line = &worker->settling;
	struct settle_wait *wait;

	if (letter->reason != MQTT_SUCCESS)
		worker->settled_badly++;
	/* What the records would have said is to be in a checkpoint then. */
	if (letter->reason != MQTT_SUCCESS && line->first != NULL)
		commit_ask_checkpoint(worker->broker->commit);
	while (
	    line->first != NULL && line->first->ticket <= letter->last_ticket) {
		wait = remove_first(line);
		wait->settled(wait, letter->reason);
	}
}

void
settle_forget_client(struct client *client)
{
	struct settle_wait *wait;

	for (wait = client->waits.first; wait != NULL;
	     wait = wait->next_of_client)
		wait->client = NULL;
	client->waits = (struct settle_line){ 0 };
}

void
settle_fini(struct worker *worker)
{
	struct settle_wait *wait;

	while (worker->settling.first != NULL) {
		wait = remove_first(&worker->settling);
		wait->settled(wait, MQTT_SERVER_SHUTTING_DOWN);
	}
}
