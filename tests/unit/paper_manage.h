/* SPDX-License-Identifier: Apache-2.0 */

/*
 * paper_manage - questions to a broker of paper: each is answered with what
 * the test has prepared, at once or when it says so.  Included by one test
 * program each.
 */

#ifndef WEIR_TESTS_UNIT_PAPER_MANAGE_H
#define WEIR_TESTS_UNIT_PAPER_MANAGE_H

#include <stdlib.h>
#include <string.h>

#include "broker/manage.h"
#include "tests/unit/unit.h"

#define PAPER_HELD_MAX 64u

static struct {
	size_t length; /* of an answer; 0: there is no memory for one */
	bool holds;    /* answers come with paper_answer_held() */
	char question[256];
	uint64_t identity;
	bool has_all_rights;
	unsigned asked;
	struct manage_ask *held[PAPER_HELD_MAX];
	unsigned held_count;
} paper;

void
manage_answer_text(
    struct manage_ask *ask, unsigned status, char *text, size_t length)
{
	ask->status = status;
	ask->text = text;
	ask->length = length;
	ask->answered(ask);
}

/* The byte at `i` of an answer. */
static inline char
paper_byte(size_t i)
{
	return (char)('a' + i % 23);
}

static inline void
paper_answer(struct manage_ask *ask)
{
	char *text = paper.length == 0 ? NULL : malloc(paper.length);

	for (size_t i = 0; i < paper.length; i++)
		text[i] = paper_byte(i);
	manage_answer_text(ask, 200, text, paper.length);
}

static inline void
paper_answer_held(void)
{
	for (unsigned i = 0; i < paper.held_count; i++)
		paper_answer(paper.held[i]);
	paper.held_count = 0;
}

void
manage_run(struct manage_ask *ask, struct slice question)
{
	paper.asked++;
	paper.identity = ask->identity;
	paper.has_all_rights = ask->has_all_rights;
	snprintf(paper.question, sizeof(paper.question), "%.*s",
	    (int)question.len, (const char *)question.data);
	if (!paper.holds) {
		paper_answer(ask);
		return;
	}
	ck_assert_uint_lt(paper.held_count, PAPER_HELD_MAX);
	paper.held[paper.held_count++] = ask;
}

#endif
