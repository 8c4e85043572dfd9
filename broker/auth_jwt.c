/* SPDX-License-Identifier: Apache-2.0 */

/* Tokens: their parts, their signatures, their claims. */

#include "broker/auth_jwt.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/auth.h"
#include "broker/auth_jwt_key.h"
#include "common/base/clock.h"
#include "common/conf/conf.h"

/* The parts of a token, as they were sent. */
struct parts {
	struct slice header;
	struct slice claims;
	struct slice signature;
	struct slice is_signed; /* header and claims, the dot between them */
};

/* One part decoded; the longest is as long as a token. */
struct decoded {
	uint8_t bytes[AUTH_TOKEN_MAX];
	size_t length;
};

/* ---- taking it apart ----------------------------------------------------- */

static bool
split(struct slice token, struct parts *out)
{
	size_t first, second;

	if (token.len > AUTH_TOKEN_MAX)
		return false;
	first = slice_find(token, '.');
	second = first + 1 + slice_find(slice_from(token, first + 1), '.');
	if (first == token.len || second >= token.len)
		return false;
	out->header = slice_of(token.data, first);
	out->claims = slice_of(token.data + first + 1, second - first - 1);
	out->signature = slice_from(token, second + 1);
	out->is_signed = slice_of(token.data, second);
	return slice_find(out->signature, '.') == out->signature.len;
}

/* Without padding, blanks, or bits that mean nothing. */
static bool
decode(struct slice part, struct decoded *out)
{
	const char *text = (const char *)part.data, *end;

	return part.len != 0 &&
	    sodium_base642bin(out->bytes, sizeof(out->bytes), text, part.len,
		NULL, &out->length, &end,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
	    end == text + part.len;
}

/* A JSON object, or NULL. */
static json_t *
decode_object(struct slice part)
{
	struct decoded decoded;
	json_t *object;

	if (!decode(part, &decoded))
		return NULL;
	object = json_loadb((const char *)decoded.bytes, decoded.length,
	    JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(object))
		return object;
	json_decref(object);
	return NULL;
}

/* ---- the signature ------------------------------------------------------- */

/* The rule whose key made it, or NULL; *out_known: an alg of some rule. */
static const struct auth_jwt_rule *
find_signer(const struct auth_jwt *set, const char *alg,
    const struct parts *parts, bool *out_known)
{
	const struct auth_jwt_rule *rule;
	struct decoded signature;

	*out_known = false;
	if (!decode(parts->signature, &signature))
		signature.length = 0;
	for (size_t i = 0; i < set->count; i++) {
		rule = &set->rules[i];
		if (strcmp(auth_jwt_key_name(rule->key.algorithm), alg) != 0)
			continue;
		*out_known = true;
		if (auth_jwt_key_made(&rule->key, parts->is_signed,
			slice_of(signature.bytes, signature.length)))
			return rule;
	}
	return NULL;
}

static enum record_detail
check_signature(const struct auth_jwt *set, const struct parts *parts,
    const struct auth_jwt_rule **out_rule)
{
	json_t *header = decode_object(parts->header);
	enum record_detail fault = RECORD_DETAIL_NONE;
	const char *alg;
	bool is_known;

	if (header == NULL)
		return RECORD_TOKEN_MALFORMED;
	alg = json_string_value(json_object_get(header, "alg"));
	if (alg == NULL) {
		fault = RECORD_TOKEN_MALFORMED;
	} else if (json_object_get(header, "crit") != NULL) {
		fault = RECORD_TOKEN_CRITICAL; /* RFC 7515, 4.1.11 */
	} else {
		*out_rule = find_signer(set, alg, parts, &is_known);
		if (*out_rule == NULL)
			fault = is_known ? RECORD_TOKEN_SIGNATURE
					 : RECORD_TOKEN_ALGORITHM;
	}
	json_decref(header);
	return fault;
}

/* ---- claims -------------------------------------------------------------- */

/*
 * A NumericDate: seconds since 1970, maybe with a fraction (RFC 7519, 2), as
 * nanoseconds.  What is before is 0, what is too far stays far.
 */
static bool
read_date(const json_t *value, uint64_t *out_ns)
{
	const double last_s = (double)(UINT64_MAX / CLOCK_SECOND_NS) - 1;
	double seconds;

	if (!json_is_number(value))
		return false;
	seconds = json_number_value(value);
	if (!isfinite(seconds))
		return false;
	if (seconds < 0)
		seconds = 0;
	*out_ns = seconds >= last_s
	    ? UINT64_MAX
	    : (uint64_t)(seconds * (double)CLOCK_SECOND_NS);
	return true;
}

/* RFC 7519, 4.1.4 and 4.1.5: over from exp on, not yet before nbf. */
static enum record_detail
check_time(const struct auth_jwt_rule *rule, const json_t *claims,
    uint64_t wall_ns, struct auth_token *token)
{
	const json_t *not_before = json_object_get(claims, "nbf");
	uint64_t ns;

	if (!read_date(json_object_get(claims, "exp"), &ns))
		return RECORD_TOKEN_NO_END;
	token->ends_ns = ns > UINT64_MAX - rule->leeway_ns
	    ? UINT64_MAX
	    : ns + rule->leeway_ns;
	if (token->ends_ns <= wall_ns)
		return RECORD_TOKEN_EXPIRED;
	if (not_before == NULL)
		return RECORD_DETAIL_NONE;
	if (!read_date(not_before, &ns))
		return RECORD_TOKEN_MALFORMED;
	return ns > wall_ns + rule->leeway_ns ? RECORD_TOKEN_NOT_YET
					      : RECORD_DETAIL_NONE;
}

static bool
is_text(const json_t *value, const char *text)
{
	return json_is_string(value) &&
	    strcmp(json_string_value(value), text) == 0;
}

/* One text or several (RFC 7519, 4.1.3). */
static bool
has_text(const json_t *value, const char *text)
{
	for (size_t i = 0; i < json_array_size(value); i++)
		if (is_text(json_array_get(value, i), text))
			return true;
	return is_text(value, text);
}

static enum record_detail
check_parties(const struct auth_jwt_rule *rule, const json_t *claims)
{
	const json_t *audience = json_object_get(claims, "aud");

	if (rule->issuer != NULL &&
	    !is_text(json_object_get(claims, "iss"), rule->issuer))
		return RECORD_TOKEN_ISSUER;
	/* Who has no name here is not among those that the token names. */
	if (rule->audience == NULL ? audience != NULL
				   : !has_text(audience, rule->audience))
		return RECORD_TOKEN_AUDIENCE;
	return RECORD_DETAIL_NONE;
}

static unsigned
right_of_word(struct slice word)
{
	char text[16];
	int rights;

	if (word.len == 0 || word.len >= sizeof(text))
		return 0;
	memcpy(text, word.data, word.len);
	text[word.len] = '\0';
	if (strpbrk(text, " ,\t") != NULL)
		return 0;
	rights = conf_scopes_parse(text);
	return rights == -1 ? 0 : (unsigned)rights;
}

static unsigned
rights_of_words(struct slice words)
{
	unsigned rights = 0;
	size_t length;

	while (words.len != 0) {
		length = slice_find(words, ' ');
		rights |= right_of_word(slice_of(words.data, length));
		words = slice_from(words, length + 1);
	}
	return rights;
}

/* RFC 8693, 4.2: one text with blanks; others write an array. */
static unsigned
read_rights(const struct auth_jwt_rule *rule, const json_t *claims)
{
	const json_t *value = rule->scope_claim[0] == '\0'
	    ? NULL
	    : json_object_get(claims, rule->scope_claim);
	unsigned rights;

	if (value == NULL)
		return AUTH_ALL_RIGHTS;
	rights = rights_of_words(slice_of_string(json_string_value(value)));
	for (size_t i = 0; i < json_array_size(value); i++)
		rights |= right_of_word(slice_of_string(
		    json_string_value(json_array_get(value, i))));
	return rights;
}

/* Too long for a name is nobody's, as is what is no text. */
static void
read_account(const struct auth_jwt_rule *rule, const json_t *claims,
    struct auth_token *token)
{
	const char *name =
	    json_string_value(json_object_get(claims, rule->account_claim));

	token->account[0] = '\0';
	if (name != NULL && strlen(name) <= AUTH_ACCOUNT_MAX)
		memcpy(token->account, name, strlen(name) + 1);
	token->fallback = rule->account;
}

static enum record_detail
check_claims(const struct auth_jwt_rule *rule, struct slice part,
    uint64_t wall_ns, struct auth_token *out_token)
{
	json_t *claims = decode_object(part);
	struct auth_token token;
	enum record_detail fault;

	if (claims == NULL)
		return RECORD_TOKEN_MALFORMED;
	fault = check_time(rule, claims, wall_ns, &token);
	if (fault == RECORD_DETAIL_NONE)
		fault = check_parties(rule, claims);
	if (fault == RECORD_DETAIL_NONE) {
		read_account(rule, claims, &token);
		token.rights = read_rights(rule, claims);
		*out_token = token;
	}
	json_decref(claims);
	return fault;
}

/* ---- public -------------------------------------------------------------- */

size_t
auth_jwt_count(const struct auth_jwt *set)
{
	return set->count;
}

enum record_detail
auth_jwt_verify(const struct auth_jwt *set, struct slice token,
    uint64_t wall_ns, struct auth_token *out_token)
{
	const struct auth_jwt_rule *rule = NULL;
	enum record_detail fault;
	struct parts parts;

	if (set->count == 0)
		return RECORD_TOKEN_UNKNOWN;
	if (!split(token, &parts))
		return RECORD_TOKEN_MALFORMED;
	fault = check_signature(set, &parts, &rule);
	if (fault != RECORD_DETAIL_NONE)
		return fault;
	return check_claims(rule, parts.claims, wall_ns, out_token);
}
