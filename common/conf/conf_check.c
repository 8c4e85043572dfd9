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

#define DEFAULT_PACKET_SIZE (UINT64_C(1) << 20)
#define MAX_PACKET_SIZE 268435460 /* 5 bytes of header, 2^28 - 1 behind */

#define MQTT_PORT 1883

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

static void
check_rate(
    struct conf_reader *reader, config_setting_t *at, struct conf_rate *rate)
{
	if (rate->burst == 0)
		rate->burst = rate->per_second;
	if (rate->per_second == 0 && rate->burst != 0)
		conf_mistake(reader, conf_at_key(at, "burst"),
		    "burst without per_second; give both, or neither for no "
		    "limit");
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
	check_bind(reader, at, listener->bind, &address);
}

static void
check_account(struct conf_reader *reader, config_setting_t *at,
    struct conf_account *account)
{
	if (at != NULL)
		account->line = config_setting_source_line(at);
	if (account->name != NULL && strchr(account->name, ':') != NULL)
		conf_mistake(reader, conf_at_key(at, "name"),
		    "name has a colon in it, which HTTP cannot transport");
}

static void
check_http(
    struct conf_reader *reader, config_setting_t *at, struct conf_http *http)
{
	struct host_port address;

	http->enabled = at != NULL;
	check_bind(reader, at, http->bind, &address);
}

/*
 * '#' stands alone in the last level, '+' alone in any [MQTT-4.7.1-2]
 * [MQTT-4.7.1-3].  Returns what is wrong, or NULL.
 */
static const char *
filter_fault(const char *filter)
{
	const char *level = filter, *end;
	size_t len;

	if (!utf8_is_valid(slice_of_string(filter)))
		return "is not UTF-8";
	if (strncmp(filter, "$share/", strlen("$share/")) == 0)
		return "is a shared subscription, which a bridge cannot use";
	for (;; level = end + 1) {
		end = strchrnul(level, '/');
		len = (size_t)(end - level);
		if (memchr(level, '+', len) != NULL && len != 1)
			return "has a + that is not alone in its level";
		if (memchr(level, '#', len) != NULL && (len != 1 || *end != 0))
			return "has a # that is not the whole last level";
		if (*end == '\0')
			return NULL;
	}
}

static void
check_prefix(struct conf_reader *reader, config_setting_t *at, const char *key,
    const char *prefix)
{
	if (prefix == NULL)
		return;
	if (strpbrk(prefix, "+#") != NULL)
		conf_mistake(reader, conf_at_key(at, key),
		    "%s is \"%s\"; wildcards are allowed in filter alone", key,
		    prefix);
	else if (!utf8_is_valid(slice_of_string(prefix)))
		conf_mistake(
		    reader, conf_at_key(at, key), "%s is not UTF-8", key);
}

static void
check_rule(
    struct conf_reader *reader, config_setting_t *at, struct conf_rule *rule)
{
	const char *fault;

	if (at != NULL)
		rule->line = config_setting_source_line(at);
	check_prefix(reader, at, "local_prefix", rule->local_prefix);
	check_prefix(reader, at, "remote_prefix", rule->remote_prefix);
	if (rule->filter == NULL)
		return;
	fault = filter_fault(rule->filter);
	if (fault != NULL)
		conf_mistake(reader, conf_at_key(at, "filter"),
		    "filter \"%s\" %s; allowed: topic levels parted by /, + "
		    "for "
		    "one level, # for all the rest",
		    rule->filter, fault);
}

static void
check_bridge_name(
    struct conf_reader *reader, config_setting_t *at, const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "0123456789_-";

	if (name != NULL && name[strspn(name, letters)] != '\0')
		conf_mistake(reader, conf_at_key(at, "name"),
		    "name is \"%s\"; allowed: small letters, digits, - and _",
		    name);
}

/* mqtt://host[:port][/] */
static void
check_url(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge)
{
	static const char scheme[] = "mqtt://";
	struct host_port address;
	char text[PARSE_HOST_SIZE + 8];
	const char *colon;
	int len;

	if (bridge->url == NULL)
		return;
	if (strncmp(bridge->url, "mqtts://", strlen("mqtts://")) == 0) {
		conf_mistake(reader, conf_at_key(at, "url"),
		    "url: mqtts is not in this version; allowed: "
		    "mqtt://host[:port]");
		return;
	}
	if (strncmp(bridge->url, scheme, strlen(scheme)) != 0)
		goto bad;
	len = snprintf(
	    text, sizeof(text) - 8, "%s", bridge->url + strlen(scheme));
	if (len >= (int)sizeof(text) - 8)
		goto bad;
	if (len > 0 && text[len - 1] == '/')
		text[--len] = '\0';
	/* A colon inside the brackets of an IPv6 address is no port's. */
	colon = strrchr(text, ':');
	if (colon == NULL || strchr(colon, ']') != NULL)
		snprintf(
		    text + len, sizeof(text) - (size_t)len, ":%d", MQTT_PORT);
	if (parse_host_port(text, &address) != 0 || address.host[0] == '\0' ||
	    address.port == 0)
		goto bad;
	bridge->port = address.port;
	bridge->host = strdup(address.host);
	reader->no_memory |= bridge->host == NULL;
	return;

bad:
	conf_mistake(reader, conf_at_key(at, "url"),
	    "url is \"%s\"; it must be mqtt://host or mqtt://host:port",
	    bridge->url);
}

static void
check_bridge_times(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	if (bridge->keepalive_ns % CLOCK_SECOND_NS != 0)
		conf_mistake(reader, conf_at_key(at, "keepalive"),
		    "keepalive must be whole seconds, as in \"30s\"");
	if (bridge->retry_min_ns > bridge->retry_max_ns)
		conf_mistake(reader, conf_at_key(at, "retry_min"),
		    "retry_min is above retry_max");
}

static bool
has_qos_2(const struct conf_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].qos == 2)
			return true;
	return false;
}

/* Exactly once needs a remote that remembers; MQTT 3.1.1 has no expiry. */
static void
check_bridge_session(struct conf_reader *reader, config_setting_t *at,
    const struct conf_bridge *bridge)
{
	if (bridge->session_expiry_ns == 0 &&
	    bridge->protocol == CONF_PROTOCOL_5_0 &&
	    (has_qos_2(bridge->forward, bridge->forward_count) ||
		has_qos_2(bridge->receive, bridge->receive_count)))
		conf_mistake(reader, conf_at_key(at, "session_expiry"),
		    "session_expiry is 0, and a rule has qos 2, which needs a "
		    "session at the remote; allowed: a time, as \"1h\", or "
		    "rules of qos 0 and 1");
}

static void
check_bridge(struct conf_reader *reader, config_setting_t *at,
    struct conf_bridge *bridge)
{
	if (at != NULL)
		bridge->line = config_setting_source_line(at);
	check_bridge_name(reader, at, bridge->name);
	check_url(reader, at, bridge);
	check_bridge_times(reader, at, bridge);
	check_bridge_session(reader, at, bridge);
	if (bridge->type != NULL && strcmp(bridge->type, "mqtt") != 0)
		conf_mistake(reader, conf_at_key(at, "type"),
		    "type is \"%s\"; allowed: mqtt", bridge->type);
	if (bridge->password != NULL && bridge->password_file != NULL)
		conf_mistake(reader, conf_at_key(at, "password"),
		    "password and password_file are both given; keep one");
	if (bridge->username == NULL &&
	    bridge->protocol == CONF_PROTOCOL_3_1_1 &&
	    (bridge->password != NULL || bridge->password_file != NULL))
		conf_mistake(reader, at,
		    "a password without username is not in MQTT 3.1.1");
	if (bridge->client_id == NULL && bridge->name != NULL &&
	    asprintf(&bridge->client_id, "weir-%s", bridge->name) == -1) {
		bridge->client_id = NULL;
		reader->no_memory = true;
	}
}

/* Elements of a list by their names, which must differ. */
static void
check_names_differ(struct conf_reader *reader, config_setting_t *root,
    const char *list_name, const char *key)
{
	config_setting_t *list = config_setting_get_member(root, list_name);
	config_setting_t *a, *b;
	const char *name, *other;
	int count;

	if (list == NULL || !config_setting_is_list(list))
		return;
	count = config_setting_length(list);
	for (int i = 1; i < count; i++) {
		a = config_setting_get_elem(list, (unsigned)i);
		if (!config_setting_lookup_string(a, key, &name))
			continue;
		for (int j = 0; j < i; j++) {
			b = config_setting_get_elem(list, (unsigned)j);
			if (!config_setting_lookup_string(b, key, &other) ||
			    strcmp(name, other) != 0)
				continue;
			conf_mistake(reader, conf_at_key(a, key),
			    "%s: \"%s\" is given twice, first in line %u; each "
			    "%s must differ",
			    list_name, name,
			    (unsigned)config_setting_source_line(
				conf_at_key(b, key)),
			    key);
			break;
		}
	}
}

/*
 * Anonymous clients: a listener's own key counts; else the global key, which
 * opens loopback listeners alone and closes all.
 */
static void
resolve_anonymous(config_setting_t *root, struct conf *conf)
{
	config_setting_t *list = config_setting_get_member(root, "listeners");
	struct host_port address;

	conf->allow_anonymous_set = conf_is_given(root, "allow_anonymous");
	for (size_t i = 0; i < conf->listener_count; i++) {
		struct conf_listener *listener = &conf->listeners[i];

		if (conf_is_given(config_setting_get_elem(list, (unsigned)i),
			"allow_anonymous"))
			continue;
		listener->allow_anonymous = listener->bind != NULL &&
		    parse_host_port(listener->bind, &address) == 0 &&
		    parse_is_loopback(address.host) &&
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
	if (conf->http.max_body == 0)
		conf->http.max_body = 2 * conf->max_packet_size + 4096;
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
	check_names_differ(reader, root, "bridges", "name");
	check_names_differ(reader, root, "accounts", "name");
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
	case CONF_SECTION_ACCOUNT:
		check_account(reader, setting, target);
		break;
	case CONF_SECTION_LISTENER:
		check_listener(reader, setting, target);
		break;
	case CONF_SECTION_HTTP:
		check_http(reader, setting, target);
		break;
	case CONF_SECTION_RATE:
		check_rate(reader, setting, target);
		break;
	case CONF_SECTION_RING_HTTP:
	case CONF_SECTION_RING_BRIDGE:
		check_ring(reader, setting, target);
		break;
	case CONF_SECTION_BRIDGE:
		check_bridge(reader, setting, target);
		break;
	case CONF_SECTION_RULE:
		check_rule(reader, setting, target);
		break;
	case CONF_SECTION_JOURNAL: /* by conf_check_journal() */
	case CONF_SECTIONS:
	default:
		break;
	}
}
