/* SPDX-License-Identifier: Apache-2.0 */

/* encode_connect - CONNECT and CONNACK. */

#include "common/mqtt/encode.h"
#include "common/mqtt/encode_parts.h"

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

	size += encode_properties_size(&connect->properties, connect->version);
	size += wire_binary_size(connect->client_id);
	if (connect->has_will) {
		size += encode_properties_size(
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
	return encode_packet_size(connect_remaining(connect));
}

static void
put_will(struct wire_out *w, const struct mqtt_connect *connect)
{
	encode_put_properties(w, &connect->will_properties, connect->version);
	wire_put_binary(w, connect->will_topic);
	wire_put_binary(w, connect->will_payload);
}

size_t
mqtt_encode_connect(
    uint8_t *buffer, size_t size, const struct mqtt_connect *connect)
{
	struct wire_out w = wire_write(buffer, size);
	size_t remaining = connect_remaining(connect);

	encode_put_header(&w, MQTT_CONNECT, 0, remaining);
	wire_put_binary(&w, protocol_name(connect));
	wire_put_u8(&w, connect->version);
	wire_put_u8(&w, connect_flags(connect));
	wire_put_u16(&w, connect->keep_alive_s);
	encode_put_properties(&w, &connect->properties, connect->version);
	wire_put_binary(&w, connect->client_id);
	if (connect->has_will)
		put_will(&w, connect);
	if (connect->has_username)
		wire_put_binary(&w, connect->username);
	if (connect->has_password)
		wire_put_binary(&w, connect->password);
	return encode_written(&w, buffer);
}

size_t
mqtt_connack_size(const struct mqtt_connack *connack, enum mqtt_version version)
{
	return encode_packet_size(
	    2 + encode_properties_size(&connack->properties, version));
}

size_t
mqtt_encode_connack(uint8_t *buffer, size_t size,
    const struct mqtt_connack *connack, enum mqtt_version version)
{
	size_t remaining =
	    2 + encode_properties_size(&connack->properties, version);
	struct wire_out w = wire_write(buffer, size);
	/* [MQTT-3.2.2-6]; MQTT 3.1 has no such flag. */
	bool is_present = connack->session_present &&
	    connack->reason == MQTT_SUCCESS && version != MQTT_3_1;

	encode_put_header(&w, MQTT_CONNACK, 0, remaining);
	wire_put_u8(&w, is_present);
	if (version == MQTT_5) {
		wire_put_u8(&w, (uint8_t)connack->reason);
		mqtt_properties_put(&w, &connack->properties);
	} else {
		wire_put_u8(
		    &w, (uint8_t)mqtt_reason_to_connack3(connack->reason));
	}
	return encode_written(&w, buffer);
}
