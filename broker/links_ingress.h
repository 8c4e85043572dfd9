/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_ingress - records that endpoints bring in.
 *
 * The head record of a lane is taken only when every reliable bridge it goes
 * to has room for it, and the lane of receipts too (httpd); else it stays
 * where it is and the lane waits, while all other lanes go on.  Nothing is
 * reserved.  Lanes are served in deficit round-robin.
 *
 *	links_ingress_round()	take and write into outputs, uncommitted
 *	... commit the bridges' outputs, then the receipts ...
 *	links_credit_release()	tails
 *	links_credit_grant()	credit
 */

#ifndef WEIR_BROKER_LINKS_INGRESS_H
#define WEIR_BROKER_LINKS_INGRESS_H

#include <stdbool.h>

struct links;
struct links_endpoint;

/* One bounded turn for each lane.  Returns true if anything moved. */
bool links_ingress_round(struct links *links);

/* The recheck before sleep: would a turn move or grant anything? */
bool links_ingress_can_move(struct links *links);

/* Memory may be there again: look at lanes that wait for it. */
void links_ingress_retry_memory(struct links *links);

/* What is known of waiting records may be wrong: filters have changed. */
void links_ingress_look_again(struct links *links);

/* Is there nothing left in any lane? */
bool links_ingress_is_empty(struct links *links);

#endif
