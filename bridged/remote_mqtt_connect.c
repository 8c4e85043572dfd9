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

static void
connect_properties(struct remote *remote, struct mqtt_properties *properties,
    uint8_t *verbatim, size_t size)
{
	struct wire_out w = wire_write(verbatim, size);

	properties->session_expiry_interval_s =
	    expiry_on_wire(remote->spec.conf->session_expiry_ns);
	mqtt_properties_set(properties, MQTT_SESSION_EXPIRY_INTERVAL);
	properties->receive_maximum = (uint16_t)remote->spec.max_pending;
	mqtt_properties_set(properties, MQTT_RECEIVE_MAXIMUM);
	properties->maximum_packet_size = (uint32_t)remote->spec.max_packet;
	mqtt_properties_set(properties, MQTT_MAXIMUM_PACKET_SIZE);

	mqtt_properties_put_user(&w, slice_of_string(REMOTE_MQTT_BRIDGE),
	    slice_of_string(remote->self));
	BUG_ON(w.bad);
	properties->verbatim = slice_of(verbatim, (size_t)(w.p - verbatim));
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

static void
send_connect(struct remote *remote, const char *password)
{
	const struct conf_bridge *conf = remote->spec.conf;
	struct mqtt_connect connect = { 0 };
	uint8_t verbatim[128];
	uint8_t *packet;
	size_t size;

	connect.version = (uint8_t)remote->version;
	/* [MQTT-3.1.3-8] no client identifier, no session */
	connect.clean_start = conf->client_id[0] == '\0';
	connect.keep_alive_s = (uint16_t)(conf->keepalive_ns / CLOCK_SECOND_NS);
	connect.client_id = slice_of_string(conf->client_id);
	connect.has_username = conf->username != NULL;
	connect.username = slice_of_string(conf->username);
	connect.has_password = password != NULL;
	connect.password = slice_of_string(password);
	if (remote->version == MQTT_5)
		connect_properties(
		    remote, &connect.properties, verbatim, sizeof(verbatim));

	size = mqtt_connect_size(&connect);
	packet = size == 0 ? NULL : malloc(size);
	if (packet == NULL) {
		remote_mqtt_fail(remote, REMOTE_DENIED,
		    "client_id, username and password do not fit a CONNECT");
		return;
	}
	size = mqtt_encode_connect(packet, size, &connect);
	if (remote->version != MQTT_5 && remote->bridge_bit)
		set_bridge_bit(packet);
	remote->spec.callbacks->connecting(remote->spec.arg);
	remote_mqtt_write(remote, packet, size);
	explicit_bzero(packet, size);
	free(packet);
}

void
remote_mqtt_connect(struct remote *remote)
{
	char *password;
	int err;

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
