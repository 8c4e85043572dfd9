/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_revoke.h"

#include <stdlib.h>

#include "broker/client.h"
#include "common/base/log.h"

static bool
is_void(const struct client *client)
{
	return client->is_verified && !client_is_over(client) &&
	    !auth_identity_is_valid(
		client->worker->broker->auth, client->identity);
}

/* On the worker's thread. */
static void
on_mail(struct mail *mail, void *owner)
{
	struct worker *worker = owner;
	struct client *client, *next;
	unsigned count = 0;

	free(mail);
	for (client = worker->clients.first; client != NULL; client = next) {
		next = client->next;
		if (!is_void(client))
			continue;
		client_disconnect(client, MQTT_NOT_AUTHORIZED);
		worker_count(worker, COUNT_clients_revoked);
		count++;
	}
	if (count != 0)
		log_info("clients_revoked",
		    "worker=%u count=%u reason=\"the account or its password "
		    "is not in the configuration any more\"",
		    worker->index, count);
}

void
auth_revoke(struct broker *broker)
{
	struct mail *mail;

	for (unsigned i = 0; i < broker->worker_count; i++) {
		if (broker->workers[i] == NULL)
			continue;
		mail = calloc(1, sizeof(*mail));
		if (mail == NULL) {
			log_error("revoke_failed",
			    "worker=%u hint=\"out of memory: reload again, or "
			    "clients of former accounts stay connected\"",
			    i);
			continue;
		}
		mail->open = on_mail;
		mailbox_put(broker->workers[i]->mailbox, mail);
		mailbox_wake(broker->workers[i]->mailbox);
	}
}
