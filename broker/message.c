/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/message.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/pool.h"
#include "common/net/pool_trimmer.h"

/*
 * Messages with their header come from pools by these sizes.  Larger ones, and
 * more of the large ones than a pool may hold, come from the heap.  The last
 * two are no powers of two: headers that lie so far from each other would all
 * be at the same place of the processor's cache.
 */
static const uint16_t pool_sizes[] = { 128, 256, 512, 1024, 2048, 4352, 8512 };
#define POOL_COUNT (sizeof(pool_sizes) / sizeof(pool_sizes[0]))
#define FROM_HEAP POOL_COUNT
#define FIRST_LARGE 5

/* A pool never holds more than this. */
#define POOL_BYTES (UINT32_C(256) << 20)

struct message_pools {
	struct pool pools[POOL_COUNT];
};

struct message_pools *
message_pools_new(void)
{
	struct message_pools *pools;
	size_t size;

	pools = aligned_alloc(_Alignof(struct message_pools), sizeof(*pools));
	if (pools == NULL)
		return NULL;
	memset(pools, 0, sizeof(*pools));
	for (unsigned i = 0; i < POOL_COUNT; i++) {
		size = pool_sizes[i];
		if (pool_init(&pools->pools[i], size, 0,
			(uint32_t)(POOL_BYTES / size)) != 0) {
			message_pools_free(pools);
			return NULL;
		}
	}
	return pools;
}

void
message_pools_adopt(struct message_pools *pools)
{
	for (unsigned i = 0; i < POOL_COUNT; i++)
		pool_adopt(&pools->pools[i]);
}

void
message_pools_trim_with(
    struct message_pools *pools, struct pool_trimmer *trimmer)
{
	for (unsigned i = 0; i < POOL_COUNT; i++)
		pool_trimmer_add(trimmer, &pools->pools[i]);
}

void
message_pools_trim(struct message_pools *pools)
{
	for (unsigned i = 0; i < POOL_COUNT; i++)
		pool_trim(&pools->pools[i]);
}

bool
message_pools_may_trim(const struct message_pools *pools)
{
	for (unsigned i = 0; i < POOL_COUNT; i++)
		if (pool_may_trim(&pools->pools[i]))
			return true;
	return false;
}

void
message_pools_level(const struct message_pools *pools, struct pool_level *level)
{
	for (unsigned i = 0; i < POOL_COUNT; i++)
		pool_level_add(level, &pools->pools[i]);
}

void
message_pools_free(struct message_pools *pools)
{
	if (pools == NULL)
		return;
	for (unsigned i = 0; i < POOL_COUNT; i++)
		pool_fini(&pools->pools[i]);
	free(pools);
}

static uint32_t
size_class(size_t size)
{
	for (uint32_t i = 0; i < POOL_COUNT; i++)
		if (size <= pool_sizes[i])
			return i;
	return FROM_HEAP;
}

static uint8_t *
append(uint8_t *to, struct slice bytes)
{
	if (bytes.len != 0)
		memcpy(to, bytes.data, bytes.len);
	return to + bytes.len;
}

/* NULL: there is none. */
static struct message *
take_memory(struct message_pools *pools, size_t size, uint32_t *out_class)
{
	struct message *message = NULL;

	*out_class = size_class(size);
	if (*out_class != FROM_HEAP)
		message = pool_take(&pools->pools[*out_class]);
	if (message != NULL || *out_class < FIRST_LARGE)
		return message;
	*out_class = FROM_HEAP;
	return malloc(size);
}

struct message *
message_new(struct message_pools *pools, const struct message_parts *parts)
{
	struct message *message;
	uint32_t class;
	uint8_t *bytes;
	size_t size;

	BUG_ON(parts->topic.len > UINT16_MAX || parts->qos > 2);
	size = sizeof(*message) + parts->topic.len + parts->properties.len +
	    parts->payload.len;
	message = take_memory(pools, size, &class);
	if (message == NULL)
		return NULL;

	bytes = (uint8_t *)(message + 1);
	*message = (struct message){
		.qos = parts->qos,
		.retain = parts->retain,
		.topic_length = (uint16_t)parts->topic.len,
		.properties_length = (uint32_t)parts->properties.len,
		.payload_length = (uint32_t)parts->payload.len,
		.link = parts->link,
		.lane = parts->lane,
		.sequence = parts->sequence,
		.identity = parts->identity,
		.created_ns = parts->created_ns,
		.expires_ns = parts->expires_ns,
		.bytes = bytes,
		.references = 1,
		.home = pools,
		.size_class = class,
	};
	bytes = append(bytes, parts->topic);
	bytes = append(bytes, parts->properties);
	append(bytes, parts->payload);
	return message;
}

struct message *
message_take(struct message *message)
{
	/* Relaxed: who takes has a reference, so nobody is freeing it. */
	__atomic_add_fetch(&message->references, 1, __ATOMIC_RELAXED);
	return message;
}

/*
 * Release on every put and acquire on the last pair up: all use of the
 * message by other threads happens before it is freed.  The last holder
 * needs no locked instruction, nobody else can take or put any more.
 */
void
message_put(struct message *message)
{
	if (message == NULL)
		return;
	if (__atomic_load_n(&message->references, __ATOMIC_ACQUIRE) != 1 &&
	    __atomic_sub_fetch(&message->references, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	if (message->size_class == FROM_HEAP)
		free(message);
	else
		pool_put(&message->home->pools[message->size_class], message);
}
