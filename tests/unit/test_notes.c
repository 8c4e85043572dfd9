/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The module itself is compiled in, so that each of its stores can be the
 * last one of a life.
 */

#include <setjmp.h>
#include <stdatomic.h>

static void about_to_store(void);

#undef atomic_store_explicit
#define atomic_store_explicit(field, value, order)                             \
	(about_to_store(), (void)(order), (void)(*(field) = (value)))

/* Not the test's own header: the code under test. */
#include "bridged/notes.c"

#include <stdlib.h>

#include "tests/unit/unit.h"

#define REMOTE 7
#define ROUND UINT64_C(65534)

static struct notes_memory *memory;
static struct notes notes;
static uint64_t committed[RING_LANES];
static const char *fault;

/* The next life dies before its store number `die_at`, from 1; 0: never. */
static unsigned die_at;
static jmp_buf dead;

static void
about_to_store(void)
{
	if (die_at != 0 && --die_at == 0)
		longjmp(dead, 1);
}

static enum notes_found
open_for(uint64_t remote)
{
	fault = NULL;
	return notes_open(&notes, memory, remote, committed, &fault);
}

/* Another process. */
static enum notes_found
next_life(void)
{
	memset(&notes, 0, sizeof(notes));
	return open_for(REMOTE);
}

static void
setup(void)
{
	memory = aligned_alloc(4096, sizeof(*memory));
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, sizeof(*memory));
	memset(&notes, 0, sizeof(notes));
	memset(committed, 0, sizeof(committed));
	die_at = 0;
}

static void
teardown(void)
{
	free(memory);
}

static void
take_committed(uint16_t id)
{
	size_t slot = notes_take(&notes, id, 3, ++committed[3]);

	notes_confirm(&notes, slot);
}

START_TEST(begins_in_zeroed_memory)
{
	ck_assert_int_eq(open_for(REMOTE), NOTES_NEW);
	ck_assert_uint_eq(notes_published(&notes), 0);
	ck_assert(!notes_is_kept(&notes, 1));
	ck_assert(!notes_is_claimed(&notes, 1));
	ck_assert(!notes_is_taken(&notes, 1));
	ck_assert(notes_has_room(&notes));
	ck_assert_int_eq(next_life(), NOTES_RESUMED);
}
END_TEST

START_TEST(tells_the_next_life_what_was_sent_and_kept)
{
	open_for(REMOTE);
	notes_publishing(&notes, 1);
	notes_publishing(&notes, NOTES_KEPT + 1);
	notes_publishing(&notes, 2);
	notes_keep(&notes, 1);
	ck_assert_int_eq(next_life(), NOTES_RESUMED);
	ck_assert_uint_eq(notes_published(&notes), NOTES_KEPT + 1);
	ck_assert(notes_is_kept(&notes, 1));
	ck_assert(!notes_is_kept(&notes, 2));
	/* The same place, another record. */
	ck_assert(!notes_is_kept(&notes, NOTES_KEPT + 1));
	notes_keep(&notes, NOTES_KEPT + 1);
	ck_assert(!notes_is_kept(&notes, 1));
}
END_TEST

START_TEST(claims_identifiers_until_a_round_is_complete)
{
	open_for(REMOTE);
	notes_claim(&notes, 1, 1000, ROUND);
	next_life();
	ck_assert(notes_is_claimed(&notes, 1000));
	ck_assert(!notes_is_claimed(&notes, 1001));
	notes_claim(&notes, 1001, ROUND - 1, ROUND);
	ck_assert(!notes_is_claimed(&notes, ROUND));
	notes_claim(&notes, ROUND, ROUND, ROUND);
	ck_assert(notes_is_claimed(&notes, UINT64_MAX));
}
END_TEST

START_TEST(does_not_count_a_gap_as_claimed)
{
	open_for(REMOTE);
	notes_claim(&notes, 1, 1000, ROUND);
	notes_claim(&notes, 1002, 2 * ROUND - 2000, ROUND);
	ck_assert(notes_is_claimed(&notes, 2 * ROUND - 2000));
	/* All identifiers but one: that of 1001, and it is used again soon. */
	memset(memory, 0, sizeof(*memory));
	next_life();
	notes_claim(&notes, 1, 1000, ROUND);
	notes_claim(&notes, 1002, ROUND, ROUND);
	ck_assert(!notes_is_claimed(&notes, ROUND + 1001));
	notes_claim(&notes, ROUND + 1, ROUND + 1001, ROUND);
	ck_assert(notes_is_claimed(&notes, UINT64_MAX));
}
END_TEST

START_TEST(needs_no_claims_when_the_remote_forgot)
{
	open_for(REMOTE);
	notes_claim_all(&notes);
	next_life();
	ck_assert(notes_is_claimed(&notes, UINT64_MAX));
}
END_TEST

START_TEST(knows_what_is_taken_until_it_is_released)
{
	open_for(REMOTE);
	take_committed(5);
	take_committed(6);
	ck_assert(notes_release(&notes, 5));
	ck_assert(!notes_release(&notes, 5));
	ck_assert(!notes_release(&notes, 0));
	next_life();
	ck_assert(!notes_is_taken(&notes, 5));
	ck_assert(notes_is_taken(&notes, 6));
	ck_assert(notes_release(&notes, 6));
	next_life();
	ck_assert(!notes_is_taken(&notes, 6));
}
END_TEST

START_TEST(erases_what_was_noted_for_a_commit_that_never_came)
{
	open_for(REMOTE);
	committed[3] = 8;
	notes_take(&notes, 7, 3, 7);
	notes_take(&notes, 8, 3, 8);
	notes_take(&notes, 9, 3, 9);
	notes_take(&notes, 10, 4, 1);
	next_life();
	ck_assert(notes_is_taken(&notes, 7));
	ck_assert(notes_is_taken(&notes, 8));
	ck_assert(!notes_is_taken(&notes, 9));
	ck_assert(!notes_is_taken(&notes, 10));
	/* Not even when the lane gets there. */
	committed[3] = 9;
	next_life();
	ck_assert(!notes_is_taken(&notes, 9));
	/* And what is there stays, also without its lane. */
	committed[3] = 0;
	next_life();
	ck_assert(notes_is_taken(&notes, 8));
}
END_TEST

START_TEST(takes_as_many_as_there_are_identifiers)
{
	open_for(REMOTE);
	for (unsigned id = 1; id <= UINT16_MAX; id++)
		take_committed((uint16_t)id);
	ck_assert(notes_has_room(&notes));
	ck_assert(notes_release(&notes, 17));
	next_life();
	ck_assert(!notes_is_taken(&notes, 17));
	ck_assert(notes_is_taken(&notes, 18));
	ck_assert_uint_eq(notes_next_taken(&notes, 0), 1);
	ck_assert_uint_eq(notes_next_taken(&notes, 16), 18);
	ck_assert_uint_eq(notes_next_taken(&notes, UINT16_MAX - 1), UINT16_MAX);
	ck_assert_uint_eq(notes_next_taken(&notes, UINT16_MAX), 0);
	notes_release_all(&notes);
	next_life();
	ck_assert_uint_eq(notes_next_taken(&notes, 0), 0);
}
END_TEST

START_TEST(has_a_slot_for_each_message_on_its_way)
{
	uint16_t id = 0;

	open_for(REMOTE);
	while (notes_has_room(&notes)) {
		id++;
		notes_take(&notes, id, 3, id);
	}
	ck_assert_uint_eq(id, NOTES_SLOTS);
	notes_confirm(&notes, 17);
	ck_assert(notes_has_room(&notes));
	committed[3] = 100;
	next_life();
	ck_assert(notes_has_room(&notes));
	ck_assert(notes_is_taken(&notes, 100));
	ck_assert(!notes_is_taken(&notes, 101));
}
END_TEST

START_TEST(takes_what_it_knows_along_to_a_new_link)
{
	open_for(REMOTE);
	take_committed(5);
	notes_take(&notes, 6, 3, committed[3] + 1);
	notes_publishing(&notes, 12);
	notes_close(&notes);
	notes_close(&notes);
	memset(memory, 0, sizeof(*memory));
	memset(committed, 0, sizeof(committed));
	ck_assert_int_eq(open_for(REMOTE), NOTES_NEW);
	ck_assert(notes_is_taken(&notes, 5));
	/* It was never committed, so it must come again. */
	ck_assert(!notes_is_taken(&notes, 6));
	ck_assert_uint_eq(notes_published(&notes), 0);
	next_life();
	ck_assert(notes_is_taken(&notes, 5));
}
END_TEST

START_TEST(forgets_the_identifiers_of_another_remote)
{
	uint64_t one = notes_remote("host", 1883, "weir-cloud");

	ck_assert_uint_ne(one, notes_remote("host", 1884, "weir-cloud"));
	ck_assert_uint_ne(one, notes_remote("host2", 1883, "weir-cloud"));
	ck_assert_uint_ne(one, notes_remote("host", 1883, "weir-plant"));
	ck_assert_uint_ne(
	    notes_remote("ab", 1, "c"), notes_remote("a", 1, "bc"));

	open_for(REMOTE);
	notes_publishing(&notes, 3);
	notes_keep(&notes, 3);
	notes_claim_all(&notes);
	take_committed(5);
	notes_close(&notes);
	ck_assert_int_eq(open_for(REMOTE + 1), NOTES_OTHER);
	ck_assert(!notes_is_taken(&notes, 5));
	ck_assert(!notes_is_claimed(&notes, 1));
	/* The former one has it; that stays true. */
	ck_assert(notes_is_kept(&notes, 3));
	notes_close(&notes);
	ck_assert_int_eq(open_for(REMOTE + 1), NOTES_RESUMED);
}
END_TEST

START_TEST(releases_all_to_a_new_session)
{
	open_for(REMOTE);
	take_committed(5);
	notes_connecting(&notes);
	ck_assert(notes_connected(&notes, false));
	ck_assert(!notes_is_taken(&notes, 5));
	next_life();
	ck_assert(!notes_is_taken(&notes, 5));
}
END_TEST

START_TEST(trusts_a_session_when_every_connack_was_seen)
{
	open_for(REMOTE);
	take_committed(5);
	for (int i = 0; i < 3; i++) {
		next_life();
		notes_connecting(&notes);
		ck_assert(notes_connected(&notes, true));
		ck_assert(notes_is_taken(&notes, 5));
	}
}
END_TEST

START_TEST(doubts_a_session_when_a_connack_was_not_seen)
{
	open_for(REMOTE);
	take_committed(5);
	take_committed(6);
	notes_connecting(&notes);
	next_life();
	notes_connecting(&notes);
	ck_assert(!notes_connected(&notes, true));

	/* Half of it is not enough, also for the next life. */
	notes_release(&notes, 5);
	take_committed(9);
	ck_assert(notes_is_in_doubt(&notes));
	next_life();
	notes_connecting(&notes);
	ck_assert(!notes_connected(&notes, true));
	notes_release(&notes, 6);
	ck_assert(notes_is_in_doubt(&notes));
	ck_assert_uint_eq(notes_release_doubts(&notes), 1);
	ck_assert(!notes_is_in_doubt(&notes));
	ck_assert(!notes_is_taken(&notes, 9));
	next_life();
	notes_connecting(&notes);
	ck_assert(notes_connected(&notes, true));
}
END_TEST

START_TEST(doubts_nothing_when_nothing_is_taken)
{
	open_for(REMOTE);
	notes_connecting(&notes);
	notes_connecting(&notes);
	ck_assert(notes_connected(&notes, true));
}
END_TEST

/* What a life leaves that dies before each of its stores. */
static bool
dies(void (*live)(void), unsigned store_number)
{
	if (setjmp(dead) != 0)
		return true;
	die_at = store_number;
	live();
	die_at = 0;
	return false;
}

static void
take_and_commit(void)
{
	size_t slot = notes_take(&notes, 5, 3, 1);

	about_to_store();
	committed[3] = 1;
	notes_confirm(&notes, slot);
}

static void
release_five(void)
{
	notes_release(&notes, 5);
}

static void
open_again(void)
{
	ck_assert_int_ne(next_life(), NOTES_DAMAGED);
}

static void
claim(void)
{
	notes_claim(&notes, 5001, 6000, ROUND);
}

static void
see_a_new_session(void)
{
	notes_connected(&notes, false);
}

START_TEST(is_taken_exactly_when_it_is_committed)
{
	unsigned at = 1;

	for (;; at++) {
		memset(memory, 0, sizeof(*memory));
		memset(committed, 0, sizeof(committed));
		next_life();
		if (!dies(take_and_commit, at))
			break;
		ck_assert_int_eq(next_life(), NOTES_RESUMED);
		ck_assert(notes_is_taken(&notes, 5) == (committed[3] == 1));
		/* And the life after that sees the same. */
		committed[3] = 1;
		ck_assert_int_eq(next_life(), NOTES_RESUMED);
		ck_assert(notes_is_taken(&notes, 5) == (at > 3));
	}
	ck_assert_uint_eq(at, 6);
}
END_TEST

START_TEST(survives_a_death_at_any_store)
{
	void (*const lives[])(
	    void) = { release_five, open_again, claim, see_a_new_session };
	unsigned at = 1;

	for (;; at++) {
		memset(memory, 0, sizeof(*memory));
		next_life();
		notes_publishing(&notes, 1);
		notes_keep(&notes, 1);
		notes_claim(&notes, 1, 1000, ROUND);
		take_committed(5);
		notes_take(&notes, 6, 3, committed[3] + 1);
		notes_connecting(&notes);
		if (!dies(lives[_i], at))
			break;
		ck_assert_int_eq(next_life(), NOTES_RESUMED);
		ck_assert(notes_is_kept(&notes, 1));
		ck_assert(notes_is_claimed(&notes, 1000));
		ck_assert(!notes_is_claimed(&notes, 1001));
		ck_assert(!notes_is_taken(&notes, 6));
		/* A session that was not told of is one in doubt. */
		notes_connecting(&notes);
		ck_assert(notes_connected(&notes, true) ==
		    !notes_is_taken(&notes, 5));
	}
	ck_assert_uint_gt(at, 1);
}
END_TEST

/* The session that was doubted turns out to be gone. */
START_TEST(trusts_no_session_while_something_of_another_is_left)
{
	unsigned at = 1;

	for (;; at++) {
		memset(memory, 0, sizeof(*memory));
		next_life();
		take_committed(5);
		notes_connecting(&notes);
		notes_connecting(&notes);
		ck_assert(!notes_connected(&notes, true));
		take_committed(6);
		notes_connecting(&notes);
		if (!dies(see_a_new_session, at))
			break;
		next_life();
		notes_connecting(&notes);
		ck_assert(
		    notes_connected(&notes, true) == (notes.taken_count == 0));
	}
	ck_assert_uint_eq(at, 4);
}
END_TEST

START_TEST(begins_anew_when_a_death_left_half_a_beginning)
{
	unsigned at = 1;

	for (;; at++) {
		memset(memory, 0, sizeof(*memory));
		if (!dies((void (*)(void))open_again, at))
			break;
		next_life();
		take_committed(5);
		ck_assert_int_eq(next_life(), NOTES_RESUMED);
		ck_assert(notes_is_taken(&notes, 5));
	}
	ck_assert_uint_gt(at, 1);
}
END_TEST

static void
make_some(void)
{
	memset(memory, 0, sizeof(*memory));
	memset(committed, 0, sizeof(committed));
	next_life();
	for (uint64_t sequence = 1; sequence < 20; sequence++) {
		notes_publishing(&notes, sequence);
		notes_keep(&notes, sequence);
	}
	notes_claim(&notes, 1, 1000, ROUND);
	take_committed(5);
	take_committed(6);
	notes_take(&notes, 7, 3, committed[3] + 1);
}

static void
damage(int how)
{
	switch (how) {
	case 0:
		memory->magic = 1;
		break;
	case 1:
		memory->magic = 0;
		break;
	case 2:
		memory->version++;
		break;
	case 3:
		memory->length--;
		break;
	case 4:
		memory->claim_first = 0;
		break;
	case 5:
		memory->connecting = NOTES_IN_DOUBT + 1;
		break;
	case 6:
		memory->kept[3] = 4;
		break;
	case 7:
		memory->kept[20] = 20;
		break;
	case 8:
		memory->slot[9].key = KEY(7, 3);
		break;
	case 9:
		memory->slot[9].key = KEY(0, 3);
		break;
	case 10:
		memory->slot[9].key = KEY(9, RING_LANES);
		break;
	case 11:
		memory->slot[9].key = KEY(9, 3) | UINT64_C(1) << 40;
		break;
	case 12:
		memory->slot[0].sequence = committed[3] + MOST_UNCOMMITTED + 1;
		break;
	case 13:
		memory->taken[0] |= 1;
		break;
	default:
		ck_abort();
	}
}

START_TEST(says_what_is_damaged_and_begins_anew)
{
	make_some();
	damage(_i);
	ck_assert_int_eq(next_life(), NOTES_DAMAGED);
	ck_assert_ptr_nonnull(fault);
	ck_assert_uint_eq(notes_published(&notes), 0);
	ck_assert(!notes_is_claimed(&notes, 1));
	ck_assert(!notes_is_taken(&notes, 5));
	take_committed(9);
	ck_assert_int_eq(next_life(), NOTES_RESUMED);
	ck_assert(notes_is_taken(&notes, 9));
}
END_TEST

/* Whatever lies there, it is usable after. */
START_TEST(survives_any_scribbling)
{
	uint32_t dice = (uint32_t)_i + 1;
	uint8_t *bytes;

	for (int turn = 0; turn < 400; turn++) {
		make_some();
		bytes = (uint8_t *)memory;
		for (int i = 0; i <= turn % 8; i++) {
			dice = dice * 1664525 + 1013904223;
			bytes[(dice >> 8) % sizeof(*memory)] ^=
			    (uint8_t)(1u << (dice >> 4) % 8);
			bytes[(dice >> 12) % 128] ^= (uint8_t)(dice >> 24);
		}
		if (next_life() == NOTES_DAMAGED)
			ck_assert_ptr_nonnull(fault);
		notes_release_all(&notes);
		take_committed(77);
		ck_assert_int_eq(next_life(), NOTES_RESUMED);
		ck_assert(notes_is_taken(&notes, 77));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("notes");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, begins_in_zeroed_memory);
	tcase_add_test(tc, tells_the_next_life_what_was_sent_and_kept);
	tcase_add_test(tc, claims_identifiers_until_a_round_is_complete);
	tcase_add_test(tc, does_not_count_a_gap_as_claimed);
	tcase_add_test(tc, needs_no_claims_when_the_remote_forgot);
	tcase_add_test(tc, knows_what_is_taken_until_it_is_released);
	tcase_add_test(tc, erases_what_was_noted_for_a_commit_that_never_came);
	tcase_add_test(tc, takes_as_many_as_there_are_identifiers);
	tcase_add_test(tc, has_a_slot_for_each_message_on_its_way);
	tcase_add_test(tc, takes_what_it_knows_along_to_a_new_link);
	tcase_add_test(tc, forgets_the_identifiers_of_another_remote);
	tcase_add_test(tc, releases_all_to_a_new_session);
	tcase_add_test(tc, trusts_a_session_when_every_connack_was_seen);
	tcase_add_test(tc, doubts_a_session_when_a_connack_was_not_seen);
	tcase_add_test(tc, doubts_nothing_when_nothing_is_taken);
	tcase_add_test(tc, is_taken_exactly_when_it_is_committed);
	tcase_add_loop_test(tc, survives_a_death_at_any_store, 0, 4);
	tcase_add_test(
	    tc, trusts_no_session_while_something_of_another_is_left);
	tcase_add_test(tc, begins_anew_when_a_death_left_half_a_beginning);
	tcase_add_loop_test(tc, says_what_is_damaged_and_begins_anew, 0, 14);
	tcase_add_loop_test(tc, survives_any_scribbling, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
