/* SPDX-License-Identifier: Apache-2.0 */

/* What takes more than one key to judge, and the values derived from them. */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/parse.h"
#include "common/base/slice.h"
#include "common/base/utf8.h"
#include "common/conf/conf_table.h"

#define MAX_WORKERS 64

/* Least default of http.max_stalled_bytes. */
#define STALLED (UINT64_C(4) << 20)

#define DEFAULT_PACKET_SIZE (UINT64_C(1) << 20)
#define MAX_PACKET_SIZE 268435460 /* 5 bytes of header, 2^28 - 1 behind */

config_setting_t *
conf_at_key(config_setting_t *group, const char *name)
{
	config_setting_t *member;

	if (group == NULL)
		return NULL;
	member = config_setting_get_member(group, name);
	return member == NULL ? group : member;
}

bool
conf_is_given(config_setting_t *group, const char *name)
{
	return group != NULL && config_setting_get_member(group, name) != NULL;
}

static bool
is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static void
check_ring(
    struct conf_reader *reader, config_setting_t *at, struct conf_ring *ring)
{
	/* One of the two given: the other's default makes way. */
	if (!conf_is_given(at, "max_capacity") &&
	    ring->max_capacity < ring->capacity)
		ring->max_capacity = ring->capacity;
	if (!conf_is_given(at, "capacity") &&
	    ring->capacity > ring->max_capacity)
		ring->capacity = ring->max_capacity;

	if (!is_power_of_two(ring->capacity))
		conf_mistake(reader, conf_at_key(at, "capacity"),
		    "capacity must be a power of two, as in 64KiB or 256KiB");
	if (!is_power_of_two(ring->max_capacity))
		conf_mistake(reader, conf_at_key(at, "max_capacity"),
		    "max_capacity must be a power of two, as in 256KiB or "
		    "16MiB");
	if (ring->capacity > ring->max_capacity)
		conf_mistake(reader, conf_at_key(at, "capacity"),
		    "capacity is above max_capacity");
}

/* Returns whether `text` is an address; a missing one was reported. */
static bool
check_bind(struct conf_reader *reader, config_setting_t *at, const char *text,
    struct host_port *out_address)
{
	if (text == NULL)
		return false;
	if (parse_host_port(text, out_address) == 0)
		return true;
	conf_mistake(reader, conf_at_key(at, "bind"),
	    "bind is \"%s\"; it must be host:port or [address]:port, as in "
	    "\"127.0.0.1:1883\"",
	    text);
	return false;
}

static void
check_listener(struct conf_reader *reader, config_setting_t *at,
    struct conf_listener *listener)
{
	struct host_port address;

	if (at != NULL)
		listener->line = config_setting_source_line(at);
	if (!conf_check_unix(reader, at, listener))
		check_bind(reader, at, listener->bind, &address);
	conf_check_websocket(reader, at, listener);
	conf_check_proxy(reader, at, listener);
}

static void
check_http(
    struct conf_reader *reader, config_setting_t *at, struct conf_http *http)
{
	struct host_port address;

	http->enabled = at != NULL;
	check_bind(reader, at, http->bind, &address);
}

/* Does only this machine get there? */
static bool
is_local(const char *bind)
{
	struct host_port address;

	return parse_unix_path(bind) != NULL ||
	    (parse_host_port(bind, &address) == 0 &&
		parse_is_loopback(address.host));
}

/*
 * Anonymous clients: a listener's own key counts; else the global key, which
 * opens local listeners alone and closes all.
 */
static void
resolve_anonymous(config_setting_t *root, struct conf *conf)
{
	config_setting_t *list = config_setting_get_member(root, "listeners");

	conf->allow_anonymous_set = conf_is_given(root, "allow_anonymous");
	for (size_t i = 0; i < conf->listener_count; i++) {
		struct conf_listener *listener = &conf->listeners[i];

		if (conf_is_given(config_setting_get_elem(list, (unsigned)i),
			"allow_anonymous"))
			continue;
		listener->allow_anonymous = listener->bind != NULL &&
		    is_local(listener->bind) &&
		    (!conf->allow_anonymous_set || conf->allow_anonymous);
	}
}

/* The ring that bounds the packet; NULL without rings. */
static const struct conf_ring *
smallest_ring(const struct conf *conf, const char **out_owner)
{
	const struct conf_ring *smallest = NULL;

	if (conf->http.enabled) {
		smallest = &conf->http.ring;
		*out_owner = "http";
	}
	for (size_t i = 0; i < conf->bridge_count; i++)
		if (smallest == NULL ||
		    conf->bridges[i].ring.max_capacity <
			smallest->max_capacity) {
			smallest = &conf->bridges[i].ring;
			*out_owner = conf->bridges[i].name;
		}
	return smallest;
}

static void
resolve_packet_size(
    struct conf_reader *reader, config_setting_t *root, struct conf *conf)
{
	const char *owner = NULL;
	const struct conf_ring *ring = smallest_ring(conf, &owner);
	char fits[PARSE_TEXT_SIZE], given[PARSE_TEXT_SIZE];
	uint64_t largest = MAX_PACKET_SIZE;

	if (ring != NULL)
		largest = ring->max_capacity / 4 - CONF_RECORD_OVERHEAD;
	if (largest > MAX_PACKET_SIZE)
		largest = MAX_PACKET_SIZE;
	if (conf->max_packet_size == 0)
		conf->max_packet_size = largest < DEFAULT_PACKET_SIZE
		    ? largest
		    : DEFAULT_PACKET_SIZE;
	else if (conf->max_packet_size > largest)
		conf_mistake(reader, conf_at_key(root, "max_packet_size"),
		    "max_packet_size is %s, but a packet must fit the ring of "
		    "%s: allowed up to %s (a quarter of its max_capacity "
		    "less 1KiB); raise that ring's max_capacity or lower this",
		    format_size(conf->max_packet_size, given),
		    owner == NULL ? "a bridge" : owner,
		    format_size(largest, fits));
	else if (conf->max_packet_size < CONF_RECORD_OVERHEAD)
		conf_mistake(reader, conf_at_key(root, "max_packet_size"),
		    "max_packet_size is below 1KiB, too small for a CONNECT");
	if (conf->max_connect_size > conf->max_packet_size)
		conf->max_connect_size = conf->max_packet_size;
	if (conf->http.max_body == 0)
		conf->http.max_body = 2 * conf->max_packet_size + 4096;
	if (conf->http.max_stalled == 0)
		conf->http.max_stalled = (conf->http.max_pending + 1) / 2;
	if (conf->http.max_stalled_bytes == 0)
		conf->http.max_stalled_bytes = 4 * conf->http.max_body < STALLED
		    ? STALLED
		    : 4 * conf->http.max_body;
}

static void
resolve_workers(struct conf *conf)
{
	long processors;

	if (conf->workers != 0)
		return;
	processors = sysconf(_SC_NPROCESSORS_ONLN);
	conf->workers = processors < 1 ? 1
	    : processors > MAX_WORKERS ? MAX_WORKERS
				       : (uint32_t)processors;
}

static void
check_memory(
    struct conf_reader *reader, config_setting_t *root, const struct conf *conf)
{
	char needs[PARSE_TEXT_SIZE], limit[PARSE_TEXT_SIZE];
	struct conf_memory m;
	uint64_t allowed, fixed;
	const char *whose;

	/* What may be there before the first client; no term can wrap here. */
	conf_memory_for(conf, 0, 0, &m);
	fixed = m.first_rings + m.windows + m.journal + m.programs;
	allowed = conf_memory_limit(conf, &whose);
	if (fixed > allowed)
		conf_mistake(reader, conf_at_key(root, "memory_limit"),
		    "%s is %s, but rings at their max_capacity, windows and "
		    "programs take up to %s before the first client; allowed: "
		    "that or more, or rings of a smaller max_capacity",
		    whose, format_size(allowed, limit),
		    format_size(fixed, needs));
}

static void
check_global(
    struct conf_reader *reader, config_setting_t *root, struct conf *conf)
{
	conf_check_names_differ(reader, root, "bridges");
	conf_check_names_differ(
	    reader, config_setting_get_member(root, "http"), "rate_per_filter");
	conf_check_identities(reader, root, conf);
	conf_check_user_names(reader, root, conf);
	resolve_anonymous(root, conf);
	resolve_workers(conf);
	resolve_packet_size(reader, root, conf);
	conf_check_journal(reader, root, conf);
	check_memory(reader, root, conf);
}

void
conf_check(struct conf_reader *reader, enum conf_section section,
    config_setting_t *setting, void *target)
{
	switch (section) {
	case CONF_SECTION_GLOBAL:
		check_global(reader, setting, target);
		break;
	case CONF_SECTION_SHARE:
		conf_check_share(reader, setting, target);
		break;
	case CONF_SECTION_ACCOUNT:
		conf_check_account(reader, setting, target);
		break;
	case CONF_SECTION_ACCESS:
		conf_check_access(reader, setting, target);
		break;
	case CONF_SECTION_JWT:
		conf_check_jwt(reader, setting, target);
		break;
	case CONF_SECTION_HTTP_KEY:
		conf_check_http_key(reader, setting, target);
		break;
	case CONF_SECTION_LISTENER:
		check_listener(reader, setting, target);
		break;
	case CONF_SECTION_HTTP:
		check_http(reader, setting, target);
		break;
	case CONF_SECTION_RATE:
		conf_check_rate(reader, setting, target);
		break;
	case CONF_SECTION_RATE_FILTER:
		conf_check_rate_filter(reader, setting, target);
		break;
	case CONF_SECTION_TLS_SERVER:
	case CONF_SECTION_TLS_LISTENER:
	case CONF_SECTION_TLS_CLIENT:
		conf_check_tls(reader, section, setting, target);
		break;
	case CONF_SECTION_RING_HTTP:
	case CONF_SECTION_RING_BRIDGE:
		check_ring(reader, setting, target);
		break;
	case CONF_SECTION_BRIDGE:
		conf_check_bridge(reader, setting, target);
		break;
	case CONF_SECTION_WILL:
		conf_check_will(reader, setting, target);
		break;
	case CONF_SECTION_RATE_BRIDGE:
	case CONF_SECTION_CONNECT_RATE:
	case CONF_SECTION_PUBLISH_RATE:
		conf_check_rate(reader, setting, target);
		break;
	case CONF_SECTION_RULE:
		conf_check_rule(reader, setting, target);
		break;
	case CONF_SECTION_TLS_NAME:
	case CONF_SECTION_JOURNAL: /* by conf_check_journal() */
	case CONF_SECTIONS:
	default:
		break;
	}
}
