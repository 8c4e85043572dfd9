/* SPDX-License-Identifier: Apache-2.0 */

/*
 * driver_mosquitto - a client by libmosquitto, moved by lines on stdin; see
 * drivers.py for what they say.
 */

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 10

static struct mosquitto *client;
static int version, port, burst_left;
static const char *host = "127.0.0.1";
static char line[70000];
static char *field[FIELDS];

static void
on_connect(struct mosquitto *m, void *arg, int code, int flags,
    const mosquitto_property *properties)
{
	(void)m;
	(void)arg;
	(void)properties;
	printf("connected\t%d\t%d\n", code, flags & 1);
}

static void
on_disconnect(struct mosquitto *m, void *arg, int code,
    const mosquitto_property *properties)
{
	(void)m;
	(void)arg;
	(void)properties;
	printf("%s\t%d\n", code == 0 ? "disconnected" : "lost", code);
}

static void
on_subscribe(
    struct mosquitto *m, void *arg, int id, int count, const int *granted)
{
	(void)m;
	(void)arg;
	(void)id;
	(void)count;
	printf("subscribed\t%d\n", granted[0]);
}

static void
on_unsubscribe(struct mosquitto *m, void *arg, int id)
{
	(void)m;
	(void)arg;
	(void)id;
	printf("unsubscribed\n");
}

static void
on_publish(struct mosquitto *m, void *arg, int id, int code,
    const mosquitto_property *properties)
{
	(void)m;
	(void)arg;
	(void)id;
	(void)properties;
	if (burst_left == 0)
		printf("published\t%d\n", code);
	else if (--burst_left == 0)
		printf("burst\n");
}

static void
on_message(struct mosquitto *m, void *arg,
    const struct mosquitto_message *message,
    const mosquitto_property *properties)
{
	char *response = NULL, *name = NULL, *value = NULL;

	(void)m;
	(void)arg;
	mosquitto_property_read_string(
	    properties, MQTT_PROP_RESPONSE_TOPIC, &response, false);
	mosquitto_property_read_string_pair(
	    properties, MQTT_PROP_USER_PROPERTY, &name, &value, false);
	printf("message\t%s\t%.*s\t%d\t%d\t%s\t%s\t%s\n", message->topic,
	    message->payloadlen, (const char *)message->payload, message->qos,
	    message->retain, response == NULL ? "" : response,
	    name == NULL ? "" : name, value == NULL ? "" : value);
	free(response);
	free(name);
	free(value);
}

static int
do_connect(void)
{
	mosquitto_property *properties = NULL;
	bool clean = field[3][0] == '1';

	version = atoi(field[2]);
	client = mosquitto_new(field[1], clean, NULL);
	if (client == NULL)
		return MOSQ_ERR_NOMEM;
	mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
	    version == 5       ? MQTT_PROTOCOL_V5
		: version == 4 ? MQTT_PROTOCOL_V311
			       : MQTT_PROTOCOL_V31);
	mosquitto_connect_v5_callback_set(client, on_connect);
	mosquitto_disconnect_v5_callback_set(client, on_disconnect);
	mosquitto_subscribe_callback_set(client, on_subscribe);
	mosquitto_unsubscribe_callback_set(client, on_unsubscribe);
	mosquitto_publish_v5_callback_set(client, on_publish);
	mosquitto_message_v5_callback_set(client, on_message);
	mosquitto_reconnect_delay_set(client, 1, 1, false);
	if (field[5] != NULL)
		mosquitto_will_set(client, field[5], (int)strlen(field[6]),
		    field[6], atoi(field[7]), field[8][0] == '1');
	if (version == 5 && !clean)
		mosquitto_property_add_int32(
		    &properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 3600);
	mosquitto_loop_start(client);
	return mosquitto_connect_bind_v5(
	    client, host, port, atoi(field[4]), NULL, properties);
}

static int
do_publish(void)
{
	mosquitto_property *properties = NULL;
	int err;

	if (version == 5 && field[5] != NULL) {
		mosquitto_property_add_string(
		    &properties, MQTT_PROP_RESPONSE_TOPIC, field[5]);
		mosquitto_property_add_string_pair(
		    &properties, MQTT_PROP_USER_PROPERTY, field[6], field[7]);
	}
	err =
	    mosquitto_publish_v5(client, NULL, field[1], (int)strlen(field[2]),
		field[2], atoi(field[3]), field[4][0] == '1', properties);
	mosquitto_property_free_all(&properties);
	return err;
}

static int
do_burst(void)
{
	int count = atoi(field[2]), err = 0;
	char text[16];

	burst_left = count;
	for (int i = 0; i < count && err == 0; i++) {
		snprintf(text, sizeof(text), "%d", i);
		err = mosquitto_publish(client, NULL, field[1],
		    (int)strlen(text), text, atoi(field[3]), false);
	}
	return err;
}

static int
act(void)
{
	const char *word = field[0];

	if (strcmp(word, "connect") == 0)
		return do_connect();
	if (strcmp(word, "publish") == 0)
		return do_publish();
	if (strcmp(word, "burst") == 0)
		return do_burst();
	if (strcmp(word, "subscribe") == 0)
		return mosquitto_subscribe(
		    client, NULL, field[1], atoi(field[2]));
	if (strcmp(word, "unsubscribe") == 0)
		return mosquitto_unsubscribe(client, NULL, field[1]);
	return mosquitto_disconnect(client);
}

static void
split(char *text)
{
	memset(field, 0, sizeof(field));
	text[strcspn(text, "\n")] = '\0';
	for (int i = 0; i < FIELDS && text != NULL; i++)
		field[i] = strsep(&text, "\t");
}

int
main(int argc, char **argv)
{
	int err;

	if (argc < 2)
		return 64;
	port = atoi(argv[1]);
	/* Port 0 is a Unix socket's, which has a path for a host. */
	if (argc > 2)
		host = argv[2];
	setvbuf(stdout, NULL, _IOLBF, 0);
	mosquitto_lib_init();
	printf("library\tlibmosquitto %d.%d.%d\n", LIBMOSQUITTO_MAJOR,
	    LIBMOSQUITTO_MINOR, LIBMOSQUITTO_REVISION);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		split(line);
		err = act();
		if (err != MOSQ_ERR_SUCCESS)
			printf("error\t%s\n", mosquitto_strerror(err));
	}
	return 0;
}
