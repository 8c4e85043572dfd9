/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/store_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store_sim.h"
#include "tests/unit/unit_memory.h"

#define BODY_MAX (MODEL_PAYLOAD_MAX + 1024u)

/* ---- what waits ---------------------------------------------------------- */

static void
free_cursor(struct model_cursor *cursor)
{
	free(cursor->waiting);
	free(cursor->unsure);
}

void
model_fini(struct model *model)
{
	for (size_t i = 0; i < model->cursor_count; i++)
		free_cursor(&model->cursors[i]);
	free(model->cursors);
	*model = (struct model){ 0 };
}

struct model_cursor *
model_find(const struct model *model, uint64_t cursor)
{
	for (size_t i = 0; i < model->cursor_count; i++)
		if (model->cursors[i].cursor == cursor)
			return &model->cursors[i];
	return NULL;
}

static struct model_cursor *
add_cursor(struct model *model, uint64_t cursor)
{
	struct model_cursor *added;

	model->cursors = unit_grow(model->cursors, model->cursor_count,
	    &model->cursor_room, sizeof(*model->cursors));
	added = &model->cursors[model->cursor_count++];
	*added = (struct model_cursor){ .cursor = cursor };
	if (cursor > model->largest_cursor)
		model->largest_cursor = cursor;
	return added;
}

static void
add_waiting(struct model_cursor *cursor, uint32_t number)
{
	cursor->waiting = unit_grow(cursor->waiting, cursor->count,
	    &cursor->room, sizeof(*cursor->waiting));
	cursor->waiting[cursor->count++] = number;
}

static void
add_unsure(struct model_cursor *cursor, uint32_t number)
{
	cursor->unsure = unit_grow(cursor->unsure, cursor->unsure_count,
	    &cursor->unsure_room, sizeof(*cursor->unsure));
	cursor->unsure[cursor->unsure_count++] = number;
}

void
model_copy(struct model *to, const struct model *from)
{
	struct model_cursor *copy;

	model_fini(to);
	memcpy(to->values, from->values, sizeof(to->values));
	for (size_t i = 0; i < from->cursor_count; i++) {
		copy = add_cursor(to, from->cursors[i].cursor);
		for (size_t j = 0; j < from->cursors[i].count; j++)
			add_waiting(copy, from->cursors[i].waiting[j]);
		for (size_t j = 0; j < from->cursors[i].unsure_count; j++)
			add_unsure(copy, from->cursors[i].unsure[j]);
	}
	to->largest_cursor = from->largest_cursor;
}

static void
take_message(struct model *model, const struct model_message *message)
{
	struct model_cursor *cursor;

	for (unsigned i = 0; i < message->fanout; i++) {
		cursor = model_find(model, message->cursors[i]);
		if (cursor != NULL)
			add_waiting(cursor, message->number);
	}
	if (message->key < MODEL_KEYS)
		model->values[message->key] = message->value;
}

static bool
ends(const struct store_done *done, const struct model_messages *messages,
    uint32_t number)
{
	uint64_t sequence = messages->list[number - 1].sequence;

	return sequence <= done->floor || sequence == done->sequence;
}

/* Take what is over out of a list; the rest of its count is returned. */
static size_t
take_out(uint32_t *list, size_t count, const struct model_messages *messages,
    const struct store_done *done)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!ends(done, messages, list[i]))
			list[kept++] = list[i];
	return kept;
}

static void
take_done(struct model *model, const struct model_messages *messages,
    const struct store_done *done)
{
	struct model_cursor *cursor = model_find(model, done->cursor);

	if (cursor == NULL)
		return;
	cursor->count =
	    take_out(cursor->waiting, cursor->count, messages, done);
	cursor->unsure_count =
	    take_out(cursor->unsure, cursor->unsure_count, messages, done);
}

void
model_apply_unsure(struct model *model, const struct model_messages *messages,
    const struct model_op *op)
{
	struct model_cursor *cursor = model_find(model, op->done.cursor);

	if (cursor == NULL)
		return;
	for (size_t i = 0; i < cursor->count; i++)
		if (ends(&op->done, messages, cursor->waiting[i]))
			add_unsure(cursor, cursor->waiting[i]);
	cursor->count =
	    take_out(cursor->waiting, cursor->count, messages, &op->done);
}

/* Numbers grow with sequences. */
void
model_wait_again(struct model_cursor *cursor, uint32_t number)
{
	size_t at;

	add_waiting(cursor, number);
	for (at = cursor->count - 1; at > 0 && cursor->waiting[at - 1] > number;
	     at--)
		cursor->waiting[at] = cursor->waiting[at - 1];
	cursor->waiting[at] = number;
}

static void
close_cursor(struct model *model, uint64_t number)
{
	struct model_cursor *cursor = model_find(model, number);

	if (cursor == NULL)
		return;
	free_cursor(cursor);
	*cursor = model->cursors[--model->cursor_count];
}

void
model_apply(struct model *model, const struct model_messages *messages,
    const struct model_op *op)
{
	switch (op->kind) {
	case MODEL_MESSAGE:
		take_message(model, &messages->list[op->number - 1]);
		break;
	case MODEL_DONE:
		take_done(model, messages, &op->done);
		break;
	case MODEL_OPEN:
		add_cursor(model, op->done.cursor);
		break;
	case MODEL_CLOSE:
		close_cursor(model, op->done.cursor);
		break;
	case MODEL_STATE:
		model->values[op->key] = op->value;
		break;
	}
}

void
model_ops_add(struct model_ops *ops, const struct model_op *op)
{
	ops->list =
	    unit_grow(ops->list, ops->count, &ops->room, sizeof(*ops->list));
	ops->list[ops->count++] = *op;
}

void
model_ops_drop_front(struct model_ops *ops, size_t count)
{
	ops->count -= count;
	if (ops->count != 0)
		memmove(ops->list, ops->list + count,
		    ops->count * sizeof(*ops->list));
}

/* ---- messages ------------------------------------------------------------ */

struct model_message *
model_messages_add(struct model_messages *messages)
{
	struct model_message *added;

	messages->list = unit_grow(messages->list, messages->count,
	    &messages->room, sizeof(*messages->list));
	added = &messages->list[messages->count++];
	*added = (struct model_message){ .number = (uint32_t)messages->count,
		.key = MODEL_KEYS };
	return added;
}

const struct model_message *
model_message_at(const struct model_messages *messages, uint64_t number)
{
	if (number == 0 || number > messages->count)
		return NULL;
	return &messages->list[number - 1];
}

static void
fill(uint8_t *bytes, size_t length, uint64_t seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)store_sim_dice(&seed, 256);
}

/* All that may be set is set in some, in ways that follow from the number. */
const struct store_message *
model_message_build(const struct model_message *message)
{
	static struct store_message built;
	static struct store_delivery deliveries[MODEL_FANOUT];
	static uint32_t identifiers[MODEL_FANOUT];
	static uint8_t payload[MODEL_PAYLOAD_MAX], properties[24];
	static char topic[32];
	uint32_t number = message->number;

	for (unsigned i = 0; i < message->fanout; i++) {
		identifiers[i] = number + i;
		deliveries[i] = (struct store_delivery){
			.cursor = message->cursors[i],
			.qos = (uint8_t)(1 + (number + i) % 2),
			.flags = number % 9 == 0 ? STORE_RETAIN_FLAG : 0,
			.identifier_count = number % 4 == i,
			.identifiers = &identifiers[i],
		};
	}
	snprintf(topic, sizeof(topic), "model/%u", number);
	fill(payload, message->payload_length, number);
	fill(properties, sizeof(properties), ~(uint64_t)number);
	built = (struct store_message){
		.publisher = number % 5 == 0 ? number : 0,
		.packet_id = number % 5 == 0 ? (uint16_t)(number % 999 + 1) : 0,
		.qos = (uint8_t)(1 + number % 2),
		.retain = message->key < MODEL_KEYS,
		.retain_serial = message->key < MODEL_KEYS ? message->value : 0,
		.source = { .link = UINT32_MAX },
		.identity = number,
		.created_ns = number + 77,
		.expires_ns = number % 3 == 0 ? number + 999 : UINT64_MAX,
		.topic = slice_of_string(topic),
		.properties =
		    slice_of(properties, number % 6 == 0 ? number % 24 : 0),
		.payload = slice_of(payload, message->payload_length),
		.deliveries = deliveries,
		.delivery_count = message->fanout,
	};
	if (number % 7 == 0)
		built.source = (struct store_source){ number, 3, number };
	return &built;
}

static bool
same_delivery(const struct store_delivery *a, const struct store_delivery *b)
{
	if (a->cursor != b->cursor || a->qos != b->qos ||
	    a->flags != b->flags || a->identifier_count != b->identifier_count)
		return false;
	for (unsigned i = 0; i < a->identifier_count; i++)
		if (a->identifiers[i] != b->identifiers[i])
			return false;
	return true;
}

/* Each of `found` is one of what was appended, in the same order. */
static bool
are_deliveries_of(
    const struct store_message *found, const struct store_message *appended)
{
	size_t at = 0;

	for (size_t i = 0; i < found->delivery_count; i++) {
		while (at < appended->delivery_count &&
		    !same_delivery(
			&found->deliveries[i], &appended->deliveries[at]))
			at++;
		if (at++ >= appended->delivery_count)
			return false;
	}
	return true;
}

/* But for the deliveries: by their encoded form, so no field is forgotten. */
static bool
same_message(
    const struct store_message *found, const struct store_message *appended)
{
	static uint8_t bytes[2][BODY_MAX];
	struct store_message a = *found, b = *appended;
	size_t size;

	a.delivery_count = b.delivery_count = 0;
	size = store_message_size(&a);
	if (size != store_message_size(&b) || size > BODY_MAX)
		return false;
	store_message_write(&a, bytes[0]);
	store_message_write(&b, bytes[1]);
	return memcmp(bytes[0], bytes[1], size) == 0;
}

uint32_t
model_message_recognise(const struct model_messages *messages,
    uint64_t sequence, const struct store_message *found, const char **out_why)
{
	const struct model_message *message =
	    model_message_at(messages, found->identity);
	const struct store_message *appended;

	*out_why = "a message that was never appended";
	if (message == NULL)
		return 0;
	*out_why = "a message of a batch that failed";
	if (message->is_void)
		return 0;
	*out_why = "a message under another sequence";
	if (message->sequence != sequence)
		return 0;
	appended = model_message_build(message);
	*out_why = "a message that is not as it was appended";
	if (!same_message(found, appended))
		return 0;
	*out_why = "a delivery that was never appended";
	return are_deliveries_of(found, appended) ? message->number : 0;
}

/* ---- state --------------------------------------------------------------- */

size_t
model_state_write(uint8_t key, uint32_t value, uint8_t *out)
{
	size_t length = 8 + value % (MODEL_STATE_MAX - 8);

	memset(out, 0, 8);
	out[0] = key;
	memcpy(out + 4, &value, sizeof(value));
	fill(out + 8, length - 8, value);
	return length;
}

bool
model_state_parse(struct slice body, uint8_t *out_key, uint32_t *out_value)
{
	uint8_t expected[MODEL_STATE_MAX];
	uint32_t value;
	size_t length;

	if (body.len < 8 || body.data[0] >= MODEL_KEYS)
		return false;
	memcpy(&value, body.data + 4, sizeof(value));
	length = model_state_write(body.data[0], value, expected);
	if (length != body.len || memcmp(expected, body.data, length) != 0)
		return false;
	*out_key = body.data[0];
	*out_value = value;
	return true;
}
