/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_export: writing one.  State first, then each message that waits, in
 * the order of the journal, with those receivers that it still waits for.
 */

#include <errno.h>
#include <stdio.h>

#include "ctl/journal_export.h"
#include "ctl/journal_json.h"
#include "ctl/journal_room.h"

struct printing {
	const struct journal_view *view;
	struct journal_room room;
	FILE *out;
	uint64_t lines;
	uint64_t passed_over; /* records that make no sense */
};

/* NULL, when nothing was made, is counted: one bad record ends no export. */
static int
print_line(struct printing *printing, json_t *object)
{
	int err;

	if (object == NULL) {
		printing->passed_over++;
		return 0;
	}
	printing->lines++;
	/* ASCII only: what is in it may come from anybody. */
	err =
	    json_dumpf(object, printing->out, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	return err == -1 || fputc('\n', printing->out) == EOF ? -EIO : 0;
}

static int
print_state(void *arg, uint8_t kind, struct slice body)
{
	return print_line(arg, journal_json_of_state(kind, body));
}

/* Leave the receivers that still wait; returns how many. */
static size_t
keep_waiting(const struct journal_state *state, uint64_t sequence,
    struct store_delivery *deliveries, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (journal_state_waits(state, deliveries[i].cursor, sequence))
			deliveries[kept++] = deliveries[i];
	return kept;
}

static int
print_message(void *arg, uint64_t sequence, uint8_t kind, struct slice body)
{
	struct printing *printing = arg;
	struct store_message message;
	int err;

	if (kind != STORE_MESSAGE)
		return 0;
	err = journal_room_parse(&printing->room, body, &message);
	if (err == -ENOMEM)
		return err;
	if (err != 0) {
		printing->passed_over++;
		return 0;
	}
	message.delivery_count = keep_waiting(printing->view->state, sequence,
	    printing->room.deliveries, message.delivery_count);
	if (message.delivery_count == 0)
		return 0;
	return print_line(
	    printing, journal_json_of_message(sequence, &message));
}

static int
print_all(struct printing *printing)
{
	const struct journal_view *view = printing->view;
	int err;

	err = print_line(printing,
	    json_pack("{s:s, s:i}", "kind", JOURNAL_EXPORT_BEGIN, "version",
		JOURNAL_EXPORT_VERSION));
	if (err == 0)
		err = journal_state_each_record(
		    view->state, print_state, printing);
	if (err == 0)
		err = store_each_record(view->store, print_message, printing);
	if (err == 0)
		err = print_line(printing,
		    json_pack("{s:s, s:o}", "kind", JOURNAL_EXPORT_END, "lines",
			journal_json_number(printing->lines + 1)));
	if (err == 0 && fflush(printing->out) != 0)
		err = -errno;
	return err;
}

int
journal_export_print(
    const struct journal_view *view, FILE *out, uint64_t *out_passed_over)
{
	struct printing printing = { .view = view, .out = out };
	int err = print_all(&printing);

	journal_room_fini(&printing.room);
	*out_passed_over = printing.passed_over;
	return err;
}
