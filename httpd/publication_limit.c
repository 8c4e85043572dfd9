/* SPDX-License-Identifier: Apache-2.0 */

/* What was turned away for a limit: how it is counted, told and explained. */

#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"
#include "httpd/lanes.h"
#include "httpd/publication.h"
#include "httpd/refusal.h"

struct lack {
	enum counter counter;
	const char *limit;
	const char *text; /* with the holder behind it */
};

static const struct lack lacks[PENDING_RESULTS] = {
	[PENDING_NO_CREDIT] = { COUNT_refused_credit_messages,
	    "http.stall_timeout", "no credit within http.stall_timeout" },
	[PENDING_NO_STALLED_PLACE] = { COUNT_refused_stalled_messages,
	    "http.max_stalled", "http.max_stalled requests wait already" },
	[PENDING_NO_STALLED_BYTES] = { COUNT_refused_stalled_messages,
	    "http.max_stalled_bytes", "http.max_stalled_bytes wait already" },
	[PENDING_NO_PLACE] = { COUNT_refused_pending_messages,
	    "http.max_pending", "http.max_pending messages wait already" },
};

bool
publication_is_lack(enum pending_result result)
{
	return lacks[result].limit != NULL;
}

/* By this limit; `text` may be NULL where no more is known. */
static struct publish_status
no_room(struct publisher *publisher, struct publication *publication,
    uint32_t slot, const char *limit, const char *text)
{
	const struct publisher_ports *ports = &publisher->ports;
	struct lanes_slot *lane = lanes_get(ports->lanes, slot);
	char holder[128] = "weir-broker";

	if (lane != NULL) {
		lane->refused++;
		lanes_holder(lane, holder, sizeof(holder));
	}
	snprintf(publication->detail, sizeof(publication->detail),
	    "%s%s%s has no room for this message", text == NULL ? "" : text,
	    text == NULL ? "" : ": ", holder);
	publication_names_limit(publication, limit, slot);
	return (struct publish_status){ 429, 429,
		ports->retry_after_s(ports->context, slot),
		publication->detail };
}

struct publish_status
publication_lack(struct publisher *publisher, struct publication *publication,
    const struct pending_outcome *outcome)
{
	const struct lack *lack = &lacks[outcome->result];

	publisher_count(publisher, COUNT_refused_messages);
	publisher_count(publisher, lack->counter);
	return no_room(
	    publisher, publication, outcome->lane, lack->limit, lack->text);
}

struct publish_status
publication_overflow(
    struct publisher *publisher, struct publication *publication, uint32_t lane)
{
	return no_room(publisher, publication, lane, "overflow", NULL);
}

void
publication_names_limit(
    struct publication *publication, const char *limit, uint32_t lane)
{
	if (publication->first_failure.status != 0)
		return;
	snprintf(publication->limit, sizeof(publication->limit), "%s", limit);
	publication->lane = lane;
}

/* "weirctl why cloud": of the first bridge of the set. */
static void
explain(const struct lanes_slot *lane, char *out, size_t size)
{
	int length = (int)strcspn(lane->set, "+");

	if (length == 0 || lane->set[0] == '*')
		snprintf(out, size, "weirctl why");
	else
		snprintf(out, size, "weirctl why %.*s", length, lane->set);
}

void
publication_answer_limit(
    struct publisher *publisher, struct publication *publication)
{
	const struct publish_status *failure = &publication->first_failure;
	const struct lanes_slot *lane = NULL;
	struct refusal refusal = { .status = failure->status,
		.retry_after_s = failure->retry_after_s,
		.message = failure->message,
		.limit = publication->limit };
	char holder[128], command[RING_NAME_MAX + 16];

	if (publication->lane != PUBLICATION_NO_LANE)
		lane = lanes_get(publisher->ports.lanes, publication->lane);
	if (lane != NULL) {
		lanes_holder(lane, holder, sizeof(holder));
		explain(lane, command, sizeof(command));
		refusal.held_by = holder;
		refusal.explain = command;
	}
	refusal_answer(publication->request, &refusal);
}
