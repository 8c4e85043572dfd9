/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/links_connection.h"
#include "broker/links_private.h"
#include "common/ring/ring_control.h"
#include "common/shm/memfd.h"
#include "common/stats/stats.h"

void
links_words_lane(struct links_connection *connection,
    enum ring_direction direction, const struct ring_lane_geometry *geometry,
    int fd)
{
	struct ring_control_lane message = {
		.header = links_connection_header(RING_CONTROL_LANE),
		.direction = direction,
		.geometry = *geometry,
	};

	links_connection_send(connection, &message, sizeof(message), &fd, 1);
}

static void
send_filter(struct links_connection *connection, const char *bridge,
    struct slice filter)
{
	struct ring_control_filter *message;

	message = calloc(1, sizeof(*message) + filter.len);
	if (message == NULL)
		return;
	message->header = links_connection_header(RING_CONTROL_FILTER);
	snprintf(message->bridge, sizeof(message->bridge), "%s", bridge);
	message->filter_length = (uint16_t)filter.len;
	memcpy(message + 1, filter.data, filter.len);
	links_connection_send(
	    connection, message, sizeof(*message) + filter.len, NULL, 0);
	free(message);
}

/* Only bridges that stall or reject have lanes; a bridge's own never. */
void
links_words_filters(struct links_connection *connection)
{
	const struct bridge_table *table =
	    connection->endpoint->links->broker->bridges;
	const struct ring_control_header begin =
	    links_connection_header(RING_CONTROL_FILTERS_BEGIN);
	const struct ring_control_filters_end end = {
		.header = links_connection_header(RING_CONTROL_FILTERS_END),
		.version = connection->endpoint->links->filters_version,
	};
	struct slice filter;
	int bridge;

	links_connection_send(connection, &begin, sizeof(begin), NULL, 0);
	for (size_t i = 0;
	     (bridge = bridge_table_filter(table, i, &filter)) != -1; i++) {
		if (bridge == connection->endpoint->bridge_number ||
		    bridge_table_reliable(table, UINT64_C(1) << bridge) == 0)
			continue;
		send_filter(connection,
		    bridge_table_name(table, (unsigned)bridge), filter);
	}
	links_connection_send(connection, &end, sizeof(end), NULL, 0);
}

int
links_words_grant(struct links_connection *connection)
{
	struct links_endpoint *endpoint = connection->endpoint;
	struct stats *stats = endpoint->links->broker->stats;
	struct ring_control_grant grant = {
		.header = links_connection_header(RING_CONTROL_GRANT),
		.identity = endpoint->identity,
	};
	int fds[5], read_only, stats_read_only = -1;
	unsigned count = 4;

	read_only = memfd_reopen_read_only(endpoint->own_fd);
	if (read_only < 0)
		return read_only;
	fds[0] = read_only;
	fds[1] = endpoint->peer_fd;
	fds[2] = endpoint->bells.to_broker;
	fds[3] = endpoint->bells.to_endpoint_wait;
	if (stats != NULL)
		stats_read_only = memfd_reopen_read_only(stats_fd(stats));
	if (stats_read_only >= 0)
		fds[count++] = stats_read_only;
	links_connection_send(connection, &grant, sizeof(grant), fds, count);
	close(read_only);
	if (stats_read_only >= 0)
		close(stats_read_only);
	return 0;
}

void
links_words_order(struct links_connection *connection, const char *word)
{
	links_connection_send_text(
	    connection, RING_CONTROL_ORDER, "", word, strlen(word));
}

void
links_words_all(struct links_connection *connection)
{
	struct links_endpoint *endpoint = connection->endpoint;
	const struct links_lane *lane;

	links_words_lane(connection, RING_TO_ENDPOINT,
	    &endpoint->output.geometry, endpoint->output.fd);
	LINKS_EACH_LANE(endpoint, lane)
	links_words_lane(connection, RING_TO_BROKER, &lane->geometry, lane->fd);
	links_words_filters(connection);
}
