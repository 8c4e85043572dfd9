/* SPDX-License-Identifier: Apache-2.0 */

/* weir-bridged - carries messages between weir-broker and one remote. */

#include <stdio.h>

#include "bridged/bridge.h"
#include "bridged/probe.h"
#include "common/base/exit.h"
#include "common/service/service.h"

/* NAME must be a bridge of the configuration. */
static int
check(void *arg, const struct conf *conf, char **operands)
{
	(void)arg;
	if (conf_bridge(conf, operands[0]) != NULL)
		return EXIT_OK;
	fprintf(
	    stderr, "%s: there is no bridge \"%s\"; ", conf->path, operands[0]);
	if (conf->bridge_count == 0)
		fputs(
		    "there are none, see \"bridges\" in weir.conf(5)", stderr);
	else
		fputs("configured:", stderr);
	for (size_t i = 0; i < conf->bridge_count; i++)
		fprintf(
		    stderr, "%s %s", i == 0 ? "" : ",", conf->bridges[i].name);
	fputc('\n', stderr);
	return EXIT_CONFIG;
}

struct program {
	bool probe;
	const char *topic;
	struct service *service;
	struct bridge *bridge; /* NULL: probing */
};

static void
drain(void *arg)
{
	struct program *program = arg;

	if (program->bridge != NULL)
		bridge_drain(program->bridge);
}

static void
reload(void *arg, const struct conf *conf)
{
	struct program *program = arg;

	if (program->bridge != NULL)
		bridge_reload(program->bridge, conf);
}

static const struct option_row rows[] = {
	{ 0, "probe", NULL,
	    "try the remote step by step, as another client, and exit",
	    OPTION_FLAG, offsetof(struct program, probe), NULL },
	{ 0, "topic", "TOPIC",
	    "with --probe: publish there, not to weir/test/NAME", OPTION_STRING,
	    offsetof(struct program, topic), NULL },
};

static int
carry(struct program *program, const struct conf_bridge *conf)
{
	int code;

	program->bridge = bridge_new(program->service, conf);
	if (program->bridge == NULL)
		return EXIT_FAILED;
	service_ready(program->service, "waiting for weir-broker");
	code = service_run(program->service);
	bridge_free(program->bridge);
	return code;
}

int
main(int argc, char **argv)
{
	struct program program = { .probe = false };
	const struct service_spec spec = {
		.program = "weir-bridged",
		.synopsis = "[-tv] [-c FILE] NAME",
		.summary =
		    "Carries messages between weir-broker and the remote NAME.",
		.rows = rows,
		.row_count = ARRAY_LENGTH(rows),
		.target = &program,
		.operands = 1,
		.check = check,
		.drain = drain,
		.reload = reload,
	};
	const struct conf_bridge *conf;
	int code;

	code = service_start(&spec, &argc, argv, &program.service);
	if (program.service == NULL)
		return code;
	conf = conf_bridge(service_conf(program.service),
	    service_operands(program.service)[0]);
	code = program.probe ? probe_run(program.service, conf, program.topic)
			     : carry(&program, conf);
	return service_end(program.service, code);
}
