/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_jwt - tokens, as they come and rightly signed.
 *
 * As it comes, nothing is ever a token: there is no key to be guessed.  The
 * same bytes, cut in two by the first line's end, are signed as header and
 * claims, so that what lies behind the signature is reached as well.
 */

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/auth.h"
#include "broker/auth_jwt.h"
#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/conf/conf.h"
#include "tests/fuzz/fuzz.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_NS (UINT64_C(1800000000) * CLOCK_SECOND_NS)

static struct auth_jwt *
make_rules(void)
{
	static char sub[] = "sub", scope[] = "scope", weir[] = "weir";
	char path[] = "/tmp/weir-fuzz-jwt-XXXXXX";
	struct conf_jwt rules[2] = {
		{ .account_claim = sub, .scope_claim = scope, .key_file = path }
	};
	struct auth_jwt *set;
	int fd = mkstemp(path);

	BUG_ON(sodium_init() < 0);
	BUG_ON(write(fd, SECRET, sizeof(SECRET) - 1) !=
	    (ssize_t)sizeof(SECRET) - 1);
	close(fd);
	rules[1] = rules[0];
	rules[1].audience = weir;
	rules[1].leeway_ns = CLOCK_SECOND_NS;
	BUG_ON(auth_jwt_load(rules, 2, &set) != 0);
	unlink(path);
	return set;
}

/* Append what these bytes are in base64url. */
static size_t
encode(char *out, size_t length, const uint8_t *bytes, size_t count)
{
	sodium_bin2base64(out + length, 4 * count / 3 + 8, bytes, count,
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	return length + strlen(out + length);
}

static size_t
sign(const uint8_t *data, size_t size, char *out)
{
	size_t cut = slice_find(slice_of(data, size), '\n'), length;
	crypto_auth_hmacsha256_state state;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];

	length = encode(out, 0, data, cut);
	out[length++] = '.';
	if (cut < size)
		length = encode(out, length, data + cut + 1, size - cut - 1);
	crypto_auth_hmacsha256_init(
	    &state, (const uint8_t *)SECRET, sizeof(SECRET) - 1);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)out, length);
	crypto_auth_hmacsha256_final(&state, mac);
	out[length++] = '.';
	return encode(out, length, mac, sizeof(mac));
}

static void
check(const struct auth_token *token)
{
	BUG_ON(token->ends_ns <= NOW_NS);
	BUG_ON((token->rights & ~(unsigned)AUTH_ALL_RIGHTS) != 0);
	BUG_ON(strlen(token->account) > AUTH_ACCOUNT_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth_jwt *set;
	struct auth_token token;
	char *text;
	size_t length;

	if (set == NULL)
		set = make_rules();
	BUG_ON(auth_jwt_verify(set, slice_of(data, size), NOW_NS, &token) ==
	    RECORD_DETAIL_NONE);
	text = malloc(2 * size + 128);
	if (text == NULL)
		return 0;
	length = sign(data, size, text);
	if (auth_jwt_verify(set, slice_of(text, length), NOW_NS, &token) ==
	    RECORD_DETAIL_NONE)
		check(&token);
	free(text);
	return 0;
}
