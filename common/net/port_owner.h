/* SPDX-License-Identifier: Apache-2.0 */

/*
 * port_owner - which process listens on a TCP port, for error messages.
 *
 * Reads /proc; sees processes of other users only as root.  Slow: for
 * start-up alone.  Any thread.
 */

#ifndef WEIR_COMMON_NET_PORT_OWNER_H
#define WEIR_COMMON_NET_PORT_OWNER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Write "mosquitto pid 123" to `text`.
 * Returns 0, or -ENOENT when nobody listens or it cannot be seen.
 */
int port_owner_find(uint16_t port, char *text, size_t size);

#endif
