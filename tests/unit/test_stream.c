/* SPDX-License-Identifier: Apache-2.0 */

#include "common/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/connector.h"
#include "common/net/listener.h"
#include "tests/unit/unit.h"

#define CHUNKS 80

static struct loop *loop;
static struct stream_hub *hub;
static struct stream stream;
static int peer;

static uint8_t got[1 << 20];
static size_t got_len;
static size_t take; /* what on_data() uses at most at a time; 0: nothing */
static unsigned calls;
static unsigned drained;
static int closed; /* the reason; 1: not closed */
static enum {
	DO_NOTHING,
	DO_CLOSE,
	DO_DETACH,
	DO_PAUSE,
	DO_ECHO,
	DO_MUCH,
	DO_LITTLE
} action;
static struct stream_parts detached;

/* More than is kept for the end of a turn, and less. */
#define MUCH (300u << 10)
#define LITTLE 1000u

static const uint8_t much[MUCH];

static size_t
on_data(struct stream *s, const uint8_t *data, size_t len)
{
	size_t used = len < take ? len : take;

	calls++;
	ck_assert_ptr_eq(s->owner, &stream);
	memcpy(got + got_len, data, used);
	got_len += used;
	if (action == DO_CLOSE)
		stream_close(s);
	else if (action == DO_DETACH)
		ck_assert_int_eq(stream_detach(s, &detached), 0);
	else if (action == DO_PAUSE)
		stream_pause_read(s);
	else if (action == DO_ECHO)
		ck_assert_int_eq(stream_write(s, data, used), 0);
	else if (action == DO_MUCH)
		ck_assert_int_eq(stream_write(s, much, MUCH), 0);
	else if (action == DO_LITTLE)
		ck_assert_int_eq(stream_write(s, much, LITTLE), 0);
	return used;
}

static void
on_closed(struct stream *s, int reason)
{
	ck_assert(!stream_is_open(s));
	closed = reason;
}

static void
on_drained(struct stream *s)
{
	(void)s;
	drained++;
}

static const struct stream_callbacks callbacks = { on_data, on_closed,
	on_drained, NULL };

/* Before the hub's. */
static size_t pending_at_hook;

static void
note_pending(void *arg)
{
	(void)arg;
	pending_at_hook = stream_pending(&stream);
}

static struct loop_hook first_hook = { .run = note_pending };

static void
set_up(void)
{
	int fds[2];

	ck_assert_int_eq(
	    socketpair(
		AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	loop = loop_new();
	loop_add_hook(loop, &first_hook);
	hub = stream_hub_new(loop, CHUNKS);
	peer = fds[1];
	ck_assert_int_eq(
	    stream_init(&stream, hub, fds[0], &callbacks, &stream), 0);
	got_len = 0;
	take = SIZE_MAX;
	calls = drained = 0;
	closed = 1;
	action = DO_NOTHING;
}

static void
tear_down(void)
{
	stream_close(&stream);
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
	stream_hub_free(hub);
	loop_remove_hook(loop, &first_hook);
	loop_free(loop);
	if (peer != -1)
		close(peer);
}

static void
turn(void)
{
	ck_assert_int_eq(loop_turn(loop, false), 0);
}

static void
peer_sends(const void *bytes, size_t len)
{
	ck_assert_int_eq(write(peer, bytes, len), (ssize_t)len);
}

START_TEST(keeps_what_was_not_used_and_gives_it_again)
{
	take = 2;
	peer_sends("abc", 3);
	turn();
	ck_assert_mem_eq(got, "ab", 2);
	peer_sends("de", 2);
	turn();
	ck_assert_uint_eq(got_len, 4);
	ck_assert_mem_eq(got, "abcd", 4);
	ck_assert_uint_eq(calls, 2);
	ck_assert_uint_eq(stream.kept_len, 1);
}
END_TEST

START_TEST(holds_no_buffer_while_idle)
{
	peer_sends("abc", 3);
	turn();
	ck_assert_ptr_null(stream.kept);
	ck_assert_int_eq(stream_write(&stream, "xyz", 3), 0);
	turn();
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
}
END_TEST

START_TEST(sends_once_at_the_end_of_the_turn)
{
	char bytes[16];

	ck_assert_int_eq(stream_write(&stream, "one", 3), 0);
	ck_assert_int_eq(stream_write(&stream, "two", 3), 0);
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), -1);
	turn();
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 6);
	ck_assert_mem_eq(bytes, "onetwo", 6);
	ck_assert_uint_eq(stream.bytes_out, 6);
}
END_TEST

START_TEST(answers_in_the_turn_of_the_question)
{
	char bytes[4];

	action = DO_ECHO;
	peer_sends("ping", 4);
	turn();
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 4);
	ck_assert_mem_eq(bytes, "ping", 4);
}
END_TEST

START_TEST(writes_all_or_nothing_at_its_limit)
{
	char bytes[100] = { 0 };

	stream_set_limits(&stream, 150, 1000);
	ck_assert_int_eq(stream_write(&stream, bytes, 100), 0);
	ck_assert_int_eq(stream_write(&stream, bytes, 51), -ENOBUFS);
	ck_assert_uint_eq(stream_pending(&stream), 100);
	ck_assert_uint_eq(stream_room(&stream), 50);
	ck_assert_int_eq(stream_write(&stream, bytes, 50), 0);
	ck_assert_ptr_null(stream_reserve(&stream, 1));
}
END_TEST

START_TEST(writes_all_or_nothing_without_chunks)
{
	static char bytes[CHUNKS * STREAM_CHUNK_SIZE + 1];

	ck_assert_int_eq(stream_write(&stream, bytes, sizeof(bytes)), -ENOBUFS);
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
	ck_assert_int_eq(stream_write(&stream, bytes, 10), 0);
	ck_assert_int_eq(
	    stream_write(&stream, bytes, sizeof(bytes) - 10), -ENOBUFS);
	ck_assert_uint_eq(stream_hub_chunks(hub), 1);
	ck_assert_int_eq(stream_write(&stream, bytes, sizeof(bytes) - 11), 0);
}
END_TEST

/* The peer reads slowly; everything arrives, once, in order. */
START_TEST(arms_writing_only_while_the_socket_is_full)
{
	static uint8_t out[200000], in[200000];
	size_t received = 0;
	ssize_t len;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 + i / 251);
	ck_assert_int_eq(setsockopt(stream_fd(&stream), SOL_SOCKET, SO_SNDBUF,
			     &(int){ 4096 }, sizeof(int)),
	    0);
	ck_assert_int_eq(stream_write(&stream, out, sizeof(out)), 0);
	ck_assert_uint_eq(stream.source.interest, LOOP_READ);
	turn();
	ck_assert_uint_eq(stream.source.interest, LOOP_READ | LOOP_WRITE);
	for (int i = 0; i < 10000 && received < sizeof(out); i++) {
		len = read(peer, in + received, 3000);
		if (len > 0)
			received += (size_t)len;
		turn();
	}
	ck_assert_uint_eq(received, sizeof(out));
	ck_assert_mem_eq(in, out, sizeof(out));
	turn();
	ck_assert_uint_eq(stream.source.interest, LOOP_READ);
	ck_assert_uint_eq(drained, 1);
}
END_TEST

/* Else who held back at a mark would wait for ever. */
START_TEST(tells_that_much_has_left_though_the_socket_took_it_at_once)
{
	static const uint8_t bytes[STREAM_DRAIN_MARK];

	ck_assert_int_eq(setsockopt(stream_fd(&stream), SOL_SOCKET, SO_SNDBUF,
			     &(int){ 4 * STREAM_DRAIN_MARK }, sizeof(int)),
	    0);
	ck_assert_int_eq(stream_write(&stream, bytes, sizeof(bytes) - 1), 0);
	turn();
	ck_assert_uint_eq(stream_pending(&stream), 0);
	ck_assert_uint_eq(drained, 0);
	ck_assert_int_eq(stream_write(&stream, bytes, sizeof(bytes)), 0);
	turn();
	ck_assert_uint_eq(stream_pending(&stream), 0);
	ck_assert_uint_eq(drained, 1);
}
END_TEST

START_TEST(encodes_in_place)
{
	char bytes[8];
	uint8_t *room = stream_reserve(&stream, STREAM_CHUNK_SIZE);

	ck_assert_ptr_nonnull(room);
	memcpy(room, "abc", 3);
	stream_commit(&stream, 3);
	room = stream_reserve(&stream, STREAM_CHUNK_SIZE);
	ck_assert_ptr_nonnull(room);
	memcpy(room, "de", 2);
	stream_commit(&stream, 2);
	ck_assert_ptr_nonnull(stream_reserve(&stream, STREAM_CHUNK_SIZE));
	turn();
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 5);
	ck_assert_mem_eq(bytes, "abcde", 5);
}
END_TEST

static unsigned released;

static void
count_release(void *owner)
{
	ck_assert_ptr_eq(owner, &released);
	released++;
}

/* Lent bytes lie between written ones; the peer reads slowly. */
START_TEST(sends_what_it_was_lent_in_its_place)
{
	static uint8_t out[30000], in[10 * 30100];
	size_t received = 0, want = 0;
	ssize_t len;

	released = 0;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 31 + i / 251);
	ck_assert_int_eq(setsockopt(stream_fd(&stream), SOL_SOCKET, SO_SNDBUF,
			     &(int){ 4096 }, sizeof(int)),
	    0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(stream_write(&stream, "head", 4), 0);
		ck_assert_int_eq(stream_lend(&stream, out, sizeof(out),
				     count_release, &released),
		    0);
		ck_assert_int_eq(
		    stream_lend(&stream, out + 7, 90, count_release, &released),
		    0);
		want += 4 + sizeof(out) + 90;
	}
	ck_assert_uint_eq(stream_pending(&stream), want);
	for (int i = 0; i < 10000 && received < want; i++) {
		len = read(peer, in + received, 3000);
		if (len > 0)
			received += (size_t)len;
		turn();
		ck_assert_uint_le(released, 2 * (received / 30094) + 4);
	}
	ck_assert_uint_eq(received, want);
	for (int i = 0; i < 10; i++) {
		const uint8_t *at = in + (size_t)i * (want / 10);

		ck_assert_mem_eq(at, "head", 4);
		ck_assert_mem_eq(at + 4, out, sizeof(out));
		ck_assert_mem_eq(at + 4 + sizeof(out), out + 7, 90);
	}
	ck_assert_uint_eq(released, 20);
	ck_assert_uint_eq(stream_hub_chunks(hub), 0);
}
END_TEST

/* More pieces than one system call takes. */
START_TEST(sends_many_small_pieces_in_order)
{
	static const char *const letters = "abcdefghij";
	char in[4 * CHUNKS], want[2 * CHUNKS - 1];

	released = 0;
	want[0] = 'k';
	ck_assert_int_eq(
	    stream_lend(&stream, "k", 1, count_release, &released), 0);
	for (size_t i = 0; i < CHUNKS - 1; i++) {
		want[2 * i + 1] = letters[i % 10];
		want[2 * i + 2] = letters[i % 7];
		ck_assert_int_eq(stream_write(&stream, letters + i % 10, 1), 0);
		ck_assert_int_eq(stream_lend(&stream, letters + i % 7, 1,
				     count_release, &released),
		    0);
	}
	turn();
	ck_assert_int_eq(read(peer, in, sizeof(in)), sizeof(want));
	ck_assert_mem_eq(in, want, sizeof(want));
	ck_assert_uint_eq(released, CHUNKS);
}
END_TEST

START_TEST(gives_back_what_it_was_lent_when_it_closes)
{
	static const uint8_t bytes[5000];

	released = 0;
	stream_set_limits(&stream, 6000, 1000);
	ck_assert_int_eq(stream_lend(&stream, bytes, sizeof(bytes),
			     count_release, &released),
	    0);
	ck_assert_int_eq(stream_lend(&stream, bytes, sizeof(bytes),
			     count_release, &released),
	    -ENOBUFS);
	ck_assert_uint_eq(released, 0);
	stream_close(&stream);
	ck_assert_uint_eq(released, 1);
	ck_assert_int_eq(
	    stream_lend(&stream, bytes, 1, count_release, &released), -EPIPE);
	ck_assert_uint_eq(released, 1);
}
END_TEST

/* Who reads behind it in the same turn finds it sent. */
START_TEST(sends_much_before_the_end_of_the_turn)
{
	static uint8_t bytes[STREAM_READ_SIZE];

	action = DO_MUCH;
	ck_assert_int_eq(setsockopt(stream_fd(&stream), SOL_SOCKET, SO_SNDBUF,
			     &(int){ 1 << 20 }, sizeof(int)),
	    0);
	peer_sends("x", 1);
	turn();
	ck_assert_uint_eq(pending_at_hook, 0);
	while (read(peer, bytes, sizeof(bytes)) > 0)
		;
	action = DO_LITTLE;
	peer_sends("x", 1);
	turn();
	ck_assert_uint_eq(pending_at_hook, LITTLE);
}
END_TEST

START_TEST(gives_nothing_while_paused)
{
	action = DO_PAUSE;
	take = 1;
	peer_sends("ab", 2);
	turn();
	ck_assert_uint_eq(got_len, 1);
	peer_sends("c", 1);
	turn();
	turn();
	ck_assert_uint_eq(calls, 1);

	action = DO_NOTHING;
	take = SIZE_MAX;
	stream_resume_read(&stream);
	turn();
	turn();
	ck_assert_mem_eq(got, "abc", 3);
}
END_TEST

START_TEST(reports_the_end_after_the_last_bytes)
{
	peer_sends("bye", 3);
	close(peer);
	peer = -1;
	turn();
	turn();
	ck_assert_uint_eq(got_len, 3);
	ck_assert_int_eq(closed, 0);
}
END_TEST

START_TEST(may_be_closed_by_its_own_callback)
{
	action = DO_CLOSE;
	take = 1;
	peer_sends("ab", 2);
	turn();
	turn();
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(closed, 1);
	ck_assert_int_eq(stream_write(&stream, "x", 1), -EPIPE);
}
END_TEST

START_TEST(moves_to_another_hub_with_what_was_read)
{
	action = DO_DETACH;
	peer_sends("hello", 5);
	turn();
	ck_assert_ptr_null(detached.layer);
	ck_assert(!stream_is_open(&stream));

	action = DO_NOTHING;
	got_len = 0;
	ck_assert_int_eq(
	    stream_attach(&stream, hub, &detached, &callbacks, &stream), 0);
	ck_assert_int_eq(stream_feed(&stream, "hello", 5), 0);
	peer_sends(" you", 4);
	turn();
	turn();
	ck_assert_uint_eq(got_len, 9);
	ck_assert_mem_eq(got, "hello you", 9);
}
END_TEST

START_TEST(sends_what_is_pending_before_it_finishes)
{
	char bytes[8];

	ck_assert_int_eq(stream_write(&stream, "last", 4), 0);
	stream_finish(&stream);
	ck_assert_int_eq(stream_write(&stream, "x", 1), -EPIPE);
	turn();
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 4);
	ck_assert_int_eq(read(peer, bytes, sizeof(bytes)), 0);
}
END_TEST

START_TEST(closes_when_unfinished_input_passes_its_limit)
{
	take = 0;
	stream_set_limits(&stream, 1000, 10);
	peer_sends("0123456789", 10);
	turn();
	ck_assert_int_eq(closed, 1);
	peer_sends("x", 1);
	turn();
	ck_assert_int_eq(closed, -ENOBUFS);
}
END_TEST

/* The promise: bytes in = bytes out, however they are cut. */
START_TEST(gives_every_byte_once_and_in_order)
{
	static uint8_t sent[300000];
	size_t at = 0, step;
	uint32_t dice = (uint32_t)_i + 1;

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7 + i / 256);
	while (at < sizeof(sent) || got_len < sizeof(sent)) {
		dice = dice * 1664525 + 1013904223;
		step = (dice >> 8) % 60000;
		if (step > sizeof(sent) - at)
			step = sizeof(sent) - at;
		if (step > 0) {
			ssize_t len = write(peer, sent + at, step);

			at += len > 0 ? (size_t)len : 0;
		}
		take = at == sizeof(sent) ? SIZE_MAX : (dice >> 16) % 50000;
		if ((dice >> 12) % 4 == 0)
			stream_pause_read(&stream);
		else
			stream_resume_read(&stream);
		turn();
		if (at == sizeof(sent)) {
			stream_pause_read(&stream);
			stream_resume_read(&stream);
		}
	}
	ck_assert_uint_eq(got_len, sizeof(sent));
	ck_assert_mem_eq(got, sent, sizeof(sent));
}
END_TEST

static int accepted = -1;

static void
on_accept(void *arg, int fd, const char *from)
{
	(void)arg;
	ck_assert_int_eq(strncmp(from, "127.0.0.1:", 10), 0);
	accepted = fd;
}

START_TEST(listens_and_says_who_holds_a_port)
{
	struct listener_spec spec = { .bind = "127.0.0.1:0" };
	char error[LISTENER_ERROR_SIZE] = "", again[64];
	struct listener *listener, *second;

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	ck_assert_uint_ne(listener_port(listener), 0);
	snprintf(again, sizeof(again), "%s", listener_address(listener));
	spec.bind = again;
	ck_assert_int_eq(
	    listener_open(&spec, &second, error, sizeof(error)), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(error, "port_in_use address=127.0.0.1:"));
	ck_assert_ptr_nonnull(strstr(error, "test_stream pid "));
	listener_close(listener);
}
END_TEST

static int connected = -1;

static void
on_connected(void *arg, int fd, const char *what)
{
	(void)arg;
	(void)what;
	connected = fd;
}

START_TEST(connects_to_a_listener)
{
	struct listener_spec spec = { .bind = "127.0.0.1:0" };
	char error[LISTENER_ERROR_SIZE];
	struct listener *listener;
	uint16_t port;

	ck_assert_int_eq(
	    listener_open(&spec, &listener, error, sizeof(error)), 0);
	port = listener_port(listener);
	ck_assert_int_eq(listener_start(listener, loop, on_accept, NULL), 0);
	ck_assert_ptr_nonnull(connector_start(
	    loop, "127.0.0.1", port, 1000000000, on_connected, NULL));
	for (int i = 0; i < 100 && (accepted == -1 || connected == -1); i++)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_ge(connected, 0);
	ck_assert_int_ne(fcntl(accepted, F_GETFL) & O_NONBLOCK, 0);
	close(accepted);
	close(connected);
	listener_close(listener);

	connected = 0;
	connector_start(
	    loop, "127.0.0.1", port, 1000000000, on_connected, NULL);
	while (connected == 0)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_int_eq(connected, -ECONNREFUSED);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, keeps_what_was_not_used_and_gives_it_again);
	tcase_add_test(tc, holds_no_buffer_while_idle);
	tcase_add_test(tc, sends_once_at_the_end_of_the_turn);
	tcase_add_test(tc, answers_in_the_turn_of_the_question);
	tcase_add_test(tc, writes_all_or_nothing_at_its_limit);
	tcase_add_test(tc, writes_all_or_nothing_without_chunks);
	tcase_add_test(tc, arms_writing_only_while_the_socket_is_full);
	tcase_add_test(
	    tc, tells_that_much_has_left_though_the_socket_took_it_at_once);
	tcase_add_test(tc, encodes_in_place);
	tcase_add_test(tc, sends_what_it_was_lent_in_its_place);
	tcase_add_test(tc, sends_many_small_pieces_in_order);
	tcase_add_test(tc, gives_back_what_it_was_lent_when_it_closes);
	tcase_add_test(tc, sends_much_before_the_end_of_the_turn);
	tcase_add_test(tc, gives_nothing_while_paused);
	tcase_add_test(tc, reports_the_end_after_the_last_bytes);
	tcase_add_test(tc, may_be_closed_by_its_own_callback);
	tcase_add_test(tc, moves_to_another_hub_with_what_was_read);
	tcase_add_test(tc, sends_what_is_pending_before_it_finishes);
	tcase_add_test(tc, closes_when_unfinished_input_passes_its_limit);
	tcase_add_loop_test(tc, gives_every_byte_once_and_in_order, 0, 8);
	tcase_add_test(tc, listens_and_says_who_holds_a_port);
	tcase_add_test(tc, connects_to_a_listener);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
