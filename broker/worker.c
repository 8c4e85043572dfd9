/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "broker/client.h"
#include "broker/commit.h"
#include "broker/connection_faults.h"
#include "broker/counters_pools.h"
#include "broker/deliver.h"
#include "broker/retain_job.h"
#include "broker/route.h"
#include "broker/sys_topics.h"
#include "broker/tally.h"
#include "broker/worker_listeners.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/thread.h"

/* Letters opened in a turn; sockets come between them. */
#define MAIL_A_TURN 256

/* After a lack of memory or of room in mailboxes. */
#define RETRY_NS (5 * CLOCK_MS_NS)

/* While the journal is full or ill. */
#define RETRY_NOTES_NS (50 * CLOCK_MS_NS)

/* 4 KiB each, for the output of all connections of all workers. */
#define OUTPUT_CHUNKS (UINT32_C(256) << 10)

unsigned
worker_of_client(const struct broker *broker, struct slice id)
{
	if (broker->worker_count == 1)
		return 0;
	/* Not the bits that the sessions' table uses. */
	return (unsigned)((slice_hash(id, broker->client_seed) >> 32) %
	    broker->worker_count);
}

uint64_t
worker_random(struct worker *worker)
{
	uint64_t bits;

	if (getrandom(&bits, sizeof(bits), 0) == sizeof(bits))
		return bits;
	worker->dice =
	    worker->dice * UINT64_C(6364136223846793005) + clock_now_ns();
	return worker->dice;
}

/* ---- a turn ------------------------------------------------------------- */

static void
on_mail(void *arg, int fd, unsigned ready)
{
	struct worker *worker = arg;

	(void)fd;
	(void)ready;
	mailbox_open(worker->mailbox, MAIL_A_TURN);
}

static void
on_alarms_due(void *arg)
{
	struct worker *worker = arg;

	worker->alarm_armed_ns = UINT64_MAX;
	alarms_fire(&worker->alarms, worker_now_ns(worker));
}

static void
arm_alarms(struct worker *worker)
{
	const uint64_t next = alarms_next_ns(&worker->alarms);
	const uint64_t now = worker_now_ns(worker);

	if (next == UINT64_MAX || next >= worker->alarm_armed_ns)
		return;
	worker->alarm_armed_ns = next;
	loop_timer_start(&worker->alarm_timer, next > now ? next - now : 0);
}

void
worker_pump_session(struct worker *worker, struct session *session)
{
	if (session->is_pumped)
		return;
	session->is_pumped = true;
	session->next_pumped = worker->pumped;
	worker->pumped = session;
}

static void
pump_sessions(struct worker *worker)
{
	struct session *session, *next;

	session = worker->pumped;
	worker->pumped = NULL;
	for (; session != NULL; session = next) {
		next = session->next_pumped;
		session->is_pumped = false;
		if (session->ended)
			continue;
		deliver_waiting(worker, session);
		if (retain_jobs_pump(worker, session)) {
			worker_pump_session(worker, session);
			loop_again(worker->loop);
		}
	}
}

void
worker_await_acks(struct worker *worker, struct session *session)
{
	if (session->is_acking)
		return;
	session->is_acking = true;
	session->next_acking = worker->acking;
	worker->acking = session;
}

static void
send_acks(struct worker *worker)
{
	struct session *session, *next;

	session = worker->acking;
	worker->acking = NULL;
	for (; session != NULL; session = next) {
		next = session->next_acking;
		session->is_acking = false;
		if (session->ended)
			continue;
		acks_send(worker, session);
		if (!session->ended && ack_queue_count(&session->acks) != 0)
			worker_await_acks(worker, session);
	}
}

/* Each client that is held gets one try; those that still are stay in line. */
static void
retry_stalled(struct worker *worker)
{
	struct client *client, *next;

	for (client = worker->stalled.first; client != NULL; client = next) {
		/* Who is closed meanwhile keeps its place until the turn's end.
		 */
		next = client->next_stalled;
		if (client->parked == NULL)
			client_resume(client, CLIENT_PAUSE_PARKED);
		else
			publish_parked(client);
	}
}

void
worker_bridges_moved(void *arg)
{
	struct worker *worker = arg;

	send_acks(worker);
	will_retry(worker);
	retry_stalled(worker);
}

static void
on_retry(void *arg)
{
	struct worker *worker = arg;

	will_retry(worker);
	retry_stalled(worker);
}

void
worker_retry_soon(struct worker *worker)
{
	if (!loop_timer_is_running(&worker->retry_timer))
		loop_timer_start(&worker->retry_timer, RETRY_NS);
}

static void
on_retry_notes(void *arg)
{
	acks_retry(arg);
}

void
worker_retry_notes(struct worker *worker)
{
	if (!loop_timer_is_running(&worker->notes_timer))
		loop_timer_start(&worker->notes_timer, RETRY_NOTES_NS);
}

static void
free_graveyard(struct worker *worker)
{
	struct client *client;

	while ((client = worker->graveyard) != NULL) {
		worker->graveyard = client->next;
		free(client);
	}
}

static void
settle(struct worker *worker)
{
	/* Before who was found is left: see estates.h. */
	if (worker->commit != NULL)
		commit_flush(worker->commit);
	route_flush(worker->broker, worker);
	subscription_tree_tend(worker->broker->subscriptions);
	bridge_port_flush(worker->port);
	arm_alarms(worker);
	free_graveyard(worker);
	give_back_look(worker);
	limits_look(worker);
}

/* After the events of a turn, before the streams are flushed. */
static void
on_turn_end(void *arg)
{
	struct worker *worker = arg;

	pump_sessions(worker);
	will_retry(worker);
	redispatch_run(worker);
	if (worker->estates.first != NULL)
		estates_run(worker);
	settle(worker);
}

/*
 * The streams' flush may have called back: connections were closed, kept
 * input was given again.  What that left over is done in a turn that does
 * not wait.
 */
static void
on_flushed(void *arg)
{
	struct worker *worker = arg;

	settle(worker);
	stats_set(
	    worker->counters, COUNT_bytes_in, stream_hub_bytes_in(worker->hub));
	stats_set(worker->counters, COUNT_bytes_out,
	    stream_hub_bytes_out(worker->hub));
	counters_show_pools(worker->counters, worker->messages, worker->commit);
	if (worker->pumped != NULL || redispatch_is_due(worker) ||
	    (worker->waiting_wills.count != 0 && !worker->wills_wait))
		loop_again(worker->loop);
}

/* ---- the thread --------------------------------------------------------- */

static void *
run(void *arg)
{
	struct worker *worker = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", worker->index);
	pthread_setname_np(pthread_self(), name);
	rcu_thread_start();
	message_pools_adopt(worker->messages);
	router_adopt(worker->router);
	pool_adopt(&worker->sessions.outgoing);
	loop_run(worker->loop);
	stream_hub_flush(worker->hub);
	rcu_thread_end();
	worker->ended(worker->ended_context, worker);
	return NULL;
}

/* ---- making and freeing ------------------------------------------------- */

static uint64_t
now_for_sessions(void *context)
{
	return worker_now_ns(context);
}

static void
will_for_sessions(void *context, struct will *will)
{
	will_publish(context, will);
}

static void
leave_shared_for_sessions(void *context, struct session *session)
{
	redispatch_session(context, session);
}

static bool
leave_estate_for_sessions(void *context, struct session *session)
{
	return estates_leave(context, session);
}

static void
begin_estate_for_sessions(void *context, uint64_t cursor)
{
	estates_begin(context, cursor);
}

static void
leave_message_for_sessions(
    void *context, struct message *message, uint32_t share)
{
	redispatch_message(context, message, share);
}

static bool
init_sessions(struct worker *worker)
{
	const struct conf *conf = worker->broker->conf;
	struct sessions *sessions = &worker->sessions;

	memcpy(&sessions->seed, worker->broker->instance + 8,
	    sizeof(sessions->seed));
	sessions->worker = worker->index;
	sessions->limits = (struct outbox_limits){
		.max_messages = conf->max_queued_messages,
		.max_bytes = conf->max_queued_bytes,
	};
	sessions->output_mark = conf->output_buffer;
	sessions->kept = &worker->broker->kept_sessions;
	sessions->max_kept = conf->max_sessions;
	sessions->next_cursor = &worker->broker->next_cursor;
	sessions->alarms = &worker->alarms;
	sessions->mailbox = worker->mailbox;
	sessions->tree = worker->broker->subscriptions;
	sessions->counters = worker->counters;
	sessions->now_ns = now_for_sessions;
	sessions->publish_will = will_for_sessions;
	sessions->leave_estate = leave_estate_for_sessions;
	sessions->begin_estate = begin_estate_for_sessions;
	sessions->leave_shared = leave_shared_for_sessions;
	sessions->leave_message = leave_message_for_sessions;
	sessions->context = worker;
	return sessions_init(sessions) == 0;
}

/* The journal's are added when there is one. */
static void
trim_pools(struct worker *worker)
{
	pool_trimmer_init(&worker->trimmer, worker->loop);
	message_pools_trim_with(worker->messages, &worker->trimmer);
	router_trim(worker->router, &worker->trimmer);
	stream_hub_trim(worker->hub, &worker->trimmer);
	pool_trimmer_add(&worker->trimmer, &worker->sessions.outgoing);
}

static bool
make_parts(struct worker *worker)
{
	struct broker *broker = worker->broker;

	worker->mailbox = mailbox_new(worker);
	worker->loop = loop_new();
	worker->messages = message_pools_new();
	worker->router = router_new(broker, worker);
	worker->encoder = encoder_new();
	worker->tally = tally_new(CONF_MAX_BRIDGES);
	if (worker->mailbox == NULL || worker->loop == NULL ||
	    worker->messages == NULL || worker->router == NULL ||
	    worker->encoder == NULL || worker->tally == NULL ||
	    !init_sessions(worker))
		return false;

	/* Our hook before the hub's: what it writes goes out this turn. */
	worker->hook.run = on_turn_end;
	worker->hook.arg = worker;
	loop_add_hook(worker->loop, &worker->hook);
	worker->hub =
	    stream_hub_new(worker->loop, OUTPUT_CHUNKS / broker->worker_count);
	worker->flushed_hook.run = on_flushed;
	worker->flushed_hook.arg = worker;
	loop_add_hook(worker->loop, &worker->flushed_hook);
	loop_timer_init(
	    &worker->alarm_timer, worker->loop, on_alarms_due, worker);
	loop_timer_init(&worker->retry_timer, worker->loop, on_retry, worker);
	loop_timer_init(
	    &worker->notes_timer, worker->loop, on_retry_notes, worker);
	worker_drain_init(worker);
	held_init(worker);
	limits_init(worker);
	worker->faults = connection_faults_new(worker);
	give_back_init(worker);
	if (worker->hub != NULL)
		trim_pools(worker);
	return worker->hub != NULL && worker->faults != NULL &&
	    loop_fd_start(&worker->mail_watch, worker->loop,
		mailbox_fd(worker->mailbox), LOOP_READ, on_mail, worker) == 0;
}

/* One that never ran: nobody else has anything of its pools. */
static void
discard(struct worker *worker)
{
	struct message_pools *messages = worker->messages;
	struct router *router = worker->router;

	worker_free(worker);
	router_free(router);
	message_pools_free(messages);
}

int
worker_new(struct broker *broker, unsigned index,
    void (*ended)(void *context, struct worker *worker), void *context,
    struct worker **out_worker)
{
	struct worker *worker;
	int code;

	worker = calloc(1, sizeof(*worker));
	if (worker == NULL)
		return EXIT_OSERR;
	worker->broker = broker;
	worker->index = index;
	worker->ended = ended;
	worker->ended_context = context;
	worker->counters = stats_block(broker->stats, index);
	worker->alarm_armed_ns = UINT64_MAX;
	if (!make_parts(worker)) {
		log_error("worker_failed", "error=%s", log_quote("no memory"));
		discard(worker);
		return EXIT_OSERR;
	}
	code = worker_listeners_open(worker);
	if (code != EXIT_OK) {
		discard(worker);
		return code;
	}
	*out_worker = worker;
	return EXIT_OK;
}

void
worker_use_commit(struct worker *worker, struct commit_port *port)
{
	worker->commit = port;
	worker->sessions.commit = port;
	if (port != NULL) /* at the end there is none any more */
		commit_port_trim(port, &worker->trimmer);
}

int
worker_start(struct worker *worker)
{
	const uint64_t interval_ns = worker->broker->conf->sys_interval_ns;
	int err;

	err = worker_listeners_start(worker);
	if (err != 0)
		return err;
	if (worker->index == 0 && interval_ns != 0) {
		worker->sys = sys_topics_new(worker, interval_ns);
		if (worker->sys == NULL)
			return -ENOMEM;
	}
	err = thread_start(&worker->thread, run, worker);
	worker->is_running = err == 0;
	return err;
}

void
worker_join(struct worker *worker)
{
	if (worker == NULL || !worker->is_running)
		return;
	pthread_join(worker->thread, NULL);
	worker->is_running = false;
	/* From here on its objects are the main thread's. */
}

void
worker_end_sessions(struct worker *worker)
{
	struct client *client;

	worker->draining = true;
	worker->is_over = true;
	/* What the journal has goes on in the next life. */
	worker_use_commit(worker, NULL);
	while ((client = worker->clients.first) != NULL)
		client_close(client, false);
	free_graveyard(worker);
	settle_fini(worker);
	for (; worker->pumped != NULL;
	     worker->pumped = worker->pumped->next_pumped)
		worker->pumped->is_pumped = false;
	for (; worker->acking != NULL;
	     worker->acking = worker->acking->next_acking)
		worker->acking->is_acking = false;
	will_queue_fini(worker);
	claims_fini(&worker->claims);
	redispatch_fini(worker);
	estates_fini(worker);
	sessions_end_all(&worker->sessions);
}

void
worker_free(struct worker *worker)
{
	if (worker == NULL)
		return;
	worker_listeners_free(worker);
	loop_fd_stop(&worker->mail_watch);
	sys_topics_free(worker->sys);
	if (worker->loop != NULL) {
		loop_timer_stop(&worker->alarm_timer);
		loop_timer_stop(&worker->retry_timer);
		loop_timer_stop(&worker->notes_timer);
		loop_timer_stop(&worker->drain_timer);
		held_fini(worker);
		limits_fini(worker);
		connection_faults_free(worker->faults);
		give_back_fini(worker);
		pool_trimmer_fini(&worker->trimmer);
		stream_hub_free(worker->hub);
		if (worker->flushed_hook.run != NULL)
			loop_remove_hook(worker->loop, &worker->flushed_hook);
		if (worker->hook.run != NULL)
			loop_remove_hook(worker->loop, &worker->hook);
	}
	loop_free(worker->loop);
	if (worker->sessions.buckets != NULL)
		sessions_fini(&worker->sessions);
	alarms_fini(&worker->alarms);
	encoder_free(worker->encoder);
	tally_free(worker->tally);
	mailbox_free(worker->mailbox);
	free(worker);
}
