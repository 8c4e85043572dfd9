/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_jwt_key - the keys that tokens are signed with; private to auth_jwt.
 *
 * OpenSSL does the arithmetic.  A key is read once and checked for its kind
 * and size: what is too weak to prove anything is refused at the start.
 */

#ifndef WEIR_BROKER_AUTH_JWT_KEY_H
#define WEIR_BROKER_AUTH_JWT_KEY_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/conf.h"

struct auth_jwt_key {
	enum conf_jwt_algorithm algorithm;
	EVP_PKEY *public; /* of RS256 and ES256 */
	char *secret;     /* of HS256 */
	size_t secret_length;
};

struct auth_jwt_rule {
	struct auth_jwt_key key;
	char *audience; /* NULL: none */
	char *issuer;   /* NULL: any */
	char *account_claim;
	char *account; /* NULL: none */
	char *scope_claim;
	uint64_t leeway_ns;
};

struct auth_jwt {
	size_t count;
	struct auth_jwt_rule rules[];
};

/* "HS256": as the header of a token says it. */
const char *auth_jwt_key_name(enum conf_jwt_algorithm algorithm);

/* Did this key make this signature of these bytes? */
bool auth_jwt_key_made(
    const struct auth_jwt_key *key, struct slice bytes, struct slice signature);

#endif
