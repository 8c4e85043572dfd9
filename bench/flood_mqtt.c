/* SPDX-License-Identifier: Apache-2.0 */

#include <stdlib.h>
#include <string.h>

#include "bench/flood_producer.h"
#include "common/base/bug.h"
#include "common/mqtt/encode.h"

#define SESSION_EXPIRY_S 3600

void
flood_mqtt_open(struct flood_producer *producer)
{
	const struct flood_options *options = producer->options;
	struct mqtt_connect connect = {
		.version = (uint8_t)options->version,
		.clean_start = false,
		.client_id = slice_of_string(producer->name),
		.has_username = options->username != NULL,
		.has_password = options->password != NULL,
		.username = slice_of_string(options->username),
		.password = slice_of_string(options->password),
	};
	size_t size;

	connect.properties.session_expiry_interval_s = SESSION_EXPIRY_S;
	mqtt_properties_set(&connect.properties, MQTT_SESSION_EXPIRY_INTERVAL);
	size = mqtt_connect_size(&connect);
	mqtt_encode_connect(flood_reserve(producer, size), size, &connect);
}

static void
put_publish(struct flood_producer *producer, unsigned slot, bool is_dup)
{
	char payload[FLOOD_INPUT];
	struct mqtt_publish_out publish = {
		.dup = is_dup,
		.qos = producer->qos,
		.packet_id = (uint16_t)(slot + 1),
		.topic = slice_of_string(producer->topic),
	};
	size_t size;

	publish.payload = slice_of(payload,
	    flood_payload(producer, producer->slots[slot].number, payload));
	size = mqtt_publish_size(&publish, producer->options->version);
	mqtt_encode_publish(flood_reserve(producer, size), size, &publish,
	    producer->options->version, NULL);
}

static void
put_pubrel(struct flood_producer *producer, unsigned slot)
{
	mqtt_encode_ack_success(
	    flood_reserve(producer, 4), MQTT_PUBREL, (uint16_t)(slot + 1));
}

static int
by_number(const void *a, const void *b, void *context)
{
	const struct flood_slot *slots = context;
	uint32_t one = slots[*(const unsigned *)a].number;
	uint32_t two = slots[*(const unsigned *)b].number;

	return one < two ? -1 : one > two;
}

/* What was under way goes again, in the order it first went. */
static void
resend(struct flood_producer *producer, struct flood_totals *totals,
    bool is_present)
{
	unsigned order[FLOOD_WINDOW_MAX], count = 0;
	struct flood_slot *slot;

	for (unsigned i = 0; i < producer->options->window; i++)
		if (producer->slots[i].is_used)
			order[count++] = i;
	qsort_r(order, count, sizeof(*order), by_number, producer->slots);
	for (unsigned i = 0; i < count; i++) {
		slot = &producer->slots[order[i]];
		if (slot->is_received && is_present) {
			put_pubrel(producer, order[i]);
			continue;
		}
		if (slot->is_received) {
			/* The server has it, and knows no more of it. */
			slot->is_used = false;
			producer->under_way--;
			continue;
		}
		flood_note_resent(producer, totals, slot->number);
		put_publish(producer, order[i], true);
	}
}

void
flood_mqtt_send(struct flood_producer *producer, bool is_on)
{
	const unsigned window = producer->options->window;
	unsigned slot = producer->slot_hint;
	uint32_t number;

	while (is_on && producer->under_way < window &&
	    flood_take_number(producer, &number)) {
		while (producer->slots[slot].is_used)
			slot = (slot + 1) % window;
		producer->slots[slot] =
		    (struct flood_slot){ .number = number, .is_used = true };
		producer->under_way++;
		put_publish(producer, slot, false);
	}
	producer->slot_hint = slot;
}

static bool
on_connack(struct flood_producer *producer, struct flood_totals *totals,
    const struct mqtt_frame *frame)
{
	struct mqtt_connack connack;

	if (frame->type != MQTT_CONNACK ||
	    mqtt_decode_connack(frame, producer->options->version, &connack) !=
		MQTT_SUCCESS ||
	    connack.reason != MQTT_SUCCESS)
		return false;
	producer->state = FLOOD_OPEN;
	if (producer->was_open && !connack.session_present)
		producer->lost_sessions++;
	producer->was_open = true;
	resend(producer, totals, connack.session_present);
	return true;
}

static void
release(struct flood_producer *producer, struct flood_slot *slot)
{
	slot->is_used = false;
	producer->under_way--;
}

static bool
on_ack(struct flood_producer *producer, struct flood_totals *totals,
    const struct mqtt_frame *frame)
{
	struct flood_slot *slot;
	struct mqtt_ack ack;

	if (mqtt_decode_ack(frame, producer->options->version, &ack) !=
		MQTT_SUCCESS ||
	    ack.packet_id == 0 || ack.packet_id > producer->options->window)
		return false;
	slot = &producer->slots[ack.packet_id - 1];
	if (!slot->is_used)
		return true;
	if (ack.reason >= 0x80 && frame->type != MQTT_PUBCOMP) {
		flood_note(producer, totals, slot->number, FLOOD_REFUSED);
		release(producer, slot);
	} else if (frame->type == MQTT_PUBREC) {
		if (!slot->is_received)
			flood_note(
			    producer, totals, slot->number, FLOOD_ACCEPTED);
		slot->is_received = true;
		put_pubrel(producer, ack.packet_id - 1u);
	} else {
		if (frame->type == MQTT_PUBACK)
			flood_note(
			    producer, totals, slot->number, FLOOD_ACCEPTED);
		release(producer, slot);
	}
	return true;
}

bool
flood_mqtt_receive(struct flood_producer *producer, struct flood_totals *totals)
{
	struct mqtt_frame frame;
	bool is_good = true;
	size_t used = 0;

	while (is_good &&
	    mqtt_frame(producer->input + used, producer->input_length - used,
		FLOOD_INPUT, &frame) == MQTT_FRAME_WHOLE) {
		used += frame.size;
		if (producer->state == FLOOD_GREETING)
			is_good = on_connack(producer, totals, &frame);
		else if (frame.type >= MQTT_PUBACK &&
		    frame.type <= MQTT_PUBCOMP)
			is_good = on_ack(producer, totals, &frame);
		else
			is_good = false;
	}
	producer->input_length -= used;
	memmove(
	    producer->input, producer->input + used, producer->input_length);
	return is_good && producer->input_length < FLOOD_INPUT;
}
