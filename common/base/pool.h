/* SPDX-License-Identifier: Apache-2.0 */

/*
 * pool - objects of one size from slabs that are allocated ahead.
 *
 *	pool_init(&pool, sizeof(struct message), 1024, 65536);
 *	message = pool_take(&pool);
 *	if (message == NULL)
 *		pause the producer: running out is back-pressure
 *	...
 *	pool_put(&pool, message);
 *
 * One thread, the owner, takes.  Any thread may put: the owner's objects go
 * back to their slabs, those of others onto a lock-free stack which the owner
 * empties when it finds no free object.  Slabs that a burst needed are given
 * back to the system when the owner calls pool_trim() now and then; without
 * that they are kept until pool_fini().
 *
 * The owner is the thread that called pool_init() or, later, pool_adopt().
 * In AddressSanitizer builds free objects are poisoned.
 */

#ifndef WEIR_COMMON_BASE_POOL_H
#define WEIR_COMMON_BASE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool_object;
struct pool_slab;

/* Embed it by value; its fields are private to pool.c. */
struct pool {
	size_t object_size;    /* [const] rounded up to 16 */
	size_t slab_bytes;     /* [const] a power of two */
	uint32_t slab_objects; /* [const] that fit a slab */
	uint32_t initial;      /* [const] objects that are never given back */
	uint32_t max;          /* [const] objects, ever */
	uint32_t total;        /* [owner] objects that the slabs can hold */
	uint32_t in_use;       /* [owner] but for what `returned` holds */
	uint32_t high;         /* [owner] most in use since pool_trim() */
	uint32_t most;         /* [owner] ... and before that */
	uint32_t idle_slabs;   /* [owner] without an object in use */
	uint64_t refused;      /* [owner] takes that found nothing */
	struct pool_slab *usable; /* [owner] with a free object */
	struct pool_slab *full;   /* [owner] without */
	_Atomic(const void *) owner;
	/* Written by other threads: on a cache line of its own. */
	_Alignas(64) _Atomic(struct pool_object *) returned;
};

/*
 * Make *pool with `initial` objects in memory and room for `max`.
 * Returns 0; -EINVAL for a size or max of zero or initial > max; -ENOMEM.
 */
int pool_init(
    struct pool *pool, size_t object_size, uint32_t initial, uint32_t max);

/* Free all slabs.  No object may be in use.  A zeroed pool is accepted. */
void pool_fini(struct pool *pool);

/* Make the calling thread the owner, before it first takes or puts. */
void pool_adopt(struct pool *pool);

/*
 * An object with undefined content, aligned to 16 bytes; owner only.
 * Returns NULL when `max` objects are in use or memory is short.
 */
void *pool_take(struct pool *pool);

/* Give an object back; NULL is accepted.  Any thread. */
void pool_put(struct pool *pool, void *object);

/*
 * Give back the slabs that nobody has needed since the last call; owner only,
 * once a second or so.  What the busiest moment in between took stays.
 * Returns the bytes given back.
 */
size_t pool_trim(struct pool *pool);

/* Would it be of use to call pool_trim() in a while?  Owner only, cheap. */
static inline bool
pool_may_trim(const struct pool *pool)
{
	return (pool->idle_slabs != 0 ||
		   atomic_load_explicit(
		       &pool->returned, memory_order_relaxed) != NULL) &&
	    pool->total >= pool->initial + pool->slab_objects;
}

/* Objects taken and not yet put; owner only. */
uint32_t pool_in_use(struct pool *pool);

/* For counters: of one pool, or of several that do the same. */
struct pool_level {
	uint64_t in_use; /* objects; what others returned just now counts yet */
	uint64_t most;   /* that were in use at a time, ever */
	uint64_t size;   /* objects that there is memory for now */
};

/* Owner only, cheap. */
static inline void
pool_level_add(struct pool_level *level, const struct pool *pool)
{
	level->in_use += pool->in_use;
	level->most += pool->high > pool->most ? pool->high : pool->most;
	level->size += pool->total;
}

/* How often pool_take() returned NULL; owner only. */
uint64_t pool_refused(const struct pool *pool);

#endif
