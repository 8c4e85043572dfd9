/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ring_layout - what lies in the shared memory of a link, byte by byte.
 *
 * A LINK joins the broker with one endpoint (httpd, or one bridged).  It has
 * two SIDES, the broker's and the endpoint's, and in each direction up to
 * RING_LANES LANES; a lane is one ring of records.  One writer per memfd:
 *
 *	side memfd (one a side, written by that side alone)
 *	lane memfd (one a lane, written by the lane's producer alone)
 *
 *	 side memfd                                  lane memfd
 *	+---------------------------+ 0             +-------------------+ 0
 *	| ring_side_header          |               | ring_lane_header  |
 *	|   identity of the link    |               |   (immutable)     |
 *	|   arm   epoch pid beat    |               |                   |
 *	+---------------------------+ 2048          |                   |
 *	| board: what it says of    |               |                   |
 *	|   itself (base/board.h)   |               +-------------------+ 4096
 *	+---------------------------+ 4096          | class 0           |
 *	| head of lane 0..31        |               |   MIN bytes       |
 *	|   128 bytes apart         |               +-------------------+ +MIN
 *	+---------------------------+ 8192          | class 1           |
 *	| ring_lane_producer 0..31  |               |   2 * MIN bytes   |
 *	+---------------------------+ 40960         +-------------------+
 *	| ring_lane_consumer 0..31  |               | ...               |
 *	+---------------------------+ 57344         | class k           |
 *	| notes: the owner's own    |               |   MIN << k bytes  |
 *	+---------------------------+ 122880        +-------------------+
 *	| trace: sampled messages   |
 *	+---------------------------+ 155648
 *	| forwarded[lane][link,lane]|
 *	|   (sparse but for lane 0) |
 *	+---------------------------+ 2252800
 *
 * Position word.  Every position is one u64: a byte position in the stream,
 * always a multiple of 64, with the size class in the low 6 bits.  One
 * atomic store therefore commits position and geometry together; no crash
 * can part them.  A position lies in its class at `position % class size`.
 *
 * Record.  A 64-byte header followed by the payload, padded to 64 bytes, in
 * one piece: what does not fit before the end of the class is preceded by a
 * PAD record that fills it.  SWITCH{k} leads to class k.
 *
 *	 0        4    5    6         8                16
 *	+--------+----+----+---------+----------------+----------------+
 *	| length |type|kind|src lane | sequence       | correlation    |
 *	+--------+----+----+---------+----------------+----------------+
 *	 24               32        36       40               48
 *	+----------------+---------+--------+----------------+---------+
 *	| src sequence   |src link | crc32c | identity       | time_ns |
 *	+----------------+---------+--------+----------------+---------+
 *	 56        60       64
 *	+---------+--------+----------------------------------------- - -
 *	| flags   | class  | payload
 *	+---------+--------+----------------------------------------- - -
 *
 * Everything a peer writes is untrusted input: load once, check the copy,
 * use the copy.  Numbers are in host byte order: links never leave a host.
 * The layout is ABI: a change of any offset below changes RING_ABI.
 */

#ifndef WEIR_COMMON_RING_RING_LAYOUT_H
#define WEIR_COMMON_RING_RING_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/board.h"

#define RING_MAGIC UINT64_C(0x31474e4952524957)      /* "WIRRING1" */
#define RING_LANE_MAGIC UINT64_C(0x31454e414c524957) /* "WIRLANE1" */
#define RING_ABI 2u

#define RING_LANES 32u   /* lanes in one direction of a link */
#define RING_LINKS 64u   /* links of one broker; ids 0..63 */
#define RING_CLASSES 16u /* size classes a lane may have */
#define RING_ALIGN 64u   /* of records and positions, in bytes */
#define RING_PAGE 4096u
#define RING_NAME_MAX 64u      /* with the final NUL */
#define RING_RUN_DIR_MAX 108u  /* with the final NUL, as sun_path */
#define RING_MIN_SHIFT_LOW 12u /* smallest class 0: 4 KiB */
#define RING_MIN_SHIFT_HIGH 30u

#define RING_CLASS_MASK UINT64_C(63)
#define RING_WORD(position, class) ((position) | (class))
#define RING_POSITION(word) ((word) & ~RING_CLASS_MASK)
#define RING_CLASS(word) ((uint32_t)((word)&RING_CLASS_MASK))

enum ring_record_type {
	RING_DATA = 1,
	RING_PAD = 2, /* length = the bytes after its header, to be skipped */
	RING_SWITCH = 3, /* the next record is in size class `class` */
};

/* Flags of a record. */
#define RING_TRACED 1u /* each process notes when it had it: ring_trace.h */

/* One record's header: one cache line. */
struct ring_record {
	uint32_t length;      /* payload bytes, without padding */
	uint8_t type;         /* enum ring_record_type */
	uint8_t kind;         /* the users' own: see common/msg/record.h */
	uint16_t source_lane; /* where the record entered the broker ... */
	uint64_t sequence;    /* of this lane, from 1, without gaps */
	uint64_t correlation; /* producer's own: epoch and id of a request */
	uint64_t source_sequence; /* ... the pair that makes it unique */
	uint32_t source_link;
	uint32_t crc;      /* CRC-32C of the payload, 0: not computed */
	uint64_t identity; /* handle the broker gave for credentials */
	uint64_t time_ns;  /* CLOCK_MONOTONIC when it was produced */
	uint32_t flags;    /* RING_TRACED or 0 */
	uint32_t class;    /* SWITCH only */
};

_Static_assert(sizeof(struct ring_record) == 64, "record header");
_Static_assert(offsetof(struct ring_record, sequence) == 8, "sequence");
_Static_assert(offsetof(struct ring_record, source_sequence) == 24, "source");
_Static_assert(offsetof(struct ring_record, identity) == 40, "identity");
_Static_assert(offsetof(struct ring_record, time_ns) == 48, "time");

enum ring_role {
	RING_ROLE_BROKER = 1,
	RING_ROLE_HTTPD = 2,
	RING_ROLE_BRIDGE = 3,
	RING_ROLE_CONTROL = 4, /* weirctl: asks, has no link */
};

/*
 * A struct board in page 0 of a side memfd: lines "KEY VALUE..." by which its
 * writer tells weirctl what the numbers do not say.
 */
#define RING_SIDE_BOARD 2048u

/* Page 0 of a side memfd, up to the board. */
struct ring_side_header {
	/* Immutable once handed out. */
	uint64_t magic;
	uint32_t abi;
	uint32_t header_length;   /* sizeof(struct ring_side_header) */
	uint64_t map_length;      /* of the whole side memfd */
	uint8_t instance[16];     /* of the broker's start that made it */
	uint32_t link;            /* 0..RING_LINKS-1 */
	uint32_t role;            /* enum ring_role of the side's writer */
	char name[RING_NAME_MAX]; /* of the endpoint: "httpd", "cloud" */
	char run_dir[RING_RUN_DIR_MAX]; /* tells installations apart */

	/* Odd: this side sleeps, ring its bell once for this value. */
	_Alignas(128) _Atomic uint64_t arm;

	_Alignas(128) _Atomic uint64_t epoch; /* attaches of this side so far */
	_Atomic uint64_t pid;
	_Atomic uint64_t
	    heartbeat_ns;            /* CLOCK_MONOTONIC, at least each second */
	_Atomic uint64_t bells_rung; /* wake-ups this side sent */
	_Atomic uint64_t sleeps;
	_Atomic uint64_t empty_wakes; /* woken for nothing */
	_Atomic uint64_t attached;    /* 1 while the writer serves the link */
};

_Static_assert(offsetof(struct ring_side_header, arm) == 256, "arm line");
_Static_assert(offsetof(struct ring_side_header, epoch) == 384, "epoch line");
_Static_assert(
    sizeof(struct ring_side_header) <= RING_SIDE_BOARD, "side header");
_Static_assert(
    RING_SIDE_BOARD + sizeof(struct board) == RING_PAGE, "side's board");

/* A lane's head: the only commit point, alone on two cache lines. */
struct ring_head {
	_Alignas(128) _Atomic uint64_t word;
};

_Static_assert(sizeof(struct ring_head) == 128, "head line");

/* Counters that must match a position are stored with it, in two slots. */
struct ring_sequence_slot {
	_Atomic uint64_t head; /* the position word it becomes true at */
	_Atomic uint64_t sequence;
};

/* What a lane's producer writes, besides head and data. */
struct ring_lane_producer {
	/* Immutable while the lane is open. */
	_Atomic uint64_t open; /* 1: the lane exists; written last */
	uint32_t min_shift;
	uint32_t classes;
	uint64_t map_length;      /* of the lane memfd */
	char name[RING_NAME_MAX]; /* "" or the lane's set: "cloud+plant" */

	/*
	 * Records before this word that are not in flight are skipped by the
	 * consumer (overflow "drop_oldest").
	 */
	_Alignas(128) _Atomic uint64_t drop_before;

	/* The slot with the greatest head <= head counts; tie: slot 0. */
	_Alignas(128) struct ring_sequence_slot sequence[2];

	_Alignas(128) _Atomic uint64_t bytes; /* payload bytes committed */
	_Atomic uint64_t stalls;           /* episodes without room or credit */
	_Atomic uint64_t stalled_ns;       /* in ended episodes */
	_Atomic uint64_t stalled_since_ns; /* 0: not stalled now */
	_Atomic uint64_t unstalled_ns;     /* when the last episode ended */
	_Atomic uint64_t committed_ns;     /* time of the last commit */
	_Atomic uint64_t refused;          /* turned away for want of credit */
	_Atomic uint64_t grows;
	_Atomic uint64_t shrinks;
	_Atomic uint64_t high_water;      /* bytes, greatest fill seen */
	_Atomic uint64_t class;           /* of the producer now */
	_Atomic uint64_t offered_dropped; /* dropped before they got in */
	_Atomic uint64_t grow_failures;   /* no memory for the next class */
};

_Static_assert(offsetof(struct ring_lane_producer, drop_before) == 128, "drop");
_Static_assert(offsetof(struct ring_lane_producer, sequence) == 256, "seq");
_Static_assert(offsetof(struct ring_lane_producer, bytes) == 384, "counters");
_Static_assert(sizeof(struct ring_lane_producer) == 512, "lane producer");

/* What became of the records before `tail`; changes only with it. */
struct ring_tail_slot {
	_Atomic uint64_t tail;      /* the position word it becomes true at */
	_Atomic uint64_t delivered; /* records */
	_Atomic uint64_t dropped;
	_Atomic uint64_t dead;
};

/* What a lane's consumer writes. */
struct ring_lane_consumer {
	/* Everything before `tail` is released. */
	_Alignas(128) _Atomic uint64_t tail;
	uint64_t reserved[7];
	struct ring_tail_slot slot[2];

	/*
	 * A record may begin below this position, the PAD in front of it
	 * being free.  Never lowered.
	 */
	_Alignas(128) _Atomic uint64_t limit;

	_Alignas(128) _Atomic uint64_t bytes; /* payload bytes released */
	_Atomic uint64_t bad;          /* records that poisoned the lane */
	_Atomic uint64_t released_ns;  /* time of the last release */
	_Atomic uint64_t in_flight;    /* unacknowledged at the remote */
	_Atomic uint64_t window;       /* most it lets be in flight */
	_Atomic uint64_t remote_up;    /* 1: connected to its remote */
	_Atomic uint64_t remote_id[2]; /* instance of a remote Weir, or 0 */
};

_Static_assert(offsetof(struct ring_lane_consumer, slot) == 64, "tail slots");
_Static_assert(offsetof(struct ring_lane_consumer, limit) == 128, "limit");
_Static_assert(offsetof(struct ring_lane_consumer, bytes) == 256, "counters");
_Static_assert(sizeof(struct ring_lane_consumer) == 384, "lane consumer");

/*
 * forwarded: for each output lane and each (link, lane) that feeds it, the
 * last source sequence that is in it, for exactly-once hand-over.
 */
struct ring_forwarded {
	struct ring_sequence_slot slot[2];
};

#define RING_SIDE_HEADS RING_PAGE
#define RING_SIDE_PRODUCERS (2 * RING_PAGE)
#define RING_SIDE_CONSUMERS (RING_SIDE_PRODUCERS + RING_LANES * 1024)

/*
 * What a side's writer keeps for its next life, laid out by itself (a bridge:
 * its progress in QoS 2).  Zero when the link is new; the peer never reads it.
 */
#define RING_SIDE_NOTES (RING_SIDE_CONSUMERS + RING_LANES * 512)
#define RING_NOTES_LENGTH 65536u

#define RING_SIDE_TRACE (RING_SIDE_NOTES + RING_NOTES_LENGTH)
#define RING_TRACE_LENGTH 32768u

#define RING_SIDE_FORWARDED (RING_SIDE_TRACE + RING_TRACE_LENGTH)
#define RING_SIDE_LENGTH                                                       \
	(RING_SIDE_FORWARDED +                                                 \
	    RING_LANES * RING_LINKS * RING_LANES *                             \
		sizeof(struct ring_forwarded))

/* Lane blocks are spaced so that they can grow without moving. */
#define RING_PRODUCER_STRIDE 1024u
#define RING_CONSUMER_STRIDE 512u

_Static_assert(RING_SIDE_CONSUMERS == 40960, "consumer blocks");
_Static_assert(RING_SIDE_NOTES == 57344, "notes");
_Static_assert(RING_SIDE_TRACE == 122880, "trace");
_Static_assert(RING_SIDE_FORWARDED == 155648, "forwarded table");
_Static_assert(RING_SIDE_LENGTH == 2252800, "side memfd");

/* The pairs of one output lane in the forwarded table, in bytes. */
#define RING_FORWARDED_STRIDE                                                  \
	(RING_LINKS * RING_LANES * sizeof(struct ring_forwarded))

/* Page 0 of a lane memfd, immutable. */
struct ring_lane_header {
	uint64_t magic;
	uint32_t abi;
	uint32_t header_length;
	uint64_t map_length;
	uint8_t instance[16];
	uint32_t link;
	uint32_t lane;
	uint32_t producer_role; /* enum ring_role of the side that writes it */
	uint32_t min_shift;     /* class 0 has 1 << min_shift bytes */
	uint32_t classes;
	uint32_t reserved;
};

_Static_assert(sizeof(struct ring_lane_header) == 64, "lane header");

/* Where class k begins in the lane memfd, and how long the memfd is. */
static inline uint64_t
ring_class_size(uint32_t min_shift, uint32_t class)
{
	return UINT64_C(1) << (min_shift + class);
}

static inline uint64_t
ring_class_offset(uint32_t min_shift, uint32_t class)
{
	return RING_PAGE + ring_class_size(min_shift, class) -
	    ring_class_size(min_shift, 0);
}

static inline uint64_t
ring_lane_length(uint32_t min_shift, uint32_t classes)
{
	return ring_class_offset(min_shift, classes);
}

/* Bytes of ring space that a record with `length` payload bytes takes. */
static inline uint64_t
ring_record_size(uint64_t length)
{
	return (length + sizeof(struct ring_record) + RING_ALIGN - 1) &
	    ~(uint64_t)(RING_ALIGN - 1);
}

#endif
