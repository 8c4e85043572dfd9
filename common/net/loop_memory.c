/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/loop_memory.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
#include <sanitizer/lsan_interface.h>
/* What the cells point to is no leak. */
#define SHOW_TO_SANITIZER(map, size) __lsan_register_root_region(map, size)
#else
#define SHOW_TO_SANITIZER(map, size) ((void)0)
#endif

#define REGION_BYTES ((size_t)LOOP_MEMORY_CELL * LOOP_MEMORY_CELLS)

/* A cell that nobody has. */
struct cell {
	struct cell *next;
};

/* libevent's functions have no context. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t *region; /* [const] then; NULL: there is none */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct cell *unused; /* under the mutex, as the next */
static size_t begun;        /* cells that were used once */

static bool
is_cell(const void *memory)
{
	return region != NULL && (const uint8_t *)memory >= region &&
	    (const uint8_t *)memory < region + REGION_BYTES;
}

static void *
take_cell(void)
{
	void *memory = NULL;

	pthread_mutex_lock(&mutex);
	if (unused != NULL) {
		memory = unused;
		unused = unused->next;
	} else if (region != NULL && begun < LOOP_MEMORY_CELLS) {
		memory = region + LOOP_MEMORY_CELL * begun++;
	}
	pthread_mutex_unlock(&mutex);
	return memory;
}

static void
put_cell(struct cell *cell)
{
	pthread_mutex_lock(&mutex);
	cell->next = unused;
	unused = cell;
	pthread_mutex_unlock(&mutex);
}

void *
loop_memory_take(size_t size)
{
	void *memory = NULL;

	if (size != 0 && size <= LOOP_MEMORY_CELL)
		memory = take_cell();
	return memory != NULL ? memory : malloc(size);
}

void *
loop_memory_resize(void *memory, size_t size)
{
	void *fresh;

	if (memory == NULL)
		return loop_memory_take(size);
	if (!is_cell(memory))
		return realloc(memory, size);
	if (size <= LOOP_MEMORY_CELL)
		return memory;
	fresh = malloc(size);
	if (fresh == NULL)
		return NULL;
	memcpy(fresh, memory, LOOP_MEMORY_CELL);
	put_cell(memory);
	return fresh;
}

void
loop_memory_put(void *memory)
{
	if (is_cell(memory))
		put_cell(memory);
	else
		free(memory);
}

static void
begin(void)
{
	void *map = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return;
	region = map;
	SHOW_TO_SANITIZER(map, REGION_BYTES);
	event_set_mem_functions(
	    loop_memory_take, loop_memory_resize, loop_memory_put);
}

void
loop_memory_use(void)
{
	pthread_once(&once, begin);
}
