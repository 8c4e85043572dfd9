/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/auth_jwt.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/auth.h"
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "tests/unit/unit.h"

#define NOW_S UINT64_C(1800000000)
#define NOW_NS (NOW_S * CLOCK_SECOND_NS)
#define SECRET "an HS256 secret of forty-three bytes, as is"
#define LATER "\"exp\":1800000100"

static char folder[64], path[3][96];
static EVP_PKEY *keys[3]; /* by algorithm; NULL for HS256 */
static char sub[] = "sub", scope[] = "scope";
static struct conf_jwt rules[3];
static struct auth_jwt *set;

static void
write_public(const char *name, EVP_PKEY *key)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(PEM_write_PUBKEY(file, key), 1);
	fclose(file);
}

static void
write_text(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
	ck_assert_int_eq(chmod(name, mode), 0);
}

/* Once: an RSA key takes its time. */
static void
make_keys(void)
{
	keys[CONF_JWT_RS256] = EVP_RSA_gen(2048);
	keys[CONF_JWT_ES256] = EVP_EC_gen("P-256");
}

static void
free_keys(void)
{
	for (int i = 0; i < 3; i++) {
		EVP_PKEY_free(keys[i]);
		keys[i] = NULL;
	}
}

static void
set_up(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	strcpy(folder, "/tmp/weir-jwt-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/key-%u", folder, i);
		rules[i] = (struct conf_jwt){
			.algorithm = (enum conf_jwt_algorithm)i,
			.key_file = path[i],
			.account_claim = sub,
			.scope_claim = scope,
		};
		if (i == CONF_JWT_HS256)
			write_text(path[i], SECRET "\n", 0600);
		else
			write_public(path[i], keys[i]);
	}
	ck_assert_int_eq(auth_jwt_load(rules, 3, &set), 0);
}

static void
tear_down(void)
{
	auth_jwt_free(set);
	set = NULL;
	for (int i = 0; i < 3; i++)
		unlink(path[i]);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* ---- making tokens ------------------------------------------------------- */

static size_t
encode(const void *bytes, size_t length, char *out, size_t size)
{
	sodium_bin2base64(
	    out, size, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return strlen(out);
}

static size_t
sign_public(EVP_PKEY *key, const char *text, uint8_t *out, size_t size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t length = size;

	ck_assert_int_eq(
	    EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key), 1);
	ck_assert_int_eq(EVP_DigestSign(context, out, &length,
			     (const uint8_t *)text, strlen(text)),
	    1);
	EVP_MD_CTX_free(context);
	return length;
}

/* r and s, 32 bytes each, of what is in DER. */
static size_t
flatten(uint8_t *signature, size_t length)
{
	const uint8_t *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);

	ck_assert_ptr_nonnull(pair);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + 32, 32);
	ECDSA_SIG_free(pair);
	return 64;
}

static size_t
sign_secret(
    const void *secret, size_t secret_length, const char *text, uint8_t *out)
{
	size_t length;

	ck_assert_ptr_nonnull(
	    EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, secret_length,
		(const uint8_t *)text, strlen(text), out, 32, &length));
	return length;
}

static char token[16384];

/* header.claims in `token`; returns its length. */
static size_t
begin_token(const char *header, const char *claims)
{
	size_t length;

	length = encode(header, strlen(header), token, sizeof(token));
	token[length++] = '.';
	return length +
	    encode(
		claims, strlen(claims), token + length, sizeof(token) - length);
}

static void
end_token(size_t length, const uint8_t *signature, size_t signature_length)
{
	token[length++] = '.';
	encode(signature, signature_length, token + length,
	    sizeof(token) - length);
}

static void
make(enum conf_jwt_algorithm algorithm, const char *header, const char *claims)
{
	size_t length = begin_token(header, claims), signed_length;
	uint8_t signature[1024];

	if (algorithm == CONF_JWT_HS256)
		signed_length =
		    sign_secret(SECRET, strlen(SECRET), token, signature);
	else
		signed_length = sign_public(
		    keys[algorithm], token, signature, sizeof(signature));
	if (algorithm == CONF_JWT_ES256)
		signed_length = flatten(signature, signed_length);
	end_token(length, signature, signed_length);
}

static const char *const headers[] = { "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
	"{\"alg\":\"RS256\"}", "{\"typ\":\"JWT\",\"alg\":\"ES256\"}" };

static struct auth_token got;

static enum record_detail
judge_at(uint64_t wall_ns)
{
	return auth_jwt_verify(set, slice_of_string(token), wall_ns, &got);
}

/* What becomes of these claims, signed with HS256. */
static enum record_detail
claims(const char *text)
{
	make(CONF_JWT_HS256, headers[0], text);
	return judge_at(NOW_NS);
}

/* Other rules, of HS256 alone. */
static void
reload(const struct conf_jwt *rule)
{
	auth_jwt_free(set);
	set = NULL;
	ck_assert_int_eq(auth_jwt_load(rule, 1, &set), 0);
}

/* ---- signatures ---------------------------------------------------------- */

/* _i: the algorithm */
START_TEST(a_token_that_is_right_names_its_account)
{
	make((enum conf_jwt_algorithm)_i, headers[_i],
	    "{\"sub\":\"ann\",\"scope\":\"publish read\"," LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_DETAIL_NONE);
	ck_assert_str_eq(got.account, "ann");
	ck_assert_ptr_null(got.fallback);
	ck_assert_uint_eq(got.rights, AUTH_PUBLISH | AUTH_READ);
	ck_assert_uint_eq(got.ends_ns, (NOW_S + 100) * CLOCK_SECOND_NS);
}
END_TEST

/* _i: the algorithm.  Each letter of the token is changed in turn. */
START_TEST(no_letter_of_a_token_can_be_changed)
{
	size_t length;
	char was;

	make((enum conf_jwt_algorithm)_i, headers[_i],
	    "{\"sub\":\"ann\"," LATER "}");
	length = strlen(token);
	for (size_t i = 0; i < length; i++) {
		was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		ck_assert_msg(judge_at(NOW_NS) != RECORD_DETAIL_NONE,
		    "letter %zu of %s", i, token);
		token[i] = '=';
		ck_assert_int_ne(judge_at(NOW_NS), RECORD_DETAIL_NONE);
		token[i] = was;
	}
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_DETAIL_NONE);
}
END_TEST

/* _i: the algorithm.  Cut short, and with something behind it. */
START_TEST(no_beginning_of_a_token_is_one)
{
	size_t length;
	char was;

	make((enum conf_jwt_algorithm)_i, headers[_i],
	    "{\"sub\":\"ann\"," LATER "}");
	length = strlen(token);
	for (size_t i = 0; i < length; i++) {
		was = token[i];
		token[i] = '\0';
		ck_assert_int_ne(judge_at(NOW_NS), RECORD_DETAIL_NONE);
		token[i] = was;
	}
	strcat(token, "A");
	ck_assert_int_ne(judge_at(NOW_NS), RECORD_DETAIL_NONE);
	strcpy(token + length, ".");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_MALFORMED);
	strcpy(token + length, "\n");
	ck_assert_int_ne(judge_at(NOW_NS), RECORD_DETAIL_NONE);
}
END_TEST

START_TEST(nobody_is_believed_without_a_signature)
{
	static const char *const none[] = { "{\"alg\":\"none\"}",
		"{\"alg\":\"None\"}", "{\"alg\":\"\"}", "{\"alg\":\"hs256\"}",
		"{\"alg\":\"HS512\"}" };
	size_t length;

	for (int i = 0; i < 5; i++) {
		length = begin_token(none[i], "{\"sub\":\"ann\"," LATER "}");
		end_token(length, NULL, 0);
		ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_ALGORITHM);
		make(CONF_JWT_HS256, none[i], "{\"sub\":\"ann\"," LATER "}");
		ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_ALGORITHM);
	}
	length = begin_token(headers[0], "{\"sub\":\"ann\"," LATER "}");
	end_token(length, NULL, 0);
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
	length = begin_token("{}", "{\"sub\":\"ann\"," LATER "}");
	end_token(length, NULL, 0);
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_MALFORMED);
}
END_TEST

/* The public key is known to all; as a secret it must prove nothing. */
START_TEST(a_public_key_is_no_secret)
{
	char pem[2048] = { 0 };
	uint8_t signature[64];
	size_t length, size;
	FILE *file;

	file = fopen(path[CONF_JWT_RS256], "r");
	ck_assert_ptr_nonnull(file);
	size = fread(pem, 1, sizeof(pem) - 1, file);
	fclose(file);
	auth_jwt_free(set);
	set = NULL;
	ck_assert_int_eq(auth_jwt_load(&rules[CONF_JWT_RS256], 1, &set), 0);
	for (int i = 0; i < 2; i++) {
		length = begin_token(headers[i], "{\"sub\":\"ann\"," LATER "}");
		sign_secret(pem, size, token, signature);
		end_token(length, signature, 32);
		ck_assert_int_eq(judge_at(NOW_NS),
		    i == 0 ? RECORD_TOKEN_ALGORITHM : RECORD_TOKEN_SIGNATURE);
	}
}
END_TEST

START_TEST(each_algorithm_has_its_own_key)
{
	/* Signed with the secret, and said to be of another. */
	make(CONF_JWT_HS256, headers[CONF_JWT_RS256], "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
	make(CONF_JWT_RS256, headers[CONF_JWT_HS256], "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
	make(CONF_JWT_RS256, headers[CONF_JWT_ES256], "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
}
END_TEST

/* CVE-2022-21449: r and s of zero fit every message, if they are let in. */
START_TEST(a_signature_of_zeros_is_none)
{
	const uint8_t zeros[256] = { 0 };
	static const size_t lengths[] = { 32, 256, 64 };
	size_t length;

	for (int i = 0; i < 3; i++) {
		length = begin_token(headers[i], "{" LATER "}");
		end_token(length, zeros, lengths[i]);
		ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
	}
}
END_TEST

/* While a key is changed, tokens of both are right. */
START_TEST(several_keys_of_one_algorithm_may_be_in_use)
{
	char other[96];
	struct conf_jwt two[2] = { rules[0], rules[0] };

	snprintf(other, sizeof(other), "%s/other", folder);
	write_text(other, "0123456789abcdef0123456789abcdef", 0600);
	two[0].key_file = other;
	auth_jwt_free(set);
	set = NULL;
	ck_assert_int_eq(auth_jwt_load(two, 2, &set), 0);
	ck_assert_int_eq(claims("{" LATER "}"), RECORD_DETAIL_NONE);
	reload(&two[0]);
	ck_assert_int_eq(claims("{" LATER "}"), RECORD_TOKEN_SIGNATURE);
	unlink(other);
}
END_TEST

START_TEST(an_extension_that_must_be_known_is_not)
{
	make(CONF_JWT_HS256,
	    "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
	    "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_CRITICAL);
	make(
	    CONF_JWT_HS256, "{\"alg\":\"HS256\",\"kid\":\"1\"}", "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_DETAIL_NONE);
}
END_TEST

/* ---- form ---------------------------------------------------------------- */

START_TEST(what_is_no_token_is_refused)
{
	static const char *const bad[] = { "", ".", "..", "...", "a.b.c", "a.b",
		"e30.e30.", "e30.e30.AA", "....", "eyJhbGciOiJIUzI1NiJ9..",
		"eyJhbGciOiJIUzI1NiJ9", "W10.W10.AA" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(token, bad[i]);
		ck_assert_msg(
		    judge_at(NOW_NS) != RECORD_DETAIL_NONE, "%s", bad[i]);
	}
	ck_assert_int_eq(claims("[]"), RECORD_TOKEN_MALFORMED);
	ck_assert_int_eq(claims("{" LATER), RECORD_TOKEN_MALFORMED);
	ck_assert_int_eq(
	    claims("{" LATER "," LATER "}"), RECORD_TOKEN_MALFORMED);
	ck_assert_int_eq(claims("{\"sub\":\"a\\u0000b\"," LATER "}"),
	    RECORD_TOKEN_MALFORMED);
	make(CONF_JWT_HS256, "{\"alg\":[\"HS256\"]}", "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_MALFORMED);
}
END_TEST

/* "e31" decodes to "{}" as "e30" does, but for bits that mean nothing. */
START_TEST(base64_has_one_spelling)
{
	make(CONF_JWT_HS256, headers[0], "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_DETAIL_NONE);
	token[strlen(token) - 1]++; /* two bits of the last letter are void */
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_SIGNATURE);
	strcpy(token, "e31.e30.AA");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_TOKEN_MALFORMED);
}
END_TEST

START_TEST(a_token_has_8192_bytes_at_most)
{
	static char text[8192];
	size_t length;

	/* 4/3 of the claims' length, and what is around them. */
	length = (size_t)snprintf(
	    text, sizeof(text), "{" LATER ",\"pad\":\"%05990d\"}", 0);
	ck_assert_uint_lt(length, sizeof(text));
	ck_assert_int_eq(claims(text), RECORD_DETAIL_NONE);
	ck_assert_uint_gt(strlen(token), 8000);
	snprintf(text, sizeof(text), "{" LATER ",\"pad\":\"%06090d\"}", 0);
	ck_assert_int_eq(claims(text), RECORD_TOKEN_MALFORMED);
	ck_assert_uint_gt(strlen(token), 8192);
}
END_TEST

START_TEST(without_rules_there_are_no_tokens)
{
	auth_jwt_free(set);
	set = NULL;
	ck_assert_int_eq(auth_jwt_load(NULL, 0, &set), 0);
	ck_assert_uint_eq(auth_jwt_count(set), 0);
	ck_assert_int_eq(claims("{" LATER "}"), RECORD_TOKEN_UNKNOWN);
}
END_TEST

/* ---- claims -------------------------------------------------------------- */

START_TEST(a_token_ends_at_its_exp)
{
	ck_assert_int_eq(claims("{}"), RECORD_TOKEN_NO_END);
	ck_assert_int_eq(
	    claims("{\"exp\":\"1800000100\"}"), RECORD_TOKEN_NO_END);
	ck_assert_int_eq(claims("{\"exp\":1800000000}"), RECORD_TOKEN_EXPIRED);
	ck_assert_int_eq(claims("{\"exp\":-5}"), RECORD_TOKEN_EXPIRED);
	ck_assert_int_eq(claims("{\"exp\":0}"), RECORD_TOKEN_EXPIRED);
	ck_assert_int_eq(claims("{\"exp\":1800000001}"), RECORD_DETAIL_NONE);
	ck_assert_int_eq(
	    judge_at(NOW_NS + CLOCK_SECOND_NS - 1), RECORD_DETAIL_NONE);
	ck_assert_int_eq(
	    judge_at(NOW_NS + CLOCK_SECOND_NS), RECORD_TOKEN_EXPIRED);
	ck_assert_int_eq(claims("{\"exp\":1800000000.5}"), RECORD_DETAIL_NONE);
	ck_assert_int_eq(claims("{\"exp\":1e300}"), RECORD_DETAIL_NONE);
	ck_assert_uint_eq(got.ends_ns, UINT64_MAX);
}
END_TEST

START_TEST(a_token_begins_at_its_nbf)
{
	ck_assert_int_eq(
	    claims("{\"nbf\":1800000001," LATER "}"), RECORD_TOKEN_NOT_YET);
	ck_assert_int_eq(
	    claims("{\"nbf\":1e300," LATER "}"), RECORD_TOKEN_NOT_YET);
	ck_assert_int_eq(
	    claims("{\"nbf\":1800000000," LATER "}"), RECORD_DETAIL_NONE);
	ck_assert_int_eq(
	    claims("{\"nbf\":\"soon\"," LATER "}"), RECORD_TOKEN_MALFORMED);
}
END_TEST

START_TEST(leeway_is_for_both_ends)
{
	struct conf_jwt rule = rules[0];

	rule.leeway_ns = 10 * CLOCK_SECOND_NS;
	reload(&rule);
	ck_assert_int_eq(claims("{\"exp\":1799999991}"), RECORD_DETAIL_NONE);
	ck_assert_uint_eq(got.ends_ns, NOW_NS + CLOCK_SECOND_NS);
	ck_assert_int_eq(claims("{\"exp\":1799999990}"), RECORD_TOKEN_EXPIRED);
	ck_assert_int_eq(
	    claims("{\"nbf\":1800000010," LATER "}"), RECORD_DETAIL_NONE);
	ck_assert_int_eq(
	    claims("{\"nbf\":1800000011," LATER "}"), RECORD_TOKEN_NOT_YET);
}
END_TEST

START_TEST(audience_and_issuer_must_be_ours)
{
	static char weir[] = "weir", issuer[] = "https://id.example";
	struct conf_jwt rule = rules[0];

	ck_assert_int_eq(
	    claims("{\"aud\":\"weir\"," LATER "}"), RECORD_TOKEN_AUDIENCE);
	rule.audience = weir;
	reload(&rule);
	ck_assert_int_eq(claims("{" LATER "}"), RECORD_TOKEN_AUDIENCE);
	ck_assert_int_eq(
	    claims("{\"aud\":\"weird\"," LATER "}"), RECORD_TOKEN_AUDIENCE);
	ck_assert_int_eq(
	    claims("{\"aud\":[]," LATER "}"), RECORD_TOKEN_AUDIENCE);
	ck_assert_int_eq(
	    claims("{\"aud\":[1,\"x\"]," LATER "}"), RECORD_TOKEN_AUDIENCE);
	ck_assert_int_eq(
	    claims("{\"aud\":\"weir\"," LATER "}"), RECORD_DETAIL_NONE);
	ck_assert_int_eq(
	    claims("{\"aud\":[\"x\",\"weir\"]," LATER "}"), RECORD_DETAIL_NONE);

	rule = rules[0];
	rule.issuer = issuer;
	reload(&rule);
	ck_assert_int_eq(claims("{" LATER "}"), RECORD_TOKEN_ISSUER);
	ck_assert_int_eq(
	    claims("{\"iss\":\"https://id.example.org\"," LATER "}"),
	    RECORD_TOKEN_ISSUER);
	ck_assert_int_eq(claims("{\"iss\":[\"https://id.example\"]," LATER "}"),
	    RECORD_TOKEN_ISSUER);
	ck_assert_int_eq(claims("{\"iss\":\"https://id.example\"," LATER "}"),
	    RECORD_DETAIL_NONE);
}
END_TEST

START_TEST(the_account_is_the_claim_that_the_rule_names)
{
	static char client[] = "client_id", spare[] = "spare";
	struct conf_jwt rule = rules[0];
	char text[512];

	ck_assert_int_eq(claims("{" LATER "}"), RECORD_DETAIL_NONE);
	ck_assert_str_eq(got.account, "");
	rule.account_claim = client;
	rule.account = spare;
	reload(&rule);
	ck_assert_int_eq(
	    claims("{\"client_id\":\"bob\",\"sub\":\"ann\"," LATER "}"),
	    RECORD_DETAIL_NONE);
	ck_assert_str_eq(got.account, "bob");
	ck_assert_str_eq(got.fallback, "spare");
	ck_assert_int_eq(
	    claims("{\"client_id\":5," LATER "}"), RECORD_DETAIL_NONE);
	ck_assert_str_eq(got.account, "");

	snprintf(text, sizeof(text), "{\"client_id\":\"%0255d\"," LATER "}", 0);
	ck_assert_int_eq(claims(text), RECORD_DETAIL_NONE);
	ck_assert_uint_eq(strlen(got.account), 255);
	snprintf(text, sizeof(text), "{\"client_id\":\"%0256d\"," LATER "}", 0);
	ck_assert_int_eq(claims(text), RECORD_DETAIL_NONE);
	ck_assert_str_eq(got.account, "");
}
END_TEST

START_TEST(the_scope_narrows_and_never_widens)
{
	static const struct {
		const char *claim;
		unsigned rights;
	} scopes[] = {
		{ "", AUTH_ALL_RIGHTS },
		{ "\"scope\":\"\",", 0 },
		{ "\"scope\":\"manage\",", AUTH_MANAGE },
		{ "\"scope\":\"openid  publish profile read \",",
		    AUTH_PUBLISH | AUTH_READ },
		{ "\"scope\":\"publisher readmanage\",", 0 },
		{ "\"scope\":[\"read\",\"x\",5],", AUTH_READ },
		{ "\"scope\":[\"publish read\"],", 0 },
		{ "\"scope\":7,", 0 },
		{ "\"scope\":null,", 0 },
	};
	static char none[] = "";
	struct conf_jwt rule = rules[0];
	char text[128];

	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		snprintf(text, sizeof(text), "{%s" LATER "}", scopes[i].claim);
		ck_assert_int_eq(claims(text), RECORD_DETAIL_NONE);
		ck_assert_msg(
		    got.rights == scopes[i].rights, "%s: %u", text, got.rights);
	}
	rule.scope_claim = none;
	reload(&rule);
	ck_assert_int_eq(claims("{\"scope\":\"read\",\"\":\"read\"," LATER "}"),
	    RECORD_DETAIL_NONE);
	ck_assert_uint_eq(got.rights, AUTH_ALL_RIGHTS);
}
END_TEST

/* ---- keys ---------------------------------------------------------------- */

static int
load(const struct conf_jwt *rule)
{
	struct auth_jwt *loaded = NULL;
	int err = auth_jwt_load(rule, 1, &loaded);

	auth_jwt_free(loaded);
	return err;
}

START_TEST(a_secret_has_32_bytes_and_is_kept_from_others)
{
	const char *name = path[CONF_JWT_HS256];

	write_text(name, "0123456789abcdef0123456789abcde\n", 0600);
	ck_assert_int_eq(load(&rules[0]), -EINVAL);
	write_text(name, "0123456789abcdef0123456789abcdef\n", 0640);
	ck_assert_int_eq(load(&rules[0]), 0);
	write_text(name, "0123456789abcdef0123456789abcdef\n", 0644);
	ck_assert_int_eq(load(&rules[0]), -EPERM);
	unlink(name);
	ck_assert_int_eq(load(&rules[0]), -ENOENT);
}
END_TEST

START_TEST(weak_and_foreign_keys_are_refused)
{
	struct conf_jwt *rsa = &rules[CONF_JWT_RS256];
	struct conf_jwt *ec = &rules[CONF_JWT_ES256];
	EVP_PKEY *weak = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-384");
	FILE *file;

	ck_assert_int_eq(load(rsa), 0);
	ck_assert_int_eq(load(ec), 0);
	write_public(rsa->key_file, weak);
	ck_assert_int_eq(load(rsa), -EINVAL);
	write_public(ec->key_file, curve);
	ck_assert_int_eq(load(ec), -EINVAL);
	write_public(rsa->key_file, keys[CONF_JWT_ES256]);
	ck_assert_int_eq(load(rsa), -EINVAL);
	write_public(ec->key_file, keys[CONF_JWT_RS256]);
	ck_assert_int_eq(load(ec), -EINVAL);

	/* A private key does not belong here. */
	file = fopen(ec->key_file, "w");
	PEM_write_PrivateKey(
	    file, keys[CONF_JWT_ES256], NULL, NULL, 0, NULL, NULL);
	fclose(file);
	ck_assert_int_eq(load(ec), -EINVAL);
	write_text(ec->key_file, "no key at all\n", 0644);
	ck_assert_int_eq(load(ec), -EINVAL);
	EVP_PKEY_free(weak);
	EVP_PKEY_free(curve);
}
END_TEST

START_TEST(a_certificate_has_a_key_too)
{
	EVP_PKEY *key = keys[CONF_JWT_RS256];
	X509 *certificate = X509_new();
	FILE *file;

	X509_set_pubkey(certificate, key);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 60);
	ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
	file = fopen(path[CONF_JWT_RS256], "w");
	ck_assert_int_eq(PEM_write_X509(file, certificate), 1);
	fclose(file);
	X509_free(certificate);
	reload(&rules[CONF_JWT_RS256]);
	make(CONF_JWT_RS256, headers[CONF_JWT_RS256], "{" LATER "}");
	ck_assert_int_eq(judge_at(NOW_NS), RECORD_DETAIL_NONE);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("auth_jwt");
	TCase *tc = tcase_create("all");

	tcase_add_unchecked_fixture(tc, make_keys, free_keys);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, a_token_that_is_right_names_its_account, 0, 3);
	tcase_add_loop_test(tc, no_letter_of_a_token_can_be_changed, 0, 3);
	tcase_add_loop_test(tc, no_beginning_of_a_token_is_one, 0, 3);
	tcase_add_test(tc, nobody_is_believed_without_a_signature);
	tcase_add_test(tc, a_public_key_is_no_secret);
	tcase_add_test(tc, each_algorithm_has_its_own_key);
	tcase_add_test(tc, a_signature_of_zeros_is_none);
	tcase_add_test(tc, several_keys_of_one_algorithm_may_be_in_use);
	tcase_add_test(tc, an_extension_that_must_be_known_is_not);
	tcase_add_test(tc, what_is_no_token_is_refused);
	tcase_add_test(tc, base64_has_one_spelling);
	tcase_add_test(tc, a_token_has_8192_bytes_at_most);
	tcase_add_test(tc, without_rules_there_are_no_tokens);
	tcase_add_test(tc, a_token_ends_at_its_exp);
	tcase_add_test(tc, a_token_begins_at_its_nbf);
	tcase_add_test(tc, leeway_is_for_both_ends);
	tcase_add_test(tc, audience_and_issuer_must_be_ours);
	tcase_add_test(tc, the_account_is_the_claim_that_the_rule_names);
	tcase_add_test(tc, the_scope_narrows_and_never_widens);
	tcase_add_test(tc, a_secret_has_32_bytes_and_is_kept_from_others);
	tcase_add_test(tc, weak_and_foreign_keys_are_refused);
	tcase_add_test(tc, a_certificate_has_a_key_too);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
