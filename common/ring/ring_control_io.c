/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/ring/ring_link_memory.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"

#define BODY(type) sizeof(struct ring_control_##type)

/* What each type looks like on the wire. */
static const struct shape {
	size_t body; /* bytes before the text; 0: no such type */
	bool has_text;
	unsigned min_fds, max_fds;
} shapes[] = {
	[RING_CONTROL_HELLO] = { BODY(hello), false, 0, 0 },
	[RING_CONTROL_REFUSED] = { BODY(text), true, 0, 0 },
	[RING_CONTROL_GRANT] = { BODY(grant), false, 4, 5 },
	[RING_CONTROL_LANE] = { BODY(lane), false, 1, 1 },
	[RING_CONTROL_FILTERS_BEGIN] = { BODY(header), false, 0, 0 },
	[RING_CONTROL_FILTER] = { BODY(filter), true, 0, 0 },
	[RING_CONTROL_FILTERS_END] = { BODY(filters_end), false, 0, 0 },
	[RING_CONTROL_READY] = { BODY(header), false, 0, 0 },
	[RING_CONTROL_OPEN_LANE] = { BODY(open_lane), false, 0, 0 },
	[RING_CONTROL_LANE_REFUSED] = { BODY(text), true, 0, 0 },
	[RING_CONTROL_POISONED] = { BODY(text), true, 0, 0 },
	[RING_CONTROL_REQUEST] = { BODY(text), true, 0, 0 },
	[RING_CONTROL_ANSWER] = { BODY(text), true, 0, 0 },
	[RING_CONTROL_HELD_SIDES] = { BODY(held_sides), false, 2, 2 },
	[RING_CONTROL_HELD_LANE] = { BODY(lane), false, 1, 1 },
	[RING_CONTROL_HELD_END] = { BODY(header), false, 0, 0 },
	[RING_CONTROL_CLOSE_LANE] = { BODY(close_lane), false, 0, 0 },
	[RING_CONTROL_LANE_CLOSED] = { BODY(close_lane), false, 0, 0 },
	[RING_CONTROL_ORDER] = { BODY(text), true, 0, 0 },
};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

_Static_assert(sizeof(struct ring_control_text) + RING_CONTROL_TEXT_MAX <=
	RING_CONTROL_MAX,
    "text fits a message");
_Static_assert(
    sizeof(struct ring_control_filter) + UINT16_MAX <= RING_CONTROL_MAX,
    "filter fits a message");

static bool
ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool
lane_is_valid(const struct ring_control_lane *lane)
{
	return (lane->direction == RING_TO_BROKER ||
		   lane->direction == RING_TO_ENDPOINT) &&
	    ring_memory_geometry_is_valid(&lane->geometry);
}

static bool
hello_is_valid(const struct ring_control_hello *hello)
{
	return hello->role >= RING_ROLE_HTTPD &&
	    hello->role <= RING_ROLE_CONTROL &&
	    ends(hello->name, sizeof(hello->name)) &&
	    ends(hello->boot_id, sizeof(hello->boot_id));
}

/* Enums, strings and the length of the text, by type. */
static bool
body_is_valid(const struct ring_control_message *m)
{
	switch (m->type) {
	case RING_CONTROL_HELLO:
		return hello_is_valid(&m->body.hello);
	case RING_CONTROL_GRANT:
		return ring_memory_identity_is_valid(&m->body.grant.identity);
	case RING_CONTROL_HELD_SIDES:
		return ring_memory_identity_is_valid(
		    &m->body.held_sides.identity);
	case RING_CONTROL_LANE:
	case RING_CONTROL_HELD_LANE:
		return lane_is_valid(&m->body.lane);
	case RING_CONTROL_FILTER:
		return ends(m->body.filter.bridge,
			   sizeof(m->body.filter.bridge)) &&
		    m->body.filter.filter_length == m->text_length;
	case RING_CONTROL_OPEN_LANE:
		return ends(
		    m->body.open_lane.set, sizeof(m->body.open_lane.set));
	case RING_CONTROL_CLOSE_LANE:
	case RING_CONTROL_LANE_CLOSED:
		return m->body.close_lane.lane < RING_LANES &&
		    ends(
			m->body.close_lane.set, sizeof(m->body.close_lane.set));
	case RING_CONTROL_REFUSED:
	case RING_CONTROL_LANE_REFUSED:
	case RING_CONTROL_POISONED:
	case RING_CONTROL_REQUEST:
	case RING_CONTROL_ANSWER:
	case RING_CONTROL_ORDER:
		return ends(m->body.text.set, sizeof(m->body.text.set)) &&
		    m->body.text.length == m->text_length;
	case RING_CONTROL_FILTERS_BEGIN:
	case RING_CONTROL_FILTERS_END:
	case RING_CONTROL_READY:
	case RING_CONTROL_HELD_END:
		return true;
	}
	return false;
}

/* The message has `length` bytes in body.bytes; find and check its parts. */
static bool
message_is_valid(struct ring_control_message *m, size_t length)
{
	const struct shape *shape;

	if (length < sizeof(m->body.header) ||
	    m->body.header.magic != RING_CONTROL_MAGIC ||
	    m->body.header.type >= SHAPES)
		return false;
	m->type = (enum ring_control_type)m->body.header.type;
	shape = &shapes[m->type];
	if (shape->body == 0 || length < shape->body ||
	    (length > shape->body && !shape->has_text))
		return false;
	if (m->fd_count < shape->min_fds || m->fd_count > shape->max_fds)
		return false;

	m->body.bytes[length] = '\0';
	m->text = (const char *)m->body.bytes + shape->body;
	m->text_length = length - shape->body;
	return strlen(m->text) == m->text_length && body_is_valid(m);
}

int
ring_control_receive(int sock, struct ring_control_message *out_message)
{
	struct ring_control_message *m = out_message;
	ssize_t got;

	m->fd_count = 0;
	got = fdpass_recv(sock, m->body.bytes, RING_CONTROL_MAX, m->fds,
	    FDPASS_MAX, &m->fd_count);
	if (got == -EMSGSIZE)
		return -EBADMSG;
	if (got < 0)
		return (int)got;
	/* An empty message reads as the end too; only a stranger sends one. */
	if (got == 0 || !message_is_valid(m, (size_t)got)) {
		ring_control_close_fds(m);
		return got == 0 ? 0 : -EBADMSG;
	}
	return 1;
}

void
ring_control_close_fds(struct ring_control_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		if (message->fds[i] != -1)
			close(message->fds[i]);
	message->fd_count = 0;
}

static struct ring_control_header
header_of(enum ring_control_type type)
{
	return (struct ring_control_header){
		.magic = RING_CONTROL_MAGIC,
		.type = type,
	};
}

/* Cut to the field, which is all zero behind the name. */
static void
copy_name(char *field, size_t size, const char *name)
{
	size_t length = strnlen(name, size - 1);

	memcpy(field, name, length);
	memset(field + length, 0, size - length);
}

int
ring_control_send_hello(
    int sock, enum ring_role role, const char *name, bool holds_link)
{
	struct ring_control_hello hello = {
		.header = header_of(RING_CONTROL_HELLO),
		.abi = RING_ABI,
		.role = role,
		.holds_link = holds_link,
	};

	if (strlen(name) >= sizeof(hello.name))
		return -ENAMETOOLONG;
	copy_name(hello.name, sizeof(hello.name), name);
	ring_control_boot_id(hello.boot_id);
	return fdpass_send(sock, &hello, sizeof(hello), NULL, 0);
}

int
ring_control_send_grant(int sock, const struct ring_link_identity *identity,
    const int *fds, unsigned count)
{
	const struct ring_control_grant grant = {
		.header = header_of(RING_CONTROL_GRANT),
		.identity = *identity,
	};

	return fdpass_send(sock, &grant, sizeof(grant), fds, count);
}

static int
send_lane(int sock, enum ring_control_type type, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd)
{
	const struct ring_control_lane lane = {
		.header = header_of(type),
		.direction = direction,
		.geometry = *geometry,
	};

	return fdpass_send(sock, &lane, sizeof(lane), &fd, 1);
}

int
ring_control_send_lane(int sock, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd)
{
	return send_lane(sock, RING_CONTROL_LANE, direction, geometry, fd);
}

int
ring_control_send_held_lane(int sock, enum ring_direction direction,
    const struct ring_lane_geometry *geometry, int fd)
{
	return send_lane(sock, RING_CONTROL_HELD_LANE, direction, geometry, fd);
}

int
ring_control_send_held_sides(
    int sock, const struct ring_link_identity *identity, const int fds[2])
{
	const struct ring_control_held_sides sides = {
		.header = header_of(RING_CONTROL_HELD_SIDES),
		.identity = *identity,
	};

	return fdpass_send(sock, &sides, sizeof(sides), fds, 2);
}

static int
send_bare(int sock, enum ring_control_type type)
{
	const struct ring_control_header header = header_of(type);

	return fdpass_send(sock, &header, sizeof(header), NULL, 0);
}

int
ring_control_send_filters_begin(int sock)
{
	return send_bare(sock, RING_CONTROL_FILTERS_BEGIN);
}

int
ring_control_send_filter(
    int sock, const char *bridge, const char *filter, size_t filter_length)
{
	struct {
		struct ring_control_filter body;
		char text[UINT16_MAX];
	} message = { .body.header = header_of(RING_CONTROL_FILTER) };

	if (filter_length > UINT16_MAX)
		return -EMSGSIZE;
	copy_name(message.body.bridge, sizeof(message.body.bridge), bridge);
	message.body.filter_length = (uint16_t)filter_length;
	memcpy(message.text, filter, filter_length);
	return fdpass_send(
	    sock, &message, sizeof(message.body) + filter_length, NULL, 0);
}

int
ring_control_send_filters_end(int sock, uint64_t version)
{
	const struct ring_control_filters_end end = {
		.header = header_of(RING_CONTROL_FILTERS_END),
		.version = version,
	};

	return fdpass_send(sock, &end, sizeof(end), NULL, 0);
}

int
ring_control_send_ready(int sock)
{
	return send_bare(sock, RING_CONTROL_READY);
}

int
ring_control_send_held_end(int sock)
{
	return send_bare(sock, RING_CONTROL_HELD_END);
}

int
ring_control_send_open_lane(int sock, const char *set)
{
	struct ring_control_open_lane open = {
		.header = header_of(RING_CONTROL_OPEN_LANE),
	};

	if (strlen(set) >= sizeof(open.set))
		return -ENAMETOOLONG;
	copy_name(open.set, sizeof(open.set), set);
	return fdpass_send(sock, &open, sizeof(open), NULL, 0);
}

int
ring_control_send_close_lane(
    int sock, enum ring_control_type type, uint32_t lane, const char *set)
{
	struct ring_control_close_lane message = {
		.header = header_of(type),
		.lane = lane,
	};

	if (strlen(set) >= sizeof(message.set))
		return -ENAMETOOLONG;
	copy_name(message.set, sizeof(message.set), set);
	return fdpass_send(sock, &message, sizeof(message), NULL, 0);
}

static int
send_text(
    int sock, enum ring_control_type type, const char *set, const char *text)
{
	struct {
		struct ring_control_text body;
		char text[RING_CONTROL_TEXT_MAX];
	} message;
	size_t length = strnlen(text, RING_CONTROL_TEXT_MAX);

	message.body = (struct ring_control_text){
		.header = header_of(type),
		.length = (uint32_t)length,
	};
	copy_name(message.body.set, sizeof(message.body.set), set);
	memcpy(message.text, text, length);
	return fdpass_send(
	    sock, &message, sizeof(message.body) + length, NULL, 0);
}

int
ring_control_send_lane_refused(int sock, const char *set, const char *text)
{
	return send_text(sock, RING_CONTROL_LANE_REFUSED, set, text);
}

int
ring_control_send_text(int sock, enum ring_control_type type, const char *text)
{
	return send_text(sock, type, "", text);
}

void
ring_control_boot_id(char out_boot_id[40])
{
	ssize_t got;
	int fd;

	memset(out_boot_id, 0, 40);
	fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return;
	got = read(fd, out_boot_id, 39);
	close(fd);
	out_boot_id[got > 0 ? strcspn(out_boot_id, "\n") : 0] = '\0';
}

int
ring_control_connect(const char *run_dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err, length, sock;

	length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
	    run_dir, RING_CONTROL_SOCKET);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	sock =
	    socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock == -1)
		return -errno;
	if (connect(sock, (const struct sockaddr *)&address, sizeof(address)) ==
	    -1) {
		err = -errno;
		close(sock);
		return err;
	}
	return sock;
}
