/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/net/loop_memory.h"

/* Later than any clock shows, and within what the kernel takes. */
#define NEVER_NS ((uint64_t)INT64_MAX / 2)

/*
 * Timers are our own, on one kernel timer that is set when the first of them
 * changes: libevent would set one at each turn, a system call as dear as the
 * wait itself, or reckon from a clock that is 4 ms behind.
 */
struct loop {
	struct event_base *base;
	struct loop_hook *hooks;
	struct loop_hook *next_hook; /* to run after the one that runs now */
	struct loop_timer *timers;   /* the next one first */
	struct loop_fd timer_watch;
	uint64_t armed_ns; /* when timer_fd becomes ready, or UINT64_MAX */
	uint64_t now_ns;   /* 0: not read in this turn */
	int timer_fd;
	bool stopping;
	bool again;
	bool dispatching; /* the hooks are still to come */
};

static void on_timer_fd(void *arg, int fd, unsigned ready);

static struct event_base *
new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (config == NULL)
		return NULL;
	/* The loop is of one thread: no locks. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *
loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int err = -ENOMEM;

	if (loop == NULL)
		return NULL;
	loop_memory_use();
	loop->armed_ns = UINT64_MAX;
	loop->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->timer_fd == -1) {
		err = -errno;
		goto fail;
	}
	loop->base = new_base();
	if (loop->base == NULL)
		goto fail;
	err = loop_fd_start(&loop->timer_watch, loop, loop->timer_fd,
	    LOOP_READ | LOOP_EDGE, on_timer_fd, loop);
	if (err != 0)
		goto fail;
	return loop;

fail:
	loop_free(loop);
	errno = -err;
	return NULL;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	while (loop->timers != NULL)
		loop_timer_stop(loop->timers);
	loop_fd_stop(&loop->timer_watch);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->timer_fd != -1)
		close(loop->timer_fd);
	free(loop);
}

/*
 * Set the kernel's timer, if it would come too late.  One that comes too
 * early, for a timer that was stopped or moved, costs one idle turn.
 */
static void
arm_timer(struct loop *loop)
{
	struct itimerspec when = { 0 };
	uint64_t due_ns;
	int err;

	if (loop->timers == NULL || loop->timers->due_ns >= loop->armed_ns)
		return;
	due_ns = loop->timers->due_ns;
	when.it_value.tv_sec = (time_t)(due_ns / CLOCK_SECOND_NS);
	when.it_value.tv_nsec = (long)(due_ns % CLOCK_SECOND_NS);
	err = timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	BUG_ON(err != 0);
	loop->armed_ns = due_ns;
}

/* Not read: being set again makes it ready again. */
static void
on_timer_fd(void *arg, int fd, unsigned ready)
{
	struct loop *loop = arg;

	(void)fd;
	(void)ready;
	loop->armed_ns = UINT64_MAX;
}

/* Those that are due now, not those that they start meanwhile. */
static void
fire_due(struct loop *loop)
{
	struct loop_timer *timer;

	while ((timer = loop->timers) != NULL &&
	    timer->due_ns <= loop_now_ns(loop)) {
		loop_timer_stop(timer);
		timer->fire(timer->arg);
	}
}

static void
run_hooks(struct loop *loop)
{
	struct loop_hook *hook;

	for (hook = loop->hooks; hook != NULL; hook = loop->next_hook) {
		loop->next_hook = hook->next;
		hook->run(hook->arg);
	}
	loop->next_hook = NULL;
}

int
loop_turn(struct loop *loop, bool wait)
{
	int err, flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;

	if (!wait || loop->again)
		flags |= EVLOOP_NONBLOCK;
	loop->again = false;
	loop->now_ns = 0;
	arm_timer(loop);
	loop->dispatching = true;
	errno = 0;
	err = event_base_loop(loop->base, flags);
	if (err != -1)
		fire_due(loop);
	loop->dispatching = false;
	if (err == -1)
		return errno == 0 ? -EIO : -errno;
	run_hooks(loop);
	return 0;
}

int
loop_run(struct loop *loop)
{
	int err = 0;

	while (err == 0 && !loop->stopping)
		err = loop_turn(loop, true);
	loop->stopping = false;
	return err;
}

void
loop_stop(struct loop *loop)
{
	loop->stopping = true;
	loop->again = true;
}

void
loop_again(struct loop *loop)
{
	loop->again = true;
}

bool
loop_is_dispatching(const struct loop *loop)
{
	return loop->dispatching;
}

uint64_t
loop_now_ns(struct loop *loop)
{
	if (loop->now_ns == 0)
		loop->now_ns = clock_now_ns();
	return loop->now_ns;
}

struct event_base *
loop_base(struct loop *loop)
{
	return loop->base;
}

void
loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
	struct loop_hook **at = &loop->hooks;

	while (*at != NULL)
		at = &(*at)->next;
	hook->next = NULL;
	*at = hook;
}

void
loop_remove_hook(struct loop *loop, struct loop_hook *hook)
{
	struct loop_hook **at = &loop->hooks;

	while (*at != NULL && *at != hook)
		at = &(*at)->next;
	BUG_ON(*at == NULL);
	*at = hook->next;
	if (loop->next_hook == hook)
		loop->next_hook = hook->next;
}

void
loop_timer_init(struct loop_timer *timer, struct loop *loop,
    void (*fire)(void *arg), void *arg)
{
	*timer = (struct loop_timer){ .loop = loop, .fire = fire, .arg = arg };
}

void
loop_timer_start(struct loop_timer *timer, uint64_t delay_ns)
{
	struct loop_timer **at = &timer->loop->timers;
	/* Beyond what fire_due() takes for now. */
	const uint64_t now_ns = clock_now_ns() + 1;

	loop_timer_stop(timer);
	timer->due_ns =
	    delay_ns < NEVER_NS - now_ns ? now_ns + delay_ns : NEVER_NS;
	while (*at != NULL && (*at)->due_ns <= timer->due_ns)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
	timer->running = true;
}

void
loop_timer_stop(struct loop_timer *timer)
{
	struct loop_timer **at;

	if (!timer->running)
		return;
	for (at = &timer->loop->timers; *at != timer; at = &(*at)->next)
		BUG_ON(*at == NULL);
	*at = timer->next;
	timer->running = false;
}

bool
loop_timer_is_running(const struct loop_timer *timer)
{
	return timer->running;
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *watch = arg;
	unsigned ready = 0;

	if ((what & EV_READ) != 0)
		ready |= LOOP_READ;
	if ((what & EV_WRITE) != 0)
		ready |= LOOP_WRITE;
	watch->ready(watch->arg, fd, ready);
}

int
loop_fd_start(struct loop_fd *watch, struct loop *loop, int fd,
    unsigned interest, void (*ready)(void *arg, int fd, unsigned ready),
    void *arg)
{
	short what = EV_PERSIST;

	if ((interest & LOOP_READ) != 0)
		what |= EV_READ;
	if ((interest & LOOP_WRITE) != 0)
		what |= EV_WRITE;
	if ((interest & LOOP_EDGE) != 0)
		what |= EV_ET;
	watch->ready = ready;
	watch->arg = arg;
	errno = 0;
	if (event_assign(
		&watch->event, loop->base, fd, what, on_ready, watch) == -1)
		return -EINVAL;
	if (event_add(&watch->event, NULL) == -1)
		return errno == 0 ? -EINVAL : -errno;
	return 0;
}

void
loop_fd_stop(struct loop_fd *watch)
{
	if (event_initialized(&watch->event))
		event_del(&watch->event);
}
