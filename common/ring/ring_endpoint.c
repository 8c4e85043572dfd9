/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/ring/lane_idle.h"
#include "common/ring/ring_handback.h"

/* Messages taken in one ring_endpoint_process(); the rest wait their turn. */
#define MESSAGES_A_CALL 256

/*
 *	CLOSED --connect--> GREETED --GRANT--> GRANTED --filters--> ATTACHED
 *	   ^                   |                  |                    |
 *	   +-------------------+------ lose() ----+--------------------+
 */
enum state {
	CLOSED,   /* no socket */
	GREETED,  /* HELLO sent */
	GRANTED,  /* the link is mapped, lanes are coming */
	ATTACHED, /* the owner has the link */
};

struct ring_endpoint {
	char *run_dir, *name; /* [const] */
	enum ring_role role;  /* [const] */
	struct ring_endpoint_callbacks callbacks;
	void *context;

	enum state state;
	int sock;
	int stats_fd;
	struct ring_link *link;
	struct ring_handback handback; /* of the link that was lost */
	bool has_filters_open; /* between filters_begin and filters_end */
	bool is_ready;         /* READY was sent */
	bool is_poisoned;      /* one of the two said so */
	struct lane_idle idle;
	struct ring_control_message message;
};

struct ring_endpoint *
ring_endpoint_new(const char *run_dir, enum ring_role role, const char *name,
    const struct ring_endpoint_callbacks *callbacks, void *context)
{
	struct ring_endpoint *e;

	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	e->run_dir = strdup(run_dir);
	e->name = strdup(name);
	e->role = role;
	e->callbacks = *callbacks;
	e->context = context;
	e->sock = -1;
	e->stats_fd = -1;
	if (e->run_dir == NULL || e->name == NULL) {
		ring_endpoint_free(e);
		errno = ENOMEM;
		return NULL;
	}
	return e;
}

static void
close_held(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

static void
disconnect(struct ring_endpoint *e)
{
	ring_link_detach(e->link);
	e->link = NULL;
	close_held(&e->stats_fd);
	close_held(&e->sock);
	e->state = CLOSED;
	e->has_filters_open = false;
	e->is_ready = false;
	lane_idle_reset(&e->idle);
	e->is_poisoned = false;
}

/* Nobody found fault with the link. */
static bool
is_sound(const struct ring_endpoint *e)
{
	return !e->is_poisoned && ring_link_fault(e->link) == NULL;
}

/* The owner hears of it exactly once for each connection. */
static void
lose(struct ring_endpoint *e, const char *reason)
{
	if (e->state == CLOSED)
		return;
	e->callbacks.lost(e->context, reason);
	/* For the next broker; without memory for it, the link is lost. */
	if (e->state == ATTACHED && is_sound(e))
		(void)ring_handback_take(&e->handback, e->link);
	disconnect(e);
}

void
ring_endpoint_free(struct ring_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	disconnect(endpoint);
	ring_handback_clear(&endpoint->handback);
	free(endpoint->run_dir);
	free(endpoint->name);
	free(endpoint);
}

int
ring_endpoint_connect(struct ring_endpoint *endpoint)
{
	int err, sock;

	BUG_ON(endpoint->state != CLOSED);
	sock = ring_control_connect(endpoint->run_dir);
	if (sock < 0)
		return sock;
	err = ring_control_send_hello(
	    sock, endpoint->role, endpoint->name, endpoint->handback.is_there);
	if (err == 0 && endpoint->handback.is_there)
		err = ring_handback_send(&endpoint->handback, sock);
	if (err != 0) {
		close(sock);
		return err;
	}
	endpoint->sock = sock;
	endpoint->state = GREETED;
	return 0;
}

int
ring_endpoint_fd(const struct ring_endpoint *endpoint)
{
	return endpoint->sock;
}

struct ring_link *
ring_endpoint_link(struct ring_endpoint *endpoint)
{
	return endpoint->state == ATTACHED ? endpoint->link : NULL;
}

int
ring_endpoint_stats_fd(const struct ring_endpoint *endpoint)
{
	return endpoint->stats_fd;
}

/* Descriptor `i` is now ours. */
static int
take_fd(struct ring_control_message *m, unsigned i)
{
	int fd = m->fds[i];

	m->fds[i] = -1;
	return fd;
}

/*
 * What a former life left behind, or the broker forged: only memory made anew
 * can be attached to, so the broker is told.
 */
static const char *
give_up(struct ring_endpoint *e, int err, const char *reason)
{
	if (err == -EBADMSG) {
		(void)ring_control_send_text(
		    e->sock, RING_CONTROL_POISONED, reason);
		e->is_poisoned = true;
	}
	return reason;
}

static const char *
on_grant(struct ring_endpoint *e)
{
	struct ring_control_message *m = &e->message;
	const struct ring_link_identity *identity = &m->body.grant.identity;
	struct bell_fds bells;
	int err;

	if (e->state != GREETED)
		return "the broker granted a link twice";
	if (identity->endpoint_role != e->role ||
	    strcmp(identity->name, e->name) != 0)
		return "the broker granted somebody else's link";
	bells = (struct bell_fds){
		.to_broker = take_fd(m, 2),
		.to_endpoint_send = -1,
		.to_endpoint_wait = take_fd(m, 3),
	};
	err = ring_link_attach(
	    identity, e->role, m->fds[1], m->fds[0], &bells, &e->link);
	if (err != 0) {
		bell_close(&bells);
		return give_up(
		    e, err, "the link's memory is not what the broker said");
	}
	if (m->fd_count > 4)
		e->stats_fd = take_fd(m, 4);
	e->state = GRANTED;
	return NULL;
}

static const char *
on_lane(struct ring_endpoint *e)
{
	const struct ring_control_lane *lane = &e->message.body.lane;
	int err;

	if (e->link == NULL)
		return "the broker sent a lane before the link";
	if (lane->direction == RING_TO_BROKER)
		err = ring_link_add_producer(
		    e->link, &lane->geometry, e->message.fds[0], NULL);
	else
		err = ring_link_add_consumer(
		    e->link, &lane->geometry, e->message.fds[0], NULL);
	if (err == -EEXIST)
		return "the broker opened a lane twice";
	if (err != 0)
		return give_up(
		    e, err, "a lane's memory is not what the broker said");
	if (e->state == ATTACHED)
		e->callbacks.lane_opened(e->context,
		    (enum ring_direction)lane->direction, &lane->geometry);
	return NULL;
}

static const char *
on_lane_closed(struct ring_endpoint *e)
{
	const struct ring_control_close_lane *closed =
	    &e->message.body.close_lane;

	if (e->state != ATTACHED ||
	    !lane_idle_is_asked(&e->idle, closed->lane) ||
	    strcmp(ring_link_producer_lane(e->link, closed->lane)->name,
		closed->set) != 0)
		return "the broker closed a lane that is in use";
	ring_link_remove_producer(e->link, closed->lane);
	lane_idle_closed(&e->idle, closed->lane);
	e->callbacks.lane_closed(e->context, closed->set, closed->lane);
	return NULL;
}

/* The first words about filters say that the lanes so far are complete. */
static bool
has_attached(struct ring_endpoint *e)
{
	if (e->state == GRANTED) {
		e->state = ATTACHED;
		ring_handback_clear(&e->handback);
		ring_link_close_missing(e->link);
		e->callbacks.attached(e->context, e->link);
	}
	return e->state == ATTACHED;
}

static bool
begin_filters(struct ring_endpoint *e)
{
	if (!has_attached(e))
		return false;
	if (!e->has_filters_open) {
		e->has_filters_open = true;
		e->callbacks.filters_begin(e->context);
	}
	return e->state == ATTACHED;
}

static const char *
on_filters(struct ring_endpoint *e)
{
	const struct ring_control_message *m = &e->message;

	if (e->state < GRANTED)
		return "the broker sent filters before the link";
	if (m->type == RING_CONTROL_FILTERS_BEGIN)
		e->has_filters_open = false;
	/* A callback may have closed the link. */
	if (!begin_filters(e))
		return NULL;
	if (m->type == RING_CONTROL_FILTER)
		e->callbacks.filter(
		    e->context, m->body.filter.bridge, m->text, m->text_length);
	if (m->type != RING_CONTROL_FILTERS_END)
		return NULL;

	e->has_filters_open = false;
	e->callbacks.filters_end(e->context, m->body.filters_end.version);
	if (e->state != ATTACHED || e->is_ready)
		return NULL;
	if (ring_control_send_ready(e->sock) != 0)
		return "the broker does not read its control socket";
	e->is_ready = true;
	/* What a former life committed may wait with nobody told. */
	ring_link_ring(e->link);
	return NULL;
}

/* Returns why the connection is to be closed, or NULL. */
static const char *
on_message(struct ring_endpoint *e)
{
	const struct ring_control_message *m = &e->message;

	switch (m->type) {
	case RING_CONTROL_GRANT:
		return on_grant(e);
	case RING_CONTROL_LANE:
		return on_lane(e);
	case RING_CONTROL_FILTERS_BEGIN:
	case RING_CONTROL_FILTER:
	case RING_CONTROL_FILTERS_END:
		return on_filters(e);
	case RING_CONTROL_LANE_CLOSED:
		return on_lane_closed(e);
	case RING_CONTROL_LANE_REFUSED:
		e->callbacks.lane_refused(
		    e->context, m->body.text.set, m->text);
		return NULL;
	case RING_CONTROL_ORDER:
		if (e->callbacks.order != NULL)
			e->callbacks.order(e->context, m->text);
		return NULL;
	case RING_CONTROL_POISONED:
		e->is_poisoned = true;
		return m->text;
	case RING_CONTROL_REFUSED:
		return m->text;
	case RING_CONTROL_HELLO:
	case RING_CONTROL_READY:
	case RING_CONTROL_OPEN_LANE:
	case RING_CONTROL_CLOSE_LANE:
	case RING_CONTROL_REQUEST:
	case RING_CONTROL_ANSWER:
	case RING_CONTROL_HELD_SIDES:
	case RING_CONTROL_HELD_LANE:
	case RING_CONTROL_HELD_END:
		break;
	}
	return "the broker sent a message that is not for an endpoint";
}

/* Receive one message and act on it.  Returns 1, 0 for none, or -errno. */
static int
process_one(struct ring_endpoint *e)
{
	const char *reason;
	int got;

	got = ring_control_receive(e->sock, &e->message);
	if (got == -EAGAIN)
		return 0;
	if (got <= 0) {
		lose(e,
		    got == -EBADMSG ? "the broker sent no valid message"
				    : NULL);
		return got == 0 ? -ECONNRESET : got;
	}
	reason = on_message(e);
	ring_control_close_fds(&e->message);
	if (reason != NULL)
		lose(e, reason);
	return e->state == CLOSED ? -ECONNABORTED : 1;
}

int
ring_endpoint_process(struct ring_endpoint *endpoint)
{
	int got = 1;

	if (endpoint->state == CLOSED)
		return -ENOTCONN;
	for (int i = 0; i < MESSAGES_A_CALL && got == 1; i++)
		got = process_one(endpoint);
	return got < 0 ? got : 0;
}

int
ring_endpoint_open_lane(struct ring_endpoint *endpoint, const char *set)
{
	if (endpoint->state != ATTACHED)
		return -ENOTCONN;
	return ring_control_send_open_lane(endpoint->sock, set);
}

/* Returns false when the broker does not read: another time. */
static bool
ask_to_close(struct ring_endpoint *e, uint32_t lane, const char *set)
{
	if (ring_control_send_close_lane(
		e->sock, RING_CONTROL_CLOSE_LANE, lane, set) != 0)
		return false;
	lane_idle_asked(&e->idle, lane);
	e->callbacks.lane_closing(e->context, set, lane);
	return true;
}

void
ring_endpoint_close_idle(
    struct ring_endpoint *endpoint, uint64_t now_ns, uint64_t idle_ns)
{
	struct ring_endpoint *e = endpoint;
	const char *set;
	int lane;

	if (e->state != ATTACHED)
		return;
	while (
	    (lane = lane_idle_find(&e->idle, e->link, now_ns, idle_ns)) != -1) {
		set = ring_link_producer_lane(e->link, (uint32_t)lane)->name;
		if (e->callbacks.lane_is_wanted != NULL &&
		    e->callbacks.lane_is_wanted(e->context, set))
			lane_idle_used(&e->idle, (uint32_t)lane, now_ns);
		else if (!ask_to_close(e, (uint32_t)lane, set))
			return;
	}
}

void
ring_endpoint_poison(struct ring_endpoint *endpoint, const char *reason)
{
	if (endpoint->state == CLOSED)
		return;
	/* If the broker does not take it, the closed socket says enough. */
	(void)ring_control_send_text(
	    endpoint->sock, RING_CONTROL_POISONED, reason);
	endpoint->is_poisoned = true;
	lose(endpoint, reason);
}
