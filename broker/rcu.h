/* SPDX-License-Identifier: Apache-2.0 */

/*
 * rcu - the broker's use of liburcu (memb flavour), and what ThreadSanitizer
 * must be told about it.
 *
 * The library is not instrumented: the sanitizer sees neither that a grace
 * period has passed nor that an object went through a queue of the library.
 * The macros say so; they are nothing in other builds.  They only ever order
 * what the library itself orders, so they hide no race of ours:
 *
 *	RCU_PUBLISH(object)	before handing it to the library
 *	RCU_RECEIVE(object)	after getting it from there
 *
 * Threads that read RCU-protected tables call rcu_thread_start() first.
 */

#ifndef WEIR_BROKER_RCU_H
#define WEIR_BROKER_RCU_H

#include <urcu/urcu-memb.h>

#if defined(__SANITIZE_THREAD__)
#define RCU_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_SANITIZED 1
#endif
#endif

#ifdef RCU_SANITIZED
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define RCU_PUBLISH(object) __tsan_release(object)
#define RCU_RECEIVE(object) __tsan_acquire(object)
#else
#define RCU_PUBLISH(object) ((void)(object))
#define RCU_RECEIVE(object) ((void)(object))
#endif

/* Stands for all grace periods; only its address is used. */
extern char rcu_grace_period;

static inline void
rcu_thread_start(void)
{
	urcu_memb_register_thread();
}

static inline void
rcu_thread_end(void)
{
	urcu_memb_unregister_thread();
}

static inline void
rcu_enter(void)
{
	urcu_memb_read_lock();
}

static inline void
rcu_leave(void)
{
	RCU_PUBLISH(&rcu_grace_period);
	urcu_memb_read_unlock();
}

/* Call `done` when all readers of now have left; any thread. */
static inline void
rcu_call(struct rcu_head *head, void (*done)(struct rcu_head *head))
{
	RCU_PUBLISH(head);
	urcu_memb_call_rcu(head, done);
}

/* First thing in each `done`. */
static inline void
rcu_called(struct rcu_head *head)
{
	RCU_RECEIVE(head);
	RCU_RECEIVE(&rcu_grace_period);
}

#endif
