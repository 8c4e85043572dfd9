/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/proven.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/listener_tls.h"
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

static enum proven
refuse(const struct client *client, const char *name)
{
	char address[LISTENER_ADDRESS_SIZE];

	log_info("proven_name_refused",
	    "listener=%s address=%s name=%s help=%s",
	    client->worker->broker->conf->listeners[client->listener].bind,
	    client_address(client, address),
	    name == NULL ? "-" : log_quote(name),
	    name == NULL
		? "\"the certificate has no such name, or one that is no "
		  "text; see user_name_from\""
		: "\"add it to accounts_file, as name:* without a password, "
		  "or set user_name_from to none\"");
	return PROVEN_NOBODY;
}

enum proven
proven_account(const struct client *client, uint64_t *out_identity)
{
	struct broker *broker = client->worker->broker;
	const enum conf_user_name from =
	    listener_tls_user_name_from(broker->tls, client->listener);
	const struct stream_layer *tls;
	enum proven proven = PROVEN_ACCOUNT;
	char *name = NULL;
	int err;

	if (from == CONF_USER_NAME_NONE)
		return PROVEN_NOTHING;
	tls = stream_layer_named(&client->stream, "TLS");
	err = tls == NULL ? -ENOENT : name_of(tls, from, &name);
	if (err == -ENOENT)
		return PROVEN_NOTHING;
	if (err != 0)
		return refuse(client, NULL);
	*out_identity = auth_identity_of(broker->auth, slice_of_string(name));
	if (*out_identity <= AUTH_ANONYMOUS)
		proven = refuse(client, name);
	free(name);
	return proven;
}
