/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/net/loop_signals.h"
#include "ctl/child_exec.h"
#include "ctl/log_relay.h"
#include "ctl/notify.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

#define BACKOFF_MIN_NS (100 * MS)
#define BACKOFF_MAX_NS (5 * SECOND)
#define STABLE_NS (10 * SECOND)
#define KILL_AFTER_NS (6 * SECOND)
#define WATCHDOG_NS (30 * SECOND)
#define TICK_NS (100 * MS)
#define MAX_ORDERS 3

enum child_state {
	CHILD_WAITING,
	CHILD_STARTING,
	CHILD_UP,
	CHILD_ENDED
};

struct child {
	struct supervisor_child spec;
	struct supervisor *supervisor;
	enum child_state state;
	pid_t pid; /* 0: no process */
	uint64_t started_ns;
	uint64_t beat_ns;    /* last WATCHDOG=1; 0: it sends none */
	uint64_t backoff_ns; /* before the next start */
	uint64_t kill_at_ns; /* 0: not asked to end */
	struct loop_timer restart;
	struct loop_fd output; /* its stdout and stderr */
	int output_fd;
	struct log_relay relay;
	struct notify_store store;
	struct child *next;
};

struct supervisor {
	struct loop *loop;
	struct supervisor_callbacks callbacks;
	void *arg;
	struct child *children; /* in the order of starting */
	int notify_fd;
	char notify_address[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	struct loop_fd notify;
	struct loop_signals reaper; /* SIGCHLD */
	struct loop_timer tick;     /* watchdogs, and progress while ending */
	bool was_up;                /* everything, once */
	bool is_stopping;
	unsigned stop_order;
	int exit_code;
};

static void child_start(struct child *child);

static void
enter(struct child *child, enum child_state state)
{
	static const char *const names[] = { "waiting", "starting", "up",
		"ended" };

	log_debug("process_state", "process=%s from=%s to=%s", child->spec.name,
	    names[child->state], names[state]);
	child->state = state;
}

static void
read_output(void *arg, int fd, unsigned ready)
{
	struct child *child = arg;

	(void)ready;
	if (log_relay_read(&child->relay, fd) == 1)
		return;
	loop_fd_stop(&child->output);
	close(fd);
	child->output_fd = -1;
}

/* What a dead process still had in its pipe belongs before its obituary. */
static void
finish_output(struct child *child)
{
	if (child->output_fd != -1)
		read_output(child, child->output_fd, LOOP_READ);
	if (child->output_fd == -1)
		return;
	loop_fd_stop(&child->output);
	close(child->output_fd);
	child->output_fd = -1;
}

static void
fail_run(struct supervisor *supervisor, int code)
{
	if (supervisor->exit_code == EXIT_OK)
		supervisor->exit_code = code;
	if (!supervisor->is_stopping)
		supervisor_stop(supervisor);
}

static void
restart_later(struct child *child, uint64_t now_ns)
{
	if (child->state == CHILD_UP && now_ns - child->started_ns >= STABLE_NS)
		child->backoff_ns = BACKOFF_MIN_NS;
	log_info("process_restart", "process=%s in_ms=%" PRIu64,
	    child->spec.name, child->backoff_ns / MS);
	enter(child, CHILD_WAITING);
	loop_timer_start(&child->restart, child->backoff_ns);
	child->backoff_ns *= 2;
	if (child->backoff_ns > BACKOFF_MAX_NS)
		child->backoff_ns = BACKOFF_MAX_NS;
}

static void
log_end(const struct child *child, int status)
{
	if (WIFSIGNALED(status))
		log_warning("process_killed", "process=%s pid=%d signal=%d",
		    child->spec.name, (int)child->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != EXIT_OK)
		log_warning("process_failed", "process=%s pid=%d code=%d",
		    child->spec.name, (int)child->pid, WEXITSTATUS(status));
	else
		log_info("process_ended", "process=%s pid=%d", child->spec.name,
		    (int)child->pid);
}

static void
child_ended(struct child *child, int status)
{
	struct supervisor *supervisor = child->supervisor;
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	finish_output(child);
	log_end(child, status);
	child->pid = 0;
	if (supervisor->is_stopping) {
		enter(child, CHILD_ENDED);
		return;
	}
	if (code == EXIT_CONFIG || code == EXIT_USAGE ||
	    (code == EXIT_OSERR && !supervisor->was_up)) {
		enter(child, CHILD_ENDED);
		fail_run(supervisor, code);
		return;
	}
	restart_later(child, loop_now_ns(supervisor->loop));
}

static void
reap(void *arg, int number)
{
	struct supervisor *supervisor = arg;
	struct child *child;
	int status;

	(void)number;
	for (child = supervisor->children; child; child = child->next) {
		if (child->pid != 0 &&
		    waitpid(child->pid, &status, WNOHANG) == child->pid)
			child_ended(child, status);
	}
}

static bool
all_are(const struct supervisor *supervisor, enum child_state state)
{
	const struct child *child;

	for (child = supervisor->children; child; child = child->next) {
		if (child->state != state)
			return false;
	}
	return true;
}

/* The first child is what the others talk to: they start when it is up. */
static void
child_is_up(struct child *child)
{
	struct supervisor *supervisor = child->supervisor;
	struct child *other;

	enter(child, CHILD_UP);
	if (supervisor->is_stopping || supervisor->was_up)
		return;
	if (child == supervisor->children) {
		for (other = child->next; other; other = other->next) {
			if (other->state == CHILD_WAITING &&
			    !loop_timer_is_running(&other->restart))
				child_start(other);
		}
	}
	if (all_are(supervisor, CHILD_UP)) {
		supervisor->was_up = true;
		supervisor->callbacks.all_up(supervisor->arg);
	}
}

static struct child *
find_child(struct supervisor *supervisor, pid_t pid)
{
	struct child *child;

	for (child = supervisor->children; child; child = child->next) {
		if (child->pid == pid)
			return child;
	}
	return NULL;
}

static void
hear(void *arg, int fd, unsigned ready)
{
	struct supervisor *supervisor = arg;
	struct notify_message message;
	struct notify_store nobodys = { NULL, 0 };
	struct child *child;
	int err;

	(void)ready;
	while (notify_receive(fd, &message) == 1) {
		child = message.pid > 0 ? find_child(supervisor, message.pid)
					: NULL;
		if (child == NULL) {
			message.keeps_fds = false;
			notify_store_apply(&nobodys, &message);
			continue;
		}
		err = notify_store_apply(&child->store, &message);
		if (err != 0)
			log_warning("fdstore_full", "process=%s error=%s",
			    child->spec.name, strerror(-err));
		if (message.is_watchdog)
			child->beat_ns = loop_now_ns(supervisor->loop);
		if (message.is_ready && child->state == CHILD_STARTING)
			child_is_up(child);
	}
}

static void
child_start(struct child *child)
{
	struct supervisor *supervisor = child->supervisor;
	struct child_exec exec = {
		.argv = child->spec.argv,
		.notify_address = supervisor->notify_address,
		.watchdog_ns = WATCHDOG_NS,
		.store = &child->store,
	};
	int err, fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1) {
		err = -errno;
		goto fail;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	exec.output_fd = fds[1];
	err = child_exec_start(&exec, &child->pid);
	close(fds[1]);
	if (err != 0) {
		close(fds[0]);
		goto fail;
	}
	child->output_fd = fds[0];
	child->relay.name = child->spec.name;
	child->relay.used = 0;
	child->started_ns = loop_now_ns(supervisor->loop);
	child->beat_ns = 0;
	child->kill_at_ns = 0;
	loop_fd_start(&child->output, supervisor->loop, fds[0], LOOP_READ,
	    read_output, child);
	enter(child, CHILD_STARTING);
	log_info("process_started", "process=%s pid=%d fds=%zu",
	    child->spec.name, (int)child->pid, child->store.count);
	return;

fail:
	log_error("process_start_failed", "process=%s path=%s error=%s",
	    child->spec.name, log_quote(child->spec.argv[0]), strerror(-err));
	enter(child, CHILD_ENDED);
	fail_run(supervisor, EXIT_OSERR);
}

static void
restart(void *arg)
{
	child_start(arg);
}

static void
check_watchdog(struct child *child, uint64_t now_ns)
{
	if (child->pid == 0 || child->beat_ns == 0 ||
	    now_ns - child->beat_ns < WATCHDOG_NS)
		return;
	log_error("process_hangs", "process=%s pid=%d silent_s=%" PRIu64,
	    child->spec.name, (int)child->pid,
	    (now_ns - child->beat_ns) / SECOND);
	child->beat_ns = 0;
	kill(child->pid, SIGKILL);
}

/* Returns true when nobody of the order runs any more. */
static bool
end_order(struct supervisor *supervisor, unsigned order, uint64_t now_ns)
{
	struct child *child;
	bool gone = true;

	for (child = supervisor->children; child; child = child->next) {
		if (child->spec.stop_order != order)
			continue;
		loop_timer_stop(&child->restart);
		if (child->pid == 0) {
			enter(child, CHILD_ENDED);
			continue;
		}
		gone = false;
		if (child->kill_at_ns == 0) {
			child->kill_at_ns = now_ns + KILL_AFTER_NS;
			kill(child->pid, SIGTERM);
			kill(child->pid, SIGCONT);
		} else if (now_ns >= child->kill_at_ns) {
			log_error("process_does_not_end",
			    "process=%s pid=%d: killing it", child->spec.name,
			    (int)child->pid);
			kill(child->pid, SIGKILL);
		}
	}
	return gone;
}

static void
end_some(struct supervisor *supervisor, uint64_t now_ns)
{
	while (supervisor->stop_order < MAX_ORDERS) {
		if (!end_order(supervisor, supervisor->stop_order, now_ns))
			return;
		supervisor->stop_order++;
	}
	loop_stop(supervisor->loop);
}

static void
tick(void *arg)
{
	struct supervisor *supervisor = arg;
	const uint64_t now_ns = loop_now_ns(supervisor->loop);
	struct child *child;

	for (child = supervisor->children; child; child = child->next)
		check_watchdog(child, now_ns);
	if (supervisor->is_stopping)
		end_some(supervisor, now_ns);
	loop_timer_start(&supervisor->tick, TICK_NS);
}

struct supervisor *
supervisor_new(
    struct loop *loop, const struct supervisor_callbacks *callbacks, void *arg)
{
	static const int numbers[] = { SIGCHLD, 0 };
	struct supervisor *supervisor;
	int err;

	supervisor = calloc(1, sizeof(*supervisor));
	if (supervisor == NULL)
		return NULL;
	supervisor->loop = loop;
	supervisor->callbacks = *callbacks;
	supervisor->arg = arg;
	supervisor->notify_fd = notify_open(supervisor->notify_address);
	if (supervisor->notify_fd < 0) {
		errno = -supervisor->notify_fd;
		goto fail;
	}
	err = loop_signals_start(
	    &supervisor->reaper, loop, numbers, reap, supervisor);
	if (err != 0) {
		errno = -err;
		goto fail;
	}
	loop_fd_start(&supervisor->notify, loop, supervisor->notify_fd,
	    LOOP_READ, hear, supervisor);
	loop_timer_init(&supervisor->tick, loop, tick, supervisor);
	return supervisor;

fail:
	supervisor_free(supervisor);
	return NULL;
}

void
supervisor_free(struct supervisor *supervisor)
{
	struct child *child;

	if (supervisor == NULL)
		return;
	while ((child = supervisor->children) != NULL) {
		supervisor->children = child->next;
		BUG_ON(child->pid != 0);
		loop_timer_stop(&child->restart);
		finish_output(child);
		notify_store_clear(&child->store);
		free(child);
	}
	loop_timer_stop(&supervisor->tick);
	loop_fd_stop(&supervisor->notify);
	loop_signals_stop(&supervisor->reaper);
	if (supervisor->notify_fd >= 0)
		close(supervisor->notify_fd);
	free(supervisor);
}

int
supervisor_add(
    struct supervisor *supervisor, const struct supervisor_child *spec)
{
	struct child *child, **end = &supervisor->children;

	child = calloc(1, sizeof(*child));
	if (child == NULL)
		return -ENOMEM;
	child->spec = *spec;
	child->supervisor = supervisor;
	child->output_fd = -1;
	child->backoff_ns = BACKOFF_MIN_NS;
	loop_timer_init(&child->restart, supervisor->loop, restart, child);
	while (*end != NULL)
		end = &(*end)->next;
	*end = child;
	return 0;
}

int
supervisor_start(struct supervisor *supervisor)
{
	loop_timer_start(&supervisor->tick, TICK_NS);
	child_start(supervisor->children);
	return 0;
}

void
supervisor_stop(struct supervisor *supervisor)
{
	if (supervisor->is_stopping) {
		supervisor_signal(supervisor, SIGKILL);
		return;
	}
	supervisor->is_stopping = true;
	end_some(supervisor, loop_now_ns(supervisor->loop));
}

void
supervisor_signal(struct supervisor *supervisor, int signal)
{
	struct child *child;

	for (child = supervisor->children; child; child = child->next) {
		if (child->pid != 0)
			kill(child->pid, signal);
	}
}

int
supervisor_exit_code(const struct supervisor *supervisor)
{
	return supervisor->exit_code;
}
