/* SPDX-License-Identifier: Apache-2.0 */

/* A new configuration while a bridge runs. */

#include "bridged/bridge.h"

#include "bridged/bridge_private.h"
#include "common/base/log.h"

static void
say_restart(const struct bridge *bridge, const char *what)
{
	log_warning("reload_incomplete",
	    "bridge=%s reason=\"%s: this takes effect when weir-bridged is "
	    "restarted\"",
	    log_quote(bridge->conf->name), what);
}

/* In their place: whoever looks rules up has the address. */
static void
take_forward_rules(struct bridge *bridge, struct mapping *fresh)
{
	struct mapping old = bridge->forward_rules;

	bridge->forward_rules = *fresh;
	forward_rules_changed(&bridge->forward);
	if (!mapping_is_same(&old, fresh))
		log_info("bridge_rules_changed", "bridge=%s forward=%zu",
		    log_quote(bridge->conf->name), fresh->count);
	mapping_fini(&old);
}

void
bridge_reload(struct bridge *bridge, const struct conf *conf)
{
	const struct conf_bridge *ours = conf_bridge(conf, bridge->conf->name);
	struct mapping forward, receive;

	if (ours == NULL) {
		say_restart(bridge, "it was removed");
		return;
	}
	if (mapping_of(&forward, ours, MAPPING_FORWARD) != 0)
		return;
	if (mapping_of(&receive, ours, MAPPING_RECEIVE) == 0) {
		if (!mapping_is_same(&receive, &bridge->receive_rules))
			say_restart(bridge, "its receive rules have changed");
		mapping_fini(&receive);
	}
	take_forward_rules(bridge, &forward);
}
