/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/claims.h"

#include "broker/backlog.h"
#include "broker/commit.h"

struct claim {
	uint64_t ticket;
	uint64_t bridges;
	uint64_t offered;
	size_t weight;
};

bool
claims_reserve(struct claims *claims)
{
	return fifo_reserve(&claims->list, sizeof(struct claim)) == 0;
}

void
claims_add(struct claims *claims, uint64_t ticket, uint64_t bridges,
    uint64_t offered, size_t weight)
{
	struct claim *claim;

	if (bridges == 0)
		return;
	claim = fifo_add(&claims->list, sizeof(*claim));
	*claim = (struct claim){ ticket, bridges, offered, weight };
}

void
claims_settled(struct claims *claims, struct backlogs *backlogs,
    const struct commit_letter *letter,
    void (*failed)(void *context, uint64_t offered), void *context)
{
	const struct claim *claim;

	while (claims->list.count != 0) {
		claim = fifo_at(&claims->list, sizeof(*claim), 0);
		if (claim->ticket > letter->last_ticket)
			return;
		if (letter->reason != MQTT_SUCCESS) {
			backlog_withdraw(
			    backlogs, claim->bridges, claim->weight);
			failed(context, claim->offered);
		}
		fifo_drop_first(&claims->list);
	}
}

void
claims_fini(struct claims *claims)
{
	fifo_fini(&claims->list);
}
