/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/session_records.h"

#include <stdlib.h>

#include "broker/auth.h"
#include "broker/commit.h"
#include "broker/will.h"
#include "broker/worker.h"

/* Records up to this size are written without asking for memory. */
#define USUAL_SIZE 1024

/* ---- what they say ------------------------------------------------------ */

static struct slice
account_of(const struct auth *auth, uint64_t identity)
{
	return slice_of_string(auth_identity_name(auth, identity));
}

void
session_records_describe(const struct auth *auth, const struct session *session,
    struct store_session *out_record)
{
	const bool is_connected =
	    session->client != NULL || session->arriving != NULL;

	*out_record = (struct store_session){
		.cursor = session->cursor,
		.client_id = session_id(session),
		.account = account_of(auth, session->identity),
		.expiry_ns = session->expiry_ns,
		.left_ns = is_connected ? 0 : session->left_ns,
	};
	if (session->will != NULL)
		will_describe(session->will, out_record);
}

void
session_records_describe_will(const struct auth *auth, const struct will *will,
    struct store_session *out_record)
{
	*out_record = (struct store_session){
		.cursor = will_cursor(will),
		.account = account_of(auth, will_identity(will)),
		.left_ns = will_left_ns(will),
	};
	will_describe(will, out_record);
}

struct store_subscribe
session_records_subscription(const struct session *session, struct slice filter,
    const struct subscription_options *options)
{
	return (struct store_subscribe){
		.cursor = session->cursor,
		.qos = options->qos,
		.no_local = options->no_local,
		.retain_as_published = options->retain_as_published,
		.identifier = options->identifier,
		.filter = filter,
	};
}

/* ---- sending them ------------------------------------------------------- */

/* A record being written: `usual`, or on the heap. */
struct body {
	size_t size;
	uint8_t *bytes; /* NULL: no memory */
	uint8_t usual[USUAL_SIZE];
};

static void
make_room(struct body *body, size_t size)
{
	body->size = size;
	body->bytes = size <= sizeof(body->usual) ? body->usual : malloc(size);
}

/* Takes what make_room() has made. */
static uint64_t
send_body(struct commit_port *port, enum store_kind kind, struct body *body,
    bool must_sync)
{
	uint64_t ticket;

	ticket = commit_send_state(
	    port, kind, slice_of(body->bytes, body->size), must_sync);
	if (body->bytes != body->usual)
		free(body->bytes);
	return ticket;
}

static uint64_t
send_session(struct commit_port *port, const struct store_session *record,
    bool must_sync)
{
	struct body body;

	make_room(&body, store_session_size(record));
	if (body.bytes == NULL)
		return 0;
	store_session_write(record, body.bytes);
	return send_body(port, STORE_SESSION, &body, must_sync);
}

static void
send_leave(struct commit_port *port, const struct store_leave *leave)
{
	uint8_t bytes[STORE_SMALL_MAX];

	/* Without memory it will be published once more, or expire later. */
	commit_send_state(port, STORE_LEAVE,
	    slice_of(bytes, store_leave_write(leave, bytes)), false);
}

/*
 * A will of the connection before still waits to be published: what is said
 * of this cursor from now on is no more about it.
 */
static void
part_from_wills(struct worker *worker, const struct session *session)
{
	const struct broker *broker = worker->broker;
	struct store_session record;
	struct will *will = NULL;

	while ((will = will_next_waiting(worker, will)) != NULL) {
		if (will_cursor(will) != session->cursor)
			continue;
		will_set_owner(will, broker_new_cursor(worker->broker),
		    will_left_ns(will));
		session_records_describe_will(broker->auth, will, &record);
		send_session(worker->commit, &record, false);
	}
}

uint64_t
session_records_begin(
    struct worker *worker, struct session *session, bool is_new)
{
	struct store_session record;

	if (!is_new)
		part_from_wills(worker, session);
	if (is_new && session->is_durable &&
	    commit_send_cursor(worker->commit, STORE_OPEN, session->cursor) ==
		0)
		return 0;
	if (session->will != NULL)
		will_set_owner(session->will, session->cursor, 0);
	session_records_describe(worker->broker->auth, session, &record);
	return send_session(worker->commit, &record, true);
}

uint64_t
session_records_change(struct worker *worker, const struct session *session)
{
	struct store_session record;

	session_records_describe(worker->broker->auth, session, &record);
	return send_session(worker->commit, &record, false);
}

void
session_records_leave(const struct session *session, bool keeps_will)
{
	const struct store_leave leave = {
		.cursor = session->cursor,
		.left_ns = session->left_ns,
		.keeps_will = keeps_will,
	};

	send_leave(session->home->commit, &leave);
}

void
session_records_will_over(struct worker *worker, const struct will *will)
{
	const struct store_leave leave = {
		.cursor = will_cursor(will),
		.left_ns = will_left_ns(will),
	};

	if (worker->commit != NULL && leave.cursor != 0)
		send_leave(worker->commit, &leave);
}

/* ---- subscriptions ------------------------------------------------------ */

static uint64_t
send_subscribe(struct commit_port *port, enum store_kind kind,
    const struct store_subscribe *record)
{
	struct body body;

	make_room(&body, store_subscribe_size(record));
	if (body.bytes == NULL)
		return 0;
	store_subscribe_write(record, body.bytes);
	return send_body(port, kind, &body, true);
}

uint64_t
session_records_subscribe(struct worker *worker, const struct session *session,
    struct slice filter, const struct subscription_options *options)
{
	const struct store_subscribe record =
	    session_records_subscription(session, filter, options);

	return send_subscribe(worker->commit, STORE_SUBSCRIBE, &record);
}

uint64_t
session_records_unsubscribe(
    struct worker *worker, const struct session *session, struct slice filter)
{
	const struct store_subscribe record = {
		.cursor = session->cursor,
		.filter = filter,
	};

	return send_subscribe(worker->commit, STORE_UNSUBSCRIBE, &record);
}
