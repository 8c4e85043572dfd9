/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote - what a bridge needs of the system at its other end.
 *
 * A kind of remote is a table of functions, struct remote_kind; a remote of
 * that kind is an opaque object.  All of it runs on the bridge's loop.
 *
 *	open    ->  connecting	the remote is about to hear from us
 *		->  up		connected, limits known
 *		->  down	could not, or lost: closed already, open again
 *	send    ->  kept	QoS 2: the remote has it, and remembers that
 *		->  settled	it is done with, or will never be taken
 *	release ->  settled	QoS 2, kept before: the rest of the exchange
 *	end     ->  ended	QoS 2: an exchange that nobody knows any more
 *	receive			begin to be sent messages
 *	resubscribe		be sent others: the rules have changed
 *	received -> acknowledge	once the message is safe
 *		->  forgotten	QoS 2: the remote will not send it again
 *	remind  ->  forgotten	QoS 2: as if acknowledged once more
 *
 * Callbacks come from the loop, never from inside one of the functions;
 * acknowledge, remind and receive may be called from inside a callback.
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
	uint8_t max_qos;      /* that it takes */
	bool session_present; /* it remembers what was sent before */
	bool keeps_session;   /* it will remember when we are away */
	bool marks_retained;  /* the retain flag says that a message was, and
				 no rule says which of them come */
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
	/*
	 * While connecting: "DNS", "TCP", "TLS" or "WebSocket" went well, with
	 * a detail for people.  May be NULL.
	 */
	void (*step)(void *arg, const char *step, const char *detail);

	void (*connecting)(void *arg);

	void (*up)(void *arg, const struct remote_limits *limits);

	/* `why` is text for the log: printable, quotes balanced. */
	void (*down)(void *arg, enum remote_trouble trouble, const char *why);

	void (*settled)(void *arg, uint16_t id, enum remote_verdict verdict,
	    const char *why);

	/*
	 * The remote has the message of this identifier and is to be told, as
	 * soon as this returns, that it may forget the identifier.  Returns
	 * false when no message of ours has it.
	 */
	bool (*kept)(void *arg, uint16_t id);

	/* Whatever the remote had under it, it has no more. */
	void (*ended)(void *arg, uint16_t id);

	/* `message` is valid during the call. */
	void (*received)(void *arg, const struct remote_message *message);

	/* The identifier is free; returns false when it was before. */
	bool (*forgotten)(void *arg, uint16_t id);

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
	 * instance.
	 */
	void (*open)(struct remote *remote, const char *self);

	/*
	 * Returns 0; -EAGAIN when the socket is full (writable() follows);
	 * -EMSGSIZE when the remote does not take packets of that size,
	 * -ENOTCONN when it is not up.
	 */
	int (*send)(
	    struct remote *remote, const struct remote_message *message);

	/* Returns as send(); the message itself is not sent. */
	int (*release)(struct remote *remote, uint16_t id);
	int (*end)(struct remote *remote, uint16_t id);

	/* Once a connection. */
	void (*receive)(struct remote *remote);

	/* The receive rules have changed; in any state. */
	void (*resubscribe)(struct remote *remote);

	/* A message received at QoS 1 or 2 is safe, or refused for good. */
	void (*acknowledge)(
	    struct remote *remote, uint16_t id, uint8_t qos, bool accepted);

	void (*remind)(struct remote *remote, uint16_t id);

	/* Say good-bye and close; no callback follows. */
	void (*close)(struct remote *remote);

	/* The address that is connected or tried, else the next one. */
	const struct conf_remote *(*where)(const struct remote *remote);
};

extern const struct remote_kind remote_mqtt;

#endif
