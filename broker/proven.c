/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/proven.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/listener_tls.h"
#include "broker/peer.h"
#include "common/base/log.h"

/* As tls_peer_name(). */
static int
name_of(const struct stream_layer *tls, enum conf_user_name from, char **out)
{
	const char *identity = tls_peer_psk(tls);

	if (identity != NULL) {
		*out = strdup(identity);
		return *out == NULL ? -ENOMEM : 0;
	}
	if (from == CONF_USER_NAME_PSK)
		return -ENOENT;
	return tls_peer_name(tls,
	    from == CONF_USER_NAME_CN ? TLS_NAME_CN : TLS_NAME_SUBJECT, out);
}

/* `key` is the one that wants the name to be an account's. */
static enum proven
refuse(const struct client *client, const char *name, const char *key)
{
	char address[LISTENER_ADDRESS_SIZE];

	log_info("proven_name_refused",
	    "listener=%s address=%s name=%s help=\"%s%s%s\"",
	    client->worker->broker->conf->listeners[client->listener].bind,
	    client_address(client, address),
	    name == NULL ? "-" : log_quote(name),
	    name == NULL ? "the certificate has no such name, or one that is "
			   "no text; see "
			 : "add it to accounts_file, as name:* without a "
			   "password, or set ",
	    key, name == NULL ? "" : " to none");
	return PROVEN_NOBODY;
}

static enum proven
look_up(const struct client *client, const char *name, const char *key,
    uint64_t *out_identity)
{
	*out_identity = auth_identity_of(
	    client->worker->broker->auth, slice_of_string(name));
	return *out_identity > AUTH_ANONYMOUS ? PROVEN_ACCOUNT
					      : refuse(client, name, key);
}

/* By the process at the other end, or by its proxy. */
static enum proven
peer_account(const struct client *client, enum conf_peer_user from,
    uint64_t *out_identity)
{
	const struct peer *peer = client->peer;
	char uid[32];

	if (peer == NULL)
		return PROVEN_NOTHING;
	if (from == CONF_PEER_USER_UNIX && peer->is_local) {
		snprintf(uid, sizeof(uid), "uid=%u", (unsigned)peer->uid);
		return look_up(client, uid, "peer_user", out_identity);
	}
	if (from == CONF_PEER_USER_PROXY && peer->user_name != NULL)
		return look_up(
		    client, peer->user_name, "peer_user", out_identity);
	return PROVEN_NOTHING;
}

enum proven
proven_account(const struct client *client, uint64_t *out_identity)
{
	struct broker *broker = client->worker->broker;
	const enum conf_peer_user peer_user =
	    broker->conf->listeners[client->listener].peer_user;
	const enum conf_user_name from =
	    listener_tls_user_name_from(broker->tls, client->listener);
	const struct stream_layer *tls;
	enum proven proven;
	char *name = NULL;
	int err;

	if (peer_user != CONF_PEER_USER_NONE) {
		proven = peer_account(client, peer_user, out_identity);
		if (proven != PROVEN_NOTHING)
			return proven;
	}
	if (from == CONF_USER_NAME_NONE)
		return PROVEN_NOTHING;
	tls = stream_layer_named(&client->stream, "TLS");
	err = tls == NULL ? -ENOENT : name_of(tls, from, &name);
	if (err == -ENOENT)
		return PROVEN_NOTHING;
	if (err != 0)
		return refuse(client, NULL, "user_name_from");
	proven = look_up(client, name, "user_name_from", out_identity);
	free(name);
	return proven;
}
