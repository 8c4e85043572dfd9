/* SPDX-License-Identifier: Apache-2.0 */

/*
 * store_model - what a store must hold, in the plainest form.
 *
 * A model is the state behind a prefix of what was appended: what waits for
 * each cursor, and one value a key for all other state.  A message's bytes
 * follow from its number, so whatever a store hands out can be compared with
 * what was written.
 *
 * One thread.  Without memory all of it aborts.
 */

#ifndef WEIR_TESTS_UNIT_STORE_MODEL_H
#define WEIR_TESTS_UNIT_STORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store.h"

#define MODEL_KEYS 8u
#define MODEL_FANOUT 3u
#define MODEL_PAYLOAD_MAX (12u << 10)

/* A message that was appended, by its number (from 1). */
struct model_message {
	uint64_t sequence;
	uint64_t cursors[MODEL_FANOUT];
	uint32_t number;
	uint32_t payload_length;
	uint32_t value; /* of its key, if it is retained */
	uint8_t key;    /* MODEL_KEYS: it is not retained */
	uint8_t fanout;
	bool is_void; /* its batch is known not to be committed */
};

struct model_messages {
	struct model_message *list; /* [number - 1] */
	size_t count, room;
};

enum model_kind {
	MODEL_MESSAGE,
	MODEL_DONE,
	MODEL_OPEN,
	MODEL_CLOSE,
	MODEL_STATE
};

struct model_op {
	enum model_kind kind;
	uint8_t key;            /* STATE */
	uint32_t number;        /* MESSAGE */
	uint32_t value;         /* STATE */
	struct store_done done; /* DONE; OPEN and CLOSE: its cursor */
};

struct model_ops {
	struct model_op *list;
	size_t count, room;
};

struct model_cursor {
	uint64_t cursor;
	uint32_t *waiting; /* numbers of messages, in order */
	size_t count, room;
	uint32_t *unsure; /* done, in a commit that may be lost */
	size_t unsure_count, unsure_room;
};

struct model {
	uint32_t values[MODEL_KEYS]; /* 0: none yet */
	uint64_t largest_cursor;
	struct model_cursor *cursors;
	size_t cursor_count, cursor_room;
};

void model_fini(struct model *model);
void model_copy(struct model *to, const struct model *from);
void model_apply(struct model *model, const struct model_messages *messages,
    const struct model_op *op);

/* Of DONE: in a commit that nobody waited for, behind which a sync failed. */
void model_apply_unsure(struct model *model,
    const struct model_messages *messages, const struct model_op *op);

/* What was unsure waits after all. */
void model_wait_again(struct model_cursor *cursor, uint32_t number);

/* NULL: it is not open. */
struct model_cursor *model_find(const struct model *model, uint64_t cursor);

void model_ops_add(struct model_ops *ops, const struct model_op *op);
void model_ops_drop_front(struct model_ops *ops, size_t count);

/* A new one, with nothing but its number set. */
struct model_message *model_messages_add(struct model_messages *messages);

/* NULL: there is none with this number. */
const struct model_message *model_message_at(
    const struct model_messages *messages, uint64_t number);

/* The message as it is appended; valid until the next call. */
const struct store_message *model_message_build(
    const struct model_message *message);

/*
 * Is this what was appended?  Its number, or 0 and why not in *out_why.  It
 * may have lost deliveries that are over.
 */
uint32_t model_message_recognise(const struct model_messages *messages,
    uint64_t sequence, const struct store_message *found, const char **out_why);

/* The body of a record of state, and back; false: it is not what was put. */
#define MODEL_STATE_MAX 512u
size_t model_state_write(uint8_t key, uint32_t value, uint8_t *out);
bool model_state_parse(
    struct slice body, uint8_t *out_key, uint32_t *out_value);

#endif
