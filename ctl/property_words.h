/* SPDX-License-Identifier: Apache-2.0 */

/*
 * property_words - MQTT 5.0 properties as words of a command line.
 *
 *	struct property_words words = { 0 };
 *
 *	if (!property_words_add(&words, "publish", "content-type",
 *		"text/plain", NULL, why, sizeof(why)))
 *		complain(why);
 *	publish.properties = property_words_get(&words, PROPERTY_PUBLISH);
 *	property_words_fini(&words);
 *
 * Names are those of the specification with dashes, in any case.  What is
 * accepted fits its packet, so the encoded bytes can be sent as they are.
 */

#ifndef WEIR_CTL_PROPERTY_WORDS_H
#define WEIR_CTL_PROPERTY_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/mqtt/properties.h"

/* The packets that a command line can give properties to. */
enum property_packet {
	PROPERTY_CONNECT,
	PROPERTY_WILL,
	PROPERTY_PUBLISH,
	PROPERTY_SUBSCRIBE,
	PROPERTY_PACKETS
};

struct property_list {
	uint64_t present; /* bit N: property N is there */
	uint8_t *bytes;   /* encoded, without the length in front */
	size_t len;
};

/* Start with zeroes. */
struct property_words {
	struct property_list list[PROPERTY_PACKETS];
};

/* How many values follow this name: 1, 2, or 0 for an unknown one. */
size_t property_words_values(const char *name);

/*
 * Add one property; `value2` is looked at only where there are two values.
 * Returns false with the reason, for people, in `why`.
 */
bool property_words_add(struct property_words *words, const char *packet,
    const char *name, const char *value, const char *value2, char *why,
    size_t why_size);

/* The encoded properties of a packet; valid until the next call that adds. */
struct slice property_words_get(
    const struct property_words *words, enum property_packet packet);

/* The value of a number property, or `otherwise` when it is not there. */
uint32_t property_words_number(const struct property_words *words,
    enum property_packet packet, enum mqtt_property id, uint32_t otherwise);

void property_words_fini(struct property_words *words);

#endif
