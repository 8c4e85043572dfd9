/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The links thread against programs that attach to it by the real control
 * socket: they live in this process, but for those that are to be killed.
 * Only local routing is of paper.
 */

#include "broker/links.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/auth_initial.h"
#include "broker/auth_key.h"
#include "broker/bridge_port.h"
#include "broker/links_private.h"
#include "broker/links_status.h"
#include "broker/route.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/msg/record.h"
#include "common/ring/ring_control.h"
#include "common/shm/memfd.h"
#include "tests/unit/paper_manage.h"
#include "tests/unit/unit.h"

#define RING_BYTES 65536u
#define STALL_TIMEOUT_NS (60 * CLOCK_SECOND_NS)

/* ---- local routing of paper ---------------------------------------------- */

static unsigned routed, subscribers;
static char last_topic[64];
static uint64_t last_created_ns;

unsigned
route_local(struct broker *broker, struct worker *worker,
    struct message *message, const struct session *publisher)
{
	struct slice topic = message_topic(message);

	(void)broker;
	ck_assert_ptr_null(worker);
	ck_assert_ptr_null(publisher);
	routed++;
	last_created_ns = message->created_ns;
	snprintf(last_topic, sizeof(last_topic), "%.*s", (int)topic.len,
	    (const char *)topic.data);
	return subscribers;
}

int
route_collect(struct broker *to, struct worker *from, struct message *message,
    const struct session *publisher, struct commit_item *item,
    uint64_t *out_retain_serial)
{
	(void)item;
	*out_retain_serial = 0;
	return (int)route_local(to, from, message, publisher);
}

void
route_flush(struct broker *broker, struct worker *worker)
{
	(void)broker;
	(void)worker;
}

/* ---- the configuration -----------------------------------------------------
 */

static char run_dir[64], state_dir[64];
static char admin[] = "admin", public[] = "public", none[] = "";
static char cloud[] = "cloud", plant[] = "plant", loose[] = "loose";
static char url[] = "mqtt://127.0.0.1:1";
static char cloud_filter[] = "cloud/#", plant_filter[] = "+/plant";
static char loose_filter[] = "loose/#";

static char all[] = "#", *filters[] = { all };
static struct conf_account account = { .name = admin,
	.password = public,
	.scopes = CONF_SCOPES_ALL,
	.publish = { .list = filters, .count = 1 } };
static struct conf_rule rules[] = {
	{ .filter = cloud_filter, .local_prefix = none },
	{ .filter = plant_filter, .local_prefix = none },
	{ .filter = loose_filter, .local_prefix = none },
};
static struct conf_bridge bridges[3];
static struct conf conf;

static void
configure(void)
{
	static char *const names[] = { cloud, plant, loose };

	snprintf(run_dir, sizeof(run_dir), "/tmp/weir-links-%d", getpid());
	snprintf(state_dir, sizeof(state_dir), "%s", run_dir);
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
		.state_dir = state_dir,
		.accounts = &account,
		.account_count = 1,
		.workers = 1,
		.worker_window = 32768,
		.http = { .enabled = true,
		    .stall_timeout_ns = STALL_TIMEOUT_NS,
		    .ring = { RING_BYTES, RING_BYTES } },
		.bridges = bridges,
		.bridge_count = 3,
	};
}

/* ---- the broker
 * -------------------------------------------------------------- */

static struct broker broker;
static struct worker worker;
static struct worker *workers[] = { &worker };
static unsigned moved;

static void
worker_moved(void *context)
{
	(void)context;
	moved++;
}

static void
start_broker(void)
{
	broker = (struct broker){
		.conf = &conf,
		.workers = workers,
		.worker_count = 1,
		.max_packet_size = RING_BYTES / 4,
	};
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
	routed = subscribers = moved = 0;
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

/* ---- programs
 * ------------------------------------------------------------------ */

struct program {
	struct ring_endpoint *endpoint;
	struct ring_link *link;
	unsigned attaches, filters, losses;
	int lane; /* opened last */
	char reason[200];
	uint64_t correlation;
};

static void
attached(void *context, struct ring_link *link)
{
	struct program *program = context;

	program->link = link;
	program->attaches++;
}

static void
lane_opened(void *context, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	ck_assert_int_eq(direction, RING_TO_BROKER);
	((struct program *)context)->lane = (int)geometry->lane;
}

static void
lane_refused(void *context, const char *set, const char *text)
{
	struct program *program = context;

	snprintf(program->reason, sizeof(program->reason), "%s: %s", set, text);
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
	ck_assert_uint_gt(length, 0);
	((struct program *)context)->filters++;
}

static void
filters_end(void *context, uint64_t version)
{
	(void)context;
	ck_assert_uint_ne(version, 0);
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
	.filters_begin = filters_begin,
	.filter = filter,
	.filters_end = filters_end,
	.lost = lost,
};

static struct program httpd, bridge, other;

/* Let broker and programs run until nothing is left to do. */
static void
run(void)
{
	struct program *programs[] = { &httpd, &bridge, &other };

	for (int turn = 0; turn < 12; turn++) {
		ck_assert_int_eq(loop_turn(broker.loop, false), 0);
		for (unsigned i = 0; i < 3; i++) {
			if (programs[i]->endpoint != NULL &&
			    ring_endpoint_fd(programs[i]->endpoint) != -1)
				ring_endpoint_process(programs[i]->endpoint);
		}
	}
}

static void
connect_to_broker(
    struct program *program, enum ring_role role, const char *name)
{
	if (program->endpoint == NULL)
		program->endpoint =
		    ring_endpoint_new(run_dir, role, name, &callbacks, program);
	program->lane = -1;
	program->reason[0] = '\0';
	ck_assert_int_eq(ring_endpoint_connect(program->endpoint), 0);
	run();
}

static void
attach(struct program *program, enum ring_role role, const char *name)
{
	connect_to_broker(program, role, name);
	ck_assert_msg(program->link != NULL, "%s", program->reason);
}

static void
leave(struct program *program)
{
	ring_endpoint_free(program->endpoint);
	program->endpoint = NULL;
	program->link = NULL;
	run();
}

static int
open_lane(struct program *program, const char *set)
{
	program->lane = -1;
	ck_assert_int_eq(ring_endpoint_open_lane(program->endpoint, set), 0);
	run();
	return program->lane;
}

static uint64_t
log_in(void)
{
	const struct record_auth credentials = {
		.user = slice_of_string("admin"),
		.password = slice_of_string("public"),
	};
	const struct ring_record record = { .kind = RECORD_AUTH,
		.correlation = 7 };
	struct ring_producer *producer = ring_link_producer(httpd.link, 0);
	struct ring_consumer *answers = ring_link_consumer(httpd.link, 0);
	struct record_auth_result answer;
	struct ring_record got;
	const void *body;
	void *out;

	ck_assert_int_eq(
	    ring_claim(producer, record_auth_size(&credentials), &out), 0);
	record_auth_write(&credentials, out);
	ring_put(producer, &record);
	ring_commit(producer, clock_now_ns());
	ring_link_wake(httpd.link);
	ring_grant(answers, RING_BYTES);
	ring_link_wake(httpd.link);
	run();
	ck_assert_int_eq(ring_peek(answers, &got, &body), 1);
	ck_assert_uint_eq(got.kind, RECORD_AUTH_RESULT);
	ck_assert_uint_eq(got.correlation, 7);
	ck_assert_int_eq(
	    record_auth_result_parse(body, got.length, &answer), 0);
	ck_assert_uint_eq(answer.code, 0);
	ck_assert_uint_eq(answer.valid_ms, 0);
	ck_assert_str_eq(answer.name, "admin");
	ring_release(answers, ring_next(answers), NULL, 0);
	return answer.identity;
}

/* Of what publish() sends. */
static struct slice properties;
static uint64_t clock_error_ns;

/* Returns what ring_claim() said. */
static int
publish(struct program *program, uint32_t lane, const char *topic,
    size_t payload, uint64_t identity)
{
	static const uint8_t zeros[RING_BYTES];
	const struct record_message message = {
		.qos = 1,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.topic = slice_of_string(topic),
		.properties = properties,
		.payload = slice_of(zeros, payload),
	};
	struct ring_producer *producer;
	struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.correlation = ++program->correlation,
		.identity = identity,
		.time_ns = clock_now_ns() + clock_error_ns,
	};
	void *out;
	int err;

	producer = ring_link_producer(program->link, lane);
	err = ring_claim(producer, record_message_size(&message), &out);
	if (err != 0)
		return err;
	record_message_write(&message, out);
	ring_put(producer, &record);
	ring_commit(producer, record.time_ns);
	ring_link_wake(program->link);
	return 0;
}

/* The code of the next receipt, or -1 if there is none. */
static int
receipt(void)
{
	struct ring_consumer *answers = ring_link_consumer(httpd.link, 0);
	struct record_answer answer;
	struct ring_record got;
	const void *body;

	if (ring_peek(answers, &got, &body) != 1)
		return -1;
	ck_assert_uint_eq(got.kind, RECORD_RECEIPT);
	ck_assert_int_eq(record_answer_parse(body, got.length, &answer), 0);
	ring_release(answers, ring_next(answers), NULL, 0);
	ring_grant(
	    answers, RING_POSITION(ring_consumer_cursor(answers)) + RING_BYTES);
	ring_link_wake(httpd.link);
	return answer.code;
}

/* Take `max` records as a bridge does; returns how many there were. */
static unsigned
receive(struct program *program, unsigned max, struct ring_record *last)
{
	struct ring_consumer *consumer = ring_link_consumer(program->link, 0);
	const struct ring_outcome delivered = { .delivered = 1 };
	struct ring_record got;
	const void *body;
	unsigned count = 0;

	while (count < max && ring_peek(consumer, &got, &body) == 1) {
		ck_assert_uint_eq(got.kind, RECORD_MESSAGE);
		ring_release(consumer, ring_next(consumer), &delivered, 0);
		count++;
		if (last != NULL)
			*last = got;
	}
	return count;
}

static void
grant_all(struct program *program)
{
	struct ring_consumer *consumer = ring_link_consumer(program->link, 0);

	ring_grant(consumer,
	    RING_POSITION(ring_consumer_cursor(consumer)) +
		(UINT64_C(1) << 40));
	ring_link_wake(program->link);
	run();
}

static void
ring_out(void *arg)
{
	*(bool *)arg = true;
}

/* Turns that wait must wait, not spin. */
static unsigned
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
	start_broker();
	httpd = bridge = other = (struct program){ 0 };
	properties = slice_of(NULL, 0);
	clock_error_ns = 0;
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
	remove_folder();
}

/* ---- attaching
 * ----------------------------------------------------------------- */

START_TEST(programs_attach_and_get_the_filters_of_reliable_bridges)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_uint_eq(httpd.filters, 2);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(bridge.filters, 1); /* never its own */
	ck_assert_ptr_nonnull(ring_link_producer(bridge.link, 0));
	ck_assert_ptr_nonnull(ring_link_consumer(bridge.link, 0));
}
END_TEST

START_TEST(a_name_that_is_served_cannot_be_claimed)
{
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	connect_to_broker(&other, RING_ROLE_BRIDGE, "cloud");
	ck_assert_ptr_null(other.link);
	ck_assert_ptr_nonnull(strstr(other.reason, "served by process"));
	ck_assert_ptr_nonnull(bridge.link);
}
END_TEST

START_TEST(an_unknown_bridge_is_refused_with_a_reason)
{
	connect_to_broker(&bridge, RING_ROLE_BRIDGE, "nobody");
	ck_assert_ptr_null(bridge.link);
	ck_assert_ptr_nonnull(strstr(bridge.reason, "no bridge nobody"));
}
END_TEST

START_TEST(a_second_broker_on_the_run_dir_is_refused)
{
	struct broker second = broker;

	ck_assert_ptr_null(links_new(&second));
	ck_assert_int_eq(errno, EADDRINUSE);
	message_pools_free(second.links_messages);
	attach(&httpd, RING_ROLE_HTTPD, "httpd"); /* the first still serves */
}
END_TEST

START_TEST(lanes_are_opened_by_sets_of_reliable_bridges)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	ck_assert_int_eq(open_lane(&httpd, "*"), 3);

	ck_assert_int_eq(open_lane(&httpd, "plant+cloud"), -1);
	ck_assert_ptr_nonnull(strstr(httpd.reason, "byte order"));
	ck_assert_int_eq(open_lane(&httpd, "loose"), -1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+"), -1);
	ck_assert_int_eq(open_lane(&httpd, "nobody"), -1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+cloud"), -1);

	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_int_eq(open_lane(&bridge, "cloud"), -1);
	ck_assert_int_eq(open_lane(&bridge, "plant"), 1);
}
END_TEST

/* httpd and three bridges begin with lane "" and one out, and may have "*". */
START_TEST(a_lane_is_opened_only_if_it_fits_the_memory_limit_fully_grown)
{
	struct conf_memory m;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	conf_memory_for(&conf, 0, 0, &m);
	conf.memory_limit = m.windows + m.programs + (4 * 3 + 1) * RING_BYTES;
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "plant"), -1);
	ck_assert_ptr_nonnull(strstr(httpd.reason, "memory_limit"));
	ck_assert_int_eq(open_lane(&httpd, "*"), 2);
	conf.memory_limit += RING_BYTES;
	ck_assert_int_eq(open_lane(&httpd, "plant"), 3);
}
END_TEST

/* ---- records
 * ------------------------------------------------------------------ */

START_TEST(a_publish_is_routed_and_answered)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	subscribers = 2;
	ck_assert_int_eq(publish(&httpd, 0, "a/b", 10, identity), 0);
	run();
	ck_assert_uint_eq(routed, 1);
	ck_assert_str_eq(last_topic, "a/b");
	ck_assert_int_eq(receipt(), MQTT_SUCCESS);

	subscribers = 0;
	ck_assert_int_eq(publish(&httpd, 0, "a/b", 10, identity), 0);
	run();
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
}
END_TEST

START_TEST(what_is_not_allowed_or_not_valid_is_answered_and_goes_nowhere)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	publish(&httpd, 0, "a", 1, identity + 1);
	publish(&httpd, 0, "a", 1, AUTH_ANONYMOUS);
	publish(&httpd, 0, "a/+", 1, identity);
	publish(&httpd, 0, "", 1, identity);
	publish(&httpd, 0, "\xff", 1, identity);
	run();
	ck_assert_int_eq(receipt(), MQTT_BAD_USER_NAME_OR_PASSWORD);
	ck_assert_int_eq(receipt(), MQTT_NOT_AUTHORIZED);
	ck_assert_int_eq(receipt(), MQTT_TOPIC_NAME_INVALID);
	ck_assert_int_eq(receipt(), MQTT_TOPIC_NAME_INVALID);
	ck_assert_int_eq(receipt(), MQTT_TOPIC_NAME_INVALID);
	ck_assert_int_eq(receipt(), -1);
	ck_assert_uint_eq(routed, 0);
}
END_TEST

START_TEST(a_bridged_message_is_in_the_ring_before_its_receipt)
{
	struct ring_record got = { 0 };
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10, identity), 0);
	run();
	ck_assert_int_eq(receipt(), MQTT_SUCCESS);
	ck_assert_uint_eq(receive(&bridge, 9, &got), 1);
	ck_assert_uint_eq(got.source_link, 0);
	ck_assert_uint_eq(got.source_lane, 1);
	ck_assert_uint_eq(got.source_sequence, 1);
	ck_assert_uint_eq(got.identity, identity);
}
END_TEST

/* Bridge cloud takes nothing; returns how many receipts came. */
static unsigned
flood_cloud(uint64_t identity, unsigned *out_published)
{
	unsigned receipts = 0, published = 0;

	for (int i = 0; i < 100; i++) {
		if (publish(&httpd, 1, "cloud/x", 1000, identity) == 0)
			published++;
		run();
		while (receipt() == MQTT_SUCCESS)
			receipts++;
	}
	*out_published = published;
	return receipts;
}

START_TEST(a_stalled_bridge_blocks_its_lane_and_nothing_else)
{
	unsigned published, receipts, received = 0;
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	receipts = flood_cloud(identity, &published);
	ck_assert_uint_gt(receipts, 30);
	ck_assert_uint_lt(receipts, RING_BYTES / 1000);
	/* Credit holds httpd back long before its own lane is full. */
	ck_assert_uint_le(published, receipts + 20);
	ck_assert_int_eq(
	    publish(&httpd, 1, "cloud/x", 1000, identity), -EAGAIN);

	/* Lane "" goes on. */
	subscribers = 1;
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(publish(&httpd, 0, "a", 1000, identity), 0);
		run();
		ck_assert_int_eq(receipt(), MQTT_SUCCESS);
	}

	/* The bridge recovers: all that was answered is there, in order. */
	for (int i = 0; i < 200; i++) {
		received += receive(&bridge, 5, NULL);
		ring_link_wake(bridge.link);
		run();
		while (receipt() == MQTT_SUCCESS)
			receipts++;
	}
	ck_assert_uint_eq(received, published);
	ck_assert_uint_eq(receipts, published);
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 1000, identity), 0);
}
END_TEST

START_TEST(a_message_waits_for_all_its_bridges)
{
	uint64_t identity;
	unsigned published;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	identity = log_in();
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, "cloud+plant"), 2);
	/* Credit given while there was room lets one more begin. */
	flood_cloud(identity, &published);
	publish(&httpd, 2, "cloud/plant", 15000, identity);
	run();
	ck_assert_int_eq(receipt(), -1);
	ck_assert_uint_eq(receive(&other, 9, NULL), 0);

	while (receive(&bridge, 9, NULL) != 0) {
		ring_link_wake(bridge.link);
		run();
	}
	ck_assert_uint_eq(receive(&other, 9, NULL), 1);
}
END_TEST

/*
 * What is in a lane, and finds that others were faster, is refused when its
 * request has waited for stall_timeout: not before, and by a timer.  In a lane
 * of the set's own, and in the one that sets share.
 */
START_TEST(what_waits_in_a_lane_is_refused_in_time)
{
	uint64_t identity, begin_ns;
	unsigned published;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	identity = log_in();
	ck_assert_int_eq(open_lane(&httpd, "cloud"), 1);
	ck_assert_int_eq(open_lane(&httpd, _i == 0 ? "cloud+plant" : "*"), 2);
	flood_cloud(identity, &published);
	conf.http.stall_timeout_ns = 30 * CLOCK_MS_NS;
	begin_ns = clock_now_ns();
	routed = 0;
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 15000, identity), 0);
	run();
	if (clock_now_ns() - begin_ns < 30 * CLOCK_MS_NS)
		ck_assert_int_eq(receipt(), -1);
	ck_assert_uint_lt(turns_in_50_ms(), 10);
	ck_assert_int_eq(receipt(), MQTT_QUOTA_EXCEEDED);
	ck_assert_uint_ge(clock_now_ns() - begin_ns, 30 * CLOCK_MS_NS);
	ck_assert_uint_eq(routed, 0);
	ck_assert_uint_eq(receive(&other, 9, NULL), 0);
	/* Only what comes through the shared lane is ours to count. */
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(
		    links_bridge_output(broker.links, i)->offers.declined, _i);

	/* There is room again, and the lane goes on. */
	while (receive(&bridge, 9, NULL) != 0) {
		ring_link_wake(bridge.link);
		run();
	}
	publish(&httpd, 2, "cloud/plant", 15000, identity);
	run();
	while (receipt() != -1)
		continue;
	ck_assert_uint_eq(receive(&other, 9, NULL), 1);
}
END_TEST

START_TEST(a_bridge_that_drops_loses_its_own_only)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "loose");
	grant_all(&bridge);
	identity = log_in();
	for (int i = 0; i < 200; i++) {
		ck_assert_int_eq(
		    publish(&httpd, 0, "loose/x", 1000, identity), 0);
		run();
		ck_assert_int_eq(receipt(), MQTT_SUCCESS);
	}
	ck_assert_uint_lt(receive(&bridge, 400, NULL), RING_BYTES / 1000);
}
END_TEST

START_TEST(a_bridge_that_rejects_refuses_what_has_no_room)
{
	uint64_t identity;
	unsigned published;

	stop_broker();
	bridges[0].overflow = CONF_OVERFLOW_REJECT;
	start_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	identity = log_in();
	open_lane(&httpd, "cloud");
	open_lane(&httpd, "cloud+plant");
	flood_cloud(identity, &published);
	/* Nobody waits for credit to be told. */
	ck_assert_uint_eq(published, 100);

	routed = 0;
	ck_assert_int_eq(publish(&httpd, 2, "cloud/plant", 15000, identity), 0);
	run();
	ck_assert_int_eq(receipt(), MQTT_QUOTA_EXCEEDED);
	ck_assert_uint_eq(routed, 0); /* no side effect */
	ck_assert_uint_eq(receive(&other, 9, NULL), 0);
	ck_assert_int_eq(
	    bridge_port_offer(worker.port, 0x1, 200), BRIDGE_PORT_REJECTS);

	while (receive(&bridge, 9, NULL) != 0) {
		ring_link_wake(bridge.link);
		run();
	}
	ck_assert_int_eq(
	    bridge_port_offer(worker.port, 0x1, 200), BRIDGE_PORT_TAKES);
	ck_assert_uint_le(turns_in_50_ms(), 3);
	publish(&httpd, 2, "cloud/plant", 15000, identity);
	run();
	ck_assert_int_eq(receipt(), MQTT_SUCCESS);
}
END_TEST

START_TEST(a_bridge_that_drops_its_oldest_is_told_to_skip_them)
{
	struct ring_consumer *consumer;
	struct ring_record got;
	const void *body;
	uint64_t identity;

	stop_broker();
	bridges[2].overflow = CONF_OVERFLOW_DROP_OLDEST;
	start_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "loose");
	grant_all(&bridge);
	identity = log_in();
	consumer = ring_link_consumer(bridge.link, 0);
	publish(&httpd, 0, "loose/x", 1000, identity);
	run();
	ck_assert_int_eq(ring_peek(consumer, &got, &body), 1);
	ck_assert(!ring_consumer_should_drop(consumer));

	/* While it hangs the newest go; then it skips the oldest. */
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(
		    publish(&httpd, 0, "loose/x", 1000, identity), 0);
		run();
	}
	ck_assert(ring_consumer_should_drop(consumer));
	ck_assert_uint_eq(got.sequence, 1);
}
END_TEST

START_TEST(what_a_ring_can_never_hold_does_not_stall_it)
{
	uint64_t identity;

	stop_broker();
	bridges[0].ring = (struct conf_ring){ 16384, 16384 };
	start_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	publish(&httpd, 1, "cloud/x", 5000, identity);
	publish(&httpd, 1, "cloud/x", 3000, identity);
	run();
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
	ck_assert_int_eq(receipt(), MQTT_SUCCESS);
	ck_assert_uint_eq(receive(&bridge, 9, NULL), 1);
}
END_TEST

START_TEST(a_message_beyond_the_packet_limit_is_refused)
{
	uint64_t identity;

	broker.max_packet_size = 100;
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	publish(&httpd, 0, "a", 100, identity);
	publish(&httpd, 0, "a", 10, identity);
	run();
	ck_assert_int_eq(receipt(), MQTT_PACKET_TOO_LARGE);
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
}
END_TEST

START_TEST(without_room_for_receipts_lanes_wait)
{
	unsigned receipts = 0, published = 0;
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	/* 128 bytes a receipt: more than its lane holds. */
	while (published < 2000 && publish(&httpd, 0, "a", 1, identity) == 0) {
		published++;
		run();
	}
	ck_assert_uint_gt(published, 400);
	ck_assert_uint_lt(routed, published);
	while (receipts < published) {
		ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
		receipts++;
		run();
	}
	ck_assert_uint_eq(routed, published);
	ck_assert_int_eq(receipt(), -1);
}
END_TEST

START_TEST(a_received_message_never_goes_back_to_its_bridge)
{
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	ck_assert_int_eq(open_lane(&bridge, "plant"), 1);
	ck_assert_int_eq(publish(&bridge, 1, "cloud/plant", 10, 0), 0);
	run();
	ck_assert_uint_eq(routed, 1);
	ck_assert_uint_eq(receive(&bridge, 9, NULL), 0);
	ck_assert_uint_eq(receive(&other, 9, NULL), 1);
}
END_TEST

/* ---- workers
 * ------------------------------------------------------------------- */

static uint64_t
send_by_mqtt(const char *topic, size_t payload)
{
	static const uint8_t zeros[2000];
	static struct message_pools *pools;
	const struct message_parts parts = {
		.topic = slice_of_string(topic),
		.payload = slice_of(zeros, payload),
		.qos = 1,
		.link = MESSAGE_FROM_MQTT,
		.created_ns = clock_now_ns(),
		.expires_ns = UINT64_MAX,
	};
	struct message *message;
	uint64_t bridges_wanted, ticket;

	if (pools == NULL)
		pools = message_pools_new();
	message = message_new(pools, &parts);
	bridges_wanted = bridge_table_match(broker.bridges, parts.topic);
	ck_assert_int_eq(bridge_port_offer(worker.port, bridges_wanted,
			     message_weight(message)),
	    BRIDGE_PORT_TAKES);
	ticket = bridge_port_send(worker.port, bridges_wanted, message);
	message_put(message);
	bridge_port_flush(worker.port);
	return ticket;
}

START_TEST(what_a_worker_sends_is_committed_for_every_bridge)
{
	struct ring_record got = { 0 };
	uint64_t ticket, filling = 0;

	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	/* Plant's ring is full, cloud's is empty. */
	do {
		ticket = filling;
		filling = send_by_mqtt("x/plant", 1900);
		run();
	} while (bridge_port_is_committed(worker.port, 0x2, filling));
	ck_assert_uint_gt(ticket, 0);
	ticket = send_by_mqtt("cloud/plant", 5);
	run();
	mailbox_open(worker.mailbox, 0);
	ck_assert(bridge_port_is_committed(worker.port, 0x1, ticket));
	ck_assert(!bridge_port_is_committed(worker.port, 0x3, ticket));

	moved = 0;
	while (receive(&other, 9, NULL) != 0)
		continue;
	grant_all(&other);
	mailbox_open(worker.mailbox, 0);
	ck_assert_uint_ge(moved, 1);
	ck_assert(bridge_port_is_committed(worker.port, 0x3, ticket));
	ck_assert_uint_eq(receive(&bridge, 9, &got), 1);
	ck_assert_uint_eq(got.source_link, MESSAGE_FROM_MQTT);
	ck_assert_uint_eq(got.source_sequence, ticket);
}
END_TEST

START_TEST(a_bridge_that_never_came_has_room_all_the_same)
{
	uint64_t ticket;

	ticket = send_by_mqtt("cloud/x", 5);
	run();
	ck_assert(bridge_port_is_committed(worker.port, 0x1, ticket));
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(receive(&bridge, 9, NULL), 1);
}
END_TEST

START_TEST(a_lane_reaches_the_bridges_of_its_set_only)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&other, RING_ROLE_BRIDGE, "plant");
	grant_all(&bridge);
	grant_all(&other);
	identity = log_in();
	open_lane(&httpd, "cloud");
	publish(&httpd, 1, "cloud/plant", 10, identity);
	run();
	ck_assert_uint_eq(receive(&bridge, 9, NULL), 1);
	ck_assert_uint_eq(receive(&other, 9, NULL), 0);
}
END_TEST

START_TEST(a_bridge_that_drops_gets_nothing_of_its_own_back)
{
	attach(&bridge, RING_ROLE_BRIDGE, "loose");
	grant_all(&bridge);
	publish(&bridge, 0, "loose/x", 10, 0);
	run();
	ck_assert_uint_eq(routed, 1);
	ck_assert_uint_eq(receive(&bridge, 9, NULL), 0);
}
END_TEST

START_TEST(properties_are_checked_like_those_of_a_packet)
{
	static const uint8_t user[] = { 0x26, 0, 1, 'k', 0, 1, 'v' };
	static const uint8_t alias[] = { 0x23, 0, 1 };
	static const uint8_t expiry[] = { 0x02, 0, 0, 0, 1 };
	static const uint8_t broken[] = { 0x26, 0, 9, 'k' };
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	properties = slice_of(user, sizeof(user));
	publish(&httpd, 0, "topic", 1, identity);
	properties = slice_of(alias, sizeof(alias));
	publish(&httpd, 0, "topic", 1, identity);
	properties = slice_of(expiry, sizeof(expiry));
	publish(&httpd, 0, "topic", 1, identity);
	properties = slice_of(broken, sizeof(broken));
	publish(&httpd, 0, "topic", 1, identity);
	run();
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
	ck_assert_str_eq(last_topic, "topic"); /* whole again */
	ck_assert_int_eq(receipt(), MQTT_MALFORMED_PACKET);
	ck_assert_int_eq(receipt(), MQTT_MALFORMED_PACKET);
	ck_assert_int_eq(receipt(), MQTT_MALFORMED_PACKET);
	ck_assert_uint_eq(routed, 1);
}
END_TEST

START_TEST(a_time_in_the_future_is_now)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	clock_error_ns = 3600 * CLOCK_SECOND_NS;
	publish(&httpd, 0, "a", 1, identity);
	run();
	ck_assert_uint_eq(routed, 1);
	ck_assert_uint_le(last_created_ns, clock_now_ns());
}
END_TEST

START_TEST(a_sleeping_program_is_woken)
{
	struct pollfd bell = { .events = POLLIN };
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	bell.fd = ring_link_bell_fd(httpd.link);
	publish(&httpd, 0, "a", 1, identity);
	ring_link_drain_bell(httpd.link);
	ring_link_arm(httpd.link);
	ck_assert_int_eq(poll(&bell, 1, 0), 0);
	run();
	ck_assert_int_eq(poll(&bell, 1, 0), 1);
}
END_TEST

START_TEST(a_large_record_does_not_starve_among_small_ones)
{
	uint64_t identity;
	int code = -1;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	/* The worker fills the ring and its window. */
	while (bridge_port_offer(worker.port, 0x1, 1200) == BRIDGE_PORT_TAKES) {
		send_by_mqtt("cloud/x", 1000);
		run();
	}
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 15000, identity), 0);
	run();
	/* Each record that leaves makes room for one of the worker's. */
	for (int i = 0; i < 40 && code == -1; i++) {
		while (bridge_port_offer(worker.port, 0x1, 1200) ==
		    BRIDGE_PORT_TAKES)
			send_by_mqtt("cloud/x", 1000);
		receive(&bridge, 1, NULL);
		ring_link_wake(bridge.link);
		run();
		mailbox_open(worker.mailbox, 0);
		code = receipt();
	}
	ck_assert_int_eq(code, MQTT_SUCCESS);
}
END_TEST

START_TEST(the_figures_of_a_bridge_add_up)
{
	uint64_t identity;
	char *text;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 10; i++)
		publish(&httpd, 1, "cloud/x", 10, identity);
	run();
	receive(&bridge, 3, NULL);
	text = links_status_answer(broker.links, slice_of_string("status"));
	ck_assert_ptr_nonnull(strstr(text,
	    "\"accepted\":10,\"delivered\":3,\"queued\":7,\"dropped\":0,"
	    "\"dead\":0"));
	free(text);

	/* Also after the link was given up. */
	ring_endpoint_poison(bridge.endpoint, "a test");
	run();
	text = links_status_answer(broker.links, slice_of_string("status"));
	ck_assert_ptr_nonnull(strstr(text,
	    "\"accepted\":10,\"delivered\":3,\"queued\":7,\"dropped\":0,"
	    "\"dead\":0"));
	free(text);

	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 7);
	text = links_status_answer(broker.links, slice_of_string("status"));
	ck_assert_ptr_nonnull(
	    strstr(text, "\"accepted\":10,\"delivered\":10,\"queued\":0,"));
	free(text);
}
END_TEST

/* ---- dying and coming back
 * ------------------------------------------------------ */

START_TEST(a_restarted_program_finds_all_that_was_committed)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(
		    publish(&httpd, 1, "cloud/x", 10, identity), 0);
	run();
	ck_assert_uint_eq(receive(&bridge, 5, NULL), 5);

	leave(&bridge);
	/* Committed while nobody is there. */
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10, identity), 0);
	/* httpd commits, and dies before the broker looks. */
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10, identity), 0);
	leave(&httpd);

	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(ring_link_epoch(bridge.link), 2);
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 17);
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_ptr_nonnull(ring_link_producer(httpd.link, 1));
	ck_assert_int_eq(publish(&httpd, 1, "cloud/x", 10, identity), 0);
	run();
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 1);
}
END_TEST

/*
 * A child attaches as the bridge, says so on the pipe, and waits; or it
 * leaves before that, but lives.
 */
static pid_t
spawn_bridge(int *out_pipe, bool leaves)
{
	struct program child = { 0 };
	int pipe_fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	*out_pipe = pipe_fds[0];
	pid = fork();
	if (pid != 0) {
		close(pipe_fds[1]);
		return pid;
	}
	child.endpoint = ring_endpoint_new(
	    run_dir, RING_ROLE_BRIDGE, "cloud", &callbacks, &child);
	ring_endpoint_connect(child.endpoint);
	while (child.link == NULL && child.losses == 0) {
		ring_endpoint_process(child.endpoint);
		usleep(1000);
	}
	if (leaves)
		ring_endpoint_free(child.endpoint);
	if (write(pipe_fds[1], "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

START_TEST(the_name_of_a_killed_process_is_free_at_once)
{
	struct pollfd attached_fd;
	int pipe_fd, status;
	pid_t pid;

	pid = spawn_bridge(&pipe_fd, _i == 1);
	attached_fd = (struct pollfd){ .fd = pipe_fd, .events = POLLIN };
	do
		run();
	while (poll(&attached_fd, 1, 1) == 0);
	connect_to_broker(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_ptr_null(bridge.link);
	ck_assert_ptr_nonnull(strstr(bridge.reason, "served by process"));

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(pipe_fd);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(ring_link_epoch(bridge.link), 2);
}
END_TEST

START_TEST(a_hostile_program_loses_its_link_and_harms_nobody)
{
	struct ring_producer *producer;
	struct ring_record record = { .kind = 99 };
	uint64_t identity;
	void *out;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	identity = log_in();
	producer = ring_link_producer(bridge.link, 0);
	ck_assert_int_eq(ring_claim(producer, 8, &out), 0);
	ring_put(producer, &record);
	ring_commit(producer, 1);
	ring_link_wake(bridge.link);
	run();
	ck_assert_ptr_null(bridge.link);
	ck_assert_ptr_nonnull(strstr(bridge.reason, "unknown kind"));

	ck_assert_int_eq(publish(&httpd, 0, "a", 10, identity), 0);
	run();
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(ring_link_epoch(bridge.link), 1); /* fresh memory */
}
END_TEST

/* The records lie in several size classes: the tail not in that of the head. */
START_TEST(what_a_grown_ring_held_survives_a_poisoned_link)
{
	struct ring_record last;
	uint64_t identity;

	stop_broker();
	bridges[0].ring.max_capacity = 8 * RING_BYTES;
	start_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 40; i++) {
		ck_assert_int_eq(
		    publish(&httpd, 1, "cloud/x", 4000, identity), 0);
		run();
		ck_assert_int_eq(receipt(), 0);
	}
	ck_assert_uint_eq(receive(&bridge, 3, NULL), 3);
	ring_endpoint_poison(bridge.endpoint, "a test");
	run();
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	ck_assert_uint_eq(receive(&bridge, 99, &last), 37);
	ck_assert_uint_eq(last.source_sequence, 40);
}
END_TEST

START_TEST(what_was_accepted_survives_a_poisoned_link)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 10; i++)
		publish(&httpd, 1, "cloud/x", 1000, identity);
	run();
	ck_assert_uint_eq(receive(&bridge, 3, NULL), 3);
	ring_endpoint_poison(bridge.endpoint, "a test");
	run();
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 7);
}
END_TEST

/* 0: who it is; 1: a lane that it sends */
#define DAMAGES 2

static void
damage(struct ring_link *link, int what)
{
	const size_t place[DAMAGES] = {
		offsetof(struct ring_side_header, magic),
		RING_SIDE_PRODUCERS + offsetof(struct ring_lane_producer, name),
	};
	uint8_t *side = (uint8_t *)ring_link_notes(link) - RING_SIDE_NOTES;

	memset(side + place[what], 0x3f, 8);
}

START_TEST(what_a_program_damaged_and_left_is_made_anew)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	identity = log_in();
	open_lane(&httpd, "cloud");
	damage(bridge.link, _i);
	leave(&bridge);
	/* It is told that it is no good, and tells the broker. */
	connect_to_broker(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_ptr_null(bridge.link);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	publish(&httpd, 1, "cloud/x", 10, identity);
	run();
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 1);
}
END_TEST

/* ---- a new broker, and programs that outlived the former one --------------
 */

/* As after kill -9 without a supervisor: nothing is kept, links are lost. */
static void
replace_broker(void)
{
	stop_broker();
	start_broker();
	run();
}

START_TEST(a_new_broker_gets_its_memory_back_from_living_programs)
{
	struct ring_record last;
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 10; i++)
		publish(&httpd, 1, "cloud/x", 10, identity);
	run();
	ck_assert_int_eq(receipt(), 0);
	/* Committed, and the broker dies before it looks. */
	publish(&httpd, 1, "cloud/x", 10, AUTH_ANONYMOUS);
	ck_assert_uint_eq(receive(&bridge, 3, NULL), 3);
	conf.allow_anonymous = true;

	replace_broker();
	ck_assert_uint_eq(httpd.losses, 1);
	ck_assert_uint_eq(bridge.losses, 1);
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_uint_eq(ring_link_epoch(bridge.link), 2);
	ck_assert_ptr_nonnull(ring_link_producer(httpd.link, 1));
	/* Nine receipts of the former life, and one of this one. */
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(receipt(), 0);
	ck_assert_int_eq(receipt(), -1);
	ck_assert_uint_eq(receive(&bridge, 99, &last), 8);
	ck_assert_uint_eq(last.sequence, 11);
}
END_TEST

START_TEST(what_a_new_broker_put_into_a_ring_follows_what_is_handed_back)
{
	struct ring_record last;
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	for (int i = 0; i < 4; i++)
		publish(&httpd, 1, "cloud/x", 100, identity);
	run();

	replace_broker();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(receipt(), 0);
	identity = log_in();
	for (int i = 0; i < 3; i++)
		publish(&httpd, 1, "cloud/x", 200, identity);
	run();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(receipt(), 0);
	/* Only now does the bridge come, with the older ones. */
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	ck_assert_uint_eq(receive(&bridge, 4, &last), 4);
	ck_assert_uint_lt(last.length, 200);
	ck_assert_uint_eq(receive(&bridge, 99, &last), 3);
	ck_assert_uint_ge(last.length, 200);
}
END_TEST

START_TEST(the_memory_of_a_poisoned_link_is_not_handed_back)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	publish(&httpd, 1, "cloud/x", 100, identity);
	run();
	ring_endpoint_poison(bridge.endpoint, "a test");
	replace_broker();
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ck_assert_uint_eq(ring_link_epoch(bridge.link), 1);
	ck_assert_uint_eq(receive(&bridge, 99, NULL), 0);
}
END_TEST

/* What is wrong with a hand-back of the bridge's link. */
enum forgery {
	FORGED_NOTHING,
	FORGED_SAME_SIDE_TWICE,
	FORGED_WRITABLE_SIDE,
	FORGED_LANE_THAT_IS_A_SIDE,
	FORGED_NO_LANE_OUT,
	FORGED_GAP_IN_LANES,
	FORGED_NAME,
	FORGED_STRANGE_FILE,
	FORGED_NO_END,
	FORGERIES
};

/* Copies of the descriptors that the bridge has, before it loses them. */
struct loot {
	struct ring_link_identity identity;
	struct ring_lane_geometry out, in;
	int broker_fd, endpoint_fd, out_fd, in_fd, strange_fd;
};

static struct loot
steal(struct program *program)
{
	struct ring_link *link = program->link;

	return (struct loot){
		.identity = *ring_link_identity(link),
		.out = *ring_link_consumer_lane(link, 0),
		.in = *ring_link_producer_lane(link, 0),
		.broker_fd = dup(ring_link_peer_fd(link)),
		.endpoint_fd = dup(ring_link_own_fd(link)),
		.out_fd = dup(ring_link_consumer_fd(link, 0)),
		.in_fd = dup(ring_link_producer_fd(link, 0)),
		.strange_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
	};
}

static void
hand_back(int sock, struct loot *loot, enum forgery forgery)
{
	int sides[2] = { loot->broker_fd, loot->endpoint_fd };
	int out_fd = loot->out_fd, writable = -1;

	if (forgery == FORGED_SAME_SIDE_TWICE)
		sides[0] = loot->endpoint_fd;
	if (forgery == FORGED_WRITABLE_SIDE)
		sides[0] = writable = memfd_reopen_writable(loot->broker_fd);
	if (forgery == FORGED_STRANGE_FILE)
		sides[0] = loot->strange_fd;
	if (forgery == FORGED_LANE_THAT_IS_A_SIDE)
		out_fd = loot->broker_fd;
	if (forgery == FORGED_GAP_IN_LANES)
		loot->in.lane = 1;
	if (forgery == FORGED_NAME)
		loot->identity.name[0] = 'p';
	ring_control_send_hello(sock, RING_ROLE_BRIDGE, "cloud", true);
	ring_control_send_held_sides(sock, &loot->identity, sides);
	ring_control_send_held_lane(
	    sock, RING_TO_BROKER, &loot->in, loot->in_fd);
	if (forgery != FORGED_NO_LANE_OUT)
		ring_control_send_held_lane(
		    sock, RING_TO_ENDPOINT, &loot->out, out_fd);
	if (forgery == FORGED_NO_END)
		ring_control_send_ready(sock);
	else
		ring_control_send_held_end(sock);
	if (writable != -1)
		close(writable);
}

START_TEST(a_forged_hand_back_is_refused_and_harms_nobody)
{
	static struct ring_control_message message;
	enum forgery forgery = (enum forgery)_i;
	struct stat granted, held;
	struct loot loot;
	bool same;
	int sock;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	loot = steal(&bridge);
	leave(&bridge);
	replace_broker();
	sock = ring_control_connect(run_dir);
	ck_assert_int_ge(sock, 0);
	hand_back(sock, &loot, forgery);
	run();
	if (forgery == FORGED_NO_END) {
		ck_assert_int_eq(ring_control_receive(sock, &message), 0);
	} else {
		ck_assert_int_eq(ring_control_receive(sock, &message), 1);
		ck_assert_int_eq(message.type, RING_CONTROL_GRANT);
		ck_assert_int_eq(fstat(message.fds[1], &granted), 0);
		ck_assert_int_eq(fstat(loot.endpoint_fd, &held), 0);
		same = granted.st_ino == held.st_ino;
		ck_assert_int_eq(same, forgery == FORGED_NOTHING);
		ring_control_close_fds(&message);
	}
	close(sock);
	close(loot.broker_fd);
	close(loot.endpoint_fd);
	close(loot.out_fd);
	close(loot.in_fd);
	close(loot.strange_fd);
	run();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	log_in();
}
END_TEST

START_TEST(an_idle_broker_sleeps)
{
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	run();
	ck_assert_uint_le(turns_in_50_ms(), 3);
}
END_TEST

START_TEST(a_stalled_broker_sleeps_too)
{
	unsigned published;
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	grant_all(&bridge);
	identity = log_in();
	open_lane(&httpd, "cloud");
	open_lane(&httpd, "cloud+plant");
	flood_cloud(identity, &published);
	publish(&httpd, 2, "cloud/plant", 15000, identity);
	run();
	ck_assert_uint_le(turns_in_50_ms(), 3);

	while (receive(&bridge, 9, NULL) != 0) {
		ring_link_wake(bridge.link);
		run();
	}
	ck_assert_uint_le(turns_in_50_ms(), 3);
}
END_TEST

START_TEST(draining_is_over_when_nothing_is_left)
{
	uint64_t identity;

	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	identity = log_in();
	ck_assert_int_eq(publish(&httpd, 0, "a", 10, identity), 0);
	ck_assert(!links_drain(broker.links));
	run();
	ck_assert(links_drain(broker.links));
	ck_assert_int_eq(receipt(), MQTT_NO_MATCHING_SUBSCRIBERS);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(
	    tc, programs_attach_and_get_the_filters_of_reliable_bridges);
	tcase_add_test(tc, a_name_that_is_served_cannot_be_claimed);
	tcase_add_test(tc, an_unknown_bridge_is_refused_with_a_reason);
	tcase_add_test(tc, a_second_broker_on_the_run_dir_is_refused);
	tcase_add_test(tc, lanes_are_opened_by_sets_of_reliable_bridges);
	tcase_add_test(
	    tc, a_lane_is_opened_only_if_it_fits_the_memory_limit_fully_grown);
	tcase_add_test(tc, a_publish_is_routed_and_answered);
	tcase_add_test(
	    tc, what_is_not_allowed_or_not_valid_is_answered_and_goes_nowhere);
	tcase_add_test(tc, a_bridged_message_is_in_the_ring_before_its_receipt);
	tcase_add_test(tc, a_stalled_bridge_blocks_its_lane_and_nothing_else);
	tcase_add_test(tc, a_message_waits_for_all_its_bridges);
	tcase_add_loop_test(tc, what_waits_in_a_lane_is_refused_in_time, 0, 2);
	tcase_add_test(tc, a_bridge_that_drops_loses_its_own_only);
	tcase_add_test(tc, a_bridge_that_rejects_refuses_what_has_no_room);
	tcase_add_test(tc, a_bridge_that_drops_its_oldest_is_told_to_skip_them);
	tcase_add_test(tc, what_a_ring_can_never_hold_does_not_stall_it);
	tcase_add_test(tc, a_message_beyond_the_packet_limit_is_refused);
	tcase_add_test(tc, without_room_for_receipts_lanes_wait);
	tcase_add_test(tc, a_received_message_never_goes_back_to_its_bridge);
	tcase_add_test(tc, what_a_worker_sends_is_committed_for_every_bridge);
	tcase_add_test(tc, a_bridge_that_never_came_has_room_all_the_same);
	tcase_add_test(tc, a_restarted_program_finds_all_that_was_committed);
	tcase_add_loop_test(
	    tc, the_name_of_a_killed_process_is_free_at_once, 0, 2);
	tcase_add_test(tc, a_hostile_program_loses_its_link_and_harms_nobody);
	tcase_add_test(tc, what_a_grown_ring_held_survives_a_poisoned_link);
	tcase_add_test(tc, what_was_accepted_survives_a_poisoned_link);
	tcase_add_loop_test(
	    tc, what_a_program_damaged_and_left_is_made_anew, 0, DAMAGES);
	tcase_add_test(tc, a_lane_reaches_the_bridges_of_its_set_only);
	tcase_add_test(tc, a_bridge_that_drops_gets_nothing_of_its_own_back);
	tcase_add_test(tc, properties_are_checked_like_those_of_a_packet);
	tcase_add_test(tc, a_time_in_the_future_is_now);
	tcase_add_test(tc, a_sleeping_program_is_woken);
	tcase_add_test(tc, a_large_record_does_not_starve_among_small_ones);
	tcase_add_test(tc, the_figures_of_a_bridge_add_up);
	tcase_add_test(
	    tc, a_new_broker_gets_its_memory_back_from_living_programs);
	tcase_add_test(
	    tc, what_a_new_broker_put_into_a_ring_follows_what_is_handed_back);
	tcase_add_test(tc, the_memory_of_a_poisoned_link_is_not_handed_back);
	tcase_add_loop_test(
	    tc, a_forged_hand_back_is_refused_and_harms_nobody, 0, FORGERIES);
	tcase_add_test(tc, an_idle_broker_sleeps);
	tcase_add_test(tc, a_stalled_broker_sleeps_too);
	tcase_add_test(tc, draining_is_over_when_nothing_is_left);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
