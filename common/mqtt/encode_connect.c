/* SPDX-License-Identifier: Apache-2.0 */

/* encode_connect - CONNECT and CONNACK. */

#include "common/mqtt/encode.h"

static size_t
packet_size(size_t remaining)
{
	if (remaining > MQTT_MAX_VARINT)
		return 0;
	return 1 + wire_varint_size((uint32_t)remaining) + remaining;
}

/* As packet_size(), for a list of properties with its length in front. */
static size_t
properties_size(const struct mqtt_properties *properties, unsigned version)
{
	size_t size;

	if (version != MQTT_5)
		return 0;
	size = mqtt_properties_size(properties);
	return size > MQTT_MAX_VARINT ? WIRE_TOO_LARGE
				      : wire_varint_size((uint32_t)size) + size;
}

static struct slice
protocol_name(const struct mqtt_connect *connect)
{
	return connect->version == MQTT_3_1 ? slice_of("MQIsdp", 6)
					    : slice_of("MQTT", 4);
}

static size_t
connect_remaining(const struct mqtt_connect *connect)
{
	/* Level, flags and keep alive are four bytes. */
	size_t size = wire_binary_size(protocol_name(connect)) + 4;

	size += properties_size(&connect->properties, connect->version);
	size += wire_binary_size(connect->client_id);
	if (connect->has_will) {
		size += properties_size(
		    &connect->will_properties, connect->version);
		size += wire_binary_size(connect->will_topic);
		size += wire_binary_size(connect->will_payload);
	}
	if (connect->has_username)
		size += wire_binary_size(connect->username);
	if (connect->has_password)
		size += wire_binary_size(connect->password);
	return size;
}

static uint8_t
connect_flags(const struct mqtt_connect *connect)
{
	uint8_t flags = 0;

	if (connect->clean_start)
		flags |= 0x02;
	if (connect->has_will)
		flags |= (uint8_t)(0x04 | connect->will_qos << 3 |
		    (connect->will_retain ? 0x20 : 0));
	if (connect->has_password)
		flags |= 0x40;
	if (connect->has_username)
		flags |= 0x80;
	return flags;
}

size_t
mqtt_connect_size(const struct mqtt_connect *connect)
{
	return packet_size(connect_remaining(connect));
}

static void
put_will(struct wire_out *w, const struct mqtt_connect *connect)
{
	if (connect->version == MQTT_5)
		mqtt_properties_put(w, &connect->will_properties);
	wire_put_binary(w, connect->will_topic);
	wire_put_binary(w, connect->will_payload);
}

size_t
mqtt_encode_connect(
    uint8_t *buffer, size_t size, const struct mqtt_connect *connect)
{
	struct wire_out w = wire_write(buffer, size);
	size_t remaining = connect_remaining(connect);

	if (remaining > MQTT_MAX_VARINT)
		return 0;
	wire_put_u8(&w, MQTT_CONNECT << 4);
	wire_put_varint(&w, (uint32_t)remaining);
	wire_put_binary(&w, protocol_name(connect));
	wire_put_u8(&w, connect->version);
	wire_put_u8(&w, connect_flags(connect));
	wire_put_u16(&w, connect->keep_alive_s);
	if (connect->version == MQTT_5)
		mqtt_properties_put(&w, &connect->properties);
	wire_put_binary(&w, connect->client_id);
	if (connect->has_will)
		put_will(&w, connect);
	if (connect->has_username)
		wire_put_binary(&w, connect->username);
	if (connect->has_password)
		wire_put_binary(&w, connect->password);
	return w.bad ? 0 : (size_t)(w.p - buffer);
}

size_t
mqtt_connack_size(const struct mqtt_connack *connack, enum mqtt_version version)
{
	return packet_size(2 + properties_size(&connack->properties, version));
}

size_t
mqtt_encode_connack(uint8_t *buffer, size_t size,
    const struct mqtt_connack *connack, enum mqtt_version version)
{
	size_t remaining = 2 + properties_size(&connack->properties, version);
	struct wire_out w = wire_write(buffer, size);
	bool accepted = connack->reason == MQTT_SUCCESS;

	if (remaining > MQTT_MAX_VARINT)
		return 0;
	wire_put_u8(&w, MQTT_CONNACK << 4);
	wire_put_varint(&w, (uint32_t)remaining);
	/* [MQTT-3.2.2-6] */
	wire_put_u8(&w, accepted && connack->session_present);
	if (version == MQTT_5) {
		wire_put_u8(&w, (uint8_t)connack->reason);
		mqtt_properties_put(&w, &connack->properties);
	} else {
		wire_put_u8(
		    &w, (uint8_t)mqtt_reason_to_connack3(connack->reason));
	}
	return w.bad ? 0 : (size_t)(w.p - buffer);
}
