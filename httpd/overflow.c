/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/overflow.h"

static void
sum_up(const struct overflow *overflow, struct overflow_episode *out_episode)
{
	*out_episode = (struct overflow_episode){
		.lasted_ns = overflow->last_ns - overflow->since_ns,
		.stalled = overflow->held - overflow->held_before,
		.refused = overflow->refused - overflow->refused_before,
	};
}

bool
overflow_close(struct overflow *overflow, struct overflow_episode *out_episode)
{
	bool is_told = overflow->is_told;

	if (is_told)
		sum_up(overflow, out_episode);
	overflow->is_open = overflow->is_told = false;
	return is_told;
}

/* Something is held or was refused. */
static enum overflow_news
go_on(struct overflow *overflow, const struct overflow_now *now)
{
	if (!overflow->is_open) {
		overflow->is_open = true;
		overflow->since_ns = now->at_ns;
		overflow->held_before = overflow->held;
		overflow->refused_before = overflow->refused;
	}
	overflow->last_ns = now->at_ns;
	overflow->held = now->held;
	overflow->refused = now->refused;
	if (overflow->is_told ||
	    (now->refused == overflow->refused_before &&
		now->at_ns - overflow->since_ns < OVERFLOW_TELL_NS))
		return OVERFLOW_NOTHING;
	overflow->is_told = true;
	return OVERFLOW_BEGAN;
}

enum overflow_news
overflow_look(struct overflow *overflow, const struct overflow_now *now,
    struct overflow_episode *out_episode)
{
	if (now->holds > 0 || now->refused != overflow->refused)
		return go_on(overflow, now);

	/* Held and gone between two looks: nobody waited long. */
	overflow->held = now->held;
	if (!overflow->is_open)
		return OVERFLOW_NOTHING;
	if (!overflow->is_told) {
		overflow->is_open = false;
		return OVERFLOW_NOTHING;
	}
	if (now->at_ns - overflow->last_ns < OVERFLOW_QUIET_NS)
		return OVERFLOW_NOTHING;
	overflow_close(overflow, out_episode);
	return OVERFLOW_ENDED;
}
