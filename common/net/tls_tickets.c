/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two keys: that of new tickets, and the one before.  A key gives tickets for
 * one lifetime and opens them for one more.
 */

#include "common/net/tls_tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Handshakes are not the message path: a mutex will do. */
struct tls_tickets {
	atomic_uint users;
	pthread_mutex_t lock;
	uint64_t lifetime_ns;          /* [lock], as all that follow */
	struct tls_ticket_key keys[2]; /* the newest, the one before */
	uint64_t made_ns;              /* the newest */
	bool has_former;
};

static bool
draw(struct tls_ticket_key *key)
{
	return RAND_bytes(key->name, sizeof(key->name)) == 1 &&
	    RAND_priv_bytes(key->cipher, sizeof(key->cipher)) == 1 &&
	    RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1;
}

struct tls_tickets *
tls_tickets_new(uint64_t lifetime_ns, uint64_t now_ns)
{
	struct tls_tickets *tickets = calloc(1, sizeof(*tickets));

	if (tickets == NULL || !draw(&tickets->keys[0])) {
		free(tickets);
		return NULL;
	}
	atomic_init(&tickets->users, 1);
	pthread_mutex_init(&tickets->lock, NULL);
	tickets->lifetime_ns = lifetime_ns;
	tickets->made_ns = now_ns;
	return tickets;
}

struct tls_tickets *
tls_tickets_take(struct tls_tickets *tickets)
{
	/* Relaxed: who takes has a user's right already. */
	if (tickets != NULL)
		atomic_fetch_add_explicit(
		    &tickets->users, 1, memory_order_relaxed);
	return tickets;
}

void
tls_tickets_put(struct tls_tickets *tickets)
{
	/* Release what was done with it before another thread frees it. */
	if (tickets == NULL ||
	    atomic_fetch_sub_explicit(
		&tickets->users, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_destroy(&tickets->lock);
	OPENSSL_cleanse(tickets->keys, sizeof(tickets->keys));
	free(tickets);
}

void
tls_tickets_set_lifetime(struct tls_tickets *tickets, uint64_t lifetime_ns)
{
	pthread_mutex_lock(&tickets->lock);
	tickets->lifetime_ns = lifetime_ns;
	pthread_mutex_unlock(&tickets->lock);
}

uint64_t
tls_tickets_lifetime_ns(struct tls_tickets *tickets)
{
	uint64_t lifetime_ns;

	pthread_mutex_lock(&tickets->lock);
	lifetime_ns = tickets->lifetime_ns;
	pthread_mutex_unlock(&tickets->lock);
	return lifetime_ns;
}

/* Bring the keys up to date; they stay where there is no randomness. */
static bool
rotate(struct tls_tickets *tickets, uint64_t now_ns)
{
	const uint64_t age_ns =
	    now_ns > tickets->made_ns ? now_ns - tickets->made_ns : 0;
	struct tls_ticket_key fresh;

	if (tickets->lifetime_ns == 0)
		return false;
	if (age_ns < tickets->lifetime_ns)
		return true;
	if (!draw(&fresh))
		return false;
	/* It gave none for a lifetime: whatever it gave has ended. */
	tickets->has_former = age_ns < 2 * tickets->lifetime_ns;
	tickets->keys[1] = tickets->keys[0];
	tickets->keys[0] = fresh;
	tickets->made_ns = now_ns;
	OPENSSL_cleanse(&fresh, sizeof(fresh));
	return true;
}

bool
tls_tickets_newest(struct tls_tickets *tickets, uint64_t now_ns,
    struct tls_ticket_key *out_key)
{
	bool has;

	pthread_mutex_lock(&tickets->lock);
	has = rotate(tickets, now_ns);
	if (has)
		*out_key = tickets->keys[0];
	pthread_mutex_unlock(&tickets->lock);
	return has;
}

bool
tls_tickets_find(struct tls_tickets *tickets,
    const uint8_t name[TLS_TICKET_NAME_BYTES], uint64_t now_ns,
    struct tls_ticket_key *out_key, bool *out_old)
{
	bool is_found = false;

	pthread_mutex_lock(&tickets->lock);
	if (rotate(tickets, now_ns))
		for (unsigned i = 0; i < 1u + tickets->has_former; i++) {
			if (memcmp(tickets->keys[i].name, name,
				TLS_TICKET_NAME_BYTES) != 0)
				continue;
			*out_key = tickets->keys[i];
			*out_old = i != 0;
			is_found = true;
		}
	pthread_mutex_unlock(&tickets->lock);
	return is_found;
}
