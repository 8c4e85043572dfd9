/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/checkpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/commit.h"
#include "broker/links.h"
#include "broker/retain.h"
#include "broker/session_walk.h"
#include "broker/wall_clock.h"
#include "broker/worker.h"
#include "common/base/bug.h"

/* So long the keeper waits before it looks after the store again. */
#define TEND_NS (20 * CLOCK_MS_NS)

/* How often a member is asked whether it has been told of all it sent. */
#define SETTLED_POLL_NS (2 * CLOCK_MS_NS)

#define RETAINED_SLICE 64u

/* Who answers. */
enum mode {
	ATTENDED, /* the members, on their threads */
	ENDED,    /* nobody: what is asked is given up */
	DIRECT    /* the keeper itself */
};

/* Its record. */
struct kept_bridge {
	enum store_kind kind;
	struct kept_bridge *next;
	size_t length;
	uint8_t body[];
};

struct checkpoint_desk {
	struct broker *broker;
	struct kept_bridge *bridges; /* [const] while threads run */
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	enum mode mode; /* under the mutex */
};

/* Records on their way from a member to the keeper. */
struct records {
	uint8_t *bytes;
	size_t length;
	size_t size;
};

struct record_head {
	uint32_t kind; /* enum store_kind */
	uint32_t length;
};

enum subject {
	SESSIONS, /* of a worker: the next step of `walk` */
	LINKS,
	SETTLED /* has it been told of `ticket`? */
};

/* What a member is asked; the keeper's, unless it gave it up. */
struct question {
	struct mail mail;
	struct checkpoint_desk *desk;
	unsigned member;
	enum subject subject;
	bool is_answered; /* under the mutex, as the next */
	bool is_given_up;

	/* The answer. */
	int err;
	struct records records;
	struct session_walk walk;
	uint64_t ticket; /* 0: the last one; then that */
	bool is_settled;
	uint64_t failures; /* of what it sent, so far */
};

/* ---- the desk ----------------------------------------------------------- */

struct checkpoint_desk *
checkpoint_desk_new(struct broker *broker)
{
	struct checkpoint_desk *desk;
	pthread_condattr_t attributes;

	desk = calloc(1, sizeof(*desk));
	if (desk == NULL)
		return NULL;
	desk->broker = broker;
	pthread_mutex_init(&desk->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&desk->moved, &attributes);
	pthread_condattr_destroy(&attributes);
	return desk;
}

void
checkpoint_desk_free(struct checkpoint_desk *desk)
{
	struct kept_bridge *bridge;

	if (desk == NULL)
		return;
	while ((bridge = desk->bridges) != NULL) {
		desk->bridges = bridge->next;
		free(bridge);
	}
	pthread_cond_destroy(&desk->moved);
	pthread_mutex_destroy(&desk->mutex);
	free(desk);
}

/* Its body is to be written.  NULL: no memory. */
static struct kept_bridge *
keep(struct checkpoint_desk *desk, enum store_kind kind, size_t length)
{
	struct kept_bridge *kept = malloc(sizeof(*kept) + length);

	if (kept == NULL)
		return NULL;
	kept->kind = kind;
	kept->length = length;
	kept->next = desk->bridges;
	desk->bridges = kept;
	return kept;
}

int
checkpoint_keep_bridge(
    struct checkpoint_desk *desk, const struct store_bridge *bridge)
{
	struct kept_bridge *kept =
	    keep(desk, STORE_BRIDGE, store_bridge_size(bridge));

	if (kept == NULL)
		return -ENOMEM;
	store_bridge_write(bridge, kept->body);
	return 0;
}

int
checkpoint_keep_record(void *context, enum store_kind kind, struct slice body)
{
	struct kept_bridge *kept = keep(context, kind, body.len);

	if (kept == NULL)
		return -ENOMEM;
	memcpy(kept->body, body.data, body.len);
	return 0;
}

static void
set_mode(struct checkpoint_desk *desk, enum mode mode)
{
	pthread_mutex_lock(&desk->mutex);
	desk->mode = mode;
	pthread_cond_broadcast(&desk->moved);
	pthread_mutex_unlock(&desk->mutex);
}

void
checkpoint_members_ended(struct checkpoint_desk *desk)
{
	set_mode(desk, ENDED);
}

void
checkpoint_read_directly(struct checkpoint_desk *desk)
{
	set_mode(desk, DIRECT);
}

/* ---- a member's side ------------------------------------------------------
 */

static int
note_record(void *context, enum store_kind kind, struct slice body)
{
	struct records *records = context;
	const struct record_head head = { (uint32_t)kind, (uint32_t)body.len };
	const size_t needed = records->length + sizeof(head) + body.len;
	const size_t size =
	    records->size * 2 > needed ? records->size * 2 : needed * 2;
	uint8_t *bytes;

	if (needed > records->size) {
		bytes = realloc(records->bytes, size);
		if (bytes == NULL)
			return -ENOMEM;
		records->bytes = bytes;
		records->size = size;
	}
	memcpy(records->bytes + records->length, &head, sizeof(head));
	if (body.len != 0)
		memcpy(records->bytes + records->length + sizeof(head),
		    body.data, body.len);
	records->length = needed;
	return 0;
}

static void
tell_settled(struct question *question)
{
	struct broker *broker = question->desk->broker;
	struct commit_port *port =
	    commit_port(broker->commit, question->member);

	if (question->ticket == 0)
		question->ticket = commit_last_ticket(port);
	question->is_settled = commit_settled(port) >= question->ticket;
	/* What links settles badly, it does not give as its state. */
	question->failures = question->member == broker->worker_count
	    ? 0
	    : broker->workers[question->member]->settled_badly;
}

static void
answer(struct question *question)
{
	struct broker *broker = question->desk->broker;

	question->err = 0;
	switch (question->subject) {
	case SESSIONS:
		question->err =
		    session_walk_step(broker->workers[question->member],
			&question->walk, note_record, &question->records);
		break;
	case LINKS:
		question->err = links_checkpoint(
		    broker->links, note_record, &question->records);
		break;
	case SETTLED:
		tell_settled(question);
		break;
	}
}

static struct question *
question_new(
    struct checkpoint_desk *desk, unsigned member, enum subject subject)
{
	struct question *question;

	question = calloc(1, sizeof(*question));
	if (question == NULL)
		return NULL;
	question->desk = desk;
	question->member = member;
	question->subject = subject;
	return question;
}

static void
question_free(struct question *question)
{
	if (question == NULL)
		return;
	session_walk_fini(&question->walk);
	free(question->records.bytes);
	free(question);
}

static void
on_question(struct mail *mail, void *owner)
{
	struct question *question = CONTAINER_OF(mail, struct question, mail);
	struct checkpoint_desk *desk = question->desk;
	bool is_given_up;

	(void)owner;
	pthread_mutex_lock(&desk->mutex);
	is_given_up = question->is_given_up;
	pthread_mutex_unlock(&desk->mutex);
	if (!is_given_up)
		answer(question);
	pthread_mutex_lock(&desk->mutex);
	is_given_up = question->is_given_up;
	question->is_answered = true;
	pthread_cond_signal(&desk->moved);
	pthread_mutex_unlock(&desk->mutex);
	/* Else it may be gone already. */
	if (is_given_up)
		question_free(question);
}

/* ---- the keeper's side ----------------------------------------------------
 */

/* Under the mutex.  While it waits, the store gets what it needs. */
static void
wait_a_little(struct checkpoint_desk *desk, uint64_t wait_ns)
{
	const uint64_t until_ns = clock_now_ns() + wait_ns;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / CLOCK_SECOND_NS),
		.tv_nsec = (long)(until_ns % CLOCK_SECOND_NS),
	};

	if (pthread_cond_timedwait(&desk->moved, &desk->mutex, &until) == 0)
		return;
	pthread_mutex_unlock(&desk->mutex);
	store_tend(desk->broker->store);
	pthread_mutex_lock(&desk->mutex);
}

static struct mailbox *
mailbox_of(const struct broker *broker, unsigned member)
{
	return member == broker->worker_count
	    ? broker->links_mailbox
	    : broker->workers[member]->mailbox;
}

/* 0: it is answered, and all is well; else it is freed. */
static int
ask_by_mail(struct question *question)
{
	struct checkpoint_desk *desk = question->desk;
	struct mailbox *mailbox = mailbox_of(desk->broker, question->member);

	question->is_answered = false;
	question->mail.open = on_question;
	mailbox_put(mailbox, &question->mail);
	mailbox_wake(mailbox);
	while (!question->is_answered && desk->mode == ATTENDED)
		wait_a_little(desk, TEND_NS);
	if (question->is_answered)
		return 0;
	question->is_given_up = true;
	return -ECANCELED;
}

/* NULL with *err; *err is 0 if it is answered well. */
static struct question *
ask(struct question *question, int *err)
{
	struct checkpoint_desk *desk = question->desk;
	enum mode mode;

	pthread_mutex_lock(&desk->mutex);
	mode = desk->mode;
	*err = mode == ATTENDED ? ask_by_mail(question) : 0;
	pthread_mutex_unlock(&desk->mutex);
	if (*err != 0)
		return NULL;
	if (mode == DIRECT)
		answer(question);
	*err = mode == ENDED ? -ECANCELED : question->err;
	if (*err == 0)
		return question;
	question_free(question);
	return NULL;
}

static bool
is_direct(struct checkpoint_desk *desk)
{
	bool is_direct;

	pthread_mutex_lock(&desk->mutex);
	is_direct = desk->mode == DIRECT;
	pthread_mutex_unlock(&desk->mutex);
	return is_direct;
}

/* Wait until this member has been told of all that it has sent. */
static int
await_settled(
    struct checkpoint_desk *desk, unsigned member, uint64_t *out_failures)
{
	struct question *question = question_new(desk, member, SETTLED);
	int err = -ENOMEM;

	if (question == NULL)
		return err;
	while ((question = ask(question, &err)) != NULL) {
		if (question->is_settled) {
			*out_failures = question->failures;
			question_free(question);
			return 0;
		}
		pthread_mutex_lock(&desk->mutex);
		if (desk->mode == ATTENDED)
			wait_a_little(desk, SETTLED_POLL_NS);
		pthread_mutex_unlock(&desk->mutex);
	}
	return err;
}

static int
await_all_settled(struct checkpoint_desk *desk, uint64_t *failures)
{
	int err = 0;

	/* Then the main thread has seen to it. */
	if (is_direct(desk))
		return 0;
	for (unsigned i = 0; i <= desk->broker->worker_count && err == 0; i++)
		err = await_settled(desk, i, &failures[i]);
	return err;
}

static int
put_records(struct store_checkpoint *checkpoint, struct records *records)
{
	struct record_head head;
	size_t at = 0;
	int err = 0;

	while (at < records->length && err == 0) {
		memcpy(&head, records->bytes + at, sizeof(head));
		at += sizeof(head);
		err = store_checkpoint_put(checkpoint, (uint8_t)head.kind,
		    slice_of(records->bytes + at, head.length));
		at += head.length;
	}
	records->length = 0;
	return err;
}

static int
put_member(struct checkpoint_desk *desk, unsigned member,
    struct store_checkpoint *checkpoint)
{
	const enum subject subject =
	    member == desk->broker->worker_count ? LINKS : SESSIONS;
	struct question *question = question_new(desk, member, subject);
	bool is_over = subject == LINKS;
	int err = question == NULL ? -ENOMEM : 0;

	while (err == 0) {
		question = ask(question, &err);
		if (question == NULL)
			return err;
		err = put_records(checkpoint, &question->records);
		is_over |= question->walk.is_over;
		if (is_over)
			break;
		store_tend(desk->broker->store);
	}
	question_free(question);
	return err;
}

/* ---- what is nobody's own --------------------------------------------------
 */

static int
put_start(struct broker *broker, struct store_checkpoint *checkpoint)
{
	struct store_start start = { .wall_ns = clock_wall_ns() };
	uint8_t bytes[STORE_SMALL_MAX];

	memcpy(start.instance, broker->instance, sizeof(start.instance));
	return store_checkpoint_put(checkpoint, STORE_START,
	    slice_of(bytes, store_start_write(&start, bytes)));
}

static int
put_kept_bridges(
    struct checkpoint_desk *desk, struct store_checkpoint *checkpoint)
{
	const struct kept_bridge *bridge;
	int err = 0;

	for (bridge = desk->bridges; bridge != NULL && err == 0;
	     bridge = bridge->next)
		err = store_checkpoint_put(checkpoint, bridge->kind,
		    slice_of(bridge->body, bridge->length));
	return err;
}

/* One buffer for all retained messages. */
struct room {
	uint8_t *bytes;
	size_t size;
};

static int
put_retained_message(struct store_checkpoint *checkpoint,
    const struct store_message *message, struct room *room)
{
	const size_t size = store_message_size(message);
	uint8_t *bytes;

	if (size > room->size) {
		bytes = realloc(room->bytes, size);
		if (bytes == NULL)
			return -ENOMEM;
		room->bytes = bytes;
		room->size = size;
	}
	store_message_write(message, room->bytes);
	return store_checkpoint_put(
	    checkpoint, STORE_RETAINED, slice_of(room->bytes, size));
}

static int
put_one(struct store_checkpoint *checkpoint, const struct message *message,
    uint64_t serial, struct room *room)
{
	const uint64_t ahead_ns = wall_clock_ahead_ns();
	const struct store_message record = {
		.qos = message->qos,
		.retain = true,
		.retain_serial = serial,
		.source = { message->link, message->lane, message->sequence },
		.identity = message->identity,
		.created_ns = wall_clock_from(message->created_ns, ahead_ns),
		.expires_ns = wall_clock_from(message->expires_ns, ahead_ns),
		.topic = message_topic(message),
		.properties = message_properties(message),
		.payload = message_payload(message),
	};

	return put_retained_message(checkpoint, &record, room);
}

/*
 * Messages behind the checkpoint whose serial is not above this one are in
 * what follows already, or were replaced: see recover.c.
 */
static int
put_serial(struct broker *broker, struct store_checkpoint *checkpoint,
    struct room *room)
{
	const struct store_message record = {
		.retain_serial = retained_serial(broker->retained),
		.source = { .link = MESSAGE_FROM_MQTT },
		.expires_ns = UINT64_MAX,
	};

	return put_retained_message(checkpoint, &record, room);
}

static int
put_retained(struct broker *broker, struct store_checkpoint *checkpoint)
{
	struct message *list[RETAINED_SLICE];
	uint64_t serials[RETAINED_SLICE];
	struct retained_cursor cursor = { 0 };
	struct room room = { 0 };
	size_t count;
	int err;

	err = put_serial(broker, checkpoint, &room);
	do {
		count = retained_slice(broker->retained, &cursor, list, serials,
		    RETAINED_SLICE, clock_now_ns());
		for (size_t i = 0; i < count; i++) {
			if (err == 0)
				err = put_one(
				    checkpoint, list[i], serials[i], &room);
			message_put(list[i]);
		}
		store_tend(broker->store);
	} while (count != 0 && err == 0);
	retained_cursor_fini(&cursor);
	free(room.bytes);
	return err;
}

/* ---- all of it -------------------------------------------------------------
 */

static int
put_all(struct checkpoint_desk *desk, struct store_checkpoint *checkpoint)
{
	struct broker *broker = desk->broker;
	int err;

	err = put_start(broker, checkpoint);
	if (err == 0)
		err = put_kept_bridges(desk, checkpoint);
	for (unsigned i = 0; i <= broker->worker_count && err == 0; i++)
		err = put_member(desk, i, checkpoint);
	return err == 0 ? put_retained(broker, checkpoint) : err;
}

int
checkpoint_write_state(void *context, struct store_checkpoint *checkpoint)
{
	struct broker *broker = context;
	struct checkpoint_desk *desk = broker->checkpoints;
	uint64_t before[BROKER_MAX_WORKERS + 1] = { 0 };
	uint64_t after[BROKER_MAX_WORKERS + 1] = { 0 };
	int err;

	err = await_all_settled(desk, before);
	if (err == 0)
		err = put_all(desk, checkpoint);
	if (err == 0)
		err = await_all_settled(desk, after);
	/* It may hold what was refused. */
	if (err == 0 && memcmp(before, after, sizeof(before)) != 0)
		err = -EAGAIN;
	return err;
}
