/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/bug.h"
#include "common/base/clock.h"
#include "common/base/container_of.h"

/* Events that one turn takes from the kernel; the rest comes in the next. */
#define TURN_EVENTS 1024

/* Later than any clock shows, and within what the kernel takes. */
#define NEVER_NS ((uint64_t)INT64_MAX / 2)

/*
 * Timers are our own, on one kernel timer that is set when the first of them
 * changes: libevent would set one at each turn, a system call as dear as the
 * wait itself, or reckon from a clock that is 4 ms behind.
 */
struct loop {
	int epoll_fd;
	unsigned event_at; /* the one that is told, and how many there are */
	unsigned event_count;
	struct event_base *base; /* NULL: nobody asked for it */
	struct event *inside;    /* in the base: our epoll */
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
	/* The last: no pages before they are used. */
	struct epoll_event events[TURN_EVENTS];
};

static void on_timer_fd(void *arg, int fd, unsigned ready);

struct loop *
loop_new(void)
{
	struct loop *loop = malloc(sizeof(*loop));
	int err;

	if (loop == NULL)
		return NULL;
	memset(loop, 0, offsetof(struct loop, events));
	loop->armed_ns = UINT64_MAX;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epoll_fd == -1 || loop->timer_fd == -1) {
		err = -errno;
		goto fail;
	}
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
	if (loop->inside != NULL)
		event_free(loop->inside);
	if (loop->base != NULL)
		event_base_free(loop->base);
	if (loop->timer_fd != -1)
		close(loop->timer_fd);
	if (loop->epoll_fd != -1)
		close(loop->epoll_fd);
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

static unsigned
ready_of(uint32_t events)
{
	unsigned ready = 0;

	if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
		ready |= LOOP_READ;
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
		ready |= LOOP_WRITE;
	return ready;
}

static uint32_t
events_of(unsigned interest)
{
	uint32_t events = 0;

	if ((interest & LOOP_READ) != 0)
		events |= EPOLLIN;
	if ((interest & LOOP_WRITE) != 0)
		events |= EPOLLOUT;
	if ((interest & LOOP_EDGE) != 0)
		events |= EPOLLET;
	return events;
}

static void
tell_events(struct loop *loop)
{
	struct loop_source *source;
	unsigned ready;

	for (; loop->event_at < loop->event_count; loop->event_at++) {
		source = loop->events[loop->event_at].data.ptr;
		if (source == NULL)
			continue;
		ready = ready_of(loop->events[loop->event_at].events) &
		    source->interest;
		if (ready != 0)
			source->ready(source, ready);
	}
	loop->event_at = loop->event_count = 0;
}

/* Has somebody else than we something in libevent's base? */
static bool
base_waits(const struct loop *loop)
{
	return loop->base != NULL &&
	    event_base_get_num_events(loop->base,
		EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE) > 1;
}

/* Wait, and tell what libevent has.  Returns 0 or -errno. */
static int
run_base(struct loop *loop, bool wait)
{
	const int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY |
	    (wait ? 0 : EVLOOP_NONBLOCK);

	errno = 0;
	if (event_base_loop(loop->base, flags) == -1)
		return errno == 0 ? -EIO : -errno;
	return 0;
}

/* Returns 0 or -errno. */
static int
run_events(struct loop *loop, bool wait)
{
	int count, err;

	if (base_waits(loop)) {
		err = run_base(loop, wait);
		if (err != 0)
			return err;
		wait = false;
	}
	count = epoll_wait(
	    loop->epoll_fd, loop->events, TURN_EVENTS, wait ? -1 : 0);
	if (count == -1)
		return errno == EINTR ? 0 : -errno;
	loop->event_count = (unsigned)count;
	tell_events(loop);
	return 0;
}

int
loop_turn(struct loop *loop, bool wait)
{
	int err;

	wait = wait && !loop->again;
	loop->again = false;
	loop->now_ns = 0;
	arm_timer(loop);
	loop->dispatching = true;
	err = run_events(loop, wait);
	if (err == 0)
		fire_due(loop);
	loop->dispatching = false;
	if (err == 0)
		run_hooks(loop);
	return err;
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

/* It has only to wake libevent: run_events() looks at our epoll next. */
static void
on_inside(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

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

struct event_base *
loop_base(struct loop *loop)
{
	if (loop->base != NULL)
		return loop->base;
	loop->base = new_base();
	if (loop->base == NULL)
		return NULL;
	loop->inside = event_new(
	    loop->base, loop->epoll_fd, EV_READ | EV_PERSIST, on_inside, loop);
	if (loop->inside != NULL && event_add(loop->inside, NULL) == 0)
		return loop->base;
	if (loop->inside != NULL)
		event_free(loop->inside);
	loop->inside = NULL;
	event_base_free(loop->base);
	loop->base = NULL;
	return NULL;
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

/* It may be gone before its turn comes. */
static void
forget_events(struct loop *loop, const struct loop_source *source)
{
	for (unsigned i = loop->event_at; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

int
loop_source_wait(
    struct loop *loop, struct loop_source *source, unsigned interest)
{
	struct epoll_event event = {
		.events = events_of(interest),
		.data.ptr = source,
	};
	int what = EPOLL_CTL_MOD;

	if (interest == source->interest)
		return 0;
	if (source->interest == 0)
		what = EPOLL_CTL_ADD;
	else if (interest == 0)
		what = EPOLL_CTL_DEL;
	if (what == EPOLL_CTL_DEL)
		forget_events(loop, source);
	source->interest = (uint8_t)interest;
	if (epoll_ctl(loop->epoll_fd, what, source->fd, &event) == 0 ||
	    what == EPOLL_CTL_DEL)
		return 0;
	source->interest = 0;
	return -errno;
}

static void
on_ready(struct loop_source *source, unsigned ready)
{
	struct loop_fd *watch = CONTAINER_OF(source, struct loop_fd, source);

	watch->ready(watch->arg, source->fd, ready);
}

int
loop_fd_start(struct loop_fd *watch, struct loop *loop, int fd,
    unsigned interest, void (*ready)(void *arg, int fd, unsigned ready),
    void *arg)
{
	*watch = (struct loop_fd){
		.source = { .ready = on_ready, .fd = fd },
		.loop = loop,
		.ready = ready,
		.arg = arg,
	};
	return loop_source_wait(loop, &watch->source, interest);
}

void
loop_fd_stop(struct loop_fd *watch)
{
	if (watch->source.interest != 0)
		loop_source_wait(watch->loop, &watch->source, 0);
}
