/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "broker/auth_accounts.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/msg/topic.h"

#define QUEUE_MAX 256u     /* checks that wait */
#define VERIFIED_MAX 1024u /* credentials remembered; a power of two */

/* Credentials that were right once. */
struct verified {
	uint8_t digest[AUTH_DIGEST_BYTES];
	const struct auth_account *account; /* NULL: the entry is free */
};

struct auth {
	struct auth_accounts accounts; /* [const] */

	/* Connecting is not the message path: a mutex will do. */
	pthread_mutex_t lock;
	pthread_cond_t not_empty;
	pthread_t thread;
	bool has_thread;
	bool is_ending;                         /* [lock] */
	struct auth_request *queue[QUEUE_MAX];  /* [lock] a circle */
	unsigned first, waiting;                /* [lock] */
	struct verified verified[VERIFIED_MAX]; /* [lock] */
};

/* ---- credentials verified before --------------------------------------- */

static struct verified *
verified_place(struct auth *auth, const uint8_t *digest)
{
	uint32_t place;

	memcpy(&place, digest, sizeof(place));
	return &auth->verified[place % VERIFIED_MAX];
}

static const struct auth_account *
recall(struct auth *auth, const uint8_t *digest)
{
	const struct auth_account *account = NULL;
	struct verified *entry = verified_place(auth, digest);

	pthread_mutex_lock(&auth->lock);
	if (entry->account != NULL &&
	    sodium_memcmp(entry->digest, digest, AUTH_DIGEST_BYTES) == 0)
		account = entry->account;
	pthread_mutex_unlock(&auth->lock);
	return account;
}

static void
remember(struct auth *auth, const uint8_t *digest,
    const struct auth_account *account)
{
	struct verified *entry = verified_place(auth, digest);

	pthread_mutex_lock(&auth->lock);
	memcpy(entry->digest, digest, AUTH_DIGEST_BYTES);
	entry->account = account;
	pthread_mutex_unlock(&auth->lock);
}

/* ---- answers ------------------------------------------------------------ */

static void
answer(struct auth_request *request, const struct auth_account *account)
{
	request->reason =
	    account == NULL ? MQTT_BAD_USER_NAME_OR_PASSWORD : MQTT_SUCCESS;
	request->identity = account == NULL ? 0 : account->identity;
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
 * A name that has no hash is checked against somebody else's, so that the
 * time tells nothing; the outcome is then always "wrong".
 */
static void
check_slowly(struct auth *auth, struct auth_request *request)
{
	struct slice user = slice_of_string(request->user);
	const struct auth_account *account;
	uint8_t digest[AUTH_DIGEST_BYTES];
	const char *hash;
	bool has_hash, is_right;

	account = auth_accounts_find(&auth->accounts, user);
	has_hash = account != NULL && account->hash != NULL;
	hash = has_hash ? account->hash : auth->accounts.any_hash;
	is_right = crypto_pwhash_str_verify(
		       hash, request->password, request->password_length) == 0;

	if (has_hash && is_right) {
		auth_accounts_digest(&auth->accounts, user,
		    slice_of(request->password, request->password_length),
		    digest);
		remember(auth, digest, account);
		answer(request, account);
	} else {
		answer(request, NULL);
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

	while ((request = next_request(auth)) != NULL) {
		check_slowly(auth, request);
		reply = request->reply; /* the request is theirs once put */
		mailbox_put(reply, &request->mail);
		mailbox_wake(reply);
	}
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

	err = auth_accounts_load(&auth->accounts, conf);
	if (err == 0 && auth->accounts.any_hash != NULL)
		err = start_thread(auth);
	if (err != 0) {
		auth_free(auth);
		errno = -err;
		return NULL;
	}
	return auth;
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	if (auth->has_thread) {
		pthread_mutex_lock(&auth->lock);
		auth->is_ending = true;
		pthread_cond_signal(&auth->not_empty);
		pthread_mutex_unlock(&auth->lock);
		pthread_join(auth->thread, NULL);
	}
	for (; auth->waiting > 0; auth->waiting--) {
		give_up(auth->queue[auth->first]);
		auth->first = (auth->first + 1) % QUEUE_MAX;
	}
	auth_accounts_fini(&auth->accounts);
	pthread_cond_destroy(&auth->not_empty);
	pthread_mutex_destroy(&auth->lock);
	sodium_memzero(auth->verified, sizeof(auth->verified));
	free(auth);
}

/* Returns false if the queue is full. */
static bool
enqueue(struct auth *auth, struct auth_request *request)
{
	bool has_room;

	pthread_mutex_lock(&auth->lock);
	has_room = auth->waiting < QUEUE_MAX;
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

bool
auth_check(struct auth *auth, struct slice user, struct slice password,
    struct auth_request *request)
{
	const struct auth_account *account;
	uint8_t digest[AUTH_DIGEST_BYTES];

	request->user = NULL;
	request->password = NULL;
	request->password_length = 0;

	auth_accounts_digest(&auth->accounts, user, password, digest);
	account = recall(auth, digest);
	if (account == NULL) {
		account = auth_accounts_find(&auth->accounts, user);
		if (account != NULL &&
		    (account->hash != NULL ||
			sodium_memcmp(
			    account->digest, digest, sizeof(digest)) != 0))
			account = NULL;
	}
	answer(request, account);

	/* Without any hash all failures are equally fast. */
	if (account != NULL || auth->accounts.any_hash == NULL)
		return true;
	if (copy_credentials(request, user, password) == 0 &&
	    enqueue(auth, request))
		return false;
	wipe(request);
	request->reason = MQTT_SERVER_BUSY;
	return true;
}

bool
auth_identity_is_valid(const struct auth *auth, uint64_t identity)
{
	return auth_identity_name(auth, identity) != NULL;
}

const char *
auth_identity_name(const struct auth *auth, uint64_t identity)
{
	const struct auth_account *account;

	if (identity == AUTH_ANONYMOUS)
		return "";
	account = auth_accounts_of(&auth->accounts, identity);
	return account == NULL ? NULL : account->name;
}

uint64_t
auth_identity_of(const struct auth *auth, struct slice name)
{
	const struct auth_account *account;

	if (name.len == 0)
		return AUTH_ANONYMOUS;
	account = auth_accounts_find(&auth->accounts, name);
	return account == NULL ? 0 : account->identity;
}

static unsigned
rights_of(const struct auth *auth, uint64_t identity)
{
	const struct auth_account *account;

	if (identity == AUTH_ANONYMOUS)
		return AUTH_PUBLISH;
	account = auth_accounts_of(&auth->accounts, identity);
	return account == NULL ? 0 : account->rights;
}

bool
auth_identity_may(
    const struct auth *auth, uint64_t identity, enum auth_right right)
{
	return (rights_of(auth, identity) & right) != 0;
}

bool
auth_identity_may_publish(
    const struct auth *auth, uint64_t identity, struct slice topic)
{
	return auth_identity_may(auth, identity, AUTH_PUBLISH) &&
	    topic_matches(slice_of_string("#"), topic);
}

bool
auth_has_accounts(const struct auth *auth)
{
	return auth->accounts.count != 0;
}
