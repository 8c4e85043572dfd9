/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_policy - what bridges do without room, while it changes.
 *
 * With another configuration `overflow` and `backlog` of a bridge take effect
 * at once, also while it is full: who is held is told and tries again, what
 * waits in lanes is looked at again, and the programs get the filters of the
 * bridges that may hold them up.  Until weir-httpd or a bridge has taken
 * those, what comes in lanes that were chosen by the former ones goes by the
 * former policy: see links_ingress.c.
 *
 * The links thread.
 */

#ifndef WEIR_BROKER_LINKS_POLICY_H
#define WEIR_BROKER_LINKS_POLICY_H

#include "common/conf/conf.h"

/* As in weir.conf(5). */
const char *links_policy_name(enum conf_overflow policy);

#endif
