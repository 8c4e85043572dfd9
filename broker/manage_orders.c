/* SPDX-License-Identifier: Apache-2.0 */

/* Orders that change what runs: the configuration, and bridges. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/disabled.h"
#include "broker/links_private.h"
#include "broker/links_words.h"
#include "broker/manage.h"
#include "broker/manage_file.h"
#include "broker/manage_orders.h"
#include "common/base/log.h"
#include "common/ring/ring_control.h"

#define MESSAGE_SIZE 2048u

/* ---- later --------------------------------------------------------------- */

struct order {
	struct mail mail; /* first */
	struct manage_ask *ask;
	json_t *question;
	manage_function run;
};

static void
open_order(struct mail *mail, void *owner)
{
	struct order *order = (struct order *)mail;

	(void)owner;
	order->run(order->ask, order->question);
	json_decref(order->question);
	free(order);
}

void
manage_defer(
    struct manage_ask *ask, const json_t *question, manage_function run)
{
	struct order *order = calloc(1, sizeof(*order));

	if (order == NULL) {
		manage_answer(ask, NULL);
		return;
	}
	order->mail.open = open_order;
	order->ask = ask;
	order->question = json_deep_copy(question);
	order->run = run;
	mailbox_put(ask->links->broker->links_mailbox, &order->mail);
	mailbox_wake(ask->links->broker->links_mailbox);
}

/* ---- reload -------------------------------------------------------------- */

static void
tell_programs(struct links *links)
{
	struct links_endpoint *endpoint;

	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		if (endpoint->connection != NULL)
			links_words_order(
			    endpoint->connection, RING_ORDER_RELOAD);
	}
}

/* Lines as an array. */
static json_t *
lines_of(char *text)
{
	json_t *array = json_array();
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (*line != '\0')
			json_array_append_new(array, json_string(line));
	return array;
}

/* In one line, for who looks at "message" only. */
static json_t *
sentence_of(const json_t *lines)
{
	char text[MESSAGE_SIZE];
	size_t at;

	at = (size_t)snprintf(text, sizeof(text),
	    "the old configuration stays in use, for in the new one:");
	for (size_t i = 0; i < json_array_size(lines) && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s",
		    i == 0 ? "" : ";",
		    json_string_value(json_array_get(lines, i)));
	return json_string(text);
}

void
manage_refuse_mistakes(struct manage_ask *ask, char *mistakes, int err)
{
	json_t *lines;

	if (mistakes == NULL || err != -EINVAL) {
		manage_refuse(ask, 500,
		    "the configuration cannot be read: %s; the old one stays "
		    "in use",
		    strerror(-err));
		return;
	}
	lines = lines_of(mistakes);
	manage_answer(ask,
	    json_pack("{s:i, s:o?, s:o}", "status", 422, "message",
		sentence_of(lines), "mistakes", lines));
}

void
manage_reload_and_answer(struct manage_ask *ask, json_t *answer)
{
	struct broker *broker = ask->links->broker;
	char *notes = NULL, *mistakes = NULL;
	size_t length;
	int err = -ENOMEM;

	broker->reload_notes = open_memstream(&notes, &length);
	if (broker->reload_notes != NULL) {
		err = broker_reload_file(broker, &mistakes);
		fclose(broker->reload_notes);
		broker->reload_notes = NULL;
	}
	if (err == 0) {
		tell_programs(ask->links);
		json_object_set_new(answer, "restart", lines_of(notes));
		manage_answer(ask, answer);
	} else {
		json_decref(answer);
		manage_refuse_mistakes(ask, mistakes, err);
	}
	free(mistakes);
	free(notes);
}

static void
run_reload(struct manage_ask *ask, const json_t *question)
{
	(void)question;
	manage_reload_and_answer(ask, json_pack("{s:b}", "reloaded", 1));
}

void
manage_reload(struct manage_ask *ask, const json_t *question)
{
	manage_defer(ask, question, run_reload);
}

/* ---- bridges are disabled and enabled ------------------------------------ */

struct switching {
	struct manage_ask *ask;
	uint32_t link;
	bool is_disabled; /* to be */
};

struct links_endpoint *
manage_bridge_of(struct manage_ask *ask, const json_t *question)
{
	struct links *links = ask->links;
	struct links_endpoint *endpoint;
	struct slice name;

	if (manage_needs_string(ask, question, "name", &name) != 0)
		return NULL;
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (slice_equal_string(name, endpoint->identity.name))
			return endpoint;
	}
	manage_refuse(ask, 404, "there is no bridge \"%.*s\"",
	    (int)(name.len > 64 ? 64 : name.len), name.data);
	return NULL;
}

/* The file as it is to be; NULL without memory. */
static char *
list_disabled(const struct links *links, const struct switching *switching)
{
	const struct links_endpoint *endpoint;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (out == NULL)
		return NULL;
	fputs("# Bridges that were disabled by order; weirctl bridge enable "
	      "NAME\n",
	    out);
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		if (endpoint != NULL &&
		    (i == switching->link ? switching->is_disabled
					  : endpoint->is_disabled))
			fprintf(out, "%s\n", endpoint->identity.name);
	}
	fclose(out);
	return text;
}

static void
answer_switched(struct manage_ask *ask, const struct links_endpoint *endpoint)
{
	manage_answer(ask,
	    json_pack("{s:s, s:b}", "name", endpoint->identity.name, "enabled",
		(int)!endpoint->is_disabled));
}

static void
on_switched(void *context, int err)
{
	struct switching *switching = context;
	struct manage_ask *ask = switching->ask;
	struct links_endpoint *endpoint =
	    ask->links->endpoints[switching->link];

	if (err != 0) {
		manage_refuse(ask, 500,
		    "this cannot be kept in state_dir: %s; nothing was changed",
		    strerror(-err));
		free(switching);
		return;
	}
	endpoint->is_disabled = switching->is_disabled;
	free(switching);
	log_info("bridge_switched", "bridge=%s enabled=%s",
	    log_quote(endpoint->identity.name),
	    endpoint->is_disabled ? "no" : "yes");
	if (endpoint->connection != NULL)
		links_words_order(endpoint->connection,
		    endpoint->is_disabled ? RING_ORDER_DISABLE
					  : RING_ORDER_ENABLE);
	answer_switched(ask, endpoint);
}

static void
begin_switching(struct manage_ask *ask, const struct links_endpoint *endpoint)
{
	struct switching *switching = calloc(1, sizeof(*switching));
	char path[PATH_MAX], *text = NULL;
	int err = -ENOMEM;

	if (switching != NULL) {
		*switching = (struct switching){ ask, endpoint->id,
			!endpoint->is_disabled };
		text = list_disabled(ask->links, switching);
		snprintf(path, sizeof(path), "%s/%s",
		    ask->links->broker->conf->state_dir, DISABLED_FILE);
	}
	if (text != NULL)
		err = manage_file_write(
		    ask->links, path, text, 0600, on_switched, switching);
	free(text);
	if (err == 0)
		return;
	free(switching);
	manage_refuse(ask, 503,
	    err == -EBUSY ? "another change is being kept: try again"
			  : "the broker has no memory for this");
}

void
manage_bridge_enable(struct manage_ask *ask, const json_t *question)
{
	const json_t *enable = json_object_get(question, "enable");
	const struct links_endpoint *endpoint;

	if (!json_is_boolean(enable)) {
		manage_refuse(ask, 400, "\"enable\" must be true or false");
		return;
	}
	endpoint = manage_bridge_of(ask, question);
	if (endpoint == NULL)
		return;
	if (json_is_true(enable) == !endpoint->is_disabled)
		answer_switched(ask, endpoint);
	else
		begin_switching(ask, endpoint);
}
