/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

static int reader;
static int real_stderr;
static char line[2 * LOG_LINE_MAX];

/* Lines go to `fds[1]` as journald would have them. */
static void
log_to(const int fds[2])
{
	real_stderr = dup(STDERR_FILENO);
	reader = fds[0];
	fcntl(reader, F_SETFL, O_NONBLOCK);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	setenv("WEIR_LOG_PREFIX", "1", 1);
	log_init("weir-test");
	log_set_level(LOG_LEVEL_INFO);
}

static void
log_to_pipe(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	log_to(fds);
}

static void
restore(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(reader);
}

/* What was written since, as a string. */
static const char *
logged(void)
{
	ssize_t len = read(reader, line, sizeof(line) - 1);

	line[len < 0 ? 0 : len] = '\0';
	return line;
}

START_TEST(writes_one_line_with_its_priority)
{
	log_info("session_taken_over", "client=%s fd=%d", log_quote("x"), 31);
	ck_assert_str_eq(
	    logged(), "<6>event=session_taken_over client=\"x\" fd=31\n");
	log_error("ready");
	ck_assert_str_eq(logged(), "<3>event=ready\n");
}
END_TEST

START_TEST(leaves_out_what_is_below_its_level)
{
	enum log_level level = LOG_LEVEL_INFO;

	log_debug("packet");
	ck_assert_str_eq(logged(), "");
	ck_assert_int_eq(log_level_from_name("debug", &level), 0);
	ck_assert_int_eq(log_level_from_name("Debug", &level), -EINVAL);
	log_set_level(level);
	log_debug("packet");
	ck_assert_str_eq(logged(), "<7>event=packet\n");
}
END_TEST

START_TEST(tells_time_level_and_program_elsewhere)
{
	setenv("WEIR_LOG_PREFIX", "0", 1);
	log_init("weir-test");
	log_warning("ready");
	ck_assert_ptr_nonnull(
	    strstr(logged(), "Z warning weir-test: event=ready\n"));
	ck_assert_int_eq(line[4], '-');
	ck_assert_int_eq(line[10], 'T');
}
END_TEST

START_TEST(quotes_what_a_peer_sent)
{
	char text[300];

	ck_assert_str_eq(log_quote("a\"b\\\r\n"), "\"a\\\"b\\\\\\r\\n\"");
	ck_assert_str_eq(log_quote_n("\0\x7f\xff", 3), "\"\\x00\\x7f\\xff\"");
	ck_assert_str_eq(log_quote("\xc3\xa4"), "\"\xc3\xa4\"");
	ck_assert_str_eq(log_quote("\xc2\x9b"), "\"\\xc2\\x9b\"");
	ck_assert_str_eq(log_quote(NULL), "\"\"");
	memset(text, 'a', sizeof(text));
	ck_assert_uint_eq(strlen(log_quote_n(text, 128)), 130);
	ck_assert_uint_eq(strlen(log_quote_n(text, 129)), 133);
	/* The cut does not split a character. */
	memcpy(text + 127, "\xc3\xa4", 2);
	ck_assert_ptr_nonnull(
	    strstr(log_quote_n(text, 200), "a\xe2\x80\xa6\""));
	memset(text, 0xff, sizeof(text));
	ck_assert_uint_eq(strlen(log_quote_n(text, 300)), 128 * 4 + 5);
}
END_TEST

START_TEST(keeps_a_line_one_line_and_cuts_it)
{
	char text[LOG_LINE_MAX + 100];

	log_info("a", "b=%s", "1\n<0>event=forged");
	ck_assert_str_eq(logged(), "<6>event=a b=1 <0>event=forged\n");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_info("a", "b=%s", text);
	ck_assert_uint_eq(strlen(logged()), LOG_LINE_MAX);
	ck_assert_int_eq(line[LOG_LINE_MAX - 1], '\n');
}
END_TEST

/* A full pipe or socket costs lines, not time, and is owned up to. */
static void
fill_and_recover(void)
{
	uint64_t lost, started_ns = clock_now_ns();
	char wanted[64];

	for (int i = 0; i < 20000; i++)
		log_info("flood", "number=%d", i);
	ck_assert_uint_lt(clock_now_ns() - started_ns, 5 * CLOCK_SECOND_NS);
	lost = log_lost();
	ck_assert_uint_gt(lost, 0);
	while (logged()[0] != '\0')
		;
	log_info("after");
	snprintf(wanted, sizeof(wanted), "<4>event=log_lines_lost count=%llu\n",
	    (unsigned long long)lost);
	logged();
	if (strstr(line, "event=after") == NULL)
		ck_assert_str_eq(line, wanted);
	else
		ck_assert_ptr_nonnull(strstr(line, wanted));
	log_info("again");
	ck_assert_ptr_null(strstr(logged(), "lost"));
}

START_TEST(never_waits_for_a_full_pipe)
{
	fill_and_recover();
}
END_TEST

START_TEST(never_waits_for_a_full_socket)
{
	int fds[2];

	restore();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	log_to(fds);
	fill_and_recover();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, log_to_pipe, restore);
	tcase_add_test(tc, writes_one_line_with_its_priority);
	tcase_add_test(tc, leaves_out_what_is_below_its_level);
	tcase_add_test(tc, tells_time_level_and_program_elsewhere);
	tcase_add_test(tc, quotes_what_a_peer_sent);
	tcase_add_test(tc, keeps_a_line_one_line_and_cuts_it);
	tcase_add_test(tc, never_waits_for_a_full_pipe);
	tcase_add_test(tc, never_waits_for_a_full_socket);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
