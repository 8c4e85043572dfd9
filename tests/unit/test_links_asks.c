/* SPDX-License-Identifier: Apache-2.0 */

/* Questions from httpd's ring and from the control socket. */

#include "broker/links_asks.h"

#include <pthread.h>

#include "common/msg/ask.h"
#include "tests/unit/links_box.h"

static void
setup(void)
{
	memset(&paper, 0, sizeof(paper));
	paper.length = 10;
	set_up();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
}

static void
teardown(void)
{
	tear_down();
	/* Nobody hears what comes now. */
	paper_answer_held();
}

static void
ask_by(struct program *program, const char *question, uint64_t correlation)
{
	const struct ring_record record = {
		.kind = RECORD_ASK,
		.correlation = correlation,
		.identity = 4711,
	};
	struct ring_producer *producer = ring_link_producer(program->link, 0);
	void *out;

	ck_assert_int_eq(ring_claim(producer, strlen(question), &out), 0);
	memcpy(out, question, strlen(question));
	ring_put(producer, &record);
	ring_commit(producer, clock_now_ns());
	ring_link_wake(program->link);
	run();
}

static void
ask(const char *question, uint64_t correlation)
{
	ask_by(&httpd, question, correlation);
}

/* What has come of an answer. */
static struct heard {
	size_t bytes;
	unsigned pieces, ends;
} heard[64];

/* Take pieces that are there, as httpd does; at most `max`. */
static unsigned
hear(unsigned max)
{
	struct ring_consumer *answers = ring_link_consumer(httpd.link, 0);
	struct ask_result_header header;
	struct ring_record got;
	struct heard *of;
	const void *body;
	const char *text;
	unsigned count = 0;

	while (count < max && ring_peek(answers, &got, &body) == 1) {
		ck_assert_uint_eq(got.kind, RECORD_ASK_RESULT);
		ck_assert_uint_lt(got.correlation, 64);
		memcpy(&header, body, sizeof(header));
		text = (const char *)body + sizeof(header);
		of = &heard[got.correlation];
		for (size_t i = 0; i < got.length - sizeof(header); i++)
			ck_assert_int_eq(text[i], paper_byte(of->bytes + i));
		of->bytes += got.length - sizeof(header);
		of->pieces++;
		of->ends += header.is_last;
		ck_assert_uint_eq(header.length, paper.length);
		ck_assert_uint_eq(header.status, 200);
		ck_assert_int_eq(
		    header.is_last != 0, of->bytes == paper.length);
		ring_release(answers, ring_next(answers), NULL, 0);
		count++;
	}
	ring_link_wake(httpd.link);
	return count;
}

static void
listen_to_all(void)
{
	grant_all(&httpd);
	while (hear(1) != 0)
		run();
}

START_TEST(a_question_is_answered_in_its_name)
{
	memset(heard, 0, sizeof(heard));
	ask("{\"ask\":\"x\"}", 7);
	ck_assert_str_eq(paper.question, "{\"ask\":\"x\"}");
	ck_assert_uint_eq(paper.identity, 4711);
	ck_assert(!paper.has_all_rights);
	listen_to_all();
	ck_assert_uint_eq(heard[7].bytes, 10);
	ck_assert_uint_eq(heard[7].ends, 1);
	/* And its record is released. */
	ck_assert_uint_eq(
	    ring_producer_used_bytes(ring_link_producer(httpd.link, 0)), 0);
}
END_TEST

START_TEST(a_long_answer_comes_in_pieces_that_leave_room_for_receipts)
{
	struct ring_producer *output =
	    broker.links->endpoints[0]->output.producer;

	memset(heard, 0, sizeof(heard));
	paper.length = 300000;
	ask("{}", 1);
	grant_all(&httpd);
	do {
		ck_assert_uint_le(ring_producer_used_bytes(output),
		    RING_BYTES / ASK_SHARE + RING_ALIGN);
		run();
	} while (hear(1) != 0);
	ck_assert_uint_eq(heard[1].bytes, 300000);
	ck_assert_uint_eq(heard[1].ends, 1);
	ck_assert_uint_gt(heard[1].pieces, 300000 / ASK_PIECE_MAX);
}
END_TEST

START_TEST(answers_take_turns)
{
	memset(heard, 0, sizeof(heard));
	paper.length = 100000;
	paper.holds = true;
	ask("{}", 1);
	ask("{}", 2);
	paper_answer_held();
	grant_all(&httpd);
	run();
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(hear(1), 1);
		run();
	}
	ck_assert_uint_eq(heard[1].pieces, 2);
	ck_assert_uint_eq(heard[2].pieces, 2);
	listen_to_all();
	ck_assert_uint_eq(heard[1].ends + heard[2].ends, 2);
}
END_TEST

START_TEST(an_answer_that_is_not_read_holds_no_receipt_up)
{
	unsigned accepted = 0;

	paper.length = 300000;
	ask("{}", 1);
	grant_all(&httpd);
	/* Nothing is read, and messages are taken all the same. */
	for (unsigned i = 0; i < 100; i++) {
		accepted += publish(&httpd, 0, "t", 10) == 0;
		run();
	}
	ck_assert_uint_eq(accepted, 100);
	ck_assert_uint_eq(routed, 100);
}
END_TEST

START_TEST(no_memory_is_said)
{
	struct ring_consumer *answers;
	struct ask_result_header header;
	struct ring_record got;
	const void *body;

	paper.length = 0;
	ask("{}", 3);
	grant_all(&httpd);
	answers = ring_link_consumer(httpd.link, 0);
	ck_assert_int_eq(ring_peek(answers, &got, &body), 1);
	memcpy(&header, body, sizeof(header));
	ck_assert_uint_eq(header.status, 503);
	ck_assert_uint_eq(header.is_last, 1);
	ring_release(answers, ring_next(answers), NULL, 0);
}
END_TEST

START_TEST(one_question_too_many_costs_the_link)
{
	paper.holds = true;
	for (unsigned i = 0; i < LINKS_ASKS_MAX; i++)
		ask("{}", i);
	ck_assert_uint_eq(httpd.losses, 0);
	ask("{}", 50);
	ck_assert_uint_eq(httpd.losses, 1);
	ck_assert_uint_eq(paper.asked, LINKS_ASKS_MAX);
}
END_TEST

START_TEST(who_went_away_is_not_answered)
{
	paper.holds = true;
	ask("{}", 1);
	paper.holds = false;
	ask("{}", 2);
	kill_program(&httpd);
	/* Its answer comes to nobody, and is freed. */
	paper_answer_held();
	attach(&httpd, RING_ROLE_HTTPD, "httpd");
	ck_assert_uint_eq(broker.links->endpoints[0]->ask_count, 0);
	memset(heard, 0, sizeof(heard));
	ask("{}", 9);
	listen_to_all();
	ck_assert_uint_eq(heard[9].ends, 1);
}
END_TEST

START_TEST(a_bridge_may_not_ask)
{
	attach(&bridge, RING_ROLE_BRIDGE, "cloud");
	ask_by(&bridge, "{}", 1);
	ck_assert_uint_eq(paper.asked, 0);
	ck_assert_uint_eq(bridge.losses, 1);
}
END_TEST

/* ---- over the control socket ------------------------------------------- */

static char *answer;
static int ask_err;
static atomic_bool is_over;

static void *
ask_by_socket(void *question)
{
	ask_err = ring_control_ask(run_dir, question, 5000, &answer);
	atomic_store_explicit(&is_over, true, memory_order_release);
	return NULL;
}

static void
ask_socket(const char *question)
{
	pthread_t thread;

	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, ask_by_socket,
			     (void *)(uintptr_t)question),
	    0);
	while (!atomic_load_explicit(&is_over, memory_order_acquire))
		turn();
	pthread_join(thread, NULL);
	ck_assert_int_eq(ask_err, 0);
}

START_TEST(the_socket_asks_with_all_rights)
{
	ask_socket("{\"ask\":\"y\"}");
	ck_assert(paper.has_all_rights);
	ck_assert_uint_eq(strlen(answer), 10);
	free(answer);
}
END_TEST

START_TEST(a_long_answer_comes_whole_over_the_socket)
{
	paper.length = 8u << 20;
	ask_socket("{}");
	ck_assert_uint_eq(strlen(answer), paper.length);
	for (size_t i = 0; i < paper.length; i += 1009)
		ck_assert_int_eq(answer[i], paper_byte(i));
	free(answer);
}
END_TEST

START_TEST(answers_that_nobody_reads_are_bounded)
{
	struct links *links = broker.links;

	/* The first two may be long; then there is no room for a third. */
	paper.length = 10u << 20;
	ask("{}", 1);
	ask("{}", 2);
	ck_assert_uint_eq(links->answer_bytes, 20u << 20);
	ask("{}", 3);
	ck_assert_uint_lt(links->answer_bytes, (20u << 20) + 200);
	ask_socket("{}");
	ck_assert_ptr_nonnull(strstr(answer, "\"status\":503"));
	free(answer);
	/* Who does not read them any more gives it back. */
	kill_program(&httpd);
	ck_assert_uint_eq(links->answer_bytes, 0);
	ask_socket("{}");
	ck_assert_uint_eq(strlen(answer), paper.length);
	ck_assert_uint_eq(links->answer_bytes, 0);
	free(answer);
}
END_TEST

START_TEST(words_are_answered_as_before)
{
	ask_socket("store");
	ck_assert_ptr_nonnull(strstr(answer, "no journal"));
	ck_assert_uint_eq(paper.asked, 0);
	free(answer);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("links_asks");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_question_is_answered_in_its_name);
	tcase_add_test(
	    tc, a_long_answer_comes_in_pieces_that_leave_room_for_receipts);
	tcase_add_test(tc, answers_take_turns);
	tcase_add_test(tc, an_answer_that_is_not_read_holds_no_receipt_up);
	tcase_add_test(tc, no_memory_is_said);
	tcase_add_test(tc, one_question_too_many_costs_the_link);
	tcase_add_test(tc, who_went_away_is_not_answered);
	tcase_add_test(tc, a_bridge_may_not_ask);
	tcase_add_test(tc, the_socket_asks_with_all_rights);
	tcase_add_test(tc, a_long_answer_comes_whole_over_the_socket);
	tcase_add_test(tc, answers_that_nobody_reads_are_bounded);
	tcase_add_test(tc, words_are_answered_as_before);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
