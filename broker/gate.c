/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/gate.h"

#include <endian.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bug.h"
#include "common/base/slice.h"
#include "common/base/token_bucket.h"
#include "common/conf/conf.h"

#define CHAINS 4096u

/* ::/64 is of no use but for ::1; its own number would be 0. */
#define LOOPBACK_NETWORK 1u

/* What is known of an address. */
struct visitor {
	struct visitor *next;    /* in its chain */
	struct visitor *earlier; /* among those without connections */
	struct visitor *later;
	uint64_t address;
	uint32_t connections;
	struct token_bucket bucket;   /* zeroed: there is no rate */
	struct token_bucket failures; /* likewise */
};

struct gate {
	pthread_mutex_t mutex; /* of all that follows */
	uint64_t seed;
	uint32_t max_connections; /* an address; 0: no limit */
	uint32_t rate;            /* an address; 0: no limit */
	uint32_t burst;
	uint32_t failure_rate; /* an address; 0: no limit */
	uint32_t failure_burst;
	bool has_rate; /* of all */
	struct token_bucket all;
	uint32_t count;
	uint32_t idle;
	struct visitor *idle_first; /* who left first */
	struct visitor *idle_last;
	struct visitor *chains[CHAINS];
};

uint64_t
gate_address(const struct sockaddr *address)
{
	const struct sockaddr_in6 *six = (const void *)address;
	const struct sockaddr_in *four = (const void *)address;
	uint64_t network;
	uint32_t mapped;

	if (address->sa_family == AF_INET)
		return ntohl(four->sin_addr.s_addr);
	if (address->sa_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		memcpy(&mapped, six->sin6_addr.s6_addr + 12, sizeof(mapped));
		return ntohl(mapped);
	}
	/* Most significant first: those below 2^32 are of nobody, so of IPv4.
	 */
	memcpy(&network, &six->sin6_addr, sizeof(network));
	network = be64toh(network);
	return network == 0 ? LOOPBACK_NETWORK : network;
}

/* ---- the table ---------------------------------------------------------- */

static struct visitor **
chain_of(struct gate *gate, uint64_t address)
{
	return &gate->chains[slice_hash(slice_of(&address, sizeof(address)),
				 gate->seed) %
	    CHAINS];
}

static struct visitor *
find(struct gate *gate, uint64_t address)
{
	struct visitor *visitor = *chain_of(gate, address);

	while (visitor != NULL && visitor->address != address)
		visitor = visitor->next;
	return visitor;
}

static void
leave_idle(struct gate *gate, struct visitor *visitor)
{
	if (visitor->earlier != NULL)
		visitor->earlier->later = visitor->later;
	else
		gate->idle_first = visitor->later;
	if (visitor->later != NULL)
		visitor->later->earlier = visitor->earlier;
	else
		gate->idle_last = visitor->earlier;
	gate->idle--;
}

static void
enter_idle(struct gate *gate, struct visitor *visitor)
{
	visitor->later = NULL;
	visitor->earlier = gate->idle_last;
	if (gate->idle_last != NULL)
		gate->idle_last->later = visitor;
	else
		gate->idle_first = visitor;
	gate->idle_last = visitor;
	gate->idle++;
}

/* One that has no connections. */
static void
forget(struct gate *gate, struct visitor *visitor)
{
	struct visitor **link = chain_of(gate, visitor->address);

	BUG_ON(visitor->connections != 0);
	while (*link != visitor)
		link = &(*link)->next;
	*link = visitor->next;
	leave_idle(gate, visitor);
	gate->count--;
	free(visitor);
}

static bool
is_full(struct gate *gate, struct visitor *visitor, uint64_t now_ns)
{
	return (gate->rate == 0 ||
		   token_bucket_wait(&visitor->bucket, gate->burst, now_ns) ==
		       0) &&
	    (gate->failure_rate == 0 ||
		token_bucket_wait(
		    &visitor->failures, gate->failure_burst, now_ns) == 0);
}

/* A full bucket holds no memory of its owner. */
static void
forget_old(struct gate *gate, uint64_t now_ns)
{
	while (gate->idle_first != NULL &&
	    (gate->idle > GATE_MAX_IDLE ||
		is_full(gate, gate->idle_first, now_ns)))
		forget(gate, gate->idle_first);
}

/* NULL without memory. */
static struct visitor *
obtain(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	struct visitor **chain = chain_of(gate, address);
	struct visitor *visitor = find(gate, address);

	if (visitor != NULL)
		return visitor;
	visitor = calloc(1, sizeof(*visitor));
	if (visitor == NULL)
		return NULL;
	visitor->address = address;
	if (gate->rate != 0)
		token_bucket_init(
		    &visitor->bucket, gate->rate, gate->burst, now_ns);
	if (gate->failure_rate != 0)
		token_bucket_init(&visitor->failures, gate->failure_rate,
		    gate->failure_burst, now_ns);
	visitor->next = *chain;
	*chain = visitor;
	gate->count++;
	enter_idle(gate, visitor);
	return visitor;
}

/* ---- public ------------------------------------------------------------- */

static void
change_bucket(
    struct token_bucket *bucket, uint32_t rate, uint32_t burst, uint64_t now_ns)
{
	if (rate == 0)
		memset(bucket, 0, sizeof(*bucket));
	else
		token_bucket_change(bucket, rate, burst, now_ns);
}

static void
change_visitors(struct gate *gate, uint64_t now_ns)
{
	struct visitor *visitor;

	for (unsigned i = 0; i < CHAINS; i++) {
		for (visitor = gate->chains[i]; visitor != NULL;
		     visitor = visitor->next) {
			change_bucket(
			    &visitor->bucket, gate->rate, gate->burst, now_ns);
			change_bucket(&visitor->failures, gate->failure_rate,
			    gate->failure_burst, now_ns);
		}
	}
}

void
gate_change(struct gate *gate, const struct conf *conf, uint64_t now_ns)
{
	const struct conf_rate *all = &conf->connect_rate;
	const struct conf_rate *each = &conf->connect_rate_per_address;

	if (gate == NULL)
		return;
	pthread_mutex_lock(&gate->mutex);
	gate->max_connections = conf->max_connections_per_address;
	gate->rate = (uint32_t)each->per_second;
	gate->burst = (uint32_t)each->burst;
	gate->failure_rate = conf->failed_logins.per_second;
	gate->failure_burst = conf->failed_logins.burst;
	gate->has_rate = all->per_second != 0;
	if (gate->has_rate)
		token_bucket_change(&gate->all, (uint32_t)all->per_second,
		    (uint32_t)all->burst, now_ns);
	change_visitors(gate, now_ns);
	pthread_mutex_unlock(&gate->mutex);
}

struct gate *
gate_new(const struct conf *conf, uint64_t seed, uint64_t now_ns)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	if (gate == NULL)
		return NULL;
	pthread_mutex_init(&gate->mutex, NULL);
	gate->seed = seed;
	gate_change(gate, conf, now_ns);
	return gate;
}

void
gate_free(struct gate *gate)
{
	struct visitor *visitor;

	if (gate == NULL)
		return;
	for (unsigned i = 0; i < CHAINS; i++) {
		while ((visitor = gate->chains[i]) != NULL) {
			gate->chains[i] = visitor->next;
			free(visitor);
		}
	}
	pthread_mutex_destroy(&gate->mutex);
	free(gate);
}

/* All or none. */
static enum limit
take_tokens(struct gate *gate, struct visitor *visitor, uint64_t now_ns)
{
	if (gate->has_rate && token_bucket_wait(&gate->all, 1, now_ns) != 0)
		return LIMIT_CONNECT_RATE;
	if (gate->rate != 0 && visitor != NULL &&
	    token_bucket_take(&visitor->bucket, 1, now_ns) != 0)
		return LIMIT_ADDRESS_CONNECT_RATE;
	if (gate->has_rate)
		token_bucket_take(&gate->all, 1, now_ns);
	return LIMIT_NONE;
}

static enum limit
enter(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	struct visitor *visitor = NULL;

	forget_old(gate, now_ns);
	if (address != 0)
		visitor = obtain(gate, address, now_ns);
	if (visitor != NULL) {
		if (gate->max_connections != 0 &&
		    visitor->connections >= gate->max_connections)
			return LIMIT_ADDRESS_CONNECTIONS;
		if (visitor->connections++ == 0)
			leave_idle(gate, visitor);
	}
	return take_tokens(gate, visitor, now_ns);
}

enum limit
gate_enter(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	enum limit limit;

	pthread_mutex_lock(&gate->mutex);
	limit = enter(gate, address, now_ns);
	pthread_mutex_unlock(&gate->mutex);
	return limit;
}

bool
gate_may_log_in(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	struct visitor *visitor;
	bool may = true;

	if (gate == NULL || address == 0)
		return true;
	pthread_mutex_lock(&gate->mutex);
	visitor = find(gate, address);
	if (visitor != NULL && gate->failure_rate != 0)
		may = token_bucket_wait(&visitor->failures, 1, now_ns) == 0;
	pthread_mutex_unlock(&gate->mutex);
	return may;
}

void
gate_failed(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	struct visitor *visitor;

	if (gate == NULL || address == 0)
		return;
	pthread_mutex_lock(&gate->mutex);
	visitor = find(gate, address);
	if (visitor != NULL && gate->failure_rate != 0)
		token_bucket_take(&visitor->failures, 1, now_ns);
	pthread_mutex_unlock(&gate->mutex);
}

void
gate_leave(struct gate *gate, uint64_t address, uint64_t now_ns)
{
	struct visitor *visitor;

	if (gate == NULL || address == 0)
		return;
	pthread_mutex_lock(&gate->mutex);
	visitor = find(gate, address);
	/* It came when there was no memory to note it. */
	if (visitor != NULL && visitor->connections != 0 &&
	    --visitor->connections == 0) {
		enter_idle(gate, visitor);
		forget_old(gate, now_ns);
	}
	pthread_mutex_unlock(&gate->mutex);
}

uint32_t
gate_count(struct gate *gate)
{
	uint32_t count;

	pthread_mutex_lock(&gate->mutex);
	count = gate->count;
	pthread_mutex_unlock(&gate->mutex);
	return count;
}
