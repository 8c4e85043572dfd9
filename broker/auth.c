/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "broker/auth_private.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/conf/conf.h"

/* ---- credentials verified before --------------------------------------- */

static struct verified *
verified_place(struct auth *auth, const uint8_t *digest)
{
	uint32_t place;

	memcpy(&place, digest, sizeof(place));
	return &auth->verified[place % VERIFIED_MAX];
}

/* 0: not known, or not good any more. */
static uint64_t
recall(struct auth *auth, const uint8_t *digest)
{
	struct verified *entry = verified_place(auth, digest);
	uint64_t identity = 0;

	pthread_mutex_lock(&auth->lock);
	if (entry->identity != 0 &&
	    sodium_memcmp(entry->digest, digest, AUTH_DIGEST_BYTES) == 0)
		identity = entry->identity;
	pthread_mutex_unlock(&auth->lock);
	return auth_identity_is_valid(auth, identity) ? identity : 0;
}

static void
remember(struct auth *auth, const uint8_t *digest, uint64_t identity)
{
	struct verified *entry = verified_place(auth, digest);

	pthread_mutex_lock(&auth->lock);
	memcpy(entry->digest, digest, AUTH_DIGEST_BYTES);
	entry->identity = identity;
	pthread_mutex_unlock(&auth->lock);
}

/* ---- answers ------------------------------------------------------------ */

/* `identity` 0: it was wrong. */
static void
answer(struct auth_request *request, uint64_t identity)
{
	request->reason =
	    identity == 0 ? MQTT_BAD_USER_NAME_OR_PASSWORD : MQTT_SUCCESS;
	request->identity = identity;
}

static void
wipe(struct auth_request *request)
{
	if (request->password == NULL)
		return;
	sodium_memzero(request->password, request->password_length);
	free(request->password);
	request->password = NULL;
	request->password_length = 0;
}

void
auth_request_fini(struct auth_request *request)
{
	wipe(request);
	free(request->user);
	request->user = NULL;
}

/* ---- the hashing thread ---------------------------------------------- */

/*
 * Copy the hash of the name, or somebody else's where it has none, so that
 * the time tells nothing.  Returns the identity it stands for; 0: of nobody.
 */
static uint64_t
copy_hash(struct auth *auth, const struct auth_request *request,
    char out_hash[crypto_pwhash_STRBYTES])
{
	const struct auth_accounts *accounts;
	const struct auth_account *account;
	uint64_t identity = 0;

	out_hash[0] = '\0';
	rcu_enter();
	accounts = auth_accounts_now(auth);
	account = auth_accounts_find(accounts, slice_of_string(request->user));
	if (account != NULL && account->hash != NULL &&
	    strcmp(account->hash, CONF_NO_PASSWORD) != 0) {
		identity = account->identity;
		memcpy(out_hash, account->hash, strlen(account->hash) + 1);
	} else if (accounts->any_hash != NULL) {
		memcpy(out_hash, accounts->any_hash,
		    strlen(accounts->any_hash) + 1);
	}
	rcu_leave();
	return identity;
}

/* The account that a token stands for; NULL: none. */
static const struct auth_account *
account_of_token(
    const struct auth_accounts *accounts, const struct auth_token *token)
{
	const struct auth_account *account;

	account = auth_accounts_find(accounts, slice_of_string(token->account));
	if (account == NULL || account->is_key)
		account = auth_accounts_find(
		    accounts, slice_of_string(token->fallback));
	return account == NULL || account->is_key ? NULL : account;
}

static void
check_token(struct auth *auth, struct auth_request *request)
{
	const struct auth_accounts *accounts;
	const struct auth_account *account = NULL;
	struct auth_token token = { .rights = 0 };

	rcu_enter();
	accounts = auth_accounts_now(auth);
	request->detail = auth_jwt_verify(accounts->jwt,
	    slice_of(request->password, request->password_length),
	    clock_wall_ns(), &token);
	if (request->detail == RECORD_DETAIL_NONE) {
		account = account_of_token(accounts, &token);
		if (account == NULL)
			request->detail = RECORD_TOKEN_ACCOUNT;
	}
	answer(request,
	    account == NULL
		? 0
		: auth_accounts_narrowed(auth->key, account, token.rights));
	request->ends_ns = token.ends_ns;
	rcu_leave();
	wipe(request);
}

/* The outcome for a name without a hash is always "wrong". */
static void
check_slowly(struct auth *auth, struct auth_request *request)
{
	char hash[crypto_pwhash_STRBYTES];
	uint8_t digest[AUTH_DIGEST_BYTES];
	uint64_t identity;
	bool is_right;

	identity = copy_hash(auth, request, hash);
	is_right = crypto_pwhash_str_verify(
		       hash, request->password, request->password_length) == 0;
	if (is_right && auth_identity_is_valid(auth, identity)) {
		auth_accounts_digest(auth->key, slice_of_string(request->user),
		    slice_of(request->password, request->password_length),
		    digest);
		remember(auth, digest, identity);
		answer(request, identity);
	} else {
		answer(request, 0);
	}
	wipe(request);
}

/* NULL when the broker ends. */
static struct auth_request *
next_request(struct auth *auth)
{
	struct auth_request *request = NULL;

	pthread_mutex_lock(&auth->lock);
	while (auth->waiting == 0 && !auth->is_ending)
		pthread_cond_wait(&auth->not_empty, &auth->lock);
	if (!auth->is_ending) {
		request = auth->queue[auth->first];
		auth->first = (auth->first + 1) % QUEUE_MAX;
		auth->waiting--;
	}
	pthread_mutex_unlock(&auth->lock);
	return request;
}

static void *
run(void *arg)
{
	struct auth *auth = arg;
	struct auth_request *request;
	struct mailbox *reply;

	rcu_thread_start();
	while ((request = next_request(auth)) != NULL) {
		if (request->kind == AUTH_OF_TOKEN)
			check_token(auth, request);
		else
			check_slowly(auth, request);
		reply = request->reply; /* the request is theirs once put */
		mailbox_put(reply, &request->mail);
		mailbox_wake(reply);
	}
	rcu_thread_end();
	return NULL;
}

static int
start_thread(struct auth *auth)
{
	int err;

	err = thread_start(&auth->thread, run, auth);
	if (err != 0)
		return err;
	auth->has_thread = true;
	pthread_setname_np(auth->thread, "auth");
	return 0;
}

/* ---- public ----------------------------------------------------------- */

/* The broker ends: answer what nobody will check. */
static void
give_up(struct auth_request *request)
{
	wipe(request);
	request->reason = MQTT_SERVER_UNAVAILABLE;
	request->identity = 0;
	mailbox_put(request->reply, &request->mail);
}

/* ---- the accounts, and others in their place ------------------------------
 */

static void
on_unread(struct rcu_head *head)
{
	rcu_called(head);
	auth_accounts_free(CONTAINER_OF(head, struct auth_accounts, rcu));
}

/* What the only writer has stored. */
static struct auth_accounts *
current(const struct auth *auth)
{
	/* relaxed: this thread stored it */
	return atomic_load_explicit(&auth->accounts, memory_order_relaxed);
}

static int
load(struct auth *auth, const struct conf *conf,
    struct auth_accounts **out_accounts)
{
	const struct auth_source source = {
		.conf = conf,
		.key = auth->key,
		.names = &auth->names,
		.before = current(auth),
	};

	return auth_accounts_load(&source, out_accounts);
}

static void
replace(struct auth *auth, struct auth_accounts *accounts)
{
	struct auth_accounts *before = current(auth);

	/* release: pairs with the load in accounts_of() */
	atomic_store_explicit(&auth->accounts, accounts, memory_order_release);
	if (before != NULL)
		rcu_call(&before->rcu, on_unread);
}

static int
start(struct auth *auth, const struct conf *conf)
{
	struct auth_accounts *accounts;
	int err;

	/*
	 * Else nothing that names an identity outlives the broker, and no salt
	 * does that those of names that there are not must be like.
	 */
	if (conf->http.enabled || conf->accounts_file != NULL)
		(void)auth_key_load(conf->state_dir, auth->key);
	else
		randombytes_buf(auth->key, sizeof(auth->key));
	err = load(auth, conf, &accounts);
	if (err != 0)
		return err;
	replace(auth, accounts);
	return start_thread(auth);
}

struct auth *
auth_new(const struct conf *conf)
{
	struct auth *auth;
	int err;

	if (sodium_init() < 0) {
		log_error("auth_failed", "reason=\"libsodium does not start\"");
		errno = EIO;
		return NULL;
	}
	auth = calloc(1, sizeof(*auth));
	if (auth == NULL)
		return NULL;
	pthread_mutex_init(&auth->lock, NULL);
	pthread_cond_init(&auth->not_empty, NULL);
	err = start(auth, conf);
	if (err != 0) {
		auth_free(auth);
		errno = -err;
		return NULL;
	}
	return auth;
}

int
auth_reload(struct auth *auth, const struct conf *conf)
{
	struct auth_accounts *accounts;
	int err;

	err = load(auth, conf, &accounts);
	if (err != 0)
		return err;
	replace(auth, accounts);
	return 0;
}

void
auth_stop(struct auth *auth)
{
	if (auth == NULL)
		return;
	if (auth->has_thread) {
		pthread_mutex_lock(&auth->lock);
		auth->is_ending = true;
		pthread_cond_signal(&auth->not_empty);
		pthread_mutex_unlock(&auth->lock);
		pthread_join(auth->thread, NULL);
		auth->has_thread = false;
	}
	for (; auth->waiting > 0; auth->waiting--) {
		give_up(auth->queue[auth->first]);
		auth->first = (auth->first + 1) % QUEUE_MAX;
	}
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	auth_stop(auth);
	auth_accounts_free(current(auth));
	auth_names_fini(&auth->names);
	pthread_cond_destroy(&auth->not_empty);
	pthread_mutex_destroy(&auth->lock);
	sodium_memzero(auth->verified, sizeof(auth->verified));
	sodium_memzero(auth->key, sizeof(auth->key));
	free(auth);
}

/* Returns false if the queue is full, or nobody empties it any more. */
static bool
enqueue(struct auth *auth, struct auth_request *request)
{
	bool has_room;

	pthread_mutex_lock(&auth->lock);
	has_room = !auth->is_ending && auth->waiting < QUEUE_MAX;
	if (has_room) {
		auth->queue[(auth->first + auth->waiting) % QUEUE_MAX] =
		    request;
		auth->waiting++;
		pthread_cond_signal(&auth->not_empty);
	}
	pthread_mutex_unlock(&auth->lock);
	return has_room;
}

static int
copy_credentials(
    struct auth_request *request, struct slice user, struct slice password)
{
	/* A name with a NUL is nobody's, also not that of its beginning. */
	if (slice_find(user, 0) != user.len)
		user = slice_of(NULL, 0);
	request->user = slice_to_string(user);
	request->password = malloc(password.len + 1);
	if (request->user == NULL || request->password == NULL)
		return -ENOMEM;
	if (password.len != 0)
		memcpy(request->password, password.data, password.len);
	request->password_length = password.len;
	return 0;
}

/*
 * What can be told at once: the identity, or 0.  *out_slow: it cannot, and
 * takes the hashing thread; without any hash all failures are equally fast.
 */
static uint64_t
compare(struct auth *auth, struct slice user,
    const uint8_t digest[AUTH_DIGEST_BYTES], enum auth_kind kind,
    bool *out_slow)
{
	const struct auth_accounts *accounts;
	const struct auth_account *account;
	uint64_t identity = 0;

	rcu_enter();
	accounts = auth_accounts_now(auth);
	account = auth_accounts_find(accounts, user);
	if (account != NULL && account->hash == NULL &&
	    sodium_memcmp(account->digest, digest, AUTH_DIGEST_BYTES) == 0 &&
	    (!account->is_key || kind == AUTH_OF_HTTP))
		identity = account->identity;
	*out_slow = identity == 0 && accounts->any_hash != NULL;
	rcu_leave();
	return identity;
}

bool
auth_check(struct auth *auth, struct slice user, struct slice password,
    struct auth_request *request)
{
	uint8_t digest[AUTH_DIGEST_BYTES];
	bool is_slow = request->kind == AUTH_OF_TOKEN;
	uint64_t identity = 0;

	request->user = NULL;
	request->password = NULL;
	request->password_length = 0;
	request->detail = RECORD_DETAIL_NONE;
	request->ends_ns = 0;

	if (!is_slow) {
		auth_accounts_digest(auth->key, user, password, digest);
		identity = recall(auth, digest);
	}
	if (!is_slow && identity == 0)
		identity = compare(auth, user, digest, request->kind, &is_slow);
	answer(request, identity);
	if (!is_slow)
		return true;
	if (copy_credentials(request, user, password) == 0 &&
	    enqueue(auth, request))
		return false;
	wipe(request);
	request->reason = MQTT_SERVER_BUSY;
	return true;
}
