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
 * to its own list, those of others onto a lock-free stack which the owner
 * empties when its list is empty.  Slabs are kept until pool_fini().
 *
 * The owner is the thread that called pool_init() or, later, pool_adopt().
 * In AddressSanitizer builds free objects are poisoned.
 */

#ifndef WEIR_COMMON_BASE_POOL_H
#define WEIR_COMMON_BASE_POOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pool_object;
struct pool_slab;

/* Embed it by value; its fields are private to pool.c. */
struct pool {
	size_t object_size;        /* [const] rounded up to 16 */
	uint32_t max;              /* [const] objects, ever */
	uint32_t total;            /* [owner] objects in the slabs */
	uint32_t in_use;           /* [owner] but for what `returned` holds */
	uint64_t refused;          /* [owner] takes that found nothing */
	struct pool_object *local; /* [owner] */
	struct pool_slab *slabs;   /* [owner] */
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

/* Objects taken and not yet put; owner only. */
uint32_t pool_in_use(struct pool *pool);

/* How often pool_take() returned NULL; owner only. */
uint64_t pool_refused(const struct pool *pool);

#endif
