/* SPDX-License-Identifier: Apache-2.0 */

#include "common/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/service/fdstore.h"
#include "tests/unit/unit.h"

static char path[64];
static char socket_path[96];
static int notify_fd;
static struct service *service;
static unsigned drains, reloads;
static bool holds;

static void
write_conf(const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

/* A configuration, and a supervisor's end of NOTIFY_SOCKET. */
static void
set_up(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(path, "/tmp/weir-test-service-XXXXXX");
	close(mkstemp(path));
	write_conf("");
	snprintf(socket_path, sizeof(socket_path), "%s.sock", path);
	strcpy(address.sun_path, socket_path);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(notify_fd, (void *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", socket_path, 1);
	setenv("WEIR_SANDBOX", "0", 1);
	drains = reloads = 0;
	holds = false;
	service = NULL;
}

static void
tear_down(void)
{
	service_end(service, 0);
	close(notify_fd);
	unlink(path);
	unlink(socket_path);
}

static void
on_drain(void *arg)
{
	(void)arg;
	drains++;
	service_stop(service, EXIT_OK);
}

static void
on_reload(void *arg, const struct conf *conf)
{
	(void)arg;
	reloads = conf->workers;
	if (holds)
		service_hold(service);
	raise(SIGTERM);
}

static int
start(unsigned operands, const char *a, const char *b)
{
	const struct service_spec spec = { .program = "weir-test",
		.synopsis = "",
		.operands = operands,
		.drain = on_drain,
		.reload = on_reload };
	static char words[5][96]; /* the service keeps pointers to them */
	const char *const given[5] = { "weir-test", "-c", path, a, b };
	static char *argv[6];
	int argc = 0;

	for (; argc < 5 && given[argc] != NULL; argc++) {
		snprintf(words[argc], sizeof(words[argc]), "%s", given[argc]);
		argv[argc] = words[argc];
	}
	argv[argc] = NULL;
	return service_start(&spec, &argc, argv, &service);
}

static const char *
notified(void)
{
	static char text[512];
	ssize_t len = recv(notify_fd, text, sizeof(text) - 1, 0);

	text[len < 0 ? 0 : len] = '\0';
	return text;
}

START_TEST(asks_the_supervisor_for_time_while_it_starts)
{
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	service_starting(
	    service, 30 * UINT64_C(1000000000), "reading: %d\nof 9", 3);
	ck_assert_str_eq(notified(), "STATUS=reading: 3");
	ck_assert_str_eq(notified(), "EXTEND_TIMEOUT_USEC=30000000");
}
END_TEST

START_TEST(drains_at_sigterm_and_tells_the_supervisor)
{
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	ck_assert_ptr_nonnull(service);
	service_ready(service, "1 listener");
	ck_assert_str_eq(notified(), "STATUS=1 listener");
	ck_assert_str_eq(notified(), "READY=1");
	raise(SIGTERM);
	ck_assert_int_eq(service_run(service), EXIT_OK);
	ck_assert_uint_eq(drains, 1);
	ck_assert(service_is_draining(service));
	ck_assert_str_eq(notified(), "STOPPING=1");
}
END_TEST

/* Programs go on with what they began with, and read it. */
START_TEST(the_first_configuration_stays_after_a_reload)
{
	const struct conf *first;

	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	first = service_conf(service);
	for (int i = 0; i < 2; i++) {
		write_conf("workers = 7;");
		raise(SIGHUP);
		ck_assert_int_eq(service_run(service), EXIT_OK);
	}
	ck_assert_ptr_ne(service_conf(service), first);
	ck_assert_str_eq(first->path, path);
	ck_assert_str_eq(first->run_dir, "/run/weir");
}
END_TEST

static const struct conf *
reload(const char *text, bool is_held)
{
	char *mistakes;

	holds = is_held;
	write_conf(text);
	ck_assert_int_eq(service_reload(service, &mistakes), 0);
	return service_conf(service);
}

/* A bridge that is not in later ones goes on with the last it was in. */
START_TEST(what_is_held_stays_until_another_is)
{
	const struct conf *held;

	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	reload("run_dir = \"/a\";", true);
	held = reload("run_dir = \"/held/by/a/bridge\";", true);
	for (int i = 0; i < 5; i++) {
		reload("run_dir = \"/another/that/is/not\";", false);
		ck_assert_str_eq(held->run_dir, "/held/by/a/bridge");
	}
	held = reload("run_dir = \"/b\";", true);
	reload("run_dir = \"/c\";", false);
	ck_assert_str_eq(held->run_dir, "/b");
}
END_TEST

START_TEST(refreshes_when_the_file_is_another_one)
{
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	write_conf("workers = 9;");
	service_refresh(service);
	ck_assert_uint_eq(reloads, 9);
	ck_assert_uint_eq(service_conf(service)->workers, 9);
	ck_assert_int_eq(service_run(service), EXIT_OK);
}
END_TEST

START_TEST(reloads_at_sighup)
{
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	write_conf("workers = 7;");
	raise(SIGHUP);
	ck_assert_int_eq(service_run(service), EXIT_OK);
	ck_assert_uint_eq(reloads, 7);
	ck_assert_uint_eq(service_conf(service)->workers, 7);
	ck_assert_int_eq(strncmp(notified(), "RELOADING=1\n", 12), 0);
	ck_assert_str_eq(notified(), "READY=1");
}
END_TEST

static void
stop_now(void *arg)
{
	(void)arg;
	service_stop(service, EXIT_FAILED);
}

START_TEST(keeps_the_old_configuration_when_the_new_is_wrong)
{
	struct loop_timer timer;

	write_conf("workers = 3;");
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_OK);
	write_conf("workers = 99;");
	raise(SIGHUP);
	loop_timer_init(&timer, service_loop(service), stop_now, NULL);
	loop_timer_start(&timer, 20000000);
	ck_assert_int_eq(service_run(service), EXIT_FAILED);
	ck_assert_uint_eq(reloads, 0);
	ck_assert_uint_eq(service_conf(service)->workers, 3);
}
END_TEST

START_TEST(tests_the_configuration_and_leaves)
{
	ck_assert_int_eq(start(0, "-t", NULL), EXIT_OK);
	ck_assert_ptr_null(service);
	write_conf("wrong = 1;");
	ck_assert_int_eq(start(0, "-t", NULL), EXIT_CONFIG);
	ck_assert_int_eq(start(0, NULL, NULL), EXIT_CONFIG);
	ck_assert_ptr_null(service);
}
END_TEST

START_TEST(wants_its_operands)
{
	ck_assert_int_eq(start(1, NULL, NULL), EXIT_USAGE);
	ck_assert_int_eq(start(1, "a", "b"), EXIT_USAGE);
	ck_assert_int_eq(start(0, "--frob", NULL), EXIT_USAGE);
	ck_assert_int_eq(start(1, "cloud", NULL), EXIT_OK);
	ck_assert_str_eq(service_operands(service)[0], "cloud");
}
END_TEST

START_TEST(has_descriptors_kept_under_a_name)
{
	char text[256] = "", control[256];
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert(fdstore_is_available());
	ck_assert_int_eq(fdstore_keep("a:b", fd), -EINVAL);
	ck_assert_int_eq(fdstore_keep("ring-cloud", fd), 0);
	ck_assert_int_gt(recvmsg(notify_fd, &message, 0), 0);
	ck_assert_str_eq(text, "FDSTORE=1\nFDNAME=ring-cloud\nFDPOLL=0");
	ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
	ck_assert_int_eq(fdstore_remove("ring-cloud"), 0);
	ck_assert_str_eq(notified(), "FDSTOREREMOVE=1\nFDNAME=ring-cloud");
	unsetenv("NOTIFY_SOCKET");
	ck_assert_int_eq(fdstore_keep("ring-cloud", fd), -ENOTCONN);
	close(fd);
}
END_TEST

START_TEST(inherits_descriptors_by_name)
{
	struct fdstore store;
	char pid[16];
	int fd;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", "ring", 1);
	dup2(notify_fd, 3);
	ck_assert_int_eq(fdstore_init(&store), 0);
	ck_assert_uint_eq(store.count, 1);
	ck_assert_int_eq(fdstore_take(&store, "other"), -ENOENT);
	fd = fdstore_take(&store, "ring");
	ck_assert_int_eq(fd, 3);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(fdstore_take(&store, "ring"), -ENOENT);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	fdstore_fini(&store);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("service");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, asks_the_supervisor_for_time_while_it_starts);
	tcase_add_test(tc, drains_at_sigterm_and_tells_the_supervisor);
	tcase_add_test(tc, reloads_at_sighup);
	tcase_add_test(tc, the_first_configuration_stays_after_a_reload);
	tcase_add_test(tc, what_is_held_stays_until_another_is);
	tcase_add_test(tc, refreshes_when_the_file_is_another_one);
	tcase_add_test(tc, keeps_the_old_configuration_when_the_new_is_wrong);
	tcase_add_test(tc, tests_the_configuration_and_leaves);
	tcase_add_test(tc, wants_its_operands);
	tcase_add_test(tc, has_descriptors_kept_under_a_name);
	tcase_add_test(tc, inherits_descriptors_by_name);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
