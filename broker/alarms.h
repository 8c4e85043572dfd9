/* SPDX-License-Identifier: Apache-2.0 */

/*
 * alarms - many deadlines of one thread behind a single timer.
 *
 * Each connection and session has an alarm (keepalive, expiry, will delay);
 * it costs 32 bytes and no system call.  They form a heap by time; the owner
 * asks when the next one is due, sleeps until then and fires what is due.
 * Monotonic nanoseconds throughout, so nothing is rounded.
 */

#ifndef WEIR_BROKER_ALARMS_H
#define WEIR_BROKER_ALARMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embed it by value, zeroed but for `fire`. */
struct alarm {
	uint64_t when_ns;
	void (*fire)(struct alarm *alarm); /* stopped by then; may be set */
	uint32_t place;                    /* in the heap from 1; 0: not set */
};

struct alarms {
	struct alarm **heap; /* heap[1] is due first */
	uint32_t count;
	uint32_t size;
};

/* Free the heap itself; alarms still set are forgotten. */
void alarms_fini(struct alarms *alarms);

/* (Re)set.  Returns 0 or -ENOMEM, and the alarm is then not set. */
int alarms_set(struct alarms *alarms, struct alarm *alarm, uint64_t when_ns);

/* Stopping an alarm that is not set is nothing. */
void alarms_stop(struct alarms *alarms, struct alarm *alarm);

static inline bool
alarm_is_set(const struct alarm *alarm)
{
	return alarm->place != 0;
}

/* When the next one is due, UINT64_MAX without any. */
uint64_t alarms_next_ns(const struct alarms *alarms);

/* Fire all that are due by `now_ns`, in their order.  Returns how many. */
unsigned alarms_fire(struct alarms *alarms, uint64_t now_ns);

#endif
