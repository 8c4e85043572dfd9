/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bell - wake the process at the other end of a link.
 *
 * A bell carries no data, only "look again".  It has two ends that differ
 * because the peer of the broker is not trusted:
 *
 *	endpoint -> broker	an eventfd.  The endpoint writes it, the broker
 *				watches it edge-triggered and never reads it:
 *				O_NONBLOCK lives in the shared description, so a
 *				peer could make a read or write block.
 *	broker -> endpoint	a socket pair.  The broker sends one byte with
 *				MSG_DONTWAIT, the endpoint reads all there is.
 *
 * A bell is rung at most once for each arm value of the sleeper (see
 * ring_link.h); ringing a full bell is a success: the peer has a wake-up
 * waiting for it already.
 */

#ifndef WEIR_COMMON_SHM_BELL_H
#define WEIR_COMMON_SHM_BELL_H

#include <stdbool.h>

/* The four descriptors of one link; -1 where not held. */
struct bell_fds {
	int to_broker;        /* eventfd, both processes hold it */
	int to_endpoint_send; /* the broker's end of the socket pair */
	int to_endpoint_wait; /* the endpoint's end of the socket pair */
};

/* Make both bells of a link.  Returns 0 or -errno. */
int bell_open(struct bell_fds *out_bells);

/* Close what is held.  Safe on fields of -1. */
void bell_close(struct bell_fds *bells);

/* Wake the broker / the endpoint.  Never blocks, never fails the caller. */
void bell_ring_broker(int to_broker);
void bell_ring_endpoint(int to_endpoint_send);

/* Endpoint: take all wake-ups that wait.  Returns false at end of stream. */
bool bell_drain(int to_endpoint_wait);

#endif
