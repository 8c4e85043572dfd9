/* SPDX-License-Identifier: Apache-2.0 */

/*
 * weir-httpd - messages in by HTTP: start-up, loop, end.
 */

#include <stdio.h>

#include "common/service/service.h"
#include "httpd/httpd.h"
#include "httpd/https.h"

static int
check_tls(const struct conf *conf)
{
	char error[TLS_ERROR_SIZE];

	if (https_check(&conf->http, error, sizeof(error)) == 0)
		return EXIT_OK;
	fprintf(stderr, "%s:%u: http.tls: %s\n", conf->path,
	    conf->http.tls.line, error);
	return EXIT_CONFIG;
}

static int
check(void *arg, const struct conf *conf, char **operands)
{
	(void)arg;
	(void)operands;
	if (conf->http.enabled)
		return check_tls(conf);
	fprintf(stderr,
	    "%s: there is no http group, so weir-httpd has nothing to do; "
	    "add http = { bind = \"127.0.0.1:8081\"; };\n",
	    conf->path);
	return EXIT_CONFIG;
}

int
main(int argc, char **argv)
{
	static const struct service_spec spec = {
		.program = "weir-httpd",
		.synopsis = "[-tv] [-c FILE]",
		.summary =
		    "Take messages by HTTP and hand them to weir-broker.",
		.check = check,
		.drain = httpd_drain,
		.reload = httpd_reload,
	};
	struct service *service;
	struct httpd httpd;
	int code;

	code = service_start(&spec, &argc, argv, &service);
	if (service == NULL)
		return code;
	service_set_arg(service, &httpd);
	code = httpd_init(&httpd, service);
	if (code == EXIT_OK) {
		service_ready(service, httpd_address(&httpd));
		code = service_run(service);
	}
	httpd_fini(&httpd);
	return service_end(service, code);
}
