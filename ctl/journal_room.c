/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_room.h"

#include <errno.h>
#include <stdlib.h>

static int
grow(struct journal_room *room, const struct store_message_room *needed)
{
	void *deliveries, *identifiers;

	deliveries = reallocarray(room->deliveries, needed->delivery_count + 1,
	    sizeof(*room->deliveries));
	if (deliveries == NULL)
		return -ENOMEM;
	room->deliveries = deliveries;
	room->delivery_room = needed->delivery_count;
	identifiers = reallocarray(room->identifiers,
	    needed->identifier_count + 1, sizeof(*room->identifiers));
	if (identifiers == NULL)
		return -ENOMEM;
	room->identifiers = identifiers;
	room->identifier_room = needed->identifier_count;
	return 0;
}

int
journal_room_parse(struct journal_room *room, struct slice body,
    struct store_message *out_message)
{
	struct store_message_room given;
	int err;

	for (unsigned attempt = 0;; attempt++) {
		given = (struct store_message_room){
			.deliveries = room->deliveries,
			.delivery_count = room->delivery_room,
			.identifiers = room->identifiers,
			.identifier_count = room->identifier_room,
		};
		err = store_message_parse(body, &given, out_message);
		if (err != -ENOBUFS)
			return err;
		if (attempt != 0)
			return -EBADMSG;
		err = grow(room, &given);
		if (err != 0)
			return err;
	}
}

void
journal_room_fini(struct journal_room *room)
{
	free(room->deliveries);
	free(room->identifiers);
	*room = (struct journal_room){ .deliveries = NULL };
}
