/* SPDX-License-Identifier: Apache-2.0 */

/*
 * order - is every message delivered, once, and in order?
 *
 *	bench/order -p PORT [--filters own|all|exact|overlap|shared] ...
 *
 * Publishers send numbered messages, subscribers of MQTT 5.0 and 3.1.1 side by
 * side write down what they get.  With --cut-every and --publisher-cut-every
 * connections end on the way and sessions are resumed, or taken over.  What is
 * checked, for each publisher, subscriber and QoS:
 *
 *	no message of QoS 1 or 2 is lost		[MQTT-4.1.0-1]
 *	QoS 2 comes exactly once			[MQTT-4.3.3-1]
 *	QoS 1 comes again only after a connection ended, with DUP, unless its
 *	publisher has sent it again			[MQTT-3.3.1-1]
 *	new messages come in the order they were sent in, and what is sent
 *	again in that of the first time			[MQTT-4.6.0-1]
 *	the QoS is the lower of published and granted	[MQTT-3.8.4-8]
 *
 * Prints one line of key=value; exit status 1 when anything was wrong, with
 * the first mistakes on stderr.
 */

#include "bench/order.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/options.h"

#define EVENTS 256
#define ROUND_MS 1

#define FIELD(field) offsetof(struct order_options, field)
#define U64(field) OPTION_U64, FIELD(field), NULL
#define FLAG(field) OPTION_FLAG, FIELD(field), NULL

static const struct option_row rows[] = {
	{ 'p', "port", "PORT", "the broker's, on the loopback address",
	    U64(port) },
	{ 'P', "publishers", "N", "clients that publish", U64(publishers) },
	{ 'S', "subscribers", "N", "clients that subscribe", U64(subscribers) },
	{ 'T', "topics", "N", "of each publisher", U64(topics) },
	{ 'n', "messages", "N", "of each publisher", U64(messages) },
	{ 'w', "window", "N", "unacknowledged of each publisher", U64(window) },
	{ 'r', "receive-maximum", "N", "of subscribers with MQTT 5.0",
	    U64(receive_maximum) },
	{ 'q', "qos", "QOS...", "of one message after the other, as in 012",
	    OPTION_STRING, FIELD(qos), NULL },
	{ 'g', "granted", "QOS", "that is subscribed with", U64(granted) },
	{ 'N', "name", "TEXT", "of clients and topics, up to 8 bytes",
	    OPTION_STRING, FIELD(name), NULL },
	{ 'f', "filters", "HOW", "own, all, exact, overlap or shared",
	    OPTION_STRING, FIELD(filters), NULL },
	{ 'c', "cut-every", "N", "messages until a subscriber is cut off",
	    U64(cut_every) },
	{ 'C', "publisher-cut-every", "N", "likewise, a publisher",
	    U64(publisher_cut_every) },
	{ 'o', "take-over", NULL, "instead, a new connection comes first",
	    FLAG(takes_over) },
	{ 'k', "kept", NULL, "subscribers' sessions are kept", FLAG(is_kept) },
	{ 'R', "retain", NULL, "messages are retained", FLAG(is_retained) },
	{ 0, "slow", "N", "subscribers that read little at a time", U64(slow) },
	{ 't', "seconds", "N", "time that is given to arrive", U64(seconds) },
	{ 0, "seed", "N", "of the dice", U64(seed) },
};

static const char *const words[] = {
	[ORDER_OWN] = "own",
	[ORDER_ALL] = "all",
	[ORDER_EXACT] = "exact",
	[ORDER_OVERLAP] = "overlap",
	[ORDER_SHARED] = "shared",
};

static const char *
find_mistake(struct order_options *options)
{
	size_t how = 0;

	while (how < ARRAY_LENGTH(words) &&
	    strcmp(words[how], options->filters) != 0)
		how++;
	if (how == ARRAY_LENGTH(words))
		return "--filters takes own, all, exact, overlap or shared";
	options->how = (enum order_filters)how;
	if (strlen(options->name) > 8)
		return "--name takes up to 8 bytes";
	if (options->port == 0 || options->port > UINT16_MAX)
		return "-p PORT is missing or no port";
	if (options->qos[0] == '\0' ||
	    strspn(options->qos, "012") != strlen(options->qos))
		return "--qos takes digits from 0 to 2";
	if (options->publishers == 0 || options->subscribers == 0 ||
	    options->topics == 0 || options->messages == 0 ||
	    options->publishers * options->topics > ORDER_MAX_TOPICS)
		return "--publishers, --subscribers, --topics and --messages "
		       "take 1 or more; up to 1024 topics in all";
	if (options->window == 0 || options->window > ORDER_MAX_WINDOW)
		return "--window takes 1 to 1024";
	if (options->receive_maximum > UINT16_MAX || options->granted > 2)
		return "--receive-maximum takes up to 65535, --granted 0 to 2";
	if (options->cut_every != 0 && !options->is_kept &&
	    options->how != ORDER_SHARED)
		return "--cut-every needs --kept, or --filters shared";
	return NULL;
}

static int
read_options(struct order_options *options, int argc, char **argv)
{
	static const struct options table = {
		.program = "order",
		.synopsis = "-p PORT [OPTIONS]",
		.summary = "Is every message delivered, once, and in order?",
		.rows = rows,
		.count = ARRAY_LENGTH(rows),
	};
	const char *mistake;
	int code;

	code = options_parse(&table, options, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc != 1)
		return options_usage_error(
		    &table, "\"%s\" is no option", argv[1]);
	mistake = find_mistake(options);
	return mistake == NULL ? OPTIONS_GO
			       : options_usage_error(&table, "%s", mistake);
}

/* ---- the run ------------------------------------------------------------- */

struct crowd {
	struct order *order;
	struct order_peer **peers; /* subscribers, then publishers */
	unsigned subscribers, count;
	int epoll;
};

static bool
are_ready(const struct crowd *crowd, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!order_peer_is_ready(crowd->peers[i]))
			return false;
	return true;
}

static bool
are_done(const struct crowd *crowd)
{
	if (crowd->order->seen < crowd->order->expected)
		return false;
	for (unsigned i = crowd->subscribers; i < crowd->count; i++)
		if (!order_peer_is_done(crowd->peers[i]))
			return false;
	return true;
}

static void
run_round(struct crowd *crowd, unsigned count)
{
	struct epoll_event events[EVENTS];
	int ready;

	ready = epoll_wait(crowd->epoll, events, EVENTS, ROUND_MS);
	for (int i = 0; i < ready; i++)
		order_peer_event(events[i].data.ptr, events[i].events);
	for (unsigned i = 0; i < count; i++)
		order_peer_turn(crowd->peers[i]);
}

/* Subscribers first: what is published before them they do not get. */
static bool
run(struct crowd *crowd)
{
	const uint64_t until_ns =
	    clock_now_ns() + crowd->order->options.seconds * CLOCK_SECOND_NS;
	uint64_t quiet_ns;

	for (unsigned i = 0; i < crowd->subscribers; i++)
		order_peer_start(crowd->peers[i]);
	while (!are_ready(crowd, crowd->subscribers))
		if (clock_now_ns() > until_ns)
			return false;
		else
			run_round(crowd, crowd->subscribers);
	for (unsigned i = crowd->subscribers; i < crowd->count; i++)
		order_peer_start(crowd->peers[i]);
	while (!are_done(crowd))
		if (clock_now_ns() > until_ns)
			return false;
		else
			run_round(crowd, crowd->count);
	/* Is there one too many on its way? */
	quiet_ns = clock_now_ns() + 50 * CLOCK_MS_NS;
	while (clock_now_ns() < quiet_ns)
		run_round(crowd, crowd->count);
	return true;
}

static int
make_crowd(struct crowd *crowd, struct order *order)
{
	const unsigned publishers = (unsigned)order->options.publishers;

	crowd->order = order;
	crowd->subscribers = (unsigned)order->options.subscribers;
	crowd->count = crowd->subscribers + publishers;
	crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
	crowd->peers = calloc(crowd->count, sizeof(*crowd->peers));
	if (crowd->epoll == -1 || crowd->peers == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < crowd->count; i++) {
		crowd->peers[i] = order_peer_new(order,
		    i < crowd->subscribers ? i : i - crowd->subscribers,
		    i >= crowd->subscribers, crowd->epoll);
		if (crowd->peers[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void
print_result(const struct order *order, uint64_t ns)
{
	const struct order_result *result = &order->result;

	printf("received=%" PRIu64 " expected=%" PRIu64 " lost=%" PRIu64
	       " doubled=%" PRIu64 " disordered=%" PRIu64 " wrong=%" PRIu64
	       " repeated=%" PRIu64 " cuts=%" PRIu64 " ms=%" PRIu64 "\n",
	    result->received, order->expected, result->lost, result->doubled,
	    result->disordered, result->wrong, result->repeated, result->cuts,
	    ns / CLOCK_MS_NS);
}

int
main(int argc, char **argv)
{
	struct order order = {
		.options = {
			.publishers = 4,
			.subscribers = 4,
			.topics = 1,
			.messages = 1000,
			.window = 64,
			.granted = 2,
			.seed = 1,
			.seconds = 60,
			.qos = "012",
			.filters = "own",
			.name = "order",
		},
	};
	struct crowd crowd;
	uint64_t began_ns;
	int code;

	code = read_options(&order.options, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (order_books_init(&order) != 0 || make_crowd(&crowd, &order) != 0) {
		fprintf(stderr, "order: no memory\n");
		return EXIT_FAILED;
	}
	began_ns = clock_now_ns();
	if (!run(&crowd))
		fprintf(stderr, "order: not all came in time\n");
	for (unsigned i = 0; i < crowd.count; i++)
		order_peer_free(crowd.peers[i]);
	order_count_lost(&order);
	print_result(&order, clock_now_ns() - began_ns);
	free(crowd.peers);
	close(crowd.epoll);
	order_books_fini(&order);
	return order.seen == order.expected && order.result.lost == 0 &&
		order.result.doubled == 0 && order.result.disordered == 0 &&
		order.result.wrong == 0
	    ? EXIT_OK
	    : EXIT_FAILED;
}
