/* SPDX-License-Identifier: Apache-2.0 */

/*
 * limits - how many requests, messages and bytes a second may come in: over
 * all, per account, per client address, per topic filter.
 *
 *	on the head		limits_take_request()
 *	it is who it says	limits_take_account_request()
 *	each message		limits_take_message()
 *
 * Each call takes from all the buckets that it is under, or from none, and
 * tells the limit with the longest wait: after that time the same call passes
 * if nobody else took meanwhile.  A limit is called as the key that sets it:
 *
 *	http.rate.per_second			messages, over all
 *	http.rate_per_client.requests_per_second
 *	http.rate_per_filter.sensors.bytes_per_second
 *
 * Accounts and addresses have tables of a fixed size (limits_table.h).  One
 * thread.
 */

#ifndef WEIR_HTTPD_LIMITS_H
#define WEIR_HTTPD_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

/* Filters that may have limits: bits of the mask below. */
#define LIMITS_FILTERS 64u

/* The longest name with its NUL. */
#define LIMITS_NAME_SIZE 96

struct limits;

enum limits_unit {
	LIMITS_REQUESTS,
	LIMITS_MESSAGES,
	LIMITS_BYTES, /* of topics and payloads */
	LIMITS_UNITS
};

/* per_second 0: no limit; else neither is 0. */
struct limits_rate {
	uint32_t per_second;
	uint32_t burst;
};

struct limits_rates {
	struct limits_rate unit[LIMITS_UNITS];
};

struct limits_filter {
	const char *name;   /* of at most 32 bytes, differing */
	const char *filter; /* valid */
	struct limits_rates rates;
};

/* Only read during the calls it is given to. */
struct limits_config {
	struct limits_rates global;
	struct limits_rates per_account;
	struct limits_rates per_client;
	const struct limits_filter *filters;
	size_t filter_count; /* <= LIMITS_FILTERS */
};

/* Who asks: hashes of the account's name and of the client's address. */
struct limits_who {
	uint64_t account;
	uint64_t client;
};

struct limits_refusal {
	const char *limit; /* until the next limits_change() */
	uint64_t wait_ns;  /* TOKEN_BUCKET_NEVER: it is larger than a burst */
};

/* `seed` is random.  NULL without memory. */
struct limits *limits_new(
    const struct limits_config *config, uint64_t seed, uint64_t now_ns);
void limits_free(struct limits *limits);

/*
 * Other limits from now on; what is in the buckets stays, as far as it fits,
 * those of filters by their names.  Returns 0, or -ENOMEM: nothing changed.
 */
int limits_change(
    struct limits *limits, const struct limits_config *config, uint64_t now_ns);

/* A request came from an address.  False: *out says why not. */
bool limits_take_request(struct limits *limits, uint64_t client,
    uint64_t now_ns, struct limits_refusal *out);

/*
 * It is this account's.  False: *out says why not, and what the call above
 * took is given back.
 */
bool limits_take_account_request(struct limits *limits,
    const struct limits_who *who, uint64_t now_ns, struct limits_refusal *out);

/*
 * One message.  *requested has a bit for each filter whose request bucket has
 * been asked for this request already; begin with 0.  False: *out says why
 * not.
 */
bool limits_take_message(struct limits *limits, const struct limits_who *who,
    struct slice topic, uint32_t bytes, uint64_t *requested, uint64_t now_ns,
    struct limits_refusal *out);

/* The wait in whole seconds, rounded up, for Retry-After; not for NEVER. */
uint32_t limits_retry_after_s(const struct limits_refusal *refusal);

/* For the metrics: each limit that is set, and how often it said no. */
void limits_each(const struct limits *limits,
    void (*each)(void *context, const char *limit, uint64_t refused),
    void *context);

#endif
