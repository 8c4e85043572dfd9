/* SPDX-License-Identifier: Apache-2.0 */

/*
 * line - what the commit line costs, without network and protocol.
 *
 *	bench/line -d DIRECTORY [-m members] [-p publishers] [-w window]
 *	           [-s bytes] [-t seconds] [-n | -y us]
 *
 * Each publisher has `window` messages for one offline cursor unanswered and
 * sends the next when one is settled; publishers are spread over `members`
 * threads.  -n: without a sync; -y: with one that takes so long and does
 * nothing, for a directory in memory.  Prints messages a second, messages a
 * commit, and the CPU time of a message in all threads.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker/commit.h"
#include "common/base/clock.h"

#define MAX_MEMBERS 16
#define CURSOR 1

struct member {
	unsigned number;
	struct mailbox *mailbox;
	struct message_pools *pools;
	struct commit_port *port;
	pthread_t thread;
	unsigned credit; /* messages that may be sent */
	uint64_t settled;
	uint64_t delivered;
	size_t bytes;
};

static struct member members[MAX_MEMBERS];
static atomic_bool stops;

static void
die(const char *what, int err)
{
	fprintf(stderr, "line: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void
on_deliver(void *context, struct message *message, uint64_t sequence,
    const struct commit_delivery *delivery)
{
	struct member *member = context;

	(void)message;
	(void)delivery;
	if (sequence == 0)
		abort();
	member->delivered++;
}

static void
on_settled(void *context, const struct commit_letter *letter)
{
	struct member *member = context;

	if (letter->reason != MQTT_SUCCESS)
		die("refused", -EIO);
	if (letter->last_ticket == 0)
		return;
	member->credit +=
	    (unsigned)(letter->last_ticket - letter->first_ticket + 1);
	member->settled = letter->last_ticket;
}

static int
write_state(void *context, struct store_checkpoint *checkpoint)
{
	(void)context;
	(void)checkpoint;
	return 0;
}

static void
send_one(struct member *member)
{
	static const uint8_t payload[65536];
	struct message *message;
	struct commit_item *item;

	message = message_new(member->pools,
	    &(struct message_parts){
		.topic = slice_of("bench/line", 10),
		.payload = slice_of(payload, member->bytes),
		.qos = 1,
		.link = MESSAGE_FROM_MQTT,
		.created_ns = clock_now_ns(),
		.expires_ns = UINT64_MAX,
	    });
	item = message == NULL ? NULL : commit_begin(member->port, message);
	if (item == NULL)
		die("memory", -ENOMEM);
	message_put(message);
	commit_add(item,
	    &(struct commit_delivery){
		.cursor = CURSOR,
		.member = (uint16_t)member->number,
		.qos = 1,
		.is_durable = true,
	    });
	commit_send(member->port, item, &(struct commit_origin){ 0 });
}

static void *
run(void *arg)
{
	struct member *member = arg;
	struct pollfd ready = { mailbox_fd(member->mailbox), POLLIN, 0 };

	message_pools_adopt(member->pools);
	while (!atomic_load_explicit(&stops, memory_order_relaxed)) {
		for (; member->credit > 0; member->credit--)
			send_one(member);
		commit_flush(member->port);
		poll(&ready, 1, 100);
		mailbox_open(member->mailbox, 0);
	}
	return NULL;
}

/* ---- a journal ---------------------------------------------------------- */

static uint64_t sync_us;

static int
wait_as_sync(void *context, int file)
{
	const struct timespec time = { .tv_nsec = (long)(sync_us * 1000) };

	(void)context;
	(void)file;
	nanosleep(&time, NULL);
	return 0;
}

static struct store *
open_store(struct store_io *io, const char *directory, bool is_synced)
{
	const struct store_sink sink = { 0 };
	struct store *store;
	int err;

	err = store_io_posix_open(directory, false, io);
	if (err != 0)
		die(directory, err);
	if (sync_us != 0)
		io->sync = wait_as_sync;
	err = store_open(
	    &(struct store_spec){
		.io = io,
		.segment_bytes = UINT64_C(64) << 20,
		.max_bytes = UINT64_C(16) << 30,
		.is_synced = is_synced,
	    },
	    &sink, &store);
	if (err == 0)
		err = store_append_open(store, CURSOR);
	if (err == 0)
		err = store_commit(store, true);
	if (err != 0)
		die("store", err);
	return store;
}

/* ---- the run --------------------------------------------------------------
 */

struct plan {
	const char *directory;
	unsigned members, publishers, window, seconds;
	size_t bytes;
	bool is_synced;
};

static struct commit *
make_commit(const struct plan *plan, struct store *store)
{
	struct commit_member list[MAX_MEMBERS];
	struct commit *commit;

	for (unsigned i = 0; i < plan->members; i++) {
		members[i] = (struct member){
			.number = i,
			.mailbox = mailbox_new(&members[i]),
			.pools = message_pools_new(),
			.bytes = plan->bytes,
			.credit =
			    plan->publishers * plan->window / plan->members,
		};
		list[i] = (struct commit_member){
			.mailbox = members[i].mailbox,
			.context = &members[i],
			.deliver = on_deliver,
			.settled = on_settled,
		};
	}
	commit = commit_new(&(struct commit_spec){
	    .store = store,
	    .members = list,
	    .member_count = plan->members,
	    .window_bytes = SIZE_MAX / 2,
	    .write_state = write_state,
	});
	if (commit == NULL || commit_start(commit) != 0)
		die("commit", -ENOMEM);
	return commit;
}

static uint64_t
cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return ((uint64_t)usage.ru_utime.tv_sec +
		   (uint64_t)usage.ru_stime.tv_sec) *
	    CLOCK_SECOND_NS +
	    ((uint64_t)usage.ru_utime.tv_usec +
		(uint64_t)usage.ru_stime.tv_usec) *
	    1000;
}

static void
measure(const struct plan *plan, struct commit *commit, struct store *store)
{
	struct store_stat before, after;
	uint64_t began_ns, began_cpu_ns, settled = 0;
	double seconds;

	store_stat(store, &before);
	began_ns = clock_now_ns();
	began_cpu_ns = cpu_ns();
	for (unsigned i = 0; i < plan->members; i++) {
		members[i].port = commit_port(commit, i);
		if (pthread_create(
			&members[i].thread, NULL, run, &members[i]) != 0)
			die("thread", -EAGAIN);
	}
	sleep(plan->seconds);
	atomic_store(&stops, true);
	for (unsigned i = 0; i < plan->members; i++) {
		pthread_join(members[i].thread, NULL);
		settled += members[i].settled;
	}
	seconds = (double)(clock_now_ns() - began_ns) / 1e9;
	store_stat(store, &after);
	printf("publishers=%u window=%u members=%u sync=%d: %.0f/s, "
	       "%.0f a commit, %.2f us of CPU each, sync %.2f ms\n",
	    plan->publishers, plan->window, plan->members, plan->is_synced,
	    (double)settled / seconds,
	    (double)settled / (double)(after.commits - before.commits),
	    (double)(cpu_ns() - began_cpu_ns) / 1000 / (double)settled,
	    (double)(after.sync_ns_total - before.sync_ns_total) / 1e6 /
		(double)(after.syncs - before.syncs + (after.syncs == 0)));
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: line -d DIRECTORY [-m members] [-p publishers] "
	    "[-w window]\n"
	    "            [-s bytes] [-t seconds] [-n | -y us]\n");
	exit(64);
}

static struct plan
read_options(int argc, char **argv)
{
	struct plan plan = { .members = 1,
		.publishers = 32,
		.window = 16,
		.seconds = 2,
		.bytes = 64,
		.is_synced = true };
	int option;

	while ((option = getopt(argc, argv, "d:m:p:w:s:t:ny:")) != -1) {
		switch (option) {
		case 'd':
			plan.directory = optarg;
			break;
		case 'm':
			plan.members = (unsigned)atoi(optarg);
			break;
		case 'p':
			plan.publishers = (unsigned)atoi(optarg);
			break;
		case 'w':
			plan.window = (unsigned)atoi(optarg);
			break;
		case 's':
			plan.bytes = (size_t)atoi(optarg);
			break;
		case 't':
			plan.seconds = (unsigned)atoi(optarg);
			break;
		case 'y':
			sync_us = (uint64_t)atoi(optarg);
			break;
		case 'n':
			plan.is_synced = false;
			break;
		default:
			usage();
		}
	}
	if (plan.directory == NULL || optind != argc || plan.members == 0 ||
	    plan.members > MAX_MEMBERS || plan.publishers == 0 ||
	    plan.window == 0 || plan.seconds == 0 || plan.bytes > 65536 ||
	    sync_us >= 1000000)
		usage();
	return plan;
}

int
main(int argc, char **argv)
{
	struct plan plan = read_options(argc, argv);
	struct store_io io;
	struct commit *commit;
	struct store *store;

	store = open_store(&io, plan.directory, plan.is_synced);
	commit = make_commit(&plan, store);
	measure(&plan, commit, store);
	commit_stop(commit, false);
	for (unsigned i = 0; i < plan.members; i++)
		mailbox_open(members[i].mailbox, 0);
	commit_free(commit);
	store_close(store);
	store_io_posix_close(&io);
	for (unsigned i = 0; i < plan.members; i++) {
		mailbox_free(members[i].mailbox);
		message_pools_free(members[i].pools);
	}
	return 0;
}
