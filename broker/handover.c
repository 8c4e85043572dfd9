/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/handover.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/client.h"
#include "common/base/bug.h"

struct handover {
	struct mail mail;
	int fd;
	unsigned listener;
	uint64_t accepted_ns;
	size_t length;
	uint8_t bytes[];
};

static void
on_handover(struct mail *mail, void *owner)
{
	struct handover *handover = CONTAINER_OF(mail, struct handover, mail);
	struct worker *worker = owner;

	if (worker->draining) {
		close(handover->fd);
		free(handover);
		return;
	}
	stats_increment(worker->counters, COUNT_connections);
	client_new(worker, handover->fd, handover->listener, handover->bytes,
	    handover->length, handover->accepted_ns);
	free(handover);
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
	handover->mail.open = on_handover;
	handover->listener = client->listener;
	handover->accepted_ns =
	    client->alarm.when_ns - worker->broker->conf->connect_timeout_ns;
	handover->length = input.len;
	memcpy(handover->bytes, input.data, input.len);
	handover->fd = client_give_away(client);
	if (handover->fd < 0) {
		free(handover);
		client_close(client, false);
		return;
	}
	stats_subtract(worker->counters, COUNT_connections, 1);
	worker_count(worker, COUNT_handovers);
	mailbox_put(mailbox, &handover->mail);
	mailbox_wake(mailbox);
}
