/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/identity.h"

#include <errno.h>
#include <stdio.h>

#include "tests/unit/unit.h"

/* "admin:public", "admin:wrong", "a" (no colon) */
#define GOOD_HEADER "Basic YWRtaW46cHVibGlj"
#define OTHER_HEADER "Basic YWRtaW46d3Jvbmc="
#define NO_COLON "Basic YQ=="

static struct world {
	struct identity *identity;
	int ask_error;
	unsigned asked;
	uint64_t last_id;
	char user[64], password[64];
	enum record_auth_kind kind;
	uint64_t client;
	uint8_t detail;
	uint32_t valid_ms;
	unsigned decided[16];
	void *last_request;
	struct identity_handle handle;
} world;

static int
ask(void *context, const struct record_auth *auth, uint64_t id)
{
	(void)context;
	if (world.ask_error != 0)
		return world.ask_error;
	world.asked++;
	world.last_id = id;
	world.kind = auth->kind;
	snprintf(world.user, sizeof(world.user), "%.*s", (int)auth->user.len,
	    (const char *)auth->user.data);
	snprintf(world.password, sizeof(world.password), "%.*s",
	    (int)auth->password.len, (const char *)auth->password.data);
	return 0;
}

static void
decided(void *context, void *request, enum identity_verdict verdict,
    const struct identity_handle *handle)
{
	(void)context;
	world.decided[verdict]++;
	world.last_request = request;
	world.handle = *handle;
}

static void
setup(void)
{
	static const struct identity_ops ops = { .ask = ask,
		.decided = decided };

	world = (struct world){ .asked = 0 };
	world.identity = identity_new(&ops, NULL);
	ck_assert_ptr_nonnull(world.identity);
}

static void
teardown(void)
{
	identity_free(world.identity);
}

static enum identity_verdict
check(void *request, const char *header, uint64_t now_ns)
{
	const struct identity_question question = {
		.request = request,
		.authorization = slice_of_string(header),
		.address = "192.0.2.1",
		.client = world.client,
		.now_ns = now_ns,
	};

	return identity_check(world.identity, &question, &world.handle);
}

static void
answer(uint8_t code, uint64_t handle, uint64_t now_ns)
{
	struct record_auth_result a = { .code = code,
		.detail = world.detail,
		.valid_ms = world.valid_ms,
		.identity = handle,
		.account = 7,
		.name = "admin" };

	identity_answer(world.identity, world.last_id, &a, now_ns);
}

START_TEST(asks_once_and_remembers)
{
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
	ck_assert_str_eq(world.user, "admin");
	ck_assert_str_eq(world.password, "public");
	answer(0, 99, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_KNOWN], 1);
	ck_assert_uint_eq(world.handle.identity, 99);
	ck_assert_str_eq(world.handle.name, "admin");
	ck_assert_uint_eq(world.handle.account, 7);
	world.handle.identity = 0;
	ck_assert_int_eq(check(&world, GOOD_HEADER, 1), IDENTITY_KNOWN);
	ck_assert_uint_eq(world.handle.identity, 99);
	ck_assert_uint_eq(world.asked, 1);
}
END_TEST

START_TEST(requests_with_the_same_credentials_wait_for_one_question)
{
	int a, b;

	ck_assert_int_eq(check(&a, GOOD_HEADER, 0), IDENTITY_ASKED);
	ck_assert_int_eq(check(&b, GOOD_HEADER, 0), IDENTITY_ASKED);
	ck_assert_uint_eq(world.asked, 1);
	answer(0, 1, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_KNOWN], 2);
	ck_assert_ptr_eq(world.last_request, &b);
}
END_TEST

START_TEST(remembers_a_refusal_for_a_short_time_only)
{
	check(&world, OTHER_HEADER, 0);
	answer(0x86, 0, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_DENIED], 1);
	ck_assert_int_eq(check(&world, OTHER_HEADER, 1), IDENTITY_DENIED);
	ck_assert_int_eq(
	    check(&world, OTHER_HEADER, IDENTITY_BAD_NS), IDENTITY_ASKED);
}
END_TEST

START_TEST(does_not_mistake_one_password_for_another)
{
	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	ck_assert_int_eq(check(&world, OTHER_HEADER, 0), IDENTITY_ASKED);
	ck_assert_uint_eq(world.asked, 2);
}
END_TEST

START_TEST(asks_again_after_the_time_to_live)
{
	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	ck_assert_int_eq(
	    check(&world, GOOD_HEADER, IDENTITY_GOOD_NS), IDENTITY_ASKED);
}
END_TEST

START_TEST(tells_missing_and_broken_headers_apart)
{
	ck_assert_int_eq(check(&world, "", 0), IDENTITY_MISSING);
	ck_assert_int_eq(check(&world, "Digest abc", 0), IDENTITY_SCHEME);
	ck_assert_int_eq(check(&world, "Bearer", 0), IDENTITY_NO_TOKEN);
	ck_assert_int_eq(check(&world, "Bearer  ", 0), IDENTITY_NO_TOKEN);
	/* "a:\0", "a:b\x7f", "a\n:b" */
	ck_assert_int_eq(check(&world, "Basic YToA", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, "Basic YTpifw==", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, "Basic YQo6Yg==", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, "Basic", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, "Basic ", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, "Basic !!!!", 0), IDENTITY_BROKEN);
	ck_assert_int_eq(check(&world, NO_COLON, 0), IDENTITY_BROKEN);
	ck_assert_int_eq(
	    check(&world, "basic  YWRtaW46cHVibGlj ", 0), IDENTITY_ASKED);
	ck_assert_uint_eq(world.asked, 1);
}
END_TEST

START_TEST(a_token_is_the_brokers_to_judge)
{
	ck_assert_int_eq(check(&world, "bearer a.b.c", 0), IDENTITY_ASKED);
	ck_assert_int_eq(world.kind, RECORD_AUTH_BEARER);
	ck_assert_str_eq(world.user, "");
	ck_assert_str_eq(world.password, "a.b.c");
	world.detail = RECORD_TOKEN_EXPIRED;
	answer(0x86, 0, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_TOKEN_DENIED], 1);
	ck_assert_int_eq(world.handle.detail, RECORD_TOKEN_EXPIRED);
	world.handle.detail = RECORD_DETAIL_NONE;
	ck_assert_int_eq(
	    check(&world, "Bearer a.b.c", 1), IDENTITY_TOKEN_DENIED);
	ck_assert_int_eq(world.handle.detail, RECORD_TOKEN_EXPIRED);
	ck_assert_uint_eq(world.asked, 1);
}
END_TEST

START_TEST(a_token_of_8192_bytes_is_the_longest)
{
	static char header[8 + 8193];

	memset(header, 'a', sizeof(header) - 1);
	memcpy(header, "Bearer ", 7);
	ck_assert_int_eq(check(&world, header, 0), IDENTITY_NO_TOKEN);
	header[7 + 8192] = '\0';
	ck_assert_int_eq(check(&world, header, 0), IDENTITY_ASKED);
}
END_TEST

/* "YWRtaW46cHVibGlj" as a token is not the password that it encodes. */
START_TEST(a_token_is_no_password)
{
	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	ck_assert_int_eq(
	    check(&world, "Bearer YWRtaW46cHVibGlj", 0), IDENTITY_ASKED);
	ck_assert_uint_eq(world.asked, 2);
}
END_TEST

START_TEST(a_handle_is_kept_as_long_as_the_broker_says)
{
	world.valid_ms = 1500;
	check(&world, "Bearer a.b.c", 0);
	answer(0, 5, 1000);
	ck_assert_int_eq(
	    check(&world, "Bearer a.b.c", 1500 * CLOCK_MS_NS), IDENTITY_KNOWN);
	ck_assert_int_eq(
	    check(&world, "Bearer a.b.c", 1500 * CLOCK_MS_NS + 1000),
	    IDENTITY_ASKED);
	/* Never longer than any other. */
	world.valid_ms = UINT32_MAX;
	answer(0, 5, 0);
	ck_assert_int_eq(
	    check(&world, "Bearer a.b.c", IDENTITY_GOOD_NS), IDENTITY_ASKED);
}
END_TEST

START_TEST(asks_anew_when_the_configuration_has_changed)
{
	int waiting;

	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	check(&waiting, OTHER_HEADER, 0);
	identity_renew(world.identity);
	ck_assert_uint_eq(world.decided[IDENTITY_AWAY], 0);
	answer(0x86, 0, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_DENIED], 1);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
}
END_TEST

/* Wrong ones, each another, from one address. */
static enum identity_verdict
guess(unsigned number, uint64_t now_ns)
{
	enum identity_verdict verdict;
	char header[64];

	snprintf(header, sizeof(header), "Bearer guess-%u", number);
	verdict = check(&world, header, now_ns);
	if (verdict == IDENTITY_ASKED)
		answer(0x86, 0, now_ns);
	return verdict;
}

START_TEST(limits_how_often_an_address_is_wrong)
{
	identity_limit(world.identity, 1, 5, 0);
	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0); /* right: nothing is taken */
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(guess(i, 0), IDENTITY_ASKED);
	ck_assert_int_eq(guess(5, 0), IDENTITY_LIMITED);
	ck_assert_uint_eq(world.handle.wait_ns, CLOCK_SECOND_NS);
	ck_assert_int_eq(guess(6, CLOCK_SECOND_NS / 4), IDENTITY_LIMITED);
	ck_assert_uint_eq(world.handle.wait_ns, CLOCK_SECOND_NS / 4 * 3);

	/* Who was right a moment ago still is; others are not limited. */
	ck_assert_int_eq(check(&world, GOOD_HEADER, 1), IDENTITY_KNOWN);
	world.client = 9;
	ck_assert_int_eq(guess(7, 0), IDENTITY_ASKED);
	world.client = 0;
	ck_assert_int_eq(guess(8, CLOCK_SECOND_NS), IDENTITY_ASKED);
	ck_assert_int_eq(guess(9, CLOCK_SECOND_NS), IDENTITY_LIMITED);
}
END_TEST

/* The cache has 1024 places. */
START_TEST(a_limited_address_pushes_nobody_out)
{
	identity_limit(world.identity, 1, 1, 0);
	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	for (unsigned i = 0; i < 20000; i++)
		guess(i, 0);
	ck_assert_uint_eq(world.asked, 2);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_KNOWN);
}
END_TEST

START_TEST(what_nobody_judged_is_not_wrong)
{
	identity_limit(world.identity, 1, 1, 0);
	world.ask_error = -EAGAIN;
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(guess(i, 0), IDENTITY_BUSY);
	world.ask_error = 0;
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
		answer(0x89, 0, 0);
	}
	ck_assert_int_eq(guess(9, 0), IDENTITY_ASKED);
	ck_assert_int_eq(guess(10, 0), IDENTITY_LIMITED);
}
END_TEST

/* A broker that hangs or restarts says nothing of the credentials. */
START_TEST(what_was_never_answered_is_not_wrong)
{
	identity_limit(world.identity, 1, 2, 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
		identity_flush(world.identity, 0);
		ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
		identity_expire(world.identity, IDENTITY_ASK_NS);
	}
	ck_assert_uint_eq(world.decided[IDENTITY_AWAY], 6);
	ck_assert_int_eq(guess(0, 0), IDENTITY_ASKED);
	ck_assert_int_eq(guess(1, 0), IDENTITY_ASKED);
	ck_assert_int_eq(guess(2, 0), IDENTITY_LIMITED);
}
END_TEST

START_TEST(forgets_all_when_the_broker_is_new)
{
	int waiting;

	check(&world, GOOD_HEADER, 0);
	answer(0, 1, 0);
	check(&waiting, OTHER_HEADER, 0);
	identity_flush(world.identity, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_AWAY], 1);
	ck_assert_ptr_eq(world.last_request, &waiting);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
}
END_TEST

START_TEST(does_not_tell_a_client_that_left)
{
	check(&world, GOOD_HEADER, 0);
	identity_forget(world.identity, &world);
	answer(0, 1, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_KNOWN], 0);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_KNOWN);
}
END_TEST

START_TEST(gives_up_when_the_broker_does_not_answer)
{
	check(&world, GOOD_HEADER, 0);
	identity_expire(world.identity, IDENTITY_ASK_NS - 1);
	ck_assert_uint_eq(world.decided[IDENTITY_AWAY], 0);
	identity_expire(world.identity, IDENTITY_ASK_NS);
	ck_assert_uint_eq(world.decided[IDENTITY_AWAY], 1);
	/* The late answer belongs to nobody. */
	answer(0, 1, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_KNOWN], 0);
}
END_TEST

START_TEST(busy_is_neither_remembered_nor_a_refusal)
{
	check(&world, GOOD_HEADER, 0);
	answer(0x89, 0, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_BUSY], 1);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
}
END_TEST

START_TEST(drops_a_handle_that_the_broker_does_not_know)
{
	check(&world, GOOD_HEADER, 0);
	answer(0, 5, 0);
	identity_drop(world.identity, 5);
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
}
END_TEST

START_TEST(reports_a_broker_that_cannot_be_asked)
{
	world.ask_error = -ENOTCONN;
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_AWAY);
	world.ask_error = -EAGAIN;
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_BUSY);
	world.ask_error = 0;
	ck_assert_int_eq(check(&world, GOOD_HEADER, 0), IDENTITY_ASKED);
	answer(0, 1, 0);
	ck_assert_uint_eq(world.decided[IDENTITY_KNOWN], 1);
}
END_TEST

/* Guessing passwords neither grows memory nor pushes questions out. */
START_TEST(bounds_the_questions_under_way)
{
	char header[64];
	unsigned busy = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(header, sizeof(header), "Bearer %d", i);
		busy += check(&world, header, 0) == IDENTITY_BUSY;
	}
	ck_assert_uint_le(world.asked, IDENTITY_ASKED_MAX);
	ck_assert_uint_ge(world.asked, IDENTITY_ASKED_MAX / 2);
	ck_assert_uint_gt(busy, 900);
}
END_TEST

START_TEST(an_answered_question_makes_room_for_another)
{
	char header[64];

	for (unsigned i = 0; i < 3 * IDENTITY_ASKED_MAX; i++) {
		snprintf(header, sizeof(header), "Bearer %u", i);
		ck_assert_int_eq(check(&world, header, 0), IDENTITY_ASKED);
		answer(0, 1, 0);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_identity");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks_once_and_remembers);
	tcase_add_test(
	    tc, requests_with_the_same_credentials_wait_for_one_question);
	tcase_add_test(tc, remembers_a_refusal_for_a_short_time_only);
	tcase_add_test(tc, does_not_mistake_one_password_for_another);
	tcase_add_test(tc, asks_again_after_the_time_to_live);
	tcase_add_test(tc, tells_missing_and_broken_headers_apart);
	tcase_add_test(tc, a_token_is_the_brokers_to_judge);
	tcase_add_test(tc, a_token_of_8192_bytes_is_the_longest);
	tcase_add_test(tc, a_token_is_no_password);
	tcase_add_test(tc, a_handle_is_kept_as_long_as_the_broker_says);
	tcase_add_test(tc, asks_anew_when_the_configuration_has_changed);
	tcase_add_test(tc, limits_how_often_an_address_is_wrong);
	tcase_add_test(tc, a_limited_address_pushes_nobody_out);
	tcase_add_test(tc, what_nobody_judged_is_not_wrong);
	tcase_add_test(tc, what_was_never_answered_is_not_wrong);
	tcase_add_test(tc, forgets_all_when_the_broker_is_new);
	tcase_add_test(tc, does_not_tell_a_client_that_left);
	tcase_add_test(tc, gives_up_when_the_broker_does_not_answer);
	tcase_add_test(tc, busy_is_neither_remembered_nor_a_refusal);
	tcase_add_test(tc, drops_a_handle_that_the_broker_does_not_know);
	tcase_add_test(tc, reports_a_broker_that_cannot_be_asked);
	tcase_add_test(tc, bounds_the_questions_under_way);
	tcase_add_test(tc, an_answered_question_makes_room_for_another);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
