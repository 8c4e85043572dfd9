/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote - what a bridge needs of the system at its other end.
 *
 * A kind of remote is a table of functions, struct remote_kind; a remote of
 * that kind is an opaque object.  All of it runs on the bridge's loop.
 *
 *	open    ->  up		connected, limits known
 *		->  down	could not, or lost: closed already, open again
 *	send    ->  settled	the remote has it, or will never take it
 *	received -> acknowledge	once the message is safe
 *
 * Callbacks come from the loop, never from inside one of the functions.
 */

#ifndef WEIR_BRIDGED_REMOTE_H
#define WEIR_BRIDGED_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/mapping.h"
#include "common/base/slice.h"
#include "common/conf/conf.h"
#include "common/net/loop.h"
#include "common/net/stream.h"

#define REMOTE_NEVER_EXPIRES UINT32_MAX

/* An instance in hexadecimal with its NUL. */
#define REMOTE_WEIR_ID_SIZE 33

struct remote;

/* What the remote told about itself; valid until it is down. */
struct remote_limits {
	size_t window;        /* unacknowledged messages it takes */
	bool session_present; /* it remembers what was sent before */
	char weir_id[REMOTE_WEIR_ID_SIZE]; /* its instance, or "" */
};

/* One message, either way. */
struct remote_message {
	uint16_t id; /* names it in settled() and acknowledge(); 0 for QoS 0 */
	uint8_t qos;
	bool retain;
	bool dup;           /* to be sent: the remote may have it already */
	uint32_t expiry_s;  /* left, or REMOTE_NEVER_EXPIRES */
	struct slice topic; /* as the remote calls it */
	struct slice properties; /* as in common/msg/record.h */
	struct slice payload;
};

enum remote_verdict {
	REMOTE_TOOK,    /* it is the remote's now */
	REMOTE_REFUSED, /* it will never take this message */
	REMOTE_LATER    /* not now: send it again after a while */
};

/* How hard to try again. */
enum remote_trouble {
	REMOTE_LOST,   /* network, time-out, a fault of the remote */
	REMOTE_DENIED, /* it does not want us: credentials, client id, version
			*/
	REMOTE_CLOSED  /* closed on our own wish */
};

struct remote_callbacks {
	void (*up)(void *arg, const struct remote_limits *limits);

	/* `why` is text for the log: printable, quotes balanced. */
	void (*down)(void *arg, enum remote_trouble trouble, const char *why);

	void (*settled)(void *arg, uint16_t id, enum remote_verdict verdict,
	    const char *why);

	/* `message` is valid during the call. */
	void (*received)(void *arg, const struct remote_message *message);

	/* The socket takes more again. */
	void (*writable)(void *arg);
};

struct remote_spec {
	const struct conf_bridge *conf;
	const struct mapping *receive; /* what to subscribe to */
	struct loop *loop;
	struct stream_hub *hub;
	size_t max_packet;  /* bytes of the largest packet, either way */
	size_t max_pending; /* messages we hold unacknowledged */
	const struct remote_callbacks *callbacks;
	void *arg;
};

struct remote_kind {
	const char *type; /* in the configuration */

	/* NULL without memory. */
	struct remote *(*new)(const struct remote_spec *spec);
	void (*free)(struct remote *remote);

	/*
	 * Start to connect; one up() or down() follows.  `self` is our own
	 * instance.  With `ids_are_new` what the remote remembers of our
	 * identifiers belongs to another life.
	 */
	void (*open)(struct remote *remote, const char *self, bool ids_are_new);

	/*
	 * Returns 0; -EAGAIN when the socket is full (writable() follows);
	 * -EMSGSIZE when the remote does not take packets of that size,
	 * -ENOTCONN when it is not up.  The QoS may be lowered to what the
	 * remote has: *out_qos is what it was sent at.
	 */
	int (*send)(struct remote *remote, const struct remote_message *message,
	    uint8_t *out_qos);

	/* A message received at QoS 1 or 2 is safe, or refused for good. */
	void (*acknowledge)(
	    struct remote *remote, uint16_t id, uint8_t qos, bool accepted);

	/* Say good-bye and close; no callback follows. */
	void (*close)(struct remote *remote);
};

extern const struct remote_kind remote_mqtt;

#endif
