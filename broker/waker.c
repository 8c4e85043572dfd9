/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/waker.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum state {
	AWAKE,
	DOZING,
	ASLEEP
};

void
waker_arm(struct waker *waker, bool is_dozing)
{
	/* seq_cst, as in rouse(): before the owner looks for work again. */
	atomic_store(&waker->state, is_dozing ? DOZING : ASLEEP);
}

void
waker_disarm(struct waker *waker)
{
	/* relaxed: at worst somebody wakes us for nothing */
	atomic_store_explicit(&waker->state, AWAKE, memory_order_relaxed);
}

void
waker_sleep(struct waker *waker, uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / CLOCK_SECOND_NS),
		.tv_nsec = (long)(timeout_ns % CLOCK_SECOND_NS),
	};
	uint32_t state;

	state = atomic_load_explicit(&waker->state, memory_order_relaxed);
	if (state != AWAKE)
		syscall(SYS_futex, &waker->state, FUTEX_WAIT_PRIVATE, state,
		    timeout_ns == WAKER_NEVER ? NULL : &timeout, NULL, 0);
	waker_disarm(waker);
}

/*
 * seq_cst: who put work there does so before it looks at the state, the owner
 * arms before it looks for work.
 */
static void
rouse(struct waker *waker, uint32_t least)
{
	if (atomic_load(&waker->state) < least)
		return;
	if (atomic_exchange(&waker->state, AWAKE) != AWAKE)
		syscall(SYS_futex, &waker->state, FUTEX_WAKE_PRIVATE, 1, NULL,
		    NULL, 0);
}

void
waker_wake(struct waker *waker)
{
	rouse(waker, DOZING);
}

void
waker_nudge(struct waker *waker)
{
	rouse(waker, ASLEEP);
}
