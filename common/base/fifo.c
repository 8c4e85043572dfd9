/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/fifo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"

#define FIRST_SIZE 8u

int
fifo_reserve(struct fifo *fifo, size_t item_size)
{
	struct fifo larger = { .count = fifo->count };

	if (fifo->count < fifo->size)
		return 0;
	larger.size = fifo->size == 0 ? FIRST_SIZE : fifo->size * 2;
	larger.items = malloc(larger.size * item_size);
	if (larger.items == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < fifo->count; i++)
		memcpy(larger.items + i * item_size,
		    fifo_at(fifo, item_size, i), item_size);
	free(fifo->items);
	*fifo = larger;
	return 0;
}

void *
fifo_add(struct fifo *fifo, size_t item_size)
{
	BUG_ON(fifo->count == fifo->size); /* it was not reserved */
	return fifo_at(fifo, item_size, fifo->count++);
}

void
fifo_fini(struct fifo *fifo)
{
	free(fifo->items);
	*fifo = (struct fifo){ 0 };
}
