/* SPDX-License-Identifier: Apache-2.0 */

/*
 * outgoing - what the remote is to get of a record, if anything.
 *
 * The body is copied out of the ring, once, and checked like any input; then
 * the rule's topic and QoS, what is left of its life, and the trail that
 * keeps it from coming back.  One thread.
 */

#ifndef WEIR_BRIDGED_OUTGOING_H
#define WEIR_BRIDGED_OUTGOING_H

#include <stddef.h>
#include <stdint.h>

#include "bridged/inflight.h"
#include "bridged/mapping.h"
#include "bridged/remote.h"
#include "common/base/slice.h"
#include "common/base/token_bucket.h"
#include "common/stats/stats.h"

/* What is to be done with a record. */
enum outgoing_plan {
	OUTGOING_SEND,
	OUTGOING_DROP,
	OUTGOING_BURY,
	OUTGOING_POISON /* it is not a message: the ring cannot be trusted */
};

/* Embed it by value; the owner sets `self`, `limits` and `refresh`. */
struct outgoing {
	const struct conf_bridge *conf;
	const struct mapping *rules;
	/* A record that no rule matches: there may be newer ones.  Or NULL. */
	void (*refresh)(void *arg);
	void *refresh_arg;
	struct stats_block *counters;
	const char *self; /* our broker's instance */
	const struct remote_limits *limits;
	struct token_bucket dead_lines; /* log lines of dead letters */
	const char *why;                /* the last one died; [const] text */
	uint8_t *body;                  /* private copy of the record at hand */
	size_t body_size;
	uint8_t *properties; /* the same, with the trail */
	uint8_t *topic;      /* mapped */
};

/* Returns 0 or -ENOMEM.  Everything passed in must outlive it. */
int outgoing_init(struct outgoing *outgoing, const struct conf_bridge *conf,
    const struct mapping *rules, struct stats_block *counters,
    size_t max_record, uint64_t now_ns);
void outgoing_fini(struct outgoing *outgoing);

/*
 * Make of a record what the remote is to get.  The slices lie in the
 * outgoing's own buffers, until the next record.
 */
enum outgoing_plan outgoing_translate(struct outgoing *outgoing,
    const struct inflight_entry *entry, uint64_t now_ns,
    struct remote_message *out);

/* Count a message that the remote will never take, and log it. */
void outgoing_bury(struct outgoing *outgoing, struct slice topic,
    const char *why, uint64_t now_ns);

/* The topic of an unsettled record, for the log. */
struct slice outgoing_topic(
    struct outgoing *outgoing, const struct inflight_entry *entry);

#endif
