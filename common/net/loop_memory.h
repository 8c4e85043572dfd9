/* SPDX-License-Identifier: Apache-2.0 */

/*
 * loop_memory - small pieces of libevent lie apart from everything else.
 *
 * libevent keeps a few bytes for each descriptor that ever was, and never
 * frees them.  Allocated between our own objects they would hold a page each,
 * long after the connections have gone, and no burst's memory could be given
 * back.  So what is LOOP_MEMORY_CELL bytes or less comes from a region of its
 * own, LOOP_MEMORY_CELLS of them; beyond these, and for what is larger, the
 * usual allocator serves.
 *
 * Any thread.
 */

#ifndef WEIR_COMMON_NET_LOOP_MEMORY_H
#define WEIR_COMMON_NET_LOOP_MEMORY_H

#include <stddef.h>

#define LOOP_MEMORY_CELL 32u
#define LOOP_MEMORY_CELLS (1u << 20)

/* For libevent, of the whole process, from now on; may be called again. */
void loop_memory_use(void);

/* As malloc(), realloc() and free(); for tests. */
void *loop_memory_take(size_t size);
void *loop_memory_resize(void *memory, size_t size);
void loop_memory_put(void *memory);

#endif
