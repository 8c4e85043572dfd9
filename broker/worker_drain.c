/* SPDX-License-Identifier: Apache-2.0 */

/*
 * worker_drain - the broker ends: a worker lets its clients go.
 */

#include "broker/worker.h"

#include <stdlib.h>

#include "broker/client.h"
#include "broker/worker_listeners.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

/* A drain waits so long for bridges to take what is not acknowledged. */
#define DRAIN_ACKS_NS (3 * CLOCK_SECOND_NS)
#define DRAIN_STEP_NS (20 * CLOCK_MS_NS)

/* And so long for wills to reach the clients of all workers. */
#define DRAIN_WILLS_NS (100 * CLOCK_MS_NS)

enum drain_step {
	DRAIN_ACKS,
	DRAIN_WILLS
};

struct drain_mail {
	struct mail mail;
};

static bool
owes_acks(const struct worker *worker)
{
	const struct session *session;

	for (session = worker->acking; session != NULL;
	     session = session->next_acking)
		if (!session->ended && session->client != NULL &&
		    ack_queue_count(&session->acks) != 0)
			return true;
	return false;
}

/* Say goodbye to all, or only to those that have a will. */
static void
disconnect_clients(struct worker *worker, bool with_will_only)
{
	struct client *client, *next;

	for (client = worker->clients.first; client != NULL; client = next) {
		next = client->next;
		if (!with_will_only ||
		    (client->session != NULL && client->session->will != NULL))
			client_say_goodbye(client);
	}
}

/*
 * A step of the drain: first acknowledgements; then who has a will goes, and
 * the wills to those who stay [MQTT-3.1.2-8]; then the others; then the end.
 */
static void
on_drain_step(void *arg)
{
	struct worker *worker = arg;
	uint64_t wait_ns = DRAIN_STEP_NS;

	switch ((enum drain_step)worker->drain_step) {
	case DRAIN_ACKS:
		if (owes_acks(worker) &&
		    worker_now_ns(worker) < worker->drain_until_ns)
			break;
		disconnect_clients(worker, true);
		/* With the broker all sessions end, and so do delays. */
		sessions_publish_wills(&worker->sessions);
		worker->drain_step = DRAIN_WILLS;
		wait_ns = DRAIN_WILLS_NS;
		break;
	case DRAIN_WILLS:
		disconnect_clients(worker, false);
		if (worker->clients.count != 0)
			break;
		worker->is_over = true;
		loop_stop(worker->loop);
		return;
	}
	loop_timer_start(&worker->drain_timer, wait_ns);
}

static void
on_drain(struct mail *mail, void *owner)
{
	struct worker *worker = owner;
	struct client *client;

	free(CONTAINER_OF(mail, struct drain_mail, mail));
	if (worker->draining)
		return;
	worker->draining = true;
	worker->drain_until_ns = worker_now_ns(worker) + DRAIN_ACKS_NS;
	worker_listeners_close(worker);
	for (client = worker->clients.first; client != NULL;
	     client = client->next)
		if (client->state == CLIENT_CONNECTED)
			client_pause(client, CLIENT_PAUSE_DRAINING);
	loop_timer_start(&worker->drain_timer, 0);
}

void
worker_drain(struct worker *worker)
{
	struct drain_mail *letter;

	letter = malloc(sizeof(*letter));
	BUG_ON(letter == NULL);
	letter->mail.open = on_drain;
	mailbox_put(worker->mailbox, &letter->mail);
	mailbox_wake(worker->mailbox);
}

void
worker_drain_init(struct worker *worker)
{
	loop_timer_init(
	    &worker->drain_timer, worker->loop, on_drain_step, worker);
}
