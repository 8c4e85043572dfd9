/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

/* Wait until the socket is ready for `events` or the deadline has passed. */
static int
wait_for(int sock, short events, uint64_t deadline_ns)
{
	struct pollfd pollfd = { .fd = sock, .events = events };
	uint64_t now_ns = clock_now_ns();
	int left_ms, ready;

	if (now_ns >= deadline_ns)
		return -ETIMEDOUT;
	left_ms = (int)((deadline_ns - now_ns) / CLOCK_MS_NS) + 1;
	ready = poll(&pollfd, 1, left_ms);
	if (ready == -1 && errno != EINTR)
		return -errno;
	return 0;
}

static int
send_question(int sock, const char *question, uint64_t deadline_ns)
{
	int err;

	for (;;) {
		err = ring_control_send_text(
		    sock, RING_CONTROL_REQUEST, question);
		if (err != -EAGAIN)
			return err;
		err = wait_for(sock, POLLOUT, deadline_ns);
		if (err != 0)
			return err;
	}
}

/* The next piece of the answer. */
static int
receive_piece(
    int sock, struct ring_control_message *message, uint64_t deadline_ns)
{
	int err, got;

	while ((got = ring_control_receive(sock, message)) == -EAGAIN) {
		err = wait_for(sock, POLLIN, deadline_ns);
		if (err != 0)
			return err;
	}
	if (got < 0)
		return got;
	if (got == 0)
		return -ECONNRESET;
	ring_control_close_fds(message);
	if (message->type == RING_CONTROL_REFUSED)
		return -EACCES;
	return message->type == RING_CONTROL_ANSWER ? 0 : -EPROTO;
}

static int
receive_answer(int sock, struct ring_control_message *message,
    uint64_t deadline_ns, char **out_answer)
{
	char *answer = NULL, *longer;
	size_t length = 0;
	int err;

	do {
		err = receive_piece(sock, message, deadline_ns);
		if (err == 0 &&
		    length + message->text_length > RING_CONTROL_ANSWER_MAX)
			err = -EMSGSIZE;
		longer = err == 0
		    ? realloc(answer, length + message->text_length + 1)
		    : NULL;
		if (err == 0 && longer == NULL)
			err = -ENOMEM;
		if (err != 0) {
			free(answer);
			return err;
		}
		answer = longer;
		memcpy(
		    answer + length, message->text, message->text_length + 1);
		length += message->text_length;
	} while (message->body.text.more != 0);
	*out_answer = answer;
	return 0;
}

int
ring_control_ask(const char *run_dir, const char *question, int timeout_ms,
    char **out_answer)
{
	struct ring_control_message *message;
	uint64_t deadline_ns;
	int err, sock;

	if (strlen(question) > RING_CONTROL_TEXT_MAX)
		return -EMSGSIZE;
	deadline_ns = clock_now_ns() + (uint64_t)timeout_ms * CLOCK_MS_NS;
	message = malloc(sizeof(*message));
	if (message == NULL)
		return -ENOMEM;
	sock = ring_control_connect(run_dir);
	if (sock < 0) {
		free(message);
		return sock;
	}
	err =
	    ring_control_send_hello(sock, RING_ROLE_CONTROL, "weirctl", false);
	if (err == 0)
		err = send_question(sock, question, deadline_ns);
	if (err == 0)
		err = receive_answer(sock, message, deadline_ns, out_answer);
	close(sock);
	free(message);
	return err;
}
