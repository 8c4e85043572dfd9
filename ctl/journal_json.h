/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_json - records of the journal as JSON objects, and back.
 *
 * One object a record; "kind" names it (weir-journal(7) shows all).  Nothing
 * is lost on the way: a record that was exported and imported is the same,
 * byte for byte.  Payloads and properties are base64; numbers above 2^63 are
 * decimal texts; what is absent is zero, empty, false or "never".
 *
 * Pure; any thread.
 */

#ifndef WEIR_CTL_JOURNAL_JSON_H
#define WEIR_CTL_JOURNAL_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/store/store_record.h"

#define JOURNAL_JSON_FAULT_SIZE 128

/* A number of any size; see above. */
json_t *journal_json_number(uint64_t number);

/*
 * A state record (STORE_START and later kinds).  NULL: its kind is not one
 * that is exported, its body is none, it has text that is not UTF-8, or no
 * memory.
 */
json_t *journal_json_of_state(uint8_t kind, struct slice body);

/* A MESSAGE with its deliveries as "receivers".  NULL as above. */
json_t *journal_json_of_message(
    uint64_t sequence, const struct store_message *message);

struct journal_record {
	uint8_t kind;
	uint64_t sequence; /* of a MESSAGE in the journal it came from */
	struct slice body; /* points into `memory` */
	void *memory;
};

/*
 * The record of an object.  Returns 0; -EINVAL with what is wrong in
 * out_fault; -ENOMEM.  Free with journal_record_fini().
 */
int journal_json_to_record(const json_t *object,
    struct journal_record *out_record, char out_fault[JOURNAL_JSON_FAULT_SIZE]);
void journal_record_fini(struct journal_record *record);

#endif
