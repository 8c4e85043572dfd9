/* SPDX-License-Identifier: Apache-2.0 */

/*
 * aliases - the topic aliases of one connection, each way.
 *
 * Towards the other side: a topic gets the next alias that is free, or that of
 * the topic that was used least lately.  Ask, and tell once the packet is
 * written:
 *
 *	alias = aliases_find(&out, topic);
 *	if (alias == 0)
 *		alias = aliases_next(&out, topic);	may still be 0
 *	...
 *	aliases_used(&out, alias, topic);
 *
 * From it: aliases_keep() remembers what an alias stands for, and
 * aliases_topic() tells.
 *
 * All memory for what is sent is taken by aliases_out_init(); for what is
 * received a topic's length is taken where an alias needs more than before,
 * and kept.
 * One thread.
 */

#ifndef WEIR_COMMON_MQTT_ALIASES_H
#define WEIR_COMMON_MQTT_ALIASES_H

#include <stdint.h>

#include "common/base/slice.h"

/* Longer topics, and those that an alias does not shorten, get none. */
#define ALIASES_LONGEST 256u
#define ALIASES_SHORTEST 4u

struct alias_out;

/* Embed it by value, zeroed; private to aliases.c. */
struct aliases_out {
	struct alias_out *list; /* alias N is list[N - 1] */
	uint16_t *heads;        /* of the chains by hash; 0: none */
	uint32_t head_count;    /* a power of two */
	uint16_t size;          /* aliases there is memory for */
	uint16_t most;          /* ... that the remote takes */
	uint16_t count;         /* ... in use */
	uint16_t newest;        /* used last; 0: none */
	uint16_t oldest;
};

struct alias_in {
	uint8_t *topic;
	size_t size;
	size_t len; /* 0: the alias stands for nothing */
};

struct aliases_in {
	struct alias_in *list;
	uint16_t size;
};

/* Room for `size` aliases.  Returns 0 or -ENOMEM.  fini accepts a zeroed one.
 */
int aliases_out_init(struct aliases_out *aliases, uint16_t size);
void aliases_out_fini(struct aliases_out *aliases);

/*
 * A new connection, whose other side takes `most` aliases [MQTT-3.2.2-18]
 * [MQTT-3.3.2-7].
 */
void aliases_out_reset(struct aliases_out *aliases, uint16_t most);

/* The alias of that topic, or 0. */
uint16_t aliases_find(const struct aliases_out *aliases, struct slice topic);

/* The alias that a topic without one may be given; 0: none. */
uint16_t aliases_next(const struct aliases_out *aliases, struct slice topic);

/* The other side has been told that `alias` is, or still is, that topic's. */
void aliases_used(
    struct aliases_out *aliases, uint16_t alias, struct slice topic);

int aliases_in_init(struct aliases_in *aliases, uint16_t size);
void aliases_in_fini(struct aliases_in *aliases);

/* A new connection. */
void aliases_in_reset(struct aliases_in *aliases);

/*
 * Returns 0, also for any alias up to the size [MQTT-3.3.2-10]; -ERANGE for
 * one that is 0 or above; or -ENOMEM.
 */
int aliases_keep(
    struct aliases_in *aliases, uint16_t alias, struct slice topic);

/* What it stands for; empty: nothing.  Valid until it is kept anew. */
struct slice aliases_topic(const struct aliases_in *aliases, uint16_t alias);

#endif
