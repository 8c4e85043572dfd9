/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_conf - a bridge as JSON, in the words of weir.conf(5).
 *
 *	{"url":"mqtt://10.0.0.9","forward":[{"filter":"up/#","qos":1}]}
 *
 *	name = "cloud";
 *	url = "mqtt://10.0.0.9";
 *	forward = ( { filter = "up/#"; qos = 1; } );
 *
 * What the keys may be is not looked at here, the reader of configurations
 * does that.  Any thread.
 */

#ifndef WEIR_BROKER_MANAGE_CONF_H
#define WEIR_BROKER_MANAGE_CONF_H

#include <jansson.h>

/*
 * The text, to be freed; keys that are null are left out, as is "name", which
 * `name` is.  NULL: *out_why says why it has no such text (no memory, a key
 * that cannot be one, too deep).
 */
char *manage_conf_text(
    const char *name, const json_t *bridge, const char **out_why);

#endif
