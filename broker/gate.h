/* SPDX-License-Identifier: Apache-2.0 */

/*
 * gate - who may connect now, as far as that depends on all workers together.
 *
 * Each connection enters with the number of its address and leaves when it is
 * closed.  The gate knows how many each address has open, and has a token
 * bucket for all and one an address: at the rates connect_rate and
 * connect_rate_per_address.
 *
 *	limit = gate_enter(gate, gate_address(peer), now_ns);
 *	...
 *	gate_leave(gate, address, now_ns);
 *
 * Wrong credentials take from another bucket of the address: while that is
 * empty, nobody logs in from there (failed_logins).
 *
 * Addresses without connections are remembered until their buckets are full
 * again, GATE_MAX_IDLE of them at most; then those that left first are
 * forgotten.  The memory is that and an entry for each address with a
 * connection.
 *
 * Any thread; a mutex is held for the time of a look-up, and only when
 * connections come and go.
 */

#ifndef WEIR_BROKER_GATE_H
#define WEIR_BROKER_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "broker/limits.h"

#define GATE_MAX_IDLE 16384u

struct conf;
struct gate;

/* What a connection has of the gate; it goes with it. */
struct gate_pass {
	uint64_t address; /* gate_address() */
	uint8_t refusal;  /* enum limit: it will be told so; 0: none */
};

/* `seed` is nobody else's business.  NULL without memory. */
struct gate *gate_new(const struct conf *conf, uint64_t seed, uint64_t now_ns);

/* Accepts NULL. */
void gate_free(struct gate *gate);

/* Other limits from now on; who is in stays. */
void gate_change(struct gate *gate, const struct conf *conf, uint64_t now_ns);

/*
 * The number of an address: of IPv6 that of its /64 network, as who has one
 * address there has them all; mapped IPv4 is IPv4.  0: of a kind that is not
 * limited, as Unix sockets.  Pure.
 */
uint64_t gate_address(const struct sockaddr *address);

/*
 * A connection comes.  Returns LIMIT_NONE; LIMIT_ADDRESS_CONNECTIONS: it is
 * not in; LIMIT_CONNECT_RATE or LIMIT_ADDRESS_CONNECT_RATE: it is in, for it
 * may be told so, and must leave.  Without memory nothing is limited.
 */
enum limit gate_enter(struct gate *gate, uint64_t address, uint64_t now_ns);

/*
 * May credentials from this address be looked at?  And: they were wrong.
 * Accept NULL.
 */
bool gate_may_log_in(struct gate *gate, uint64_t address, uint64_t now_ns);
void gate_failed(struct gate *gate, uint64_t address, uint64_t now_ns);

/* A connection that was in is closed.  Accepts NULL. */
void gate_leave(struct gate *gate, uint64_t address, uint64_t now_ns);

/* Addresses that are remembered: for tests. */
uint32_t gate_count(struct gate *gate);

#endif
