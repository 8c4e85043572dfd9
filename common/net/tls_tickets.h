/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tls_tickets - the keys by which a server knows its own session tickets.
 *
 * A ticket is the session itself, encrypted, kept by the client; the server
 * keeps nothing but keys.  All threads of a server share them, and a new
 * struct tls takes them over from the one before, so a session is resumed on
 * any thread and after a reload.  They are random, never leave the process,
 * and are replaced by new ones: a ticket is taken for `lifetime_ns`, and who
 * steals the keys of now can read nothing that is older than twice that.
 *
 * Servers that prove clients differently need tickets of their own: a ticket
 * of the one must not open the other.
 *
 * Any thread.
 */

#ifndef WEIR_COMMON_NET_TLS_TICKETS_H
#define WEIR_COMMON_NET_TLS_TICKETS_H

#include <stdbool.h>
#include <stdint.h>

#define TLS_TICKET_NAME_BYTES 16
#define TLS_TICKET_KEY_BYTES 32

struct tls_tickets;

struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME_BYTES]; /* in the clear in each ticket */
	uint8_t cipher[TLS_TICKET_KEY_BYTES];
	uint8_t mac[TLS_TICKET_KEY_BYTES];
};

/*
 * Lifetime in nanoseconds, 1 s or more, or 0: no ticket is given or taken.
 * NULL without memory or randomness.
 */
struct tls_tickets *tls_tickets_new(uint64_t lifetime_ns, uint64_t now_ns);

/* Each struct tls that was made with it is a user.  put() accepts NULL. */
struct tls_tickets *tls_tickets_take(struct tls_tickets *tickets);
void tls_tickets_put(struct tls_tickets *tickets);

/* From now on; tickets that are out keep what their keys have left. */
void tls_tickets_set_lifetime(
    struct tls_tickets *tickets, uint64_t lifetime_ns);
uint64_t tls_tickets_lifetime_ns(struct tls_tickets *tickets);

/* The key for a new ticket.  False without randomness: give no ticket. */
bool tls_tickets_newest(struct tls_tickets *tickets, uint64_t now_ns,
    struct tls_ticket_key *out_key);

/*
 * The key of that name.  False: there is none, or none any more.  *out_old:
 * the client should get a new ticket.
 */
bool tls_tickets_find(struct tls_tickets *tickets,
    const uint8_t name[TLS_TICKET_NAME_BYTES], uint64_t now_ns,
    struct tls_ticket_key *out_key, bool *out_old);

#endif
