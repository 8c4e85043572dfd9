/* SPDX-License-Identifier: Apache-2.0 */

/* The exchange of RFC 7677, section 3, and what does not keep to it. */

#include "broker/scram.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define NONCE CLIENT_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER_FIRST "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define FINAL "c=biws,r=" NONCE
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram scram;
static char final[SCRAM_MESSAGE_SIZE];
static const uint8_t dice[SCRAM_NONCE_BYTES] = "eighteen bytes it";

static bool
first(const char *message)
{
	memset(&scram, 0, sizeof(scram));
	return scram_read_first(&scram, slice_of_string(message));
}

static void
verifier_of(const char *password, struct scram_verifier *out)
{
	uint8_t salt[16];
	size_t length;

	ck_assert_int_eq(
	    base64_decode(slice_of_string("W22ZaJ0SNY7soEsUEjb6gQ=="), salt,
		sizeof(salt), &length),
	    0);
	ck_assert_int_eq(scram_verifier_make(slice_of_string(password),
			     slice_of(salt, length), 4096, out),
	    0);
}

/* As far as the server-first-message of the RFC. */
static void
challenged(const char *client_first, const char *password)
{
	struct scram_verifier verifier;

	ck_assert(first(client_first));
	verifier_of(password, &verifier);
	scram_challenge(&scram, &verifier, dice);
	strcpy(scram.nonce, NONCE);
	strcpy(scram.server_first, SERVER_FIRST);
}

static bool
last(const char *message)
{
	return scram_read_final(&scram, slice_of_string(message), final);
}

START_TEST(does_the_exchange_of_the_rfc)
{
	challenged("n,,n=user,r=" CLIENT_NONCE, "pencil");
	ck_assert_str_eq(scram.user, "user");
	ck_assert(last(FINAL ",p=" PROOF));
	ck_assert_str_eq(final, SERVER_FINAL);
}
END_TEST

START_TEST(challenges_with_both_nonces_the_salt_and_the_iterations)
{
	struct scram_verifier verifier;

	ck_assert(first("n,,n=user,r=" CLIENT_NONCE));
	verifier_of("pencil", &verifier);
	scram_challenge(&scram, &verifier, dice);
	ck_assert_str_eq(scram.server_first,
	    "r=" CLIENT_NONCE "ZWlnaHRlZW4gYnl0ZXMgaXQA"
	    ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
}
END_TEST

START_TEST(refuses_another_password_and_another_proof)
{
	challenged("n,,n=user,r=" CLIENT_NONCE, "pencils");
	ck_assert(!last(FINAL ",p=" PROOF));
	challenged("n,,n=user,r=" CLIENT_NONCE, "pencil");
	ck_assert(
	    !last(FINAL ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
	/* What was said is part of the proof. */
	challenged("n,,n=user,r=" CLIENT_NONCE ",x=y", "pencil");
	ck_assert(!last(FINAL ",p=" PROOF));
	challenged("n,,n=user,r=" CLIENT_NONCE, "pencil");
	ck_assert(!last(FINAL ",x=y,p=" PROOF));
}
END_TEST

START_TEST(refuses_a_first_message_that_is_none)
{
	static const char *const bad[] = {
		"",
		"n",
		"n,",
		"n,,",
		"n,,n=user",
		"n,,n=user,",
		"n,,n=user,r=",
		"n,,r=abc,n=user",
		"n,,n=,r=abc",
		"n,,m=ext,n=user,r=abc",
		"p=tls-unique,,n=user,r=abc",
		"x,,n=user,r=abc",
		"n,user,n=user,r=abc",
		"n,a=other,n=user,r=abc",
		"n,a=,n=user,r=abc",
		"n,,n=us=er,r=abc",
		"n,,n=us=2,r=abc",
		"n,,n=us=2c,r=abc",
		"n,,n=user,r=a b",
		"n,,n=user,r=a\x7f",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!first(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(reads_names_with_commas_and_equals_signs)
{
	ck_assert(first("y,a=a=2Cb=3D,n=a=2Cb=3D,r=abc"));
	ck_assert_str_eq(scram.user, "a,b=");
	ck_assert_str_eq(scram.gs2, "y,a=a=2Cb=3D,");
	ck_assert_str_eq(scram.first_bare, "n=a=2Cb=3D,r=abc");
}
END_TEST

START_TEST(takes_no_longer_texts_than_it_has_room_for)
{
	char message[SCRAM_MAX_FIRST + 2], name[SCRAM_MAX_USER + 2];
	char nonce[SCRAM_MAX_NONCE + 2];

	memset(name, 'u', sizeof(name));
	name[SCRAM_MAX_USER] = '\0';
	snprintf(message, sizeof(message), "n,,n=%s,r=abc", name);
	ck_assert(first(message));
	snprintf(message, sizeof(message), "n,,n=%su,r=abc", name);
	ck_assert(!first(message));

	memset(nonce, 'r', sizeof(nonce));
	nonce[SCRAM_MAX_NONCE] = '\0';
	snprintf(message, sizeof(message), "n,,n=user,r=%s", nonce);
	ck_assert(first(message));
	snprintf(message, sizeof(message), "n,,n=user,r=%sr", nonce);
	ck_assert(!first(message));

	snprintf(message, sizeof(message), "n,,n=user,r=abc,x=%01000d", 1);
	message[SCRAM_MAX_FIRST] = '\0';
	ck_assert(first(message));
	ck_assert(
	    !scram_read_first(&scram, slice_of(message, SCRAM_MAX_FIRST + 1)));
}
END_TEST

START_TEST(refuses_a_final_message_that_is_none)
{
	static const char *const bad[] = {
		"",
		"c=biws",
		FINAL,
		FINAL ",p=",
		FINAL ",p=" PROOF "AAAA",
		FINAL ",p=dHzbZapWIk4jUhN+Ute9yt==",
		FINAL ",p=" PROOF ",x=y",
		"r=" NONCE ",c=biws,p=" PROOF,
		"c=eSws,r=" NONCE ",p=" PROOF,
		"c=,r=" NONCE ",p=" PROOF,
		"c=biws,r=" CLIENT_NONCE ",p=" PROOF,
		"c=biws,r=" NONCE "x,p=" PROOF,
		("c=biws,p=" PROOF),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		challenged("n,,n=user,r=" CLIENT_NONCE, "pencil");
		ck_assert_msg(!last(bad[i]), "%s", bad[i]);
	}
	/* It was not the test's fault. */
	ck_assert(last(FINAL ",p=" PROOF));
}
END_TEST

START_TEST(a_verifier_is_the_same_after_its_text)
{
	char text[SCRAM_VERIFIER_TEXT_SIZE], again[SCRAM_VERIFIER_TEXT_SIZE];
	struct scram_verifier verifier, read;

	verifier_of("pencil", &verifier);
	ck_assert_int_eq(
	    scram_verifier_parse(scram_verifier_print(&verifier, text), &read),
	    0);
	ck_assert_str_eq(scram_verifier_print(&read, again), text);
	ck_assert_str_eq(text,
	    "$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$"
	    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
	    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
}
END_TEST

START_TEST(refuses_a_text_that_is_no_verifier)
{
	static const char *const bad[] = {
		"",
		"$scram-sha-256$",
		"$scram-sha-1$i=4096$AAAA$A$A",
		"$scram-sha-256$i=4095$W22ZaJ0SNY7soEsUEjb6gQ==$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=x",
		"$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$",
		"$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ=$"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"$scram-sha-256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ==$AAAA$"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	};
	struct scram_verifier verifier;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(
		    scram_verifier_parse(bad[i], &verifier), -EINVAL);
	ck_assert_int_eq(scram_verifier_make(slice_of_string("a"),
			     slice_of_string("salt"), 4095, &verifier),
	    -EINVAL);
	ck_assert_int_eq(scram_verifier_make(slice_of_string("a"),
			     slice_of(NULL, 0), 4096, &verifier),
	    -EINVAL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scram");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, does_the_exchange_of_the_rfc);
	tcase_add_test(
	    tc, challenges_with_both_nonces_the_salt_and_the_iterations);
	tcase_add_test(tc, refuses_another_password_and_another_proof);
	tcase_add_test(tc, refuses_a_first_message_that_is_none);
	tcase_add_test(tc, reads_names_with_commas_and_equals_signs);
	tcase_add_test(tc, takes_no_longer_texts_than_it_has_room_for);
	tcase_add_test(tc, refuses_a_final_message_that_is_none);
	tcase_add_test(tc, a_verifier_is_the_same_after_its_text);
	tcase_add_test(tc, refuses_a_text_that_is_no_verifier);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
