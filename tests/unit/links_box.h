/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_box - the links thread in a box: programs that attach to it by the
 * real control socket live in the same process; local routing and the
 * supervisor that keeps its memory are of paper.
 *
 * The box can have the broker die: what it stored lately is taken back, and
 * it is started again with the memory that the supervisor has.  Included by
 * one test program each.
 */

#ifndef WEIR_TESTS_UNIT_LINKS_BOX_H
#define WEIR_TESTS_UNIT_LINKS_BOX_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/auth_initial.h"
#include "broker/auth_key.h"
#include "broker/bridge_port.h"
#include "broker/links_private.h"
#include "broker/route.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/msg/record.h"
#include "common/ring/ring_control.h"
#include "common/service/fdstore.h"
#include "tests/unit/paper_manage.h"
#include "tests/unit/unit.h"

#define RING_BYTES 65536u
#define STALL_TIMEOUT_NS (60 * CLOCK_SECOND_NS)
#define KEPT_MAX 256u

/* ---- of paper ---------------------------------------------------------- */

static unsigned routed;

unsigned
route_local(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher)
{
	(void)broker;
	(void)worker;
	(void)message;
	(void)publisher;
	routed++;
	return 1;
}

/* The receivers of a message, added to an item; NULL: nobody. */
static int (*collect)(struct commit_item *item);

int
route_collect(struct broker *to, struct worker *from, struct message *message,
    const struct session *publisher, struct commit_item *item,
    uint64_t *out_retain_serial)
{
	(void)to;
	(void)from;
	(void)message;
	(void)publisher;
	*out_retain_serial = 0;
	routed++;
	return collect == NULL ? 0 : collect(item);
}

void
route_flush(struct broker *broker, struct worker *worker)
{
	(void)broker;
	(void)worker;
}

static struct fdstore_entry kept[KEPT_MAX];
static size_t kept_count;
static bool is_supervised;

bool
fdstore_is_available(void)
{
	return is_supervised;
}

int
fdstore_keep(const char *name, int fd)
{
	if (!is_supervised)
		return -ENOTCONN;
	ck_assert_uint_lt(kept_count, KEPT_MAX);
	kept[kept_count].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	snprintf(kept[kept_count].name, sizeof(kept[0].name), "%s", name);
	kept_count++;
	return 0;
}

int
fdstore_remove(const char *name)
{
	for (size_t i = 0; i < kept_count;) {
		if (strcmp(kept[i].name, name) != 0) {
			i++;
			continue;
		}
		close(kept[i].fd);
		kept[i] = kept[--kept_count];
	}
	return 0;
}

static inline bool
is_kept(const char *name)
{
	for (size_t i = 0; i < kept_count; i++) {
		if (strcmp(kept[i].name, name) == 0)
			return true;
	}
	return false;
}

int
fdstore_init(struct fdstore *store)
{
	*store = (struct fdstore){ 0 };
	store->entries = calloc(KEPT_MAX, sizeof(store->entries[0]));
	if (store->entries == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < kept_count; i++) {
		store->entries[i] = kept[i];
		store->entries[i].fd = fcntl(kept[i].fd, F_DUPFD_CLOEXEC, 3);
	}
	store->count = kept_count;
	return 0;
}

void
fdstore_fini(struct fdstore *store)
{
	for (size_t i = 0; i < store->count; i++) {
		if (store->entries[i].fd != -1)
			close(store->entries[i].fd);
	}
	free(store->entries);
	*store = (struct fdstore){ 0 };
}

int
fdstore_take(struct fdstore *store, const char *name)
{
	int fd;

	for (size_t i = 0; i < store->count; i++) {
		fd = store->entries[i].fd;
		if (fd == -1 || strcmp(store->entries[i].name, name) != 0)
			continue;
		store->entries[i].fd = -1;
		return fd;
	}
	return -ENOENT;
}

/* ---- the broker ---------------------------------------------------------- */

static char run_dir[64];
static char cloud[] = "cloud", plant[] = "plant", loose[] = "loose";
static char url[] = "mqtt://127.0.0.1:1";
static char cloud_filter[] = "cloud/#", plant_filter[] = "+/plant";
static char loose_filter[] = "+/loose";

static struct conf_rule rules[] = {
	{ .filter = cloud_filter, .qos = 1 },
	{ .filter = plant_filter, .qos = 1 },
	{ .filter = loose_filter, .qos = 1 },
};
static struct conf_bridge bridges[3];
static struct conf conf;

static struct broker broker;
static struct worker worker;
static struct worker *workers[] = { &worker };

static void
configure(void)
{
	static char *const names[] = { cloud, plant, loose };

	/* Whoever had this pid before may have left a socket behind. */
	snprintf(run_dir, sizeof(run_dir), "/tmp/weir-box-%d-%llx", getpid(),
	    (unsigned long long)clock_now_ns());
	for (unsigned i = 0; i < 3; i++)
		bridges[i] = (struct conf_bridge){
			.name = names[i],
			.url = url,
			.forward = &rules[i],
			.forward_count = 1,
			.ring = { RING_BYTES, RING_BYTES },
		};
	bridges[2].overflow = CONF_OVERFLOW_DROP_NEWEST;
	conf = (struct conf){
		.run_dir = run_dir,
		.state_dir = run_dir,
		.allow_anonymous = true,
		.workers = 1,
		.worker_window = 32768,
		.http = { .enabled = true,
		    .stall_timeout_ns = STALL_TIMEOUT_NS,
		    .ring = { RING_BYTES, RING_BYTES } },
		.bridges = bridges,
		.bridge_count = 3,
	};
}

static void
worker_moved(void *context)
{
	(void)context;
}

/* What a test gives a broker first of all; NULL: nothing. */
static void (*equip)(void);

static void
start_broker(void)
{
	broker = (struct broker){
		.conf = &conf,
		.workers = workers,
		.worker_count = 1,
		.max_packet_size = RING_BYTES / 4,
	};
	if (equip != NULL)
		equip();
	broker.loop = loop_new();
	broker.auth = auth_new(&conf);
	broker.bridges = bridge_table_new(&conf);
	broker.links_mailbox = mailbox_new(&broker);
	worker.mailbox = mailbox_new(&worker);
	fdstore_init(&broker.kept);
	broker.links = links_new(&broker);
	ck_assert_ptr_nonnull(broker.links);
	worker.port = links_port(broker.links, 0, worker_moved, NULL);
	ck_assert_ptr_nonnull(worker.port);
	ck_assert_int_eq(links_start(broker.links), 0);
}

static void
stop_broker(void)
{
	auth_stop(broker.auth);
	mailbox_open(broker.links_mailbox, 0);
	mailbox_open(worker.mailbox, 0);
	links_free(broker.links);
	auth_free(broker.auth);
	message_pools_free(broker.links_messages);
	mailbox_free(broker.links_mailbox);
	mailbox_free(worker.mailbox);
	bridge_table_free(broker.bridges);
	loop_free(broker.loop);
}

/* ---- programs ------------------------------------------------------------ */

struct program {
	struct ring_endpoint *endpoint;
	struct ring_link *link;
	enum ring_role role;
	const char *name;
	unsigned filters, losses, filter_lists;
	int opened, closing, closed; /* lanes, last */
	bool wants;                  /* an idle lane all the same */
	char reason[200];
	uint64_t correlation;
};

static void
attached(void *context, struct ring_link *link)
{
	((struct program *)context)->link = link;
}

static void
lane_opened(void *context, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	(void)direction;
	((struct program *)context)->opened = (int)geometry->lane;
}

static void
lane_refused(void *context, const char *set, const char *text)
{
	struct program *program = context;

	snprintf(program->reason, sizeof(program->reason), "%s: %s", set, text);
}

static bool
lane_is_wanted(void *context, const char *set)
{
	(void)set;
	return ((struct program *)context)->wants;
}

static void
lane_closing(void *context, const char *set, uint32_t lane)
{
	ck_assert_str_ne(set, "");
	((struct program *)context)->closing = (int)lane;
}

static void
lane_closed(void *context, const char *set, uint32_t lane)
{
	ck_assert_str_ne(set, "");
	((struct program *)context)->closed = (int)lane;
}

static void
filters_begin(void *context)
{
	((struct program *)context)->filters = 0;
}

static void
filter(void *context, const char *bridge, const char *text, size_t length)
{
	(void)bridge;
	(void)text;
	(void)length;
	((struct program *)context)->filters++;
}

static void
filters_end(void *context, uint64_t version)
{
	(void)version;
	((struct program *)context)->filter_lists++;
}

static void
lost(void *context, const char *reason)
{
	struct program *program = context;

	program->link = NULL;
	program->losses++;
	snprintf(program->reason, sizeof(program->reason), "%s",
	    reason == NULL ? "" : reason);
}

static const struct ring_endpoint_callbacks callbacks = {
	.attached = attached,
	.lane_opened = lane_opened,
	.lane_refused = lane_refused,
	.lane_is_wanted = lane_is_wanted,
	.lane_closing = lane_closing,
	.lane_closed = lane_closed,
	.filters_begin = filters_begin,
	.filter = filter,
	.filters_end = filters_end,
	.lost = lost,
};

static struct program httpd, bridge, other;

/* One turn of each, the broker first. */
static inline void
turn(void)
{
	struct program *programs[] = { &httpd, &bridge, &other };

	ck_assert_int_eq(loop_turn(broker.loop, false), 0);
	for (unsigned i = 0; i < 3; i++) {
		if (programs[i]->endpoint != NULL &&
		    ring_endpoint_fd(programs[i]->endpoint) != -1)
			ring_endpoint_process(programs[i]->endpoint);
	}
}

/* Until nothing is left to do. */
static inline void
run(void)
{
	for (int i = 0; i < 12; i++)
		turn();
}

static inline void
attach(struct program *program, enum ring_role role, const char *name)
{
	if (program->endpoint == NULL)
		program->endpoint =
		    ring_endpoint_new(run_dir, role, name, &callbacks, program);
	program->role = role;
	program->name = name;
	program->opened = program->closing = program->closed = -1;
	program->reason[0] = '\0';
	ck_assert_int_eq(ring_endpoint_connect(program->endpoint), 0);
	run();
	ck_assert_msg(program->link != NULL, "%s", program->reason);
}

/* Its process is killed: nothing is said. */
static inline void
kill_program(struct program *program)
{
	ring_endpoint_free(program->endpoint);
	program->endpoint = NULL;
	program->link = NULL;
	run();
}

/* All credit that there can be, for a program that reads lane 0. */
static inline void
grant_all(struct program *program)
{
	struct ring_consumer *consumer = ring_link_consumer(program->link, 0);

	ring_grant(consumer,
	    RING_POSITION(ring_consumer_cursor(consumer)) +
		(UINT64_C(1) << 40));
	ring_link_wake(program->link);
	run();
}

static inline int
open_lane(struct program *program, const char *set)
{
	program->opened = -1;
	ck_assert_int_eq(ring_endpoint_open_lane(program->endpoint, set), 0);
	run();
	return program->opened;
}

/* Returns what ring_claim() said; not committed to be seen by run() alone. */
static inline int
publish(struct program *program, uint32_t lane, const char *topic, size_t size)
{
	static const uint8_t zeros[RING_BYTES];
	const struct record_message message = {
		.qos = 1,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = slice_of_string(topic),
		.payload = slice_of(zeros, size),
	};
	struct ring_producer *producer =
	    ring_link_producer(program->link, lane);
	const struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.correlation = ++program->correlation,
		.identity = AUTH_ANONYMOUS,
		.time_ns = clock_now_ns(),
	};
	void *out;
	int err;

	err = ring_claim(producer, record_message_size(&message), &out);
	if (err != 0)
		return err;
	record_message_write(&message, out);
	ring_put(producer, &record);
	ring_commit(producer, record.time_ns);
	ring_link_wake(program->link);
	return 0;
}

/* Receipts that are there, with that code. */
static inline unsigned
receipts(unsigned code)
{
	struct ring_consumer *answers = ring_link_consumer(httpd.link, 0);
	struct record_answer answer;
	struct ring_record got;
	const void *body;
	unsigned count = 0;

	while (ring_peek(answers, &got, &body) == 1) {
		ck_assert_int_eq(
		    record_answer_parse(body, got.length, &answer), 0);
		if (got.kind == RECORD_RECEIPT && answer.code == code)
			count++;
		ring_release(answers, ring_next(answers), NULL, 0);
	}
	grant_all(&httpd);
	return count;
}

/*
 * Take what there is as a bridge does; it must come in order for each lane of
 * httpd.  Returns how many there were.
 */
static inline unsigned
receive(struct program *program)
{
	struct ring_consumer *consumer = ring_link_consumer(program->link, 0);
	const struct ring_outcome delivered = { .delivered = 1 };
	uint64_t last[RING_LANES] = { 0 };
	struct ring_record got;
	const void *body;
	unsigned count = 0;

	while (ring_peek(consumer, &got, &body) == 1) {
		ck_assert_uint_gt(got.source_sequence, last[got.source_lane]);
		last[got.source_lane] = got.source_sequence;
		ring_release(consumer, ring_next(consumer), &delivered, 0);
		count++;
	}
	ring_link_wake(program->link);
	run();
	return count;
}

static void
ring_out(void *arg)
{
	*(bool *)arg = true;
}

/* Turns that wait must wait, not spin. */
static inline unsigned
turns_in_50_ms(void)
{
	struct loop_timer timer;
	bool is_over = false;
	unsigned turns = 0;

	loop_timer_init(&timer, broker.loop, ring_out, &is_over);
	loop_timer_start(&timer, 50 * CLOCK_MS_NS);
	while (!is_over) {
		loop_turn(broker.loop, true);
		turns++;
	}
	return turns;
}

static void
set_up(void)
{
	configure();
	is_supervised = true;
	kept_count = 0;
	routed = 0;
	httpd = bridge = other = (struct program){ 0 };
	start_broker();
}

/* What auth.h says is kept in state_dir, and the folder itself. */
static void
remove_folder(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/" AUTH_KEY_FILE, run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/" AUTH_INITIAL_FILE, run_dir);
	unlink(path);
	ck_assert_int_eq(rmdir(run_dir), 0);
}

static void
tear_down(void)
{
	ring_endpoint_free(httpd.endpoint);
	ring_endpoint_free(bridge.endpoint);
	ring_endpoint_free(other.endpoint);
	stop_broker();
	while (kept_count > 0)
		close(kept[--kept_count].fd);
	remove_folder();
}

/* ---- death --------------------------------------------------------------- */

/* The broker's side of one link as it was, to have it again. */
struct image {
	int fd;
	uint8_t bytes[RING_SIDE_FORWARDED + RING_FORWARDED_STRIDE];
};

static inline void
remember(struct image *image, uint32_t link)
{
	image->fd =
	    fcntl(broker.links->endpoints[link]->own_fd, F_DUPFD_CLOEXEC, 3);
	ck_assert_int_eq(
	    pread(image->fd, image->bytes, sizeof(image->bytes), 0),
	    (int)sizeof(image->bytes));
}

/* It died before these stores. */
static inline void
take_back(const struct image *image, size_t offset, size_t length)
{
	ck_assert_int_eq(
	    pwrite(image->fd, image->bytes + offset, length, (off_t)offset),
	    (int)length);
}

static inline void
forget_image(struct image *image)
{
	close(image->fd);
	image->fd = -1;
}

/* Kill the broker, start it again, have the programs attach again. */
static inline void
restart_broker(void)
{
	struct program *programs[] = { &httpd, &bridge, &other };

	stop_broker();
	for (unsigned i = 0; i < 3; i++) {
		if (programs[i]->endpoint != NULL &&
		    ring_endpoint_fd(programs[i]->endpoint) != -1)
			ring_endpoint_process(programs[i]->endpoint);
	}
	start_broker();
	for (unsigned i = 0; i < 3; i++) {
		if (programs[i]->endpoint != NULL)
			attach(
			    programs[i], programs[i]->role, programs[i]->name);
	}
}

#endif
