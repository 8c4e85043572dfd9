/* SPDX-License-Identifier: Apache-2.0 */

#include "common/base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/unit/unit.h"

START_TEST(refuses_sizes_that_make_no_sense)
{
	struct pool pool;

	ck_assert_int_eq(pool_init(&pool, 0, 1, 1), -EINVAL);
	ck_assert_int_eq(pool_init(&pool, 8, 0, 0), -EINVAL);
	ck_assert_int_eq(pool_init(&pool, 8, 2, 1), -EINVAL);
}
END_TEST

START_TEST(gives_no_more_than_its_maximum)
{
	struct pool pool;
	void *object[3];

	ck_assert_int_eq(pool_init(&pool, 100, 1, 3), 0);
	for (int i = 0; i < 3; i++) {
		object[i] = pool_take(&pool);
		ck_assert_ptr_nonnull(object[i]);
		ck_assert_uint_eq((uintptr_t)object[i] % 16, 0);
		memset(object[i], i, 100);
	}
	ck_assert_ptr_null(pool_take(&pool));
	ck_assert_uint_eq(pool_refused(&pool), 1);
	ck_assert_uint_eq(pool_in_use(&pool), 3);
	pool_put(&pool, object[1]);
	ck_assert_ptr_eq(pool_take(&pool), object[1]);
	for (int i = 0; i < 3; i++)
		pool_put(&pool, object[i]);
	pool_put(&pool, NULL);
	ck_assert_uint_eq(pool_in_use(&pool), 0);
	pool_fini(&pool);
}
END_TEST

struct return_job {
	struct pool *pool;
	uint32_t *objects[1000];
	unsigned count;
};

static void *
return_all(void *arg)
{
	struct return_job *job = arg;

	for (unsigned i = 0; i < job->count; i++)
		pool_put(job->pool, job->objects[i]);
	return NULL;
}

/* The promise: never one object twice, none lost, whoever puts. */
START_TEST(lends_each_object_once_whoever_puts_it_back)
{
	struct return_job jobs[2];
	pthread_t threads[2];
	struct pool pool;
	uint32_t *object, stamp = 0;

	ck_assert_int_eq(pool_init(&pool, sizeof(uint32_t), 10, 2000), 0);
	for (int round = 0; round < 50; round++) {
		for (int t = 0; t < 2; t++) {
			jobs[t] = (struct return_job){ .pool = &pool };
			while (jobs[t].count < 1000) {
				object = pool_take(&pool);
				ck_assert_ptr_nonnull(object);
				*object = stamp++;
				jobs[t].objects[jobs[t].count++] = object;
			}
		}
		ck_assert_ptr_null(pool_take(&pool));
		for (int t = 0; t < 2; t++)
			for (unsigned i = 0; i < 1000; i++)
				ck_assert_uint_eq(*jobs[t].objects[i],
				    stamp - 2000 + 1000 * t + i);
		for (int t = 0; t < 2; t++)
			pthread_create(&threads[t], NULL, return_all, &jobs[t]);
		for (int t = 0; t < 2; t++)
			pthread_join(threads[t], NULL);
		ck_assert_uint_eq(pool_in_use(&pool), 0);
	}
	pool_fini(&pool);
}
END_TEST

/* A burst of 4000, of which one stays. */
START_TEST(gives_back_what_a_burst_took)
{
	enum {
		BURST = 4000
	};
	char *objects[BURST];
	struct pool pool;

	ck_assert_int_eq(pool_init(&pool, 1024, 4, BURST), 0);
	for (int i = 0; i < BURST; i++) {
		objects[i] = pool_take(&pool);
		ck_assert_ptr_nonnull(objects[i]);
		memset(objects[i], i, 1024);
	}
	ck_assert_uint_eq(pool_trim(&pool), 0);
	for (int i = 0; i < BURST; i++)
		if (i != 777)
			pool_put(&pool, objects[i]);
	/* So many were in use since the last call: they may be again. */
	ck_assert_uint_eq(pool_trim(&pool), 0);
	ck_assert_uint_ge(pool_trim(&pool), (BURST - 200) * 1024);
	ck_assert_uint_eq(pool_trim(&pool), 0);
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(objects[777][i], (char)777);
	pool_put(&pool, objects[777]);
	pool_trim(&pool);
	pool_trim(&pool);

	/* And grows again. */
	for (int i = 0; i < BURST; i++) {
		objects[i] = pool_take(&pool);
		ck_assert_ptr_nonnull(objects[i]);
	}
	ck_assert_ptr_null(pool_take(&pool));
	pool_fini(&pool);
}
END_TEST

/* What another thread puts back is not forgotten. */
START_TEST(gives_back_what_others_returned)
{
	struct return_job job = { .count = 1000 };
	struct pool pool;
	pthread_t thread;

	ck_assert_int_eq(pool_init(&pool, 1024, 0, 1000), 0);
	job.pool = &pool;
	for (unsigned i = 0; i < job.count; i++)
		job.objects[i] = pool_take(&pool);
	pthread_create(&thread, NULL, return_all, &job);
	pthread_join(thread, NULL);
	pool_trim(&pool);
	ck_assert_uint_ge(pool_trim(&pool), 1000 * 1024);
	ck_assert_uint_eq(pool.total, 0);
	pool_fini(&pool);
}
END_TEST

START_TEST(knows_the_most_that_were_lent)
{
	struct pool_level level = { 0 };
	struct pool pool;
	void *objects[20];

	ck_assert_int_eq(pool_init(&pool, 1000, 1, 20), 0);
	for (int i = 0; i < 20; i++)
		objects[i] = pool_take(&pool);
	for (int i = 0; i < 19; i++)
		pool_put(&pool, objects[i]);
	/* Twice: the first one keeps what was wanted in between. */
	pool_trim(&pool);
	pool_trim(&pool);
	pool_level_add(&level, &pool);
	ck_assert_uint_eq(level.in_use, 1);
	ck_assert_uint_eq(level.most, 20);
	ck_assert_uint_ge(level.size, 1);
	pool_level_add(&level, &pool);
	ck_assert_uint_eq(level.most, 40);
	pool_put(&pool, objects[19]);
	pool_fini(&pool);
}
END_TEST

START_TEST(takes_objects_larger_than_a_page)
{
	struct pool pool;
	char *object;

	ck_assert_int_eq(pool_init(&pool, 100000, 1, 20), 0);
	for (int i = 0; i < 20; i++) {
		object = pool_take(&pool);
		ck_assert_ptr_nonnull(object);
		memset(object, i, 100000);
	}
	ck_assert_ptr_null(pool_take(&pool));
	pool_fini(&pool);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pool");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, refuses_sizes_that_make_no_sense);
	tcase_add_test(tc, gives_no_more_than_its_maximum);
	tcase_add_test(tc, lends_each_object_once_whoever_puts_it_back);
	tcase_add_test(tc, gives_back_what_a_burst_took);
	tcase_add_test(tc, gives_back_what_others_returned);
	tcase_add_test(tc, knows_the_most_that_were_lent);
	tcase_add_test(tc, takes_objects_larger_than_a_page);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
