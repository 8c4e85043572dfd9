/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/claims.h"

#include "bridged/inflight.h"
#include "common/base/bug.h"

bool
claims_has(const struct claims *claims, uint64_t sequence)
{
	return notes_is_claimed(claims->notes, sequence);
}

static void
begin(struct claims *claims, uint64_t first, uint64_t last, bool is_noted)
{
	BUG_ON(claims->is_busy || first > last);
	claims->first = claims->next = first;
	claims->last = last;
	claims->waiting = 0;
	claims->is_busy = true;
	claims->is_noted = is_noted;
}

void
claims_begin(struct claims *claims, uint64_t sequence)
{
	uint64_t first = notes_claimed(claims->notes) + 1;

	/* Leave no small gap, or the round would never be complete. */
	if (sequence - first > CLAIMS_BLOCK)
		first = sequence;
	begin(claims, first, sequence + CLAIMS_BLOCK - 1, true);
}

void
claims_end_lost(struct claims *claims, uint64_t first, uint64_t last)
{
	begin(claims, first, last, false);
}

int
claims_work(struct claims *claims)
{
	int err;

	while (claims->is_busy && claims->next <= claims->last) {
		err = claims->kind->end(
		    claims->remote, inflight_id(claims->next));
		if (err != 0)
			return err;
		claims->next++;
		claims->waiting++;
	}
	return 0;
}

void
claims_ended(struct claims *claims)
{
	if (!claims->is_busy || claims->waiting == 0)
		return;
	claims->waiting--;
	if (claims->waiting != 0 || claims->next <= claims->last)
		return;
	claims->is_busy = false;
	if (claims->is_noted)
		notes_claim(
		    claims->notes, claims->first, claims->last, INFLIGHT_IDS);
}

void
claims_down(struct claims *claims)
{
	claims->is_busy = false;
}
