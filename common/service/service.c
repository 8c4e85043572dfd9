/* SPDX-License-Identifier: Apache-2.0 */

#include "common/service/service.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/loop_signals.h"
#include "common/service/sandbox.h"

/* A refresh that finds the same file reads it no more often than this. */
#define REFRESH_NS (100 * CLOCK_MS_NS)

/* Bytes; see give_memory_back(). */
#define LARGE_BUFFER (256 << 10)
#define FREE_AT_END (1 << 20)

struct settings {
	const char *conf_path;
	bool test;
	bool verbose;
};

struct service {
	struct service_spec spec;
	void *arg;
	struct settings settings;
	struct conf *conf, *first_conf; /* the first one stays for good */
	struct conf *held;              /* by service_hold(), or NULL */
	struct conf *former;            /* inside reload(), or NULL */
	struct stat read_stat;          /* of its file when it was read */
	uint64_t read_ns;
	char **operands;
	struct loop *loop;
	struct loop_signals signals;
	struct loop_timer drain_deadline;
	struct loop_timer watchdog;
	uint64_t watchdog_ns; /* between two signs of life; 0: none */
	int code;
	bool draining;
	bool stopped;
};

static const struct option_row standard_rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of " SERVICE_DEFAULT_CONF,
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
	{ 't', "test", NULL, "check the configuration and exit", OPTION_FLAG,
	    offsetof(struct settings, test), NULL },
	{ 'v', "verbose", NULL, "log debug lines too", OPTION_FLAG,
	    offsetof(struct settings, verbose), NULL },
};

/* Before it is read: what is written meanwhile is then seen as newer. */
static void
note_read(struct service *service)
{
	service->read_ns = clock_now_ns();
	if (stat(service->settings.conf_path, &service->read_stat) != 0)
		memset(&service->read_stat, 0, sizeof(service->read_stat));
}

static int
read_options(struct service *service, int *argc, char **argv)
{
	const struct service_spec *spec = &service->spec;
	const struct options own = { .rows = spec->rows,
		.count = spec->row_count };
	const struct options options = { .program = spec->program,
		.synopsis = spec->synopsis,
		.summary = spec->summary,
		.rows = standard_rows,
		.count = ARRAY_LENGTH(standard_rows),
		.more = &own,
		.more_target = spec->target };
	int code;

	code = options_parse(&options, &service->settings, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (*argc - 1 < (int)spec->operands)
		return options_usage_error(&options, "an operand is missing");
	if (*argc - 1 > (int)spec->operands)
		return options_usage_error(&options,
		    "unexpected operand \"%s\"", argv[spec->operands + 1]);
	service->operands = argv + 1;
	return OPTIONS_GO;
}

/*
 * Large buffers are mappings of their own, and what is free at the end of a
 * heap goes back: glibc's own limits move with use, and what a burst took
 * would stay.
 */
static void
give_memory_back(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER);
	mallopt(M_TRIM_THRESHOLD, FREE_AT_END);
}

/* As many descriptors as the system lets us have. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
apply_log_level(const struct service *service)
{
	log_set_level(service->settings.verbose ? LOG_LEVEL_DEBUG
						: service->conf->log_level);
}

void
service_stop(struct service *service, int code)
{
	if (!service->stopped || service->code == EXIT_OK)
		service->code = code;
	service->stopped = true;
	loop_stop(service->loop);
}

static void
on_drain_deadline(void *arg)
{
	struct service *service = arg;

	log_warning("drain_cut_short", "limit_s=%u",
	    (unsigned)(SERVICE_DRAIN_NS / CLOCK_SECOND_NS));
	service_stop(service, EXIT_OK);
}

static void
on_terminate(struct service *service, int number)
{
	if (service->draining) {
		log_warning("drain_cut_short", "signal=%d", number);
		service_stop(service, EXIT_OK);
		return;
	}
	service->draining = true;
	log_info("stopping", "signal=%d", number);
	sd_notify(0, "STOPPING=1");
	loop_timer_start(&service->drain_deadline, SERVICE_DRAIN_NS);
	if (service->spec.drain != NULL)
		service->spec.drain(service->arg);
	else
		service_stop(service, EXIT_OK);
}

/* Log each line that conf_load() wrote. */
static void
log_mistakes(char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			log_error("configuration_wrong", "what=\"%s\"", line);
}

/* Free it, unless somebody still has it. */
static void
forget(const struct service *service, struct conf *conf)
{
	if (conf != service->conf && conf != service->first_conf &&
	    conf != service->held && conf != service->former)
		conf_free(conf);
}

void
service_hold(struct service *service)
{
	struct conf *before = service->held;

	service->held = service->conf;
	forget(service, before);
}

int
service_reload(struct service *service, char **out_mistakes)
{
	struct conf *fresh = NULL, *old = service->conf;
	char *text = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&text, &len);
	int err;

	*out_mistakes = NULL;
	if (errors == NULL)
		return -ENOMEM;
	note_read(service);
	err = conf_load(service->settings.conf_path, &fresh, errors);
	fclose(errors);
	if (err != 0) {
		*out_mistakes = text;
		return err;
	}
	free(text);
	service->conf = fresh;
	service->former = old;
	apply_log_level(service);
	if (service->spec.reload != NULL)
		service->spec.reload(service->arg, fresh);
	service->former = NULL;
	forget(service, old);
	log_info("reloaded", "path=%s", log_quote(service->conf->path));
	return 0;
}

static void
reload(struct service *service)
{
	char *mistakes;

	if (service_reload(service, &mistakes) == 0)
		return;
	if (mistakes != NULL)
		log_mistakes(mistakes);
	log_warning(
	    "reload_refused", "reason=\"the old configuration stays in use\"");
	free(mistakes);
}

/* Whether its file is another one than was read; includes are not seen. */
static bool
is_rewritten(const struct service *service)
{
	const struct stat *was = &service->read_stat;
	struct stat now;

	return stat(service->settings.conf_path, &now) == 0 &&
	    (now.st_ino != was->st_ino || now.st_size != was->st_size ||
		now.st_mtim.tv_sec != was->st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != was->st_mtim.tv_nsec);
}

void
service_refresh(struct service *service)
{
	if (is_rewritten(service) ||
	    clock_now_ns() - service->read_ns >= REFRESH_NS)
		reload(service);
}

static void
on_hangup(struct service *service)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)(clock_now_ns() / CLOCK_US_NS));
	sd_notify(0, text);
	reload(service);
	sd_notify(0, "READY=1");
}

static void
on_signal(void *arg, int number)
{
	if (number == SIGHUP)
		on_hangup(arg);
	else
		on_terminate(arg, number);
}

static void
on_watchdog(void *arg)
{
	struct service *service = arg;

	sd_notify(0, "WATCHDOG=1");
	loop_timer_start(&service->watchdog, service->watchdog_ns);
}

static int
make_loop(struct service *service)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, 0 };

	service->loop = loop_new();
	if (service->loop == NULL)
		return -ENOMEM;
	loop_timer_init(&service->drain_deadline, service->loop,
	    on_drain_deadline, service);
	loop_timer_init(
	    &service->watchdog, service->loop, on_watchdog, service);
	signal(SIGPIPE, SIG_IGN);
	return loop_signals_start(
	    &service->signals, service->loop, signals, on_signal, service);
}

static int
load_conf(struct service *service)
{
	const struct service_spec *spec = &service->spec;
	int err;

	note_read(service);
	err = conf_load(service->settings.conf_path, &service->conf, stderr);
	service->first_conf = service->conf;
	if (err != 0)
		return EXIT_CONFIG;
	if (spec->check == NULL)
		return EXIT_OK;
	return spec->check(service->arg, service->conf, service->operands);
}

/* Returns OPTIONS_GO to go on, or what main() returns. */
static int
start(struct service *service, int *argc, char **argv)
{
	int code;

	code = read_options(service, argc, argv);
	if (code != OPTIONS_GO)
		return code;
	code = load_conf(service);
	if (code != EXIT_OK)
		return code;
	if (service->settings.test) {
		printf("%s: the configuration is right\n", service->conf->path);
		return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
	}
	log_init(service->spec.program);
	apply_log_level(service);
	raise_descriptor_limit();
	give_memory_back();
	if (make_loop(service) != 0) {
		log_error("start_failed", "reason=\"no event loop\"");
		return EXIT_OSERR;
	}
	return OPTIONS_GO;
}

int
service_start(const struct service_spec *spec, int *argc, char **argv,
    struct service **out_service)
{
	struct service *service = calloc(1, sizeof(*service));
	int code;

	*out_service = NULL;
	if (service == NULL)
		return EXIT_OSERR;
	service->spec = *spec;
	service->arg = spec->target;
	service->settings.conf_path = SERVICE_DEFAULT_CONF;
	code = start(service, argc, argv);
	if (code != OPTIONS_GO)
		return service_end(service, code);
	*out_service = service;
	return EXIT_OK;
}

void
service_set_arg(struct service *service, void *arg)
{
	service->arg = arg;
}

struct loop *
service_loop(struct service *service)
{
	return service->loop;
}

const struct conf *
service_conf(const struct service *service)
{
	return service->conf;
}

char **
service_operands(struct service *service)
{
	return service->operands;
}

void
service_ready(struct service *service, const char *status)
{
	uint64_t limit_us = 0;
	int err;

	err = sandbox_enter(service->spec.may_exec);
	if (err != 0 && err != -ENOTSUP)
		log_warning("sandbox_missing", "reason=\"%s\"", strerror(-err));
	service_status(service, "%s", status);
	sd_notify(0, "READY=1");
	log_info("ready", "status=%s", log_quote(status));
	/* Three signs of life within the limit: one may come late. */
	if (sd_watchdog_enabled(0, &limit_us) > 0 && limit_us > 0) {
		service->watchdog_ns = limit_us * CLOCK_US_NS / 3;
		loop_timer_start(&service->watchdog, service->watchdog_ns);
	}
}

static void __attribute__((format(printf, 1, 0)))
tell_status(const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	sd_notifyf(0, "STATUS=%s", text);
}

void
service_status(struct service *service, const char *format, ...)
{
	va_list args;

	(void)service;
	va_start(args, format);
	tell_status(format, args);
	va_end(args);
}

void
service_starting(
    struct service *service, uint64_t more_ns, const char *format, ...)
{
	va_list args;

	(void)service;
	va_start(args, format);
	tell_status(format, args);
	va_end(args);
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu",
	    (unsigned long long)(more_ns / CLOCK_US_NS));
}

int
service_run(struct service *service)
{
	int err;

	if (service->stopped)
		return service->code;
	err = loop_run(service->loop);
	if (err != 0) {
		log_error("loop_failed", "reason=\"%s\"", strerror(-err));
		return EXIT_FAILED;
	}
	return service->code;
}

bool
service_is_draining(const struct service *service)
{
	return service->draining;
}

int
service_end(struct service *service, int code)
{
	if (service == NULL)
		return code;
	loop_signals_stop(&service->signals);
	loop_timer_stop(&service->drain_deadline);
	loop_timer_stop(&service->watchdog);
	loop_free(service->loop);
	if (service->held != service->conf &&
	    service->held != service->first_conf)
		conf_free(service->held);
	if (service->first_conf != service->conf)
		conf_free(service->first_conf);
	conf_free(service->conf);
	free(service);
	return code;
}
