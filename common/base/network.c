/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/parse.h"

/* In front of an IPv4 address: ::ffff:0:0/96. */
#define MAPPED_BYTES 12
#define MAPPED_BITS (8 * MAPPED_BYTES)

static const uint8_t mapped[MAPPED_BYTES] = { [10] = 0xff, [11] = 0xff };

/* Are all bits behind the first `bits` zero? */
static bool
is_clean(const uint8_t address[16], unsigned bits)
{
	unsigned at = bits / 8;

	if (bits % 8 != 0 && (address[at++] & (0xff >> (bits % 8))) != 0)
		return false;
	for (; at < 16; at++)
		if (address[at] != 0)
			return false;
	return true;
}

/* Of a text without "/": its 16 bytes, and how many bits lie in front. */
static bool
read_address(const char *text, uint8_t out[16], unsigned *out_before)
{
	memcpy(out, mapped, MAPPED_BYTES);
	*out_before = MAPPED_BITS;
	if (inet_pton(AF_INET, text, out + MAPPED_BYTES) == 1)
		return true;
	*out_before = 0;
	return inet_pton(AF_INET6, text, out) == 1;
}

int
network_parse(const char *text, struct network *out_network)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	struct network network;
	uint64_t bits = 128;
	unsigned before;
	size_t len;

	len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!read_address(address, network.prefix, &before))
		return -EINVAL;
	if (slash != NULL) {
		if (parse_u64(slash + 1, &bits) != 0 || bits > 128 - before)
			return -EINVAL;
		bits += before;
	}
	if (!is_clean(network.prefix, (unsigned)bits))
		return -EINVAL;
	network.bits = (uint8_t)bits;
	*out_network = network;
	return 0;
}

bool
network_has(const struct network *network, const struct sockaddr *address)
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;
	const unsigned whole = network->bits / 8, more = network->bits % 8;
	uint8_t bytes[16];

	if (address->sa_family == AF_INET) {
		memcpy(bytes, mapped, MAPPED_BYTES);
		memcpy(bytes + MAPPED_BYTES, &v4->sin_addr, 4);
	} else if (address->sa_family == AF_INET6) {
		memcpy(bytes, &v6->sin6_addr, 16);
	} else {
		return false;
	}
	return memcmp(bytes, network->prefix, whole) == 0 &&
	    (more == 0 ||
		((bytes[whole] ^ network->prefix[whole]) >> (8 - more)) == 0);
}
