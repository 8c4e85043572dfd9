/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/journal_json.h"
#include "tests/unit/unit.h"

#define SEGMENT (UINT64_C(256) << 10)
#define NEVER UINT64_MAX

static char folder[64];
static char *told; /* of the mistakes */
static size_t told_length;

static void
setup(void)
{
	strcpy(folder, "/tmp/weir-test-export-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void
teardown(void)
{
	char command[96];

	free(told);
	told = NULL;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* ---- journals ------------------------------------------------------------ */

static struct journal_view view;

static void
open_journal(const char *name, bool is_writable)
{
	char dir[96];
	const struct journal_view_spec spec = {
		.dir = dir,
		.segment_bytes = SEGMENT,
		.max_bytes = 64 * SEGMENT,
		.is_writable = is_writable,
		.may_make = is_writable,
	};

	snprintf(dir, sizeof(dir), "%s/%s", folder, name);
	ck_assert_int_eq(journal_view_open(&spec, &view), 0);
	ck_assert_uint_eq(view.lost_count, 0);
	if (is_writable)
		store_tend(view.store);
}

/* A record of state, in the words of an export. */
static void
append(const char *text)
{
	char fault[JOURNAL_JSON_FAULT_SIZE];
	struct journal_record record;
	json_t *object = json_loads(text, 0, NULL);
	uint64_t sequence;

	ck_assert_ptr_nonnull(object);
	ck_assert_msg(journal_json_to_record(object, &record, fault) == 0,
	    "%s: %s", fault, text);
	ck_assert_int_eq(
	    store_append(view.store, record.kind, record.body, &sequence), 0);
	journal_record_fini(&record);
	json_decref(object);
}

static uint64_t
publish(const char *payload, uint64_t first, uint64_t second)
{
	static const uint32_t identifiers[] = { 5, 6 };
	const struct store_delivery deliveries[] = {
		{ first, 1, STORE_RETAIN_FLAG, 2, identifiers },
		{ second, 2, 0, 0, NULL },
	};
	const struct store_message message = {
		.publisher = first,
		.packet_id = 77,
		.qos = 2,
		.source = { UINT32_MAX, 0, 0 },
		.created_ns = 1000,
		.expires_ns = NEVER,
		.topic = slice_of_string("a/b"),
		.payload = slice_of_string(payload),
		.deliveries = deliveries,
		.delivery_count = second == 0 ? 1 : 2,
	};
	uint64_t sequence;

	ck_assert_int_eq(
	    store_append_message(view.store, &message, &sequence), 0);
	return sequence;
}

static void
commit(void)
{
	ck_assert_int_eq(store_commit(view.store, true), 0);
}

#define SESSION(cursor, name)                                                  \
	"{\"kind\":\"session\",\"cursor\":" cursor ",\"client_id\":\"" name    \
	"\",\"account\":\"\"}"

/*
 * Two sessions and a bridge.  "one" is for both sessions, and the first has
 * it; "two" is for a session and the bridge, and the session has said PUBREC;
 * "three" is for the bridge; "four" was for the first session, which has it.
 */
static void
make_journal(const char *name)
{
	uint64_t one, two, four;
	char text[128];

	open_journal(name, true);
	ck_assert_int_eq(store_append_open(view.store, 1), 0);
	ck_assert_int_eq(store_append_open(view.store, 2), 0);
	ck_assert_int_eq(store_append_open(view.store, 3), 0);
	append(SESSION("1", "first"));
	append(SESSION("2", "second"));
	append("{\"kind\":\"subscription\",\"cursor\":2,\"filter\":\"a/#\","
	       "\"qos\":2}");
	append("{\"kind\":\"bridge\",\"cursor\":3,\"name\":\"cloud\"}");
	append("{\"kind\":\"retained\",\"topic\":\"t\",\"qos\":1,"
	       "\"retain\":true,\"retain_serial\":4,\"lane_sequence\":9,"
	       "\"payload_base64\":\"AP8=\"}");
	append("{\"kind\":\"source\",\"link\":8,\"lane\":1,"
	       "\"lane_sequence\":30}");
	one = publish("one", 1, 2);
	two = publish("two", 3, 2);
	publish("three", 3, 0);
	four = publish("four", 1, 0);
	commit();
	ck_assert_int_eq(
	    store_append_done(view.store,
		(const struct store_done[]){ { 1, one, 0 }, { 1, four, 0 } },
		2),
	    0);
	snprintf(text, sizeof(text),
	    "{\"kind\":\"received\",\"cursor\":2,\"sequence\":%llu}",
	    (unsigned long long)two);
	append(text);
	commit();
	journal_view_close(&view);
}

/* The export of a journal, to be freed. */
static char *
print(const char *name)
{
	char *text = NULL;
	uint64_t passed_over = 99;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	open_journal(name, false);
	ck_assert_int_eq(journal_export_print(&view, out, &passed_over), 0);
	ck_assert_uint_eq(passed_over, 0);
	journal_view_close(&view);
	fclose(out);
	return text;
}

/* journal_export_read() and, if that is well, write(). */
static int
import(const char *name, const char *text, struct journal_export *export)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	FILE *errors;
	int err;

	free(told);
	told = NULL;
	errors = open_memstream(&told, &told_length);
	open_journal(name, true);
	err = journal_export_read(in, "lines", errors, &view, export);
	if (err == 0)
		err = journal_export_write(export, &view);
	journal_export_fini(export);
	journal_view_close(&view);
	fclose(in);
	fclose(errors);
	return err;
}

/* The same text without what an import numbers anew. */
static char *
without_sequences(const char *text)
{
	char *copy = strdup(text), *at = copy;
	size_t length;

	while ((at = strstr(at, "\"sequence\":")) != NULL) {
		at += strlen("\"sequence\":");
		length = strspn(at, "0123456789");
		memmove(at, at + length, strlen(at + length) + 1);
	}
	return copy;
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

START_TEST(prints_what_waits_and_for_whom)
{
	char *text;

	make_journal("a");
	text = print("a");
	ck_assert(
	    strncmp(text, "{\"kind\":\"journal\",\"version\":1}\n", 31) == 0);
	ck_assert(has(text, "\"client_id\":\"first\""));
	ck_assert(has(text, "\"filter\":\"a/#\""));
	ck_assert(has(text, "\"name\":\"cloud\""));
	/* "one": the first session has it. */
	ck_assert(has(text,
	    "\"payload_base64\":\"b25l\",\"receivers\":[{\"cursor\":2,"
	    "\"qos\":2}]}\n"));
	/* "two": both, in their order. */
	ck_assert(has(text,
	    "\"payload_base64\":\"dHdv\",\"receivers\":[{\"cursor\":3,"
	    "\"qos\":1,\"flags\":1,\"identifiers\":[5,6]},{\"cursor\":2,"
	    "\"qos\":2}]}\n"));
	ck_assert(has(text, "\"payload_base64\":\"dGhyZWU=\""));
	/* "four" waits for nobody. */
	ck_assert(!has(text, "Zm91cg=="));
	ck_assert(has(text,
	    "{\"kind\":\"unfinished\",\"cursor\":1,"
	    "\"packet_ids\":[77]}\n"));
	ck_assert(has(text, "{\"kind\":\"end\",\"lines\":"));
	free(text);
}
END_TEST

START_TEST(an_import_exports_the_same)
{
	struct journal_export export;
	char *a, *b, *c, *plain_b, *plain_c;

	make_journal("a");
	a = print("a");
	ck_assert_msg(import("b", a, &export) == 0, "%s", told);
	ck_assert_uint_eq(export.messages, 3);
	ck_assert_uint_eq(export.unanswered, 1);
	b = print("b");
	ck_assert_msg(import("c", b, &export) == 0, "%s", told);
	ck_assert_uint_eq(export.unanswered, 0);
	c = print("c");

	ck_assert(has(b, "\"client_id\":\"second\""));
	ck_assert(has(b, "\"packet_ids\":[77]"));
	ck_assert(has(b, "\"payload_base64\":\"AP8=\""));
	ck_assert(has(b, "\"lane_sequence\":30"));
	/* What the subscriber had is not sent to it again. */
	ck_assert(has(b,
	    "\"payload_base64\":\"dHdv\",\"receivers\":[{\"cursor\":3,"
	    "\"qos\":1,\"flags\":1,\"identifiers\":[5,6]}]}\n"));
	ck_assert(!has(b, "\"received\""));
	ck_assert(!has(b, "\"publisher\""));

	plain_b = without_sequences(b);
	plain_c = without_sequences(c);
	ck_assert_str_eq(plain_b, plain_c);
	free(a);
	free(b);
	free(c);
	free(plain_b);
	free(plain_c);
}
END_TEST

/* A broker that has started once has its bridges in the journal. */
START_TEST(a_bridge_that_is_there_keeps_its_cursor)
{
	struct journal_export export;
	char *a, *b;

	make_journal("a");
	a = print("a");
	open_journal("b", true);
	ck_assert_int_eq(store_append_open(view.store, 1), 0);
	ck_assert_int_eq(store_append_open(view.store, 2), 0);
	append("{\"kind\":\"bridge\",\"cursor\":1,\"name\":\"other\"}");
	append("{\"kind\":\"bridge\",\"cursor\":2,\"name\":\"cloud\"}");
	commit();
	journal_view_close(&view);

	ck_assert_msg(import("b", a, &export) == 0, "%s", told);
	b = print("b");
	ck_assert(has(b,
	    "{\"kind\":\"bridge\",\"cursor\":1,"
	    "\"name\":\"other\"}\n"));
	ck_assert(has(b,
	    "{\"kind\":\"bridge\",\"cursor\":2,"
	    "\"name\":\"cloud\"}\n"));
	ck_assert(has(b,
	    "\"payload_base64\":\"dGhyZWU=\",\"receivers\":[{\"cursor\":2,"));
	/* The sessions come behind all that was ever there. */
	ck_assert(has(b, "\"cursor\":3,\"client_id\":\"first\""));
	ck_assert(has(b, "\"cursor\":4,\"client_id\":\"second\""));
	ck_assert(has(b, "{\"kind\":\"unfinished\",\"cursor\":3,"));
	free(a);
	free(b);
}
END_TEST

static void
is_refused(const char *text, const char *why)
{
	struct journal_export export;
	struct store_stat stat;

	ck_assert_int_eq(import("b", text, &export), -EINVAL);
	ck_assert_msg(has(told, why), "%s", told);
	open_journal("b", false);
	store_stat(view.store, &stat);
	ck_assert_uint_eq(stat.last_sequence, 0);
	journal_view_close(&view);
}

START_TEST(changes_nothing_unless_all_of_it_is_right)
{
	char *a, *line, *end;

	make_journal("a");
	a = print("a");
	is_refused("\n", "lines:1: no JSON object");
	is_refused("[]\n", "lines:1: no JSON object: something else");
	is_refused("{\"kind\":\"bridge\"}\n", "lines:1: this is no export");
	is_refused("{\"kind\":\"journal\",\"version\":2}\n",
	    "lines:1: this is an export of another version");
	is_refused("{\"kind\":\"journal\",\"version\":1}\n",
	    "the last line is missing");
	is_refused("{\"kind\":\"journal\",\"version\":1}\n"
		   "{\"kind\":\"bridge\",\"cursor\":1}\n"
		   "{\"kind\":\"what\"}\n"
		   "{\"kind\":\"end\",\"lines\":4}\n",
	    "lines:2: name is missing, or no text\nlines:3: kind is none");

	/* Without its third line. */
	line = strchr(strchr(a, '\n') + 1, '\n') + 1;
	end = strchr(line, '\n') + 1;
	memmove(line, end, strlen(end) + 1);
	is_refused(a, "lines are missing");
	free(a);
}
END_TEST

START_TEST(compacting_keeps_all_of_it)
{
	struct store_stat before, after;
	char *a, *b;

	make_journal("a");
	a = print("a");
	open_journal("a", true);
	store_stat(view.store, &before);
	ck_assert_int_eq(journal_view_compact(&view), 0);
	store_stat(view.store, &after);
	ck_assert_uint_gt(
	    after.checkpoint_sequence, before.checkpoint_sequence);
	journal_view_close(&view);
	b = print("a");
	ck_assert_str_eq(a, b);
	free(a);
	free(b);
}
END_TEST

START_TEST(compacting_loses_no_record_of_another_version)
{
	uint64_t sequence;

	open_journal("a", true);
	ck_assert_int_eq(
	    store_append(view.store, 99, slice_of("\1", 1), &sequence), 0);
	commit();
	journal_view_close(&view);
	open_journal("a", true);
	ck_assert_int_eq(journal_view_compact(&view), -ENOTSUP);
	journal_view_close(&view);
}
END_TEST

START_TEST(many_messages_take_many_batches)
{
	struct journal_export export;
	char payload[4096], *a, *b;
	unsigned found = 0;

	memset(payload, 'x', sizeof(payload) - 1);
	payload[sizeof(payload) - 1] = '\0';
	open_journal("a", true);
	ck_assert_int_eq(store_append_open(view.store, 1), 0);
	append(SESSION("1", "first"));
	for (unsigned i = 0; i < 300; i++) {
		snprintf(payload, 10, "%09u", i);
		payload[9] = 'x';
		publish(payload, 1, 0);
		if (i % 20 != 0)
			continue;
		commit();
		store_tend(view.store);
	}
	commit();
	journal_view_close(&view);
	a = print("a");
	ck_assert_msg(import("b", a, &export) == 0, "%s", told);
	b = print("b");
	for (const char *at = b; (at = strstr(at, "\"message\"")) != NULL; at++)
		found++;
	ck_assert_uint_eq(found, 300);
	free(a);
	free(b);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("journal_export");
	TCase *tc = tcase_create("all");

	/* It waits for a disk that others may keep busy. */
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, prints_what_waits_and_for_whom);
	tcase_add_test(tc, an_import_exports_the_same);
	tcase_add_test(tc, a_bridge_that_is_there_keeps_its_cursor);
	tcase_add_test(tc, changes_nothing_unless_all_of_it_is_right);
	tcase_add_test(tc, compacting_keeps_all_of_it);
	tcase_add_test(tc, compacting_loses_no_record_of_another_version);
	tcase_add_test(tc, many_messages_take_many_batches);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
