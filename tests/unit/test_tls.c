/* SPDX-License-Identifier: Apache-2.0 */

/* Two streams of one loop, TLS between them, the test moving the bytes. */

#include "common/net/tls.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/net/stream.h"
#include "tests/unit/certificates.h"
#include "tests/unit/unit.h"

#define BIG (300u << 10)

struct end {
	struct stream stream;
	uint8_t got[BIG + 1024];
	size_t got_len;
	unsigned layers;
	unsigned drained;
	bool gives_away; /* on_data() takes nothing and detaches */
	struct stream_parts parts;
	int closed; /* the reason; 1: not closed */
	char fault[STREAM_FAULT_SIZE];
	char cipher[64];
};

static struct loop *loop;
static struct stream_hub *hub;
static struct end client, server;
static int wires[2];     /* the far ends of the two streams' sockets */
static size_t at_a_time; /* bytes that a wire carries in one go */
static char error[TLS_ERROR_SIZE];

static size_t
on_data(struct stream *s, const uint8_t *data, size_t len)
{
	struct end *end = s->owner;

	ck_assert_uint_le(end->got_len + len, sizeof(end->got));
	memcpy(end->got + end->got_len, data, len);
	end->got_len += len;
	if (end->gives_away)
		ck_assert_int_eq(stream_detach(s, &end->parts), 0);
	return len;
}

static void
on_closed(struct stream *s, int reason)
{
	struct end *end = s->owner;

	end->closed = reason;
	snprintf(end->fault, sizeof(end->fault), "%s", stream_fault(s));
}

static void
on_drained(struct stream *s)
{
	((struct end *)s->owner)->drained++;
}

static void
on_layer(struct stream *s, const char *name)
{
	struct end *end = s->owner;

	ck_assert_str_eq(name, "TLS");
	tls_describe(s->layer, end->cipher, sizeof(end->cipher));
	end->layers++;
}

static const struct stream_callbacks callbacks = { on_data, on_closed,
	on_drained, on_layer };

static void
set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	hub = stream_hub_new(loop, 512);
	at_a_time = 65536;
	certificates_begin();
	certificates_authority("ca");
	certificates_make(&(struct certificate){ .name = "server",
	    .issuer = "ca",
	    .names = "DNS:localhost,DNS:broker.example,IP:127.0.0.1,IP:::1" });
}

static void
tear_down(void)
{
	stream_close(&client.stream);
	stream_close(&server.stream);
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
	stream_hub_free(hub);
	loop_free(loop);
	for (int i = 0; i < 2; i++)
		if (wires[i] > 0)
			close(wires[i]);
	memset(wires, 0, sizeof(wires));
	certificates_end();
}

static void
open_end(struct end *end, int *wire)
{
	int fds[2];

	memset(end, 0, sizeof(*end));
	end->closed = 1;
	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	*wire = fds[1];
	ck_assert_int_eq(
	    stream_init(&end->stream, hub, fds[0], &callbacks, end), 0);
}

/* Returns whether something was moved. */
static bool
carry(int from, int to)
{
	char bytes[65536];
	ssize_t len = read(from, bytes, at_a_time);

	if (len == 0)
		shutdown(to, SHUT_WR);
	if (len <= 0)
		return false;
	/* Nobody may be there any more. */
	if (write(to, bytes, (size_t)len) != len)
		ck_assert_int_eq(errno, EPIPE);
	return true;
}

/* Until nothing moves any more. */
static void
settle(void)
{
	bool moved = true;

	for (int quiet = 0; quiet < 4; quiet = moved ? 0 : quiet + 1) {
		ck_assert_int_eq(loop_turn(loop, false), 0);
		moved = carry(wires[0], wires[1]);
		moved |= carry(wires[1], wires[0]);
	}
}

static struct tls *
make_server(const struct tls_settings *settings)
{
	struct tls *tls = NULL;

	ck_assert_msg(tls_new_server(settings, &tls, error, sizeof(error)) == 0,
	    "%s", error);
	return tls;
}

static struct tls *
make_client(const struct tls_settings *settings)
{
	struct tls *tls = NULL;

	ck_assert_msg(tls_new_client(settings, &tls, error, sizeof(error)) == 0,
	    "%s", error);
	return tls;
}

/* Both ends, with these settings, as far as they come. */
static void
meet(const struct tls_settings *of_server, const struct tls_settings *of_client,
    const char *host)
{
	struct tls *tls;

	open_end(&client, &wires[0]);
	open_end(&server, &wires[1]);
	tls = make_server(of_server);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	tls = make_client(of_client);
	stream_push_layer(&client.stream, tls_layer(tls, host));
	tls_put(tls);
	settle();
}

static struct tls_settings
server_settings(void)
{
	return (struct tls_settings){ .cert = certificates_path("server.pem"),
		.key = certificates_path("server.key") };
}

static struct tls_settings
client_settings(void)
{
	return (struct tls_settings){ .ca_file = certificates_path("ca.pem") };
}

static void
say(struct end *from, struct end *to, const char *text)
{
	to->got_len = 0;
	ck_assert_int_eq(stream_write(&from->stream, text, strlen(text)), 0);
	settle();
	ck_assert_uint_eq(to->got_len, strlen(text));
	ck_assert_mem_eq(to->got, text, strlen(text));
}

static void
assert_talking(void)
{
	ck_assert_uint_eq(client.layers, 1);
	ck_assert_uint_eq(server.layers, 1);
	say(&client, &server, "from the client");
	say(&server, &client, "from the server");
	ck_assert_int_eq(client.closed, 1);
	ck_assert_int_eq(server.closed, 1);
}

static void
assert_refused(const char *words)
{
	ck_assert_int_ne(client.closed, 1);
	ck_assert_msg(strstr(client.fault, words) != NULL,
	    "\"%s\" is not in \"%s\"", words, client.fault);
	ck_assert_int_ne(server.closed, 1);
	ck_assert_uint_eq(server.got_len, 0);
}

static const enum tls_version versions[] = { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* A server of just this version: 1.2 is had by its ciphers. */
static struct tls_settings
server_of_version(int i)
{
	struct tls_settings s = server_settings();

	s.min_version = versions[i];
	return s;
}

START_TEST(talks_in_both_versions)
{
	struct tls_settings s = server_of_version(_i), c = client_settings();

	/* A client that has no suite of 1.3 speaks 1.2. */
	if (versions[_i] == TLS_VERSION_1_2)
		c.ciphers = "ECDHE+AESGCM";
	meet(&s, &c, "localhost");
	assert_talking();
	ck_assert_msg(
	    strstr(client.cipher, "TLSv1.") != NULL, "%s", client.cipher);
}
END_TEST

START_TEST(a_server_of_1_3_alone_refuses_1_2)
{
	struct tls_settings s = server_of_version(1), c = client_settings();
	struct tls *tls;
	SSL_CTX *old;
	SSL *ssl;

	/* The library's client, held to 1.2. */
	meet(&s, &c, "localhost");
	ck_assert_int_eq(strncmp(client.cipher, "TLSv1.3 ", 8), 0);
	stream_close(&client.stream);
	stream_close(&server.stream);
	close(wires[0]);
	close(wires[1]);
	open_end(&server, &wires[1]);
	tls = make_server(&s);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	old = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
	ssl = SSL_new(old);
	SSL_set_fd(ssl, wires[1]);
	ck_assert_int_eq(SSL_connect(ssl), -1);
	loop_turn(loop, false);
	loop_turn(loop, false);
	ck_assert_int_ne(server.closed, 1);
	SSL_free(ssl);
	SSL_CTX_free(old);
	wires[0] = 0;
}
END_TEST

START_TEST(talks_when_bytes_come_one_by_one)
{
	struct tls_settings s = server_settings(), c = client_settings();

	at_a_time = 1;
	meet(&s, &c, "localhost");
	assert_talking();
}
END_TEST

START_TEST(sends_what_was_written_before_the_handshake)
{
	struct tls_settings s = server_settings(), c = client_settings();
	struct tls *tls;

	open_end(&client, &wires[0]);
	open_end(&server, &wires[1]);
	tls = make_server(&s);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	tls = make_client(&c);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	ck_assert(!stream_is_ready(&client.stream));
	stream_write(&client.stream, "early", 5);
	ck_assert_uint_eq(stream_pending(&client.stream), 5);
	settle();
	ck_assert(stream_is_ready(&client.stream));
	ck_assert_uint_eq(server.got_len, 5);
	ck_assert_uint_eq(stream_pending(&client.stream), 0);
}
END_TEST

/* A peer that is quick answers before the call that wrote has returned. */
START_TEST(gives_what_came_while_it_was_sending)
{
	struct tls_settings s = server_settings(), c = client_settings();
	struct tls *tls;

	open_end(&client, &wires[0]);
	open_end(&server, &wires[1]);
	tls = make_server(&s);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	tls = make_client(&c);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	stream_write(&client.stream, "early", 5);
	for (int i = 0; i < 8 && client.layers == 0; i++) {
		loop_turn(loop, false);
		carry(wires[0], wires[1]);
		if (client.layers == 0)
			carry(wires[1], wires[0]);
	}
	ck_assert_uint_eq(client.layers, 1);
	ck_assert_uint_eq(server.layers, 0);
	ck_assert_int_eq(
	    server.stream.layer->kind->send(server.stream.layer, NULL, 0), 0);
	ck_assert(stream_layers_moved(&server.stream));
	loop_turn(loop, false);
	ck_assert_uint_eq(server.layers, 1);
	ck_assert_uint_eq(server.got_len, 5);
}
END_TEST

START_TEST(carries_much_and_tells_when_it_is_drained)
{
	struct tls_settings s = server_settings(), c = client_settings();
	static uint8_t bytes[BIG];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	meet(&s, &c, "localhost");
	ck_assert_int_eq(stream_write(&client.stream, bytes, sizeof(bytes)), 0);
	loop_turn(loop, false);
	/* The socket is full by now. */
	ck_assert_uint_gt(stream_pending(&client.stream), 0);
	ck_assert_uint_eq(client.drained, 0);
	/* More behind it, while a record waits for the socket. */
	ck_assert_int_eq(stream_write(&client.stream, "end", 3), 0);
	at_a_time = 10007;
	settle();
	ck_assert_uint_eq(client.drained, 1);
	ck_assert_uint_eq(server.got_len, sizeof(bytes) + 3);
	ck_assert_mem_eq(server.got, bytes, sizeof(bytes));
	ck_assert_mem_eq(server.got + sizeof(bytes), "end", 3);
}
END_TEST

START_TEST(gives_nothing_while_paused_and_all_of_it_later)
{
	struct tls_settings s = server_settings(), c = client_settings();
	static uint8_t bytes[BIG];

	meet(&s, &c, "localhost");
	stream_pause_read(&server.stream);
	stream_write(&client.stream, bytes, 100000);
	settle();
	ck_assert_uint_eq(server.got_len, 0);
	stream_resume_read(&server.stream);
	settle();
	ck_assert_uint_eq(server.got_len, 100000);
}
END_TEST

START_TEST(makes_the_handshake_though_paused)
{
	struct tls_settings s = server_settings(), c = client_settings();
	struct tls *tls;

	open_end(&client, &wires[0]);
	open_end(&server, &wires[1]);
	stream_pause_read(&server.stream);
	tls = make_server(&s);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	tls = make_client(&c);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	stream_write(&client.stream, "hello", 5);
	settle();
	ck_assert_uint_eq(server.layers, 1);
	ck_assert_uint_eq(server.got_len, 0);
	stream_resume_read(&server.stream);
	settle();
	ck_assert_uint_eq(server.got_len, 5);
}
END_TEST

START_TEST(finishing_sends_what_is_left_then_closes_in_order)
{
	struct tls_settings s = server_settings(), c = client_settings();

	meet(&s, &c, "localhost");
	stream_write(&client.stream, "bye", 3);
	stream_finish(&client.stream);
	settle();
	ck_assert_int_eq(client.closed, 0);
	ck_assert_uint_eq(server.got_len, 3);
	ck_assert_int_eq(server.closed, 0);
	ck_assert_str_eq(server.fault, "");
}
END_TEST

START_TEST(hanging_up_in_the_handshake_is_told_in_words)
{
	struct tls_settings c = client_settings();
	struct tls *tls = make_client(&c);

	open_end(&client, &wires[0]);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	loop_turn(loop, false);
	close(wires[0]);
	wires[0] = 0;
	loop_turn(loop, false);
	loop_turn(loop, false);
	ck_assert_int_ne(client.closed, 1);
	ck_assert_ptr_nonnull(
	    strstr(client.fault, "in the handshake; does this port speak TLS"));
}
END_TEST

START_TEST(proves_names_and_addresses)
{
	static const char *const good[] = { "localhost", "broker.example",
		"127.0.0.1", "::1" };
	static const char *const bad[] = { "example", "127.0.0.2", "::2",
		"x.broker.example" };
	struct tls_settings s = server_settings(), c = client_settings();

	meet(&s, &c, good[_i]);
	assert_talking();
	stream_close(&client.stream);
	stream_close(&server.stream);
	close(wires[0]);
	close(wires[1]);
	meet(&s, &c, bad[_i]);
	assert_refused("set server_name to the name in the certificate");
}
END_TEST

START_TEST(refuses_an_unknown_authority)
{
	struct tls_settings s = server_settings(), c = { 0 };

	certificates_authority("other");
	c.ca_file = certificates_path("other.pem");
	meet(&s, &c, "localhost");
	assert_refused("set ca_file to the certificate of its authority");
}
END_TEST

START_TEST(refuses_it_too_with_the_systems_authorities)
{
	struct tls_settings s = server_settings(), c = { 0 };

	meet(&s, &c, "localhost");
	assert_refused("set ca_file");
}
END_TEST

START_TEST(refuses_one_that_signed_itself_unless_it_is_known)
{
	struct tls_settings s, c = client_settings();

	certificates_make(&(struct certificate){
	    .name = "self", .names = "DNS:localhost", .is_authority = true });
	s = (struct tls_settings){ .cert = certificates_path("self.pem"),
		.key = certificates_path("self.key") };
	meet(&s, &c, "localhost");
	assert_refused("set ca_file to a copy of it");
	close(wires[0]);
	close(wires[1]);
	c.ca_file = certificates_path("self.pem");
	meet(&s, &c, "localhost");
	assert_talking();
}
END_TEST

START_TEST(refuses_one_of_another_time)
{
	struct tls_settings s, c = client_settings();

	certificates_make(&(struct certificate){ .name = "old",
	    .issuer = "ca",
	    .names = "DNS:localhost",
	    .from_s = -7200,
	    .to_s = -3600 });
	certificates_make(&(struct certificate){ .name = "early",
	    .issuer = "ca",
	    .names = "DNS:localhost",
	    .from_s = 3600,
	    .to_s = 7200 });
	s = (struct tls_settings){ .cert = certificates_path("old.pem"),
		.key = certificates_path("old.key") };
	meet(&s, &c, "localhost");
	assert_refused("certificate has expired; its owner must renew it");
	close(wires[0]);
	close(wires[1]);
	s = (struct tls_settings){ .cert = certificates_path("early.pem"),
		.key = certificates_path("early.key") };
	meet(&s, &c, "localhost");
	assert_refused("check the clocks");
}
END_TEST

START_TEST(insecure_takes_any_certificate)
{
	struct tls_settings s = server_settings(), c = { .insecure = true };

	meet(&s, &c, "somebody.else");
	assert_talking();
}
END_TEST

START_TEST(asks_clients_for_certificates)
{
	struct tls_settings s = server_settings(), c = client_settings();

	s.ca_file = certificates_path("ca.pem");
	certificates_make(
	    &(struct certificate){ .name = "client", .issuer = "ca" });
	meet(&s, &c, "localhost");
	ck_assert_int_ne(server.closed, 1);
	ck_assert_msg(strstr(client.fault, "set cert and key") != NULL, "%s",
	    client.fault);
	close(wires[0]);
	close(wires[1]);
	c.cert = certificates_path("client.pem");
	c.key = certificates_path("client.key");
	meet(&s, &c, "localhost");
	assert_talking();
}
END_TEST

START_TEST(optional_certificates_may_be_missing_but_not_wrong)
{
	struct tls_settings s = server_settings(), c = client_settings();

	s.ca_file = certificates_path("ca.pem");
	s.client_cert_optional = true;
	meet(&s, &c, "localhost");
	assert_talking();
	stream_close(&client.stream);
	stream_close(&server.stream);
	close(wires[0]);
	close(wires[1]);
	certificates_make(&(struct certificate){ .name = "alien" });
	c.cert = certificates_path("alien.pem");
	c.key = certificates_path("alien.key");
	meet(&s, &c, "localhost");
	ck_assert_int_ne(server.closed, 1);
	ck_assert_uint_eq(server.got_len, 0);
}
END_TEST

START_TEST(agrees_on_a_protocol)
{
	struct tls_settings s = server_settings(), c = client_settings();

	s.alpn = "mqtt";
	c.alpn = "x-other,mqtt";
	meet(&s, &c, "localhost");
	assert_talking();
	stream_close(&client.stream);
	stream_close(&server.stream);
	close(wires[0]);
	close(wires[1]);
	c.alpn = "http/1.1";
	meet(&s, &c, "localhost");
	assert_refused("speaks none of alpn");
}
END_TEST

/* The answer to an HTTP request on a port of TLS. */
START_TEST(answers_plain_http_in_the_clear)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct tls_settings s = server_settings();
	struct tls *tls = make_server(&s);
	char answer[64];
	ssize_t len;

	tls_set_plain_answer(tls, "HTTP/1.1 400 Bad Request\r\n\r\n");
	open_end(&server, &wires[1]);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	ck_assert_int_eq(write(wires[1], request, sizeof(request) - 1),
	    (ssize_t)sizeof(request) - 1);
	loop_turn(loop, false);
	loop_turn(loop, false);
	len = read(wires[1], answer, sizeof(answer));
	ck_assert_int_eq(len, 28);
	ck_assert_mem_eq(answer, "HTTP/1.1 400", 12);
	ck_assert_int_eq(server.closed, -EPROTO);
}
END_TEST

/* ---- moving to another loop ------------------------------------------ */

static struct loop *other_loop;
static struct stream_hub *other_hub;

static void
make_other(void)
{
	other_loop = loop_new();
	other_hub = stream_hub_new(other_loop, 512);
}

static void
free_other(void)
{
	stream_close(&server.stream);
	ck_assert_uint_eq(stream_hub_chunks(other_hub), 0);
	stream_hub_free(other_hub);
	loop_free(other_loop);
}

/* As settle(), while the server is in the other loop. */
static void
settle_both(void)
{
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(loop_turn(other_loop, false), 0);
		settle();
	}
}

static void
attach_to_other(void)
{
	server.gives_away = false;
	ck_assert_int_eq(stream_attach(&server.stream, other_hub, &server.parts,
			     &callbacks, &server),
	    0);
}

/*
 * One read takes 64 KiB; the rest was decrypted or at least taken from the
 * socket, and no event will announce it to anybody.
 */
START_TEST(moves_to_another_loop_with_what_its_layer_holds)
{
	struct tls_settings s = server_settings(), c = client_settings();
	static uint8_t bytes[STREAM_READ_SIZE + 5000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	make_other();
	meet(&s, &c, "localhost");
	server.gives_away = true;
	ck_assert_int_eq(stream_write(&client.stream, bytes, sizeof(bytes)), 0);
	/* Wait with all of it: the server reads once. */
	stream_pause_read(&server.stream);
	settle();
	stream_resume_read(&server.stream);
	settle();
	ck_assert(!stream_is_open(&server.stream));
	ck_assert_ptr_nonnull(server.parts.layer);
	ck_assert_uint_eq(server.got_len, STREAM_READ_SIZE);
	attach_to_other();
	settle_both();
	ck_assert_uint_eq(server.got_len, sizeof(bytes));
	ck_assert_mem_eq(server.got, bytes, sizeof(bytes));
	ck_assert_uint_eq(server.layers, 1); /* not told twice */
	ck_assert_int_eq(stream_write(&server.stream, "back", 4), 0);
	settle_both();
	ck_assert_uint_eq(client.got_len, 4);
	ck_assert_int_eq(server.closed, 1);
	free_other();
}
END_TEST

START_TEST(what_is_fed_comes_before_what_the_layer_holds)
{
	struct tls_settings s = server_settings(), c = client_settings();
	static uint8_t bytes[STREAM_READ_SIZE + 5];

	memset(bytes, 'b', sizeof(bytes));
	make_other();
	meet(&s, &c, "localhost");
	server.gives_away = true;
	ck_assert_int_eq(stream_write(&client.stream, bytes, sizeof(bytes)), 0);
	stream_pause_read(&server.stream);
	settle();
	stream_resume_read(&server.stream);
	settle();
	server.got_len = 0;
	attach_to_other();
	ck_assert_int_eq(stream_feed(&server.stream, "aa", 2), 0);
	/* Nothing is given while it is paused, and nothing is lost. */
	stream_pause_read(&server.stream);
	settle_both();
	ck_assert_uint_eq(server.got_len, 0);
	stream_resume_read(&server.stream);
	settle_both();
	ck_assert_uint_eq(server.got_len, 7);
	ck_assert_mem_eq(server.got, "aabbbbb", 7);
	free_other();
}
END_TEST

START_TEST(moves_in_the_middle_of_its_handshake)
{
	struct tls_settings s = server_settings(), c = client_settings();
	struct tls *tls;

	make_other();
	open_end(&client, &wires[0]);
	open_end(&server, &wires[1]);
	tls = make_server(&s);
	stream_push_layer(&server.stream, tls_layer(tls, NULL));
	tls_put(tls);
	tls = make_client(&c);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	stream_write(&client.stream, "early", 5);
	loop_turn(loop, false);
	carry(wires[0], wires[1]);
	loop_turn(loop, false);
	ck_assert(!stream_is_ready(&server.stream));
	ck_assert_int_eq(stream_detach(&server.stream, &server.parts), 0);
	attach_to_other();
	settle_both();
	ck_assert_uint_eq(server.layers, 1);
	ck_assert_uint_eq(server.got_len, 5);
	free_other();
}
END_TEST

START_TEST(does_not_move_while_it_owes_bytes)
{
	struct tls_settings s = server_settings(), c = client_settings();

	meet(&s, &c, "localhost");
	ck_assert_int_eq(stream_write(&server.stream, "owed", 4), 0);
	ck_assert_int_eq(stream_detach(&server.stream, &server.parts), -EBUSY);
	settle();
	ck_assert_uint_eq(client.got_len, 4);
	stream_close(&server.stream);
	ck_assert_int_eq(stream_detach(&server.stream, &server.parts), -EBADF);
}
END_TEST

START_TEST(closes_in_order_though_nobody_goes_on_with_it)
{
	struct tls_settings s = server_settings(), c = client_settings();

	meet(&s, &c, "localhost");
	ck_assert_int_eq(stream_detach(&server.stream, &server.parts), 0);
	stream_parts_close(&server.parts);
	/* TLS has said so, too. */
	ck_assert(carry(wires[1], wires[0]));
	settle();
	ck_assert_int_eq(client.closed, 0);
	ck_assert_str_eq(client.fault, "");
}
END_TEST

static const unsigned char psk[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static unsigned
find_psk(SSL *ssl, const char *identity, unsigned char *out, unsigned size)
{
	(void)ssl;
	if (strcmp(identity, "pump-7") != 0 || size < sizeof(psk))
		return 0;
	memcpy(out, psk, sizeof(psk));
	return sizeof(psk);
}

/* A server that has keys alone, the library's own, on the other wire. */
static SSL *
psk_server(SSL_CTX *context, int version)
{
	SSL *ssl;

	SSL_CTX_set_psk_server_callback(context, find_psk);
	SSL_CTX_set_cipher_list(context, "PSK");
	SSL_CTX_set_max_proto_version(context, version);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, wires[0]);
	SSL_set_accept_state(ssl);
	return ssl;
}

static void
try_psk(int version, const char *identity, const char *file)
{
	struct tls_settings c = { .psk_identity = identity, .psk_file = file };
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct tls *tls = make_client(&c);
	SSL *ssl;

	open_end(&client, &wires[0]);
	ssl = psk_server(context, version);
	stream_push_layer(&client.stream, tls_layer(tls, "localhost"));
	tls_put(tls);
	for (int turn = 0; turn < 8; turn++) {
		loop_turn(loop, false);
		SSL_do_handshake(ssl);
	}
	if (client.closed == 1) {
		ck_assert_int_eq(SSL_write(ssl, "hi", 2), 2);
		loop_turn(loop, false);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
}

START_TEST(a_shared_key_proves_both_ends)
{
	int version = _i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	certificates_file("psk", "0102030405060708090a\n", 0600);
	certificates_file("wrong", "0102030405060708090b\n", 0600);
	try_psk(version, "pump-7", certificates_path("psk"));
	ck_assert_msg(client.closed == 1, "%s", client.fault);
	ck_assert_uint_eq(client.got_len, 2);
	stream_close(&client.stream);
	close(wires[0]);
	try_psk(version, "pump-7", certificates_path("wrong"));
	ck_assert_int_ne(client.closed, 1);
	close(wires[0]);
	try_psk(version, "pump-8", certificates_path("psk"));
	ck_assert_int_ne(client.closed, 1);
	ck_assert_uint_eq(client.got_len, 0);
}
END_TEST

/* What is wrong with settings is told by the setting's name. */
static void
assert_wrong(const struct tls_settings *s, bool is_server, const char *words)
{
	struct tls *tls = NULL;
	int err = is_server ? tls_new_server(s, &tls, error, sizeof(error))
			    : tls_new_client(s, &tls, error, sizeof(error));

	ck_assert_int_lt(err, 0);
	ck_assert_ptr_null(tls);
	ck_assert_msg(
	    strstr(error, words) != NULL, "\"%s\" not in \"%s\"", words, error);
}

START_TEST(says_which_file_is_wrong)
{
	struct tls_settings s = server_settings();

	s.cert = "/nowhere/cert.pem";
	assert_wrong(&s, true, "cert: /nowhere/cert.pem: No such file");
	s = server_settings();
	s.key = NULL;
	assert_wrong(&s, true, "key is missing");
	s = server_settings();
	certificates_file("empty", "", 0600);
	s.key = certificates_path("empty");
	assert_wrong(&s, true, "is empty");
	certificates_make(&(struct certificate){ .name = "another" });
	s.key = certificates_path("another.key");
	assert_wrong(&s, true, "it must belong to");
	s = server_settings();
	s.ca_file = certificates_path("server.key");
	assert_wrong(&s, true, "ca_file: ");
	s = (struct tls_settings){ .ca_path = "/nowhere" };
	assert_wrong(&s, false, "ca_path: /nowhere: No such file");
	s = (struct tls_settings){ .ciphers = "ROT13" };
	assert_wrong(&s, false, "ciphers: \"ROT13\"");
	s = (struct tls_settings){ .alpn = "mqtt,,x" };
	assert_wrong(&s, false, "alpn: ");
}
END_TEST

START_TEST(refuses_secrets_that_others_may_read)
{
	struct tls_settings s = server_settings();

	ck_assert_int_eq(chmod(s.key, 0604), 0);
	assert_wrong(&s, true, "may be read by others; chmod 0640");
	ck_assert_int_eq(chmod(s.key, 0640), 0);
	tls_put(make_server(&s));
	certificates_file("psk", "0102030405060708\n", 0644);
	s = (struct tls_settings){ .psk_identity = "x",
		.psk_file = certificates_path("psk") };
	assert_wrong(&s, false, "may be read by others");
}
END_TEST

START_TEST(refuses_a_key_that_is_none)
{
	static const char *const texts[] = { "xyz", "0102", "010203040506070",
		"01020304050607 8" };
	struct tls_settings s = { .psk_identity = "x" };

	certificates_file("psk", texts[_i], 0600);
	s.psk_file = certificates_path("psk");
	assert_wrong(&s, false, "in hexadecimal");
}
END_TEST

START_TEST(opens_an_encrypted_key_with_its_password)
{
	struct tls_settings s;

	certificates_make(
	    &(struct certificate){ .name = "locked", .password = "sesame" });
	certificates_file("password", "sesame\n", 0600);
	certificates_file("nonsense", "ali\n", 0600);
	s = (struct tls_settings){ .cert = certificates_path("locked.pem"),
		.key = certificates_path("locked.key") };
	assert_wrong(&s, true, "set key_password_file");
	s.key_password_file = certificates_path("nonsense");
	assert_wrong(&s, true, "key: ");
	s.key_password_file = certificates_path("password");
	tls_put(make_server(&s));
}
END_TEST

START_TEST(knows_when_its_certificate_ends)
{
	struct tls_settings s;
	struct tls *tls;
	int64_t days;

	certificates_make(&(struct certificate){
	    .name = "long", .from_s = -1, .to_s = 10 * 86400 + 60 });
	s = (struct tls_settings){ .cert = certificates_path("long.pem"),
		.key = certificates_path("long.key") };
	tls = make_server(&s);
	ck_assert(tls_days_left(tls, &days));
	ck_assert_int_eq(days, 10);
	tls_put(tls);
	certificates_make(&(struct certificate){
	    .name = "gone", .from_s = -100, .to_s = -10 });
	s.cert = certificates_path("gone.pem");
	s.key = certificates_path("gone.key");
	tls = make_server(&s);
	ck_assert(tls_days_left(tls, &days));
	ck_assert_int_eq(days, -1);
	tls_put(tls);
	s = client_settings();
	tls = make_client(&s);
	ck_assert(!tls_days_left(tls, &days));
	tls_put(tls);
}
END_TEST

/* The promise: whatever is cut and changed on the way, no wrong byte comes. */
START_TEST(gives_no_byte_that_was_not_sent)
{
	struct tls_settings s = server_settings(), c = client_settings();
	uint32_t dice = (uint32_t)_i + 1;
	char bytes[4096];
	ssize_t len;

	meet(&s, &c, "localhost");
	stream_write(&client.stream, "0123456789", 10);
	loop_turn(loop, false);
	len = read(wires[0], bytes, sizeof(bytes));
	ck_assert_int_gt(len, 10);
	dice = dice * 1664525 + 1013904223;
	bytes[(dice >> 8) % (uint32_t)len] ^= (char)(1u << (dice & 7));
	ck_assert_int_eq(write(wires[1], bytes, (size_t)len), len);
	settle();
	ck_assert_uint_eq(server.got_len, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tls");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, talks_in_both_versions, 0, 2);
	tcase_add_test(tc, a_server_of_1_3_alone_refuses_1_2);
	tcase_add_test(tc, talks_when_bytes_come_one_by_one);
	tcase_add_test(tc, sends_what_was_written_before_the_handshake);
	tcase_add_test(tc, gives_what_came_while_it_was_sending);
	tcase_add_test(tc, carries_much_and_tells_when_it_is_drained);
	tcase_add_test(tc, gives_nothing_while_paused_and_all_of_it_later);
	tcase_add_test(tc, makes_the_handshake_though_paused);
	tcase_add_test(tc, finishing_sends_what_is_left_then_closes_in_order);
	tcase_add_test(tc, hanging_up_in_the_handshake_is_told_in_words);
	tcase_add_loop_test(tc, proves_names_and_addresses, 0, 4);
	tcase_add_test(tc, refuses_an_unknown_authority);
	tcase_add_test(tc, refuses_it_too_with_the_systems_authorities);
	tcase_add_test(tc, refuses_one_that_signed_itself_unless_it_is_known);
	tcase_add_test(tc, refuses_one_of_another_time);
	tcase_add_test(tc, insecure_takes_any_certificate);
	tcase_add_test(tc, asks_clients_for_certificates);
	tcase_add_test(tc, optional_certificates_may_be_missing_but_not_wrong);
	tcase_add_test(tc, agrees_on_a_protocol);
	tcase_add_test(tc, answers_plain_http_in_the_clear);
	tcase_add_test(tc, moves_to_another_loop_with_what_its_layer_holds);
	tcase_add_test(tc, what_is_fed_comes_before_what_the_layer_holds);
	tcase_add_test(tc, moves_in_the_middle_of_its_handshake);
	tcase_add_test(tc, does_not_move_while_it_owes_bytes);
	tcase_add_test(tc, closes_in_order_though_nobody_goes_on_with_it);
	tcase_add_loop_test(tc, a_shared_key_proves_both_ends, 0, 2);
	tcase_add_test(tc, says_which_file_is_wrong);
	tcase_add_test(tc, refuses_secrets_that_others_may_read);
	tcase_add_loop_test(tc, refuses_a_key_that_is_none, 0, 4);
	tcase_add_test(tc, opens_an_encrypted_key_with_its_password);
	tcase_add_test(tc, knows_when_its_certificate_ends);
	tcase_add_loop_test(tc, gives_no_byte_that_was_not_sent, 0, 64);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
