/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_connection.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/shm/fdpass.h"

#define UNSENT_MAX (4u * 1024 * 1024) /* bytes to one peer */

/* A message that the peer's socket did not take yet. */
struct unsent {
	struct unsent *next;
	int fds[FDPASS_MAX];
	unsigned fd_count;
	size_t length;
	uint8_t bytes[];
};

static void
unsent_free(struct unsent *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
	free(message);
}

/* Keep a copy until the socket takes it. */
static int
keep(struct links_connection *connection, const void *bytes, size_t length,
    const int *fds, unsigned fd_count)
{
	struct unsent *message;

	if (connection->unsent_bytes + length > UNSENT_MAX)
		return -ENOBUFS;
	message = malloc(sizeof(*message) + length);
	if (message == NULL)
		return -ENOMEM;
	message->next = NULL;
	message->length = length;
	message->fd_count = 0;
	memcpy(message->bytes, bytes, length);
	for (unsigned i = 0; i < fd_count; i++) {
		message->fds[i] = dup(fds[i]);
		if (message->fds[i] == -1) {
			unsent_free(message);
			return -EMFILE;
		}
		message->fd_count++;
	}
	*connection->unsent_end = message;
	connection->unsent_end = &message->next;
	connection->unsent_bytes += length;
	return 0;
}

static int
watch(struct links_connection *connection)
{
	unsigned interest = LOOP_READ;

	if (connection->unsent != NULL)
		interest |= LOOP_WRITE;
	loop_fd_stop(&connection->watch);
	return loop_fd_start(&connection->watch, connection->loop,
	    connection->sock, interest, connection->ready, connection);
}

struct links_connection *
links_connection_new(struct loop *loop, int sock,
    void (*ready)(void *connection, int fd, unsigned ready))
{
	struct links_connection *connection;
	int err;

	connection = calloc(1, sizeof(*connection));
	if (connection == NULL)
		return NULL;
	connection->loop = loop;
	connection->sock = sock;
	connection->ready = ready;
	connection->unsent_end = &connection->unsent;
	err = watch(connection);
	if (err != 0) {
		free(connection);
		errno = -err;
		return NULL;
	}
	return connection;
}

void
links_connection_free(struct links_connection *connection)
{
	struct unsent *message;

	loop_fd_stop(&connection->watch);
	close(connection->sock);
	while ((message = connection->unsent) != NULL) {
		connection->unsent = message->next;
		unsent_free(message);
	}
	free(connection);
}

/* A connection that cannot be served is closed by its next event. */
void
links_connection_send(struct links_connection *connection, const void *bytes,
    size_t length, const int *fds, unsigned fd_count)
{
	bool was_idle = connection->unsent == NULL;
	int err = -EAGAIN;

	if (connection->is_broken)
		return;
	if (was_idle)
		err =
		    fdpass_send(connection->sock, bytes, length, fds, fd_count);
	if (err == -EAGAIN) {
		err = keep(connection, bytes, length, fds, fd_count);
		if (err == 0 && was_idle)
			err = watch(connection);
	}
	if (err != 0) {
		connection->is_broken = true;
		shutdown(connection->sock, SHUT_RDWR);
	}
}

static void
send_with_text(struct links_connection *connection,
    const struct ring_control_text *head, const void *text)
{
	uint8_t *bytes;

	bytes = malloc(sizeof(*head) + head->length);
	if (bytes == NULL)
		return;
	memcpy(bytes, head, sizeof(*head));
	memcpy(bytes + sizeof(*head), text, head->length);
	links_connection_send(
	    connection, bytes, sizeof(*head) + head->length, NULL, 0);
	free(bytes);
}

void
links_connection_send_text(struct links_connection *connection,
    enum ring_control_type type, const char *set, const char *text,
    size_t length)
{
	struct ring_control_text message = { .header = links_connection_header(
						 type) };

	if (length > RING_CONTROL_TEXT_MAX)
		length = RING_CONTROL_TEXT_MAX;
	snprintf(message.set, sizeof(message.set), "%s", set);
	message.length = (uint32_t)length;
	send_with_text(connection, &message, text);
}

void
links_connection_send_answer(
    struct links_connection *connection, struct slice text, bool more)
{
	const struct ring_control_text message = {
		.header = links_connection_header(RING_CONTROL_ANSWER),
		.length = (uint32_t)text.len,
		.more = more,
	};

	BUG_ON(text.len > RING_CONTROL_TEXT_MAX);
	send_with_text(connection, &message, text.data);
}

void
links_connection_flush(struct links_connection *connection)
{
	struct unsent *message;
	int err;

	while ((message = connection->unsent) != NULL) {
		err = fdpass_send(connection->sock, message->bytes,
		    message->length, message->fds, message->fd_count);
		if (err == -EAGAIN)
			return;
		if (err != 0)
			connection->is_broken = true;
		connection->unsent = message->next;
		if (connection->unsent == NULL)
			connection->unsent_end = &connection->unsent;
		connection->unsent_bytes -= message->length;
		unsent_free(message);
	}
	if (watch(connection) != 0)
		connection->is_broken = true;
}
