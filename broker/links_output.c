/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_output.h"

#include "broker/links_private.h"
#include "common/base/bug.h"

bool
links_output_has_room(
    struct links_output *output, size_t length, const void *who)
{
	if (output->producer == NULL || output->is_awaited)
		return false;
	if (output->waiter != NULL && output->waiter != who)
		return false;
	return ring_producer_has_room(output->producer, length);
}

void
links_output_lacks(
    struct links_output *output, uint64_t now_ns, const void *who)
{
	if (output->lacking_since_ns == 0)
		output->lacking_since_ns = now_ns;
	if (output->producer != NULL)
		ring_producer_stall(output->producer, now_ns);
	if (output->waiter == NULL)
		output->waiter = who;
}

void
links_output_forget_waiter(struct links *links, const void *who)
{
	struct links_output *output;

	for (uint32_t i = 0; i < RING_LINKS; i++) {
		if (links->endpoints[i] == NULL)
			continue;
		output = &links->endpoints[i]->output;
		if (output->waiter == who)
			output->waiter = NULL;
	}
}

void *
links_output_claim(struct links_output *output, size_t length)
{
	void *body = NULL;
	int err;

	err = ring_claim(output->producer, length, &body);
	BUG_ON(err != 0); /* has_room() said that there is room */
	return body;
}

void
links_output_put(struct links_output *output, const struct ring_record *record)
{
	ring_put(output->producer, record);
	output->waiter = NULL;
	output->lacking_since_ns = 0;
}

bool
links_output_has(const struct links_output *output, uint32_t link,
    uint32_t lane, uint64_t sequence)
{
	return output->forward != NULL &&
	    ring_forward_has(output->forward, link, lane, sequence);
}

bool
links_output_commit(struct links_output *output, uint64_t now_ns)
{
	if (output->producer == NULL)
		return false;
	if (output->forward != NULL)
		ring_forward_fill(
		    output->forward, ring_producer_next_head(output->producer));
	return ring_commit(output->producer, now_ns);
}
