/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_ingress - records that endpoints bring in.
 *
 * The head record of a lane is taken only when every reliable bridge it goes
 * to has room for it, and the lane of receipts too (httpd); else it stays
 * where it is and the lane waits, while all other lanes go on.  Nothing is
 * reserved.  Lanes are served in deficit round-robin.
 *
 * With a journal it is taken when the journal and the bridges' backlogs have
 * room, and answered when it is committed (links_journal.h).
 *
 *	links_ingress_round()	take and write into outputs, uncommitted
 *	... commit the bridges' outputs, then the receipts ...
 *	links_credit_release()	tails
 *	links_credit_grant()	credit
 */

#ifndef WEIR_BROKER_LINKS_INGRESS_H
#define WEIR_BROKER_LINKS_INGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct links;
struct links_endpoint;
struct links_incoming;
struct links_lane;

/* One bounded turn for each lane.  Returns true if anything moved. */
bool links_ingress_round(struct links *links);

/* The recheck before sleep: would a turn move or grant anything? */
bool links_ingress_can_move(struct links *links);

/*
 * For those who place a record: it stays at the head of its lane, until its
 * reliable bridges have `needed` bytes free, or until there may be memory or
 * room in the journal.
 */
void links_ingress_wait(struct links_incoming *in, size_t needed);
void links_ingress_wait_for_memory(struct links_incoming *in);

/* Is somebody there to be refused, and has no bridge taken it yet? */
bool links_ingress_may_refuse(const struct links_incoming *in);

/*
 * Those of `bridges` for which the broker counts what is offered in that lane:
 * weir-httpd does so itself for the bridges of the lane's set.
 */
uint64_t links_ingress_offered(const struct links_endpoint *endpoint,
    const struct links_lane *lane, uint64_t bridges);

/* Count for those: it is taken; it is refused, or misses these. */
void links_ingress_count_offered(
    const struct links_incoming *in, uint64_t bridges);
void links_ingress_count_declined(
    const struct links_incoming *in, uint64_t bridges);

/* Memory may be there again: look at lanes that wait for it. */
void links_ingress_retry_memory(struct links *links);

/* What is known of waiting records may be wrong: filters have changed. */
void links_ingress_look_again(struct links *links);

/* Is there nothing left in any lane? */
bool links_ingress_is_empty(struct links *links);

#endif
