/* SPDX-License-Identifier: Apache-2.0 */

/*
 * commit - between the threads that publish and the journal.
 *
 * With durability "disk" or "process" what has QoS 1 or 2 goes this way:
 *
 *	publishing thread	commit_begin(), commit_add() each receiver,
 *	   |			commit_send() -> ticket
 *	   v
 *	commit thread		takes all that there is, appends, writes, syncs
 *	   |			(broker/store), then one letter to each thread
 *	   v
 *	each thread		deliver() for its receivers, in journal order;
 *				then settled(): acknowledge, tickets are done
 *
 * Nothing is delivered before it is committed: a QoS 2 message that was
 * delivered and then forgotten would be delivered again.  While a sync runs,
 * the next batch gathers: batches grow with the load, and nobody waits for a
 * timer.  No thread but the commit thread waits for the disk.
 *
 * A thread that takes part is a `member`: worker 0..n-1, then links.  Each
 * has a port.  What goes from one member to another comes in the order of the
 * journal; what one member sent is settled in the order it was sent.
 *
 * Items that need no write (`is_written` false) keep their place in the line.
 *
 * If a batch fails, its tickets are settled as failed (0x97 quota exceeded
 * for want of space, 0x83 implementation specific error else), its messages
 * are delivered to nobody, and commit_offer() refuses until the disk is well.
 */

#ifndef WEIR_BROKER_COMMIT_H
#define WEIR_BROKER_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/mailbox.h"
#include "broker/message.h"
#include "broker/store/store.h"
#include "common/mqtt/reason.h"
#include "common/stats/stats.h"

struct commit;
struct commit_item;
struct commit_port;
struct pool_level;
struct pool_trimmer;

/* A message's way to one session or bridge. */
struct commit_delivery {
	uint64_t cursor; /* its number, also if it is not durable */
	uint16_t member; /* the thread that owns it */
	uint8_t qos;     /* granted */
	bool retain;
	bool is_durable; /* in the journal, until it is over */
	uint16_t identifier_count;
	uint32_t share;              /* it is a share's: its number; else 0 */
	const uint32_t *identifiers; /* copied by commit_add() */
};

/* What is known of a message besides itself. */
struct commit_origin {
	uint64_t publisher; /* cursor of a durable session; 0: none */
	uint16_t packet_id; /* QoS 2 from such a one, else 0 */
	uint64_t retain_serial;
	bool is_written; /* also without a durable delivery */
};

enum commit_answer {
	COMMIT_TAKES,
	COMMIT_STALLS,  /* the disk is behind: try again after settled() */
	COMMIT_REFUSES, /* commit_refusal() says why */
};

/* How a ticket ended. */
struct commit_letter {
	uint64_t first_ticket, last_ticket; /* of this port; 0, 0: none */
	enum mqtt_reason reason; /* SUCCESS, or why all of them failed */
};

/* What a member is told, on its own thread, by mail. */
struct commit_member {
	struct mailbox *mailbox;
	void *context;

	/* Borrows the message.  sequence 0: it was not written. */
	void (*deliver)(void *context, struct message *message,
	    uint64_t sequence, const struct commit_delivery *delivery);

	/* After the deliveries of a letter; also for failed ones. */
	void (*settled)(void *context, const struct commit_letter *letter);

	/* A read that was asked for, see commit_read(). */
	void (*loaded)(void *context, uint64_t cursor, struct message *message,
	    uint64_t sequence, const struct commit_delivery *delivery);
	void (*loaded_upto)(
	    void *context, uint64_t cursor, uint64_t upto, int err);

	struct stats_block *counters; /* of its thread; may be NULL */
};

struct commit_spec {
	struct store *store; /* open; the commit's from now on, but to free */
	const struct commit_member *members;
	unsigned member_count;
	size_t window_bytes;          /* of each port, not settled */
	struct stats_block *counters; /* of the commit thread; may be NULL */

	/*
	 * On the keeper's thread: write a checkpoint's state.  `put` may be
	 * called from here only; see checkpoint.h.
	 */
	int (*write_state)(void *context, struct store_checkpoint *checkpoint);
	void *context;
};

/* NULL with errno.  Threads run from commit_start() to commit_stop(). */
struct commit *commit_new(const struct commit_spec *spec);
int commit_start(struct commit *commit);

/*
 * Commit what was sent, write a last checkpoint if `checkpoint`, end the
 * threads.  The members' letters are in their mailboxes.
 */
void commit_stop(struct commit *commit, bool checkpoint);

/* When all mail is opened.  Accepts NULL. */
void commit_free(struct commit *commit);

struct commit_port *commit_port(struct commit *commit, unsigned member);

/* Have the port's memory given back after bursts; its member's thread. */
void commit_port_trim(struct commit_port *port, struct pool_trimmer *trimmer);

/* Of what is under way to the journal; added to *level, by that thread. */
void commit_port_level(
    const struct commit_port *port, struct pool_level *level);

/* Ask the keeper for a checkpoint now (weirctl store compact).  Any thread. */
void commit_ask_checkpoint(struct commit *commit);

/* ---- a member's own thread --------------------------------------------- */

/* May a message of this weight be sent?  No side effect but counters. */
enum commit_answer commit_offer(struct commit_port *port, size_t weight);

/* Why commit_offer() refuses: 0x97 or 0x83. */
enum mqtt_reason commit_refusal(const struct commit_port *port);

/* Does commit_offer() refuse now?  Nothing is counted. */
bool commit_is_failing(const struct commit_port *port);

/* Takes a reference of the message.  NULL: no memory. */
struct commit_item *commit_begin(
    struct commit_port *port, struct message *message);

/* False: no memory; the item is as before. */
bool commit_add(
    struct commit_item *item, const struct commit_delivery *delivery);

/*
 * A further delivery to a session that has one of this item: a record knows
 * one for a session, so it has a record of its own, before the item's, and is
 * settled with it.  It never lacks where the item was taken; but it may stand
 * alone where power was lost while the two were written, or where they are too
 * much for one batch and the disk fails between.  False: no memory; the item
 * is as before.
 */
bool commit_add_copy(
    struct commit_item *item, const struct commit_delivery *delivery);

/* Receivers added so far, copies too. */
unsigned commit_receivers(const struct commit_item *item);

/* Drop what commit_begin() gave. */
void commit_cancel(struct commit_port *port, struct commit_item *item);

/* Takes the item.  Returns its ticket (from 1, growing by 1). */
uint64_t commit_send(struct commit_port *port, struct commit_item *item,
    const struct commit_origin *origin);

/*
 * A record of state; the body is copied.  `must_sync`: somebody waits for it.
 * 0: no memory.  These and the next are taken however full the window is.
 */
uint64_t commit_send_state(struct commit_port *port, enum store_kind kind,
    struct slice body, bool must_sync);

/* STORE_OPEN or STORE_CLOSE of a cursor, with a sync. */
uint64_t commit_send_cursor(
    struct commit_port *port, enum store_kind kind, uint64_t cursor);

/*
 * A delivery is over.  Gathered, sent by commit_flush(), and written with
 * what comes next; on its own after some ms, with a sync within a second.
 * Kept and tried again if it cannot be written.  Some are forgotten, and
 * counted, if there is no memory for long: then they may come again after a
 * restart.
 */
void commit_done(struct commit_port *port, const struct store_done *done);

/* The last ticket that is settled, well or not. */
uint64_t commit_settled(const struct commit_port *port);

/* The last ticket that was given out. */
uint64_t commit_last_ticket(const struct commit_port *port);

/*
 * Read the messages of a cursor from `from` on; loaded() for each, then
 * loaded_upto(), by mail.  One read for a cursor at a time.  -ENOMEM.
 *
 * loaded() borrows the message.  loaded_upto() says 0, or why nothing could
 * be read: -ENOMEM, -errno of the disk, -ECANCELED in commit_stop().
 */
int commit_read(struct commit_port *port, uint64_t cursor, uint64_t from,
    size_t max_messages, size_t max_bytes);

/* Once after each turn: wake the commit thread if anything was sent. */
void commit_flush(struct commit_port *port);

#endif
