/* SPDX-License-Identifier: Apache-2.0 */

#include "common/stats/stats.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/shm/memfd.h"
#include "tests/unit/unit.h"

enum {
	MESSAGES,
	SESSIONS,
	ROWS
};

static const struct stats_row rows[ROWS] = { STATS_ROW(COUNTER, messages,
    "Messages.") STATS_ROW(GAUGE, sessions, "Sessions with a \\.") };

static struct stats *stats;

static void
set_up(void)
{
	ck_assert_int_eq(stats_create("weir-test", rows, ROWS, 3, &stats), 0);
}

static void
tear_down(void)
{
	stats_free(stats);
}

START_TEST(sums_the_blocks_of_all_writers)
{
	for (uint32_t i = 0; i < 3; i++)
		stats_add(stats_block(stats, i), MESSAGES, i + 1);
	stats_increment(stats_block(stats, 0), MESSAGES);
	ck_assert_uint_eq(stats_read(stats, MESSAGES), 7);
	stats_add(stats_block(stats, 0), SESSIONS, 5);
	stats_subtract(stats_block(stats, 1), SESSIONS, 3);
	ck_assert_uint_eq(stats_read(stats, SESSIONS), 2);
	stats_set(stats_block(stats, 1), SESSIONS, 1);
	ck_assert_uint_eq(stats_read(stats, SESSIONS), 6);
}
END_TEST

START_TEST(is_read_by_others_without_the_table)
{
	int fd = memfd_reopen_read_only(stats_fd(stats));
	struct stats *reader;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stats_open(fd, &reader), 0);
	close(fd);
	stats_add(stats_block(stats, 2), SESSIONS, 9);
	ck_assert_str_eq(stats_program(reader), "weir-test");
	ck_assert_uint_eq(stats_count(reader), ROWS);
	ck_assert_int_eq(stats_find(reader, "sessions"), SESSIONS);
	ck_assert_int_eq(stats_find(reader, "nothing"), -ENOENT);
	ck_assert_int_eq(stats_row(reader, SESSIONS).kind, STATS_GAUGE);
	ck_assert_uint_eq(stats_read(reader, SESSIONS), 9);
	ck_assert_int_eq(stats_fd(reader), -1);
	stats_free(reader);
}
END_TEST

/* Any one byte of the head and text changed: refused, or read harmlessly. */
START_TEST(survives_a_writer_that_lies)
{
	struct stats *reader;
	unsigned refused = 0;
	uint8_t saved, lie;

	for (off_t at = 0; at < 128; at++)
		for (int bit = 0; bit < 8; bit++) {
			ck_assert_int_eq(
			    pread(stats_fd(stats), &saved, 1, at), 1);
			lie = saved ^ (uint8_t)(1u << bit);
			ck_assert_int_eq(
			    pwrite(stats_fd(stats), &lie, 1, at), 1);
			if (stats_open(stats_fd(stats), &reader) == 0) {
				for (uint32_t i = 0; i < stats_count(reader);
				     i++)
					stats_read(reader, i);
				stats_free(reader);
			} else {
				refused++;
			}
			ck_assert_int_eq(
			    pwrite(stats_fd(stats), &saved, 1, at), 1);
		}
	/* All bits of the magic and of the version at least. */
	ck_assert_uint_ge(refused, 96);
}
END_TEST

START_TEST(refuses_memory_that_is_no_stats_page)
{
	int fd = memfd_create_sealed("other", 4096);
	struct stats *reader;

	ck_assert_int_eq(stats_open(fd, &reader), -EPROTO);
	close(fd);
}
END_TEST

/* Seconds, exactly: a double would lose what counts after some months. */
START_TEST(prints_times_in_seconds)
{
	static const struct stats_row times[] = { STATS_ROW(
	    COUNTER, slept_ns, "Time asleep.") STATS_ROW(GAUGE, lag_ns, "Lag.")
		    STATS_ROW(GAUGE, columns, "No time.") };
	struct stats *own;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_int_eq(stats_create("weir-test", times, 3, 1, &own), 0);
	stats_set(
	    stats_block(own, 0), 0, UINT64_C(12345678901) * 1000000000 + 7);
	stats_set(stats_block(own, 0), 1, 1500000000);
	stats_prometheus_all(out, "weir", own);
	fclose(out);
	ck_assert_str_eq(text,
	    "# HELP weir_slept_seconds_total Time asleep.\n"
	    "# TYPE weir_slept_seconds_total counter\n"
	    "weir_slept_seconds_total 12345678901.000000007\n"
	    "# HELP weir_lag_seconds Lag.\n"
	    "# TYPE weir_lag_seconds gauge\n"
	    "weir_lag_seconds 1.500000000\n"
	    "# HELP weir_columns No time.\n"
	    "# TYPE weir_columns gauge\n"
	    "weir_columns 0\n");
	free(text);
	stats_free(own);
}
END_TEST

START_TEST(prints_prometheus_text)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	stats_add(stats_block(stats, 0), MESSAGES, 3);
	stats_prometheus_all(out, "weir", stats);
	stats_prometheus_label(out, "name", "a\"b\\\n");
	fclose(out);
	ck_assert_str_eq(text,
	    "# HELP weir_messages_total Messages.\n"
	    "# TYPE weir_messages_total counter\n"
	    "weir_messages_total 3\n"
	    "# HELP weir_sessions Sessions with a \\\\.\n"
	    "# TYPE weir_sessions gauge\n"
	    "weir_sessions 0\n"
	    "name=\"a\\\"b\\\\\\n\"");
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stats");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, sums_the_blocks_of_all_writers);
	tcase_add_test(tc, is_read_by_others_without_the_table);
	tcase_add_test(tc, survives_a_writer_that_lies);
	tcase_add_test(tc, refuses_memory_that_is_no_stats_page);
	tcase_add_test(tc, prints_prometheus_text);
	tcase_add_test(tc, prints_times_in_seconds);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
