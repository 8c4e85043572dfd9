/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

/* A table ends with the unit 1 and names the unit to print first. */
struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "GiB", UINT64_C(1) << 30 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "", 1 },
	{ "B", 1 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "d", 86400 * CLOCK_SECOND_NS },
	{ "h", 3600 * CLOCK_SECOND_NS },
	{ "min", 60 * CLOCK_SECOND_NS },
	{ "m", 60 * CLOCK_SECOND_NS },
	{ "s", CLOCK_SECOND_NS },
	{ "ms", CLOCK_MS_NS },
	{ "us", CLOCK_US_NS },
	{ "ns", 1 },
	{ NULL, 0 },
};

/* Reads digits and leaves *text behind them. */
static int
take_number(const char **text, uint64_t *out_value)
{
	const char *at = *text;
	uint64_t value = 0;

	if (*at < '0' || *at > '9')
		return -EINVAL;
	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(
			value, (uint64_t)(*at - '0'), &value))
			return -ERANGE;
	*text = at;
	*out_value = value;
	return 0;
}

int
parse_u64(const char *text, uint64_t *out_value)
{
	uint64_t value;
	int err;

	err = take_number(&text, &value);
	if (err != 0)
		return err;
	if (*text != '\0')
		return -EINVAL;
	*out_value = value;
	return 0;
}

static int
parse_with_unit(const struct unit *units, const char *text, uint64_t *out_value)
{
	uint64_t value;
	int err;

	err = take_number(&text, &value);
	if (err != 0)
		return err;
	while (units->name != NULL && strcmp(units->name, text) != 0)
		units++;
	if (units->name == NULL)
		return -EINVAL;
	if (__builtin_mul_overflow(value, units->factor, &value))
		return -ERANGE;
	*out_value = value;
	return 0;
}

int
parse_size(const char *text, uint64_t *out_bytes)
{
	return parse_with_unit(size_units, text, out_bytes);
}

int
parse_duration(const char *text, uint64_t *out_ns)
{
	/* Nothing is nothing in every unit; any other number needs one. */
	if (strcmp(text, "0") == 0) {
		*out_ns = 0;
		return 0;
	}
	return parse_with_unit(duration_units, text, out_ns);
}

static const char *
format_with_unit(const struct unit *units, uint64_t value, char *text)
{
	while (units->factor > 1 && (value == 0 || value % units->factor != 0))
		units++;
	snprintf(text, PARSE_TEXT_SIZE, "%llu%s",
	    (unsigned long long)(value / units->factor), units->name);
	return text;
}

const char *
format_size(uint64_t bytes, char *text)
{
	return format_with_unit(size_units, bytes, text);
}

const char *
format_duration(uint64_t ns, char *text)
{
	if (ns == 0) {
		text[0] = '0';
		text[1] = '\0';
		return text;
	}
	return format_with_unit(duration_units, ns, text);
}

/* Splits at the colon before the port; brackets shield those of IPv6. */
static int
split_host(const char *text, const char **out_host, size_t *out_len,
    const char **out_port)
{
	const char *end;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || end == text + 1 || end[1] != ':')
			return -EINVAL;
		*out_host = text + 1;
		*out_port = end + 2;
	} else {
		end = strrchr(text, ':');
		if (end == NULL || memchr(text, ':', (size_t)(end - text)))
			return -EINVAL;
		*out_host = text;
		*out_port = end + 1;
	}
	*out_len = (size_t)(end - *out_host);
	return *out_len < PARSE_HOST_SIZE ? 0 : -EINVAL;
}

int
parse_host_port(const char *text, struct host_port *out_address)
{
	const char *host = NULL, *port_text = NULL;
	uint64_t port;
	size_t len = 0;
	int err;

	err = split_host(text, &host, &len, &port_text);
	if (err != 0)
		return err;
	if (strcspn(host, " \t\r\n/@") < len)
		return -EINVAL;
	err = parse_u64(port_text, &port);
	if (err != 0)
		return err;
	if (port > UINT16_MAX)
		return -ERANGE;
	memcpy(out_address->host, host, len);
	out_address->host[len] = '\0';
	out_address->port = (uint16_t)port;
	return 0;
}

const char *
parse_unix_path(const char *address)
{
	const size_t len = strlen(PARSE_UNIX_PREFIX);

	return strncmp(address, PARSE_UNIX_PREFIX, len) == 0 ? address + len
							     : NULL;
}

bool
parse_is_loopback(const char *host)
{
	unsigned a, b, c;
	char end;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
		return true;
	return sscanf(host, "127.%3u.%3u.%3u%c", &a, &b, &c, &end) == 3 &&
	    a < 256 && b < 256 && c < 256;
}
