/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_episodes - what is told of the bridges' rings once a second.
 */

#include "broker/backlog.h"
#include "broker/bridge_port_links.h"
#include "broker/held.h"
#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_policy.h"
#include "broker/links_private.h"
#include "broker/links_terms.h"
#include "broker/worker.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* An episode is logged when it lasts this long. */
#define EPISODE_NS CLOCK_SECOND_NS

/* What was lost in front of the journal, by any thread. */
static uint64_t
fold_losses(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);
	struct backlog_losses losses;

	if (links->endpoints[bridge + 1]->feed == NULL)
		return 0;
	losses = backlog_losses(links->broker->backlogs, bridge);
	output->accepted += losses.dropped;
	output->dropped += losses.dropped;
	links_count(links, COUNT_bridge_dropped, losses.dropped);
	for (; losses.dropped > 0 && output->producer != NULL; losses.dropped--)
		ring_producer_count_dropped(output->producer);
	return losses.refused;
}

static void
fold_refusals(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);
	uint64_t refused = fold_losses(links, bridge);

	for (unsigned i = 0; i < links->port_count; i++) {
		if (links->ports[i] != NULL)
			refused += bridge_port_refused(links->ports[i], bridge);
	}
	output->refused += refused;
	links_count(links, COUNT_bridge_refused, refused);
	for (; refused > 0 && output->producer != NULL; refused--)
		ring_producer_count_refused(output->producer);
}

/* Before the ring, and out of it. */
static uint64_t
dropped_of(const struct links *links, unsigned bridge)
{
	const struct links_endpoint *endpoint = links->endpoints[bridge + 1];

	return endpoint->output.dropped + endpoint->output.former.dropped +
	    links_endpoint_outcome(endpoint).dropped;
}

static void
begin_episode(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);
	const char *name = bridge_table_name(links->broker->bridges, bridge);

	output->episode_ns = output->lacking_since_ns != 0
	    ? output->lacking_since_ns
	    : links->now_ns;
	output->episode_dropped = dropped_of(links, bridge);
	output->episode_refused = output->refused;
	output->episode_stalled =
	    links_terms_stalled(links->endpoints[bridge + 1]);
	log_warning("bridge_stalled",
	    "bridge=%s overflow=%s capacity=%llu attached=%s "
	    "hint=\"weirctl why %s\"",
	    log_quote(name),
	    links_policy_name(links->endpoints[bridge + 1]->overflow),
	    (unsigned long long)ring_class_size(
		output->geometry.min_shift, output->geometry.classes - 1),
	    links->endpoints[bridge + 1]->state == LINKS_ATTACHED ? "yes"
								  : "no",
	    name);
}

static void
end_episode(struct links *links, unsigned bridge)
{
	struct links_output *output = links_bridge_output(links, bridge);

	log_info("bridge_resumed",
	    "bridge=%s duration_ms=%llu stalled=%llu dropped=%llu "
	    "refused=%llu",
	    log_quote(bridge_table_name(links->broker->bridges, bridge)),
	    (unsigned long long)((links->now_ns - output->episode_ns) /
		CLOCK_MS_NS),
	    (unsigned long long)(links_terms_stalled(
				     links->endpoints[bridge + 1]) -
		output->episode_stalled),
	    (unsigned long long)(dropped_of(links, bridge) -
		output->episode_dropped),
	    (unsigned long long)(output->refused - output->episode_refused));
	output->episode_ns = 0;
}

static void
tell_backlog(const struct links_endpoint *endpoint, struct board_text *text)
{
	const struct backlogs *backlogs = endpoint->links->broker->backlogs;
	const unsigned bridge = (unsigned)endpoint->bridge_number;

	if (endpoint->feed == NULL)
		return;
	board_text_line(text, "backlog %llu %llu %llu",
	    (unsigned long long)links_feed_waiting(endpoint),
	    (unsigned long long)backlog_bytes(backlogs, bridge),
	    (unsigned long long)backlog_limit(backlogs, bridge));
}

/*
 * The broker's side of each link says what waits for the journal; that of a
 * bridge's also whom the workers hold, and its backlog: messages, bytes, most
 * bytes.
 */
static void
tell(struct links *links)
{
	const struct broker *broker = links->broker;
	struct held_clients clients = { .named = 0 };
	struct links_endpoint *endpoint;
	struct board_text text;

	for (unsigned i = 0; i < broker->worker_count; i++)
		held_add(&broker->workers[i]->held, &clients);
	LINKS_EACH_ENDPOINT(links, endpoint)
	{
		board_text_init(&text);
		if (endpoint->bridge_number >= 0)
			held_write(
			    &clients, (unsigned)endpoint->bridge_number, &text);
		tell_backlog(endpoint, &text);
		links_journal_tell(links, &text);
		board_text_post(&text, ring_link_board(endpoint->link));
	}
}

void
links_egress_beat(struct links *links)
{
	struct links_output *output;
	bool is_lacking, lost;
	uint64_t losses;

	for (unsigned bridge = 0; bridge + 1 < links->endpoint_count;
	     bridge++) {
		output = links_bridge_output(links, bridge);
		fold_refusals(links, bridge);
		losses =
		    output->dropped + output->refused + output->drop_requests;
		lost = losses != output->seen_losses;
		output->seen_losses = losses;
		is_lacking = output->lacking_since_ns != 0 &&
		    links->now_ns - output->lacking_since_ns >= EPISODE_NS;

		if (output->episode_ns == 0 && (is_lacking || lost))
			begin_episode(links, bridge);
		else if (output->episode_ns != 0 && !lost &&
		    output->lacking_since_ns == 0)
			end_episode(links, bridge);
	}
	tell(links);
}
