/* SPDX-License-Identifier: Apache-2.0 */

/* store backup, store compact, store drop: keeping the journal. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "common/base/parse.h"
#include "ctl/ask.h"
#include "ctl/cmd_store.h"
#include "ctl/journal_backup.h"
#include "ctl/journal_json.h"
#include "ctl/table.h"

/* ---- backup -------------------------------------------------------------- */

/* Open the copy as a broker would; an exit code, and what is in it. */
static int
verify(const struct store_call *call, struct journal_counts *out_counts)
{
	struct store_call copy = *call;
	struct journal_view view;
	int code;

	copy.dir = call->operand;
	code = store_call_open(&copy, STORE_LOOK, &view);
	if (code == EXIT_OK) {
		journal_state_count(view.state, out_counts);
		if (view.lost_count != 0) {
			fprintf(stderr,
			    "weirctl store: the copy in %s is damaged; is the "
			    "journal? weirctl store check\n",
			    call->operand);
			code = EXIT_FAILED;
		}
	}
	journal_view_close(&view);
	return code;
}

static int
print_backup(const struct store_call *call, const struct journal_backup *backup,
    const struct journal_counts *counts)
{
	char bytes[32];

	if (call->json)
		return store_call_print(
		    json_pack("{s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "dir",
			call->operand, "files",
			journal_json_number(backup->files), "bytes",
			journal_json_number(backup->bytes), "rounds",
			(int)backup->rounds, "sessions",
			journal_json_number(counts->sessions), "retained",
			journal_json_number(counts->retained), "queued",
			journal_json_number(counts->queued)),
		    JSON_INDENT(2));
	printf("%s: %" PRIu64 " files, %s; %zu sessions, %zu retained "
	       "messages, %" PRIu64 " deliveries wait. It was opened and is "
	       "sound.\n",
	    call->operand, backup->files, table_bytes(backup->bytes, bytes),
	    counts->sessions, counts->retained, counts->queued);
	return EXIT_OK;
}

int
store_backup_run(const struct store_call *call)
{
	struct journal_backup backup;
	struct journal_counts counts;
	int code, err;

	err = journal_backup(call->dir, call->operand, NULL, NULL, &backup);
	if (err != 0) {
		fprintf(stderr, "weirctl store: no backup of %s in %s: %s\n",
		    call->dir, call->operand,
		    err == -ENOENT      ? "there is no journal"
			: err == -EBUSY ? "its files change faster than they "
					  "can be copied"
					: strerror(-err));
		return err == -ENOENT ? EXIT_UNAVAILABLE : EXIT_FAILED;
	}
	code = verify(call, &counts);
	return code == EXIT_OK ? print_backup(call, &backup, &counts) : code;
}

/* ---- compact ------------------------------------------------------------- */

static int
report_compact(const struct store_call *call, const struct store_stat *before,
    const struct store_stat *after)
{
	char a[32], b[32];

	if (call->json)
		return store_call_print(
		    json_pack("{s:b, s:o, s:o}", "asked", 0, "bytes_before",
			journal_json_number(before->bytes), "bytes",
			journal_json_number(after->bytes)),
		    JSON_INDENT(2));
	printf("%s before, %s now.\n", table_bytes(before->bytes, a),
	    table_bytes(after->bytes, b));
	return EXIT_OK;
}

static int
compact_here(const struct store_call *call)
{
	struct store_stat before, after;
	struct journal_view view;
	int code, err;

	code = store_call_open(call, STORE_WRITE, &view);
	if (code == EXIT_OK) {
		store_stat(view.store, &before);
		err = journal_view_compact(&view);
		store_stat(view.store, &after);
		if (err == 0) {
			code = report_compact(call, &before, &after);
		} else {
			fprintf(stderr, "weirctl store: cannot compact: %s\n",
			    err == -ENOTSUP
				? "it has records of another version"
				: strerror(-err));
			code = EXIT_FAILED;
		}
	}
	journal_view_close(&view);
	return code;
}

int
store_compact_run(const struct store_call *call)
{
	const char *refusal;
	json_t *answer = NULL;
	int code, err = -ENOENT;

	if (call->run_dir != NULL)
		answer = ask_broker(call->run_dir, "store compact", &err);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return compact_here(call);
	refusal = json_string_value(json_object_get(answer, "error"));
	if (err != 0 || refusal != NULL) {
		fprintf(stderr, "weirctl store: %s\n",
		    refusal != NULL ? refusal : ask_why_not(err));
		code = EXIT_FAILED;
	} else if (call->json) {
		code = store_call_print(
		    json_pack("{s:b}", "asked", 1), JSON_INDENT(2));
	} else {
		puts("The broker writes a checkpoint and then frees what it "
		     "covers; weirctl store stat shows it.");
		code = EXIT_OK;
	}
	json_decref(answer);
	return code;
}

/* ---- drop ---------------------------------------------------------------- */

struct search {
	uint64_t cursor;
	struct journal_owner owner;
	bool is_found;
};

static int
find_owner(void *arg, const struct journal_owner *owner)
{
	struct search *search = arg;

	if (owner->cursor != search->cursor)
		return 0;
	search->owner = *owner;
	search->is_found = true;
	return 1;
}

static int
close_cursor(struct journal_view *view, uint64_t cursor)
{
	int err = store_append_close(view->store, cursor);

	return err == 0 ? store_commit(view->store, true) : err;
}

static int
drop(const struct store_call *call, struct journal_view *view,
    const struct search *search)
{
	const struct store_cursor *queue = &search->owner.queue;
	char bytes[32];
	int err;

	if (!search->is_found || search->owner.kind == JOURNAL_SESSION) {
		fprintf(stderr,
		    "weirctl store: %" PRIu64 " is no cursor of a bridge; "
		    "weirctl store list shows them%s\n",
		    search->cursor,
		    search->is_found
			? " (a session ends when its client connects with "
			  "Clean Start)"
			: "");
		return EXIT_FAILED;
	}
	printf("%" PRIu64 " deliveries, %s, wait for cursor %" PRIu64 " %.*s\n",
	    queue->queued, table_bytes(queue->queued_bytes, bytes),
	    search->cursor, (int)search->owner.name.len,
	    search->owner.name.len == 0
		? ""
		: (const char *)search->owner.name.data);
	if (!call->yes) {
		puts("Nothing was done: with --yes they are forgotten.");
		return EXIT_OK;
	}
	err = close_cursor(view, search->cursor);
	if (err == 0) {
		puts("They are forgotten.");
		return EXIT_OK;
	}
	fprintf(stderr, "weirctl store: cannot drop: %s\n", strerror(-err));
	return EXIT_FAILED;
}

int
store_drop_run(const struct store_call *call)
{
	struct search search = { .is_found = false };
	struct journal_view view;
	int code;

	if (parse_u64(call->operand, &search.cursor) != 0) {
		fprintf(stderr,
		    "weirctl store: \"%s\" is no cursor; weirctl store list "
		    "shows them\n",
		    call->operand);
		return EXIT_USAGE;
	}
	code =
	    store_call_open(call, call->yes ? STORE_WRITE : STORE_LOOK, &view);
	if (code == EXIT_OK) {
		journal_state_each_owner(view.state, find_owner, &search);
		code = drop(call, &view, &search);
	}
	journal_view_close(&view);
	return code;
}
