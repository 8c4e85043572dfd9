/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dump_record - one record of a dump, taken apart and written down.
 *
 *	err = dump_record_read(&buffer, lane, ...)	body, if it is there
 *	dump_record_row(...) or dump_record_to_json(...)
 *
 * Payloads are read and shown only when asked for, credentials never.  What
 * is in a record may be anything; it is checked, and escaped for a terminal.
 */

#ifndef WEIR_CTL_DUMP_RECORD_H
#define WEIR_CTL_DUMP_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg/record.h"
#include "common/ring/ring_dump.h"
#include "ctl/record_id.h"
#include "ctl/table.h"

/* Grows to the largest body; zeroed memory is an empty one. */
struct dump_buffer {
	uint8_t *bytes;
	size_t size;
};

struct dump_record {
	const struct ring_view *view;
	const struct ring_dump_record *record;
	struct ring_trace_id id;
	bool has_id;
	bool is_message; /* `message` is there */
	bool is_bad;     /* it says that it is one, and is not */
	bool has_payload;
	struct record_message message; /* in the buffer */
	uint64_t age_ns;
};

void dump_buffer_fini(struct dump_buffer *buffer);

/*
 * Read what is to be shown of a record of `view`; valid until the buffer is
 * used again.  Returns 0, -ESTALE when it was overtaken, or -errno.
 */
int dump_record_read(struct dump_buffer *buffer, struct ring_dump_lane *lane,
    const struct ring_view *view, const struct ring_dump_record *record,
    bool with_payload, struct dump_record *out_record);

/* The columns of a table of records; the last one is for payloads. */
extern const struct table_column dump_record_columns[];
extern const struct table_column dump_record_columns_with_payload[];

int dump_record_row(struct table *table, const struct dump_record *record);

/* NULL without memory. */
json_t *dump_record_to_json(const struct dump_record *record);

#endif
