/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/recover_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/checkpoint.h"
#include "broker/recover.h"
#include "broker/retain.h"
#include "broker/session_queue.h"
#include "broker/wall_clock.h"
#include "broker/worker.h"
#include "common/base/bug.h"

#define FIRST_BUCKETS 1024

/* Of the tree of subscriptions, in levels. */
#define FIRST_ROOM 1024

/* What the records say of a cursor. */
struct entry {
	struct entry *next; /* in its bucket */
	uint64_t cursor;
	struct session *session;
	struct will *will;
	uint64_t left_ns;   /* 0: it was connected */
	char *account;      /* one that is not there any more */
	char *bridge;       /* it is one */
	uint64_t *received; /* sequences of QoS 2 that the client has */
	size_t received_count;
	bool is_open;
};

struct recovery_state {
	struct broker *broker;
	struct recovered *recovered;
	struct entry **buckets;
	size_t bucket_count;
	size_t count;
	uint64_t last;   /* the journal's last sequence; from the finish on */
	uint64_t serial; /* retained: the checkpoint knows all up to it */
	uint64_t ahead_ns;
	uint64_t last_cursor;
	size_t subscribed; /* records */
	size_t room;       /* that the tree of subscriptions has */
	struct recovery_counts counts;
};

/* ---- entries ------------------------------------------------------------- */

static struct entry **
find_link(const struct recovery_state *state, uint64_t cursor)
{
	struct entry **link;

	link = &state->buckets[cursor & (state->bucket_count - 1)];
	while (*link != NULL && (*link)->cursor != cursor)
		link = &(*link)->next;
	return link;
}

static struct entry *
find(const struct recovery_state *state, uint64_t cursor)
{
	return *find_link(state, cursor);
}

/* Without memory it goes on as it is. */
static void
grow(struct recovery_state *state)
{
	const size_t count = state->bucket_count;
	struct entry **old = state->buckets, **buckets, *entry;

	buckets = calloc(count * 2, sizeof(struct entry *));
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

static struct entry *
obtain(struct recovery_state *state, uint64_t cursor)
{
	struct entry **link = find_link(state, cursor);

	if (cursor > state->last_cursor)
		state->last_cursor = cursor;
	if (*link != NULL)
		return *link;
	if (state->count >= state->bucket_count) {
		grow(state);
		link = find_link(state, cursor);
	}
	*link = calloc(1, sizeof(struct entry));
	if (*link == NULL)
		return NULL;
	(*link)->cursor = cursor;
	state->count++;
	return *link;
}

static void
free_entry(struct entry *entry)
{
	will_free(entry->will);
	free(entry->account);
	free(entry->bridge);
	free(entry->received);
	free(entry);
}

static void
forget(struct recovery_state *state, struct entry *entry)
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
	state->buckets = calloc(FIRST_BUCKETS, sizeof(struct entry *));
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
	struct entry *entry;

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

static struct worker *
worker_of(const struct recovery_state *state, const struct entry *entry)
{
	struct broker *broker = state->broker;

	return broker->workers[entry->session != NULL
		? entry->session->subscriber.worker
		: entry->cursor % broker->worker_count];
}

static int
make_session(struct recovery_state *state, struct entry *entry, struct slice id)
{
	struct broker *broker = state->broker;
	struct worker *worker = broker->workers[worker_of_client(broker, id)];

	if (entry->session == NULL)
		entry->session =
		    session_restore(&worker->sessions, id, entry->cursor);
	return entry->session == NULL ? -ENOMEM : 0;
}

static int
set_owner(struct recovery_state *state, struct entry *entry,
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

static int
on_session(struct recovery_state *state, struct slice body)
{
	struct store_session record;
	struct entry *entry;
	int err;

	err = store_session_parse(body, &record);
	if (err != 0)
		return err;
	entry = obtain(state, record.cursor);
	err = entry == NULL ? -ENOMEM
			    : make_session(state, entry, record.client_id);
	if (err == 0)
		err = set_owner(state, entry, &record);
	if (err != 0)
		return err;
	session_keep(entry->session, record.expiry_ns);
	entry->left_ns = record.left_ns;
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
	struct entry *entry;
	int err;

	err = store_leave_parse(body, &record);
	entry = err == 0 ? find(state, record.cursor) : NULL;
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
	struct entry *entry = find(state, cursor);

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
	struct entry *entry;
	bool existed;
	int err;

	err = store_subscribe_parse(body, &record);
	entry = err == 0 ? find(state, record.cursor) : NULL;
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
	struct entry *entry;
	int err;

	err = store_packet_parse(body, &record);
	entry = err == 0 ? find(state, record.cursor) : NULL;
	if (entry != NULL && entry->session != NULL)
		packet_ids_remove(&entry->session->received, record.packet_id);
	return err;
}

static int
on_received(struct recovery_state *state, struct slice body)
{
	struct store_packet record;
	struct entry *entry;
	uint64_t *list;
	size_t count;
	int err;

	err = store_packet_parse(body, &record);
	entry = err == 0 ? find(state, record.cursor) : NULL;
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
	struct entry *entry;
	int err;

	err = store_unfinished_parse(body, &record);
	entry = err == 0 ? find(state, record.cursor) : NULL;
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

static int
on_bridge(struct recovery_state *state, struct slice body)
{
	struct store_bridge record;
	struct entry *entry;
	int err;

	err = store_bridge_parse(body, &record);
	if (err != 0)
		return err;
	entry = obtain(state, record.cursor);
	if (entry == NULL)
		return -ENOMEM;
	if (entry->bridge == NULL)
		entry->bridge = slice_to_string(record.name);
	return entry->bridge == NULL ? -ENOMEM : 0;
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
	case STORE_START:
	case STORE_DEAD:
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
recovery_state_message(
    struct recovery_state *state, const struct store_message *message)
{
	struct entry *entry = NULL;
	int err;

	state->recovered->is_changed = true;
	err = recovery_state_covered(state, message);
	if (message->publisher != 0 && message->packet_id != 0)
		entry = find(state, message->publisher);
	if (err == 0 && entry != NULL && entry->session != NULL)
		err = packet_ids_add(
		    &entry->session->received, message->packet_id);
	if (err == 0 && message->retain &&
	    message->retain_serial > state->serial)
		err = keep_retained(state, message);
	return err;
}

/* ---- the end: which cursors are open --------------------------------------
 */

static int
note_closing(struct recovery_state *state, uint64_t cursor)
{
	struct recovered *recovered = state->recovered;
	const size_t count = recovered->closing_count;
	uint64_t *list;

	if ((count & (count - 1)) == 0) {
		list = realloc(recovered->closing,
		    (count == 0 ? 1 : count * 2) * sizeof(*list));
		if (list == NULL)
			return -ENOMEM;
		recovered->closing = list;
	}
	recovered->closing[recovered->closing_count++] = cursor;
	return 0;
}

static int
open_bridge(struct recovery_state *state, const struct entry *entry,
    const struct store_cursor *cursor)
{
	const struct slice name = slice_of_string(entry->bridge);
	const int number = bridge_table_find(state->broker->bridges, name);
	const struct store_bridge record = { cursor->cursor, name };

	if (number < 0) {
		log_warning("bridge_absent",
		    "bridge=%s queued=%llu help=\"it is not configured; what "
		    "waits for it is kept until it is\"",
		    log_quote(entry->bridge),
		    (unsigned long long)cursor->queued);
		return checkpoint_keep_bridge(
		    state->broker->checkpoints, &record);
	}
	state->counts.bridges++;
	state->recovered->bridges[number] = (struct recovered_bridge){
		.cursor = cursor->cursor,
		.floor = cursor->floor,
		.last = cursor->queued == 0 ? 0 : state->last,
		.queued = cursor->queued,
		.queued_bytes = cursor->queued_bytes,
	};
	return 0;
}

static int
by_sequence(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return one < other ? -1 : one > other;
}

static int
open_session(struct recovery_state *state, struct entry *entry,
    const struct store_cursor *cursor)
{
	int err;

	state->counts.queued += cursor->queued;
	err = session_queue_restore(entry->session, cursor, state->last);
	if (entry->received_count != 0)
		qsort(entry->received, entry->received_count,
		    sizeof(*entry->received), by_sequence);
	for (size_t i = 0; i < entry->received_count && err == 0; i++)
		err = session_queue_restore_received(
		    entry->session, entry->received[i]);
	return err;
}

/* For store_each_cursor(). */
static int
on_open_cursor(void *arg, const struct store_cursor *cursor)
{
	struct recovery_state *state = arg;
	struct entry *entry = find(state, cursor->cursor);

	if (entry == NULL)
		return note_closing(state, cursor->cursor);
	entry->is_open = true;
	if (entry->bridge != NULL)
		return open_bridge(state, entry, cursor);
	if (entry->session == NULL || entry->account != NULL)
		return note_closing(state, cursor->cursor);
	return open_session(state, entry, cursor);
}

/* ---- the end: what is due -------------------------------------------------
 */

static uint64_t
after(uint64_t now_ns, uint64_t interval_ns, uint64_t elapsed_ns)
{
	const uint64_t left_ns =
	    interval_ns > elapsed_ns ? interval_ns - elapsed_ns : 0;

	if (interval_ns == SESSION_NEVER || left_ns > SESSION_NEVER - now_ns)
		return SESSION_NEVER;
	return now_ns + left_ns;
}

static void
count_session(struct recovery_state *state, const struct entry *entry)
{
	state->counts.sessions++;
	state->counts.subscriptions += entry->session->subscriber.count;
	if (entry->left_ns == 0) {
		state->counts.were_connected++;
		state->recovered->is_changed = true;
	}
}

static void
publish(struct recovery_state *state, struct entry *entry)
{
	will_set_owner(entry->will, entry->cursor, entry->left_ns);
	will_publish_restored(worker_of(state, entry), entry->will);
	entry->will = NULL;
	state->counts.wills++;
}

/* It is offline: until when, and when is its will due? */
static int
settle_session(struct recovery_state *state, struct entry *entry)
{
	const uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
	struct session *session = entry->session;
	uint64_t elapsed_ns, when_ns;

	count_session(state, entry);
	if (entry->left_ns == 0)
		entry->left_ns = wall_ns;
	elapsed_ns = wall_ns > entry->left_ns ? wall_ns - entry->left_ns : 0;
	session->left_ns = entry->left_ns;
	session->expires_at_ns = after(now_ns, session->expiry_ns, elapsed_ns);
	when_ns = session->expires_at_ns;
	if (entry->will != NULL) {
		session->will_at_ns =
		    after(now_ns, will_delay_ns(entry->will), elapsed_ns);
		if (session->will_at_ns < when_ns)
			when_ns = session->will_at_ns;
		will_set_owner(entry->will, entry->cursor, entry->left_ns);
		if (session->will_at_ns > now_ns) {
			session->will = entry->will;
			entry->will = NULL;
		} else {
			publish(state, entry);
		}
	}
	if (when_ns == SESSION_NEVER)
		return 0;
	return alarms_set(session->home->alarms, &session->alarm, when_ns);
}

static void
end_orphan(struct recovery_state *state, struct entry *entry)
{
	log_warning("session_orphaned",
	    "client=%s account=%s help=\"the account is not there any more: "
	    "its "
	    "session ends, and what waited for it is lost\"",
	    log_quote_n(entry->session->id, entry->session->id_length),
	    log_quote(entry->account));
	state->counts.orphans++;
	state->recovered->is_changed = true;
}

/* A will alone, or a session that is no more, or never was for its client. */
static void
settle_rest(struct recovery_state *state, struct entry *entry)
{
	if (entry->left_ns == 0)
		entry->left_ns = clock_wall_ns();
	if (entry->will != NULL && entry->account == NULL)
		publish(state, entry);
	if (entry->session != NULL)
		session_end(entry->session);
	entry->session = NULL;
}

static int
settle_entry(struct recovery_state *state, struct entry *entry)
{
	if (entry->session != NULL && entry->is_open) {
		if (entry->account == NULL)
			return settle_session(state, entry);
		end_orphan(state, entry);
	}
	settle_rest(state, entry);
	return 0;
}

static void
wake_workers(struct broker *broker)
{
	for (unsigned i = 0; i < broker->worker_count; i++)
		loop_again(broker->workers[i]->loop);
}

int
recovery_state_finish(struct recovery_state *state, struct store *store,
    struct recovery_counts *out_counts)
{
	struct broker *broker = state->broker;
	struct entry *entry;
	int err;

	state->last = store_committed(store);
	err = store_each_cursor(store, on_open_cursor, state);
	for (size_t i = 0; i < state->bucket_count && err == 0; i++)
		for (entry = state->buckets[i]; entry != NULL && err == 0;
		     entry = entry->next)
			err = settle_entry(state, entry);
	if (err != 0)
		return err;
	retained_restored(broker->retained, state->serial);
	state->counts.retained = retained_count(broker->retained);
	/* The first turn fires the alarms and publishes the wills. */
	wake_workers(broker);
	*out_counts = state->counts;
	return 0;
}
