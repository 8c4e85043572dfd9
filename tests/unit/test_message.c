/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/message.h"

#include <pthread.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct message *
make(struct message_pools *pools, size_t payload_length)
{
	static uint8_t payload[100000];
	const struct message_parts parts = {
		.topic = slice_of_string("a/b"),
		.properties = slice_of("\x01\x01", 2),
		.payload = slice_of(payload, payload_length),
		.qos = 1,
		.retain = true,
		.link = MESSAGE_FROM_MQTT,
		.sequence = 7,
		.expires_ns = UINT64_MAX,
	};

	memset(payload, 'x', payload_length);
	return message_new(pools, &parts);
}

START_TEST(keeps_a_copy_of_all_parts)
{
	struct message_pools *pools = message_pools_new();
	struct message *message = make(pools, 5);

	ck_assert(slice_equal_string(message_topic(message), "a/b"));
	ck_assert(
	    slice_equal(message_properties(message), slice_of("\x01\x01", 2)));
	ck_assert(slice_equal_string(message_payload(message), "xxxxx"));
	ck_assert_uint_eq(message->qos, 1);
	ck_assert(message->retain);
	ck_assert_uint_eq(message->sequence, 7);
	ck_assert_uint_eq(message_weight(message), 128 + 3 + 2 + 5);
	message_put(message);
	message_pools_free(pools);
}
END_TEST

START_TEST(takes_payloads_of_any_size)
{
	static const size_t sizes[] = { 0, 1, 30, 31, 100, 1000, 2000, 5000,
		99999 };
	struct message_pools *pools = message_pools_new();
	struct message *message;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		message = make(pools, sizes[i]);
		ck_assert_uint_eq(message->payload_length, sizes[i]);
		if (sizes[i] != 0)
			ck_assert_uint_eq(
			    message_payload(message).data[sizes[i] - 1], 'x');
		message_put(message);
	}
	message_pools_free(pools);
}
END_TEST

START_TEST(lives_until_its_last_holder_puts_it)
{
	struct message_pools *pools = message_pools_new();
	struct message *first = make(pools, 5), *second;

	ck_assert_ptr_eq(message_take(first), first);
	message_put(first);
	second = make(pools, 5);
	ck_assert_ptr_ne(second, first);
	ck_assert(slice_equal_string(message_payload(first), "xxxxx"));
	message_put(first);
	message_put(second);
	message_pools_free(pools);
}
END_TEST

START_TEST(gives_its_memory_to_the_next_one)
{
	struct message_pools *pools = message_pools_new();
	struct message *first = make(pools, 5), *second;

	message_put(first);
	second = make(pools, 6);
	ck_assert_ptr_eq(second, first);
	message_put(second);
	message_put(NULL);
	message_pools_free(pools);
}
END_TEST

static void *
put_all(void *arg)
{
	struct message **list = arg;

	for (int i = 0; i < 1000; i++)
		message_put(list[i]);
	return NULL;
}

START_TEST(may_be_put_by_several_threads)
{
	struct message_pools *pools = message_pools_new();
	struct message *list[1000];
	pthread_t threads[3];

	for (int i = 0; i < 1000; i++) {
		list[i] = make(pools, (size_t)i * 3);
		message_take(list[i]);
		message_take(list[i]);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, put_all, list), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* pool_fini() aborts if one is still in use. */
	message_pools_free(pools);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("message");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, keeps_a_copy_of_all_parts);
	tcase_add_test(tc, takes_payloads_of_any_size);
	tcase_add_test(tc, lives_until_its_last_holder_puts_it);
	tcase_add_test(tc, gives_its_memory_to_the_next_one);
	tcase_add_test(tc, may_be_put_by_several_threads);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
