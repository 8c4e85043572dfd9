/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/bug.h"

#if defined(__SANITIZE_ADDRESS__)
#define POOL_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_HAS_ASAN 1
#endif
#endif

#ifdef POOL_HAS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

#define ALIGNMENT 16

/* A slab has so many bytes, or more when objects are large. */
#define MIN_SLAB_BYTES ((size_t)65536)
#define MIN_SLAB_OBJECTS 8

/* A free object: its first word links the list it is on. */
struct pool_object {
	struct pool_object *next;
};

/*
 * It lies at a multiple of its size, so that an object leads to it.  Objects
 * behind `carved` were never used: their pages are not there yet.
 */
struct pool_slab {
	struct pool_slab *next, *previous;
	struct pool_object *free;
	uint32_t carved;
	uint32_t in_use;
};

#define HEADER_BYTES                                                           \
	((sizeof(struct pool_slab) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

/* Its address tells threads apart. */
static _Thread_local char me;

/*
 * Only these two touch a free object, so only they see through the poison.
 */
static struct pool_object *
unlink_object(struct pool *pool, struct pool_object *object)
{
	(void)pool;
	ASAN_UNPOISON_MEMORY_REGION(object, pool->object_size);
	return object->next;
}

static void
link_object(
    struct pool *pool, struct pool_object *object, struct pool_object *next)
{
	(void)pool;
	ASAN_UNPOISON_MEMORY_REGION(object, sizeof(*object));
	object->next = next;
	ASAN_POISON_MEMORY_REGION(object, pool->object_size);
}

static bool
is_owner(struct pool *pool)
{
	/* Relaxed: only "it is me" matters, and I wrote that myself. */
	return atomic_load_explicit(&pool->owner, memory_order_relaxed) == &me;
}

/* ---- slabs ---------------------------------------------------------------
 */

static struct pool_slab *
slab_of(const struct pool *pool, const void *object)
{
	return (struct pool_slab *)((uintptr_t)object &
	    ~(uintptr_t)(pool->slab_bytes - 1));
}

static void
put_in_front(struct pool_slab **list, struct pool_slab *slab)
{
	slab->previous = NULL;
	slab->next = *list;
	if (*list != NULL)
		(*list)->previous = slab;
	*list = slab;
}

static void
take_out(struct pool_slab **list, struct pool_slab *slab)
{
	if (slab->previous != NULL)
		slab->previous->next = slab->next;
	else
		*list = slab->next;
	if (slab->next != NULL)
		slab->next->previous = slab->previous;
}

static bool
is_full(const struct pool *pool, const struct pool_slab *slab)
{
	return slab->free == NULL && slab->carved == pool->slab_objects;
}

#ifdef POOL_HAS_ASAN

/* From its heap, or what objects point to would look like a leak. */
static void *
map_slab(const struct pool *pool)
{
	return aligned_alloc(pool->slab_bytes, pool->slab_bytes);
}

static void
unmap_slab(const struct pool *pool, struct pool_slab *slab)
{
	ASAN_UNPOISON_MEMORY_REGION(slab, pool->slab_bytes);
	free(slab);
}

#else

/*
 * Memory at a multiple of its size.  The place below the slab before is tried
 * first: then they are one mapping for the kernel, which counts them.
 */
static void *
map_slab(const struct pool *pool)
{
	const size_t size = pool->slab_bytes;
	const struct pool_slab *near =
	    pool->usable != NULL ? pool->usable : pool->full;
	uintptr_t hint = near == NULL ? 0 : (uintptr_t)near - size, start, at;
	void *map;

	map = mmap((void *)hint, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (((uintptr_t)map & (size - 1)) == 0)
		return map;
	munmap(map, size);
	map = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	start = (uintptr_t)map;
	at = (start + size - 1) & ~(uintptr_t)(size - 1);
	if (at != start)
		munmap(map, at - start);
	if (at != start + size)
		munmap((void *)(at + size), start + size - at);
	return (void *)at;
}

static void
unmap_slab(const struct pool *pool, struct pool_slab *slab)
{
	munmap(slab, pool->slab_bytes);
}

#endif

static int
add_slab(struct pool *pool)
{
	struct pool_slab *slab = map_slab(pool);

	if (slab == NULL)
		return -ENOMEM;
	*slab = (struct pool_slab){ 0 };
	ASAN_POISON_MEMORY_REGION(
	    (char *)slab + HEADER_BYTES, pool->slab_bytes - HEADER_BYTES);
	put_in_front(&pool->usable, slab);
	pool->total += pool->slab_objects;
	pool->idle_slabs++;
	return 0;
}

static void
unmap_all(const struct pool *pool, struct pool_slab *slab)
{
	struct pool_slab *next;

	for (; slab != NULL; slab = next) {
		next = slab->next;
		unmap_slab(pool, slab);
	}
}

/* ---- the pool -------------------------------------------------------------
 */

int
pool_init(struct pool *pool, size_t object_size, uint32_t initial, uint32_t max)
{
	if (object_size == 0 || object_size > SIZE_MAX / 64 || max == 0 ||
	    initial > max)
		return -EINVAL;
	*pool = (struct pool){
		.object_size =
		    (object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
		.slab_bytes = MIN_SLAB_BYTES,
		.initial = initial,
		.max = max,
	};
	while (pool->slab_bytes <
	    HEADER_BYTES + MIN_SLAB_OBJECTS * pool->object_size)
		pool->slab_bytes *= 2;
	pool->slab_objects =
	    (uint32_t)((pool->slab_bytes - HEADER_BYTES) / pool->object_size);
	pool_adopt(pool);
	while (pool->total < initial) {
		if (add_slab(pool) != 0) {
			pool_fini(pool);
			return -ENOMEM;
		}
	}
	return 0;
}

void
pool_fini(struct pool *pool)
{
	unmap_all(pool, pool->usable);
	unmap_all(pool, pool->full);
	*pool = (struct pool){ 0 };
}

void
pool_adopt(struct pool *pool)
{
	atomic_store_explicit(&pool->owner, &me, memory_order_relaxed);
}

/* Owner only. */
static void
put_back(struct pool *pool, struct pool_object *object)
{
	struct pool_slab *slab = slab_of(pool, object);

	BUG_ON(pool->in_use == 0 || slab->in_use == 0);
	if (is_full(pool, slab)) {
		take_out(&pool->full, slab);
		put_in_front(&pool->usable, slab);
	}
	link_object(pool, object, slab->free);
	slab->free = object;
	pool->idle_slabs += --slab->in_use == 0;
	pool->in_use--;
}

/* Take the whole stack of returned objects back to their slabs. */
static void
collect_returned(struct pool *pool)
{
	struct pool_object *object, *next;

	/* Relaxed: what comes back just now is seen the next time. */
	if (atomic_load_explicit(&pool->returned, memory_order_relaxed) == NULL)
		return;
	/* Pairs with the release in return_object(). */
	object = atomic_exchange_explicit(
	    &pool->returned, NULL, memory_order_acquire);
	for (; object != NULL; object = next) {
		next = unlink_object(pool, object);
		put_back(pool, object);
	}
}

static struct pool_object *
take_from(struct pool *pool, struct pool_slab *slab)
{
	struct pool_object *object = slab->free;

	if (object != NULL) {
		slab->free = unlink_object(pool, object);
	} else {
		object = (void *)((char *)slab + HEADER_BYTES +
		    slab->carved * pool->object_size);
		ASAN_UNPOISON_MEMORY_REGION(object, pool->object_size);
		slab->carved++;
	}
	pool->idle_slabs -= slab->in_use++ == 0;
	if (is_full(pool, slab)) {
		take_out(&pool->usable, slab);
		put_in_front(&pool->full, slab);
	}
	return object;
}

void *
pool_take(struct pool *pool)
{
	if (pool->usable == NULL || pool->in_use == pool->max)
		collect_returned(pool);
	if (pool->in_use == pool->max ||
	    (pool->usable == NULL && add_slab(pool) != 0)) {
		pool->refused++;
		return NULL;
	}
	pool->in_use++;
	if (pool->in_use > pool->high)
		pool->high = pool->in_use;
	return take_from(pool, pool->usable);
}

static void
return_object(struct pool *pool, struct pool_object *object)
{
	struct pool_object *top;

	top = atomic_load_explicit(&pool->returned, memory_order_relaxed);
	do {
		link_object(pool, object, top);
		/*
		 * Release: the owner sees the link and all that this thread
		 * did to the object.  Nobody pops single objects, so ABA
		 * cannot happen.
		 */
	} while (!atomic_compare_exchange_weak_explicit(&pool->returned, &top,
	    object, memory_order_release, memory_order_relaxed));
}

void
pool_put(struct pool *pool, void *object)
{
	if (object == NULL)
		return;
	if (is_owner(pool))
		put_back(pool, object);
	else
		return_object(pool, object);
}

size_t
pool_trim(struct pool *pool)
{
	const uint32_t wanted =
	    pool->high > pool->initial ? pool->high : pool->initial;
	struct pool_slab *slab, *next;
	size_t given_back = 0;

	collect_returned(pool);
	for (slab = pool->usable; slab != NULL &&
	     pool->total - wanted >= pool->slab_objects && pool->total > wanted;
	     slab = next) {
		next = slab->next;
		if (slab->in_use != 0)
			continue;
		take_out(&pool->usable, slab);
		unmap_slab(pool, slab);
		pool->total -= pool->slab_objects;
		pool->idle_slabs--;
		given_back += pool->slab_bytes;
	}
	if (pool->high > pool->most)
		pool->most = pool->high;
	pool->high = pool->in_use;
	return given_back;
}

uint32_t
pool_in_use(struct pool *pool)
{
	collect_returned(pool);
	return pool->in_use;
}

uint64_t
pool_refused(const struct pool *pool)
{
	return pool->refused;
}
