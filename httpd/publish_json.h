/* SPDX-License-Identifier: Apache-2.0 */

/*
 * publish_json - the body of a publish request, taken apart and checked.
 *
 *	err = publish_json_open(&scratch, body, PUBLISH_ONE, &document, &error);
 *	for (i = 0; i < document.count; i++)
 *		err = publish_json_read(&document, i, &entry, &error);
 *		for (k = 0; k < entry.topic_count; k++)
 *			send(publish_json_topic(&entry, k), entry.message ...)
 *	publish_json_close(&document);
 *
 * Fields that are not known are ignored, as other brokers do; where the two
 * APIs have two names for one thing, both take both.  An entry's slices live
 * until the next read, or close.  One thread a scratch.
 */

#ifndef WEIR_HTTPD_PUBLISH_JSON_H
#define WEIR_HTTPD_PUBLISH_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"
#include "common/msg/record.h"

#define PUBLISH_TOPICS_MAX 64
#define PUBLISH_BATCH_MAX 1024 /* messages of one request, topics counted */

/* NanoMQ's numbers for what went wrong. */
enum publish_code {
	PUBLISH_CODE_NO_CREDENTIALS = 104,
	PUBLISH_CODE_BAD_CREDENTIALS = 103,
	PUBLISH_CODE_MISSING_FIELD = 107,
	PUBLISH_CODE_BAD_FIELD = 108,
	PUBLISH_CODE_BAD_JSON = 109,
	PUBLISH_CODE_BAD_TOPIC = 115
};

enum publish_shape {
	PUBLISH_ONE,    /* an object */
	PUBLISH_BATCH,  /* an array of objects */
	PUBLISH_ONE_V5, /* the same with one topic a message, and with ids */
	PUBLISH_BULK_V5
};

static inline bool
publish_shape_is_array(enum publish_shape shape)
{
	return shape == PUBLISH_BATCH || shape == PUBLISH_BULK_V5;
}

static inline bool
publish_shape_is_v5(enum publish_shape shape)
{
	return shape == PUBLISH_ONE_V5 || shape == PUBLISH_BULK_V5;
}

/* All are answered 400. */
struct publish_error {
	unsigned code; /* enum publish_code */
	char text[224];
};

/* Room for what is decoded; grows, and is kept from request to request. */
struct publish_scratch {
	uint8_t *bytes;
	size_t size;
};

struct publish_document {
	json_t *root;
	struct publish_scratch *scratch;
	enum publish_shape shape;
	size_t count;
};

struct publish_entry {
	struct record_message message; /* topic: the first one */
	size_t topic_count;            /* 1..PUBLISH_TOPICS_MAX */
	struct slice topics[PUBLISH_TOPICS_MAX];
};

void publish_scratch_fini(struct publish_scratch *scratch);

/*
 * Parse `body`.  Returns 0, -EBADMSG with *out_error filled in, or -ENOMEM.
 * Close the document only after 0.
 */
int publish_json_open(struct publish_scratch *scratch, struct slice body,
    enum publish_shape shape, struct publish_document *out_document,
    struct publish_error *out_error);
void publish_json_close(struct publish_document *document);

/* Check and decode message `index`.  Returns as publish_json_open(). */
int publish_json_read(struct publish_document *document, size_t index,
    struct publish_entry *out_entry, struct publish_error *out_error);

/* The topic an entry gives, valid or not, for error messages; may be empty. */
struct slice publish_json_label(
    const struct publish_document *document, size_t index);

#endif
