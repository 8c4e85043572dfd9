/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fuzz_record - the bodies of records in the rings: messages, credentials,
 * dead letters, answers.  The first byte says which; what can be read is
 * written again, and is the same bytes but for those that are reserved.
 */

#include <errno.h>
#include <stdlib.h>

#include "common/msg/record.h"
#include "tests/fuzz/fuzz.h"

static unsigned
touch(struct slice bytes)
{
	unsigned sum = 0;

	for (size_t i = 0; i < bytes.len; i++)
		sum += bytes.data[i];
	return sum;
}

/* What can be said with the first bytes alone is the same. */
static void
peek(const uint8_t *body, size_t size, const struct record_message *whole)
{
	struct record_message part;
	uint8_t *copy;

	for (size_t have = 0; have <= size; have += 1 + size / 7) {
		copy = malloc(have == 0 ? 1 : have);
		memcpy(copy, body, have);
		if (record_message_peek(copy, have, size, &part) == 0) {
			require(slice_equal(part.topic, whole->topic));
			require(part.payload.len == whole->payload.len);
			require(part.properties.len == whole->properties.len);
			if (part.properties.data != NULL)
				touch(part.properties);
			if (part.payload.data != NULL)
				touch(part.payload);
		}
		free(copy);
	}
}

static void
message(const uint8_t *body, size_t size)
{
	struct record_message parsed, again;
	uint8_t *copy;
	size_t prefix;

	if (record_message_parse(body, size, &parsed) != 0)
		return;
	touch(parsed.topic);
	touch(parsed.properties);
	touch(parsed.payload);
	require(record_message_size(&parsed) == size);
	copy = malloc(size);
	record_message_write(&parsed, copy);
	require(record_message_parse(copy, size, &again) == 0);
	require(again.qos == parsed.qos && again.retain == parsed.retain);
	require(again.expiry_s == parsed.expiry_s);
	require(slice_equal(again.topic, parsed.topic));
	require(slice_equal(again.properties, parsed.properties));
	require(slice_equal(again.payload, parsed.payload));
	prefix = record_message_prefix(&parsed, copy, size);
	require(prefix == size - parsed.payload.len);
	free(copy);
	peek(body, size, &parsed);
}

static void
credentials(const uint8_t *body, size_t size)
{
	struct record_auth parsed, again;
	uint8_t *copy;

	if (record_auth_parse(body, size, &parsed) != 0)
		return;
	touch(parsed.user);
	touch(parsed.password);
	touch(parsed.address);
	require(record_auth_size(&parsed) == size);
	copy = malloc(size);
	record_auth_write(&parsed, copy);
	require(record_auth_parse(copy, size, &again) == 0);
	require(again.kind == parsed.kind);
	require(slice_equal(again.user, parsed.user));
	require(slice_equal(again.password, parsed.password));
	require(slice_equal(again.address, parsed.address));
	free(copy);
}

static void
dead_letter(const uint8_t *body, size_t size)
{
	struct record_dead parsed, again;
	uint8_t *copy;

	if (record_dead_parse(body, size, &parsed) != 0)
		return;
	touch(parsed.why);
	touch(parsed.message);
	message(parsed.message.data, parsed.message.len);
	require(record_dead_size(&parsed) == size);
	copy = malloc(size);
	record_dead_write(&parsed, copy);
	require(record_dead_parse(copy, size, &again) == 0);
	require(again.attempts == parsed.attempts);
	require(again.sequence == parsed.sequence);
	require(again.journal == parsed.journal);
	require(again.wall_ns == parsed.wall_ns);
	require(slice_equal(again.message, parsed.message));
	free(copy);
}

static void
answers(const uint8_t *body, size_t size)
{
	struct record_auth_result result;
	struct record_answer answer;

	require((record_answer_parse(body, size, &answer) == 0) ==
	    (size == sizeof(answer)));
	if (record_auth_result_parse(body, size, &result) == 0)
		require(memchr(result.name, '\0', sizeof(result.name)) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 2)
		return 0;
	/* Records begin where any type may. */
	copy = malloc(size - 1);
	memcpy(copy, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		message(copy, size - 1);
		break;
	case 1:
		credentials(copy, size - 1);
		break;
	case 2:
		dead_letter(copy, size - 1);
		break;
	default:
		answers(copy, size - 1);
		break;
	}
	free(copy);
	return 0;
}
