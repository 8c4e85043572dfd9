/* SPDX-License-Identifier: Apache-2.0 */

#include "ctl/journal_letters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct journal_letter {
	struct journal_letter *next;
	uint64_t id;
	size_t length;
	uint8_t body[];
};

static struct journal_letter **
find(struct journal_letters *letters, uint64_t id)
{
	struct journal_letter **at = &letters->first;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

int
journal_letters_apply(struct journal_letters *letters, uint64_t id,
    bool is_gone, struct slice body)
{
	struct journal_letter **at = find(letters, id), *letter = *at;

	if (is_gone && letter != NULL) {
		*at = letter->next;
		free(letter);
	}
	/* A checkpoint may have it already. */
	if (is_gone || letter != NULL)
		return 0;
	letter = malloc(sizeof(*letter) + body.len);
	if (letter == NULL)
		return -ENOMEM;
	*letter = (struct journal_letter){ .id = id, .length = body.len };
	memcpy(letter->body, body.data, body.len);
	*at = letter;
	return 0;
}

int
journal_letters_each(const struct journal_letters *letters,
    int (*each)(void *arg, struct slice body), void *arg)
{
	const struct journal_letter *letter;
	int err = 0;

	for (letter = letters->first; letter != NULL && err == 0;
	     letter = letter->next)
		err = each(arg, slice_of(letter->body, letter->length));
	return err;
}

void
journal_letters_fini(struct journal_letters *letters)
{
	struct journal_letter *letter;

	while ((letter = letters->first) != NULL) {
		letters->first = letter->next;
		free(letter);
	}
}
