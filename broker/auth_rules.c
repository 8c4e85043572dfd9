/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_rules.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/conf/conf.h"

/* ---- SCRAM ----------------------------------------------------------------
 */

/* The one it had, if it has that password still: it takes time to make. */
static bool
keep_verifier(const struct auth_source *source, struct auth_account *account)
{
	const struct auth_accounts *before = source->before;
	const struct auth_account *was = before == NULL
	    ? NULL
	    : auth_accounts_find(before, slice_of_string(account->name));

	if (was == NULL || was->scram == NULL || was->hash != NULL ||
	    sodium_memcmp(was->digest, account->digest, sizeof(was->digest)) !=
		0)
		return false;
	*account->scram = *was->scram;
	return true;
}

static int
make_verifier(const struct auth_source *source, struct auth_account *account,
    const char *password)
{
	uint8_t salt[SCRAM_SALT_BYTES];

	auth_accounts_salt(source->key, slice_of_string(account->name), salt);
	return scram_verifier_make(slice_of_string(password),
	    slice_of(salt, sizeof(salt)), SCRAM_ITERATIONS, account->scram);
}

static int
read_verifier(struct auth_account *account, const char *text)
{
	if (scram_verifier_parse(text, account->scram) == 0)
		return 0;
	log_error("account_refused",
	    "account=%s reason=\"what stands behind the scopes is no verifier "
	    "of SCRAM-SHA-256\" help=\"make it with weirctl passwd --scram\"",
	    log_quote(account->name));
	return -EINVAL;
}

int
auth_verifier_add(const struct auth_source *source,
    struct auth_accounts *accounts, const char *password, const char *text)
{
	struct auth_account *account = &accounts->list[accounts->count - 1];
	int err = 0;

	if (account->hash != NULL && text == NULL)
		return 0;
	account->scram = calloc(1, sizeof(*account->scram));
	if (account->scram == NULL)
		return -ENOMEM;
	if (text != NULL)
		err = read_verifier(account, text);
	else if (!keep_verifier(source, account))
		err = make_verifier(source, account, password);
	if (err == 0)
		accounts->scram_iterations = account->scram->iterations;
	return err;
}

/* ---- what `access` says ---------------------------------------------------
 */

static int
replace_rules(struct access_rules *rules, const char *user,
    const struct conf_access *access)
{
	access_rules_fini(rules);
	return access_rules_init(
	    rules, user, &access->publish, &access->subscribe);
}

/* The list is not sorted yet. */
static struct auth_account *
account_named(struct auth_accounts *accounts, const char *name)
{
	for (size_t i = 0; i < accounts->count; i++)
		if (!accounts->list[i].is_key &&
		    strcmp(accounts->list[i].name, name) == 0)
			return &accounts->list[i];
	return NULL;
}

static int
apply_one(struct auth_accounts *accounts, const struct conf_access *access)
{
	struct auth_account *account;

	if (access->account[0] == '\0')
		return replace_rules(&accounts->anonymous, "", access);
	account = account_named(accounts, access->account);
	if (account != NULL)
		return replace_rules(&account->rules, account->name, access);
	log_warning("access_unused",
	    "account=%s line=%u help=\"there is no such account\"",
	    log_quote(access->account), access->line);
	return 0;
}

int
auth_rules_apply(struct auth_accounts *accounts, const struct conf *conf)
{
	static char all[] = "#";
	char *filters[] = { all };
	const struct conf_strings everything = { filters, 1 };
	int err;

	err = access_rules_init(
	    &accounts->anonymous, "", &everything, &everything);
	for (size_t i = 0; i < conf->access_count && err == 0; i++)
		err = apply_one(accounts, &conf->access[i]);
	accounts->limits_subscriptions =
	    access_rules_limit_subscriptions(&accounts->anonymous);
	for (size_t i = 0; i < accounts->count; i++)
		accounts->limits_subscriptions |= !accounts->list[i].is_key &&
		    access_rules_limit_subscriptions(&accounts->list[i].rules);
	return err;
}
