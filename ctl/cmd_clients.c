/* SPDX-License-Identifier: Apache-2.0 */

/* clients, subscriptions, topics, kick: who is there, and what they want. */

#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/escape.h"
#include "ctl/manage_call.h"

/* ---- clients ------------------------------------------------------------ */

static const struct option_row clients_rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
	MANAGE_CALL_LIMIT,
	MANAGE_CALL_PAGE,
	{ 'u', "user", "NAME", "only those of the account NAME", OPTION_STRING,
	    offsetof(struct manage_settings, user), NULL },
};

const struct options cmd_clients_options = {
	.program = "weirctl clients",
	.synopsis = "[-j] [-c FILE] [-u NAME] [-l N] [-p N] [ID]",
	.summary = "Show the clients that are connected, and sessions that "
		   "wait for theirs.",
	.rows = clients_rows,
	.count = ARRAY_LENGTH(clients_rows),
};

static json_t *
ask_clients(const struct manage_settings *settings, char **operands)
{
	return json_pack("{s:s, s:s*, s:s*}", "ask", "clients", "client_id",
	    operands[0], "username", settings->user);
}

static void
print_clients(const json_t *answer)
{
	static const struct manage_column columns[] = {
		{ "CLIENT", "client_id", false },
		{ "USER", "username", false },
		{ "UP", "connected", false },
		{ "ADDRESS", "address", false },
		{ "V", "protocol", true },
		{ "SUBS", "subscriptions", true },
		{ "QUEUED", "queued", true },
		{ "FLIGHT", "in_flight", true },
		{ "IN", "messages_in", true },
		{ "OUT", "messages_out", true },
		{ NULL, NULL, false },
	};

	manage_call_table(answer, "clients", columns);
}

int
cmd_clients(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_clients_options,
		.max_operands = 1,
		.question = ask_clients,
		.print = print_clients,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}

/* ---- subscriptions ------------------------------------------------------ */

static const struct option_row list_rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
	MANAGE_CALL_LIMIT,
	MANAGE_CALL_PAGE,
};

const struct options cmd_subscriptions_options = {
	.program = "weirctl subscriptions",
	.synopsis = "[-j] [-c FILE] [-l N] [-p N] [ID]",
	.summary = "Show subscriptions: all, or those of the client ID.",
	.rows = list_rows,
	.count = ARRAY_LENGTH(list_rows),
};

static json_t *
ask_subscriptions(const struct manage_settings *settings, char **operands)
{
	(void)settings;
	return json_pack(
	    "{s:s, s:s*}", "ask", "subscriptions", "client_id", operands[0]);
}

static void
print_subscriptions(const json_t *answer)
{
	static const struct manage_column columns[] = {
		{ "CLIENT", "client_id", false },
		{ "FILTER", "filter", false },
		{ "QOS", "qos", true },
		{ "NO LOCAL", "no_local", false },
		{ "RETAIN AS PUBLISHED", "retain_as_published", false },
		{ "ID", "subscription_id", true },
		{ NULL, NULL, false },
	};

	manage_call_table(answer, "subscriptions", columns);
}

int
cmd_subscriptions(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_subscriptions_options,
		.max_operands = 1,
		.question = ask_subscriptions,
		.print = print_subscriptions,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}

/* ---- topics ------------------------------------------------------------- */

static const struct option_row topics_rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
	{ 'l', "limit", "N", "at most so many levels, up to 10000", OPTION_U64,
	    offsetof(struct manage_settings, limit), NULL },
};

const struct options cmd_topics_options = {
	.program = "weirctl topics",
	.synopsis = "[-j] [-c FILE] [-l N]",
	.summary = "Show the tree of filters that are subscribed to, and how "
		   "often each is.",
	.rows = topics_rows,
	.count = ARRAY_LENGTH(topics_rows),
};

static json_t *
ask_topics(const struct manage_settings *settings, char **operands)
{
	(void)settings;
	(void)operands;
	return json_pack("{s:s}", "ask", "topic_tree");
}

#define LEVEL_BYTES 200u

/* A filter has at most 200 levels, and so has the tree. */
static void
print_levels(const json_t *levels, unsigned depth)
{
	const char *name;
	const json_t *level;
	json_int_t count;
	char text[ESCAPE_SIZE(LEVEL_BYTES)];

	json_object_foreach((json_t *)(uintptr_t)levels, name, level)
	{
		count =
		    json_integer_value(json_object_get(level, "subscriptions"));
		escape_bytes(slice_of_string(name), LEVEL_BYTES, text);
		printf("%*s%s", (int)(2 * depth), "",
		    text[0] == '\0' ? "(empty)" : text);
		if (count != 0)
			printf("  %" JSON_INTEGER_FORMAT, count);
		putchar('\n');
		print_levels(json_object_get(level, "levels"), depth + 1);
	}
}

static void
print_topics(const json_t *answer)
{
	print_levels(json_object_get(answer, "tree"), 0);
	if (json_is_true(json_object_get(answer, "truncated")))
		printf("There is more: this is cut at %" JSON_INTEGER_FORMAT
		       " levels, see --limit.\n",
		    json_integer_value(json_object_get(answer, "levels")));
}

int
cmd_topics(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_topics_options,
		.question = ask_topics,
		.print = print_topics,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}

/* ---- kick --------------------------------------------------------------- */

static const struct option_row kick_rows[] = {
	MANAGE_CALL_CONFIG,
	MANAGE_CALL_JSON,
};

const struct options cmd_kick_options = {
	.program = "weirctl kick",
	.synopsis = "[-j] [-c FILE] ID",
	.summary = "Disconnect the client ID; its session stays as long as it "
		   "asked for.",
	.rows = kick_rows,
	.count = ARRAY_LENGTH(kick_rows),
};

static json_t *
ask_kick(const struct manage_settings *settings, char **operands)
{
	(void)settings;
	return json_pack("{s:s, s:s}", "ask", "kick", "client_id", operands[0]);
}

static void
print_kick(const json_t *answer)
{
	printf("disconnected; its session %s\n",
	    json_is_true(json_object_get(answer, "session_kept"))
		? "waits for it"
		: "has ended");
}

int
cmd_kick(const struct ctl *ctl, int argc, char **argv)
{
	static const struct manage_verb verb = {
		.options = &cmd_kick_options,
		.operands = 1,
		.max_operands = 1,
		.question = ask_kick,
		.print = print_kick,
	};

	return manage_call_run(&verb, ctl, argc, argv);
}
