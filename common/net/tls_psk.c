/* SPDX-License-Identifier: Apache-2.0 */

/* Pre-shared keys: a client has one, a server one for each client. */

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/tls_private.h"

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns bytes, or 0 when it is no hexadecimal of allowed length. */
static unsigned
parse_key(const char *text, unsigned char out[TLS_PSK_MAX_BYTES])
{
	unsigned len = 0;
	int high, low;

	for (; text[0] != '\0'; text += 2) {
		high = hex_value(text[0]);
		low = high < 0 ? -1 : hex_value(text[1]);
		if (low < 0 || len == TLS_PSK_MAX_BYTES)
			return 0;
		out[len++] = (unsigned char)(high << 4 | low);
	}
	return len < TLS_PSK_MIN_BYTES ? 0 : len;
}

/* -EINVAL when the text is no key. */
static int
fill(struct tls_psk *psk, const char *identity, const char *text)
{
	unsigned char key[TLS_PSK_MAX_BYTES];
	unsigned len = parse_key(text, key);

	if (len == 0)
		return -EINVAL;
	*psk = (struct tls_psk){
		.identity = strdup(identity),
		.key = malloc(len),
		.key_len = len,
	};
	if (psk->key != NULL)
		memcpy(psk->key, key, len);
	OPENSSL_cleanse(key, sizeof(key));
	/* Half made it is freed as all others are. */
	return psk->identity == NULL || psk->key == NULL ? -ENOMEM : 0;
}

void
tls_free_psk(struct tls *tls)
{
	for (size_t i = 0; i < tls->psk_count; i++) {
		struct tls_psk *psk = &tls->psks[i];

		if (psk->key != NULL)
			OPENSSL_cleanse(psk->key, psk->key_len);
		free(psk->key);
		free(psk->identity);
	}
	free(tls->psks);
}

/* ---- the client ------------------------------------------------------- */

static unsigned
give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_size,
    unsigned char *key, unsigned key_size)
{
	const struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct tls_psk *psk = &tls->psks[0];

	(void)hint;
	if (strlen(psk->identity) >= identity_size || psk->key_len > key_size)
		return 0;
	strcpy(identity, psk->identity);
	memcpy(key, psk->key, psk->key_len);
	return psk->key_len;
}

static int
load_one(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;
	char *text = NULL;
	size_t len = 0;
	int err;

	if (s->psk_identity == NULL || s->psk_file == NULL ||
	    s->psk_identity[0] == '\0' ||
	    strlen(s->psk_identity) >= TLS_IDENTITY_SIZE)
		return tls_complain(m, -EINVAL,
		    "psk_identity (1 to %d bytes) and psk_file belong together",
		    TLS_IDENTITY_SIZE - 1);
	m->tls->psks = calloc(1, sizeof(struct tls_psk));
	if (m->tls->psks == NULL)
		return tls_complain(m, -ENOMEM, "out of memory");
	m->tls->psk_count = 1;
	err = tls_read_secret(
	    m, "psk_file", s->psk_file, TLS_SECRET_BYTES, &text, &len);
	if (err != 0)
		return err;
	text[strcspn(text, "\r\n")] = '\0';
	err = fill(&m->tls->psks[0], s->psk_identity, text);
	tls_forget_secret(text, len);
	if (err != 0)
		return tls_complain(m, err,
		    "psk_file: %s: its first line must be the key in "
		    "hexadecimal, %d to %d bytes",
		    s->psk_file, TLS_PSK_MIN_BYTES, TLS_PSK_MAX_BYTES);
	SSL_CTX_set_psk_client_callback(m->tls->context, give_psk);
	return 0;
}

/* ---- the server ------------------------------------------------------- */

static int
by_identity(const void *a, const void *b)
{
	const struct tls_psk *left = a, *right = b;

	return strcmp(left->identity, right->identity);
}

const struct tls_psk *
tls_find_psk(const struct tls *tls, const char *identity)
{
	size_t low = 0, high = tls->psk_count, middle;
	int order;

	while (low < high) {
		middle = low + (high - low) / 2;
		order = strcmp(identity, tls->psks[middle].identity);
		if (order == 0)
			return &tls->psks[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Also asked for what is no identity but a ticket that was not opened. */
static unsigned
look_up(SSL *ssl, const char *identity, unsigned char *key, unsigned key_size)
{
	struct tls_layer *l = SSL_get_app_data(ssl);
	const struct tls_psk *psk = tls_find_psk(l->tls, identity);

	if (psk == NULL || psk->key_len > key_size)
		return 0;
	memcpy(key, psk->key, psk->key_len);
	l->is_ticket = false;
	l->psk = psk;
	return psk->key_len;
}

/* One line; 0 for an empty one too. */
static int
take_line(struct tls_maker *m, char *line, unsigned number, size_t *room)
{
	struct tls *tls = m->tls;
	char *colon = strrchr(line, ':');
	struct tls_psk *more;
	int err;

	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (colon == NULL || colon == line || colon - line >= TLS_IDENTITY_SIZE)
		return tls_complain(m, -EINVAL,
		    "psk_file: %s:%u: must be identity:key, the identity 1 to "
		    "%d bytes",
		    m->settings->psk_file, number, TLS_IDENTITY_SIZE - 1);
	*colon = '\0';
	if (tls->psk_count == *room) {
		*room = *room * 2 + 16;
		more = reallocarray(tls->psks, *room, sizeof(*more));
		if (more == NULL)
			return tls_complain(m, -ENOMEM, "out of memory");
		tls->psks = more;
	}
	tls->psks[tls->psk_count] = (struct tls_psk){ 0 };
	err = fill(&tls->psks[tls->psk_count++], line, colon + 1);
	if (err == 0)
		return 0;
	return tls_complain(m, err,
	    "psk_file: %s:%u: the key must be hexadecimal, %d to %d bytes",
	    m->settings->psk_file, number, TLS_PSK_MIN_BYTES,
	    TLS_PSK_MAX_BYTES);
}

static int
sort(struct tls_maker *m)
{
	struct tls *tls = m->tls;

	if (tls->psk_count == 0)
		return tls_complain(m, -EINVAL,
		    "psk_file: %s: there is no line identity:key in it",
		    m->settings->psk_file);
	qsort(tls->psks, tls->psk_count, sizeof(tls->psks[0]), by_identity);
	for (size_t i = 1; i < tls->psk_count; i++)
		if (strcmp(tls->psks[i - 1].identity, tls->psks[i].identity) ==
		    0)
			return tls_complain(m, -EINVAL,
			    "psk_file: %s: the identity %s is given twice",
			    m->settings->psk_file, tls->psks[i].identity);
	return 0;
}

/*
 * A key of no known hash goes with SHA-256 in TLS 1.3 [RFC 8446, 4.2.11]: with
 * a suite of another one first, it would be passed over for a certificate.
 */
static const char suites[] = "TLS_AES_128_GCM_SHA256:"
			     "TLS_CHACHA20_POLY1305_SHA256:"
			     "TLS_AES_256_GCM_SHA384";

static int
load_many(struct tls_maker *m)
{
	char *text = NULL, *rest, *line;
	size_t len = 0, room = 0;
	unsigned number = 0;
	int err;

	err = tls_read_secret(m, "psk_file", m->settings->psk_file,
	    TLS_SECRETS_BYTES, &text, &len);
	rest = text;
	while (err == 0 && (line = strsep(&rest, "\n")) != NULL) {
		line[strcspn(line, "\r")] = '\0';
		err = take_line(m, line, ++number, &room);
	}
	tls_forget_secret(text, len);
	if (err == 0)
		err = sort(m);
	if (err != 0)
		return err;
	SSL_CTX_set_psk_server_callback(m->tls->context, look_up);
	return SSL_CTX_set_ciphersuites(m->tls->context, suites) == 1
	    ? 0
	    : tls_complain(m, -EINVAL, "psk_file: %s", tls_reason());
}

int
tls_load_psk(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;

	if (s->psk_identity == NULL && s->psk_file == NULL)
		return 0;
	return m->tls->is_server ? load_many(m) : load_one(m);
}
