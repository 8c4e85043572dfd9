/* SPDX-License-Identifier: Apache-2.0 */

/* A new configuration while a bridge runs. */

#include "bridged/bridge.h"

#include "bridged/bridge_private.h"
#include "common/base/log.h"

static void
say_removed(const struct bridge *bridge)
{
	log_warning("reload_incomplete",
	    "bridge=%s reason=\"it was removed; it goes on as it was until "
	    "weir-bridged is stopped\"",
	    log_quote(bridge->conf->name));
}

static void
say_key(void *arg, const char *key, enum conf_reload reload)
{
	const struct bridge *bridge = arg;

	if (reload == CONF_RESTART)
		log_warning("reload_incomplete",
		    "bridge=%s key=%s reason=\"this takes effect when "
		    "weir-bridged is restarted\"",
		    log_quote(bridge->conf->name), key);
	else
		log_info("bridge_key_changed", "bridge=%s key=%s takes=%s",
		    log_quote(bridge->conf->name), key,
		    reload == CONF_RELOAD ? "\"now\"" : "\"a new connection\"");
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

/* Did a key change that only a new connection can take? */
static void
note_reconnect(void *arg, const char *key, enum conf_reload reload)
{
	bool *needs_connection = arg;

	(void)key;
	if (reload == CONF_RECONNECT)
		*needs_connection = true;
}

static void
take_keys(struct bridge *bridge, const struct conf_bridge *fresh)
{
	uint64_t now_ns = loop_now_ns(bridge->loop);
	bool needs_connection = false;

	conf_bridge_compare(&bridge->live, fresh, say_key, bridge);
	conf_bridge_compare(
	    &bridge->live, fresh, note_reconnect, &needs_connection);
	conf_bridge_take(&bridge->live, fresh);
	loop_timer_stop(&bridge->idle); /* its time may be another */
	backoff_change(&bridge->backoff, fresh->retry_min_ns,
	    fresh->retry_max_ns, fresh->retry_stable_ns);
	bridge->ingest.max_hops = fresh->max_hops;
	forward_conf_changed(&bridge->forward, now_ns);
	if (needs_connection && fresh->reload == CONF_RECONNECT_IMMEDIATE)
		bridge->wants_reconnect = true;
}

void
bridge_reconnect(struct bridge *bridge)
{
	bridge->wants_reconnect = false;
	switch (bridge->state) {
	case BRIDGE_UP:
	case BRIDGE_CONNECTING:
		log_info("bridge_reconnects",
		    "bridge=%s reason=\"the configuration has changed\"",
		    bridge->conf->name);
		bridge->kind->close(bridge->remote);
		bridge_forget_remote(bridge);
		bridge_connect(bridge);
		break;
	case BRIDGE_WAITING:
		bridge_connect(bridge);
		break;
	case BRIDGE_DETACHED:
	case BRIDGE_IDLE:
	case BRIDGE_ENDED:
	case BRIDGE_DISABLED:
	case BRIDGE_DRAINING:
		break;
	}
}

void
bridge_reload(struct bridge *bridge, const struct conf *conf)
{
	const struct conf_bridge *ours = conf_bridge(conf, bridge->conf->name);
	struct mapping forward, receive;

	if (ours == NULL) {
		say_removed(bridge);
		return;
	}
	if (mapping_of(&forward, ours, MAPPING_FORWARD) != 0)
		return;
	if (mapping_of(&receive, ours, MAPPING_RECEIVE) != 0) {
		mapping_fini(&forward);
		return;
	}
	take_rules(bridge, &bridge->forward_rules, &forward, "forward");
	forward_set_overflow(&bridge->forward, ours->overflow);
	if (take_rules(bridge, &bridge->receive_rules, &receive, "receive"))
		bridge->kind->resubscribe(bridge->remote);
	take_keys(bridge, ours);
	/* `live` points into it: also while later ones are not taken. */
	service_hold(bridge->service);
	if (bridge->state == BRIDGE_ENDED &&
	    bridge->conf->start != CONF_START_ONCE)
		bridge_begin(bridge);
	/* It may be called from inside a turn's work: the rest is for the next.
	 */
	loop_again(bridge->loop);
}
