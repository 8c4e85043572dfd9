/* SPDX-License-Identifier: Apache-2.0 */

/* What we say of ourselves: CONNECT. */

#include "bridged/remote_mqtt.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/clock.h"

/* The password of whichever source is configured; NULL in *out: none. */
static int
read_password(const struct conf_bridge *conf, char **out_password)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	int err;

	*out_password = NULL;
	if (conf->password != NULL) {
		*out_password = strdup(conf->password);
		return *out_password == NULL ? -ENOMEM : 0;
	}
	if (conf->password_file != NULL)
		return conf_read_secret(conf->password_file, out_password);
	if (folder == NULL || conf->username == NULL)
		return 0;
	snprintf(
	    path, sizeof(path), "%s/bridge.%s.password", folder, conf->name);
	err = conf_read_secret(path, out_password);
	return err == -ENOENT ? 0 : err;
}

/* Seconds on the wire, rounded up; 0xffffffff is for ever. */
static uint32_t
expiry_on_wire(uint64_t expiry_ns)
{
	if (expiry_ns == CONF_NEVER)
		return UINT32_MAX;
	return (uint32_t)((expiry_ns + CLOCK_SECOND_NS - 1) / CLOCK_SECOND_NS);
}

/* Bytes of user properties on the wire: identifier and two lengths each. */
static size_t
user_properties_size(const struct conf_user_property *list, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += 5 + strlen(list[i].name) + strlen(list[i].value);
	return size;
}

static void
put_user_properties(
    struct wire_out *w, const struct conf_user_property *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mqtt_properties_put_user(w, slice_of_string(list[i].name),
		    slice_of_string(list[i].value));
}

/*
 * What CONNECT says in properties.  The user properties are on the heap, to
 * be freed; NULL without memory.
 */
static uint8_t *
connect_properties(struct remote *remote, struct mqtt_properties *properties)
{
	const struct conf_bridge *conf = remote->spec.conf;
	const struct conf_user_property *list = conf->user_properties;
	size_t size = user_properties_size(list, conf->user_property_count) +
	    5 + strlen(REMOTE_MQTT_BRIDGE) + strlen(remote->self);
	uint8_t *verbatim = malloc(size);
	struct wire_out w = wire_write(verbatim, size);

	if (verbatim == NULL)
		return NULL;
	properties->session_expiry_interval_s =
	    expiry_on_wire(conf->session_expiry_ns);
	mqtt_properties_set(properties, MQTT_SESSION_EXPIRY_INTERVAL);
	properties->receive_maximum = (uint16_t)remote->spec.max_pending;
	mqtt_properties_set(properties, MQTT_RECEIVE_MAXIMUM);
	properties->maximum_packet_size = (uint32_t)remote->spec.max_packet;
	mqtt_properties_set(properties, MQTT_MAXIMUM_PACKET_SIZE);
	if (remote->aliases_in.size != 0) {
		properties->topic_alias_maximum = remote->aliases_in.size;
		mqtt_properties_set(properties, MQTT_TOPIC_ALIAS_MAXIMUM);
	}
	mqtt_properties_put_user(&w, slice_of_string(REMOTE_MQTT_BRIDGE),
	    slice_of_string(remote->self));
	put_user_properties(&w, list, conf->user_property_count);
	BUG_ON(w.bad);
	properties->verbatim = slice_of(verbatim, size);
	return verbatim;
}

static void
set_text(struct mqtt_properties *properties, enum mqtt_property id,
    struct slice *field, const char *text)
{
	if (text == NULL)
		return;
	*field = slice_of_string(text);
	mqtt_properties_set(properties, id);
}

/* As connect_properties(), of the will. */
static uint8_t *
will_properties(
    const struct conf_will *will, struct mqtt_properties *properties)
{
	size_t size = user_properties_size(
	    will->user_properties, will->user_property_count);
	uint8_t *verbatim = malloc(size + 1);
	struct wire_out w = wire_write(verbatim, size);

	if (verbatim == NULL)
		return NULL;
	if (will->delay_ns != 0) {
		properties->will_delay_interval_s =
		    expiry_on_wire(will->delay_ns);
		mqtt_properties_set(properties, MQTT_WILL_DELAY_INTERVAL);
	}
	if (will->expiry_ns != CONF_NEVER) {
		properties->message_expiry_interval_s =
		    expiry_on_wire(will->expiry_ns);
		mqtt_properties_set(properties, MQTT_MESSAGE_EXPIRY_INTERVAL);
	}
	set_text(properties, MQTT_CONTENT_TYPE, &properties->content_type,
	    will->content_type);
	set_text(properties, MQTT_RESPONSE_TOPIC, &properties->response_topic,
	    will->response_topic);
	put_user_properties(
	    &w, will->user_properties, will->user_property_count);
	BUG_ON(w.bad);
	properties->verbatim = slice_of(verbatim, size);
	return verbatim;
}

/* The topic of notifications in this connection.  Returns 0 or -ENOMEM. */
static int
choose_notification_topic(struct remote *remote)
{
	const struct conf_bridge *conf = remote->spec.conf;
	char *topic = NULL;

	free(remote->notification_topic);
	remote->notification_topic = NULL;
	if ((conf->notifications & CONF_NOTIFICATIONS_REMOTE) == 0)
		return 0;
	if (conf->notification_topic != NULL)
		topic = strdup(conf->notification_topic);
	else if (asprintf(&topic, "$SYS/broker/connection/%s/state",
		     conf->client_id) == -1)
		topic = NULL;
	remote->notification_topic = topic;
	return topic == NULL ? -ENOMEM : 0;
}

static void
add_will(const struct remote *remote, struct mqtt_connect *connect)
{
	const struct conf_will *will = &remote->spec.conf->will;

	if (remote->notification_topic != NULL) {
		connect->has_will = true;
		connect->will_topic =
		    slice_of_string(remote->notification_topic);
		connect->will_payload = slice_of_string("0");
		connect->will_qos = 1;
		connect->will_retain = true;
	} else if (will->enabled) {
		connect->has_will = true;
		connect->will_topic = slice_of_string(will->topic);
		connect->will_payload = slice_of_string(will->payload);
		connect->will_qos = will->qos;
		connect->will_retain = will->retain;
	}
}

/* Set the top bit of the Protocol Level: how bridges announce themselves. */
static void
set_bridge_bit(uint8_t *packet)
{
	size_t at = 1;

	while ((packet[at] & 0x80) != 0)
		at++;
	packet[at + 7] |= 0x80;
}

/* Encode and send, leaving nothing of the password behind. */
static void
write_connect(struct remote *remote, const struct mqtt_connect *connect)
{
	size_t size = mqtt_connect_size(connect);
	uint8_t *packet = size == 0 ? NULL : malloc(size);

	if (packet == NULL) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "client_id, username, password and will do not fit a "
		    "CONNECT");
		return;
	}
	size = mqtt_encode_connect(packet, size, connect);
	if (remote->version != MQTT_5 && remote->bridge_bit)
		set_bridge_bit(packet);
	remote->spec.callbacks->connecting(remote->spec.arg);
	remote_mqtt_write(remote, packet, size);
	explicit_bzero(packet, size);
	free(packet);
}

static void
send_connect(struct remote *remote, const char *password)
{
	const struct conf_bridge *conf = remote->spec.conf;
	struct mqtt_connect connect = { 0 };
	uint8_t *ours = NULL, *wills = NULL;
	bool is_new = remote->version == MQTT_5;

	connect.version = (uint8_t)remote->version;
	connect.clean_start = remote_mqtt_is_clean(remote);
	connect.keep_alive_s = (uint16_t)(conf->keepalive_ns / CLOCK_SECOND_NS);
	connect.client_id = slice_of_string(conf->client_id);
	connect.has_username = conf->username != NULL;
	connect.username = slice_of_string(conf->username);
	connect.has_password = password != NULL;
	connect.password = slice_of_string(password);
	add_will(remote, &connect);
	if (is_new)
		ours = connect_properties(remote, &connect.properties);
	if (is_new && conf->will.enabled)
		wills = will_properties(&conf->will, &connect.will_properties);
	if (is_new && (ours == NULL || (conf->will.enabled && wills == NULL)))
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
	else
		write_connect(remote, &connect);
	free(ours);
	free(wills);
}

void
remote_mqtt_connect(struct remote *remote)
{
	char *password;
	int err;

	if (choose_notification_topic(remote) != 0) {
		remote_mqtt_fail(remote, REMOTE_LOST, "out of memory");
		return;
	}
	err = read_password(remote->spec.conf, &password);
	if (err != 0) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "password of bridge cannot be read: %s; check "
		    "password_file",
		    strerror(-err));
		return;
	}
	send_connect(remote, password);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
}
