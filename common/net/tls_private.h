/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tls_private - what tls_context.c (files, settings) and tls_layer.c (one
 * connection) share; nobody else includes it.
 */

#ifndef WEIR_COMMON_NET_TLS_PRIVATE_H
#define WEIR_COMMON_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "common/net/tls.h"

/* The list of protocols as it goes on the wire. */
#define TLS_ALPN_BYTES 256

#define TLS_IDENTITY_SIZE 256

struct tls {
	SSL_CTX *context;
	atomic_uint users; /* connections, and who made it */
	bool is_server;
	bool insecure;
	const char *plain_answer;
	unsigned char alpn[TLS_ALPN_BYTES];
	unsigned alpn_len;
	char psk_identity[TLS_IDENTITY_SIZE]; /* "": none */
	unsigned char psk[TLS_PSK_MAX_BYTES];
	unsigned psk_len;
};

/* The newest of OpenSSL's errors in its words; empties the queue. */
const char *tls_reason(void);

#endif
