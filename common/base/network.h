/* SPDX-License-Identifier: Apache-2.0 */

/*
 * network - an address, or all that begin like one: "10.0.0.0/8", "fd00::/8",
 * "127.0.0.1", "::1".
 *
 * Without a length of the prefix it is the one address.  Mapped IPv4
 * (::ffff:a.b.c.d) is IPv4 wherever it comes from.  Any thread.
 */

#ifndef WEIR_COMMON_BASE_NETWORK_H
#define WEIR_COMMON_BASE_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct network {
	uint8_t prefix[16]; /* IPv4 as mapped; zero behind `bits` */
	uint8_t bits;       /* of 128 */
};

/*
 * Returns 0; or -EINVAL when it is no address or no length, or has bits set
 * behind its prefix, as 10.0.0.1/8 has.
 */
int network_parse(const char *text, struct network *out_network);

/* Is the address of it?  Never of a Unix socket. */
bool network_has(const struct network *network, const struct sockaddr *address);

#endif
