/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mqtt_client - the MQTT client behind `weirctl pub`, `sub` and `replay`.
 *
 *	client = mqtt_client_new(&spec, &callbacks, pub);
 *	code = mqtt_client_run(client);
 *	mqtt_client_free(client);
 *
 * It makes one connection, does not come back when that is lost, and says on
 * stderr itself why it ended.  Everything happens in callbacks from within
 * mqtt_client_run(); they may call all functions but run and free.  SIGINT
 * and SIGTERM end the run; a second one at once.
 */

#ifndef WEIR_CTL_MQTT_CLIENT_H
#define WEIR_CTL_MQTT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mqtt/encode.h"
#include "common/net/loop.h"

/* Messages of QoS 1 and 2 under way at a time, if the broker allows it. */
#define MQTT_CLIENT_WINDOW 20

struct mqtt_client;
struct tls;

/* Must stay until mqtt_client_free(), with all that it points to. */
struct mqtt_client_spec {
	const char *program; /* "weirctl pub": begins each line on stderr */
	const char *host;
	uint16_t port;
	bool debug;      /* tell every packet on stderr */
	struct tls *tls; /* lent; NULL: in the clear */
	struct mqtt_connect connect;
};

struct mqtt_client_callbacks {
	/* The broker has accepted the connection. */
	void (*connected)(void *arg);

	/*
	 * Something moved: look at mqtt_client_has_room() and _in_flight()
	 * again.  Also called when an incoming message is acknowledged.
	 */
	void (*writable)(void *arg);

	/*
	 * A message of QoS 1 or 2 is done with; writable() follows.  May be
	 * NULL if nothing is published.
	 */
	void (*published)(
	    void *arg, uint16_t packet_id, enum mqtt_reason reason);

	/* The answer to mqtt_client_subscribe(); may be NULL without that. */
	void (*subscribed)(void *arg, const struct mqtt_suback *suback);

	/*
	 * A message came; a repeated one of QoS 2 does not come twice.  It is
	 * acknowledged if this returns true.  NULL: nothing is expected.
	 */
	bool (*message)(void *arg, const struct mqtt_publish *publish);

	/* The user wants to leave: call mqtt_client_end() or _fail(). */
	void (*interrupted)(void *arg);
};

/* NULL without memory or descriptors, errno says which. */
struct mqtt_client *mqtt_client_new(const struct mqtt_client_spec *spec,
    const struct mqtt_client_callbacks *callbacks, void *arg);

/* Accepts NULL. */
void mqtt_client_free(struct mqtt_client *client);

/* Connect and go on until the end.  Returns the exit code. */
int mqtt_client_run(struct mqtt_client *client);

/*
 * Send what is pending and DISCONNECT; mqtt_client_run() then returns `code`.
 * No callback follows.  A second call is nothing.
 */
void mqtt_client_end(struct mqtt_client *client, int code);

/* As mqtt_client_end(), after saying why on stderr. */
void mqtt_client_fail(struct mqtt_client *client, int code, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* May a message be sent now, by window and by what the socket takes? */
bool mqtt_client_has_room(const struct mqtt_client *client);

/* Messages of QoS 1 and 2 not yet done with. */
unsigned mqtt_client_in_flight(const struct mqtt_client *client);

/*
 * Publish, with room; the packet identifier is chosen here.  When the broker
 * said in CONNACK that it does not take such a message, the client fails.
 */
void mqtt_client_publish(
    struct mqtt_client *client, const struct mqtt_publish_out *publish);

/* Subscribe to a list, once; properties may be NULL. */
void mqtt_client_subscribe(struct mqtt_client *client,
    const struct mqtt_subscription *list, size_t count,
    const struct mqtt_properties *properties);

/* For timers and descriptors of the caller's own. */
struct loop *mqtt_client_loop(struct mqtt_client *client);

#endif
