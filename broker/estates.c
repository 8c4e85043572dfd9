/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/estates.h"

#include <stdlib.h>

#include "broker/auth.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/worker.h"
#include "common/base/clock.h"

/* A page, in messages and bytes. */
#define PAGE_MESSAGES 256u
#define PAGE_BYTES (UINT64_C(256) << 10)

/* Pages in memory, however many sessions have ended at a time. */
#define MAX_PAGES 16u

static struct estate *
find(struct worker *worker, uint64_t cursor)
{
	struct estate *estate = worker->estates.first;

	while (estate != NULL && estate->cursor != cursor)
		estate = estate->next;
	return estate;
}

static void
enter(struct worker *worker, struct estate *estate, enum estate_state state)
{
	estate->state = (uint8_t)state;
	worker->redispatch.is_due = true;
}

/* ---- the record ---------------------------------------------------------- */

void
estate_describe(const struct worker *worker, const struct estate *estate,
    struct store_session *out_record)
{
	*out_record = (struct store_session){
		.cursor = estate->cursor,
		.account = slice_of_string(
		    auth_identity_name(worker->broker->auth, estate->identity)),
		.left_ns = estate->left_ns,
	};
}

/* Its ticket, or 0: no memory. */
static uint64_t
send_record(struct worker *worker, const struct estate *estate)
{
	struct store_session record;
	uint64_t ticket;
	uint8_t *bytes;
	size_t size;

	estate_describe(worker, estate, &record);
	size = store_session_size(&record);
	bytes = malloc(size);
	if (bytes == NULL)
		return 0;
	store_session_write(&record, bytes);
	ticket = commit_send_state(
	    worker->commit, STORE_SESSION, slice_of(bytes, size), true);
	free(bytes);
	return ticket;
}

/* ---- the session ends ---------------------------------------------------- */

/* [MQTT-4.8.2-5] QoS 2 that was begun is over with its session. */
static void
give_up_begun(struct worker *worker, const struct session *session)
{
	const struct outgoing *outgoing = session->outbox.in_flight.first;

	for (; outgoing != NULL; outgoing = outgoing->next)
		if (outgoing->qos == 2 && outgoing->sequence != 0)
			commit_done(worker->commit,
			    &(struct store_done){
				.cursor = session->cursor,
				.sequence = outgoing->sequence,
			    });
}

bool
estates_leave(struct worker *worker, struct session *session)
{
	/* One without an identifier was an estate in a former life. */
	const bool is_estate = session->id_length == 0;
	struct estate *estate;

	if (!session->subscriber.is_member && !is_estate)
		return false;
	estate = calloc(1, sizeof(*estate));
	if (estate == NULL)
		return false;
	estate->cursor = session->cursor;
	estate->identity = session->identity;
	estate->left_ns = clock_wall_ns();
	estate->from = 1;
	if (!is_estate && send_record(worker, estate) == 0) {
		free(estate);
		return false;
	}
	give_up_begun(worker, session);
	estate->next = worker->estates.first;
	worker->estates.first = estate;
	return true;
}

void
estates_begin(struct worker *worker, uint64_t cursor)
{
	struct estate *estate = find(worker, cursor);

	if (estate != NULL)
		enter(worker, estate, ESTATE_GRACED);
}

void
estates_arrived(struct worker *worker, uint64_t cursor)
{
	struct estate *estate = find(worker, cursor);

	if (estate != NULL)
		estate->has_more = true;
}

/* ---- pages --------------------------------------------------------------- */

void
estates_load(struct worker *worker, uint64_t cursor, struct message *message,
    uint64_t sequence, const struct commit_delivery *delivery)
{
	struct estate *estate = find(worker, cursor);

	if (estate == NULL || estate->is_short)
		return;
	if (delivery->share == 0) {
		estate->loaded++;
		worker_count(worker, COUNT_dropped_session_end);
	} else if (redispatch_of_estate(
		       worker, message, delivery->share, estate, sequence)) {
		estate->loaded++;
		estate->to_give++;
	} else {
		estate->is_short = true;
		estate->from = sequence;
	}
}

/* The page is given on: is there another? */
static void
turn_page(struct worker *worker, struct estate *estate)
{
	const bool was_last =
	    estate->loaded == 0 && !estate->is_short && !estate->has_more;

	estate->loaded = 0;
	estate->is_short = estate->has_more = false;
	enter(worker, estate, was_last ? ESTATE_CLOSING : ESTATE_WANTS_READ);
}

void
estates_loaded(struct worker *worker, uint64_t cursor, uint64_t upto, int err)
{
	struct estate *estate = find(worker, cursor);

	if (estate == NULL)
		return;
	if (err != 0) {
		estate->is_short = true;
		estate->read_again_ns =
		    worker_now_ns(worker) + DELIVER_READ_AGAIN_NS;
	} else if (!estate->is_short) {
		estate->from = upto + 1;
	}
	if (estate->is_short)
		worker_retry_soon(worker);
	if (estate->to_give == 0)
		turn_page(worker, estate);
	else
		enter(worker, estate, ESTATE_GIVING);
}

void
estate_given(struct worker *worker, struct estate *estate, uint64_t sequence)
{
	commit_done(worker->commit,
	    &(struct store_done){
		.cursor = estate->cursor,
		.sequence = sequence,
	    });
	if (--estate->to_give == 0 && estate->state == ESTATE_GIVING)
		turn_page(worker, estate);
}

/* ---- what is due --------------------------------------------------------- */

void
estates_settled(struct worker *worker, const struct commit_letter *letter)
{
	struct estate *estate = worker->estates.first;

	/* The marker only marks: whether it was written does not matter. */
	for (; estate != NULL; estate = estate->next)
		if (estate->state == ESTATE_MARKED &&
		    estate->ticket <= letter->last_ticket)
			enter(worker, estate, ESTATE_WANTS_READ);
}

static void
mark(struct worker *worker, struct estate *estate)
{
	estate->ticket = send_record(worker, estate);
	if (estate->ticket != 0)
		enter(worker, estate, ESTATE_MARKED);
	else
		worker_retry_soon(worker);
}

static bool
has_page(const struct estate *estate)
{
	return estate->state == ESTATE_READING ||
	    estate->state == ESTATE_GIVING;
}

static unsigned
count_pages(const struct worker *worker)
{
	const struct estate *estate = worker->estates.first;
	unsigned pages = 0;

	for (; estate != NULL; estate = estate->next)
		pages += has_page(estate);
	return pages;
}

static void
read_page(struct worker *worker, struct estate *estate)
{
	if (estate->read_again_ns <= worker_now_ns(worker) &&
	    commit_read(worker->commit, estate->cursor, estate->from,
		PAGE_MESSAGES, PAGE_BYTES) == 0)
		enter(worker, estate, ESTATE_READING);
	else
		worker_retry_soon(worker);
}

/* True: it is no more. */
static bool
close_cursor(struct worker *worker, const struct estate *estate)
{
	if (commit_send_cursor(worker->commit, STORE_CLOSE, estate->cursor) !=
	    0)
		return true;
	worker_retry_soon(worker);
	return false;
}

void
estates_run(struct worker *worker)
{
	struct estate **link = &worker->estates.first, *estate;
	unsigned pages = count_pages(worker);

	while ((estate = *link) != NULL && worker->commit != NULL) {
		if (estate->state == ESTATE_CLOSING &&
		    close_cursor(worker, estate)) {
			*link = estate->next;
			free(estate);
			continue;
		}
		if (estate->state == ESTATE_GRACED) {
			mark(worker, estate);
		} else if (estate->state == ESTATE_WANTS_READ &&
		    pages < MAX_PAGES) {
			read_page(worker, estate);
			pages += has_page(estate);
		}
		link = &estate->next;
	}
}

void
estates_fini(struct worker *worker)
{
	struct estate *estate;

	while ((estate = worker->estates.first) != NULL) {
		worker->estates.first = estate->next;
		free(estate);
	}
}
