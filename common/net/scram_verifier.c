/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/scram_verifier.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "common/base/base64.h"

#define KEY_TEXT BASE64_LENGTH(SCRAM_KEY_BYTES)
#define SALT_TEXT BASE64_LENGTH(SCRAM_MAX_SALT_BYTES)

int
scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], struct slice text,
    uint8_t out[SCRAM_KEY_BYTES])
{
	return HMAC(EVP_sha256(), key, (int)SCRAM_KEY_BYTES, text.data,
		   text.len, out, NULL) == NULL
	    ? -EIO
	    : 0;
}

int
scram_hash(const uint8_t key[SCRAM_KEY_BYTES], uint8_t out[SCRAM_KEY_BYTES])
{
	return EVP_Digest(
		   key, SCRAM_KEY_BYTES, out, NULL, EVP_sha256(), NULL) == 1
	    ? 0
	    : -EIO;
}

/* ClientKey, StoredKey and ServerKey (RFC 5802, 3). */
static int
make_keys(const uint8_t salted[SCRAM_KEY_BYTES], struct scram_verifier *v)
{
	uint8_t client_key[SCRAM_KEY_BYTES];
	int err;

	err = scram_hmac(salted, slice_of_string("Client Key"), client_key);
	if (err == 0)
		err = scram_hash(client_key, v->stored_key);
	if (err == 0)
		err = scram_hmac(
		    salted, slice_of_string("Server Key"), v->server_key);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return err;
}

int
scram_verifier_make(struct slice password, struct slice salt,
    uint32_t iterations, struct scram_verifier *out_verifier)
{
	struct scram_verifier v = { .iterations = iterations };
	uint8_t salted[SCRAM_KEY_BYTES];
	int err;

	if (salt.len == 0 || salt.len > SCRAM_MAX_SALT_BYTES ||
	    iterations < SCRAM_ITERATIONS || iterations > SCRAM_MAX_ITERATIONS)
		return -EINVAL;
	v.salt_length = (uint8_t)salt.len;
	memcpy(v.salt, salt.data, salt.len);
	if (PKCS5_PBKDF2_HMAC((const char *)password.data, (int)password.len,
		salt.data, (int)salt.len, (int)iterations, EVP_sha256(),
		(int)SCRAM_KEY_BYTES, salted) != 1)
		return -EIO;
	err = make_keys(salted, &v);
	OPENSSL_cleanse(salted, sizeof(salted));
	if (err == 0)
		*out_verifier = v;
	return err;
}

static int
decode(const char *text, uint8_t *out, size_t size, size_t *out_length)
{
	return base64_decode(slice_of_string(text), out, size, out_length);
}

int
scram_verifier_parse(const char *text, struct scram_verifier *out_verifier)
{
	char salt[SALT_TEXT + 1], stored[KEY_TEXT + 1], server[KEY_TEXT + 1];
	struct scram_verifier v;
	size_t salt_length, stored_length, server_length;
	unsigned iterations;
	int end = 0;

	_Static_assert(SALT_TEXT == 88 && KEY_TEXT == 44, "in the format");
	if (sscanf(text,
		SCRAM_VERIFIER_PREFIX "i=%8u$%88[^$]$%44[^$]$%44[^$]%n",
		&iterations, salt, stored, server, &end) != 4 ||
	    text[end] != '\0')
		return -EINVAL;
	if (iterations < SCRAM_ITERATIONS ||
	    iterations > SCRAM_MAX_ITERATIONS ||
	    decode(salt, v.salt, sizeof(v.salt), &salt_length) != 0 ||
	    decode(stored, v.stored_key, SCRAM_KEY_BYTES, &stored_length) !=
		0 ||
	    decode(server, v.server_key, SCRAM_KEY_BYTES, &server_length) !=
		0 ||
	    salt_length == 0 || stored_length != SCRAM_KEY_BYTES ||
	    server_length != SCRAM_KEY_BYTES)
		return -EINVAL;
	v.iterations = iterations;
	v.salt_length = (uint8_t)salt_length;
	*out_verifier = v;
	return 0;
}

char *
scram_verifier_print(
    const struct scram_verifier *verifier, char out[SCRAM_VERIFIER_TEXT_SIZE])
{
	char salt[SALT_TEXT + 1], stored[KEY_TEXT + 1], server[KEY_TEXT + 1];

	snprintf(out, SCRAM_VERIFIER_TEXT_SIZE,
	    SCRAM_VERIFIER_PREFIX "i=%u$%s$%s$%s", verifier->iterations,
	    base64_encode(
		slice_of(verifier->salt, verifier->salt_length), salt),
	    base64_encode(
		slice_of(verifier->stored_key, SCRAM_KEY_BYTES), stored),
	    base64_encode(
		slice_of(verifier->server_key, SCRAM_KEY_BYTES), server));
	return out;
}
