/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/drain.h"

void
drain_note(struct drain *drain, uint64_t released, uint64_t now_ns)
{
	uint32_t last = (drain->next + DRAIN_STEPS - 1) % DRAIN_STEPS;

	if (drain->count > 0 && released < drain->moved)
		*drain = (struct drain){ 0 };
	if (drain->count == 0 || released != drain->moved) {
		drain->moved = released;
		drain->moved_ns = now_ns;
	}
	if (drain->count > 0 &&
	    now_ns - drain->step[last].at_ns < DRAIN_STEP_NS)
		return;
	drain->step[drain->next].at_ns = now_ns;
	drain->step[drain->next].released = released;
	drain->next = (drain->next + 1) % DRAIN_STEPS;
	if (drain->count < DRAIN_STEPS)
		drain->count++;
}

uint64_t
drain_rate(const struct drain *drain, uint64_t released, uint64_t now_ns)
{
	uint32_t step;
	uint64_t elapsed_ns, moved;

	/* From the oldest step that is in the window still. */
	for (uint32_t i = 0; i < drain->count; i++) {
		step = (drain->next + DRAIN_STEPS - drain->count + i) %
		    DRAIN_STEPS;
		elapsed_ns = now_ns - drain->step[step].at_ns;
		if (elapsed_ns > DRAIN_WINDOW_NS + DRAIN_STEP_NS)
			continue;
		if (released <= drain->step[step].released || elapsed_ns == 0)
			return 0;
		moved = released - drain->step[step].released;
		return (uint64_t)((double)moved * (double)CLOCK_SECOND_NS /
		    (double)elapsed_ns);
	}
	return 0;
}

static uint32_t
bounded(uint64_t seconds)
{
	if (seconds < DRAIN_RETRY_MIN_S)
		return DRAIN_RETRY_MIN_S;
	return seconds > DRAIN_RETRY_MAX_S ? DRAIN_RETRY_MAX_S
					   : (uint32_t)seconds;
}

uint32_t
drain_retry_after_s(const struct drain *drain, uint64_t released,
    uint64_t waiting, uint64_t now_ns)
{
	uint64_t rate = drain_rate(drain, released, now_ns);

	if (rate > 0)
		return bounded(waiting / rate + (waiting % rate != 0));
	if (drain->count == 0)
		return DRAIN_RETRY_MIN_S;
	return bounded((now_ns - drain->moved_ns) / CLOCK_SECOND_NS);
}
