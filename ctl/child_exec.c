/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/child_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_INHERITED 3 /* SD_LISTEN_FDS_START */

static int
set_number(const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return setenv(name, text, 1);
}

static int
set_names(const struct notify_store *store)
{
	size_t length = 1;
	char *names;
	int ret;

	for (size_t i = 0; i < store->count; i++)
		length += strlen(store->fds[i].name) + 1;
	names = calloc(1, length);
	if (names == NULL)
		return -1;
	for (size_t i = 0; i < store->count; i++) {
		if (i != 0)
			strcat(names, ":");
		strcat(names, store->fds[i].name);
	}
	ret = setenv("LISTEN_FDNAMES", names, 1);
	free(names);
	return ret;
}

static int
set_environment(const struct child_exec *exec)
{
	unsetenv("JOURNAL_STREAM");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	if (setenv("NOTIFY_SOCKET", exec->notify_address, 1) == -1 ||
	    setenv("WEIR_LOG_PREFIX", "1", 1) == -1 ||
	    set_number("WATCHDOG_USEC", exec->watchdog_ns / 1000) == -1 ||
	    set_number("WATCHDOG_PID", (uint64_t)getpid()) == -1)
		return -1;
	if (exec->store->count == 0)
		return 0;
	if (set_number("LISTEN_FDS", exec->store->count) == -1 ||
	    set_number("LISTEN_PID", (uint64_t)getpid()) == -1)
		return -1;
	return set_names(exec->store);
}

/*
 * Put the stored descriptors at 3, 4, ...  They are moved out of the way
 * first: one of them may lie where another has to go.
 */
static int
place_fds(const struct child_exec *exec, int status_fd)
{
	const int count = (int)exec->store->count;
	const int above = FIRST_INHERITED + count;
	int *moved;

	if (status_fd < above)
		status_fd = fcntl(status_fd, F_DUPFD_CLOEXEC, above);
	moved = calloc((size_t)count + 1, sizeof(*moved));
	if (moved == NULL || status_fd == -1)
		return -1;
	for (int i = 0; i < count; i++)
		moved[i] =
		    fcntl(exec->store->fds[i].fd, F_DUPFD_CLOEXEC, above);
	for (int i = 0; i < count; i++) {
		if (moved[i] == -1 || dup2(moved[i], FIRST_INHERITED + i) == -1)
			return -1;
	}
	free(moved);
	return status_fd;
}

static void
become(const struct child_exec *exec, int status_fd, pid_t parent)
{
	sigset_t none;
	int err, null_fd, moved;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd != -1 && dup2(null_fd, 0) != -1 &&
	    dup2(exec->output_fd, 1) != -1 && dup2(exec->output_fd, 2) != -1 &&
	    set_environment(exec) == 0) {
		moved = place_fds(exec, status_fd);
		if (moved != -1) {
			status_fd = moved;
			execv(exec->argv[0],
			    (char *const *)(uintptr_t)exec->argv);
		}
	}
	err = errno;
	if (write(status_fd, &err, sizeof(err)) == -1)
		_exit(126);
	_exit(127);
}

int
child_exec_start(const struct child_exec *exec, pid_t *out_pid)
{
	const pid_t parent = getpid();
	int err = 0, status[2];
	ssize_t n;
	pid_t pid;

	/* Closed by a successful exec, else it carries errno. */
	if (pipe2(status, O_CLOEXEC) == -1)
		return -errno;
	pid = fork();
	if (pid == -1) {
		err = -errno;
		close(status[0]);
		close(status[1]);
		return err;
	}
	if (pid == 0)
		become(exec, status[1], parent);
	close(status[1]);
	do {
		n = read(status[0], &err, sizeof(err));
	} while (n == -1 && errno == EINTR);
	close(status[0]);
	if (n == (ssize_t)sizeof(err)) {
		waitpid(pid, NULL, 0);
		return -err;
	}
	*out_pid = pid;
	return 0;
}
