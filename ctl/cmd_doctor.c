/* SPDX-License-Identifier: Apache-2.0 */

/* doctor - measure the disk, and check what commonly goes wrong. */

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/ctl.h"
#include "ctl/doctor.h"
#include "ctl/journal_json.h"

struct settings {
	const char *conf_path;
	bool json;
};

static const struct option_row rows[] = {
	{ 'c', "config", "FILE", "read FILE instead of the default",
	    OPTION_STRING, offsetof(struct settings, conf_path), NULL },
	{ 'j', "json", NULL, "print one JSON object", OPTION_FLAG,
	    offsetof(struct settings, json), NULL },
};

const struct options cmd_doctor_options = {
	.program = "weirctl doctor",
	.synopsis = "[-j] [-c FILE]",
	.summary =
	    "Measure how long the disk takes to keep something, which takes up "
	    "to 2 seconds,\nand check what commonly goes wrong.  Exits 1 when "
	    "something fails.",
	.rows = rows,
	.count = ARRAY_LENGTH(rows),
};

static const char *const levels[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_WARN] = "warn",
	[DOCTOR_FAIL] = "fail",
};

static int
print_json(const struct doctor_facts *facts,
    const struct doctor_finding *findings, size_t count, bool is_well)
{
	json_t *object, *array = json_array();
	int err;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array,
		    json_pack("{s:s, s:s, s:s, s:s}", "name", findings[i].name,
			"level", levels[findings[i].level], "text",
			findings[i].text, "advice", findings[i].advice));
	object = json_pack("{s:b, s:i, s:o, s:o, s:o}", "ok", is_well, "syncs",
	    (int)facts->syncs, "sync_p50_ns",
	    journal_json_number(facts->sync_p50_ns), "sync_p99_ns",
	    journal_json_number(facts->sync_p99_ns), "findings", array);
	err = object == NULL ? -1 : json_dumpf(object, stdout, JSON_INDENT(2));
	json_decref(object);
	return err == 0 && putchar('\n') != EOF ? EXIT_OK : EXIT_FAILED;
}

static int
show(const struct conf *conf, bool as_json)
{
	struct doctor_finding findings[DOCTOR_FINDINGS];
	struct doctor_facts facts;
	int code = EXIT_OK;
	size_t count;

	doctor_look(conf, &facts);
	count = doctor_judge(&facts, findings);
	for (size_t i = 0; i < count; i++)
		if (findings[i].level == DOCTOR_FAIL)
			code = EXIT_FAILED;
	if (as_json)
		return print_json(&facts, findings, count, code == EXIT_OK) ==
			EXIT_OK
		    ? code
		    : EXIT_FAILED;
	for (size_t i = 0; i < count; i++) {
		printf("%-4s  %-11s  %s\n", levels[findings[i].level],
		    findings[i].name, findings[i].text);
		if (findings[i].advice[0] != '\0')
			printf("%19s%s\n", "", findings[i].advice);
	}
	return code;
}

int
cmd_doctor(const struct ctl *ctl, int argc, char **argv)
{
	struct settings settings = { NULL, false };
	struct conf *conf;
	int code;

	code = options_parse(&cmd_doctor_options, &settings, &argc, argv);
	if (code != OPTIONS_GO)
		return code;
	if (argc > 1)
		return options_usage_error(&cmd_doctor_options,
		    "doctor takes no operand, not \"%s\"", argv[1]);
	code = ctl_need(ctl, settings.conf_path, &conf);
	if (code != EXIT_OK)
		return code;
	code = show(conf, settings.json);
	conf_free(conf);
	return code;
}
