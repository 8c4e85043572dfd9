/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/exit.h"
#include "ctl/convert.h"
#include "ctl/ctl.h"

struct settings {
	const char *out;
	enum convert_format format;
	bool strict;
};

static const char *
set_format(void *target, const char *value)
{
	struct settings *settings = target;

	if (strcmp(value, "mosquitto") == 0)
		settings->format = CONVERT_MOSQUITTO;
	else if (strcmp(value, "nanomq") == 0)
		settings->format = CONVERT_NANOMQ;
	else
		return "mosquitto or nanomq";
	return NULL;
}

static const struct option_row rows[] = {
	{ 'f', "from", "BROKER",
	    "whose file it is, mosquitto or nanomq; else it is guessed",
	    OPTION_CALL, 0, set_format },
	{ 'o', "output", "FILE", "write FILE, which must not exist yet",
	    OPTION_STRING, offsetof(struct settings, out), NULL },
	{ 0, "strict", NULL, "exit with 1 when something was left out",
	    OPTION_FLAG, offsetof(struct settings, strict), NULL },
};

const struct options cmd_convert_options = {
	.program = "weirctl convert",
	.synopsis = "[-f BROKER] [-o FILE] [--strict] FILE",
	.summary = "Write a weir.conf from a mosquitto.conf or nanomq.conf.  "
		   "What cannot be carried over is listed on stderr, and in a "
		   "comment on top.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static int
finish(
    const struct settings *settings, int err, unsigned left, const char *path)
{
	if (err == -EINVAL)
		fprintf(stderr, "weirctl convert: nothing was written\n");
	else if (err != 0)
		fprintf(
		    stderr, "weirctl convert: %s: %s\n", path, strerror(-err));
	if (err != 0)
		return err == -EINVAL ? EXIT_CONFIG : EXIT_OSERR;
	fprintf(stderr,
	    "%u left out.  Next: read %s, then weir-broker -t -c FILE\n", left,
	    left == 0 ? "it" : "the lines above");
	return settings->strict && left != 0 ? EXIT_FAILED : EXIT_OK;
}

int
cmd_convert(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { .format = CONVERT_GUESS };
	struct conf *conf;
	unsigned left = 0;
	FILE *out = stdout;
	int code, err;

	(void)ctl;
	code = options_parse(&cmd_convert_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc != 2)
		return options_usage_error(&cmd_convert_options,
		    argc < 2 ? "a file is missing" : "one file at a time");
	/* It may get passwords. */
	if (settings.out != NULL) {
		mode_t mask = umask(077);

		out = fopen(settings.out, "wxe");
		umask(mask);
	}
	if (out == NULL) {
		fprintf(stderr, "weirctl convert: cannot write %s: %s\n",
		    settings.out, strerror(errno));
		return EXIT_OSERR;
	}
	err = convert_file(argv[1], settings.format, out, stderr, &left);
	if (out != stdout && fclose(out) != 0 && err == 0)
		err = -EIO;
	if (out != stdout && err != 0)
		remove(settings.out);
	/* What one key at a time does not show. */
	if (out != stdout && err == 0 &&
	    conf_load(settings.out, &conf, stderr) == 0)
		conf_free(conf);
	return finish(&settings, err, left, argv[1]);
}
