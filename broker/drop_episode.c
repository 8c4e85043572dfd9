/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/drop_episode.h"

static bool
is_quiet_time(const struct drop_episode *episode, uint64_t now_ns)
{
	return episode->told_ns != 0 &&
	    now_ns - episode->told_ns < DROP_EPISODE_QUIET_NS;
}

bool
drop_episode_count(struct drop_episode *episode, uint64_t now_ns)
{
	if (episode->dropped++ == 0)
		episode->since_ns = now_ns;
	if (episode->is_told || is_quiet_time(episode, now_ns))
		return false;
	episode->is_told = true;
	return true;
}

bool
drop_episode_end(struct drop_episode *episode, uint64_t now_ns,
    uint64_t *out_dropped, uint64_t *out_lasted_ns)
{
	/* What is untold goes on with the next episode. */
	if (!episode->is_told)
		return false;
	return drop_episode_close(episode, now_ns, out_dropped, out_lasted_ns);
}

bool
drop_episode_close(struct drop_episode *episode, uint64_t now_ns,
    uint64_t *out_dropped, uint64_t *out_lasted_ns)
{
	if (episode->dropped == 0)
		return false;
	*out_dropped = episode->dropped;
	*out_lasted_ns = now_ns - episode->since_ns;
	*episode = (struct drop_episode){ .told_ns = now_ns };
	return true;
}
