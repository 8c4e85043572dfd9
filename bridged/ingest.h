/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ingest - from the remote to the broker's lanes.
 *
 * A received message waits in a bounded queue until its lane has room; it is
 * acknowledged to the remote only when it is committed there and, if
 * `awaits_journal`, the broker has released it: its journal has it.  A lane
 * that is full holds up its own messages alone, but acknowledgements go out in
 * the order in which messages came [MQTT-4.5.0-2] [MQTT-4.6.0-2]
 * [MQTT-4.6.0-3].  What comes at QoS 0 when the queue is full is dropped and
 * counted; what is acknowledged is bounded by the remote's interface
 * (max_pending of remote.h).
 *
 * A QoS 2 message enters its lane once: its identifier is in the notes from
 * before the commit until the remote's PUBREL, also over our own death.  A
 * copy that comes in between is acknowledged and goes no further.
 *
 * All work with rings is done in ingest_work(), once a turn.  The loop's
 * thread.
 */

#ifndef WEIR_BRIDGED_INGEST_H
#define WEIR_BRIDGED_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/mapping.h"
#include "bridged/notes.h"
#include "bridged/remote.h"
#include "common/msg/record.h"
#include "common/ring/lane.h"
#include "common/ring/ring_link.h"
#include "common/stats/stats.h"

/* Bytes of QoS 0 messages that may wait. */
#define INGEST_QOS0_BYTES (1u << 20)

struct ingest_item;

struct ingest {
	const struct mapping *rules;
	const struct remote_kind *kind;
	struct remote *remote;
	struct notes *notes; /* open while attached */
	struct stats_block *counters;
	struct lane_table *lanes;
	struct ring_link *link; /* NULL: not attached */
	bool awaits_journal;    /* by the owner, before the first message */
	size_t max_hops;        /* by the owner; 0: no limit */
	const char *fault;      /* of the broker's memory, once one is found */
	bool drops_retained;    /* of rules that want none: the remote cannot */
	char self[REMOTE_WEIR_ID_SIZE];
	char origin[REMOTE_WEIR_ID_SIZE]; /* the remote, if it is a Weir */
	struct ingest_item *first;
	struct ingest_item **last;
	size_t waiting;    /* items not yet in a lane */
	size_t given;      /* items that the journal has not yet */
	size_t qos0_bytes; /* of these, at QoS 0 */
	uint8_t *topic;    /* mapped */
	/* Asks for a lane; once it is open `lanes` has it. */
	void (*open_lane)(void *arg, const char *set);
	void *arg;
};

/* Messages that may wait for acknowledgement, when each has `max_packet`. */
size_t ingest_window(size_t max_packet);

/* Returns 0 or -ENOMEM.  Everything passed in must outlive it. */
int ingest_init(struct ingest *ingest, const char *name,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct notes *notes, struct stats_block *counters,
    void (*open_lane)(void *arg, const char *set), void *arg);
void ingest_fini(struct ingest *ingest);

void ingest_attach(
    struct ingest *ingest, struct ring_link *link, const char *self);
void ingest_detach(struct ingest *ingest);

/*
 * The remote is there.  If it is a Weir, its instance is added to the trail
 * of what it sends: else another bridge would carry it back to there.
 * Returns true when it may be asked for messages.  False: it is being asked
 * what it knows of the identifiers in the notes; a new session would use the
 * same ones for new messages.  Then ingest_forgotten() ends that.
 */
bool ingest_up(struct ingest *ingest, const struct remote_limits *limits);

/* PUBREL.  Returns false when no message was known by that identifier. */
bool ingest_forgotten(struct ingest *ingest, uint16_t id);

/* The remote is gone: it will send again what it has no answer for. */
void ingest_down(struct ingest *ingest);

/* Takes a copy. */
void ingest_received(struct ingest *ingest,
    const struct remote_message *message, uint64_t now_ns);

/*
 * Give the broker a message of our own.  Takes a copy.  Returns false when
 * there is no room, as for what the remote sends at QoS 0.
 */
bool ingest_tell(struct ingest *ingest, const struct record_message *message,
    uint64_t now_ns);

/*
 * Put what has room into its lanes, commit, acknowledge.  Returns true when
 * anything was committed or acknowledged.
 */
bool ingest_work(struct ingest *ingest, uint64_t now_ns);

/*
 * When nothing waits and the lane of all other sets is empty: lanes that are
 * free may be used by sets that had none.  See lane_table_unshare().
 */
void ingest_unshare(struct ingest *ingest);

/* Could ingest_work() do something now?  For the recheck before sleep. */
bool ingest_is_movable(struct ingest *ingest);

#endif
