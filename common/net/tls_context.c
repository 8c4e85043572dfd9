/* SPDX-License-Identifier: Apache-2.0 */

/* From files and settings to a context that serves connections. */

#include "common/net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/net/tls_private.h"

/* Files with secrets in them. */
#define SECRET_BYTES 65536

/* One tls_new_*(): where its complaint goes. */
struct maker {
	const struct tls_settings *settings;
	struct tls *tls;
	char *error;
	size_t error_size;
};

const char *
tls_reason(void)
{
	/* The system's comes first, and those that follow from it say less. */
	unsigned long first = ERR_peek_error();
	unsigned long code =
	    ERR_SYSTEM_ERROR(first) ? first : ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	ERR_clear_error();
	return reason == NULL ? "unknown reason" : reason;
}

static int __attribute__((format(printf, 3, 4)))
complain(struct maker *m, int err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(m->error, m->error_size, format, arguments);
	va_end(arguments);
	return err;
}

/*
 * The whole of a file that others may not read, with a NUL behind it.  The
 * mode is that of the open file, so it cannot be exchanged in between.
 */
static int
read_secret(struct maker *m, const char *setting, const char *path,
    char **out_text, size_t *out_len)
{
	char *text = NULL;
	struct stat st;
	ssize_t len;
	int err = 0, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || fstat(fd, &st) == -1) {
		err = -errno;
	} else if ((st.st_mode & 07) != 0) {
		close(fd);
		return complain(m, -EPERM,
		    "%s: %s may be read by others; chmod 0640 it or less",
		    setting, path);
	} else if ((text = malloc(SECRET_BYTES + 1)) == NULL) {
		err = -ENOMEM;
	} else if ((len = read(fd, text, SECRET_BYTES)) <= 0) {
		err = len == 0 ? -ENODATA : -errno;
	} else {
		text[len] = '\0';
		*out_text = text;
		*out_len = (size_t)len;
	}
	if (fd != -1)
		close(fd);
	if (err == 0)
		return 0;
	free(text);
	return complain(m, err, "%s: %s: %s", setting, path,
	    err == -ENODATA ? "is empty" : strerror(-err));
}

static void
forget_secret(char *text, size_t len)
{
	if (text != NULL)
		OPENSSL_cleanse(text, len);
	free(text);
}

/* OpenSSL would ask at the terminal. */
static int
give_password(char *into, int size, int writing, void *arg)
{
	const char *password = arg;
	int len;

	(void)writing;
	if (password == NULL)
		return -1;
	len = (int)strlen(password);
	if (len > size)
		return -1;
	memcpy(into, password, (size_t)len);
	return len;
}

static int
parse_key(struct maker *m, const char *text, size_t len, char *password)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = NULL;
	int err = 0;

	if (bio != NULL)
		key =
		    PEM_read_bio_PrivateKey(bio, NULL, give_password, password);
	BIO_free(bio);
	if (key == NULL)
		return complain(m, -EINVAL, "key: %s: %s%s", m->settings->key,
		    tls_reason(),
		    password != NULL || strstr(text, "ENCRYPTED") == NULL
			? ""
			: "; it is encrypted: set key_password_file");
	if (SSL_CTX_use_PrivateKey(m->tls->context, key) != 1)
		err = complain(m, -EINVAL, "key: %s: %s; it must belong to %s",
		    m->settings->key, tls_reason(), m->settings->cert);
	EVP_PKEY_free(key);
	return err;
}

static int
load_key(struct maker *m)
{
	const struct tls_settings *s = m->settings;
	char *text = NULL, *password = NULL;
	size_t len = 0, password_len = 0;
	int err;

	err = read_secret(m, "key", s->key, &text, &len);
	if (err == 0 && s->key_password_file != NULL)
		err = read_secret(m, "key_password_file", s->key_password_file,
		    &password, &password_len);
	if (password != NULL)
		password[strcspn(password, "\r\n")] = '\0';
	if (err == 0)
		err = parse_key(m, text, len, password);
	forget_secret(text, len);
	forget_secret(password, password_len);
	return err;
}

static int
load_own(struct maker *m)
{
	const struct tls_settings *s = m->settings;

	if (s->cert == NULL && s->key == NULL && !m->tls->is_server)
		return 0;
	if (s->cert == NULL || s->key == NULL)
		return complain(m, -EINVAL,
		    "cert and key belong together; %s is missing",
		    s->cert == NULL ? "cert" : "key");
	if (SSL_CTX_use_certificate_chain_file(m->tls->context, s->cert) != 1)
		return complain(
		    m, -EINVAL, "cert: %s: %s", s->cert, tls_reason());
	return load_key(m);
}

/* Whom we trust, and whether there must be somebody to trust. */
static int
load_trust(struct maker *m)
{
	const struct tls_settings *s = m->settings;
	SSL_CTX *context = m->tls->context;
	int mode = SSL_VERIFY_PEER;

	if (s->ca_file != NULL &&
	    SSL_CTX_load_verify_file(context, s->ca_file) != 1)
		return complain(
		    m, -EINVAL, "ca_file: %s: %s", s->ca_file, tls_reason());
	if (s->ca_path != NULL && access(s->ca_path, R_OK | X_OK) != 0)
		return complain(
		    m, -errno, "ca_path: %s: %s", s->ca_path, strerror(errno));
	if (s->ca_path != NULL &&
	    SSL_CTX_load_verify_dir(context, s->ca_path) != 1)
		return complain(
		    m, -EINVAL, "ca_path: %s: %s", s->ca_path, tls_reason());
	if (m->tls->is_server) {
		if (s->ca_file == NULL && s->ca_path == NULL)
			mode = SSL_VERIFY_NONE;
		else if (!s->client_cert_optional)
			mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
		if (s->ca_file != NULL)
			SSL_CTX_set_client_CA_list(
			    context, SSL_load_client_CA_file(s->ca_file));
	} else if (s->insecure) {
		mode = SSL_VERIFY_NONE;
	} else if (s->ca_file == NULL && s->ca_path == NULL &&
	    SSL_CTX_set_default_verify_paths(context) != 1) {
		return complain(m, -EINVAL,
		    "the system's authorities cannot be loaded: %s; set "
		    "ca_file",
		    tls_reason());
	}
	SSL_CTX_set_verify(context, mode, NULL);
	return 0;
}

/* Old and new suites have lists of their own; people write one. */
static int
set_ciphers(struct maker *m)
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
		err = complain(m, -ENOMEM, "out of memory");
	else if ((suites[0] != '\0' &&
		     SSL_CTX_set_ciphersuites(m->tls->context, suites) != 1) ||
	    (ciphers[0] != '\0' &&
		SSL_CTX_set_cipher_list(m->tls->context, ciphers) != 1))
		err = complain(m, -EINVAL, "ciphers: \"%s\": %s",
		    m->settings->ciphers, tls_reason());
	free(all);
	free(suites);
	free(ciphers);
	return err;
}

/* [RFC 7301, 3.1] each name with its length before it */
static int
set_alpn(struct maker *m)
{
	const char *name = m->settings->alpn, *end;
	struct tls *tls = m->tls;
	size_t len;

	for (; name != NULL; name = *end == '\0' ? NULL : end + 1) {
		end = strchrnul(name, ',');
		len = (size_t)(end - name);
		if (len == 0 || tls->alpn_len + len + 1 > sizeof(tls->alpn))
			return complain(m, -EINVAL,
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
		return complain(m, -ENOMEM, "alpn: %s", tls_reason());
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

static unsigned
give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_size,
    unsigned char *psk, unsigned psk_size)
{
	const struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	(void)hint;
	if (strlen(tls->psk_identity) >= identity_size ||
	    tls->psk_len > psk_size)
		return 0;
	strcpy(identity, tls->psk_identity);
	memcpy(psk, tls->psk, tls->psk_len);
	return tls->psk_len;
}

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
parse_psk(const char *text, unsigned char out[TLS_PSK_MAX_BYTES])
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

static int
set_psk(struct maker *m)
{
	const struct tls_settings *s = m->settings;
	char *text = NULL;
	size_t len = 0;
	int err;

	if (s->psk_identity == NULL && s->psk_file == NULL)
		return 0;
	if (s->psk_identity == NULL || s->psk_file == NULL ||
	    s->psk_identity[0] == '\0' ||
	    strlen(s->psk_identity) >= TLS_IDENTITY_SIZE)
		return complain(m, -EINVAL,
		    "psk_identity (1 to %d bytes) and psk_file belong together",
		    TLS_IDENTITY_SIZE - 1);
	err = read_secret(m, "psk_file", s->psk_file, &text, &len);
	if (err != 0)
		return err;
	text[strcspn(text, "\r\n")] = '\0';
	strcpy(m->tls->psk_identity, s->psk_identity);
	m->tls->psk_len = parse_psk(text, m->tls->psk);
	forget_secret(text, len);
	if (m->tls->psk_len == 0)
		return complain(m, -EINVAL,
		    "psk_file: %s: its first line must be the key in "
		    "hexadecimal, %d to %d bytes",
		    s->psk_file, TLS_PSK_MIN_BYTES, TLS_PSK_MAX_BYTES);
	SSL_CTX_set_psk_client_callback(m->tls->context, give_psk);
	return 0;
}

static int
set_rules(struct maker *m)
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
		return complain(m, -EINVAL, "min_version: %s", tls_reason());
	/* Without one, a resumed session with a client certificate fails. */
	if (m->tls->is_server) {
		SSL_CTX_set_session_id_context(
		    context, (const unsigned char *)"weir", 4);
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
		if (m->settings->alpn != NULL)
			SSL_CTX_set_alpn_select_cb(
			    context, select_alpn, m->tls);
	}
	return 0;
}

static int
make(const struct tls_settings *settings, bool is_server, struct tls **out_tls,
    char *error, size_t error_size)
{
	struct maker m = { settings, calloc(1, sizeof(struct tls)), error,
		error_size };
	int err;

	ERR_clear_error();
	if (m.tls != NULL)
		m.tls->context = SSL_CTX_new(
		    is_server ? TLS_server_method() : TLS_client_method());
	if (m.tls == NULL || m.tls->context == NULL) {
		free(m.tls);
		return complain(&m, -ENOMEM, "out of memory");
	}
	atomic_init(&m.tls->users, 1);
	m.tls->is_server = is_server;
	m.tls->insecure = settings->insecure;
	err = set_rules(&m);
	if (err == 0)
		err = load_own(&m);
	if (err == 0)
		err = load_trust(&m);
	if (err == 0)
		err = set_ciphers(&m);
	if (err == 0)
		err = set_alpn(&m);
	if (err == 0)
		err = set_psk(&m);
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
	OPENSSL_cleanse(tls->psk, sizeof(tls->psk));
	free(tls);
}

bool
tls_days_left(const struct tls *tls, int64_t *out_days)
{
	const X509 *own = SSL_CTX_get0_certificate(tls->context);
	int days, seconds;

	if (own == NULL ||
	    ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(own)) != 1)
		return false;
	/* -1 day and -1 s are both over; 0 days and 1 s is not. */
	*out_days = days == 0 && seconds < 0 ? -1 : days;
	return true;
}
