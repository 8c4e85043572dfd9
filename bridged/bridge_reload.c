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
static bool
take_rules(struct bridge *bridge, struct mapping *ours, struct mapping *fresh,
    const char *direction)
{
	struct mapping old = *ours;
	bool has_changed = !mapping_is_same(&old, fresh);

	*ours = *fresh;
	if (has_changed)
		log_info("bridge_rules_changed",
		    "bridge=%s direction=%s rules=%zu",
		    log_quote(bridge->conf->name), direction, fresh->count);
	mapping_fini(&old);
	return has_changed;
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
	if (mapping_of(&receive, ours, MAPPING_RECEIVE) != 0) {
		mapping_fini(&forward);
		return;
	}
	take_rules(bridge, &bridge->forward_rules, &forward, "forward");
	forward_rules_changed(&bridge->forward);
	forward_set_overflow(&bridge->forward, ours->overflow);
	if (take_rules(bridge, &bridge->receive_rules, &receive, "receive"))
		bridge->kind->resubscribe(bridge->remote);
}
