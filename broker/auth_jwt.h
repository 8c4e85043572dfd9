/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_jwt - JSON Web Tokens (RFC 7519, compact JWS of RFC 7515), judged.
 *
 * A set holds the rules of http.jwt with their keys.  A token is right when
 *
 *	- it has three parts of base64url without padding, and AUTH_TOKEN_MAX
 *	  bytes at most; header and claims are JSON objects without doubles;
 *	- the header's alg is that of a rule, and the rule's key made the
 *	  signature: the key decides what is computed, never the header, so
 *	  "none", and a public key taken for a secret, come to nothing;
 *	- the header has no crit: no extension is understood;
 *	- exp is there and not over, nbf has come, aud and iss are the rule's.
 *
 * Claims are looked at when the signature was right, so nobody learns from a
 * refusal what he could not know.  Immutable; any thread.
 */

#ifndef WEIR_BROKER_AUTH_JWT_H
#define WEIR_BROKER_AUTH_JWT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/msg/record.h"

struct auth_jwt;
struct conf_jwt;

#define AUTH_TOKEN_MAX RECORD_TOKEN_MAX /* bytes */
#define AUTH_ACCOUNT_MAX 255u           /* bytes of an account's name */

#define AUTH_JWT_SECRET_MIN 32u /* bytes of an HS256 secret: RFC 7518, 3.2 */
#define AUTH_JWT_RSA_MIN 2048   /* bits: RFC 7518, 3.3 */
#define AUTH_JWT_RSA_MAX 8192   /* bits: more takes too long */

/* What a right token says. */
struct auth_token {
	char account[AUTH_ACCOUNT_MAX + 1]; /* "": it names none */
	const char *fallback;               /* the rule's account, or NULL */
	unsigned rights;                    /* enum auth_right: those left */
	uint64_t ends_ns; /* by the wall clock; it is void from then on */
};

/*
 * Read the keys.  0 or -errno; what is wrong has been logged.  `count` 0 makes
 * a set that knows no token.
 */
int auth_jwt_load(
    const struct conf_jwt *from, size_t count, struct auth_jwt **out_set);
void auth_jwt_free(struct auth_jwt *set); /* accepts NULL */

/* Are there any rules? */
size_t auth_jwt_count(const struct auth_jwt *set);

/*
 * Judge a token at this time of the wall clock.
 * RECORD_DETAIL_NONE and *out_token, or what is wrong with it.
 */
enum record_detail auth_jwt_verify(const struct auth_jwt *set,
    struct slice token, uint64_t wall_ns, struct auth_token *out_token);

#endif
