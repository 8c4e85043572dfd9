/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_room - room for the receivers of one message after the other.
 *
 *	struct journal_room room = { 0 };
 *	while (...)
 *		err = journal_room_parse(&room, body, &message);
 *	journal_room_fini(&room);
 *
 * One thread.
 */

#ifndef WEIR_CTL_JOURNAL_ROOM_H
#define WEIR_CTL_JOURNAL_ROOM_H

#include "broker/store/store_record.h"

/* Embed it by value, all zero; what it holds is of the last message. */
struct journal_room {
	struct store_delivery *deliveries;
	uint32_t *identifiers;
	size_t delivery_room, identifier_room;
};

/*
 * As store_message_parse(), whose receivers lie in `room` until the next
 * call and may be changed there.  Also -ENOMEM, never -ENOBUFS.
 */
int journal_room_parse(struct journal_room *room, struct slice body,
    struct store_message *out_message);
void journal_room_fini(struct journal_room *room);

#endif
