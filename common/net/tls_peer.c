/* SPDX-License-Identifier: Apache-2.0 */

/* Who is at the other end of a connection whose handshake is over. */

#include <errno.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/utf8.h"
#include "common/net/tls_private.h"

static const struct tls_layer *
of(const struct stream_layer *layer)
{
	return (const struct tls_layer *)layer;
}

/* No NUL that would cut it short, nothing that is no text. */
static bool
is_text(const unsigned char *text, int len)
{
	if (len <= 0 || !utf8_is_valid(slice_of(text, (size_t)len)))
		return false;
	for (int i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static int
keep(const unsigned char *text, int len, char **out_name)
{
	if (!is_text(text, len))
		return -EINVAL;
	*out_name = strndup((const char *)text, (size_t)len);
	return *out_name == NULL ? -ENOMEM : 0;
}

/* They go from the root down, so the last one is the most specific. */
static int
common_name(const X509_NAME *subject, char **out_name)
{
	unsigned char *text = NULL;
	int at = -1, found = -1, len, err;

	while (
	    (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		found = at;
	if (found < 0)
		return -EINVAL;
	len = ASN1_STRING_to_UTF8(&text,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, found)));
	err = keep(text, len, out_name);
	OPENSSL_free(text);
	return err;
}

static int
whole_subject(const X509_NAME *subject, char **out_name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;
	int err = -ENOMEM;

	if (bio != NULL &&
	    X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(bio, &text);
		err = keep((const unsigned char *)text, (int)len, out_name);
	}
	BIO_free(bio);
	return err;
}

int
tls_peer_name(
    const struct stream_layer *layer, enum tls_name which, char **out_name)
{
	const X509 *cert = SSL_get0_peer_certificate(of(layer)->ssl);
	const X509_NAME *subject;

	if (cert == NULL)
		return -ENOENT;
	subject = X509_get_subject_name(cert);
	return which == TLS_NAME_CN ? common_name(subject, out_name)
				    : whole_subject(subject, out_name);
}

/*
 * A key may have been looked up that was not used then: in TLS 1.3 one that
 * was is a session that goes on, before that the cipher tells.
 */
const char *
tls_peer_psk(const struct stream_layer *layer)
{
	const struct tls_layer *l = of(layer);
	bool is_used;

	if (l->psk == NULL)
		return NULL;
	if (SSL_version(l->ssl) >= TLS1_3_VERSION)
		is_used = SSL_session_reused(l->ssl);
	else
		is_used = SSL_CIPHER_get_auth_nid(
			      SSL_get_current_cipher(l->ssl)) == NID_auth_psk;
	return is_used ? l->psk->identity : NULL;
}

const char *
tls_asked_name(const struct stream_layer *layer)
{
	return SSL_get_servername(of(layer)->ssl, TLSEXT_NAMETYPE_host_name);
}

bool
tls_is_resumed(const struct stream_layer *layer)
{
	return of(layer)->is_ticket && SSL_session_reused(of(layer)->ssl) != 0;
}

void
tls_describe(const struct stream_layer *layer, char *text, size_t text_size)
{
	snprintf(text, text_size, "%s %s", SSL_get_version(of(layer)->ssl),
	    SSL_get_cipher_name(of(layer)->ssl));
}
