/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

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

/* A slab has at least this many bytes, however few objects were asked for. */
#define MIN_SLAB_BYTES 65536

/* A free object: its first word links the list it is on. */
struct pool_object {
	struct pool_object *next;
};

/* The header takes ALIGNMENT bytes; the objects follow. */
struct pool_slab {
	struct pool_slab *next;
	uint32_t count;
};

_Static_assert(sizeof(struct pool_slab) <= ALIGNMENT, "objects stay aligned");

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

static int
add_slab(struct pool *pool, uint32_t count)
{
	struct pool_slab *slab;
	char *at;

	if (count > (SIZE_MAX - ALIGNMENT) / pool->object_size)
		return -ENOMEM;
	slab = aligned_alloc(ALIGNMENT, ALIGNMENT + count * pool->object_size);
	if (slab == NULL)
		return -ENOMEM;
	slab->next = pool->slabs;
	slab->count = count;
	pool->slabs = slab;
	pool->total += count;

	/* Backwards, so that objects are handed out in address order. */
	at = (char *)slab + ALIGNMENT + count * pool->object_size;
	for (uint32_t i = 0; i < count; i++) {
		at -= pool->object_size;
		link_object(pool, (void *)at, pool->local);
		pool->local = (void *)at;
	}
	return 0;
}

int
pool_init(struct pool *pool, size_t object_size, uint32_t initial, uint32_t max)
{
	if (object_size == 0 || object_size > SIZE_MAX / 2 || max == 0 ||
	    initial > max)
		return -EINVAL;
	*pool = (struct pool){
		.object_size =
		    (object_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
		.max = max,
	};
	pool_adopt(pool);
	return initial == 0 ? 0 : add_slab(pool, initial);
}

void
pool_fini(struct pool *pool)
{
	struct pool_slab *slab = pool->slabs;

	while (slab != NULL) {
		struct pool_slab *next = slab->next;

		ASAN_UNPOISON_MEMORY_REGION(
		    slab, ALIGNMENT + slab->count * pool->object_size);
		free(slab);
		slab = next;
	}
	*pool = (struct pool){ 0 };
}

void
pool_adopt(struct pool *pool)
{
	atomic_store_explicit(&pool->owner, &me, memory_order_relaxed);
}

/* Take the whole stack of returned objects onto the local list. */
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
		link_object(pool, object, pool->local);
		pool->local = object;
		BUG_ON(pool->in_use == 0);
		pool->in_use--;
	}
}

/* Double what there is, so that a pool grows in few steps. */
static int
grow(struct pool *pool)
{
	uint32_t count = pool->total, left = pool->max - pool->total;

	if (left == 0)
		return -ENOSPC;
	if (count < MIN_SLAB_BYTES / pool->object_size)
		count = (uint32_t)(MIN_SLAB_BYTES / pool->object_size);
	if (count == 0)
		count = 1;
	return add_slab(pool, count < left ? count : left);
}

void *
pool_take(struct pool *pool)
{
	struct pool_object *object;

	if (pool->local == NULL)
		collect_returned(pool);
	if (pool->local == NULL && grow(pool) != 0) {
		pool->refused++;
		return NULL;
	}
	object = pool->local;
	pool->local = unlink_object(pool, object);
	pool->in_use++;
	return object;
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
	if (!is_owner(pool)) {
		return_object(pool, object);
		return;
	}
	BUG_ON(pool->in_use == 0);
	link_object(pool, object, pool->local);
	pool->local = object;
	pool->in_use--;
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
