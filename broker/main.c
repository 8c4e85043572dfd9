/* SPDX-License-Identifier: Apache-2.0 */

/*
 * weir-broker - start-up and end of the process that speaks MQTT.
 */

#include <stdio.h>

#include "broker/broker.h"
#include "broker/listener_tls.h"
#include "common/service/service.h"

static void
drain(void *arg)
{
	broker_drain(arg);
}

static void
reload(void *arg, const struct conf *conf)
{
	broker_reload(arg, conf);
}

static int
check(void *arg, const struct conf *conf, char **operands)
{
	char error[TLS_ERROR_SIZE];
	size_t i;

	(void)arg;
	(void)operands;
	if (listener_tls_check(conf, error, sizeof(error), &i) == 0)
		return EXIT_OK;
	fprintf(stderr, "%s:%u: listeners.tls of %s: %s\n", conf->path,
	    conf->listeners[i].tls.line, conf->listeners[i].bind, error);
	return EXIT_CONFIG;
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.program = "weir-broker",
		.synopsis = "[-tv] [-c FILE]",
		.summary = "MQTT broker that meets weir-httpd and "
			   "weir-bridged in shared-memory rings.",
		.check = check,
		.drain = drain,
		.reload = reload,
	};
	struct broker *broker = NULL;
	struct service *service;
	char status[64];
	int code;

	code = service_start(&spec, &argc, argv, &service);
	if (service == NULL)
		return code;
	code = broker_new(service, &broker);
	if (code != EXIT_OK)
		return service_end(service, code);
	service_set_arg(service, broker);
	snprintf(status, sizeof(status), "%zu listeners, %u workers",
	    service_conf(service)->listener_count, broker->worker_count);
	service_ready(service, status);
	code = service_run(service);
	broker_free(broker);
	return service_end(service, code);
}
