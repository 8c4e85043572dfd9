/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/links_private.h"
#include "common/base/utf8.h"
#include "common/msg/ask.h"

#define REASON_SIZE 512u

/* What an identity must be allowed. */
enum manage_needs {
	NEEDS_NOTHING, /* weir-httpd itself may ask, too */
	NEEDS_READ,
	NEEDS_MANAGE
};

struct manage_row {
	const char *name;
	enum manage_needs needs;
	manage_function run;
};

static const struct manage_row rows[] = {
#define MANAGE_ASK(name, right) { #name, NEEDS_##right, manage_##name },
#include "broker/manage_asks.def"
#undef MANAGE_ASK
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* ---- answers ------------------------------------------------------------ */

void
manage_answer_text(
    struct manage_ask *ask, unsigned status, char *text, size_t length)
{
	if (text != NULL && length > ASK_ANSWER_MAX) {
		free(text);
		manage_refuse(ask, 413,
		    "the answer has %zu bytes, %u are the most: ask for a "
		    "page of it, with a smaller \"limit\"",
		    length, ASK_ANSWER_MAX);
		return;
	}
	ask->status = text == NULL ? 503 : status;
	ask->text = text;
	ask->length = text == NULL ? 0 : length;
	ask->answered(ask);
}

void
manage_answer(struct manage_ask *ask, json_t *answer)
{
	json_t *status = json_object_get(answer, "status");
	unsigned code = 200;
	char *text;

	if (status != NULL)
		code = (unsigned)json_integer_value(status);
	else
		json_object_set_new(answer, "status", json_integer(200));
	text = answer == NULL ? NULL : json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	manage_answer_text(ask, code, text, text == NULL ? 0 : strlen(text));
}

/* What was cut short may end within a character: no text for JSON. */
static void
make_text(char *reason)
{
	if (utf8_is_valid(slice_of_string(reason)))
		return;
	for (; *reason != '\0'; reason++)
		if ((unsigned char)*reason >= 0x80)
			*reason = '?';
}

void
manage_refuse(struct manage_ask *ask, unsigned status, const char *format, ...)
{
	char reason[REASON_SIZE];
	va_list list;

	va_start(list, format);
	vsnprintf(reason, sizeof(reason), format, list);
	va_end(list);
	make_text(reason);
	manage_answer(ask,
	    json_pack("{s:i, s:s}", "status", (int)status, "message", reason));
}

/* ---- questions ---------------------------------------------------------- */

int
manage_string(struct manage_ask *ask, const json_t *question, const char *key,
    struct slice *out_value)
{
	const json_t *value = json_object_get(question, key);

	if (value == NULL)
		return -ENOENT;
	if (!json_is_string(value) || json_string_length(value) > UINT16_MAX) {
		manage_refuse(ask, 400,
		    "\"%s\" must be a string of at most 65,535 bytes", key);
		return -EINVAL;
	}
	*out_value =
	    slice_of(json_string_value(value), json_string_length(value));
	return 0;
}

int
manage_needs_string(struct manage_ask *ask, const json_t *question,
    const char *key, struct slice *out_value)
{
	int err = manage_string(ask, question, key, out_value);

	if (err == -ENOENT)
		manage_refuse(ask, 400, "\"%s\" is missing", key);
	return err;
}

/* A number of the question, `least` .. `most`. */
static int
number(struct manage_ask *ask, const json_t *question, const char *key,
    uint64_t most, uint64_t *value)
{
	const json_t *given = json_object_get(question, key);

	if (given == NULL)
		return 0;
	if (!json_is_integer(given) || json_integer_value(given) < 1 ||
	    (uint64_t)json_integer_value(given) > most) {
		manage_refuse(ask, 400,
		    "\"%s\" must be a number from 1 to %llu", key,
		    (unsigned long long)most);
		return -EINVAL;
	}
	*value = (uint64_t)json_integer_value(given);
	return 0;
}

int
manage_page_of(struct manage_ask *ask, const json_t *question,
    struct manage_page *out_page)
{
	struct manage_page page = { .limit = ASK_LIMIT, .page = 1 };
	int err;

	err = number(ask, question, "limit", ASK_LIMIT_MAX, &page.limit);
	if (err == 0)
		err = number(ask, question, "page", UINT32_MAX, &page.page);
	if (err != 0)
		return err;
	page.skip = (page.page - 1) * page.limit;
	*out_page = page;
	return 0;
}

static const struct manage_row *
find_row(const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static void
refuse_unknown(struct manage_ask *ask)
{
	char known[REASON_SIZE / 2];
	size_t length = 0;

	known[0] = '\0';
	for (size_t i = 0; i < ROWS && length < sizeof(known); i++)
		length +=
		    (size_t)snprintf(known + length, sizeof(known) - length,
			"%s%s", i == 0 ? "" : ", ", rows[i].name);
	manage_refuse(
	    ask, 501, "\"ask\" names nothing that is known: %s", known);
}

/* Has it the right?  Else it was refused. */
static bool
is_allowed(struct manage_ask *ask, const struct manage_row *row)
{
	const struct auth *auth = ask->links->broker->auth;
	const enum auth_right right =
	    row->needs == NEEDS_MANAGE ? AUTH_MANAGE : AUTH_READ;

	if (ask->has_all_rights || row->needs == NEEDS_NOTHING ||
	    auth_identity_may(auth, ask->identity, right))
		return true;
	if (!auth_identity_is_valid(auth, ask->identity))
		manage_refuse(ask, 401,
		    "the account or its password has changed: give the "
		    "credentials again");
	else
		manage_refuse(ask, 403,
		    "\"%s\" needs the scope \"%s\", which this account does "
		    "not have",
		    row->name, right == AUTH_MANAGE ? "manage" : "read");
	return false;
}

static void
run(struct manage_ask *ask, const json_t *question)
{
	const char *name = json_string_value(json_object_get(question, "ask"));
	const struct manage_row *row;

	if (!json_is_object(question) || name == NULL) {
		manage_refuse(ask, 400,
		    "a question is one object with \"ask\", a string");
		return;
	}
	row = find_row(name);
	if (row == NULL)
		refuse_unknown(ask);
	else if (is_allowed(ask, row))
		row->run(ask, question);
}

void
manage_run(struct manage_ask *ask, struct slice text)
{
	json_error_t error;
	json_t *question;

	ask->text = NULL;
	ask->length = 0;
	if (text.len > ASK_MAX) {
		manage_refuse(
		    ask, 413, "a question has at most %u bytes", ASK_MAX);
		return;
	}
	question = json_loadb(
	    (const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &error);
	if (question == NULL) {
		manage_refuse(ask, 400, "this is not JSON: line %d: %s",
		    error.line, error.text);
		return;
	}
	run(ask, question);
	json_decref(question);
}
