/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/bridge_port.h"

#include <pthread.h>

#include "broker/bridge_port_links.h"
#include "tests/unit/unit.h"

#define A UINT64_C(1)
#define B UINT64_C(2)

/* ---- messages and mailboxes of paper --------------------------------- */

struct message *
message_take(struct message *message)
{
	__atomic_add_fetch(&message->references, 1, __ATOMIC_RELAXED);
	return message;
}

void
message_put(struct message *message)
{
	__atomic_sub_fetch(&message->references, 1, __ATOMIC_RELAXED);
}

/* Holds one letter. */
struct mailbox {
	struct mail *letter;
	unsigned wakes;
};

void
mailbox_put(struct mailbox *mailbox, struct mail *mail)
{
	ck_assert_ptr_null(mailbox->letter);
	mailbox->letter = mail;
}

void
mailbox_wake(struct mailbox *mailbox)
{
	mailbox->wakes++;
}

static bool
open_letter(struct mailbox *mailbox)
{
	struct mail *mail = mailbox->letter;

	mailbox->letter = NULL;
	if (mail != NULL)
		mail->open(mail, NULL);
	return mail != NULL;
}

/* ---- a port with two bridges, B rejects -------------------------------- */

struct bench {
	struct mailbox links, worker;
	_Atomic uint64_t full;
	unsigned sent, moved;
	struct bridge_port *port;
};

static void
sent(void *context, struct bridge_port *port)
{
	((struct bench *)context)->sent++;
	bridge_port_collect(port);
}

static void
moved(void *context)
{
	((struct bench *)context)->moved++;
}

static struct bench bench;
static _Atomic uint64_t rejecting;

static void
set_up(void)
{
	rejecting = B;
	bench = (struct bench){ 0 };
	bench.port = bridge_port_new(&(struct bridge_port_spec){
	    .bridges = 2,
	    .rejecting = &rejecting,
	    .window_bytes = 1000,
	    .full = &bench.full,
	    .links_mailbox = &bench.links,
	    .sent = sent,
	    .sent_context = &bench,
	    .worker_mailbox = &bench.worker,
	    .moved = moved,
	    .moved_context = &bench,
	});
	ck_assert_ptr_nonnull(bench.port);
}

static void
tear_down(void)
{
	bridge_port_free(bench.port);
}

/*
 * For static messages: what a test leaves in the port is put by tear_down(),
 * when the test's own frame is gone.
 */
static struct message
message_of(uint32_t weight)
{
	return (struct message){ .payload_length = weight - 128 };
}

static uint64_t
send_one(uint64_t bridges, struct message *message)
{
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, bridges, message_weight(message)),
	    BRIDGE_PORT_TAKES);
	return bridge_port_send(bench.port, bridges, message);
}

START_TEST(a_ticket_is_committed_when_every_bridge_has_it)
{
	static struct message message;
	uint64_t ticket;

	message = message_of(300);
	ticket = send_one(A | B, &message);
	ck_assert_uint_eq(ticket, 1);
	ck_assert_int_eq(message.references, 2);
	bridge_port_flush(bench.port);
	ck_assert(open_letter(&bench.links));
	ck_assert_uint_eq(bridge_port_waiting(bench.port), A | B);

	bridge_port_advance(bench.port, 0);
	ck_assert(!bridge_port_is_committed(bench.port, A, ticket));
	ck_assert(bridge_port_publish(bench.port));
	ck_assert(bridge_port_is_committed(bench.port, A, ticket));
	ck_assert(!bridge_port_is_committed(bench.port, A | B, ticket));

	bridge_port_advance(bench.port, 1);
	bridge_port_publish(bench.port);
	ck_assert(bridge_port_is_committed(bench.port, A | B, ticket));
	ck_assert_int_eq(message.references, 0);
	ck_assert_uint_eq(bridge_port_waiting(bench.port), 0);
}
END_TEST

START_TEST(a_full_window_stalls_until_the_publish)
{
	static struct message message, small;

	message = message_of(600);
	small = message_of(400);
	send_one(A, &message);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 401), BRIDGE_PORT_STALLS);
	send_one(A, &small);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 128), BRIDGE_PORT_STALLS);

	bridge_port_collect(bench.port);
	bridge_port_advance(bench.port, 0);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 600), BRIDGE_PORT_STALLS);
	bridge_port_publish(bench.port);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 600), BRIDGE_PORT_TAKES);
}
END_TEST

START_TEST(an_offer_is_all_or_nothing_over_its_bridges)
{
	static struct message message;

	message = message_of(1000);
	send_one(A, &message);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A | B, 128), BRIDGE_PORT_STALLS);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, B, 1000), BRIDGE_PORT_TAKES);
}
END_TEST

START_TEST(a_message_beyond_the_window_goes_through_an_empty_one)
{
	static struct message huge, small;

	huge = message_of(5000);
	small = message_of(128);
	send_one(A, &huge);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 128), BRIDGE_PORT_STALLS);
	bridge_port_collect(bench.port);
	bridge_port_advance(bench.port, 0);
	bridge_port_publish(bench.port);
	send_one(A, &small);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 5000), BRIDGE_PORT_STALLS);
}
END_TEST

START_TEST(a_full_bridge_that_rejects_is_answered_and_counted)
{
	bench.full = A | B;
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A, 200), BRIDGE_PORT_TAKES);
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A | B, 200), BRIDGE_PORT_REJECTS);
	ck_assert_uint_eq(bridge_port_refused(bench.port, 0), 0);
	ck_assert_uint_eq(bridge_port_refused(bench.port, 1), 1);
	ck_assert_uint_eq(bridge_port_refused(bench.port, 1), 0);
	bench.full = 0;
	ck_assert_int_eq(
	    bridge_port_offer(bench.port, A | B, 200), BRIDGE_PORT_TAKES);
}
END_TEST

START_TEST(a_stalled_bridge_holds_no_other)
{
	static struct message first, second;
	uint64_t ticket;

	first = message_of(128);
	second = message_of(129);
	send_one(A, &first);
	ticket = send_one(B, &second);
	bridge_port_collect(bench.port);
	ck_assert_ptr_eq(bridge_port_head(bench.port, 1)->message, &second);
	bridge_port_advance(bench.port, 1);
	bridge_port_publish(bench.port);
	ck_assert(bridge_port_is_committed(bench.port, B, ticket));
	ck_assert_ptr_null(bridge_port_head(bench.port, 1));
	ck_assert_ptr_eq(bridge_port_head(bench.port, 0)->message, &first);
}
END_TEST

START_TEST(a_batch_costs_one_letter_each_way)
{
	static struct message message;

	message = message_of(128);
	bridge_port_flush(bench.port);
	ck_assert_ptr_null(bench.links.letter);

	send_one(A, &message);
	bridge_port_flush(bench.port);
	send_one(A, &message);
	bridge_port_flush(bench.port); /* the letter is still unopened */
	ck_assert(open_letter(&bench.links));
	ck_assert_uint_eq(bench.sent, 1);
	ck_assert_uint_eq(bench.links.wakes, 1);

	bridge_port_advance(bench.port, 0);
	bridge_port_publish(bench.port);
	bridge_port_advance(bench.port, 0);
	bridge_port_publish(bench.port);
	ck_assert(!bridge_port_publish(bench.port));
	ck_assert(open_letter(&bench.worker));
	ck_assert_uint_eq(bench.moved, 1);

	send_one(A, &message);
	bridge_port_flush(bench.port);
	ck_assert(open_letter(&bench.links));
	ck_assert_uint_eq(bench.sent, 2);
}
END_TEST

START_TEST(what_is_left_is_dropped_with_the_port)
{
	static struct message message;

	message = message_of(128);
	send_one(A, &message);
	bridge_port_collect(bench.port);
	send_one(A | B, &message);
	bridge_port_free(bench.port);
	bench.port = NULL;
	ck_assert_int_eq(message.references, 0);
}
END_TEST

/* ---- two threads -------------------------------------------------------- */

#define MANY 20000u

static struct message numbered[64];

static void *
take_all(void *arg)
{
	struct bridge_port_item *item;
	uint64_t last = 0;

	(void)arg;
	while (last < MANY) {
		bridge_port_collect(bench.port);
		while ((item = bridge_port_head(bench.port, 0)) != NULL) {
			if (item->ticket != last + 1)
				return (void *)1;
			last = item->ticket;
			bridge_port_advance(bench.port, 0);
		}
		bench.worker.letter = NULL;
		bridge_port_publish(bench.port);
	}
	return NULL;
}

START_TEST(keeps_order_and_window_between_two_threads)
{
	struct message *message;
	pthread_t links;
	void *failed;

	for (unsigned i = 0; i < 64; i++)
		numbered[i] = message_of(128 + i);
	ck_assert_int_eq(pthread_create(&links, NULL, take_all, NULL), 0);
	for (unsigned i = 0; i < MANY;) {
		message = &numbered[i % 64];
		if (bridge_port_offer(bench.port, A, message_weight(message)) !=
		    BRIDGE_PORT_TAKES)
			continue;
		bridge_port_send(bench.port, A, message);
		i++;
	}
	pthread_join(links, &failed);
	ck_assert_ptr_null(failed);
	ck_assert(bridge_port_is_committed(bench.port, A, MANY));
	for (unsigned i = 0; i < 64; i++)
		ck_assert_int_eq(numbered[i].references, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bridge_port");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_ticket_is_committed_when_every_bridge_has_it);
	tcase_add_test(tc, a_full_window_stalls_until_the_publish);
	tcase_add_test(tc, an_offer_is_all_or_nothing_over_its_bridges);
	tcase_add_test(
	    tc, a_message_beyond_the_window_goes_through_an_empty_one);
	tcase_add_test(tc, a_full_bridge_that_rejects_is_answered_and_counted);
	tcase_add_test(tc, a_stalled_bridge_holds_no_other);
	tcase_add_test(tc, a_batch_costs_one_letter_each_way);
	tcase_add_test(tc, what_is_left_is_dropped_with_the_port);
	tcase_add_test(tc, keeps_order_and_window_between_two_threads);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
