/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/held.h"

#include <string.h>

#include "broker/client.h"
#include "broker/worker.h"
#include "common/base/clock.h"

#define TELL_NS (200 * CLOCK_MS_NS)

/* "NAME," for each, and what else is on the line. */
#define LINE_SIZE (HELD_NAMES * HELD_NAME_SIZE + 2)

static void
add_client(struct held_clients *clients, const struct client *client)
{
	const struct session *session = client->session;
	struct slice id;
	unsigned bridge;

	for (uint64_t left = client->held_for; left != 0; left &= left - 1) {
		bridge = (unsigned)__builtin_ctzll(left);
		if (bridge < CONF_MAX_BRIDGES)
			clients->count[bridge]++;
	}
	if (clients->named == HELD_NAMES || session == NULL)
		return;
	clients->client[clients->named].bridges = client->held_for;
	id = session_id(session);
	board_word(id.data, id.len, clients->client[clients->named].name,
	    HELD_NAME_SIZE);
	clients->named++;
}

static void
tell(void *arg)
{
	struct worker *worker = arg;
	struct held_clients clients = { .named = 0 };
	const struct client *client;

	for (client = worker->stalled.first; client != NULL;
	     client = client->next_stalled)
		add_client(&clients, client);
	board_write(&worker->held.board, &clients, sizeof(clients));
	/* The last time it says that there are none. */
	if (worker->stalled.first != NULL)
		loop_timer_start(&worker->held.timer, TELL_NS);
}

void
held_init(struct worker *worker)
{
	loop_timer_init(&worker->held.timer, worker->loop, tell, worker);
}

void
held_fini(struct worker *worker)
{
	loop_timer_stop(&worker->held.timer);
}

void
held_note(struct worker *worker)
{
	if (!loop_timer_is_running(&worker->held.timer))
		loop_timer_start(&worker->held.timer, TELL_NS);
}

void
held_add(const struct held *held, struct held_clients *clients)
{
	uint8_t bytes[BOARD_MAX];
	struct held_clients more;

	if (board_read(&held->board, bytes) != sizeof(more))
		return;
	memcpy(&more, bytes, sizeof(more));
	for (unsigned i = 0; i < CONF_MAX_BRIDGES; i++)
		clients->count[i] += more.count[i];
	for (unsigned i = 0; i < more.named; i++) {
		if (clients->named == HELD_NAMES)
			break;
		clients->client[clients->named++] = more.client[i];
	}
}

void
held_write(const struct held_clients *clients, unsigned bridge,
    struct board_text *text)
{
	char names[LINE_SIZE] = "";
	uint32_t named = 0;

	for (unsigned i = 0; i < clients->named; i++) {
		if ((clients->client[i].bridges >> bridge & 1) == 0)
			continue;
		strcat(names, named++ == 0 ? "" : ",");
		strcat(names, clients->client[i].name);
	}
	if (named < clients->count[bridge])
		strcat(names, named == 0 ? "+" : ",+");
	if (clients->count[bridge] != 0)
		board_text_line(text, "publishers %u %s",
		    (unsigned)clients->count[bridge], names);
}
