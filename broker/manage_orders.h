/* SPDX-License-Identifier: Apache-2.0 */

/* manage_orders - what orders, and asks about bridges, share.  Links thread. */

#ifndef WEIR_BROKER_MANAGE_ORDERS_H
#define WEIR_BROKER_MANAGE_ORDERS_H

#include "broker/manage.h"

struct links_endpoint;

/*
 * A question comes in the midst of a round over endpoints and lanes; what
 * changes these runs when the round is over.
 */
void manage_defer(
    struct manage_ask *ask, const json_t *question, manage_function run);

/*
 * Reload, tell the programs, and answer with `answer` (taken), to which
 * "restart" is added: the keys that need one.  Or refuse.
 */
void manage_reload_and_answer(struct manage_ask *ask, json_t *answer);

/* A configuration that was refused: 422 with "mistakes", or 500. */
void manage_refuse_mistakes(struct manage_ask *ask, char *mistakes, int err);

/* The bridge with the question's "name".  NULL: the ask was refused. */
struct links_endpoint *manage_bridge_of(
    struct manage_ask *ask, const json_t *question);

#endif
