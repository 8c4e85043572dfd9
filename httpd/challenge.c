/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/challenge.h"

#include <stdio.h>

#include "httpd/connection.h"
#include "httpd/publish_json.h"

/* RFC 6750, 3: no quotes and no backslashes in it. */
static const char *
token_fault(enum record_detail detail)
{
	switch (detail) {
	case RECORD_TOKEN_UNKNOWN:
		return "no tokens are taken here; http.jwt is not set";
	case RECORD_TOKEN_CRITICAL:
		return "the token has a crit header, and no extension is known";
	case RECORD_TOKEN_ALGORITHM:
		return "the token is not signed in a way that http.jwt takes";
	case RECORD_TOKEN_SIGNATURE:
		return "the signature of the token is not right";
	case RECORD_TOKEN_NO_END:
		return "the token has no exp";
	case RECORD_TOKEN_EXPIRED:
		return "the token has expired";
	case RECORD_TOKEN_NOT_YET:
		return "the token is not valid yet";
	case RECORD_TOKEN_ISSUER:
		return "the token is of another issuer";
	case RECORD_TOKEN_AUDIENCE:
		return "the token is for another audience";
	case RECORD_TOKEN_ACCOUNT:
		return "the token names no account that there is";
	case RECORD_TOKEN_MALFORMED:
	default:
		return "this is no JSON Web Token";
	}
}

static const char *
text_of(enum identity_verdict verdict, bool takes_tokens)
{
	switch (verdict) {
	case IDENTITY_MISSING:
		return takes_tokens
		    ? "give an account or key by Basic authentication, or a "
		      "token by Bearer authentication"
		    : "give an account or key by Basic authentication";
	case IDENTITY_SCHEME:
		return "the schemes known here are Basic and Bearer";
	case IDENTITY_BROKEN:
		return "the Authorization header cannot be read: Basic and "
		       "base64 of name:password";
	default:
		return "wrong user name or password";
	}
}

/* The line for Bearer; an error is told only to who came with a token. */
static int
bearer_line(const char *fault, bool is_request, char *out, size_t size)
{
	if (fault == NULL)
		return snprintf(
		    out, size, "WWW-Authenticate: Bearer realm=\"weir\"\r\n");
	return snprintf(out, size,
	    "WWW-Authenticate: Bearer realm=\"weir\", error=\"%s\", "
	    "error_description=\"%s\"\r\n",
	    is_request ? "invalid_request" : "invalid_token", fault);
}

void
challenge_answer(struct request *request, bool takes_tokens,
    enum identity_verdict verdict, enum record_detail detail)
{
	const char *fault = NULL;
	char lines[512] = "";
	int length = 0;

	if (verdict == IDENTITY_TOKEN_DENIED)
		fault = token_fault(detail);
	else if (verdict == IDENTITY_NO_TOKEN)
		fault = "a token of 1 to 8192 bytes belongs behind Bearer";
	if (takes_tokens || fault != NULL)
		length = bearer_line(
		    fault, verdict == IDENTITY_NO_TOKEN, lines, sizeof(lines));
	snprintf(
	    lines + length, sizeof(lines) - (size_t)length, CHALLENGE_BASIC);
	request_answer_error(request, 401,
	    verdict == IDENTITY_MISSING ? PUBLISH_CODE_NO_CREDENTIALS
					: PUBLISH_CODE_BAD_CREDENTIALS,
	    0, lines, fault != NULL ? fault : text_of(verdict, takes_tokens));
}
