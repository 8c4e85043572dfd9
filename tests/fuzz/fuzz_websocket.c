/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_websocket - any bytes are safe to take for a request and for frames,
 * and mean the same however they are cut.
 *
 * The first byte of the input picks what the rest is: with bit 7 a request
 * with a client's frames behind it, else frames for the role in bit 0.  The
 * other bits are how it is cut.
 */

#include <stdlib.h>
#include <string.h>

#include "common/net/websocket_head.h"
#include "tests/fuzz/fuzz.h"

#define LIMIT_BYTES 2000

static const char *const origins[] = { "https://a.example" };
static const struct websocket_rules rules = { "/mqtt", origins, 1 };

/* Memory of its own: one byte beyond is found. */
static uint8_t *
copy(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size);

	memcpy(bytes, data, size);
	return bytes;
}

static void
try_frames(const uint8_t *data, size_t size, bool is_server, size_t step)
{
	struct websocket whole, cut;
	uint8_t *a, *b, *piece;
	size_t a_len, b_len = 0, here, got;

	websocket_init(&whole, is_server, LIMIT_BYTES);
	cut = whole;
	a = copy(data, size);
	b = malloc(size);
	a_len = websocket_decode(&whole, a, size);
	require(a_len <= size);
	for (size_t at = 0; at < size; at += here) {
		here = step < size - at ? step : size - at;
		piece = copy(data + at, here);
		got = websocket_decode(&cut, piece, here);
		require(got <= here && b_len + got <= size);
		memcpy(b + b_len, piece, got);
		b_len += got;
		free(piece);
	}
	require(a_len == b_len && memcmp(a, b, a_len) == 0);
	require(whole.fault == cut.fault);
	require(whole.is_closed == cut.is_closed);
	require(whole.close_status == cut.close_status);
	require(whole.has_ping == cut.has_ping);
	require(whole.ping_len == cut.ping_len &&
	    memcmp(whole.ping, cut.ping, whole.ping_len) == 0);
	free(a);
	free(b);
}

static void
check_answer(const struct websocket_head *head)
{
	char answer[WEBSOCKET_ANSWER_SIZE];
	const char *why = NULL;
	unsigned status;
	size_t len;

	if (!head->is_complete && head->status == 0)
		return;
	status = websocket_head_judge(head, &rules, &why);
	require(status == 101 || (status >= 400 && why != NULL));
	len = websocket_head_answer(head, status, why, answer);
	require(len < sizeof(answer) && strlen(answer) == len);
	require(strstr(answer, "\r\n\r\n") != NULL);
}

/* Returns how many bytes were of the head. */
static size_t
try_head(const uint8_t *data, size_t size, size_t step)
{
	static struct websocket_head whole, cut;
	size_t used, cut_used = 0, here, got;
	uint8_t *piece;

	websocket_head_init(&whole);
	websocket_head_init(&cut);
	piece = copy(data, size);
	used = websocket_head_read(&whole, piece, size);
	free(piece);
	require(used <= size);
	for (size_t at = 0; at < size; at += here) {
		here = step < size - at ? step : size - at;
		piece = copy(data + at, here);
		got = websocket_head_read(&cut, piece, here);
		free(piece);
		require(got <= here);
		cut_used += got;
		if (got < here)
			break;
	}
	require(whole.is_complete == cut.is_complete);
	require(!whole.is_complete || used == cut_used);
	require((whole.status == 0) == (cut.status == 0));
	check_answer(&whole);
	check_answer(&cut);
	return whole.is_complete ? used : size;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t step, used = 0;
	bool is_server;

	if (size < 2)
		return 0;
	step = 1 + ((data[0] >> 1) & 63);
	is_server = (data[0] & 1) != 0;
	if ((data[0] & 0x80) != 0) {
		is_server = true;
		used = try_head(data + 1, size - 1, step);
	}
	if (1 + used < size)
		try_frames(data + 1 + used, size - 1 - used, is_server, step);
	return 0;
}
