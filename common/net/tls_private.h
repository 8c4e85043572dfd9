/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tls_private - what the parts of TLS share; nobody else includes it.
 *
 *	tls_context.c	settings to a context: rules, trust, ciphers
 *	tls_files.c	files: secrets, certificates, keys
 *	tls_names.c	a certificate for each name that is asked for
 *	tls_psk.c	pre-shared keys
 *	tls_resume.c	tickets: who may go on with a session
 *	tls_layer.c	one connection
 *	tls_peer.c	who is at its other end
 */

#ifndef WEIR_COMMON_NET_TLS_PRIVATE_H
#define WEIR_COMMON_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "common/net/tls.h"

/* The list of protocols as it goes on the wire. */
#define TLS_ALPN_BYTES 256

#define TLS_IDENTITY_SIZE 256

/* Files with a key or a password in them, and those with a key a client. */
#define TLS_SECRET_BYTES (UINT64_C(64) << 10)
#define TLS_SECRETS_BYTES (UINT64_C(64) << 20)

/* A pre-shared key. */
struct tls_psk {
	char *identity;
	unsigned char *key;
	unsigned key_len;
};

/* A name that a client may ask for. */
struct tls_name_entry {
	char *name;
	SSL_CTX *holder; /* of its certificate, chain and key, and no more */
};

struct tls {
	SSL_CTX *context;
	atomic_uint users; /* connections, and who made it */
	bool is_server;
	bool insecure;
	const char *plain_answer;
	unsigned char alpn[TLS_ALPN_BYTES];
	unsigned alpn_len;
	struct tls_psk *psks; /* a client: one; sorted by identity */
	size_t psk_count;
	struct tls_name_entry *names;
	size_t name_count;
	struct tls_tickets *tickets; /* NULL: OpenSSL's own */
};

struct tls_layer {
	struct stream_layer layer; /* first */
	struct tls *tls;
	SSL *ssl;
	const struct tls_psk *psk; /* looked up; see tls_peer_psk() */
	int err;                   /* found behind bytes that came first */
	bool is_begun;
	bool is_ticket; /* opened last; see tls_is_resumed() */
	bool has_first;
	uint8_t first; /* byte that a client sent us */
};

/* One tls_new_*(): where its complaint goes. */
struct tls_maker {
	const struct tls_settings *settings;
	struct tls *tls;
	char *error;
	size_t error_size;
};

/* A certificate and what belongs to it. */
struct tls_pair {
	const char *prefix; /* of the settings' names: "", "sni: " */
	const char *cert;
	const char *key;
	const char *key_password_file;
};

/* The newest of OpenSSL's errors in its words; empties the queue. */
const char *tls_reason(void);

/* Write the complaint; returns `err`. */
int tls_complain(struct tls_maker *m, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The whole of a file of at most `max` bytes that others may not read, with a
 * NUL behind it; to be given to tls_forget_secret().  0 or -errno after
 * complaining.
 */
int tls_read_secret(struct tls_maker *m, const char *setting, const char *path,
    uint64_t max, char **out_text, size_t *out_len);
void tls_forget_secret(char *text, size_t len);

/* Certificates and key of the pair into the context; 0 or -errno. */
int tls_load_pair(
    struct tls_maker *m, SSL_CTX *context, const struct tls_pair *pair);

/* The parts of a server or client, of m->settings; 0 or -errno. */
int tls_load_names(struct tls_maker *m);
int tls_load_psk(struct tls_maker *m);
int tls_use_tickets(struct tls_maker *m);

void tls_free_names(struct tls *tls);
void tls_free_psk(struct tls *tls);

/* NULL: there is none of that identity. */
const struct tls_psk *tls_find_psk(const struct tls *tls, const char *identity);

#endif
