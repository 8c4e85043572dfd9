/* SPDX-License-Identifier: Apache-2.0 */

/* The endpoint's half against a broker of a few lines. */

#include "common/ring/ring_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

static const struct ring_link_identity cloud = {
	.instance = { 9 },
	.link = 1,
	.endpoint_role = RING_ROLE_BRIDGE,
	.name = "cloud",
	.run_dir = "/run/weir-test",
};

static const struct ring_lane_geometry lane_in = {
	.lane = 0,
	.min_shift = 12,
	.classes = 1,
	.name = "",
};

static const struct ring_lane_geometry lane_out = {
	.lane = 2,
	.min_shift = 12,
	.classes = 1,
	.name = "plant",
};

/* The broker, the endpoint, and what the endpoint's owner was told. */
struct scene {
	char dir[64];
	int listener, sock;
	struct ring_control_message got;
	struct ring_endpoint *endpoint;
	struct ring_link *broker_link;
	int broker_fd, endpoint_fd;
	char told[1024];
};

static void
tell(struct scene *scene, const char *what)
{
	size_t length = strlen(scene->told);

	snprintf(
	    scene->told + length, sizeof(scene->told) - length, "%s;", what);
}

static void
on_attached(void *context, struct ring_link *link)
{
	tell(context, "attached");
	ck_assert_ptr_nonnull(link);
}

static void
on_lane_opened(void *context, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	ck_assert_int_eq(direction, RING_TO_BROKER);
	tell(context, "lane");
	tell(context, geometry->name);
}

static void
on_lane_refused(void *context, const char *set, const char *text)
{
	tell(context, "refused");
	tell(context, set);
	tell(context, text);
}

static void
on_begin(void *context)
{
	tell(context, "begin");
}

static void
on_filter(
    void *context, const char *bridge, const char *filter, size_t filter_length)
{
	ck_assert_uint_eq(strlen(filter), filter_length);
	tell(context, bridge);
	tell(context, filter);
}

static void
on_end(void *context, uint64_t version)
{
	char text[32];

	snprintf(text, sizeof(text), "end %d", (int)version);
	tell(context, text);
}

static void
on_lost(void *context, const char *reason)
{
	struct scene *scene = context;

	tell(scene, "lost");
	tell(scene, reason == NULL ? "(gone)" : reason);
}

static const struct ring_endpoint_callbacks callbacks = {
	.attached = on_attached,
	.lane_opened = on_lane_opened,
	.lane_refused = on_lane_refused,
	.filters_begin = on_begin,
	.filter = on_filter,
	.filters_end = on_end,
	.lost = on_lost,
};

static int
listen_at(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir,
	    RING_CONTROL_SOCKET);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(sock, 4), 0);
	return sock;
}

static struct scene *
open_scene(void)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	ck_assert_ptr_nonnull(scene);
	strcpy(scene->dir, "/tmp/weir-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scene->dir));
	scene->listener = listen_at(scene->dir);
	scene->endpoint = ring_endpoint_new(
	    scene->dir, RING_ROLE_BRIDGE, "cloud", &callbacks, scene);
	ck_assert_ptr_nonnull(scene->endpoint);
	ck_assert_int_eq(
	    ring_link_create(&cloud, &scene->broker_fd, &scene->endpoint_fd),
	    0);
	scene->sock = -1;
	return scene;
}

static void
close_scene(struct scene *scene)
{
	char path[128];

	ring_endpoint_free(scene->endpoint);
	ring_link_detach(scene->broker_link);
	close(scene->broker_fd);
	close(scene->endpoint_fd);
	close(scene->listener);
	if (scene->sock != -1)
		close(scene->sock);
	snprintf(path, sizeof(path), "%s/%s", scene->dir, RING_CONTROL_SOCKET);
	unlink(path);
	rmdir(scene->dir);
	free(scene);
}

/* What was told since the last time; cleared. */
static const char *
told(struct scene *scene)
{
	static char copy[sizeof(scene->told)];

	strcpy(copy, scene->told);
	scene->told[0] = '\0';
	return copy;
}

/* The endpoint connects, the broker reads its HELLO. */
static void
greet(struct scene *scene)
{
	ck_assert_int_eq(ring_endpoint_connect(scene->endpoint), 0);
	scene->sock = accept(scene->listener, NULL, NULL);
	ck_assert_int_ge(scene->sock, 0);
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 1);
	ck_assert_int_eq(scene->got.type, RING_CONTROL_HELLO);
}

static void
send_grant(struct scene *scene)
{
	struct bell_fds bells;
	int fds[4];

	ck_assert_int_eq(bell_open(&bells), 0);
	fds[0] = memfd_reopen_read_only(scene->broker_fd);
	fds[1] = scene->endpoint_fd;
	fds[2] = bells.to_broker;
	fds[3] = bells.to_endpoint_wait;
	ck_assert_int_eq(
	    ring_control_send_grant(scene->sock, &cloud, fds, 4), 0);
	close(fds[0]);
	close(bells.to_endpoint_wait);
	bells.to_endpoint_wait = -1;
	ring_link_detach(scene->broker_link);
	ck_assert_int_eq(
	    ring_link_attach(&cloud, RING_ROLE_BROKER, scene->broker_fd,
		scene->endpoint_fd, &bells, &scene->broker_link),
	    0);
}

static void
send_lane(struct scene *scene, enum ring_direction direction,
    const struct ring_lane_geometry *geometry)
{
	enum ring_role role =
	    direction == RING_TO_BROKER ? RING_ROLE_BRIDGE : RING_ROLE_BROKER;
	int fd = ring_link_create_lane(&cloud, role, geometry);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(
	    ring_control_send_lane(scene->sock, direction, geometry, fd), 0);
	close(fd);
}

static void
attach_greeted(struct scene *scene)
{
	send_grant(scene);
	send_lane(scene, RING_TO_ENDPOINT, &lane_in);
	ring_control_send_filter(scene->sock, "plant", "a/#", 3);
	ring_control_send_filters_end(scene->sock, 1);
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(told(scene), "attached;begin;plant;a/#;end 1;");
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 1);
	ck_assert_int_eq(scene->got.type, RING_CONTROL_READY);
}

static void
attach(struct scene *scene)
{
	greet(scene);
	ck_assert_uint_eq(scene->got.body.hello.holds_link, 0);
	attach_greeted(scene);
}

static void
expect(struct scene *scene, enum ring_control_type type, unsigned fds)
{
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 1);
	ck_assert_int_eq(scene->got.type, type);
	ck_assert_uint_eq(scene->got.fd_count, fds);
}

/* What follows a HELLO of an endpoint that has memory of a former broker. */
static void
take_hand_back(struct scene *scene)
{
	struct stat got, own;

	ck_assert_uint_eq(scene->got.body.hello.holds_link, 1);
	expect(scene, RING_CONTROL_HELD_SIDES, 2);
	ck_assert_str_eq(scene->got.body.held_sides.identity.name, "cloud");
	ck_assert_int_eq(fstat(scene->got.fds[1], &got), 0);
	ck_assert_int_eq(fstat(scene->endpoint_fd, &own), 0);
	ck_assert_uint_eq(got.st_ino, own.st_ino);
	ring_control_close_fds(&scene->got);
	expect(scene, RING_CONTROL_HELD_LANE, 1);
	ck_assert_uint_eq(scene->got.body.lane.direction, RING_TO_ENDPOINT);
	ring_control_close_fds(&scene->got);
	expect(scene, RING_CONTROL_HELD_END, 0);
}

/* The same before and after: nothing leaked. */
static int
count_open(void)
{
	int count = 0;

	for (int fd = 0; fd < 512; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			count++;
	return count;
}

START_TEST(an_endpoint_says_who_it_is)
{
	struct scene *scene = open_scene();
	char boot_id[40];

	ck_assert_int_eq(ring_endpoint_fd(scene->endpoint), -1);
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), -ENOTCONN);
	greet(scene);
	ring_control_boot_id(boot_id);
	ck_assert_uint_eq(strlen(boot_id), 36);
	ck_assert_uint_eq(scene->got.body.hello.abi, RING_ABI);
	ck_assert_uint_eq(scene->got.body.hello.role, RING_ROLE_BRIDGE);
	ck_assert_str_eq(scene->got.body.hello.name, "cloud");
	ck_assert_str_eq(scene->got.body.hello.boot_id, boot_id);
	ck_assert_int_ge(ring_endpoint_fd(scene->endpoint), 0);
	close_scene(scene);
}
END_TEST

START_TEST(an_endpoint_attaches_follows_and_opens_lanes)
{
	struct scene *scene = open_scene();

	attach(scene);
	ck_assert_ptr_nonnull(
	    ring_link_consumer(ring_endpoint_link(scene->endpoint), 0));
	ck_assert_int_eq(ring_endpoint_stats_fd(scene->endpoint), -1);

	ck_assert_int_eq(ring_endpoint_open_lane(scene->endpoint, "plant"), 0);
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 1);
	ck_assert_int_eq(scene->got.type, RING_CONTROL_OPEN_LANE);
	ck_assert_str_eq(scene->got.body.open_lane.set, "plant");
	send_lane(scene, RING_TO_BROKER, &lane_out);
	ring_control_send_lane_refused(scene->sock, "x+y", "too many lanes");
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(told(scene), "lane;plant;refused;x+y;too many lanes;");
	ck_assert_ptr_nonnull(
	    ring_link_producer(ring_endpoint_link(scene->endpoint), 2));

	/* New filters, none of them. */
	ring_control_send_filters_begin(scene->sock);
	ring_control_send_filters_end(scene->sock, 2);
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(told(scene), "begin;end 2;");
	/* READY is said once. */
	ck_assert_int_eq(
	    ring_control_receive(scene->sock, &scene->got), -EAGAIN);
	close_scene(scene);
}
END_TEST

START_TEST(an_endpoint_comes_back_to_the_same_memory)
{
	struct scene *scene = open_scene();
	int open_before;

	attach(scene);
	close(scene->sock);
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), -ECONNRESET);
	ck_assert_str_eq(told(scene), "lost;(gone);");
	ck_assert_int_eq(ring_endpoint_fd(scene->endpoint), -1);
	ck_assert_ptr_null(ring_endpoint_link(scene->endpoint));
	ck_assert_int_eq(
	    ring_endpoint_open_lane(scene->endpoint, "x"), -ENOTCONN);
	ck_assert(!ring_link_peer_is_attached(scene->broker_link));

	open_before = count_open();
	for (int life = 2; life <= 4; life++) {
		greet(scene);
		take_hand_back(scene);
		attach_greeted(scene);
		ck_assert_uint_eq(
		    ring_link_peer_epoch(scene->broker_link), life);
		close(scene->sock);
		ring_endpoint_process(scene->endpoint);
		ck_assert_str_eq(told(scene), "lost;(gone);");
	}
	ck_assert_int_eq(count_open(), open_before);
	scene->sock = -1;
	close_scene(scene);
}
END_TEST

START_TEST(an_endpoint_hears_why_it_is_refused)
{
	struct scene *scene = open_scene();

	greet(scene);
	ring_control_send_text(
	    scene->sock, RING_CONTROL_REFUSED, "no such bridge");
	ck_assert_int_eq(ring_endpoint_process(scene->endpoint), -ECONNABORTED);
	ck_assert_str_eq(told(scene), "lost;no such bridge;");
	close_scene(scene);
}
END_TEST

START_TEST(a_poisoned_link_is_closed_with_the_reason)
{
	struct scene *scene = open_scene();

	attach(scene);
	ring_endpoint_poison(scene->endpoint, "the head went backwards");
	ck_assert_str_eq(told(scene), "lost;the head went backwards;");
	ring_endpoint_poison(scene->endpoint, "twice");
	ck_assert_str_eq(told(scene), "");
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 1);
	ck_assert_int_eq(scene->got.type, RING_CONTROL_POISONED);
	ck_assert_str_eq(scene->got.text, "the head went backwards");
	ck_assert_int_eq(ring_control_receive(scene->sock, &scene->got), 0);
	close_scene(scene);
}
END_TEST

START_TEST(an_endpoint_takes_nothing_out_of_order)
{
	struct scene *scene = open_scene();
	int open_before = count_open();

	greet(scene);
	send_lane(scene, RING_TO_ENDPOINT, &lane_in);
	ck_assert_int_lt(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(
	    told(scene), "lost;the broker sent a lane before the link;");
	close(scene->sock);

	greet(scene);
	ring_control_send_filters_end(scene->sock, 1);
	ck_assert_int_lt(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(
	    told(scene), "lost;the broker sent filters before the link;");
	close(scene->sock);

	greet(scene);
	ring_control_send_ready(scene->sock);
	ck_assert_int_lt(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(told(scene),
	    "lost;the broker sent a message that is not for an endpoint;");
	close(scene->sock);
	ck_assert_int_eq(count_open(), open_before);
	scene->sock = -1;
	close_scene(scene);
}
END_TEST

START_TEST(forged_memory_closes_the_connection)
{
	struct scene *scene = open_scene();
	int fds[4] = { 0, 0, 0, 0 };
	int open_before = count_open();

	greet(scene);
	ck_assert_int_eq(
	    ring_control_send_grant(scene->sock, &cloud, fds, 4), 0);
	ck_assert_int_lt(ring_endpoint_process(scene->endpoint), 0);
	ck_assert_str_eq(
	    told(scene), "lost;the link's memory is not what the broker said;");
	close(scene->sock);
	ck_assert_int_eq(count_open(), open_before);
	scene->sock = -1;
	close_scene(scene);
}
END_TEST

START_TEST(without_a_broker_connect_says_so)
{
	struct scene *scene = open_scene();
	char long_dir[200], path[128];
	int err;

	close(scene->listener);
	ck_assert_int_eq(ring_endpoint_connect(scene->endpoint), -ECONNREFUSED);
	snprintf(path, sizeof(path), "%s/%s", scene->dir, RING_CONTROL_SOCKET);
	unlink(path);
	ck_assert_int_eq(ring_endpoint_connect(scene->endpoint), -ENOENT);
	memset(long_dir, 'x', sizeof(long_dir) - 1);
	long_dir[sizeof(long_dir) - 1] = '\0';
	err = ring_control_connect(long_dir);
	ck_assert_int_eq(err, -ENAMETOOLONG);
	scene->listener = dup(0);
	close_scene(scene);
}
END_TEST

/* A message with one thing wrong with it. */
struct forged {
	const char *what;
	uint32_t magic, type;
	size_t length; /* of the whole message */
	size_t at;     /* these bytes are put there */
	uint8_t bytes[4];
	size_t count;
	unsigned fds;
};

#define MAGIC RING_CONTROL_MAGIC
#define TEXT_AT sizeof(struct ring_control_text)
#define LENGTH_AT offsetof(struct ring_control_text, length)

static const struct forged forgeries[] = {
	{ "one byte", MAGIC, RING_CONTROL_READY, 1, 0, { 0 }, 0, 0 },
	{ "bad magic", MAGIC + 1, RING_CONTROL_READY, 8, 0, { 0 }, 0, 0 },
	{ "type 0", MAGIC, 0, 8, 0, { 0 }, 0, 0 },
	{ "a type too far", MAGIC, RING_CONTROL_HELD_END + 1, 8, 0, { 0 }, 0,
	    0 },
	{ "type 2^32-1", MAGIC, UINT32_MAX, 8, 0, { 0 }, 0, 0 },
	{ "a body on READY", MAGIC, RING_CONTROL_READY, 9, 0, { 0 }, 0, 0 },
	{ "a short HELLO", MAGIC, RING_CONTROL_HELLO,
	    sizeof(struct ring_control_hello) - 1, 0, { 0 }, 0, 0 },
	{ "a HELLO of no role", MAGIC, RING_CONTROL_HELLO,
	    sizeof(struct ring_control_hello), 0, { 0 }, 0, 0 },
	{ "a HELLO of a broker", MAGIC, RING_CONTROL_HELLO,
	    sizeof(struct ring_control_hello), 12, { RING_ROLE_BROKER }, 1, 0 },
	{ "a GRANT without descriptors", MAGIC, RING_CONTROL_GRANT,
	    sizeof(struct ring_control_grant),
	    offsetof(struct ring_control_grant, identity.endpoint_role),
	    { RING_ROLE_BRIDGE }, 1, 0 },
	{ "READY with a descriptor", MAGIC, RING_CONTROL_READY, 8, 0, { 0 }, 0,
	    1 },
	{ "a LANE without direction", MAGIC, RING_CONTROL_LANE,
	    sizeof(struct ring_control_lane), 0, { 0 }, 0, 1 },
	{ "a LANE without geometry", MAGIC, RING_CONTROL_LANE,
	    sizeof(struct ring_control_lane), 8, { 1 }, 1, 1 },
	{ "a FILTER longer than it says", MAGIC, RING_CONTROL_FILTER,
	    sizeof(struct ring_control_filter) + 1,
	    sizeof(struct ring_control_filter), { 'x' }, 1, 0 },
	{ "HELD_SIDES with one side", MAGIC, RING_CONTROL_HELD_SIDES,
	    sizeof(struct ring_control_held_sides),
	    offsetof(struct ring_control_held_sides, identity.endpoint_role),
	    { RING_ROLE_BRIDGE }, 1, 1 },
	{ "a HELD_LANE without geometry", MAGIC, RING_CONTROL_HELD_LANE,
	    sizeof(struct ring_control_lane), 8, { 1 }, 1, 1 },
	{ "HELD_END with a body", MAGIC, RING_CONTROL_HELD_END, 9, 0, { 0 }, 0,
	    0 },
	{ "a text longer than it says", MAGIC, RING_CONTROL_REQUEST,
	    TEXT_AT + 1, TEXT_AT, { 'x' }, 1, 0 },
	{ "a text shorter than it says", MAGIC, RING_CONTROL_REQUEST, TEXT_AT,
	    LENGTH_AT, { 1 }, 1, 0 },
	{ "a text with a NUL", MAGIC, RING_CONTROL_REQUEST, TEXT_AT + 1,
	    LENGTH_AT, { 1 }, 1, 0 },
};

START_TEST(a_forged_message_is_refused_and_leaks_nothing)
{
	const struct forged *row = &forgeries[_i];
	static uint8_t message[RING_CONTROL_MAX];
	static struct ring_control_message got;
	const struct ring_control_header header = { row->magic, row->type };
	int fds[FDPASS_MAX] = { 0 }, open_before, pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	open_before = count_open();
	memcpy(message, &header, sizeof(header));
	memcpy(message + row->at, row->bytes, row->count);
	ck_assert_int_eq(
	    fdpass_send(pair[0], message, row->length, fds, row->fds), 0);
	ck_assert_msg(
	    ring_control_receive(pair[1], &got) == -EBADMSG, "%s", row->what);
	ck_assert_int_eq(count_open(), open_before);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(a_name_without_an_end_is_refused)
{
	struct ring_control_open_lane open = {
		.header = { RING_CONTROL_MAGIC, RING_CONTROL_OPEN_LANE },
	};
	struct ring_control_hello hello = {
		.header = { RING_CONTROL_MAGIC, RING_CONTROL_HELLO },
		.role = RING_ROLE_HTTPD,
	};
	static struct ring_control_message got;
	char long_name[RING_NAME_MAX + 1] = "";
	int pair[2];

	memset(long_name, 'x', RING_NAME_MAX);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	memset(open.set, 'x', sizeof(open.set));
	fdpass_send(pair[0], &open, sizeof(open), NULL, 0);
	ck_assert_int_eq(ring_control_receive(pair[1], &got), -EBADMSG);
	fdpass_send(pair[0], &hello, sizeof(hello), NULL, 0);
	ck_assert_int_eq(ring_control_receive(pair[1], &got), 1);
	memset(hello.name, 'x', sizeof(hello.name));
	fdpass_send(pair[0], &hello, sizeof(hello), NULL, 0);
	ck_assert_int_eq(ring_control_receive(pair[1], &got), -EBADMSG);
	ck_assert_int_eq(
	    ring_control_send_open_lane(pair[0], long_name), -ENAMETOOLONG);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(a_long_text_is_cut_not_lost)
{
	static char text[RING_CONTROL_TEXT_MAX + 10];
	static struct ring_control_message got;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	memset(text, 'x', sizeof(text) - 1);
	ck_assert_int_eq(
	    ring_control_send_text(pair[0], RING_CONTROL_ANSWER, text), 0);
	ck_assert_int_eq(ring_control_receive(pair[1], &got), 1);
	ck_assert_uint_eq(got.text_length, RING_CONTROL_TEXT_MAX);
	ck_assert_int_eq(
	    ring_control_send_filter(pair[0], "b", text, 65536), -EMSGSIZE);
	ck_assert_int_eq(
	    ring_control_send_filter(pair[0], "b", text, 65535), 0);
	ck_assert_int_eq(ring_control_receive(pair[1], &got), 1);
	ck_assert_uint_eq(got.text_length, 65535);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* Answers one question; `type` of what it sends, 0: nothing. */
struct oracle {
	struct scene *scene;
	enum ring_control_type type;
};

static void *
answer(void *context)
{
	static struct ring_control_message got;
	struct oracle *oracle = context;
	int sock = accept(oracle->scene->listener, NULL, NULL);
	struct pollfd pollfd = { .fd = sock, .events = POLLIN };

	do {
		poll(&pollfd, 1, 1000);
		if (ring_control_receive(sock, &got) <= 0)
			break;
	} while (got.type != RING_CONTROL_REQUEST);
	if (oracle->type != 0)
		ring_control_send_text(sock, oracle->type, got.text);
	else
		poll(&pollfd, 1, 1000);
	close(sock);
	return NULL;
}

static int
ask(enum ring_control_type type, int timeout_ms, char **out_text)
{
	struct oracle oracle = { .scene = open_scene(), .type = type };
	pthread_t thread;
	int err;

	ck_assert_int_eq(pthread_create(&thread, NULL, answer, &oracle), 0);
	err =
	    ring_control_ask(oracle.scene->dir, "status", timeout_ms, out_text);
	pthread_join(thread, NULL);
	close_scene(oracle.scene);
	return err;
}

START_TEST(a_question_gets_its_answer_or_an_error)
{
	char *text = NULL;

	ck_assert_int_eq(ask(RING_CONTROL_ANSWER, 2000, &text), 0);
	ck_assert_str_eq(text, "status");
	free(text);
	text = NULL;
	ck_assert_int_eq(ask(RING_CONTROL_REFUSED, 2000, &text), -EACCES);
	ck_assert_int_eq(ask(RING_CONTROL_POISONED, 2000, &text), -EPROTO);
	ck_assert_int_eq(ask(0, 50, &text), -ETIMEDOUT);
	ck_assert_int_eq(
	    ring_control_ask("/nonexistent", "x", 50, &text), -ENOENT);
	ck_assert_ptr_null(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ring_control");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, an_endpoint_says_who_it_is);
	tcase_add_test(tc, an_endpoint_attaches_follows_and_opens_lanes);
	tcase_add_test(tc, an_endpoint_comes_back_to_the_same_memory);
	tcase_add_test(tc, an_endpoint_hears_why_it_is_refused);
	tcase_add_test(tc, a_poisoned_link_is_closed_with_the_reason);
	tcase_add_test(tc, an_endpoint_takes_nothing_out_of_order);
	tcase_add_test(tc, forged_memory_closes_the_connection);
	tcase_add_test(tc, without_a_broker_connect_says_so);
	tcase_add_loop_test(tc, a_forged_message_is_refused_and_leaks_nothing,
	    0, sizeof(forgeries) / sizeof(forgeries[0]));
	tcase_add_test(tc, a_name_without_an_end_is_refused);
	tcase_add_test(tc, a_long_text_is_cut_not_lost);
	tcase_add_test(tc, a_question_gets_its_answer_or_an_error);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
