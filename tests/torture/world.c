/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/torture/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const world_role_names[WORLD_ROLES] = {
	[WORLD_HTTPD] = "httpd",
	[WORLD_BROKER] = "broker",
	[WORLD_BRIDGED] = "bridged",
};

static int
need(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "torture: %s: %s\n", what, strerror(-result));
		exit(1);
	}
	return result;
}

static int
new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return need(fd == -1 ? -1 : fd, "eventfd");
}

static void
open_link(struct world *w, unsigned i, enum ring_role role, const char *name)
{
	struct ring_link_identity *identity = &w->identity[i];

	identity->link = i;
	identity->endpoint_role = role;
	snprintf(identity->name, sizeof(identity->name), "%s", name);
	snprintf(identity->run_dir, sizeof(identity->run_dir), "/torture");
	memset(identity->instance, 7, sizeof(identity->instance));
	need(ring_link_create(identity, &w->broker_fd[i], &w->endpoint_fd[i]),
	    "sides");
	need(bell_open(&w->bells[i]), "bells");
}

struct ring_lane_geometry
world_lane(uint32_t lane, const char *name)
{
	struct ring_lane_geometry geometry = {
		.lane = lane,
		.min_shift = WORLD_MIN_SHIFT,
		.classes = WORLD_CLASSES,
	};

	snprintf(geometry.name, sizeof(geometry.name), "%s", name);
	return geometry;
}

/* Never grows: the broker has to wait for room in it. */
struct ring_lane_geometry
world_receipts(void)
{
	struct ring_lane_geometry geometry = world_lane(0, "");

	geometry.classes = 1;
	return geometry;
}

static int
create_lane(struct world *w, unsigned link, enum ring_role producer,
    struct ring_lane_geometry geometry)
{
	return need(
	    ring_link_create_lane(&w->identity[link], producer, &geometry),
	    "lane");
}

void
world_open(struct world *world, uint64_t messages, bool holds)
{
	struct world *w = world;

	*w = (struct world){ .messages = messages, .holds = holds };
	open_link(w, 0, RING_ROLE_HTTPD, "httpd");
	open_link(w, 1, RING_ROLE_BRIDGE, "cloud");
	w->publish_fd[0] =
	    create_lane(w, 0, RING_ROLE_HTTPD, world_lane(0, ""));
	w->publish_fd[1] =
	    create_lane(w, 0, RING_ROLE_HTTPD, world_lane(1, "cloud"));
	w->receipts_fd = create_lane(w, 0, RING_ROLE_BROKER, world_receipts());
	w->bridge_fd = create_lane(w, 1, RING_ROLE_BROKER, world_lane(0, ""));
	w->quit_fd = new_eventfd();
	w->notice_fd = new_eventfd();
	w->ledger = mmap(NULL, sizeof(*w->ledger), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->ledger == MAP_FAILED)
		need(-1, "ledger");
}

void
world_close(struct world *world)
{
	const int fds[] = { world->broker_fd[0], world->broker_fd[1],
		world->endpoint_fd[0], world->endpoint_fd[1],
		world->publish_fd[0], world->publish_fd[1], world->receipts_fd,
		world->bridge_fd, world->quit_fd, world->notice_fd };

	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	bell_close(&world->bells[0]);
	bell_close(&world->bells[1]);
	munmap(world->ledger, sizeof(*world->ledger));
}

void
world_fail(struct world *world, const char *format, ...)
{
	struct world_ledger *ledger = world->ledger;
	va_list arguments;

	if (!atomic_exchange_explicit(
		&ledger->has_fault, true, memory_order_acq_rel)) {
		va_start(arguments, format);
		vsnprintf(
		    ledger->fault, sizeof(ledger->fault), format, arguments);
		va_end(arguments);
	}
	_exit(1);
}

/* ---- payloads ------------------------------------------------------------
 */

static uint64_t
scramble(uint64_t value)
{
	value ^= value >> 31;
	value *= UINT64_C(0x9e3779b97f4a7c15);
	return value ^ value >> 29;
}

static uint64_t
seed_of(const struct world_stamp *stamp)
{
	return scramble(stamp->number * WORLD_LANES + stamp->lane + 1);
}

size_t
world_payload_length(const struct world_stamp *stamp)
{
	uint64_t seed = seed_of(stamp);

	return stamp->number % 16 == 0
	    ? WORLD_PAYLOAD_MAX - seed % 1000
	    : sizeof(struct world_stamp) + seed % 300;
}

void
world_write_payload(const struct world_stamp *stamp, void *out_payload)
{
	uint8_t payload[WORLD_PAYLOAD_MAX];
	size_t length = world_payload_length(stamp);
	uint64_t seed = seed_of(stamp);

	memcpy(payload, stamp, sizeof(*stamp));
	for (size_t i = sizeof(*stamp); i < length; i++) {
		seed = scramble(seed + i);
		payload[i] = (uint8_t)seed;
	}
	memcpy(out_payload, payload, length);
}

void
world_check_payload(struct world *world, const void *payload, size_t length,
    struct world_stamp *out_stamp)
{
	uint8_t wanted[WORLD_PAYLOAD_MAX];

	if (length < sizeof(*out_stamp))
		world_fail(world, "a payload has %zu bytes", length);
	memcpy(out_stamp, payload, sizeof(*out_stamp));
	if (out_stamp->lane >= WORLD_LANES || out_stamp->number == 0 ||
	    out_stamp->number > world->messages ||
	    world_payload_length(out_stamp) != length)
		world_fail(world, "a payload of %zu bytes says it is %ju/%ju",
		    length, (uintmax_t)out_stamp->lane,
		    (uintmax_t)out_stamp->number);
	world_write_payload(out_stamp, wanted);
	if (memcmp(wanted, payload, length) != 0)
		world_fail(world, "message %ju/%ju is corrupt",
		    (uintmax_t)out_stamp->lane, (uintmax_t)out_stamp->number);
}

/* ---- looking at it -------------------------------------------------------
 */

static uint64_t
word_at(int fd, size_t offset)
{
	uint64_t word = 0;

	if (pread(fd, &word, sizeof(word), (off_t)offset) != sizeof(word))
		return UINT64_MAX;
	return word;
}

static size_t
producer_at(unsigned lane, size_t field)
{
	return RING_SIDE_PRODUCERS + lane * RING_PRODUCER_STRIDE + field;
}

/* One lane: whose side produces it, whose consumes it. */
struct view {
	const char *name;
	int producer_fd, consumer_fd;
	unsigned lane;
};

#define VIEWS 4u

static void
view(const struct world *w, struct view *out_views)
{
	const struct view views[VIEWS] = {
		{ "httpd>broker/0", w->endpoint_fd[0], w->broker_fd[0], 0 },
		{ "httpd>broker/1", w->endpoint_fd[0], w->broker_fd[0], 1 },
		{ "broker>httpd", w->broker_fd[0], w->endpoint_fd[0], 0 },
		{ "broker>bridged", w->broker_fd[1], w->endpoint_fd[1], 0 },
	};

	memcpy(out_views, views, sizeof(views));
}

void
world_count_changes(
    const struct world *world, uint64_t *out_grows, uint64_t *out_shrinks)
{
	struct view views[VIEWS];

	view(world, views);
	*out_grows = *out_shrinks = 0;
	for (unsigned i = 0; i < VIEWS; i++) {
		*out_grows += word_at(views[i].producer_fd,
		    producer_at(views[i].lane,
			offsetof(struct ring_lane_producer, grows)));
		*out_shrinks += word_at(views[i].producer_fd,
		    producer_at(views[i].lane,
			offsetof(struct ring_lane_producer, shrinks)));
	}
}

void
world_describe(const struct world *world)
{
	const struct world_ledger *ledger = world->ledger;
	struct view views[VIEWS];

	for (unsigned i = 0; i < WORLD_LANES; i++)
		printf("# lane %u: %ju accepted, %ju arrived, of %ju\n", i,
		    (uintmax_t)ledger->lane[i].accepted,
		    (uintmax_t)ledger->lane[i].arrived,
		    (uintmax_t)world->messages);
	view(world, views);
	for (unsigned i = 0; i < VIEWS; i++) {
		const struct view *v = &views[i];
		size_t consumer =
		    RING_SIDE_CONSUMERS + v->lane * RING_CONSUMER_STRIDE;

		printf("# %s: head %#jx tail %#jx limit %#jx arms %ju, %ju\n",
		    v->name,
		    (uintmax_t)word_at(v->producer_fd,
			RING_SIDE_HEADS + v->lane * sizeof(struct ring_head)),
		    (uintmax_t)word_at(v->consumer_fd, consumer),
		    (uintmax_t)word_at(v->consumer_fd,
			consumer + offsetof(struct ring_lane_consumer, limit)),
		    (uintmax_t)word_at(
			v->producer_fd, offsetof(struct ring_side_header, arm)),
		    (uintmax_t)word_at(v->consumer_fd,
			offsetof(struct ring_side_header, arm)));
	}
	for (unsigned i = 0; i < WORLD_ROLES; i++)
		printf("# %s is %s\n", world_role_names[i],
		    ledger->is_done[i] ? "done" : "not done");
}
