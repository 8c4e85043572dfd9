/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/broker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker/auth_revoke.h"
#include "broker/counters.h"
#include "broker/gate.h"
#include "broker/journal.h"
#include "broker/limits.h"
#include "broker/links.h"
#include "broker/listener_tls.h"
#include "broker/manage_file.h"
#include "broker/rcu.h"
#include "broker/recover.h"
#include "broker/retain.h"
#include "broker/route.h"
#include "broker/share_strategy.h"
#include "broker/subscription_tree.h"
#include "broker/worker.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/service/service.h"

/* How often certificates are looked at whether they end soon. */
#define TLS_WATCH_NS (3600 * CLOCK_SECOND_NS)

/* How often the links are asked whether they are done. */
#define LINKS_POLL_NS (5 * CLOCK_MS_NS)

/* A worker's last word to the main thread. */
struct ended_mail {
	struct mail mail;
	struct broker_life *life;
};

/* What only the start and the end need to know. */
struct broker_life {
	struct broker broker;
	struct service *service;
	struct ended_mail *ended;
	unsigned ended_count;
	struct loop_timer links_timer;
	struct loop_timer tls_timer;
	bool draining;
};

static struct broker_life *
life_of(struct broker *broker)
{
	return CONTAINER_OF(broker, struct broker_life, broker);
}

/* ---- the end ------------------------------------------------------------ */

static void
on_links_timer(void *arg)
{
	struct broker_life *life = arg;

	if (links_drain(life->broker.links))
		service_stop(life->service, EXIT_OK);
	else
		loop_timer_start(&life->links_timer, LINKS_POLL_NS);
}

static void
on_worker_ended_mail(struct mail *mail, void *owner)
{
	struct ended_mail *ended = CONTAINER_OF(mail, struct ended_mail, mail);
	struct broker_life *life = ended->life;

	(void)owner;
	if (++life->ended_count == life->broker.worker_count)
		loop_timer_start(&life->links_timer, 0);
}

/* On the worker's thread. */
static void
on_worker_ended(void *context, struct worker *worker)
{
	struct broker_life *life = context;
	struct ended_mail *ended = &life->ended[worker->index];

	ended->mail.open = on_worker_ended_mail;
	ended->life = life;
	mailbox_put(life->broker.links_mailbox, &ended->mail);
	mailbox_wake(life->broker.links_mailbox);
}

void
broker_drain(struct broker *broker)
{
	struct broker_life *life = life_of(broker);

	if (life->draining || broker->workers == NULL)
		return;
	life->draining = true;
	log_info("broker_draining", "connections=%u",
	    atomic_load_explicit(&broker->connections, memory_order_relaxed));
	for (unsigned i = 0; i < broker->worker_count; i++)
		if (broker->workers[i] != NULL)
			worker_drain(broker->workers[i]);
}

/* ---- another configuration ----------------------------------------------- */

/* For who asked for the reload, and the log. */
static void
say_restart(void *context, const char *key)
{
	struct broker *broker = context;

	log_warning("reload_incomplete",
	    "key=%s reason=\"it has changed: this takes effect when its "
	    "program is restarted\"",
	    log_quote(key));
	if (broker->reload_notes != NULL)
		fprintf(broker->reload_notes, "%s\n", key);
}

static void
say_bridge(struct broker *broker, const char *name)
{
	char key[CONF_MAX_BRIDGE_NAME + sizeof("bridges.")];

	snprintf(key, sizeof(key), "bridges.%s", name);
	say_restart(broker, key);
}

/* Bridges come and go with the broker alone. */
static void
say_what_stays(struct broker *broker, const struct conf *conf)
{
	const struct conf *now = broker->conf;

	conf_restart_changes(now, conf, say_restart, broker);
	for (size_t i = 0; i < conf->bridge_count; i++)
		if (conf_bridge(now, conf->bridges[i].name) == NULL)
			say_bridge(broker, conf->bridges[i].name);
	for (size_t i = 0; i < now->bridge_count; i++)
		if (conf_bridge(conf, now->bridges[i].name) == NULL)
			say_bridge(broker, now->bridges[i].name);
}

static void
take_accounts(struct broker *broker, const struct conf *conf)
{
	if (auth_reload(broker->auth, conf) != 0)
		log_error("reload_failed",
		    "reason=\"the accounts stay as they were\"");
	else
		auth_revoke(broker);
}

/* Certificates end by themselves. */
static void
watch_tls(void *arg)
{
	struct broker_life *life = arg;
	struct broker *broker = &life->broker;

	stats_set(stats_block(broker->stats, broker->worker_count),
	    COUNT_tls_certificate_days,
	    listener_tls_watch(broker->tls, clock_now_ns()));
	loop_timer_start(&life->tls_timer, TLS_WATCH_NS);
}

void
broker_reload(struct broker *broker, const struct conf *conf)
{
	int err;

	log_set_level(conf->log_level);
	gate_change(broker->gate, conf, clock_now_ns());
	limits_reload(broker, conf);
	say_what_stays(broker, conf);
	take_accounts(broker, conf);
	listener_tls_reload(broker->tls, conf);
	watch_tls(life_of(broker));
	err = bridge_table_replace(broker->bridges, conf);
	if (err != 0) {
		log_error(
		    "reload_failed", "error=%s", log_quote(strerror(-err)));
		return;
	}
	links_policies_changed(broker->links, conf);
	links_filters_changed(broker->links);
}

const struct conf *
broker_configured(struct broker *broker)
{
	return service_conf(life_of(broker)->service);
}

int
broker_reload_file(struct broker *broker, char **out_mistakes)
{
	return service_reload(life_of(broker)->service, out_mistakes);
}

/* Mail makes mail: until nobody gets any. */
static void
open_all_mail(struct broker *broker)
{
	unsigned opened;

	do {
		opened = 0;
		urcu_memb_barrier();
		for (unsigned i = 0; i < broker->worker_count; i++)
			if (broker->workers[i] != NULL)
				opened += mailbox_open(
				    broker->workers[i]->mailbox, 0);
		if (broker->links_mailbox != NULL)
			opened += mailbox_open(broker->links_mailbox, 0);
	} while (opened != 0);
}

static void
free_workers(struct broker *broker)
{
	struct message_pools *messages[BROKER_MAX_WORKERS] = { 0 };
	struct router *routers[BROKER_MAX_WORKERS] = { 0 };
	struct worker *worker;
	unsigned i;

	BUG_ON(broker->worker_count > BROKER_MAX_WORKERS);
	for (i = 0; i < broker->worker_count; i++)
		if (broker->workers[i] != NULL)
			worker_end_sessions(broker->workers[i]);
	manage_file_finish(broker->links);
	open_all_mail(broker);
	/* Its ports' letters are opened, its messages still have pools. */
	links_free(broker->links);
	for (i = 0; i < broker->worker_count; i++) {
		worker = broker->workers[i];
		if (worker == NULL)
			continue;
		messages[i] = worker->messages;
		routers[i] = worker->router;
		worker_free(worker);
	}
	retained_free(broker->retained);
	router_free(broker->links_router);
	journal_close(broker);
	for (i = 0; i < broker->worker_count; i++) {
		router_free(routers[i]);
		message_pools_free(messages[i]);
	}
	message_pools_free(broker->links_messages);
	free(broker->workers);
}

void
broker_free(struct broker *broker)
{
	struct broker_life *life;

	if (broker == NULL)
		return;
	life = life_of(broker);
	/* Without a drain, or one that took too long: now. */
	broker_drain(broker);
	if (broker->workers != NULL)
		for (unsigned i = 0; i < broker->worker_count; i++)
			worker_join(broker->workers[i]);
	journal_stop(broker);
	loop_timer_stop(&life->links_timer);
	loop_timer_stop(&life->tls_timer);
	auth_stop(broker->auth);
	if (broker->workers != NULL)
		free_workers(broker);
	else
		retained_free(broker->retained);
	listener_tls_free(broker->tls);
	auth_free(broker->auth);
	gate_free(broker->gate);
	subscription_tree_free(broker->subscriptions);
	bridge_table_free(broker->bridges);
	mailbox_free(broker->links_mailbox);
	stats_free(broker->stats);
	fdstore_fini(&broker->kept);
	free(life->ended);
	free(life);
	rcu_thread_end();
}

/* ---- the start ----------------------------------------------------------- */

static struct gate *
make_gate(const struct broker *broker)
{
	uint64_t seed;

	memcpy(&seed, broker->instance, sizeof(seed));
	return gate_new(broker->conf, seed, clock_now_ns());
}

static bool
make_tables(struct broker *broker)
{
	const struct conf *conf = broker->conf;

	broker->bridges = bridge_table_new(conf);
	broker->subscriptions = subscription_tree_new();
	if (broker->subscriptions != NULL)
		subscription_tree_use_strategies(
		    broker->subscriptions, share_strategy_of, conf);
	broker->retained =
	    retained_new(conf->retained_max_messages, conf->retained_max_bytes);
	broker->gate = make_gate(broker);
	broker->links_mailbox = mailbox_new(broker);
	broker->workers = calloc(broker->worker_count, sizeof(struct worker *));
	life_of(broker)->ended =
	    calloc(broker->worker_count, sizeof(struct ended_mail));
	/* A block of counters a worker, one for links, one for the journal. */
	return stats_create("weir-broker", counter_rows, COUNT_ROWS,
		   broker->worker_count + 2, &broker->stats) == 0 &&
	    broker->bridges != NULL && broker->subscriptions != NULL &&
	    broker->retained != NULL && broker->gate != NULL &&
	    broker->links_mailbox != NULL && broker->workers != NULL &&
	    life_of(broker)->ended != NULL;
}

static int
make_workers(struct broker *broker)
{
	struct worker *worker;
	int code;

	for (unsigned i = 0; i < broker->worker_count; i++) {
		code = worker_new(
		    broker, i, on_worker_ended, life_of(broker), &worker);
		if (code != EXIT_OK)
			return code;
		broker->workers[i] = worker;
	}
	broker->links_router = router_new(broker, NULL);
	return broker->links_router == NULL ? EXIT_OSERR : EXIT_OK;
}

static int
start_threads(struct broker *broker)
{
	struct worker *worker;
	int err;

	for (unsigned i = 0; i < broker->worker_count; i++) {
		worker = broker->workers[i];
		worker->port =
		    links_port(broker->links, i, worker_bridges_moved, worker);
		if (worker->port == NULL) {
			log_error("worker_failed", "worker=%u error=%s", i,
			    log_quote("no memory for its port"));
			return EXIT_OSERR;
		}
	}
	for (unsigned i = 0; i < broker->worker_count; i++) {
		err = worker_start(broker->workers[i]);
		if (err != 0) {
			log_error("worker_failed", "worker=%u error=%s", i,
			    log_quote(strerror(-err)));
			return EXIT_OSERR;
		}
	}
	err = links_start(broker->links);
	if (err != 0) {
		log_error(
		    "links_failed", "error=%s", log_quote(strerror(-err)));
		return EXIT_OSERR;
	}
	return EXIT_OK;
}

static void
log_listeners(const struct broker *broker)
{
	const struct worker *worker = broker->workers[0];

	for (size_t i = 0; i < worker->listener_count; i++)
		log_info("listening", "address=%s workers=%u tls=%s",
		    listener_address(worker->listeners[i]),
		    broker->worker_count,
		    listener_tls_is_on(broker->tls, i) ? "yes" : "no");
}

static int
start(struct broker *broker)
{
	int code, err;

	err = fdstore_init(&broker->kept);
	if (err != 0) {
		log_error("broker_failed",
		    "error=%s help=\"LISTEN_FDS and LISTEN_FDNAMES contradict "
		    "each other\"",
		    log_quote(strerror(-err)));
		return EXIT_OSERR;
	}
	if (!make_tables(broker)) {
		log_error("broker_failed", "error=%s", log_quote("no memory"));
		return EXIT_OSERR;
	}
	broker->auth = auth_new(broker->conf);
	if (broker->auth == NULL)
		return errno == EINVAL ? EXIT_CONFIG : EXIT_OSERR;
	code = listener_tls_new(broker->conf, &broker->tls);
	if (code != EXIT_OK)
		return code;
	code = make_workers(broker);
	if (code != EXIT_OK)
		return code;
	watch_tls(life_of(broker));
	code = journal_open(broker);
	if (code != EXIT_OK)
		return code;
	log_listeners(broker);
	broker->links = links_new(broker);
	if (broker->links == NULL)
		return EXIT_OSERR;
	code = journal_start(broker);
	if (code == EXIT_OK)
		code = start_threads(broker);
	recovered_free(broker->recovered);
	broker->recovered = NULL;
	/* What was kept is judged by the accounts of now. */
	if (code == EXIT_OK && auth_limits_subscriptions(broker->auth))
		auth_revoke(broker);
	return code;
}

/* Two numbers that nobody can guess. */
static bool
draw(struct broker *broker)
{
	return getrandom(broker->instance, sizeof(broker->instance), 0) ==
	    sizeof(broker->instance) &&
	    getrandom(&broker->client_seed, sizeof(broker->client_seed), 0) ==
	    sizeof(broker->client_seed);
}

int
broker_new(struct service *service, struct broker **out_broker)
{
	struct broker_life *life;
	struct broker *broker;
	int code;

	life = calloc(1, sizeof(*life));
	if (life == NULL)
		return EXIT_OSERR;
	broker = &life->broker;
	life->service = service;
	broker->conf = service_conf(service);
	broker->loop = service_loop(service);
	broker->worker_count = broker->conf->workers;
	broker->max_packet_size = broker->conf->max_packet_size;
	broker->started_ns = clock_now_ns();
	atomic_init(&broker->next_cursor, 1); /* 0: nobody */
	loop_timer_init(&life->links_timer, broker->loop, on_links_timer, life);
	loop_timer_init(&life->tls_timer, broker->loop, watch_tls, life);
	rcu_thread_start();
	if (!draw(broker)) {
		log_error("broker_failed", "error=%s",
		    log_quote("the kernel gives no random bytes"));
		code = EXIT_OSERR;
	} else {
		code = start(broker);
	}
	if (code != EXIT_OK) {
		broker_free(broker);
		return code;
	}
	*out_broker = broker;
	return EXIT_OK;
}
