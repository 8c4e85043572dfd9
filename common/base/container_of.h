/* SPDX-License-Identifier: Apache-2.0 */

/*
 * container_of - from a member back to what it is embedded in.
 */

#ifndef WEIR_COMMON_BASE_CONTAINER_OF_H
#define WEIR_COMMON_BASE_CONTAINER_OF_H

#include <stddef.h>

/* The object that `pointer` is the `member` of. */
#define CONTAINER_OF(pointer, type, member)                                    \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
