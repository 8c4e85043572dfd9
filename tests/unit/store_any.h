/* SPDX-License-Identifier: Apache-2.0 */

/* store_any - random bodies of the journal, and whether two are the same. */

#ifndef WEIR_TESTS_UNIT_STORE_ANY_H
#define WEIR_TESTS_UNIT_STORE_ANY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "broker/store/store_record.h"

#define STORE_ANY_DELIVERIES 5u
#define STORE_ANY_IDENTIFIERS 4u

/* Holds what the slices of a random message point to. */
struct store_any {
	uint64_t dice;
	uint8_t bytes[300];
	uint32_t identifiers[STORE_ANY_DELIVERIES][STORE_ANY_IDENTIFIERS];
	struct store_delivery deliveries[STORE_ANY_DELIVERIES];
};

static inline uint64_t
store_any_dice(struct store_any *any)
{
	any->dice ^= any->dice << 13;
	any->dice ^= any->dice >> 7;
	any->dice ^= any->dice << 17;
	return any->dice;
}

static inline uint64_t
store_any_below(struct store_any *any, uint64_t limit)
{
	return store_any_dice(any) % limit;
}

/* One of the values at which fields are left out, or any. */
static inline uint64_t
store_any_number(struct store_any *any)
{
	switch (store_any_below(any, 5)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return 1;
	default:
		return store_any_dice(any);
	}
}

static inline void
store_any_init(struct store_any *any, uint64_t seed)
{
	memset(any, 0, sizeof(*any));
	any->dice = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (size_t i = 0; i < sizeof(any->bytes); i++)
		any->bytes[i] = (uint8_t)store_any_dice(any);
}

static inline struct slice
store_any_slice(struct store_any *any)
{
	size_t length = store_any_below(any, 3) == 0
	    ? 0
	    : (size_t)store_any_below(any, sizeof(any->bytes) / 2);

	return slice_of(any->bytes + store_any_below(any, 100), length);
}

static inline void
store_any_delivery(struct store_any *any, size_t i)
{
	struct store_delivery *delivery = &any->deliveries[i];

	for (size_t k = 0; k < STORE_ANY_IDENTIFIERS; k++)
		any->identifiers[i][k] = (uint32_t)store_any_dice(any);
	*delivery = (struct store_delivery){
		.cursor = store_any_dice(any),
		.qos = (uint8_t)(1 + store_any_below(any, 2)),
		.flags = (uint8_t)store_any_below(any, 2),
		.identifier_count =
		    (uint16_t)store_any_below(any, STORE_ANY_IDENTIFIERS + 1),
		.identifiers = any->identifiers[i],
	};
}

/* Valid until the next call with the same `any`. */
static inline struct store_message
store_any_message(struct store_any *any)
{
	size_t count = (size_t)store_any_below(any, STORE_ANY_DELIVERIES + 1);
	struct store_message message = {
		.publisher = store_any_number(any),
		.packet_id = (uint16_t)store_any_number(any),
		.qos = (uint8_t)store_any_below(any, 3),
		.retain = store_any_below(any, 2) != 0,
		.retain_serial = store_any_number(any),
		.source = { .link = (uint32_t)store_any_number(any),
		    .lane = (uint32_t)store_any_number(any),
		    .sequence = store_any_number(any) },
		.identity = store_any_number(any),
		.created_ns = store_any_number(any),
		.expires_ns = store_any_number(any),
		.topic = store_any_slice(any),
		.properties = store_any_slice(any),
		.payload = store_any_slice(any),
		.deliveries = any->deliveries,
		.delivery_count = count,
	};

	for (size_t i = 0; i < count; i++)
		store_any_delivery(any, i);
	return message;
}

static inline bool
store_any_same_delivery(
    const struct store_delivery *a, const struct store_delivery *b)
{
	return a->cursor == b->cursor && a->qos == b->qos &&
	    a->flags == b->flags &&
	    a->identifier_count == b->identifier_count &&
	    (a->identifier_count == 0 ||
		memcmp(a->identifiers, b->identifiers,
		    a->identifier_count * sizeof(uint32_t)) == 0);
}

static inline bool
store_any_same(const struct store_message *a, const struct store_message *b)
{
	for (size_t i = 0; i < a->delivery_count && i < b->delivery_count; i++)
		if (!store_any_same_delivery(
			&a->deliveries[i], &b->deliveries[i]))
			return false;
	return a->publisher == b->publisher && a->packet_id == b->packet_id &&
	    a->qos == b->qos && a->retain == b->retain &&
	    a->retain_serial == b->retain_serial &&
	    a->source.link == b->source.link &&
	    a->source.lane == b->source.lane &&
	    a->source.sequence == b->source.sequence &&
	    a->identity == b->identity && a->created_ns == b->created_ns &&
	    a->expires_ns == b->expires_ns && slice_equal(a->topic, b->topic) &&
	    slice_equal(a->properties, b->properties) &&
	    slice_equal(a->payload, b->payload) &&
	    a->delivery_count == b->delivery_count;
}

#endif
