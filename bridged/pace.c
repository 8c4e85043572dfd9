/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/pace.h"

void
pace_change(struct pace *pace, const struct conf_rate *rate, uint64_t now_ns)
{
	/* A bucket whose limit was taken off is full when it comes back. */
	if (!pace->limits_messages)
		pace->messages = (struct token_bucket){ 0 };
	if (!pace->limits_bytes)
		pace->bytes = (struct token_bucket){ 0 };
	pace->limits_messages =
	    token_bucket_change(&pace->messages, (uint32_t)rate->per_second,
		(uint32_t)rate->burst, now_ns) == 0;
	pace->limits_bytes =
	    token_bucket_change(&pace->bytes, (uint32_t)rate->bytes_per_second,
		(uint32_t)rate->bytes_burst, now_ns) == 0;
	pace->bytes_burst = (uint32_t)rate->bytes_burst;
	pace->until_ns = 0;
}

static uint32_t
price(const struct pace *pace, size_t bytes)
{
	return bytes < pace->bytes_burst ? (uint32_t)bytes : pace->bytes_burst;
}

bool
pace_take(struct pace *pace, size_t bytes, uint64_t now_ns)
{
	uint64_t wait_ns = 0, more_ns = 0;

	if (pace->limits_messages)
		wait_ns = token_bucket_wait(&pace->messages, 1, now_ns);
	if (pace->limits_bytes)
		more_ns =
		    token_bucket_wait(&pace->bytes, price(pace, bytes), now_ns);
	if (more_ns > wait_ns)
		wait_ns = more_ns;
	pace->until_ns = wait_ns == 0 ? 0 : now_ns + wait_ns;
	if (wait_ns != 0)
		return false;
	if (pace->limits_messages)
		token_bucket_take(&pace->messages, 1, now_ns);
	if (pace->limits_bytes)
		token_bucket_take(&pace->bytes, price(pace, bytes), now_ns);
	return true;
}

void
pace_give(struct pace *pace, size_t bytes)
{
	if (pace->limits_messages)
		token_bucket_give(&pace->messages, 1);
	if (pace->limits_bytes)
		token_bucket_give(&pace->bytes, price(pace, bytes));
}
