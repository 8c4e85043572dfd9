/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_websocket_head - the request that wants to become a WebSocket, and the
 * answer to it.
 *
 * The first byte of the input says how the rest is cut: it is taken, or
 * refused, however it comes.
 */

#include <stdlib.h>
#include <string.h>

#include "common/net/websocket_head.h"
#include "tests/fuzz/fuzz.h"

/* Read it in pieces, each in memory of its own; returns what was taken. */
static size_t
read_in_pieces(
    struct websocket_head *head, const uint8_t *data, size_t size, size_t step)
{
	size_t all = 0, here, used = 0;
	uint8_t *piece;

	websocket_head_init(head);
	for (size_t at = 0; at < size; at += here) {
		here = step < size - at ? step : size - at;
		piece = malloc(here);
		memcpy(piece, data + at, here);
		used = websocket_head_read(head, piece, here);
		free(piece);
		require(used <= here);
		all += used;
		if (head->is_complete || head->status != 0)
			break;
		require(used == here);
	}
	return all;
}

/* One line of status, fields, an empty line; no line end of the peer's. */
static void
check_answer(const char *answer, size_t len, unsigned status)
{
	const char *body = strstr(answer, "\r\n\r\n");

	require(len < WEBSOCKET_ANSWER_SIZE && strlen(answer) == len);
	require(strncmp(answer, "HTTP/1.1 ", 9) == 0);
	require((unsigned)atoi(answer + 9) == status);
	require(body != NULL);
	require(status != 101 || body[4] == '\0');
}

static unsigned
judge(const struct websocket_head *head)
{
	static const char *const origins[] = { "https://good.example" };
	static const struct websocket_rules rules = { "/mqtt", origins, 1 };
	char answer[WEBSOCKET_ANSWER_SIZE];
	const char *why = NULL;
	unsigned status = websocket_head_judge(head, &rules, &why);

	require(status == 101 || (status >= 400 && status <= 431));
	require((status == 101) == (why == NULL));
	require(status != 101 || head->is_complete);
	check_answer(
	    answer, websocket_head_answer(head, status, why, answer), status);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct websocket_head whole, cut;
	size_t a, b;

	if (size < 2)
		return 0;
	a = read_in_pieces(&whole, data + 1, size - 1, size);
	b = read_in_pieces(&cut, data + 1, size - 1, 1u + data[0]);
	require(whole.is_complete == cut.is_complete);
	/* Of two faults the parser may see another one first. */
	require((whole.status == 0) == (cut.status == 0));
	require(!whole.is_complete || whole.status == 0);
	/* What is behind a head that is complete is left for the frames. */
	if (whole.is_complete) {
		require(a == b && a >= 4);
		require(memcmp(data + 1 + a - 2, "\r\n", 2) == 0 ||
		    data[a] == '\n');
	}
	if (whole.is_complete)
		require(judge(&whole) == judge(&cut));
	if (whole.status != 0)
		require(judge(&whole) >= 400 && judge(&cut) >= 400);
	return 0;
}
