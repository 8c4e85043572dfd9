/* SPDX-License-Identifier: Apache-2.0 */

/* store import: an export into an empty journal, while no broker runs. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/cmd_store.h"
#include "ctl/journal_export.h"
#include "ctl/journal_json.h"

/* Standard input cannot be read twice: a copy, gone with this process. */
static FILE *
copy_stdin(void)
{
	char buffer[65536];
	FILE *copy = tmpfile();
	size_t length;

	if (copy == NULL)
		return NULL;
	while ((length = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
		if (fwrite(buffer, 1, length, copy) != length)
			break;
	if (ferror(stdin) == 0 && fflush(copy) == 0 && ferror(copy) == 0)
		return copy;
	fclose(copy);
	errno = EIO;
	return NULL;
}

/* Only what a broker's first start leaves may be there. */
static bool
is_empty(const struct journal_view *view)
{
	struct journal_counts counts;

	journal_state_count(view->state, &counts);
	return counts.sessions == 0 && counts.retained == 0 &&
	    counts.queued == 0;
}

static int
print_result(const struct store_call *call, const struct journal_export *export)
{
	struct journal_counts counts;

	journal_state_count(export->state, &counts);
	if (call->json)
		return store_call_print(
		    json_pack("{s:i, s:i, s:i, s:i, s:o, s:o}", "sessions",
			(int)counts.sessions, "subscriptions",
			(int)counts.subscriptions, "retained",
			(int)counts.retained, "bridges", (int)counts.bridges,
			"messages", journal_json_number(export->messages),
			"passed_over", journal_json_number(export->unanswered)),
		    JSON_INDENT(2));
	printf("%zu sessions, %zu subscriptions, %zu retained messages, %zu "
	       "bridges, %" PRIu64 " messages.\n",
	    counts.sessions, counts.subscriptions, counts.retained,
	    counts.bridges, export->messages);
	if (export->unanswered != 0)
		printf("%" PRIu64 " deliveries were with their subscriber "
		       "already (PUBREC) and are not sent again.\n",
		    export->unanswered);
	return EXIT_OK;
}

static int
import(const struct store_call *call, FILE *in, struct journal_view *view)
{
	const char *name =
	    call->operand == NULL ? "standard input" : call->operand;
	struct journal_export export;
	int code = EXIT_FAILED, err;

	err = journal_export_read(in, name, stderr, view, &export);
	if (err == -EINVAL)
		fprintf(stderr, "weirctl store: nothing was imported\n");
	else if (err != 0)
		fprintf(stderr, "weirctl store: cannot read %s: %s\n", name,
		    strerror(-err));
	if (err == 0) {
		err = journal_export_write(&export, view);
		if (err != 0)
			fprintf(stderr,
			    "weirctl store: the import is not whole: %s: "
			    "remove the folder %s and begin again\n",
			    strerror(-err), call->dir);
		else
			code = print_result(call, &export);
	}
	journal_export_fini(&export);
	return code;
}

int
store_import_run(const struct store_call *call)
{
	struct journal_view view;
	FILE *in;
	int code;

	/* Before root becomes somebody who may not read it. */
	in = call->operand == NULL ? copy_stdin() : fopen(call->operand, "re");
	if (in == NULL) {
		fprintf(stderr, "weirctl store: cannot read %s: %s\n",
		    call->operand == NULL ? "standard input" : call->operand,
		    strerror(errno));
		return EXIT_OSERR;
	}
	code = store_call_open(call, STORE_MAKE, &view);
	if (code == EXIT_OK && !is_empty(&view)) {
		fprintf(stderr,
		    "weirctl store: %s is not empty: move the folder away "
		    "first\n",
		    call->dir);
		code = EXIT_FAILED;
	} else if (code == EXIT_OK) {
		code = import(call, in, &view);
	}
	journal_view_close(&view);
	fclose(in);
	return code;
}
