/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scram - the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
 *
 *	client-first  ->	scram_read_first(), then who it is is looked up
 *	server-first  <-	scram_challenge()
 *	client-final  ->	scram_read_final()
 *	server-final  <-	what it wrote
 *
 * Channel binding is not offered: "SCRAM-SHA-256-PLUS" is another mechanism,
 * and a client that insists on it ("p=") is refused.  Names and texts are
 * taken as they are (ASCII is what SASLprep leaves alone).
 *
 * An exchange for a name that there is not goes the same way, with a verifier
 * that nobody fits, and fails at its end.
 *
 * Pure; any thread.
 */

#ifndef WEIR_BROKER_SCRAM_H
#define WEIR_BROKER_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/base64.h"
#include "common/base/slice.h"
#include "common/net/scram_verifier.h"

#define SCRAM_METHOD "SCRAM-SHA-256"

/* Longer messages of a client are refused. */
#define SCRAM_MAX_FIRST 1024u
#define SCRAM_MAX_NONCE 256u
#define SCRAM_MAX_USER 255u

/* Random, printable, without a comma: 18 bytes in base64. */
#define SCRAM_NONCE_BYTES 18u
#define SCRAM_NONCE_TEXT BASE64_LENGTH(SCRAM_NONCE_BYTES)

/* Room for what the server sends. */
#define SCRAM_MESSAGE_SIZE 512u

/* One exchange; zeroed at first. */
struct scram {
	char first_bare[SCRAM_MAX_FIRST + 1]; /* client-first-message-bare */
	char gs2[SCRAM_MAX_FIRST + 1];        /* the header before it */
	char user[SCRAM_MAX_USER + 1];
	char nonce[SCRAM_MAX_NONCE + SCRAM_NONCE_TEXT + 1]; /* of both */
	char server_first[SCRAM_MESSAGE_SIZE];
	struct scram_verifier verifier;
};

/*
 * client-first: scram->user is who it says it is.  False: it is ill-formed,
 * or wants what is not there.
 */
bool scram_read_first(struct scram *scram, struct slice message);

/*
 * server-first into scram->server_first, with the verifier of that user and
 * SCRAM_NONCE_BYTES that nobody can guess.
 */
void scram_challenge(struct scram *scram, const struct scram_verifier *verifier,
    const uint8_t nonce[SCRAM_NONCE_BYTES]);

/*
 * client-final.  True: it knows the password, and out_final is the answer,
 * which shows that we know it too.
 */
bool scram_read_final(struct scram *scram, struct slice message,
    char out_final[SCRAM_MESSAGE_SIZE]);

#endif
