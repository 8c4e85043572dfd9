/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journey.h"

#include <string.h>

const struct journey_leg_words journey_leg_words[JOURNEY_LEGS] = {
	[JOURNEY_TO_RING] = { "to_ring", "from the socket into the ring" },
	[JOURNEY_IN_RING] = { "in_ring", "in the ring to the broker" },
	[JOURNEY_TO_BRIDGE_RING] = { "to_bridge_ring",
	    "from an MQTT socket into a bridge's ring" },
	[JOURNEY_ROUTING] = { "routing", "through the broker" },
	[JOURNEY_IN_BRIDGE_RING] = { "in_bridge_ring",
	    "in the ring to the bridge" },
	[JOURNEY_REMOTE] = { "remote", "at the remote, until acknowledged" },
	[JOURNEY_RECEIPT] = { "receipt", "receipt back to the sender" },
	[JOURNEY_TO_ANSWER] = { "to_answer", "ALL: socket to answer" },
	[JOURNEY_TO_REMOTE] = { "to_remote", "ALL: socket to acknowledgement" },
};

static const char *const stage_names[RING_TRACE_STAGES] = {
	[RING_TRACE_READ] = "read",
	[RING_TRACE_PUT] = "put",
	[RING_TRACE_TAKEN] = "taken",
	[RING_TRACE_ROUTED] = "routed",
	[RING_TRACE_SENT] = "sent",
	[RING_TRACE_ACKED] = "acknowledged",
	[RING_TRACE_ANSWERED] = "answered",
};

const char *
journey_stage_name(enum ring_trace_stage stage)
{
	return stage_names[stage];
}

static bool
is_same_message(
    const struct ring_traces_note *a, const struct ring_traces_note *b)
{
	return memcmp(a->instance, b->instance, sizeof(a->instance)) == 0 &&
	    a->event.id.link == b->event.id.link &&
	    a->event.id.lane == b->event.id.lane &&
	    a->event.id.sequence == b->event.id.sequence;
}

struct journey
journey_at(const struct ring_traces *traces, size_t at)
{
	const struct ring_traces_note *first = &traces->note[at];
	struct journey journey = { .note = first, .count = 1 };

	for (size_t i = at + 1; i < traces->count; i++) {
		const struct ring_traces_note *note = &traces->note[i];

		/* A message to two bridges is noted as read for each. */
		if (!is_same_message(first, note) ||
		    (note->event.stage == RING_TRACE_READ &&
			note->event.time_ns != first->event.time_ns))
			break;
		journey.count++;
	}
	return journey;
}

/*
 * The time of a stage, on the way to the bridge of `link` where that matters
 * (else RING_TRACE_NO_LINK); the last one that is not after `until_ns`, else
 * the first.  0: not noted.
 */
static uint64_t
time_of(const struct journey *journey, enum ring_trace_stage stage,
    uint32_t link, uint64_t until_ns)
{
	uint64_t found_ns = 0;

	for (size_t i = 0; i < journey->count; i++) {
		const struct ring_traces_note *note = &journey->note[i];

		if (note->event.stage != stage ||
		    (link != RING_TRACE_NO_LINK && note->side_link != link))
			continue;
		if (found_ns == 0 || note->event.time_ns <= until_ns)
			found_ns = note->event.time_ns;
	}
	return found_ns;
}

static void
add(struct journey_times *times, enum journey_leg leg, uint64_t from_ns,
    uint64_t to_ns)
{
	if (from_ns != 0 && to_ns >= from_ns)
		histogram_record(&times->leg[leg], to_ns - from_ns);
}

/* The stages on the way to one bridge. */
static void
measure_bridge(
    const struct journey *journey, uint32_t link, struct journey_times *times)
{
	const uint32_t any = RING_TRACE_NO_LINK;
	uint64_t acked, read, routed, sent, taken;

	read = time_of(journey, RING_TRACE_READ, any, 0);
	taken = time_of(journey, RING_TRACE_TAKEN, any, 0);
	routed = time_of(journey, RING_TRACE_ROUTED, link, 0);
	sent = time_of(journey, RING_TRACE_SENT, link, 0);
	acked = time_of(journey, RING_TRACE_ACKED, link, 0);
	add(times, JOURNEY_ROUTING, taken, routed);
	if (taken == 0 && time_of(journey, RING_TRACE_PUT, any, 0) == 0)
		add(times, JOURNEY_TO_BRIDGE_RING, read, routed);
	add(times, JOURNEY_IN_BRIDGE_RING, routed, sent);
	/* What was sent again is measured from the last time. */
	add(times, JOURNEY_REMOTE,
	    time_of(journey, RING_TRACE_SENT, link, acked), acked);
	add(times, JOURNEY_TO_REMOTE, read, acked);
}

static void
measure(const struct journey *journey, struct journey_times *times)
{
	const uint32_t any = RING_TRACE_NO_LINK;
	uint64_t answered, put, read, taken;
	uint64_t bridges = 0;

	read = time_of(journey, RING_TRACE_READ, any, 0);
	put = time_of(journey, RING_TRACE_PUT, any, 0);
	taken = time_of(journey, RING_TRACE_TAKEN, any, 0);
	answered = time_of(journey, RING_TRACE_ANSWERED, any, 0);
	add(times, JOURNEY_TO_RING, read, put);
	add(times, JOURNEY_IN_RING, put, taken);
	add(times, JOURNEY_RECEIPT, taken, answered);
	add(times, JOURNEY_TO_ANSWER, read, answered);

	for (size_t i = 0; i < journey->count; i++)
		if (journey->note[i].event.stage >= RING_TRACE_ROUTED &&
		    journey->note[i].event.stage <= RING_TRACE_ACKED)
			bridges |= UINT64_C(1) << journey->note[i].side_link;
	for (; bridges != 0; bridges &= bridges - 1)
		measure_bridge(
		    journey, (uint32_t)__builtin_ctzll(bridges), times);
	times->journeys++;
}

void
journey_measure(const struct ring_traces *traces, uint64_t since_ns,
    struct journey_times *times)
{
	struct journey journey;

	for (size_t at = 0; at < traces->count; at += journey.count) {
		journey = journey_at(traces, at);
		if (journey.note->event.time_ns >= since_ns)
			measure(&journey, times);
	}
}
