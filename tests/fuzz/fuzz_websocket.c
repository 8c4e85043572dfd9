/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_websocket - any bytes are safe to take for frames, and mean the same
 * however they are cut.
 *
 * The first byte of the input picks the role and how the rest is cut.
 */

#include <stdlib.h>
#include <string.h>

#include "common/net/websocket.h"

#define LIMIT_BYTES 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct websocket whole, cut;
	uint8_t *a, *b, *piece;
	size_t step, a_len, b_len = 0, here, got;

	if (size < 2)
		return 0;
	step = 1 + (data[0] >> 1);
	websocket_init(&whole, data[0] & 1, LIMIT_BYTES);
	cut = whole;
	data++;
	size--;
	a = malloc(size);
	b = malloc(size);
	memcpy(a, data, size);
	a_len = websocket_decode(&whole, a, size);
	require(a_len <= size);
	for (size_t at = 0; at < size; at += here) {
		here = step < size - at ? step : size - at;
		/* Memory of its own: one byte beyond is found. */
		piece = malloc(here);
		memcpy(piece, data + at, here);
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
	return 0;
}
