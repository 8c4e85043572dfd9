/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/why_board.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/board.h"
#include "common/ring/ring_inspect.h"

/* Kept free in `names` for " and others". */
#define OTHERS " and others"

/* One line, its key cut off: what the caller looks for, in turn. */
struct cursor {
	const char *next;
	char key[16];
	char value[BOARD_MAX];
};

static bool
next_line(struct cursor *cursor)
{
	const char *line = cursor->next;
	size_t length = strcspn(line, "\n"), key;

	if (length == 0 || length >= sizeof(cursor->value))
		return false;
	cursor->next += length + (line[length] == '\n');
	key = strcspn(line, " ");
	if (key >= length || key >= sizeof(cursor->key)) {
		cursor->key[0] = '\0';
		return true;
	}
	memcpy(cursor->key, line, key);
	cursor->key[key] = '\0';
	memcpy(cursor->value, line + key + 1, length - key - 1);
	cursor->value[length - key - 1] = '\0';
	return true;
}

static uint64_t
number(const char *text)
{
	return strtoull(text, NULL, 10);
}

static void
copy(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

static void
read_error(struct why_remote *remote, const char *value)
{
	const char *why = strchr(value, ' ');

	remote->error_ns = number(value);
	copy(remote->error, sizeof(remote->error), why == NULL ? "" : why + 1);
}

void
why_board_remote(const char *board, struct why_remote *out_remote)
{
	struct cursor at = { .next = board };
	struct why_remote remote = { .since_ns = 0 };

	while (next_line(&at)) {
		if (strcmp(at.key, "remote") == 0)
			copy(remote.address, sizeof(remote.address), at.value);
		else if (strcmp(at.key, "state") == 0)
			copy(remote.state, sizeof(remote.state), at.value);
		else if (strcmp(at.key, "since") == 0)
			remote.since_ns = number(at.value);
		else if (strcmp(at.key, "down") == 0)
			remote.down_ns = number(at.value);
		else if (strcmp(at.key, "retry") == 0)
			remote.retry_ns = number(at.value);
		else if (strcmp(at.key, "later") == 0)
			remote.later_ns = number(at.value);
		else if (strcmp(at.key, "rate") == 0)
			remote.rate_ns = number(at.value);
		else if (strcmp(at.key, "full") == 0)
			remote.is_full = number(at.value) == 1;
		else if (strcmp(at.key, "error") == 0)
			read_error(&remote, at.value);
	}
	*out_remote = remote;
}

/* Is it one of the names there are? */
static bool
has_name(const struct why_held *held, const char *name, size_t length)
{
	const char *at = held->names;
	size_t part;

	while (*at != '\0') {
		part = strcspn(at, ",");
		if (part == length && memcmp(at, name, length) == 0)
			return true;
		at += part;
		at += strspn(at, ", ");
	}
	return false;
}

static void
add_names(struct why_held *held, const char *names)
{
	size_t length, used;

	for (; *names != '\0'; names += length, names += *names == ',') {
		length = strcspn(names, ",");
		used = strlen(held->names);
		if (length == 1 && *names == '+')
			held->has_more = true;
		else if (length == 0 || has_name(held, names, length))
			continue;
		else if (used + length + 2 + sizeof(OTHERS) >
		    sizeof(held->names))
			held->has_more = true;
		else {
			snprintf(held->names + used, sizeof(held->names) - used,
			    "%s%.*s", used == 0 ? "" : ", ", (int)length,
			    names);
			held->named++;
		}
	}
}

void
why_held_finish(struct why_held *held)
{
	if (held->has_more && held->named != 0)
		strcat(held->names, OTHERS);
}

/* "SET MESSAGES CLIENTS NAME,..." */
static void
add_lane(struct why_held *held, const char *value, const char *bridge)
{
	char set[RING_NAME_MAX], names[BOARD_MAX];
	uint64_t messages, clients;

	if (sscanf(value, "%63s %" SCNu64 " %" SCNu64 " %900s", set, &messages,
		&clients, names) != 4)
		return;
	if (bridge != NULL && !ring_set_has(set, bridge))
		return;
	held->messages += messages;
	held->clients += clients;
	add_names(held, names);
}

void
why_board_clients(
    const char *board, const char *bridge, struct why_held *out_held)
{
	struct cursor at = { .next = board };
	struct why_held held = { .clients = 0 };

	while (next_line(&at)) {
		if (strcmp(at.key, "held") == 0)
			add_lane(&held, at.value, bridge);
	}
	why_held_finish(&held);
	*out_held = held;
}

uint64_t
why_board_committed(const char *board)
{
	struct cursor at = { .next = board };

	while (next_line(&at)) {
		if (strcmp(at.key, "committed") == 0)
			return number(at.value);
	}
	return 0;
}

void
why_board_publishers(const char *board, struct why_held *out_held)
{
	struct cursor at = { .next = board };
	struct why_held held = { .clients = 0 };
	const char *names;

	while (next_line(&at)) {
		if (strcmp(at.key, "publishers") != 0)
			continue;
		names = strchr(at.value, ' ');
		held.clients = number(at.value);
		if (names != NULL)
			add_names(&held, names + 1);
	}
	why_held_finish(&held);
	*out_held = held;
}

void
why_board_backlog(const char *board, struct why_backlog *out_backlog)
{
	struct cursor at = { .next = board };
	struct why_backlog backlog;

	*out_backlog = (struct why_backlog){ 0 };
	while (next_line(&at)) {
		if (strcmp(at.key, "backlog") == 0 &&
		    sscanf(at.value, "%" SCNu64 " %" SCNu64 " %" SCNu64,
			&backlog.messages, &backlog.bytes, &backlog.limit) == 3)
			*out_backlog = backlog;
	}
}

void
why_board_journal(const char *board, struct why_journal *out_journal)
{
	struct cursor at = { .next = board };
	struct why_journal journal;

	*out_journal = (struct why_journal){ 0 };
	while (next_line(&at)) {
		if (strcmp(at.key, "journal") == 0 &&
		    sscanf(at.value, "%" SCNu64 " %" SCNu64, &journal.records,
			&journal.since_ns) == 2)
			*out_journal = journal;
	}
}
