/* SPDX-License-Identifier: Apache-2.0 */

#include "common/ring/ring_trace.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"

#define LANE_SHIFT 16
#define LINK_SHIFT 32

static uint64_t
mix(uint64_t value)
{
	value ^= value >> 30;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	value ^= value >> 27;
	value *= UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

/* Never what an empty or a half written entry has. */
static uint64_t
check_of(uint64_t sequence, uint64_t place, uint64_t time_ns)
{
	uint64_t check;

	check = mix(sequence + UINT64_C(0x9e3779b97f4a7c15));
	check = mix(check + place);
	return mix(check + time_ns);
}

void
ring_trace_init(struct ring_trace *trace, struct ring_trace_area *area)
{
	*trace = (struct ring_trace){ .area = area };
	/* relaxed, here and below: readers check what they get */
	trace->written =
	    atomic_load_explicit(&area->written, memory_order_relaxed);
	atomic_store_explicit(&area->every, 0, memory_order_relaxed);
}

void
ring_trace_set_every(struct ring_trace *trace, uint64_t every)
{
	trace->every = every;
	trace->countdown = every == 0 ? 0 : 1;
	atomic_store_explicit(&trace->area->every, every, memory_order_relaxed);
}

void
ring_trace_note(struct ring_trace *trace, const struct ring_trace_id *id,
    enum ring_trace_stage stage, uint64_t time_ns)
{
	struct ring_trace_entry *entry;
	uint64_t place;

	entry = &trace->area->entry[trace->written++ % RING_TRACE_ENTRIES];
	place = (uint64_t)id->link << LINK_SHIFT |
	    (uint64_t)id->lane << LANE_SHIFT | (uint64_t)stage;
	atomic_store_explicit(
	    &entry->sequence, id->sequence, memory_order_relaxed);
	atomic_store_explicit(&entry->place, place, memory_order_relaxed);
	atomic_store_explicit(&entry->time_ns, time_ns, memory_order_relaxed);
	atomic_store_explicit(&entry->check,
	    check_of(id->sequence, place, time_ns), memory_order_relaxed);
	atomic_store_explicit(
	    &trace->area->written, trace->written, memory_order_relaxed);
}

struct ring_trace_id
ring_trace_id_of(const struct ring_record *record)
{
	return (struct ring_trace_id){
		.link = record->source_link,
		.lane = record->source_lane,
		.sequence = record->source_sequence,
	};
}

void
ring_trace_note_now(struct ring_trace *trace, const struct ring_record *record,
    enum ring_trace_stage stage)
{
	const struct ring_trace_id id = ring_trace_id_of(record);

	ring_trace_note(trace, &id, stage, clock_now_ns());
}

/* The copy is private: plain reads of it need no order. */
static uint64_t
value(const _Atomic uint64_t *copy)
{
	return atomic_load_explicit(copy, memory_order_relaxed);
}

static bool
decode(const struct ring_trace_entry *entry, struct ring_trace_event *out_event)
{
	const uint64_t place = value(&entry->place);
	const uint64_t stage = place & ((UINT64_C(1) << LANE_SHIFT) - 1);

	if (value(&entry->check) !=
	    check_of(value(&entry->sequence), place, value(&entry->time_ns)))
		return false;
	if (stage < RING_TRACE_READ || stage >= RING_TRACE_STAGES)
		return false;
	*out_event = (struct ring_trace_event){
		.id.link = (uint32_t)(place >> LINK_SHIFT),
		.id.lane = (uint16_t)(place >> LANE_SHIFT),
		.id.sequence = value(&entry->sequence),
		.stage = (enum ring_trace_stage)stage,
		.time_ns = value(&entry->time_ns),
	};
	return out_event->id.link < RING_LINKS ||
	    out_event->id.link == RING_TRACE_NO_LINK;
}

int
ring_trace_read(
    int fd, struct ring_trace_event *events, struct ring_trace_state *out_state)
{
	struct ring_trace_area *area;
	ssize_t got;
	int count = 0;

	area = malloc(sizeof(*area));
	if (area == NULL)
		return -ENOMEM;
	got = pread(fd, area, sizeof(*area), (off_t)RING_SIDE_TRACE);
	if (got != (ssize_t)sizeof(*area)) {
		count = got == -1 ? -errno : -EBADMSG;
		free(area);
		return count;
	}
	for (size_t i = 0; i < RING_TRACE_ENTRIES; i++)
		if (decode(&area->entry[i], &events[count]))
			count++;
	*out_state = (struct ring_trace_state){
		.written = value(&area->written),
		.every = value(&area->every),
	};
	free(area);
	return count;
}
