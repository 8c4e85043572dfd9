/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proxy_header - what a proxy says of a client, in front of its connection:
 * the PROXY protocol, version 2.
 *
 *	 0  signature, 12 bytes
 *	12  version 2, command (LOCAL 0, PROXY 1)
 *	13  family and transport
 *	14  length of what follows, u16
 *	16  addresses, then type-length-values
 *
 *	size = proxy_header_size(start, &why);       16 bytes tell it
 *	...
 *	why = proxy_header_read(bytes, size, &header);
 *
 * Pure functions; any thread.  All lengths are checked before they are used.
 */

#ifndef WEIR_BROKER_PROXY_HEADER_H
#define WEIR_BROKER_PROXY_HEADER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/slice.h"

/* These tell how long the whole is, which is PROXY_HEADER_MAX at most. */
#define PROXY_HEADER_START 16
#define PROXY_HEADER_MAX (PROXY_HEADER_START + 65535)

struct proxy_header {
	/* The client; AF_UNSPEC: not told, the socket's address counts. */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	/*
	 * The common name of its certificate, which the proxy has verified;
	 * empty: there is none.  Lent by the bytes that were read.
	 */
	struct slice common_name;
};

/*
 * The length of a header that begins so; 0 if none does, and *out_why says in
 * words why not.
 */
size_t proxy_header_size(
    const uint8_t start[PROXY_HEADER_START], const char **out_why);

/*
 * Read a whole one.  Returns NULL and fills in *out, or what is wrong in
 * words.  A checksum (CRC-32C) is checked if there is one; what a proxy says
 * for itself (LOCAL), and what is said of no address, is passed over.
 */
const char *proxy_header_read(
    const uint8_t *bytes, size_t size, struct proxy_header *out);

#endif
