/* SPDX-License-Identifier: Apache-2.0 */

/* Clients: the list, and the order to disconnect one. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/manage_list.h"
#include "broker/manage_tour.h"
#include "broker/session_queue.h"
#include "broker/session_scan.h"
#include "broker/wall_clock.h"
#include "common/base/log.h"

/* Entries written in one step of a worker. */
#define STEP_ENTRIES 128u

/* ---- one client --------------------------------------------------------- */

static json_t *
number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *
seconds_at(uint64_t monotonic_ns)
{
	const uint64_t wall_ns =
	    wall_clock_from(monotonic_ns, wall_clock_ahead_ns());

	return wall_ns == UINT64_MAX ? json_null()
				     : number(wall_ns / CLOCK_SECOND_NS);
}

/* As in CONNECT: 0xffffffff never expires [MQTT-3.1.2-23]. */
static uint64_t
expiry_s(const struct session *session)
{
	return session->expiry_ns == SESSION_NEVER
	    ? UINT32_MAX
	    : session->expiry_ns / CLOCK_SECOND_NS;
}

static uint64_t
queued(const struct session *session)
{
	return session->is_durable ? session_queue_count(session)
				   : session->outbox.waiting_count;
}

static json_t *
username(const struct worker *worker, const struct session *session)
{
	const char *name =
	    auth_identity_name(worker->broker->auth, session->identity);

	return name == NULL || name[0] == '\0' ? json_null()
					       : json_string(name);
}

/* What its connection adds. */
static void
describe_connection(json_t *object, const struct client *client)
{
	const struct conf *conf = client->worker->broker->conf;
	char address[LISTENER_ADDRESS_SIZE];

	json_object_set_new(
	    object, "address", json_string(client_address(client, address)));
	json_object_set_new(object, "listener",
	    json_string(conf->listeners[client->listener].bind));
	json_object_set_new(object, "protocol", number(client->version));
	json_object_set_new(
	    object, "connected_at", seconds_at(client->connected_ns));
	json_object_set_new(
	    object, "keepalive_s", number(client->keep_alive_s));
	json_object_set_new(
	    object, "clean_start", json_boolean(client->clean_start));
	json_object_set_new(object, "messages_in", number(client->messages_in));
	json_object_set_new(
	    object, "messages_out", number(client->messages_out));
	json_object_set_new(
	    object, "bytes_in", number(client->stream.bytes_in));
	json_object_set_new(
	    object, "bytes_out", number(client->stream.bytes_out));
}

static json_t *
describe(const struct worker *worker, const struct session *session)
{
	const struct client *client = session->client;
	const struct slice id = session_id(session);
	json_t *object = json_object();

	json_object_set_new(
	    object, "client_id", json_stringn((const char *)id.data, id.len));
	json_object_set_new(object, "username", username(worker, session));
	json_object_set_new(object, "worker", number(worker->index));
	json_object_set_new(object, "connected", json_boolean(client != NULL));
	json_object_set_new(
	    object, "session_expiry_s", number(expiry_s(session)));
	json_object_set_new(object, "expires_at",
	    client == NULL ? seconds_at(session->expires_at_ns) : json_null());
	json_object_set_new(
	    object, "durable", json_boolean(session->is_durable));
	json_object_set_new(
	    object, "subscriptions", number(session->subscriber.count));
	json_object_set_new(object, "queued", number(queued(session)));
	json_object_set_new(
	    object, "in_flight", number(session->outbox.in_flight_count));
	json_object_set_new(
	    object, "will", json_boolean(session->will != NULL));
	if (client != NULL)
		describe_connection(object, client);
	return object;
}

/* ---- the list ----------------------------------------------------------- */

struct list_tour {
	struct manage_tour tour; /* first */
	struct manage_list list;
	struct session_scan scan;
	unsigned entries;  /* of this step */
	struct slice id;   /* all: no data */
	struct slice user; /* as above */
	const struct worker *worker;
	uint8_t text[]; /* of both */
};

static bool
is_asked_for(const struct list_tour *tour, const struct session *session)
{
	const char *name;

	if (tour->user.data == NULL)
		return true;
	name =
	    auth_identity_name(tour->worker->broker->auth, session->identity);
	return name != NULL && slice_equal_string(tour->user, name);
}

static bool
look_at(void *context, struct session *session)
{
	struct list_tour *tour = context;

	if (!is_asked_for(tour, session))
		return true;
	if (!manage_list_wants(&tour->list)) {
		manage_list_pass(&tour->list, 1);
		return true;
	}
	manage_list_add(&tour->list, describe(tour->worker, session));
	return ++tour->entries < STEP_ENTRIES;
}

static bool
look_for_one(struct list_tour *tour, struct worker *worker)
{
	struct session *session = session_find(&worker->sessions, tour->id);

	if (session != NULL)
		look_at(tour, session);
	return true;
}

static bool
list_step(struct manage_tour *base, struct worker *worker)
{
	struct list_tour *tour = (struct list_tour *)base;

	tour->worker = worker;
	tour->entries = 0;
	if (tour->id.data != NULL)
		return look_for_one(tour, worker);
	/* What follows a full page need not be looked at to be counted. */
	if (tour->scan.bucket == 0 && tour->user.data == NULL &&
	    manage_list_is_full(&tour->list)) {
		manage_list_pass(&tour->list, worker->sessions.count);
		return true;
	}
	session_scan_step(&worker->sessions, &tour->scan, look_at, tour);
	if (!tour->scan.is_over)
		return false;
	tour->scan = (struct session_scan){ 0 };
	return true;
}

static void
list_done(struct manage_tour *base)
{
	struct list_tour *tour = (struct list_tour *)base;

	manage_list_answer(&tour->list, base->ask);
	free(tour);
}

/* Both strings, copied behind the tour. */
static struct list_tour *
list_tour_new(struct slice id, struct slice user)
{
	struct list_tour *tour = calloc(1, sizeof(*tour) + id.len + user.len);

	if (tour == NULL)
		return NULL;
	if (id.data != NULL) {
		memcpy(tour->text, id.data, id.len);
		tour->id = slice_of(tour->text, id.len);
	}
	if (user.data != NULL) {
		memcpy(tour->text + id.len, user.data, user.len);
		tour->user = slice_of(tour->text + id.len, user.len);
	}
	return tour;
}

void
manage_clients(struct manage_ask *ask, const json_t *question)
{
	struct slice id = { 0 }, user = { 0 };
	struct manage_page page;
	struct list_tour *tour;

	if (manage_page_of(ask, question, &page) != 0 ||
	    manage_string(ask, question, "client_id", &id) == -EINVAL ||
	    manage_string(ask, question, "username", &user) == -EINVAL)
		return;
	tour = list_tour_new(id, user);
	if (tour == NULL) {
		manage_answer(ask, NULL);
		return;
	}
	manage_list_init(&tour->list, &page, "clients");
	tour->tour.ask = ask;
	tour->tour.step = list_step;
	tour->tour.done = list_done;
	if (id.data != NULL)
		manage_tour_one(&tour->tour, id);
	else
		manage_tour_all(&tour->tour);
}

/* ---- kick --------------------------------------------------------------- */

struct kick_tour {
	struct manage_tour tour; /* first */
	bool was_connected;
	bool is_kept; /* its session */
	size_t length;
	uint8_t id[];
};

static bool
kick_step(struct manage_tour *base, struct worker *worker)
{
	struct kick_tour *tour = (struct kick_tour *)base;
	struct slice id = slice_of(tour->id, tour->length);
	struct session *session = session_find(&worker->sessions, id);
	char address[LISTENER_ADDRESS_SIZE];

	if (session == NULL || session->client == NULL)
		return true;
	tour->was_connected = true;
	tour->is_kept = session->expiry_ns != 0;
	log_info("client_kicked", "client=%s address=%s",
	    log_quote_n(id.data, id.len),
	    client_address(session->client, address));
	worker_count(worker, COUNT_clients_kicked);
	/* MQTT 5.0, 3.14.2.1: a reason that only the server gives. */
	client_disconnect(session->client, MQTT_ADMINISTRATIVE_ACTION);
	return true;
}

static void
kick_done(struct manage_tour *base)
{
	struct kick_tour *tour = (struct kick_tour *)base;

	if (tour->was_connected)
		manage_answer(base->ask,
		    json_pack("{s:s%, s:b}", "client_id", tour->id,
			tour->length, "session_kept", tour->is_kept));
	else
		manage_refuse(base->ask, 404,
		    "no client is connected with the identifier \"%.*s\"",
		    (int)(tour->length > 200 ? 200 : tour->length), tour->id);
	free(tour);
}

void
manage_kick(struct manage_ask *ask, const json_t *question)
{
	struct kick_tour *tour;
	struct slice id;

	if (manage_needs_string(ask, question, "client_id", &id) != 0)
		return;
	tour = calloc(1, sizeof(*tour) + id.len);
	if (tour == NULL) {
		manage_answer(ask, NULL);
		return;
	}
	tour->length = id.len;
	memcpy(tour->id, id.data, id.len);
	tour->tour.ask = ask;
	tour->tour.step = kick_step;
	tour->tour.done = kick_done;
	manage_tour_one(&tour->tour, id);
}
