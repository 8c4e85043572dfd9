/* SPDX-License-Identifier: Apache-2.0 */

/* Dead letters: what there is, one of them, and what is to become of them. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/links_dead.h"
#include "broker/links_private.h"
#include "broker/manage.h"
#include "broker/manage_orders.h"
#include "common/base/base64.h"
#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/msg/record.h"

/* ---- which --------------------------------------------------------------- */

/* A number, or its digits as a path has them; 0: neither. */
static uint64_t
id_of(const json_t *question)
{
	const json_t *id = json_object_get(question, "id");
	const char *text = json_string_value(id);
	uint64_t value = 0;

	if (json_is_integer(id) && json_integer_value(id) > 0)
		return (uint64_t)json_integer_value(id);
	if (text == NULL || *text == '\0' || strlen(text) > 18)
		return 0;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return *text == '\0' ? value : 0;
}

/* NULL: the ask was refused. */
static struct dead_letter *
letter_of(struct manage_ask *ask, const json_t *question,
    const struct links_endpoint *endpoint)
{
	const uint64_t id = id_of(question);
	struct dead_letter *letter;

	if (id == 0) {
		manage_refuse(
		    ask, 400, "\"id\" has to be the number of a dead letter");
		return NULL;
	}
	letter = dead_find(&endpoint->dead, id);
	if (letter == NULL)
		manage_refuse(ask, 404,
		    "the bridge \"%s\" has no dead letter %llu",
		    endpoint->identity.name, (unsigned long long)id);
	return letter;
}

/* ---- in words -------------------------------------------------------------
 */

static void
set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *
text(struct slice bytes)
{
	return json_stringn((const char *)bytes.data, bytes.len);
}

/* 2026-02-28T11:22:33Z */
static json_t *
time_text(uint64_t wall_ns)
{
	const time_t seconds = (time_t)(wall_ns / CLOCK_SECOND_NS);
	char buffer[32] = "";
	struct tm parts;

	if (gmtime_r(&seconds, &parts) != NULL)
		strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return json_string(buffer);
}

static json_t *
describe(const struct links_endpoint *endpoint,
    const struct dead_letter *letter, struct record_message *out_message)
{
	const struct slice body = dead_message(letter);
	json_t *object = json_object();

	*out_message = (struct record_message){ 0 };
	record_message_parse(body.data, body.len, out_message);
	set(object, "bridge", json_string(endpoint->identity.name));
	set(object, "id", json_integer((json_int_t)letter->id));
	set(object, "time", time_text(letter->wall_ns));
	set(object, "at",
	    json_real((double)letter->wall_ns / (double)CLOCK_SECOND_NS));
	set(object, "reason", text(dead_why(letter)));
	set(object, "attempts", json_integer(letter->attempts));
	set(object, "topic", text(out_message->topic));
	set(object, "qos", json_integer(out_message->qos));
	set(object, "retain", json_boolean(out_message->retain));
	set(object, "bytes",
	    json_integer((json_int_t)out_message->payload.len));
	return object;
}

/* As text where it is some, else as base64. */
static void
set_payload(json_t *object, struct slice payload)
{
	json_t *value = utf8_is_valid(payload) ? text(payload) : NULL;
	char *encoded;

	if (value != NULL) {
		set(object, "payload", value);
		set(object, "encoding", json_string("plain"));
		return;
	}
	encoded = malloc(BASE64_LENGTH(payload.len) + 1);
	if (encoded == NULL)
		return;
	base64_encode(payload, encoded);
	set(object, "payload", json_string(encoded));
	set(object, "encoding", json_string("base64"));
	free(encoded);
}

/* ---- the asks -------------------------------------------------------------
 */

/* A part of a list that goes over bridges. */
struct listing {
	struct manage_page page;
	uint64_t count; /* of all so far */
	json_t *list;
};

static void
list_letters(struct listing *listing, const struct links_endpoint *endpoint)
{
	const struct manage_page *page = &listing->page;
	const struct dead_letter *letter;
	struct record_message message;

	for (letter = endpoint->dead.first; letter != NULL;
	     letter = letter->next, listing->count++)
		if (listing->count >= page->skip &&
		    listing->count - page->skip < page->limit)
			json_array_append_new(listing->list,
			    describe(endpoint, letter, &message));
}

void
manage_dead(struct manage_ask *ask, const json_t *question)
{
	const bool all = json_object_get(question, "name") == NULL;
	const struct links_endpoint *endpoint = NULL;
	struct listing listing = { .count = 0 };
	struct links *links = ask->links;

	if (!all) {
		endpoint = manage_bridge_of(ask, question);
		if (endpoint == NULL)
			return;
	}
	if (manage_page_of(ask, question, &listing.page) != 0)
		return;
	listing.list = json_array();
	if (!all)
		list_letters(&listing, endpoint);
	for (uint32_t i = 1; all && i < links->endpoint_count; i++)
		list_letters(&listing, links->endpoints[i]);
	manage_answer(ask,
	    json_pack("{s:I, s:o}", "count", (json_int_t)listing.count, "dead",
		listing.list));
}

void
manage_dead_show(struct manage_ask *ask, const json_t *question)
{
	const struct links_endpoint *endpoint = manage_bridge_of(ask, question);
	const struct dead_letter *letter;
	struct record_message message;
	json_t *object;

	if (endpoint == NULL)
		return;
	letter = letter_of(ask, question, endpoint);
	if (letter == NULL)
		return;
	object = describe(endpoint, letter, &message);
	set_payload(object, message.payload);
	manage_answer(ask, object);
}

static void
answer_count(struct manage_ask *ask, const struct links_endpoint *endpoint,
    const char *what, uint64_t count)
{
	manage_answer(ask,
	    json_pack("{s:s, s:I, s:I}", "name", endpoint->identity.name, what,
		(json_int_t)count, "left", (json_int_t)endpoint->dead.count));
}

static void
refuse_retry(
    struct manage_ask *ask, const struct links_endpoint *endpoint, int err)
{
	if (err == -EAGAIN)
		manage_refuse(ask, 429,
		    "the bridge \"%s\" has no room now, or the journal takes "
		    "nothing; try again later (weirctl why %s)",
		    endpoint->identity.name, endpoint->identity.name);
	else if (err == -EMSGSIZE)
		manage_refuse(ask, 413,
		    "its ring can never hold this message; raise "
		    "ring.max_capacity");
	else
		manage_refuse(ask, 500, "the letter is damaged");
}

void
manage_dead_retry(struct manage_ask *ask, const json_t *question)
{
	const bool all = json_is_true(json_object_get(question, "all"));
	struct links_endpoint *endpoint = manage_bridge_of(ask, question);
	struct dead_letter *letter, *next;
	uint64_t count = 0;
	int err = 0;

	if (endpoint == NULL)
		return;
	letter =
	    all ? endpoint->dead.first : letter_of(ask, question, endpoint);
	if (letter == NULL && !all)
		return;
	for (; letter != NULL && err == 0; letter = next) {
		next = all ? letter->next : NULL;
		err = links_dead_retry(endpoint, letter);
		count += err == 0;
	}
	if (err != 0 && count == 0)
		refuse_retry(ask, endpoint, err);
	else
		answer_count(ask, endpoint, "retried", count);
}

void
manage_dead_drop(struct manage_ask *ask, const json_t *question)
{
	const bool all = json_is_true(json_object_get(question, "all"));
	struct links_endpoint *endpoint = manage_bridge_of(ask, question);
	struct dead_letter *letter;
	uint64_t count = 0;

	if (endpoint == NULL)
		return;
	if (!all) {
		letter = letter_of(ask, question, endpoint);
		if (letter == NULL)
			return;
		links_dead_drop(endpoint, letter);
		count = 1;
	}
	for (; all && endpoint->dead.first != NULL; count++)
		links_dead_drop(endpoint, endpoint->dead.first);
	answer_count(ask, endpoint, "dropped", count);
}
