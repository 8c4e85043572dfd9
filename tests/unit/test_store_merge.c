/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/segment_index.h"
#include "tests/unit/store_box.h"

#define SLOW 7u /* a cursor for which much waits, a little everywhere */
#define FAST 8u

#define SLOW_MAX 600u

/* What waits for the slow one. */
static struct {
	uint64_t sequences[SLOW_MAX];
	size_t count;
} slow;

/* What reading gave. */
static struct {
	uint64_t sequences[SLOW_MAX];
	size_t count;
	void (*amidst)(void);
} got;

static void
begin(uint64_t seed)
{
	memset(&slow, 0, sizeof(slow));
	memset(&got, 0, sizeof(got));
	box_open(seed);
	box_open_cursor(SLOW);
	box_open_cursor(FAST);
}

static void
to_slow(size_t length)
{
	const uint64_t cursor = SLOW;

	ck_assert_uint_lt(slow.count, SLOW_MAX);
	slow.sequences[slow.count++] = box_message(&cursor, 1, length);
}

/* `count` for the fast one, which are over at once. */
static void
to_fast(unsigned count)
{
	const uint64_t cursor = FAST;
	uint64_t last = 0;

	for (unsigned i = 0; i < count; i++)
		last = box_message(&cursor, 1, 1000);
	box_done(FAST, last, last);
}

/* Segments with one message each that is waited for, and all is covered. */
static void
sparse(unsigned segments)
{
	for (unsigned i = 0; i < segments; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
}

static int
take(void *arg, uint64_t sequence, const struct store_message *message,
    const struct store_delivery *delivery)
{
	(void)arg;
	ck_assert_uint_eq(delivery->cursor, SLOW);
	ck_assert_uint_eq(message->delivery_count, 1);
	ck_assert_uint_lt(got.count, SLOW_MAX);
	got.sequences[got.count++] = sequence;
	if (got.amidst != NULL)
		got.amidst();
	return 0;
}

/* All that waits for the slow one is there, in order, and nothing else. */
static void
check_slow(void)
{
	struct store_reader *reader = store_reader_new(box.store);
	uint64_t upto = 0;

	got.count = 0;
	ck_assert_int_eq(
	    store_read(reader, SLOW, 0, SLOW_MAX, SIZE_MAX, take, NULL, &upto),
	    0);
	store_reader_free(reader);
	ck_assert_uint_eq(upto, store_committed(box.store));
	ck_assert_uint_eq(got.count, slow.count);
	ck_assert_mem_eq(got.sequences, slow.sequences,
	    slow.count * sizeof(slow.sequences[0]));
	ck_assert_uint_eq(box_queued(SLOW), slow.count);
}

static size_t
merged_files(void)
{
	uint64_t first, merged_last;
	size_t count = 0;
	const char *name;

	for (size_t i = 0; (name = store_sim_name(box.sim, i)) != NULL; i++)
		if (segment_name_parse(name, &first, &merged_last) &&
		    merged_last != 0)
			count++;
	return count;
}

/* That the store knows of. */
static size_t
merged_segments(void)
{
	const struct segment *segment;
	size_t count = 0;

	for (size_t i = 0; i < box.store->segment_count; i++)
		count += box.store->segments[i]->merged_last != 0;
	for (segment = box.store->leaving; segment != NULL;
	     segment = segment->next)
		count += segment->merged_last != 0;
	return count;
}

START_TEST(sparse_neighbours_become_one_file)
{
	size_t before;

	begin(1);
	sparse(10);
	before = box_files(".seg");
	ck_assert_uint_ge(before, 10);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_le(box_files(".seg"), 3);
	ck_assert_uint_eq(box.store->segments[0]->messages, slow.count);
	ck_assert_uint_lt(box.store->segments[0]->size, 4096 + 10 * 300);
	check_slow();
	ck_assert_ptr_null(box.store->leaving);
	box_restart();
	ck_assert_uint_eq(box.damages + box.tails, 0);
	check_slow();
	ck_assert_uint_eq(box.store->segments[0]->messages, slow.count);
	box_close();
}
END_TEST

static int
check_deliveries(void *arg, uint64_t sequence, uint8_t kind, struct slice body)
{
	struct store_message_room room = { 0 };
	struct store_message message;
	size_t *count = arg;

	if (sequence > box.store->segments[0]->merged_last)
		return 0;
	ck_assert_uint_eq(kind, STORE_MESSAGE);
	ck_assert_int_eq(store_parse_message(body, &room, &message), 0);
	ck_assert_uint_eq(message.delivery_count, 1);
	ck_assert_uint_eq(message.deliveries[0].cursor, SLOW);
	free(room.deliveries);
	free(room.identifiers);
	*count += 1;
	return 0;
}

START_TEST(only_what_is_waited_for_is_kept)
{
	const uint64_t both[2] = { FAST, SLOW };
	uint64_t last = 0;
	size_t count = 0;

	begin(1);
	for (unsigned i = 0; i < 8; i++) {
		last = box_message(both, 2, 100);
		slow.sequences[slow.count++] = last;
		to_fast(70);
	}
	box_put_state(STORE_SUBSCRIBE, "x");
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_ne(box.store->segments[0]->merged_last, 0);
	ck_assert_int_eq(
	    store_each_record(box.store, check_deliveries, &count), 0);
	ck_assert_uint_eq(count, slow.count);
	check_slow();
	box_close();
}
END_TEST

START_TEST(what_no_two_checkpoints_cover_is_left_alone)
{
	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	box_close();
}
END_TEST

START_TEST(what_is_dense_is_left_alone)
{
	begin(1);
	for (unsigned i = 0; i < 200; i++)
		to_slow(1500);
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	ck_assert_uint_eq(box.store->merged_bytes, 0);
	check_slow();
	box_close();
}
END_TEST

/* Both would go into one, but that would not be half of them. */
START_TEST(what_would_be_much_is_left_alone)
{
	begin(1);
	for (unsigned k = 0; k < 65; k++) {
		to_slow(900);
		to_fast(1);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	check_slow();
	box_close();
}
END_TEST

/* A life, and a segment, of one message. */
static void
live_once(size_t length)
{
	to_slow(length);
	box_checkpoint("one");
	box_checkpoint("two");
	box_restart();
}

/* Nothing is freed by writing the large one again for the small ones. */
START_TEST(a_large_one_does_not_take_in_each_small_one)
{
	uint64_t merged;

	begin(1);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 6; k++)
			to_slow(1000);
		to_fast(55);
	}
	box_checkpoint("one");
	to_fast(1);
	box_checkpoint("two");
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	merged = box.store->merged_bytes;
	ck_assert_uint_gt(merged, 18000);
	box_restart();
	for (unsigned life = 0; life < 9; life++)
		live_once(100);
	box_tend();
	ck_assert_uint_lt(box.store->merged_bytes, 5000);
	check_slow();
	box_close();
}
END_TEST

/* The header of the next one says where it ends. */
START_TEST(the_last_one_is_never_merged)
{
	uint64_t last;

	begin(1);
	for (unsigned i = 0; i < 6; i++) {
		to_slow(100);
		to_fast(70);
	}
	box_checkpoint("one");
	box_checkpoint("two");
	box_restart();
	last =
	    box.store->segments[box.store->segment_count - 1]->first_sequence;
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box.store->segment_count, 2);
	ck_assert_uint_eq(box.store->segments[1]->first_sequence, last);
	ck_assert_uint_eq(box.store->segments[1]->merged_last, 0);
	check_slow();
	box_close();
}
END_TEST

/*
 * What a checkpoint knows to be over may be in the file no more; then only the
 * index can tell what of a merged one is left.
 */
START_TEST(without_its_index_what_is_over_is_counted_late)
{
	const uint64_t gone = 3;
	struct segment *merged;

	begin(1);
	sparse(6);
	box_done(SLOW, slow.sequences[gone], 0);
	memmove(&slow.sequences[gone], &slow.sequences[gone + 1],
	    (--slow.count - gone) * sizeof(slow.sequences[0]));
	box_tend();
	box_checkpoint("three");
	box_restart();
	check_slow();

	merged = box.store->segments[0];
	segment_index_free(merged->index);
	merged->index = NULL;
	box_done(SLOW, slow.sequences[1], 0);
	ck_assert(box_is_over(SLOW, slow.sequences[1]));
	ck_assert_uint_eq(box_queued(SLOW), slow.count);
	memmove(&slow.sequences[1], &slow.sequences[2],
	    (--slow.count - 1) * sizeof(slow.sequences[0]));
	box_restart();
	check_slow();

	/* Over both that were over, in the file or not. */
	box_done(SLOW, slow.sequences[0], slow.sequences[2] - 1);
	ck_assert_uint_eq(box_queued(SLOW), slow.count - 1);
	box_done(SLOW, 0, slow.sequences[slow.count - 1]);
	ck_assert_uint_eq(box_queued(SLOW), 0);
	ck_assert_uint_eq(box.store->segments[0]->live, 0);
	box_close();
}
END_TEST

/* That it is over is in the journal, and may be said again; it is gone. */
START_TEST(what_is_over_and_gone_is_counted_for_nothing)
{
	const size_t gone = 3;
	uint64_t sequence;

	begin(1);
	sparse(6);
	sequence = slow.sequences[gone];
	box_done(SLOW, sequence, 0);
	memmove(&slow.sequences[gone], &slow.sequences[gone + 1],
	    (--slow.count - gone) * sizeof(slow.sequences[0]));
	box_tend();
	box_restart();
	check_slow();
	box_done(SLOW, sequence, 0);
	check_slow();

	/* Nor when what it is missing in was merged with more. */
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	box_done(SLOW, sequence, 0);
	check_slow();
	box_close();
}
END_TEST

START_TEST(a_merged_one_is_merged_again)
{
	uint64_t first;

	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	first = box.store->segments[0]->merged_last;
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_gt(box.store->segments[0]->merged_last, first);
	ck_assert_uint_le(box_files(".seg"), 3);
	check_slow();
	box_restart();
	check_slow();
	box_close();
}
END_TEST

START_TEST(it_goes_when_nobody_waits_for_it)
{
	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_done(SLOW, 0, store_committed(box.store));
	slow.count = 0;
	box_tend();
	ck_assert_uint_eq(merged_files(), 0);
	ck_assert_uint_eq(box_files(".idx"), 0);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
	box_close();
}
END_TEST

static void
tend_amidst(void)
{
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	/* Then it reads on in the merged one. */
	if (got.count == 1)
		ck_assert_ptr_nonnull(box.store->leaving);
}

START_TEST(who_reads_meanwhile_reads_on)
{
	size_t files;

	begin(1);
	sparse(6);
	files = box_files(".seg");
	got.amidst = tend_amidst;
	check_slow();
	ck_assert_uint_lt(box_files(".seg"), files);
	got.amidst = NULL;
	box_tend();
	ck_assert_ptr_null(box.store->leaving);
	ck_assert_uint_le(box_files(".seg"), 3);
	check_slow();
	box_close();
}
END_TEST

/* An index of it is written, found again, and made again. */
START_TEST(it_has_an_index_like_any_other)
{
	const char *name;

	begin(1);
	sparse(6);
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_restart();
	ck_assert_uint_eq(box_files(".idx"), 1);
	name = box_file(".idx");
	ck_assert_ptr_nonnull(strchr(name, '-'));
	check_slow();
	box_restart();
	box_flip(box_file(".idx"), 60);
	check_slow();
	box_tend();
	ck_assert_uint_eq(box_files(".idx"), 1);
	box_restart();
	check_slow();
	box_close();
}
END_TEST

START_TEST(damage_in_it_is_told_and_costs_itself)
{
	char name[STORE_NAME_MAX];
	size_t count;

	begin(1);
	sparse(8);
	box_tend();
	segment_name(box.store->segments[0]->first_sequence,
	    box.store->segments[0]->merged_last, name);
	box_flip(name, 4096 + 300);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	ck_assert_str_eq(box.damaged_file, name);
	ck_assert_uint_eq(box_files(".damaged-1"), 1);
	count = (size_t)box_queued(SLOW);
	ck_assert_uint_eq(count, slow.count - 1);
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	ck_assert_uint_eq(box_queued(SLOW), count);
	box_close();
}
END_TEST

START_TEST(a_damaged_header_of_it_costs_nothing)
{
	char name[STORE_NAME_MAX];

	begin(1);
	sparse(8);
	box_tend();
	segment_name(box.store->segments[0]->first_sequence,
	    box.store->segments[0]->merged_last, name);
	box_flip(name, 20);
	box_restart();
	ck_assert_uint_eq(box.damages, 1);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
	box_close();
}
END_TEST

/* It stays where it is, to be told of by who reads it. */
START_TEST(what_cannot_be_read_is_not_merged)
{
	const struct segment *second;
	char name[STORE_NAME_MAX];
	uint64_t first, reads;

	begin(1);
	sparse(6);
	second = box.store->segments[1];
	first = second->first_sequence;
	segment_name(first, 0, name);
	box_flip(name, second->end - 500);
	box_tend();
	ck_assert(box.store->segments[0]->is_merge_refused);
	ck_assert(box.store->segments[1]->is_merge_refused);
	ck_assert_uint_eq(box.store->segments[1]->first_sequence, first);
	reads = store_sim_count(box.sim, STORE_SIM_READ);
	box_tend();
	ck_assert_uint_eq(store_sim_count(box.sim, STORE_SIM_READ), reads);
	check_slow();
	ck_assert_uint_eq(box_files("merge.tmp"), 0);
	box_close();
}
END_TEST

/* ---- a crash at any step --------------------------------------------------
 */

static void
check_after_crash(uint64_t nth)
{
	ck_assert_msg(box.damages == 0, "%lu: %s: %s", (unsigned long)nth,
	    box.damaged_file, box.what);
	check_slow();
	box_tend();
	ck_assert_uint_eq(merged_files(), 1);
	ck_assert_uint_eq(box_files("merge.tmp"), 0);
	ck_assert_uint_le(box_files(".seg"), 4);
	check_slow();
	box_restart();
	ck_assert_uint_eq(box.damages, 0);
	check_slow();
}

START_TEST(a_crash_at_any_step_loses_nothing)
{
	static const enum store_sim_loss losses[] = { STORE_SIM_KILL,
		STORE_SIM_LOSE_ALL, STORE_SIM_LOSE_NONE, STORE_SIM_LOSE_SOME,
		STORE_SIM_LOSE_SOME, STORE_SIM_LOSE_SOME };
	struct store_sim *sim, *disk;
	bool is_through = false;
	unsigned turns;

	begin((uint64_t)_i + 1);
	sparse(8);
	for (unsigned life = 0; life < 9; life++)
		live_once(100);
	store_close(box.store);
	disk = box.sim;
	for (uint64_t nth = 0; !is_through; nth++) {
		ck_assert_uint_lt(nth, 200);
		box.sim = sim = store_sim_clone(disk);
		ck_assert_int_eq(box_try_open(false), 0);
		store_sim_cut_at(sim, nth, losses[_i]);
		for (turns = 0; turns < 60 && !store_sim_is_off(sim); turns++)
			store_tend(box.store);
		store_close(box.store);
		is_through = !store_sim_is_off(sim);
		if (is_through)
			store_sim_cut(sim, losses[_i]);
		else
			store_sim_power_on(sim);
		store_sim_cut_at(sim, UINT64_MAX, losses[_i]);
		ck_assert_int_eq(box_try_open(false), 0);
		check_after_crash(nth);
		store_close(box.store);
		store_sim_free(sim);
	}
	store_sim_free(disk);
}
END_TEST

START_TEST(a_disk_that_refuses_any_step_loses_nothing)
{
	static const enum store_sim_call calls[] = { STORE_SIM_OPEN,
		STORE_SIM_READ, STORE_SIM_WRITE, STORE_SIM_SYNC,
		STORE_SIM_RENAME, STORE_SIM_REMOVE, STORE_SIM_SYNC_DIRECTORY };
	struct store_sim *sim, *disk;
	uint64_t before, calls_before;

	begin(1);
	sparse(8);
	store_close(box.store);
	disk = box.sim;
	for (uint64_t nth = 0; nth < 30; nth++) {
		box.sim = sim = store_sim_clone(disk);
		ck_assert_int_eq(box_try_open(false), 0);
		before = box_queued(SLOW);
		store_sim_fail(sim, calls[_i], nth, -ENOSPC, false);
		calls_before = store_sim_count(sim, calls[_i]);
		for (unsigned turns = 0; turns < 60 &&
		     store_sim_count(sim, calls[_i]) <= calls_before + nth;
		     turns++)
			store_tend(box.store);
		store_sim_heal(sim);
		if (calls[_i] != STORE_SIM_REMOVE)
			ck_assert_uint_eq(merged_files(), merged_segments());
		ck_assert_uint_eq(box_queued(SLOW), before);
		check_slow();
		box_restart();
		ck_assert_uint_eq(box.damages, 0);
		check_slow();
		box_tend();
		ck_assert_uint_eq(merged_files(), 1);
		check_slow();
		store_close(box.store);
		store_sim_free(sim);
	}
	store_sim_free(disk);
}
END_TEST

/* ---- what it costs --------------------------------------------------------
 */

/* Each life leaves a small file; there are never many of them. */
START_TEST(many_small_files_become_few)
{
	begin(1);
	for (unsigned life = 0; life < 200; life++) {
		to_slow(100);
		box_checkpoint("x");
		box_restart();
		box_tend();
		ck_assert_uint_le(box_files(".seg"), 30);
	}
	check_slow();
	ck_assert_uint_gt(box.store->segment_count, 1);
	box_close();
}
END_TEST

#define LIVE_MAX 20000u

static struct {
	uint64_t dice;
	struct {
		uint64_t cursor, sequence, bytes;
	} live[LIVE_MAX];
	size_t count;
} load;

/* Any of them is over, the old ones hardly ever. */
static void
end_some(void)
{
	uint64_t n = store_sim_dice(&load.dice, 3);
	size_t i;

	for (; n > 0 && load.count > 50; n--) {
		i = load.count / 8 +
		    (size_t)store_sim_dice(
			&load.dice, load.count - load.count / 8);
		box_done(load.live[i].cursor, load.live[i].sequence, 0);
		load.live[i] = load.live[--load.count];
	}
}

START_TEST(costs_little_whatever_is_waited_for)
{
	uint64_t cursor, length, live = 0, appended = 0, merged = 0;
	const uint64_t rounds = 8000;

	begin((uint64_t)_i + 1);
	memset(&load, 0, sizeof(load));
	load.dice = (uint64_t)_i + 1;
	for (uint64_t c = 20; c < 30; c++)
		box_open_cursor(c);
	for (uint64_t i = 0; i < rounds; i++) {
		cursor = 20 + store_sim_dice(&load.dice, 10);
		length = store_sim_dice(&load.dice, 1500);
		ck_assert_uint_lt(load.count, LIVE_MAX);
		load.live[load.count].cursor = cursor;
		load.live[load.count].bytes = length;
		load.live[load.count++].sequence =
		    box_message(&cursor, 1, (size_t)length);
		end_some();
		if (i % 60 == 0)
			box_checkpoint("x");
		box_tend();
	}
	appended = box.store->appended_bytes;
	merged = box.store->merged_bytes;
	for (size_t i = 0; i < load.count; i++)
		live += load.live[i].bytes + 200;
	ck_assert_uint_gt(merged, 0);
	ck_assert_msg(merged <= 2 * appended, "%lu merged, %lu appended",
	    (unsigned long)merged, (unsigned long)appended);

	/* Nor does it take much more room than what is waited for. */
	ck_assert_msg(
	    store_total_bytes(box.store) <= 4 * live + 12 * BOX_SEGMENT,
	    "%lu on the disk, %lu live",
	    (unsigned long)store_total_bytes(box.store), (unsigned long)live);
	box_close();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("store_merge");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, sparse_neighbours_become_one_file);
	tcase_add_test(tc, only_what_is_waited_for_is_kept);
	tcase_add_test(tc, what_no_two_checkpoints_cover_is_left_alone);
	tcase_add_test(tc, what_is_dense_is_left_alone);
	tcase_add_test(tc, what_would_be_much_is_left_alone);
	tcase_add_test(tc, a_large_one_does_not_take_in_each_small_one);
	tcase_add_test(tc, the_last_one_is_never_merged);
	tcase_add_test(tc, without_its_index_what_is_over_is_counted_late);
	tcase_add_test(tc, what_is_over_and_gone_is_counted_for_nothing);
	tcase_add_test(tc, a_merged_one_is_merged_again);
	tcase_add_test(tc, it_goes_when_nobody_waits_for_it);
	tcase_add_test(tc, who_reads_meanwhile_reads_on);
	tcase_add_test(tc, it_has_an_index_like_any_other);
	tcase_add_test(tc, damage_in_it_is_told_and_costs_itself);
	tcase_add_test(tc, a_damaged_header_of_it_costs_nothing);
	tcase_add_test(tc, what_cannot_be_read_is_not_merged);
	tcase_add_loop_test(tc, a_crash_at_any_step_loses_nothing, 0, 6);
	tcase_add_loop_test(
	    tc, a_disk_that_refuses_any_step_loses_nothing, 0, 7);
	tcase_add_test(tc, many_small_files_become_few);
	tcase_add_loop_test(tc, costs_little_whatever_is_waited_for, 0, 3);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
