/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fifo - items of one size, first in, first out, in a circle that grows.
 *
 *	if (fifo_reserve(&fifo, sizeof(item)) != 0)
 *		...
 *	*(struct item *)fifo_add(&fifo, sizeof(item)) = item;
 *
 * The owner names the size, always the same one, and wraps this in functions
 * of its own type.  Room is made apart from adding, so that what must not
 * fail can be asked for before.  One thread at a time.
 */

#ifndef WEIR_COMMON_BASE_FIFO_H
#define WEIR_COMMON_BASE_FIFO_H

#include <stddef.h>
#include <stdint.h>

/* Embed it by value, zeroed: it is empty and has no memory. */
struct fifo {
	unsigned char *items;
	uint32_t first;
	uint32_t count;
	uint32_t size; /* a power of two, or 0 */
};

/* Room for one more.  Returns 0 or -ENOMEM: it is as it was. */
int fifo_reserve(struct fifo *fifo, size_t item_size);

/* Item `i` from the oldest on, i < count. */
static inline void *
fifo_at(const struct fifo *fifo, size_t item_size, uint32_t i)
{
	return fifo->items + ((fifo->first + i) & (fifo->size - 1)) * item_size;
}

/* The place of a new item; there is room. */
void *fifo_add(struct fifo *fifo, size_t item_size);

/* The oldest goes; there is one. */
static inline void
fifo_drop_first(struct fifo *fifo)
{
	fifo->first++;
	fifo->count--;
}

/* Empty, and without memory. */
void fifo_fini(struct fifo *fifo);

#endif
