/* SPDX-License-Identifier: Apache-2.0 */

/* dead: what remotes refused for good; sent again, or dropped. */

#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/escape.h"
#include "ctl/manage_call.h"

static const struct option_row rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
	MANAGE_CALL_LIMIT,
	MANAGE_CALL_PAGE,
	{ 'a', "all", NULL, "retry or drop all of them", OPTION_FLAG,
	    offsetof(struct manage_settings, all), NULL },
};

const struct options cmd_dead_options = {
	.program = "weirctl dead",
	.synopsis = "[-j] [-c FILE] WORD [BRIDGE] [ID]",
	.summary = "Show the messages that a bridge's remote refused for good, "
		   "with the reason;\nsend them again, or drop them.",
	.epilogue =
	    "\nWords:\n"
	    "  list [BRIDGE]          those of all bridges, or of one, the "
	    "oldest first\n"
	    "  show BRIDGE ID         one of them with its payload\n"
	    "  retry BRIDGE ID|--all  put it at the end of the bridge's queue\n"
	    "  drop BRIDGE ID|--all   it is gone for good\n",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* ---- the question -------------------------------------------------------- */

static json_t *
ask_one(const char *ask, char **operands)
{
	if (operands[1] == NULL || operands[2] == NULL) {
		options_usage_error(&cmd_dead_options,
		    "\"dead %s\" needs a BRIDGE and an ID", operands[0]);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s}", "ask", ask, "name", operands[1],
	    "id", operands[2]);
}

static json_t *
ask_some(
    const struct manage_settings *settings, const char *ask, char **operands)
{
	if (!settings->all)
		return ask_one(ask, operands);
	if (operands[1] == NULL || operands[2] != NULL) {
		options_usage_error(&cmd_dead_options,
		    "\"dead %s --all\" needs a BRIDGE and no ID", operands[0]);
		return NULL;
	}
	return json_pack(
	    "{s:s, s:s, s:b}", "ask", ask, "name", operands[1], "all", 1);
}

static json_t *
ask_dead(const struct manage_settings *settings, char **operands)
{
	if (strcmp(operands[0], "show") == 0)
		return ask_one("dead_show", operands);
	if (strcmp(operands[0], "retry") == 0)
		return ask_some(settings, "dead_retry", operands);
	if (strcmp(operands[0], "drop") == 0)
		return ask_some(settings, "dead_drop", operands);
	if (strcmp(operands[0], "list") == 0 &&
	    (operands[1] == NULL || operands[2] == NULL))
		return json_pack(
		    "{s:s, s:s*}", "ask", "dead", "name", operands[1]);
	options_usage_error(&cmd_dead_options,
	    "there is no \"dead %s\" with these operands", operands[0]);
	return NULL;
}

/* ---- the answer ---------------------------------------------------------- */

static void
print_list(const json_t *answer)
{
	static const struct manage_column columns[] = {
		{ "BRIDGE", "bridge", false },
		{ "ID", "id", true },
		{ "AT", "time", false },
		{ "TOPIC", "topic", false },
		{ "QOS", "qos", true },
		{ "BYTES", "bytes", true },
		{ "TRIES", "attempts", true },
		{ "REASON", "reason", false },
		{ NULL, NULL, false },
	};

	manage_call_table(answer, "dead", columns);
}

/* Bytes of a payload that are shown; all of it is in the JSON. */
#define SHOWN 4096u

static void
print_text(const json_t *answer, const char *key)
{
	const json_t *value = json_object_get(answer, key);
	char text[ESCAPE_SIZE(SHOWN)];

	if (value == NULL)
		return;
	printf("%s: %s\n", key,
	    escape_bytes(
		slice_of(json_string_value(value), json_string_length(value)),
		SHOWN, text));
}

static void
print_letter(const json_t *answer)
{
	static const char *const keys[] = { "bridge", "time", "reason", "topic",
		"encoding", "payload" };

	printf("id: %lld\nattempts: %lld\nqos: %lld\nretain: %s\nbytes: %lld\n",
	    (long long)json_integer_value(json_object_get(answer, "id")),
	    (long long)json_integer_value(json_object_get(answer, "attempts")),
	    (long long)json_integer_value(json_object_get(answer, "qos")),
	    json_is_true(json_object_get(answer, "retain")) ? "yes" : "no",
	    (long long)json_integer_value(json_object_get(answer, "bytes")));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		print_text(answer, keys[i]);
}

static void
print_count(const json_t *answer, const char *key)
{
	printf("%s: %s %lld, %lld left\n",
	    json_string_value(json_object_get(answer, "name")), key,
	    (long long)json_integer_value(json_object_get(answer, key)),
	    (long long)json_integer_value(json_object_get(answer, "left")));
}

static void
print_dead(const json_t *answer)
{
	if (json_object_get(answer, "dead") != NULL)
		print_list(answer);
	else if (json_object_get(answer, "retried") != NULL)
		print_count(answer, "retried");
	else if (json_object_get(answer, "dropped") != NULL)
		print_count(answer, "dropped");
	else
		print_letter(answer);
}

int
cmd_dead(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_dead_options,
		.operands = 1,
		.max_operands = 3,
		.question = ask_dead,
		.print = print_dead,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}
