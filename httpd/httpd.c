/* SPDX-License-Identifier: Apache-2.0 */

/* Life and turns: make the parts, run them in order, take them down. */

#include "httpd/httpd.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf.h"
#include "common/net/listener.h"
#include "common/net/stream.h"
#include "common/service/service.h"
#include "httpd/counters.h"
#include "httpd/held.h"
#include "httpd/https.h"
#include "httpd/wiring.h"

/* How often deadlines are looked at, with and without anything under way. */
#define TICK_NS (50 * CLOCK_MS_NS)
#define TICK_IDLE_NS (500 * CLOCK_MS_NS)

/* Within SERVICE_DRAIN_NS, with time for the last answers. */
#define GIVE_UP_NS (SERVICE_DRAIN_NS - CLOCK_SECOND_NS)

/* Rings, bells, sockets, files: what is open beside connections. */
#define OTHER_DESCRIPTORS 200u

#define BEAT_NS (500 * CLOCK_MS_NS)

/* Fewer leave nothing that is worth looking for. */
#define MANY_CONNECTIONS 64u

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
expire_pending(void *arg)
{
	struct httpd *httpd = arg;

	httpd->expiry_ns = UINT64_MAX;
	pending_expire(httpd->pending, loop_now_ns(httpd->loop));
}

/* Who is held is told when its time is up, not at some tick after it. */
static void
arm_expiry(struct httpd *httpd)
{
	uint64_t deadline_ns = pending_next_deadline(httpd->pending);
	uint64_t now_ns;

	/* One that comes too early finds nothing, and is armed anew. */
	if (deadline_ns >= httpd->expiry_ns)
		return;
	now_ns = clock_now_ns();
	httpd->expiry_ns = deadline_ns;
	loop_timer_start(
	    &httpd->expiry, deadline_ns > now_ns ? deadline_ns - now_ns : 0);
}

static void
before_sleep(void *arg)
{
	struct httpd *httpd = arg;

	arm_expiry(httpd);
	connections_reap(httpd->connections);
	if (!link_sleep(httpd->link) || pending_is_movable(httpd->pending))
		loop_again(httpd->loop);
	/* Arming commits too: what came since work(), with the answers. */
	if (link_is_up(httpd->link))
		pending_committed(httpd->pending);
}

static bool
is_idle(const struct httpd *httpd)
{
	return connections_count(httpd->connections) == 0 &&
	    pending_held(httpd->pending) == 0 &&
	    pending_outstanding(httpd->pending) == 0 &&
	    asks_count(httpd->asks) == 0;
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

/*
 * What many connections leave behind lies in pieces between what stays, and
 * the allocator gives back its end alone: have it look once they are gone.
 */
static void
give_memory_back(struct httpd *httpd)
{
	uint32_t most = connections_most(httpd->connections);

	if (most < MANY_CONNECTIONS ||
	    connections_count(httpd->connections) > most / 4)
		return;
	connections_forget_most(httpd->connections);
	malloc_trim(0);
}

static void
tick(void *arg)
{
	struct httpd *httpd = arg;
	uint64_t now_ns = loop_now_ns(httpd->loop);

	loop_timer_start(&httpd->tick, is_idle(httpd) ? TICK_IDLE_NS : TICK_NS);
	wiring_look_at_lanes(httpd);
	identity_expire(httpd->identity, now_ns);
	asks_expire(httpd->asks, now_ns);
	connections_tick(httpd->connections, now_ns);
	if (httpd->is_draining && now_ns >= httpd->give_up_ns)
		give_up(httpd);
	if (now_ns - httpd->beaten_ns < BEAT_NS)
		return;
	httpd->beaten_ns = now_ns;
	give_memory_back(httpd);
	link_beat(httpd->link);
	wiring_unshare_lanes(httpd);
	held_post(httpd->pending, httpd->lanes, link_board(httpd->link));
	httpd_set_gauges(httpd);
}

/* `in_use` is the first of three rows. */
static void
set_use(struct httpd *httpd, enum counter in_use, const struct pool_use *use)
{
	stats_set(httpd->counters, in_use, use->in_use);
	stats_set(httpd->counters, in_use + 1, use->high_water);
	stats_set(httpd->counters, in_use + 2, use->max);
}

static void
set_pools(struct httpd *httpd)
{
	struct pool_use connections, requests, messages, publications;

	connections_use(httpd->connections, &connections, &requests);
	messages = pending_use(httpd->pending);
	publications = publisher_use(httpd->publisher);
	set_use(httpd, COUNT_pool_connections, &connections);
	set_use(httpd, COUNT_pool_requests, &requests);
	set_use(httpd, COUNT_pool_publications, &publications);
	set_use(httpd, COUNT_pool_pending, &messages);
	stats_set(httpd->counters, COUNT_pool_output_chunks,
	    stream_hub_chunks(httpd->hub));
}

void
httpd_set_gauges(struct httpd *httpd)
{
	struct stats_block *counters = httpd->counters;
	int64_t days = 0;

	if (httpd->tls != NULL)
		tls_days_left(httpd->tls, &days);
	stats_set(counters, COUNT_tls_certificate_days,
	    days > 0 ? (uint64_t)days : 0);
	set_pools(httpd);
	stats_set(
	    counters, COUNT_waiting_messages, pending_held(httpd->pending));
	stats_set(counters, COUNT_committed_messages,
	    pending_outstanding(httpd->pending));
	stats_set(
	    counters, COUNT_held_messages, pending_held_total(httpd->pending));
}

static uint64_t
random_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_now_ns();
	return seed;
}

static struct limits_rates
rates_of(const struct conf_rate *rate)
{
	return (struct limits_rates){
		.unit = {
			[LIMITS_REQUESTS] = {
				(uint32_t)rate->requests_per_second,
				(uint32_t)rate->requests_burst },
			[LIMITS_MESSAGES] = { (uint32_t)rate->per_second,
				(uint32_t)rate->burst },
			[LIMITS_BYTES] = { (uint32_t)rate->bytes_per_second,
				(uint32_t)rate->bytes_burst },
		},
	};
}

/* `filters` has room for LIMITS_FILTERS. */
static struct limits_config
limits_of(const struct conf_http *http, struct limits_filter *filters)
{
	_Static_assert(CONF_MAX_RATE_FILTERS <= LIMITS_FILTERS, "too few");

	for (size_t i = 0; i < http->rate_per_filter_count; i++)
		filters[i] = (struct limits_filter){
			.name = http->rate_per_filter[i].name,
			.filter = http->rate_per_filter[i].filter,
			.rates = rates_of(&http->rate_per_filter[i].rate),
		};
	return (struct limits_config){
		.global = rates_of(&http->rate),
		.per_account = rates_of(&http->rate_per_account),
		.per_client = rates_of(&http->rate_per_client),
		.filters = filters,
		.filter_count = http->rate_per_filter_count,
	};
}

/* What this program has to know of them; the broker judges. */
static void
take_credentials(struct httpd *httpd, const struct conf_http *http)
{
	httpd->takes_tokens = http->jwt_count != 0;
	identity_limit(httpd->identity, http->failed_logins.per_second,
	    http->failed_logins.burst, clock_now_ns());
	identity_renew(httpd->identity);
}

void
httpd_reload(void *arg, const struct conf *conf)
{
	struct httpd *httpd = arg;
	struct limits_filter filters[LIMITS_FILTERS];
	struct limits_config limits;

	log_set_level(conf->log_level);
	if (!conf->http.enabled) {
		log_warning("reload_partial",
		    "reason=\"the http group is gone; weir-httpd goes on as "
		    "it was until it is stopped\"");
		return;
	}
	take_credentials(httpd, &conf->http);
	limits = limits_of(&conf->http, filters);
	if (limits_change(httpd->limits, &limits, clock_now_ns()) != 0)
		log_error("limits_kept",
		    "reason=\"no memory for http.rate_per_filter\"");
	https_reload(&conf->http, &httpd->tls);
	connections_set_tls(httpd->connections, httpd->tls);
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

/* The parts that hold messages. */
static bool
make_messages(struct httpd *httpd)
{
	const struct conf_http *http = &httpd->conf->http;
	struct pending_config pending = {
		.max_pending = http->max_pending,
		.max_stalled = http->max_stalled,
		.max_held_bytes = http->max_stalled_bytes,
		.stall_timeout_ns = http->stall_timeout_ns,
		.receipt_timeout_ns = http->receipt_timeout_ns,
	};
	struct publisher_ports ports = {
		.loop = httpd->loop,
		.counters = httpd->counters,
		.life = random_seed(),
		.drop_identity = drop_identity,
		.retry_after_s = wiring_retry_after_s,
		.away_reason = away_reason,
		.context = httpd,
	};
	struct limits_filter filters[LIMITS_FILTERS];
	struct limits_config limits = limits_of(http, filters);

	httpd->lanes = lanes_new(random_seed());
	httpd->limits = limits_new(&limits, random_seed(), clock_now_ns());
	httpd->pending = pending_new(&pending, &wiring_pending, httpd);
	if (httpd->lanes == NULL || httpd->limits == NULL ||
	    httpd->pending == NULL)
		return false;
	lanes_set_is_used(httpd->lanes, wiring_slot_is_used, httpd);
	ports.lanes = httpd->lanes;
	ports.limits = httpd->limits;
	ports.pending = httpd->pending;
	httpd->publisher = publisher_new(&ports);
	return httpd->publisher != NULL;
}

static bool
make_identity_and_link(struct httpd *httpd)
{
	httpd->identity = identity_new(&wiring_identity, httpd);
	if (httpd->identity != NULL)
		take_credentials(httpd, &httpd->conf->http);
	httpd->asks = asks_new(&wiring_asks, httpd, httpd->counters);
	httpd->link = link_new(httpd->conf->run_dir, httpd->loop, &wiring_link,
	    httpd, httpd->counters, random_seed());
	if (httpd->link != NULL) {
		link_set_trace_every(httpd->link, httpd->conf->trace_every);
		link_set_lane_idle(httpd->link, httpd->conf->lane_idle_ns);
	}
	return httpd->identity != NULL && httpd->asks != NULL &&
	    httpd->link != NULL;
}

/* What is written to the clients goes out between the two hooks. */
static bool
make_connections(struct httpd *httpd)
{
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
	httpd->connections = connections_new(&config, httpd->loop, httpd->hub,
	    &wiring_requests, httpd, httpd->counters);
	return httpd->connections != NULL;
}

/* The service has raised the limit as far as it may. */
static void
check_descriptors(const struct conf_http *http)
{
	uint64_t needed = (uint64_t)http->max_connections +
	    CONNECTION_OVERFLOW + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
		return;
	log_warning("descriptors_short",
	    "allowed=%llu needed=%llu what=\"http.max_connections is %u; "
	    "connections beyond the descriptors are closed: raise LimitNOFILE= "
	    "or ulimit -Hn, or lower it\"",
	    (unsigned long long)limit.rlim_cur, (unsigned long long)needed,
	    http->max_connections);
}

static void
on_accept(void *arg, int fd, const char *peer)
{
	struct httpd *httpd = arg;

	connections_accept(httpd->connections, fd, peer);
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
	log_info("listening", "address=%s tls=%s",
	    listener_address(httpd->listener),
	    httpd->tls == NULL ? "no" : "yes");
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
	if (https_open(&httpd->conf->http, &httpd->tls) != 0)
		return EXIT_CONFIG;
	connections_set_tls(httpd->connections, httpd->tls);
	check_descriptors(&httpd->conf->http);
	code = listen_on(httpd);
	if (code != EXIT_OK)
		return code;

	loop_timer_init(&httpd->tick, httpd->loop, tick, httpd);
	loop_timer_init(&httpd->expiry, httpd->loop, expire_pending, httpd);
	httpd->expiry_ns = UINT64_MAX;
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
	loop_timer_stop(&httpd->expiry);
	listener_close(httpd->listener);
	connections_free(httpd->connections);
	tls_put(httpd->tls);
	/* Without a link nothing is settled any more. */
	link_free(httpd->link);
	pending_free(httpd->pending);
	publisher_free(httpd->publisher);
	identity_free(httpd->identity);
	asks_free(httpd->asks);
	free(httpd->openapi);
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
