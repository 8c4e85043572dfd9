/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The reader's thread: messages of a cursor from the journal to its owner.
 *
 * A request is also the letter that answers it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/commit_private.h"
#include "broker/wall_clock.h"
#include "common/base/clock.h"

/* Identifiers that an entry has room for in itself. */
#define FEW_IDENTIFIERS 4u

/* How often memory is given back while there is some. */
#define TRIM_NS CLOCK_SECOND_NS

struct commit_entry {
	struct commit_entry *next;
	struct message *message;
	uint64_t sequence;
	struct commit_delivery delivery;
	uint32_t *many; /* identifiers on the heap; NULL: in `few` */
	uint32_t few[FEW_IDENTIFIERS];
};

struct commit_read {
	struct mail mail;
	struct commit_read *next;
	struct commit *commit;
	unsigned member;
	uint64_t cursor, from;
	size_t max_messages, max_bytes;

	/* What was read. */
	struct commit_entry *first, *last;
	uint64_t ahead_ns; /* see wall_clock.h */
	uint64_t upto;
	int err;
};

/* ---- the owner's side -------------------------------------------------- */

static void
free_entry(struct pool *entries, struct commit_entry *entry)
{
	message_put(entry->message);
	free(entry->many);
	pool_put(entries, entry);
}

static void
open_read(struct mail *mail, void *owner)
{
	struct commit_read *read = CONTAINER_OF(mail, struct commit_read, mail);
	struct commit *commit = read->commit;
	const struct commit_member *member = &commit->members[read->member];
	struct commit_entry *entry, *next;

	(void)owner;
	for (entry = read->first; entry != NULL; entry = next) {
		next = entry->next;
		member->loaded(member->context, read->cursor, entry->message,
		    entry->sequence, &entry->delivery);
		free_entry(&commit->reader.entries, entry);
	}
	member->loaded_upto(
	    member->context, read->cursor, read->upto, read->err);
	free(read);
}

int
commit_read(struct commit_port *port, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes)
{
	struct commit_reader *reader = &port->commit->reader;
	struct commit_read *read;

	read = malloc(sizeof(*read));
	if (read == NULL)
		return -ENOMEM;
	*read = (struct commit_read){
		.mail.open = open_read,
		.commit = port->commit,
		.member = port->member,
		.cursor = cursor,
		.from = from,
		.max_messages = max_messages,
		.max_bytes = max_bytes,
	};
	read->next = atomic_load_explicit(&reader->inbox, memory_order_relaxed);
	/* seq_cst, as the waker wants it */
	while (!atomic_compare_exchange_weak(&reader->inbox, &read->next, read))
		;
	waker_wake(&reader->waker);
	return 0;
}

/* ---- the reader's side ------------------------------------------------- */

static struct message *
make_message(struct commit_read *read, const struct store_message *record)
{
	return message_new(read->commit->reader.messages,
	    &(struct message_parts){
		.topic = record->topic,
		.properties = record->properties,
		.payload = record->payload,
		.qos = record->qos,
		.retain = record->retain,
		.link = record->source.link,
		.lane = record->source.lane,
		.sequence = record->source.sequence,
		.identity = record->identity,
		.created_ns =
		    wall_clock_to_monotonic(record->created_ns, read->ahead_ns),
		.expires_ns =
		    wall_clock_to_monotonic(record->expires_ns, read->ahead_ns),
	    });
}

/* False: no memory. */
static bool
set_delivery(struct commit_entry *entry, unsigned member,
    const struct store_delivery *delivery)
{
	const bool is_shared = (delivery->flags & STORE_SHARE_FLAG) != 0;
	uint32_t *identifiers = entry->few;

	if (delivery->identifier_count > FEW_IDENTIFIERS) {
		entry->many =
		    malloc(delivery->identifier_count * sizeof(*entry->many));
		identifiers = entry->many;
	}
	if (identifiers == NULL)
		return false;
	if (delivery->identifier_count != 0)
		memcpy(identifiers, delivery->identifiers,
		    delivery->identifier_count * sizeof(*identifiers));
	entry->delivery = (struct commit_delivery){
		.cursor = delivery->cursor,
		.member = (uint16_t)member,
		.qos = delivery->qos,
		.retain = (delivery->flags & STORE_RETAIN_FLAG) != 0,
		.is_durable = true,
		.share = is_shared ? identifiers[0] : 0,
		.identifier_count =
		    (uint16_t)(delivery->identifier_count - is_shared),
		.identifiers = identifiers + is_shared,
	};
	return true;
}

static int
add_entry(void *arg, uint64_t sequence, const struct store_message *record,
    const struct store_delivery *delivery)
{
	struct commit_read *read = arg;
	struct pool *entries = &read->commit->reader.entries;
	struct commit_entry *entry;

	entry = pool_take(entries);
	if (entry == NULL)
		return -ENOMEM;
	entry->next = NULL;
	entry->many = NULL;
	entry->sequence = sequence;
	entry->message = make_message(read, record);
	if (entry->message == NULL ||
	    !set_delivery(entry, read->member, delivery)) {
		free_entry(entries, entry);
		return -ENOMEM;
	}
	if (read->first == NULL)
		read->first = entry;
	else
		read->last->next = entry;
	read->last = entry;
	return 0;
}

/*
 * What was read before an error is given, as if that had been all there was:
 * the next read begins with the error.
 */
static void
serve(struct commit *commit, struct commit_read *read)
{
	read->ahead_ns = wall_clock_ahead_ns();
	read->err = store_read(commit->reader.store_reader, read->cursor,
	    read->from, read->max_messages, read->max_bytes, add_entry, read,
	    &read->upto);
	if (read->err != 0 && read->last != NULL) {
		read->err = 0;
		read->upto = read->last->sequence;
	}
}

static void
answer(struct commit *commit, struct commit_read *read)
{
	struct mailbox *mailbox = commit->members[read->member].mailbox;

	mailbox_put(mailbox, &read->mail);
	mailbox_wake(mailbox);
}

static struct commit_read *
take(struct commit_reader *reader)
{
	struct commit_read *read, *next, *oldest = NULL;

	/* acquire: pairs with the exchange in commit_read() */
	read = atomic_exchange_explicit(
	    &reader->inbox, NULL, memory_order_acquire);
	for (; read != NULL; read = next) {
		next = read->next;
		read->next = oldest;
		oldest = read;
	}
	return oldest;
}

static bool
stops(struct commit *commit)
{
	/* seq_cst, as the waker wants it */
	return atomic_load(&commit->stops[COMMIT_READER]);
}

static void
serve_all(struct commit *commit, bool is_last)
{
	struct commit_read *read = take(&commit->reader), *next;

	for (; read != NULL; read = next) {
		next = read->next;
		if (is_last || stops(commit))
			read->err = -ECANCELED;
		else
			serve(commit, read);
		answer(commit, read);
	}
}

/*
 * Give back what a burst took.  Returns how long to sleep until there may be
 * more of it.
 */
static uint64_t
trim(struct commit_reader *reader, uint64_t *trimmed_ns)
{
	const uint64_t now_ns = clock_now_ns();

	if (!message_pools_may_trim(reader->messages) &&
	    !pool_may_trim(&reader->entries))
		return WAKER_NEVER;
	if (now_ns - *trimmed_ns < TRIM_NS)
		return TRIM_NS;
	*trimmed_ns = now_ns;
	message_pools_trim(reader->messages);
	pool_trim(&reader->entries);
	return TRIM_NS;
}

void *
commit_reader_run(void *arg)
{
	struct commit *commit = arg;
	struct commit_reader *reader = &commit->reader;
	uint64_t trimmed_ns = 0, nap_ns;

	pthread_setname_np(pthread_self(), "reader");
	message_pools_adopt(reader->messages);
	pool_adopt(&reader->entries);
	while (!stops(commit)) {
		serve_all(commit, false);
		nap_ns = trim(reader, &trimmed_ns);
		waker_arm(&reader->waker, false);
		if (atomic_load(&reader->inbox) != NULL || stops(commit))
			waker_disarm(&reader->waker);
		else
			waker_sleep(&reader->waker, nap_ns);
	}
	serve_all(commit, true);
	return NULL;
}

int
commit_reader_init(struct commit *commit)
{
	struct commit_reader *reader = &commit->reader;

	reader->store_reader = store_reader_new(commit->store);
	reader->messages = message_pools_new();
	if (reader->store_reader == NULL || reader->messages == NULL)
		return -ENOMEM;
	return pool_init(
	    &reader->entries, sizeof(struct commit_entry), 0, UINT32_MAX);
}

void
commit_reader_fini(struct commit *commit)
{
	struct commit_reader *reader = &commit->reader;
	struct commit_read *read, *next;

	for (read = take(reader); read != NULL; read = next) {
		next = read->next;
		free(read);
	}
	store_reader_free(reader->store_reader);
	message_pools_free(reader->messages);
	pool_fini(&reader->entries);
}
