/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_scram - both messages of a client that proves that it knows a password.
 *
 * The input is a byte, client-first, a 0xff, and what follows the nonce in
 * client-final.  The latter is tried as it is, and with the proof that it
 * would need: that one is taken, and no other.  The byte says which of the
 * right message's bytes is then changed.
 */

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/scram.h"
#include "tests/fuzz/fuzz.h"

static const char password[] = "open sesame";
static const uint8_t salt[SCRAM_SALT_BYTES] = "0123456789abcde";
static struct scram_verifier verifier;
static uint8_t client_key[SCRAM_KEY_BYTES];

static void
start(void)
{
	uint8_t salted[SCRAM_KEY_BYTES];

	require(scram_verifier_make(slice_of(password, sizeof(password) - 1),
		    slice_of(salt, sizeof(salt)), SCRAM_ITERATIONS,
		    &verifier) == 0);
	require(PKCS5_PBKDF2_HMAC(password, sizeof(password) - 1, salt,
		    sizeof(salt), SCRAM_ITERATIONS, EVP_sha256(),
		    SCRAM_KEY_BYTES, salted) == 1);
	require(
	    scram_hmac(salted, slice_of_string("Client Key"), client_key) == 0);
}

static void
check_first(const struct scram *scram, struct slice message)
{
	size_t gs2 = strlen(scram->gs2);

	require(
	    strlen(scram->user) >= 1 && strlen(scram->user) <= SCRAM_MAX_USER);
	require(strlen(scram->nonce) >= 1 &&
	    strlen(scram->nonce) <= SCRAM_MAX_NONCE);
	require(strchr(scram->nonce, ',') == NULL);
	require(gs2 >= 3 && gs2 < message.len);
	require(memcmp(message.data, scram->gs2, gs2) == 0);
	require(memcmp(message.data + gs2, scram->first_bare,
		    message.len - gs2) == 0);
}

/* ",p=" and the proof that `text`, a client-final without it, needs. */
static size_t
add_proof(const struct scram *scram, char *text, size_t length)
{
	char message[3 * SCRAM_MAX_FIRST];
	uint8_t proof[SCRAM_KEY_BYTES];
	int whole;

	whole = snprintf(message, sizeof(message), "%s,%s,%.*s",
	    scram->first_bare, scram->server_first, (int)length, text);
	require(scram_hmac(verifier.stored_key,
		    slice_of(message, (size_t)whole), proof) == 0);
	for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
		proof[i] ^= client_key[i];
	memcpy(text + length, ",p=", 3);
	base64_encode(slice_of(proof, sizeof(proof)), text + length + 3);
	return length + 3 + BASE64_LENGTH(sizeof(proof));
}

/* An extension has nothing that would make it another message. */
static bool
is_plain(struct slice more)
{
	for (size_t i = 0; i < more.len; i++)
		if (more.data[i] == '\0' ||
		    (more.data[i] == ',' && i + 1 < more.len &&
			more.data[i + 1] == 'p'))
			return false;
	return more.len == 0 || (more.data[0] == ',');
}

static void
finish(const struct scram *scram, struct slice more, uint8_t choice)
{
	char text[4 * SCRAM_MAX_FIRST], out[SCRAM_MESSAGE_SIZE];
	char gs2[BASE64_LENGTH(SCRAM_MAX_FIRST) + 1];
	struct scram copy = *scram;
	size_t length, whole, start_of_more;

	base64_encode(slice_of_string(scram->gs2), gs2);
	length = (size_t)snprintf(
	    text, sizeof(text), "c=%s,r=%s", gs2, scram->nonce);
	start_of_more = length;
	memcpy(text + length, more.data, more.len);
	length += more.len;
	require(!scram_read_final(&copy, slice_of(text, length), out));
	copy = *scram;
	require(!scram_read_final(&copy, more, out));
	if (strlen(scram->first_bare) + strlen(scram->server_first) + length >=
		3 * SCRAM_MAX_FIRST - 2 ||
	    !is_plain(more))
		return;
	whole = add_proof(scram, text, length);
	copy = *scram;
	require(scram_read_final(&copy, slice_of(text, whole), out) ==
	    (whole <= SCRAM_MAX_FIRST));
	if (whole <= SCRAM_MAX_FIRST)
		require(memcmp(out, "v=", 2) == 0 && strlen(out) == 46);
	text[choice % whole] ^= 1;
	copy = *scram;
	require(!scram_read_final(&copy, slice_of(text, whole), out));
	/* Who proves another channel or nonce proves nothing. */
	text[choice % whole] ^= 1;
	text[choice % start_of_more] ^= 1;
	whole = add_proof(scram, text, length);
	copy = *scram;
	require(!scram_read_final(&copy, slice_of(text, whole), out));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t nonce[SCRAM_NONCE_BYTES] = "abcdefghijklmnopq";
	static bool is_started;
	struct scram scram = { 0 };
	struct slice first, more;
	uint8_t *copy;
	size_t cut;

	if (size < 2)
		return 0;
	if (!is_started)
		start();
	is_started = true;
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	cut = slice_find(slice_of(copy, size - 1), 0xff);
	first = slice_of(copy, cut);
	more = slice_from(slice_of(copy, size - 1), cut + 1);
	if (more.len > SCRAM_MAX_FIRST)
		more.len = SCRAM_MAX_FIRST;
	if (more.data == NULL)
		more = slice_of("", 0);
	if (scram_read_first(&scram, first)) {
		check_first(&scram, first);
		scram_challenge(&scram, &verifier, nonce);
		if (strlen(scram.first_bare) + strlen(scram.gs2) == first.len)
			finish(&scram, more, data[0]);
	}
	free(copy);
	return 0;
}
