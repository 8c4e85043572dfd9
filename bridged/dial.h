/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dial - which of a remote's addresses, and how to get there.
 *
 * A bridge may have several urls.  With failover the first one is preferred:
 * an address that fails is left for the next, a connection that was up and is
 * lost begins with the first again, and while another one is connected the
 * first is tried now and then (primary_retry); `better` tells once it
 * answers.  With round robin each new connection goes to the next.
 *
 *	dial_open	->  done	a socket, or why there is none
 *	dial_layers			lay what the url says over its stream
 *	dial_up				the remote has accepted us
 *	dial_lost			that was it: choose the next address
 *
 * Files of TLS are read anew for each connection, so a renewed certificate
 * is taken with the next.  The loop's thread.
 */

#ifndef WEIR_BRIDGED_DIAL_H
#define WEIR_BRIDGED_DIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/conf/conf.h"
#include "common/net/connector.h"
#include "common/net/stream.h"
#include "common/net/tls.h"

struct dial_callbacks {
	connector_fn *done;
	void (*resolved)(void *arg); /* may be NULL */
	void (*better)(void *arg);   /* the first address can be had again */
};

/* Embed it by value; its fields are private to dial.c. */
struct dial {
	const struct conf_bridge *conf;
	struct loop *loop;
	const struct dial_callbacks *callbacks;
	void *arg;
	struct connector *connector;
	struct connector *probe; /* of the first address */
	struct loop_timer again; /* for the probe */
	size_t at;               /* the address in use, or to be tried */
	bool is_better;          /* lost on purpose, for the first */
};

void dial_init(struct dial *dial, const struct conf_bridge *conf,
    struct loop *loop, const struct dial_callbacks *callbacks, void *arg);

/* Connect to the address whose turn it is.  Returns 0 or -ENOMEM. */
int dial_open(struct dial *dial);

/*
 * Lay TLS and WebSocket over a stream that has just begun, as the address in
 * use wants it.
 * Returns 0, or -errno with a sentence in `error`, TLS_ERROR_SIZE bytes.
 */
int dial_layers(struct dial *dial, struct stream *stream, char *error);

void dial_up(struct dial *dial);

/* `was_up`: dial_up() was called. */
void dial_lost(struct dial *dial, bool was_up);

/* Stop all; nothing is called any more. */
void dial_close(struct dial *dial);

/* The address in use, or whose turn it is. */
const struct conf_remote *dial_remote(const struct dial *dial);

#endif
