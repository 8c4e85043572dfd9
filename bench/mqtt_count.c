/* SPDX-License-Identifier: Apache-2.0 */

#include "bench/mqtt_count.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/bug.h"

#define PUBLISH 3
#define READ_SIZE 65536

/* MQTT 3.1.1: CONNECT with a clean session and a client id of our own. */
static const uint8_t hello[] = { 0x10, 23, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0,
	0, 11, 'b', 'e', 'n', 'c', 'h', '-', 'c', 'o', 'u', 'n', 't' };

static int
read_all(int fd, void *out, size_t length)
{
	ssize_t got = recv(fd, out, length, MSG_WAITALL);

	if (got == -1)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)got == length ? 0 : -EPIPE;
}

static int
write_all(int fd, const void *data, size_t length)
{
	ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

	if (sent == -1)
		return -errno;
	return (size_t)sent == length ? 0 : -EPIPE;
}

static int
subscribe(int fd, const char *filter)
{
	uint8_t packet[128], answer[5];
	size_t length = strlen(filter);
	int err;

	BUG_ON(length + 7 > sizeof(packet));
	packet[0] = 0x82;
	packet[1] = (uint8_t)(length + 5);
	packet[2] = 0;
	packet[3] = 1;
	packet[4] = 0;
	packet[5] = (uint8_t)length;
	memcpy(packet + 6, filter, length);
	packet[6 + length] = 0;
	err = write_all(fd, packet, length + 7);
	if (err == 0)
		err = read_all(fd, answer, sizeof(answer));
	if (err == 0 && (answer[0] != 0x90 || answer[4] != 0))
		err = -EPROTO;
	return err;
}

static int
shake_hands(int fd, const char *filter)
{
	uint8_t answer[4];
	int err;

	err = write_all(fd, hello, sizeof(hello));
	if (err == 0)
		err = read_all(fd, answer, sizeof(answer));
	if (err == 0 && (answer[0] != 0x20 || answer[3] != 0))
		err = -EACCES;
	return err == 0 ? subscribe(fd, filter) : err;
}

int
mqtt_count_open(struct mqtt_count *count, uint16_t port, const char *filter,
    unsigned seconds)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct timeval wait = { .tv_sec = seconds };
	int err, fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		err = -errno;
	else
		err = shake_hands(fd, filter);
	if (err != 0) {
		close(fd);
		return err;
	}
	*count = (struct mqtt_count){ .fd = fd };
	return 0;
}

/* One byte of a packet's head. */
static void
take_head(struct mqtt_count *count, uint8_t byte)
{
	if (!count->in_length) {
		count->in_length = 1;
		count->shift = 0;
		count->messages += byte >> 4 == PUBLISH;
		return;
	}
	count->left |= (uint64_t)(byte & 0x7f) << count->shift;
	count->shift += 7;
	count->in_length = (byte & 0x80) != 0;
}

int
mqtt_count_read(struct mqtt_count *count)
{
	static uint8_t data[READ_SIZE];
	uint64_t step;
	ssize_t got;

	got = recv(count->fd, data, sizeof(data), MSG_DONTWAIT);
	if (got == 0)
		return -EPIPE;
	if (got == -1)
		return errno == EAGAIN ? 0 : -errno;
	for (uint64_t at = 0; at < (uint64_t)got; at += step) {
		step = count->left;
		if (step > (uint64_t)got - at)
			step = (uint64_t)got - at;
		count->left -= step;
		if (step > 0)
			continue;
		step = 1;
		take_head(count, data[at]);
	}
	return 0;
}
