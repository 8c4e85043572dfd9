/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/links_asks.h"
#include "broker/links_control.h"
#include "broker/links_feed.h"
#include "broker/links_memory.h"
#include "broker/links_private.h"
#include "broker/links_salvage.h"
#include "common/base/bug.h"
#include "common/base/log.h"
#include "common/shm/memfd.h"

/* Of the log, about lanes that were refused; a link has 32. */
#define REFUSED_LINES_A_SECOND 1
#define REFUSED_LINES_AT_ONCE 40

static void
close_fd(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* ---- life -------------------------------------------------------------- */

struct links_endpoint *
links_endpoint_new(struct links *links, uint32_t id,
    const struct conf_bridge *bridge, int bridge_number)
{
	const struct conf *conf = links->broker->conf;
	const char *name = bridge == NULL ? "httpd" : bridge->name;
	struct links_endpoint *endpoint;
	struct links_stored stored;
	int err;

	endpoint = calloc(1, sizeof(*endpoint));
	if (endpoint == NULL)
		return NULL;
	endpoint->links = links;
	endpoint->id = id;
	endpoint->role = bridge == NULL ? RING_ROLE_HTTPD : RING_ROLE_BRIDGE;
	endpoint->bridge = bridge;
	endpoint->bridge_number = bridge_number;
	if (bridge != NULL) {
		endpoint->overflow = bridge->overflow;
		endpoint->backlog = bridge->backlog;
		endpoint->dead.max_count = bridge->dead_letters;
		endpoint->dead.max_bytes = bridge->dead_letters_size;
	}
	endpoint->ring = bridge == NULL ? &conf->http.ring : &bridge->ring;
	token_bucket_init(&endpoint->refused_lines, REFUSED_LINES_A_SECOND,
	    REFUSED_LINES_AT_ONCE, loop_now_ns(links->loop));
	endpoint->own_fd = endpoint->peer_fd = endpoint->pidfd = -1;
	endpoint->output.fd = -1;
	endpoint->bells = (struct bell_fds){ -1, -1, -1 };
	for (uint32_t i = 0; i < RING_LANES; i++)
		endpoint->lanes[i].fd = -1;

	endpoint->identity.link = id;
	endpoint->identity.endpoint_role = endpoint->role;
	memcpy(endpoint->identity.instance, links->broker->instance,
	    sizeof(endpoint->identity.instance));
	snprintf(endpoint->identity.name, sizeof(endpoint->identity.name), "%s",
	    name);
	snprintf(endpoint->identity.run_dir, sizeof(endpoint->identity.run_dir),
	    "%s", conf->run_dir);

	if (bridge != NULL && links->broker->store != NULL) {
		err = links_feed_new(endpoint);
		if (err != 0)
			goto fail;
	}
	if (links_store_take(&links->store, endpoint, &stored) == 0) {
		endpoint->was_stored = true;
		err = links_memory_adopt(endpoint, &stored);
		links_stored_close(&stored);
	} else {
		links_store_forget_former(&links->store, endpoint);
		err = links_memory_rebuild(endpoint);
	}
	if (err == 0)
		return endpoint;

fail:
	links_endpoint_free(endpoint);
	errno = -err;
	return NULL;
}

static void
forget_process(struct links_endpoint *endpoint)
{
	loop_fd_stop(&endpoint->pidfd_watch);
	close_fd(&endpoint->pidfd);
	endpoint->pid = 0;
}

void
links_endpoint_free(struct links_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	forget_process(endpoint);
	links_salvage_free(endpoint);
	links_memory_release(endpoint);
	links_feed_free(endpoint);
	dead_fini(&endpoint->dead);
	free(endpoint);
}

unsigned
links_endpoint_lanes(const struct links_endpoint *endpoint)
{
	const struct links_lane *lane;
	unsigned count = 0;

	LINKS_EACH_LANE(endpoint, lane)
	count++;
	return count;
}

/* ---- the process -------------------------------------------------------- */

static bool
process_is_gone(const struct links_endpoint *endpoint)
{
	struct pollfd poll_fd = { .fd = endpoint->pidfd, .events = POLLIN };

	if (endpoint->pidfd == -1)
		return true;
	return poll(&poll_fd, 1, 0) == 1;
}

static void
pidfd_ready(void *arg, int fd, unsigned ready)
{
	struct links_endpoint *endpoint = arg;

	(void)fd;
	(void)ready;
	forget_process(endpoint);
	if (endpoint->connection != NULL)
		links_control_close(endpoint->connection, "its process ended");
}

int
links_endpoint_claim(struct links_endpoint *endpoint, pid_t pid, pid_t *out_pid)
{
	if (endpoint->pid != 0 && process_is_gone(endpoint)) {
		if (endpoint->connection != NULL)
			links_control_close(
			    endpoint->connection, "its process ended");
		forget_process(endpoint);
	}
	/* A process may come back by itself once its connection is closed. */
	if (endpoint->connection != NULL ||
	    (endpoint->pid != 0 && endpoint->pid != pid)) {
		*out_pid = endpoint->pid;
		return -EBUSY;
	}
	if (endpoint->pid == pid)
		return 0;

	endpoint->pid = pid;
	endpoint->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (endpoint->pidfd == -1) {
		/* Its connection alone must tell. */
		endpoint->pid = 0;
		return 0;
	}
	if (loop_fd_start(&endpoint->pidfd_watch, endpoint->links->loop,
		endpoint->pidfd, LOOP_READ, pidfd_ready, endpoint) != 0)
		forget_process(endpoint);
	return 0;
}

static void
bell_ready(void *arg, int fd, unsigned ready)
{
	struct links_endpoint *endpoint = arg;

	/* Never read: the peer shares the description (bell.h). */
	(void)fd;
	(void)ready;
	endpoint->was_woken = true;
}

void
links_endpoint_watch_bell(struct links_endpoint *endpoint, bool watch)
{
	if (watch == endpoint->bell_is_watched || endpoint->link == NULL)
		return;
	if (!watch)
		loop_fd_stop(&endpoint->bell_watch);
	else if (loop_fd_start(&endpoint->bell_watch, endpoint->links->loop,
		     ring_link_bell_fd(endpoint->link), LOOP_READ | LOOP_EDGE,
		     bell_ready, endpoint) != 0)
		return;
	endpoint->bell_is_watched = watch;
}

void
links_endpoint_attached(
    struct links_endpoint *endpoint, struct links_connection *connection)
{
	endpoint->connection = connection;
	endpoint->state = LINKS_ATTACHED;
	endpoint->output.is_awaited = false;
	if (endpoint->attaches++ == 0 && !endpoint->is_adopted)
		links_memory_forget_forwarded(endpoint);
	links_endpoint_watch_bell(endpoint, true);
	loop_again(endpoint->links->loop);
}

void
links_endpoint_detached(struct links_endpoint *endpoint)
{
	endpoint->connection = NULL;
	links_asks_forget(endpoint);
	if (endpoint->state == LINKS_ATTACHED)
		endpoint->state = LINKS_ABSENT;
	/* What it still rings after its farewell is of no interest. */
	links_endpoint_watch_bell(endpoint, false);
	loop_again(endpoint->links->loop);
}

void
links_endpoint_poison(struct links_endpoint *endpoint, const char *why)
{
	struct links_connection *connection = endpoint->connection;
	int err;

	endpoint->poisoned++;
	log_error("link_poisoned", "link=%s pid=%d reason=%s",
	    log_quote(endpoint->identity.name), (int)endpoint->pid,
	    log_quote(why));
	if (connection != NULL) {
		links_control_say_poisoned(connection, why);
		links_control_close(connection, why);
	}
	err = links_memory_rebuild(endpoint);
	if (err != 0)
		log_error("link_rebuild_failed", "link=%s error=%s",
		    log_quote(endpoint->identity.name),
		    log_quote(strerror(-err)));
}

/* ---- answers ------------------------------------------------------------ */

bool
links_endpoint_answer(struct links_endpoint *endpoint, uint64_t correlation,
    const struct record_auth_result *result)
{
	uint32_t place;

	if (endpoint->answer_count == LINKS_ANSWERS_MAX)
		return false;
	place = (endpoint->first_answer + endpoint->answer_count) %
	    LINKS_ANSWERS_MAX;
	endpoint->answers[place] = (struct links_answer){
		.correlation = correlation,
		.body = *result,
	};
	endpoint->answer_count++;
	return true;
}

static void
put_answer(struct links_endpoint *endpoint, const struct links_answer *answer)
{
	struct ring_record record = {
		.kind = RECORD_AUTH_RESULT,
		.correlation = answer->correlation,
		.time_ns = endpoint->links->now_ns,
	};
	void *body;

	body = links_output_claim(&endpoint->output, sizeof(answer->body));
	memcpy(body, &answer->body, sizeof(answer->body));
	links_output_put(&endpoint->output, &record);
}

bool
links_endpoint_flush_answers(struct links_endpoint *endpoint)
{
	bool moved = false;

	while (endpoint->answer_count > 0 &&
	    links_output_has_room(
		&endpoint->output, sizeof(struct record_auth_result), NULL)) {
		put_answer(
		    endpoint, &endpoint->answers[endpoint->first_answer]);
		endpoint->first_answer =
		    (endpoint->first_answer + 1) % LINKS_ANSWERS_MAX;
		endpoint->answer_count--;
		moved = true;
	}
	return moved;
}
