/* SPDX-License-Identifier: Apache-2.0 */

/* store list: sessions and bridges, and what waits for them. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/exit.h"
#include "ctl/cmd_store.h"
#include "ctl/escape.h"
#include "ctl/journal_json.h"
#include "ctl/table.h"

#define NEVER UINT64_MAX

/* Bytes of a name that are shown. */
#define SHOWN 40

static json_t *
number(uint64_t value)
{
	return journal_json_number(value);
}

static json_t *
text(struct slice s)
{
	return json_stringn(s.len == 0 ? "" : (const char *)s.data, s.len);
}

struct list {
	const struct store_call *call;
	struct store_reader *reader;
	const json_t *broker; /* NULL: none runs */
	uint64_t now_ns;      /* CLOCK_REALTIME */
	struct table *table;  /* NULL: JSON */
	json_t *array;
};

static int
take_created(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)sequence;
	(void)delivery;
	*(uint64_t *)arg = message->created_ns;
	return 0;
}

/* When the oldest message that waits was published; 0: none does. */
static uint64_t
oldest_ns(const struct list *list, const struct store_cursor *queue)
{
	uint64_t created_ns = 0, upto;

	if (queue->queued != 0)
		store_read(list->reader, queue->cursor, queue->floor + 1, 1, 1,
		    take_created, &created_ns, &upto);
	return created_ns;
}

/* "online", "cut off": connected when its broker died; or since when away. */
static const char *
state_of(const struct list *list, const struct journal_owner *owner, char *text)
{
	char away[32];

	if (owner->session == NULL)
		return owner->kind == JOURNAL_UNKNOWN ? "removed" : "–";
	if (owner->session->left_ns == 0)
		return list->broker != NULL ? "online" : "cut off";
	snprintf(text, 40, "away %s",
	    table_duration(list->now_ns > owner->session->left_ns
		    ? list->now_ns - owner->session->left_ns
		    : 0,
		away));
	return text;
}

static int
list_as_json(struct list *list, const struct journal_owner *owner)
{
	static const char *const kinds[] = { [JOURNAL_UNKNOWN] = "removed",
		[JOURNAL_SESSION] = "session",
		[JOURNAL_BRIDGE] = "bridge" };
	const struct store_session *session = owner->session;
	uint64_t created_ns = oldest_ns(list, &owner->queue);
	json_t *object = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "cursor",
	    number(owner->cursor), "kind", kinds[owner->kind], "name",
	    text(owner->name), "queued", number(owner->queue.queued),
	    "queued_bytes", number(owner->queue.queued_bytes), "floor",
	    number(owner->queue.floor));

	json_object_set_new(object, "oldest_ns",
	    created_ns == 0 ? json_null() : number(created_ns));
	if (session != NULL) {
		json_object_set_new(object, "account", text(session->account));
		json_object_set_new(
		    object, "subscriptions", number(owner->subscriptions));
		json_object_set_new(object, "online",
		    json_boolean(
			list->broker != NULL && session->left_ns == 0));
		json_object_set_new(object, "left_ns",
		    session->left_ns == 0 ? json_null()
					  : number(session->left_ns));
		json_object_set_new(object, "expiry_ns",
		    session->expiry_ns == NEVER ? json_null()
						: number(session->expiry_ns));
	}
	return json_array_append_new(list->array, object) == 0 ? 0 : -ENOMEM;
}

static int
list_as_row(struct list *list, const struct journal_owner *owner)
{
	static const char *const kinds[] = { [JOURNAL_UNKNOWN] = "–",
		[JOURNAL_SESSION] = "session",
		[JOURNAL_BRIDGE] = "bridge" };
	char cursor[24], state[40], floor[24], count[32], bytes[32], age[32];
	char subscriptions[24], name[ESCAPE_SIZE(SHOWN)];
	char account[ESCAPE_SIZE(SHOWN)];
	uint64_t created_ns = oldest_ns(list, &owner->queue);

	snprintf(cursor, sizeof(cursor), "%" PRIu64, owner->cursor);
	snprintf(floor, sizeof(floor), "%" PRIu64, owner->queue.floor);
	snprintf(
	    subscriptions, sizeof(subscriptions), "%zu", owner->subscriptions);
	escape_bytes(owner->name, SHOWN, name);
	escape_bytes(owner->session == NULL ? slice_of(NULL, 0)
					    : owner->session->account,
	    SHOWN, account);
	return table_row(list->table,
	    (const char *const[]){ cursor, kinds[owner->kind], name,
		account[0] == '\0' ? "–" : account,
		state_of(list, owner, state), subscriptions,
		table_count(owner->queue.queued, count),
		table_bytes(owner->queue.queued_bytes, bytes),
		created_ns == 0 || created_ns > list->now_ns
		    ? "–"
		    : table_duration(list->now_ns - created_ns, age),
		floor });
}

static int
list_owner(void *arg, const struct journal_owner *owner)
{
	struct list *list = arg;

	if (list->call->queued && owner->queue.queued == 0)
		return 0;
	return list->table != NULL ? list_as_row(list, owner)
				   : list_as_json(list, owner);
}

static int
list_all(struct list *list, const struct journal_view *view)
{
	static const struct table_column columns[] = {
		{ "CURSOR", true },
		{ "KIND", false },
		{ "NAME", false },
		{ "ACCOUNT", false },
		{ "STATE", false },
		{ "SUBS", true },
		{ "QUEUED", true },
		{ "BYTES", true },
		{ "OLDEST", true },
		{ "FLOOR", true },
		{ NULL, false },
	};
	int err;

	if (!list->call->json)
		list->table = table_new(columns);
	else
		list->array = json_array();
	if (list->reader == NULL ||
	    (list->table == NULL && list->array == NULL))
		return -ENOMEM;
	err = journal_state_each_owner(view->state, list_owner, list);
	if (err == 0 && list->table != NULL)
		err = table_print(list->table);
	if (err == 0 && list->array != NULL &&
	    store_call_print(json_incref(list->array), JSON_INDENT(2)) !=
		EXIT_OK)
		err = -EIO;
	return err;
}

int
store_list_run(const struct store_call *call)
{
	struct list list = { .call = call };
	struct journal_view view;
	json_t *broker;
	int code, err;

	code = store_call_open(call, STORE_LOOK, &view);
	if (code == EXIT_OK) {
		broker = store_call_ask(call);
		list.broker = broker;
		list.now_ns = view.io.wall_ns(view.io.context);
		list.reader = store_reader_new(view.store);
		err = list_all(&list, &view);
		store_reader_free(list.reader);
		table_free(list.table);
		json_decref(list.array);
		json_decref(broker);
		if (err != 0) {
			fprintf(stderr, "weirctl store: cannot list: %s\n",
			    strerror(-err));
			code = EXIT_FAILED;
		}
	}
	journal_view_close(&view);
	return code;
}
