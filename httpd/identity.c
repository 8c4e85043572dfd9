/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/identity.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/base64.h"
#include "common/base/board.h"
#include "common/base/utf8.h"
#include "httpd/limits_table.h"

enum scheme {
	BASIC,
	BEARER,
	SCHEMES
};

#define WAYS 4u
#define SETS 256u

enum entry_state {
	EMPTY,
	ASKED,
	GOOD,
	BAD
};

/* One request that waits for an answer. */
struct waiter {
	struct waiter *next;
	void *request;
};

struct entry {
	uint8_t hash[crypto_shorthash_siphashx24_BYTES];
	enum entry_state state;
	uint64_t expires_ns;
	uint64_t id;     /* of the question, while ASKED */
	uint64_t client; /* who asked it */
	bool is_token;
	struct identity_handle handle;
	struct waiter *first, **last;
};

struct identity {
	const struct identity_ops *ops;
	void *context;
	uint8_t key[SCHEMES][crypto_shorthash_siphashx24_KEYBYTES];
	struct limits_table failures;
	uint64_t next_id;
	uint32_t asked;
	struct entry entry[SETS * WAYS];
};

/* User name and password as they were sent, wiped after use. */
struct credentials {
	uint8_t text[IDENTITY_USER_MAX + IDENTITY_PASSWORD_MAX + 4];
	struct record_auth auth;
};

/* What is behind the scheme's name in a header. */
struct proof {
	enum scheme scheme;
	struct slice text;
};

struct identity *
identity_new(const struct identity_ops *ops, void *context)
{
	struct identity *identity;

	if (sodium_init() < 0) {
		errno = ENOSYS;
		return NULL;
	}
	identity = calloc(1, sizeof(*identity));
	if (identity == NULL)
		return NULL;
	identity->ops = ops;
	identity->context = context;
	randombytes_buf(identity->key, sizeof(identity->key));
	randombytes_buf(
	    &identity->failures.seed, sizeof(identity->failures.seed));
	identity->next_id = 1;
	return identity;
}

/* ---- how often an address may be wrong ------------------------------------
 */

void
identity_limit(struct identity *identity, uint32_t per_second, uint32_t burst,
    uint64_t now_ns)
{
	const struct limits_rates rates = {
		.unit[LIMITS_REQUESTS] = { per_second, burst },
	};

	limits_table_change(&identity->failures, &rates, now_ns);
}

static struct token_bucket *
failures_of(struct identity *identity, uint64_t client, uint64_t now_ns)
{
	return &limits_table_find(&identity->failures, client, now_ns)
		    ->unit[LIMITS_REQUESTS];
}

static bool
is_limited(const struct identity *identity)
{
	return identity->failures.rates.unit[LIMITS_REQUESTS].per_second != 0;
}

/* 0, or how long this address has to wait. */
static uint64_t
take_failure(struct identity *identity, uint64_t client, uint64_t now_ns)
{
	if (!is_limited(identity))
		return 0;
	return token_bucket_take(
	    failures_of(identity, client, now_ns), 1, now_ns);
}

/* It was none. */
static void
give_failure(struct identity *identity, uint64_t client, uint64_t now_ns)
{
	if (is_limited(identity))
		token_bucket_give(failures_of(identity, client, now_ns), 1);
}

/* ---- questions and answers ------------------------------------------------
 */

/* Tell all who wait; the entry has its new state already. */
static void
decide(struct identity *identity, struct entry *entry,
    enum identity_verdict verdict)
{
	struct waiter *waiter = entry->first, *next;
	struct identity_handle handle = entry->handle;

	entry->first = NULL;
	entry->last = &entry->first;
	identity->asked--;
	for (; waiter != NULL; waiter = next) {
		next = waiter->next;
		if (waiter->request != NULL)
			identity->ops->decided(identity->context,
			    waiter->request, verdict, &handle);
		free(waiter);
	}
}

/* Nobody has judged it: it may be asked again, and nothing was wrong. */
static void
end_unjudged(struct identity *identity, struct entry *entry,
    enum identity_verdict verdict, uint64_t now_ns)
{
	entry->state = EMPTY;
	give_failure(identity, entry->client, now_ns);
	decide(identity, entry, verdict);
}

void
identity_flush(struct identity *identity, uint64_t now_ns)
{
	struct entry *entry;

	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		entry = &identity->entry[i];
		if (entry->state == ASKED)
			end_unjudged(identity, entry, IDENTITY_AWAY, now_ns);
		entry->state = EMPTY;
	}
}

void
identity_free(struct identity *identity)
{
	struct waiter *waiter;

	if (identity == NULL)
		return;
	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		if (identity->entry[i].state != ASKED)
			continue;
		while ((waiter = identity->entry[i].first) != NULL) {
			identity->entry[i].first = waiter->next;
			free(waiter);
		}
	}
	sodium_memzero(identity->key, sizeof(identity->key));
	free(identity);
}

static bool
scheme_is(struct slice header, size_t length, const char *name)
{
	return length == strlen(name) &&
	    strncasecmp((const char *)header.data, name, length) == 0;
}

static struct slice
without_blanks(struct slice text)
{
	while (text.len > 0 && text.data[0] == ' ')
		text = slice_from(text, 1);
	while (text.len > 0 && text.data[text.len - 1] == ' ')
		text.len--;
	return text;
}

/* IDENTITY_KNOWN, or why there is none. */
static enum identity_verdict
find_proof(struct slice header, struct proof *out)
{
	size_t length = slice_find(header, ' ');

	if (header.len == 0)
		return IDENTITY_MISSING;
	out->text = without_blanks(slice_from(header, length));
	if (scheme_is(header, length, "basic")) {
		out->scheme = BASIC;
		return IDENTITY_KNOWN;
	}
	if (!scheme_is(header, length, "bearer"))
		return IDENTITY_SCHEME;
	out->scheme = BEARER;
	return out->text.len == 0 || out->text.len > RECORD_TOKEN_MAX
	    ? IDENTITY_NO_TOKEN
	    : IDENTITY_KNOWN;
}

static struct entry *
set_of(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES])
{
	uint64_t number;

	memcpy(&number, hash, sizeof(number));
	return &identity->entry[number % SETS * WAYS];
}

static struct entry *
find_entry(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES])
{
	struct entry *set = set_of(identity, hash);

	for (uint32_t i = 0; i < WAYS; i++)
		if (set[i].state != EMPTY &&
		    sodium_memcmp(set[i].hash, hash, sizeof(set[i].hash)) == 0)
			return &set[i];
	return NULL;
}

/* The entry that a hash may take over, or NULL. */
static struct entry *
find_victim(struct entry *set, uint64_t now_ns)
{
	struct entry *victim = NULL;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (set[i].state == ASKED)
			continue;
		if (set[i].state == EMPTY || set[i].expires_ns <= now_ns)
			return &set[i];
		if (victim == NULL || set[i].expires_ns < victim->expires_ns)
			victim = &set[i];
	}
	return victim;
}

/* An empty entry for a hash that has none, or NULL. */
static struct entry *
take_entry(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES], uint64_t now_ns)
{
	struct entry *entry = find_victim(set_of(identity, hash), now_ns);

	if (entry == NULL)
		return NULL;
	*entry = (struct entry){ .state = EMPTY };
	memcpy(entry->hash, hash, sizeof(entry->hash));
	entry->last = &entry->first;
	return entry;
}

static bool
add_waiter(struct entry *entry, void *request)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (waiter == NULL)
		return false;
	*waiter = (struct waiter){ .request = request };
	*entry->last = waiter;
	entry->last = &waiter->next;
	return true;
}

/* RFC 7617, 2: neither has control characters. */
static bool
has_controls(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < ' ' || text.data[i] == 0x7f)
			return true;
	return false;
}

static bool
decode(struct slice token, struct credentials *out)
{
	struct record_auth *auth = &out->auth;
	size_t length, colon;
	struct slice text;

	if (base64_decode(token, out->text, sizeof(out->text), &length) != 0)
		return false;
	text = slice_of(out->text, length);
	colon = slice_find(text, ':');
	if (colon == text.len || colon > IDENTITY_USER_MAX)
		return false;
	auth->user = slice_of(text.data, colon);
	auth->password = slice_from(text, colon + 1);
	return auth->password.len <= IDENTITY_PASSWORD_MAX &&
	    !has_controls(text) && utf8_is_valid(auth->user);
}

static bool
read_proof(const struct proof *proof, struct credentials *out)
{
	out->auth = (struct record_auth){ .kind = RECORD_AUTH_BASIC };
	if (proof->scheme == BASIC)
		return decode(proof->text, out);
	out->auth.kind = RECORD_AUTH_BEARER;
	out->auth.password = proof->text;
	return true;
}

static void
begin(struct identity *identity, struct entry *entry,
    const struct identity_question *question, bool is_token)
{
	entry->state = ASKED;
	entry->id = identity->next_id++;
	entry->client = question->client;
	entry->is_token = is_token;
	entry->expires_ns = question->now_ns + IDENTITY_ASK_NS;
	identity->asked++;
}

/* The broker's answer decides. */
static enum identity_verdict
put_question(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES],
    const struct identity_question *question, const struct record_auth *auth)
{
	struct entry *entry = find_entry(identity, hash);
	int err;

	if (entry == NULL)
		entry = take_entry(identity, hash, question->now_ns);
	if (entry == NULL || identity->asked >= IDENTITY_ASKED_MAX ||
	    !add_waiter(entry, question->request))
		return IDENTITY_BUSY;
	err = identity->ops->ask(identity->context, auth, identity->next_id);
	if (err == 0) {
		begin(identity, entry, question,
		    auth->kind == RECORD_AUTH_BEARER);
		return IDENTITY_ASKED;
	}
	free(entry->first);
	entry->first = NULL;
	entry->last = &entry->first;
	entry->state = EMPTY;
	return err == -EAGAIN ? IDENTITY_BUSY : IDENTITY_AWAY;
}

/* An address that is limited pushes nobody out of the cache. */
static enum identity_verdict
ask(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES],
    const struct identity_question *question, const struct record_auth *auth,
    struct identity_handle *out_handle)
{
	const uint64_t now_ns = question->now_ns;
	enum identity_verdict verdict;
	uint64_t wait_ns;

	wait_ns = take_failure(identity, question->client, now_ns);
	if (wait_ns != 0) {
		out_handle->wait_ns = wait_ns;
		return IDENTITY_LIMITED;
	}
	verdict = put_question(identity, hash, question, auth);
	if (verdict != IDENTITY_ASKED)
		give_failure(identity, question->client, now_ns);
	return verdict;
}

static enum identity_verdict
ask_proof(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES],
    const struct identity_question *question, const struct proof *proof,
    struct identity_handle *out_handle)
{
	enum identity_verdict verdict = IDENTITY_BROKEN;
	struct credentials credentials;

	if (read_proof(proof, &credentials)) {
		credentials.auth.address = slice_of_string(question->address);
		verdict = ask(
		    identity, hash, question, &credentials.auth, out_handle);
	}
	sodium_memzero(&credentials, sizeof(credentials));
	return verdict;
}

static enum identity_verdict
denied(const struct entry *entry)
{
	return entry->is_token ? IDENTITY_TOKEN_DENIED : IDENTITY_DENIED;
}

enum identity_verdict
identity_check(struct identity *identity,
    const struct identity_question *question,
    struct identity_handle *out_handle)
{
	uint8_t hash[crypto_shorthash_siphashx24_BYTES];
	enum identity_verdict verdict;
	struct entry *entry;
	struct proof proof;

	verdict = find_proof(question->authorization, &proof);
	if (verdict != IDENTITY_KNOWN)
		return verdict;
	crypto_shorthash_siphashx24(
	    hash, proof.text.data, proof.text.len, identity->key[proof.scheme]);
	entry = find_entry(identity, hash);
	if (entry != NULL && entry->state == ASKED)
		return add_waiter(entry, question->request) ? IDENTITY_ASKED
							    : IDENTITY_BUSY;
	if (entry != NULL && question->now_ns < entry->expires_ns) {
		*out_handle = entry->handle;
		return entry->state == GOOD ? IDENTITY_KNOWN : denied(entry);
	}
	return ask_proof(identity, hash, question, &proof, out_handle);
}

void
identity_forget(struct identity *identity, const void *request)
{
	struct waiter *waiter;

	if (identity->asked == 0)
		return;
	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		if (identity->entry[i].state != ASKED)
			continue;
		for (waiter = identity->entry[i].first; waiter != NULL;
		     waiter = waiter->next)
			if (waiter->request == request)
				waiter->request = NULL;
	}
}

/* MQTT 5.0, 2.4: below 0x80 it is a success; these are not yet a no. */
static bool
is_busy(uint8_t code)
{
	return code == 0x88 || code == 0x89 || code == 0x97;
}

static struct entry *
find_question(struct identity *identity, uint64_t id)
{
	for (uint32_t i = 0; i < SETS * WAYS; i++)
		if (identity->entry[i].state == ASKED &&
		    identity->entry[i].id == id)
			return &identity->entry[i];
	return NULL;
}

/* The result is the broker's, and its name somebody's choice. */
static void
recognise(struct entry *entry, const struct record_auth_result *result,
    uint64_t now_ns)
{
	uint64_t valid_ns = result->valid_ms * CLOCK_MS_NS;

	if (valid_ns == 0 || valid_ns > IDENTITY_GOOD_NS)
		valid_ns = IDENTITY_GOOD_NS;
	entry->state = GOOD;
	entry->expires_ns = now_ns + valid_ns;
	entry->handle = (struct identity_handle){
		.identity = result->identity,
		.account = result->account,
	};
	board_word(result->name, strlen(result->name), entry->handle.name,
	    sizeof(entry->handle.name));
}

void
identity_answer(struct identity *identity, uint64_t id,
    const struct record_auth_result *result, uint64_t now_ns)
{
	struct entry *entry = find_question(identity, id);

	if (entry == NULL)
		return;
	if (result->code < 0x80) {
		recognise(entry, result, now_ns);
		give_failure(identity, entry->client, now_ns);
		decide(identity, entry, IDENTITY_KNOWN);
	} else if (is_busy(result->code)) {
		end_unjudged(identity, entry, IDENTITY_BUSY, now_ns);
	} else {
		entry->state = BAD;
		entry->expires_ns = now_ns + IDENTITY_BAD_NS;
		entry->handle.detail = (enum record_detail)result->detail;
		decide(identity, entry, denied(entry));
	}
}

void
identity_renew(struct identity *identity)
{
	for (uint32_t i = 0; i < SETS * WAYS; i++)
		if (identity->entry[i].state != ASKED)
			identity->entry[i].state = EMPTY;
}

void
identity_drop(struct identity *identity, uint64_t handle)
{
	for (uint32_t i = 0; i < SETS * WAYS; i++)
		if (identity->entry[i].state == GOOD &&
		    identity->entry[i].handle.identity == handle)
			identity->entry[i].state = EMPTY;
}

void
identity_expire(struct identity *identity, uint64_t now_ns)
{
	struct entry *entry;

	if (identity->asked == 0)
		return;
	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		entry = &identity->entry[i];
		if (entry->state == ASKED && entry->expires_ns <= now_ns)
			end_unjudged(identity, entry, IDENTITY_AWAY, now_ns);
	}
}
