/* SPDX-License-Identifier: Apache-2.0 */

/*
 * run - broker, httpd and all bridges in the foreground, under a supervisor.
 *
 * The end goes in the direction of the flow, so that as much as possible
 * arrives: httpd first, then the broker, which waits for its bridges to empty
 * their rings, then the bridges.  What is still in a ring then is told, since
 * without a journal it ends with us.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/net/loop.h"
#include "common/net/loop_signals.h"
#include "common/ring/ring_inspect.h"
#include "ctl/ctl.h"
#include "ctl/programs.h"
#include "ctl/supervisor.h"

enum stop_order {
	STOP_HTTPD,
	STOP_BRIDGES,
	STOP_BROKER
};

struct settings {
	const char *conf_path;
};

struct run {
	struct conf *conf;
	struct loop *loop;
	struct supervisor *supervisor;
	struct loop_signals signals;
	char *broker, *httpd, *bridged; /* paths */
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
};

const struct options cmd_run_options = {
	.program = "weirctl run",
	.synopsis = "[-c FILE]",
	.summary = "Start weir-broker, weir-httpd and all bridges, restart "
		   "what dies, keep the\nrings' memory meanwhile, and end all "
		   "of them at Ctrl-C.  SIGHUP reloads.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* mkdir -p; an existing folder is fine. */
static int
make_folder(const char *path)
{
	char copy[4096];

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return -ENAMETOOLONG;
	for (char *s = copy + 1; *s != '\0'; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(copy, 0750) == -1 && errno != EEXIST ? -errno : 0;
}

static int
make_folders(const struct conf *conf)
{
	const char *const paths[] = { conf->run_dir, conf->state_dir };
	const char *const keys[] = { "run_dir", "state_dir" };
	int err;

	for (unsigned i = 0; i < 2; i++) {
		err = make_folder(paths[i]);
		if (err == 0 && access(paths[i], W_OK | X_OK) == 0)
			continue;
		log_error("folder_unusable", "key=%s path=%s error=%s", keys[i],
		    log_quote(paths[i]), strerror(err != 0 ? -err : errno));
		return EXIT_OSERR;
	}
	return EXIT_OK;
}

static void
all_up(void *arg)
{
	const struct run *run = arg;
	const struct conf *conf = run->conf;

	log_info("all_up", "mqtt=%s http=%s bridges=%zu",
	    conf->listener_count != 0 ? conf->listeners[0].bind : "none",
	    conf->http.enabled ? conf->http.bind : "none", conf->bridge_count);
	if (isatty(STDERR_FILENO))
		fputs("weirctl: everything is up. Look with `weirctl rings`, "
		      "end with Ctrl-C.\n",
		    stderr);
}

static void
on_signal(void *arg, int number)
{
	struct run *run = arg;

	if (number == SIGHUP) {
		log_info("reload");
		supervisor_signal(run->supervisor, SIGHUP);
		return;
	}
	log_info("ending", "signal=%d", number);
	supervisor_stop(run->supervisor);
}

static int
watch_signals(struct run *run)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, 0 };

	return loop_signals_start(
	    &run->signals, run->loop, numbers, on_signal, run);
}

static int
add_children(struct run *run)
{
	const struct conf *conf = run->conf;
	const char *path = conf->path;
	int err;

	err = supervisor_add(run->supervisor,
	    &(struct supervisor_child){
		"broker", { run->broker, "-c", path, NULL }, STOP_BROKER });
	if (err == 0 && conf->http.enabled)
		err = supervisor_add(run->supervisor,
		    &(struct supervisor_child){ "httpd",
			{ run->httpd, "-c", path, NULL }, STOP_HTTPD });
	for (size_t i = 0; i < conf->bridge_count && err == 0; i++)
		err = supervisor_add(run->supervisor,
		    &(struct supervisor_child){ conf->bridges[i].name,
			{ run->bridged, "-c", path, conf->bridges[i].name,
			    NULL },
			STOP_BRIDGES });
	return err;
}

/*
 * Without a journal, what is in the rings when we end is gone: say so.  With
 * one, what was acknowledged is in it.
 */
static void
tell_what_is_left(const struct run *run)
{
	struct ring_views views;

	if (conf_has_journal(run->conf) ||
	    ring_views_take(run->conf->run_dir, clock_now_ns(), &views) != 0)
		return;
	for (size_t i = 0; i < views.count; i++) {
		const struct ring_view *v = &views.view[i];

		if (v->messages_in <= v->messages_out ||
		    strcmp(v->to, "httpd") == 0)
			continue;
		log_warning("undelivered",
		    "ring=%s messages=%" PRIu64 " bytes=%" PRIu64
		    " reason=\"lost: durability is none\"",
		    log_quote(v->name), v->messages_in - v->messages_out,
		    v->used);
	}
	ring_views_free(&views);
}

static int
find_programs(struct run *run)
{
	run->broker = programs_find("broker", "weir-broker");
	run->httpd = programs_find("httpd", "weir-httpd");
	run->bridged = programs_find("bridged", "weir-bridged");
	if (run->broker == NULL || run->httpd == NULL || run->bridged == NULL)
		return EXIT_OSERR;
	return EXIT_OK;
}

static int
supervise(struct run *run)
{
	static const struct supervisor_callbacks callbacks = {
		.all_up = all_up,
	};
	int code;

	run->loop = loop_new();
	if (run->loop == NULL)
		return EXIT_OSERR;
	run->supervisor = supervisor_new(run->loop, &callbacks, run);
	if (run->supervisor == NULL || watch_signals(run) != 0 ||
	    add_children(run) != 0) {
		log_error("start_failed", "error=%s", strerror(errno));
		return EXIT_OSERR;
	}
	supervisor_start(run->supervisor);
	loop_run(run->loop);
	tell_what_is_left(run);
	code = supervisor_exit_code(run->supervisor);
	log_info("ended", "code=%d", code);
	return code;
}

static void
run_fini(struct run *run)
{
	supervisor_free(run->supervisor);
	loop_signals_stop(&run->signals);
	loop_free(run->loop);
	free(run->broker);
	free(run->httpd);
	free(run->bridged);
	conf_free(run->conf);
}

int
cmd_run(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { NULL };
	struct run run = { .conf = NULL };
	int code;

	code = options_parse(&cmd_run_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 1)
		return options_usage_error(&cmd_run_options,
		    "run takes no operand, not \"%s\"", argv[1]);
	code = ctl_need(ctl, settings.conf_path, &run.conf);
	if (code != EXIT_OK)
		return code;
	log_set_level(run.conf->log_level);
	signal(SIGPIPE, SIG_IGN);
	code = find_programs(&run);
	if (code == EXIT_OK)
		code = make_folders(run.conf);
	if (code == EXIT_OK)
		code = supervise(&run);
	run_fini(&run);
	return code;
}
