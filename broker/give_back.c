/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/give_back.h"

#include <malloc.h>

#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

/* Sessions and subscriptions are freed after a grace period. */
#define WAIT_NS CLOCK_SECOND_NS

static size_t
count(const struct worker *worker)
{
	return worker->clients.count + worker->sessions.count;
}

static bool
is_due(const struct worker *worker)
{
	return worker->give_back.most >= GIVE_BACK_LEAST &&
	    count(worker) <= worker->give_back.most / 4;
}

/* On the main thread. */
static void
on_mail(struct mail *mail, void *owner)
{
	struct give_back *give_back =
	    CONTAINER_OF(mail, struct give_back, mail);

	(void)owner;
	malloc_trim(0);
	/* The mail is the worker's again; pairs with on_timer(). */
	atomic_store_explicit(
	    &give_back->is_posted, false, memory_order_release);
}

static void
on_timer(void *arg)
{
	struct worker *worker = arg;
	struct give_back *give_back = &worker->give_back;
	struct mailbox *mailbox = worker->broker->links_mailbox;

	if (!is_due(worker))
		return;
	if (atomic_load_explicit(&give_back->is_posted, memory_order_acquire)) {
		loop_timer_start(&give_back->timer, WAIT_NS);
		return;
	}
	give_back->most = count(worker);
	give_back->mail.open = on_mail;
	atomic_store_explicit(
	    &give_back->is_posted, true, memory_order_relaxed);
	mailbox_put(mailbox, &give_back->mail);
	mailbox_wake(mailbox);
}

void
give_back_init(struct worker *worker)
{
	loop_timer_init(
	    &worker->give_back.timer, worker->loop, on_timer, worker);
}

void
give_back_fini(struct worker *worker)
{
	loop_timer_stop(&worker->give_back.timer);
}

void
give_back_look(struct worker *worker)
{
	struct give_back *give_back = &worker->give_back;
	const size_t now = count(worker);

	if (now > give_back->most)
		give_back->most = now;
	else if (is_due(worker) && !loop_timer_is_running(&give_back->timer))
		loop_timer_start(&give_back->timer, WAIT_NS);
}
