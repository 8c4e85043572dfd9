/* SPDX-License-Identifier: Apache-2.0 */

/*
 * auth_private - what auth.c (credentials, reload) and auth_identity.c
 * (handles, rights, verifiers) share; private to the two.
 */

#ifndef WEIR_BROKER_AUTH_PRIVATE_H
#define WEIR_BROKER_AUTH_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/auth.h"
#include "broker/auth_accounts.h"

#define QUEUE_MAX 256u     /* checks that wait */
#define VERIFIED_MAX 1024u /* credentials remembered; a power of two */

/* Credentials that were right once. */
struct verified {
	uint8_t digest[AUTH_DIGEST_BYTES];
	uint64_t identity; /* 0: the entry is free */
};

struct auth {
	_Atomic(struct auth_accounts *) accounts; /* [rcu] by auth_reload() */
	struct auth_names names;     /* of the thread of auth_reload() */
	uint8_t key[AUTH_KEY_BYTES]; /* [const] */

	/* Connecting is not the message path: a mutex will do. */
	pthread_mutex_t lock;
	pthread_cond_t not_empty;
	pthread_t thread; /* of the thread of auth_reload() */
	bool has_thread;
	bool is_ending;                         /* [lock] */
	struct auth_request *queue[QUEUE_MAX];  /* [lock] a circle */
	unsigned first, waiting;                /* [lock] */
	struct verified verified[VERIFIED_MAX]; /* [lock] */
};

/* Between rcu_enter() and rcu_leave(). */
static inline const struct auth_accounts *
auth_accounts_now(const struct auth *auth)
{
	/* acquire: pairs with the store in replace() */
	return atomic_load_explicit(&auth->accounts, memory_order_acquire);
}

#endif
