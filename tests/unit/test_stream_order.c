/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who is sent to first.  What a stream is lent is given back when it was
 * sent: that tells the order.
 */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/stream_hub.h"
#include "tests/unit/unit.h"

#define STREAMS (3 * STREAM_SILENT_SHARE)
#define MUCH (STREAM_EARLY_BYTES / STREAMS + 1)

struct end {
	struct stream stream;
	int peer;
	bool closes; /* all that were not sent to, when it is spoken to */
};

static struct loop *loop;
static struct stream_hub *hub;
static struct end ends[STREAMS];
static struct end *sent[2 * STREAMS];
static unsigned sent_count;

static const uint8_t bytes[MUCH];

static void
note_sent(void *owner)
{
	sent[sent_count++] = owner;
}

static void
lend(struct end *end, size_t len)
{
	ck_assert_int_eq(
	    stream_lend(&end->stream, bytes, len, note_sent, end), 0);
}

static size_t
on_data(struct stream *stream, const uint8_t *data, size_t len)
{
	struct end *end = stream->owner;

	(void)data;
	if (end->closes)
		for (unsigned i = 0; i < STREAMS; i++)
			if (&ends[i] != end)
				stream_close(&ends[i].stream);
	lend(end, 1);
	return len;
}

static void
on_closed(struct stream *stream, int reason)
{
	(void)stream;
	ck_abort_msg("closed: %d", reason);
}

static const struct stream_callbacks callbacks = { on_data, on_closed, NULL,
	NULL };

static void
turn(void)
{
	ck_assert_int_eq(loop_turn(loop, false), 0);
}

static void
says_something(const struct end *end)
{
	ck_assert_int_eq(write(end->peer, "x", 1), 1);
}

/* All were sent to once; who of them does not speak is silent. */
static void
set_up(void)
{
	int fds[2];

	loop = loop_new();
	hub = stream_hub_new(loop, 2 * STREAMS);
	for (unsigned i = 0; i < STREAMS; i++) {
		ck_assert_int_eq(
		    socketpair(AF_UNIX,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
		    0);
		ends[i] = (struct end){ .peer = fds[1] };
		ck_assert_int_eq(stream_init(&ends[i].stream, hub, fds[0],
				     &callbacks, &ends[i]),
		    0);
		lend(&ends[i], 1);
	}
	turn();
	/* Of nobody is known whether it reads. */
	ck_assert_uint_eq(sent_count, STREAMS);
	sent_count = 0;
}

static void
tear_down(void)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		stream_close(&ends[i].stream);
		close(ends[i].peer);
	}
	stream_hub_free(hub);
	loop_free(loop);
	sent_count = 0;
}

START_TEST(who_has_answered_is_sent_to_first)
{
	says_something(&ends[2]);
	turn();
	says_something(&ends[2]);
	sent_count = 0;
	lend(&ends[0], 1);
	lend(&ends[1], 1);
	turn();
	ck_assert_uint_eq(sent_count, 3);
	ck_assert_ptr_eq(sent[0], &ends[2]);
	ck_assert_ptr_eq(sent[1], &ends[0]);
	ck_assert_ptr_eq(sent[2], &ends[1]);
}
END_TEST

START_TEST(the_silent_are_sent_to_by_shares_with_news_between)
{
	for (unsigned i = 0; i < STREAMS; i++)
		lend(&ends[i], 1);
	turn();
	ck_assert_uint_eq(sent_count, STREAM_SILENT_SHARE);
	/* It waits among them, and is answered before the rest. */
	says_something(&ends[STREAMS - 1]);
	turn();
	ck_assert_uint_eq(sent_count, 2 * STREAM_SILENT_SHARE + 2);
	ck_assert_ptr_eq(sent[STREAM_SILENT_SHARE], &ends[STREAMS - 1]);
	ck_assert_ptr_eq(sent[STREAM_SILENT_SHARE + 1], &ends[STREAMS - 1]);
	turn();
	ck_assert_uint_eq(sent_count, STREAMS + 1);
	for (unsigned i = 0; i < STREAM_SILENT_SHARE; i++)
		ck_assert_ptr_eq(sent[i], &ends[i]);
	for (unsigned i = STREAM_SILENT_SHARE; i < STREAMS - 1; i++)
		ck_assert_ptr_eq(sent[i + 2], &ends[i]);
}
END_TEST

START_TEST(the_rest_does_not_wait_for_an_event)
{
	for (unsigned i = 0; i < STREAMS; i++)
		lend(&ends[i], 1);
	/* Each would wait for ever if the one before had not asked for it. */
	for (unsigned i = 0; i < STREAMS / STREAM_SILENT_SHARE; i++)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	ck_assert_uint_eq(sent_count, STREAMS);
}
END_TEST

START_TEST(much_is_sent_at_once)
{
	for (unsigned i = 0; i < STREAMS; i++)
		lend(&ends[i], MUCH);
	turn();
	ck_assert_uint_eq(sent_count, STREAMS);
}
END_TEST

START_TEST(a_flush_leaves_none_behind)
{
	for (unsigned i = 0; i < STREAMS; i++)
		lend(&ends[i], 1);
	turn();
	stream_hub_flush(hub);
	ck_assert_uint_eq(sent_count, STREAMS);
}
END_TEST

START_TEST(who_waits_may_be_closed)
{
	for (unsigned i = 0; i < STREAMS; i++)
		lend(&ends[i], 1);
	ends[0].closes = true;
	turn();
	says_something(&ends[0]);
	turn();
	/* What the closed were lent came back, and no more is to be done. */
	ck_assert_uint_eq(sent_count, STREAMS + 1);
	ck_assert_ptr_eq(sent[STREAMS], &ends[0]);
	turn();
	ck_assert_uint_eq(sent_count, STREAMS + 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stream_order");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, who_has_answered_is_sent_to_first);
	tcase_add_test(tc, the_silent_are_sent_to_by_shares_with_news_between);
	tcase_add_test(tc, the_rest_does_not_wait_for_an_event);
	tcase_add_test(tc, much_is_sent_at_once);
	tcase_add_test(tc, a_flush_leaves_none_behind);
	tcase_add_test(tc, who_waits_may_be_closed);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
