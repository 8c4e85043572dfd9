/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sys_topics - the broker's numbers as retained messages below $SYS/broker/.
 *
 * The names are those that MQTT brokers have in common; sys_topics.def lists
 * them.  One worker publishes them every sys_interval, each only when it has
 * changed, with QoS 0: to who subscribes to $SYS, and to bridges whose rules
 * name it.  They are in memory alone: the journal has none of them, they are
 * beside the limits of retained messages, and a bridge without room does not
 * get the newest.
 *
 * That worker's thread only.
 */

#ifndef WEIR_BROKER_SYS_TOPICS_H
#define WEIR_BROKER_SYS_TOPICS_H

#include <stdint.h>

struct sys_topics;
struct worker;

/*
 * Publish at once and then every `interval_ns`.  Before the thread runs, its
 * port being there.  NULL without memory.
 */
struct sys_topics *sys_topics_new(struct worker *worker, uint64_t interval_ns);

/* Before the worker's loop is freed.  Accepts NULL. */
void sys_topics_free(struct sys_topics *topics);

/* ---- what it computes with, for its test -------------------------------- */

/* Averages over 1, 5 and 15 minutes of a number that grows, a minute. */
struct sys_load {
	uint64_t before;
	double minutes[3];
};

/* It is `now` after `elapsed_ns`.  A number that fell has begun anew. */
void sys_load_add(struct sys_load *load, uint64_t now, uint64_t elapsed_ns);

#endif
