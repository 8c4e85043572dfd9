/* SPDX-License-Identifier: Apache-2.0 */

/*
 * notes_layout - what a bridge keeps for its next life, byte by byte.
 *
 * It lies in the notes of the bridge's own side (ring_layout.h), which
 * outlive the process as the rings do: zero in a new link, written by one
 * process at a time, read again by the next one.
 *
 *	+--------------------------+ 0
 *	| magic version length     |
 *	| remote                   |  whose identifiers these are
 *	+--------------------------+ 64
 *	| published                |  to the remote: how far
 *	| claim_first claimed      |  and whose the identifiers are
 *	| connecting               |
 *	+--------------------------+ 4096
 *	| taken, a bit for each    |  from the remote: QoS 2 messages that
 *	|   identifier             |  are in a lane, PUBREL to come
 *	+--------------------------+ 12288
 *	| slot 0..511              |  and those that enter one now
 *	|   16 bytes each          |
 *	+--------------------------+ 20480
 *	| unused                   |
 *	+--------------------------+ 32768
 *	| kept 0..4095             |  to the remote: QoS 2 messages that it
 *	|   8 bytes each           |  has, by its PUBREC
 *	+--------------------------+ 65536
 *
 * Every field changes by one store, and the stores are in an order that makes
 * each state in between a true one: notes.c says which.  A slot is written
 * before the lane's head that makes it true, and becomes a bit after; what
 * lies above the committed sequence of its lane when the next life begins
 * never happened.
 */

#ifndef WEIR_BRIDGED_NOTES_LAYOUT_H
#define WEIR_BRIDGED_NOTES_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/ring_layout.h"

#define NOTES_MAGIC UINT64_C(0x3145544f4e524957) /* "WIRNOTE1" */
#define NOTES_VERSION 1u

/* Received messages that may be written to lanes and not yet committed. */
#define NOTES_SLOTS 512u

/* A record in flight has the place `sequence % NOTES_KEPT` for itself. */
#define NOTES_KEPT 4096u

/* Of `claimed`: no identifier was ever used by another life. */
#define NOTES_ALL_CLAIMED UINT64_MAX

/* Values of `connecting`. */
enum notes_connecting {
	NOTES_CONNECTED = 0,  /* what the remote's session is, is known */
	NOTES_CONNECTING = 1, /* CONNECT may be there, CONNACK not yet here */
	NOTES_IN_DOUBT = 2    /* again, and the one before was not answered */
};

struct notes_slot {
	/* The identifier, and from bit 16 the lane; 0: free.  Written last. */
	_Atomic uint64_t key;
	_Atomic uint64_t sequence; /* of the record in the lane */
};

struct notes_memory {
	_Atomic uint64_t magic; /* written last */
	uint32_t version;
	uint32_t length; /* sizeof(struct notes_memory) */
	uint64_t remote; /* hash of its address and our name there */

	/* Greatest sequence that may have been sent. */
	_Alignas(64) _Atomic uint64_t published;

	/*
	 * What the remote may remember of another life is ended for the
	 * identifiers of the sequences from `claim_first` to `claimed`.
	 */
	_Atomic uint64_t claim_first;
	_Atomic uint64_t claimed; /* 0: none yet */
	_Atomic uint64_t connecting;

	_Alignas(4096) _Atomic uint64_t taken[1024];
	struct notes_slot slot[NOTES_SLOTS];
	uint8_t unused[12288];
	_Atomic uint64_t kept[NOTES_KEPT]; /* sequence, 0: none */
};

_Static_assert(offsetof(struct notes_memory, remote) == 16, "remote");
_Static_assert(offsetof(struct notes_memory, published) == 64, "published");
_Static_assert(offsetof(struct notes_memory, claimed) == 80, "claimed");
_Static_assert(offsetof(struct notes_memory, connecting) == 88, "connecting");
_Static_assert(offsetof(struct notes_memory, taken) == 4096, "taken");
_Static_assert(offsetof(struct notes_memory, slot) == 12288, "slots");
_Static_assert(offsetof(struct notes_memory, kept) == 32768, "kept");
_Static_assert(sizeof(struct notes_memory) == RING_NOTES_LENGTH, "notes");

#endif
