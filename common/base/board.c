/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/board.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bug.h"

/* A writer writes now and then: a reader is disturbed once, hardly twice. */
#define READ_TRIES 8

/* Kept free in a text under construction. */
#define MORE_SIZE sizeof("more 4294967295\n")

void
board_write(struct board *board, const void *bytes, size_t length)
{
	struct board_slot *slot;
	uint64_t version, word;
	size_t part;

	BUG_ON(length > BOARD_MAX);
	/* Relaxed: this is the only writer. */
	version =
	    atomic_load_explicit(&board->version, memory_order_relaxed) + 1;
	slot = &board->slot[version & 1];

	/*
	 * Release, each word: who sees one of them sees that the version
	 * before this one counts, too, and drops what it read of this slot.
	 */
	for (size_t i = 0; i < length; i += sizeof(word)) {
		part = length - i < sizeof(word) ? length - i : sizeof(word);
		word = 0;
		memcpy(&word, (const char *)bytes + i, part);
		atomic_store_explicit(
		    &slot->words[i / sizeof(word)], word, memory_order_release);
	}
	atomic_store_explicit(&slot->length, length, memory_order_release);
	/* Release: pairs with the first load in try_read(). */
	atomic_store_explicit(&board->version, version, memory_order_release);
}

static bool
try_read(const struct board *board, char *out, size_t *out_length)
{
	const struct board_slot *slot;
	uint64_t version, length, word;

	/* Acquire: pairs with the stores in board_write(). */
	version = atomic_load_explicit(&board->version, memory_order_acquire);
	slot = &board->slot[version & 1];
	length = atomic_load_explicit(&slot->length, memory_order_acquire);
	if (length > BOARD_MAX)
		length = 0;
	for (size_t i = 0; i < length; i += sizeof(word)) {
		word = atomic_load_explicit(
		    &slot->words[i / sizeof(word)], memory_order_acquire);
		memcpy(out + i, &word, sizeof(word));
	}
	*out_length = length;
	return atomic_load_explicit(&board->version, memory_order_relaxed) ==
	    version;
}

size_t
board_read(const struct board *board, void *out)
{
	size_t length;

	for (unsigned i = 0; i < READ_TRIES; i++) {
		if (try_read(board, out, &length))
			return length;
	}
	return 0;
}

void
board_text_init(struct board_text *text)
{
	text->length = 0;
	text->left_out = 0;
}

void
board_text_line(struct board_text *text, const char *format, ...)
{
	const size_t room = BOARD_MAX - MORE_SIZE - text->length;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->text + text->length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length + 1 > room) {
		text->left_out++;
		return;
	}
	text->length += (size_t)length;
	text->text[text->length++] = '\n';
}

void
board_text_post(const struct board_text *text, struct board *board)
{
	char whole[BOARD_MAX];
	size_t length = text->length;

	memcpy(whole, text->text, length);
	if (text->left_out != 0)
		length += (size_t)snprintf(
		    whole + length, MORE_SIZE, "more %u\n", text->left_out);
	board_write(board, whole, length);
}

const char *
board_word(const void *bytes, size_t length, char *out, size_t size)
{
	const unsigned char *from = bytes;
	size_t used = 0;

	for (size_t i = 0; i < length && used + 1 < size; i++)
		out[used++] =
		    from[i] <= ' ' || from[i] == 0x7f || from[i] == ','
		    ? '?'
		    : (char)from[i];
	if (used == 0 && size > 1)
		out[used++] = '-';
	out[used] = '\0';
	return out;
}
