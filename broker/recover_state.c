/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/recover_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/retain.h"
#include "broker/wall_clock.h"
#include "broker/worker.h"
#include "common/base/bug.h"

#define FIRST_BUCKETS 1024

/* Of the tree of subscriptions, in levels. */
#define FIRST_ROOM 1024

/* ---- entries ------------------------------------------------------------- */

static struct recovery_entry **
find_link(const struct recovery_state *state, uint64_t cursor)
{
	struct recovery_entry **link;

	link = &state->buckets[cursor & (state->bucket_count - 1)];
	while (*link != NULL && (*link)->cursor != cursor)
		link = &(*link)->next;
	return link;
}

struct recovery_entry *
recovery_state_find(const struct recovery_state *state, uint64_t cursor)
{
	return *find_link(state, cursor);
}

/* Without memory it goes on as it is. */
static void
grow(struct recovery_state *state)
{
	const size_t count = state->bucket_count;
	struct recovery_entry **old = state->buckets, **buckets, *entry;

	buckets = calloc(count * 2, sizeof(struct recovery_entry *));
	if (buckets == NULL)
		return;
	state->buckets = buckets;
	state->bucket_count = count * 2;
	for (size_t i = 0; i < count; i++) {
		while ((entry = old[i]) != NULL) {
			old[i] = entry->next;
			entry->next = NULL;
			*find_link(state, entry->cursor) = entry;
		}
	}
	free(old);
}

uint64_t
recovery_state_last_cursor(const struct recovery_state *state)
{
	return state->last_cursor;
}

static struct recovery_entry *
obtain(struct recovery_state *state, uint64_t cursor)
{
	struct recovery_entry **link = find_link(state, cursor);

	if (cursor > state->last_cursor)
		state->last_cursor = cursor;
	if (*link != NULL)
		return *link;
	if (state->count >= state->bucket_count) {
		grow(state);
		link = find_link(state, cursor);
	}
	*link = calloc(1, sizeof(struct recovery_entry));
	if (*link == NULL)
		return NULL;
	(*link)->cursor = cursor;
	state->count++;
	return *link;
}

static void
free_entry(struct recovery_entry *entry)
{
	will_free(entry->will);
	free(entry->account);
	free(entry->bridge);
	free(entry->received);
	fifo_fini(&entry->behind);
	dead_fini(&entry->dead);
	free(entry);
}

static void
forget(struct recovery_state *state, struct recovery_entry *entry)
{
	*find_link(state, entry->cursor) = entry->next;
	state->count--;
	free_entry(entry);
}

struct recovery_state *
recovery_state_new(struct broker *broker, struct recovered *recovered)
{
	struct recovery_state *state;

	state = calloc(1, sizeof(*state));
	if (state == NULL)
		return NULL;
	state->buckets = calloc(FIRST_BUCKETS, sizeof(struct recovery_entry *));
	if (state->buckets == NULL) {
		free(state);
		return NULL;
	}
	state->bucket_count = FIRST_BUCKETS;
	state->broker = broker;
	state->recovered = recovered;
	state->ahead_ns = wall_clock_ahead_ns();
	return state;
}

void
recovery_state_free(struct recovery_state *state)
{
	struct recovery_entry *entry;

	if (state == NULL)
		return;
	for (size_t i = 0; i < state->bucket_count; i++) {
		while ((entry = state->buckets[i]) != NULL) {
			state->buckets[i] = entry->next;
			free_entry(entry);
		}
	}
	free(state->buckets);
	free(state);
}

/* ---- sessions ------------------------------------------------------------ */

static int
make_session(
    struct recovery_state *state, struct recovery_entry *entry, struct slice id)
{
	struct broker *broker = state->broker;
	struct worker *worker = broker->workers[worker_of_client(broker, id)];

	if (entry->session == NULL)
		entry->session =
		    session_restore(&worker->sessions, id, entry->cursor);
	return entry->session == NULL ? -ENOMEM : 0;
}

static int
set_owner(struct recovery_state *state, struct recovery_entry *entry,
    const struct store_session *record)
{
	const uint64_t identity =
	    auth_identity_of(state->broker->auth, record->account);

	entry->session->identity = identity;
	free(entry->account);
	entry->account = NULL;
	if (identity != 0)
		return 0;
	entry->account = slice_to_string(record->account);
	return entry->account == NULL ? -ENOMEM : 0;
}

/* See estates.h. */
static bool
is_estate(const struct store_session *record)
{
	return record->client_id.len == 0 && !record->has_will;
}

/* It has no name and no subscriptions any more; its will may be due still. */
static void
end_to_estate(struct recovery_entry *entry)
{
	if (entry->session == NULL || entry->session->id_length == 0)
		return;
	session_end(entry->session);
	entry->session = NULL;
}

static int
on_session(struct recovery_state *state, struct slice body)
{
	struct store_session record;
	struct recovery_entry *entry;
	int err;

	err = store_session_parse(body, &record);
	if (err != 0)
		return err;
	entry = obtain(state, record.cursor);
	if (entry != NULL && is_estate(&record))
		end_to_estate(entry);
	err = entry == NULL ? -ENOMEM
			    : make_session(state, entry, record.client_id);
	if (err == 0)
		err = set_owner(state, entry, &record);
	if (err != 0)
		return err;
	session_keep(entry->session, record.expiry_ns);
	entry->left_ns = record.left_ns;
	if (is_estate(&record))
		return 0;
	will_free(entry->will);
	entry->will = NULL;
	if (!record.has_will)
		return 0;
	entry->will = will_restore(&record, entry->session->identity);
	return entry->will == NULL ? -ENOMEM : 0;
}

static int
on_leave(struct recovery_state *state, struct slice body)
{
	struct store_leave record;
	struct recovery_entry *entry;
	int err;

	err = store_leave_parse(body, &record);
	entry = err == 0 ? recovery_state_find(state, record.cursor) : NULL;
	if (entry == NULL)
		return err;
	entry->left_ns = record.left_ns;
	if (!record.keeps_will) {
		will_free(entry->will);
		entry->will = NULL;
	}
	return 0;
}

/* A will that is not over yet outlives its session. */
int
recovery_state_closed(struct recovery_state *state, uint64_t cursor)
{
	struct recovery_entry *entry = recovery_state_find(state, cursor);

	if (entry == NULL)
		return 0;
	if (entry->session != NULL)
		session_end(entry->session);
	entry->session = NULL;
	if (entry->will == NULL)
		forget(state, entry);
	return 0;
}

static void
make_room(struct recovery_state *state)
{
	if (++state->subscribed < state->room)
		return;
	/* A power of two, as the table wants it. */
	state->room = state->room == 0 ? FIRST_ROOM : state->room * 4;
	subscription_tree_make_room(state->broker->subscriptions, state->room);
}

static int
on_subscribe(struct recovery_state *state, struct slice body, bool is_wanted)
{
	struct subscription_tree *tree = state->broker->subscriptions;
	struct store_subscribe record;
	struct subscription_options options;
	struct recovery_entry *entry;
	bool existed;
	int err;

	err = store_subscribe_parse(body, &record);
	entry = err == 0 ? recovery_state_find(state, record.cursor) : NULL;
	if (entry == NULL || entry->session == NULL)
		return err;
	if (!is_wanted) {
		subscription_tree_remove(
		    tree, record.filter, &entry->session->subscriber);
		return 0;
	}
	options = (struct subscription_options){
		.qos = record.qos,
		.no_local = record.no_local,
		.retain_as_published = record.retain_as_published,
		.identifier = record.identifier,
	};
	make_room(state);
	err = subscription_tree_add(tree, record.filter,
	    &entry->session->subscriber, &options, &existed);
	return err == -E2BIG ? -EBADMSG : err;
}

static int
on_released(struct recovery_state *state, struct slice body)
{
	struct store_packet record;
	struct recovery_entry *entry;
	int err;

	err = store_packet_parse(body, &record);
	entry = err == 0 ? recovery_state_find(state, record.cursor) : NULL;
	if (entry != NULL && entry->session != NULL)
		packet_ids_remove(&entry->session->received, record.packet_id);
	return err;
}

static int
on_received(struct recovery_state *state, struct slice body)
{
	struct store_packet record;
	struct recovery_entry *entry;
	uint64_t *list;
	size_t count;
	int err;

	err = store_packet_parse(body, &record);
	entry = err == 0 ? recovery_state_find(state, record.cursor) : NULL;
	if (entry == NULL)
		return err;
	/* Room grows to each power of two. */
	count = entry->received_count;
	if ((count & (count - 1)) == 0) {
		list = realloc(entry->received,
		    (count == 0 ? 1 : count * 2) * sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		entry->received = list;
	}
	entry->received[entry->received_count++] = record.sequence;
	return 0;
}

static int
on_unfinished(struct recovery_state *state, struct slice body)
{
	struct store_unfinished record;
	struct recovery_entry *entry;
	int err;

	err = store_unfinished_parse(body, &record);
	entry = err == 0 ? recovery_state_find(state, record.cursor) : NULL;
	if (entry == NULL || entry->session == NULL)
		return err;
	for (size_t i = 0; i < record.count && err == 0; i++)
		err = packet_ids_add(&entry->session->received, record.ids[i]);
	return err;
}

/* ---- what is nobody's own -------------------------------------------------
 */

static int
keep_retained(struct recovery_state *state, const struct store_message *record)
{
	const struct message_parts parts = {
		.topic = record->topic,
		.properties = record->properties,
		.payload = record->payload,
		.qos = record->qos,
		.retain = true,
		.link = record->source.link,
		.lane = record->source.lane,
		.sequence = record->source.sequence,
		.identity = record->identity,
		.created_ns = wall_clock_to_monotonic(
		    record->created_ns, state->ahead_ns),
		.expires_ns = wall_clock_to_monotonic(
		    record->expires_ns, state->ahead_ns),
	};
	struct message *message;
	int err;

	message = message_new(state->broker->workers[0]->messages, &parts);
	if (message == NULL)
		return -ENOMEM;
	err = retained_restore(
	    state->broker->retained, message, record->retain_serial);
	message_put(message);
	return err;
}

static int
on_retained(struct recovery_state *state, struct slice body)
{
	struct store_message_room room = { 0 };
	struct store_message record;
	int err;

	err = store_message_parse(body, &room, &record);
	if (err == -ENOBUFS)
		return -EBADMSG; /* it has no deliveries */
	if (err != 0)
		return err;
	if (record.topic.len != 0)
		return keep_retained(state, &record);
	/* checkpoint.c: put_serial() */
	state->serial = record.retain_serial;
	return 0;
}

/* Of what came behind the former terms these have counted some. */
static void
drop_counted(struct recovery_entry *entry)
{
	const struct recovery_behind *first;

	while (entry->behind.count != 0) {
		first = fifo_at(&entry->behind, sizeof(*first), 0);
		if (first->sequence > entry->terms.accepted_upto)
			return;
		fifo_drop_first(&entry->behind);
	}
}

static int
on_bridge(struct recovery_state *state, struct slice body)
{
	struct store_bridge record;
	struct recovery_entry *entry;
	int err;

	err = store_bridge_parse(body, &record);
	if (err != 0)
		return err;
	entry = obtain(state, record.cursor);
	if (entry == NULL)
		return -ENOMEM;
	if (entry->bridge == NULL)
		entry->bridge = slice_to_string(record.name);
	entry->terms = record.terms;
	drop_counted(entry);
	return entry->bridge == NULL ? -ENOMEM : 0;
}

/* For bridges: what their terms do not say yet. */
static int
note_behind(struct recovery_state *state, uint64_t sequence,
    const struct store_message *message)
{
	const struct recovery_behind behind = {
		.sequence = sequence,
		.is_httpds = message->source.link != MESSAGE_FROM_MQTT &&
		    sources_link(message->source.link) == 0,
	};
	struct recovery_behind *added;
	struct recovery_entry *entry;

	for (size_t i = 0; i < message->delivery_count; i++) {
		entry =
		    recovery_state_find(state, message->deliveries[i].cursor);
		if (entry == NULL || entry->bridge == NULL ||
		    sequence <= entry->terms.accepted_upto)
			continue;
		if (fifo_reserve(&entry->behind, sizeof(behind)) != 0)
			return -ENOMEM;
		added = fifo_add(&entry->behind, sizeof(behind));
		*added = behind;
	}
	return 0;
}

/* In any order with what a checkpoint has of it: applied twice is once. */
static int
on_dead(struct recovery_state *state, struct slice body)
{
	struct recovery_entry *entry;
	struct dead_letter *letter;
	struct store_dead record;
	int err;

	err = store_dead_parse(body, &record);
	if (err != 0)
		return err;
	entry = obtain(state, record.cursor);
	if (entry == NULL)
		return -ENOMEM;
	letter = dead_find(&entry->dead, record.id);
	if (record.is_gone && letter != NULL)
		dead_remove(&entry->dead, letter);
	if (record.id > entry->dead.last_id && record.is_gone)
		entry->dead.last_id = record.id;
	if (record.is_gone || letter != NULL)
		return 0;
	letter = dead_add(&entry->dead, record.id,
	    &(struct dead_parts){
		.wall_ns = record.wall_ns,
		.attempts = record.attempts,
		.memory = record.memory,
		.sequence = record.sequence,
		.journal = record.journal,
		.why = record.why,
		.message = record.message,
	    });
	return letter == NULL ? -ENOMEM : 0;
}

static int
on_source(struct recovery_state *state, struct slice body)
{
	struct store_source record;
	int err;

	err = store_source_parse(body, &record);
	if (err == 0)
		sources_cover(&state->recovered->sources, &record);
	return err;
}

static int
take_record(struct recovery_state *state, uint8_t kind, struct slice body)
{
	switch (kind) {
	case STORE_SESSION:
		return on_session(state, body);
	case STORE_LEAVE:
		return on_leave(state, body);
	case STORE_SUBSCRIBE:
		return on_subscribe(state, body, true);
	case STORE_UNSUBSCRIBE:
		return on_subscribe(state, body, false);
	case STORE_RELEASED:
		return on_released(state, body);
	case STORE_RECEIVED:
		return on_received(state, body);
	case STORE_UNFINISHED:
		return on_unfinished(state, body);
	case STORE_RETAINED:
		return on_retained(state, body);
	case STORE_BRIDGE:
		return on_bridge(state, body);
	case STORE_SOURCE:
		return on_source(state, body);
	case STORE_DEAD:
		return on_dead(state, body);
	case STORE_START:
		return 0;
	default:
		return -ENOTSUP;
	}
}

int
recovery_state_record(struct recovery_state *state, uint8_t kind,
    uint64_t sequence, struct slice body)
{
	int err = take_record(state, kind, body);

	if (sequence != 0)
		state->recovered->is_changed = true;
	if (err != -EBADMSG)
		return err;
	if (state->counts.wrong++ == 0)
		log_error("journal_record_wrong",
		    "sequence=%llu kind=%u bytes=%zu help=\"its checksum is "
		    "right, what it says is not: it was left out; please "
		    "report this\"",
		    (unsigned long long)sequence, kind, body.len);
	return 0;
}

int
recovery_state_covered(
    struct recovery_state *state, const struct store_message *message)
{
	return sources_note(&state->recovered->sources, &message->source);
}

int
recovery_state_message(struct recovery_state *state, uint64_t sequence,
    const struct store_message *message)
{
	struct recovery_entry *entry = NULL;
	int err;

	state->recovered->is_changed = true;
	err = recovery_state_covered(state, message);
	if (err == 0)
		err = note_behind(state, sequence, message);
	if (message->publisher != 0 && message->packet_id != 0)
		entry = recovery_state_find(state, message->publisher);
	if (err == 0 && entry != NULL && entry->session != NULL)
		err = packet_ids_add(
		    &entry->session->received, message->packet_id);
	if (err == 0 && message->retain &&
	    message->retain_serial > state->serial)
		err = keep_retained(state, message);
	return err;
}
