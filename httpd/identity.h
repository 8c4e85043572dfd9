/* SPDX-License-Identifier: Apache-2.0 */

/*
 * identity - from an Authorization header to the broker's identity handle.
 *
 * weir-httpd proves nobody's identity: it asks the broker, once, and keeps
 * the handle under a keyed hash of the credentials (SipHash-128 with a key
 * made at start).  No password is kept.  The cache has a fixed size; handles
 * live IDENTITY_GOOD_NS, refusals IDENTITY_BAD_NS, all are forgotten when
 * the broker is attached anew.
 *
 *	verdict = identity_check(identity, request, header, now, &handle);
 *	IDENTITY_ASKED: identity_answer() will call ops.decided(request) later
 *
 * Requests with the same credentials wait for one question.  One thread.
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
#define IDENTITY_TEXT_MAX 255u                /* user name or password */
#define IDENTITY_NAME_SIZE 32u                /* of a name that is shown */

enum identity_verdict {
	IDENTITY_KNOWN,
	IDENTITY_ASKED,
	IDENTITY_MISSING, /* no Authorization */
	IDENTITY_SCHEME,  /* not Basic */
	IDENTITY_BROKEN,  /* not base64, no colon, too long */
	IDENTITY_DENIED,
	IDENTITY_BUSY, /* too many questions under way */
	IDENTITY_AWAY  /* no broker to ask, or no answer */
};

/* Who has been recognised. */
struct identity_handle {
	uint64_t identity;
	uint64_t account;              /* hash of the user name */
	char name[IDENTITY_NAME_SIZE]; /* it, as one printable word */
};

struct identity_ops {
	/* Send the question.  0, -EAGAIN or -ENOTCONN. */
	int (*ask)(void *context, const struct record_auth *auth, uint64_t id);
	/* IDENTITY_KNOWN, DENIED, BUSY or AWAY, for one that was ASKED. */
	void (*decided)(void *context, void *request,
	    enum identity_verdict verdict,
	    const struct identity_handle *handle);
};

struct identity;

/* NULL with errno. */
struct identity *identity_new(const struct identity_ops *ops, void *context);
void identity_free(struct identity *identity);

/*
 * Who is this?  `address` is the client's, for the broker's log.
 * *out_handle is written on IDENTITY_KNOWN only.
 */
enum identity_verdict identity_check(struct identity *identity, void *request,
    struct slice authorization, const char *address, uint64_t now_ns,
    struct identity_handle *out_handle);

/* The request does not wait any more. */
void identity_forget(struct identity *identity, const void *request);

/* The broker's answer to question `id`; others are ignored. */
void identity_answer(struct identity *identity, uint64_t id,
    const struct record_answer *answer, uint64_t now_ns);

/* A handle that the broker does not know (any more). */
void identity_drop(struct identity *identity, uint64_t handle);

/* Give up on questions that took too long. */
void identity_expire(struct identity *identity, uint64_t now_ns);

/* The link is gone or new: forget all, those who wait are told AWAY. */
void identity_flush(struct identity *identity);

#endif
