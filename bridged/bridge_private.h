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
#include "bridged/ingest.h"
#include "bridged/link.h"
#include "bridged/mapping.h"
#include "bridged/remote.h"
#include "bridged/report.h"
#include "bridged/session.h"
#include "common/net/stream.h"

enum bridge_state {
	BRIDGE_DETACHED,
	BRIDGE_CONNECTING,
	BRIDGE_UP,
	BRIDGE_WAITING,
	BRIDGE_DISABLED, /* by order; its messages wait */
	BRIDGE_DRAINING
};

struct bridge {
	struct service *service;
	struct loop *loop;
	const struct conf_bridge *conf;
	enum bridge_state state;
	struct link *link;
	struct stream_hub *hub;
	const struct remote_kind *kind;
	struct remote *remote;
	struct mapping forward_rules;
	struct mapping receive_rules;
	struct forward forward;
	struct ingest ingest;
	struct report report; /* for weirctl */
	struct session session;
	struct backoff backoff;
	struct loop_timer retry; /* of the remote */
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

/* The connection is gone: what hung on it begins anew with the next. */
void bridge_forget_remote(struct bridge *bridge);

extern const struct remote_callbacks bridge_remote_callbacks;
extern const struct link_callbacks bridge_link_callbacks;

#endif
