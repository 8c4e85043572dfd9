/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/links_dead.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/backlog.h"
#include "broker/commit.h"
#include "broker/links_egress.h"
#include "broker/links_feed.h"
#include "broker/links_incoming.h"
#include "broker/links_ingress.h"
#include "broker/links_private.h"
#include "broker/message.h"
#include "broker/publish.h"
#include "broker/recover.h"
#include "common/base/log.h"

/* ---- the journal ----------------------------------------------------------
 */

static struct store_dead
record_of(uint64_t cursor, const struct dead_letter *letter)
{
	return (struct store_dead){
		.cursor = cursor,
		.id = letter->id,
		.attempts = letter->attempts,
		.memory = letter->memory,
		.sequence = letter->sequence,
		.journal = letter->journal,
		.wall_ns = letter->wall_ns,
		.why = dead_why(letter),
		.message = dead_message(letter),
	};
}

/* 0: there is no journal, or no memory. */
static uint64_t
tell_journal(struct links_endpoint *endpoint, const struct store_dead *record)
{
	struct links_journal *journal = &endpoint->links->journal;
	const size_t size = store_dead_size(record);
	uint64_t ticket;
	uint8_t *body;

	if (journal->port == NULL || endpoint->feed == NULL)
		return 0;
	body = malloc(size);
	if (body == NULL)
		return 0;
	store_dead_write(record, body);
	ticket = commit_send_state(
	    journal->port, STORE_DEAD, slice_of(body, size), true);
	free(body);
	if (ticket != 0)
		journal->sent_ticket = ticket;
	return ticket;
}

static uint64_t
cursor_of(const struct links_endpoint *endpoint)
{
	return endpoint->feed == NULL ? 0 : endpoint->feed->cursor;
}

static void
forget(struct links_endpoint *endpoint, struct dead_letter *letter)
{
	tell_journal(endpoint,
	    &(struct store_dead){
		.cursor = cursor_of(endpoint),
		.id = letter->id,
		.is_gone = true,
	    });
	dead_remove(&endpoint->dead, letter);
}

static int
put_record(const struct store_dead *record, links_dead_put *put, void *context)
{
	const size_t size = store_dead_size(record);
	uint8_t *body = malloc(size);
	int err;

	if (body == NULL)
		return -ENOMEM;
	store_dead_write(record, body);
	err = put(context, STORE_DEAD, slice_of(body, size));
	free(body);
	return err;
}

int
links_dead_each_record(const struct dead *dead, uint64_t cursor,
    links_dead_put *put, void *context)
{
	const struct dead_letter *letter;
	struct store_dead record;
	int err = 0;

	for (letter = dead->first; letter != NULL && err == 0;
	     letter = letter->next) {
		record = record_of(cursor, letter);
		err = put_record(&record, put, context);
	}
	/* Its number is not given out again. */
	if (err == 0 && dead->last_id != 0 &&
	    dead_find(dead, dead->last_id) == NULL) {
		record = (struct store_dead){
			.cursor = cursor,
			.id = dead->last_id,
			.is_gone = true,
		};
		err = put_record(&record, put, context);
	}
	return err;
}

int
links_dead_checkpoint(
    const struct links_endpoint *endpoint, links_dead_put *put, void *context)
{
	return links_dead_each_record(
	    &endpoint->dead, cursor_of(endpoint), put, context);
}

void
links_dead_recover(struct links_endpoint *endpoint)
{
	struct recovered *recovered = endpoint->links->broker->recovered;
	struct dead *found = &recovered->bridges[endpoint->bridge_number].dead;
	const uint64_t max_count = endpoint->dead.max_count;
	const uint64_t max_bytes = endpoint->dead.max_bytes;

	endpoint->dead = *found;
	*found = (struct dead){ 0 };
	endpoint->dead.max_count = max_count;
	endpoint->dead.max_bytes = max_bytes;
	/* The next checkpoint does not have them either. */
	while (endpoint->dead.count > max_count ||
	    endpoint->dead.bytes > max_bytes) {
		dead_remove(&endpoint->dead, endpoint->dead.first);
		endpoint->dead.dropped++;
	}
}

/* ---- one more -------------------------------------------------------------
 */

static void
drop_oldest(struct links_endpoint *endpoint)
{
	struct dead *dead = &endpoint->dead;

	if (dead->dropped++ == 0)
		log_warning("dead_letters_full",
		    "bridge=%s dead_letters=%llu dead_letters_size=%llu "
		    "hint=\"the oldest go, later ones are only counted; see "
		    "weirctl dead list\"",
		    log_quote(endpoint->identity.name),
		    (unsigned long long)dead->max_count,
		    (unsigned long long)dead->max_bytes);
	if (dead->first != NULL)
		forget(endpoint, dead->first);
}

/* The limits may allow none at all. */
static bool
make_room(struct links_endpoint *endpoint, size_t length)
{
	while (!dead_has_room(&endpoint->dead, length)) {
		if (endpoint->dead.first == NULL) {
			endpoint->dead.dropped++;
			return false;
		}
		drop_oldest(endpoint);
	}
	return true;
}

bool
links_dead_take(struct links_incoming *in)
{
	struct links_endpoint *endpoint = in->endpoint;
	struct record_dead record;
	struct store_dead kept;
	struct dead_letter *letter;
	struct dead_parts parts;

	if (record_dead_parse(in->links->scratch, in->record.length, &record) !=
	    0) {
		in->reason = MQTT_PROTOCOL_ERROR;
		return false;
	}
	parts = (struct dead_parts){
		.wall_ns = record.wall_ns,
		.attempts = record.attempts,
		.memory = endpoint->source,
		.sequence = record.sequence,
		.journal = endpoint->feed == NULL ? 0 : record.journal,
		.why = record.why,
		.message = record.message,
	};
	if (dead_has(&endpoint->dead, &parts) ||
	    !make_room(endpoint, parts.why.len + parts.message.len))
		return true;
	letter = dead_add(&endpoint->dead, 0, &parts);
	if (letter == NULL) {
		links_ingress_wait_for_memory(in);
		return false;
	}
	endpoint->dead.kept++;
	kept = record_of(cursor_of(endpoint), letter);
	in->ticket = tell_journal(endpoint, &kept);
	return true;
}

/* ---- orders ---------------------------------------------------------------
 */

void
links_dead_drop(struct links_endpoint *endpoint, struct dead_letter *letter)
{
	forget(endpoint, letter);
}

/* NULL with *out_err. */
static struct message *
message_of(struct links_endpoint *endpoint, const struct dead_letter *letter,
    int *out_err)
{
	const struct slice body = dead_message(letter);
	struct record_message record;
	struct message *message;

	*out_err = record_message_parse(body.data, body.len, &record);
	if (*out_err != 0)
		return NULL;
	message = message_new(endpoint->links->pools,
	    &(struct message_parts){
		.topic = record.topic,
		.properties = record.properties,
		.payload = record.payload,
		.qos = record.qos,
		.retain = record.retain,
		.link = MESSAGE_FROM_MQTT,
		.created_ns = loop_now_ns(endpoint->links->loop),
		.expires_ns = UINT64_MAX,
	    });
	if (message == NULL)
		*out_err = -EAGAIN;
	return message;
}

static int
retry_by_ring(struct links_endpoint *endpoint, struct message *message)
{
	struct links *links = endpoint->links;
	struct links_output *output = &endpoint->output;
	const size_t length = links_egress_body_size(message);
	const struct ring_record record = {
		.kind = RECORD_MESSAGE,
		.source_link = MESSAGE_FROM_MQTT,
		.source_lane = LINKS_FEED_LANE,
		.time_ns = message->created_ns,
	};

	if (output->producer != NULL &&
	    length > ring_producer_max_payload(output->producer))
		return -EMSGSIZE;
	if (!links_output_has_room(output, length, NULL))
		return -EAGAIN;
	output->offers.offered++;
	links_output_accept(output, true);
	links_egress_put(
	    links, (unsigned)endpoint->bridge_number, message, &record);
	loop_again(links->loop);
	return 0;
}

/* An item for this bridge alone; it is counted in its backlog. */
static int
send_item(struct links_endpoint *endpoint, struct message *message)
{
	const uint64_t bit = UINT64_C(1) << endpoint->bridge_number;
	struct links_journal *journal = &endpoint->links->journal;
	const struct commit_origin origin = { .is_written = true };
	struct commit_item *item;

	if (!claims_reserve(&journal->claims))
		return -EAGAIN;
	item = commit_begin(journal->port, message);
	if (item == NULL)
		return -EAGAIN;
	if (!publish_add_bridges(endpoint->links->broker, item, message, bit)) {
		commit_cancel(journal->port, item);
		return -EAGAIN;
	}
	journal->sent_ticket = commit_send(journal->port, item, &origin);
	claims_add(&journal->claims, journal->sent_ticket, bit, bit,
	    message_weight(message));
	endpoint->output.offers.offered++;
	return 0;
}

static int
retry_by_journal(struct links_endpoint *endpoint, struct message *message)
{
	const uint64_t bit = UINT64_C(1) << endpoint->bridge_number;
	struct backlogs *backlogs = endpoint->links->broker->backlogs;
	const size_t weight = message_weight(message);
	uint64_t taken = 0;
	int err;

	if (commit_offer(endpoint->links->journal.port, weight) != COMMIT_TAKES)
		return -EAGAIN;
	if (!backlog_has_room(
		backlogs, (unsigned)endpoint->bridge_number, weight) ||
	    backlog_offer(backlogs, bit, weight, &taken) != BACKLOG_TAKES ||
	    taken == 0)
		return -EAGAIN;
	err = send_item(endpoint, message);
	if (err != 0)
		backlog_withdraw(backlogs, bit, weight);
	return err;
}

/* The message goes before the letter, in one order: at worst it is both. */
int
links_dead_retry(struct links_endpoint *endpoint, struct dead_letter *letter)
{
	struct message *message;
	int err;

	message = message_of(endpoint, letter, &err);
	if (message == NULL)
		return err;
	err = endpoint->feed != NULL && endpoint->links->journal.port != NULL
	    ? retry_by_journal(endpoint, message)
	    : retry_by_ring(endpoint, message);
	message_put(message);
	if (err != 0)
		return err;
	endpoint->dead.retried++;
	forget(endpoint, letter);
	return 0;
}
