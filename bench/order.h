/* SPDX-License-Identifier: Apache-2.0 */

/*
 * order - what the parts of bench/order share; see order.c for what it does.
 *
 *	order.c       options, the scenario's clients, the loop, the verdict
 *	order_peer.c  a client: packets, its session over reconnects
 *	order_book.c  what was received, and whether that is right
 *	order_filters.c  what a subscriber subscribes to
 */

#ifndef WEIR_BENCH_ORDER_H
#define WEIR_BENCH_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mqtt/packet.h"

#define ORDER_LEVELS 3 /* of QoS */
#define ORDER_MAX_WINDOW 1024u
#define ORDER_MAX_TOPICS 1024u /* of all publishers */

/* How subscribers name what they want. */
enum order_filters {
	ORDER_OWN,     /* each all topics of one publisher */
	ORDER_ALL,     /* by +, those of all publishers */
	ORDER_EXACT,   /* each topic by its name */
	ORDER_OVERLAP, /* by several filters that match alike */
	ORDER_SHARED   /* one share of all topics */
};

struct order_options {
	uint64_t port, publishers, subscribers, topics, messages, window;
	uint64_t receive_maximum; /* of subscribers; 0: says none */
	uint64_t granted;         /* QoS that is subscribed with */
	uint64_t seed, seconds;
	uint64_t cut_every; /* messages until a subscriber's connection ends */
	uint64_t publisher_cut_every;
	uint64_t slow;          /* so many subscribers read little at a time */
	const char *qos;        /* of one message after the other: "012" */
	const char *filters;    /* a word for `how` */
	const char *name;       /* of clients and topics */
	enum order_filters how; /* of filters */
	bool is_kept;           /* sessions outlive connections */
	bool takes_over;        /* a new connection ends the old one */
	bool is_retained;
};

/* What one stream of a receiver is judged by. */
struct order_stream {
	uint64_t first;      /* one more than the last that was new */
	uint64_t connection; /* likewise, of this connection, new or not */
};

/* What a receiver, or all members of a share, got: a bit each message. */
struct order_book {
	uint8_t *seen;
	uint64_t reliable; /* with QoS 1 and 2, and seen */
};

struct order_receiver {
	struct order_book *book;
	struct order_stream *streams; /* [publisher][QoS] */
	unsigned number;
	bool was_cut;
};

struct order_result {
	uint64_t received, doubled, lost, disordered, wrong, repeated;
	uint64_t cuts;
};

struct order {
	struct order_options options;
	struct order_result result;
	struct order_receiver *receivers;
	struct order_book *books;
	uint64_t expected; /* of reliable ones, in all books */
	uint64_t seen;
	unsigned told; /* mistakes that were printed */
};

/* ---- order_book.c -------------------------------------------------------- */

/* QoS that message `sequence` is published with. */
uint8_t order_qos(const struct order *order, uint64_t sequence);

int order_books_init(struct order *order);
void order_books_fini(struct order *order);

/* A new connection: what comes now is in order by itself. */
void order_connected(struct order *order, struct order_receiver *receiver);

#define ORDER_PAYLOAD 16u
void order_payload(
    unsigned publisher, uint64_t sequence, uint8_t out[ORDER_PAYLOAD]);

/* A PUBLISH; of QoS 2 not one whose identifier is still in use. */
void order_received(struct order *order, struct order_receiver *receiver,
    const struct mqtt_publish *publish);

/* One of QoS 2 came again under its identifier: right only with DUP. */
void order_repeated(struct order *order, struct order_receiver *receiver,
    const struct mqtt_publish *publish);

/* At the end: count and tell what is missing. */
void order_count_lost(struct order *order);

/* ---- order_filters.c ------------------------------------------------------
 */

/*
 * The filters of a subscriber, ORDER_MAX_TOPICS at most; how many.  Their text
 * holds until the next call.
 */
size_t order_filters(const struct order_options *options, unsigned subscriber,
    struct mqtt_subscription *out_list);

/* ---- order_peer.c -------------------------------------------------------- */

struct order_peer;

struct order_peer *order_peer_new(
    struct order *order, unsigned number, bool is_publisher, int epoll);
void order_peer_free(struct order_peer *peer);

/* Connect; a subscriber subscribes too. */
void order_peer_start(struct order_peer *peer);
bool order_peer_is_ready(const struct order_peer *peer);

/* Events of its sockets; `peer` is what epoll gave. */
void order_peer_event(struct order_peer *peer, uint32_t events);

/* Once a round: publish, send, cut and come again. */
void order_peer_turn(struct order_peer *peer);

/* A publisher: is all published and acknowledged? */
bool order_peer_is_done(const struct order_peer *peer);

#endif
