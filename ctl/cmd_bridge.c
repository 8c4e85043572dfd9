/* SPDX-License-Identifier: Apache-2.0 */

/* bridges, bridge, reload: what runs is shown and changed. */

#include <stdio.h>
#include <string.h>

#include "ctl/bridge_test.h"
#include "ctl/ctl.h"
#include "ctl/manage_call.h"

static const struct option_row rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
};

/* ---- bridges ------------------------------------------------------------ */

const struct options cmd_bridges_options = {
	.program = "weirctl bridges",
	.synopsis = "[-j] [-c FILE] [NAME]",
	.summary = "Show the bridges: where they lead, whether they are "
		   "connected, and what became of\nthe messages for them.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static json_t *
ask_bridges(const struct manage_settings *settings, char **operands)
{
	(void)settings;
	return json_pack("{s:s, s:s*}", "ask", "bridges", "name", operands[0]);
}

static void
print_bridges(const json_t *answer)
{
	static const struct manage_column columns[] = {
		{ "BRIDGE", "name", false },
		{ "STATE", "state", false },
		{ "UP", "connected", false },
		{ "REMOTE", "url", false },
		{ "ACCEPTED", "accepted", true },
		{ "DELIVERED", "delivered", true },
		{ "QUEUED", "queued", true },
		{ "DROPPED", "dropped", true },
		{ "DEAD", "dead", true },
		{ "REFUSED", "refused", true },
		{ NULL, NULL, false },
	};

	manage_call_table(answer, "bridges", columns);
}

int
cmd_bridges(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_bridges_options,
		.max_operands = 1,
		.question = ask_bridges,
		.print = print_bridges,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}

/* ---- bridge ------------------------------------------------------------- */

const struct options cmd_bridge_options = {
	.program = "weirctl bridge",
	.synopsis = "[-j] [-c FILE] WORD NAME",
	.summary = "Change one bridge.",
	.epilogue =
	    "\nWords:\n"
	    "  disable NAME  leave its remote and stay away; messages wait\n"
	    "  enable NAME   connect again\n"
	    "  test NAME     try its remote step by step: see weirctl bridge "
	    "test --help\n",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static json_t *
ask_bridge(const struct manage_settings *settings, char **operands)
{
	const bool enable = strcmp(operands[0], "enable") == 0;

	(void)settings;
	if (!enable && strcmp(operands[0], "disable") != 0) {
		options_usage_error(&cmd_bridge_options,
		    "there is no \"bridge %s\"", operands[0]);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:b}", "ask", "bridge_enable", "name",
	    operands[1], "enable", (int)enable);
}

static void
print_bridge(const json_t *answer)
{
	printf("%s is %s\n", json_string_value(json_object_get(answer, "name")),
	    json_is_true(json_object_get(answer, "enabled"))
		? "enabled"
		: "disabled: what is for it waits, also over restarts");
}

int
cmd_bridge(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_bridge_options,
		.operands = 2,
		.max_operands = 2,
		.question = ask_bridge,
		.print = print_bridge,
	};

	if (bridge_test_is_meant(argc, argv))
		return bridge_test_run(ctl, argc, argv);
	return manage_call_run(&verb, ctl, argc, argv);
}

/* ---- reload ------------------------------------------------------------- */

const struct options cmd_reload_options = {
	.program = "weirctl reload",
	.synopsis = "[-j] [-c FILE]",
	.summary = "Have all programs read the configuration again; with a "
		   "mistake in it nothing changes.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static json_t *
ask_reload(const struct manage_settings *settings, char **operands)
{
	(void)settings;
	(void)operands;
	return json_pack("{s:s}", "ask", "reload");
}

static void
print_reload(const json_t *answer)
{
	const json_t *keys = json_object_get(answer, "restart");

	printf("reloaded\n");
	for (size_t i = 0; i < json_array_size(keys); i++)
		printf("needs a restart: %s\n",
		    json_string_value(json_array_get(keys, i)));
}

int
cmd_reload(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_reload_options,
		.question = ask_reload,
		.print = print_reload,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}
