/* SPDX-License-Identifier: Apache-2.0 */

/*
 * weirctl - look at a Weir installation and steer it.
 *
 * weirctl [-c FILE] VERB [OPTIONS]; -c may also follow the verb.
 */

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/service/service.h"
#include "ctl/ctl.h"

const struct ctl_verb ctl_verbs[] = {
	{ "rings", "show every ring, also of dead processes", cmd_rings,
	    &cmd_rings_options },
	{ "top", "watch the rings, their rates and their last minute", cmd_top,
	    &cmd_top_options },
	{ "why", "say what holds up a bridge or a ring, and what to do",
	    cmd_why, &cmd_why_options },
	{ "dump", "show the records in a ring, also of dead processes",
	    cmd_dump, &cmd_dump_options },
	{ "replay", "publish dumped messages again", cmd_replay,
	    &cmd_replay_options },
	{ "trace", "show where messages spend their time", cmd_trace,
	    &cmd_trace_options },
	{ "status", "show the broker, its bridges and their memory", cmd_status,
	    &cmd_status_options },
	{ "clients", "show clients and sessions", cmd_clients,
	    &cmd_clients_options },
	{ "subscriptions", "show subscriptions", cmd_subscriptions,
	    &cmd_subscriptions_options },
	{ "topics", "show the tree of filters that are subscribed to",
	    cmd_topics, &cmd_topics_options },
	{ "kick", "disconnect a client", cmd_kick, &cmd_kick_options },
	{ "bridges", "show bridges and what became of their messages",
	    cmd_bridges, &cmd_bridges_options },
	{ "dead", "show what remotes refused; send it again or drop it",
	    cmd_dead, &cmd_dead_options },
	{ "bridge", "disable, enable or test a bridge", cmd_bridge,
	    &cmd_bridge_options },
	{ "reload", "have all programs read the configuration again",
	    cmd_reload, &cmd_reload_options },
	{ "passwd", "make and change the accounts of an accounts_file",
	    cmd_passwd, &cmd_passwd_options },
	{ "store", "look at the journal, copy it, keep it", cmd_store,
	    &cmd_store_options },
	{ "doctor", "measure the disk and check what commonly goes wrong",
	    cmd_doctor, &cmd_doctor_options },
	{ "convert", "make a weir.conf from another broker's configuration",
	    cmd_convert, &cmd_convert_options },
	{ "run", "start all programs in the foreground and keep them running",
	    cmd_run, &cmd_run_options },
	{ "pub", "publish by MQTT", cmd_pub, &cmd_pub_options },
	{ "sub", "subscribe by MQTT and print what comes", cmd_sub,
	    &cmd_sub_options },
	{ NULL, NULL, NULL, NULL },
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct ctl, conf_path), NULL },
};

/* The verbs as --help lists them. */
static const char *
list_verbs(char *text, size_t size)
{
	const struct ctl_verb *verb;
	size_t used;

	used = (size_t)snprintf(text, size, "\nVerbs:\n");
	for (verb = ctl_verbs; verb->name != NULL && used < size; verb++)
		used += (size_t)snprintf(text + used, size - used,
		    "  %-13s  %s\n", verb->name, verb->summary);
	if (used < size)
		snprintf(text + used, size - used,
		    "\n`weirctl VERB --help` explains each.\n");
	return text;
}

int
ctl_load(const struct ctl *ctl, const char *path, struct conf **out_conf)
{
	if (path == NULL)
		path = ctl->conf_path;
	if (path == NULL && access(SERVICE_DEFAULT_CONF, F_OK) == -1) {
		*out_conf = NULL;
		return EXIT_OK;
	}
	if (path == NULL)
		path = SERVICE_DEFAULT_CONF;
	return conf_load(path, out_conf, stderr) == 0 ? EXIT_OK : EXIT_CONFIG;
}

int
ctl_need(const struct ctl *ctl, const char *path, struct conf **out_conf)
{
	int code;

	code = ctl_load(ctl, path, out_conf);
	if (code == EXIT_OK && *out_conf == NULL) {
		fprintf(stderr,
		    "weirctl: no configuration: %s does not exist, "
		    "name one with -c FILE\n",
		    SERVICE_DEFAULT_CONF);
		return EXIT_CONFIG;
	}
	return code;
}

/* A terminal or a pipe without a locale still gets UTF-8. */
static void
choose_locale(void)
{
	if (setlocale(LC_ALL, "") == NULL || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	setlocale(LC_NUMERIC, "C");
}

int
main(int argc, char **argv)
{
	char verbs[2048];
	const struct options options = {
		.program = "weirctl",
		.synopsis = "[-c FILE] VERB [OPTIONS]",
		.summary = "Look at a Weir installation and steer it.",
		.epilogue = list_verbs(verbs, sizeof(verbs)),
		.rows = rows,
		.count = ARRAY_LENGTH(rows),
		.stop_at_operand = true,
	};
	const struct ctl_verb *verb;
	struct ctl ctl = { NULL };
	int code;

	choose_locale();
	log_init("weirctl");
	code = options_parse(&options, &ctl, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc < 2)
		return options_usage_error(&options, "a verb is missing");

	for (verb = ctl_verbs; verb->name != NULL; verb++) {
		if (strcmp(verb->name, argv[1]) == 0)
			return verb->run(&ctl, argc - 1, argv + 1);
	}
	return options_usage_error(
	    &options, "there is no verb \"%s\"", argv[1]);
}
