/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/held.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/board.h"
#include "httpd/lanes.h"
#include "httpd/pending.h"
#include "httpd/publish.h"

#define NAME_SIZE 64

/* Who waits for one lane. */
struct waiting {
	const void *owner; /* of the message before */
	uint32_t clients;
	unsigned names;
	bool has_more;
	char name[HELD_NAMES][NAME_SIZE];
};

static void
add_owner(void *context, const void *owner)
{
	struct waiting *waiting = context;
	char name[NAME_SIZE];
	const char *client;

	/* The messages of one request mostly follow each other. */
	if (owner == waiting->owner)
		return;
	waiting->owner = owner;
	client = publisher_client(owner);
	waiting->clients++;
	board_word(client, strlen(client), name, sizeof(name));
	for (unsigned i = 0; i < waiting->names; i++)
		if (strcmp(waiting->name[i], name) == 0)
			return;
	if (waiting->names == HELD_NAMES)
		waiting->has_more = true;
	else
		memcpy(waiting->name[waiting->names++], name, sizeof(name));
}

static void
add_lane(struct board_text *text, const struct pending *pending,
    const struct lanes_slot *lane, uint32_t slot)
{
	struct waiting waiting = { 0 };

	pending_each_waiting(
	    pending, slot, HELD_LOOKED_AT, add_owner, &waiting);
	board_text_line(text, "held %s %u %u %s%s%s%s%s%s",
	    lane->set[0] == '\0' ? "-" : lane->set,
	    (unsigned)(pending_lane_held(pending, slot) +
		pending_lane_outstanding(pending, slot)),
	    (unsigned)waiting.clients, waiting.name[0],
	    waiting.names > 1 ? "," : "", waiting.name[1],
	    waiting.names > 2 ? "," : "", waiting.name[2],
	    waiting.has_more ? ",+" : "");
}

void
held_post(
    const struct pending *pending, struct lanes *lanes, struct board *board)
{
	struct board_text text;

	if (board == NULL)
		return;
	board_text_init(&text);
	board_text_line(
	    &text, "committed %u", (unsigned)pending_outstanding(pending));
	for (uint32_t slot = 0; slot < lanes_count(lanes); slot++) {
		if (pending_lane_held(pending, slot) != 0 ||
		    pending_lane_outstanding(pending, slot) != 0)
			add_lane(&text, pending, lanes_get(lanes, slot), slot);
	}
	board_text_post(&text, board);
}
