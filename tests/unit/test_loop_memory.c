/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop_memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* Do both lie within so many bytes of each other? */
static bool
are_near(const void *a, const void *b, size_t bytes)
{
	const uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;

	return (x < y ? y - x : x - y) < bytes;
}

START_TEST(keeps_small_pieces_apart_from_what_is_large)
{
	void *small[3], *large;

	loop_memory_use();
	small[0] = loop_memory_take(1);
	large = loop_memory_take(LOOP_MEMORY_CELL + 1);
	small[1] = loop_memory_take(LOOP_MEMORY_CELL);
	small[2] = loop_memory_take(24);
	ck_assert(are_near(small[0], small[2], 3 * LOOP_MEMORY_CELL));
	ck_assert(!are_near(small[0], large,
	    (size_t)LOOP_MEMORY_CELL * LOOP_MEMORY_CELLS / 64));
	for (int i = 0; i < 3; i++) {
		memset(small[i], 0xa5, LOOP_MEMORY_CELL);
		ck_assert_uint_eq((uintptr_t)small[i] % 16, 0);
		loop_memory_put(small[i]);
	}
	loop_memory_put(large);
}
END_TEST

START_TEST(uses_again_what_was_put)
{
	void *first, *again;

	loop_memory_use();
	first = loop_memory_take(8);
	loop_memory_put(first);
	again = loop_memory_take(16);
	ck_assert_ptr_eq(first, again);
	loop_memory_put(again);
}
END_TEST

START_TEST(grows_a_piece_with_what_is_in_it)
{
	char *piece;

	loop_memory_use();
	piece = loop_memory_resize(NULL, 8);
	strcpy(piece, "1234567");
	ck_assert_ptr_eq(loop_memory_resize(piece, 32), piece);
	piece = loop_memory_resize(piece, 1000);
	ck_assert_str_eq(piece, "1234567");
	memset(piece, 'x', 1000);
	piece = loop_memory_resize(piece, 2000);
	ck_assert_int_eq(piece[999], 'x');
	loop_memory_put(piece);
	loop_memory_put(NULL);
}
END_TEST

START_TEST(takes_what_was_allocated_before)
{
	char *before = malloc(8);

	loop_memory_use();
	loop_memory_use();
	before = loop_memory_resize(before, 16);
	loop_memory_put(before);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("loop_memory");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, keeps_small_pieces_apart_from_what_is_large);
	tcase_add_test(tc, uses_again_what_was_put);
	tcase_add_test(tc, grows_a_piece_with_what_is_in_it);
	tcase_add_test(tc, takes_what_was_allocated_before);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
