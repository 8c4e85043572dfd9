/* SPDX-License-Identifier: Apache-2.0 */

/*
 * parameters - what may stand in paths and queries, by name.
 *
 * Constant; any thread.
 */

#ifndef WEIR_HTTPD_PARAMETERS_H
#define WEIR_HTTPD_PARAMETERS_H

#include <stdint.h>

#include "common/base/slice.h"

/* Entries of a page of a list, if not said and at most. */
#define PARAMETER_LIMIT 100u
#define PARAMETER_LIMIT_MAX 1000u
#define PARAMETER_PAGE_MAX 1000000000u
#define PARAMETER_ID_MAX ((UINT64_C(1) << 53) - 1) /* what JSON has exactly */

struct parameter {
	const char *name;
	const char *ask; /* its name in a question, see common/msg/ask.h */
	uint64_t most;   /* of a number, from 1; 0: it is text */
	const char *summary;
};

/* The row, also with '_' before the name; or NULL. */
const struct parameter *parameter_find(struct slice name);

#endif
