/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/identity.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/board.h"
#include "common/base/utf8.h"
#include "common/base/base64.h"

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
	uint64_t id; /* of the question, while ASKED */
	struct identity_handle handle;
	struct waiter *first, **last;
};

struct identity {
	const struct identity_ops *ops;
	void *context;
	uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
	uint64_t account_seed;
	uint64_t next_id;
	uint32_t asked;
	struct entry entry[SETS * WAYS];
};

/* User name and password as they were sent, wiped after use. */
struct credentials {
	uint8_t text[2 * IDENTITY_TEXT_MAX + 4];
	struct slice user;
	struct slice password;
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
	    &identity->account_seed, sizeof(identity->account_seed));
	identity->next_id = 1;
	return identity;
}

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

void
identity_flush(struct identity *identity)
{
	struct entry *entry;

	for (uint32_t i = 0; i < SETS * WAYS; i++) {
		entry = &identity->entry[i];
		if (entry->state == ASKED) {
			entry->state = EMPTY;
			decide(identity, entry, IDENTITY_AWAY);
		}
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

/* The token after "Basic", or why there is none. */
static enum identity_verdict
find_token(struct slice header, struct slice *out_token)
{
	size_t length;

	if (header.len == 0)
		return IDENTITY_MISSING;
	length = slice_find(header, ' ');
	if (length != 5 ||
	    strncasecmp((const char *)header.data, "basic", 5) != 0)
		return IDENTITY_SCHEME;
	while (length < header.len && header.data[length] == ' ')
		length++;
	*out_token = slice_from(header, length);
	while (out_token->len > 0 && out_token->data[out_token->len - 1] == ' ')
		out_token->len--;
	return IDENTITY_KNOWN;
}

/* Find the entry of a hash, or the one that it may take over, or NULL. */
static struct entry *
find_entry(struct identity *identity,
    const uint8_t hash[crypto_shorthash_siphashx24_BYTES], uint64_t now_ns)
{
	struct entry *set, *victim = NULL;
	uint64_t number;

	memcpy(&number, hash, sizeof(number));
	set = &identity->entry[number % SETS * WAYS];
	for (uint32_t i = 0; i < WAYS; i++)
		if (set[i].state != EMPTY &&
		    sodium_memcmp(set[i].hash, hash, sizeof(set[i].hash)) == 0)
			return &set[i];

	for (uint32_t i = 0; i < WAYS; i++) {
		if (set[i].state == ASKED)
			continue;
		if (set[i].state == EMPTY || set[i].expires_ns <= now_ns) {
			victim = &set[i];
			break;
		}
		if (victim == NULL || set[i].expires_ns < victim->expires_ns)
			victim = &set[i];
	}
	if (victim != NULL) {
		*victim = (struct entry){ .state = EMPTY };
		memcpy(victim->hash, hash, sizeof(victim->hash));
		victim->last = &victim->first;
	}
	return victim;
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

static bool
decode(struct slice token, struct credentials *out)
{
	size_t length, colon;
	struct slice text;

	if (base64_decode(token, out->text, sizeof(out->text), &length) != 0)
		return false;
	text = slice_of(out->text, length);
	colon = slice_find(text, ':');
	if (colon == text.len || colon > IDENTITY_TEXT_MAX)
		return false;
	out->user = slice_of(text.data, colon);
	out->password = slice_from(text, colon + 1);
	return out->password.len <= IDENTITY_TEXT_MAX &&
	    utf8_is_valid(out->user);
}

static enum identity_verdict
ask(struct identity *identity, struct entry *entry, void *request,
    struct slice token, const char *address, uint64_t now_ns)
{
	struct credentials credentials;
	struct record_auth auth;
	enum identity_verdict verdict = IDENTITY_BUSY;
	int err;

	if (!decode(token, &credentials)) {
		sodium_memzero(&credentials, sizeof(credentials));
		return IDENTITY_BROKEN;
	}
	auth = (struct record_auth){ .user = credentials.user,
		.password = credentials.password,
		.address = slice_of_string(address) };
	if (identity->asked < IDENTITY_ASKED_MAX &&
	    add_waiter(entry, request)) {
		err = identity->ops->ask(
		    identity->context, &auth, identity->next_id);
		verdict = err == 0   ? IDENTITY_ASKED
		    : err == -EAGAIN ? IDENTITY_BUSY
				     : IDENTITY_AWAY;
		if (err != 0) {
			free(entry->first);
			entry->first = NULL;
			entry->last = &entry->first;
		}
	}
	if (verdict == IDENTITY_ASKED) {
		entry->state = ASKED;
		entry->id = identity->next_id++;
		entry->expires_ns = now_ns + IDENTITY_ASK_NS;
		entry->handle.account =
		    slice_hash(credentials.user, identity->account_seed);
		board_word(credentials.user.data, credentials.user.len,
		    entry->handle.name, sizeof(entry->handle.name));
		identity->asked++;
	}
	sodium_memzero(&credentials, sizeof(credentials));
	return verdict;
}

enum identity_verdict
identity_check(struct identity *identity, void *request,
    struct slice authorization, const char *address, uint64_t now_ns,
    struct identity_handle *out_handle)
{
	uint8_t hash[crypto_shorthash_siphashx24_BYTES];
	enum identity_verdict verdict;
	struct entry *entry;
	struct slice token;

	verdict = find_token(authorization, &token);
	if (verdict != IDENTITY_KNOWN)
		return verdict;
	crypto_shorthash_siphashx24(hash, token.data, token.len, identity->key);
	entry = find_entry(identity, hash, now_ns);
	if (entry == NULL)
		return IDENTITY_BUSY;

	if (entry->state == ASKED)
		return add_waiter(entry, request) ? IDENTITY_ASKED
						  : IDENTITY_BUSY;
	if (entry->state == GOOD && now_ns < entry->expires_ns) {
		*out_handle = entry->handle;
		return IDENTITY_KNOWN;
	}
	if (entry->state == BAD && now_ns < entry->expires_ns)
		return IDENTITY_DENIED;
	entry->state = EMPTY;
	return ask(identity, entry, request, token, address, now_ns);
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

void
identity_answer(struct identity *identity, uint64_t id,
    const struct record_answer *answer, uint64_t now_ns)
{
	struct entry *entry = NULL;

	for (uint32_t i = 0; i < SETS * WAYS; i++)
		if (identity->entry[i].state == ASKED &&
		    identity->entry[i].id == id)
			entry = &identity->entry[i];
	if (entry == NULL)
		return;

	if (answer->code < 0x80) {
		entry->state = GOOD;
		entry->expires_ns = now_ns + IDENTITY_GOOD_NS;
		entry->handle.identity = answer->identity;
		decide(identity, entry, IDENTITY_KNOWN);
	} else if (is_busy(answer->code)) {
		entry->state = EMPTY;
		decide(identity, entry, IDENTITY_BUSY);
	} else {
		entry->state = BAD;
		entry->expires_ns = now_ns + IDENTITY_BAD_NS;
		decide(identity, entry, IDENTITY_DENIED);
	}
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
		if (entry->state == ASKED && entry->expires_ns <= now_ns) {
			entry->state = EMPTY;
			decide(identity, entry, IDENTITY_AWAY);
		}
	}
}
