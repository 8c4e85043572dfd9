/* SPDX-License-Identifier: Apache-2.0 */

/*
 * remote_ledger - what came to the scripted remote, in order of arrival.
 *
 * A payload that begins "PRODUCER NUMBER " is an entry: from whom, which
 * number, over which connection, and where in that connection.  The producer
 * is known by its name and topic together.  Nothing is judged here: the file
 * that is written says all that a judge needs.  One thread.
 */

#ifndef WEIR_BENCH_REMOTE_LEDGER_H
#define WEIR_BENCH_REMOTE_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define REMOTE_LEDGER_STREAMS 4096 /* producers on topics, at most */
#define REMOTE_LEDGER_NAME 160     /* of "TOPIC PRODUCER", with its NUL */

struct remote_ledger_entry {
	uint64_t arrived_ns; /* CLOCK_MONOTONIC */
	uint32_t connection; /* 1, 2, ... in the order they were opened */
	uint32_t position;   /* of the PUBLISH in its connection, from 0 */
	uint32_t number;
	uint16_t stream;
	uint8_t qos;
	bool is_dup;     /* the DUP flag */
	bool is_refused; /* was answered with a reason of 0x80 or more */
};

/* Embed it by value, zeroed but for `max`. */
struct remote_ledger {
	struct remote_ledger_entry *entries;
	size_t count, size;
	size_t max;       /* entries; what is beyond is counted in `missed` */
	uint64_t missed;  /* also streams beyond REMOTE_LEDGER_STREAMS */
	uint64_t foreign; /* payloads of another shape */
	unsigned streams;
	char (*names)[REMOTE_LEDGER_NAME];
	uint16_t *slots; /* hash of a name -> stream + 1 */
};

/* Returns 0 or -ENOMEM. */
int remote_ledger_init(struct remote_ledger *ledger, size_t max);
void remote_ledger_fini(struct remote_ledger *ledger);

/*
 * Note a message; entry->stream and entry->number are filled in from topic
 * and payload, all else is the caller's.
 */
void remote_ledger_note(struct remote_ledger *ledger, struct slice topic,
    struct slice payload, struct remote_ledger_entry entry);

/*
 * Write all entries, a line each, in order of arrival:
 *	CONNECTION POSITION ARRIVED_US QOS FLAGS TOPIC PRODUCER NUMBER
 * FLAGS is "-", or "d" for DUP, "r" for refused.  Returns 0 or -errno.
 */
int remote_ledger_write(const struct remote_ledger *ledger, const char *path);

#endif
