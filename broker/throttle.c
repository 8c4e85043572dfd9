/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/throttle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/client.h"
#include "broker/mailbox.h"
#include "common/base/token_bucket.h"

struct throttle {
	struct client *client;
	struct alarm alarm;
	uint64_t ready_ns; /* not before; 0: now */
	uint32_t bytes_burst;
	bool has_messages, has_bytes;
	bool is_paid; /* the message at hand is */
	bool is_held; /* the message at hand was counted as such */
	struct token_bucket messages;
	struct token_bucket bytes;
};

/* There is room again in the read-ahead: its other packets may come. */
static void
read_on(struct client *client)
{
	const struct parked *parked = client->parked;
	const size_t most = client->worker->broker->conf->read_ahead / 2;

	if (parked == NULL || parked->end - parked->start <= most)
		client_resume(client, CLIENT_PAUSE_PARKED);
}

static void
on_alarm(struct alarm *alarm)
{
	struct throttle *throttle = CONTAINER_OF(alarm, struct throttle, alarm);
	struct client *client = throttle->client;

	throttle->ready_ns = 0;
	if (client->parked != NULL && publish_parked(client))
		return;
	if (!client_is_over(client))
		read_on(client);
}

static void
change(struct throttle *throttle, const struct conf_rate *rate, uint64_t now_ns)
{
	throttle->has_messages = rate->per_second != 0;
	if (throttle->has_messages)
		token_bucket_change(&throttle->messages,
		    (uint32_t)rate->per_second, (uint32_t)rate->burst, now_ns);
	else
		memset(&throttle->messages, 0, sizeof(throttle->messages));
	throttle->has_bytes = rate->bytes_per_second != 0;
	throttle->bytes_burst = (uint32_t)rate->bytes_burst;
	if (throttle->has_bytes)
		token_bucket_change(&throttle->bytes,
		    (uint32_t)rate->bytes_per_second, throttle->bytes_burst,
		    now_ns);
	else
		memset(&throttle->bytes, 0, sizeof(throttle->bytes));
	throttle->ready_ns = 0;
}

int
throttle_set(struct client *client, const struct conf_rate *rate)
{
	const uint64_t now = worker_now_ns(client->worker);
	struct throttle *throttle = client->throttle;

	if (rate->per_second == 0 && rate->bytes_per_second == 0) {
		throttle_free(client);
		if (client->is_stalled)
			worker_retry_soon(client->worker);
		return 0;
	}
	if (throttle == NULL) {
		throttle = calloc(1, sizeof(*throttle));
		if (throttle == NULL)
			return -ENOMEM;
		throttle->client = client;
		throttle->alarm.fire = on_alarm;
		client->throttle = throttle;
	}
	change(throttle, rate, now);
	if (client->is_stalled)
		worker_retry_soon(client->worker);
	return 0;
}

void
throttle_free(struct client *client)
{
	if (client->throttle == NULL)
		return;
	alarms_stop(&client->worker->alarms, &client->throttle->alarm);
	free(client->throttle);
	client->throttle = NULL;
}

/* One message of so many bytes: taken, or how long to wait. */
static uint64_t
take(struct throttle *throttle, size_t size, uint64_t now_ns)
{
	uint64_t wait = 0, wait_bytes = 0;
	uint32_t tokens = throttle->bytes_burst;

	/* A larger one counts as so many, or it would never pass. */
	if (size < tokens)
		tokens = (uint32_t)size;
	if (throttle->has_messages)
		wait = token_bucket_wait(&throttle->messages, 1, now_ns);
	if (throttle->has_bytes)
		wait_bytes =
		    token_bucket_wait(&throttle->bytes, tokens, now_ns);
	if (wait_bytes > wait)
		wait = wait_bytes;
	if (wait != 0)
		return wait;
	if (throttle->has_messages)
		token_bucket_take(&throttle->messages, 1, now_ns);
	if (throttle->has_bytes)
		token_bucket_take(&throttle->bytes, tokens, now_ns);
	return 0;
}

static void
hold(struct client *client, uint64_t now_ns, uint64_t wait_ns)
{
	struct throttle *throttle = client->throttle;
	struct worker *worker = client->worker;

	client->held_for = 0;
	if (!throttle->is_held)
		limit_reached(worker, LIMIT_PUBLISH_RATE, client);
	throttle->is_held = true;
	throttle->ready_ns = now_ns + wait_ns;
	if (alarms_set(&worker->alarms, &throttle->alarm, throttle->ready_ns) !=
	    0)
		worker_retry_soon(worker);
}

bool
throttle_passes(struct client *client, const struct mqtt_publish *publish)
{
	struct throttle *throttle = client->throttle;
	const uint64_t now = worker_now_ns(client->worker);
	uint64_t wait;

	if (throttle->is_paid)
		return true;
	/* Others of the line are tried, and this one with them. */
	if (now < throttle->ready_ns)
		return false;
	wait = take(throttle,
	    publish->topic.len + publish->properties.forwardable_size +
		publish->payload.len,
	    now);
	if (wait != 0) {
		hold(client, now, wait);
		return false;
	}
	throttle->is_paid = true;
	return true;
}

void
throttle_done(struct client *client)
{
	client->throttle->is_paid = false;
	client->throttle->is_held = false;
}
