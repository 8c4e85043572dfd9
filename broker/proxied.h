/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proxied - connections of which a proxy is still to say whose they are.
 *
 * A listener with proxy_protocol wants a header (proxy_header.h) in front of
 * all else.  It is read byte for byte as long as it says to be, so what is
 * behind it, MQTT or a layer's handshake, stays in the socket; and it is read
 * before there is a client, so a limit of an address is that of the client's.
 *
 *	proxied_wait(worker, &origin, done, door);
 *	...
 *	done(door, &origin);      origin.peer says who it is
 *
 * It must be there within connect_timeout, which goes on for the CONNECT.  A
 * connection that fails is closed, counted, and told.
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_PROXIED_H
#define WEIR_BROKER_PROXIED_H

struct client_origin;
struct worker;

/* The header has come; takes what is in *origin. */
typedef void proxied_done_fn(void *arg, struct client_origin *origin);

/*
 * Wait for the header of a connection that is counted as open; takes what is
 * in *origin.  done() may be called at once.
 */
void proxied_wait(struct worker *worker, const struct client_origin *origin,
    proxied_done_fn *done, void *arg);

/* Close all that wait: the worker drains or ends. */
void proxied_close_all(struct worker *worker);

#endif
