/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/dead.h"

#include <stdlib.h>
#include <string.h>

void
dead_fini(struct dead *dead)
{
	while (dead->first != NULL)
		dead_remove(dead, dead->first);
}

static size_t
size_of(size_t length)
{
	return sizeof(struct dead_letter) + length;
}

bool
dead_has_room(const struct dead *dead, size_t length)
{
	return dead->count < dead->max_count &&
	    size_of(length) <= dead->max_bytes &&
	    dead->bytes <= dead->max_bytes - size_of(length);
}

static void
append(struct dead *dead, struct dead_letter *letter)
{
	letter->previous = dead->last;
	letter->next = NULL;
	if (dead->last != NULL)
		dead->last->next = letter;
	else
		dead->first = letter;
	dead->last = letter;
}

struct dead_letter *
dead_add(struct dead *dead, uint64_t id, const struct dead_parts *parts)
{
	const size_t length = parts->why.len + parts->message.len;
	struct dead_letter *letter = malloc(size_of(length));

	if (letter == NULL)
		return NULL;
	if (id == 0)
		id = dead->last_id + 1;
	*letter = (struct dead_letter){
		.id = id,
		.wall_ns = parts->wall_ns,
		.attempts = parts->attempts,
		.memory = parts->memory,
		.sequence = parts->sequence,
		.journal = parts->journal,
		.why_length = (uint32_t)parts->why.len,
		.message_length = (uint32_t)parts->message.len,
	};
	if (parts->why.len != 0)
		memcpy(letter->bytes, parts->why.data, parts->why.len);
	if (parts->message.len != 0)
		memcpy(letter->bytes + parts->why.len, parts->message.data,
		    parts->message.len);
	append(dead, letter);
	if (id > dead->last_id)
		dead->last_id = id;
	dead->count++;
	dead->bytes += size_of(length);
	if (parts->journal > dead->newest_journal)
		dead->newest_journal = parts->journal;
	return letter;
}

void
dead_remove(struct dead *dead, struct dead_letter *letter)
{
	if (letter->next != NULL)
		letter->next->previous = letter->previous;
	else
		dead->last = letter->previous;
	if (letter->previous != NULL)
		letter->previous->next = letter->next;
	else
		dead->first = letter->next;
	dead->count--;
	dead->bytes -=
	    size_of((size_t)letter->why_length + letter->message_length);
	free(letter);
}

struct dead_letter *
dead_find(const struct dead *dead, uint64_t id)
{
	struct dead_letter *letter;

	for (letter = dead->first; letter != NULL; letter = letter->next)
		if (letter->id == id)
			return letter;
	return NULL;
}

/* The journal's number is for good; a ring's is its own. */
static bool
is_copy(const struct dead_letter *letter, const struct dead_parts *parts)
{
	if (parts->journal != 0)
		return letter->journal == parts->journal;
	return letter->journal == 0 && letter->memory == parts->memory &&
	    letter->sequence == parts->sequence;
}

bool
dead_has(const struct dead *dead, const struct dead_parts *parts)
{
	const struct dead_letter *letter;

	/* With a journal most are newer than all before. */
	if (parts->journal > dead->newest_journal)
		return false;
	for (letter = dead->last; letter != NULL; letter = letter->previous)
		if (is_copy(letter, parts))
			return true;
	return false;
}
