/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scram_verifier - what a server keeps of a password for SCRAM-SHA-256.
 *
 * RFC 5802 and RFC 7677: from StoredKey and ServerKey a server can tell who
 * knows the password, but nobody can log in by them.  As text:
 *
 *	$scram-sha-256$i=4096$SALT$STOREDKEY$SERVERKEY		(base64)
 *
 * Any thread.  The password is taken as its bytes are: SASLprep (RFC 4013)
 * changes nothing in ASCII, and no more than that is promised.
 */

#ifndef WEIR_COMMON_NET_SCRAM_VERIFIER_H
#define WEIR_COMMON_NET_SCRAM_VERIFIER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SCRAM_VERIFIER_PREFIX "$scram-sha-256$"

#define SCRAM_KEY_BYTES 32u
#define SCRAM_SALT_BYTES 16u     /* of those made here */
#define SCRAM_MAX_SALT_BYTES 64u /* of others */
#define SCRAM_ITERATIONS 4096u   /* the least that RFC 7677 allows */
#define SCRAM_MAX_ITERATIONS 10000000u

/* Room for the text, its NUL included. */
#define SCRAM_VERIFIER_TEXT_SIZE 256u

struct scram_verifier {
	uint32_t iterations;
	uint8_t salt_length;
	uint8_t salt[SCRAM_MAX_SALT_BYTES];
	uint8_t stored_key[SCRAM_KEY_BYTES];
	uint8_t server_key[SCRAM_KEY_BYTES];
};

/*
 * Of a password; about a millisecond for 4096 iterations.
 * 0; -EINVAL for a salt or iterations out of range; -EIO: OpenSSL fails.
 */
int scram_verifier_make(struct slice password, struct slice salt,
    uint32_t iterations, struct scram_verifier *out_verifier);

/* 0, or -EINVAL for a text that is none. */
int scram_verifier_parse(const char *text, struct scram_verifier *out_verifier);

/* Returns `out`. */
char *scram_verifier_print(
    const struct scram_verifier *verifier, char out[SCRAM_VERIFIER_TEXT_SIZE]);

/* HMAC-SHA-256 and SHA-256.  0 or -EIO. */
int scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], struct slice text,
    uint8_t out[SCRAM_KEY_BYTES]);
int scram_hash(
    const uint8_t key[SCRAM_KEY_BYTES], uint8_t out[SCRAM_KEY_BYTES]);

#endif
