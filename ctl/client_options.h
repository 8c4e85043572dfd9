/* SPDX-License-Identifier: Apache-2.0 */

/*
 * client_options - the options that `weirctl pub` and `weirctl sub` share.
 *
 *	struct options options = cmd_pub_options;
 *	struct client_options client;
 *
 *	code = client_options_parse(&client, &options, &pub, &argc, argv);
 *	if (code == OPTIONS_GO)
 *		code = client_options_to_spec(&client, ctl, &options, &spec);
 *
 * The letters are those of mosquitto's clients, except that -c names the
 * configuration file, as with every verb.
 */

#ifndef WEIR_CTL_CLIENT_OPTIONS_H
#define WEIR_CTL_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/options.h"
#include "common/base/parse.h"
#include "common/net/tls.h"
#include "ctl/ctl.h"
#include "ctl/mqtt_client.h"
#include "ctl/property_words.h"

struct client_options {
	const char *conf_path;
	const char *host; /* NULL: not given */
	uint16_t port;    /* 0: not given */
	const char *client_id;
	const char *username;
	const char *password;
	enum mqtt_version version;
	uint8_t qos;
	bool debug;
	bool no_clean;
	uint16_t keep_alive_s;
	const char *will_topic;
	const char *will_payload;
	uint8_t will_qos;
	bool will_qos_given;
	bool will_retain;
	struct property_words properties;
	struct tls_settings tls;
	bool use_tls; /* also without a setting of its own */

	/* -D, each the word behind it, in their order; for parsing only. */
	const char **property;
	size_t property_count;

	struct tls *made;          /* NULL: MQTT in the clear */
	struct host_port listener; /* of the configuration */
	char random_id[24];
};

/* The rows of the options; to be a table's `more`. */
extern const struct options client_options_table;

/*
 * options_parse() for a table of which `options` is the caller's copy, then
 * the words after -D.  `target` belongs to the table's own rows.  Fills
 * *client, which must be given to client_options_fini() in any case.
 */
int client_options_parse(struct client_options *client, struct options *options,
    void *target, int *argc, char **argv);

/*
 * Check them together, find the broker, and fill *out_spec, which points into
 * *client.  Returns OPTIONS_GO, or the exit code after a message.
 */
int client_options_to_spec(struct client_options *client, const struct ctl *ctl,
    const struct options *options, struct mqtt_client_spec *out_spec);

void client_options_fini(struct client_options *client);

/* For rows: "2", "0.5" are seconds, "500ms" a duration. */
const char *client_options_read_seconds(const char *text, uint64_t *out_ns);

#endif
