/* SPDX-License-Identifier: Apache-2.0 */

/*
 * session - what a bridge and its remote remember of each other.
 *
 * Owns the notes of the link, says what was found in them, and decides when
 * the remote may be asked for messages: once it is sure that the remote's
 * session is the one that the notes speak of, or a new one.
 *
 *	attached -> up -> (doubts -> forgotten...) -> receive -> down ->
 *detached
 *
 * The loop's thread.
 */

#ifndef WEIR_BRIDGED_SESSION_H
#define WEIR_BRIDGED_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "bridged/ingest.h"
#include "bridged/notes.h"
#include "bridged/remote.h"
#include "common/conf/conf.h"
#include "common/net/loop.h"
#include "common/ring/ring_link.h"

/* Embed it by value; `notes` is for forward and ingest, too. */
struct session {
	const struct conf_bridge *conf;
	const struct remote_kind *kind;
	struct remote *remote;
	struct ingest *ingest;
	struct notes notes;
	uint64_t remote_key; /* whose notes these are; see session_key() */
	struct loop_timer patience; /* with a remote that does not answer */
};

/* Everything passed in must outlive it. */
void session_init(struct session *session, const struct conf_bridge *conf,
    const struct remote_kind *kind, struct remote *remote,
    struct ingest *ingest, struct loop *loop);
void session_fini(struct session *session);

/*
 * What names the remote whose turn it is, and us there.  When it is another
 * one than remote_key, detach and attach before connecting: notes are about
 * one remote.
 */
uint64_t session_key(const struct session *session);

/* With all lanes of the link open.  Before forward and ingest attach. */
void session_attached(struct session *session, struct ring_link *link);
void session_detached(struct session *session);

/* As the callbacks of remote.h. */
void session_connecting(struct session *session);
void session_up(struct session *session, const struct remote_limits *limits);
void session_down(struct session *session);
bool session_forgotten(struct session *session, uint16_t id);

#endif
