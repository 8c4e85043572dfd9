/* SPDX-License-Identifier: Apache-2.0 */

/*
 * proven - the account of a client that has proved who it is below MQTT: by a
 * certificate or a pre-shared key (listeners.tls.user_name_from), or as the
 * system or a proxy tells of it (listeners.peer_user).
 *
 * The worker's thread only.
 */

#ifndef WEIR_BROKER_PROVEN_H
#define WEIR_BROKER_PROVEN_H

#include <stdint.h>

struct client;

enum proven {
	PROVEN_NOTHING, /* its CONNECT must say who it is */
	PROVEN_ACCOUNT, /* *out_identity is its account's */
	PROVEN_NOBODY   /* no account is called so: the log says whom */
};

/* When its CONNECT has come. */
enum proven proven_account(const struct client *client, uint64_t *out_identity);

#endif
