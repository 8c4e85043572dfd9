/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the walk writes is recovered from again, and has to be the same broker.
 */

#include "broker/session_walk.h"

#include <stdlib.h>

#include "tests/unit/recover_box.h"

/* ---- and back --------------------------------------------------------------
 */

static int
put_walked(void *context, enum store_kind kind, struct slice body)
{
	unsigned *count = context;

	++*count;
	append(kind, body.data, body.len);
	return 0;
}

/* Written by the walk to another disk, with what changes in the midst of it. */
static unsigned
rewrite(void (*meanwhile)(unsigned step))
{
	struct session_walk walk;
	unsigned records = 0, steps = 0;

	store_sim_free(sim);
	sim = store_sim_new(2);
	open_journal();
	for (unsigned i = 0; i < WORKERS; i++) {
		memset(&walk, 0, sizeof(walk));
		while (!walk.is_over) {
			ck_assert_int_eq(session_walk_step(broker.workers[i],
					     &walk, put_walked, &records),
			    0);
			if (meanwhile != NULL)
				meanwhile(steps);
			steps++;
		}
	}
	return steps;
}

/* Cursors are the store's to keep: the checkpoint has them by itself. */
static void
reopen_cursors(uint64_t first, uint64_t last)
{
	for (uint64_t cursor = first; cursor <= last; cursor++)
		append_open(cursor);
}

static void
recover_rewritten(void)
{
	struct store *kept = store;

	store = NULL;
	free_broker();
	store = kept;
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
}

START_TEST(walks_all_that_it_recovered)
{
	const uint64_t wall_ns = clock_wall_ns();
	struct store_session record;
	struct store_message message = message_to(NULL);

	open_session(1, "a");
	put_subscribe(STORE_SUBSCRIBE, 1, "t/+");
	put_subscribe(STORE_SUBSCRIBE, 1, "$share/g/s/#");
	message.publisher = 1;
	for (unsigned i = 1; i <= 600; i++) {
		message.packet_id = (uint16_t)i;
		put_message(&message);
	}
	record = session_record(1, "a");
	record.account = slice_of_string(anna);
	put_session(&record);
	open_session(2, "b");
	put_will(2, "b", 500 * SECOND);
	put_leave(2, wall_ns - 9 * SECOND, true);
	put_will(3, "transient", 0);
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);
	ck_assert_uint_eq(waiting_wills(), 1);

	rewrite(NULL);
	reopen_cursors(1, 2);
	recover_rewritten();
	ck_assert_uint_eq(session_count(), 2);
	ck_assert_str_eq(
	    auth_identity_name(broker.auth, find("a")->identity), anna);
	ck_assert_uint_eq(packet_ids_count(&find("a")->received), 600);
	ck_assert(packet_ids_has(&find("a")->received, 600));
	ck_assert_uint_eq(match("t/1"), 1);
	ck_assert_uint_eq(match("s"), 1);
	ck_assert_uint_eq(find("b")->left_ns, wall_ns - 9 * SECOND);
	ck_assert_ptr_nonnull(find("b")->will);
	ck_assert_uint_eq(waiting_wills(), 1);
}
END_TEST

#define MANY 2000u

/* Sessions come, so that tables grow; subscriptions of the walked come and go.
 */
static void
stir(unsigned step)
{
	const struct subscription_options options = { .qos = 1 };
	struct session *wide = find("wide");
	char text[32];
	bool existed;

	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "new-%u-%u", step, i);
		session_restore(&broker.workers[i % WORKERS]->sessions,
		    slice_of_string(text), 1000000 + step * 60 + i);
	}
	snprintf(text, sizeof(text), "fresh/%u", step);
	subscription_tree_add(broker.subscriptions, slice_of_string(text),
	    &wide->subscriber, &options, &existed);
	snprintf(text, sizeof(text), "wide/%u",
	    CHECKPOINT_TURN_SUBSCRIPTIONS * (step % 3) + 1);
	subscription_tree_remove(
	    broker.subscriptions, slice_of_string(text), &wide->subscriber);
	subscription_tree_add(broker.subscriptions, slice_of_string(text),
	    &wide->subscriber, &options, &existed);
}

START_TEST(walks_in_turns_whatever_comes_and_goes)
{
	const unsigned wide = CHECKPOINT_TURN_SUBSCRIPTIONS * 3 + 5;
	char text[32];
	unsigned steps, found = 0;

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "many-%u", i);
		open_session(i + 1, text);
		put_subscribe(STORE_SUBSCRIBE, i + 1, text);
	}
	open_session(MANY + 1, "wide");
	for (unsigned i = 0; i < wide; i++) {
		snprintf(text, sizeof(text), "wide/%u", i);
		put_subscribe(STORE_SUBSCRIBE, MANY + 1, text);
	}
	cut();
	ck_assert_int_eq(recover(), EXIT_OK);

	steps = rewrite(stir);
	ck_assert_uint_ge(steps, MANY / CHECKPOINT_TURN_SESSIONS);
	reopen_cursors(1, MANY + 1);
	recover_rewritten();
	ck_assert_uint_eq(session_count(), MANY + 1);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "many-%u", i);
		ck_assert_ptr_nonnull(find(text));
		ck_assert_uint_eq(match(text), 1);
	}
	for (unsigned i = 0; i < wide; i++) {
		snprintf(text, sizeof(text), "wide/%u", i);
		found += match(text) == 1;
	}
	ck_assert_uint_eq(found, wide);
}
END_TEST

/* ---- two in one place of the table ------------------------------------- */

#define NEIGHBOURS 200u

static struct slice seen[4 * NEIGHBOURS];
static unsigned seen_count;

static int
note_seen(void *context, enum store_kind kind, struct slice body)
{
	struct store_session record;

	(void)context;
	if (kind != STORE_SESSION)
		return 0;
	ck_assert_int_eq(store_session_parse(body, &record), 0);
	ck_assert_uint_lt(seen_count, 4 * NEIGHBOURS);
	seen[seen_count].data = malloc(record.client_id.len);
	memcpy((uint8_t *)(uintptr_t)seen[seen_count].data,
	    record.client_id.data, record.client_id.len);
	seen[seen_count++].len = record.client_id.len;
	return 0;
}

static bool
was_seen(struct slice id)
{
	for (unsigned i = 0; i < seen_count; i++)
		if (slice_equal(seen[i], id))
			return true;
	return false;
}

static void
forget_seen(void)
{
	while (seen_count != 0)
		free((void *)(uintptr_t)seen[--seen_count].data);
}

/* The walk stops in the midst of one that has another behind it. */
static struct session *
stop_at_first_of_two(struct sessions *sessions, struct session_walk *walk,
    struct session **out_second)
{
	const struct subscription_options options = { .qos = 1 };
	struct session *first = NULL;
	char text[32];
	bool existed;

	for (size_t i = sessions->bucket_count / 2;
	     i < sessions->bucket_count && first == NULL; i++)
		if (sessions->buckets[i] != NULL &&
		    sessions->buckets[i]->next_in_table != NULL)
			first = sessions->buckets[i];
	ck_assert_ptr_nonnull(first);
	*out_second = first->next_in_table;
	for (unsigned i = 0; i < CHECKPOINT_TURN_SUBSCRIPTIONS + 10; i++) {
		snprintf(text, sizeof(text), "first/%u", i);
		ck_assert_int_eq(subscription_tree_add(broker.subscriptions,
				     slice_of_string(text), &first->subscriber,
				     &options, &existed),
		    0);
	}
	while (walk->cursor != first->cursor)
		ck_assert_int_eq(
		    session_walk_step(broker.workers[0], walk, note_seen, NULL),
		    0);
	ck_assert(!was_seen(session_id(*out_second)));
	return first;
}

START_TEST(walks_past_one_that_ends_or_moves_in_the_midst_of_it)
{
	struct session_walk walk = { 0 };
	struct sessions *sessions;
	struct session *first, *second;
	size_t buckets;
	char text[32];

	cut();
	make_broker();
	sessions = &broker.workers[0]->sessions;
	for (unsigned i = 0; i < NEIGHBOURS; i++) {
		snprintf(text, sizeof(text), "id-%d-%u", _i, i);
		session_restore(sessions, slice_of_string(text), i + 1);
	}
	first = stop_at_first_of_two(sessions, &walk, &second);
	if (_i % 2 == 0)
		session_end(first);
	buckets = sessions->bucket_count;
	for (unsigned i = 0; _i % 2 == 1 && sessions->bucket_count == buckets;
	     i++) {
		snprintf(text, sizeof(text), "more-%u", i);
		session_restore(sessions, slice_of_string(text), 1000 + i);
	}
	while (!walk.is_over)
		ck_assert_int_eq(session_walk_step(
				     broker.workers[0], &walk, note_seen, NULL),
		    0);
	ck_assert(was_seen(session_id(second)));
	forget_seen();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session_walk");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, walks_all_that_it_recovered);
	tcase_add_test(tc, walks_in_turns_whatever_comes_and_goes);
	tcase_add_loop_test(
	    tc, walks_past_one_that_ends_or_moves_in_the_midst_of_it, 0, 16);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
