/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/store/checkpoint_file.h"

#include <errno.h>
#include <string.h>

#include "broker/store/crc32c.h"
#include "tests/unit/store_sim.h"
#include "tests/unit/unit.h"

#define GENERATION UINT64_C(0x1f)
#define NAME "000000000000001f.checkpoint"

static const struct checkpoint_head head = {
	.generation = GENERATION,
	.sequence = 1001,
	.tag = 1002,
	.next_cursor = 1003,
	.wall_ns = 1004,
};

/* What a reader has been given. */
struct got {
	unsigned count;
	uint64_t bytes;
	uint8_t last_kind;
	uint8_t last[64];
	size_t last_length;
	unsigned stop_at;
};

static int
note(void *context, uint8_t kind, struct slice body)
{
	struct got *got = context;

	got->count++;
	got->last_kind = kind;
	got->last_length = body.len < 64 ? body.len : 64;
	if (body.len != 0)
		memcpy(got->last, body.data, got->last_length);
	return got->count == got->stop_at ? -ECANCELED : 0;
}

static void
note_progress(void *context, uint64_t bytes)
{
	struct got *got = context;

	got->bytes += bytes;
}

static int
read_file(struct store_sim *sim, struct got *got, struct checkpoint_head *out,
    struct checkpoint_flaw *flaw)
{
	const struct checkpoint_each each = {
		.context = got, .record = note, .progress = note_progress
	};
	uint64_t bytes;

	*flaw = (struct checkpoint_flaw){ 0 };
	return checkpoint_file_read(
	    store_sim_io(sim), NAME, &each, out, &bytes, flaw);
}

/* A checkpoint with three records; its size. */
static uint64_t
write_three(struct store_sim *sim)
{
	struct checkpoint_writer *writer;
	uint64_t bytes;

	ck_assert_int_eq(
	    checkpoint_writer_new(store_sim_io(sim), &head, &writer), 0);
	ck_assert_int_eq(checkpoint_writer_put(
			     writer, STORE_SESSION, slice_of_string("first")),
	    0);
	ck_assert_int_eq(
	    checkpoint_writer_put(writer, STORE_BRIDGE, slice_of(NULL, 0)), 0);
	ck_assert_int_eq(checkpoint_writer_put(writer, STORE_RETAINED,
			     slice_of_string("the third")),
	    0);
	ck_assert_int_eq(checkpoint_writer_end(writer, &bytes), 0);
	checkpoint_writer_free(writer);
	return bytes;
}

START_TEST(a_name_is_its_generation_and_nothing_else_is_one)
{
	static const char *const others[] = { "", "1f.checkpoint",
		"000000000000001F.checkpoint", "000000000000001f.checkpoint2",
		"000000000000001f.seg", "+00000000000001f.checkpoint",
		"checkpoint.tmp", "0000000000000000001f.checkpoint" };
	char name[STORE_NAME_MAX];
	uint64_t generation = 0;

	checkpoint_file_name(GENERATION, name);
	ck_assert_str_eq(name, NAME);
	ck_assert(checkpoint_file_name_parse(name, &generation));
	ck_assert_uint_eq(generation, GENERATION);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ck_assert_msg(
		    !checkpoint_file_name_parse(others[i], &generation), "%s",
		    others[i]);
}
END_TEST

START_TEST(what_was_put_comes_back_in_order)
{
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_head got_head = { 0 };
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	uint64_t bytes = write_three(sim);

	ck_assert_uint_eq(bytes, 64 + 4 * 16 + 5 + 9 + 20);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), 0);
	ck_assert_mem_eq(&got_head, &head, sizeof(head));
	ck_assert_uint_eq(got.count, 3);
	ck_assert_uint_eq(got.last_kind, STORE_RETAINED);
	ck_assert_uint_eq(got.last_length, 9);
	ck_assert_mem_eq(got.last, "the third", 9);
	ck_assert_uint_eq(got.bytes, 3 * 16 + 5 + 9);
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_record_may_be_larger_than_any_buffer)
{
	const size_t large = 3000000;
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_writer *writer;
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	uint8_t *body = malloc(large);
	uint64_t bytes;

	memset(body, 'x', large);
	ck_assert_int_eq(
	    checkpoint_writer_new(store_sim_io(sim), &head, &writer), 0);
	for (size_t length = 0; length <= large; length += large / 8)
		ck_assert_int_eq(checkpoint_writer_put(writer, STORE_RETAINED,
				     slice_of(body, length)),
		    0);
	ck_assert_int_eq(checkpoint_writer_end(writer, &bytes), 0);
	checkpoint_writer_free(writer);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), 0);
	ck_assert_uint_eq(got.count, 9);
	ck_assert_uint_gt(got.bytes, large);
	free(body);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_reader_may_stop)
{
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_head got_head = { .generation = 7 };
	struct got got = { .stop_at = 2 };
	struct checkpoint_flaw flaw;

	write_three(sim);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -ECANCELED);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(got_head.generation, 7);
	store_sim_free(sim);
}
END_TEST

START_TEST(no_byte_can_change_and_pass)
{
	struct store_sim *sim = store_sim_new(1);
	uint64_t bytes = write_three(sim);
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	const uint8_t *now;
	size_t size;
	uint8_t byte;

	for (uint64_t at = 0; at < bytes; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct got got = { 0 };

			now = store_sim_bytes(sim, NAME, &size);
			byte = now[at] ^ (uint8_t)(1u << bit);
			store_sim_damage(sim, NAME, at, &byte, 1);
			ck_assert_int_eq(
			    read_file(sim, &got, &got_head, &flaw), -EBADMSG);
			ck_assert_ptr_nonnull(flaw.what);
			ck_assert_uint_le(flaw.offset, at);
			byte ^= (uint8_t)(1u << bit);
			store_sim_damage(sim, NAME, at, &byte, 1);
		}
	store_sim_free(sim);
}
END_TEST

/* As a disk does that puts a sector of the last file in its place. */
START_TEST(a_sound_record_in_a_wrong_place_is_damage)
{
	static const char *const bodies[3] = { "aa", "bb", "cc" };
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_writer *writer;
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	uint8_t records[3][18];
	uint64_t bytes;
	size_t size;

	/* Each time the one record has another body. */
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(
		    checkpoint_writer_new(store_sim_io(sim), &head, &writer),
		    0);
		for (size_t k = 0; k < 3; k++)
			ck_assert_int_eq(
			    checkpoint_writer_put(writer, STORE_SESSION,
				slice_of(bodies[(i + k) % 3], 2)),
			    0);
		ck_assert_int_eq(checkpoint_writer_end(writer, &bytes), 0);
		checkpoint_writer_free(writer);
		memcpy(records[i], store_sim_bytes(sim, NAME, &size) + 64, 18);
	}
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), 0);
	store_sim_damage(sim, NAME, 64, records[0], 18);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -EBADMSG);
	ck_assert_str_eq(flaw.what, "its end does not match");
	store_sim_damage(sim, NAME, 64, records[2], 18);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), 0);
	store_sim_damage(sim, NAME, 64 + 18, records[2], 18);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -EBADMSG);
	ck_assert_uint_eq(flaw.offset, 64 + 18);
	store_sim_free(sim);
}
END_TEST

START_TEST(a_file_of_any_other_size_is_damaged)
{
	struct store_sim *sim = store_sim_new(1), *other;
	const struct store_io *io = store_sim_io(sim);
	uint64_t bytes = write_three(sim);
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	int file;

	for (uint64_t size = 0; size < bytes; size++) {
		other = store_sim_clone(sim);
		store_sim_shorten(other, NAME, size);
		ck_assert_int_eq(
		    read_file(other, &got, &got_head, &flaw), -EBADMSG);
		ck_assert_uint_eq(store_sim_open_files(other), 0);
		store_sim_free(other);
	}
	file = io->open(io->context, NAME, STORE_OPEN_WRITE);
	ck_assert_int_eq(io->write(io->context, file, "", 1, bytes), 0);
	io->close(io->context, file);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -EBADMSG);
	ck_assert_str_eq(flaw.what, "something is behind its end");
	store_sim_free(sim);
}
END_TEST

START_TEST(a_file_of_a_newer_version_is_told_from_a_damaged_one)
{
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	uint8_t header[64];
	uint32_t crc;
	size_t size;

	write_three(sim);
	memcpy(header, store_sim_bytes(sim, NAME, &size), sizeof(header));
	header[8] = CHECKPOINT_FILE_VERSION + 1;
	memset(header + 12, 0, 4);
	crc = htole32(crc32c(0, header, sizeof(header)));
	memcpy(header + 12, &crc, 4);
	store_sim_damage(sim, NAME, 0, header, sizeof(header));
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -ENOTSUP);
	ck_assert_uint_eq(got.count, 0);
	store_sim_free(sim);
}
END_TEST

START_TEST(what_cannot_be_read_is_damaged)
{
	struct store_sim *sim = store_sim_new(1);
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };

	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -EBADMSG);
	ck_assert_str_eq(flaw.what, "it cannot be opened");
	write_three(sim);
	store_sim_fail(sim, STORE_SIM_READ, 0, -EIO, false);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), -EBADMSG);
	ck_assert_str_eq(flaw.what, "it cannot be read");
	ck_assert_uint_eq(store_sim_open_files(sim), 0);
	store_sim_free(sim);
}
END_TEST

/* One that failed leaves nothing, and does not hinder the next. */
START_TEST(a_failure_at_any_step_leaves_no_file)
{
	static const enum store_sim_call steps[] = { STORE_SIM_OPEN,
		STORE_SIM_WRITE, STORE_SIM_SYNC, STORE_SIM_RENAME };
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct checkpoint_writer *writer;
	uint64_t bytes = 0;
	int err;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		store_sim_fail(sim, steps[i], 0, -EIO, false);
		writer = NULL;
		err = checkpoint_writer_new(io, &head, &writer);
		if (err == 0)
			err = checkpoint_writer_end(writer, &bytes);
		ck_assert_int_eq(err, -EIO);
		checkpoint_writer_free(writer);
		ck_assert_ptr_null(store_sim_name(sim, 0));
		ck_assert_uint_eq(store_sim_open_files(sim), 0);
	}
	write_three(sim);
	ck_assert_str_eq(store_sim_name(sim, 0), NAME);
	ck_assert_ptr_null(store_sim_name(sim, 1));
	store_sim_free(sim);
}
END_TEST

/* Whatever a power cut leaves: with that name it is whole. */
START_TEST(a_power_cut_at_any_step_leaves_all_or_nothing)
{
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct store_sim *sim;
	struct checkpoint_writer *writer;
	bool ended = false;
	uint64_t bytes;
	int err;

	for (uint64_t nth = 0; !ended; nth++) {
		struct got got = { 0 };

		ck_assert_uint_lt(nth, 100);
		sim = store_sim_new(nth * 64 + (uint64_t)_i);
		store_sim_cut_at(sim, nth, STORE_SIM_LOSE_SOME);
		writer = NULL;
		err = checkpoint_writer_new(store_sim_io(sim), &head, &writer);
		if (err == 0)
			err = checkpoint_writer_put(
			    writer, STORE_SESSION, slice_of_string("x"));
		if (err == 0)
			err = checkpoint_writer_end(writer, &bytes);
		checkpoint_writer_free(writer);
		ended = !store_sim_is_off(sim);
		if (ended)
			store_sim_cut(sim, STORE_SIM_LOSE_ALL);
		else
			store_sim_power_on(sim);
		if (read_file(sim, &got, &got_head, &flaw) == 0)
			ck_assert_uint_eq(got.count, 1);
		else {
			ck_assert_int_ne(err, 0);
			ck_assert_str_eq(flaw.what, "it cannot be opened");
		}
		store_sim_free(sim);
	}
}
END_TEST

START_TEST(what_a_dead_keeper_left_is_overwritten)
{
	struct store_sim *sim = store_sim_new(1);
	const struct store_io *io = store_sim_io(sim);
	struct checkpoint_writer *writer;
	struct checkpoint_head got_head;
	struct checkpoint_flaw flaw;
	struct got got = { 0 };
	int file;

	file =
	    io->open(io->context, CHECKPOINT_FILE_TEMPORARY, STORE_OPEN_CREATE);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(
	    io->write(io->context, file, "something long", 14, 1000), 0);
	io->close(io->context, file);
	write_three(sim);
	ck_assert_int_eq(read_file(sim, &got, &got_head, &flaw), 0);
	ck_assert_int_eq(checkpoint_writer_new(io, &head, &writer), 0);
	checkpoint_writer_free(writer);
	ck_assert_str_eq(store_sim_name(sim, 0), NAME);
	ck_assert_ptr_null(store_sim_name(sim, 1));
	store_sim_free(sim);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("checkpoint_file");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, a_name_is_its_generation_and_nothing_else_is_one);
	tcase_add_test(tc, what_was_put_comes_back_in_order);
	tcase_add_test(tc, a_record_may_be_larger_than_any_buffer);
	tcase_add_test(tc, a_reader_may_stop);
	tcase_add_test(tc, no_byte_can_change_and_pass);
	tcase_add_test(tc, a_sound_record_in_a_wrong_place_is_damage);
	tcase_add_test(tc, a_file_of_any_other_size_is_damaged);
	tcase_add_test(
	    tc, a_file_of_a_newer_version_is_told_from_a_damaged_one);
	tcase_add_test(tc, what_cannot_be_read_is_damaged);
	tcase_add_test(tc, a_failure_at_any_step_leaves_no_file);
	tcase_add_loop_test(
	    tc, a_power_cut_at_any_step_leaves_all_or_nothing, 0, 16);
	tcase_add_test(tc, what_a_dead_keeper_left_is_overwritten);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
