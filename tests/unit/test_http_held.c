/* SPDX-License-Identifier: Apache-2.0 */

#include "httpd/held.h"

#include <errno.h>
#include <string.h>

#include "common/base/board.h"
#include "httpd/lanes.h"
#include "httpd/pending.h"
#include "httpd/publication.h"
#include "httpd/request.h"
#include "tests/unit/unit.h"

static struct pending *pending;
static struct lanes *lanes;
static struct board board;
static int error; /* of put() */

static int
put(void *context, uint32_t lane, const struct record_message *message,
    uint64_t identity, uint64_t correlation, uint64_t read_ns)
{
	(void)context;
	(void)lane;
	(void)message;
	(void)identity;
	(void)correlation;
	(void)read_ns;
	return error;
}

static void
settled(void *context, void *owner, uint32_t index,
    const struct pending_outcome *outcome)
{
	(void)context;
	(void)owner;
	(void)index;
	(void)outcome;
	ck_abort_msg("nothing is settled here");
}

static void
offered(void *context, uint32_t lane)
{
	(void)context;
	(void)lane;
}

static void
setup(void)
{
	static const struct pending_ops ops = {
		.put = put, .offered = offered, .settled = settled
	};
	const struct pending_config config = { .max_pending = 64,
		.max_stalled = 64,
		.max_held_bytes = 1 << 20,
		.stall_timeout_ns = 1,
		.receipt_timeout_ns = 1 };

	memset(&board, 0, sizeof(board));
	lanes = lanes_new(1);
	pending = pending_new(&config, &ops, NULL);
	ck_assert(lanes != NULL && pending != NULL);
	pending_attach(pending, 1, 100, false);
	error = -EAGAIN;
}

static void
teardown(void)
{
	pending_free(pending);
	lanes_free(lanes);
}

static uint32_t
lane_of(const char *bridge)
{
	lanes_filters_begin(lanes);
	lanes_filters_add(lanes, bridge, slice_of_string("a/b"));
	ck_assert_int_eq(lanes_filters_end(lanes), 0);
	return lanes_find(lanes, slice_of_string("a/b"));
}

/* One more request of that account, with some messages in it. */
static void
publish(uint32_t lane, const char *account, unsigned messages)
{
	static struct publication publications[32];
	static struct request requests[32];
	static unsigned count;
	const struct record_message message = {
		.topic = slice_of("a/b", 3),
		.expiry_s = RECORD_NEVER_EXPIRES,
	};
	struct publication *publication = &publications[count];

	strcpy(requests[count].account_name, account);
	publication->request = &requests[count++];
	for (unsigned i = 0; i < messages; i++)
		pending_send(pending, lane, &message, 7, publication, i, 0);
}

static const char *
text(void)
{
	static char bytes[BOARD_MAX + 1];

	held_post(pending, lanes, &board);
	bytes[board_read(&board, bytes)] = '\0';
	return bytes;
}

START_TEST(says_that_nobody_is_held)
{
	held_post(pending, lanes, NULL);
	ck_assert_str_eq(text(), "committed 0\n");
	error = 0;
	publish(LANES_PLAIN, "admin", 2);
	ck_assert_str_eq(text(), "committed 2\nheld - 2 1 admin\n");
}
END_TEST

START_TEST(says_whose_messages_wait_for_which_lane)
{
	uint32_t cloud = lane_of("cloud");

	publish(cloud, "meter-gw", 3);
	publish(cloud, "meter-gw", 1);
	publish(cloud, "admin", 1);
	publish(LANES_PLAIN, "plain", 1);
	ck_assert_str_eq(text(),
	    "committed 0\nheld - 1 1 plain\nheld cloud 5 3 "
	    "meter-gw,admin\n");
}
END_TEST

START_TEST(who_waits_for_a_receipt_is_held_too)
{
	uint32_t cloud = lane_of("cloud");

	error = 0;
	publish(LANES_PLAIN, "plain", 1);
	publish(cloud, "meter-gw", 2);
	error = -EAGAIN;
	publish(cloud, "admin", 1);
	ck_assert_str_eq(text(),
	    "committed 3\nheld - 1 1 plain\nheld cloud 3 2 "
	    "admin,meter-gw\n");
}
END_TEST

START_TEST(names_no_more_than_a_few)
{
	publish(LANES_PLAIN, "a", 1);
	publish(LANES_PLAIN, "b", 1);
	publish(LANES_PLAIN, "c", 1);
	ck_assert_str_eq(text(), "committed 0\nheld - 3 3 a,b,c\n");
	publish(LANES_PLAIN, "b", 1);
	ck_assert_str_eq(text(), "committed 0\nheld - 4 4 a,b,c\n");
	publish(LANES_PLAIN, "d", 1);
	ck_assert_str_eq(text(), "committed 0\nheld - 5 5 a,b,c,+\n");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http_held");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, says_that_nobody_is_held);
	tcase_add_test(tc, says_whose_messages_wait_for_which_lane);
	tcase_add_test(tc, who_waits_for_a_receipt_is_held_too);
	tcase_add_test(tc, names_no_more_than_a_few);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
