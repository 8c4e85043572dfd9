/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer *
peer_new(void)
{
	return calloc(1, sizeof(struct peer));
}

static void
set_process(struct peer *peer, int fd)
{
	struct ucred process;
	socklen_t length = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &length) != 0)
		return;
	peer->is_local = true;
	peer->pid = process.pid;
	peer->uid = process.uid;
}

struct peer *
peer_of_socket(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	struct peer *peer;

	if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
		return NULL;
	peer = peer_new();
	if (peer == NULL)
		return NULL;
	if (address.ss_family == AF_UNIX)
		set_process(peer, fd);
	else
		peer_set_address(peer, (struct sockaddr *)&address);
	return peer;
}

void
peer_free(struct peer *peer)
{
	if (peer == NULL)
		return;
	free(peer->user_name);
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

const char *
peer_format(const struct peer *peer, char text[LISTENER_ADDRESS_SIZE])
{
	if (peer_address(peer) != NULL)
		return listener_format(peer_address(peer), text);
	if (peer == NULL || !peer->is_local)
		return NULL;
	snprintf(text, LISTENER_ADDRESS_SIZE, "unix:uid=%u,pid=%d",
	    (unsigned)peer->uid, (int)peer->pid);
	return text;
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
