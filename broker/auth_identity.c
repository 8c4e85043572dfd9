/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_identity - what a handle stands for and may, and SCRAM's verifiers.
 */

#include <string.h>

#include "broker/access.h"
#include "broker/auth_private.h"

/* ---- SCRAM -----------------------------------------------------------------
 */

/* The same work for a name that there is and one that there is not. */
void
auth_scram_of(const struct auth *auth, const char *user, struct auth_scram *out)
{
	const struct slice name = slice_of_string(user);
	const struct auth_accounts *accounts;
	const struct auth_account *account;
	struct scram_verifier nobody = { .salt_length = SCRAM_SALT_BYTES };

	auth_accounts_salt(auth->key, name, nobody.salt);
	auth_accounts_digest(auth->key, name,
	    slice_of_string("nobody's StoredKey"), nobody.stored_key);
	rcu_enter();
	accounts = auth_accounts_now(auth);
	account = auth_accounts_find(accounts, name);
	nobody.iterations = accounts->scram_iterations;
	if (account != NULL && account->scram != NULL)
		*out =
		    (struct auth_scram){ *account->scram, account->identity };
	else
		*out = (struct auth_scram){ nobody, 0 };
	rcu_leave();
}

/* ---- identities -----------------------------------------------------------
 */

bool
auth_identity_is_valid(const struct auth *auth, uint64_t identity)
{
	const struct auth_handle *handle;
	bool is_valid;

	if (identity == AUTH_ANONYMOUS)
		return true;
	rcu_enter();
	handle = auth_accounts_of(auth_accounts_now(auth), identity);
	is_valid = handle != NULL && handle->account != NULL;
	rcu_leave();
	return is_valid;
}

const char *
auth_identity_name(const struct auth *auth, uint64_t identity)
{
	const struct auth_handle *handle;
	const char *name;

	if (identity == AUTH_ANONYMOUS)
		return "";
	rcu_enter();
	handle = auth_accounts_of(auth_accounts_now(auth), identity);
	name = handle == NULL ? NULL : handle->name;
	rcu_leave();
	return name;
}

uint64_t
auth_identity_account(const struct auth *auth, uint64_t identity)
{
	const char *name = auth_identity_name(auth, identity);
	uint8_t digest[AUTH_DIGEST_BYTES];
	uint64_t account;

	if (name == NULL || name[0] == '\0')
		return 0;
	/* No secret is empty, so this is nobody's handle. */
	auth_accounts_digest(
	    auth->key, slice_of_string(name), slice_of(NULL, 0), digest);
	memcpy(&account, digest, sizeof(account));
	return account;
}

bool
auth_is_same_owner(const struct auth *auth, uint64_t a, uint64_t b)
{
	const char *name;

	if (a == b)
		return true;
	if (a == AUTH_ANONYMOUS || b == AUTH_ANONYMOUS)
		return false;
	/* Equal names are one pointer. */
	name = auth_identity_name(auth, a);
	return name != NULL && name == auth_identity_name(auth, b);
}

uint64_t
auth_identity_of(const struct auth *auth, struct slice name)
{
	const struct auth_account *account;
	uint64_t identity = 0;

	if (name.len == 0)
		return AUTH_ANONYMOUS;
	rcu_enter();
	account = auth_accounts_find(auth_accounts_now(auth), name);
	if (account != NULL && !account->is_key)
		identity = account->identity;
	rcu_leave();
	return identity;
}

/* ---- rights ---------------------------------------------------------------
 */

static unsigned
rights_of(const struct auth_handle *handle)
{
	if (handle == NULL || handle->account == NULL)
		return 0;
	return handle->account->rights & handle->rights;
}

bool
auth_identity_may(
    const struct auth *auth, uint64_t identity, enum auth_right right)
{
	unsigned rights;

	if (identity == AUTH_ANONYMOUS)
		return right == AUTH_PUBLISH;
	rcu_enter();
	rights = rights_of(auth_accounts_of(auth_accounts_now(auth), identity));
	rcu_leave();
	return (rights & right) != 0;
}

bool
auth_identity_may_publish(
    const struct auth *auth, uint64_t identity, struct slice topic)
{
	const struct auth_handle *handle;
	bool may;

	rcu_enter();
	handle = auth_accounts_of(auth_accounts_now(auth), identity);
	if (identity == AUTH_ANONYMOUS)
		may = access_rules_may_publish(
		    &auth_accounts_now(auth)->anonymous, topic);
	else
		may = (rights_of(handle) & AUTH_PUBLISH) != 0 &&
		    access_rules_may_publish(&handle->account->rules, topic);
	rcu_leave();
	return may;
}

/* A handle that is void: of the account that has its name now. */
static const struct access_rules *
rules_of(const struct auth_accounts *accounts, uint64_t identity)
{
	static const struct access_rules nothing;
	const struct auth_handle *handle;
	const struct auth_account *account;

	if (identity == AUTH_ANONYMOUS)
		return &accounts->anonymous;
	handle = auth_accounts_of(accounts, identity);
	if (handle == NULL)
		return &nothing;
	account = handle->account != NULL
	    ? handle->account
	    : auth_accounts_find(accounts, slice_of_string(handle->name));
	return account == NULL || account->is_key ? &nothing : &account->rules;
}

int
auth_access(const struct auth *auth, uint64_t identity, struct slice client_id,
    struct access **out_access)
{
	int err;

	rcu_enter();
	err = access_new(
	    rules_of(auth_accounts_now(auth), identity), client_id, out_access);
	rcu_leave();
	return err;
}

bool
auth_limits_subscriptions(const struct auth *auth)
{
	bool limits;

	rcu_enter();
	limits = auth_accounts_now(auth)->limits_subscriptions;
	rcu_leave();
	return limits;
}

bool
auth_has_accounts(const struct auth *auth)
{
	bool has;

	rcu_enter();
	has = auth_accounts_now(auth)->has_accounts;
	rcu_leave();
	return has;
}
