/* SPDX-License-Identifier: Apache-2.0 */

/*
 * loop - an event loop that works in turns.
 *
 * A turn waits for events, calls their callbacks, then the timers that are
 * due and then the hooks: what a
 * whole batch of events wrote is flushed once, by a hook.  A loop belongs to
 * the thread that runs it; nothing here may be called from another one.
 *
 * Descriptors are waited for with an epoll of the loop's own (ADR 0034);
 * libevent, for what is built on it, is waited for beside them while it has
 * something to wait for: loop_base().
 */

#ifndef WEIR_COMMON_NET_LOOP_H
#define WEIR_COMMON_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;

/* Called after the events of a turn; embed it by value. */
struct loop_hook {
	void (*run)(void *arg);
	void *arg;
	struct loop_hook *next; /* private */
};

/* A timer that fires once each time it is started; embed it by value. */
struct loop_timer {
	void (*fire)(void *arg);
	void *arg;
	struct loop *loop;       /* private, as the rest */
	struct loop_timer *next; /* that fires after it */
	uint64_t due_ns;
	bool running;
};

enum loop_interest {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
	LOOP_EDGE = 4 /* report changes only; the callback need not read */
};

/*
 * One descriptor, as small as can be: there is one a connection.  Embed it by
 * value, and find what it is in by CONTAINER_OF().
 */
struct loop_source {
	/* `ready`: a set of enum loop_interest, not empty. */
	void (*ready)(struct loop_source *source, unsigned ready);
	int fd;
	uint8_t interest; /* a set of enum loop_interest; 0: not waited for */
};

/* One descriptor, and whom to tell; embed it by value. */
struct loop_fd {
	struct loop_source source; /* private, as the next */
	struct loop *loop;
	void (*ready)(void *arg, int fd, unsigned ready);
	void *arg;
};

/* NULL with errno set when there are no resources. */
struct loop *loop_new(void);

/* Everything that was added must be gone.  Accepts NULL. */
void loop_free(struct loop *loop);

/* Turn until loop_stop().  Returns 0, or -errno when waiting fails. */
int loop_run(struct loop *loop);

/* One turn; waits for an event only if `wait`.  Returns 0 or -errno. */
int loop_turn(struct loop *loop, bool wait);

/* loop_run() returns after this turn and its hooks. */
void loop_stop(struct loop *loop);

/* The next turn looks for events but does not wait: work is left over. */
void loop_again(struct loop *loop);

/* Events are being called: this turn's hooks are still to come. */
bool loop_is_dispatching(const struct loop *loop);

/* CLOCK_MONOTONIC, read once a turn, when first asked for. */
uint64_t loop_now_ns(struct loop *loop);

/* For what is built on libevent; of the loop's thread.  NULL: no memory. */
struct event_base *loop_base(struct loop *loop);

/*
 * Hooks run in the order they were added.  A hook may remove itself and add
 * others.
 */
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop *loop, struct loop_hook *hook);

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
    void (*fire)(void *arg), void *arg);

/*
 * (Re)start: fires once, `delay_ns` after now, never earlier.  Started by a
 * timer that fires, it waits for the next turn, also with 0.
 */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ns);

/* Stopping a stopped or zeroed timer is nothing. */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);

/*
 * From now on wait for `interest`, with `source->fd` and `ready` set and
 * `interest` 0 before the first time; 0: for nothing, also not for errors.
 * What else was seen in this turn is not reported any more.  The fd must not
 * be waited for by another source, and this be 0 before it is closed.
 * Returns 0 or -errno: the source waits for nothing then.  0 never fails.
 */
int loop_source_wait(
    struct loop *loop, struct loop_source *source, unsigned interest);

/*
 * Watch `fd` for `interest`, a set of enum loop_interest, until
 * loop_fd_stop(); `ready` is a set of the same.  The fd stays the caller's and
 * must be stopped before it is closed.  An error or hang-up is all of it.
 * Returns 0 or -errno.
 */
int loop_fd_start(struct loop_fd *watch, struct loop *loop, int fd,
    unsigned interest, void (*ready)(void *arg, int fd, unsigned ready),
    void *arg);

/* Stopping a stopped or zeroed watch is nothing. */
void loop_fd_stop(struct loop_fd *watch);

#endif
