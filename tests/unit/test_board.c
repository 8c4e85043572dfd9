/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/board.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static const char *
read_text(const struct board *board, char text[BOARD_MAX + 1])
{
	text[board_read(board, text)] = '\0';
	return text;
}

START_TEST(a_board_of_zeros_is_empty)
{
	static const struct board board;
	char text[BOARD_MAX];

	ck_assert_uint_eq(board_read(&board, text), 0);
}
END_TEST

START_TEST(the_last_text_counts)
{
	struct board board = { 0 };
	char text[BOARD_MAX + 1];

	board_write(&board, "a first text", 12);
	ck_assert_str_eq(read_text(&board, text), "a first text");
	board_write(&board, "second", 6);
	ck_assert_str_eq(read_text(&board, text), "second");
	board_write(&board, "", 0);
	ck_assert_uint_eq(board_read(&board, text), 0);
}
END_TEST

START_TEST(a_text_may_fill_the_board)
{
	struct board board = { 0 };
	char wrote[BOARD_MAX], text[BOARD_MAX];

	for (size_t i = 0; i < sizeof(wrote); i++)
		wrote[i] = (char)('a' + i % 26);
	board_write(&board, wrote, sizeof(wrote));
	ck_assert_uint_eq(board_read(&board, text), BOARD_MAX);
	ck_assert_mem_eq(text, wrote, BOARD_MAX);
}
END_TEST

START_TEST(a_writer_that_dies_halfway_leaves_the_text_before)
{
	struct board board = { 0 };
	char text[BOARD_MAX + 1];

	board_write(&board, "before", 6);
	/* All of the next write but its last store. */
	atomic_store(&board.slot[0].words[0], UINT64_MAX);
	atomic_store(&board.slot[0].length, 8);
	ck_assert_str_eq(read_text(&board, text), "before");
}
END_TEST

START_TEST(a_damaged_length_is_not_believed)
{
	struct board board = { 0 };
	char text[BOARD_MAX];

	board_write(&board, "text", 4);
	atomic_store(&board.slot[1].length, BOARD_MAX + 1);
	ck_assert_uint_eq(board_read(&board, text), 0);
	atomic_store(&board.slot[1].length, UINT64_MAX);
	ck_assert_uint_eq(board_read(&board, text), 0);
}
END_TEST

START_TEST(lines_that_do_not_fit_are_told)
{
	struct board board = { 0 };
	struct board_text lines;
	char text[BOARD_MAX + 1], line[101];

	memset(line, 'x', 100);
	line[100] = '\0';
	board_text_init(&lines);
	for (unsigned i = 0; i < 12; i++)
		board_text_line(&lines, "%s", line);
	board_text_line(&lines, "short %d", 7);
	board_text_post(&lines, &board);
	read_text(&board, text);
	ck_assert_uint_eq(strlen(text), 9 * 101 + 8 + 7);
	ck_assert_str_eq(text + 9 * 101, "short 7\nmore 3\n");
	board_text_init(&lines);
	board_text_post(&lines, &board);
	ck_assert_uint_eq(board_read(&board, text), 0);
}
END_TEST

START_TEST(a_foreign_name_is_one_printable_word)
{
	char word[8];

	ck_assert_str_eq(board_word("plc7", 4, word, sizeof(word)), "plc7");
	ck_assert_str_eq(
	    board_word("a b,\n\x7f", 6, word, sizeof(word)), "a?b???");
	ck_assert_str_eq(
	    board_word("123456789", 9, word, sizeof(word)), "1234567");
	ck_assert_str_eq(board_word("", 0, word, sizeof(word)), "-");
}
END_TEST

#define TEXTS 200000u

static void *
write_many(void *arg)
{
	char text[BOARD_MAX];

	for (unsigned i = 1; i <= TEXTS; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		board_write(arg, text, 1 + i % BOARD_MAX);
	}
	return NULL;
}

/* The promise: whenever it is read, a text is whole. */
START_TEST(nobody_reads_half_a_text)
{
	static struct board board;
	char text[BOARD_MAX];
	pthread_t writer;
	uint64_t version;
	size_t length, reads = 0;

	ck_assert_int_eq(pthread_create(&writer, NULL, write_many, &board), 0);
	do {
		version = atomic_load(&board.version);
		length = board_read(&board, text);
		for (size_t i = 1; i < length; i++)
			ck_assert_int_eq(text[i], text[0]);
		reads += length != 0;
	} while (version < TEXTS);
	pthread_join(writer, NULL);
	ck_assert_uint_gt(reads, 0);
	ck_assert_uint_eq(length, 1 + TEXTS % BOARD_MAX);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("board");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_board_of_zeros_is_empty);
	tcase_add_test(tc, the_last_text_counts);
	tcase_add_test(tc, a_text_may_fill_the_board);
	tcase_add_test(tc, a_writer_that_dies_halfway_leaves_the_text_before);
	tcase_add_test(tc, a_damaged_length_is_not_believed);
	tcase_add_test(tc, lines_that_do_not_fit_are_told);
	tcase_add_test(tc, a_foreign_name_is_one_printable_word);
	tcase_add_test(tc, nobody_reads_half_a_text);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
