/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/links_endpoint.h"
#include "common/base/log.h"

#define PREFIX "ring."

/* "ring.bridge-cloud." and what follows. */
static void
name_of(const struct links_endpoint *endpoint, const char *what, char *out)
{
	snprintf(out, FDSTORE_NAME_MAX + 1, PREFIX "%s%s.%s",
	    endpoint->role == RING_ROLE_BRIDGE ? "bridge-" : "",
	    endpoint->identity.name, what);
}

static bool
read_whole(int fd, void *out, size_t length)
{
	return pread(fd, out, length, 0) == (ssize_t)length;
}

static bool
ends_with(const char *text, const char *end)
{
	const size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

int
links_store_instance(const struct fdstore *store, uint8_t out_instance[16])
{
	struct ring_side_header header;

	for (size_t i = 0; i < store->count; i++) {
		const struct fdstore_entry *entry = &store->entries[i];

		if (entry->fd == -1 ||
		    strncmp(entry->name, PREFIX, strlen(PREFIX)) != 0 ||
		    !ends_with(entry->name, ".broker") ||
		    !read_whole(entry->fd, &header, sizeof(header)) ||
		    header.magic != RING_MAGIC)
			continue;
		memcpy(out_instance, header.instance, 16);
		return 0;
	}
	return -ENOENT;
}

/* ---- what was kept --------------------------------------------------------
 */

static int
take_identity(struct links_stored *stored)
{
	struct ring_side_header header;

	if (!read_whole(stored->broker_fd, &header, sizeof(header)) ||
	    header.magic != RING_MAGIC || header.abi != RING_ABI)
		return -EBADMSG;
	memcpy(stored->identity.instance, header.instance,
	    sizeof(header.instance));
	stored->identity.link = header.link;
	header.name[sizeof(header.name) - 1] = '\0';
	header.run_dir[sizeof(header.run_dir) - 1] = '\0';
	memcpy(stored->identity.name, header.name, sizeof(header.name));
	memcpy(
	    stored->identity.run_dir, header.run_dir, sizeof(header.run_dir));
	return 0;
}

static int
take_geometry(int fd, const char *set, struct ring_lane_geometry *out)
{
	struct ring_lane_header header;

	if (!read_whole(fd, &header, sizeof(header)) ||
	    header.magic != RING_LANE_MAGIC || header.abi != RING_ABI ||
	    header.lane >= RING_LANES || strlen(set) >= sizeof(out->name))
		return -EBADMSG;
	*out = (struct ring_lane_geometry){
		.lane = header.lane,
		.min_shift = header.min_shift,
		.classes = header.classes,
	};
	memcpy(out->name, set, strlen(set) + 1);
	return 0;
}

/* Lane K, if it was kept: its name begins with "...in.K." */
static int
take_lane(struct fdstore *store, const struct links_endpoint *endpoint,
    struct links_stored *stored, uint32_t lane)
{
	char prefix[FDSTORE_NAME_MAX + 1], what[32];
	struct fdstore_entry *entry;
	size_t length;

	snprintf(what, sizeof(what), "in.%u.", lane);
	name_of(endpoint, what, prefix);
	length = strlen(prefix);
	for (size_t i = 0; i < store->count; i++) {
		entry = &store->entries[i];
		if (entry->fd == -1 ||
		    strncmp(entry->name, prefix, length) != 0)
			continue;
		stored->lane[lane].fd = entry->fd;
		entry->fd = -1;
		if (take_geometry(stored->lane[lane].fd, entry->name + length,
			&stored->lane[lane].geometry) != 0 ||
		    stored->lane[lane].geometry.lane != lane)
			return -EBADMSG;
		return 0;
	}
	return -ENOENT;
}

void
links_stored_init(
    struct links_stored *stored, const struct links_endpoint *endpoint)
{
	*stored = (struct links_stored){
		.identity = endpoint->identity,
		.broker_fd = -1,
		.endpoint_fd = -1,
		.out_fd = -1,
	};
	for (uint32_t i = 0; i < RING_LANES; i++)
		stored->lane[i].fd = -1;
}

int
links_store_take(struct fdstore *store, const struct links_endpoint *endpoint,
    struct links_stored *out_stored)
{
	char name[FDSTORE_NAME_MAX + 1];
	int err;

	links_stored_init(out_stored, endpoint);
	out_stored->is_kept = true;
	name_of(endpoint, "broker", name);
	out_stored->broker_fd = fdstore_take(store, name);
	name_of(endpoint, "endpoint", name);
	out_stored->endpoint_fd = fdstore_take(store, name);
	name_of(endpoint, "out", name);
	out_stored->out_fd = fdstore_take(store, name);
	err = -ENOENT;
	if (out_stored->broker_fd < 0 || out_stored->endpoint_fd < 0 ||
	    out_stored->out_fd < 0)
		goto fail;
	err = take_identity(out_stored);
	if (err == 0)
		err = take_geometry(out_stored->out_fd, "", &out_stored->out);
	if (err != 0)
		goto fail;
	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		err = take_lane(store, endpoint, out_stored, lane);
		if (err != 0 && err != -ENOENT)
			goto fail;
	}
	return 0;

fail:
	links_stored_close(out_stored);
	return err;
}

void
links_stored_close(struct links_stored *stored)
{
	int *const fds[] = { &stored->broker_fd, &stored->endpoint_fd,
		&stored->out_fd };

	for (unsigned i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	for (uint32_t i = 0; i < RING_LANES; i++) {
		if (stored->lane[i].fd >= 0)
			close(stored->lane[i].fd);
		stored->lane[i].fd = -1;
	}
}

/* ---- keeping --------------------------------------------------------------
 */

void
links_store_keep(
    const struct links_endpoint *endpoint, const char *what, int fd)
{
	char name[FDSTORE_NAME_MAX + 1];
	int err;

	name_of(endpoint, what, name);
	err = fdstore_keep(name, fd);
	if (err != 0 && err != -ENOTCONN)
		log_warning("ring_not_kept", "name=%s error=%s",
		    log_quote(name), log_quote(strerror(-err)));
}

void
links_store_keep_lane(const struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry, int fd)
{
	char what[RING_NAME_MAX + 32];

	snprintf(
	    what, sizeof(what), "in.%u.%s", geometry->lane, geometry->name);
	links_store_keep(endpoint, what, fd);
}

static void
forget(const struct links_endpoint *endpoint, const char *what)
{
	char name[FDSTORE_NAME_MAX + 1];

	name_of(endpoint, what, name);
	fdstore_remove(name);
}

void
links_store_forget_lane(const struct links_endpoint *endpoint,
    const struct ring_lane_geometry *geometry)
{
	char what[RING_NAME_MAX + 32];

	if (!fdstore_is_available())
		return;
	snprintf(
	    what, sizeof(what), "in.%u.%s", geometry->lane, geometry->name);
	forget(endpoint, what);
}

void
links_store_forget(const struct links_endpoint *endpoint)
{
	const struct links_lane *lane;

	if (endpoint->link == NULL || !fdstore_is_available())
		return;
	forget(endpoint, "broker");
	forget(endpoint, "endpoint");
	forget(endpoint, "out");
	LINKS_EACH_LANE(endpoint, lane)
	links_store_forget_lane(endpoint, &lane->geometry);
}

void
links_store_forget_former(
    struct fdstore *store, const struct links_endpoint *endpoint)
{
	char prefix[FDSTORE_NAME_MAX + 1];
	struct fdstore_entry *entry;

	name_of(endpoint, "", prefix);
	for (size_t i = 0; i < store->count; i++) {
		entry = &store->entries[i];
		if (strncmp(entry->name, prefix, strlen(prefix)) != 0)
			continue;
		fdstore_remove(entry->name);
		if (entry->fd != -1)
			close(entry->fd);
		entry->fd = -1;
	}
}

void
links_store_clear(struct fdstore *store)
{
	for (size_t i = 0; i < store->count; i++) {
		struct fdstore_entry *entry = &store->entries[i];

		if (entry->fd == -1 ||
		    strncmp(entry->name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		log_warning("ring_unclaimed",
		    "name=%s reason=\"nothing in the configuration belongs to "
		    "this ring any more: it is given up\"",
		    log_quote(entry->name));
		fdstore_remove(entry->name);
	}
	fdstore_fini(store);
}
