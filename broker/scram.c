/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/scram.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* first-bare, server-first, final without proof, and their commas. */
#define AUTH_MESSAGE_SIZE (3 * SCRAM_MAX_FIRST)

/* ---- reading --------------------------------------------------------------
 */

static bool
is_printable(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			return false;
	return true;
}

/* The next attribute without its comma; false at the end. */
static bool
next_attribute(struct slice *rest, struct slice *out)
{
	size_t comma;

	if (rest->data == NULL)
		return false;
	comma = slice_find(*rest, ',');
	*out = slice_of(rest->data, comma);
	*rest = comma == rest->len
	    ? slice_of(NULL, 0)
	    : slice_of(rest->data + comma + 1, rest->len - comma - 1);
	return true;
}

/* "n=joe": is it that attribute, and what is its value? */
static bool
value_of(struct slice attribute, char name, struct slice *out_value)
{
	if (attribute.len < 2 || attribute.data[0] != (uint8_t)name ||
	    attribute.data[1] != '=')
		return false;
	*out_value = slice_of(attribute.data + 2, attribute.len - 2);
	return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, and no other is there. */
static bool
read_name(struct slice text, char out[SCRAM_MAX_USER + 1])
{
	size_t length = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = (char)text.data[i];

		if (c == '\0' || length == SCRAM_MAX_USER)
			return false;
		if (c == '=') {
			if (text.len - i < 3)
				return false;
			if (memcmp(text.data + i, "=2C", 3) == 0)
				c = ',';
			else if (memcmp(text.data + i, "=3D", 3) != 0)
				return false;
			i += 2;
		}
		out[length++] = c;
	}
	out[length] = '\0';
	return length != 0;
}

static void
keep(char *out, struct slice text)
{
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

/* "n,," or "y,,", with "a=name" between the commas; `rest` is behind it. */
static bool
read_gs2(struct scram *scram, struct slice message, struct slice *rest,
    struct slice *out_authzid)
{
	struct slice flag, authzid;

	*rest = message;
	*out_authzid = slice_of(NULL, 0);
	if (!next_attribute(rest, &flag) || !next_attribute(rest, &authzid) ||
	    rest->data == NULL)
		return false;
	if (!slice_equal_string(flag, "n") && !slice_equal_string(flag, "y"))
		return false;
	if (authzid.len != 0 &&
	    (!value_of(authzid, 'a', out_authzid) || out_authzid->len == 0))
		return false;
	keep(scram->gs2,
	    slice_of(message.data, (size_t)(rest->data - message.data)));
	return true;
}

bool
scram_read_first(struct scram *scram, struct slice message)
{
	struct slice rest, authzid, attribute, value;
	char other[SCRAM_MAX_USER + 1];

	if (message.len == 0 || message.len > SCRAM_MAX_FIRST ||
	    !read_gs2(scram, message, &rest, &authzid))
		return false;
	keep(scram->first_bare, rest);
	/* An "m=" here is an extension that we do not know: it fails. */
	if (!next_attribute(&rest, &attribute) ||
	    !value_of(attribute, 'n', &value) || !read_name(value, scram->user))
		return false;
	/* Nobody acts for somebody else. */
	if (authzid.len != 0 &&
	    (!read_name(authzid, other) || strcmp(other, scram->user) != 0))
		return false;
	if (!next_attribute(&rest, &attribute) ||
	    !value_of(attribute, 'r', &value) || value.len == 0 ||
	    value.len > SCRAM_MAX_NONCE || !is_printable(value))
		return false;
	keep(scram->nonce, value);
	return true;
}

/* ---- the exchange ---------------------------------------------------------
 */

void
scram_challenge(struct scram *scram, const struct scram_verifier *verifier,
    const uint8_t nonce[SCRAM_NONCE_BYTES])
{
	char salt[BASE64_LENGTH(SCRAM_MAX_SALT_BYTES) + 1];

	scram->verifier = *verifier;
	base64_encode(slice_of(nonce, SCRAM_NONCE_BYTES),
	    scram->nonce + strlen(scram->nonce));
	snprintf(scram->server_first, sizeof(scram->server_first),
	    "r=%s,s=%s,i=%u", scram->nonce,
	    base64_encode(
		slice_of(verifier->salt, verifier->salt_length), salt),
	    verifier->iterations);
}

/* c= is what the header was, r= the nonce, p= the proof, and it is last. */
static bool
read_final(const struct scram *scram, struct slice message,
    struct slice *out_without_proof, uint8_t out_proof[SCRAM_KEY_BYTES])
{
	char gs2[BASE64_LENGTH(SCRAM_MAX_FIRST) + 1];
	struct slice rest = message, attribute, value;
	size_t length;

	base64_encode(slice_of_string(scram->gs2), gs2);
	if (message.len == 0 || message.len > SCRAM_MAX_FIRST ||
	    !next_attribute(&rest, &attribute) ||
	    !value_of(attribute, 'c', &value) ||
	    !slice_equal_string(value, gs2) ||
	    !next_attribute(&rest, &attribute) ||
	    !value_of(attribute, 'r', &value) ||
	    !slice_equal_string(value, scram->nonce))
		return false;
	do
		if (!next_attribute(&rest, &attribute))
			return false;
	while (!value_of(attribute, 'p', &value));
	if (rest.data != NULL)
		return false;
	*out_without_proof =
	    slice_of(message.data, (size_t)(attribute.data - message.data) - 1);
	return base64_decode(value, out_proof, SCRAM_KEY_BYTES, &length) == 0 &&
	    length == SCRAM_KEY_BYTES;
}

static struct slice
auth_message(const struct scram *scram, struct slice without_proof,
    char text[AUTH_MESSAGE_SIZE])
{
	int length = snprintf(text, AUTH_MESSAGE_SIZE, "%s,%s,%.*s",
	    scram->first_bare, scram->server_first, (int)without_proof.len,
	    (const char *)without_proof.data);

	return slice_of(text, (size_t)length);
}

/* Does the proof give the ClientKey whose hash is kept? */
static bool
is_proof(const struct scram_verifier *verifier, struct slice text,
    uint8_t proof[SCRAM_KEY_BYTES])
{
	uint8_t signature[SCRAM_KEY_BYTES], stored[SCRAM_KEY_BYTES];

	if (scram_hmac(verifier->stored_key, text, signature) != 0)
		return false;
	for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
		proof[i] ^= signature[i];
	return scram_hash(proof, stored) == 0 &&
	    CRYPTO_memcmp(stored, verifier->stored_key, SCRAM_KEY_BYTES) == 0;
}

bool
scram_read_final(struct scram *scram, struct slice message,
    char out_final[SCRAM_MESSAGE_SIZE])
{
	uint8_t proof[SCRAM_KEY_BYTES], signature[SCRAM_KEY_BYTES];
	char base64[BASE64_LENGTH(SCRAM_KEY_BYTES) + 1];
	char buffer[AUTH_MESSAGE_SIZE];
	struct slice without_proof, text;
	bool is_right;

	if (!read_final(scram, message, &without_proof, proof))
		return false;
	text = auth_message(scram, without_proof, buffer);
	is_right = is_proof(&scram->verifier, text, proof) &&
	    scram_hmac(scram->verifier.server_key, text, signature) == 0;
	OPENSSL_cleanse(proof, sizeof(proof));
	if (is_right)
		snprintf(out_final, SCRAM_MESSAGE_SIZE, "v=%s",
		    base64_encode(
			slice_of(signature, sizeof(signature)), base64));
	return is_right;
}
