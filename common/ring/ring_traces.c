/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_traces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/ring/ring_inspect_scan.h"

static int
order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int
compare(const void *a, const void *b)
{
	const struct ring_traces_note *x = a, *y = b;
	int by = memcmp(x->instance, y->instance, sizeof(x->instance));

	if (by == 0)
		by = order(x->event.id.link, y->event.id.link);
	if (by == 0)
		by = order(x->event.id.lane, y->event.id.lane);
	if (by == 0)
		by = order(x->event.id.sequence, y->event.id.sequence);
	if (by == 0)
		by = order(x->event.time_ns, y->event.time_ns);
	if (by == 0)
		by = order(x->event.stage, y->event.stage);
	if (by == 0)
		by = order(x->side_link, y->side_link);
	return by != 0 ? by : order(x->by_broker, y->by_broker);
}

static void
sort(struct ring_traces *traces)
{
	size_t kept = 0;

	if (traces->count == 0)
		return;
	qsort(traces->note, traces->count, sizeof(*traces->note), compare);
	for (size_t i = 1; i < traces->count; i++)
		if (compare(&traces->note[kept], &traces->note[i]) != 0)
			traces->note[++kept] = traces->note[i];
	traces->count = kept + 1;
}

/* The side as it was known before, or NULL. */
static struct ring_traces_side *
find_side(struct ring_traces *traces, const struct ring_side_header *header)
{
	for (size_t i = 0; i < traces->sides; i++) {
		struct ring_traces_side *side = &traces->side[i];

		if (memcmp(side->instance, header->instance,
			sizeof(side->instance)) == 0 &&
		    side->link == header->link && side->role == header->role)
			return side;
	}
	return NULL;
}

static struct ring_traces_side *
add_side(struct ring_traces *traces, const struct ring_side_header *header)
{
	struct ring_traces_side *side = find_side(traces, header), *grown;

	if (side != NULL)
		return side;
	grown = realloc(traces->side, (traces->sides + 1) * sizeof(*grown));
	if (grown == NULL)
		return NULL;
	traces->side = grown;
	side = &grown[traces->sides++];
	*side = (struct ring_traces_side){
		.link = header->link,
		.role = (enum ring_role)header->role,
	};
	memcpy(side->instance, header->instance, sizeof(side->instance));
	for (size_t i = 0; header->name[i] != '\0'; i++)
		side->name[i] = (unsigned char)header->name[i] < 0x20 ||
			header->name[i] == 0x7f
		    ? '?'
		    : header->name[i];
	return side;
}

/* Room for one side's notes. */
static int
make_room(struct ring_traces *traces)
{
	struct ring_traces_note *grown;

	grown = realloc(traces->note,
	    (traces->count + RING_TRACE_ENTRIES) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	traces->note = grown;
	return 0;
}

static void
count_lost(struct ring_traces *traces, const struct ring_traces_side *side,
    const struct ring_trace_state *now)
{
	const uint64_t before = side->state.written;

	if (before != 0 && now->written > before &&
	    now->written - before > RING_TRACE_ENTRIES)
		traces->lost += now->written - before - RING_TRACE_ENTRIES;
}

static int
collect_side(struct ring_traces *traces, const struct ring_scan_side *from,
    struct ring_trace_event *events)
{
	struct ring_traces_side *side;
	struct ring_trace_state state;
	int count, err;

	side = add_side(traces, &from->header);
	if (side == NULL)
		return -ENOMEM;
	err = make_room(traces);
	if (err != 0)
		return err;
	count = ring_trace_read(from->fd, events, &state);
	if (count < 0)
		return count == -ENOMEM ? count : 0;
	count_lost(traces, side, &state);
	side->state = state;
	for (int i = 0; i < count; i++) {
		struct ring_traces_note *note = &traces->note[traces->count++];

		*note = (struct ring_traces_note){
			.event = events[i],
			.side_link = side->link,
			.by_broker = side->role == RING_ROLE_BROKER,
		};
		memcpy(note->instance, side->instance, sizeof(note->instance));
	}
	return 0;
}

int
ring_traces_collect(struct ring_traces *traces, const char *run_dir)
{
	const size_t before = traces->count;
	struct ring_trace_event *events;
	struct ring_scan scan;
	int err;

	events = calloc(RING_TRACE_ENTRIES, sizeof(*events));
	if (events == NULL)
		return -ENOMEM;
	err = ring_scan_take(&scan);
	for (size_t i = 0; i < scan.sides && err == 0; i++)
		if (run_dir == NULL ||
		    strcmp(scan.side[i].header.run_dir, run_dir) == 0)
			err = collect_side(traces, &scan.side[i], events);
	traces->unreadable = scan.unreadable;
	ring_scan_free(&scan);
	free(events);
	if (err != 0)
		traces->count = before;
	else
		sort(traces);
	return err;
}

void
ring_traces_free(struct ring_traces *traces)
{
	free(traces->note);
	free(traces->side);
	*traces = (struct ring_traces){ 0 };
}
