/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/property_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/options.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"

enum kind {
	KIND_BOOL,
	KIND_U16,
	KIND_U16_NOT_0,
	KIND_U32,
	KIND_U32_NOT_0,
	KIND_VARINT,
	KIND_UTF8,
	KIND_BINARY,
	KIND_PAIR
};

struct row {
	enum mqtt_property id;
	const char *name;
	enum kind kind;
	uint32_t packets; /* bit N: may be in packet type N */
};

#define IN(type) (1u << MQTT_##type)
#define WILL IN(WILL_PROPERTIES)

static const struct row rows[] = {
#define PROPERTY(id, name, field, kind, packets)                               \
	{ MQTT_##name, #name, KIND_##kind, packets },
#include "common/mqtt/properties.def"
#undef PROPERTY
};

static const struct {
	const char *name;
	uint32_t packets;
} packets[PROPERTY_PACKETS] = {
	[PROPERTY_CONNECT] = { "connect", IN(CONNECT) },
	[PROPERTY_WILL] = { "will", WILL },
	[PROPERTY_PUBLISH] = { "publish", IN(PUBLISH) },
	[PROPERTY_SUBSCRIBE] = { "subscribe", IN(SUBSCRIBE) },
};

/* The least and the most of each kind of number. */
static const struct {
	uint32_t min, max;
} ranges[] = {
	[KIND_BOOL] = { 0, 1 },
	[KIND_U16] = { 0, UINT16_MAX },
	[KIND_U16_NOT_0] = { 1, UINT16_MAX },
	[KIND_U32] = { 0, UINT32_MAX },
	[KIND_U32_NOT_0] = { 1, UINT32_MAX },
	[KIND_VARINT] = { 1, MQTT_MAX_VARINT },
};

/* What this client does not do, so must not offer or send. */
static bool
is_supported(const struct row *row, enum property_packet packet)
{
	switch (row->id) {
	case MQTT_TOPIC_ALIAS_MAXIMUM:
	case MQTT_AUTHENTICATION_METHOD:
	case MQTT_AUTHENTICATION_DATA:
		return false;
	case MQTT_SUBSCRIPTION_IDENTIFIER:
		/* [MQTT-3.3.4-6] a client sends none with a PUBLISH */
		return packet != PROPERTY_PUBLISH;
	default:
		return true;
	}
}

static bool __attribute__((format(printf, 3, 4)))
refuse(char *why, size_t why_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, why_size, format, args);
	va_end(args);
	return false;
}

/* "content-type" is CONTENT_TYPE. */
static const struct row *
find_row(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const char *a = rows[i].name, *b = name;

		while (*b != '\0' &&
		    *a == (*b == '-' ? '_' : toupper((unsigned char)*b)))
			a++, b++;
		if (*a == '\0' && *b == '\0')
			return &rows[i];
	}
	return NULL;
}

size_t
property_words_values(const char *name)
{
	const struct row *row = find_row(name);

	if (row == NULL)
		return 0;
	return row->kind == KIND_PAIR ? 2 : 1;
}

static void
put_number(struct wire_out *w, enum kind kind, uint32_t number)
{
	if (kind == KIND_BOOL)
		wire_put_u8(w, (uint8_t)number);
	else if (kind == KIND_U16 || kind == KIND_U16_NOT_0)
		wire_put_u16(w, (uint16_t)number);
	else if (kind == KIND_VARINT)
		wire_put_varint(w, number);
	else
		wire_put_u32(w, number);
}

/* One property, ready to be encoded. */
struct item {
	const struct row *row;
	uint32_t number;
	struct slice value, value2;
};

static size_t
item_size_max(const struct item *item)
{
	return 1 + 4 + 2 + item->value.len + 2 + item->value2.len;
}

static void
put_item(struct wire_out *w, const struct item *item)
{
	wire_put_u8(w, (uint8_t)item->row->id);
	switch (item->row->kind) {
	case KIND_UTF8:
	case KIND_BINARY:
		wire_put_binary(w, item->value);
		break;
	case KIND_PAIR:
		wire_put_binary(w, item->value);
		wire_put_binary(w, item->value2);
		break;
	default:
		put_number(w, item->row->kind, item->number);
	}
}

static bool
read_number(struct item *item, const char *value, char *why, size_t why_size)
{
	const uint32_t min = ranges[item->row->kind].min;
	const uint32_t max = ranges[item->row->kind].max;
	uint64_t number;

	if (parse_u64(value, &number) != 0 || number < min || number > max)
		return refuse(
		    why, why_size, "\"%s\" is not %u to %u", value, min, max);
	item->number = (uint32_t)number;
	return true;
}

static bool
check_text(
    const struct item *item, struct slice text, char *why, size_t why_size)
{
	if (text.len > MQTT_MAX_STRING_BYTES)
		return refuse(why, why_size, "longer than 65535 bytes");
	if (item->row->kind != KIND_BINARY && !utf8_is_valid(text))
		return refuse(why, why_size, "not valid UTF-8");
	return true;
}

static bool
read_item(struct item *item, const char *value, const char *value2, char *why,
    size_t why_size)
{
	if (value == NULL)
		return refuse(why, why_size, "a value is missing");
	if (item->row->kind < KIND_UTF8)
		return read_number(item, value, why, why_size);
	if (item->row->kind == KIND_PAIR) {
		if (value2 == NULL)
			return refuse(
			    why, why_size, "a name and a value are needed");
		item->value2 = slice_of_string(value2);
	}
	item->value = slice_of_string(value);
	return check_text(item, item->value, why, why_size) &&
	    check_text(item, item->value2, why, why_size);
}

static bool
append(struct property_list *list, const struct item *item, char *why,
    size_t why_size)
{
	const size_t max = item_size_max(item);
	struct wire_out w;
	uint8_t *bytes;

	bytes = realloc(list->bytes, list->len + max);
	if (bytes == NULL)
		return refuse(why, why_size, "no memory");
	list->bytes = bytes;
	w = wire_write(bytes + list->len, max);
	put_item(&w, item);
	list->len = (size_t)(w.p - bytes);
	list->present |= UINT64_C(1) << item->row->id;
	return true;
}

static bool
find_packet(const char *name, enum property_packet *out_packet)
{
	for (unsigned i = 0; i < PROPERTY_PACKETS; i++) {
		if (strcasecmp(packets[i].name, name) == 0) {
			*out_packet = (enum property_packet)i;
			return true;
		}
	}
	return false;
}

bool
property_words_add(struct property_words *words, const char *packet,
    const char *name, const char *value, const char *value2, char *why,
    size_t why_size)
{
	struct item item = { .row = find_row(name) };
	enum property_packet to;

	if (!find_packet(packet, &to))
		return refuse(why, why_size,
		    "\"%s\" is not one of connect, will, publish, subscribe",
		    packet);
	if (item.row == NULL)
		return refuse(
		    why, why_size, "there is no property \"%s\"", name);
	if ((item.row->packets & packets[to].packets) == 0)
		return refuse(why, why_size, "%s does not belong to %s", name,
		    packets[to].name);
	if (!is_supported(item.row, to))
		return refuse(why, why_size,
		    "weirctl does not support %s with %s", name,
		    packets[to].name);
	if (item.row->kind != KIND_PAIR &&
	    (words->list[to].present >> item.row->id & 1) != 0)
		return refuse(why, why_size, "%s is given twice", name);
	return read_item(&item, value, value2, why, why_size) &&
	    append(&words->list[to], &item, why, why_size);
}

struct slice
property_words_get(
    const struct property_words *words, enum property_packet packet)
{
	return slice_of(words->list[packet].bytes, words->list[packet].len);
}

uint32_t
property_words_number(const struct property_words *words,
    enum property_packet packet, enum mqtt_property id, uint32_t otherwise)
{
	struct wire walk = wire_read(property_words_get(words, packet));
	struct mqtt_property_item item;

	return mqtt_properties_find(&walk, id, &item) ? item.number : otherwise;
}

void
property_words_fini(struct property_words *words)
{
	for (unsigned i = 0; i < PROPERTY_PACKETS; i++)
		free(words->list[i].bytes);
	*words = (struct property_words){ 0 };
}
