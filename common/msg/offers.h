/* SPDX-License-Identifier: Apache-2.0 */

/*
 * offers - what an ingress was offered for each bridge, and what it answered.
 *
 * weir-httpd counts here for the stall and reject bridges whose lanes its
 * messages travel in:
 *
 *	offered = accepted + refused + unknown
 *
 * when nothing is under way.  The rows lie in the notes of httpd's own side of
 * its link (ring_layout.h), which outlive the process: its next life goes on
 * counting in them, and calls unknown what was under way.  The broker reads
 * them as it reads everything of a peer: any numbers are harmless.
 *
 * A row is whose `name` it has, a bridge's, zero-terminated; the first row
 * without a name ends the list.  A name is written before its numbers, and
 * stays.  One process writes.
 */

#ifndef WEIR_COMMON_MSG_OFFERS_H
#define WEIR_COMMON_MSG_OFFERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define OFFERS_MAGIC UINT64_C(0x3145464645524957) /* "WIREFFE1" */
#define OFFERS_ROWS 64u
#define OFFERS_NAME_SIZE 40u

/* Messages, ever. */
struct offers_row {
	char name[OFFERS_NAME_SIZE];
	_Atomic uint64_t offered;
	_Atomic uint64_t accepted; /* the broker's receipt says so */
	_Atomic uint64_t refused;  /* for want of credit, place, broker ... */
	_Atomic uint64_t unknown;  /* committed, and no receipt came */
	uint64_t reserved;
};

struct offers {
	_Atomic uint64_t magic; /* written last */
	uint64_t reserved[7];
	struct offers_row rows[OFFERS_ROWS];
};

_Static_assert(sizeof(struct offers_row) == 80, "a row");
_Static_assert(offsetof(struct offers, rows) == 64, "rows");
_Static_assert(sizeof(struct offers) == 5184, "offers");

#endif
