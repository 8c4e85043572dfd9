/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bridge_port_links.h"
#include "broker/commit.h"
#include "broker/counters_pools.h"
#include "broker/disabled.h"
#include "broker/links_asks.h"
#include "broker/links_control.h"
#include "broker/links_credit.h"
#include "broker/links_drain.h"
#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_ingress.h"
#include "broker/links_memory.h"
#include "broker/links_overdue.h"
#include "broker/links_private.h"
#include "broker/links_store.h"
#include "broker/links_tend.h"
#include "broker/links_terms.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/log.h"

#define BEAT_NS CLOCK_SECOND_NS

/* How long a bridge may take to come back; it tries twice a second. */
#define AWAIT_NS (2 * CLOCK_SECOND_NS)

/*
 * A peer that wakes us this often in a second without having anything for us
 * is heard only every few milliseconds for the rest of it.  An honest one may
 * do so some thousand times: each receipt it takes gives room that nobody
 * waited for.
 */
#define EMPTY_WAKES_MAX 20000u
#define MUTED_NS (5 * CLOCK_MS_NS)

/* ---- a round ------------------------------------------------------------ */

/*
 * Bridges' rings first, each with the word what is in it (ring_forward.h),
 * then receipts, then tails: whatever dies in between, nothing is answered
 * that is not in the rings, nothing is given back that is not answered, and
 * the next life skips the rings that have a record already.
 */
static void
settle(struct links *links)
{
	struct links_endpoint *endpoint;
	uint64_t now_ns = links->now_ns;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->role != RING_ROLE_BRIDGE)
			continue;
		if (links_output_commit(&endpoint->output, now_ns))
			endpoint->is_touched = true;
		links_feed_committed(endpoint);
	}
	/* Before who is told of its commit can come with the next one. */
	links_egress_note_full(links);
	links_egress_publish(links);
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->role == RING_ROLE_HTTPD &&
		    links_output_commit(&endpoint->output, now_ns))
			endpoint->is_touched = true;
	}
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (links_credit_release(endpoint))
			endpoint->is_touched = true;
	}
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (links_credit_grant(endpoint))
			endpoint->is_touched = true;
	}
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->is_touched)
			ring_link_wake(endpoint->link);
		endpoint->is_touched = false;
	}
}

static bool
flush_answers(struct links *links)
{
	struct links_endpoint *endpoint;
	bool moved = false;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		moved |= links_endpoint_flush_answers(endpoint);
		moved |= links_asks_round(endpoint);
	}
	return moved;
}

/* After settle(): all that was put anywhere in this round is committed. */
static bool
give_up_faulty(struct links *links)
{
	struct links_endpoint *endpoint;
	const char *fault;
	bool any = false;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		fault = endpoint->fault;
		if (fault == NULL)
			continue;
		endpoint->fault = NULL;
		links_endpoint_poison(endpoint, fault);
		any = true;
	}
	return any;
}

/* Lanes and ports take turns in going first. */
static bool
run_round(struct links *links)
{
	bool moved = flush_answers(links);

	moved |= links_pending_round(links);
	moved |= links_feed_round(links);
	links->turns++;
	if ((links->turns & 1) != 0) {
		moved |= links_egress_round(links);
		moved |= links_ingress_round(links);
	} else {
		moved |= links_ingress_round(links);
		moved |= links_egress_round(links);
	}
	settle(links);
	moved |= give_up_faulty(links);
	return moved;
}

/* ---- sleep and wake ------------------------------------------------------ */

static void
disarm(struct links *links)
{
	struct links_endpoint *endpoint;

	if (!links->is_armed)
		return;
	links->is_armed = false;
	LINKS_EACH_ENDPOINT(links, endpoint)
	ring_link_disarm(endpoint->link);
}

static bool
answers_can_move(struct links *links)
{
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->answer_count > 0 &&
		    links_output_has_room(&endpoint->output,
			sizeof(struct record_auth_result), NULL))
			return true;
		if (links_asks_can_move(endpoint))
			return true;
	}
	return false;
}

/*
 * Arm everything, fence once, then look again at all that could move: with
 * the fence in ring_link_wake() either the peer sees that we sleep, or we see
 * what it did.
 */
static void
sleep_or_go_on(struct links *links)
{
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	ring_link_arm(endpoint->link);
	links->is_armed = true;
	ring_fence();
	if (links_ingress_can_move(links) || links_egress_can_move(links) ||
	    links_pending_can_move(links) || links_feed_can_move(links) ||
	    answers_can_move(links)) {
		disarm(links);
		loop_again(links->loop);
	}
}

/* ---- bells that ring for nothing ------------------------------------------
 */

static void
mute(struct links *links, struct links_endpoint *endpoint)
{
	if (endpoint->empty_wakes == EMPTY_WAKES_MAX) {
		links_count(links, COUNT_links_muted, 1);
		log_debug("link_muted", "link=%s pid=%d",
		    log_quote(endpoint->identity.name), (int)endpoint->pid);
	}
	links_endpoint_watch_bell(endpoint, false);
	if (!loop_timer_is_running(&links->unmute))
		loop_timer_start(&links->unmute, MUTED_NS);
}

/* The turn that follows looks at its lanes. */
static void
unmute(void *arg)
{
	struct links *links = arg;
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->state == LINKS_ATTACHED)
			links_endpoint_watch_bell(endpoint, true);
	}
}

static void
count_wakes(struct links *links, bool moved)
{
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (!endpoint->was_woken)
			continue;
		endpoint->was_woken = false;
		if (moved)
			continue;
		ring_link_count_empty_wake(endpoint->link);
		if (++endpoint->empty_wakes >= EMPTY_WAKES_MAX)
			mute(links, endpoint);
	}
}

static void
run_turn(void *arg)
{
	struct links *links = arg;
	bool moved_any = false, moved = true;

	disarm(links);
	links->now_ns = loop_now_ns(links->loop);
	for (unsigned i = 0; i < LINKS_ROUNDS && moved; i++) {
		moved = run_round(links);
		moved_any |= moved;
	}
	count_wakes(links, moved_any);
	links_journal_flush(links);
	if (links->counters != NULL)
		counters_show_pools(
		    links->counters, links->pools, links->journal.port);
	if (moved)
		loop_again(links->loop);
	else {
		links_tend_later(links);
		sleep_or_go_on(links);
	}
}

/*
 * A broker was killed, and nobody kept its memory.  Its programs come back
 * with what they have; until a bridge did, or it is late, nothing new is put
 * into its ring, so that what is in the old one is neither overtaken nor put
 * in twice.
 */
static void
await_programs(struct links *links)
{
	struct links_endpoint *endpoint;

	if (!links_control_was_stale(links->control) || links->store.count > 0)
		return;
	links->await_until_ns = clock_now_ns() + AWAIT_NS;
	LINKS_EACH_ENDPOINT(links, endpoint)
	endpoint->output.is_awaited = endpoint->role == RING_ROLE_BRIDGE;
}

static void
give_up_waiting(struct links *links)
{
	struct links_endpoint *endpoint;

	if (links->await_until_ns == 0 || links->now_ns < links->await_until_ns)
		return;
	links->await_until_ns = 0;
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->output.is_awaited)
			log_info("bridge_not_back", "bridge=%s",
			    log_quote(endpoint->identity.name));
		endpoint->output.is_awaited = false;
	}
	loop_again(links->loop);
}

static void
beat(void *arg)
{
	struct links *links = arg;
	struct links_endpoint *endpoint;

	links->now_ns = loop_now_ns(links->loop);
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		ring_link_beat(endpoint->link, links->now_ns);
		endpoint->empty_wakes = 0;
	}
	give_up_waiting(links);
	links_ingress_retry_memory(links);
	links_feed_beat(links);
	links_egress_beat(links);
	links_terms_beat(links);
	links_tend_later(links);
	loop_timer_start(&links->beat, BEAT_NS);
}

static void
mail_ready(void *arg, int fd, unsigned ready)
{
	struct links *links = arg;

	(void)fd;
	(void)ready;
	mailbox_open(links->broker->links_mailbox, 0);
}

/* ---- ports ----------------------------------------------------------------
 */

/* A worker sent something; the hook of this turn moves it on. */
static void
port_sent(void *context, struct bridge_port *port)
{
	(void)context;
	bridge_port_collect(port);
}

struct bridge_port *
links_port(struct links *links, unsigned index, void (*moved)(void *context),
    void *context)
{
	const struct broker *broker = links->broker;
	const struct bridge_port_spec spec = {
		.bridges = bridge_table_count(broker->bridges),
		.rejecting = bridge_table_rejecting_set(broker->bridges),
		.window_bytes = broker->conf->worker_window,
		.full = &links->full,
		.links_mailbox = broker->links_mailbox,
		.sent = port_sent,
		.worker_mailbox = broker->workers[index]->mailbox,
		.moved = moved,
		.moved_context = context,
	};

	BUG_ON(index >= links->port_count);
	if (links->ports[index] == NULL)
		links->ports[index] = bridge_port_new(&spec);
	return links->ports[index];
}

/* ---- life -----------------------------------------------------------------
 */

static int
make_endpoints(struct links *links)
{
	const struct conf *conf = links->broker->conf;
	char *disabled;

	BUG_ON(conf->bridge_count + 1 > RING_LINKS);
	links->endpoint_count = 1;
	if (conf->http.enabled) {
		links->endpoints[0] = links_endpoint_new(links, 0, NULL, -1);
		if (links->endpoints[0] == NULL)
			return -errno;
	}
	for (size_t i = 0; i < conf->bridge_count; i++) {
		links->endpoints[i + 1] = links_endpoint_new(
		    links, (uint32_t)i + 1, &conf->bridges[i], (int)i);
		if (links->endpoints[i + 1] == NULL)
			return -errno;
		links->endpoint_count++;
	}
	disabled = disabled_read(conf->state_dir);
	for (uint32_t i = 1; i < links->endpoint_count; i++)
		links->endpoints[i]->is_disabled =
		    disabled_has(disabled, links->endpoints[i]->identity.name);
	free(disabled);
	return 0;
}

/* The largest record that any lane may bring. */
static size_t
largest_record(const struct conf *conf)
{
	uint64_t largest =
	    conf->http.enabled ? conf->http.ring.max_capacity : RING_PAGE;

	for (size_t i = 0; i < conf->bridge_count; i++) {
		if (conf->bridges[i].ring.max_capacity > largest)
			largest = conf->bridges[i].ring.max_capacity;
	}
	return largest / 4;
}

static int
allocate(struct links *links)
{
	struct broker *broker = links->broker;

	broker->links_messages = message_pools_new();
	links->pools = broker->links_messages;
	links->scratch_size = largest_record(broker->conf);
	links->scratch = malloc(links->scratch_size);
	links->port_count = broker->worker_count;
	links->ports =
	    calloc(links->port_count + 1, sizeof(struct bridge_port *));
	if (links->pools == NULL || links->scratch == NULL ||
	    links->ports == NULL)
		return -ENOMEM;
	/* One block for each worker, then ours. */
	if (broker->stats != NULL)
		links->counters =
		    stats_block(broker->stats, broker->worker_count);
	return 0;
}

struct links *
links_new(struct broker *broker)
{
	struct links *links;
	int err;

	links = aligned_alloc(64, (sizeof(*links) + 63) & ~(size_t)63);
	if (links == NULL)
		return NULL;
	memset(links, 0, sizeof(*links));
	links->broker = broker;
	links->loop = broker->loop;
	links->filters_version = 1;
	links_journal_init(links);
	err = allocate(links);
	if (err != 0)
		goto fail;

	links->store = broker->kept;
	broker->kept = (struct fdstore){ 0 };
	/* What a former life left goes on as the same instance. */
	if (links_store_instance(&links->store, broker->instance) == 0)
		log_info("rings_inherited", "fds=%zu", links->store.count);

	/* The socket first: two brokers on one run_dir is the likely error. */
	links->control = links_control_new(links);
	if (links->control == NULL) {
		err = -errno;
		goto fail;
	}
	err = make_endpoints(links);
	if (err != 0) {
		log_error("rings_failed",
		    "error=%s hint=\"is there memory for "
		    "all rings? weirctl status prints what they take\"",
		    log_quote(strerror(-err)));
		goto fail;
	}
	for (uint32_t i = 0; i < links->endpoint_count; i++) {
		if (links->endpoints[i] != NULL)
			links_memory_forget_fresh(links->endpoints[i]);
	}
	await_programs(links);
	links_store_clear(&links->store);
	return links;

fail:
	fdstore_fini(&links->store);
	links_free(links);
	errno = -err;
	return NULL;
}

void
links_filters_changed(struct links *links)
{
	links->filters_version++;
	links_ingress_look_again(links);
	links_control_send_filters(links->control);
	loop_again(links->loop);
}

int
links_start(struct links *links)
{
	int err;

	err = loop_fd_start(&links->mail_watch, links->loop,
	    mailbox_fd(links->broker->links_mailbox), LOOP_READ, mail_ready,
	    links);
	if (err != 0)
		return err;
	err = links_control_start(links->control);
	if (err != 0) {
		loop_fd_stop(&links->mail_watch);
		return err;
	}
	links_journal_start(links);
	links->hook = (struct loop_hook){ .run = run_turn, .arg = links };
	loop_add_hook(links->loop, &links->hook);
	loop_timer_init(&links->beat, links->loop, beat, links);
	loop_timer_start(&links->beat, BEAT_NS);
	loop_timer_init(&links->unmute, links->loop, unmute, links);
	loop_timer_init(&links->tend, links->loop, links_tend, links);
	links_overdue_start(links);
	pool_trimmer_init(&links->trimmer, links->loop);
	message_pools_trim_with(links->pools, &links->trimmer);
	if (links->journal.port != NULL)
		commit_port_trim(links->journal.port, &links->trimmer);
	links->is_started = true;
	loop_again(links->loop);
	return 0;
}

static void
stop(struct links *links)
{
	if (!links->is_started)
		return;
	loop_timer_stop(&links->beat);
	loop_timer_stop(&links->unmute);
	loop_timer_stop(&links->tend);
	links_overdue_stop(links);
	pool_trimmer_fini(&links->trimmer);
	loop_remove_hook(links->loop, &links->hook);
	loop_fd_stop(&links->mail_watch);
	links->is_started = false;
	links_say_what_is_left(links);
}

void
links_free(struct links *links)
{
	if (links == NULL)
		return;
	stop(links);
	links_control_free(links->control);
	for (uint32_t i = 0; i < RING_LINKS; i++)
		links_endpoint_free(links->endpoints[i]);
	for (unsigned i = 0; i < links->port_count && links->ports != NULL; i++)
		bridge_port_free(links->ports[i]);
	links_journal_fini(links);
	free(links->ports);
	free(links->scratch);
	free(links);
}
