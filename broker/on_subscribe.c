/* SPDX-License-Identifier: Apache-2.0 */

/*
 * on_subscribe - SUBSCRIBE and UNSUBSCRIBE.
 *
 * Retained messages are sent after the SUBACK, by retain_job.
 *
 * What a durable session subscribes to works at once and is acknowledged when
 * the journal has it.  If it does not get it, what was new is taken back.  A
 * session that has asked for more meanwhile is closed instead: it may be about
 * the same filters.  What memory and journal then disagree on, a checkpoint
 * puts right.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/client.h"
#include "broker/commit.h"
#include "broker/retain_job.h"
#include "broker/route.h"
#include "broker/session_records.h"
#include "common/base/bug.h"
#include "common/msg/topic.h"

/* What became of one line of a SUBSCRIBE. */
struct grant {
	uint8_t code;
	bool is_new;
	bool sends_retained;
};

/* A SUBSCRIBE or UNSUBSCRIBE that waits for the journal. */
struct asking {
	struct settle_wait wait;
	uint16_t packet_id;
	size_t count;
	struct grant *grants; /* SUBSCRIBE: of its lines */
	uint8_t *codes;       /* the answer */
	struct slice packet;  /* its body, to be read again */
	uint8_t bytes[];
};

/*
 * Removed entries wait for a grace period: if too many do, so does who makes
 * more of them.  A worker in the middle of routing ends that first.
 */
static void
bound_backlog(struct worker *worker)
{
	if (!subscription_tree_is_backlogged(worker->broker->subscriptions))
		return;
	route_flush(worker->broker, worker);
	urcu_memb_barrier();
}

static struct subscription_options
options_of(const struct client *client, const struct mqtt_subscribe *subscribe,
    const struct mqtt_subscription *asked)
{
	const uint32_t max_qos = client->worker->broker->conf->max_qos;
	/* Of a share's message another member may be the only receiver. */
	const bool is_bridge =
	    client->is_bridge && !topic_is_shared(asked->filter);
	struct subscription_options options = {
		/* [MQTT-3.2.2-10] */
		.qos = asked->qos < max_qos ? asked->qos : (uint8_t)max_qos,
		.no_local = asked->no_local || is_bridge,
		.retain_as_published =
		    asked->retain_as_published || client->is_bridge,
	};

	if (client->version == MQTT_5 &&
	    mqtt_properties_has(
		&subscribe->properties, MQTT_SUBSCRIPTION_IDENTIFIER))
		options.identifier =
		    subscribe->properties.subscription_identifier;
	return options;
}

static enum mqtt_reason
deny_line(struct client *client, struct slice filter)
{
	const struct session *session = client->session;

	worker_count(client->worker, COUNT_subscribes_denied);
	log_info("subscription_denied",
	    "client=%s filter=%s help=\"see accounts.subscribe and access in "
	    "weir.conf(5)\"",
	    session_quote(session), log_quote_n(filter.data, filter.len));
	return MQTT_NOT_AUTHORIZED;
}

static enum mqtt_reason
refuse_line(struct client *client, const char *error)
{
	const struct session *session = client->session;

	worker_count(client->worker, COUNT_subscribes_refused);
	log_info("subscription_refused", "client=%s error=\"%s\"",
	    session_quote(session), error);
	return MQTT_QUOTA_EXCEEDED;
}

/* The first limit that the filter would break; LIMIT_NONE. */
static enum limit
limit_of(const struct client *client, struct slice filter)
{
	const struct worker *worker = client->worker;
	const struct subscriber *own = &client->session->subscriber;
	const uint32_t max = worker->limits.set.max_subscriptions;
	struct topic_share share = { .filter = filter };

	if (topic_is_shared(filter))
		topic_share_split(filter, &share);
	/* What there is may be changed. */
	if (max != 0 && subscriber_count(own) >= max &&
	    !subscription_tree_has(worker->broker->subscriptions, filter, own))
		return LIMIT_SUBSCRIPTIONS;
	return limits_topic(&worker->limits.set, share.filter);
}

/* False: no memory for the record. */
static bool
journal_line(struct client *client, struct slice filter,
    const struct subscription_options *options, uint64_t *ticket)
{
	uint64_t sent;

	if (!client->session->is_durable)
		return true;
	sent = session_records_subscribe(
	    client->worker, client->session, filter, options);
	if (sent != 0)
		*ticket = sent;
	return sent != 0;
}

/* MQTT_SUCCESS, or what this line asks for and is not to be had here. */
static enum mqtt_reason
lack_of(const struct conf *conf, const struct mqtt_subscription *asked)
{
	if (!conf->shared_subscriptions && topic_is_shared(asked->filter))
		return MQTT_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
	/* [MQTT3-3.8.3-2] */
	if (!conf->wildcard_subscriptions && topic_has_wildcard(asked->filter))
		return MQTT_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED;
	return MQTT_SUCCESS;
}

/* *ticket is that of the record, and stays as it is without one. */
static struct grant
grant(struct client *client, const struct mqtt_subscription *asked,
    const struct subscription_options *options, uint64_t *ticket)
{
	struct worker *worker = client->worker;
	struct subscriber *subscriber = &client->session->subscriber;
	struct subscription_tree *tree = worker->broker->subscriptions;
	struct grant grant = { .code = options->qos };
	bool existed = false;
	enum limit limit;
	int err;

	if (lack_of(worker->broker->conf, asked) != MQTT_SUCCESS) {
		grant.code = (uint8_t)refuse_line(
		    client, "such subscriptions are switched off");
		return grant;
	}
	if (client->access != NULL &&
	    !access_may_subscribe(client->access, asked->filter)) {
		grant.code = (uint8_t)deny_line(client, asked->filter);
		return grant;
	}
	limit = limit_of(client, asked->filter);
	if (limit != LIMIT_NONE) {
		worker_count(worker, COUNT_subscribes_refused);
		limit_reached(worker, limit, client);
		grant.code = MQTT_QUOTA_EXCEEDED;
		return grant;
	}
	err = subscription_tree_add(
	    tree, asked->filter, subscriber, options, &existed);
	if (err != 0) {
		grant.code = (uint8_t)refuse_line(client,
		    err == -E2BIG ? "more than 200 levels" : "no memory");
		return grant;
	}
	grant.is_new = !existed;
	if (!journal_line(client, asked->filter, options, ticket)) {
		if (grant.is_new)
			subscription_tree_remove(
			    tree, asked->filter, subscriber);
		grant.code = (uint8_t)refuse_line(client, "no memory");
		return grant;
	}
	worker_count(worker, COUNT_subscribes);
	/* [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] */
	grant.sends_retained = !topic_is_shared(asked->filter) &&
	    (asked->retain_handling == 0 ||
		(asked->retain_handling == 1 && !existed));
	return grant;
}

/* What helps where a filter was refused; NULL: nothing does, or all went. */
static const char *
suback_help(struct slice codes)
{
	for (size_t i = 0; i < codes.len; i++) {
		switch ((enum mqtt_reason)codes.data[i]) {
		case MQTT_NOT_AUTHORIZED:
			return "the account may not subscribe to all of this "
			       "filter";
		case MQTT_QUOTA_EXCEEDED:
			return "there is no room for it: see the broker's log";
		case MQTT_IMPLEMENTATION_SPECIFIC_ERROR:
		case MQTT_UNSPECIFIED_ERROR:
			return "the broker cannot keep it now: try it again "
			       "later";
		default:
			break;
		}
	}
	return NULL;
}

/* [MQTT-3.1.2-29] [MQTT-3.9.2-1] [MQTT-3.11.2-1] */
static void
add_help(const struct client *client, enum mqtt_packet_type type,
    struct mqtt_suback *suback)
{
	const char *help = suback_help(suback->codes);

	if (!client->wants_problems || help == NULL)
		return;
	/* [MQTT-3.9.2-2] [MQTT-3.11.2-2] no User Properties */
	suback->properties.reason_string = slice_of_string(help);
	mqtt_properties_set(&suback->properties, MQTT_REASON_STRING);
	if (mqtt_suback_size(type, suback, client->version) >
	    client->max_packet)
		mqtt_properties_clear(&suback->properties);
}

static bool
send_suback(struct client *client, enum mqtt_packet_type type,
    uint16_t packet_id, struct slice codes)
{
	struct mqtt_suback suback = {
		.packet_id = packet_id,
		.codes = codes,
	};
	size_t size;
	uint8_t *bytes;
	bool sent;

	add_help(client, type, &suback);
	size = mqtt_suback_size(type, &suback, client->version);
	bytes = malloc(size);
	if (bytes == NULL) {
		client_close(client, true);
		return false;
	}
	mqtt_encode_suback(bytes, size, type, &suback, client->version);
	sent = client_write(client, bytes, size);
	free(bytes);
	return sent;
}

/* Second pass, behind the SUBACK. */
static void
start_retained(struct client *client, const struct mqtt_subscribe *subscribe,
    const struct grant *grants)
{
	struct wire walk = wire_read(subscribe->filters);
	struct mqtt_subscription asked;
	struct subscription_options options;

	for (size_t i = 0; mqtt_subscribe_next(&walk, &asked); i++) {
		if (!grants[i].sends_retained)
			continue;
		options = options_of(client, subscribe, &asked);
		if (retain_job_start(client->session, asked.filter, &options) !=
		    0)
			worker_count(client->worker, COUNT_dropped_memory);
	}
	if (client->session->jobs != NULL)
		worker_pump_session(client->worker, client->session);
}

/* [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-7] */
static enum packet_verdict
answer_subscribe(struct client *client, const struct mqtt_subscribe *subscribe,
    const struct grant *grants, uint8_t *codes)
{
	for (size_t i = 0; i < subscribe->count; i++)
		codes[i] = grants[i].code;
	/* [MQTT-3.8.4-1] [MQTT-3.8.4-6] */
	if (!send_suback(client, MQTT_SUBACK, subscribe->packet_id,
		slice_of(codes, subscribe->count)))
		return PACKET_OVER;
	start_retained(client, subscribe, grants);
	return PACKET_DONE;
}

/* ---- waiting for the journal -------------------------------------------- */

/* NULL without memory; the client is then over. */
static struct asking *
asking_new(struct client *client, const struct mqtt_frame *frame, size_t count)
{
	const size_t grants_size = count * sizeof(struct grant);
	struct asking *asking;

	asking =
	    calloc(1, sizeof(*asking) + grants_size + count + frame->body.len);
	if (asking == NULL) {
		client_close(client, true);
		return NULL;
	}
	asking->count = count;
	asking->grants = (struct grant *)(void *)asking->bytes;
	asking->codes = asking->bytes + grants_size;
	memcpy(asking->codes + count, frame->body.data, frame->body.len);
	asking->packet = slice_of(asking->codes + count, frame->body.len);
	return asking;
}

static void
read_again(const struct client *client, const struct asking *asking,
    struct mqtt_subscribe *out_subscribe)
{
	const struct mqtt_frame frame = {
		.type = MQTT_SUBSCRIBE,
		.flags = 2, /* [MQTT-3.8.1-1] */
		.body = asking->packet,
	};

	BUG_ON(mqtt_decode_subscribe(&frame, client->version, out_subscribe) !=
	    MQTT_SUCCESS);
}

static void
take_back(struct client *client, const struct mqtt_subscribe *subscribe,
    struct grant *grants, enum mqtt_reason reason)
{
	struct wire walk = wire_read(subscribe->filters);
	struct mqtt_subscription asked;

	for (size_t i = 0; mqtt_subscribe_next(&walk, &asked); i++) {
		if (grants[i].code > 2)
			continue;
		if (grants[i].is_new)
			subscription_tree_remove(
			    client->worker->broker->subscriptions, asked.filter,
			    &client->session->subscriber);
		worker_count(client->worker, COUNT_subscribes_refused);
		grants[i] = (struct grant){ .code = (uint8_t)reason };
	}
}

static void
on_subscribe_settled(struct settle_wait *wait, enum mqtt_reason reason)
{
	struct asking *asking = CONTAINER_OF(wait, struct asking, wait);
	struct client *client = wait->client;
	struct mqtt_subscribe subscribe;

	if (client != NULL && reason != MQTT_SUCCESS &&
	    client->waits.first != NULL) {
		client_disconnect(client, reason);
	} else if (client != NULL) {
		read_again(client, asking, &subscribe);
		if (reason != MQTT_SUCCESS)
			take_back(client, &subscribe, asking->grants, reason);
		answer_subscribe(
		    client, &subscribe, asking->grants, asking->codes);
	}
	free(asking);
}

static void
on_unsubscribe_settled(struct settle_wait *wait, enum mqtt_reason reason)
{
	struct asking *asking = CONTAINER_OF(wait, struct asking, wait);
	struct client *client = wait->client;

	/* [MQTT-3.10.4-4] [MQTT-3.10.4-5] */
	if (client != NULL && reason == MQTT_SUCCESS)
		send_suback(client, MQTT_UNSUBACK, asking->packet_id,
		    slice_of(asking->codes, asking->count));
	else if (client != NULL)
		client_disconnect(client, reason);
	free(asking);
}

/* The disk cannot keep a promise now: none is given. */
static bool
journal_refuses(const struct client *client, enum mqtt_reason *out_reason)
{
	struct commit_port *port = client->worker->commit;

	if (!client->session->is_durable ||
	    commit_offer(port, 0) != COMMIT_REFUSES)
		return false;
	*out_reason = commit_refusal(port);
	return true;
}

/* Could the answer be sent [MQTT-3.1.2-24]?  False: the client is over. */
static bool
answer_fits(struct client *client, enum mqtt_packet_type type, size_t count)
{
	const struct mqtt_suback suback = { .codes = { .len = count } };

	if (mqtt_suback_size(type, &suback, client->version) <=
	    client->max_packet)
		return true;
	client_fail(client, MQTT_PACKET_TOO_LARGE,
	    "more filters than its Maximum Packet Size has room to answer");
	return false;
}

/* ---- SUBSCRIBE ----------------------------------------------------------- */

/* MQTT 5.0 was told what there is: who asks for more errs. */
static enum mqtt_reason
fault_of(struct client *client, const struct mqtt_subscribe *subscribe)
{
	const struct conf *conf = client->worker->broker->conf;
	struct wire walk = wire_read(subscribe->filters);
	struct mqtt_subscription asked;
	enum mqtt_reason reason = MQTT_SUCCESS;

	if (client->version != MQTT_5)
		return MQTT_SUCCESS;
	if (!conf->subscription_identifiers &&
	    mqtt_properties_has(
		&subscribe->properties, MQTT_SUBSCRIPTION_IDENTIFIER))
		return MQTT_SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED;
	while (reason == MQTT_SUCCESS && mqtt_subscribe_next(&walk, &asked))
		reason = lack_of(conf, &asked);
	return reason;
}

/* Takes `asking`. */
static enum packet_verdict
subscribe_all(struct client *client, const struct mqtt_subscribe *subscribe,
    struct asking *asking)
{
	struct wire walk = wire_read(subscribe->filters);
	struct subscription_options options;
	struct mqtt_subscription asked;
	enum packet_verdict verdict;
	enum mqtt_reason reason = MQTT_SUCCESS;

	if (journal_refuses(client, &reason)) {
		worker_count(client->worker, COUNT_subscribes_refused);
		for (size_t i = 0; i < subscribe->count; i++)
			asking->grants[i].code = (uint8_t)reason;
	} else {
		for (size_t i = 0; mqtt_subscribe_next(&walk, &asked); i++) {
			options = options_of(client, subscribe, &asked);
			asking->grants[i] = grant(
			    client, &asked, &options, &asking->wait.ticket);
		}
	}
	if (asking->wait.ticket != 0) {
		asking->wait.settled = on_subscribe_settled;
		settle_await(client->worker, client, &asking->wait);
		return PACKET_DONE;
	}
	verdict =
	    answer_subscribe(client, subscribe, asking->grants, asking->codes);
	free(asking);
	return verdict;
}

enum packet_verdict
on_subscribe(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_subscribe subscribe;
	struct asking *asking;
	enum mqtt_reason reason;

	reason = mqtt_decode_subscribe(frame, client->version, &subscribe);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "SUBSCRIBE");
		return PACKET_OVER;
	}
	reason = fault_of(client, &subscribe);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "SUBSCRIBE");
		return PACKET_OVER;
	}
	if (!answer_fits(client, MQTT_SUBACK, subscribe.count))
		return PACKET_OVER;
	bound_backlog(client->worker);
	asking = asking_new(client, frame, subscribe.count);
	if (asking == NULL)
		return PACKET_OVER;
	return subscribe_all(client, &subscribe, asking);
}

/* ---- UNSUBSCRIBE --------------------------------------------------------- */

/*
 * The same bytes [MQTT-3.10.4-1]; what is in flight stays [MQTT-3.10.4-3].
 * False: no memory for the record; *ticket as in grant().
 */
static bool
unsubscribe(struct client *client, struct slice filter, uint8_t *out_code,
    uint64_t *ticket)
{
	struct worker *worker = client->worker;
	struct session *session = client->session;
	uint64_t sent;

	retain_job_stop(session, filter);
	if (subscription_tree_remove(worker->broker->subscriptions, filter,
		&session->subscriber) != 0) {
		*out_code = MQTT_NO_SUBSCRIPTION_EXISTED;
		return true;
	}
	*out_code = MQTT_SUCCESS;
	if (!session->is_durable)
		return true;
	sent = session_records_unsubscribe(worker, session, filter);
	if (sent != 0)
		*ticket = sent;
	return sent != 0;
}

/* Takes `asking`.  [MQTT-3.10.4-2] [MQTT-3.10.4-6] [MQTT-3.11.3-1] */
static enum packet_verdict
unsubscribe_all(
    struct client *client, struct slice filters, struct asking *asking)
{
	struct wire walk = wire_read(filters);
	struct slice filter;
	bool sent;

	for (size_t i = 0; mqtt_unsubscribe_next(&walk, &filter); i++) {
		if (!unsubscribe(client, filter, &asking->codes[i],
			&asking->wait.ticket)) {
			/* The old UNSUBACK cannot say that it did not work. */
			free(asking);
			client_close(client, true);
			return PACKET_OVER;
		}
	}
	if (asking->wait.ticket != 0) {
		asking->wait.settled = on_unsubscribe_settled;
		settle_await(client->worker, client, &asking->wait);
		return PACKET_DONE;
	}
	/* [MQTT-3.10.4-4] [MQTT-3.10.4-5] */
	sent = send_suback(client, MQTT_UNSUBACK, asking->packet_id,
	    slice_of(asking->codes, asking->count));
	free(asking);
	return sent ? PACKET_DONE : PACKET_OVER;
}

enum packet_verdict
on_unsubscribe(struct client *client, const struct mqtt_frame *frame)
{
	struct mqtt_unsubscribe packet;
	struct asking *asking;
	enum mqtt_reason reason;

	reason = mqtt_decode_unsubscribe(frame, client->version, &packet);
	if (reason != MQTT_SUCCESS) {
		client_fail(client, reason, "UNSUBSCRIBE");
		return PACKET_OVER;
	}
	if (!answer_fits(client, MQTT_UNSUBACK, packet.count))
		return PACKET_OVER;
	/* The old UNSUBACK cannot say no, the end of the connection can. */
	if (journal_refuses(client, &reason)) {
		client_disconnect(client, reason);
		return PACKET_OVER;
	}
	bound_backlog(client->worker);
	asking = asking_new(client, frame, packet.count);
	if (asking == NULL)
		return PACKET_OVER;
	asking->packet_id = packet.packet_id;
	return unsubscribe_all(client, packet.filters, asking);
}
