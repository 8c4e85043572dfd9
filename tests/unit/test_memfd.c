/* SPDX-License-Identifier: Apache-2.0 */

#include "common/shm/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define LENGTH ((size_t)1 << 20)

START_TEST(is_sparse_sealed_and_for_its_owner_alone)
{
	int fd = memfd_create_sealed("weir-test", LENGTH);
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, LENGTH);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 2 * LENGTH), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}
END_TEST

START_TEST(is_named_in_proc)
{
	int fd = memfd_create_sealed("weir-test", LENGTH);
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_gt(readlink(path, target, sizeof(target) - 1), 0);
	ck_assert_ptr_nonnull(strstr(target, "/memfd:weir-test"));
	close(fd);
}
END_TEST

START_TEST(a_reader_sees_writes_but_cannot_write)
{
	int fd = memfd_create_sealed("weir-test", LENGTH);
	int reader = memfd_reopen_read_only(fd);
	void *own, *seen, *none = NULL;

	ck_assert_int_ge(reader, 0);
	ck_assert_int_eq(memfd_check(reader, LENGTH), 0);
	ck_assert_int_eq(memfd_map(fd, LENGTH, true, &own), 0);
	ck_assert_int_eq(memfd_map(reader, LENGTH, false, &seen), 0);
	memcpy((char *)own + LENGTH - 2, "x", 2);
	ck_assert_str_eq((char *)seen + LENGTH - 2, "x");
	ck_assert_int_eq(memfd_map(reader, LENGTH, true, &none), -EACCES);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(mprotect(seen, LENGTH, PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(memfd_allocate(reader, 0, 1), -EBADF);
	munmap(own, LENGTH);
	munmap(seen, LENGTH);
	close(reader);
	close(fd);
}
END_TEST

START_TEST(check_refuses_what_could_shrink_or_is_no_memfd)
{
	int fd, pipe_fds[2];

	fd = memfd_create_sealed("weir-test", LENGTH);
	ck_assert_int_eq(memfd_check(fd, LENGTH), 0);
	ck_assert_int_eq(memfd_check(fd, LENGTH - 1), -EBADMSG);
	ck_assert_int_eq(memfd_check(fd, LENGTH + 1), -EBADMSG);
	close(fd);

	fd = memfd_create("weir-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, LENGTH), 0);
	ck_assert_int_eq(memfd_check(fd, LENGTH), -EBADMSG);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL), 0);
	ck_assert_int_eq(memfd_check(fd, LENGTH), -EBADMSG);
	close(fd);

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(memfd_check(pipe_fds[0], 0), -EBADMSG);
	close(pipe_fds[0]);
	close(pipe_fds[1]);

	fd = open("/dev/zero", O_RDONLY);
	ck_assert_int_eq(memfd_check(fd, 0), -EBADMSG);
	close(fd);
	ck_assert_int_eq(memfd_check(-1, 0), -EBADF);
}
END_TEST

START_TEST(allocates_what_is_asked_for)
{
	int fd = memfd_create_sealed("weir-test", LENGTH);
	struct stat st;

	ck_assert_int_eq(memfd_allocate(fd, 4096, 8192), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 16);
	ck_assert_int_lt(memfd_allocate(fd, LENGTH, 4096), 0);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("memfd");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, is_sparse_sealed_and_for_its_owner_alone);
	tcase_add_test(tc, is_named_in_proc);
	tcase_add_test(tc, a_reader_sees_writes_but_cannot_write);
	tcase_add_test(tc, check_refuses_what_could_shrink_or_is_no_memfd);
	tcase_add_test(tc, allocates_what_is_asked_for);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
