/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/httpd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/net/listener.h"
#include "common/net/stream.h"
#include "common/service/service.h"
#include "httpd/counters.h"
#include "httpd/endpoints.h"

/* How often deadlines are looked at, with and without anything under way. */
#define TICK_NS (50 * CLOCK_MS_NS)
#define TICK_IDLE_NS (500 * CLOCK_MS_NS)

/* Within SERVICE_DRAIN_NS, with time for the last answers. */
#define GIVE_UP_NS (SERVICE_DRAIN_NS - CLOCK_SECOND_NS)

#define BEAT_NS (500 * CLOCK_MS_NS)

/* Least memory for messages that wait for credit, over all lanes. */
#define HELD_BYTES_MIN (UINT64_C(4) << 20)

#define CHALLENGE                                                              \
	"WWW-Authenticate: Basic realm=\"weir\", charset=\"UTF-8\"\r\n"

/* --- requests: who is it, and may it go on? */

static void
refuse_identity(
    struct httpd *httpd, struct request *request, enum identity_verdict verdict)
{
	static const char *const texts[] = {
		[IDENTITY_MISSING] = "give an account by Basic authentication",
		[IDENTITY_SCHEME] = "only Basic authentication is known in "
				    "this version; Bearer is not",
		[IDENTITY_BROKEN] = "the Authorization header cannot be read: "
				    "Basic and base64 of name:password",
		[IDENTITY_DENIED] = "wrong user name or password",
		[IDENTITY_BUSY] = "too many passwords are being checked",
	};
	unsigned code = verdict == IDENTITY_MISSING
	    ? PUBLISH_CODE_NO_CREDENTIALS
	    : PUBLISH_CODE_BAD_CREDENTIALS;

	if (verdict == IDENTITY_AWAY) {
		request_answer_error(request, 503, 503, 1, NULL,
		    link_is_up(httpd->link)
			? "the broker did not check the password in time"
			: link_reason(httpd->link));
		return;
	}
	if (verdict == IDENTITY_BUSY) {
		stats_increment(httpd->counters, COUNT_auth_busy);
		request_answer_error(
		    request, 503, 503, 1, NULL, texts[verdict]);
		return;
	}
	stats_increment(httpd->counters, COUNT_auth_denied);
	request_answer_error(request, 401, code, 0, CHALLENGE, texts[verdict]);
}

static enum connection_verdict
authenticate(struct httpd *httpd, struct request *request)
{
	struct identity_handle handle;
	enum identity_verdict verdict;

	verdict = identity_check(httpd->identity, request,
	    slice_of(request->authorization, request->authorization_length),
	    request_peer(request), loop_now_ns(httpd->loop), &handle);
	switch (verdict) {
	case IDENTITY_KNOWN:
		stats_increment(httpd->counters, COUNT_auth_hits);
		request->identity = handle.identity;
		request->account = handle.account;
		return CONNECTION_READ;
	case IDENTITY_ASKED:
		stats_increment(httpd->counters, COUNT_auth_asked);
		return CONNECTION_WAIT;
	default:
		refuse_identity(httpd, request, verdict);
		return CONNECTION_DONE;
	}
}

static enum connection_verdict
refuse_method(struct request *request, const struct endpoint *endpoint)
{
	char allow[64], line[96], text[128];

	endpoints_allow(endpoint, allow, sizeof(allow));
	snprintf(line, sizeof(line), "Allow: %s\r\n", allow);
	snprintf(text, sizeof(text), "this path takes %s", allow);
	request_answer_error(request, 405, 405, 0, line, text);
	return CONNECTION_DONE;
}

static enum connection_verdict
on_head(void *context, struct request *request)
{
	struct httpd *httpd = context;
	const struct endpoint *endpoint = endpoints_find(request->path);

	if (endpoint == NULL) {
		request_answer_error(request, 404, 404, 0, NULL,
		    "there is nothing at this path");
		return CONNECTION_DONE;
	}
	if ((endpoint->methods & request->method) == 0)
		return refuse_method(request, endpoint);
	if (endpoint->takes_json && !request_is_json(request)) {
		request_answer_error(request, 415, 415, 0, NULL,
		    "send Content-Type: application/json, not compressed");
		return CONNECTION_DONE;
	}
	request->endpoint = endpoint;
	if (endpoint->access == ENDPOINT_OPEN ||
	    (endpoint->access == ENDPOINT_LOOPBACK &&
		request_is_from_loopback(request)))
		return CONNECTION_READ;
	return authenticate(httpd, request);
}

static void
on_body(void *context, struct request *request, struct slice body)
{
	const struct endpoint *endpoint = request->endpoint;

	endpoint->run(context, request, body);
}

static void
on_gone(void *context, struct request *request)
{
	struct httpd *httpd = context;

	identity_forget(httpd->identity, request);
	publisher_gone(httpd->publisher, request);
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	struct httpd *httpd = arg;

	connections_accept(httpd->connections, fd, peer);
}

/* --- identity */

static int
ask_broker(void *context, const struct record_auth *auth, uint64_t id)
{
	struct httpd *httpd = context;
	const struct lanes_slot *plain = lanes_get(httpd->lanes, LANES_PLAIN);

	if (!link_is_up(httpd->link))
		return -ENOTCONN;
	if (plain->state != LANES_OPEN)
		return -EAGAIN;
	return link_put_auth(httpd->link, plain->ring_lane, auth,
	    record_correlation(link_epoch(httpd->link), id));
}

static void
on_decided(void *context, void *asker, enum identity_verdict verdict,
    const struct identity_handle *handle)
{
	struct httpd *httpd = context;
	struct request *request = asker;

	if (verdict != IDENTITY_KNOWN) {
		refuse_identity(httpd, request, verdict);
		return;
	}
	request->identity = handle->identity;
	request->account = handle->account;
	request_proceed(request);
}

static void
drop_identity(void *context, uint64_t identity)
{
	struct httpd *httpd = context;

	identity_drop(httpd->identity, identity);
}

static const char *
away_reason(void *context)
{
	struct httpd *httpd = context;

	return link_reason(httpd->link);
}

/* --- pending: lanes are slots there, rings in link */

static int
put(void *context, uint32_t slot, const struct record_message *message,
    uint64_t identity, uint64_t correlation)
{
	struct httpd *httpd = context;
	struct lanes_slot *lane = lanes_get(httpd->lanes, slot);
	int err;

	if (lane->state == LANES_CLOSED) {
		lane->state = LANES_ASKED;
		link_open_lane(httpd->link, lane->set);
	}
	if (lane->state != LANES_OPEN)
		return -EAGAIN;
	err = link_put_message(
	    httpd->link, lane->ring_lane, message, identity, correlation);
	if (err == 0)
		lane->messages++;
	return err;
}

static bool
has_room(void *context, uint32_t slot, size_t length)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	return lane->state == LANES_OPEN &&
	    link_has_room(httpd->link, lane->ring_lane, length);
}

static void
unstalled(void *context, uint32_t slot)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	if (lane->state == LANES_OPEN)
		link_unstall(httpd->link, lane->ring_lane);
}

static uint32_t
lane_of(void *context, struct slice topic)
{
	struct httpd *httpd = context;

	return lanes_find(httpd->lanes, topic);
}

static void
settled(void *context, void *owner, uint32_t index,
    const struct pending_outcome *outcome)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, outcome->lane);

	if (outcome->result == PENDING_NO_CREDIT && lane->state == LANES_OPEN)
		link_count_refused(httpd->link, lane->ring_lane);
	publisher_settled(httpd->publisher, owner, index, outcome);
}

/* --- link */

static void
on_up(void *context, uint64_t epoch, uint32_t receipts, bool is_same)
{
	struct httpd *httpd = context;

	identity_flush(httpd->identity);
	pending_attach(httpd->pending, epoch, receipts, is_same);
	service_status(httpd->service, "serving on %s", httpd_address(httpd));
}

static void
on_down(void *context)
{
	struct httpd *httpd = context;

	lanes_detached(httpd->lanes);
	identity_flush(httpd->identity);
	pending_detach(httpd->pending);
	service_status(httpd->service, "waiting for the broker: %s",
	    link_reason(httpd->link));
}

static void
on_lane_opened(void *context, const char *set, uint32_t ring_lane)
{
	struct httpd *httpd = context;

	if (lanes_opened(httpd->lanes, set, ring_lane) < 0)
		log_warning("lane_not_used", "set=%s", log_quote(set));
}

static void
on_lane_refused(void *context, const char *set)
{
	struct httpd *httpd = context;

	if (lanes_refused(httpd->lanes, set) >= 0)
		pending_reroute(httpd->pending);
}

static void
on_filters_begin(void *context)
{
	struct httpd *httpd = context;

	lanes_filters_begin(httpd->lanes);
}

static void
on_filter(void *context, const char *bridge, struct slice filter)
{
	struct httpd *httpd = context;

	lanes_filters_add(httpd->lanes, bridge, filter);
}

static void
on_filters_end(void *context)
{
	struct httpd *httpd = context;
	int err;

	err = lanes_filters_end(httpd->lanes);
	if (err != 0)
		log_error(
		    "filters_failed", "error=%s", log_quote(strerror(-err)));
	pending_reroute(httpd->pending);
}

static void
on_receipt(
    void *context, uint64_t correlation, const struct record_answer *answer)
{
	struct httpd *httpd = context;

	if (!pending_receipt(httpd->pending, correlation, answer))
		stats_increment(httpd->counters, COUNT_receipts_ignored);
}

static void
on_auth_result(
    void *context, uint64_t correlation, const struct record_answer *answer)
{
	struct httpd *httpd = context;
	uint64_t id = correlation & RECORD_CORRELATION_ID_MASK;

	/* An answer to a former life names that life's epoch. */
	if (record_correlation(link_epoch(httpd->link), id) != correlation) {
		stats_increment(httpd->counters, COUNT_receipts_ignored);
		return;
	}
	identity_answer(httpd->identity, id, answer, loop_now_ns(httpd->loop));
}

/* --- turns */

static void
check_drained(struct httpd *httpd)
{
	if (httpd->is_draining && connections_drain(httpd->connections) == 0 &&
	    publisher_under_way(httpd->publisher) == 0)
		service_stop(httpd->service, EXIT_OK);
}

static void
work(void *arg)
{
	struct httpd *httpd = arg;

	link_read(httpd->link);
	pending_turn(httpd->pending, loop_now_ns(httpd->loop));
	/* Before: if the commit finds the link damaged, nothing was seen. */
	if (link_is_up(httpd->link)) {
		link_commit(httpd->link);
		if (link_is_up(httpd->link))
			pending_committed(httpd->pending);
	}
	check_drained(httpd);
}

static void
before_sleep(void *arg)
{
	struct httpd *httpd = arg;

	connections_reap(httpd->connections);
	if (!link_sleep(httpd->link) || pending_is_movable(httpd->pending))
		loop_again(httpd->loop);
}

static bool
is_idle(const struct httpd *httpd)
{
	return connections_count(httpd->connections) == 0 &&
	    pending_held(httpd->pending) == 0 &&
	    pending_outstanding(httpd->pending) == 0;
}

/* The end of a drain is near: who still waits is told what is known. */
static void
give_up(struct httpd *httpd)
{
	httpd->give_up_ns = UINT64_MAX;
	pending_detach(httpd->pending);
	pending_attach(httpd->pending, 0, 0, false);
	pending_detach(httpd->pending);
}

static void
tick(void *arg)
{
	struct httpd *httpd = arg;
	uint64_t now_ns = loop_now_ns(httpd->loop);

	loop_timer_start(&httpd->tick, is_idle(httpd) ? TICK_IDLE_NS : TICK_NS);
	pending_expire(httpd->pending, now_ns);
	identity_expire(httpd->identity, now_ns);
	connections_tick(httpd->connections, now_ns);
	if (httpd->is_draining && now_ns >= httpd->give_up_ns)
		give_up(httpd);
	if (now_ns - httpd->beaten_ns < BEAT_NS)
		return;
	httpd->beaten_ns = now_ns;
	link_beat(httpd->link);
	httpd_set_gauges(httpd);
}

void
httpd_set_gauges(struct httpd *httpd)
{
	struct stats_block *counters = httpd->counters;

	stats_set(
	    counters, COUNT_waiting_messages, pending_held(httpd->pending));
	stats_set(counters, COUNT_committed_messages,
	    pending_outstanding(httpd->pending));
	stats_set(
	    counters, COUNT_held_messages, pending_held_total(httpd->pending));
}

/* --- life */

static uint64_t
random_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_now_ns();
	return seed;
}

static struct limits_rate
rate_of(const struct conf_rate *rate)
{
	return (struct limits_rate){
		.per_second = rate->per_second,
		.burst = rate->burst != 0 ? rate->burst : rate->per_second,
	};
}

/* The parts that hold messages. */
static bool
make_messages(struct httpd *httpd)
{
	static const struct pending_ops pending_ops = {
		.put = put,
		.has_room = has_room,
		.unstalled = unstalled,
		.lane_of = lane_of,
		.settled = settled,
	};
	const struct conf_http *http = &httpd->conf->http;
	struct pending_config pending = {
		.max_pending = http->max_pending,
		.max_held_bytes = 4 * http->max_body < HELD_BYTES_MIN
		    ? HELD_BYTES_MIN
		    : 4 * http->max_body,
		.stall_timeout_ns = http->stall_timeout_ns,
		.receipt_timeout_ns = http->receipt_timeout_ns,
	};
	struct publisher_ports ports = {
		.loop = httpd->loop,
		.counters = httpd->counters,
		.stall_timeout_ns = http->stall_timeout_ns,
		.drop_identity = drop_identity,
		.away_reason = away_reason,
		.context = httpd,
	};
	struct limits_config limits = {
		.global = rate_of(&http->rate),
		.per_account = rate_of(&http->rate_per_account),
		.per_client = rate_of(&http->rate_per_client),
	};

	httpd->lanes = lanes_new(random_seed());
	httpd->limits = limits_new(&limits, clock_now_ns());
	httpd->pending = pending_new(&pending, &pending_ops, httpd);
	if (httpd->lanes == NULL || httpd->limits == NULL ||
	    httpd->pending == NULL)
		return false;
	ports.lanes = httpd->lanes;
	ports.limits = httpd->limits;
	ports.pending = httpd->pending;
	httpd->publisher = publisher_new(&ports);
	return httpd->publisher != NULL;
}

static bool
make_identity_and_link(struct httpd *httpd)
{
	static const struct identity_ops identity_ops = {
		.ask = ask_broker,
		.decided = on_decided,
	};
	static const struct link_events link_events = {
		.up = on_up,
		.down = on_down,
		.lane_opened = on_lane_opened,
		.lane_refused = on_lane_refused,
		.filters_begin = on_filters_begin,
		.filter = on_filter,
		.filters_end = on_filters_end,
		.receipt = on_receipt,
		.auth_result = on_auth_result,
	};

	httpd->identity = identity_new(&identity_ops, httpd);
	httpd->link = link_new(httpd->conf->run_dir, httpd->loop, &link_events,
	    httpd, httpd->counters, random_seed());
	return httpd->identity != NULL && httpd->link != NULL;
}

/* What is written to the clients goes out between the two hooks. */
static bool
make_connections(struct httpd *httpd)
{
	static const struct connection_handler handler = {
		.head = on_head,
		.body = on_body,
		.gone = on_gone,
	};
	const struct conf_http *http = &httpd->conf->http;
	struct connections_config config = {
		.max_connections = http->max_connections,
		.max_body = http->max_body,
		.header_timeout_ns = http->header_timeout_ns,
		.body_timeout_ns = http->body_timeout_ns,
		.idle_timeout_ns = http->idle_timeout_ns,
	};
	uint64_t chunks = (uint64_t)http->max_connections * 64 + 1024;

	httpd->work_hook = (struct loop_hook){ .run = work, .arg = httpd };
	loop_add_hook(httpd->loop, &httpd->work_hook);
	httpd->hub = stream_hub_new(
	    httpd->loop, chunks > UINT32_MAX ? UINT32_MAX : (uint32_t)chunks);
	if (httpd->hub == NULL)
		return false;
	httpd->sleep_hook =
	    (struct loop_hook){ .run = before_sleep, .arg = httpd };
	loop_add_hook(httpd->loop, &httpd->sleep_hook);
	httpd->connections = connections_new(
	    &config, httpd->loop, httpd->hub, &handler, httpd, httpd->counters);
	return httpd->connections != NULL;
}

static int
listen_on(struct httpd *httpd)
{
	struct listener_spec spec = { .bind = httpd->conf->http.bind };
	char error[LISTENER_ERROR_SIZE];

	if (listener_open(&spec, &httpd->listener, error, sizeof(error)) != 0) {
		log_error("listener_failed", "setting=http.bind %s", error);
		return EXIT_OSERR;
	}
	if (listener_start(httpd->listener, httpd->loop, on_accept, httpd) !=
	    0) {
		log_error("listener_failed", "setting=http.bind");
		return EXIT_OSERR;
	}
	log_info("listening", "address=%s", listener_address(httpd->listener));
	return EXIT_OK;
}

int
httpd_init(struct httpd *httpd, struct service *service)
{
	int code;

	memset(httpd, 0, sizeof(*httpd));
	httpd->service = service;
	httpd->conf = service_conf(service);
	httpd->loop = service_loop(service);
	if (counters_create(&httpd->stats) != 0)
		goto no_resources;
	httpd->counters = stats_block(httpd->stats, 0);
	if (!make_messages(httpd) || !make_identity_and_link(httpd) ||
	    !make_connections(httpd))
		goto no_resources;
	code = listen_on(httpd);
	if (code != EXIT_OK)
		return code;

	loop_timer_init(&httpd->tick, httpd->loop, tick, httpd);
	loop_timer_start(&httpd->tick, TICK_NS);
	link_start(httpd->link);
	return EXIT_OK;

no_resources:
	log_error("start_failed", "reason=\"no memory or descriptors\"");
	return EXIT_OSERR;
}

void
httpd_fini(struct httpd *httpd)
{
	loop_timer_stop(&httpd->tick);
	listener_close(httpd->listener);
	connections_free(httpd->connections);
	/* Without a link nothing is settled any more. */
	link_free(httpd->link);
	pending_free(httpd->pending);
	publisher_free(httpd->publisher);
	identity_free(httpd->identity);
	limits_free(httpd->limits);
	lanes_free(httpd->lanes);
	if (httpd->hub != NULL)
		loop_remove_hook(httpd->loop, &httpd->sleep_hook);
	stream_hub_free(httpd->hub);
	if (httpd->work_hook.run != NULL)
		loop_remove_hook(httpd->loop, &httpd->work_hook);
	stats_free(httpd->stats);
}

const char *
httpd_address(const struct httpd *httpd)
{
	return listener_address(httpd->listener);
}

void
httpd_drain(void *arg)
{
	struct httpd *httpd = arg;

	log_info("draining", "connections=%u pending=%u",
	    connections_count(httpd->connections),
	    pending_held(httpd->pending) + pending_outstanding(httpd->pending));
	httpd->is_draining = true;
	httpd->give_up_ns = loop_now_ns(httpd->loop) + GIVE_UP_NS;
	listener_close(httpd->listener);
	httpd->listener = NULL;
	check_drained(httpd);
}
