/* SPDX-License-Identifier: Apache-2.0 */

#include "broker/manage_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/session.h"
#include "broker/subscription_tree.h"
#include "broker/worker.h"
#include "common/msg/topic.h"

#define STEP_SUBSCRIPTIONS 128u
#define FIRST_SIZE 16u

/* ---- sessions ----------------------------------------------------------- */

static void
remember(struct manage_walk *walk, const struct session *session)
{
	const size_t size = walk->size == 0 ? FIRST_SIZE : walk->size * 2;
	uint64_t *sessions = walk->sessions;

	if (walk->count == walk->size) {
		sessions = realloc(sessions, size * sizeof(*sessions));
		if (sessions == NULL) {
			walk->has_failed = true;
			return;
		}
		walk->sessions = sessions;
		walk->size = size;
	}
	sessions[walk->count++] = session->cursor;
}

/* Once one is to be looked into, those of its bucket wait for it. */
static bool
look_at(void *context, struct session *session)
{
	struct manage_walk *walk = context;
	const uint64_t count = session->subscriber.count;

	if (count != 0 &&
	    (walk->count != 0 || !walk->pass(walk->context, count)))
		remember(walk, session);
	return walk->count == 0;
}

static void
find_next(struct manage_walk *walk, struct worker *worker)
{
	struct session *session;

	walk->count = walk->at = 0;
	if (walk->only.data == NULL) {
		session_scan_step(
		    &worker->sessions, &walk->scan, look_at, walk);
		return;
	}
	walk->scan.is_over = true;
	session = session_find(&worker->sessions, walk->only);
	if (session != NULL)
		look_at(walk, session);
}

/* ---- subscriptions ------------------------------------------------------ */

static int
take_one(
    void *arg, struct slice filter, const struct subscription_options *options)
{
	struct manage_walk *walk = arg;

	walk->take(walk->context, walk->session, filter, options);
	walk->given++;
	memcpy(walk->after, filter.data, filter.len);
	walk->after_length = filter.len;
	return 0;
}

static void
leave_session(struct manage_walk *walk)
{
	walk->at++;
	walk->after_length = 0;
	walk->given = 0;
}

/* Some of the session at hand. */
static void
look_into(struct manage_walk *walk, struct worker *worker)
{
	struct session *session =
	    session_find_cursor(&worker->sessions, walk->sessions[walk->at]);
	uint64_t left;
	int given;

	if (session == NULL) {
		leave_session(walk);
		return;
	}
	left = session->subscriber.count > walk->given
	    ? session->subscriber.count - walk->given
	    : 0;
	if (left == 0 || walk->pass(walk->context, left)) {
		leave_session(walk);
		return;
	}
	walk->session = session;
	given = subscription_tree_list(worker->broker->subscriptions,
	    &session->subscriber, slice_of(walk->after, walk->after_length),
	    STEP_SUBSCRIPTIONS, take_one, walk);
	if (given == -ENOMEM)
		walk->has_failed = true;
	if (given < (int)STEP_SUBSCRIPTIONS)
		leave_session(walk);
}

bool
manage_walk_step(struct manage_walk *walk, struct worker *worker)
{
	if (walk->after == NULL)
		walk->after = malloc(TOPIC_MAX_BYTES);
	if (walk->after == NULL)
		walk->has_failed = true;
	if (walk->has_failed)
		return true;
	if (walk->at < walk->count)
		look_into(walk, worker);
	else if (!walk->scan.is_over)
		find_next(walk, worker);
	if (walk->at < walk->count || !walk->scan.is_over)
		return false;
	walk->scan = (struct session_scan){ 0 };
	return true;
}

void
manage_walk_fini(struct manage_walk *walk)
{
	free(walk->sessions);
	free(walk->after);
	walk->sessions = NULL;
	walk->after = NULL;
}
