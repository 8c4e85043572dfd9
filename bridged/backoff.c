/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/backoff.h"

#include "common/base/bug.h"
#include "common/base/clock.h"

void
backoff_init(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns,
    uint64_t stable_ns)
{
	BUG_ON(min_ns == 0 || min_ns > max_ns);
	*backoff = (struct backoff){
		.min_ns = min_ns,
		.max_ns = max_ns,
		.stable_ns = stable_ns,
		.bound_ns = min_ns,
	};
}

void
backoff_connected(struct backoff *backoff, uint64_t now_ns)
{
	backoff->is_connected = true;
	backoff->connected_ns = now_ns;
}

void
backoff_lost(struct backoff *backoff, uint64_t now_ns)
{
	if (!backoff->is_connected)
		return;
	backoff->is_connected = false;
	if (now_ns >= backoff->connected_ns &&
	    now_ns - backoff->connected_ns >= backoff->stable_ns)
		backoff->bound_ns = backoff->min_ns;
}

/* A number below `bound`; the bias of the remainder is far below a tick. */
static uint64_t
draw(uint64_t dice, uint64_t bound)
{
	return bound == UINT64_MAX ? dice : dice % (bound + 1);
}

static uint64_t
at_least_a_millisecond(uint64_t wait_ns)
{
	return wait_ns < CLOCK_MS_NS ? CLOCK_MS_NS : wait_ns;
}

uint64_t
backoff_next(struct backoff *backoff, uint64_t dice)
{
	uint64_t bound_ns = backoff->bound_ns;

	/* Compared before doubling, which could overflow. */
	if (bound_ns > backoff->max_ns / 2)
		backoff->bound_ns = backoff->max_ns;
	else
		backoff->bound_ns = 2 * bound_ns;
	return at_least_a_millisecond(draw(dice, bound_ns));
}

void
backoff_change(struct backoff *backoff, uint64_t min_ns, uint64_t max_ns,
    uint64_t stable_ns)
{
	BUG_ON(min_ns == 0 || min_ns > max_ns);
	backoff->min_ns = min_ns;
	backoff->max_ns = max_ns;
	backoff->stable_ns = stable_ns;
	if (backoff->bound_ns < min_ns)
		backoff->bound_ns = min_ns;
	if (backoff->bound_ns > max_ns)
		backoff->bound_ns = max_ns;
}

uint64_t
backoff_soon(struct backoff *backoff, uint64_t most_ns, uint64_t dice)
{
	uint64_t bound_ns = backoff->bound_ns;

	if (most_ns < backoff->min_ns)
		most_ns = backoff->min_ns;
	if (bound_ns <= most_ns)
		return backoff_next(backoff, dice);
	backoff_next(backoff, dice);
	return at_least_a_millisecond(draw(dice, most_ns));
}

uint64_t
backoff_slow(struct backoff *backoff, uint64_t dice)
{
	uint64_t half_ns = backoff->max_ns / 2;

	backoff->bound_ns = backoff->max_ns;
	return at_least_a_millisecond(
	    half_ns + draw(dice, backoff->max_ns - half_ns));
}
