/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring - what a record costs through a ring, beside what else there is.
 *
 *	bench/ring [-n RUNS]
 *
 * One thread sends, one receives and copies each record out.  The ring runs
 * over real link memory with both sides' own mappings, its fence and look at
 * the peer's arm included; "copy" is the least that any shared-memory queue
 * does: a length, the bytes, one store a batch; both have 1 MiB.  Pipe, Unix
 * stream and SOCK_SEQPACKET ("packets") take one system call a record and
 * end.  The best of many short runs is the figure, since anything else on the
 * machine only ever makes one slower; the median says how busy it was.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/ring_cases.h"
#include "bench/ring_pair.h"
#include "common/base/bug.h"
#include "common/base/clock.h"

#define RUNS_MAX 10000
#define COPY_SIZE ((size_t)1 << 20)

/* What is sent, and how much of it in a run. */
struct load {
	const char *name;
	size_t length;
	unsigned batch;
	unsigned records;
	uint32_t shift;  /* of the ring's capacity */
	double limit_ns; /* what the project promises of the ring */
};

static const struct load loads[] = {
	{ "64 B, batches of 16", 64, 16, 32768, 20, 24 },
	{ "1 KiB, batches of 16", 1024, 16, 8192, 20, 60 },
	{ "64 KiB", 65536, 1, 512, 20, 3500 },
};

/* A plain queue: positions in bytes, a length before each record. */
struct copy_queue {
	_Alignas(128) _Atomic uint64_t head;
	_Alignas(128) _Atomic uint64_t tail;
	_Alignas(128) uint8_t data[COPY_SIZE];
};

struct course {
	const struct load *load;
	struct copy_queue *queue;
	struct ring_pair pair;
	int fds[2];
	uint8_t *source, *target;
};

struct way {
	const char *name;
	void (*open)(struct course *course);
	void (*close)(struct course *course);
	void *(*send)(void *course);
	void *(*receive)(void *course);
};

static void
open_copy(struct course *c)
{
	c->queue = aligned_alloc(128, sizeof(*c->queue));
	BUG_ON(c->queue == NULL);
	memset(c->queue, 0, sizeof(*c->queue));
}

static void
close_copy(struct course *c)
{
	free(c->queue);
}

/* Bytes from `position` on that a record may take without wrapping. */
static size_t
slot_size(const struct load *load)
{
	return load->length + 64;
}

static void *
send_copy(void *context)
{
	struct course *c = context;
	struct copy_queue *q = c->queue;
	size_t slot = slot_size(c->load), slots = COPY_SIZE / slot;
	/* relaxed: only this side writes it */
	uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
	uint64_t tail = head;

	for (unsigned i = 0; i < c->load->records; i++) {
		uint8_t *place = q->data + head % slots * slot;

		while (head - tail == slots) {
			/* acquire: pairs with receive_copy()'s release */
			tail = atomic_load_explicit(
			    &q->tail, memory_order_acquire);
			if (head - tail == slots)
				sched_yield();
		}
		memcpy(place, &c->load->length, sizeof(size_t));
		memcpy(place + 64, c->source, c->load->length);
		head++;
		/* release: pairs with receive_copy()'s acquire */
		if (head % c->load->batch == 0)
			atomic_store_explicit(
			    &q->head, head, memory_order_release);
	}
	return NULL;
}

static void *
receive_copy(void *context)
{
	struct course *c = context;
	struct copy_queue *q = c->queue;
	size_t length, slot = slot_size(c->load), slots = COPY_SIZE / slot;
	/* relaxed: only this side writes it */
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
	uint64_t head, end = tail + c->load->records;

	while (tail < end) {
		/* acquire, release: pair with send_copy() */
		head = atomic_load_explicit(&q->head, memory_order_acquire);
		if (head == tail)
			sched_yield();
		for (; tail < head; tail++) {
			uint8_t *place = q->data + tail % slots * slot;

			memcpy(&length, place, sizeof(length));
			memcpy(c->target, place + 64, length);
		}
		atomic_store_explicit(&q->tail, tail, memory_order_release);
	}
	return NULL;
}

static void
open_ring(struct course *c)
{
	const struct ring_pair_shape shape = {
		.lanes = 1,
		.min_shift = c->load->shift,
		.classes = 1,
	};

	ring_pair_open(&c->pair, &shape);
}

static void
close_ring(struct course *c)
{
	ring_pair_close(&c->pair);
}

static void *
send_ring(void *context)
{
	struct course *c = context;
	struct ring_producer *producer =
	    ring_link_producer(c->pair.endpoint, 0);
	const struct ring_record record = { .kind = 1 };
	void *payload;

	for (unsigned i = 1; i <= c->load->records; i++) {
		while (ring_claim(producer, c->load->length, &payload) != 0)
			sched_yield();
		memcpy(payload, c->source, c->load->length);
		ring_put(producer, &record);
		if (i % c->load->batch == 0) {
			ring_commit(producer, 1);
			ring_link_wake(c->pair.endpoint);
		}
	}
	return NULL;
}

static void *
receive_ring(void *context)
{
	struct course *c = context;
	struct ring_consumer *consumer = ring_link_consumer(c->pair.broker, 0);
	struct ring_outcome outcome = { 0 };
	struct ring_record record;
	uint64_t taken = 0, word = 0;
	const void *payload;

	while (taken < c->load->records) {
		outcome.delivered = 0;
		while (outcome.delivered < 64 &&
		    ring_peek(consumer, &record, &payload) == 1) {
			memcpy(c->target, payload, record.length);
			word = ring_next(consumer);
			outcome.delivered++;
		}
		ring_release(consumer, word, &outcome, 1);
		ring_grant(consumer,
		    RING_POSITION(word) + ring_consumer_capacity(consumer));
		ring_link_wake(c->pair.broker);
		if (outcome.delivered == 0)
			sched_yield();
		taken += outcome.delivered;
	}
	return NULL;
}

static void
open_pipe(struct course *c)
{
	BUG_ON(pipe(c->fds) != 0);
	/* As much room as the ring has; without it the default is fine. */
	(void)fcntl(c->fds[1], F_SETPIPE_SZ, 1 << c->load->shift);
}

static void
open_socket(struct course *c, int type)
{
	int pair[2], size = 1 << 20;

	BUG_ON(socketpair(AF_UNIX, type, 0, pair) != 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	c->fds[0] = pair[0];
	c->fds[1] = pair[1];
}

static void
open_stream(struct course *c)
{
	open_socket(c, SOCK_STREAM);
}

static void
open_packets(struct course *c)
{
	open_socket(c, SOCK_SEQPACKET);
}

static void
close_fds(struct course *c)
{
	close(c->fds[0]);
	close(c->fds[1]);
}

static void *
send_fd(void *context)
{
	struct course *c = context;

	for (unsigned i = 0; i < c->load->records; i++) {
		for (size_t done = 0; done < c->load->length;) {
			ssize_t n = write(c->fds[1], c->source + done,
			    c->load->length - done);

			BUG_ON(n <= 0);
			done += (size_t)n;
		}
	}
	return NULL;
}

static void *
receive_fd(void *context)
{
	struct course *c = context;

	for (unsigned i = 0; i < c->load->records; i++) {
		for (size_t done = 0; done < c->load->length;) {
			ssize_t n = read(c->fds[0], c->target + done,
			    c->load->length - done);

			BUG_ON(n <= 0);
			done += (size_t)n;
		}
	}
	return NULL;
}

static const struct way ways[] = {
	{ "copy", open_copy, close_copy, send_copy, receive_copy },
	{ "ring", open_ring, close_ring, send_ring, receive_ring },
	{ "pipe", open_pipe, close_fds, send_fd, receive_fd },
	{ "stream", open_stream, close_fds, send_fd, receive_fd },
	{ "packets", open_packets, close_fds, send_fd, receive_fd },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))
#define RING_WAY 1

/* Nanoseconds a record. */
static double
run_once(const struct way *way, struct course *course)
{
	uint64_t begin_ns, end_ns;
	pthread_t sender;
	int err;

	begin_ns = clock_now_ns();
	err = pthread_create(&sender, NULL, way->send, course);
	BUG_ON(err != 0);
	way->receive(course);
	pthread_join(sender, NULL);
	end_ns = clock_now_ns();
	return (double)(end_ns - begin_ns) / course->load->records;
}

static void
open_course(
    struct course *course, const struct way *way, const struct load *load)
{
	*course = (struct course){ .load = load };
	course->source = malloc(load->length);
	course->target = malloc(load->length);
	BUG_ON(course->source == NULL || course->target == NULL);
	memset(course->source, 'x', load->length);
	way->open(course);
	/* Once for nothing, so that every page is there. */
	run_once(way, course);
}

/* All ways take turns, so that a busy moment hits them alike. */
static void
measure(const struct load *load, size_t runs, double *ns[WAYS])
{
	struct course courses[WAYS];

	for (size_t i = 0; i < WAYS; i++)
		open_course(&courses[i], &ways[i], load);
	for (size_t run = 0; run < runs; run++)
		for (size_t i = 0; i < WAYS; i++)
			ns[i][run] = run_once(&ways[i], &courses[i]);
	for (size_t i = 0; i < WAYS; i++) {
		ways[i].close(&courses[i]);
		free(courses[i].source);
		free(courses[i].target);
	}
}

static int
compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* `at` of the sorted runs of each way: 0 is the best. */
static void
print_row(
    const struct load *load, const char *what, double *ns[WAYS], size_t at)
{
	double ring_ns = ns[RING_WAY][at];

	printf("%-22s %-7s", load->name, what);
	for (size_t i = 0; i < WAYS; i++)
		printf(" %9.1f", ns[i][at]);
	printf(" %9.0f  %-5s", load->limit_ns,
	    ring_ns <= load->limit_ns ? "kept" : "OVER");
	for (size_t i = 0; i < WAYS; i++)
		if (i != RING_WAY)
			printf(" %8.2f", ns[i][at] / ring_ns);
	printf("\n");
}

static void
print_heading(size_t runs)
{
	printf("ns a record, best and median of %zu runs; ratios: times the "
	       "ring\n%-30s",
	    runs, "");
	for (size_t i = 0; i < WAYS; i++)
		printf(" %9s", ways[i].name);
	printf(" %9s  %-5s", "limit", "");
	for (size_t i = 0; i < WAYS; i++)
		if (i != RING_WAY)
			printf(" %7s/", ways[i].name);
	printf("\n");
}

static void
compare_ways(size_t runs)
{
	double *ns[WAYS];

	for (size_t i = 0; i < WAYS; i++) {
		ns[i] = calloc(runs, sizeof(*ns[i]));
		BUG_ON(ns[i] == NULL);
	}
	print_heading(runs);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		measure(&loads[i], runs, ns);
		for (size_t way = 0; way < WAYS; way++)
			qsort(ns[way], runs, sizeof(double), compare);
		print_row(&loads[i], "best", ns, 0);
		print_row(&loads[i], "median", ns, runs / 2);
	}
	for (size_t i = 0; i < WAYS; i++)
		free(ns[i]);
}

int
main(int argc, char **argv)
{
	long runs = 40;
	int option;

	while ((option = getopt(argc, argv, "n:")) != -1) {
		if (option == 'n')
			runs = strtol(optarg, NULL, 10);
		if (option != 'n' || runs < 1 || runs > RUNS_MAX) {
			fprintf(stderr, "usage: ring [-n RUNS]  (1 to %d)\n",
			    RUNS_MAX);
			return 64;
		}
	}
	compare_ways((size_t)runs);
	ring_case_latency(50 * (unsigned)runs);
	ring_case_stalled((unsigned)runs);
	ring_case_growth((unsigned)runs);
	return 0;
}
