/* SPDX-License-Identifier: Apache-2.0 */

/* The receive rules as subscriptions at the remote. */

#include "bridged/remote_mqtt.h"

#include <stdlib.h>

#include "common/base/log.h"

/* All rules in one packet. */
void
remote_mqtt_subscribe(struct remote *remote)
{
	const struct mapping *rules = remote->spec.receive;
	struct mqtt_subscription *list;
	uint8_t *packet = NULL;
	size_t size = 0;

	if (remote->state != REMOTE_UP || rules->count == 0)
		return;
	list = calloc(rules->count, sizeof(*list));
	for (size_t i = 0; list != NULL && i < rules->count; i++)
		list[i] = (struct mqtt_subscription){
			.filter = slice_of_string(rules->rules[i].filter),
			.qos = rules->rules[i].qos,
			.no_local = true,
			.retain_as_published = true,
			.retain_handling = 1,
		};
	if (list != NULL)
		size = mqtt_subscribe_size(
		    list, rules->count, NULL, remote->version);
	if (size != 0 && size <= remote->max_packet)
		packet = malloc(size);
	if (packet == NULL) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "the receive rules do not fit a SUBSCRIBE packet");
	} else {
		size = mqtt_encode_subscribe(packet, size,
		    REMOTE_MQTT_SUBSCRIBE_ID, list, rules->count, NULL,
		    remote->version);
		remote_mqtt_write(remote, packet, size);
	}
	free(packet);
	free(list);
}

void
remote_mqtt_on_suback(struct remote *remote, const struct mqtt_frame *frame)
{
	const struct mapping *rules = remote->spec.receive;
	struct mqtt_suback suback;
	enum mqtt_reason reason;

	reason = mqtt_decode_suback(frame, remote->version, &suback);
	if (reason == MQTT_SUCCESS &&
	    (suback.packet_id != REMOTE_MQTT_SUBSCRIBE_ID ||
		suback.codes.len != rules->count))
		/* [MQTT-3.9.3-1] one code for each filter, in order */
		reason = MQTT_PROTOCOL_ERROR;
	if (reason != MQTT_SUCCESS) {
		remote_mqtt_fault(
		    remote, reason, "bad SUBACK: %s", mqtt_reason_name(reason));
		return;
	}
	for (size_t i = 0; i < rules->count; i++)
		if (mqtt_reason_is_error(suback.codes.data[i]))
			log_warning("bridge_subscription_refused",
			    "bridge=%s filter=%s reason=%s",
			    remote->spec.conf->name,
			    log_quote(rules->rules[i].filter),
			    log_quote(mqtt_reason_name(suback.codes.data[i])));
}
