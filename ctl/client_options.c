/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/client_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/msg/topic.h"

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 1883
#define DEFAULT_TLS_PORT 8883
#define DEFAULT_KEEP_ALIVE_S 60

/* [MQTT-3.1.2-23] a session that does not end. */
#define SESSION_NEVER_EXPIRES "4294967295"

/* MQTT 3.1 allows a client id of 1 to 23 bytes. */
#define CLIENT_ID_MAX_3_1 23

static const char *
read_port(void *target, const char *value)
{
	struct client_options *client = target;
	uint64_t port;

	if (parse_u64(value, &port) != 0 || port == 0 || port > UINT16_MAX)
		return "a port, 1 to 65535";
	client->port = (uint16_t)port;
	return NULL;
}

static const char *
read_qos(const char *value, uint8_t *out_qos)
{
	if (strlen(value) != 1 || *value < '0' || *value > '2')
		return "one of 0, 1, 2";
	*out_qos = (uint8_t)(*value - '0');
	return NULL;
}

static const char *
read_message_qos(void *target, const char *value)
{
	struct client_options *client = target;

	return read_qos(value, &client->qos);
}

static const char *
read_will_qos(void *target, const char *value)
{
	struct client_options *client = target;

	client->will_qos_given = true;
	return read_qos(value, &client->will_qos);
}

static const char *
read_version(void *target, const char *value)
{
	static const struct {
		const char *name;
		enum mqtt_version version;
	} versions[] = {
		{ "mqttv31", MQTT_3_1 },
		{ "31", MQTT_3_1 },
		{ "mqttv311", MQTT_3_1_1 },
		{ "311", MQTT_3_1_1 },
		{ "mqttv5", MQTT_5 },
		{ "5", MQTT_5 },
	};
	struct client_options *client = target;

	for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
		if (strcmp(versions[i].name, value) == 0) {
			client->version = versions[i].version;
			return NULL;
		}
	}
	return "one of mqttv31, mqttv311, mqttv5, 31, 311, 5";
}

static const char *
read_keep_alive(void *target, const char *value)
{
	struct client_options *client = target;
	const char *allowed = "0 (none) to 65535 seconds";
	uint64_t ns;

	if (client_options_read_seconds(value, &ns) != NULL ||
	    ns / CLOCK_SECOND_NS > UINT16_MAX || ns % CLOCK_SECOND_NS != 0)
		return allowed;
	client->keep_alive_s = (uint16_t)(ns / CLOCK_SECOND_NS);
	return NULL;
}

static const char *
note_property(void *target, const char *value)
{
	struct client_options *client = target;

	client->property[client->property_count++] = value;
	return NULL;
}

const char *
client_options_read_seconds(const char *text, uint64_t *out_ns)
{
	const char *allowed = "seconds, as in 2 or 0.5";
	char *end;
	double seconds;

	if (parse_duration(text, out_ns) == 0)
		return NULL;
	if (text[strspn(text, "0123456789.")] != '\0' || *text == '\0')
		return allowed;
	seconds = strtod(text, &end);
	if (*end != '\0' || end == text || seconds > 1e9)
		return allowed;
	*out_ns = (uint64_t)(seconds * (double)CLOCK_SECOND_NS);
	return NULL;
}

#define AT(field) offsetof(struct client_options, field)

static const struct option_row rows[] = {
	{ 'h', "host", "HOST", "the broker (default 127.0.0.1)", OPTION_STRING,
	    AT(host), NULL },
	{ 'p', "port", "PORT", "its port (default 1883; 8883 with TLS)",
	    OPTION_CALL, 0, read_port },
	{ 'c', "config", "FILE",
	    "take host and port from the first listener in FILE that fits",
	    OPTION_STRING, AT(conf_path), NULL },
	{ 'q', "qos", "QOS", "quality of service: 0 (default), 1 or 2",
	    OPTION_CALL, 0, read_message_qos },
	{ 'V', "protocol-version", "VERSION",
	    "mqttv31, mqttv311 (default) or mqttv5; 31, 311 or 5", OPTION_CALL,
	    0, read_version },
	{ 'i', "id", "ID", "client identifier (default: a random one)",
	    OPTION_STRING, AT(client_id), NULL },
	{ 'u', "username", "NAME", "user name", OPTION_STRING, AT(username),
	    NULL },
	{ 'P', "pw", "PASSWORD", "password; ps(1) shows it to others",
	    OPTION_STRING, AT(password), NULL },
	{ 'k', "keepalive", "SECONDS", "keep alive (default 60; 0: none)",
	    OPTION_CALL, 0, read_keep_alive },
	{ 'D', "property", "PACKET NAME VALUE",
	    "an MQTT 5.0 property of connect, will, publish or subscribe",
	    OPTION_CALL, 0, note_property },
	{ 0, "will-topic", "TOPIC", "topic of the will", OPTION_STRING,
	    AT(will_topic), NULL },
	{ 0, "will-payload", "TEXT", "payload of the will (default: empty)",
	    OPTION_STRING, AT(will_payload), NULL },
	{ 0, "will-qos", "QOS", "quality of service of the will", OPTION_CALL,
	    0, read_will_qos },
	{ 0, "will-retain", NULL, "the will is retained", OPTION_FLAG,
	    AT(will_retain), NULL },
	{ 0, "tls", NULL,
	    "speak TLS, and trust the authorities of the system; so does each "
	    "option below",
	    OPTION_FLAG, AT(use_tls), NULL },
	{ 0, "cafile", "FILE",
	    "authorities of the broker's certificate, in PEM", OPTION_STRING,
	    AT(tls.ca_file), NULL },
	{ 0, "capath", "FOLDER", "folder of such, as openssl-rehash(1) makes",
	    OPTION_STRING, AT(tls.ca_path), NULL },
	{ 0, "cert", "FILE", "our own certificate, in PEM", OPTION_STRING,
	    AT(tls.cert), NULL },
	{ 0, "key", "FILE", "its private key; not readable by others",
	    OPTION_STRING, AT(tls.key), NULL },
	{ 0, "psk-identity", "NAME", "name of the key in --psk-file",
	    OPTION_STRING, AT(tls.psk_identity), NULL },
	{ 0, "psk-file", "FILE",
	    "its first line is a pre-shared key in hexadecimal; not readable "
	    "by others",
	    OPTION_STRING, AT(tls.psk_file), NULL },
	{ 0, "tls-alpn", "NAME", "protocol to offer, as in mqtt", OPTION_STRING,
	    AT(tls.alpn), NULL },
	{ 0, "ciphers", "LIST", "allowed ciphers, as openssl-ciphers(1)",
	    OPTION_STRING, AT(tls.ciphers), NULL },
	{ 0, "insecure", NULL, "take any certificate of any name: for trying",
	    OPTION_FLAG, AT(tls.insecure), NULL },
	{ 'd', "debug", NULL, "tell every packet on stderr", OPTION_FLAG,
	    AT(debug), NULL },
};

const struct options client_options_table = {
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* "PACKET NAME VALUE" in one word: cut at the blanks. */
static bool
add_quoted(struct client_options *client, const char *quoted, char *why,
    size_t why_size)
{
	char *copy = strdup(quoted), *packet, *name, *value, *value2 = NULL;
	bool ok = false;

	if (copy == NULL) {
		snprintf(why, why_size, "no memory");
		return false;
	}
	value = copy;
	packet = strsep(&value, " ");
	name = strsep(&value, " ");
	if (value != NULL && name != NULL && property_words_values(name) == 2) {
		value2 = value;
		value = strsep(&value2, " ");
	}
	if (name == NULL)
		snprintf(
		    why, why_size, "\"%s\" needs a name and a value", quoted);
	else
		ok = property_words_add(&client->properties, packet, name,
		    value, value2, why, why_size);
	free(copy);
	return ok;
}

/*
 * The verbs have no operands, so what options_parse() left are the words
 * that followed the -D's, in their order.
 */
static bool
add_properties(struct client_options *client, int *argc, char **argv, char *why,
    size_t why_size)
{
	int at = 1;

	for (size_t i = 0; i < client->property_count; i++) {
		const char *packet = client->property[i];
		const char *words[3] = { NULL, NULL, NULL };
		size_t count = 2;

		if (strchr(packet, ' ') != NULL) {
			if (!add_quoted(client, packet, why, why_size))
				return false;
			continue;
		}
		for (size_t n = 0; n < count && at < *argc; n++) {
			words[n] = argv[at++];
			if (n == 0 && property_words_values(words[0]) == 2)
				count = 3;
		}
		if (words[0] == NULL) {
			snprintf(why, why_size,
			    "\"%s\" needs a name and a value behind it",
			    packet);
			return false;
		}
		if (!property_words_add(&client->properties, packet, words[0],
			words[1], words[2], why, why_size))
			return false;
	}
	memmove(argv + 1, argv + at, (size_t)(*argc - at + 1) * sizeof(*argv));
	*argc -= at - 1;
	return true;
}

int
client_options_parse(struct client_options *client, struct options *options,
    void *target, int *argc, char **argv)
{
	char why[256];
	int code;

	*client = (struct client_options){ .version = MQTT_3_1_1,
		.keep_alive_s = DEFAULT_KEEP_ALIVE_S };
	client->property = calloc((size_t)*argc, sizeof(*client->property));
	if (client->property == NULL)
		return EXIT_FAILED;
	options->more_target = client;
	code = options_parse(options, target, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (client->property_count != 0 && client->version != MQTT_5)
		return options_usage_error(
		    options, "-D needs MQTT 5.0: add -V mqttv5");
	if (!add_properties(client, argc, argv, why, sizeof(why)))
		return options_usage_error(options, "-D: %s", why);
	if (*argc > 1)
		return options_usage_error(options,
		    "\"%s\" is left over; a text with blanks needs quotes",
		    argv[1]);
	return OPTIONS_GO;
}

static bool
wants_tls(const struct client_options *client)
{
	const struct tls_settings *tls = &client->tls;

	return client->use_tls || tls->ca_file != NULL ||
	    tls->ca_path != NULL || tls->cert != NULL || tls->key != NULL ||
	    tls->psk_identity != NULL || tls->psk_file != NULL ||
	    tls->alpn != NULL || tls->ciphers != NULL || tls->insecure;
}

/* The first that speaks MQTT over TCP as we do: to others we have no way. */
static bool
take_address(struct client_options *client, const struct conf *conf)
{
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].websocket == NULL &&
		    conf->listeners[i].tls.enabled == wants_tls(client) &&
		    !conf->listeners[i].proxy_protocol &&
		    parse_host_port(
			conf->listeners[i].bind, &client->listener) == 0)
			return true;
	return false;
}

/* The address of a listener, if a configuration was named. */
static int
find_listener(struct client_options *client, const struct ctl *ctl,
    const struct options *options)
{
	struct conf *conf;
	int code;

	client->listener.port =
	    wants_tls(client) ? DEFAULT_TLS_PORT : DEFAULT_PORT;
	if (client->conf_path == NULL && ctl->conf_path == NULL)
		return EXIT_OK;
	code = ctl_load(ctl, client->conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	if (!take_address(client, conf)) {
		fprintf(stderr,
		    "%s: %s has no listener of %s: say -h and -p%s\n",
		    options->program, conf->path,
		    wants_tls(client) ? "MQTT over TLS" : "plain MQTT",
		    wants_tls(client) ? "" : ", or --cafile for one of TLS");
		code = EXIT_CONFIG;
	}
	conf_free(conf);
	return code;
}

/* Somebody who listens on all addresses listens on this one. */
static const char *
choose_host(const struct client_options *client)
{
	const char *bound = client->listener.host;

	if (client->host != NULL)
		return client->host;
	if (strcmp(bound, "::") == 0)
		return "::1";
	if (*bound == '\0' || strcmp(bound, "0.0.0.0") == 0)
		return DEFAULT_HOST;
	return bound;
}

/* A session that outlives us does so for ever, unless -D says otherwise. */
static bool
keep_session(struct client_options *client)
{
	const uint64_t present =
	    client->properties.list[PROPERTY_CONNECT].present;
	char why[64];

	if (!client->no_clean || client->version != MQTT_5 ||
	    (present >> MQTT_SESSION_EXPIRY_INTERVAL & 1) != 0)
		return true;
	return property_words_add(&client->properties, "connect",
	    "session-expiry-interval", SESSION_NEVER_EXPIRES, NULL, why,
	    sizeof(why));
}

static int
check_together(
    const struct client_options *client, const struct options *options)
{
	const struct slice will = slice_of_string(client->will_topic);

	if (client->will_topic == NULL &&
	    (client->will_payload != NULL || client->will_retain ||
		client->will_qos_given ||
		client->properties.list[PROPERTY_WILL].len != 0))
		return options_usage_error(
		    options, "a will needs --will-topic");
	if (client->will_topic != NULL && !topic_name_is_valid(will))
		return options_usage_error(options,
		    "--will-topic: \"%s\" is no topic to publish to",
		    client->will_topic);
	if (client->no_clean && client->client_id == NULL)
		return options_usage_error(
		    options, "--no-clean needs a client identifier: add -i");
	/* [MQTT3-3.1.2-22] before MQTT 5.0 */
	if (client->password != NULL && client->username == NULL &&
	    client->version != MQTT_5)
		return options_usage_error(
		    options, "-P needs a user name: add -u");
	if (client->client_id != NULL && client->version == MQTT_3_1 &&
	    (*client->client_id == '\0' ||
		strlen(client->client_id) > CLIENT_ID_MAX_3_1))
		return options_usage_error(
		    options, "-i: MQTT 3.1 wants 1 to 23 bytes");
	return OPTIONS_GO;
}

/* What the options say of TLS, made from its files. */
static int
make_tls(struct client_options *client, const struct options *options)
{
	char error[TLS_ERROR_SIZE];

	if (!wants_tls(client))
		return OPTIONS_GO;
	if (tls_new_client(&client->tls, &client->made, error, sizeof(error)) ==
	    0)
		return OPTIONS_GO;
	fprintf(stderr, "%s: TLS: %s\n", options->program, error);
	return EXIT_FAILED;
}

static void
fill_connect(struct client_options *client, struct mqtt_connect *connect)
{
	*connect = (struct mqtt_connect){
		.version = (uint8_t)client->version,
		.clean_start = !client->no_clean,
		.has_will = client->will_topic != NULL,
		.has_username = client->username != NULL,
		.has_password = client->password != NULL,
		.will_retain = client->will_retain,
		.will_qos = client->will_qos,
		.keep_alive_s = client->keep_alive_s,
		.client_id = slice_of_string(client->client_id),
		.will_topic = slice_of_string(client->will_topic),
		.will_payload = slice_of_string(client->will_payload),
		.username = slice_of_string(client->username),
		.password = slice_of_string(client->password),
	};
	connect->properties.verbatim =
	    property_words_get(&client->properties, PROPERTY_CONNECT);
	connect->will_properties.verbatim =
	    property_words_get(&client->properties, PROPERTY_WILL);
}

int
client_options_to_spec(struct client_options *client, const struct ctl *ctl,
    const struct options *options, struct mqtt_client_spec *out_spec)
{
	uint32_t random = 0;
	int code;

	code = check_together(client, options);
	if (code != OPTIONS_GO)
		return code;
	code = find_listener(client, ctl, options);
	if (code != EXIT_OK)
		return code;
	if (!keep_session(client))
		return EXIT_FAILED;
	code = make_tls(client, options);
	if (code != OPTIONS_GO)
		return code;
	if (client->client_id == NULL) {
		if (getrandom(&random, sizeof(random), 0) == -1)
			random = (uint32_t)clock_now_ns();
		snprintf(client->random_id, sizeof(client->random_id),
		    "weirctl-%08" PRIx32, random);
		client->client_id = client->random_id;
	}
	*out_spec = (struct mqtt_client_spec){
		.program = options->program,
		.host = choose_host(client),
		.port =
		    client->port != 0 ? client->port : client->listener.port,
		.debug = client->debug,
		.tls = client->made,
	};
	fill_connect(client, &out_spec->connect);
	return OPTIONS_GO;
}

void
client_options_fini(struct client_options *client)
{
	tls_put(client->made);
	client->made = NULL;
	property_words_fini(&client->properties);
	free(client->property);
	client->property = NULL;
}
