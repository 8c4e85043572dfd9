/* SPDX-License-Identifier: Apache-2.0 */

/* Messages: what pending holds, lanes choose and link carries. */

#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/service/service.h"
#include "httpd/counters.h"
#include "httpd/httpd.h"
#include "httpd/publication.h"
#include "httpd/wiring.h"

/* Lanes are slots to pending and rings to link. */
static int
put(void *context, uint32_t slot, const struct record_message *message,
    uint64_t identity, uint64_t correlation, uint64_t read_ns)
{
	struct httpd *httpd = context;
	struct lanes_slot *lane = lanes_get(httpd->lanes, slot);
	int err;

	if (lane->state == LANES_CLOSED) {
		lane->state = LANES_ASKED;
		link_open_lane(httpd->link, lane->set);
	}
	if (lane->state != LANES_OPEN)
		return -EAGAIN;
	err = link_put_message(httpd->link, lane->ring_lane, message, identity,
	    correlation, read_ns);
	if (err == 0)
		lane->messages++;
	return err;
}

static bool
has_room(void *context, uint32_t slot, size_t length)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	return lane->state == LANES_OPEN &&
	    link_has_room(httpd->link, lane->ring_lane, length);
}

static void
unstalled(void *context, uint32_t slot)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	if (lane->state == LANES_OPEN)
		link_unstall(httpd->link, lane->ring_lane);
}

static void
count_for(struct httpd *httpd, uint32_t slot, enum tally_term term)
{
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	if (lane != NULL)
		tally_count(&httpd->tally, lane->set, term);
}

static void
offered(void *context, uint32_t slot)
{
	count_for(context, slot, TALLY_OFFERED);
}

static void
rerouted(void *context, uint32_t from, uint32_t to)
{
	count_for(context, from, TALLY_WITHDRAWN);
	count_for(context, to, TALLY_OFFERED);
}

static enum tally_term
term_of(const struct pending_outcome *outcome)
{
	if (outcome->result == PENDING_UNKNOWN)
		return TALLY_UNKNOWN;
	return outcome->result == PENDING_ANSWERED &&
		outcome->answer.code < 0x80
	    ? TALLY_ACCEPTED
	    : TALLY_REFUSED;
}

static uint32_t
lane_of(void *context, struct slice topic)
{
	struct httpd *httpd = context;

	return lanes_find(httpd->lanes, topic);
}

static void
settled(void *context, void *owner, uint32_t index,
    const struct pending_outcome *outcome)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, outcome->lane);

	if (publication_is_lack(outcome->result) && lane->state == LANES_OPEN)
		link_count_refused(httpd->link, lane->ring_lane);
	count_for(httpd, outcome->lane, term_of(outcome));
	publisher_settled(httpd->publisher, owner, index, outcome);
}

const struct pending_ops wiring_pending = {
	.put = put,
	.offered = offered,
	.rerouted = rerouted,
	.has_room = has_room,
	.unstalled = unstalled,
	.lane_of = lane_of,
	.settled = settled,
};

static void
on_up(void *context, uint64_t epoch, uint32_t receipts, bool is_same)
{
	struct httpd *httpd = context;

	identity_flush(httpd->identity, loop_now_ns(httpd->loop));
	asks_flush(httpd->asks);
	tally_attach(&httpd->tally, link_notes(httpd->link));
	pending_attach(httpd->pending, epoch, receipts, is_same);
	service_status(httpd->service, "serving on %s", httpd_address(httpd));
}

static void
on_down(void *context)
{
	struct httpd *httpd = context;

	tally_detach(&httpd->tally);
	lanes_detached(httpd->lanes);
	identity_flush(httpd->identity, loop_now_ns(httpd->loop));
	asks_flush(httpd->asks);
	pending_detach(httpd->pending);
	service_status(httpd->service, "waiting for the broker: %s",
	    link_reason(httpd->link));
}

static void
on_lane_opened(void *context, const char *set, uint32_t ring_lane)
{
	struct httpd *httpd = context;

	if (lanes_opened(httpd->lanes, set, ring_lane) < 0)
		log_warning("lane_not_used", "set=%s", log_quote(set));
}

static void
on_lane_refused(void *context, const char *set)
{
	struct httpd *httpd = context;

	if (lanes_refused(httpd->lanes, set) >= 0)
		pending_reroute(httpd->pending);
}

static bool
lane_is_wanted(void *context, const char *set)
{
	struct httpd *httpd = context;
	int slot = lanes_slot_of(httpd->lanes, set);

	return slot >= 0 &&
	    pending_lane_held(httpd->pending, (uint32_t)slot) != 0;
}

static void
on_lane_closing(void *context, const char *set)
{
	struct httpd *httpd = context;

	lanes_closing(httpd->lanes, set);
}

/* Messages that came meanwhile ask for it again in this turn. */
static void
on_lane_closed(void *context, const char *set)
{
	struct httpd *httpd = context;

	lanes_closed(httpd->lanes, set);
	loop_again(httpd->loop);
}

/* A slot may be another set's when nothing that counts with it is left. */
bool
wiring_slot_is_used(void *context, uint32_t slot)
{
	struct httpd *httpd = context;

	return pending_lane_held(httpd->pending, slot) != 0 ||
	    pending_lane_outstanding(httpd->pending, slot) != 0;
}

/* When those that wait for the lane now will have gone in. */
uint32_t
wiring_retry_after_s(void *context, uint32_t slot)
{
	struct httpd *httpd = context;
	const struct lanes_slot *lane = lanes_get(httpd->lanes, slot);

	if (lane == NULL || lane->state != LANES_OPEN)
		return DRAIN_RETRY_MIN_S;
	return drain_retry_after_s(&lane->drain,
	    link_released_bytes(httpd->link, lane->ring_lane),
	    pending_lane_held_bytes(httpd->pending, slot),
	    loop_now_ns(httpd->loop));
}

static void
look_at_lane(struct httpd *httpd, struct lanes_slot *lane, uint32_t slot)
{
	struct overflow_episode episode;
	char holder[128];
	struct overflow_now now = {
		.at_ns = loop_now_ns(httpd->loop),
		.holds = pending_lane_held(httpd->pending, slot),
		.held = pending_lane_held_total(httpd->pending, slot),
		.refused = lane->refused,
	};

	if (lane->state == LANES_OPEN)
		drain_note(&lane->drain,
		    link_released_bytes(httpd->link, lane->ring_lane),
		    now.at_ns);
	switch (overflow_look(&lane->overflow, &now, &episode)) {
	case OVERFLOW_NOTHING:
		return;
	case OVERFLOW_BEGAN:
		lanes_holder(lane, holder, sizeof(holder));
		log_warning("overflow_began", "lane=%s held_by=%s holds=%u",
		    log_quote(lane->set), log_quote(holder), now.holds);
		return;
	case OVERFLOW_ENDED:
		log_info("overflow_ended",
		    "lane=%s duration_ms=%llu stalled=%llu refused=%llu",
		    log_quote(lane->set),
		    (unsigned long long)(episode.lasted_ns / CLOCK_MS_NS),
		    (unsigned long long)episode.stalled,
		    (unsigned long long)episode.refused);
		return;
	}
}

void
wiring_look_at_lanes(struct httpd *httpd)
{
	for (uint32_t slot = 0; slot < lanes_count(httpd->lanes); slot++)
		look_at_lane(httpd, lanes_get(httpd->lanes, slot), slot);
}

/* Once a second: is the lane of all other sets empty for the moment? */
void
wiring_unshare_lanes(struct httpd *httpd)
{
	const struct lanes_slot *lane = lanes_get(httpd->lanes, LANES_SHARED);

	if (lane->state == LANES_OPEN &&
	    !wiring_slot_is_used(httpd, LANES_SHARED) &&
	    link_used_bytes(httpd->link, lane->ring_lane) == 0)
		lanes_unshare(httpd->lanes);
}

static void
on_reload(void *context)
{
	struct httpd *httpd = context;

	service_refresh(httpd->service);
}

static void
on_filters_begin(void *context)
{
	struct httpd *httpd = context;

	lanes_filters_begin(httpd->lanes);
}

static void
on_filter(void *context, const char *bridge, struct slice filter)
{
	struct httpd *httpd = context;

	lanes_filters_add(httpd->lanes, bridge, filter);
}

static void
on_filters_end(void *context)
{
	struct httpd *httpd = context;
	int err;

	err = lanes_filters_end(httpd->lanes);
	if (err != 0)
		log_error(
		    "filters_failed", "error=%s", log_quote(strerror(-err)));
	pending_reroute(httpd->pending);
}

static void
on_receipt(
    void *context, uint64_t correlation, const struct record_answer *answer)
{
	struct httpd *httpd = context;

	if (!pending_receipt(httpd->pending, correlation, answer))
		stats_increment(httpd->counters, COUNT_receipts_ignored);
}

static void
on_auth_result(void *context, uint64_t correlation,
    const struct record_auth_result *result)
{
	struct httpd *httpd = context;
	uint64_t id = correlation & RECORD_CORRELATION_ID_MASK;

	/* An answer to a former life names that life's epoch. */
	if (record_correlation(link_epoch(httpd->link), id) != correlation) {
		stats_increment(httpd->counters, COUNT_receipts_ignored);
		return;
	}
	identity_answer(httpd->identity, id, result, loop_now_ns(httpd->loop));
}

const struct link_events wiring_link = {
	.up = on_up,
	.down = on_down,
	.lane_opened = on_lane_opened,
	.lane_refused = on_lane_refused,
	.lane_is_wanted = lane_is_wanted,
	.lane_closing = on_lane_closing,
	.lane_closed = on_lane_closed,
	.filters_begin = on_filters_begin,
	.filter = on_filter,
	.filters_end = on_filters_end,
	.reload = on_reload,
	.receipt = on_receipt,
	.auth_result = on_auth_result,
	.ask_result = wiring_ask_result,
};
