/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* The polynomial 0x1EDC6F41, bits reversed. */
#define POLYNOMIAL UINT32_C(0x82f63b78)

/* tables[n][b]: what byte b does when n further bytes follow it. */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void
fill_tables(void)
{
	uint32_t crc;

	for (uint32_t byte = 0; byte < 256; byte++) {
		crc = byte;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (POLYNOMIAL & (0 - (crc & 1)));
		tables[0][byte] = crc;
	}
	for (int n = 1; n < 8; n++)
		for (int byte = 0; byte < 256; byte++) {
			crc = tables[n - 1][byte];
			tables[n][byte] = crc >> 8 ^ tables[0][crc & 0xff];
		}
}

uint32_t
crc32c_table(uint32_t crc, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;

	pthread_once(&tables_once, fill_tables);
	crc = ~crc;
	for (; length >= 8; length -= 8, at += 8) {
		crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 |
		    (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
		crc = tables[7][crc & 0xff] ^ tables[6][crc >> 8 & 0xff] ^
		    tables[5][crc >> 16 & 0xff] ^ tables[4][crc >> 24] ^
		    tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
		    tables[0][at[7]];
	}
	for (; length > 0; length--, at++)
		crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
	return ~crc;
}

#if defined(__x86_64__)

static bool
has_instruction(void)
{
	return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t crc, const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint64_t state = ~crc, word;

	for (; length >= 8; length -= 8, at += 8) {
		memcpy(&word, at, 8);
		state = __builtin_ia32_crc32di(state, word);
	}
	for (; length > 0; length--, at++)
		state = __builtin_ia32_crc32qi((uint32_t)state, *at);
	return ~(uint32_t)state;
}

#else

static bool
has_instruction(void)
{
	return false;
}

static uint32_t
by_instruction(uint32_t crc, const void *bytes, size_t length)
{
	return crc32c_table(crc, bytes, length);
}

#endif

uint32_t
crc32c(uint32_t crc, const void *bytes, size_t length)
{
	if (has_instruction())
		return by_instruction(crc, bytes, length);
	return crc32c_table(crc, bytes, length);
}

uint32_t
crc32c_around(const void *bytes, size_t length, size_t at)
{
	static const uint8_t zeros[4];
	const uint8_t *begin = bytes;
	const size_t behind = at + sizeof(zeros);
	uint32_t crc;

	crc = crc32c(0, begin, at);
	crc = crc32c(crc, zeros, sizeof(zeros));
	return crc32c(crc, begin + behind, length - behind);
}
