/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_revoke - clients whose account or password a reload took away.
 *
 * Each worker goes over its connections once and says goodbye to those whose
 * identity is void: DISCONNECT 0x87, Not authorized, in MQTT 5.0; the old
 * versions are closed.  Wills are sent.  A session stays, and is its
 * account's, as long as it does not expire.
 */

#ifndef WEIR_BROKER_AUTH_REVOKE_H
#define WEIR_BROKER_AUTH_REVOKE_H

struct broker;

/* After auth_reload(); the main thread.  The workers do it in their time. */
void auth_revoke(struct broker *broker);

#endif
