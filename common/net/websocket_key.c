/* SPDX-License-Identifier: Apache-2.0 */

/* Apart from the layers: who reads a head alone needs none of them. */

#include "common/net/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void
websocket_accept_key(const char *key, char out[WEBSOCKET_ACCEPT_SIZE])
{
	char text[128];
	uint8_t hash[SHA_DIGEST_LENGTH];

	snprintf(text, sizeof(text), "%.64s" GUID, key);
	SHA1((const unsigned char *)text, strlen(text), hash);
	EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
}

bool
websocket_has_word(const char *list, const char *word, bool any_case)
{
	size_t len;

	for (;;) {
		list += strspn(list, " \t,");
		len = strcspn(list, " \t,");
		if (len == 0)
			return false;
		if (len == strlen(word) &&
		    (any_case ? strncasecmp(list, word, len)
			      : memcmp(list, word, len)) == 0)
			return true;
		list += len;
	}
}
