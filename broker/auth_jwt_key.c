/* SPDX-License-Identifier: Apache-2.0 */

/* Keys from files, rules from the configuration, and signatures. */

#include "broker/auth_jwt_key.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/auth_jwt.h"
#include "common/base/log.h"

#define MAC_BYTES 32u  /* of SHA-256 */
#define HALF_BYTES 32u /* of an ES256 signature: r, then s */
#define DER_BYTES 80u  /* room for both of them in DER, which takes 72 */
#define NAME_BYTES 32u /* of a curve's name */

const char *
auth_jwt_key_name(enum conf_jwt_algorithm algorithm)
{
	switch (algorithm) {
	case CONF_JWT_HS256:
		return "HS256";
	case CONF_JWT_RS256:
		return "RS256";
	case CONF_JWT_ES256:
	default:
		return "ES256";
	}
}

/* ---- signatures ---------------------------------------------------------- */

static bool
is_mac(
    const struct auth_jwt_key *key, struct slice bytes, struct slice signature)
{
	uint8_t mac[MAC_BYTES];
	size_t length;

	return EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->secret,
		   key->secret_length, bytes.data, bytes.len, mac, sizeof(mac),
		   &length) != NULL &&
	    length == MAC_BYTES && signature.len == MAC_BYTES &&
	    CRYPTO_memcmp(mac, signature.data, MAC_BYTES) == 0;
}

static bool
is_signature(EVP_PKEY *key, struct slice bytes, struct slice signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool is_right;

	is_right = context != NULL &&
	    EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestVerify(context, signature.data, signature.len, bytes.data,
		bytes.len) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return is_right;
}

/* RFC 7518, 3.4: r and s, 32 bytes each; OpenSSL wants DER.  0: no. */
static size_t
to_der(struct slice signature, uint8_t out[DER_BYTES])
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r, *s;
	int length = 0;

	r = BN_bin2bn(signature.data, HALF_BYTES, NULL);
	s = BN_bin2bn(signature.data + HALF_BYTES, HALF_BYTES, NULL);
	if (pair != NULL && r != NULL && s != NULL &&
	    ECDSA_SIG_set0(pair, r, s) == 1) {
		r = s = NULL; /* the pair's */
		length = i2d_ECDSA_SIG(pair, NULL);
		length = length > 0 && length <= (int)DER_BYTES
		    ? i2d_ECDSA_SIG(pair, &out)
		    : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	return length > 0 ? (size_t)length : 0;
}

bool
auth_jwt_key_made(
    const struct auth_jwt_key *key, struct slice bytes, struct slice signature)
{
	uint8_t der[DER_BYTES];

	switch (key->algorithm) {
	case CONF_JWT_HS256:
		return is_mac(key, bytes, signature);
	case CONF_JWT_RS256:
		return is_signature(key->public, bytes, signature);
	case CONF_JWT_ES256:
	default:
		return signature.len == 2 * HALF_BYTES &&
		    is_signature(key->public, bytes,
			slice_of(der, to_der(signature, der)));
	}
}

/* ---- keys from files ----------------------------------------------------- */

static void
refuse(const struct conf_jwt *from, const char *reason)
{
	log_error("token_key_refused", "path=%s line=%u algorithm=%s reason=%s",
	    log_quote(from->key_file), from->line,
	    auth_jwt_key_name(from->algorithm), log_quote(reason));
}

static int
read_secret(const struct conf_jwt *from, struct auth_jwt_key *key)
{
	int err;

	err = conf_read_secret(from->key_file, &key->secret);
	if (err != 0) {
		refuse(from,
		    err == -EPERM ? "others may read it; chmod 0640 it"
				  : strerror(-err));
		return err;
	}
	key->secret_length = strlen(key->secret);
	if (key->secret_length >= AUTH_JWT_SECRET_MIN)
		return 0;
	refuse(from, "the secret is shorter than 32 bytes");
	return -EINVAL;
}

/* Nobody is asked for a password. */
static int
no_password(char *out, int size, int is_writing, void *arg)
{
	(void)out;
	(void)size;
	(void)is_writing;
	(void)arg;
	return 0;
}

/* The public key in a file, or the one of its certificate. */
static EVP_PKEY *
read_pem(FILE *file)
{
	EVP_PKEY *key;
	X509 *certificate;

	key = PEM_read_PUBKEY(file, NULL, no_password, NULL);
	if (key != NULL)
		return key;
	rewind(file);
	certificate = PEM_read_X509(file, NULL, no_password, NULL);
	if (certificate != NULL)
		key = X509_get_pubkey(certificate);
	X509_free(certificate);
	ERR_clear_error();
	return key;
}

/* What is wrong with a key for RS256 or ES256, or NULL. */
static const char *
fault_of(const EVP_PKEY *key, enum conf_jwt_algorithm algorithm)
{
	char curve[NAME_BYTES];
	int bits = EVP_PKEY_get_bits(key);
	size_t length;

	if (algorithm == CONF_JWT_RS256) {
		if (!EVP_PKEY_is_a(key, "RSA"))
			return "it is not an RSA key";
		if (bits < AUTH_JWT_RSA_MIN || bits > AUTH_JWT_RSA_MAX)
			return "the RSA key must have 2048 to 8192 bits";
		return NULL;
	}
	if (!EVP_PKEY_is_a(key, "EC") ||
	    EVP_PKEY_get_group_name(key, curve, sizeof(curve), &length) != 1 ||
	    strcmp(curve, "prime256v1") != 0)
		return "it is not a key of the curve P-256";
	return NULL;
}

static int
read_public(const struct conf_jwt *from, struct auth_jwt_key *key)
{
	FILE *file = fopen(from->key_file, "re");
	const char *fault;

	if (file == NULL) {
		const int err = -errno;

		refuse(from, strerror(-err));
		return err;
	}
	key->public = read_pem(file);
	fclose(file);
	fault = key->public == NULL
	    ? "there is no public key and no certificate in PEM in it"
	    : fault_of(key->public, from->algorithm);
	if (fault == NULL)
		return 0;
	refuse(from, fault);
	return -EINVAL;
}

/* ---- rules --------------------------------------------------------------- */

/* NULL stays NULL.  Returns whether there was memory. */
static bool
copy(char **out, const char *text)
{
	*out = text == NULL ? NULL : strdup(text);
	return text == NULL || *out != NULL;
}

static int
make_rule(struct auth_jwt_rule *rule, const struct conf_jwt *from)
{
	rule->key.algorithm = from->algorithm;
	rule->leeway_ns = from->leeway_ns;
	if (!copy(&rule->audience, from->audience) ||
	    !copy(&rule->issuer, from->issuer) ||
	    !copy(&rule->account_claim, from->account_claim) ||
	    !copy(&rule->account, from->account) ||
	    !copy(&rule->scope_claim, from->scope_claim))
		return -ENOMEM;
	return from->algorithm == CONF_JWT_HS256
	    ? read_secret(from, &rule->key)
	    : read_public(from, &rule->key);
}

int
auth_jwt_load(
    const struct conf_jwt *from, size_t count, struct auth_jwt **out_set)
{
	struct auth_jwt *set;
	int err = 0;

	set = calloc(1, sizeof(*set) + count * sizeof(set->rules[0]));
	if (set == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count && err == 0; i++) {
		set->count++;
		err = make_rule(&set->rules[i], &from[i]);
	}
	if (err == 0)
		*out_set = set;
	else
		auth_jwt_free(set);
	return err;
}

static void
clear_rule(struct auth_jwt_rule *rule)
{
	EVP_PKEY_free(rule->key.public);
	if (rule->key.secret != NULL)
		explicit_bzero(rule->key.secret, rule->key.secret_length);
	free(rule->key.secret);
	free(rule->audience);
	free(rule->issuer);
	free(rule->account_claim);
	free(rule->account);
	free(rule->scope_claim);
}

void
auth_jwt_free(struct auth_jwt *set)
{
	if (set == NULL)
		return;
	for (size_t i = 0; i < set->count; i++)
		clear_rule(&set->rules[i]);
	free(set);
}
