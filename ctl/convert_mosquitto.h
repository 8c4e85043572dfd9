/* SPDX-License-Identifier: Apache-2.0 */

/* What the two files that read a mosquitto.conf share. */

#ifndef WEIR_CTL_CONVERT_MOSQUITTO_H
#define WEIR_CTL_CONVERT_MOSQUITTO_H

#include "ctl/convert_private.h"

struct mosquitto_reader {
	struct convert *convert;
	struct convert_group whole;
	struct convert_group listener; /* setting NULL: none was begun */
	struct convert_group first;    /* the one of port and bind_address */
	struct convert_group bridge;
	char bind[300]; /* host of the first */
	char port[8];
	int anonymous; /* -1: not said */
	bool has_listener;
	/* Of the bridge whose lines come: */
	bool bridge_is_tls;
	bool is_retain_cleared;
	char addresses[2048];
	struct convert_at addresses_at;
};

/* "connection NAME": what follows is about that bridge. */
void mosquitto_begin_bridge(
    struct mosquitto_reader *reader, const struct convert_at *at);

/* Its lines have come, if one was begun. */
void mosquitto_end_bridge(struct mosquitto_reader *reader);

/* A line of the bridge that was begun; `words` are those of its value. */
bool mosquitto_bridge_line(struct mosquitto_reader *reader,
    const struct convert_at *at, char *const words[], size_t count);

#endif
