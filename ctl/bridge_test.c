/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/bridge_test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/exit.h"
#include "common/base/options.h"
#include "ctl/programs.h"

struct settings {
	const char *conf_path;
	const char *topic;
	bool json;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print the steps as JSON", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
	{ 't', "topic", "TOPIC", "publish there, not to weir/test/NAME",
	    OPTION_STRING, offsetof(struct settings, topic), NULL },
};

static const struct options options = {
	.program = "weirctl bridge test",
	.synopsis = "[-j] [-c FILE] [-t TOPIC] NAME",
	.summary = "Try a bridge's remote step by step, beside a bridge that "
		   "runs.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

/* One line of the probe, by its fields. */
struct line {
	char *word, *step, *micros, *detail;
};

bool
bridge_test_is_meant(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 ||
		    strcmp(argv[i], "--config") == 0)
			i++;
		else if (argv[i][0] != '-')
			return strcmp(argv[i], "test") == 0;
	}
	return false;
}

static bool
split(char *text, struct line *out_line)
{
	text[strcspn(text, "\n")] = '\0';
	out_line->word = strsep(&text, "\t");
	out_line->step = strsep(&text, "\t");
	out_line->micros = strsep(&text, "\t");
	out_line->detail = text;
	return out_line->step != NULL &&
	    (strcmp(out_line->word, "try") == 0 || text != NULL);
}

static void
print_text(const struct line *line)
{
	if (strcmp(line->word, "try") == 0)
		printf("%s\n", line->step);
	else
		printf("  %-10s %-6s %8.1f ms  %s\n", line->step, line->word,
		    (double)strtoull(line->micros, NULL, 10) / 1000,
		    line->detail);
	fflush(stdout);
}

static void
add_json(json_t *remotes, const struct line *line)
{
	const bool is_good = strcmp(line->word, "ok") == 0;
	json_t *last;

	if (strcmp(line->word, "try") == 0) {
		json_array_append_new(remotes,
		    json_pack("{s:s, s:b, s:[]}", "url", line->step, "ok", 1,
			"steps"));
		return;
	}
	last = json_array_get(remotes, json_array_size(remotes) - 1);
	if (last == NULL)
		return;
	if (!is_good)
		json_object_set_new(last, "ok", json_false());
	json_array_append_new(json_object_get(last, "steps"),
	    json_pack("{s:s, s:b, s:f, s:s}", "step", line->step, "ok",
		(int)is_good, "ms",
		(double)strtoull(line->micros, NULL, 10) / 1000, "detail",
		line->detail));
}

/* Show what comes until the end. */
static void
show(FILE *in, const struct settings *settings, const char *name)
{
	json_t *remotes = json_array();
	struct line line;
	char *text = NULL;
	size_t size = 0;

	while (getline(&text, &size, in) != -1) {
		if (!split(text, &line))
			continue;
		if (settings->json)
			add_json(remotes, &line);
		else
			print_text(&line);
	}
	free(text);
	if (settings->json) {
		json_t *all =
		    json_pack("{s:s, s:O}", "bridge", name, "remotes", remotes);

		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(all);
	}
	json_decref(remotes);
}

/* In the child: become the probe. */
static void __attribute__((noreturn)) become(const char *program,
    const char *conf_path, const char *topic, const char *name, int out)
{
	if (dup2(out, STDOUT_FILENO) == -1)
		_exit(EXIT_OSERR);
	if (topic != NULL)
		execl(program, program, "--probe", "--topic", topic, "-c",
		    conf_path, "--", name, (char *)NULL);
	else
		execl(program, program, "--probe", "-c", conf_path, "--", name,
		    (char *)NULL);
	fprintf(stderr, "weirctl: %s: %s\n", program, strerror(errno));
	_exit(EXIT_OSERR);
}

static int
run_probe(const char *program, const struct conf *conf,
    const struct settings *settings, const char *name)
{
	int ends[2], status;
	FILE *in;
	pid_t pid;

	if (pipe(ends) == -1 || (pid = fork()) == -1) {
		fprintf(stderr, "weirctl: %s\n", strerror(errno));
		return EXIT_OSERR;
	}
	if (pid == 0) {
		close(ends[0]);
		become(program, conf->path, settings->topic, name, ends[1]);
	}
	close(ends[1]);
	in = fdopen(ends[0], "r");
	if (in != NULL) {
		show(in, settings, name);
		fclose(in);
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

int
bridge_test_run(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .json = false };
	struct conf *conf = NULL;
	char *program;
	int code;

	code = options_parse(&options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc != 3)
		return options_usage_error(
		    &options, "the name of one bridge is needed");
	code = ctl_need(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	program = programs_find("bridged", "weir-bridged");
	code = program == NULL ? EXIT_OSERR
			       : run_probe(program, conf, &settings, argv[2]);
	free(program);
	conf_free(conf);
	return code;
}
