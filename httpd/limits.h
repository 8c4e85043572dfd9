/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limits - how many messages a second may come in: over all, per account,
 * per client address.
 *
 * Accounts and addresses have tables of a fixed size.  A new key takes the
 * place of the fullest bucket in its set of 8: a full bucket holds no
 * memory of its owner, so usually nothing is lost; who floods the table with
 * addresses gets bursts, but never past the global rate.
 */

#ifndef WEIR_HTTPD_LIMITS_H
#define WEIR_HTTPD_LIMITS_H

#include <stdint.h>

struct limits;

/* per_second 0: no limit. */
struct limits_rate {
	uint32_t per_second;
	uint32_t burst;
};

struct limits_config {
	struct limits_rate global;
	struct limits_rate per_account;
	struct limits_rate per_client;
};

/* Which limit said no. */
enum limits_verdict {
	LIMITS_PASS,
	LIMITS_GLOBAL,
	LIMITS_ACCOUNT,
	LIMITS_CLIENT
};

/* NULL without memory. */
struct limits *limits_new(const struct limits_config *config, uint64_t now_ns);
void limits_free(struct limits *limits);

/*
 * Take `messages` from all buckets that `account` and `client` (hashes) are
 * under, or from none.  If not LIMITS_PASS, *out_wait_ns says when to come
 * back: TOKEN_BUCKET_NEVER if a burst can never be that large.
 */
enum limits_verdict limits_take(struct limits *limits, uint64_t account,
    uint64_t client, uint32_t messages, uint64_t now_ns, uint64_t *out_wait_ns);

/* "http.rate", for the client's information. */
const char *limits_name(enum limits_verdict verdict);

#endif
