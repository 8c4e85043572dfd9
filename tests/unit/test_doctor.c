/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/doctor.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/unit.h"

#define MS CLOCK_MS_NS
#define GIB (UINT64_C(1) << 30)

static struct doctor_facts facts;
static struct doctor_finding findings[DOCTOR_FINDINGS];
static size_t count;

/* A machine on which all is well. */
static void
setup(void)
{
	const struct doctor_folder folder = {
		.is_folder = true,
		.is_usable = true,
		.free_bytes = 100 * GIB,
	};

	facts = (struct doctor_facts){
		.has_journal = true,
		.state_dir = "/var/lib/weir",
		.run_dir = "/run/weir",
		.state = folder,
		.run = folder,
		.syncs = 300,
		.sync_p50_ns = 6 * MS,
		.sync_p99_ns = 9 * MS,
		.journal_max_bytes = 8 * GIB,
		.journal_bytes = GIB,
		.backlog_bytes = GIB,
		.is_running = true,
		.max_connections = 10000,
		.file_limit = 65536,
		.memory_bound = GIB,
		.memory_limit = 2 * GIB,
		.memory_whose = "memory_limit",
		.is_memory_set = true,
		.wall_ns = UINT64_C(1800000000) * CLOCK_SECOND_NS,
		.is_clock_synchronised = true,
	};
}

static const struct doctor_finding *
finding(const char *name)
{
	count = doctor_judge(&facts, findings);
	for (size_t i = 0; i < count; i++)
		if (strcmp(findings[i].name, name) == 0)
			return &findings[i];
	return NULL;
}

/* The level of this one; what is not well says what to do. */
static enum doctor_level
level(const char *name)
{
	const struct doctor_finding *f = finding(name);

	ck_assert_msg(f != NULL, "nothing about %s", name);
	ck_assert(f->text[0] != '\0');
	ck_assert_msg((f->level == DOCTOR_OK) == (f->advice[0] == '\0'),
	    "%s: \"%s\"", name, f->advice);
	return f->level;
}

START_TEST(a_good_machine_is_well)
{
	count = doctor_judge(&facts, findings);
	ck_assert_uint_eq(count, DOCTOR_FINDINGS);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(level(findings[i].name) == DOCTOR_OK, "%s: %s",
		    findings[i].name, findings[i].text);
}
END_TEST

START_TEST(says_what_a_sync_time_means)
{
	ck_assert_str_eq(finding("disk")->text,
	    "sync 6 ms (of 100, the slowest: 9 ms): one publisher about "
	    "170/s, 32 about 5,300/s");
	facts.sync_p50_ns = 250000;
	facts.sync_p99_ns = 14 * MS;
	ck_assert_str_eq(finding("disk")->text,
	    "sync 0.25 ms (of 100, the slowest: 14 ms): one publisher about "
	    "4,000/s, 32 more than 100,000/s");
	facts.sync_p50_ns = 25000;
	facts.sync_p99_ns = 26000;
	ck_assert_str_eq(finding("disk")->text,
	    "sync 0.025 ms (of 100, the slowest: 0.026 ms): one publisher "
	    "about 40,000/s, 32 more than 100,000/s");
	facts.sync_p50_ns = 2000 * MS;
	ck_assert_ptr_nonnull(strstr(finding("disk")->text, "publisher less than 1/s"));
}
END_TEST

START_TEST(a_slow_disk_and_an_impossible_one_are_told)
{
	facts.sync_p50_ns = 31 * MS;
	ck_assert_int_eq(level("disk"), DOCTOR_WARN);
	facts.sync_p50_ns = 30 * MS;
	ck_assert_int_eq(level("disk"), DOCTOR_OK);
	facts.sync_p99_ns = 251 * MS;
	ck_assert_int_eq(level("disk"), DOCTOR_WARN);
	facts.sync_p50_ns = facts.sync_p99_ns = 2000;
	ck_assert_int_eq(level("disk"), DOCTOR_WARN);
	ck_assert_ptr_nonnull(strstr(finding("disk")->advice, "power cut"));
	/* Nobody waits for it. */
	facts.has_journal = false;
	ck_assert_int_eq(level("disk"), DOCTOR_OK);
	facts.sync_err = EACCES;
	ck_assert_int_eq(level("disk"), DOCTOR_WARN);
	facts.has_journal = true;
	ck_assert_int_eq(level("disk"), DOCTOR_FAIL);
}
END_TEST

START_TEST(the_journal_needs_a_folder_on_a_disk)
{
	facts.state.is_open = true;
	ck_assert_int_eq(level("state_dir"), DOCTOR_WARN);
	facts.state.is_remote = true;
	ck_assert_ptr_nonnull(strstr(finding("state_dir")->text, "network"));
	ck_assert_int_eq(level("state_dir"), DOCTOR_WARN);
	facts.state.is_memory = true;
	ck_assert_int_eq(level("state_dir"), DOCTOR_FAIL);
	facts.has_journal = false;
	ck_assert_int_eq(level("state_dir"), DOCTOR_WARN);
	facts.state.is_usable = false;
	ck_assert_int_eq(level("state_dir"), DOCTOR_FAIL);
	facts.state.is_usable = true;
	facts.state.is_folder = false;
	ck_assert_int_eq(level("state_dir"), DOCTOR_FAIL);
	facts.state.err = ENOENT;
	ck_assert_int_eq(level("state_dir"), DOCTOR_FAIL);
	ck_assert_ptr_nonnull(strstr(finding("state_dir")->text, "No such"));
}
END_TEST

START_TEST(the_disk_must_have_room_for_the_whole_journal)
{
	facts.state.free_bytes = 7 * GIB;
	ck_assert_int_eq(level("space"), DOCTOR_OK);
	facts.state.free_bytes = 7 * GIB - 1;
	ck_assert_int_eq(level("space"), DOCTOR_WARN);
	facts.state.free_bytes = 7 * GIB / 10 - 1;
	ck_assert_int_eq(level("space"), DOCTOR_FAIL);
	/* One that has all it may is content. */
	facts.journal_bytes = 9 * GIB;
	ck_assert_int_eq(level("space"), DOCTOR_OK);
	facts.has_journal = false;
	ck_assert_ptr_null(finding("space"));
}
END_TEST

START_TEST(backlogs_leave_half_of_the_journal)
{
	facts.backlog_bytes = 4 * GIB;
	ck_assert_int_eq(level("backlog"), DOCTOR_OK);
	facts.backlog_bytes = 4 * GIB + 1;
	ck_assert_int_eq(level("backlog"), DOCTOR_WARN);
	facts.backlog_bytes = 0;
	ck_assert_ptr_null(finding("backlog"));
}
END_TEST

START_TEST(there_are_descriptors_for_all_connections)
{
	facts.file_limit = 10000 + DOCTOR_OTHER_FILES;
	ck_assert_int_eq(level("descriptors"), DOCTOR_OK);
	facts.file_limit--;
	ck_assert_int_eq(level("descriptors"), DOCTOR_WARN);
	facts.file_limit = 9999;
	ck_assert_int_eq(level("descriptors"), DOCTOR_FAIL);
}
END_TEST

START_TEST(a_memory_limit_that_was_chosen_counts)
{
	facts.memory_bound = 2 * GIB + 1;
	ck_assert_int_eq(level("memory"), DOCTOR_WARN);
	facts.is_memory_set = false;
	ck_assert_int_eq(level("memory"), DOCTOR_OK);
}
END_TEST

START_TEST(a_broker_that_runs_has_its_run_dir)
{
	facts.run.is_usable = false;
	ck_assert_int_eq(level("run_dir"), DOCTOR_OK);
	facts.is_running = false;
	facts.no_answer = ECONNREFUSED;
	ck_assert_int_eq(level("run_dir"), DOCTOR_WARN);
	ck_assert_int_eq(level("broker"), DOCTOR_WARN);
	facts.run.err = ENOENT;
	ck_assert_int_eq(level("run_dir"), DOCTOR_FAIL);
}
END_TEST

START_TEST(the_clock_is_right)
{
	facts.is_clock_synchronised = false;
	ck_assert_int_eq(level("clock"), DOCTOR_WARN);
	facts.wall_ns = 5;
	ck_assert_int_eq(level("clock"), DOCTOR_FAIL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("doctor");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_good_machine_is_well);
	tcase_add_test(tc, says_what_a_sync_time_means);
	tcase_add_test(tc, a_slow_disk_and_an_impossible_one_are_told);
	tcase_add_test(tc, the_journal_needs_a_folder_on_a_disk);
	tcase_add_test(tc, the_disk_must_have_room_for_the_whole_journal);
	tcase_add_test(tc, backlogs_leave_half_of_the_journal);
	tcase_add_test(tc, there_are_descriptors_for_all_connections);
	tcase_add_test(tc, a_memory_limit_that_was_chosen_counts);
	tcase_add_test(tc, a_broker_that_runs_has_its_run_dir);
	tcase_add_test(tc, the_clock_is_right);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
