/* SPDX-License-Identifier: Apache-2.0 */

/*
 * unit_memory - memory of a test itself, which never fails.
 *
 * A test that has malloc() fail must not fail in its own helpers; so they
 * allocate here, and the test's malloc() asks unit_memory_is_own().
 */

#ifndef WEIR_TESTS_UNIT_UNIT_MEMORY_H
#define WEIR_TESTS_UNIT_UNIT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed; free() it. */
void *unit_new(size_t bytes);

/* As realloc(). */
void *unit_resize(void *memory, size_t bytes);

/* Room in *list for one more of `size` bytes behind `count`. */
void *unit_grow(void *list, size_t count, size_t *room, size_t size);

/* Is one of these at work, in this thread? */
bool unit_memory_is_own(void);

#endif
