/* SPDX-License-Identifier: Apache-2.0 */

/*
 * journal_letters - the dead letters of one bridge in a journal that is read:
 * STORE_DEAD records by their numbers, those that are gone left out.
 */

#ifndef WEIR_CTL_JOURNAL_LETTERS_H
#define WEIR_CTL_JOURNAL_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct journal_letter;

/* Embed it by value, zeroed. */
struct journal_letters {
	struct journal_letter *first; /* in the order they came */
};

/* A record that was parsed: `is_gone`, or else its body, which is copied. */
int journal_letters_apply(struct journal_letters *letters, uint64_t id,
    bool is_gone, struct slice body);

/* Each body; ends with what `each` returned if it is not 0. */
int journal_letters_each(const struct journal_letters *letters,
    int (*each)(void *arg, struct slice body), void *arg);

void journal_letters_fini(struct journal_letters *letters);

#endif
