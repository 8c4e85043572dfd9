/* SPDX-License-Identifier: Apache-2.0 */

/*
 * board - a short text that one thread keeps up to date and anybody reads.
 *
 * It lies in memory that the readers share, also with other processes, and
 * is two slots and a version: the writer fills the slot that does not count
 * and then makes it count.  Readers never wait and never see half a text; a
 * writer that dies between two stores leaves the text before.
 *
 *	board_text_init(&text);
 *	board_text_line(&text, "held %u %s", count, name);
 *	board_text_post(&text, board);
 *
 *	offset  size  field
 *	     0     8  version       texts written so far; slot version & 1
 *counts 64   992  slot 0        length, then the bytes 1056   992  slot 1 2048
 *
 * A board of zeros is an empty one.  What is read is another's: not
 * terminated, not checked but for its length.
 */

#ifndef WEIR_COMMON_BASE_BOARD_H
#define WEIR_COMMON_BASE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOARD_WORDS 123u
#define BOARD_MAX (BOARD_WORDS * 8) /* bytes of a text */

struct board_slot {
	_Atomic uint64_t length;
	_Atomic uint64_t words[BOARD_WORDS];
};

struct board {
	_Atomic uint64_t version;
	uint64_t reserved[7];
	struct board_slot slot[2];
};

_Static_assert(offsetof(struct board, slot) == 64, "slots");
_Static_assert(sizeof(struct board) == 2048, "board");

/* One writer.  `length` bytes, at most BOARD_MAX (else it is a BUG). */
void board_write(struct board *board, const void *bytes, size_t length);

/*
 * Any reader.  Returns the bytes copied to `out` (BOARD_MAX of them fit); 0
 * for an empty board, or one that changed each time it was looked at.
 */
size_t board_read(const struct board *board, void *out);

/* A text under construction: lines, as many as fit. */
struct board_text {
	char text[BOARD_MAX];
	size_t length;
	unsigned left_out; /* lines that did not fit */
};

void board_text_init(struct board_text *text);
void board_text_line(struct board_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Write it; lines left out are told by a last one, "more N". */
void board_text_post(const struct board_text *text, struct board *board);

/*
 * A foreign name as one word: what is not printable, a blank or a comma
 * becomes '?', an empty one "-"; cut to fit `size` with its NUL.
 */
const char *board_word(
    const void *bytes, size_t length, char *out, size_t size);

#endif
