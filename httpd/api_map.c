/* SPDX-License-Identifier: Apache-2.0 */

/* From the broker's words to those of an API. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "httpd/api.h"

static json_t *
time_text(json_int_t seconds, bool is_v5)
{
	time_t when = (time_t)seconds;
	struct tm parts;
	char text[40];

	if (gmtime_r(&when, &parts) == NULL)
		return NULL;
	strftime(text, sizeof(text),
	    is_v5 ? "%Y-%m-%dT%H:%M:%S.000+00:00" : "%Y-%m-%d %H:%M:%S",
	    &parts);
	return json_string(text);
}

/* "[::1]:1883" is "::1"; what has no port is taken whole. */
static json_t *
address_text(const char *address)
{
	const char *port = strrchr(address, ':');
	size_t length =
	    port == NULL ? strlen(address) : (size_t)(port - address);

	if (length > 1 && address[0] == '[' && address[length - 1] == ']')
		return json_stringn(address + 1, length - 2);
	return json_stringn(address, length);
}

static json_t *
port_number(const char *address)
{
	const char *port = strrchr(address, ':');

	return port == NULL ? NULL : json_integer(atoi(port + 1));
}

/* A new reference, or NULL: nothing to say. */
static json_t *
convert(json_t *value, enum api_kind kind, bool is_v5)
{
	const char *text = json_string_value(value);

	switch (kind) {
	case API_AS_IS:
		return json_incref(value);
	case API_TIME:
		return json_is_integer(value)
		    ? time_text(json_integer_value(value), is_v5)
		    : NULL;
	case API_ADDRESS:
		return text == NULL ? NULL : address_text(text);
	case API_PORT:
		return text == NULL ? NULL : port_number(text);
	case API_CONNECTED:
		return json_string(
		    json_is_true(value) ? "connected" : "disconnected");
	case API_NUMBER:
		return json_integer(json_is_true(value));
	case API_PROTOCOL:
		return json_string("MQTT");
	}
	return NULL;
}

static json_t *
map_one(
    json_t *object, const struct api_field *fields, size_t count, bool is_v5)
{
	const unsigned version = is_v5 ? API_V5 : API_V4;
	json_t *mapped = json_object(), *value;

	for (size_t i = 0; i < count && mapped != NULL; i++) {
		value = json_object_get(object, fields[i].ask);
		if (value == NULL || (fields[i].versions & version) == 0)
			continue;
		value = convert(value, fields[i].kind, is_v5);
		if (value != NULL)
			json_object_set_new(mapped, fields[i].name, value);
	}
	return mapped;
}

json_t *
api_map(const struct request *request, const json_t *list,
    const struct api_field *fields, size_t count)
{
	const bool is_v5 = api_is_v5(request);
	json_t *mapped = json_array(), *object;
	size_t i;

	if (mapped == NULL)
		return NULL;
	json_array_foreach(list, i, object)
	{
		json_array_append_new(
		    mapped, map_one(object, fields, count, is_v5));
	}
	return mapped;
}
