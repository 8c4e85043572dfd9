/* SPDX-License-Identifier: Apache-2.0 */

/*
 * identity - from an Authorization header to the broker's identity handle.
 *
 * weir-httpd proves nobody's identity: it asks the broker, once, and keeps
 * the handle under a keyed hash of the credentials (SipHash-128 with a key
 * made at start).  No password and no token is kept.  The cache has a fixed
 * size; handles live IDENTITY_GOOD_NS, or as long as the broker says, refusals
 * IDENTITY_BAD_NS, all are forgotten when the broker is attached anew.
 *
 *	verdict = identity_check(identity, &question, &handle);
 *	IDENTITY_ASKED: identity_answer() will call ops.decided(request) later
 *
 * Requests with the same credentials wait for one question.  How often an
 * address may be wrong is limited: each question takes from its bucket and
 * gives back unless the answer is no.  One thread.
 */

#ifndef WEIR_HTTPD_IDENTITY_H
#define WEIR_HTTPD_IDENTITY_H

#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/slice.h"
#include "common/msg/record.h"

#define IDENTITY_GOOD_NS (60 * CLOCK_SECOND_NS)
#define IDENTITY_BAD_NS CLOCK_SECOND_NS
#define IDENTITY_ASK_NS (5 * CLOCK_SECOND_NS) /* patience with the broker */
#define IDENTITY_ASKED_MAX 64u                /* questions under way */
#define IDENTITY_USER_MAX 255u                /* bytes of a user name */
#define IDENTITY_PASSWORD_MAX 1024u           /* bytes of a password */
#define IDENTITY_NAME_SIZE RECORD_NAME_SIZE   /* of a name that is shown */

enum identity_verdict {
	IDENTITY_KNOWN,
	IDENTITY_ASKED,
	IDENTITY_MISSING,  /* no Authorization */
	IDENTITY_SCHEME,   /* neither Basic nor Bearer */
	IDENTITY_BROKEN,   /* Basic: not base64, no colon, too long */
	IDENTITY_NO_TOKEN, /* Bearer: no token, or too long */
	IDENTITY_DENIED,   /* name or password are wrong */
	IDENTITY_TOKEN_DENIED,
	IDENTITY_LIMITED, /* too many wrong ones from this address */
	IDENTITY_BUSY,    /* too many questions under way */
	IDENTITY_AWAY     /* no broker to ask, or no answer */
};

/* Who has been recognised, or why not. */
struct identity_handle {
	uint64_t identity;
	uint64_t account;              /* the account's number */
	char name[IDENTITY_NAME_SIZE]; /* its name, as one printable word */
	enum record_detail detail;     /* of IDENTITY_TOKEN_DENIED */
	uint64_t wait_ns;              /* of IDENTITY_LIMITED */
};

/* Who asks. */
struct identity_question {
	void *request;
	struct slice authorization; /* the header's value */
	const char *address;        /* of the client, for the broker's log */
	uint64_t client;            /* ... as a number, for the limit */
	uint64_t now_ns;
};

struct identity_ops {
	/* Send the question.  0, -EAGAIN or -ENOTCONN. */
	int (*ask)(void *context, const struct record_auth *auth, uint64_t id);
	/* KNOWN, (TOKEN_)DENIED, BUSY or AWAY, for one that was ASKED. */
	void (*decided)(void *context, void *request,
	    enum identity_verdict verdict,
	    const struct identity_handle *handle);
};

struct identity;

/* NULL with errno. */
struct identity *identity_new(const struct identity_ops *ops, void *context);
void identity_free(struct identity *identity);

/*
 * How many wrong credentials may come from one address: `per_second`, 0 for
 * no limit, and `burst` at once.  Without this call there is no limit.
 */
void identity_limit(struct identity *identity, uint32_t per_second,
    uint32_t burst, uint64_t now_ns);

/*
 * Who is this?  *out_handle is written on KNOWN, TOKEN_DENIED and LIMITED, as
 * far as they use it.
 */
enum identity_verdict identity_check(struct identity *identity,
    const struct identity_question *question,
    struct identity_handle *out_handle);

/* The request does not wait any more. */
void identity_forget(struct identity *identity, const void *request);

/* The broker's answer to question `id`; others are ignored. */
void identity_answer(struct identity *identity, uint64_t id,
    const struct record_auth_result *result, uint64_t now_ns);

/* A handle that the broker does not know (any more). */
void identity_drop(struct identity *identity, uint64_t handle);

/* Ask about everybody anew: the configuration has changed. */
void identity_renew(struct identity *identity);

/* Give up on questions that took too long. */
void identity_expire(struct identity *identity, uint64_t now_ns);

/* The link is gone or new: forget all, those who wait are told AWAY. */
void identity_flush(struct identity *identity, uint64_t now_ns);

#endif
