/* SPDX-License-Identifier: Apache-2.0 */

/*
 * waker - a thread without a loop sleeps; others end its sleep.
 *
 *	waker_arm(&waker, false);                   owner
 *	if (there is work)                          looks once more
 *		waker_disarm(&waker);
 *	else
 *		waker_sleep(&waker, timeout_ns);
 *
 *	put the work there; waker_wake(&waker);     any thread
 *
 * Work has to be put there and looked for with sequential consistency.  Then
 * either the owner sees it or is woken; and a waker costs a system call only
 * when the owner sleeps, once.
 */

#ifndef WEIR_BROKER_WAKER_H
#define WEIR_BROKER_WAKER_H

#include <stdbool.h>
#include <stdint.h>

#define WAKER_NEVER UINT64_MAX

/* Embed it by value, zeroed; its field is private to waker.c. */
struct waker {
	_Atomic uint32_t state;
};

/*
 * `is_dozing`: there is a timeout that comes soon enough for work that is in
 * no hurry, so waker_nudge() does not end it.
 */
void waker_arm(struct waker *waker, bool is_dozing);
void waker_disarm(struct waker *waker);

/* Returns when woken, after `timeout_ns`, or for no reason; disarmed. */
void waker_sleep(struct waker *waker, uint64_t timeout_ns);

void waker_wake(struct waker *waker);

/* For work that can wait for the end of a doze. */
void waker_nudge(struct waker *waker);

#endif
