/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_terms.h"

#include <string.h>
#include <unistd.h>

#include "broker/commit.h"
#include "broker/links_feed_private.h"
#include "broker/links_salvage.h"
#include "broker/recover.h"
#include "broker/tally.h"
#include "broker/worker.h"

/* ---- small sums ---------------------------------------------------------- */

static void
add_offers(struct links_offers *to, const struct links_offers *from)
{
	to->offered += from->offered;
	to->accepted += from->accepted;
	to->declined += from->declined;
	to->unknown += from->unknown;
}

static void
add_outcome(struct ring_outcome *to, const struct ring_outcome *from)
{
	to->delivered += from->delivered;
	to->dropped += from->dropped;
	to->dead += from->dead;
}

static uint64_t
all_of(const struct ring_outcome *outcome)
{
	return outcome->delivered + outcome->dropped + outcome->dead;
}

/* Nobody is left to answer what is open. */
static void
close_offers(struct links_offers *offers)
{
	const uint64_t answered =
	    offers->accepted + offers->declined + offers->unknown;

	if (offers->offered > answered)
		offers->unknown += offers->offered - answered;
	else
		offers->offered = answered;
}

/* ---- what weir-httpd counts -----------------------------------------------
 */

void
links_terms_read_http(const struct links *links, struct offers *out_http)
{
	const struct links_endpoint *endpoint = links->endpoints[0];

	if (endpoint == NULL || endpoint->link == NULL ||
	    pread(endpoint->peer_fd, out_http, sizeof(*out_http),
		RING_SIDE_NOTES) != sizeof(*out_http) ||
	    out_http->magic != OFFERS_MAGIC)
		memset(out_http, 0, sizeof(*out_http));
}

/* Another program's memory: a copy, and any numbers will do. */
static struct links_offers
http_offers(const struct offers *http, const char *bridge)
{
	const size_t length = strlen(bridge);
	const struct offers_row *row;

	for (unsigned i = 0; i < OFFERS_ROWS; i++) {
		row = &http->rows[i];
		if (length < OFFERS_NAME_SIZE &&
		    memcmp(row->name, bridge, length + 1) == 0)
			return (struct links_offers){
				.offered = row->offered,
				.accepted = row->accepted,
				.declined = row->refused,
				.unknown = row->unknown,
			};
	}
	return (struct links_offers){ 0 };
}

/* ---- the terms ----------------------------------------------------------- */

static struct tally_terms
worker_terms(const struct links_endpoint *endpoint)
{
	const struct broker *broker = endpoint->links->broker;
	struct tally_terms sum = { 0 };

	for (unsigned i = 0; i < broker->worker_count; i++)
		if (broker->workers[i]->tally != NULL)
			tally_add(broker->workers[i]->tally,
			    (unsigned)endpoint->bridge_number, &sum);
	return sum;
}

uint64_t
links_terms_stalled(const struct links_endpoint *endpoint)
{
	return endpoint->output.stalled + worker_terms(endpoint).stalled;
}

static struct links_offers
worker_offers(const struct links_endpoint *endpoint)
{
	const struct tally_terms sum = worker_terms(endpoint);

	return (struct links_offers){
		.offered = sum.offered,
		.accepted = sum.accepted,
		.declined = sum.declined,
	};
}

/* All but what is in weir-httpd's memory, if that is there. */
static struct links_offers
own_offers(const struct links_endpoint *endpoint)
{
	const struct links_offers workers = worker_offers(endpoint);
	struct links_offers all = endpoint->output.absent_offers;

	close_offers(&all);
	add_offers(&all, &endpoint->output.offers);
	add_offers(&all, &workers);
	return all;
}

/* In front of the journal, since episodes were looked at. */
static uint64_t
dropped_lately(const struct links_endpoint *endpoint)
{
	const struct backlogs *backlogs = endpoint->links->broker->backlogs;

	return endpoint->feed == NULL
	    ? 0
	    : backlog_dropped(backlogs, (unsigned)endpoint->bridge_number);
}

void
links_terms_of(const struct links_endpoint *endpoint, const struct offers *http,
    struct links_terms *out_terms)
{
	const struct links_output *output = &endpoint->output;
	const struct ring_outcome outcome = links_endpoint_outcome(endpoint);
	const struct links_offers by_http =
	    http_offers(http, endpoint->identity.name);
	struct ring_outcome all = outcome;
	const uint64_t lately = dropped_lately(endpoint);
	struct links_offers producers = own_offers(endpoint);

	add_outcome(&all, &output->former);
	add_outcome(&all, &output->absent_outcome);
	add_offers(&producers, &by_http);
	*out_terms = (struct links_terms){
		.producers = producers,
		.given = output->accepted + lately,
		.delivered = all.delivered,
		.queued = links_endpoint_in_ring(endpoint, &outcome) +
		    links_salvage_count(endpoint) +
		    links_feed_waiting(endpoint),
		.dropped = all.dropped + output->dropped + lately,
		.dead = all.dead,
	};
}

/* ---- the journal's record ------------------------------------------------ */

void
links_terms_record(const struct links_endpoint *endpoint,
    const struct offers *http, struct store_bridge_terms *out_terms)
{
	const struct links_output *output = &endpoint->output;
	const struct links_endpoint *httpd = endpoint->links->endpoints[0];
	const struct ring_outcome outcome = links_endpoint_outcome(endpoint);
	const struct links_offers own = own_offers(endpoint);
	const struct links_offers by_http =
	    http_offers(http, endpoint->identity.name);
	struct ring_outcome former = output->former;

	add_outcome(&former, &output->absent_outcome);
	*out_terms = (struct store_bridge_terms){
		.accepted_upto = endpoint->feed->accepted_upto,
		.offered = own.offered,
		.accepted = own.accepted,
		.declined = own.declined,
		.unknown = own.unknown,
		.http_memory = httpd == NULL ? 0 : httpd->source,
		.http_offered = by_http.offered,
		.http_accepted = by_http.accepted,
		.http_declined = by_http.declined,
		.http_unknown = by_http.unknown,
		.given = output->accepted,
		.delivered = former.delivered,
		.dropped = former.dropped,
		.dead = former.dead,
		.ring_memory = endpoint->source,
		.ring_delivered = outcome.delivered,
		.ring_dropped = outcome.dropped,
		.ring_dead = outcome.dead,
		.dropped_before = output->dropped,
		.refused = output->refused,
		.too_large = output->too_large,
	};
}

/* Of what MQTT clients had under way, `behind` came through. */
static struct links_offers
recovered_offers(const struct store_bridge_terms *terms, uint64_t behind)
{
	struct links_offers offers = {
		.offered = terms->offered,
		.accepted = terms->accepted + behind,
		.declined = terms->declined,
		.unknown = terms->unknown,
	};

	close_offers(&offers);
	return offers;
}

static void
http_found(const struct links_endpoint *httpd, struct links_output *output)
{
	if (output->absent_http != httpd->source)
		return;
	output->absent_http = 0;
	output->absent_offers = (struct links_offers){ 0 };
}

void
links_terms_found(struct links_endpoint *endpoint)
{
	struct links_output *output = &endpoint->output;
	struct links *links = endpoint->links;

	if (endpoint->bridge == NULL) {
		for (uint32_t i = 1; i < links->endpoint_count; i++)
			http_found(endpoint, &links->endpoints[i]->output);
		return;
	}
	if (output->absent_ring != endpoint->source)
		return;
	output->accepted -= all_of(&output->absent_outcome);
	output->absent_ring = 0;
	output->absent_outcome = (struct ring_outcome){ 0 };
}

/*
 * That many left the ring, all in all.  Fewer than it said: some wait again,
 * for the floor was behind.
 */
static void
fit_outcome(struct ring_outcome *outcome, uint64_t all)
{
	outcome->dropped = links_feed_at_most(outcome->dropped, all);
	outcome->dead =
	    links_feed_at_most(outcome->dead, all - outcome->dropped);
	outcome->delivered = all - outcome->dropped - outcome->dead;
}

/* As if the ring were lost. */
static void
recover_outcome(
    struct links_output *output, const struct recovered_bridge *recovered)
{
	const struct store_bridge_terms *terms = &recovered->terms;
	const uint64_t given = terms->given + recovered->given_behind;
	uint64_t known;

	output->dropped = terms->dropped_before;
	output->former = (struct ring_outcome){
		.delivered = terms->delivered,
		.dropped = terms->dropped,
		.dead = terms->dead,
	};
	output->absent_ring = (uint32_t)terms->ring_memory;
	output->absent_outcome = (struct ring_outcome){
		.dropped = terms->ring_dropped,
		.dead = terms->ring_dead,
	};
	known = recovered->queued + output->dropped + all_of(&output->former);
	if (output->absent_ring != 0)
		fit_outcome(
		    &output->absent_outcome, given > known ? given - known : 0);
	output->accepted = known + all_of(&output->absent_outcome);
}

void
links_terms_recover(
    struct links_endpoint *endpoint, const struct recovered_bridge *recovered)
{
	const struct store_bridge_terms *terms = &recovered->terms;
	const struct links_endpoint *httpd = endpoint->links->endpoints[0];
	struct links_output *output = &endpoint->output;

	recover_outcome(output, recovered);
	output->offers = recovered_offers(terms, recovered->accepted_behind);
	output->absent_http = (uint32_t)terms->http_memory;
	output->absent_offers = (struct links_offers){
		.offered = terms->http_offered,
		.accepted = terms->http_accepted,
		.declined = terms->http_declined,
		.unknown = terms->http_unknown,
	};
	output->refused = terms->refused;
	output->too_large = terms->too_large;
	output->seen_losses = output->dropped + output->refused;
	/* It is made before the bridges, and may be there already. */
	if (httpd != NULL)
		http_found(httpd, output);
}

void
links_terms_keep_http(struct links *links)
{
	struct links_endpoint *endpoint;
	struct links_offers offers;
	struct offers http;

	links_terms_read_http(links, &http);
	for (uint32_t i = 1; i < links->endpoint_count; i++) {
		endpoint = links->endpoints[i];
		offers = http_offers(&http, endpoint->identity.name);
		add_offers(&endpoint->output.offers, &offers);
	}
}

/* ---- once a second ------------------------------------------------------- */

static void
tell(struct links_endpoint *endpoint, const struct offers *http)
{
	struct links_feed *feed = endpoint->feed;
	struct store_bridge bridge = {
		.cursor = feed->cursor,
		.name = slice_of_string(endpoint->identity.name),
	};
	uint8_t body[STORE_SMALL_MAX];

	links_terms_record(endpoint, http, &bridge.terms);
	if (memcmp(&bridge.terms, &feed->terms, sizeof(feed->terms)) == 0)
		return;
	store_bridge_write(&bridge, body);
	if (commit_send_state(endpoint->links->journal.port, STORE_BRIDGE,
		slice_of(body, store_bridge_size(&bridge)), false) != 0)
		feed->terms = bridge.terms;
}

void
links_terms_beat(struct links *links)
{
	struct offers http;

	/* What memory is still to come back is counted as if it were lost. */
	if (links->journal.port == NULL || links->await_until_ns != 0 ||
	    links->endpoint_count <= 1 ||
	    commit_is_failing(links->journal.port))
		return;
	links_terms_read_http(links, &http);
	for (uint32_t i = 1; i < links->endpoint_count; i++)
		if (links->endpoints[i]->feed != NULL)
			tell(links->endpoints[i], &http);
}
