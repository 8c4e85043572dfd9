/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/ring_cases.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bench/ring_pair.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define FAR_AHEAD (UINT64_C(1) << 40) /* credit that never runs out */
#define SLEEP_NS 100000               /* long enough to be asleep after it */

/* ---- figures ------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double
quantile(double *values, size_t count, double share)
{
	qsort(values, count, sizeof(*values), compare);
	return values[(size_t)((double)(count - 1) * share)];
}

static double *
new_values(size_t count)
{
	double *values = calloc(count, sizeof(*values));

	BUG_ON(values == NULL || count == 0);
	return values;
}

/* ---- records ------------------------------------------------------------- */

/* Put one record of `length` bytes; false without room. */
static bool
put(struct ring_producer *producer, size_t length, uint64_t time_ns)
{
	const struct ring_record record = { .kind = 1, .time_ns = time_ns };
	void *payload;

	if (ring_claim(producer, length, &payload) != 0)
		return false;
	memset(payload, 'x', length);
	ring_put(producer, &record);
	return true;
}

/* ---- latency ------------------------------------------------------------- */

struct latency {
	struct ring_pair pair;
	bool sleeps;
	unsigned samples;
	double *late_ns;
};

/* Arm, fence, look again, sleep: what a program's loop does. */
static void
sleep_until_rung(struct ring_link *link, int epoll)
{
	struct ring_consumer *consumer = ring_link_consumer(link, 0);
	struct epoll_event event;

	ring_link_arm(link);
	ring_fence();
	if (!ring_consumer_has_record(consumer))
		(void)epoll_wait(epoll, &event, 1, -1);
	ring_link_disarm(link);
}

static int
watch_bell(const struct ring_link *link)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll, err;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	BUG_ON(epoll == -1);
	err = epoll_ctl(epoll, EPOLL_CTL_ADD, ring_link_bell_fd(link), &event);
	BUG_ON(err != 0);
	return epoll;
}

static void *
receive_late(void *context)
{
	struct latency *l = context;
	struct ring_consumer *consumer = ring_link_consumer(l->pair.broker, 0);
	const struct ring_outcome outcome = { .delivered = 1 };
	struct ring_record record;
	const void *payload;
	int epoll = watch_bell(l->pair.broker);

	for (unsigned i = 0; i < l->samples;) {
		if (ring_peek(consumer, &record, &payload) != 1) {
			if (l->sleeps)
				sleep_until_rung(l->pair.broker, epoll);
			continue;
		}
		l->late_ns[i++] = (double)(clock_now_ns() - record.time_ns);
		ring_release(consumer, ring_next(consumer), &outcome, 1);
		ring_link_wake(l->pair.broker);
	}
	close(epoll);
	return NULL;
}

static void
send_late(struct latency *l)
{
	const struct timespec pause = { .tv_nsec = SLEEP_NS };
	struct ring_producer *producer =
	    ring_link_producer(l->pair.endpoint, 0);

	for (unsigned i = 0; i < l->samples; i++) {
		nanosleep(&pause, NULL);
		while (!put(producer, 64, clock_now_ns()))
			sched_yield();
		ring_commit(producer, 1);
		ring_link_wake(l->pair.endpoint);
	}
}

static void
measure_latency(const char *name, bool sleeps, unsigned samples)
{
	const struct ring_pair_shape shape = { 1, 20, 1, true };
	struct latency l = { .sleeps = sleeps, .samples = samples };
	uint64_t bells;
	pthread_t receiver;
	int err;

	l.late_ns = new_values(samples);
	ring_pair_open(&l.pair, &shape);
	ring_grant(ring_link_consumer(l.pair.broker, 0), FAR_AHEAD);
	/* relaxed, here and below: statistics of the other threads, joined */
	bells = atomic_load_explicit(
	    &l.pair.endpoint_side->bells_rung, memory_order_relaxed);
	err = pthread_create(&receiver, NULL, receive_late, &l);
	BUG_ON(err != 0);
	send_late(&l);
	pthread_join(receiver, NULL);
	bells = atomic_load_explicit(
		    &l.pair.endpoint_side->bells_rung, memory_order_relaxed) -
	    bells;
	printf("%-28s p50 %8.0f ns  p99 %8.0f ns", name,
	    quantile(l.late_ns, samples, 0.5),
	    quantile(l.late_ns, samples, 0.99));
	if (sleeps)
		printf("  bells a sleep %.3f",
		    (double)bells /
			(double)atomic_load_explicit(
			    &l.pair.broker_side->sleeps, memory_order_relaxed));
	printf("\n");
	ring_pair_close(&l.pair);
	free(l.late_ns);
}

void
ring_case_latency(unsigned samples)
{
	printf("\none way, %u records of 64 B, one every %d us\n", samples,
	    SLEEP_NS / 1000);
	measure_latency("reader asleep (bell)", true, samples);
	measure_latency("reader awake", false, samples);
}

/* ---- a stalled lane ------------------------------------------------------ */

#define STALLED_RECORDS 32768u
#define STALLED_BATCH 16u

static void *
send_lane_b(void *context)
{
	struct ring_pair *pair = context;
	struct ring_producer *producer = ring_link_producer(pair->endpoint, 1);

	for (unsigned i = 1; i <= STALLED_RECORDS; i++) {
		while (!put(producer, 64, 1))
			sched_yield();
		if (i % STALLED_BATCH == 0) {
			ring_commit(producer, 1);
			ring_link_wake(pair->endpoint);
		}
	}
	return NULL;
}

/* A turn looks at both lanes; what lies in lane A has nowhere to go. */
static void
receive_lane_b(struct ring_pair *pair)
{
	struct ring_consumer *a = ring_link_consumer(pair->broker, 0);
	struct ring_consumer *b = ring_link_consumer(pair->broker, 1);
	struct ring_outcome outcome;
	struct ring_record record;
	const void *payload;
	uint64_t word = 0;

	for (uint64_t taken = 0; taken < STALLED_RECORDS;) {
		outcome = (struct ring_outcome){ 0 };
		(void)ring_peek(a, &record, &payload);
		while (outcome.delivered < 64 &&
		    ring_peek(b, &record, &payload) == 1) {
			word = ring_next(b);
			outcome.delivered++;
		}
		if (outcome.delivered == 0) {
			sched_yield();
			continue;
		}
		ring_release(b, word, &outcome, 1);
		ring_link_wake(pair->broker);
		taken += outcome.delivered;
	}
}

static double
run_lane_b(struct ring_pair *pair)
{
	uint64_t begin_ns = clock_now_ns();
	pthread_t sender;
	int err;

	err = pthread_create(&sender, NULL, send_lane_b, pair);
	BUG_ON(err != 0);
	receive_lane_b(pair);
	pthread_join(sender, NULL);
	return (double)(clock_now_ns() - begin_ns) / STALLED_RECORDS;
}

static void
fill_lane_a(struct ring_pair *pair)
{
	struct ring_producer *producer = ring_link_producer(pair->endpoint, 0);

	while (put(producer, 64, 1))
		continue;
	ring_commit(producer, 1);
}

void
ring_case_stalled(unsigned runs)
{
	const struct ring_pair_shape shape = { 2, 20, 1, false };
	struct ring_pair pairs[2]; /* lane A idle, lane A full */
	double *ns[2], best[2];

	for (unsigned i = 0; i < 2; i++) {
		ring_pair_open(&pairs[i], &shape);
		for (uint32_t lane = 0; lane < 2; lane++)
			ring_grant(ring_link_consumer(pairs[i].broker, lane),
			    FAR_AHEAD);
		ns[i] = new_values(runs);
	}
	fill_lane_a(&pairs[1]);
	for (unsigned run = 0; run < runs; run++)
		for (unsigned i = 0; i < 2; i++)
			ns[i][run] = run_lane_b(&pairs[i]);
	for (unsigned i = 0; i < 2; i++)
		best[i] = quantile(ns[i], runs, 0);
	printf(
	    "\nlane B, 64 B, ns a record   best   median  (%u runs)\n", runs);
	printf("lane A idle              %7.1f  %7.1f\n", best[0],
	    quantile(ns[0], runs, 0.5));
	printf("lane A stalled           %7.1f  %7.1f\n", best[1],
	    quantile(ns[1], runs, 0.5));
	printf("rate of B with A stalled: %.0f %% by best (goal 90)\n",
	    100 * best[0] / best[1]);
	for (unsigned i = 0; i < 2; i++) {
		ring_pair_close(&pairs[i]);
		free(ns[i]);
	}
}

/* ---- growth -------------------------------------------------------------- */

#define BURST_RECORDS 15400u /* of 1 KiB: fill 16 MiB */
#define STEPS_MAX 16

struct burst {
	const char *name;
	struct ring_pair_shape shape;
	bool is_ahead; /* committed one by one: memory is taken meanwhile */
	double *record_ns;
	double *switch_ns;
	unsigned switches;
};

/* Commits take memory ahead; without them a claim that switches has to. */
static void
put_burst(struct burst *burst, struct ring_producer *producer)
{
	uint64_t capacity = ring_producer_capacity(producer), claim_ns;
	bool has_grown, is_put;

	for (unsigned i = 0; i < BURST_RECORDS; i++) {
		claim_ns = clock_now_ns();
		is_put = put(producer, 1024, 1);
		BUG_ON(!is_put);
		has_grown = ring_producer_capacity(producer) != capacity;
		if (has_grown)
			burst->switch_ns[burst->switches++] =
			    (double)(clock_now_ns() - claim_ns);
		capacity = ring_producer_capacity(producer);
		if (burst->is_ahead || has_grown)
			ring_commit(producer, 1);
	}
	ring_commit(producer, 1);
}

/* A burst whose reader releases nothing; the claims that switch apart. */
static void
run_burst(struct burst *burst, unsigned run)
{
	struct ring_pair pair;
	uint64_t begin_ns;

	ring_pair_open(&pair, &burst->shape);
	ring_grant(ring_link_consumer(pair.broker, 0), FAR_AHEAD);
	begin_ns = clock_now_ns();
	put_burst(burst, ring_link_producer(pair.endpoint, 0));
	burst->record_ns[run] =
	    (double)(clock_now_ns() - begin_ns) / BURST_RECORDS;
	ring_pair_close(&pair);
}

static void
print_burst(struct burst *burst, unsigned runs)
{
	printf("%-28s %7.0f  %7.0f", burst->name,
	    quantile(burst->record_ns, runs, 0),
	    quantile(burst->record_ns, runs, 0.5));
	if (burst->switches != 0)
		printf("  %9.1f  %9.1f",
		    quantile(burst->switch_ns, burst->switches, 0.5) / 1000,
		    quantile(burst->switch_ns, burst->switches, 1) / 1000);
	printf("\n");
}

void
ring_case_growth(unsigned runs)
{
	struct burst bursts[] = {
		{ .name = "16 MiB, memory there", .shape = { 1, 24, 1, 0 } },
		{ .name = "from 256 KiB, ahead",
		    .shape = { 1, 18, 7, 0 },
		    .is_ahead = true },
		{ .name = "from 256 KiB, not ahead", .shape = { 1, 18, 7, 0 } },
	};
	size_t count = sizeof(bursts) / sizeof(bursts[0]);

	for (size_t i = 0; i < count; i++) {
		bursts[i].record_ns = new_values(runs);
		bursts[i].switch_ns = new_values((size_t)runs * STEPS_MAX);
	}
	for (unsigned run = 0; run < runs; run++)
		for (size_t i = 0; i < count; i++)
			run_burst(&bursts[i], run);
	printf(
	    "\nburst of %u records of 1 KiB into new memory\n", BURST_RECORDS);
	printf("%-28s %7s  %7s  %9s  %9s\n", "", "best ns", "median",
	    "switch us", "worst us");
	for (size_t i = 0; i < count; i++) {
		print_burst(&bursts[i], runs);
		free(bursts[i].record_ns);
		free(bursts[i].switch_ns);
	}
}
