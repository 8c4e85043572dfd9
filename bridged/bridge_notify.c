/* SPDX-License-Identifier: Apache-2.0 */

/* "1" and "0", retained, here: whether the remote is connected. */

#include "bridged/bridge_private.h"

#include <stdio.h>

#include "common/msg/record.h"

/* $SYS/broker/connection/NAME/state */
#define TOPIC_SIZE (CONF_MAX_BRIDGE_NAME + 40)

void
bridge_notify(struct bridge *bridge, bool is_up)
{
	const struct conf_bridge *conf = bridge->conf;
	struct record_message message = {
		.qos = 1,
		.retain = true,
		.expiry_s = RECORD_NEVER_EXPIRES,
		.payload = slice_of_string(is_up ? "1" : "0"),
	};
	char topic[TOPIC_SIZE];

	if ((conf->notifications & CONF_NOTIFICATIONS_LOCAL) == 0 ||
	    link_ring(bridge->link) == NULL ||
	    (bridge->has_notified && bridge->notified_up == is_up))
		return;
	snprintf(topic, sizeof(topic), "$SYS/broker/connection/%s/state",
	    conf->name);
	message.topic = slice_of_string(conf->notification_topic == NULL
		? topic
		: conf->notification_topic);
	/* Without room it is told in one of the next turns. */
	if (!ingest_tell(&bridge->ingest, &message, loop_now_ns(bridge->loop)))
		return;
	bridge->has_notified = true;
	bridge->notified_up = is_up;
	loop_again(bridge->loop);
}
