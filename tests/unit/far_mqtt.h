/* SPDX-License-Identifier: Apache-2.0 */

/*
 * far_mqtt - the other end of a QoS 2 exchange, for the tests of exactly once.
 *
 * A receiver with a session, packet by packet: what it was sent lies on the
 * wire until it takes it, what it answers lies there until we take that.  A
 * lost connection empties both; its session stays until it is told to forget.
 * It passes a message on at PUBLISH or at PUBREL, as receivers may.
 */

#ifndef WEIR_TESTS_UNIT_FAR_MQTT_H
#define WEIR_TESTS_UNIT_FAR_MQTT_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FAR_IDS 4096 /* more than the tests come to */
#define FAR_NUMBERS 256
#define FAR_WIRE 4096

enum far_type {
	FAR_PUBLISH,
	FAR_PUBREC,
	FAR_PUBREL,
	FAR_PUBCOMP
};

struct far_packet {
	enum far_type type;
	uint16_t id;
	unsigned number; /* of a PUBLISH */
};

struct far_wire {
	struct far_packet packets[FAR_WIRE];
	size_t count;
};

struct far_mqtt {
	/* How it behaves. */
	bool passes_on_at_pubrel;
	bool repeats_pubrec; /* when a session is resumed */

	bool has_session;
	int stored[FAR_IDS]; /* number + 1 of what awaits PUBREL, 0: nothing */
	unsigned passed_on[FAR_NUMBERS];
	unsigned newest; /* number passed on last */
	unsigned out_of_order;
	struct far_wire to_far, to_us;
};

static inline void
far_push(struct far_wire *wire, enum far_type type, uint16_t id, unsigned n)
{
	ck_assert_uint_lt(wire->count, FAR_WIRE);
	wire->packets[wire->count++] = (struct far_packet){ type, id, n };
}

static inline struct far_packet
far_take(struct far_wire *wire, size_t at)
{
	struct far_packet packet = wire->packets[at];

	ck_assert_uint_lt(at, wire->count);
	wire->count--;
	memmove(wire->packets + at, wire->packets + at + 1,
	    (wire->count - at) * sizeof(packet));
	return packet;
}

static inline void
far_pass_on(struct far_mqtt *far, unsigned number)
{
	far->passed_on[number]++;
	if (number < far->newest)
		far->out_of_order++;
	far->newest = number;
}

/* It takes the next packet. */
static inline void
far_step(struct far_mqtt *far)
{
	struct far_packet packet = far_take(&far->to_far, 0);
	int *stored = &far->stored[packet.id];

	switch (packet.type) {
	case FAR_PUBLISH:
		if (*stored == 0) {
			*stored = (int)packet.number + 1;
			if (!far->passes_on_at_pubrel)
				far_pass_on(far, packet.number);
		}
		far_push(&far->to_us, FAR_PUBREC, packet.id, 0);
		break;
	case FAR_PUBREL:
		if (*stored != 0 && far->passes_on_at_pubrel)
			far_pass_on(far, (unsigned)*stored - 1);
		*stored = 0;
		far_push(&far->to_us, FAR_PUBCOMP, packet.id, 0);
		break;
	case FAR_PUBREC:
	case FAR_PUBCOMP:
		ck_abort();
	}
}

static inline void
far_hang_up(struct far_mqtt *far)
{
	far->to_far.count = 0;
	far->to_us.count = 0;
}

static inline void
far_forget(struct far_mqtt *far)
{
	far_hang_up(far);
	far->has_session = false;
	memset(far->stored, 0, sizeof(far->stored));
}

/* CONNECT; returns what CONNACK says of the session. */
static inline bool
far_connect(struct far_mqtt *far)
{
	bool session_present = far->has_session;

	far_hang_up(far);
	far->has_session = true;
	for (unsigned id = 1; far->repeats_pubrec && id < FAR_IDS; id++)
		if (far->stored[id] != 0)
			far_push(&far->to_us, FAR_PUBREC, (uint16_t)id, 0);
	return session_present;
}

#endif
