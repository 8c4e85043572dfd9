/* SPDX-License-Identifier: Apache-2.0 */

/*
 * links_journal_box - links_box with a journal and a commit line of paper.
 *
 * What links sends lies in a line until the test has it committed or fail;
 * what was committed is the journal, and outlives the broker of the box, as do
 * the floors.  Reads are answered when the test says so.  Included by one test
 * program each.
 */

#ifndef WEIR_TESTS_UNIT_LINKS_JOURNAL_BOX_H
#define WEIR_TESTS_UNIT_LINKS_JOURNAL_BOX_H

#include "broker/backlog.h"
#include "broker/commit.h"
#include "broker/recover.h"
#include "tests/unit/links_box.h"

#define JOURNAL_MAX 4096u
#define WAYS_MAX 4u
#define CURSORS_MAX 16u
#define SESSION_CURSOR 1000u

/* A record of the journal, by sequence; `message` NULL: of state. */
struct commit_item {
	struct message *message;
	struct commit_delivery ways[WAYS_MAX];
	unsigned way_count;
	bool is_written;
};

struct commit {
	int unused;
};

struct commit_port {
	int unused;
};

struct store {
	int unused;
};

/* ---- the disk: it outlives the broker ----------------------------------- */

struct saved_message {
	struct message_parts parts;
	char topic[32];
	size_t payload_length;
	uint64_t cursors[WAYS_MAX];
	unsigned cursor_count;
};

static struct saved_message journal[JOURNAL_MAX + 1];
static uint64_t journal_last;

static struct {
	uint64_t cursor, floor;
	char name[RING_NAME_MAX];
	struct store_bridge_terms terms;
} cursors[CURSORS_MAX];
static unsigned cursor_count;

/* ---- of one life ----------------------------------------------------------
 */

static struct commit paper_commit;
static struct commit_port paper_port;
static struct store paper_store;
static struct commit_member member;
static struct recovered recovered;
static struct commit_item *line[JOURNAL_MAX];
static unsigned line_count;
static uint64_t line_first_ticket, last_ticket;
static enum commit_answer commit_answer;

/* Of cloud and plant. */
static uint64_t backlog;
static enum conf_overflow overflow;

static struct {
	uint64_t cursor, from;
	size_t max_messages;
	size_t max_bytes;
	bool is_asked;
} asked_read;

int
store_append_open(struct store *store, uint64_t cursor)
{
	(void)store;
	ck_assert_uint_lt(cursor_count, CURSORS_MAX);
	cursors[cursor_count].cursor = cursor;
	cursors[cursor_count].floor = journal_last;
	return 0;
}

int
store_append(struct store *store, uint8_t kind, struct slice body,
    uint64_t *out_sequence)
{
	struct store_bridge record;

	(void)store;
	ck_assert_uint_eq(kind, STORE_BRIDGE);
	ck_assert_int_eq(store_bridge_parse(body, &record), 0);
	ck_assert_uint_eq(record.cursor, cursors[cursor_count].cursor);
	snprintf(cursors[cursor_count].name, RING_NAME_MAX, "%.*s",
	    (int)record.name.len, (const char *)record.name.data);
	cursor_count++;
	*out_sequence = journal_last;
	return 0;
}

int
store_commit(struct store *store, bool must_sync)
{
	(void)store;
	ck_assert(must_sync);
	return 0;
}

/* What weirctl asks for is not asked here. */
void
store_stat(struct store *store, struct store_stat *out_stat)
{
	(void)store;
	*out_stat = (struct store_stat){ .committed = journal_last };
}

void
commit_ask_checkpoint(struct commit *commit)
{
	(void)commit;
}

struct commit_port *
commit_port(struct commit *commit, unsigned number)
{
	ck_assert_ptr_eq(commit, &paper_commit);
	ck_assert_uint_eq(number, 1);
	return &paper_port;
}

enum commit_answer
commit_offer(struct commit_port *port, size_t weight)
{
	(void)port;
	ck_assert_uint_ne(weight, 0);
	return commit_answer;
}

bool
commit_is_failing(const struct commit_port *port)
{
	(void)port;
	return commit_answer == COMMIT_REFUSES;
}

/* A bridge's books, kept at once. */
uint64_t
commit_send_state(struct commit_port *port, enum store_kind kind,
    struct slice body, bool must_sync)
{
	struct store_bridge record;

	(void)port;
	ck_assert(!must_sync);
	ck_assert_uint_eq(kind, STORE_BRIDGE);
	ck_assert_int_eq(store_bridge_parse(body, &record), 0);
	for (unsigned i = 0; i < cursor_count; i++)
		if (cursors[i].cursor == record.cursor)
			cursors[i].terms = record.terms;
	return 1;
}

struct commit_item *
commit_begin(struct commit_port *port, struct message *message)
{
	struct commit_item *item = calloc(1, sizeof(*item));

	(void)port;
	item->message = message_take(message);
	return item;
}

bool
commit_add(struct commit_item *item, const struct commit_delivery *delivery)
{
	ck_assert_uint_lt(item->way_count, WAYS_MAX);
	ck_assert_uint_ne(delivery->cursor, 0);
	item->ways[item->way_count++] = *delivery;
	return true;
}

unsigned
commit_receivers(const struct commit_item *item)
{
	return item->way_count;
}

void
commit_cancel(struct commit_port *port, struct commit_item *item)
{
	(void)port;
	message_put(item->message);
	free(item);
}

uint64_t
commit_send(struct commit_port *port, struct commit_item *item,
    const struct commit_origin *origin)
{
	(void)port;
	ck_assert_uint_lt(line_count, JOURNAL_MAX);
	item->is_written = origin->is_written;
	line[line_count++] = item;
	if (line_count == 1)
		line_first_ticket = last_ticket + 1;
	return ++last_ticket;
}

void
commit_done(struct commit_port *port, const struct store_done *done)
{
	(void)port;
	for (unsigned i = 0; i < cursor_count; i++) {
		if (cursors[i].cursor != done->cursor)
			continue;
		ck_assert_uint_ge(done->floor, cursors[i].floor);
		ck_assert_uint_le(done->floor, journal_last);
		cursors[i].floor = done->floor;
	}
}

int
commit_read(struct commit_port *port, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes)
{
	(void)port;
	ck_assert(!asked_read.is_asked);
	asked_read.is_asked = true;
	asked_read.cursor = cursor;
	asked_read.from = from;
	asked_read.max_messages = max_messages;
	asked_read.max_bytes = max_bytes;
	return 0;
}

void
commit_port_trim(struct commit_port *port, struct pool_trimmer *trimmer)
{
	(void)port;
	(void)trimmer;
}

void
commit_port_level(const struct commit_port *port, struct pool_level *level)
{
	(void)port;
	(void)level;
}

void
commit_flush(struct commit_port *port)
{
	(void)port;
}

/* ---- the commit thread, when the test says so -----------------------------
 */

static void
save(const struct commit_item *item)
{
	struct saved_message *saved;
	const struct message *message = item->message;
	const struct slice topic = message_topic(message);

	ck_assert_uint_lt(journal_last, JOURNAL_MAX);
	ck_assert_uint_lt(topic.len, sizeof(saved->topic));
	saved = &journal[++journal_last];
	*saved =
	    (struct saved_message){ .payload_length = message->payload_length };
	memcpy(saved->topic, topic.data, topic.len);
	saved->parts = (struct message_parts){
		.qos = message->qos,
		.link = message->link,
		.lane = message->lane,
		.sequence = message->sequence,
		.identity = message->identity,
		.created_ns = message->created_ns,
		.expires_ns = message->expires_ns,
	};
	for (unsigned i = 0; i < item->way_count; i++)
		saved->cursors[saved->cursor_count++] = item->ways[i].cursor;
}

static void
drop_line(void)
{
	for (unsigned i = 0; i < line_count; i++) {
		message_put(line[i]->message);
		free(line[i]);
	}
	line_count = 0;
}

/* `deliveries` 0: it dies before anybody is told. */
static inline void
commit_all(bool is_told)
{
	const struct commit_letter letter = {
		.first_ticket = line_count == 0 ? 0 : line_first_ticket,
		.last_ticket = line_count == 0 ? 0 : last_ticket,
	};

	for (unsigned i = 0; i < line_count; i++) {
		save(line[i]);
		for (unsigned w = 0; is_told && w < line[i]->way_count; w++) {
			if (line[i]->ways[w].member == 1)
				member.deliver(member.context, line[i]->message,
				    journal_last, &line[i]->ways[w]);
		}
	}
	drop_line();
	if (is_told)
		member.settled(member.context, &letter);
	loop_again(broker.loop);
}

static inline void
fail_all(enum mqtt_reason reason)
{
	const struct commit_letter letter = {
		.first_ticket = line_first_ticket,
		.last_ticket = last_ticket,
		.reason = reason,
	};

	drop_line();
	member.settled(member.context, &letter);
	loop_again(broker.loop);
}

static struct message *
load(uint64_t sequence)
{
	static const uint8_t zeros[RING_BYTES];
	struct message_parts parts = journal[sequence].parts;

	parts.topic = slice_of_string(journal[sequence].topic);
	parts.payload = slice_of(zeros, journal[sequence].payload_length);
	return message_new(broker.links_messages, &parts);
}

static bool
is_for(uint64_t sequence, uint64_t cursor)
{
	for (unsigned i = 0; i < journal[sequence].cursor_count; i++) {
		if (journal[sequence].cursors[i] == cursor)
			return true;
	}
	return false;
}

/* Answer the read that was asked for.  False: there is none. */
static inline bool
answer_read(void)
{
	uint64_t at = asked_read.from;
	struct message *message;
	size_t count = 0, bytes = 0;

	if (!asked_read.is_asked)
		return false;
	asked_read.is_asked = false;
	for (; at <= journal_last && count < asked_read.max_messages &&
	     bytes < asked_read.max_bytes;
	     at++) {
		if (!is_for(at, asked_read.cursor))
			continue;
		message = load(at);
		bytes += message_weight(message);
		count++;
		member.loaded(
		    member.context, asked_read.cursor, message, at, NULL);
		message_put(message);
	}
	member.loaded_upto(member.context, asked_read.cursor, at - 1, 0);
	loop_again(broker.loop);
	return true;
}

/* Turns, commits and reads until nothing is left to do. */
static inline void
run_all(void)
{
	for (int i = 0; i < 200; i++) {
		run();
		if (line_count > 0)
			commit_all(true);
		else if (!answer_read())
			return;
	}
	ck_abort_msg("it never comes to rest");
}

/* ---- life ------------------------------------------------------------------
 */

static void
recover_bridge(unsigned number)
{
	struct recovered_bridge *it = &recovered.bridges[number];

	*it = (struct recovered_bridge){ 0 };
	for (unsigned i = 0; i < cursor_count; i++) {
		if (strcmp(cursors[i].name, bridges[number].name) != 0)
			continue;
		it->cursor = cursors[i].cursor;
		it->floor = cursors[i].floor;
		it->terms = cursors[i].terms;
	}
	for (uint64_t at = it->terms.accepted_upto + 1; at <= journal_last;
	     at++) {
		if (it->cursor == 0 || !is_for(at, it->cursor))
			continue;
		it->given_behind++;
		it->accepted_behind +=
		    journal[at].parts.link == MESSAGE_FROM_MQTT ||
		    sources_link(journal[at].parts.link) != 0;
	}
	for (uint64_t at = it->floor + 1; at <= journal_last; at++) {
		if (it->cursor == 0 || !is_for(at, it->cursor))
			continue;
		it->last = at;
		it->queued++;
		/* The store counts otherwise than a backlog does. */
		it->queued_bytes += journal[at].payload_length + 100;
	}
}

static void
recover_sources(void)
{
	for (uint64_t at = 1; at <= journal_last; at++) {
		const struct store_source source = {
			journal[at].parts.link,
			journal[at].parts.lane,
			journal[at].parts.sequence,
		};

		ck_assert_int_eq(sources_note(&recovered.sources, &source), 0);
	}
}

static void
equip_with_journal(void)
{
	drop_line();
	asked_read.is_asked = false;
	last_ticket = 0;
	commit_answer = COMMIT_TAKES;
	for (unsigned i = 0; i < 2; i++) {
		bridges[i].backlog = backlog;
		bridges[i].overflow = overflow;
	}
	for (unsigned i = 0; i < conf.bridge_count; i++)
		recover_bridge(i);
	recover_sources();
	recovered.committed = journal_last;
	broker.store = &paper_store;
	broker.recovered = &recovered;
	broker.commit = &paper_commit;
	broker.backlogs = backlogs_new(&conf);
	atomic_init(&broker.next_cursor, 7 + cursor_count);
}

/* After a start: the commit line knows its member. */
static inline void
join(void)
{
	links_commit_member(broker.links, &member);
}

static inline void
restart(void)
{
	struct backlogs *old = broker.backlogs;

	drop_line();
	restart_broker();
	join();
	backlogs_free(old);
	run();
}

static void
set_up_journal(void)
{
	equip = equip_with_journal;
	collect = NULL;
	journal_last = 0;
	cursor_count = 0;
	set_up();
	join();
}

static void
tear_down_journal(void)
{
	drop_line();
	tear_down();
	backlogs_free(broker.backlogs);
}

/* The cursor of a bridge, as the journal has it. */
static inline uint64_t
floor_of(const char *name)
{
	for (unsigned i = 0; i < cursor_count; i++) {
		if (strcmp(cursors[i].name, name) == 0)
			return cursors[i].floor;
	}
	return UINT64_MAX;
}

#endif
