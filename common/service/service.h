/* SPDX-License-Identifier: Apache-2.0 */

/*
 * service - everything that the start of a daemon has in common.
 *
 *	code = service_start(&spec, &argc, argv, &service);
 *	if (service == NULL)
 *		return code;
 *	broker = broker_new(service);
 *	if (broker == NULL)
 *		return service_end(service, EXIT_OSERR);
 *	service_ready(service, "3 listeners");
 *	code = service_run(service);
 *	broker_free(broker);
 *	return service_end(service, code);
 *
 * service_start() reads the options that all daemons have (-c FILE, -t, -v,
 * --help, --version) and the program's own, loads the configuration, starts
 * the log, raises the limit on descriptors, ignores SIGPIPE and makes the
 * loop with its signals: SIGTERM and SIGINT drain, SIGHUP reloads.
 *
 * All of it is for the main thread.
 */

#ifndef WEIR_COMMON_SERVICE_SERVICE_H
#define WEIR_COMMON_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/exit.h"
#include "common/base/options.h"
#include "common/conf/conf.h"
#include "common/net/loop.h"

/* After the drain callback a program has this long before it is stopped. */
#define SERVICE_DRAIN_NS (5 * UINT64_C(1000000000))

#define SERVICE_DEFAULT_CONF "/etc/weir/weir.conf"

struct service;

struct service_spec {
	const char *program;  /* "weir-broker" */
	const char *synopsis; /* "[-tv] [-c FILE]" */
	const char *summary;
	const struct option_row *rows; /* the program's own options, or NULL */
	size_t row_count;
	void *target; /* of `rows`, and the callbacks' argument by default */
	unsigned operands; /* how many are required, no more are accepted */

	/*
	 * More checks of the configuration, also with -t.  Returns 0, or an
	 * exit code after it has said what is wrong on stderr.  May be NULL.
	 */
	int (*check)(void *arg, const struct conf *conf, char **operands);

	/*
	 * SIGTERM or SIGINT: stop taking in, finish, then service_stop().
	 * NULL: stop at once.  A second signal, or SERVICE_DRAIN_NS later,
	 * stops regardless.
	 */
	void (*drain)(void *arg);

	/*
	 * SIGHUP: `conf` was read and is right; it is lent until the next
	 * reload, the one before it until this returns; the one of the start
	 * stays.  A configuration with mistakes is logged and never gets here.
	 * May be NULL.
	 */
	void (*reload)(void *arg, const struct conf *conf);

	bool may_exec; /* the sandbox lets it start programs */
};

/*
 * Returns EXIT_OK with *out_service set; else NULL there, and what main()
 * returns: EXIT_OK after --help, --version and -t, EXIT_USAGE, EXIT_CONFIG.
 */
int service_start(const struct service_spec *spec, int *argc, char **argv,
    struct service **out_service);

/* The callbacks' argument, when it exists only after service_start(). */
void service_set_arg(struct service *service, void *arg);

struct loop *service_loop(struct service *service);

/*
 * The newest configuration that was right: during the start the one that
 * stays for good, later one that is lent until the next reload.
 */
const struct conf *service_conf(const struct service *service);

/* The operands, as many as the spec requires. */
char **service_operands(struct service *service);

/*
 * Everything is bound and attached: enter the sandbox, tell systemd READY and
 * start its watchdog.  `status` is one line for systemctl status.  Threads
 * are best made before: the sandbox then covers them too.
 */
void service_ready(struct service *service, const char *status);

/* A new line for systemctl status. */
void service_status(struct service *service, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * While the start takes long: a line for systemctl status, and `more_ns` more
 * until systemd gives it up.
 */
void service_starting(struct service *service, uint64_t more_ns,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Turn until service_stop() or a signal's drain is over; an exit code. */
int service_run(struct service *service);

/* service_run() returns `code`. */
void service_stop(struct service *service, int code);

/*
 * What just happened may follow from a configuration that is newer than ours:
 * reload it as at SIGHUP, unless it was read a moment ago and its file is
 * still the same.
 */
void service_refresh(struct service *service);

/*
 * Reload now.  Returns 0; or -EINVAL, or -errno if the file cannot be read,
 * with the old configuration in use and what is wrong, a line each, in
 * *out_mistakes, to be freed (NULL without memory).
 */
int service_reload(struct service *service, char **out_mistakes);

/*
 * The configuration in use now stays, whatever others come, until this is
 * called again: for who keeps what it points to, and does not take each.
 */
void service_hold(struct service *service);

/* SIGTERM or SIGINT came. */
bool service_is_draining(const struct service *service);

/* Free everything; `service` may be NULL.  Returns `code`. */
int service_end(struct service *service, int code);

#endif
