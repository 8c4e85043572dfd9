/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_tour.h"

#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/worker.h"

static void on_worker(struct mail *mail, void *owner);

static void
send_to_worker(struct manage_tour *tour)
{
	struct mailbox *mailbox = tour->broker->workers[tour->worker]->mailbox;

	tour->mail.open = on_worker;
	mailbox_put(mailbox, &tour->mail);
	mailbox_wake(mailbox);
}

/* Back on the links thread. */
static void
on_links(struct mail *mail, void *owner)
{
	struct manage_tour *tour = CONTAINER_OF(mail, struct manage_tour, mail);

	(void)owner;
	if (tour->worker > tour->last)
		tour->done(tour);
	else
		send_to_worker(tour);
}

static void
on_worker(struct mail *mail, void *owner)
{
	struct manage_tour *tour = CONTAINER_OF(mail, struct manage_tour, mail);
	struct mailbox *home = tour->broker->links_mailbox;

	if (tour->step(tour, owner))
		tour->worker++;
	tour->mail.open = on_links;
	mailbox_put(home, &tour->mail);
	mailbox_wake(home);
}

void
manage_tour_all(struct manage_tour *tour)
{
	tour->broker = tour->ask->links->broker;
	tour->worker = 0;
	tour->last = tour->broker->worker_count - 1;
	send_to_worker(tour);
}

void
manage_tour_one(struct manage_tour *tour, struct slice client_id)
{
	tour->broker = tour->ask->links->broker;
	tour->worker = worker_of_client(tour->broker, client_id);
	tour->last = tour->worker;
	send_to_worker(tour);
}
