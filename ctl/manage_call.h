/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage_call - a verb that is a question to the broker (common/msg/ask.h).
 *
 *	static const struct manage_verb verb = { &cmd_kick_options, ... };
 *
 *	return manage_call_run(&verb, ctl, argc, argv);
 *
 * The options that all of them have (-c, -j) and those of lists (-l, -p) are
 * rows to be put into the verb's own table by the macros below.
 */

#ifndef WEIR_CTL_MANAGE_CALL_H
#define WEIR_CTL_MANAGE_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/ctl.h"

struct manage_settings {
	const char *conf_path;
	bool json;
	const char *user; /* clients */
	bool all;         /* dead */
	uint64_t limit;   /* 0: not given */
	uint64_t page;
};

#define MANAGE_CALL_CONFIG                                                     \
	{                                                                      \
		'c', "config", "FILE", "read FILE instead of the default",     \
		    OPTION_STRING,                                             \
		    offsetof(struct manage_settings, conf_path), NULL          \
	}
#define MANAGE_CALL_JSON                                                       \
	{                                                                      \
		'j', "json", NULL, "print the broker's answer as JSON",        \
		    OPTION_FLAG, offsetof(struct manage_settings, json), NULL  \
	}
#define MANAGE_CALL_LIMIT                                                      \
	{                                                                      \
		'l', "limit", "N",                                             \
		    "at most so many, up to 10000; 100 if not given",          \
		    OPTION_U64, offsetof(struct manage_settings, limit), NULL  \
	}
#define MANAGE_CALL_PAGE                                                       \
	{                                                                      \
		'p', "page", "N", "the Nth so many, from 1", OPTION_U64,       \
		    offsetof(struct manage_settings, page), NULL               \
	}

struct manage_verb {
	const struct options *options;
	int operands, max_operands; /* how many at least, and at most */

	/*
	 * The question; operands[0] on are those given, then NULL.  NULL after
	 * it has said on stderr what is wrong with them: a usage error.
	 */
	json_t *(*question)(
	    const struct manage_settings *settings, char **operands);

	/* The answer as text on stdout. */
	void (*print)(const json_t *answer);
};

/* Returns an exit code; what is wrong has been said on stderr. */
int manage_call_run(const struct manage_verb *verb, const struct ctl *ctl,
    int argc, char **argv);

/* ---- for print() -------------------------------------------------------- */

struct manage_column {
	const char *heading; /* NULL ends the list */
	const char *key;     /* in each entry */
	bool is_right;
};

/* A table of the entries that answer[key] has, and what is on other pages. */
void manage_call_table(
    const json_t *answer, const char *key, const struct manage_column *columns);

#endif
