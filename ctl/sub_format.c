/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/sub_format.h"

#include <string.h>
#include <time.h>

#include "common/base/clock.h"

#define CONVERSIONS "tplxqrmICRP%"
#define ESCAPES "ntr0\\"

const char *
sub_format_check(const char *format)
{
	for (const char *s = format; *s != '\0'; s++) {
		const char *allowed = *s == '%' ? CONVERSIONS : ESCAPES;

		if (*s != '%' && *s != '\\')
			continue;
		s++;
		if (*s != '\0' && strchr(allowed, *s) != NULL)
			continue;
		return allowed[0] == 't' && s[-1] == '%'
		    ? "after % comes one of " CONVERSIONS
		    : "after \\ comes one of " ESCAPES;
	}
	return NULL;
}

static void
print_slice(struct slice s, FILE *out)
{
	if (s.len != 0)
		fwrite(s.data, 1, s.len, out);
}

static void
print_hex(struct slice s, FILE *out)
{
	for (size_t i = 0; i < s.len; i++)
		fprintf(out, "%02x", s.data[i]);
}

static void
print_time(uint64_t wall_ns, FILE *out)
{
	const time_t seconds = (time_t)(wall_ns / CLOCK_SECOND_NS);
	struct tm tm;
	char text[64];

	if (localtime_r(&seconds, &tm) == NULL)
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &tm);
	fputs(text, out);
}

/* "name:value", with a blank between two of them. */
static void
print_user_properties(const struct mqtt_properties *properties, FILE *out)
{
	struct wire walk = wire_read(properties->raw);
	struct mqtt_property_item item;
	const char *between = "";

	if (!mqtt_properties_has(properties, MQTT_USER_PROPERTY))
		return;
	while (mqtt_properties_find(&walk, MQTT_USER_PROPERTY, &item)) {
		fputs(between, out);
		print_slice(item.name, out);
		fputc(':', out);
		print_slice(item.value, out);
		between = " ";
	}
}

static void
print_conversion(char letter, const struct mqtt_publish *publish,
    uint64_t wall_ns, FILE *out)
{
	const struct mqtt_properties *properties = &publish->properties;

	switch (letter) {
	case 't':
		print_slice(publish->topic, out);
		break;
	case 'p':
		print_slice(publish->payload, out);
		break;
	case 'l':
		fprintf(out, "%zu", publish->payload.len);
		break;
	case 'x':
		print_hex(publish->payload, out);
		break;
	case 'q':
		fprintf(out, "%u", publish->qos);
		break;
	case 'r':
		fputc(publish->retain ? '1' : '0', out);
		break;
	case 'm':
		fprintf(out, "%u", publish->packet_id);
		break;
	case 'I':
		print_time(wall_ns, out);
		break;
	case 'C':
		if (mqtt_properties_has(properties, MQTT_CONTENT_TYPE))
			print_slice(properties->content_type, out);
		break;
	case 'R':
		if (mqtt_properties_has(properties, MQTT_RESPONSE_TOPIC))
			print_slice(properties->response_topic, out);
		break;
	case 'P':
		print_user_properties(properties, out);
		break;
	default:
		fputc(letter, out);
	}
}

static int
unescape(char letter)
{
	switch (letter) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case '0':
		return '\0';
	default:
		return letter;
	}
}

void
sub_format_print(const char *format, const struct mqtt_publish *publish,
    uint64_t wall_ns, FILE *out)
{
	for (const char *s = format; *s != '\0'; s++) {
		if (*s == '%')
			print_conversion(*++s, publish, wall_ns, out);
		else if (*s == '\\')
			fputc(unescape(*++s), out);
		else
			fputc(*s, out);
	}
}
