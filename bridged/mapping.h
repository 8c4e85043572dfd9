/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mapping - a bridge's rules: which topics, under which name, at which QoS.
 *
 * A rule's filter is written without prefixes.  Local topics match
 * local_prefix + filter, remote ones remote_prefix + filter, and on the way
 * through the bridge one prefix is exchanged for the other:
 *
 *	forward { filter "oven/#", local_prefix "plant/",
 *	    remote_prefix "site7/" }	plant/oven/1 -> site7/oven/1
 *
 * Or the rule has a template (common/base/template.h) of the whole topic on
 * the other side:
 *
 *	forward { filter "+/oven/#", remote_topic "site7/{rest}/{1}" }
 *				bakery/oven/1/temp -> site7/1/temp/bakery
 *
 * The first rule that matches decides.  Its QoS is the one used on the
 * bridge, whatever the publisher's was.  Immutable once made.
 */

#ifndef WEIR_BRIDGED_MAPPING_H
#define WEIR_BRIDGED_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/conf/conf.h"

enum mapping_direction {
	MAPPING_FORWARD, /* local topic in, remote topic out */
	MAPPING_RECEIVE  /* remote topic in, local topic out */
};

struct mapping_rule {
	char *filter; /* of the side that messages come from, with its prefix */
	size_t strip; /* bytes taken off a topic that matches */
	char *prefix; /* put in front */
	char *template; /* of the topic, in the prefix's stead; or NULL */
	uint8_t qos;
	enum conf_retain retain;
	/* Of a receive rule: as in struct conf_rule. */
	bool no_local;
	bool retain_as_published;
	enum conf_retain_handling retain_handling;
};

struct mapping {
	struct mapping_rule *rules;
	size_t count;
};

/*
 * Rules are read in their order and copied.
 * Returns 0; -ENOMEM; or -EINVAL with the index of the first rule whose
 * filter and prefix together are no valid topic filter in *out_bad.
 */
int mapping_init(struct mapping *mapping, const struct conf_rule *rules,
    size_t count, enum mapping_direction direction, size_t *out_bad);

/* As above, of a bridge; a rule that is not right is logged. */
int mapping_of(struct mapping *mapping, const struct conf_bridge *conf,
    enum mapping_direction direction);

/* The same rules in the same order? */
bool mapping_is_same(const struct mapping *a, const struct mapping *b);

/* A zeroed mapping is accepted. */
void mapping_fini(struct mapping *mapping);

/* The first rule that matches, or NULL. */
const struct mapping_rule *mapping_find(
    const struct mapping *mapping, struct slice topic);

/*
 * What a topic that matches `rule` is called on the other side; written to
 * `buffer` when it differs.
 * Returns 0; -EMSGSIZE when it does not fit `size` or the 65,535 bytes of a
 * topic; -EINVAL when nothing is left of it.
 */
int mapping_topic(const struct mapping_rule *rule, struct slice topic,
    uint8_t *buffer, size_t size, struct slice *out_topic);

/* The retain flag of a message that passes the rule. */
static inline bool
mapping_retain(const struct mapping_rule *rule, bool retain)
{
	return rule->retain == CONF_RETAIN_KEEP
	    ? retain
	    : rule->retain == CONF_RETAIN_SET;
}

#endif
