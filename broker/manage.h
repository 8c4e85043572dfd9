/* SPDX-License-Identifier: Apache-2.0 */

/*
 * manage - who answers what is asked of the broker (common/msg/ask.h).
 *
 * One entrance for both ways, weir-httpd's ring and the control socket.  The
 * words and the rights they need are rows of manage_asks.def; a row's function
 * has a file of its own kind, manage_*.c:
 *
 *	void
 *	manage_x(struct manage_ask *ask, const json_t *question)
 *	{
 *		manage_answer(ask, json_pack(...));
 *	}
 *
 * It answers at once, or later, but exactly once: manage_answer(),
 * manage_answer_text() or manage_refuse().  Until then the ask is its own and
 * may travel by mail; what is told is told on the links thread.
 *
 * All functions are for the links thread.
 */

#ifndef WEIR_BROKER_MANAGE_H
#define WEIR_BROKER_MANAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct links;

/* One question; its asker makes it and frees it. */
struct manage_ask {
	/* Set by the asker.  answered() may run before manage_run() returns. */
	struct links *links;
	uint64_t identity;   /* in whose name */
	bool has_all_rights; /* the control socket's peers */
	void (*answered)(struct manage_ask *ask);

	/* Valid when answered() runs. */
	unsigned status; /* a status code of HTTP */
	char *text;      /* JSON, to be freed; NULL: there is no memory */
	size_t length;
};

typedef void (*manage_function)(struct manage_ask *ask, const json_t *question);

/* Look at a question and answer it, now or later. */
void manage_run(struct manage_ask *ask, struct slice question);

/* ---- for the rows' functions ------------------------------------------- */

/*
 * Takes `answer`, an object; "status" is set to 200 if it is not there.
 * NULL: no memory, 503.
 */
void manage_answer(struct manage_ask *ask, json_t *answer);

/* The answer as text with its status in it; takes `text`. */
void manage_answer_text(
    struct manage_ask *ask, unsigned status, char *text, size_t length);

/* {"status":...,"message":...} */
void manage_refuse(struct manage_ask *ask, unsigned status, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/*
 * A string of the question.  Returns 0; -ENOENT: it is not there; or -EINVAL
 * after the ask was refused (it is no string, or longer than 65,535 bytes).
 */
int manage_string(struct manage_ask *ask, const json_t *question,
    const char *key, struct slice *out_value);

/* As manage_string(), when it must be there: 0, or the ask was refused. */
int manage_needs_string(struct manage_ask *ask, const json_t *question,
    const char *key, struct slice *out_value);

/* A part of a list. */
struct manage_page {
	uint64_t skip;
	uint64_t limit; /* 1 .. ASK_LIMIT_MAX */
	uint64_t page;  /* from 1 */
};

/* "limit" and "page".  Returns 0, or -EINVAL after the ask was refused. */
int manage_page_of(struct manage_ask *ask, const json_t *question,
    struct manage_page *out_page);

/* ---- the rows ----------------------------------------------------------- */

#define MANAGE_ASK(name, right)                                                \
	void manage_##name(struct manage_ask *ask, const json_t *question);
#include "broker/manage_asks.def"
#undef MANAGE_ASK

#endif
