/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One connection.  OpenSSL reads and writes the socket itself; what it cannot
 * do now it is asked again when the socket has moved.
 *
 * All bytes that wait are put into one record, 16 KiB at most, so that a turn
 * costs one system call a record and not one a chunk.  A record that the
 * socket did not take is asked for again with the same bytes in front, and
 * perhaps more behind: OpenSSL sends what it has encrypted.
 */

#include "common/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/net/tls_private.h"

#define RECORD_BYTES 16384

/* First bytes: of a handshake's record, and of a client of MQTT in the clear.
 */
#define TLS_HANDSHAKE 0x16
#define MQTT_CONNECT 0x10

/* What to do about it, by the name of the setting. */
struct advice {
	int code;
	const char *text;
};

static const struct advice certificate_advice[] = {
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
	    "set ca_file to a copy of it, if it is the right one" },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
	    "set ca_file to the certificate of its authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
	    "set ca_file to the certificate of its authority" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
	    "set ca_file to the certificate of its authority" },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
	    "set ca_file to the certificate of its authority" },
	{ X509_V_ERR_CERT_HAS_EXPIRED, "its owner must renew it" },
	{ X509_V_ERR_CERT_REVOKED, "its owner needs a new one" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL,
	    "put the list of its authority into crl_file too" },
	{ X509_V_ERR_CRL_HAS_EXPIRED,
	    "fetch a new list into crl_file, then send SIGHUP" },
	{ X509_V_ERR_CRL_NOT_YET_VALID, "check the clock of this machine" },
	{ X509_V_ERR_INVALID_PURPOSE,
	    "its extended key usage does not allow this side" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "check the clocks of both machines" },
	{ X509_V_ERR_HOSTNAME_MISMATCH,
	    "set server_name to the name in the certificate" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH,
	    "set server_name to the name in the certificate" },
	{ 0, NULL }
};

static const struct advice handshake_advice[] = {
	{ SSL_R_WRONG_VERSION_NUMBER,
	    "the other end does not speak TLS on this port" },
	{ SSL_R_UNKNOWN_PROTOCOL,
	    "the other end does not speak TLS on this port" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
	    "the other end speaks no version that min_version allows" },
	{ SSL_R_UNSUPPORTED_PROTOCOL,
	    "the other end speaks no version that min_version allows" },
	{ SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE,
	    "give the client a certificate, or set client_cert to optional" },
	{ SSL_R_NO_SHARED_CIPHER,
	    "nothing in common; check ciphers, cert and psk_file" },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
	    "the other end cannot use our kind of cert" },
	{ SSL_R_PSK_IDENTITY_NOT_FOUND, "psk_file has no such identity" },
	{ SSL_R_BINDER_DOES_NOT_VERIFY, "it has another key than psk_file" },
	{ SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
	    "with psk_file: another key" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN,
	    "the other end does not accept our cert" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
	    "the other end does not accept our cert" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
	    "the other end finds our cert expired" },
	{ SSL_R_NO_APPLICATION_PROTOCOL, "the other end speaks none of alpn" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
	    "nothing in common; check ciphers, cert and psk_identity" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA,
	    "the other end does not trust our cert" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "set cert and key" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY,
	    "the other end does not know our psk_identity" },
	{ SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL,
	    "the other end speaks none of alpn" },
	{ SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, "with psk_file: another key" },
	{ SSL_R_TLSV1_ALERT_DECRYPT_ERROR, "with psk_file: another key" },
	{ 0, NULL }
};

static const char *
find_advice(const struct advice *table, int code)
{
	while (table->text != NULL && table->code != code)
		table++;
	return table->text;
}

/* A fatal error of OpenSSL's, in words. */
static ssize_t
fault(struct tls_layer *l)
{
	unsigned long code = ERR_peek_last_error();
	long verdict = SSL_get_verify_result(l->ssl);
	const char *advice;

	if (!l->layer.is_ready && !l->tls->insecure && verdict != X509_V_OK) {
		advice = find_advice(certificate_advice, (int)verdict);
		ERR_clear_error();
		return stream_layer_fail(&l->layer, -EPROTO,
		    "TLS certificate: %s%s%s",
		    X509_verify_cert_error_string(verdict),
		    advice == NULL ? "" : "; ", advice == NULL ? "" : advice);
	}
	if (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST &&
	    l->tls->plain_answer != NULL) {
		send(l->layer.fd, l->tls->plain_answer,
		    strlen(l->tls->plain_answer), MSG_NOSIGNAL | MSG_DONTWAIT);
		shutdown(l->layer.fd, SHUT_WR);
	}
	if (!l->layer.is_ready && l->has_first && l->first != TLS_HANDSHAKE) {
		ERR_clear_error();
		return stream_layer_fail(&l->layer, -EPROTO, "TLS: %s",
		    l->first == MQTT_CONNECT
			? "the client speaks MQTT without TLS; it must use "
			  "TLS on this port"
			: "the client does not speak TLS on this port");
	}
	advice = find_advice(handshake_advice, ERR_GET_REASON(code));
	return stream_layer_fail(&l->layer, -EPROTO, "TLS: %s%s%s",
	    tls_reason(), advice == NULL ? "" : "; ",
	    advice == NULL ? "" : advice);
}

/* Who connects to a server and leaves without a byte did nothing wrong. */
static bool
has_knocked(const struct tls_layer *l)
{
	return l->tls->is_server && !l->layer.is_ready && !l->has_first;
}

/*
 * What an operation that returned `result` means: -EAGAIN with the layer's
 * wishes set, 0 for the end, or -errno.
 */
static ssize_t
judge(struct tls_layer *l, int result)
{
	int err = errno;

	switch (SSL_get_error(l->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		l->layer.wants_read = true;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		l->layer.wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		if (l->layer.is_ready || has_knocked(l))
			return 0;
		return stream_layer_fail(&l->layer, -ECONNRESET,
		    "TLS: closed by the other end in the handshake; does "
		    "this port speak TLS?");
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		err = err == 0 ? ECONNRESET : err;
		if (has_knocked(l))
			l->layer.is_broken = true;
		else if (!l->layer.is_ready)
			return stream_layer_fail(&l->layer, -err,
			    "TLS: %s in the handshake; does this port speak "
			    "TLS?",
			    strerror(err));
		l->layer.is_broken = true;
		return -err;
	default:
		return fault(l);
	}
}

/* Each operation begins anew; errors of other connections are not ours. */
static void
begin(struct tls_layer *l)
{
	if (!l->is_begun) {
		l->is_begun = true;
		SSL_set_fd(l->ssl, l->layer.fd);
	}
	l->layer.wants_read = false;
	l->layer.wants_write = false;
	ERR_clear_error();
	errno = 0;
}

/* What a client begins with tells what it speaks, if that is not TLS. */
static void
look_at_first(struct tls_layer *l)
{
	if (!l->has_first)
		l->has_first = recv(l->layer.fd, &l->first, 1,
				   MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* Returns 0 once it is made, or as judge(). */
static ssize_t
handshake(struct tls_layer *l)
{
	ssize_t err;
	int result;

	if (l->tls->is_server)
		look_at_first(l);
	result = SSL_do_handshake(l->ssl);
	if (result == 1) {
		l->layer.is_ready = true;
		/* Read along with its last record, be it by tls_send(). */
		l->layer.has_input = true;
		return 0;
	}
	err = judge(l, result);
	return err == 0 ? -ECONNRESET : err;
}

static ssize_t
tls_receive(struct stream_layer *layer, uint8_t *into, size_t room)
{
	struct tls_layer *l = (struct tls_layer *)layer;
	size_t all = 0, len;
	ssize_t err = 0;
	int result;

	if (layer->is_broken) {
		layer->has_input = false;
		return l->err == 0 ? -ECONNRESET : l->err;
	}
	begin(l);
	if (!layer->is_ready && (err = handshake(l)) != 0)
		return err;
	while (all < room) {
		result = SSL_read_ex(l->ssl, into + all, room - all, &len);
		if (result != 1) {
			err = judge(l, result);
			break;
		}
		all += len;
	}
	/* That reading waits for the peer is no news. */
	layer->wants_read = false;
	/* The end, or an error, is told behind what came before it. */
	layer->has_input = all == room || (all > 0 && err != -EAGAIN);
	if (all == 0)
		return err;
	if (err < 0 && err != -EAGAIN)
		l->err = (int)err;
	return (ssize_t)all;
}

/* The bytes of one record: in place if they lie together. */
static const uint8_t *
gather(const struct iovec *iov, unsigned count, uint8_t *space, size_t *out_len)
{
	size_t len = 0, here;

	if (count <= 1) {
		*out_len = count == 0 ? 0 : iov[0].iov_len;
		return count == 0 ? NULL : iov[0].iov_base;
	}
	for (unsigned i = 0; i < count && len < RECORD_BYTES; i++) {
		here = iov[i].iov_len;
		if (here > RECORD_BYTES - len)
			here = RECORD_BYTES - len;
		memcpy(space + len, iov[i].iov_base, here);
		len += here;
	}
	*out_len = len;
	return space;
}

static ssize_t
tls_send(struct stream_layer *layer, const struct iovec *iov, unsigned count)
{
	struct tls_layer *l = (struct tls_layer *)layer;
	uint8_t space[RECORD_BYTES];
	const uint8_t *bytes;
	size_t len, sent;
	ssize_t err;
	int result;

	if (layer->is_broken)
		return -EPIPE;
	begin(l);
	if (!layer->is_ready && (err = handshake(l)) != 0)
		return err;
	bytes = gather(iov, count, space, &len);
	if (len == 0)
		return 0;
	result = SSL_write_ex(l->ssl, bytes, len, &sent);
	if (result == 1)
		return (ssize_t)sent;
	err = judge(l, result);
	return err == 0 ? -EPIPE : err;
}

static void
tls_finish(struct stream_layer *layer)
{
	struct tls_layer *l = (struct tls_layer *)layer;

	begin(l);
	SSL_shutdown(l->ssl);
	ERR_clear_error();
}

static void
tls_free(struct stream_layer *layer)
{
	struct tls_layer *l = (struct tls_layer *)layer;

	SSL_free(l->ssl);
	tls_put(l->tls);
	free(l);
}

static const struct stream_layer_kind kind = {
	.name = "TLS",
	.receive = tls_receive,
	.send = tls_send,
	.finish = tls_finish,
	.free = tls_free,
};

static bool
is_address(const char *host)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, bytes) == 1 ||
	    inet_pton(AF_INET6, host, bytes) == 1;
}

/* Whom the server must be; a name is told to it as well. */
static bool
expect(SSL *ssl, const struct tls *tls, const char *host)
{
	if (is_address(host))
		return tls->insecure ||
		    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) ==
		    1;
	if (SSL_set_tlsext_host_name(ssl, host) != 1)
		return false;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return tls->insecure || SSL_set1_host(ssl, host) == 1;
}

struct stream_layer *
tls_layer(struct tls *tls, const char *host)
{
	struct tls_layer *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->layer.kind = &kind;
	l->ssl = SSL_new(tls->context);
	if (l->ssl == NULL || (!tls->is_server && !expect(l->ssl, tls, host))) {
		SSL_free(l->ssl);
		free(l);
		ERR_clear_error();
		return NULL;
	}
	if (tls->is_server)
		SSL_set_accept_state(l->ssl);
	else
		SSL_set_connect_state(l->ssl);
	SSL_set_app_data(l->ssl, l);
	tls_take(tls);
	l->tls = tls;
	return &l->layer;
}
