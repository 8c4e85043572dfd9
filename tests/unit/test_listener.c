/* SPDX-License-Identifier: Apache-2.0 */

/* Where a listener is, and the file of a Unix socket. */

#include "common/net/listener.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net/unix_socket.h"
#include "tests/unit/unit.h"

static char folder[] = "/tmp/weir-test-listener-XXXXXX";
static char path[64];
static char bind_text[80];
static char error[LISTENER_ERROR_SIZE];
static struct listener *listener;

static void
set_up(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	snprintf(bind_text, sizeof(bind_text), "unix:%s", path);
}

static void
tear_down(void)
{
	listener_close(listener);
	listener = NULL;
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static int
open_it(struct listener **out)
{
	const struct listener_spec spec = { .bind = bind_text };

	error[0] = '\0';
	return listener_open(&spec, out, error, sizeof(error));
}

static struct stat
look(void)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st;
}

static int
knock(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), err = 0;

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1)
		err = -errno;
	close(fd);
	return err;
}

START_TEST(makes_a_file_for_user_and_group)
{
	ck_assert_int_eq(open_it(&listener), 0);
	ck_assert(S_ISSOCK(look().st_mode));
	ck_assert_uint_eq(look().st_mode & 07777, 0660);
	ck_assert_str_eq(listener_address(listener), bind_text);
	ck_assert_uint_eq(listener_port(listener), 0);
	ck_assert_int_eq(knock(), 0);
}
END_TEST

START_TEST(mode_and_group_are_as_said_whatever_the_umask)
{
	struct group *group = getgrgid(getgid());
	struct listener_spec spec = { .bind = bind_text, .mode = 0606 };
	const mode_t before = umask(0077);

	spec.group = group == NULL ? NULL : group->gr_name;
	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	umask(before);
	ck_assert_uint_eq(look().st_mode & 07777, 0606);
	ck_assert_uint_eq(look().st_gid, getgid());
}
END_TEST

START_TEST(an_unknown_group_leaves_nothing_behind)
{
	const struct listener_spec spec = { .bind = bind_text,
		.group = "no-such-group" };

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "no group no-such-group"));
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(removes_its_file_and_no_other)
{
	struct listener *other;

	ck_assert_int_eq(open_it(&listener), 0);
	listener_close(listener);
	ck_assert_int_eq(access(path, F_OK), -1);
	/* Somebody took the name in the meantime. */
	ck_assert_int_eq(open_it(&listener), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(open_it(&other), 0);
	listener_close(listener);
	listener = other;
	ck_assert_int_eq(knock(), 0);
}
END_TEST

START_TEST(replaces_what_a_dead_process_left)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(
	    bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	close(fd);
	ck_assert_int_eq(knock(), -ECONNREFUSED);
	ck_assert_int_eq(open_it(&listener), 0);
	ck_assert_int_eq(knock(), 0);
}
END_TEST

START_TEST(a_living_one_is_left_alone)
{
	struct listener *second = NULL;
	char holder[64];

	ck_assert_int_eq(open_it(&listener), 0);
	ck_assert_int_eq(open_it(&second), -EADDRINUSE);
	ck_assert_ptr_null(second);
	snprintf(holder, sizeof(holder), "held_by=\"pid %d\"", getpid());
	ck_assert_msg(strstr(error, "socket_in_use") != NULL &&
		strstr(error, holder) != NULL,
	    "%s", error);
	ck_assert_int_eq(knock(), 0);
}
END_TEST

START_TEST(a_file_that_is_no_socket_stays)
{
	FILE *file = fopen(path, "w");

	fclose(file);
	ck_assert_int_eq(open_it(&listener), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error, "no socket"));
	ck_assert(S_ISREG(look().st_mode));
	ck_assert_int_eq(unlink(path), 0);
	/* Nor is a link followed. */
	ck_assert_int_eq(symlink("/nonexistent", path), 0);
	ck_assert_int_eq(open_it(&listener), -EEXIST);
}
END_TEST

START_TEST(a_missing_folder_is_told)
{
	struct listener_spec spec = { .bind = "unix:/proc/nonexistent/sock" };

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "folder must exist"));
	spec.bind = "unix:relative";
	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), -EINVAL);
}
END_TEST

static bool
is_at(const char *bound, const char *asked)
{
	const struct listener_spec spec = { .bind = bound };
	struct listener *one;
	bool answer;

	ck_assert_msg(
	    listener_open(&spec, &one, error, sizeof(error)) == 0, "%s", error);
	answer = listener_is_at(listener_fd(one), asked);
	listener_close(one);
	return answer;
}

START_TEST(knows_where_an_inherited_socket_is)
{
	const struct listener_spec spec = { .bind = "127.0.0.1:0" };
	char here[64], all[64], v6[64];

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	snprintf(here, sizeof(here), "localhost:%u", listener_port(listener));
	snprintf(all, sizeof(all), ":%u", listener_port(listener));
	snprintf(v6, sizeof(v6), "[::1]:%u", listener_port(listener));
	ck_assert(
	    listener_is_at(listener_fd(listener), listener_address(listener)));
	ck_assert(listener_is_at(listener_fd(listener), here));
	ck_assert(!listener_is_at(listener_fd(listener), all));
	ck_assert(!listener_is_at(listener_fd(listener), v6));
	ck_assert(!listener_is_at(listener_fd(listener), "127.0.0.1:1"));
	ck_assert(!listener_is_at(listener_fd(listener), "127.0.0.1"));
	ck_assert(!listener_is_at(listener_fd(listener), bind_text));
	ck_assert(is_at(bind_text, bind_text));
	ck_assert(!is_at(bind_text, "unix:/tmp/other"));
	ck_assert(!is_at(bind_text, here));
	ck_assert(!listener_is_at(-1, here));
}
END_TEST

START_TEST(an_empty_host_is_all_addresses)
{
	const struct listener_spec spec = { .bind = ":0" };
	char all[64];

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	snprintf(all, sizeof(all), ":%u", listener_port(listener));
	ck_assert(listener_is_at(listener_fd(listener), all));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("listener");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, makes_a_file_for_user_and_group);
	tcase_add_test(tc, mode_and_group_are_as_said_whatever_the_umask);
	tcase_add_test(tc, an_unknown_group_leaves_nothing_behind);
	tcase_add_test(tc, removes_its_file_and_no_other);
	tcase_add_test(tc, replaces_what_a_dead_process_left);
	tcase_add_test(tc, a_living_one_is_left_alone);
	tcase_add_test(tc, a_file_that_is_no_socket_stays);
	tcase_add_test(tc, a_missing_folder_is_told);
	tcase_add_test(tc, knows_where_an_inherited_socket_is);
	tcase_add_test(tc, an_empty_host_is_all_addresses);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
