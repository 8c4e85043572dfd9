/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/asks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "httpd/counters.h"
#include "tests/unit/unit.h"

static struct world {
	struct asks *asks;
	struct stats *stats;
	int err;
	uint64_t last_id, identity;
	unsigned asked, done, status;
	void *owner;
	char answer[512];
	size_t length;
} world;

static int
ask(void *context, struct slice question, uint64_t identity, uint64_t id)
{
	(void)context;
	ck_assert_uint_gt(question.len, 0);
	if (world.err != 0)
		return world.err;
	world.identity = identity;
	world.last_id = id;
	world.asked++;
	return 0;
}

static const char *
away_reason(void *context)
{
	(void)context;
	return "it is \"away\"\n";
}

static void
done(void *owner, unsigned status, struct slice answer)
{
	world.done++;
	world.owner = owner;
	world.status = status;
	world.length = answer.len;
	if (answer.len > sizeof(world.answer) - 1)
		answer.len = sizeof(world.answer) - 1;
	memcpy(world.answer, answer.data, answer.len);
	world.answer[answer.len] = '\0';
}

static void
setup(void)
{
	static const struct asks_ops ops = { .ask = ask,
		.away_reason = away_reason };

	memset(&world, 0, sizeof(world));
	ck_assert_int_eq(counters_create(&world.stats), 0);
	world.asks = asks_new(&ops, NULL, stats_block(world.stats, 0));
	ck_assert_ptr_nonnull(world.asks);
}

static void
teardown(void)
{
	asks_free(world.asks);
	stats_free(world.stats);
}

static uint64_t
put(void *owner, uint64_t now_ns)
{
	const struct asks_question question = {
		.text = slice_of_string("{\"ask\":\"broker\"}"),
		.identity = 5,
		.now_ns = now_ns,
		.owner = owner,
		.done = done,
	};

	asks_put(world.asks, &question);
	return world.last_id;
}

static bool
piece(uint64_t id, const char *text, size_t whole, bool is_last)
{
	const struct ask_result_header header = {
		.version = 1,
		.is_last = is_last,
		.status = 404,
		.length = (uint32_t)whole,
	};

	return asks_result(world.asks, id, &header, slice_of_string(text));
}

START_TEST(an_answer_is_put_together_from_its_pieces)
{
	uint64_t id = put(&world, 0);

	ck_assert_uint_eq(world.identity, 5);
	ck_assert(piece(id, "{\"a\"", 6, false));
	ck_assert_uint_eq(world.done, 0);
	ck_assert(piece(id, ":1", 6, true));
	ck_assert_uint_eq(world.done, 1);
	ck_assert_uint_eq(world.status, 404);
	ck_assert_ptr_eq(world.owner, &world);
	ck_assert_str_eq(world.answer, "{\"a\":1");
	ck_assert_uint_eq(asks_count(world.asks), 0);
	ck_assert(!piece(id, "x", 1, true));
}
END_TEST

START_TEST(two_answers_may_come_in_turns)
{
	uint64_t a = put(&world, 0), b = put(&world.done, 0);

	ck_assert(piece(a, "aa", 4, false));
	ck_assert(piece(b, "b", 2, false));
	ck_assert(piece(a, "AA", 4, true));
	ck_assert_str_eq(world.answer, "aaAA");
	ck_assert(piece(b, "B", 2, true));
	ck_assert_str_eq(world.answer, "bB");
	ck_assert_ptr_eq(world.owner, &world.done);
}
END_TEST

START_TEST(pieces_that_do_not_fit_end_the_question)
{
	static const struct {
		const char *text;
		size_t whole;
		bool is_last;
	} wrong[] = {
		{ "bbbb", 5, true },                    /* more than was said */
		{ "bbbb", 5, false }, { "b", 5, true }, /* ends too early */
		{ "bbb", 5, false }, /* all is there, and no end */
		{ "b", 6, false },   /* another length */
	};
	uint64_t id;

	for (unsigned i = 0; i < 5; i++) {
		id = put(&world, 0);
		ck_assert(piece(id, "aa", 5, false));
		ck_assert(!piece(
		    id, wrong[i].text, wrong[i].whole, wrong[i].is_last));
		ck_assert_uint_eq(world.done, i + 1);
		ck_assert_uint_eq(world.status, 502);
	}
	id = put(&world, 0);
	ck_assert(!piece(id, "", 0, true));
	ck_assert_uint_eq(world.status, 502);
}
END_TEST

START_TEST(an_answer_that_is_too_long_is_refused)
{
	uint64_t id = put(&world, 0);

	ck_assert(piece(id, "x", ASK_ANSWER_MAX + 1u, false));
	ck_assert_uint_eq(world.status, 413);
}
END_TEST

START_TEST(long_answers_are_bounded_together)
{
	uint64_t a = put(&world, 0), b = put(&world, 0), c = put(&world, 0);

	ck_assert(piece(a, "x", ASK_ANSWER_MAX, false));
	ck_assert(piece(b, "x", ASK_ANSWER_MAX, false));
	ck_assert_uint_eq(world.done, 0);
	ck_assert(piece(c, "x", 2, false));
	ck_assert_uint_eq(world.status, 503);
	/* What has ended makes room. */
	asks_flush(world.asks);
	c = put(&world, 0);
	ck_assert(piece(c, "x", ASK_ANSWER_MAX, false));
	ck_assert_uint_eq(asks_count(world.asks), 1);
}
END_TEST

START_TEST(only_so_many_are_under_way)
{
	for (unsigned i = 0; i < ASKS_MAX; i++)
		put(&world, 0);
	ck_assert_uint_eq(world.done, 0);
	put(&world, 0);
	ck_assert_uint_eq(world.asked, ASKS_MAX);
	ck_assert_uint_eq(world.status, 503);
	ck_assert_uint_eq(stats_read(world.stats, COUNT_asks_busy), 1);
}
END_TEST

START_TEST(who_cannot_be_asked_is_said_with_the_reason)
{
	world.err = -ENOTCONN;
	put(&world, 0);
	ck_assert_uint_eq(world.status, 503);
	ck_assert_str_eq(
	    world.answer, "{\"status\":503,\"message\":\"it is away\"}");
	world.err = -EMSGSIZE;
	put(&world, 0);
	ck_assert_uint_eq(world.status, 413);
	world.err = -EAGAIN;
	put(&world, 0);
	ck_assert_uint_eq(world.status, 503);
	ck_assert_uint_eq(asks_count(world.asks), 0);
}
END_TEST

START_TEST(a_question_that_is_too_long_is_not_sent)
{
	static uint8_t bytes[ASK_MAX + 1];
	struct asks_question question = {
		.text = slice_of(bytes, sizeof(bytes)),
		.done = done,
	};

	asks_put(world.asks, &question);
	ck_assert_uint_eq(world.asked, 0);
	ck_assert_uint_eq(world.status, 413);
	question.text.len = ASK_MAX;
	asks_put(world.asks, &question);
	ck_assert_uint_eq(world.asked, 1);
}
END_TEST

START_TEST(patience_ends_at_the_deadline)
{
	uint64_t id = put(&world, 100);

	asks_expire(world.asks, 100 + ASKS_TIMEOUT_NS - 1);
	ck_assert_uint_eq(world.done, 0);
	asks_expire(world.asks, 100 + ASKS_TIMEOUT_NS);
	ck_assert_uint_eq(world.done, 1);
	ck_assert_uint_eq(world.status, 504);
	ck_assert(!piece(id, "x", 1, true));
}
END_TEST

START_TEST(who_has_gone_is_not_answered)
{
	uint64_t id = put(&world, 0);

	asks_forget(world.asks, &world);
	ck_assert(piece(id, "x", 1, true));
	ck_assert_uint_eq(world.done, 0);
	ck_assert_uint_eq(asks_count(world.asks), 0);
}
END_TEST

START_TEST(without_a_broker_all_are_told)
{
	put(&world, 0);
	put(&world, 0);
	asks_flush(world.asks);
	ck_assert_uint_eq(world.done, 2);
	ck_assert_uint_eq(world.status, 503);
	ck_assert_uint_eq(asks_count(world.asks), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_asks");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_answer_is_put_together_from_its_pieces);
	tcase_add_test(tc, two_answers_may_come_in_turns);
	tcase_add_test(tc, pieces_that_do_not_fit_end_the_question);
	tcase_add_test(tc, an_answer_that_is_too_long_is_refused);
	tcase_add_test(tc, long_answers_are_bounded_together);
	tcase_add_test(tc, only_so_many_are_under_way);
	tcase_add_test(tc, who_cannot_be_asked_is_said_with_the_reason);
	tcase_add_test(tc, a_question_that_is_too_long_is_not_sent);
	tcase_add_test(tc, patience_ends_at_the_deadline);
	tcase_add_test(tc, who_has_gone_is_not_answered);
	tcase_add_test(tc, without_a_broker_all_are_told);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
