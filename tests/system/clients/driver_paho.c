/* SPDX-License-Identifier: Apache-2.0 */

/*
 * driver_paho - a client by Eclipse Paho C (MQTTAsync), moved by lines on
 * stdin; see drivers.py for what they say.
 */

#include <MQTTAsync.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 10

/*
 * Of a burst under way at a time.  Paho C 1.3.12 stands still for good, with
 * any broker, when MQTT 5.0's Receive Maximum (64 here) holds it up.
 */
#define WINDOW 32

static MQTTAsync client;
static int version, burst_left, is_back;
static const char *port, *path;
static sem_t window;
static char line[70000];
static char *field[FIELDS];

static void
on_connected(void *arg, char *cause)
{
	(void)arg;
	(void)cause;
	/* The first time, the CONNACK's own callback tells more. */
	if (is_back++ != 0)
		printf("connected\t0\t1\n");
}

static void
connected(void *arg, MQTTAsync_successData *response)
{
	(void)arg;
	printf("connected\t0\t%d\n", response->alt.connect.sessionPresent);
}

static void
connected5(void *arg, MQTTAsync_successData5 *response)
{
	(void)arg;
	printf("connected\t0\t%d\n", response->alt.connect.sessionPresent);
}

static void
failed(void *arg, MQTTAsync_failureData *response)
{
	(void)arg;
	printf("error\t%d\n", response == NULL ? -1 : response->code);
}

static void
failed5(void *arg, MQTTAsync_failureData5 *response)
{
	(void)arg;
	printf(
	    "error\t%d\n", response == NULL ? -1 : (int)response->reasonCode);
}

static void
on_lost(void *arg, char *cause)
{
	(void)arg;
	(void)cause;
	printf("lost\n");
}

static const char *
text(MQTTLenString string, char *buffer, size_t size)
{
	snprintf(buffer, size, "%.*s", string.len, string.data);
	return buffer;
}

static int
on_message(void *arg, char *topic, int length, MQTTAsync_message *message)
{
	char response[256] = "", name[256] = "", value[256] = "";
	MQTTProperty *property;

	(void)arg;
	(void)length;
	property = MQTTProperties_getProperty(
	    &message->properties, MQTTPROPERTY_CODE_RESPONSE_TOPIC);
	if (property != NULL)
		text(property->value.data, response, sizeof(response));
	property = MQTTProperties_getProperty(
	    &message->properties, MQTTPROPERTY_CODE_USER_PROPERTY);
	if (property != NULL) {
		text(property->value.data, name, sizeof(name));
		text(property->value.value, value, sizeof(value));
	}
	printf("message\t%s\t%.*s\t%d\t%d\t%s\t%s\t%s\n", topic,
	    message->payloadlen, (const char *)message->payload, message->qos,
	    message->retained, response, name, value);
	MQTTAsync_freeMessage(&message);
	MQTTAsync_free(topic);
	return 1;
}

static void
tell_published(void)
{
	if (burst_left == 0) {
		printf("published\t0\n");
		return;
	}
	if (--burst_left == 0)
		printf("burst\n");
	sem_post(&window);
}

static void
done(void *what, MQTTAsync_successData *response)
{
	if (strcmp(what, "published") == 0)
		tell_published();
	else
		printf("%s\t%d\n", (const char *)what,
		    response == NULL ? 0 : response->alt.qos);
}

static void
done5(void *what, MQTTAsync_successData5 *response)
{
	if (strcmp(what, "published") == 0)
		tell_published();
	else
		printf("%s\t%d\n", (const char *)what,
		    response == NULL ? 0 : (int)response->reasonCode);
}

static MQTTAsync_responseOptions
then(const char *what)
{
	MQTTAsync_responseOptions options =
	    MQTTAsync_responseOptions_initializer;

	memcpy(&options.context, &what, sizeof(what));
	if (version == 5) {
		options.onSuccess5 = done5;
		options.onFailure5 = failed5;
	} else {
		options.onSuccess = done;
		options.onFailure = failed;
	}
	return options;
}

static int
open_client(void)
{
	MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
	char uri[64];
	int err;

	options.MQTTVersion = version;
	options.maxBufferedMessages = 100000;
	snprintf(uri, sizeof(uri), "%s://127.0.0.1:%s%s",
	    path == NULL ? "tcp" : "ws", port, path == NULL ? "" : path);
	err = MQTTAsync_createWithOptions(&client, uri, field[1],
	    MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
	if (err != 0)
		return err;
	MQTTAsync_setConnected(client, NULL, on_connected);
	return MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, NULL);
}

static int
do_connect(void)
{
	MQTTAsync_connectOptions old = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions new = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
	static MQTTProperties properties = MQTTProperties_initializer;
	MQTTProperty expiry = { .identifier =
				    MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
		.value.integer4 = 3600 };
	MQTTAsync_connectOptions *options;
	int err, clean = field[3][0] == '1';

	version = atoi(field[2]);
	options = version == 5 ? &new : &old;
	err = open_client();
	if (err != 0)
		return err;
	options->MQTTVersion = version;
	options->keepAliveInterval = atoi(field[4]);
	options->automaticReconnect = 1;
	options->minRetryInterval = 1;
	options->maxRetryInterval = 1;
	if (version == 5) {
		options->cleanstart = clean;
		options->onSuccess5 = connected5;
		options->onFailure5 = failed5;
		if (!clean)
			MQTTProperties_add(&properties, &expiry);
		options->connectProperties = &properties;
	} else {
		options->cleansession = clean;
		options->onSuccess = connected;
		options->onFailure = failed;
	}
	if (field[5] != NULL) {
		will.topicName = field[5];
		will.message = field[6];
		will.qos = atoi(field[7]);
		will.retained = field[8][0] == '1';
		options->will = &will;
	}
	return MQTTAsync_connect(client, options);
}

static int
send_one(const char *payload, int qos, int retain)
{
	MQTTAsync_message message = MQTTAsync_message_initializer;
	MQTTAsync_responseOptions options = then("published");
	MQTTProperty response = { .identifier =
				      MQTTPROPERTY_CODE_RESPONSE_TOPIC };
	MQTTProperty user = { .identifier = MQTTPROPERTY_CODE_USER_PROPERTY };
	int err;

	memcpy(&message.payload, &payload, sizeof(payload));
	message.payloadlen = (int)strlen(payload);
	message.qos = qos;
	message.retained = retain;
	if (version == 5 && field[4] != NULL && field[5] != NULL) {
		response.value.data.data = field[5];
		response.value.data.len = (int)strlen(field[5]);
		user.value.data.data = field[6];
		user.value.data.len = (int)strlen(field[6]);
		user.value.value.data = field[7];
		user.value.value.len = (int)strlen(field[7]);
		MQTTProperties_add(&message.properties, &response);
		MQTTProperties_add(&message.properties, &user);
	}
	err = MQTTAsync_sendMessage(client, field[1], &message, &options);
	MQTTProperties_free(&message.properties);
	return err;
}

static int
do_burst(void)
{
	int count = atoi(field[2]), qos = atoi(field[3]), err = 0;
	char number[16];

	burst_left = count;
	for (int i = 0; i < count && err == 0; i++) {
		sem_wait(&window);
		snprintf(number, sizeof(number), "%d", i);
		err = send_one(number, qos, 0);
	}
	return err;
}

static int
do_disconnect(void)
{
	MQTTAsync_disconnectOptions old =
	    MQTTAsync_disconnectOptions_initializer;
	MQTTAsync_disconnectOptions new =
	    MQTTAsync_disconnectOptions_initializer5;
	MQTTAsync_disconnectOptions *options = version == 5 ? &new : &old;
	static char what[] = "disconnected";

	options->context = what;
	options->onSuccess = version == 5 ? NULL : done;
	options->onSuccess5 = version == 5 ? done5 : NULL;
	return MQTTAsync_disconnect(client, options);
}

static int
act(void)
{
	const char *word = field[0];
	MQTTAsync_responseOptions options;

	if (strcmp(word, "connect") == 0)
		return do_connect();
	if (strcmp(word, "publish") == 0)
		return send_one(field[2], atoi(field[3]), field[4][0] == '1');
	if (strcmp(word, "burst") == 0)
		return do_burst();
	if (strcmp(word, "subscribe") == 0) {
		options = then("subscribed");
		return MQTTAsync_subscribe(
		    client, field[1], atoi(field[2]), &options);
	}
	if (strcmp(word, "unsubscribe") == 0) {
		options = then("unsubscribed");
		return MQTTAsync_unsubscribe(client, field[1], &options);
	}
	return do_disconnect();
}

static void
split(char *rest)
{
	memset(field, 0, sizeof(field));
	rest[strcspn(rest, "\n")] = '\0';
	for (int i = 0; i < FIELDS && rest != NULL; i++)
		field[i] = strsep(&rest, "\t");
}

int
main(int argc, char **argv)
{
	MQTTAsync_nameValue *info;
	int err;

	if (argc < 2)
		return 64;
	port = argv[1];
	path = argc > 2 ? argv[2] : NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	sem_init(&window, 0, WINDOW);
	for (info = MQTTAsync_getVersionInfo(); info->name != NULL; info++)
		if (strcmp(info->name, "Version") == 0)
			printf("library\tPaho C %s\n", info->value);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		split(line);
		err = act();
		if (err != MQTTASYNC_SUCCESS)
			printf("error\t%s\n", MQTTAsync_strerror(err));
	}
	return 0;
}
