/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/handover.h"

#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "common/base/bug.h"

struct handover {
	struct mail mail;
	struct client_origin origin;
	uint8_t bytes[]; /* its input */
};

static void
on_handover(struct mail *mail, void *owner)
{
	struct handover *handover = CONTAINER_OF(mail, struct handover, mail);
	struct worker *worker = owner;

	stats_increment(worker->counters, COUNT_connections);
	client_new(worker, &handover->origin);
	free(handover);
}

void
handover_give(
    struct worker *worker, unsigned to, const struct client_origin *origin)
{
	struct handover *handover;

	BUG_ON(to == worker->index || origin->input.len != 0);
	handover = malloc(sizeof(*handover));
	if (handover == NULL) {
		client_new(worker, origin);
		return;
	}
	handover->mail.open = on_handover;
	handover->origin = *origin;
	stats_subtract(worker->counters, COUNT_connections, 1);
	mailbox_put(worker->broker->workers[to]->mailbox, &handover->mail);
	mailbox_wake(worker->broker->workers[to]->mailbox);
}

void
handover_send(struct client *client, unsigned to, struct slice input)
{
	struct worker *worker = client->worker;
	struct mailbox *mailbox = worker->broker->workers[to]->mailbox;
	struct handover *handover;

	BUG_ON(to == worker->index);
	handover = malloc(sizeof(*handover) + input.len);
	if (handover == NULL) {
		client_close(client, false);
		return;
	}
	memcpy(handover->bytes, input.data, input.len);
	if (client_give_away(client, &handover->origin) != 0) {
		free(handover);
		client_close(client, false);
		return;
	}
	handover->mail.open = on_handover;
	handover->origin.input = slice_of(handover->bytes, input.len);
	stats_subtract(worker->counters, COUNT_connections, 1);
	worker_count(worker, COUNT_handovers);
	mailbox_put(mailbox, &handover->mail);
	mailbox_wake(mailbox);
}
