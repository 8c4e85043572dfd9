/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/peer.h"

#include <stdlib.h>
#include <string.h>

struct peer *
peer_new(void)
{
	return calloc(1, sizeof(struct peer));
}

void
peer_free(struct peer *peer)
{
	if (peer == NULL)
		return;
	free(peer->user_name);
	free(peer->server_name);
	free(peer);
}

bool
peer_set_address(struct peer *peer, const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		memcpy(&peer->address.v4, address, sizeof(peer->address.v4));
	else if (address->sa_family == AF_INET6)
		memcpy(&peer->address.v6, address, sizeof(peer->address.v6));
	else
		return false;
	return true;
}

const struct sockaddr *
peer_address(const struct peer *peer)
{
	if (peer == NULL || peer->address.any.sa_family == AF_UNSPEC)
		return NULL;
	return &peer->address.any;
}

bool
peer_set_text(char **field, struct slice text)
{
	char *copy = malloc(text.len + 1);

	if (copy == NULL)
		return false;
	if (text.len != 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	free(*field);
	*field = copy;
	return true;
}
