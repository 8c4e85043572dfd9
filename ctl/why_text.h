/* SPDX-License-Identifier: Apache-2.0 */

/*
 * why_text - a trouble in words, and what can be done about it.
 */

#ifndef WEIR_CTL_WHY_TEXT_H
#define WEIR_CTL_WHY_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "ctl/why.h"

/* What may be done: a command to type, or none, and what it is good for. */
struct why_advice {
	char command[160]; /* "": only the text */
	char text[240];
};

#define WHY_ADVICE_MAX 3

/* "weir-bridged cloud" */
const char *why_program(const struct ring_party *party, char text[80]);

/* One sentence, without a line's end. */
void why_print_sentence(
    const struct why_trouble *trouble, uint64_t now_ns, FILE *out);

/* A lane, or a bridge, that is not blocked, and how it does. */
void why_print_fine(const struct ring_view *view, uint64_t now_ns, FILE *out);

/* Returns how many there are, at most WHY_ADVICE_MAX. */
unsigned why_advise(const struct why_trouble *trouble,
    struct why_advice advice[WHY_ADVICE_MAX]);

#endif
