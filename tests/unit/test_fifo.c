/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/fifo.h"

#include "tests/unit/unit.h"

struct item {
	uint64_t number;
	uint8_t odd[3];
};

static struct fifo fifo;

static void
add(uint64_t number)
{
	struct item *item;

	ck_assert_int_eq(fifo_reserve(&fifo, sizeof(*item)), 0);
	item = fifo_add(&fifo, sizeof(*item));
	*item = (struct item){ .number = number };
}

static uint64_t
number_at(uint32_t i)
{
	return ((struct item *)fifo_at(&fifo, sizeof(struct item), i))->number;
}

START_TEST(gives_back_in_order_whatever_its_turn)
{
	uint64_t in = 0, out = 0;

	/* Wider and wider, so that it grows at each place of its circle. */
	for (uint32_t width = 1; width <= 100; width++) {
		while (fifo.count < width)
			add(in++);
		for (uint32_t i = 0; i < fifo.count; i++)
			ck_assert_uint_eq(number_at(i), out + i);
		for (uint32_t i = 0; i < (width + 1) / 2; i++) {
			ck_assert_uint_eq(number_at(0), out++);
			fifo_drop_first(&fifo);
		}
	}
	ck_assert_uint_eq(fifo.count, in - out);
	fifo_fini(&fifo);
}
END_TEST

START_TEST(goes_on_when_its_count_of_items_wraps)
{
	add(1);
	add(2);
	fifo.first = UINT32_MAX - 1;
	((struct item *)fifo_at(&fifo, sizeof(struct item), 0))->number = 1;
	((struct item *)fifo_at(&fifo, sizeof(struct item), 1))->number = 2;
	for (uint64_t i = 3; i < 50; i++) {
		add(i);
		ck_assert_uint_eq(number_at(0), i - 2);
		fifo_drop_first(&fifo);
	}
	ck_assert_uint_eq(fifo.size, 8);
	fifo_fini(&fifo);
}
END_TEST

START_TEST(has_memory_from_the_first_item_until_its_end)
{
	ck_assert_ptr_null(fifo.items);
	add(1);
	ck_assert_ptr_nonnull(fifo.items);
	fifo_fini(&fifo);
	ck_assert_ptr_null(fifo.items);
	ck_assert_uint_eq(fifo.count, 0);
	ck_assert_uint_eq(fifo.size, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fifo");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, gives_back_in_order_whatever_its_turn);
	tcase_add_test(tcase, goes_on_when_its_count_of_items_wraps);
	tcase_add_test(tcase, has_memory_from_the_first_item_until_its_end);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
