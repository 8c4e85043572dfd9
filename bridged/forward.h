/* SPDX-License-Identifier: Apache-2.0 */

/*
 * forward - from the ring to the remote.
 *
 * Records are read ahead of what is released, up to the remote's window, and
 * a record is given back to the ring only when the remote has it, refuses it
 * for good, or a named policy drops it.  The ring is thus the only queue:
 * what is unacknowledged when this process dies is read again by the next,
 * and the notes tell that one which of it the remote has already (QoS 2).
 *
 * Credit: a record may begin up to the ring's largest size beyond what was
 * read.  While the remote stalls, no more is read than its window takes, so
 * the ring grows to its maximum and then its writer waits.
 *
 * All work with the ring is done in forward_work(), once a turn; settled()
 * and the others only note what happened.  The loop's thread.
 */

#ifndef WEIR_BRIDGED_FORWARD_H
#define WEIR_BRIDGED_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridged/claims.h"
#include "bridged/inflight.h"
#include "bridged/mapping.h"
#include "bridged/notes.h"
#include "bridged/outgoing.h"
#include "bridged/pace.h"
#include "bridged/remote.h"
#include "common/conf/conf.h"
#include "common/ring/ring_consumer.h"
#include "common/ring/ring_trace.h"
#include "common/stats/stats.h"

/*
 * Where dead letters go: into a lane to the broker.  bury() returns 0 when it
 * is committed there, -EAGAIN without room, or another error: it cannot be
 * kept.  has_room() has no side effect.
 */
struct forward_grave {
	int (*bury)(void *arg, const struct inflight_entry *entry);
	bool (*has_room)(void *arg, const struct inflight_entry *entry);
	void *arg;
};

struct forward {
	const struct conf_bridge *conf;
	const struct remote_kind *kind;
	struct remote *remote;
	struct stats_block *counters;
	struct inflight inflight;
	struct claims claims;
	struct outgoing outgoing;
	struct forward_grave grave; /* NULL: they are only counted */
	struct notes *notes;        /* open while attached */
	struct ring_consumer *ring; /* NULL: not attached */
	struct ring_trace *trace;   /* NULL: what is sampled is not noted */
	struct remote_limits limits;
	enum conf_overflow overflow;
	bool has_qos_2; /* a rule has */
	bool is_up;
	bool is_draining;     /* send nothing new */
	bool socket_is_full;  /* until writable() */
	bool has_read;        /* the last forward_work() took or skipped some */
	bool has_moved;       /* the last forward_work() released or granted */
	bool may_have_lost;   /* a former life released what was under way */
	uint64_t sent_before; /* sequence up to which copies go out */
	uint64_t not_before_ns; /* the remote asked to wait; 0: no */
	struct pace pace;       /* as configured */
};

/* What forward_work() found. */
enum forward_result {
	FORWARD_DONE,    /* nothing can be done before something happens */
	FORWARD_AGAIN,   /* a turn's share is done, there is more */
	FORWARD_WAITS,   /* until forward_wait_ns() */
	FORWARD_POISONED /* the broker's memory contradicts itself */
};

/*
 * `max_record` is the largest body on the ring.  Returns 0 or -ENOMEM.
 * Everything passed in must outlive it; `notes` need be open only while a
 * ring is attached.
 */
int forward_init(struct forward *forward, const struct conf_bridge *conf,
    const struct mapping *rules, const struct remote_kind *kind,
    struct remote *remote, struct notes *notes, struct stats_block *counters,
    size_t max_record, uint64_t now_ns);
void forward_fini(struct forward *forward);

/*
 * The ring of broker `self` is there, and the notes that belong to it.  The
 * text must stay until forward_detach().
 */
void forward_attach(
    struct forward *forward, struct ring_consumer *ring, const char *self);
void forward_detach(struct forward *forward);

/* Where it notes sampled messages from now on, until it is detached. */
void forward_set_trace(struct forward *forward, struct ring_trace *trace);

/* The rules it was given, or its configuration, have changed. */
void forward_conf_changed(struct forward *forward, uint64_t now_ns);

/* Does anything wait for the remote, or is under way to it? */
bool forward_has_waiting(struct forward *forward);

/*
 * Of what was not read from the ring: its bytes; of its first record the
 * sequence and when it was written, 0 when there is none.
 */
uint64_t forward_unread_bytes(struct forward *forward);
uint64_t forward_unread_sequence(struct forward *forward);
uint64_t forward_unread_since_ns(struct forward *forward);

/* Where dead letters go, from now on. */
void forward_set_grave(struct forward *forward, struct forward_grave grave);

/* The policy has changed. */
void forward_set_overflow(struct forward *forward, enum conf_overflow overflow);

/*
 * What to call when a record matches no rule: the broker may know newer ones.
 */
void forward_set_refresh(
    struct forward *forward, void (*refresh)(void *arg), void *arg);

void forward_up(struct forward *forward, const struct remote_limits *limits);
void forward_down(struct forward *forward);
void forward_writable(struct forward *forward);

/*
 * PUBREC: the remote has the message.  Returns false when none of ours, and
 * unfinished, has that identifier.
 */
bool forward_kept(struct forward *forward, uint16_t id);

/* See remote.h. */
void forward_ended(struct forward *forward);
void forward_settled(struct forward *forward, uint16_t id,
    enum remote_verdict verdict, const char *why, uint64_t now_ns);

/* Send nothing new from now on. */
void forward_drain(struct forward *forward);

/* Messages under way at the remote. */
size_t forward_in_flight(const struct forward *forward);

/* One turn: skip, send, release, grant.  `*out_fault` says what is wrong. */
enum forward_result forward_work(
    struct forward *forward, uint64_t now_ns, const char **out_fault);

/* Could forward_work() do something now?  For the recheck before sleep. */
bool forward_is_movable(struct forward *forward, uint64_t now_ns);

/* Nanoseconds until the remote may be asked again. */
uint64_t forward_wait_ns(const struct forward *forward, uint64_t now_ns);

#endif
