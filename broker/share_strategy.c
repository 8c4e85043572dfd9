/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/share_strategy.h"

#include "common/conf/conf.h"

static enum subscription_strategy
strategy_of(enum conf_shared shared)
{
	switch (shared) {
	case CONF_SHARED_RANDOM:
		return SUBSCRIPTION_RANDOM;
	case CONF_SHARED_STICKY:
		return SUBSCRIPTION_STICKY;
	case CONF_SHARED_HASH:
		return SUBSCRIPTION_HASH;
	case CONF_SHARED_HASH_TOPIC:
		return SUBSCRIPTION_HASH_TOPIC;
	case CONF_SHARED_ROUND_ROBIN:
		break;
	}
	return SUBSCRIPTION_ROUND_ROBIN;
}

/* Absent, it fits any. */
static bool
fits(const char *wanted, struct slice text)
{
	return wanted == NULL || slice_equal_string(text, wanted);
}

enum subscription_strategy
share_strategy_of(const void *context, struct slice name, struct slice filter)
{
	const struct conf *conf = context;

	for (size_t i = 0; i < conf->share_count; i++)
		if (fits(conf->shares[i].name, name) &&
		    fits(conf->shares[i].filter, filter))
			return strategy_of(conf->shares[i].strategy);
	return strategy_of(conf->share_strategy);
}
