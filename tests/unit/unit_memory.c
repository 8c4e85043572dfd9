/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/unit/unit_memory.h"

#include <stdlib.h>

#include "common/base/bug.h"

/* Volatile: realloc() is not supposed to look at it. */
static _Thread_local volatile bool is_own;

void *
unit_resize(void *memory, size_t bytes)
{
	is_own = true;
	memory = realloc(memory, bytes == 0 ? 1 : bytes);
	is_own = false;
	BUG_ON(memory == NULL);
	return memory;
}

void *
unit_new(size_t bytes)
{
	void *memory;

	is_own = true;
	memory = calloc(1, bytes == 0 ? 1 : bytes);
	is_own = false;
	BUG_ON(memory == NULL);
	return memory;
}

void *
unit_grow(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	*room = *room == 0 ? 16 : 2 * *room;
	return unit_resize(list, *room * size);
}

bool
unit_memory_is_own(void)
{
	return is_own;
}
