/* SPDX-License-Identifier: Apache-2.0 */

/*
 * share_strategy - how a shared subscription is served, by the configuration.
 */

#ifndef WEIR_BROKER_SHARE_STRATEGY_H
#define WEIR_BROKER_SHARE_STRATEGY_H

#include "broker/subscription_tree.h"

/*
 * For subscription_tree_use_strategies(); the context is a struct conf.  The
 * first of conf->shares that fits, else conf->share_strategy.
 */
enum subscription_strategy share_strategy_of(
    const void *conf, struct slice name, struct slice filter);

#endif
