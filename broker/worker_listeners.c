/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/worker_listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/client.h"
#include "common/base/exit.h"

/* What a listener's callback needs to know. */
struct door {
	struct worker *worker;
	unsigned index;
};

/* Count it in; false: there are enough. */
static bool
admit(struct worker *worker, unsigned listener)
{
	struct broker *broker = worker->broker;
	const struct conf_listener *conf = &broker->conf->listeners[listener];
	atomic_uint *here = &broker->listener_connections[listener];
	unsigned total, local;

	total = atomic_fetch_add_explicit(
	    &broker->connections, 1, memory_order_relaxed);
	local = atomic_fetch_add_explicit(here, 1, memory_order_relaxed);
	if (total < broker->conf->max_connections &&
	    (conf->max_connections == 0 || local < conf->max_connections))
		return true;
	atomic_fetch_sub_explicit(
	    &broker->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(here, 1, memory_order_relaxed);
	return false;
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	const struct door *door = arg;
	struct worker *worker = door->worker;
	const struct client_origin origin = {
		.parts = { .fd = fd },
		.listener = door->index,
		.accepted_ns = worker_now_ns(worker),
	};

	(void)peer;
	if (!admit(worker, door->index)) {
		worker_count(worker, COUNT_connections_refused);
		close(fd);
		return;
	}
	worker_count(worker, COUNT_connections_accepted);
	stats_increment(worker->counters, COUNT_connections);
	client_new(worker, &origin);
}

int
worker_listeners_open(struct worker *worker)
{
	const struct conf *conf = worker->broker->conf;
	struct listener_spec spec = { .shared = true };
	char error[LISTENER_ERROR_SIZE];
	char address[LISTENER_ADDRESS_SIZE];
	int err;

	worker->listeners =
	    calloc(conf->listener_count, sizeof(struct listener *));
	worker->doors = calloc(conf->listener_count, sizeof(struct door));
	if (worker->listeners == NULL || worker->doors == NULL) {
		log_error("worker_failed", "error=%s", log_quote("no memory"));
		return EXIT_OSERR;
	}
	for (size_t i = 0; i < conf->listener_count; i++) {
		spec.bind = conf->listeners[i].bind;
		/* Port 0: the others follow what the first was given. */
		if (worker->index != 0) {
			snprintf(address, sizeof(address), "%s",
			    listener_address(
				worker->broker->workers[0]->listeners[i]));
			spec.bind = address;
		}
		err = listener_open(
		    &spec, &worker->listeners[i], error, sizeof(error));
		if (err != 0) {
			log_error("listener_failed", "%s", error);
			return EXIT_OSERR;
		}
		worker->listener_count = i + 1;
	}
	return EXIT_OK;
}

int
worker_listeners_start(struct worker *worker)
{
	int err = 0;

	for (unsigned i = 0; i < worker->listener_count && err == 0; i++) {
		worker->doors[i] = (struct door){ worker, i };
		err = listener_start(worker->listeners[i], worker->loop,
		    on_accept, &worker->doors[i]);
	}
	return err;
}

void
worker_listeners_close(struct worker *worker)
{
	for (size_t i = 0; i < worker->listener_count; i++)
		listener_close(worker->listeners[i]);
	worker->listener_count = 0;
}

void
worker_listeners_free(struct worker *worker)
{
	worker_listeners_close(worker);
	free(worker->listeners);
	free(worker->doors);
}
