/* SPDX-License-Identifier: Apache-2.0 */

/* store export: all of the journal as JSON lines. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/cmd_store.h"
#include "ctl/journal_export.h"

static int
judge(const struct store_call *call, const struct journal_view *view,
    uint64_t passed_over, int err)
{
	struct journal_counts counts;

	journal_state_count(view->state, &counts);
	passed_over += counts.unreadable;
	if (err != 0)
		fprintf(stderr, "weirctl store: the export is not whole: %s\n",
		    strerror(-err));
	if (view->lost_count != 0)
		fprintf(stderr,
		    "weirctl store: %s is damaged, or was changed while it was "
		    "read: run weirctl store check; beside a running broker, "
		    "weirctl store backup and export that with --dir\n",
		    call->dir);
	if (passed_over != 0)
		fprintf(stderr,
		    "weirctl store: %" PRIu64 " records make no sense and were "
		    "passed over\n",
		    passed_over);
	return err == 0 && view->lost_count == 0 && passed_over == 0
	    ? EXIT_OK
	    : EXIT_FAILED;
}

int
store_export_run(const struct store_call *call)
{
	struct journal_view view;
	uint64_t passed_over;
	int code, err;

	code = store_call_open(call, STORE_LOOK, &view);
	if (code == EXIT_OK) {
		err = journal_export_print(&view, stdout, &passed_over);
		code = judge(call, &view, passed_over, err);
	}
	journal_view_close(&view);
	return code;
}
