/* SPDX-License-Identifier: Apache-2.0 */

/*
 * parked - PUBLISH packets that are held, as they came.
 */

#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/tally.h"

static void
enter_stalled(struct client *client)
{
	struct client_list *list = &client->worker->stalled;

	if (client->is_stalled)
		return;
	client->is_stalled = true;
	client->next_stalled = NULL;
	client->previous_stalled = list->last;
	if (list->last != NULL)
		list->last->next_stalled = client;
	else
		list->first = client;
	list->last = client;
	list->count++;
	held_note(client->worker);
}

void
parked_leave_line(struct client *client)
{
	struct client_list *list = &client->worker->stalled;

	if (!client->is_stalled)
		return;
	client->is_stalled = false;
	if (client->next_stalled != NULL)
		client->next_stalled->previous_stalled =
		    client->previous_stalled;
	else
		list->last = client->previous_stalled;
	if (client->previous_stalled != NULL)
		client->previous_stalled->next_stalled = client->next_stalled;
	else
		list->first = client->next_stalled;
	list->count--;
}

void
parked_free(struct client *client)
{
	if (client->parked == NULL)
		return;
	free(client->parked->bytes);
	free(client->parked);
	client->parked = NULL;
}

/* Room behind what is parked for `size` bytes; false: not now. */
static bool
make_room(struct client *client, size_t size)
{
	const size_t limit = client->worker->broker->conf->read_ahead;
	struct parked *parked = client->parked;
	uint8_t *bytes;

	if (size > limit ||
	    (parked != NULL && parked->end - parked->start + size > limit))
		return false;
	if (parked == NULL) {
		parked = calloc(1, sizeof(*parked));
		if (parked == NULL)
			return false;
		client->parked = parked;
	}
	if (parked->start != 0) {
		memmove(parked->bytes, parked->bytes + parked->start,
		    parked->end - parked->start);
		parked->end -= parked->start;
		parked->start = 0;
	}
	if (parked->end + size > parked->size) {
		const size_t wanted = (parked->end + size) * 2;

		bytes = realloc(parked->bytes, wanted < limit ? wanted : limit);
		if (bytes == NULL)
			return false;
		parked->bytes = bytes;
		parked->size = wanted < limit ? wanted : limit;
	}
	return true;
}

bool
parked_reserves(const struct client *client, const struct mqtt_publish *publish)
{
	return publish->qos == 1 ||
	    (publish->qos == 2 &&
		!packet_ids_has(
		    &client->session->received, publish->packet_id));
}

enum packet_verdict
parked_put(struct client *client, const struct mqtt_frame *frame,
    const struct mqtt_publish *publish)
{
	const uint8_t *whole =
	    frame->body.data - (frame->size - frame->body.len);
	struct worker *worker = client->worker;

	enter_stalled(client);
	if (!make_room(client, frame->size)) {
		worker_count(worker, COUNT_read_pauses);
		client_pause(client, CLIENT_PAUSE_PARKED);
		return PACKET_KEEP;
	}
	memcpy(client->parked->bytes + client->parked->end, whole, frame->size);
	client->parked->end += frame->size;
	client->parked->reserved += parked_reserves(client, publish);
	stats_add(worker->counters, COUNT_parked_bytes, frame->size);
	worker_count(worker, COUNT_publishes_in);
	client->messages_in++;
	return PACKET_DONE;
}

void
parked_drop(struct client *client)
{
	struct worker *worker = client->worker;
	struct parked *parked = client->parked;
	struct mqtt_frame frame;

	parked_leave_line(client);
	tally_declined(worker->tally, client->offered);
	client->offered = 0;
	if (parked == NULL)
		return;
	stats_subtract(
	    worker->counters, COUNT_parked_bytes, parked->end - parked->start);
	while (parked->start < parked->end &&
	    mqtt_frame(parked->bytes + parked->start,
		parked->end - parked->start, MQTT_MAX_PACKET_BYTES,
		&frame) == MQTT_FRAME_WHOLE) {
		parked->start += frame.size;
		worker_count(worker, COUNT_parked_dropped);
	}
	parked_free(client);
}
