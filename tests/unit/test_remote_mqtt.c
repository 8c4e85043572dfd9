/* SPDX-License-Identifier: Apache-2.0 */

/* The remote is this test: bytes in, bytes out, over a loopback socket. */

#include "bridged/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "tests/unit/unit.h"

#define SECOND CLOCK_SECOND_NS
#define SELF "0123456789abcdef0123456789abcdef"
#define MAX_PACKET 4096
#define MAX_PENDING 8

static char name[] = "cloud";
static char host[] = "127.0.0.1";
static char client_id[] = "weir-cloud";
static char user[] = "u";
static char password[] = "secret";
static char filter[] = "cmd/#";
static char none[] = "";
static struct conf_rule conf_rule = { .filter = filter,
	.qos = 1,
	.local_prefix = none,
	.remote_prefix = none,
	.line = 1,
	.no_local = true,
	.retain_as_published = true,
	.retain_handling = CONF_RETAIN_HANDLING_NEW };
static struct conf_remote there = { .host = host };
static struct conf_bridge conf;

static struct loop *loop;
static struct stream_hub *hub;
static struct mapping receive_rules;
static struct remote *remote;
static int listening = -1, peer = -1;

/* What the callbacks were told. */
static unsigned ups, downs, settled_count, received_count;
static unsigned connecting_count, kept_count, ended_count, forgotten_count;
static bool is_ours;     /* what kept() and forgotten() answer */
static uint16_t last_id; /* of the last of these */
static struct remote_limits limits;
static enum remote_trouble trouble;
static char why[256];
static uint16_t settled_id;
static enum remote_verdict verdict;
static struct remote_message received;
static char received_topic[64];

static void
on_connecting(void *arg)
{
	(void)arg;
	connecting_count++;
}

static bool
on_kept(void *arg, uint16_t id)
{
	(void)arg;
	kept_count++;
	last_id = id;
	return is_ours;
}

static void
on_ended(void *arg, uint16_t id)
{
	(void)arg;
	ended_count++;
	last_id = id;
}

static bool
on_forgotten(void *arg, uint16_t id)
{
	(void)arg;
	forgotten_count++;
	last_id = id;
	return is_ours;
}

static void
on_up(void *arg, const struct remote_limits *l)
{
	(void)arg;
	ups++;
	limits = *l;
}

static void
on_down(void *arg, enum remote_trouble t, const char *text)
{
	(void)arg;
	downs++;
	trouble = t;
	snprintf(why, sizeof(why), "%s", text);
}

static void
on_settled(void *arg, uint16_t id, enum remote_verdict v, const char *text)
{
	(void)arg;
	ck_assert_ptr_nonnull(text);
	settled_count++;
	settled_id = id;
	verdict = v;
}

static void
on_received(void *arg, const struct remote_message *message)
{
	(void)arg;
	received_count++;
	received = *message;
	snprintf(received_topic, sizeof(received_topic), "%.*s",
	    (int)message->topic.len, (const char *)message->topic.data);
}

static void
on_writable(void *arg)
{
	(void)arg;
}

static const struct remote_callbacks callbacks = {
	.connecting = on_connecting,
	.up = on_up,
	.down = on_down,
	.settled = on_settled,
	.kept = on_kept,
	.ended = on_ended,
	.received = on_received,
	.forgotten = on_forgotten,
	.writable = on_writable,
};

static void
listen_anywhere(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(listen(listening, 8), 0);
	ck_assert_int_eq(
	    getsockname(listening, (struct sockaddr *)&address, &len), 0);
	there.port = ntohs(address.sin_port);
}

static void
make(enum conf_protocol protocol, bool with_rules)
{
	struct remote_spec spec = {
		.conf = &conf,
		.receive = &receive_rules,
		.max_packet = MAX_PACKET,
		.max_pending = MAX_PENDING,
		.callbacks = &callbacks,
	};
	size_t bad;

	conf.protocol = protocol;
	ck_assert_int_eq(mapping_init(&receive_rules, &conf_rule,
			     with_rules ? 1 : 0, MAPPING_RECEIVE, &bad),
	    0);
	spec.loop = loop;
	spec.hub = hub;
	remote = remote_mqtt.new(&spec);
	ck_assert_ptr_nonnull(remote);
}

static void
setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	ups = downs = settled_count = received_count = 0;
	connecting_count = kept_count = ended_count = forgotten_count = 0;
	is_ours = true;
	conf = (struct conf_bridge){
		.name = name,
		.remotes = &there,
		.remote_count = 1,
		.client_id = client_id,
		.username = user,
		.password = password,
		.keepalive_ns = 60 * SECOND,
		.announce_bridge = true,
		.max_inflight = 20,
		.session_expiry_ns = 3600 * SECOND,
		.connect_timeout_ns = 5 * SECOND,
	};
	loop = loop_new();
	hub = stream_hub_new(loop, 64);
	listen_anywhere();
}

static void
hang_up(void)
{
	if (peer != -1)
		close(peer);
	peer = -1;
}

static void
teardown(void)
{
	remote_mqtt.close(remote);
	remote_mqtt.free(remote);
	mapping_fini(&receive_rules);
	stream_hub_free(hub);
	loop_free(loop);
	hang_up();
	close(listening);
}

/* Turn the loop for a moment, until `fd` is readable. */
static bool
turn_until_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 2000; i++) {
		loop_turn(loop, false);
		if (poll(&pollfd, 1, 1) == 1)
			return true;
	}
	return false;
}

static void
turn_until(const unsigned *counter, unsigned value)
{
	for (int i = 0; i < 2000 && *counter < value; i++) {
		loop_turn(loop, false);
		if (*counter < value)
			poll(NULL, 0, 1);
	}
	ck_assert_uint_eq(*counter, value);
}

static void
turn_a_little(void)
{
	for (int i = 0; i < 20; i++) {
		loop_turn(loop, false);
		poll(NULL, 0, 1);
	}
}

/* One packet with a one or two byte length; returns its whole size. */
static size_t
read_packet(uint8_t *buffer)
{
	size_t have = 0, need = 2, length;

	ck_assert(turn_until_readable(peer));
	while (have < need) {
		ssize_t n = read(peer, buffer + have, need - have);

		if (n <= 0) {
			ck_assert(errno == EAGAIN && n == -1);
			ck_assert(turn_until_readable(peer));
			continue;
		}
		have += (size_t)n;
		if (have < 2)
			continue;
		length = buffer[1] & 0x7f;
		if ((buffer[1] & 0x80) != 0 && have < 3) {
			need = 3;
			continue;
		}
		if ((buffer[1] & 0x80) != 0)
			need = 3 + length + 128 * (size_t)buffer[2];
		else
			need = 2 + length;
	}
	return have;
}

static void
expect_packet(const void *expected, size_t len)
{
	uint8_t buffer[MAX_PACKET];

	ck_assert_uint_eq(read_packet(buffer), len);
	ck_assert_mem_eq(buffer, expected, len);
}

#define EXPECT(...)                                                            \
	do {                                                                   \
		static const uint8_t e_[] = { __VA_ARGS__ };                   \
		expect_packet(e_, sizeof(e_));                                 \
	} while (0)

static void
answer(const void *bytes, size_t len)
{
	ck_assert_int_eq(write(peer, bytes, len), (ssize_t)len);
}

#define ANSWER(...)                                                            \
	do {                                                                   \
		static const uint8_t a_[] = { __VA_ARGS__ };                   \
		answer(a_, sizeof(a_));                                        \
	} while (0)

/* Open, accept, read the CONNECT into `connect`. */
static size_t
accept_connect(uint8_t *connect)
{
	hang_up();
	remote_mqtt.open(remote, SELF);
	ck_assert(turn_until_readable(listening));
	peer = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
	ck_assert_int_ge(peer, 0);
	return read_packet(connect);
}

/* Up, in MQTT 5.0. */
static void
come_up(bool session_present)
{
	uint8_t buffer[MAX_PACKET];
	uint8_t connack[] = { 0x20, 3, session_present, 0, 0 };

	accept_connect(buffer);
	answer(connack, sizeof(connack));
	turn_until(&ups, ups + 1);
}

static int
send_message(uint16_t id, uint8_t qos, bool dup)
{
	struct remote_message message = {
		.id = id,
		.qos = qos,
		.dup = dup,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string("a"),
		.payload = slice_of_string("x"),
	};

	return remote_mqtt.send(remote, &message);
}

static void
expect_down(enum remote_trouble expected)
{
	turn_until(&downs, 1);
	turn_a_little();
	ck_assert_uint_eq(downs, 1);
	ck_assert_int_eq(trouble, expected);
	ck_assert_uint_ne(strlen(why), 0);
}

START_TEST(says_that_it_is_a_bridge_and_reads_the_limits)
{
	static const uint8_t connack[] = { 0x20, 54, 1, 0, 51, 0x21, 0, 5, 0x26,
		0, 7, 'w', 'e', 'i', 'r', '-', 'i', 'd', 0, 32, 'f', 'e', 'd',
		'c', 'b', 'a', '9', '8', '7', '6', '5', '4', '3', '2', '1', '0',
		'f', 'e', 'd', 'c', 'b', 'a', '9', '8', '7', '6', '5', '4', '3',
		'2', '1', '0', 0x24, 1, 0x25, 0 };
	uint8_t buffer[MAX_PACKET];
	size_t len;

	make(CONF_PROTOCOL_5_0, false);
	len = accept_connect(buffer);
	ck_assert_uint_eq(buffer[0], 0x10);
	ck_assert_ptr_nonnull(memmem(buffer, len, "\0\4MQTT\5", 7));
	ck_assert_ptr_nonnull(
	    memmem(buffer, len, "\0\13weir-bridge\0\40" SELF, 47));
	/* In two pieces: the network may cut anywhere. */
	answer(connack, sizeof(connack) - 4);
	turn_a_little();
	answer(connack + sizeof(connack) - 4, 4);
	turn_until(&ups, 1);
	ck_assert_uint_eq(limits.window, 5);
	ck_assert(limits.session_present);
	ck_assert_str_eq(limits.weir_id, "fedcba9876543210fedcba9876543210");

	/* Maximum QoS 1, no retained messages. */
	ck_assert_uint_eq(limits.max_qos, 1);
	ck_assert_int_eq(send_message(9, 1, false), 0);
	EXPECT(0x32, 7, 0, 1, 'a', 0, 9, 0, 'x');
}
END_TEST

START_TEST(announces_a_bridge_in_the_old_version_unless_refused)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_3_1_1, false);
	accept_connect(buffer);
	ck_assert_uint_eq(buffer[8], 0x84);
	ANSWER(0x20, 2, 0, 1);
	expect_down(REMOTE_LOST);
	accept_connect(buffer);
	ck_assert_uint_eq(buffer[8], 4);
	ANSWER(0x20, 2, 0, 0);
	turn_until(&ups, 1);
}
END_TEST

START_TEST(settles_qos_1_by_the_reason_of_puback)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ck_assert_int_eq(send_message(1, 1, false), 0);
	ck_assert_int_eq(send_message(2, 1, false), 0);
	ck_assert_int_eq(send_message(3, 1, false), 0);
	/* [MQTT-4.3.2-2] [MQTT-2.2.1-3] */
	EXPECT(0x32, 7, 0, 1, 'a', 0, 1, 0, 'x');
	ANSWER(0x40, 2, 0, 1);
	turn_until(&settled_count, 1);
	ck_assert_int_eq(verdict, REMOTE_TOOK);
	ANSWER(0x40, 3, 0, 2, 0x87);
	/* [MQTT-4.4.0-2] it is settled, and not sent again */
	turn_until(&settled_count, 2);
	ck_assert_int_eq(verdict, REMOTE_REFUSED);
	ck_assert_uint_eq(settled_id, 2);
	ANSWER(0x40, 3, 0, 3, 0x97);
	turn_until(&settled_count, 3);
	ck_assert_int_eq(verdict, REMOTE_LATER);
	ANSWER(0x40, 2, 0, 3);
	turn_a_little();
	ck_assert_uint_eq(settled_count, 3);
}
END_TEST

START_TEST(goes_through_qos_2_and_resumes_it_with_pubrel)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ck_assert_int_eq(send_message(1, 2, false), 0);
	EXPECT(0x34, 7, 0, 1, 'a', 0, 1, 0, 'x');
	ANSWER(0x50, 2, 0, 1);
	turn_until(&kept_count, 1);
	ck_assert_uint_eq(last_id, 1);
	/* [MQTT-4.3.3-4] [MQTT-4.3.3-5] */
	EXPECT(0x62, 2, 0, 1);
	ck_assert_uint_eq(settled_count, 0);
	/* QoS 1 under the other's identifier, not answered. */
	ck_assert_int_eq(send_message(2, 1, false), 0);
	EXPECT(0x32, 7, 0, 1, 'a', 0, 2, 0, 'x');
	hang_up();
	expect_down(REMOTE_LOST);

	/* [MQTT-4.4.0-1] [MQTT-4.3.3-6] not the PUBLISH, it would be another */
	come_up(true);
	ck_assert_int_eq(remote_mqtt.release(remote, 1), 0);
	EXPECT(0x62, 2, 0, 1);
	/* It may repeat itself; the connection is another. */
	ck_assert_uint_eq(kept_count, 1);
	ANSWER(0x50, 2, 0, 2);
	EXPECT(0x62, 2, 0, 2);
	ck_assert_uint_eq(kept_count, 2);
	/* Whatever it says: it is not there any more. */
	ANSWER(0x70, 3, 0, 1, 0x92);
	turn_until(&settled_count, 1);
	ck_assert_int_eq(verdict, REMOTE_TOOK);
}
END_TEST

START_TEST(answers_each_pubrec_and_asks_once_whether_it_is_ours)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ck_assert_int_eq(send_message(1, 2, false), 0);
	EXPECT(0x34, 7, 0, 1, 'a', 0, 1, 0, 'x');
	ANSWER(0x50, 2, 0, 1, 0x50, 2, 0, 1);
	EXPECT(0x62, 2, 0, 1);
	EXPECT(0x62, 2, 0, 1);
	ck_assert_uint_eq(kept_count, 1);
	ANSWER(0x70, 2, 0, 1, 0x70, 2, 0, 1);
	turn_until(&settled_count, 1);
	turn_a_little();
	ck_assert_uint_eq(settled_count, 1);
}
END_TEST

/* Some remotes begin a resumed session so. */
START_TEST(takes_a_pubrec_for_what_a_former_life_sent)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(true);
	ANSWER(0x50, 2, 0, 9);
	EXPECT(0x62, 2, 0, 9);
	ck_assert_uint_eq(kept_count, 1);
	ANSWER(0x70, 2, 0, 9);
	turn_until(&settled_count, 1);
	ck_assert_uint_eq(settled_id, 9);

	is_ours = false;
	ANSWER(0x50, 2, 0, 8);
	EXPECT(0x62, 3, 0, 8, 0x92);
	ANSWER(0x70, 2, 0, 8);
	turn_a_little();
	ck_assert_uint_eq(settled_count, 1);
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(ignores_acknowledgements_of_another_kind)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ck_assert_int_eq(send_message(1, 1, false), 0);
	EXPECT(0x32, 7, 0, 1, 'a', 0, 1, 0, 'x');
	ck_assert_int_eq(send_message(2, 2, false), 0);
	EXPECT(0x34, 7, 0, 1, 'a', 0, 2, 0, 'x');
	ANSWER(0x50, 2, 0, 1); /* PUBREC for QoS 1 */
	EXPECT(0x62, 3, 0, 1, 0x92);
	ANSWER(0x70, 2, 0, 1, 0x40, 2, 0, 2, 0x70, 2, 0, 2);
	turn_a_little();
	ck_assert_uint_eq(settled_count, 0);
	ck_assert_uint_eq(kept_count, 0);
	ANSWER(0x40, 2, 0, 1);
	turn_until(&settled_count, 1);
	ck_assert_uint_eq(settled_id, 1);
}
END_TEST

START_TEST(settles_qos_2_by_the_reason_of_pubrec)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ck_assert_int_eq(send_message(1, 2, false), 0);
	ck_assert_int_eq(send_message(2, 2, false), 0);
	EXPECT(0x34, 7, 0, 1, 'a', 0, 1, 0, 'x');
	EXPECT(0x34, 7, 0, 1, 'a', 0, 2, 0, 'x');
	ANSWER(0x50, 3, 0, 1, 0x87);
	turn_until(&settled_count, 1);
	ck_assert_int_eq(verdict, REMOTE_REFUSED);
	ck_assert_uint_eq(kept_count, 0);
	/* What it has taken it cannot refuse. */
	ANSWER(0x50, 2, 0, 2);
	EXPECT(0x62, 2, 0, 2);
	ANSWER(0x50, 3, 0, 2, 0x87);
	turn_until(&settled_count, 2);
	ck_assert_int_eq(verdict, REMOTE_TOOK);
}
END_TEST

START_TEST(ends_what_another_life_began)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(true);
	ck_assert_int_eq(send_message(1, 1, false), 0);
	EXPECT(0x32, 7, 0, 1, 'a', 0, 1, 0, 'x');
	ck_assert_int_eq(remote_mqtt.end(remote, 1), 0);
	ck_assert_int_eq(remote_mqtt.end(remote, 2), 0);
	EXPECT(0x62, 2, 0, 1);
	EXPECT(0x62, 2, 0, 2);
	/* A repeated PUBREC crosses our PUBREL; QoS 1 is another matter. */
	ANSWER(0x50, 2, 0, 2, 0x70, 3, 0, 1, 0x92, 0x70, 2, 0, 2);
	turn_until(&ended_count, 2);
	ck_assert_uint_eq(last_id, 2);
	ck_assert_uint_eq(kept_count, 0);
	ANSWER(0x40, 2, 0, 1);
	turn_until(&settled_count, 1);
}
END_TEST

START_TEST(tells_before_the_remote_hears_from_it)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, false);
	remote_mqtt.open(remote, SELF);
	ck_assert_uint_eq(connecting_count, 0);
	ck_assert(turn_until_readable(listening));
	peer = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
	read_packet(buffer);
	ck_assert_uint_eq(connecting_count, 1);
}
END_TEST

START_TEST(subscribes_without_getting_its_own_back)
{
	uint8_t buffer[4];

	make(CONF_PROTOCOL_5_0, true);
	come_up(false);
	turn_a_little();
	ck_assert_int_eq(read(peer, buffer, 1), -1);
	remote_mqtt.receive(remote);
	/* No Local, Retain As Published, Retain Handling 1, QoS 1 */
	EXPECT(0x82, 11, 0xff, 0xff, 0, 0, 5, 'c', 'm', 'd', '/', '#', 0x1d);
	ANSWER(0x90, 4, 0xff, 0xff, 0, 1);
	turn_a_little();
	ck_assert_uint_eq(downs, 0);
}
END_TEST

/* The receive rules become this one. */
static void
change_rule(char *text, enum conf_retain_handling retained)
{
	struct conf_rule rule = conf_rule;
	size_t bad;

	rule.filter = text;
	rule.retain_handling = retained;
	mapping_fini(&receive_rules);
	ck_assert_int_eq(
	    mapping_init(&receive_rules, &rule, 1, MAPPING_RECEIVE, &bad), 0);
	remote_mqtt.resubscribe(remote);
}

START_TEST(follows_rules_that_change_while_it_is_connected)
{
	static char b[] = "b", c[] = "c";

	make(CONF_PROTOCOL_5_0, true);
	come_up(false);
	change_rule(b, CONF_RETAIN_HANDLING_ALWAYS); /* before it may ask */
	turn_a_little();
	remote_mqtt.receive(remote);
	EXPECT(0x82, 7, 0xff, 0xff, 0, 0, 1, 'b', 0x0d);
	change_rule(c, CONF_RETAIN_HANDLING_NEVER); /* while it asks */
	turn_a_little();
	ANSWER(0x90, 4, 0xff, 0xff, 0, 1);
	EXPECT(0xa2, 6, 0xff, 0xff, 0, 0, 1, 'b');
	ANSWER(0xb0, 4, 0xff, 0xff, 0, 0);
	EXPECT(0x82, 7, 0xff, 0xff, 0, 0, 1, 'c', 0x2d);
	ANSWER(0x90, 4, 0xff, 0xff, 0, 0x87); /* refused: not asked again */
	remote_mqtt.resubscribe(remote);
	turn_a_little();
	ck_assert_uint_eq(downs, 0);
	/* An answer without a question. */
	ANSWER(0xb0, 4, 0xff, 0xff, 0, 0);
	expect_down(REMOTE_LOST);
}
END_TEST

/* MQTT 3.1.1 sends what is retained at each SUBSCRIBE. */
START_TEST(keeps_an_old_subscription_where_the_session_goes_on)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_3_1_1, true);
	for (unsigned i = 0; i < 2; i++) {
		accept_connect(buffer);
		if (i == 0)
			ANSWER(0x20, 2, 0, 0);
		else
			ANSWER(0x20, 2, 1, 0);
		turn_until(&ups, i + 1);
		ck_assert(limits.marks_retained);
		remote_mqtt.receive(remote);
		if (i == 0) {
			EXPECT(0x82, 10, 0xff, 0xff, 0, 5, 'c', 'm', 'd', '/',
			    '#', 1);
			ANSWER(0x90, 3, 0xff, 0xff, 1);
			turn_a_little();
			hang_up();
			expect_down(REMOTE_LOST);
		}
	}
	turn_a_little();
	ck_assert_int_eq(read(peer, buffer, 1), -1);
}
END_TEST

/* Up with this CONNACK, in MQTT 5.0. */
static void
come_up_with(const void *connack, size_t len)
{
	uint8_t buffer[MAX_PACKET];

	accept_connect(buffer);
	answer(connack, len);
	turn_until(&ups, ups + 1);
}

static int
send_to(const char *topic, uint16_t id)
{
	struct remote_message message = {
		.id = id,
		.qos = 1,
		.expiry_s = REMOTE_NEVER_EXPIRES,
		.topic = slice_of_string(topic),
	};

	return remote_mqtt.send(remote, &message);
}

START_TEST(uses_as_many_topic_aliases_as_the_remote_takes)
{
	static const uint8_t one[] = { 0x20, 6, 0, 0, 3, 0x22, 0, 1 };

	conf.topic_alias_maximum = 4;
	make(CONF_PROTOCOL_5_0, false);
	come_up_with(one, sizeof(one));
	ck_assert_int_eq(send_to("a/b/c", 1), 0);
	EXPECT(0x32, 13, 0, 5, 'a', '/', 'b', '/', 'c', 0, 1, 3, 0x23, 0, 1);
	ck_assert_int_eq(send_to("a/b/c", 2), 0);
	EXPECT(0x32, 8, 0, 0, 0, 2, 3, 0x23, 0, 1);
	ck_assert_int_eq(send_to("d/e/f", 3), 0);
	/* [MQTT-3.2.2-17] [MQTT-3.3.2-9] no second one */
	EXPECT(0x32, 13, 0, 5, 'd', '/', 'e', '/', 'f', 0, 3, 3, 0x23, 0, 1);
	ck_assert_int_eq(send_to("a/b/c", 4), 0);
	EXPECT(0x32, 13, 0, 5, 'a', '/', 'b', '/', 'c', 0, 4, 3, 0x23, 0, 1);
	hang_up();
	expect_down(REMOTE_LOST);
	/* [MQTT-3.3.2-7] they end; [MQTT-3.2.2-18] this remote takes none */
	come_up(true);
	ck_assert_int_eq(send_to("a/b/c", 5), 0);
	EXPECT(0x32, 10, 0, 5, 'a', '/', 'b', '/', 'c', 0, 5, 0);
}
END_TEST

START_TEST(understands_the_aliases_of_the_remote)
{
	uint8_t buffer[MAX_PACKET];
	size_t len;

	conf.topic_alias_maximum = 2;
	make(CONF_PROTOCOL_5_0, false);
	len = accept_connect(buffer);
	ck_assert_ptr_nonnull(memmem(buffer, len, "\x22\0\2", 3));
	ANSWER(0x20, 3, 0, 0, 0);
	turn_until(&ups, 1);
	ANSWER(0x30, 8, 0, 1, 'a', 3, 0x23, 0, 2, 'x');
	ANSWER(0x30, 7, 0, 0, 3, 0x23, 0, 2, 'y');
	turn_until(&received_count, 2);
	/* [MQTT-3.3.2-10] */
	ck_assert_str_eq(received_topic, "a");
	ck_assert_uint_eq(received.properties.len, 0);
	ANSWER(0x30, 7, 0, 0, 3, 0x23, 0, 1, 'y'); /* it stands for nothing */
	expect_down(REMOTE_LOST);
	ck_assert_ptr_nonnull(strstr(why, "bad PUBLISH"));
}
END_TEST

START_TEST(refuses_an_alias_above_its_maximum)
{
	conf.topic_alias_maximum = 2;
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ANSWER(0x30, 8, 0, 1, 'a', 3, 0x23, 0, 3, 'x');
	expect_down(REMOTE_LOST);
	EXPECT(0xe0, 1, 0x94);
}
END_TEST

START_TEST(sends_no_more_than_the_remote_takes)
{
	static const uint8_t small[] = { 0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 12 };

	make(CONF_PROTOCOL_5_0, false);
	come_up_with(small, sizeof(small));
	/* [MQTT-3.2.2-15] */
	ck_assert_int_eq(send_to("123456", 1), -EMSGSIZE);
	ck_assert_int_eq(send_to("12345", 1), 0);
}
END_TEST

START_TEST(leaves_a_will_with_all_it_is_told_to_say)
{
	static char topic[] = "w", payload[] = "gone", type[] = "t";
	static char key[] = "k", value[] = "v";
	static struct conf_user_property users[] = { { key, value } };
	static const uint8_t expected[] = { 21, 0x02, 0, 0, 0, 7, 0x03, 0, 1,
		't', 0x18, 0, 0, 0, 9, 0x26, 0, 1, 'k', 0, 1, 'v', 0, 1, 'w', 0,
		4, 'g', 'o', 'n', 'e' };
	uint8_t buffer[MAX_PACKET];
	size_t len;

	conf.user_properties = users;
	conf.user_property_count = 1;
	conf.clean_start = true;
	conf.will = (struct conf_will){
		.enabled = true,
		.topic = topic,
		.payload = payload,
		.qos = 2,
		.retain = true,
		.delay_ns = 9 * SECOND,
		.expiry_ns = 7 * SECOND,
		.content_type = type,
		.user_properties = users,
		.user_property_count = 1,
	};
	make(CONF_PROTOCOL_5_0, false);
	len = accept_connect(buffer);
	/* User name, password, will retain, QoS 2, will, clean start. */
	ck_assert_ptr_nonnull(memmem(buffer, len, "\0\4MQTT\5\xf6", 8));
	ck_assert_ptr_nonnull(memmem(buffer, len, "\x26\0\1k\0\1v", 7));
	ck_assert_ptr_nonnull(memmem(buffer, len, expected, sizeof(expected)));
}
END_TEST

START_TEST(tells_the_remote_that_it_is_there_and_when_it_goes)
{
	static char topic[] = "n";
	uint8_t buffer[MAX_PACKET];
	size_t len;

	conf.notifications = CONF_NOTIFICATIONS_REMOTE;
	conf.notification_topic = topic;
	make(CONF_PROTOCOL_3_1_1, true);
	len = accept_connect(buffer);
	ck_assert_ptr_nonnull(memmem(buffer, len,
	    "\0\1n\0\1"
	    "0",
	    6));
	ck_assert_uint_eq(buffer[9], 0xec); /* will retain, QoS 1, will */
	ANSWER(0x20, 2, 0, 0);
	turn_until(&ups, 1);
	remote_mqtt.receive(remote);
	EXPECT(0x33, 6, 0, 1, 'n', 0xff, 0xff, '1');
	turn_a_little();
	ck_assert_int_eq(read(peer, buffer, 1), -1);
	ANSWER(0x40, 2, 0xff, 0xff);
	/* Then the subscriptions, under the same identifier. */
	EXPECT(0x82, 10, 0xff, 0xff, 0, 5, 'c', 'm', 'd', '/', '#', 1);
	remote_mqtt.close(remote);
	EXPECT(0x31, 4, 0, 1, 'n', '0');
	EXPECT(0xe0, 0);
}
END_TEST

START_TEST(says_what_the_remote_gives_for_a_reason)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, false);
	accept_connect(buffer);
	ANSWER(0x20, 15, 0, 0x9d, 12, 0x1f, 0, 3, 'g', '\n', 'o', 0x1c, 0, 3,
	    'a', '"', 'b');
	expect_down(REMOTE_LOST);
	ck_assert_ptr_nonnull(strstr(why, "(g?o)"));
	ck_assert_ptr_nonnull(strstr(why, "not followed, it names: a\"b"));
}
END_TEST

START_TEST(acknowledges_only_when_told_to)
{
	uint8_t buffer[4];

	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ANSWER(0x33, 7, 0, 1, 'c', 0, 5, 0, 'x');
	turn_until(&received_count, 1);
	ck_assert_uint_eq(received.qos, 1);
	ck_assert(received.retain);
	ck_assert_str_eq(received_topic, "c");
	turn_a_little();
	ck_assert_int_eq(read(peer, buffer, 1), -1);
	/* [MQTT-4.3.2-4] [MQTT-4.5.0-2] */
	remote_mqtt.acknowledge(remote, 5, 1, true);
	EXPECT(0x40, 2, 0, 5);
}
END_TEST

START_TEST(goes_through_qos_2_of_a_received_message)
{
	make(CONF_PROTOCOL_5_0, false);
	come_up(false);
	ANSWER(0x34, 7, 0, 1, 'c', 0, 5, 0, 'x');
	turn_until(&received_count, 1);
	/* [MQTT-4.3.3-8] */
	remote_mqtt.acknowledge(remote, 5, 2, true);
	EXPECT(0x50, 2, 0, 5);
	/* [MQTT-4.3.3-10] a copy: told like the first, for the notes know */
	ANSWER(0x3c, 7, 0, 1, 'c', 0, 5, 0, 'x');
	turn_until(&received_count, 2);
	ck_assert_uint_eq(received.qos, 2);
	remote_mqtt.acknowledge(remote, 5, 2, true);
	EXPECT(0x50, 2, 0, 5);
	/* [MQTT-4.3.3-11] */
	ANSWER(0x62, 2, 0, 5);
	EXPECT(0x70, 2, 0, 5);
	ck_assert_uint_eq(forgotten_count, 1);
	is_ours = false;
	ANSWER(0x62, 2, 0, 5);
	EXPECT(0x70, 3, 0, 5, 0x92);
	remote_mqtt.remind(remote, 6);
	EXPECT(0x50, 2, 0, 6);
}
END_TEST

START_TEST(says_whether_the_remote_keeps_the_session)
{
	uint8_t connack[] = { 0x20, 8, 0, 0, 5, 0x11, 0, 0, 0, 0 };
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, false);
	connack[9] = (uint8_t)_i;
	accept_connect(buffer);
	/* [MQTT-3.1.2-4] no clean start, session expiry 3600 */
	ck_assert_uint_eq(buffer[9] & 0x02, 0);
	ck_assert_mem_eq(buffer + 13, "\x11\0\0\x0e\x10", 5);
	answer(connack, sizeof(connack));
	turn_until(&ups, 1);
	ck_assert(limits.keeps_session == (_i != 0));
}
END_TEST

/* Also MQTT 5.0, where it breaks a rule [MQTT-3.3.4-9]. */
START_TEST(leaves_unread_what_a_remote_sends_too_much)
{
	uint8_t old[] = { 0x32, 6, 0, 1, 'c', 0, 0, 'x' };
	uint8_t new[] = { 0x32, 7, 0, 1, 'c', 0, 0, 0, 'x' };
	uint8_t buffer[MAX_PACKET];

	make(_i == 0 ? CONF_PROTOCOL_5_0 : CONF_PROTOCOL_3_1_1, false);
	if (_i == 0) {
		come_up(false);
	} else {
		accept_connect(buffer);
		ANSWER(0x20, 2, 0, 0);
		turn_until(&ups, 1);
	}
	for (uint8_t id = 1; id <= MAX_PENDING + 3; id++) {
		old[6] = new[6] = id;
		if (_i == 0)
			answer(new, sizeof(new));
		else
			answer(old, sizeof(old));
	}
	turn_until(&received_count, MAX_PENDING);
	turn_a_little();
	ck_assert_uint_eq(received_count, MAX_PENDING);
	remote_mqtt.acknowledge(remote, 1, 1, true);
	EXPECT(0x40, 2, 0, 1);
	turn_until(&received_count, MAX_PENDING + 1);
	ck_assert_uint_eq(received.id, MAX_PENDING + 1);
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(names_the_keys_when_credentials_are_refused)
{
	uint8_t buffer[MAX_PACKET];

	make(_i == 0 ? CONF_PROTOCOL_5_0 : CONF_PROTOCOL_3_1_1, false);
	accept_connect(buffer);
	if (_i == 0)
		ANSWER(0x20, 3, 0, 0x86, 0);
	else
		ANSWER(0x20, 2, 0, 4);
	expect_down(REMOTE_DENIED);
	ck_assert_ptr_nonnull(strstr(why, "username"));
	ck_assert_ptr_nonnull(strstr(why, "password_file"));
	ck_assert_ptr_null(strstr(why, password));
}
END_TEST

START_TEST(refuses_a_message_larger_than_the_remote_takes)
{
	static const uint8_t payload[200];
	struct remote_message message = {
		.id = 1,
		.qos = 1,
		.topic = slice_of_string("a"),
		.payload = slice_of(payload, sizeof(payload)),
	};
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, false);
	accept_connect(buffer);
	ANSWER(0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 100);
	turn_until(&ups, 1);
	ck_assert_int_eq(remote_mqtt.send(remote, &message), -EMSGSIZE);
	ck_assert_int_eq(send_message(1, 1, false), 0);
}
END_TEST

START_TEST(is_not_connected_before_and_after)
{
	make(CONF_PROTOCOL_5_0, false);
	ck_assert_int_eq(send_message(1, 1, false), -ENOTCONN);
	come_up(false);
	ck_assert_int_eq(send_message(1, 1, false), 0);
	hang_up();
	expect_down(REMOTE_LOST);
	ck_assert_int_eq(send_message(1, 1, false), -ENOTCONN);
}
END_TEST

START_TEST(reports_a_remote_that_is_not_there)
{
	make(CONF_PROTOCOL_5_0, false);
	close(listening);
	listening = -1;
	remote_mqtt.open(remote, SELF);
	ck_assert_uint_eq(downs, 0);
	expect_down(REMOTE_LOST);
}
END_TEST

START_TEST(gives_up_on_a_remote_that_says_nothing)
{
	uint8_t buffer[MAX_PACKET];

	conf.connect_timeout_ns = 50 * CLOCK_MS_NS;
	make(CONF_PROTOCOL_5_0, false);
	accept_connect(buffer);
	expect_down(REMOTE_LOST);
	ck_assert_ptr_nonnull(strstr(why, "connect_timeout"));
}
END_TEST

START_TEST(does_not_go_on_with_a_session_it_did_not_ask_for)
{
	uint8_t buffer[MAX_PACKET];

	conf.clean_start = true;
	make(_i == 0 ? CONF_PROTOCOL_5_0 : CONF_PROTOCOL_3_1_1, false);
	accept_connect(buffer);
	/* [MQTT-3.2.2-4] */
	if (_i == 0)
		ANSWER(0x20, 3, 1, 0, 0);
	else
		ANSWER(0x20, 2, 1, 0);
	expect_down(REMOTE_LOST);
	ck_assert_ptr_nonnull(strstr(why, "session"));
	ck_assert_uint_eq(ups, 0);
}
END_TEST

/* What a hostile remote may send at once, before and after its CONNACK. */
static const struct {
	const char *bytes;
	size_t len;
	bool is_up;
} attacks[] = {
	{ "\x20\x01\x00", 3, false },             /* CONNACK cut short */
	{ "\x20\x03\x02\x00\x00", 5, false },     /* reserved flag */
	{ "\x20\x03\x00\x03\x00", 5, false },     /* unknown reason */
	{ "\x20\x04\x00\x00\x05\x21", 6, false }, /* properties cut short */
	{ "\x20\x06\x00\x00\x03\x21\x00\x00", 8,
	    false }, /* Receive Maximum 0 */
	{ "\x30\x04\x00\x01"
	  "ax",
	    6, false },                       /* PUBLISH before CONNACK */
	{ "\xff\xff\xff\xff\xff", 5, false }, /* noise */
	{ "\x20\xff\xff\xff\x7f", 5, false }, /* 256 MiB announced */
	{ "\x20\x03\x00\x00\x00", 5, true },  /* a second CONNACK */
	{ "\x90\x03\xff\xff\x00", 5, true },  /* SUBACK without codes */
	{ "\x90\x05\xff\xff\x00\x00\x00", 7, true }, /* ... with two */
	{ "\x90\x04\x00\x01\x00\x00", 6, true },     /* ... not asked for */
	{ "\x30\xff\xff\xff\x7f", 5, true },         /* 256 MiB announced */
	{ "\x36\x06\x00\x01"
	  "a\x00\x01\x00",
	    8, true }, /* QoS 3 */
	{ "\x32\x06\x00\x01"
	  "a\x00\x00\x00",
	    8, true },                         /* packet identifier 0 */
	{ "\x30\x05\x00\x01#\x00x", 7, true }, /* wildcard in a name */
	{ "\x30\x08\x00\x01"
	  "a\x03\x23\x00\x01x",
	    10, true },                  /* topic alias */
	{ "\x10\x02\x00\x00", 4, true }, /* CONNECT from a server */
	{ "\xc0\x00", 2, true },         /* PINGREQ from a server */
	{ "\xd0\x80\x00", 3, true },     /* [MQTT-1.5.5-1] padded length */
	{ "\x40\x02\x00\x00", 4, true }, /* PUBACK of identifier 0 */
	{ "\xf0\x02\x18\x00", 4, true }, /* AUTH, never asked for */
};

START_TEST(harms_only_its_connection_when_the_remote_is_hostile)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, true);
	if (attacks[_i].is_up)
		come_up(false);
	else
		accept_connect(buffer);
	answer(attacks[_i].bytes, attacks[_i].len);
	expect_down(REMOTE_LOST);
	ck_assert_uint_eq(received_count, 0);

	/* And the next connection works. */
	downs = 0;
	come_up(false);
	turn_a_little();
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(pings_a_silent_remote)
{
	uint8_t buffer[MAX_PACKET];

	conf.keepalive_ns = SECOND;
	make(CONF_PROTOCOL_5_0, false);
	accept_connect(buffer);
	ANSWER(0x20, 3, 0, 0, 0);
	turn_until(&ups, 1);
	/* [MQTT-3.1.2-20] */
	EXPECT(0xc0, 0);
	ANSWER(0xd0, 0);
	turn_a_little();
	ck_assert_uint_eq(downs, 0);
}
END_TEST

START_TEST(pings_as_often_as_the_remote_wants_it)
{
	uint8_t buffer[MAX_PACKET];

	make(CONF_PROTOCOL_5_0, false);
	accept_connect(buffer);
	/* [MQTT-3.1.2-21] [MQTT-3.2.2-21] Server Keep Alive 1, not 60 */
	ANSWER(0x20, 6, 0, 0, 3, 0x13, 0, 1);
	turn_until(&ups, 1);
	EXPECT(0xc0, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("remote_mqtt");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, says_that_it_is_a_bridge_and_reads_the_limits);
	tcase_add_test(
	    tc, announces_a_bridge_in_the_old_version_unless_refused);
	tcase_add_test(tc, settles_qos_1_by_the_reason_of_puback);
	tcase_add_test(tc, goes_through_qos_2_and_resumes_it_with_pubrel);
	tcase_add_test(
	    tc, answers_each_pubrec_and_asks_once_whether_it_is_ours);
	tcase_add_test(tc, takes_a_pubrec_for_what_a_former_life_sent);
	tcase_add_test(tc, ignores_acknowledgements_of_another_kind);
	tcase_add_test(tc, settles_qos_2_by_the_reason_of_pubrec);
	tcase_add_test(tc, ends_what_another_life_began);
	tcase_add_test(tc, tells_before_the_remote_hears_from_it);
	tcase_add_test(tc, subscribes_without_getting_its_own_back);
	tcase_add_test(tc, follows_rules_that_change_while_it_is_connected);
	tcase_add_test(tc, keeps_an_old_subscription_where_the_session_goes_on);
	tcase_add_test(tc, uses_as_many_topic_aliases_as_the_remote_takes);
	tcase_add_test(tc, understands_the_aliases_of_the_remote);
	tcase_add_test(tc, refuses_an_alias_above_its_maximum);
	tcase_add_test(tc, sends_no_more_than_the_remote_takes);
	tcase_add_test(tc, leaves_a_will_with_all_it_is_told_to_say);
	tcase_add_test(tc, tells_the_remote_that_it_is_there_and_when_it_goes);
	tcase_add_test(tc, says_what_the_remote_gives_for_a_reason);
	tcase_add_test(tc, acknowledges_only_when_told_to);
	tcase_add_test(tc, goes_through_qos_2_of_a_received_message);
	tcase_add_loop_test(
	    tc, says_whether_the_remote_keeps_the_session, 0, 2);
	tcase_add_loop_test(
	    tc, leaves_unread_what_a_remote_sends_too_much, 0, 2);
	tcase_add_loop_test(
	    tc, names_the_keys_when_credentials_are_refused, 0, 2);
	tcase_add_test(tc, refuses_a_message_larger_than_the_remote_takes);
	tcase_add_loop_test(
	    tc, does_not_go_on_with_a_session_it_did_not_ask_for, 0, 2);
	tcase_add_test(tc, is_not_connected_before_and_after);
	tcase_add_test(tc, reports_a_remote_that_is_not_there);
	tcase_add_test(tc, gives_up_on_a_remote_that_says_nothing);
	tcase_add_loop_test(tc,
	    harms_only_its_connection_when_the_remote_is_hostile, 0,
	    (int)(sizeof(attacks) / sizeof(attacks[0])));
	tcase_add_test(tc, pings_a_silent_remote);
	tcase_add_test(tc, pings_as_often_as_the_remote_wants_it);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
