/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/held.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

/* As a worker would write it. */
static void
hold(struct held *held, const struct held_clients *clients)
{
	board_write(&held->board, clients, sizeof(*clients));
}

static const char *
text_for(const struct held_clients *clients, unsigned bridge)
{
	static char text[BOARD_MAX + 1];
	struct board board = { 0 };
	struct board_text lines;

	board_text_init(&lines);
	held_write(clients, bridge, &lines);
	board_text_post(&lines, &board);
	text[board_read(&board, text)] = '\0';
	return text;
}

START_TEST(nobody_is_held)
{
	struct held_clients sum = { .named = 0 };
	struct held held = { .board = { .version = 0 } };

	held_add(&held, &sum);
	ck_assert_str_eq(text_for(&sum, 0), "");
}
END_TEST

START_TEST(each_bridge_has_its_own)
{
	const struct held_clients clients = {
		.count = { [1] = 2, [62] = 1 },
		.named = 2,
		.client = { { UINT64_C(1) << 1 | UINT64_C(1) << 62, "plc7" },
		    { UINT64_C(1) << 1, "plc8" } },
	};
	struct held_clients sum = { .named = 0 };
	struct held held = { .board = { .version = 0 } };

	hold(&held, &clients);
	held_add(&held, &sum);
	ck_assert_str_eq(text_for(&sum, 0), "");
	ck_assert_str_eq(text_for(&sum, 1), "publishers 2 plc7,plc8\n");
	ck_assert_str_eq(text_for(&sum, 62), "publishers 1 plc7\n");
}
END_TEST

START_TEST(workers_are_summed_up)
{
	struct held_clients clients = {
		.count = { 5 },
		.named = HELD_NAMES - 1,
	}, sum = { .named = 0 };
	struct held one = { .board = { .version = 0 } };
	struct held two = { .board = { .version = 0 } };
	char name[HELD_NAME_SIZE];

	for (unsigned i = 0; i < clients.named; i++) {
		clients.client[i].bridges = 1;
		snprintf(name, sizeof(name), "c%u", i);
		strcpy(clients.client[i].name, name);
	}
	clients.count[0] = clients.named;
	hold(&one, &clients);
	hold(&two, &clients);
	held_add(&one, &sum);
	ck_assert_str_eq(
	    text_for(&sum, 0), "publishers 7 c0,c1,c2,c3,c4,c5,c6\n");
	held_add(&two, &sum);
	ck_assert_str_eq(
	    text_for(&sum, 0), "publishers 14 c0,c1,c2,c3,c4,c5,c6,c0,+\n");
}
END_TEST

START_TEST(the_longest_names_fit)
{
	struct held_clients clients = { .count = { HELD_NAMES + 1 },
		.named = HELD_NAMES };
	const char *text;

	for (unsigned i = 0; i < HELD_NAMES; i++) {
		clients.client[i].bridges = 1;
		memset(clients.client[i].name, 'n', HELD_NAME_SIZE - 1);
	}
	text = text_for(&clients, 0);
	ck_assert_uint_eq(strlen(text),
	    strlen("publishers 9 ") + HELD_NAMES * HELD_NAME_SIZE +
		strlen("+\n"));
}
END_TEST

START_TEST(none_of_them_named_are_still_counted)
{
	const struct held_clients clients = { .count = { [3] = 4 } };

	ck_assert_str_eq(text_for(&clients, 3), "publishers 4 +\n");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("held");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, nobody_is_held);
	tcase_add_test(tc, each_bridge_has_its_own);
	tcase_add_test(tc, workers_are_summed_up);
	tcase_add_test(tc, the_longest_names_fit);
	tcase_add_test(tc, none_of_them_named_are_still_counted);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
