/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bridge_private - a bridge, for its own files.
 *
 * bridge.c starts and ends it; bridge_remote.c hears from the remote and
 * decides when to try it again; bridge_broker.c hears from the broker's link
 * and does the work of a turn; bridge_reload.c takes a new configuration.
 * Nobody else includes this file.  The loop's thread.
 */

#ifndef WEIR_BRIDGED_BRIDGE_PRIVATE_H
#define WEIR_BRIDGED_BRIDGE_PRIVATE_H

#include "bridged/backoff.h"
#include "bridged/bridge.h"
#include "bridged/counters.h"
#include "bridged/forward.h"
#include "bridged/grave.h"
#include "bridged/ingest.h"
#include "bridged/link.h"
#include "bridged/mapping.h"
#include "bridged/remote.h"
#include "bridged/report.h"
#include "bridged/session.h"
#include "common/net/stream.h"

enum bridge_state {
	BRIDGE_DETACHED,
	BRIDGE_IDLE,
	BRIDGE_CONNECTING,
	BRIDGE_UP,
	BRIDGE_WAITING,
	BRIDGE_DISABLED, /* by order; its messages wait */
	BRIDGE_ENDED,
	BRIDGE_DRAINING
};

struct bridge {
	struct service *service;
	struct loop *loop;
	const struct conf_bridge *conf; /* &live */
	struct conf_bridge live;        /* what a reload changes of it */
	enum bridge_state state;
	struct link *link;
	struct stream_hub *hub;
	const struct remote_kind *kind;
	struct remote *remote;
	struct mapping forward_rules;
	struct mapping receive_rules;
	struct forward forward;
	struct grave grave;
	struct ingest ingest;
	struct report report; /* for weirctl */
	struct session session;
	struct backoff backoff;
	struct loop_timer retry; /* of the remote */
	uint64_t retry_ns;       /* when that fires */
	bool is_denied;          /* the remote does not want us: no haste */
	bool wants_reconnect;    /* with the next turn */
	bool has_notified;       /* since the broker is there */
	bool notified_up;
	struct loop_timer idle;  /* start = lazy: the time to look again */
	uint64_t active_ns;      /* when something passed last */
	struct loop_timer later; /* the remote asked to wait */
	struct stats *stats;
	struct stats_block *counters;
	bool is_disabled; /* by the broker, until it is lost */
	char self[REMOTE_WEIR_ID_SIZE];
};

/* Logs the step, and tells weirctl and systemd. */
void bridge_enter(struct bridge *bridge, enum bridge_state state);

/* Begin to connect to the remote now, unless that is disabled. */
void bridge_connect(struct bridge *bridge);

/*
 * Whether that needs a connection now: by the configuration, and what waits.
 */
bool bridge_is_due(struct bridge *bridge);

/* Connect, or wait until that is due. */
void bridge_begin(struct bridge *bridge);

/* Publish here whether the remote is connected, if that is news. */
void bridge_notify(struct bridge *bridge, bool is_up);

/* Once a turn: connect sooner or later, or be idle. */
void bridge_mind_start(struct bridge *bridge, bool is_active);

/* A new connection now, as a new configuration wants it. */
void bridge_reconnect(struct bridge *bridge);

/* The connection is gone: what hung on it begins anew with the next. */
void bridge_forget_remote(struct bridge *bridge);

extern const struct remote_callbacks bridge_remote_callbacks;
extern const struct link_callbacks bridge_link_callbacks;

#endif
