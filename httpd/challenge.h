/* SPDX-License-Identifier: Apache-2.0 */

/*
 * challenge - the answer to who may not come in: 401 with WWW-Authenticate.
 *
 * It names the schemes that are taken here, Bearer (RFC 6750) where tokens
 * are, and Basic (RFC 7617).  What is wrong with a token is said; of a name
 * and password never more than that they are.  Main thread.
 */

#ifndef WEIR_HTTPD_CHALLENGE_H
#define WEIR_HTTPD_CHALLENGE_H

#include <stdbool.h>

#include "httpd/identity.h"

struct request;

/* The line for Basic; also of an account that the broker has forgotten. */
#define CHALLENGE_BASIC                                                        \
	"WWW-Authenticate: Basic realm=\"weir\", charset=\"UTF-8\"\r\n"

/*
 * Answer for MISSING, SCHEME, BROKEN, NO_TOKEN, DENIED and TOKEN_DENIED;
 * `detail` is of the last.  `takes_tokens`: there are rules in http.jwt.
 */
void challenge_answer(struct request *request, bool takes_tokens,
    enum identity_verdict verdict, enum record_detail detail);

#endif
