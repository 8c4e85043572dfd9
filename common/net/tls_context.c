/* SPDX-License-Identifier: Apache-2.0 */

/* From files and settings to a context that serves connections. */

#include "common/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/tls_private.h"

static int
load_own(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;
	const struct tls_pair pair = { "", s->cert, s->key,
		s->key_password_file };

	if (s->cert == NULL && s->key == NULL &&
	    (!m->tls->is_server || s->psk_file != NULL))
		return 0;
	if (s->cert == NULL || s->key == NULL)
		return tls_complain(m, -EINVAL,
		    "cert and key belong together; %s is missing",
		    s->cert == NULL ? "cert" : "key");
	return tls_load_pair(m, m->tls->context, &pair);
}

/* A server's rule about certificates of clients. */
static int
ask_clients(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;

	if (s->ca_file == NULL && s->ca_path == NULL)
		return SSL_VERIFY_NONE;
	if (s->ca_file != NULL)
		SSL_CTX_set_client_CA_list(
		    m->tls->context, SSL_load_client_CA_file(s->ca_file));
	return s->client_cert_optional
	    ? SSL_VERIFY_PEER
	    : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

/* Whom we trust, and whether there must be somebody to trust. */
static int
load_trust(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;
	SSL_CTX *context = m->tls->context;
	int mode = SSL_VERIFY_PEER;

	if (s->ca_file != NULL &&
	    SSL_CTX_load_verify_file(context, s->ca_file) != 1)
		return tls_complain(
		    m, -EINVAL, "ca_file: %s: %s", s->ca_file, tls_reason());
	if (s->ca_path != NULL && access(s->ca_path, R_OK | X_OK) != 0)
		return tls_complain(
		    m, -errno, "ca_path: %s: %s", s->ca_path, strerror(errno));
	if (s->ca_path != NULL &&
	    SSL_CTX_load_verify_dir(context, s->ca_path) != 1)
		return tls_complain(
		    m, -EINVAL, "ca_path: %s: %s", s->ca_path, tls_reason());
	if (m->tls->is_server) {
		mode = ask_clients(m);
	} else if (s->insecure) {
		mode = SSL_VERIFY_NONE;
	} else if (s->ca_file == NULL && s->ca_path == NULL &&
	    SSL_CTX_set_default_verify_paths(context) != 1) {
		return tls_complain(m, -EINVAL,
		    "the system's authorities cannot be loaded: %s; set "
		    "ca_file",
		    tls_reason());
	}
	SSL_CTX_set_verify(context, mode, NULL);
	return 0;
}

/* Whom we trust no more. */
static int
load_crl(struct tls_maker *m)
{
	const struct tls_settings *s = m->settings;
	X509_STORE *store = SSL_CTX_get_cert_store(m->tls->context);
	X509_LOOKUP *lookup;

	if (s->crl_file == NULL)
		return 0;
	if (s->ca_file == NULL)
		return tls_complain(
		    m, -EINVAL, "crl_file without ca_file has no meaning");
	lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (lookup == NULL ||
	    X509_load_crl_file(lookup, s->crl_file, X509_FILETYPE_PEM) <= 0)
		return tls_complain(
		    m, -EINVAL, "crl_file: %s: %s", s->crl_file, tls_reason());
	X509_STORE_set_flags(store,
	    X509_V_FLAG_CRL_CHECK |
		(s->crl_whole_chain ? X509_V_FLAG_CRL_CHECK_ALL : 0));
	return 0;
}

/* Old and new suites have lists of their own; people write one. */
static int
set_ciphers(struct tls_maker *m)
{
	char *all, *next, *word, *suites, *ciphers;
	size_t size;
	int err = 0;

	if (m->settings->ciphers == NULL)
		return 0;
	size = strlen(m->settings->ciphers) + 2;
	all = strdup(m->settings->ciphers);
	suites = calloc(1, size);
	ciphers = calloc(1, size);
	next = all;
	while (all != NULL && suites != NULL && ciphers != NULL &&
	    (word = strsep(&next, ": ,")) != NULL) {
		char *list = strncmp(word, "TLS_", 4) == 0 ? suites : ciphers;

		if (list[0] != '\0' && word[0] != '\0')
			strcat(list, ":");
		strcat(list, word);
	}
	if (all == NULL || suites == NULL || ciphers == NULL)
		err = tls_complain(m, -ENOMEM, "out of memory");
	else if ((suites[0] != '\0' &&
		     SSL_CTX_set_ciphersuites(m->tls->context, suites) != 1) ||
	    (ciphers[0] != '\0' &&
		SSL_CTX_set_cipher_list(m->tls->context, ciphers) != 1))
		err = tls_complain(m, -EINVAL, "ciphers: \"%s\": %s",
		    m->settings->ciphers, tls_reason());
	free(all);
	free(suites);
	free(ciphers);
	return err;
}

/* [RFC 7301, 3.1] each name with its length before it */
static int
set_alpn(struct tls_maker *m)
{
	const char *name = m->settings->alpn, *end;
	struct tls *tls = m->tls;
	size_t len;

	for (; name != NULL; name = *end == '\0' ? NULL : end + 1) {
		end = strchrnul(name, ',');
		len = (size_t)(end - name);
		if (len == 0 || tls->alpn_len + len + 1 > sizeof(tls->alpn))
			return tls_complain(m, -EINVAL,
			    "alpn: \"%s\": names of 1 byte or more, commas "
			    "between them, 255 bytes in all",
			    m->settings->alpn);
		tls->alpn[tls->alpn_len++] = (unsigned char)len;
		memcpy(tls->alpn + tls->alpn_len, name, len);
		tls->alpn_len += (unsigned)len;
	}
	if (tls->alpn_len != 0 && !tls->is_server &&
	    SSL_CTX_set_alpn_protos(tls->context, tls->alpn, tls->alpn_len) !=
		0)
		return tls_complain(m, -ENOMEM, "alpn: %s", tls_reason());
	return 0;
}

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *offered, unsigned offered_len, void *arg)
{
	const struct tls *tls = arg;
	unsigned char *found;

	(void)ssl;
	if (SSL_select_next_proto(&found, out_len, tls->alpn, tls->alpn_len,
		offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static int
set_rules(struct tls_maker *m)
{
	SSL_CTX *context = m->tls->context;
	int version = m->settings->min_version == TLS_VERSION_1_3
	    ? TLS1_3_VERSION
	    : TLS1_2_VERSION;

	SSL_CTX_set_app_data(context, m->tls);
	SSL_CTX_set_options(context,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(context, 1);
	if (SSL_CTX_set_min_proto_version(context, version) != 1)
		return tls_complain(
		    m, -EINVAL, "min_version: %s", tls_reason());
	if (m->tls->is_server && m->settings->alpn != NULL)
		SSL_CTX_set_alpn_select_cb(context, select_alpn, m->tls);
	return 0;
}

/* In this order: keys choose suites that `ciphers` may replace, and tickets are
 * bound to what was loaded before. */
static int (*const steps[])(struct tls_maker *m) = {
	set_rules,
	load_own,
	tls_load_names,
	load_trust,
	load_crl,
	tls_load_psk,
	set_ciphers,
	set_alpn,
	tls_use_tickets,
};

static int
make(const struct tls_settings *settings, bool is_server, struct tls **out_tls,
    char *error, size_t error_size)
{
	struct tls_maker m = { settings, calloc(1, sizeof(struct tls)), error,
		error_size };
	int err = 0;

	ERR_clear_error();
	if (m.tls != NULL)
		m.tls->context = SSL_CTX_new(
		    is_server ? TLS_server_method() : TLS_client_method());
	if (m.tls == NULL || m.tls->context == NULL) {
		free(m.tls);
		return tls_complain(&m, -ENOMEM, "out of memory");
	}
	atomic_init(&m.tls->users, 1);
	m.tls->is_server = is_server;
	m.tls->insecure = settings->insecure;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && err == 0;
	     i++)
		err = steps[i](&m);
	if (err != 0) {
		tls_put(m.tls);
		return err;
	}
	*out_tls = m.tls;
	return 0;
}

int
tls_new_client(const struct tls_settings *settings, struct tls **out_tls,
    char *error, size_t error_size)
{
	return make(settings, false, out_tls, error, error_size);
}

int
tls_new_server(const struct tls_settings *settings, struct tls **out_tls,
    char *error, size_t error_size)
{
	return make(settings, true, out_tls, error, error_size);
}

void
tls_set_plain_answer(struct tls *tls, const char *text)
{
	tls->plain_answer = text;
}

void
tls_put(struct tls *tls)
{
	/* Release what was done with it before another thread frees it. */
	if (tls == NULL ||
	    atomic_fetch_sub_explicit(&tls->users, 1, memory_order_acq_rel) !=
		1)
		return;
	SSL_CTX_free(tls->context);
	tls_free_names(tls);
	tls_free_psk(tls);
	tls_tickets_put(tls->tickets);
	free(tls);
}

void
tls_take(struct tls *tls)
{
	/* Relaxed: who takes has a user's right already. */
	atomic_fetch_add_explicit(&tls->users, 1, memory_order_relaxed);
}

/* Keeps the lesser number; false when there is no such time. */
static bool
lessen(const ASN1_TIME *time, bool has, int64_t *days_left)
{
	int days, seconds;

	if (time == NULL || ASN1_TIME_diff(&days, &seconds, NULL, time) != 1)
		return has;
	/* -1 day and -1 s are both over; 0 days and 1 s is not. */
	if (days == 0 && seconds < 0)
		days = -1;
	if (!has || days < *days_left)
		*days_left = days;
	return true;
}

static bool
lessen_by(const SSL_CTX *context, bool has, int64_t *days_left)
{
	const X509 *own = SSL_CTX_get0_certificate(context);

	return own == NULL ? has
			   : lessen(X509_get0_notAfter(own), has, days_left);
}

bool
tls_days_left(const struct tls *tls, int64_t *out_days)
{
	bool has = lessen_by(tls->context, false, out_days);

	for (size_t i = 0; i < tls->name_count; i++)
		has = lessen_by(tls->names[i].holder, has, out_days);
	return has;
}

bool
tls_crl_days_left(const struct tls *tls, int64_t *out_days)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
	const X509_CRL *crl;
	bool has = false;

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
		crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(all, i));
		if (crl != NULL)
			has = lessen(
			    X509_CRL_get0_nextUpdate(crl), has, out_days);
	}
	return has;
}
