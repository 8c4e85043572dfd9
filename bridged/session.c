/* SPDX-License-Identifier: Apache-2.0 */

#include "bridged/session.h"

#include "common/base/log.h"

/* The remote does not know a word of it, and does not say so either. */
static void
on_patience(void *arg)
{
	struct session *session = arg;
	size_t count = notes_release_doubts(&session->notes);

	log_warning("bridge_session_in_doubt",
	    "bridge=%s messages=%zu note=\"the remote does not answer for "
	    "them; they may arrive twice\"",
	    session->conf->name, count);
	session->kind->receive(session->remote);
}

void
session_init(struct session *session, const struct conf_bridge *conf,
    const struct remote_kind *kind, struct remote *remote,
    struct ingest *ingest, struct loop *loop)
{
	*session = (struct session){
		.conf = conf,
		.kind = kind,
		.remote = remote,
		.ingest = ingest,
	};
	loop_timer_init(&session->patience, loop, on_patience, session);
}

void
session_fini(struct session *session)
{
	if (session->conf != NULL)
		loop_timer_stop(&session->patience);
}

static void
log_found(
    const struct session *session, enum notes_found found, const char *fault)
{
	switch (found) {
	case NOTES_NEW:
	case NOTES_RESUMED:
		break;
	case NOTES_OTHER:
		log_info("bridge_notes_other",
		    "bridge=%s note=\"url or client_id were changed; what the "
		    "former remote has acknowledged is not sent again\"",
		    session->conf->name);
		break;
	case NOTES_DAMAGED:
		log_error("bridge_notes_damaged",
		    "bridge=%s reason=%s note=\"begun anew: QoS 2 messages "
		    "that were under way may arrive twice\"",
		    session->conf->name, log_quote(fault));
		break;
	}
}

uint64_t
session_key(const struct session *session)
{
	const struct conf_remote *there = session->kind->where(session->remote);

	return notes_remote(there->host, there->port, session->conf->client_id);
}

void
session_attached(struct session *session, struct ring_link *link)
{
	uint64_t committed[RING_LANES] = { 0 };
	struct ring_producer *producer;
	const char *fault = NULL;
	enum notes_found found;

	for (uint32_t lane = 0; lane < RING_LANES; lane++) {
		producer = ring_link_producer(link, lane);
		if (producer != NULL)
			committed[lane] = ring_producer_sequence(producer);
	}
	session->remote_key = session_key(session);
	found = notes_open(&session->notes, ring_link_notes(link),
	    session->remote_key, committed, &fault);
	log_found(session, found, fault);
}

void
session_detached(struct session *session)
{
	notes_close(&session->notes);
}

void
session_connecting(struct session *session)
{
	notes_connecting(&session->notes);
}

static bool
wants_session(const struct conf_bridge *conf)
{
	for (size_t i = 0; i < conf->forward_count; i++)
		if (conf->forward[i].qos == 2)
			return true;
	for (size_t i = 0; i < conf->receive_count; i++)
		if (conf->receive[i].qos == 2)
			return true;
	return false;
}

void
session_up(struct session *session, const struct remote_limits *limits)
{
	if (!limits->keeps_session && wants_session(session->conf))
		log_warning("bridge_session_not_kept",
		    "bridge=%s note=\"the remote keeps no session while we are "
		    "away; QoS 2 messages may then arrive twice or be lost "
		    "there\"",
		    session->conf->name);
	if (ingest_up(session->ingest, limits))
		session->kind->receive(session->remote);
	else
		loop_timer_start(
		    &session->patience, session->conf->connect_timeout_ns);
}

void
session_down(struct session *session)
{
	loop_timer_stop(&session->patience);
}

bool
session_forgotten(struct session *session, uint16_t id)
{
	bool was_in_doubt = notes_is_in_doubt(&session->notes);
	bool is_known = ingest_forgotten(session->ingest, id);

	if (was_in_doubt && !notes_is_in_doubt(&session->notes)) {
		loop_timer_stop(&session->patience);
		session->kind->receive(session->remote);
	}
	return is_known;
}
