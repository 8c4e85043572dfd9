/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/auth.h"
#include "broker/auth_key.h"
#include "common/base/log.h"
#include "common/conf/conf.h"

#define INITIAL_NAME "admin"
#define INITIAL_RANDOM_BYTES 15 /* 20 characters in base64 */
#define INITIAL_PASSWORD_SIZE                                                  \
	sodium_base64_ENCODED_LEN(                                             \
	    INITIAL_RANDOM_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

static int
by_name(const void *a, const void *b)
{
	const struct auth_account *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int
by_identity(const void *a, const void *b)
{
	uint64_t left = (*(struct auth_account *const *)a)->identity;
	uint64_t right = (*(struct auth_account *const *)b)->identity;

	return (left > right) - (left < right);
}

void
auth_accounts_digest(const struct auth_accounts *accounts, struct slice user,
    struct slice password, uint8_t out_digest[AUTH_DIGEST_BYTES])
{
	crypto_generichash_state state;
	uint64_t length = user.len;

	/* The length keeps "ab" + "c" and "a" + "bc" apart. */
	crypto_generichash_init(
	    &state, accounts->key, sizeof(accounts->key), AUTH_DIGEST_BYTES);
	crypto_generichash_update(
	    &state, (const uint8_t *)&length, sizeof(length));
	crypto_generichash_update(&state, user.data, user.len);
	crypto_generichash_update(&state, password.data, password.len);
	crypto_generichash_final(&state, out_digest, AUTH_DIGEST_BYTES);
	sodium_memzero(&state, sizeof(state));
}

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

/* `accounts->list` has room for one more. */
static int
add(struct auth_accounts *accounts, const char *name, const char *password,
    const char *hash)
{
	struct auth_account *account = &accounts->list[accounts->count];

	if (hash != NULL && !hash_is_allowed(name, hash))
		return -EINVAL;
	account->name = strdup(name);
	if (account->name == NULL)
		return -ENOMEM;
	accounts->count++;
	account->rights = AUTH_ALL_RIGHTS;
	if (hash == NULL) {
		auth_accounts_digest(accounts, slice_of_string(name),
		    slice_of_string(password), account->digest);
		return 0;
	}
	account->hash = strdup(hash);
	if (account->hash == NULL)
		return -ENOMEM;
	accounts->any_hash = account->hash;
	return 0;
}

static int
add_all(struct auth_accounts *accounts, const struct conf_account *from,
    size_t count)
{
	struct auth_account *list;
	int err = 0;

	list = realloc(
	    accounts->list, (accounts->count + count + 1) * sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	memset(list + accounts->count, 0, (count + 1) * sizeof(*list));
	accounts->list = list;
	for (size_t i = 0; i < count && err == 0; i++)
		err =
		    add(accounts, from[i].name, from[i].password, from[i].hash);
	return err;
}

static int
add_file(struct auth_accounts *accounts, const char *path)
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
	err = add_all(accounts, from, count);
	conf_free_accounts(from, count);
	return err;
}

/* ---- the initial account --------------------------------------------- */

static int
write_whole(int fd, const char *text, size_t length)
{
	ssize_t n;

	n = write(fd, text, length);
	if (n == -1)
		return -errno;
	if ((size_t)n != length)
		return -ENOSPC;
	return fsync(fd) == -1 ? -errno : 0;
}

/* Make the file with a random password; *out_line is "name:password". */
static int
create_initial(const char *path, char **out_line)
{
	char password[INITIAL_PASSWORD_SIZE];
	uint8_t random[INITIAL_RANDOM_BYTES];
	char *line;
	int err, fd;

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(password, sizeof(password), random, sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	if (asprintf(&line, INITIAL_NAME ":%s\n", password) == -1)
		return -ENOMEM;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1) {
		err = -errno;
		free(line);
		return err;
	}
	err = write_whole(fd, line, strlen(line));
	close(fd);
	if (err != 0) {
		unlink(path);
		free(line);
		return err;
	}
	line[strlen(line) - 1] = '\0';
	*out_line = line;
	log_info("initial_account_created",
	    "account=" INITIAL_NAME " path=%s hint=\"there were no accounts; "
	    "the file holds name:password\"",
	    log_quote(path));
	return 0;
}

static int
initial_line(const char *path, char **out_line)
{
	int err;

	err = create_initial(path, out_line);
	if (err != -EEXIST)
		return err;
	return conf_read_secret(path, out_line);
}

static int
add_initial(struct auth_accounts *accounts, const char *state_dir)
{
	struct conf_account account = { 0 };
	char *path, *line = NULL;
	int err;

	if (asprintf(&path, "%s/" AUTH_INITIAL_FILE, state_dir) == -1)
		return -ENOMEM;
	if (mkdir(state_dir, 0750) == -1 && errno != EEXIST)
		err = -errno;
	else
		err = initial_line(path, &line);
	if (err == 0) {
		account.name = line;
		account.password = strchr(line, ':');
		if (account.password == NULL)
			err = -EBADMSG;
	}
	if (err == 0) {
		*account.password++ = '\0';
		err = add_all(accounts, &account, 1);
	}
	if (err != 0)
		log_error("initial_account_failed",
		    "path=%s error=%s hint=\"make state_dir writable, or set "
		    "accounts or accounts_file\"",
		    log_quote(path), log_quote(strerror(-err)));
	if (line != NULL)
		sodium_memzero(line, strlen(line));
	free(line);
	free(path);
	return err;
}

/* ---- all of them ------------------------------------------------------- */

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

/* Of the name and what stands for the password: a change makes it void. */
static uint64_t
identity_of(
    const struct auth_accounts *accounts, const struct auth_account *account)
{
	uint8_t digest[AUTH_DIGEST_BYTES];
	uint64_t identity;

	auth_accounts_digest(accounts, slice_of_string(account->name),
	    account->hash != NULL
		? slice_of_string(account->hash)
		: slice_of(account->digest, sizeof(account->digest)),
	    digest);
	memcpy(&identity, digest, sizeof(identity));
	return identity;
}

static int
refuse_identity(const struct auth_account *account)
{
	log_error("account_refused",
	    "account=%s reason=\"its identity handle is another's\" "
	    "hint=\"remove %s in state_dir and start again\"",
	    log_quote(account->name), AUTH_KEY_FILE);
	return -EAGAIN;
}

static int
give_identities(struct auth_accounts *accounts)
{
	struct auth_account **index;
	size_t count = accounts->count;

	index = calloc(count + 1, sizeof(struct auth_account *));
	if (index == NULL)
		return -ENOMEM;
	accounts->by_identity = index;
	for (size_t i = 0; i < count; i++) {
		index[i] = &accounts->list[i];
		index[i]->identity = identity_of(accounts, index[i]);
	}
	qsort(index, count, sizeof(struct auth_account *), by_identity);
	/* Of 64 bits: once in 2^64 keys. */
	for (size_t i = 0; i < count; i++) {
		if (index[i]->identity <= AUTH_ANONYMOUS ||
		    (i > 0 && index[i - 1]->identity == index[i]->identity))
			return refuse_identity(index[i]);
	}
	return 0;
}

int
auth_accounts_load(struct auth_accounts *accounts, const struct conf *conf)
{
	int err;

	memset(accounts, 0, sizeof(*accounts));
	/* Without httpd nothing that names an identity outlives the broker. */
	if (conf->http.enabled)
		(void)auth_key_load(conf->state_dir, accounts->key);
	else
		randombytes_buf(accounts->key, sizeof(accounts->key));

	err = add_all(accounts, conf->accounts, conf->account_count);
	if (err == 0 && conf->accounts_file != NULL)
		err = add_file(accounts, conf->accounts_file);
	if (err == 0 && accounts->count == 0 && conf->http.enabled)
		err = add_initial(accounts, conf->state_dir);
	if (err == 0) {
		qsort(accounts->list, accounts->count,
		    sizeof(accounts->list[0]), by_name);
		err = refuse_doubles(accounts);
	}
	if (err == 0)
		err = give_identities(accounts);
	if (err != 0)
		auth_accounts_fini(accounts);
	return err;
}

void
auth_accounts_fini(struct auth_accounts *accounts)
{
	for (size_t i = 0; i < accounts->count; i++) {
		free(accounts->list[i].name);
		free(accounts->list[i].hash);
	}
	free(accounts->list);
	free(accounts->by_identity);
	sodium_memzero(accounts, sizeof(*accounts));
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

const struct auth_account *
auth_accounts_of(const struct auth_accounts *accounts, uint64_t identity)
{
	size_t low = 0, high = accounts->count, middle;
	const struct auth_account *account;

	while (low < high) {
		middle = low + (high - low) / 2;
		account = accounts->by_identity[middle];
		if (account->identity == identity)
			return account;
		if (identity < account->identity)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
