/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_accounts - the accounts and keys of one configuration, and the
 * handles that stand for them.
 *
 * An account of accounts_file has an argon2id hash; one of the configuration
 * file (or the initial one) and a key of http.keys have the keyed digest of
 * their credentials, which is compared in constant time and made with a
 * secret key (auth_key.h), so the password itself is not kept.  A handle is
 * made of the same with the same key: it is void when the password changes or
 * the account goes, and only then.  Void ones are remembered, for sessions
 * still belong to them.
 *
 * Immutable once loaded; auth.c replaces it as a whole under RCU.  Any thread
 * may read between rcu_enter() and rcu_leave().
 */

#ifndef WEIR_BROKER_AUTH_ACCOUNTS_H
#define WEIR_BROKER_AUTH_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/access.h"
#include "broker/auth_jwt.h"
#include "broker/auth_key.h"
#include "broker/auth_names.h"
#include "broker/rcu.h"
#include "common/base/slice.h"
#include "common/net/scram_verifier.h"

struct conf;

#define AUTH_DIGEST_BYTES 32u

/* A hash that asks for more memory than this is refused (KiB: 64 MiB). */
#define AUTH_MEMORY_MAX_KIB 65536u

struct auth_account {
	const char *name; /* of auth_names */
	char *hash; /* NULL: `digest` is to be compared; CONF_NO_PASSWORD */
	uint8_t digest[AUTH_DIGEST_BYTES];
	struct scram_verifier *scram; /* NULL: not by that */
	uint64_t identity;            /* with all the account's rights */
	struct access_rules rules;
	uint8_t rights; /* enum auth_right, or-ed */
	bool is_key;    /* of http.keys: for HTTP alone */
};

/* What a 64-bit handle stands for. */
struct auth_handle {
	uint64_t identity;
	const char *name;                   /* also when it is void */
	const struct auth_account *account; /* NULL: void */
	uint8_t rights;                     /* of the account's, those left */
};

struct auth_accounts {
	struct rcu_head rcu;
	struct auth_account *list; /* sorted by name */
	size_t count;
	struct auth_handle *handles; /* sorted by identity */
	size_t handle_count;
	struct auth_jwt *jwt;      /* never NULL once loaded */
	uint32_t scram_iterations; /* of all, or most, that have a verifier */
	const char *any_hash;      /* what unknown names are checked against */
	struct access_rules anonymous;
	bool has_accounts;         /* beside keys */
	bool limits_subscriptions; /* of an account, or who gives no name */
};

/* Where a set of accounts comes from. */
struct auth_source {
	const struct conf *conf;
	const uint8_t *key; /* AUTH_KEY_BYTES */
	struct auth_names *names;
	const struct auth_accounts *before; /* the set it replaces, or NULL */
};

/*
 * 0 or -errno; the reason has been logged.  The set is to be freed by
 * auth_accounts_free(), which accepts NULL.
 */
int auth_accounts_load(
    const struct auth_source *source, struct auth_accounts **out_accounts);
void auth_accounts_free(struct auth_accounts *accounts);

/* Keyed digest of a name and password. */
void auth_accounts_digest(const uint8_t key[AUTH_KEY_BYTES], struct slice user,
    struct slice password, uint8_t out_digest[AUTH_DIGEST_BYTES]);

/* The salt of a name that has none of its own: the same for ever. */
void auth_accounts_salt(const uint8_t key[AUTH_KEY_BYTES], struct slice user,
    uint8_t out_salt[SCRAM_SALT_BYTES]);

/* NULL if there is none. */
const struct auth_account *auth_accounts_find(
    const struct auth_accounts *accounts, struct slice user);
const struct auth_handle *auth_accounts_of(
    const struct auth_accounts *accounts, uint64_t identity);

/*
 * The handle of an account for these rights at most; with AUTH_ALL_RIGHTS its
 * `identity`.  Of a key there is no other.
 */
uint64_t auth_accounts_narrowed(const uint8_t key[AUTH_KEY_BYTES],
    const struct auth_account *account, unsigned rights);

#endif
