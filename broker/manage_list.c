/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg/ask.h"

#define FIRST_SIZE 4096u
#define HEAD_SIZE 128u

void
manage_list_init(
    struct manage_list *list, const struct manage_page *page, const char *name)
{
	*list = (struct manage_list){ .page = *page, .name = name };
}

void
manage_list_fini(struct manage_list *list)
{
	free(list->text);
	list->text = NULL;
}

bool
manage_list_wants(const struct manage_list *list)
{
	return list->count >= list->page.skip && !manage_list_is_full(list) &&
	    !list->has_failed && !list->is_too_long;
}

bool
manage_list_is_full(const struct manage_list *list)
{
	return list->count >= list->page.skip + list->page.limit;
}

static bool
make_room(struct manage_list *list, size_t more)
{
	size_t size = list->size == 0 ? FIRST_SIZE : list->size;
	char *text;

	if (list->length + more > ASK_ANSWER_MAX - HEAD_SIZE) {
		list->is_too_long = true;
		return false;
	}
	while (size < list->length + more)
		size *= 2;
	if (size == list->size)
		return true;
	text = realloc(list->text, size);
	if (text == NULL) {
		list->has_failed = true;
		return false;
	}
	list->text = text;
	list->size = size;
	return true;
}

void
manage_list_add(struct manage_list *list, json_t *entry)
{
	char *text = entry == NULL ? NULL : json_dumps(entry, JSON_COMPACT);
	size_t length = text == NULL ? 0 : strlen(text);

	json_decref(entry);
	list->count++;
	if (text == NULL) {
		list->has_failed = true;
		return;
	}
	if (make_room(list, length + 1)) {
		if (list->length != 0)
			list->text[list->length++] = ',';
		memcpy(list->text + list->length, text, length);
		list->length += length;
	}
	free(text);
}

void
manage_list_pass(struct manage_list *list, uint64_t count)
{
	list->count += count;
}

/* The whole: head, entries, end. */
static char *
compose(const struct manage_list *list, size_t *out_length)
{
	char *text = malloc(HEAD_SIZE + list->length + 3);
	size_t at;

	if (text == NULL)
		return NULL;
	at = (size_t)snprintf(text, HEAD_SIZE,
	    "{\"status\":200,\"count\":%" PRIu64 ",\"page\":%" PRIu64
	    ",\"limit\":%" PRIu64 ",\"%s\":[",
	    list->count, list->page.page, list->page.limit, list->name);
	if (list->length != 0)
		memcpy(text + at, list->text, list->length);
	at += list->length;
	memcpy(text + at, "]}", 3);
	*out_length = at + 2;
	return text;
}

void
manage_list_answer(struct manage_list *list, struct manage_ask *ask)
{
	size_t length = 0;
	char *text = NULL;

	if (list->is_too_long) {
		manage_refuse(ask, 413,
		    "a page of %" PRIu64 " entries is longer than %u bytes: "
		    "ask for less with \"limit\"",
		    list->page.limit, ASK_ANSWER_MAX);
	} else {
		if (!list->has_failed)
			text = compose(list, &length);
		manage_answer_text(ask, 200, text, length);
	}
	manage_list_fini(list);
}
