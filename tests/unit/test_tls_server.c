/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a server of TLS asks, shows and remembers.  The client is the
 * library's own, so that it may do what ours does not.
 */

#include <errno.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/stream.h"
#include "common/net/tls.h"
#include "tests/unit/certificates.h"
#include "tests/unit/unit.h"

#define HOUR_NS (UINT64_C(3600) * 1000000000)

static struct loop *loop;
static struct stream_hub *hub;
static struct stream stream;
static int closed; /* the reason; 1: not closed */
static char fault[STREAM_FAULT_SIZE];
static char got[64];
static size_t got_len;
static int wire = -1;

static SSL_CTX *context; /* the client's */
static SSL *ssl;
static SSL_SESSION *kept; /* that the server gave last */
static char error[TLS_ERROR_SIZE];

static size_t
on_data(struct stream *s, const uint8_t *data, size_t len)
{
	(void)s;
	ck_assert_uint_le(got_len + len, sizeof(got));
	memcpy(got + got_len, data, len);
	got_len += len;
	return len;
}

static void
on_closed(struct stream *s, int reason)
{
	closed = reason;
	snprintf(fault, sizeof(fault), "%s", stream_fault(s));
}

static const struct stream_callbacks callbacks = { on_data, on_closed, NULL,
	NULL };

static int
keep_session(SSL *from, SSL_SESSION *session)
{
	(void)from;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

/* A client of its own for each test: version 1.2 or 1.3 alone, or 0. */
static void
make_client(int version)
{
	SSL_CTX_free(context);
	context = SSL_CTX_new(TLS_client_method());
	ck_assert_int_eq(
	    SSL_CTX_load_verify_file(context, certificates_path("ca.pem")), 1);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	if (version != 0) {
		SSL_CTX_set_min_proto_version(context, version);
		SSL_CTX_set_max_proto_version(context, version);
	}
}

static void
use_certificate(const char *cert, const char *key)
{
	ck_assert_int_eq(SSL_CTX_use_certificate_file(context,
			     certificates_path(cert), SSL_FILETYPE_PEM),
	    1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(
			     context, certificates_path(key), SSL_FILETYPE_PEM),
	    1);
}

static void
set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	hub = stream_hub_new(loop, 64);
	certificates_begin();
	certificates_authority("ca");
	certificates_make(&(struct certificate){
	    .name = "server", .issuer = "ca", .names = "DNS:localhost" });
	certificates_make(&(struct certificate){
	    .name = "client", .issuer = "ca", .organization = "Weir" });
	make_client(0);
}

static void
hang_up(void)
{
	stream_close(&stream);
	/* Else the library forgets its session as a broken one. */
	if (ssl != NULL)
		SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN);
	SSL_free(ssl);
	ssl = NULL;
	if (wire != -1)
		close(wire);
	wire = -1;
}

static void
tear_down(void)
{
	hang_up();
	SSL_CTX_free(context);
	context = NULL;
	SSL_SESSION_free(kept);
	kept = NULL;
	stream_hub_free(hub);
	loop_free(loop);
	certificates_end();
}

static struct tls_settings
settings(void)
{
	return (struct tls_settings){ .cert = certificates_path("server.pem"),
		.key = certificates_path("server.key") };
}

/* That of settings(), and clients must be of "ca". */
static struct tls_settings
asking(void)
{
	struct tls_settings s = settings();

	s.ca_file = certificates_path("ca.pem");
	return s;
}

static struct tls *
make_server(const struct tls_settings *s)
{
	struct tls *tls = NULL;

	ck_assert_msg(
	    tls_new_server(s, &tls, error, sizeof(error)) == 0, "%s", error);
	return tls;
}

static void
assert_wrong(const struct tls_settings *s, const char *words)
{
	struct tls *tls = NULL;

	ck_assert_int_lt(tls_new_server(s, &tls, error, sizeof(error)), 0);
	ck_assert_msg(
	    strstr(error, words) != NULL, "\"%s\" not in \"%s\"", words, error);
}

static void
begin(struct tls *tls, const char *name)
{
	int fds[2];

	hang_up();
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	wire = fds[1];
	closed = 1;
	fault[0] = '\0';
	got_len = 0;
	ck_assert_int_eq(
	    stream_init(&stream, hub, fds[0], &callbacks, NULL), 0);
	stream_push_layer(&stream, tls_layer(tls, NULL));
	ssl = SSL_new(context);
	SSL_set_fd(ssl, wire);
	SSL_set_connect_state(ssl);
	if (name != NULL)
		SSL_set_tlsext_host_name(ssl, name);
}

/* As far as it comes; then a byte each way.  False: it was refused. */
static bool
meet(struct tls *tls, const char *name, bool with_session)
{
	char byte;

	begin(tls, name);
	if (with_session)
		ck_assert_int_eq(SSL_set_session(ssl, kept), 1);
	for (int i = 0; i < 10 && closed == 1; i++) {
		SSL_do_handshake(ssl);
		loop_turn(loop, false);
	}
	if (closed != 1 || SSL_write(ssl, "x", 1) != 1)
		return false;
	loop_turn(loop, false);
	if (closed != 1 || got_len != 1)
		return false;
	ck_assert_int_eq(stream_write(&stream, "y", 1), 0);
	loop_turn(loop, false);
	ck_assert_int_eq(SSL_read(ssl, &byte, 1), 1); /* and tickets */
	return true;
}

/* With settings that are used once. */
static bool
try(const struct tls_settings *s, const char *name)
{
	struct tls *tls = make_server(s);
	bool ok = meet(tls, name, false);

	tls_put(tls);
	return ok;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- names ------------------------------------------------------------ */

static bool
shows(const char *name)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);

	return X509_check_host(cert, name, 0,
		   X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT, NULL) == 1;
}

START_TEST(shows_the_certificate_of_the_name_that_is_asked_for)
{
	struct tls_named named[] = {
		{ .name = "*.weir.example" },
		{ .name = "Pumps.weir.example" },
	};
	struct tls_settings s = settings();
	struct tls *tls;

	make_client(versions[_i]);
	certificates_make(&(struct certificate){
	    .name = "star", .issuer = "ca", .names = "DNS:*.weir.example" });
	certificates_make(&(struct certificate){ .name = "pumps",
	    .issuer = "ca",
	    .names = "DNS:pumps.weir.example" });
	named[0].cert = certificates_path("star.pem");
	named[0].key = certificates_path("star.key");
	named[1].cert = certificates_path("pumps.pem");
	named[1].key = certificates_path("pumps.key");
	s.named = named;
	s.named_count = 2;
	tls = make_server(&s);
	ck_assert(meet(tls, "pumps.weir.example", false));
	ck_assert(shows("pumps.weir.example") && !shows("fans.weir.example"));
	ck_assert_str_eq(tls_asked_name(stream.layer), "pumps.weir.example");
	ck_assert(meet(tls, "PUMPS.weir.example", false));
	ck_assert(!shows("fans.weir.example"));
	ck_assert(meet(tls, "fans.weir.example", false));
	ck_assert(shows("fans.weir.example"));
	ck_assert(meet(tls, "a.fans.weir.example", false));
	ck_assert(shows("localhost"));
	ck_assert(meet(tls, "localhost", false));
	ck_assert(shows("localhost"));
	ck_assert(meet(tls, NULL, false));
	ck_assert(shows("localhost"));
	ck_assert_ptr_null(tls_asked_name(stream.layer));
	tls_put(tls);
}
END_TEST

START_TEST(says_which_name_has_a_wrong_file)
{
	struct tls_named named = { .name = "x", .cert = "/nowhere.pem" };
	struct tls_settings s = settings();

	s.named = &named;
	s.named_count = 1;
	named.key = certificates_path("server.key");
	assert_wrong(&s, "sni: cert: /nowhere.pem: No such file");
	named.cert = certificates_path("client.pem");
	assert_wrong(&s, "sni: key: ");
}
END_TEST

START_TEST(days_left_are_those_of_the_first_to_end)
{
	struct tls_named named = { .name = "x" };
	struct tls_settings s = settings();
	struct tls *tls;
	int64_t days;

	certificates_make(&(struct certificate){
	    .name = "long", .from_s = -1, .to_s = 40 * 86400 + 60 });
	certificates_make(&(struct certificate){
	    .name = "short", .from_s = -1, .to_s = 3 * 86400 + 60 });
	s.cert = certificates_path("long.pem");
	s.key = certificates_path("long.key");
	named.cert = certificates_path("short.pem");
	named.key = certificates_path("short.key");
	s.named = &named;
	s.named_count = 1;
	tls = make_server(&s);
	ck_assert(tls_days_left(tls, &days));
	ck_assert_int_eq(days, 3);
	ck_assert(!tls_crl_days_left(tls, &days));
	tls_put(tls);
}
END_TEST

/* ---- clients' certificates -------------------------------------------- */

START_TEST(knows_who_showed_a_certificate)
{
	struct tls_settings s = asking();
	struct tls *tls = make_server(&s);
	char *name = NULL;

	make_client(versions[_i]);
	use_certificate("client.pem", "client.key");
	ck_assert(meet(tls, NULL, false));
	ck_assert_int_eq(tls_peer_name(stream.layer, TLS_NAME_CN, &name), 0);
	ck_assert_str_eq(name, "client");
	free(name);
	ck_assert_int_eq(
	    tls_peer_name(stream.layer, TLS_NAME_SUBJECT, &name), 0);
	ck_assert_str_eq(name, "CN=client,O=Weir");
	free(name);
	ck_assert_ptr_null(tls_peer_psk(stream.layer));
	tls_put(tls);
}
END_TEST

START_TEST(who_showed_none_has_no_name)
{
	struct tls_settings s = asking();
	char *name = NULL;

	s.client_cert_optional = true;
	ck_assert(try(&s, NULL));
	ck_assert_int_eq(
	    tls_peer_name(stream.layer, TLS_NAME_CN, &name), -ENOENT);
	ck_assert_ptr_null(name);
}
END_TEST

/* "admin\0.evil" must not be admin. */
START_TEST(a_name_that_is_no_text_is_no_name)
{
	static const struct {
		const char *cn;
		int len;
	} bad[] = { { "admin\0.evil", 11 }, { "a\nb", 3 }, { "a\x7f", 2 } };
	struct tls_settings s = asking();
	char *name = NULL;

	certificates_make(&(struct certificate){ .name = "bad",
	    .issuer = "ca",
	    .cn = bad[_i].cn,
	    .cn_len = bad[_i].len });
	use_certificate("bad.pem", "bad.key");
	ck_assert(try(&s, NULL));
	ck_assert_int_eq(
	    tls_peer_name(stream.layer, TLS_NAME_CN, &name), -EINVAL);
	ck_assert_ptr_null(name);
}
END_TEST

START_TEST(names_may_have_letters_of_all_countries)
{
	struct tls_settings s = asking();
	char *name = NULL;

	certificates_make(&(struct certificate){
	    .name = "intl", .issuer = "ca", .cn = "M\xc3\xbchle" });
	use_certificate("intl.pem", "intl.key");
	ck_assert(try(&s, NULL));
	ck_assert_int_eq(tls_peer_name(stream.layer, TLS_NAME_CN, &name), 0);
	ck_assert_str_eq(name, "M\xc3\xbchle");
	free(name);
}
END_TEST

START_TEST(refuses_who_is_on_the_list)
{
	static const char *const nobody[] = { NULL };
	static const char *const revoked[] = { "other", "client", NULL };
	struct tls_settings s = asking();

	make_client(versions[_i]);
	certificates_make(
	    &(struct certificate){ .name = "other", .issuer = "ca" });
	use_certificate("client.pem", "client.key");
	s.crl_file = certificates_path("crl.pem");
	certificates_crl("crl.pem", "ca", nobody, 86400 * 5 + 60);
	ck_assert(try(&s, NULL));
	certificates_crl("crl.pem", "ca", revoked, 3600);
	ck_assert(!try(&s, NULL));
	ck_assert_msg(strstr(fault,
			  "certificate revoked; its owner needs a "
			  "new one") != NULL,
	    "%s", fault);
}
END_TEST

START_TEST(believes_no_list_that_is_too_old_or_not_there)
{
	static const char *const nobody[] = { NULL };
	struct tls_settings s = asking();
	struct tls *tls;
	int64_t days;

	use_certificate("client.pem", "client.key");
	s.crl_file = certificates_path("crl.pem");
	certificates_crl("crl.pem", "ca", nobody, -60);
	ck_assert(!try(&s, NULL));
	ck_assert_msg(strstr(fault, "fetch a new list into crl_file") != NULL,
	    "%s", fault);
	tls = make_server(&s);
	ck_assert(tls_crl_days_left(tls, &days));
	ck_assert_int_eq(days, -1);
	tls_put(tls);

	certificates_authority("other");
	certificates_crl("crl.pem", "other", nobody, 3600);
	ck_assert(!try(&s, NULL));
	ck_assert_msg(strstr(fault, "put the list of its authority") != NULL,
	    "%s", fault);

	s.crl_file = certificates_path("server.key");
	assert_wrong(&s, "crl_file: ");
	s.ca_file = NULL;
	assert_wrong(&s, "crl_file without ca_file");
}
END_TEST

START_TEST(tells_what_to_do_about_a_client_without_certificate)
{
	struct tls_settings s = asking();

	ck_assert(!try(&s, NULL));
	ck_assert_msg(
	    strstr(fault, "set client_cert to optional") != NULL, "%s", fault);
}
END_TEST

START_TEST(tells_a_client_that_speaks_mqtt_in_the_clear)
{
	struct tls_settings s = settings();
	struct tls *tls = make_server(&s);

	begin(tls, NULL);
	/* Before and after our first look. */
	if (_i == 1)
		loop_turn(loop, false);
	ck_assert_int_eq(
	    write(wire, "\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01x", 15), 15);
	loop_turn(loop, false);
	loop_turn(loop, false);
	ck_assert_int_eq(closed, -EPROTO);
	ck_assert_msg(
	    strstr(fault, "speaks MQTT without TLS") != NULL, "%s", fault);
	tls_put(tls);
}
END_TEST

/* ---- pre-shared keys --------------------------------------------------- */

static const unsigned char key_of_7[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static const char *psk_identity;
static unsigned char psk_last; /* byte of the key that the client has */

static unsigned
give_psk(SSL *of, const char *hint, char *identity, unsigned identity_size,
    unsigned char *key, unsigned key_size)
{
	(void)of;
	(void)hint;
	ck_assert_uint_lt(strlen(psk_identity), identity_size);
	ck_assert_uint_le(sizeof(key_of_7), key_size);
	strcpy(identity, psk_identity);
	memcpy(key, key_of_7, sizeof(key_of_7));
	key[sizeof(key_of_7) - 1] = psk_last;
	return sizeof(key_of_7);
}

static void
use_psk(int version, const char *identity, unsigned char last)
{
	make_client(version);
	psk_identity = identity;
	psk_last = last;
	SSL_CTX_set_psk_client_callback(context, give_psk);
	SSL_CTX_set_cipher_list(context, "PSK");
}

static const char keys[] = "# of the plant\n"
			   "\n"
			   "pump-9:ffffffffffffffffff\r\n"
			   "a:b:0011223344556677\n"
			   "pump-7:0102030405060708\n";

START_TEST(takes_clients_by_their_keys)
{
	struct tls_settings s = { 0 };
	struct tls *tls;

	certificates_file("keys", keys, 0600);
	s.psk_file = certificates_path("keys");
	tls = make_server(&s);
	use_psk(versions[_i], "pump-7", 8);
	ck_assert(meet(tls, NULL, false));
	ck_assert_str_eq(tls_peer_psk(stream.layer), "pump-7");
	ck_assert(!tls_is_resumed(stream.layer));
	use_psk(versions[_i], "pump-7", 9);
	ck_assert(!meet(tls, NULL, false));
	use_psk(versions[_i], "pump-8", 8);
	ck_assert(!meet(tls, NULL, false));
	/* No key, no certificate of ours: nothing in common. */
	make_client(versions[_i]);
	ck_assert(!meet(tls, NULL, false));
	tls_put(tls);
}
END_TEST

START_TEST(keys_and_certificates_go_together)
{
	struct tls_settings s = asking();
	struct tls *tls;
	char *name;

	certificates_file("keys", keys, 0600);
	s.psk_file = certificates_path("keys");
	tls = make_server(&s);
	use_psk(versions[_i], "pump-7", 8);
	ck_assert(meet(tls, NULL, false));
	ck_assert_str_eq(tls_peer_psk(stream.layer), "pump-7");
	ck_assert_int_eq(
	    tls_peer_name(stream.layer, TLS_NAME_CN, &name), -ENOENT);
	make_client(versions[_i]);
	use_certificate("client.pem", "client.key");
	ck_assert(meet(tls, NULL, false));
	ck_assert_ptr_null(tls_peer_psk(stream.layer));
	/* Neither of them. */
	make_client(versions[_i]);
	ck_assert(!meet(tls, NULL, false));
	tls_put(tls);
}
END_TEST

START_TEST(says_which_line_of_keys_is_wrong)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "a:0102030405060708\nb\n", ":2: must be identity:key" },
		{ ":0102030405060708\n", ":1: must be identity:key" },
		{ "\n\na:01020304050607\n", ":3: the key must be hex" },
		{ "a:010203040506070x\n", ":1: the key must be hex" },
		{ "a:0102030405060708\na:ffffffffffffffff\n",
		    "the identity a is given twice" },
		{ "# nobody\n", "there is no line identity:key" },
		{ "", "is empty" },
	};
	struct tls_settings s = settings();

	certificates_file("keys", bad[_i].text, 0600);
	s.psk_file = certificates_path("keys");
	assert_wrong(&s, bad[_i].words);
	ck_assert_ptr_null(strstr(error, "0102"));
	certificates_file("keys", keys, 0604);
	assert_wrong(&s, "may be read by others");
}
END_TEST

/* ---- resuming ---------------------------------------------------------- */

static struct tls_tickets *
make_tickets(void)
{
	struct tls_tickets *tickets = tls_tickets_new(HOUR_NS, 1);

	ck_assert_ptr_nonnull(tickets);
	return tickets;
}

/* Meet by new settings, with the session of before: was it resumed? */
static bool
resumes(const struct tls_settings *s)
{
	struct tls *tls = make_server(s);
	bool is_resumed;

	ck_assert_ptr_nonnull(kept);
	ck_assert_msg(meet(tls, NULL, true), "%s", fault);
	is_resumed = tls_is_resumed(stream.layer);
	ck_assert_int_eq(is_resumed, SSL_session_reused(ssl));
	tls_put(tls);
	return is_resumed;
}

START_TEST(goes_on_with_a_session_after_a_reload)
{
	struct tls_settings s = settings();
	struct tls_tickets *tickets = make_tickets();

	make_client(versions[_i]);
	s.tickets = tickets;
	ck_assert(try(&s, NULL));
	ck_assert(!tls_is_resumed(stream.layer));
	ck_assert(resumes(&s));
	/* What it shows to others may change. */
	certificates_make(&(struct certificate){
	    .name = "server", .issuer = "ca", .names = "DNS:localhost" });
	ck_assert(resumes(&s));
	/* Another process, or another listener, has other keys. */
	tls_tickets_put(tickets);
	s.tickets = tickets = make_tickets();
	ck_assert(!resumes(&s));
	tls_tickets_put(tickets);
}
END_TEST

START_TEST(gives_no_ticket_where_no_session_goes_on)
{
	struct tls_settings s = settings();
	struct tls_tickets *tickets = tls_tickets_new(0, 1);

	make_client(versions[_i]);
	s.tickets = tickets;
	ck_assert(try(&s, NULL));
	ck_assert(kept == NULL || !SSL_SESSION_has_ticket(kept));
	tls_tickets_put(tickets);
}
END_TEST

START_TEST(a_session_that_goes_on_has_the_name_it_had)
{
	struct tls_settings s = asking();
	struct tls_tickets *tickets = make_tickets();
	char *name = NULL;

	make_client(versions[_i]);
	use_certificate("client.pem", "client.key");
	s.tickets = tickets;
	ck_assert(try(&s, NULL));
	ck_assert(resumes(&s));
	ck_assert_int_eq(tls_peer_name(stream.layer, TLS_NAME_CN, &name), 0);
	ck_assert_str_eq(name, "client");
	free(name);
	ck_assert_ptr_null(tls_peer_psk(stream.layer));
	tls_tickets_put(tickets);
}
END_TEST

/* Else who was revoked would come in by its ticket. */
START_TEST(no_session_outlives_what_its_certificate_was_judged_by)
{
	static const char *const nobody[] = { NULL };
	static const char *const revoked[] = { "client", NULL };
	struct tls_settings s = asking(), other;
	struct tls_tickets *tickets = make_tickets();
	struct tls *tls;

	make_client(versions[_i]);
	use_certificate("client.pem", "client.key");
	certificates_crl("crl.pem", "ca", nobody, 3600);
	s.tickets = tickets;
	s.crl_file = certificates_path("crl.pem");
	ck_assert(try(&s, NULL));
	ck_assert(resumes(&s));

	other = s;
	other.client_cert_optional = true;
	ck_assert(!resumes(&other));
	other = s;
	other.crl_file = NULL;
	ck_assert(!resumes(&other));
	ck_assert(try(&s, NULL));

	certificates_crl("crl.pem", "ca", revoked, 3600);
	tls = make_server(&s);
	ck_assert(!meet(tls, NULL, true));
	ck_assert_msg(strstr(fault, "revoked") != NULL, "%s", fault);
	tls_put(tls);
	tls_tickets_put(tickets);
}
END_TEST

/* A session without a certificate does not open what asks for one. */
START_TEST(no_session_spares_a_certificate)
{
	struct tls_settings s = settings();
	struct tls_tickets *tickets = make_tickets();
	struct tls *tls;

	make_client(versions[_i]);
	s.tickets = tickets;
	ck_assert(try(&s, NULL));
	s.ca_file = certificates_path("ca.pem");
	tls = make_server(&s);
	ck_assert(!meet(tls, NULL, true));
	tls_put(tls);
	tls_tickets_put(tickets);
}
END_TEST

START_TEST(no_session_outlives_its_certificate)
{
	struct tls_settings s = asking();
	struct tls_tickets *tickets = make_tickets();
	struct tls *tls;

	make_client(versions[_i]);
	certificates_make(&(struct certificate){
	    .name = "brief", .issuer = "ca", .from_s = -10, .to_s = 2 });
	use_certificate("brief.pem", "brief.key");
	s.tickets = tickets;
	tls = make_server(&s);
	/* On a machine that stands still it may have ended already. */
	if (meet(tls, NULL, false)) {
		while (X509_cmp_current_time(X509_get0_notAfter(
			   SSL_CTX_get0_certificate(context))) > 0)
			usleep(100000);
		ck_assert(!meet(tls, NULL, true));
		ck_assert_msg(
		    strstr(fault, "has expired") != NULL, "%s", fault);
	}
	tls_put(tls);
	tls_tickets_put(tickets);
}
END_TEST

START_TEST(no_session_outlives_its_key)
{
	struct tls_settings s = { 0 };
	struct tls_tickets *tickets = make_tickets();
	struct tls *tls;

	certificates_file("keys", keys, 0600);
	s.psk_file = certificates_path("keys");
	s.tickets = tickets;
	use_psk(versions[_i], "pump-7", 8);
	ck_assert(try(&s, NULL));
	ck_assert(resumes(&s));
	ck_assert_str_eq(tls_peer_psk(stream.layer), "pump-7");

	/* From here on the client has its ticket and a wrong key. */
	psk_last = 9;
	ck_assert(resumes(&s));
	certificates_file("keys", "pump-7:0102030405060709\n", 0600);
	psk_last = 8;
	tls = make_server(&s);
	ck_assert(!meet(tls, NULL, true));
	tls_put(tls);
	certificates_file("keys", "pump-9:0102030405060708\n", 0600);
	tls = make_server(&s);
	ck_assert(!meet(tls, NULL, true));
	tls_put(tls);
	tls_tickets_put(tickets);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tls_server");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(
	    tc, shows_the_certificate_of_the_name_that_is_asked_for, 0, 2);
	tcase_add_test(tc, says_which_name_has_a_wrong_file);
	tcase_add_test(tc, days_left_are_those_of_the_first_to_end);
	tcase_add_loop_test(tc, knows_who_showed_a_certificate, 0, 2);
	tcase_add_test(tc, who_showed_none_has_no_name);
	tcase_add_loop_test(tc, a_name_that_is_no_text_is_no_name, 0, 3);
	tcase_add_test(tc, names_may_have_letters_of_all_countries);
	tcase_add_loop_test(tc, refuses_who_is_on_the_list, 0, 2);
	tcase_add_test(tc, believes_no_list_that_is_too_old_or_not_there);
	tcase_add_test(tc, tells_what_to_do_about_a_client_without_certificate);
	tcase_add_loop_test(
	    tc, tells_a_client_that_speaks_mqtt_in_the_clear, 0, 2);
	tcase_add_loop_test(tc, takes_clients_by_their_keys, 0, 2);
	tcase_add_loop_test(tc, keys_and_certificates_go_together, 0, 2);
	tcase_add_loop_test(tc, says_which_line_of_keys_is_wrong, 0, 7);
	tcase_add_loop_test(tc, goes_on_with_a_session_after_a_reload, 0, 2);
	tcase_add_loop_test(tc, gives_no_ticket_where_no_session_goes_on, 0, 2);
	tcase_add_loop_test(
	    tc, a_session_that_goes_on_has_the_name_it_had, 0, 2);
	tcase_add_loop_test(
	    tc, no_session_outlives_what_its_certificate_was_judged_by, 0, 2);
	tcase_add_loop_test(tc, no_session_spares_a_certificate, 0, 2);
	tcase_add_loop_test(tc, no_session_outlives_its_certificate, 0, 2);
	tcase_add_loop_test(tc, no_session_outlives_its_key, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
