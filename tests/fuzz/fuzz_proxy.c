/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_proxy - any bytes are safe to take for a header of the PROXY protocol.
 *
 * The first byte of the input, if odd, has a checksum in front of the entries
 * made right, so that what is behind it is reached.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/proxy_header.h"
#include "broker/store/crc32c.h"
#include "tests/fuzz/fuzz.h"

/* The first entry of IPv4, if it is a checksum. */
static void
make_right(uint8_t *bytes, size_t size)
{
	const size_t at = PROXY_HEADER_START + 12 + 3;
	uint32_t crc;

	if (size < at + 4 || bytes[13] != 0x11 || bytes[at - 3] != 3)
		return;
	crc = crc32c_around(bytes, size, at);
	for (unsigned i = 0; i < 4; i++)
		bytes[at + i] = (uint8_t)(crc >> (24 - 8 * i));
}

static void
check(const struct proxy_header *header, const uint8_t *bytes, size_t size)
{
	const struct slice name = header->common_name;

	require(header->address.any.sa_family == AF_UNSPEC ||
	    header->address.any.sa_family == AF_INET ||
	    header->address.any.sa_family == AF_INET6);
	require(name.len == 0 ||
	    (name.data >= bytes + PROXY_HEADER_START &&
		name.data + name.len <= bytes + size));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header;
	const char *why = NULL;
	uint8_t *bytes;
	size_t whole;

	if (size < 1 + PROXY_HEADER_START)
		return 0;
	whole = proxy_header_size(data + 1, &why);
	require((whole == 0) == (why != NULL));
	require(whole == 0 ||
	    (whole >= PROXY_HEADER_START && whole <= PROXY_HEADER_MAX));
	size--;
	bytes = malloc(size);
	memcpy(bytes, data + 1, size);
	/* Most lengths are wrong: this one is not. */
	if (whole != 0 && size <= PROXY_HEADER_MAX) {
		bytes[14] = (uint8_t)((size - PROXY_HEADER_START) >> 8);
		bytes[15] = (uint8_t)(size - PROXY_HEADER_START);
	}
	if ((data[0] & 1) != 0)
		make_right(bytes, size);
	if (proxy_header_read(bytes, size, &header) == NULL)
		check(&header, bytes, size);
	free(bytes);
	return 0;
}
