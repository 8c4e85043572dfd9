/* SPDX-License-Identifier: Apache-2.0 */

/* store stat and store check. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/cmd_store.h"
#include "ctl/journal_json.h"
#include "ctl/journal_room.h"
#include "ctl/table.h"

static json_t *
number(uint64_t value)
{
	return journal_json_number(value);
}

/* ---- damage -------------------------------------------------------------- */

static json_t *
damage_to_json(const struct journal_damage *damage)
{
	return json_pack("{s:s*, s:o, s:o, s:s*, s:b, s:o, s:o, s:s*}", "file",
	    damage->file, "offset", number(damage->offset), "bytes",
	    number(damage->bytes), "what", damage->what, "torn_tail",
	    damage->is_torn_tail, "first_sequence",
	    number(damage->first_sequence), "last_sequence",
	    number(damage->last_sequence), "kept_as", damage->kept_as);
}

static json_t *
damages_to_json(const struct journal_view *view)
{
	json_t *array = json_array();

	for (size_t i = 0; i < view->damage_count; i++)
		json_array_append_new(array, damage_to_json(&view->damages[i]));
	return array;
}

static void
print_damage(const struct journal_damage *damage)
{
	char bytes[32];

	printf("%s at %" PRIu64 ": %s, %s", damage->file, damage->offset,
	    damage->what, table_bytes(damage->bytes, bytes));
	if (damage->is_torn_tail)
		printf(": the end of what was being written; nothing that was "
		       "acknowledged\n");
	else
		printf(": up to %" PRIu64 " records lost, sequences %" PRIu64
		       " to %" PRIu64 "\n",
		    damage->last_sequence - damage->first_sequence + 1,
		    damage->first_sequence, damage->last_sequence);
	if (damage->kept_as != NULL)
		printf("  kept as %s\n", damage->kept_as);
}

/* ---- stat ---------------------------------------------------------------- */

static json_t *
stat_to_json(const struct store_call *call, const struct journal_view *view,
    const struct store_stat *stat, const struct journal_counts *counts)
{
	json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "dir", call->dir, "first_sequence", number(stat->first_sequence),
	    "last_sequence", number(stat->last_sequence), "segments",
	    number(stat->segments), "bytes", number(stat->bytes), "live_bytes",
	    number(stat->live_bytes), "max_bytes", number(stat->max_bytes),
	    "checkpoint_sequence", number(stat->checkpoint_sequence));
	json_t *more = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "checkpoint_bytes", number(stat->checkpoint_bytes), "sessions",
	    number(counts->sessions), "bridges", number(counts->bridges),
	    "removed", number(counts->unknown), "subscriptions",
	    number(counts->subscriptions), "retained", number(counts->retained),
	    "retained_bytes", number(counts->retained_bytes), "queued",
	    number(counts->queued), "queued_bytes",
	    number(counts->queued_bytes), "damages", damages_to_json(view));

	json_object_update(object, more);
	json_decref(more);
	json_object_set_new(object, "unreadable", number(counts->unreadable));
	return object;
}

static uint64_t
said(const json_t *broker, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(broker, key));
}

static void
print_broker(const json_t *broker)
{
	uint64_t syncs = said(broker, "syncs");
	char mean[32], longest[32];

	if (broker == NULL)
		return;
	printf("broker       %" PRIu64 " commits, %" PRIu64 " syncs",
	    said(broker, "commits"), syncs);
	if (syncs != 0)
		printf(", %s each, the longest %s",
		    table_milliseconds(
			said(broker, "sync_ns_total") / syncs, mean),
		    table_milliseconds(said(broker, "sync_ns_max"), longest));
	putchar('\n');
	if (said(broker, "failed") != 0)
		printf("             the last commit failed: %s\n",
		    strerror((int)said(broker, "failed")));
}

static void
print_stat(const struct store_call *call, const struct journal_view *view,
    const struct store_stat *stat, const struct journal_counts *counts)
{
	char a[32], b[32], c[32];

	printf("journal      %s\n", call->dir);
	printf("files        %" PRIu64 " segments, %s of %s; %s in use\n",
	    stat->segments, table_bytes(stat->bytes, a),
	    table_bytes(stat->max_bytes, b), table_bytes(stat->live_bytes, c));
	printf("sequences    %" PRIu64 " to %" PRIu64 "; the checkpoint, %s, "
	       "covers up to %" PRIu64 "\n",
	    stat->first_sequence, stat->last_sequence,
	    table_bytes(stat->checkpoint_bytes, a), stat->checkpoint_sequence);
	printf("waiting      %" PRIu64 " deliveries, %s\n", counts->queued,
	    table_bytes(counts->queued_bytes, a));
	printf("state        %zu sessions, %zu subscriptions, %zu retained "
	       "messages (%s), %zu bridges\n",
	    counts->sessions, counts->subscriptions, counts->retained,
	    table_bytes(counts->retained_bytes, a), counts->bridges);
	if (counts->unknown != 0)
		printf("             %zu cursors of bridges that were removed: "
		       "weirctl store drop\n",
		    counts->unknown);
	if (view->lost_count != 0)
		printf("damage       in %zu places: weirctl store check\n",
		    view->lost_count);
}

int
store_stat_run(const struct store_call *call)
{
	struct journal_counts counts;
	struct journal_view view;
	struct store_stat stat;
	json_t *broker, *object;
	int code;

	code = store_call_open(call, STORE_LOOK, &view);
	if (code == EXIT_OK) {
		store_stat(view.store, &stat);
		journal_state_count(view.state, &counts);
		broker = store_call_ask(call);
		if (call->json) {
			object = stat_to_json(call, &view, &stat, &counts);
			json_object_set(object, "broker",
			    broker == NULL ? json_null() : broker);
			code = store_call_print(object, JSON_INDENT(2));
		} else {
			print_stat(call, &view, &stat, &counts);
			print_broker(broker);
		}
		json_decref(broker);
	}
	journal_view_close(&view);
	return code;
}

/* ---- check --------------------------------------------------------------- */

struct check {
	struct journal_room room;
	uint64_t records, messages, bytes, unreadable;
};

static int
check_record(void *arg, uint64_t sequence, uint8_t kind, struct slice body)
{
	struct check *check = arg;
	struct store_message message;
	int err;

	(void)sequence;
	check->records++;
	check->bytes += body.len;
	if (kind != STORE_MESSAGE)
		return 0;
	check->messages++;
	err = journal_room_parse(&check->room, body, &message);
	if (err == -ENOMEM)
		return err;
	check->unreadable += err != 0;
	return 0;
}

static int
print_check(const struct store_call *call, const struct journal_view *view,
    const struct check *check, bool is_well)
{
	char bytes[32];

	if (call->json)
		return store_call_print(
		    json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "dir",
			call->dir, "ok", is_well, "records",
			number(check->records), "messages",
			number(check->messages), "bytes", number(check->bytes),
			"unreadable", number(check->unreadable), "damages",
			damages_to_json(view)),
		    JSON_INDENT(2));
	for (size_t i = 0; i < view->damage_count; i++)
		print_damage(&view->damages[i]);
	if (check->unreadable != 0)
		printf("%" PRIu64 " records are whole and make no sense: of "
		       "another version?\n",
		    check->unreadable);
	printf("%s: %" PRIu64 " records, of them %" PRIu64 " messages, %s\n",
	    is_well ? "sound" : "DAMAGED", check->records, check->messages,
	    table_bytes(check->bytes, bytes));
	return EXIT_OK;
}

int
store_check_run(const struct store_call *call)
{
	struct check check = { .records = 0 };
	struct journal_counts counts;
	struct journal_view view;
	bool is_well;
	int code, err;

	code = store_call_open(call, STORE_LOOK, &view);
	if (code == EXIT_OK) {
		err = store_each_record(view.store, check_record, &check);
		journal_state_count(view.state, &counts);
		check.unreadable += counts.unreadable;
		is_well =
		    err == 0 && view.lost_count == 0 && check.unreadable == 0;
		if (err != 0)
			fprintf(stderr, "weirctl store: cannot read %s: %s\n",
			    call->dir, strerror(-err));
		code = print_check(call, &view, &check, is_well);
		if (code == EXIT_OK && !is_well)
			code = EXIT_FAILED;
	}
	journal_room_fini(&check.room);
	journal_view_close(&view);
	return code;
}
