/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_accounts - the accounts as auth.c checks them, read once.
 *
 * An account of accounts_file has an argon2id hash; one of the configuration
 * file (or the initial one) has the keyed digest of its credentials, which
 * is compared in constant time and made with a secret key (auth_key.h), so
 * the password itself is not kept.  An identity is made of the same with the
 * same key: it is void when the password changes, and only then.
 *
 * Immutable after auth_accounts_load(); any thread may read.
 */

#ifndef WEIR_BROKER_AUTH_ACCOUNTS_H
#define WEIR_BROKER_AUTH_ACCOUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct conf;

#define AUTH_DIGEST_BYTES 32u

/* A hash that asks for more memory than this is refused (KiB: 64 MiB). */
#define AUTH_MEMORY_MAX_KIB 65536u

#define AUTH_INITIAL_FILE "initial-account" /* in state_dir: name:password */

struct auth_account {
	char *name;
	char *hash; /* NULL: `digest` is to be compared */
	uint8_t digest[AUTH_DIGEST_BYTES];
	uint64_t identity;
	uint8_t rights; /* enum auth_right, or-ed */
};

struct auth_accounts {
	struct auth_account *list; /* sorted by name */
	struct auth_account **by_identity;
	size_t count;
	const char *any_hash; /* what unknown names are checked against */
	uint8_t key[AUTH_DIGEST_BYTES];
};

/* 0 or -errno; the reason has been logged. */
int auth_accounts_load(struct auth_accounts *accounts, const struct conf *conf);
void auth_accounts_fini(struct auth_accounts *accounts);

/* Keyed digest of a name and password. */
void auth_accounts_digest(const struct auth_accounts *accounts,
    struct slice user, struct slice password,
    uint8_t out_digest[AUTH_DIGEST_BYTES]);

/* NULL if there is none. */
const struct auth_account *auth_accounts_find(
    const struct auth_accounts *accounts, struct slice user);
const struct auth_account *auth_accounts_of(
    const struct auth_accounts *accounts, uint64_t identity);

#endif
