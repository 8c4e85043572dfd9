/* SPDX-License-Identifier: Apache-2.0 */

/*
 * dump_diagnosis - why a lane is as it is, from its memory alone.
 *
 * Made of one snapshot and one dump, it names the first of these that is
 * true: damaged memory; a consumer that is gone, stopped or hangs; a consumer
 * that sleeps on records that it could take (a lost wake-up, which is our
 * mistake); acknowledgements or room that are waited for; or nothing at all.
 */

#ifndef WEIR_CTL_DUMP_DIAGNOSIS_H
#define WEIR_CTL_DUMP_DIAGNOSIS_H

#include <jansson.h>

#include "common/ring/ring_dump.h"
#include "common/ring/ring_inspect.h"

enum diagnosis {
	DIAGNOSIS_EMPTY,
	DIAGNOSIS_MOVING,
	DIAGNOSIS_DAMAGED,
	DIAGNOSIS_CONSUMER_ABSENT,
	DIAGNOSIS_CONSUMER_DEAD,
	DIAGNOSIS_CONSUMER_STOPPED,
	DIAGNOSIS_CONSUMER_HUNG,
	DIAGNOSIS_HELD,      /* by a bridge or a remote: view->held_by */
	DIAGNOSIS_NO_CREDIT, /* the producer's */
	DIAGNOSIS_NOT_ACKED, /* the remote has all of it */
	DIAGNOSIS_LOST_WAKE,
	DIAGNOSIS_BLOCKED /* none of these explains it */
};

struct dump_diagnosis {
	enum diagnosis what;
	char text[320];
	char hint[320]; /* what to do; "" for nothing */
};

const char *diagnosis_name(enum diagnosis what); /* "consumer_dead" */

void dump_diagnose(const struct ring_view *view, const struct ring_dump *dump,
    struct dump_diagnosis *out_diagnosis);

/* Below the table: counts, diagnosis, and a look at a damaged header. */
void dump_diagnosis_print(const struct ring_view *view,
    const struct ring_dump *dump, const struct dump_diagnosis *diagnosis);

/* One line of `--json`; NULL without memory. */
json_t *dump_diagnosis_to_json(const struct ring_view *view,
    const struct ring_dump *dump, const struct dump_diagnosis *diagnosis);

#endif
