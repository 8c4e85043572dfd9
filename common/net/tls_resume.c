/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sessions that go on where another connection left off.
 *
 * OpenSSL does not look at a client's certificate again when its session is
 * resumed.  So a session is bound to all that its certificate was judged by:
 * a digest of authorities, lists and rules is the session's context, and with
 * another one it is passed over and the handshake made in full.  What can
 * change while these stay is looked at here, for each ticket: whether the
 * certificate has expired, and whether the pre-shared key is still there.
 */

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/net/tls_private.h"

#define DIGEST_BYTES SHA256_DIGEST_LENGTH

_Static_assert(DIGEST_BYTES <= SSL_MAX_SID_CTX_LENGTH, "it is the context");

/* ---- what a session is bound to --------------------------------------- */

static bool
add_object(EVP_MD_CTX *sum, X509_OBJECT *object)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	const X509 *cert;
	const X509_CRL *crl;
	int ok = 0;

	switch (X509_OBJECT_get_type(object)) {
	case X509_LU_X509:
		cert = X509_OBJECT_get0_X509(object);
		ok = X509_digest(cert, EVP_sha256(), digest, &len);
		break;
	case X509_LU_CRL:
		crl = X509_OBJECT_get0_X509_CRL(object);
		ok = X509_CRL_digest(crl, EVP_sha256(), digest, &len);
		break;
	case X509_LU_NONE:
	default:
		return true;
	}
	return ok == 1 && EVP_DigestUpdate(sum, digest, len) == 1;
}

static bool
digest_trust(
    const struct tls *tls, bool is_whole_chain, unsigned char *out_digest)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);
	const int rules[] = { SSL_CTX_get_verify_mode(tls->context),
		is_whole_chain };
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	bool ok = sum != NULL &&
	    EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(sum, rules, sizeof(rules)) == 1;

	for (int i = 0; ok && i < sk_X509_OBJECT_num(all); i++)
		ok = add_object(sum, sk_X509_OBJECT_value(all, i));
	ok = ok && EVP_DigestFinal_ex(sum, out_digest, NULL) == 1;
	EVP_MD_CTX_free(sum);
	return ok;
}

/* Of a pre-shared key: its identity, and a digest that changes with it. */
static size_t
describe_psk(const struct tls_psk *psk,
    unsigned char out[DIGEST_BYTES + TLS_IDENTITY_SIZE])
{
	size_t len = strlen(psk->identity);

	SHA256(psk->key, psk->key_len, out);
	memcpy(out + DIGEST_BYTES, psk->identity, len);
	return DIGEST_BYTES + len;
}

/* ---- tickets ---------------------------------------------------------- */

static int
on_issue(SSL *ssl, void *arg)
{
	unsigned char about[DIGEST_BYTES + TLS_IDENTITY_SIZE];
	const char *identity;
	struct tls_layer *l = SSL_get_app_data(ssl);
	size_t len;

	(void)arg;
	/* A session that was made with a key, or goes on with one. */
	identity = tls_peer_psk(&l->layer);
	if (identity == NULL)
		return 1;
	len = describe_psk(l->psk, about);
	return SSL_SESSION_set1_ticket_appdata(
	    SSL_get_session(ssl), about, len);
}

/* The key is there still, and no other. */
static bool
take_psk(struct tls_layer *l, const unsigned char *about, size_t len)
{
	unsigned char now[DIGEST_BYTES + TLS_IDENTITY_SIZE];
	char identity[TLS_IDENTITY_SIZE];
	const struct tls_psk *psk;

	if (len <= DIGEST_BYTES || len - DIGEST_BYTES >= sizeof(identity))
		return false;
	memcpy(identity, about + DIGEST_BYTES, len - DIGEST_BYTES);
	identity[len - DIGEST_BYTES] = '\0';
	psk = tls_find_psk(l->tls, identity);
	if (psk == NULL || describe_psk(psk, now) != len ||
	    CRYPTO_memcmp(now, about, len) != 0)
		return false;
	l->psk = psk;
	return true;
}

static bool
may_resume(struct tls_layer *l, SSL_SESSION *session)
{
	X509 *peer = SSL_SESSION_get0_peer(session);
	void *about = NULL;
	size_t len = 0;

	l->psk = NULL;
	l->is_ticket = true;
	if (peer != NULL &&
	    X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
		return false;
	SSL_SESSION_get0_ticket_appdata(session, &about, &len);
	return len == 0 || take_psk(l, about, len);
}

static SSL_TICKET_RETURN
on_return(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	(void)name;
	(void)name_len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (!may_resume(SSL_get_app_data(ssl), session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
					    : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- our keys --------------------------------------------------------- */

static bool
set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(
		    OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's answers: -1 failed, 0 not known, 1 done, 2 done and another one is
 * to be given. */
static int
use_key(SSL *ssl, unsigned char name[TLS_TICKET_NAME_BYTES], unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	const struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const EVP_CIPHER *aes = EVP_aes_256_cbc();
	struct tls_ticket_key key;
	/* A ticket of TLS 1.3 is for one use [RFC 8446, C.4]. */
	bool is_old = false, ok, is_once = SSL_version(ssl) >= TLS1_3_VERSION;

	if (is_new) {
		ok = tls_tickets_newest(tls->tickets, clock_now_ns(), &key) &&
		    RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1;
		if (ok)
			memcpy(name, key.name, sizeof(key.name));
	} else {
		ok = tls_tickets_find(
		    tls->tickets, name, clock_now_ns(), &key, &is_old);
	}
	if (!ok)
		return 0;
	ok =
	    EVP_CipherInit_ex(cipher, aes, NULL, key.cipher, iv, is_new) == 1 &&
	    set_mac(mac, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	return !ok ? -1 : is_old || is_once ? 2 : 1;
}

int
tls_use_tickets(struct tls_maker *m)
{
	SSL_CTX *context = m->tls->context;
	unsigned char digest[DIGEST_BYTES];
	uint64_t lifetime_ns;

	if (!m->tls->is_server)
		return 0;
	if (!digest_trust(m->tls, m->settings->crl_whole_chain, digest) ||
	    SSL_CTX_set_session_id_context(context, digest, sizeof(digest)) !=
		1 ||
	    SSL_CTX_set_session_ticket_cb(context, on_issue, on_return, NULL) !=
		1)
		return tls_complain(m, -ENOMEM, "tickets: %s", tls_reason());
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	/* A client makes one connection at a time. */
	SSL_CTX_set_num_tickets(context, 1);
	if (m->settings->tickets == NULL)
		return 0;
	m->tls->tickets = tls_tickets_take(m->settings->tickets);
	lifetime_ns = tls_tickets_lifetime_ns(m->tls->tickets);
	if (lifetime_ns == 0) {
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(context, 0);
		return 0;
	}
	SSL_CTX_set_timeout(context, (long)(lifetime_ns / CLOCK_SECOND_NS));
	if (SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_key) != 1)
		return tls_complain(m, -ENOMEM, "tickets: %s", tls_reason());
	return 0;
}
