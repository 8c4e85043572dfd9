/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/report.h"

#include <string.h>

#include "tests/unit/unit.h"

static char host[] = "10.0.0.9";
static char host6[] = "fe80::1";
static struct conf_remote there;
static struct conf_bridge conf;

static void
setup(void)
{
	there = (struct conf_remote){ .host = host, .port = 1884 };
	conf.remotes = &there;
}

static const char *
text_of(const struct board *board)
{
	static char text[BOARD_MAX + 1];

	text[board_read(board, text)] = '\0';
	return text;
}

START_TEST(says_who_the_remote_is_and_since_when)
{
	struct board board = { 0 };
	struct report report;

	report_init(&report, &conf);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote 10.0.0.9:1884\nstate starting\n");
	report_state(&report, "connected", 17);
	report_post(&report, &board);
	ck_assert_str_eq(text_of(&board),
	    "remote 10.0.0.9:1884\nstate connected\nsince 17\n");
}
END_TEST

START_TEST(brackets_an_address_of_ipv6)
{
	struct board board = { 0 };
	struct report report;

	there.host = host6;
	report_init(&report, &conf);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote [fe80::1]:1884\nstate starting\n");
}
END_TEST

START_TEST(says_what_went_wrong_and_when_it_tries_again)
{
	struct board board = { 0 };
	struct report report;

	report_init(&report, &conf);
	report_error(&report, "refused:\nno", 20);
	report_state(&report, "waiting", 21);
	report_retry(&report, 99);
	report_post(&report, &board);
	ck_assert_str_eq(text_of(&board),
	    "remote 10.0.0.9:1884\nstate waiting\nsince 21\nretry 99\n"
	    "error 20 refused:?no\n");
	/* A new state ends the wait; the last error is remembered. */
	report_state(&report, "connected", 30);
	report_post(&report, &board);
	ck_assert_str_eq(text_of(&board),
	    "remote 10.0.0.9:1884\nstate connected\nsince 30\n"
	    "error 20 refused:?no\n");
}
END_TEST

START_TEST(says_since_when_it_is_away)
{
	struct board board = { 0 };
	struct report report;

	report_init(&report, &conf);
	report_up(&report, false, 10);
	report_up(&report, false, 20);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote 10.0.0.9:1884\nstate starting\ndown 10\n");
	report_up(&report, true, 30);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote 10.0.0.9:1884\nstate starting\n");
	report_up(&report, false, 40);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote 10.0.0.9:1884\nstate starting\ndown 40\n");
}
END_TEST

START_TEST(says_what_the_flow_waits_for)
{
	struct board board = { 0 };
	struct report report;

	report_init(&report, &conf);
	report_flow(&report, true, 55, 66);
	report_post(&report, &board);
	ck_assert_str_eq(text_of(&board),
	    "remote 10.0.0.9:1884\nstate starting\nfull 1\nlater 55\nrate "
	    "66\n");
	report_flow(&report, false, 0, 0);
	report_post(&report, &board);
	ck_assert_str_eq(
	    text_of(&board), "remote 10.0.0.9:1884\nstate starting\n");
}
END_TEST

START_TEST(writes_only_what_is_news)
{
	struct board first = { 0 }, second = { 0 };
	struct report report;

	report_init(&report, &conf);
	report_post(&report, NULL);
	report_post(&report, &first);
	ck_assert_uint_eq(first.version, 1);
	report_flow(&report, false, 0, 0);
	report_post(&report, &first);
	ck_assert_uint_eq(first.version, 1);
	report_flow(&report, true, 0, 0);
	report_post(&report, &first);
	ck_assert_uint_eq(first.version, 2);
	/* A new link knows nothing of the old one's board. */
	report_post(&report, NULL);
	report_post(&report, &second);
	ck_assert_str_eq(text_of(&second), text_of(&first));
}
END_TEST

START_TEST(a_long_reason_is_cut)
{
	struct board board = { 0 };
	struct report report;
	char why[2000];

	memset(why, 'w', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	report_init(&report, &conf);
	report_error(&report, why, 1);
	report_post(&report, &board);
	ck_assert_uint_eq(strlen(text_of(&board)),
	    strlen("remote 10.0.0.9:1884\nstate starting\nerror 1 \n") +
		REPORT_WHY_SIZE - 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("report");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, says_who_the_remote_is_and_since_when);
	tcase_add_test(tc, brackets_an_address_of_ipv6);
	tcase_add_test(tc, says_what_went_wrong_and_when_it_tries_again);
	tcase_add_test(tc, says_since_when_it_is_away);
	tcase_add_test(tc, says_what_the_flow_waits_for);
	tcase_add_test(tc, writes_only_what_is_news);
	tcase_add_test(tc, a_long_reason_is_cut);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
