/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tls - TLS 1.2 and 1.3 under a stream.
 *
 * A struct tls is made once from files and serves any number of connections;
 * each connection is a layer (stream_layer.h) of its own:
 *
 *	err = tls_new_client(&settings, &tls, error, sizeof(error));
 *	...
 *	stream_push_layer(&stream, tls_layer(tls, "broker.example"));
 *
 * What holds:
 *
 * - A client proves the server's certificate: its chain by ca_file and
 *   ca_path, else by the system's authorities, and its name, which may be an
 *   IP address.  `insecure` turns both off and nothing else does.
 * - With a pre-shared key, a handshake without certificates proves both ends;
 *   a server takes such a client though it has asked for a certificate.
 * - A server asks for a client's certificate if there is a ca_file, and
 *   refuses clients without one unless `client_cert_optional`.  With a
 *   crl_file those on its lists are refused, and all whose authority has no
 *   list there that is in force.
 * - Sessions are resumed by tickets (tls_tickets.h); never those that began
 *   with other authorities, other lists or other rules about certificates, a
 *   key that was taken away, or a certificate that has expired since.  No
 *   data goes before the handshake is over.
 * - Keys that others may read are refused (group may).
 * - There is no renegotiation, no compression, no version below 1.2.
 * - A peer that just hangs up has closed in order: MQTT and HTTP know by
 *   themselves where a message ends.
 *
 * A struct tls does not change and may be shared by threads; it lives until
 * the last connection that was made with it is gone, so a new one may replace
 * it at any time.
 */

#ifndef WEIR_COMMON_NET_TLS_H
#define WEIR_COMMON_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net/stream_layer.h"
#include "common/net/tls_tickets.h"

/* Enough for the messages of tls_new_*(). */
#define TLS_ERROR_SIZE 512

/* Keys of a pre-shared key, in bytes. */
#define TLS_PSK_MIN_BYTES 8
#define TLS_PSK_MAX_BYTES 256

enum tls_version {
	TLS_VERSION_1_2 = 12,
	TLS_VERSION_1_3 = 13
};

/* A certificate that a server shows to who asks for this name. */
struct tls_named {
	const char *name; /* "broker.example", or "*.example" for one label */
	const char *cert;
	const char *key;
	const char *key_password_file; /* or NULL */
};

/* All NULL: a client that trusts the system's authorities. */
struct tls_settings {
	const char *ca_file; /* PEM, one or more */
	const char *ca_path; /* folder of hashed names, as c_rehash makes it */
	const char *cert; /* PEM: our own, then those between it and the CA */
	const char *key;  /* PEM, its private key */
	const char *key_password_file; /* first line */
	const char *ciphers; /* OpenSSL's words; TLS 1.3 suites are TLS_... */
	const char *alpn;    /* protocols, comma between: "mqtt" */
	const char *psk_identity;
	/*
	 * Client: the first line is the key, in hexadecimal.  Server: a line
	 * "identity:key" for each client; cert and key may be NULL then.
	 */
	const char *psk_file;
	enum tls_version min_version; /* 0: 1.2 */
	bool insecure;                /* client: prove nothing */
	/* Server, as all that follow. */
	bool client_cert_optional;
	const char *crl_file; /* PEM, one list or more; needs ca_file */
	bool crl_whole_chain; /* of the authorities between, too */
	const struct tls_named *named; /* others get `cert` */
	size_t named_count;
	struct tls_tickets *tickets; /* of its own; NULL: OpenSSL's */
};

struct tls;

/*
 * Returns 0; or -errno (-EINVAL for a file with wrong contents, -EPERM for a
 * key that others may read) and says in `error` which file or setting is
 * wrong, why, and what to do.
 */
int tls_new_client(const struct tls_settings *settings, struct tls **out_tls,
    char *error, size_t error_size);
int tls_new_server(const struct tls_settings *settings, struct tls **out_tls,
    char *error, size_t error_size);

/*
 * Server: what a client is answered, in the clear, that sends an HTTP request
 * instead of a handshake.  `text` must stay; NULL: nothing.
 */
void tls_set_plain_answer(struct tls *tls, const char *text);

/* Connections that were made go on.  Accepts NULL. */
void tls_put(struct tls *tls);

/* One user more: it lives until as many tls_put(). */
void tls_take(struct tls *tls);

/*
 * Whole days until our own certificate expires, the first of several;
 * negative when it has; false when there is none.
 */
bool tls_days_left(const struct tls *tls, int64_t *out_days);

/* As tls_days_left(), until a list of crl_file is too old to be believed. */
bool tls_crl_days_left(const struct tls *tls, int64_t *out_days);

/*
 * One connection.  A client names the `host` that it expects, a name or an IP
 * address without brackets; a server gives NULL.  NULL without memory.
 */
struct stream_layer *tls_layer(struct tls *tls, const char *host);

enum tls_name {
	TLS_NAME_CN,     /* the common name; of several, the most specific */
	TLS_NAME_SUBJECT /* the whole subject as in RFC 2253 */
};

/*
 * Of a server's layer that is ready: what the certificate of its client says
 * that it is, in UTF-8 without control characters.  Returns 0, and the caller
 * frees *out_name; -ENOENT if it has shown none; -EINVAL if its certificate
 * has no such name or one that is no text; -ENOMEM.
 */
int tls_peer_name(
    const struct stream_layer *layer, enum tls_name which, char **out_name);

/* The identity of the pre-shared key that proved it; NULL: none did. */
const char *tls_peer_psk(const struct stream_layer *layer);

/* The server's name that the client asked for; NULL: none. */
const char *tls_asked_name(const struct stream_layer *layer);

/* Its session was resumed. */
bool tls_is_resumed(const struct stream_layer *layer);

/* Of a TLS layer that is ready: "TLSv1.3 TLS_AES_256_GCM_SHA384". */
void tls_describe(
    const struct stream_layer *layer, char *text, size_t text_size);

#endif
