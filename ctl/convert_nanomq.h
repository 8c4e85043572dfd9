/* SPDX-License-Identifier: Apache-2.0 */

/* What the two files that read a nanomq.conf share. */

#ifndef WEIR_CTL_CONVERT_NANOMQ_H
#define WEIR_CTL_CONVERT_NANOMQ_H

#include "ctl/convert_private.h"

#define NANOMQ_BRIDGES_MAX 63u
#define NANOMQ_TEXT_SIZE 512u

struct nanomq_rule {
	size_t bridge;
	bool is_forward;
	unsigned number; /* of the list in the file */
	unsigned line;
	char local[NANOMQ_TEXT_SIZE], remote[NANOMQ_TEXT_SIZE];
	char qos[4], retain[4];
	const char *file;
};

struct nanomq_bridge {
	char name[64]; /* as it is called there */
	struct convert_group group;
};

struct nanomq_reader {
	struct convert *convert;
	struct convert_group whole, http, account;
	struct nanomq_bridge bridges[NANOMQ_BRIDGES_MAX];
	size_t bridge_count;
	struct nanomq_rule *rules;
	size_t rule_count, rule_room;
	bool has_listener;
	int anonymous; /* -1: not said */
};

/* A value of a bridge; `rest` is what follows its name in the key. */
void nanomq_bridge_value(struct nanomq_reader *reader,
    const struct convert_at *at, const char *name, const char *rest);

/* All values have come. */
void nanomq_end_bridges(struct nanomq_reader *reader, const char *path);

#endif
