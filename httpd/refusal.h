/* SPDX-License-Identifier: Apache-2.0 */

/*
 * refusal - the answer to a request that is turned away for a limit:
 *
 *	{"code":429,"message":"...","limit":"http.stall_timeout",
 *	 "held_by":"bridge cloud","explain":"weirctl why cloud"}
 *
 * with Retry-After, where waiting helps.  Main thread.
 */

#ifndef WEIR_HTTPD_REFUSAL_H
#define WEIR_HTTPD_REFUSAL_H

#include <stddef.h>
#include <stdint.h>

/* A body with a message of up to 255 bytes fits. */
#define REFUSAL_BODY_SIZE 1024

struct limits_refusal;
struct request;

struct refusal {
	unsigned status;        /* 429, 413 or 503; also the code */
	uint32_t retry_after_s; /* 0: no line */
	const char *message;
	const char *limit;   /* the key that sets it */
	const char *held_by; /* who has what lacks, or NULL */
	const char *explain; /* the command that tells more, or NULL */
};

/* Write the body; what does not fit is cut.  Returns its length. */
size_t refusal_body(const struct refusal *refusal, char *out, size_t size);

/* Answer a request. */
void refusal_answer(struct request *request, const struct refusal *refusal);

/* Answer it for a rate limit on requests. */
void refusal_answer_rate(
    struct request *request, const struct limits_refusal *rate);

#endif
