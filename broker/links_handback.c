/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_handback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/links_endpoint.h"
#include "broker/links_memory.h"
#include "common/base/log.h"
#include "common/ring/ring_control.h"
#include "common/shm/memfd.h"

struct links_handback *
links_handback_new(struct links_endpoint *endpoint)
{
	struct links_handback *handback = calloc(1, sizeof(*handback));

	if (handback == NULL)
		return NULL;
	handback->endpoint = endpoint;
	links_stored_init(&handback->stored, endpoint);
	return handback;
}

void
links_handback_free(struct links_handback *handback)
{
	if (handback == NULL)
		return;
	links_stored_close(&handback->stored);
	free(handback);
}

/* ---- what is believed -----------------------------------------------------
 */

/*
 * Whoever makes a memfd owns it; in a user namespace that hides owners all
 * look alike, and one of our own tells what we look like.
 */
static bool
is_ours(int fd)
{
	struct stat st, own;
	int probe, err;

	probe = memfd_create_sealed("weir-probe", RING_PAGE);
	if (probe < 0)
		return false;
	err = fstat(probe, &own);
	close(probe);
	return err == 0 && fstat(fd, &st) == 0 && st.st_uid == own.st_uid;
}

static bool
is_read_only(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_ACCMODE) == O_RDONLY;
}

static bool
is_same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	    x.st_ino == y.st_ino;
}

/* Memory that the broker writes: opened anew by us, who own it. */
static int
take_own(struct links_handback *handback, int fd)
{
	int writable;

	if (!is_ours(fd) || !is_read_only(fd)) {
		handback->fault = "memory of the broker is not its own, or was "
				  "writable to the program";
		return -1;
	}
	writable = memfd_reopen_writable(fd);
	if (writable < 0) {
		handback->fault = "memory of the broker cannot be opened again";
		return -1;
	}
	return writable;
}

static int
take_peers(struct links_handback *handback, int *fd)
{
	int taken = *fd;

	if (!is_ours(taken)) {
		handback->fault = "memory of the program was not made by a "
				  "broker";
		return -1;
	}
	*fd = -1;
	return taken;
}

void
links_handback_sides(struct links_handback *handback,
    const struct ring_control_held_sides *sides, int fds[2])
{
	struct links_stored *stored = &handback->stored;

	if (handback->fault != NULL)
		return;
	if (stored->broker_fd != -1 || is_same_file(fds[0], fds[1])) {
		handback->fault = "two sides are the same memory";
		return;
	}
	stored->identity = sides->identity;
	stored->broker_fd = take_own(handback, fds[0]);
	if (stored->broker_fd != -1)
		stored->endpoint_fd = take_peers(handback, &fds[1]);
}

static void
take_in_lane(struct links_handback *handback,
    const struct ring_lane_geometry *geometry, int *fd)
{
	struct links_stored *stored = &handback->stored;

	if (stored->lane[geometry->lane].fd != -1) {
		handback->fault = "a lane came twice";
		return;
	}
	stored->lane[geometry->lane].fd = take_peers(handback, fd);
	stored->lane[geometry->lane].geometry = *geometry;
}

void
links_handback_lane(struct links_handback *handback,
    const struct ring_control_lane *lane, int *fd)
{
	struct links_stored *stored = &handback->stored;

	if (handback->fault != NULL)
		return;
	if (lane->geometry.lane >= RING_LANES)
		handback->fault = "a lane has an impossible number";
	else if (is_same_file(*fd, stored->broker_fd) ||
	    is_same_file(*fd, stored->endpoint_fd))
		handback->fault = "a lane is the memory of a side";
	else if (lane->direction == RING_TO_BROKER)
		take_in_lane(handback, &lane->geometry, fd);
	else if (stored->out_fd != -1 || lane->geometry.lane != 0)
		handback->fault = "more than one lane leads to the program";
	else {
		stored->out = lane->geometry;
		stored->out_fd = take_own(handback, *fd);
	}
}

/* ---- using it -------------------------------------------------------------
 */

static const char *
find_fault(const struct links_handback *handback)
{
	const struct links_endpoint *endpoint = handback->endpoint;
	const struct links_stored *stored = &handback->stored;

	if (handback->fault != NULL)
		return handback->fault;
	if (stored->broker_fd == -1 || stored->endpoint_fd == -1 ||
	    stored->out_fd == -1 || stored->lane[0].fd == -1)
		return "parts are missing";
	if (stored->identity.endpoint_role != (uint32_t)endpoint->role ||
	    strcmp(stored->identity.name, endpoint->identity.name) != 0 ||
	    strcmp(stored->identity.run_dir, endpoint->identity.run_dir) != 0)
		return "it is the memory of another link";
	if (endpoint->attaches != 0 || endpoint->connection != NULL)
		return "the link is in use with other memory";
	return NULL;
}

void
links_handback_finish(struct links_handback *handback)
{
	struct links_endpoint *endpoint = handback->endpoint;
	const char *fault;
	int err;

	/* The store had it, too, and it is in use or carried over already; or
	 * it never was anybody else's. */
	if (endpoint->was_stored)
		return;
	if (endpoint->peer_fd != -1 && handback->stored.endpoint_fd != -1 &&
	    is_same_file(endpoint->peer_fd, handback->stored.endpoint_fd))
		return;
	fault = find_fault(handback);
	if (fault != NULL) {
		log_warning("handback_refused", "link=%s reason=%s",
		    log_quote(endpoint->identity.name), log_quote(fault));
		return;
	}
	err = links_memory_replace(endpoint, &handback->stored);
	if (err != 0)
		log_error("link_rebuild_failed", "link=%s error=%s",
		    log_quote(endpoint->identity.name),
		    log_quote(strerror(-err)));
}
