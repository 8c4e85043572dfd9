/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_trace - when sampled messages passed where.
 *
 * One message in N gets the flag RING_TRACED in its record where it enters a
 * ring, and each process that has such a record notes it in its own side of
 * the link, in a circle of entries:
 *
 *	if (ring_trace_is_due(trace))		a message is to be sampled
 *		record.flags |= RING_TRACED;
 *	ring_trace_note_record(trace, &record, RING_TRACE_PUT);
 *
 * An entry names the message by its source (link, lane, sequence), the stage
 * and the time.  The notes of all processes together are the way that the
 * message went: `weirctl trace`.
 *
 *	 RING_SIDE_TRACE                            0
 *	+---------+-------+------------------------+
 *	| written | every | 0                      |
 *	+---------+-------+---+---------+----------+ 64
 *	| sequence| place     | time_ns | check    |   entry 0
 *	+---------+-----------+---------+----------+ 96
 *	| ...                                      |   entry written % ENTRIES
 *	+------------------------------------------+   is the next one
 *	  place: link << 32 | lane << 16 | stage
 *
 * The owner writes without locks and in no order; `check` is a hash of the
 * other three words, so that a reader recognises an entry that is half
 * written, also for good, by a process that died.  A message that is not
 * sampled costs a decrement and a branch where it enters, a branch elsewhere.
 *
 * The writer belongs to the link's thread.  Readers are other processes; they
 * use pread() and check all that they get.
 */

#ifndef WEIR_COMMON_RING_RING_TRACE_H
#define WEIR_COMMON_RING_RING_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

/* `link` of a message that entered the broker by no link. */
#define RING_TRACE_NO_LINK UINT32_MAX

/* In the order in which a message passes them. */
enum ring_trace_stage {
	RING_TRACE_READ = 1, /* from the socket, by the process it enters at */
	RING_TRACE_PUT,      /* into the ring to the broker */
	RING_TRACE_TAKEN,    /* out of it, by the broker */
	RING_TRACE_ROUTED,   /* into a bridge's ring */
	RING_TRACE_SENT,     /* to the remote */
	RING_TRACE_ACKED,    /* the remote has it */
	RING_TRACE_ANSWERED, /* its sender has the receipt */
	RING_TRACE_STAGES
};

/* The source of a message, which makes it unique within an instance. */
struct ring_trace_id {
	uint32_t link;
	uint16_t lane;
	uint64_t sequence;
};

struct ring_trace_entry {
	_Atomic uint64_t sequence;
	_Atomic uint64_t place;
	_Atomic uint64_t time_ns; /* CLOCK_MONOTONIC */
	_Atomic uint64_t check;
};

#define RING_TRACE_ENTRIES                                                     \
	((RING_TRACE_LENGTH - 64) / sizeof(struct ring_trace_entry))

/* What lies at RING_SIDE_TRACE. */
struct ring_trace_area {
	_Atomic uint64_t written; /* entries ever */
	_Atomic uint64_t every; /* the owner samples one in so many; 0: none */
	uint64_t reserved[6];
	struct ring_trace_entry entry[RING_TRACE_ENTRIES];
};

_Static_assert(sizeof(struct ring_trace_entry) == 32, "trace entry");
_Static_assert(offsetof(struct ring_trace_area, entry) == 64, "trace entries");
_Static_assert(sizeof(struct ring_trace_area) == RING_TRACE_LENGTH, "trace");

/* The writer's end.  Embed it by value; its fields are private. */
struct ring_trace {
	struct ring_trace_area *area;
	uint64_t written;
	uint64_t every;
	uint64_t countdown; /* 0: never due */
};

/* Go on where a predecessor ended; `area` stays the caller's. */
void ring_trace_init(struct ring_trace *trace, struct ring_trace_area *area);

/* Sample one message in `every`, the next one first; 0: none. */
void ring_trace_set_every(struct ring_trace *trace, uint64_t every);

/* Is the message at hand to be sampled?  `trace` may be NULL. */
static inline bool
ring_trace_is_due(struct ring_trace *trace)
{
	if (trace == NULL || --trace->countdown != 0)
		return false;
	trace->countdown = trace->every;
	return true;
}

/* Note a stage of a sampled message. */
void ring_trace_note(struct ring_trace *trace, const struct ring_trace_id *id,
    enum ring_trace_stage stage, uint64_t time_ns);

/* The message in a record, by the source that the record names. */
struct ring_trace_id ring_trace_id_of(const struct ring_record *record);

/*
 * Note that the message in `record` passes a stage now, if it is sampled.
 * `trace` may be NULL.
 */
void ring_trace_note_now(struct ring_trace *trace,
    const struct ring_record *record, enum ring_trace_stage stage);

static inline void
ring_trace_note_record(struct ring_trace *trace,
    const struct ring_record *record, enum ring_trace_stage stage)
{
	if ((record->flags & RING_TRACED) != 0 && trace != NULL)
		ring_trace_note_now(trace, record, stage);
}

/* ---- reading, from any process ------------------------------------------ */

struct ring_trace_event {
	struct ring_trace_id id;
	enum ring_trace_stage stage;
	uint64_t time_ns;
};

struct ring_trace_state {
	uint64_t written; /* entries ever, as the owner says */
	uint64_t every;
};

/*
 * Read the circle of the side memfd `fd` into `events`, which has room for
 * RING_TRACE_ENTRIES, in no order; what is torn, empty or impossible is left
 * out.  Returns how many there are, or -errno.
 */
int ring_trace_read(int fd, struct ring_trace_event *events,
    struct ring_trace_state *out_state);

#endif
