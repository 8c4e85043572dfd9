/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_accounts.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/auth.h"
#include "broker/auth_initial.h"
#include "broker/auth_rules.h"
#include "common/base/log.h"
#include "common/conf/conf.h"

_Static_assert((int)AUTH_PUBLISH == (int)CONF_SCOPE_PUBLISH, "publish");
_Static_assert((int)AUTH_READ == (int)CONF_SCOPE_READ, "read");
_Static_assert((int)AUTH_MANAGE == (int)CONF_SCOPE_MANAGE, "manage");

/* One auth_accounts_load(). */
struct load {
	const struct auth_source *source;
	struct auth_accounts *accounts;
	size_t room;
};

/* An account or key before it is added; exactly one of the secrets. */
struct entry {
	const char *name;
	const char *password;
	const char *hash;
	const char *scram; /* beside a hash, or NULL */
	const struct conf_strings *publish;
	const struct conf_strings *subscribe;
	uint8_t scopes;
	bool is_key;
};

static const struct conf_strings nothing;

static int
by_name(const void *a, const void *b)
{
	const struct auth_account *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int
by_identity(const void *a, const void *b)
{
	uint64_t left = ((const struct auth_handle *)a)->identity;
	uint64_t right = ((const struct auth_handle *)b)->identity;

	return (left > right) - (left < right);
}

void
auth_accounts_digest(const uint8_t key[AUTH_KEY_BYTES], struct slice user,
    struct slice password, uint8_t out_digest[AUTH_DIGEST_BYTES])
{
	crypto_generichash_state state;
	uint64_t length = user.len;

	/* The length keeps "ab" + "c" and "a" + "bc" apart. */
	crypto_generichash_init(&state, key, AUTH_KEY_BYTES, AUTH_DIGEST_BYTES);
	crypto_generichash_update(
	    &state, (const uint8_t *)&length, sizeof(length));
	crypto_generichash_update(&state, user.data, user.len);
	crypto_generichash_update(&state, password.data, password.len);
	crypto_generichash_final(&state, out_digest, AUTH_DIGEST_BYTES);
	sodium_memzero(&state, sizeof(state));
}

void
auth_accounts_salt(const uint8_t key[AUTH_KEY_BYTES], struct slice user,
    uint8_t out_salt[SCRAM_SALT_BYTES])
{
	uint8_t digest[AUTH_DIGEST_BYTES];

	auth_accounts_digest(key, user, slice_of_string("SCRAM salt"), digest);
	memcpy(out_salt, digest, SCRAM_SALT_BYTES);
}

/* ---- one account --------------------------------------------------------- */

/* Memory of "$argon2id$v=19$m=65536,t=2,p=1$..." in KiB; 0: not argon2id. */
static unsigned long
hash_memory_kib(const char *hash)
{
	unsigned long kib;

	if (sscanf(hash, "$argon2id$v=19$m=%lu,", &kib) != 1)
		return 0;
	return kib;
}

static bool
has_no_password(const char *hash)
{
	return strcmp(hash, CONF_NO_PASSWORD) == 0;
}

static bool
hash_is_allowed(const char *name, const char *hash)
{
	unsigned long kib = hash_memory_kib(hash);

	if (kib != 0 && kib <= AUTH_MEMORY_MAX_KIB &&
	    strlen(hash) < crypto_pwhash_STRBYTES)
		return true;
	log_error("account_refused",
	    "account=%s reason=\"the hash must be argon2id with m of at most "
	    "%u (KiB)\"",
	    log_quote(name), AUTH_MEMORY_MAX_KIB);
	return false;
}

static int
make_room(struct load *load)
{
	struct auth_accounts *accounts = load->accounts;
	struct auth_account *more;

	if (accounts->count < load->room)
		return 0;
	load->room = load->room * 2 + 16;
	more = reallocarray(accounts->list, load->room, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	accounts->list = more;
	return 0;
}

/* Even half built it is one of the list: auth_accounts_free() sees to it. */
static int
add(struct load *load, const struct entry *entry)
{
	struct auth_account *account;

	if (entry->hash != NULL && !has_no_password(entry->hash) &&
	    !hash_is_allowed(entry->name, entry->hash))
		return -EINVAL;
	if (make_room(load) != 0)
		return -ENOMEM;
	account = &load->accounts->list[load->accounts->count++];
	*account = (struct auth_account){
		.name = auth_names_keep(load->source->names, entry->name),
		.rights = entry->scopes,
		.is_key = entry->is_key,
	};
	if (account->name == NULL ||
	    access_rules_init(&account->rules, account->name, entry->publish,
		entry->subscribe) != 0)
		return -ENOMEM;
	if (entry->hash == NULL) {
		auth_accounts_digest(load->source->key,
		    slice_of_string(entry->name),
		    slice_of_string(entry->password), account->digest);
		return 0;
	}
	account->hash = strdup(entry->hash);
	if (account->hash == NULL)
		return -ENOMEM;
	if (!has_no_password(account->hash))
		load->accounts->any_hash = account->hash;
	return 0;
}

/* ---- where they come from ------------------------------------------------ */

static int
add_accounts(struct load *load, const struct conf_account *from, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++) {
		const struct entry entry = {
			.name = from[i].name,
			.password = from[i].password,
			.hash = from[i].hash,
			.scram = from[i].scram,
			.publish = &from[i].publish,
			.subscribe = &from[i].subscribe,
			.scopes = from[i].scopes,
		};

		err = add(load, &entry);
		if (err == 0)
			err = auth_verifier_add(load->source, load->accounts,
			    entry.password, entry.scram);
	}
	return err;
}

static int
add_file(struct load *load, const char *path)
{
	struct conf_account *from;
	size_t count;
	int err;

	err = conf_read_accounts(path, &from, &count, stderr);
	if (err != 0) {
		log_error("accounts_file_failed", "path=%s error=%s",
		    log_quote(path), log_quote(strerror(-err)));
		return err;
	}
	err = add_accounts(load, from, count);
	conf_free_accounts(from, count);
	return err;
}

static int
add_initial(struct load *load)
{
	static char all[] = "#";
	char *filters[] = { all }, *line;
	struct conf_account account = {
		.scopes = CONF_SCOPES_ALL,
		.publish = { .list = filters, .count = 1 },
		.subscribe = { .list = filters, .count = 1 },
	};
	int err;

	err = auth_initial_line(load->source->conf->state_dir, &line);
	if (err != 0)
		return err;
	account.name = line;
	account.password = strchr(line, ':');
	*account.password++ = '\0';
	err = add_accounts(load, &account, 1);
	account.password[-1] = ':'; /* for the wiping */
	auth_initial_wipe(line);
	return err;
}

static int
refuse_key(const struct conf_key_account *key, const char *reason)
{
	log_error("account_refused", "account=%s line=%u reason=%s",
	    log_quote(key->name), key->line, log_quote(reason));
	return -EINVAL;
}

static int
add_key(struct load *load, const struct conf_key_account *key)
{
	struct entry entry = { .name = key->name,
		.password = key->secret,
		.publish = &key->publish,
		.subscribe = &nothing,
		.scopes = key->scopes,
		.is_key = true };
	char *secret = NULL;
	int err = 0;

	if (key->secret_file != NULL) {
		err = conf_read_secret(key->secret_file, &secret);
		if (err != 0)
			return refuse_key(key,
			    err == -EPERM
				? "others may read secret_file; chmod 0640 it"
				: strerror(-err));
		entry.password = secret;
	}
	if (strlen(entry.password) < CONF_MIN_SECRET)
		err = refuse_key(key, "the secret is shorter than 16 bytes");
	else
		err = add(load, &entry);
	auth_initial_wipe(secret);
	return err;
}

static int
add_keys(struct load *load)
{
	const struct conf_http *http = &load->source->conf->http;
	int err = 0;

	for (size_t i = 0; i < http->key_count && err == 0; i++)
		err = add_key(load, &http->keys[i]);
	return err;
}

/* Accounts first: a key does not spare the initial one. */
static int
add_all(struct load *load)
{
	const struct conf *conf = load->source->conf;
	int err;

	err = add_accounts(load, conf->accounts, conf->account_count);
	if (err == 0 && conf->accounts_file != NULL)
		err = add_file(load, conf->accounts_file);
	if (err == 0 && load->accounts->count == 0 && conf->http.enabled)
		err = add_initial(load);
	load->accounts->has_accounts = load->accounts->count != 0;
	if (err == 0 && conf->http.enabled)
		err = add_keys(load);
	return err;
}

static int
refuse_doubles(const struct auth_accounts *accounts)
{
	for (size_t i = 1; i < accounts->count; i++) {
		if (strcmp(accounts->list[i - 1].name,
			accounts->list[i].name) != 0)
			continue;
		log_error("account_refused",
		    "account=%s reason=\"the name is given twice\"",
		    log_quote(accounts->list[i].name));
		return -EINVAL;
	}
	return 0;
}

/* ---- handles ------------------------------------------------------------- */

static uint64_t
identity_of(const uint8_t key[AUTH_KEY_BYTES], const char *name,
    struct slice secret, uint8_t out_digest[AUTH_DIGEST_BYTES])
{
	uint64_t identity;

	auth_accounts_digest(key, slice_of_string(name), secret, out_digest);
	memcpy(&identity, out_digest, sizeof(identity));
	return identity;
}

/*
 * Of the name and what stands for the password: a change makes it void.  One
 * for less than all rights is made of that and the rights.
 */
uint64_t
auth_accounts_narrowed(const uint8_t key[AUTH_KEY_BYTES],
    const struct auth_account *account, unsigned rights)
{
	uint8_t digest[AUTH_DIGEST_BYTES + 1], narrowed[AUTH_DIGEST_BYTES];
	uint64_t identity;

	identity = identity_of(key, account->name,
	    account->hash != NULL
		? slice_of_string(account->hash)
		: slice_of(account->digest, sizeof(account->digest)),
	    digest);
	if (rights == AUTH_ALL_RIGHTS)
		return identity;
	digest[AUTH_DIGEST_BYTES] = (uint8_t)rights;
	return identity_of(
	    key, account->name, slice_of(digest, sizeof(digest)), narrowed);
}

/* Of 64 bits: once in 2^64 keys. */
static int
refuse_identity(const struct auth_handle *handle)
{
	log_error("account_refused",
	    "account=%s reason=\"its identity handle is another's\" "
	    "hint=\"remove %s in state_dir and start again\"",
	    log_quote(handle->name), AUTH_KEY_FILE);
	return -EAGAIN;
}

static int
refuse_equal_handles(const struct auth_accounts *accounts)
{
	const struct auth_handle *handle;

	for (size_t i = 0; i < accounts->handle_count; i++) {
		handle = &accounts->handles[i];
		if (handle->identity <= AUTH_ANONYMOUS ||
		    (i > 0 && handle[-1].identity == handle->identity))
			return refuse_identity(handle);
	}
	return 0;
}

static void
sort_handles(struct auth_accounts *accounts)
{
	qsort(accounts->handles, accounts->handle_count,
	    sizeof(accounts->handles[0]), by_identity);
}

/* What was a handle before and is none any more still has a name. */
static void
keep_void_handles(
    struct auth_accounts *accounts, const struct auth_accounts *before)
{
	size_t count = accounts->handle_count;
	const struct auth_handle *was;

	for (size_t i = 0; before != NULL && i < before->handle_count; i++) {
		was = &before->handles[i];
		if (auth_accounts_of(accounts, was->identity) == NULL)
			accounts->handles[count++] = (struct auth_handle){
				.identity = was->identity,
				.name = was->name,
			};
	}
	accounts->handle_count = count;
	sort_handles(accounts);
}

/* Only a token asks for less than all rights, and only for an account's. */
static void
add_handles(struct load *load, struct auth_account *account)
{
	struct auth_accounts *accounts = load->accounts;
	bool is_narrowed =
	    !account->is_key && auth_jwt_count(accounts->jwt) != 0;
	unsigned least = is_narrowed ? 0 : AUTH_ALL_RIGHTS;

	for (unsigned rights = least; rights <= AUTH_ALL_RIGHTS; rights++)
		accounts->handles[accounts->handle_count++] =
		    (struct auth_handle){
			    .identity = auth_accounts_narrowed(
				load->source->key, account, rights),
			    .name = account->name,
			    .account = account,
			    .rights = (uint8_t)rights,
		    };
	account->identity =
	    accounts->handles[accounts->handle_count - 1].identity;
}

static int
give_handles(struct load *load)
{
	struct auth_accounts *accounts = load->accounts;
	const struct auth_accounts *before = load->source->before;
	size_t most = accounts->count * (AUTH_ALL_RIGHTS + 1);
	int err;

	if (before != NULL)
		most += before->handle_count;
	accounts->handles = calloc(most + 1, sizeof(struct auth_handle));
	if (accounts->handles == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < accounts->count; i++)
		add_handles(load, &accounts->list[i]);
	sort_handles(accounts);
	err = refuse_equal_handles(accounts);
	if (err == 0)
		keep_void_handles(accounts, before);
	return err;
}

/* ---- all of them --------------------------------------------------------- */

int
auth_accounts_load(
    const struct auth_source *source, struct auth_accounts **out_accounts)
{
	struct load load = { .source = source };
	struct auth_accounts *accounts;
	int err;

	accounts = calloc(1, sizeof(*accounts));
	if (accounts == NULL)
		return -ENOMEM;
	load.accounts = accounts;
	accounts->scram_iterations = SCRAM_ITERATIONS;
	err = auth_jwt_load(source->conf->http.jwt,
	    source->conf->http.jwt_count, &accounts->jwt);
	if (err == 0)
		err = add_all(&load);
	if (err == 0)
		err = auth_rules_apply(accounts, source->conf);
	if (err == 0) {
		if (accounts->count != 0)
			qsort(accounts->list, accounts->count,
			    sizeof(accounts->list[0]), by_name);
		err = refuse_doubles(accounts);
	}
	if (err == 0)
		err = give_handles(&load);
	if (err == 0)
		*out_accounts = accounts;
	else
		auth_accounts_free(accounts);
	return err;
}

static void
clear_account(struct auth_account *account)
{
	free(account->hash);
	if (account->scram != NULL)
		sodium_memzero(account->scram, sizeof(*account->scram));
	free(account->scram);
	access_rules_fini(&account->rules);
	sodium_memzero(account, sizeof(*account));
}

void
auth_accounts_free(struct auth_accounts *accounts)
{
	if (accounts == NULL)
		return;
	for (size_t i = 0; i < accounts->count; i++)
		clear_account(&accounts->list[i]);
	access_rules_fini(&accounts->anonymous);
	free(accounts->list);
	free(accounts->handles);
	auth_jwt_free(accounts->jwt);
	free(accounts);
}

static int
compare_name(struct slice user, const char *name)
{
	size_t length = strlen(name);
	int order;

	order = memcmp(user.data, name, user.len < length ? user.len : length);
	if (order != 0)
		return order;
	return (user.len > length) - (user.len < length);
}

const struct auth_account *
auth_accounts_find(const struct auth_accounts *accounts, struct slice user)
{
	size_t low = 0, high = accounts->count, middle;
	int order;

	if (user.len == 0)
		return NULL;
	while (low < high) {
		middle = low + (high - low) / 2;
		order = compare_name(user, accounts->list[middle].name);
		if (order == 0)
			return &accounts->list[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct auth_handle *
auth_accounts_of(const struct auth_accounts *accounts, uint64_t identity)
{
	size_t low = 0, high = accounts->handle_count, middle;
	const struct auth_handle *handle;

	while (low < high) {
		middle = low + (high - low) / 2;
		handle = &accounts->handles[middle];
		if (handle->identity == identity)
			return handle;
		if (identity < handle->identity)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
