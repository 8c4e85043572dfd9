/* SPDX-License-Identifier: Apache-2.0 */

/* The children are this program itself, with a word that says what to do. */

#include "ctl/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "tests/unit/unit.h"

#define SELF "/proc/self/exe"

static struct loop *loop;
static struct supervisor *supervisor;
static char starts[] = "/tmp/weir-supervisor-XXXXXX";
static struct loop_timer later;
static unsigned ups;
static uint64_t stop_after_ns; /* 0: not when everything is up */
static struct loop_timer look;
static long stop_at_starts;

/* One byte a start, the first letter of its word. */
static void
note_start(const char *path, const char *word)
{
	const int fd = open(path, O_WRONLY | O_APPEND);

	if (fd == -1 || write(fd, word, 1) != 1)
		_exit(99);
	close(fd);
}

static int
be_child(const char *word, const char *path)
{
	note_start(path, word);
	if (strncmp(word, "exit ", 5) == 0)
		return atoi(word + 5);
	sd_notify(0, "READY=1\nWATCHDOG=1");
	if (strcmp(word, "hang") == 0)
		raise(SIGSTOP);
	else if (strncmp(word, "up, exit ", 9) == 0) {
		usleep(20000);
		return atoi(word + 9);
	}
	pause();
	return 0;
}

static void
stop(void *arg)
{
	(void)arg;
	supervisor_stop(supervisor);
}

static long
count_starts(void)
{
	struct stat status;

	ck_assert_int_eq(stat(starts, &status), 0);
	return (long)status.st_size;
}

/* Stop once there were so many starts, however long that takes here. */
static void
look_at_starts(void *arg)
{
	(void)arg;
	if (count_starts() >= stop_at_starts)
		supervisor_stop(supervisor);
	else
		loop_timer_start(&look, 5 * CLOCK_MS_NS);
}

static void
stop_after_starts(long count)
{
	stop_at_starts = count;
	loop_timer_start(&look, 5 * CLOCK_MS_NS);
}

static void
all_up(void *arg)
{
	(void)arg;
	ups++;
	if (stop_after_ns != 0)
		loop_timer_start(&later, stop_after_ns);
}

static void
set_up(void)
{
	static const struct supervisor_callbacks callbacks = { all_up };

	close(mkstemp(starts));
	loop = loop_new();
	supervisor = supervisor_new(loop, &callbacks, NULL);
	ck_assert_ptr_nonnull(supervisor);
	loop_timer_init(&later, loop, stop, NULL);
	loop_timer_init(&look, loop, look_at_starts, NULL);
	stop_after_ns = 0;
	ups = 0;
}

static void
tear_down(void)
{
	loop_timer_stop(&later);
	loop_timer_stop(&look);
	supervisor_free(supervisor);
	loop_free(loop);
	unlink(starts);
}

static void
add(const char *word, unsigned stop_order)
{
	const struct supervisor_child child = {
		.name = word,
		.argv = { SELF, word, starts },
		.stop_order = stop_order,
	};

	ck_assert_int_eq(supervisor_add(supervisor, &child), 0);
}

/* Until it ends by itself or is ended; its exit code. */
static int
run(void)
{
	ck_assert_int_eq(supervisor_start(supervisor), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	return supervisor_exit_code(supervisor);
}

START_TEST(gives_up_when_trying_again_cannot_help)
{
	static const char *const words[] = { "exit 78", "exit 64", "exit 71" };
	static const int codes[] = { EXIT_CONFIG, EXIT_USAGE, EXIT_OSERR };

	add(words[_i], 0);
	ck_assert_int_eq(run(), codes[_i]);
	ck_assert_int_eq(count_starts(), 1);
}
END_TEST

START_TEST(restarts_what_fails_at_growing_intervals)
{
	const uint64_t begin_ns = clock_now_ns();

	add("exit 1", 0);
	stop_after_starts(3);
	ck_assert_int_eq(run(), EXIT_OK);
	/* At once, after 100 ms, and after 200 more. */
	ck_assert_uint_ge(clock_now_ns() - begin_ns, 300 * CLOCK_MS_NS);
}
END_TEST

START_TEST(restarts_what_cannot_open_something_once_all_was_up)
{
	add("up, exit 71", 0);
	stop_after_starts(2);
	ck_assert_int_eq(run(), EXIT_OK);
	ck_assert_uint_eq(ups, 1);
	ck_assert_int_ge(count_starts(), 2);
}
END_TEST

START_TEST(lets_those_be_who_beat)
{
	add("stay", 0);
	add("stay", 1);
	stop_after_ns = 300 * CLOCK_MS_NS;
	ck_assert_int_eq(run(), EXIT_OK);
	ck_assert_uint_eq(ups, 1);
	ck_assert_int_eq(count_starts(), 2);
}
END_TEST

START_TEST(starts_the_others_only_when_the_first_is_up)
{
	char who[8] = "";
	int fd;

	add("exit 1", 0);
	add("stay", 1);
	stop_after_starts(2);
	ck_assert_int_eq(run(), EXIT_OK);
	ck_assert_uint_eq(ups, 0);
	fd = open(starts, O_RDONLY);
	ck_assert_int_ge(read(fd, who, sizeof(who)), 2);
	close(fd);
	ck_assert_int_eq(who[0], 'e');
	ck_assert_int_eq(who[1], 'e');
}
END_TEST

/* A stopped process does not see SIGTERM: it would be killed after 6 s. */
START_TEST(ends_a_stopped_child_without_waiting_for_it)
{
	const uint64_t begin_ns = clock_now_ns();

	add("hang", 0);
	stop_after_ns = 20 * CLOCK_MS_NS;
	ck_assert_int_eq(run(), EXIT_OK);
	ck_assert_uint_lt(clock_now_ns() - begin_ns, 5 * CLOCK_SECOND_NS);
}
END_TEST

int
main(int argc, char **argv)
{
	Suite *suite;
	TCase *tc;

	/* Not a way out that looks for leaks, with an exit code of its own. */
	if (argc == 3)
		_exit(be_child(argv[1], argv[2]));
	suite = suite_create("supervisor");
	tc = tcase_create("all");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, gives_up_when_trying_again_cannot_help, 0, 3);
	tcase_add_test(tc, restarts_what_fails_at_growing_intervals);
	tcase_add_test(tc, restarts_what_cannot_open_something_once_all_was_up);
	tcase_add_test(tc, lets_those_be_who_beat);
	tcase_add_test(tc, starts_the_others_only_when_the_first_is_up);
	tcase_add_test(tc, ends_a_stopped_child_without_waiting_for_it);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
