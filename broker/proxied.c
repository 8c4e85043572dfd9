/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/proxied.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker/client.h"
#include "broker/connection_faults.h"
#include "broker/peer.h"
#include "broker/proxy_header.h"
#include "common/base/bug.h"

/* One that waits. */
struct proxied {
	struct proxied *next;
	struct proxied *previous;
	struct worker *worker;
	struct client_origin origin;
	proxied_done_fn *done;
	void *arg;
	struct loop_fd watch;
	struct alarm alarm;
	size_t len;     /* bytes read */
	size_t size;    /* of all; 0: not known yet */
	uint8_t *bytes; /* of all, once its length is known */
	uint8_t start[PROXY_HEADER_START];
};

static void
unlink_and_free(struct proxied *p)
{
	if (p->next != NULL)
		p->next->previous = p->previous;
	if (p->previous != NULL)
		p->previous->next = p->next;
	else
		p->worker->proxied = p->next;
	loop_fd_stop(&p->watch);
	alarms_stop(&p->worker->alarms, &p->alarm);
	free(p->bytes);
	free(p);
}

/* `why` is told unless it is NULL. */
static void
close_it(struct proxied *p, const char *why)
{
	const struct client_origin origin = p->origin;
	struct worker *worker = p->worker;
	char address[LISTENER_ADDRESS_SIZE];

	unlink_and_free(p);
	if (why != NULL)
		connection_faults_add(worker->faults, origin.listener,
		    peer_format(origin.peer, address) == NULL ? "gone"
							      : address,
		    why);
	stream_parts_close(&origin.parts);
	peer_free(origin.peer);
	client_count_closed(worker, origin.listener, &origin.pass);
}

/* Who it is goes to its peer.  False without memory. */
static bool
take_peer(struct peer *peer, const struct proxy_header *header)
{
	if (header->address.any.sa_family != AF_UNSPEC)
		peer_set_address(peer, &header->address.any);
	return header->common_name.len == 0 ||
	    peer_set_text(&peer->user_name, header->common_name);
}

static void
finish(struct proxied *p)
{
	proxied_done_fn *done = p->done;
	struct client_origin origin;
	struct proxy_header header;
	void *arg = p->arg;
	const char *why;

	why = proxy_header_read(p->bytes, p->size, &header);
	if (why != NULL) {
		close_it(p, why);
		return;
	}
	if (!take_peer(p->origin.peer, &header)) {
		close_it(p, "out of memory");
		return;
	}
	origin = p->origin;
	unlink_and_free(p);
	done(arg, &origin);
}

/* The first bytes are there: room for the rest.  False: it is closed. */
static bool
find_size(struct proxied *p)
{
	const char *why = NULL;

	p->size = proxy_header_size(p->start, &why);
	if (p->size != 0) {
		p->bytes = malloc(p->size);
		why = "out of memory";
	}
	if (p->bytes == NULL) {
		close_it(p, why);
		return false;
	}
	memcpy(p->bytes, p->start, sizeof(p->start));
	return true;
}

/*
 * Returns bytes read, 0 when there is nothing now, -1 when it is closed.
 * Never a byte behind the header.
 */
static ssize_t
read_some(struct proxied *p)
{
	uint8_t *into = p->size == 0 ? p->start : p->bytes;
	size_t want = p->size == 0 ? sizeof(p->start) : p->size;
	ssize_t len;

	do
		len = recv(p->origin.parts.fd, into + p->len, want - p->len, 0);
	while (len == -1 && errno == EINTR);
	if (len > 0) {
		p->len += (size_t)len;
		return len;
	}
	if (len == -1 && errno == EAGAIN)
		return 0;
	/* Who only knocked, a probe say, did nothing wrong. */
	close_it(p,
	    p->len == 0 ? NULL : "closed within the PROXY protocol's header");
	return -1;
}

/* What can never become one is not waited for. */
static bool
begins_wrong(const struct proxied *p)
{
	uint8_t start[PROXY_HEADER_START] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00,
		0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x20 };
	const char *why;

	memcpy(start, p->start, p->len);
	return proxy_header_size(start, &why) == 0;
}

static void
on_ready(void *arg, int fd, unsigned ready)
{
	struct proxied *p = arg;
	const char *why = NULL;

	(void)fd;
	(void)ready;
	while (p->size == 0 || p->len < p->size) {
		if (read_some(p) <= 0)
			return;
		if (p->size == 0 && p->len == sizeof(p->start)) {
			if (!find_size(p))
				return;
		} else if (p->size == 0 && begins_wrong(p)) {
			/* Short of "PROXY " it is anything. */
			proxy_header_size(p->start, &why);
			close_it(p, why);
			return;
		}
	}
	finish(p);
}

static void
on_late(struct alarm *alarm)
{
	struct proxied *p = CONTAINER_OF(alarm, struct proxied, alarm);

	worker_count(p->worker, COUNT_connect_timeouts);
	close_it(p, "no header of the PROXY protocol within connect_timeout");
}

void
proxied_wait(struct worker *worker, const struct client_origin *origin,
    proxied_done_fn *done, void *arg)
{
	const uint64_t timeout_ns = worker->broker->conf->connect_timeout_ns;
	struct proxied *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		stream_parts_close(&origin->parts);
		peer_free(origin->peer);
		client_count_closed(worker, origin->listener, &origin->pass);
		return;
	}
	p->worker = worker;
	p->origin = *origin;
	p->done = done;
	p->arg = arg;
	p->alarm.fire = on_late;
	p->next = worker->proxied;
	if (p->next != NULL)
		p->next->previous = p;
	worker->proxied = p;
	if (alarms_set(&worker->alarms, &p->alarm,
		origin->accepted_ns + timeout_ns) != 0 ||
	    loop_fd_start(&p->watch, worker->loop, origin->parts.fd, LOOP_READ,
		on_ready, p) != 0) {
		close_it(p, "out of memory");
		return;
	}
	on_ready(p, origin->parts.fd, LOOP_READ);
}

void
proxied_close_all(struct worker *worker)
{
	while (worker->proxied != NULL)
		close_it(worker->proxied, NULL);
}
