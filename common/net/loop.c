/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

struct loop {
	struct event_base *base;
	struct loop_hook *hooks;
	struct loop_hook *next_hook; /* to run after the one that runs now */
	uint64_t now_ns;             /* 0: not read in this turn */
	bool stopping;
	bool again;
	bool dispatching; /* the hooks are still to come */
};

struct loop *
loop_new(void)
{
	struct event_config *config = event_config_new();
	struct loop *loop = calloc(1, sizeof(*loop));

	if (config == NULL || loop == NULL)
		goto fail;
	/* The loop is of one thread: no locks, and no clock of its own. */
	event_config_set_flag(
	    config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
	loop->base = event_base_new_with_config(config);
	if (loop->base == NULL)
		goto fail;
	event_config_free(config);
	return loop;

fail:
	if (config != NULL)
		event_config_free(config);
	free(loop);
	errno = ENOMEM;
	return NULL;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	event_base_free(loop->base);
	free(loop);
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
	loop->dispatching = true;
	errno = 0;
	err = event_base_loop(loop->base, flags);
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

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;

	(void)fd;
	(void)what;
	timer->fire(timer->arg);
}

void
loop_timer_init(struct loop_timer *timer, struct loop *loop,
    void (*fire)(void *arg), void *arg)
{
	timer->fire = fire;
	timer->arg = arg;
	evtimer_assign(&timer->event, loop->base, on_timer, timer);
}

void
loop_timer_start(struct loop_timer *timer, uint64_t delay_ns)
{
	uint64_t us = delay_ns / CLOCK_US_NS + (delay_ns % CLOCK_US_NS != 0);
	struct timeval delay = { .tv_sec = (time_t)(us / 1000000),
		.tv_usec = (suseconds_t)(us % 1000000) };
	int err;

	/* Fails only without memory for a first, small heap. */
	err = event_add(&timer->event, &delay);
	BUG_ON(err != 0);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	if (event_initialized(&timer->event))
		event_del(&timer->event);
}

bool
loop_timer_is_running(const struct loop_timer *timer)
{
	return event_initialized(&timer->event) &&
	    event_pending(&timer->event, EV_TIMEOUT, NULL);
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
