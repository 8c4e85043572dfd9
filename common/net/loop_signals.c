/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop_signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* The next one that was raised; 0: there is none. */
static int
next_raised(struct loop_signals *signals)
{
	struct signalfd_siginfo info;

	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

static void
on_ready(void *arg, int fd, unsigned ready)
{
	struct loop_signals *signals = arg;
	int number;

	(void)fd;
	(void)ready;
	while (signals->is_started && (number = next_raised(signals)) != 0)
		signals->raised(signals->arg, number);
}

int
loop_signals_start(struct loop_signals *signals, struct loop *loop,
    const int *numbers, void (*raised)(void *arg, int number), void *arg)
{
	sigset_t set, before;
	int err;

	memset(signals, 0, sizeof(*signals));
	signals->raised = raised;
	signals->arg = arg;
	sigemptyset(&set);
	for (const int *number = numbers; *number != 0; number++)
		sigaddset(&set, *number);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd == -1)
		return -errno;
	err = loop_fd_start(
	    &signals->watch, loop, signals->fd, LOOP_READ, on_ready, signals);
	if (err != 0) {
		close(signals->fd);
		return err;
	}
	pthread_sigmask(SIG_BLOCK, &set, &before);
	signals->blocked = set;
	for (const int *number = numbers; *number != 0; number++)
		if (sigismember(&before, *number))
			sigdelset(&signals->blocked, *number);
	signals->is_started = true;
	return 0;
}

void
loop_signals_stop(struct loop_signals *signals)
{
	if (!signals->is_started)
		return;
	signals->is_started = false;
	loop_fd_stop(&signals->watch);
	while (next_raised(signals) != 0)
		;
	close(signals->fd);
	pthread_sigmask(SIG_UNBLOCK, &signals->blocked, NULL);
}
