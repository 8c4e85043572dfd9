/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_revoke.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/client.h"
#include "broker/retain_job.h"
#include "broker/session_records.h"
#include "common/base/log.h"

/* Filters that are to be ended, each a copy. */
struct denied {
	const struct access *access;
	struct denied_filter *first;
};

struct denied_filter {
	struct denied_filter *next;
	size_t length;
	uint8_t bytes[];
};

bool
client_take_access(struct client *client, struct slice client_id)
{
	struct access *access;

	if (auth_access(client->worker->broker->auth, client->identity,
		client_id, &access) != 0)
		return false;
	access_free(client->access);
	client->access = access;
	return true;
}

/* ---- subscriptions --------------------------------------------------------
 */

static int
note_if_denied(
    void *arg, struct slice filter, const struct subscription_options *options)
{
	struct denied *denied = arg;
	struct denied_filter *copy;

	(void)options;
	if (access_may_subscribe(denied->access, filter))
		return 0;
	copy = malloc(sizeof(*copy) + filter.len);
	if (copy == NULL)
		return -1;
	copy->length = filter.len;
	memcpy(copy->bytes, filter.data, filter.len);
	copy->next = denied->first;
	denied->first = copy;
	return 0;
}

static void
end_subscription(
    struct worker *worker, struct session *session, struct slice filter)
{
	retain_job_stop(session, filter);
	subscription_tree_remove(
	    worker->broker->subscriptions, filter, &session->subscriber);
	if (session->is_durable && worker->commit != NULL)
		session_records_unsubscribe(worker, session, filter);
	worker_count(worker, COUNT_subscriptions_revoked);
}

void
session_trim(
    struct worker *worker, struct session *session, const struct access *access)
{
	struct denied denied = { .access = access };
	struct denied_filter *filter;
	unsigned count = 0;
	int listed;

	listed = subscription_tree_list(worker->broker->subscriptions,
	    &session->subscriber, slice_of(NULL, 0), INT_MAX, note_if_denied,
	    &denied);
	if (listed < 0)
		log_error("revoke_failed",
		    "client=%s hint=\"out of memory: reload again, or it keeps "
		    "subscriptions it may not have\"",
		    session_quote(session));
	while ((filter = denied.first) != NULL) {
		denied.first = filter->next;
		end_subscription(
		    worker, session, slice_of(filter->bytes, filter->length));
		free(filter);
		count++;
	}
	if (count != 0)
		log_info("subscriptions_revoked",
		    "client=%s count=%u reason=\"its account may not subscribe "
		    "to that any more\"",
		    session_quote(session), count);
}

/* ---- after a reload -------------------------------------------------------
 */

/* With a client or without; who may everything costs a look-up. */
static void
review_session(struct worker *worker, struct session *session)
{
	struct access *access;

	if (auth_access(worker->broker->auth, session->identity,
		session_id(session), &access) != 0)
		return;
	if (access != NULL)
		session_trim(worker, session, access);
	access_free(access);
}

static void
review_sessions(struct worker *worker)
{
	const struct sessions *sessions = &worker->sessions;
	struct session *session;

	if (!auth_limits_subscriptions(worker->broker->auth))
		return;
	for (size_t i = 0; i < sessions->bucket_count; i++)
		for (session = sessions->buckets[i]; session != NULL;
		     session = session->next_in_table)
			review_session(worker, session);
}

static bool
is_void(const struct client *client)
{
	return client->is_verified && !client_is_over(client) &&
	    !auth_identity_is_valid(
		client->worker->broker->auth, client->identity);
}

/* Without memory it is not let go on with what it had. */
static void
review_client(struct client *client)
{
	if (client->session != NULL &&
	    !client_take_access(client, session_id(client->session)))
		client_disconnect(client, MQTT_SERVER_BUSY);
}

static unsigned
review_clients(struct worker *worker)
{
	struct client *client, *next;
	unsigned count = 0;

	for (client = worker->clients.first; client != NULL; client = next) {
		next = client->next;
		if (!is_void(client)) {
			review_client(client);
			continue;
		}
		client_disconnect(client, MQTT_NOT_AUTHORIZED);
		worker_count(worker, COUNT_clients_revoked);
		count++;
	}
	return count;
}

/* On the worker's thread. */
static void
on_mail(struct mail *mail, void *owner)
{
	struct worker *worker = owner;
	unsigned count;

	free(mail);
	count = review_clients(worker);
	review_sessions(worker);
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
