/* SPDX-License-Identifier: Apache-2.0 */

/* weir-bridged - carries messages between weir-broker and one remote. */

#include <stdio.h>

#include "bridged/bridge.h"
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

static void
drain(void *arg)
{
	bridge_drain(arg);
}

static void
reload(void *arg, const struct conf *conf)
{
	bridge_reload(arg, conf);
}

static const struct service_spec spec = {
	.program = "weir-bridged",
	.synopsis = "[-tv] [-c FILE] NAME",
	.summary = "Carries messages between weir-broker and the remote NAME.",
	.operands = 1,
	.check = check,
	.drain = drain,
	.reload = reload,
};

int
main(int argc, char **argv)
{
	struct service *service;
	struct bridge *bridge;
	int code;

	code = service_start(&spec, &argc, argv, &service);
	if (service == NULL)
		return code;
	bridge = bridge_new(service,
	    conf_bridge(service_conf(service), service_operands(service)[0]));
	if (bridge == NULL)
		return service_end(service, EXIT_FAILED);
	service_set_arg(service, bridge);
	service_ready(service, "waiting for weir-broker");
	code = service_run(service);
	bridge_free(bridge);
	return service_end(service, code);
}
