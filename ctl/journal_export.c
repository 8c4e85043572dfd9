/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/journal_json.h"
#include "ctl/journal_room.h"

/* Mistakes that are told one by one. */
#define ERRORS_MAX 20

/* A batch is written when it has so many bytes. */
#define BATCH_BYTES (UINT64_C(1) << 20)

/* Numbers of cursors in an export, so that none overflows. */
#define CURSOR_MAX (UINT64_MAX / 4)

/* A line with a record; `record` is what it is. */
typedef int (*line_fn)(struct journal_export *export,
    const struct journal_record *record, void *arg);

static int
complain(struct journal_export *export, const char *what)
{
	export->mistakes++;
	if (export->mistakes <= ERRORS_MAX)
		fprintf(export->errors, "%s:%" PRIu64 ": %s\n", export->name,
		    export->lines, what);
	return -EINVAL;
}

/* ---- cursors ------------------------------------------------------------- */

static uint64_t
new_cursor(const struct journal_export *export, uint64_t from)
{
	for (size_t i = 0; i < export->bridge_count; i++)
		if (export->bridges[i].from == from)
			return export->bridges[i].to;
	return export->first_cursor - 1 + from;
}

/* In place; what is no good number is left to the reader to complain of. */
static void
renumber(const struct journal_export *export, json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);
	json_int_t from = json_integer_value(value);

	if (from > 0 && (uint64_t)from < CURSOR_MAX)
		json_object_set_new(object, field,
		    journal_json_number(new_cursor(export, (uint64_t)from)));
}

static void
renumber_all(const struct journal_export *export, json_t *object)
{
	json_t *receiver;
	size_t index;

	renumber(export, object, "cursor");
	renumber(export, object, "publisher");
	json_array_foreach(json_object_get(object, "receivers"), index,
	    receiver) renumber(export, receiver, "cursor");
}

struct bridge_search {
	struct journal_export *export;
	struct slice name;
	uint64_t from;
};

static int
match_bridge(void *arg, const struct journal_owner *owner)
{
	struct bridge_search *search = arg;
	struct journal_export *export = search->export;
	struct journal_cursor_pair *grown;

	if (owner->kind != JOURNAL_BRIDGE ||
	    !slice_equal(owner->name, search->name))
		return 0;
	grown = reallocarray(
	    export->bridges, export->bridge_count + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	export->bridges = grown;
	grown[export->bridge_count++] =
	    (struct journal_cursor_pair){ search->from, owner->cursor };
	return 1;
}

/* A bridge that this journal knows keeps its cursor.  0 or -ENOMEM. */
static int
match_bridges(struct journal_export *export, const json_t *object,
    const struct journal_view *into)
{
	const json_t *name = json_object_get(object, "name");
	struct bridge_search search = {
		.export = export,
		.name =
		    slice_of(json_string_value(name), json_string_length(name)),
		.from = (uint64_t)json_integer_value(
		    json_object_get(object, "cursor")),
	};
	int found;

	if (!json_is_string(name))
		return 0;
	found = journal_state_each_owner(into->state, match_bridge, &search);
	return found < 0 ? found : 0;
}

/* ---- lines --------------------------------------------------------------- */

/* The first and the last line; 1: it is one of them. */
static int
take_frame(struct journal_export *export, const json_t *object)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	json_int_t number;

	if (kind != NULL && strcmp(kind, JOURNAL_EXPORT_BEGIN) == 0) {
		number = json_integer_value(json_object_get(object, "version"));
		if (number != JOURNAL_EXPORT_VERSION)
			return complain(
			    export, "this is an export of another version");
		export->has_begin = true;
		return 1;
	}
	if (!export->has_begin)
		return complain(export,
		    "this is no export of weirctl store: the first line is not "
		    "{\"kind\": \"journal\", ...}");
	if (kind == NULL || strcmp(kind, JOURNAL_EXPORT_END) != 0)
		return 0;
	number = json_integer_value(json_object_get(object, "lines"));
	if (number < 0 || (uint64_t)number != export->lines)
		return complain(export, "lines are missing");
	export->has_end = true;
	return 1;
}

static int
take_object(struct journal_export *export, const struct journal_view *into,
    json_t *object, line_fn each, void *arg)
{
	char fault[JOURNAL_JSON_FAULT_SIZE];
	struct journal_record record;
	const char *kind;
	int err;

	err = take_frame(export, object);
	if (err != 0)
		return err < 0 ? err : 0;
	kind = json_string_value(json_object_get(object, "kind"));
	if (into != NULL && kind != NULL && strcmp(kind, "bridge") == 0)
		err = match_bridges(export, object, into);
	if (err != 0)
		return err;
	renumber_all(export, object);
	err = journal_json_to_record(object, &record, fault);
	if (err == -EINVAL)
		return complain(export, fault);
	if (err != 0)
		return err;
	err = each(export, &record, arg);
	journal_record_fini(&record);
	return err;
}

static int
take_line(struct journal_export *export, const struct journal_view *into,
    const char *text, size_t length, line_fn each, void *arg)
{
	char what[JSON_ERROR_TEXT_LENGTH + 32];
	json_error_t error;
	json_t *object;
	int err;

	export->lines++;
	object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object)) {
		snprintf(what, sizeof(what), "no JSON object: %s",
		    object == NULL ? error.text : "something else");
		json_decref(object);
		return complain(export, what);
	}
	err = take_object(export, into, object, each, arg);
	json_decref(object);
	return err;
}

/* All of the file; `into`: look for its bridges, the first time. */
static int
take_lines(struct journal_export *export, const struct journal_view *into,
    line_fn each, void *arg)
{
	char *text = NULL;
	size_t size = 0;
	ssize_t length;
	int err = 0;

	rewind(export->in);
	export->lines = 0;
	export->has_begin = export->has_end = false;
	while ((length = getline(&text, &size, export->in)) > 0) {
		err = take_line(export, into, text, (size_t)length, each, arg);
		if (err != 0 && err != -EINVAL)
			break;
	}
	free(text);
	if (ferror(export->in))
		return errno != 0 ? -errno : -EIO;
	if (err != 0 && err != -EINVAL)
		return err;
	if (export->mistakes == 0 && !export->has_end)
		complain(export, "the last line is missing: it is not whole");
	return export->mistakes == 0 ? 0 : -EINVAL;
}

/* ---- reading ------------------------------------------------------------- */

static int
read_record(struct journal_export *export, const struct journal_record *record,
    void *arg)
{
	(void)arg;
	if (record->kind != STORE_MESSAGE)
		return journal_state_apply(
		    export->state, record->kind, record->body);
	export->messages++;
	return 0;
}

int
journal_export_read(FILE *in, const char *name, FILE *errors,
    const struct journal_view *into, struct journal_export *out_export)
{
	struct journal_export *export = out_export;
	int err;

	*export = (struct journal_export){
		.in = in,
		.name = name,
		.errors = errors,
		.state = journal_state_new(),
		.first_cursor = store_next_cursor(into->store),
	};
	if (export->state == NULL)
		return -ENOMEM;
	if (export->first_cursor == 0)
		export->first_cursor = 1;
	err = take_lines(export, into, read_record, NULL);
	if (export->mistakes > ERRORS_MAX)
		fprintf(errors, "%s: %u more lines with mistakes\n", name,
		    export->mistakes - ERRORS_MAX);
	return err;
}

/* ---- writing ------------------------------------------------------------- */

struct writing {
	struct store *store;
	struct journal_room room;
	uint64_t batch_bytes;
};

static int
commit(struct writing *writing)
{
	int err = store_commit(writing->store, true);

	writing->batch_bytes = 0;
	/* There is no keeper's thread here. */
	store_tend(writing->store);
	return err;
}

static int
append(struct writing *writing, const struct store_message *message)
{
	uint64_t sequence;
	int err;

	err = store_append_message(writing->store, message, &sequence);
	/* The segment is full; or only the next one was not ready. */
	if (err != -EAGAIN && err != -ENOSPC)
		return err;
	err = commit(writing);
	if (err == 0)
		err = store_append_message(writing->store, message, &sequence);
	return err;
}

static int
write_record(struct journal_export *export, const struct journal_record *record,
    void *arg)
{
	struct writing *writing = arg;
	struct store_delivery *deliveries;
	struct store_message message;
	size_t kept = 0;
	int err;

	if (record->kind != STORE_MESSAGE)
		return 0;
	err = journal_room_parse(&writing->room, record->body, &message);
	if (err != 0)
		return err;
	deliveries = writing->room.deliveries;
	for (size_t i = 0; i < message.delivery_count; i++)
		if (!journal_state_is_received(
			export->state, deliveries[i].cursor, record->sequence))
			deliveries[kept++] = deliveries[i];
	export->unanswered += message.delivery_count - kept;
	message.delivery_count = kept;
	/* Who published it is answered already, or is in UNFINISHED. */
	message.publisher = message.packet_id = 0;
	if (kept == 0)
		return 0;
	err = append(writing, &message);
	writing->batch_bytes += record->body.len;
	if (err == 0 && writing->batch_bytes >= BATCH_BYTES)
		err = commit(writing);
	return err;
}

static bool
is_bridge_there(const struct journal_export *export, uint64_t cursor)
{
	for (size_t i = 0; i < export->bridge_count; i++)
		if (export->bridges[i].to == cursor)
			return true;
	return false;
}

struct opening {
	const struct journal_export *export;
	struct store *store;
};

/* Sessions that end with their connection have no place in the journal. */
static int
open_owner(void *arg, const struct journal_owner *owner)
{
	struct opening *opening = arg;

	if (owner->kind == JOURNAL_UNKNOWN ||
	    (owner->session != NULL && owner->session->expiry_ns == 0) ||
	    is_bridge_there(opening->export, owner->cursor))
		return 0;
	return store_append_open(opening->store, owner->cursor);
}

static int
put_record(void *arg, uint8_t kind, struct slice body)
{
	return store_checkpoint_put(arg, kind, body);
}

static int
write_checkpoint(struct journal_export *export, struct journal_view *into)
{
	struct store_checkpoint *checkpoint;
	int err;

	err = store_checkpoint_begin(into->store, &checkpoint);
	if (err != 0)
		return err;
	/* What was there: bridges, and lanes that are in it. */
	err = journal_state_each_record(into->state, put_record, checkpoint);
	if (err == 0)
		err = journal_state_each_record(
		    export->state, put_record, checkpoint);
	if (err == 0)
		return store_checkpoint_end(checkpoint);
	store_checkpoint_abort(checkpoint);
	return err;
}

int
journal_export_write(struct journal_export *export, struct journal_view *into)
{
	struct writing writing = {
		.store = into->store,
	};
	struct opening opening = { export, into->store };
	int err;

	store_tend(into->store);
	err = journal_state_each_owner(export->state, open_owner, &opening);
	if (err == 0)
		err = commit(&writing);
	if (err == 0)
		err = take_lines(export, NULL, write_record, &writing);
	if (err == 0)
		err = commit(&writing);
	if (err == 0)
		err = write_checkpoint(export, into);
	journal_room_fini(&writing.room);
	return err;
}

void
journal_export_fini(struct journal_export *export)
{
	journal_state_free(export->state);
	free(export->bridges);
	export->state = NULL;
	export->bridges = NULL;
}
